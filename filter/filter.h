/* User filters: what shall become of a message.
 *
 * A filter is compiled from its owner's text into a struct filter, run over one message, and gives one
 * list of actions.  The caller is the only one that acts: nothing here writes anything.  All or
 * nothing: a run that fails gives no actions, and the message goes to INBOX.
 *
 * Languages are rows (struct filter_language).  Where a run needs to know more than the message
 * (mailboxes, other scripts, lists, memory), it asks the account's surroundings.h. */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "filter/actions.h"

/* The field by which a redirect that comes back is known: no script can take it out. */
#define FILTER_REDIRECT_MARK "X-Sanger-Redirected"

#define FILTER_TEXT_MAX_BYTES   (1024 * 1024)
#define FILTER_ERROR_TEXT_BYTES 512

/* Bounds of one run (of all scripts that it includes together). */
#define FILTER_STEPS_MAX        1000000            /* commands, tests and strings looked at */
#define FILTER_RUN_MS_MAX       10000              /* by the clock */
#define FILTER_CPU_MS_MAX       5000               /* of the running thread */
#define FILTER_RUN_MEMORY_BYTES (16 * 1024 * 1024) /* of the arena */
#define FILTER_REGEX_MATCHES    200000             /* PCRE2 match limit */
#define FILTER_REGEX_DEPTH      20000              /* PCRE2 depth limit */

enum filter_status {
	FILTER_OK,
	FILTER_COMPILE_ERROR, /* the text is wrong: line and text say where and how */
	FILTER_RUN_ERROR,     /* a limit, or something only a run can find */
	FILTER_TEMPFAIL,      /* a disk or database failed: try the delivery again later */
};

/* What kind of error, as `mailadmin filter test --json` names it. */
enum filter_error_kind {
	FILTER_ERROR_COMPILE, /* Sieve: does not compile */
	FILTER_ERROR_RUNTIME, /* Sieve, and limits of both languages */
	FILTER_ERROR_SYNTAX,  /* Exim: cannot be parsed */
	FILTER_ERROR_EXPAND,  /* Exim: a string, pattern or number that fails when it is reached */
	FILTER_ERROR_FORBIDDEN, /* Exim: what could touch the system */
};

struct filter_error {
	enum filter_error_kind kind;
	unsigned line; /* 0: the filter as a whole */
	char text[FILTER_ERROR_TEXT_BYTES];
};

/* A remark that is no error ("unused capability"); for mailadmin and ManageSieve. */
struct filter_warnings {
	struct buf text; /* "line N: …" each on a line */
	unsigned count;
};

/* What a filter may know of the delivery.  Borrowed for the call; NULL where nothing is known. */
struct filter_message {
	int fd;              /* the message as it came, readable with pread; -1: it is in `bytes` */
	struct str bytes;    /* the same in memory when fd is -1 */
	const char *sender;  /* envelope; "" is the null reverse-path */
	const char *rcpt;    /* envelope recipient as it came */
	const char *account; /* localpart@domain */
	const char *detail;  /* of localpart+detail; NULL: none */
	const char *orig_rcpt;               /* RCPT ORCPT, "type;address", decoded from xtext */
	const char *dsn_notify, *dsn_ret;    /* as given to RCPT and MAIL */
	const char *envid;                   /* decoded from xtext */
	const char *deliver_by;              /* BY of MAIL as given, "seconds;mode" (RFC 2852) */
	const char *remote_ip, *remote_host; /* of the peer that handed it over */
	const char *hostname;                /* ours */
	int64_t now;                         /* unix time; 0: the clock's */
	/* The mailbox it lies in already, and its flags there with a blank between each; NULL: this is a delivery. */
	const char *mailbox, *flags;
	/* IMAPSIEVE, RFC 6785; NULL cause: no event. */
	const char *imap_cause, *imap_mailbox, *imap_user, *imap_changed_flags, *imap_email;
};

struct filter_surroundings;

/* How a run is made; zeroes are a plain run. */
struct filter_run_options {
	const struct filter_surroundings *around; /* NULL: empty surroundings */
	/* Called for each command and test with what decided; NULL: nobody looks. */
	void (*trace)(void *arg, unsigned line, const char *text);
	void *trace_arg;
};

struct filter; /* a checked program; constant, so any number of threads may run it at once */

/* The filter that serves whoever has none (filter/exim/default.filter).  Never NULL, not to be freed. */
const struct filter *filter_default(void);

/* Compiles a user's text in whatever language it is: Exim if the first line says "# Exim filter",
 * else Sieve.  On FILTER_OK the caller owns *filter_out.  `warnings` may be NULL. */
enum filter_status filter_compile(struct str text, struct filter **filter_out,
    struct filter_error *error_out, struct filter_warnings *warnings);
void filter_free(struct filter *filter);                       /* NULL is fine */
size_t filter_bytes(const struct filter *filter);              /* what it takes in memory, nearly */
const char *filter_language_name(const struct filter *filter); /* "sieve", "exim", "keep" */
const char *filter_text_language(struct str text); /* the same, by the text's first line */

/* For a language whose filters use each other: the program; NULL if it is in another language. */
struct filter_language;
struct filter_program;
const struct filter_program *filter_program(
    const struct filter *filter, const struct filter_language *language);

/* Why this filter cannot be run where `message` comes from, known before it runs: a script with reject or vacation for an IMAP
 * event (RFC 6785 §3.11), one that wants such events for a message that merely lies in a mailbox
 * (draft-bosch-imap-filter-sieve §4.9).  NULL: it can. */
const char *filter_misfit(const struct filter *filter, const struct filter_message *message);

/* Runs a filter.  Strings of the result live in the arena.  After anything but FILTER_OK the result
 * has no actions. */
enum filter_status filter_run(const struct filter *filter, const struct filter_message *message,
    const struct filter_run_options *options, struct arena *arena, struct filter_result *result_out,
    struct filter_error *error_out);

/* A language: told by `claims`, tried in the order of the table in filter.c. */
struct filter_language {
	const char *name;
	bool (*claims)(struct str text);
	enum filter_status (*compile)(struct str text, struct filter_program **program_out,
	    struct filter_error *error_out, struct filter_warnings *warnings);
	enum filter_status (*run)(const struct filter_program *program,
	    const struct filter_message *message, const struct filter_run_options *options,
	    struct arena *arena, struct filter_result *result_out, struct filter_error *error_out);
	void (*free)(struct filter_program *program);
	size_t (*bytes)(const struct filter_program *program);
};

#endif
