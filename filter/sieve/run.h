/* A run: one message through a checked program (and what it includes).  What follows is for the `run` and
 * `test` functions of rows.  Everything made in a run lives in its arena and needs no freeing.
 *
 * All or nothing: when a function returns false the run is over and its actions are gone. */
#ifndef FILTER_SIEVE_RUN_H
#define FILTER_SIEVE_RUN_H

#include "filter/filter.h"
#include "filter/sieve/spec.h"
#include "filter/surroundings.h"
#include "filter/view.h"

#define SIEVE_STRING_MAX_BYTES   (1024 * 1024) /* of one string after expansion; more ends the run */
#define SIEVE_VARIABLE_MAX_BYTES 65536 /* what is longer is cut, RFC 5229 §6 (at least 4000) */
#define SIEVE_MATCH_VARIABLES    33    /* ${0} to ${32}, RFC 5229 §6 (at least 9) */
#define SIEVE_INCLUDE_DEPTH      10    /* RFC 6609 §3.2 */

struct sieve_program;
struct mime_message;
struct mime_part;

/* A header field as it is now (RFC 5293 changes fields while the script runs). */
struct sieve_field {
	struct sieve_field *next, *prev;
	struct str name;
	struct str value; /* raw, from behind the colon, folds within */
	struct str raw;   /* the whole field with its last line end */
	struct str text;  /* private: see sieve_field_text() */
	struct address *addresses;
	bool addresses_known;
};
struct sieve_fields {
	struct sieve_field *first, *last;
	size_t count; /* at least; what it costs to look through them */
};

/* The part that foreverypart is at, RFC 5703 §3. */
struct sieve_part {
	const struct mime_part *mime; /* extents are offsets into `bytes` */
	struct str bytes;             /* the message that it is part of */
	struct sieve_part *outer;     /* of the loop around this one; NULL: none */
	/* Where the loop is; mime and bytes are others once the part has been replaced. */
	const struct mime_part *at;
	struct str within;
};

/* What becomes of the commands behind the one that has just run. */
enum sieve_flow {
	SIEVE_GO_ON,
	SIEVE_STOP,   /* stop: ends all */
	SIEVE_RETURN, /* return: ends the included script (RFC 6609 §3.3) */
	SIEVE_BREAK,  /* break: ends the loop of call `broken` (RFC 5703 §3.2) */
};

struct sieve_scope; /* the variables of one script */

struct sieve_run {
	const struct filter_message *message; /* the envelope */
	const struct filter_run_options *options;
	const struct filter_surroundings *around; /* never NULL; its functions may be */
	const struct filter_settings *settings;   /* never NULL, defaults filled in */
	struct arena *arena;
	struct filter_result *result;
	struct view view;           /* the message as it came */
	struct sieve_fields header; /* as it is now: tests read here */
	struct sieve_part *part;    /* NULL: outside of foreverypart */
	enum sieve_flow flow;
	const struct sieve_call *broken;
	int64_t now; /* unix time of the run */
	unsigned include_depth;
	/* Internal variable of imap4flags (RFC 5232 §2): flags divided by blanks. */
	struct str flags;
	void *slots
	    [SIEVE_CAPS]; /* what extensions keep for the run, by their capability; NULL at first */
	bool tracing;     /* somebody wants sieve_trace() lines */
	struct sieve_private *private;
};

/* The language row's `run`. */
enum filter_status sieve_run(const struct sieve_program *program,
    const struct filter_message *message, const struct filter_run_options *options,
    struct arena *arena, struct filter_result *result_out, struct filter_error *error_out);

/* filter_misfit() of a program. */
const char *sieve_misfit(const struct sieve_program *program, const struct filter_message *message);

/* --- ending a run; always false, so that a function can `return sieve_run_error(…)` --- */

bool sieve_run_error(struct sieve_run *r, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
bool sieve_run_tempfail(struct sieve_run *r, unsigned line, const char *fmt, ...) __attribute__((
    format(printf, 3, 4))); /* a disk or database: FILTER_FAILED of the surroundings */
bool sieve_run_failed(const struct sieve_run *r);
/* Counts work that a loop does beside its commands; false when a limit is met. */
bool sieve_run_step(struct sieve_run *r, unsigned line, unsigned steps);
/* The same for work that is no step but takes time by the bytes it reads. */
bool sieve_run_work(struct sieve_run *r, unsigned line, size_t bytes);

/* A line for people who ask why; free when nobody does (test r->tracing before costly arguments). */
void sieve_trace(struct sieve_run *r, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A line of result->log (vnd.dovecot.debug). */
void sieve_log(struct sieve_run *r, unsigned line, struct str text);

/* --- arguments --- */

/* The text with its variables filled in.  Too large: ends the run, and gives "". */
struct str sieve_expand(struct sieve_run *r, const struct sieve_string *s);
/* The same as a C string; a NUL in the text (a body may have one) becomes U+FFFD. */
const char *sieve_expand_cstr(struct sieve_run *r, const struct sieve_string *s);
/* Of a tag's string value: NULL if the tag was not given. */
const char *sieve_tag_cstr(struct sieve_run *r, const struct sieve_call *call, enum sieve_tag tag);
const char *sieve_cstr(struct sieve_run *r, struct str s); /* a copy, the same way */
struct str sieve_copy(struct sieve_run *r, struct str s);

/* --- variables; the number comes from sieve_check_variable() --- */

struct str sieve_variable(struct sieve_run *r, unsigned variable);
void sieve_variable_set(struct sieve_run *r, unsigned variable, struct str value);
/* A value as the call's SIEVE_MODIFIER_TAGS have it (RFC 5229 §4.1). */
struct str sieve_modify(struct sieve_run *r, const struct sieve_call *call, struct str value);
/* After a match: values[0] is the whole, values[n] the n-th wildcard or group.  Copied. */
void sieve_match_variables_set(struct sieve_run *r, const struct str *values, size_t count);

/* --- the message as it is now --- */

/* A field's text as tests compare it: decoded to UTF-8, unfolded, trimmed.  Computed once per field. */
struct str sieve_field_text(struct sieve_run *r, struct sieve_field *field);
/* Its addresses, in order; NULL: none.  Computed once per field. */
struct address *sieve_field_addresses(struct sieve_run *r, struct sieve_field *field);
/* The next field of that name behind `after` (NULL: from the start); NULL: no more. */
struct sieve_field *sieve_field_next(
    const struct sieve_fields *fields, const struct sieve_field *after, struct str name);
struct sieve_fields sieve_fields_of(struct sieve_run *r, struct str header_block);

/* Which fields a test looks at: the fields of one name in the message's header, or with :mime in
 * the header of the current part (with :anychild: and of all below); :index and :last choose one
 * of them in each header (RFC 5260 §6).  For header, address, exists, date and their like. */
struct sieve_walk {
	struct sieve_run *r;
	const struct sieve_call *call;
	struct str name;
	const struct sieve_fields *headers; /* to look at, one after the other */
	size_t header_count, header_at;
	struct sieve_field *at;
};
void sieve_walk_begin(
    struct sieve_walk *w, struct sieve_run *r, const struct sieve_call *call, struct str name);
struct sieve_field *sieve_walk_next(struct sieve_walk *w); /* NULL: no more */
/* The headers of :mime (and :anychild) in r->part, or in the message: parsed once per part. */
const struct sieve_fields *sieve_mime_headers(
    struct sieve_run *r, bool anychild, size_t *count_out);

/* Changes of the message; what is asked for later (tests, actions) sees them. */
bool sieve_field_add(struct sieve_run *r, unsigned line, struct str name, struct str value,
    bool last); /* value: UTF-8, is encoded and folded as needed */
void sieve_field_remove(struct sieve_run *r, struct sieve_field *field);
/* Another body; fields of the header that describe it are the caller's to change. */
void sieve_body_set(struct sieve_run *r, struct str body);
struct str sieve_body(struct sieve_run *r);
/* Header and body as one text, and its structure; valid until the run ends. */
struct str sieve_message_bytes(struct sieve_run *r);
const struct mime_message *sieve_message_mime(struct sieve_run *r);
const struct mime_message *sieve_mime_of(struct sieve_run *r, struct str bytes); /* of any text */
/* The decoded body of a part in UTF-8 if it is text; other content as its bytes without the
 * transfer encoding. */
struct str sieve_part_content(struct sieve_run *r, struct str bytes, const struct mime_part *part);
/* The same in a buffer of the caller's (or where it stands in `bytes`), not in the run's memory. */
struct str sieve_part_read(struct str bytes, const struct mime_part *part, struct buf *out);

/* --- flow --- */

bool sieve_run_block(
    struct sieve_run *r, const struct sieve_call *block); /* look at r->flow after it */
bool sieve_run_test(struct sieve_run *r, const struct sieve_call *test, bool *truth_out);
/* Runs another script in a scope of its own: its `return` ends it, its `stop` ends all.  Errors
 * within have `name` in front.  Fails beyond SIEVE_INCLUDE_DEPTH. */
bool sieve_run_include(struct sieve_run *r, const struct sieve_call *call, const char *name,
    const struct sieve_program *program);
/* The program of a compiled filter; NULL: it is in another language. */
const struct sieve_program *sieve_program_of(const struct filter *filter);

/* --- actions --- */

/* Adds an action after the checks of RFC 5228 §2.10 (conflicts, limits); NULL: the run has ended.
 * The action is zeroed but for kind, line and edit.  It does not touch the implicit keep. */
struct filter_action *sieve_action_add(
    struct sieve_run *r, const struct sieve_call *call, enum filter_action_kind kind);
/* Takes the last action back (it was the same as an earlier one). */
void sieve_action_drop(struct sieve_run *r);
void sieve_cancel_keep(struct sieve_run *r);
/* To be remembered when the delivery has succeeded (RFC 7352). */
bool sieve_remember(struct sieve_run *r, unsigned line, const char *key, uint64_t seconds);

/* Fills a store from SIEVE_STORE_TAGS (:flags or the internal variable, :create, :specialuse,
 * :mailboxid) of a call; mailbox NULL is INBOX.  False: the run has ended. */
bool sieve_store_fill(struct sieve_run *r, const struct sieve_call *call, const char *mailbox,
    struct filter_store *store_out);
/* The flags of a text as a store has them. */
void sieve_store_flags(struct sieve_run *r, struct str flags, struct filter_store *store);
/* A mailbox name as a store has it: valid UTF-8, no control bytes, not "".  False: the run has ended. */
bool sieve_mailbox_check(struct sieve_run *r, unsigned line, struct str name);
/* use-attr = "\" atom, RFC 6154 §6: what may be a special use; whether any mailbox has it is another question. */
bool sieve_is_special_use(struct str use);

#endif
