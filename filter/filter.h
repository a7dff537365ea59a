/* User filters: what shall become of a message.
 *
 * A filter is compiled from its owner's text into a struct filter, run over one message, and gives one
 * list of actions.  The caller (lda) is the only one that acts: nothing here writes anything.  All
 * or nothing: a run that fails gives no actions, and the message goes to INBOX.
 *
 * Languages are rows (struct filter_language); an account without a filter of its own gets the
 * default one, which keeps every message in INBOX. */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"

#define FILTER_ACTIONS_MAX      32
#define FILTER_TEXT_MAX_BYTES   (1024 * 1024)
#define FILTER_ERROR_TEXT_BYTES 240

enum filter_action_kind {
	FILTER_KEEP,     /* into INBOX */
	FILTER_FILEINTO, /* into `mailbox` */
};

struct filter_action {
	enum filter_action_kind kind;
	const char *mailbox; /* UTF-8, levels split by '/'; NULL for FILTER_KEEP */
	unsigned flags;      /* MESSAGE_… of store/mailbox.h, set on the stored message */
	bool create;         /* make the mailbox if it is not there (and subscribe to it) */
};

/* In the order in which the filter asked; no two with the same mailbox.  An empty list discards. */
struct filter_result {
	struct filter_action actions[FILTER_ACTIONS_MAX];
	size_t action_count;
};

enum filter_status {
	FILTER_OK,
	FILTER_COMPILE_ERROR, /* the text is wrong: line and text say where and how */
	FILTER_RUN_ERROR,     /* a limit, or something only a run can find */
	FILTER_TEMPFAIL,      /* a disk or database failed: try the delivery again later */
};

struct filter_error {
	unsigned line; /* 0: the filter as a whole */
	char text[FILTER_ERROR_TEXT_BYTES];
};

/* What a filter may know of the delivery.  Borrowed for the call. */
struct filter_message {
	int fd;              /* the message as it came, readable with pread; -1: it is in `bytes` */
	struct str bytes;    /* the same in memory when fd is -1 */
	const char *sender;  /* envelope; "" is the null reverse-path */
	const char *rcpt;    /* envelope recipient as it came */
	const char *account; /* localpart@domain */
	const char *detail;  /* of localpart+detail; NULL: none */
};

struct filter; /* a checked program; constant, so any number of threads may run it at once */

/* The filter that serves whoever has none: keeps every message.  Never NULL, not to be freed. */
const struct filter *filter_default(void);

/* Compiles a user's text in whatever language it is.  On FILTER_OK the caller owns *filter_out. */
enum filter_status filter_compile(
    struct str text, struct filter **filter_out, struct filter_error *error_out);
void filter_free(struct filter *filter); /* NULL is fine */

/* Runs a filter.  Strings of the result live in the arena. */
enum filter_status filter_run(const struct filter *filter, const struct filter_message *message,
    struct arena *arena, struct filter_result *result_out, struct filter_error *error_out);

/* A language: told by `claims`, tried in the order of the table in filter.c. */
struct filter_program;
struct filter_language {
	const char *name; /* "sieve", "exim" */
	bool (*claims)(struct str text);
	enum filter_status (*compile)(
	    struct str text, struct filter_program **program_out, struct filter_error *error_out);
	enum filter_status (*run)(const struct filter_program *program,
	    const struct filter_message *message, struct arena *arena,
	    struct filter_result *result_out, struct filter_error *error_out);
	void (*free)(struct filter_program *program);
};

#endif
