/* What a filter wants done: one list, whatever language it was written in.  Strings live in the run's
 * arena, are NUL-terminated, and NULL where nothing was said. */
#ifndef FILTER_ACTIONS_H
#define FILTER_ACTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define FILTER_ACTIONS_MAX   32
#define FILTER_REDIRECTS_MAX 4
#define FILTER_MEMORIES_MAX  16

enum filter_action_kind {
	FILTER_KEEP,     /* into INBOX; uses `store` */
	FILTER_FILEINTO, /* Sieve: into store.mailbox */
	FILTER_SAVE, /* Exim: `path` as written, `unseen`; store.mailbox is what it means here; NULL: it
	              is no folder, deliver into INBOX and report that */
	FILTER_REDIRECT, /* Sieve: to `redirect.to` */
	FILTER_DELIVER,  /* Exim: the same, with `unseen` */
	FILTER_DISCARD, /* Sieve: says nothing but that somebody wanted it; nothing is to be done */
	FILTER_REJECT,  /* RFC 5429: `reject` */
	FILTER_VACATION, /* RFC 5230: `reply` */
	FILTER_MAIL,     /* Exim mail and vacation: `reply` */
	FILTER_NOTIFY,   /* RFC 5435: `notify` */
	FILTER_REPORT,   /* vnd.dovecot.report: `report` */
};

/* The message as the filter changed it (RFC 5293, RFC 5703) up to the action that points here. */
struct filter_edit {
	struct str header; /* the whole header block with LF line ends, without the blank line */
	struct str body;   /* p NULL: the body of the message as it came */
};

/* Where a copy goes, and how: of KEEP, FILEINTO, SAVE, and of :fcc (RFC 8580). */
struct filter_store {
	const char *mailbox;     /* UTF-8, levels split by '/'; NULL: INBOX */
	bool create;             /* make the mailbox if it is not there (and subscribe to it) */
	const char *special_use; /* "\\Junk": what a mailbox made by `create` is for (RFC 8579) */
	unsigned flags;          /* MESSAGE_… of store/mailbox.h */
	const char **keywords;   /* names without a leading backslash */
	size_t keyword_count;
};

struct filter_redirect {
	const char *to; /* localpart@domain */
	const char *
	    notify; /* DSN, RFC 6009: "NEVER" or of SUCCESS,FAILURE,DELAY; NULL: as the message's */
	const char *ret; /* "FULL", "HDRS" */
	/* RFC 6009 §6: by_seconds counts only if by_given. */
	bool by_given, by_trace;
	char by_mode; /* 'N' or 'R' */
	int64_t by_seconds;
	bool listed; /* an address out of a list (RFC 6134): bounces stay with the account */
};

/* A message that is to be sent on the account's behalf. */
struct filter_reply {
	const char *from, *reply_to, *to, *cc,
	    *bcc;            /* as written; NULL: the default of the action */
	const char *subject; /* UTF-8 */
	const char *body;    /* UTF-8 text, or with `mime` a MIME entity */
	bool mime;
	const char *extra_headers; /* Exim: checked header lines */
	/* Once per `key` (and recipient) in `seconds`; key NULL: always; seconds 0 with a key: once for ever. */
	const char *key;
	uint64_t seconds;
	const char **own_addresses; /* vacation: what else counts as addressed to the account */
	size_t own_address_count;
	bool return_message;      /* Exim */
	const char *file;         /* Exim: what was asked to be put in; we read no files */
	bool file_expand;         /* Exim */
	const char *log, *once;   /* Exim: as written */
	const char *once_repeat;  /* Exim: as written */
	bool is_vacation;         /* Exim: the command was `vacation` */
	struct filter_store *fcc; /* RFC 8580: keep a copy there; NULL: no */
};

struct filter_reject {
	const char *reason;
	bool ereject; /* prefers a refusal in the dialogue (RFC 5429 §2.1) */
};

struct filter_notify {
	const char *method;   /* the whole URI: "mailto:a@b?…" */
	const char *from;     /* NULL: the account */
	unsigned importance;  /* 1 high, 2 normal, 3 low */
	const char *message;  /* NULL: the default text */
	const char **options; /* "name=value" */
	size_t option_count;
	const char **to; /* the addresses of a mailto URI */
	size_t to_count;
	struct filter_store *fcc;
};

/* Feedback on the message, RFC 5965. */
struct filter_report {
	const char *type;    /* "abuse", "not-spam" … */
	const char *message; /* UTF-8 text for people */
	const char *to;      /* one mailbox, as written */
	bool headers_only;   /* the report has the message's header, not all of it */
};

struct filter_action {
	enum filter_action_kind kind;
	unsigned line; /* of the filter; 0: implicit */
	bool implicit; /* nobody wrote it: the implicit keep, Exim's normal delivery */
	bool unseen;   /* Exim */
	const struct filter_edit *edit; /* NULL: the message as it came */
	struct filter_store store;
	const char *path; /* FILTER_SAVE: as written, after expansion */
	union {
		struct filter_redirect redirect;
		struct filter_reply reply;
		struct filter_reject reject;
		struct filter_notify notify;
		struct filter_report report;
	};
};

/* Something to be remembered once the delivery has succeeded (RFC 7352). */
struct filter_memory {
	const char *key; /* handle and value in one */
	uint64_t seconds;
};

/* In the order in which the filter asked.  A list without KEEP, FILEINTO, SAVE, REDIRECT or REJECT discards. */
struct filter_result {
	struct filter_action actions[FILTER_ACTIONS_MAX];
	size_t action_count;
	bool seen; /* the implicit keep, or Exim's normal delivery, has been cancelled */
	const struct filter_edit *edit; /* how the message is at the end; NULL: as it came */
	struct filter_memory memories[FILTER_MEMORIES_MAX];
	size_t memory_count;
	struct str log; /* vnd.dovecot.debug, Exim's testprint: for people, a line each */
};

#endif
