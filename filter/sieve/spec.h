/* What commands, tests and tags are: const rows, and the checked program they leave.
 *
 * A row says what the checker must see (arguments, tags, tests, block, capability) and what runs.
 * The checker resolves every name to its row, so a run never compares names. */
#ifndef FILTER_SIEVE_SPEC_H
#define FILTER_SIEVE_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "filter/sieve/capability.h"

#define SIEVE_ARGS_MAX       4 /* positional arguments of a command */
#define SIEVE_TAG_TABLES_MAX 6 /* tables of tags that a row may join */

enum sieve_type { /* of a positional argument, or of what stands behind a tag */
	SIEVE_NOTHING,
	SIEVE_NUMBER,
	SIEVE_STRING,
	SIEVE_STRINGS,         /* a string list, or one string */
	SIEVE_OPTIONAL_STRING, /* may be missing; only in front of the others (RFC 5232 §3.1) */
	SIEVE_OPTIONAL_STRINGS,
	SIEVE_TRAILING_STRINGS, /* may be missing; only behind the others (RFC 5293 §5) */
};

enum sieve_kind { SIEVE_ACTION, SIEVE_CONTROL, SIEVE_TEST };
enum sieve_tests { SIEVE_NO_TEST, SIEVE_ONE_TEST, SIEVE_MANY_TESTS };

/* All tags of all commands, so that any file may ask a call for any of them. */
enum sieve_tag {
	SIEVE_TAG_NONE,
	/* what a match tag or an address part is, match.h and address_part.h know */
	SIEVE_TAG_COMPARATOR,
	SIEVE_TAG_IS,
	SIEVE_TAG_CONTAINS,
	SIEVE_TAG_MATCHES,
	SIEVE_TAG_COUNT,
	SIEVE_TAG_VALUE,
	SIEVE_TAG_REGEX,
	SIEVE_TAG_LIST,
	SIEVE_TAG_LOCALPART,
	SIEVE_TAG_DOMAIN,
	SIEVE_TAG_ALL,
	SIEVE_TAG_USER,
	SIEVE_TAG_DETAIL,
	SIEVE_TAG_OVER, /* size */
	SIEVE_TAG_UNDER,
	SIEVE_TAG_RAW, /* body */
	SIEVE_TAG_CONTENT,
	SIEVE_TAG_TEXT,
	SIEVE_TAG_COPY, /* keep, fileinto, redirect */
	SIEVE_TAG_CREATE,
	SIEVE_TAG_FLAGS,
	SIEVE_TAG_SPECIALUSE,
	SIEVE_TAG_MAILBOXID,
	SIEVE_TAG_REDIRECT_NOTIFY, /* redirect, RFC 6009 */
	SIEVE_TAG_RET,
	SIEVE_TAG_BYTIMERELATIVE,
	SIEVE_TAG_BYTIMEABSOLUTE,
	SIEVE_TAG_BYMODE,
	SIEVE_TAG_BYTRACE,
	SIEVE_TAG_LOWER, /* set */
	SIEVE_TAG_UPPER,
	SIEVE_TAG_LOWERFIRST,
	SIEVE_TAG_UPPERFIRST,
	SIEVE_TAG_QUOTEWILDCARD,
	SIEVE_TAG_QUOTEREGEX,
	SIEVE_TAG_ENCODEURL,
	SIEVE_TAG_LENGTH,
	SIEVE_TAG_INDEX, /* header, address, date … */
	SIEVE_TAG_LAST,
	SIEVE_TAG_MIME, /* RFC 5703 */
	SIEVE_TAG_ANYCHILD,
	SIEVE_TAG_MIME_TYPE,
	SIEVE_TAG_MIME_SUBTYPE,
	SIEVE_TAG_MIME_CONTENTTYPE,
	SIEVE_TAG_MIME_PARAM,
	SIEVE_TAG_NAME,
	SIEVE_TAG_FIRST,
	SIEVE_TAG_SUBJECT,
	SIEVE_TAG_FROM,
	SIEVE_TAG_HEADERS,
	SIEVE_TAG_ZONE, /* date */
	SIEVE_TAG_ORIGINALZONE,
	SIEVE_TAG_DAYS, /* vacation */
	SIEVE_TAG_SECONDS,
	SIEVE_TAG_ADDRESSES,
	SIEVE_TAG_HANDLE,
	SIEVE_TAG_FCC,
	SIEVE_TAG_IMPORTANCE, /* notify */
	SIEVE_TAG_OPTIONS,
	SIEVE_TAG_MESSAGE,
	SIEVE_TAG_HEADER, /* duplicate */
	SIEVE_TAG_UNIQUEID,
	SIEVE_TAG_PERSONAL, /* include */
	SIEVE_TAG_GLOBAL,
	SIEVE_TAG_ONCE,
	SIEVE_TAG_OPTIONAL,
	SIEVE_TAG_PERCENT, /* spamtest */
	SIEVE_TAGS
};

struct sieve_check;
struct sieve_run;
struct sieve_call;
struct sieve_arg;

/* One tag that a command may have.  A table of them ends with a row without a name. */
struct sieve_tag_spec {
	const char *name; /* without the colon */
	enum sieve_tag id;
	enum sieve_cap cap;    /* must be required; SIEVE_CAP_NONE: nothing */
	enum sieve_type value; /* what stands behind it */
	unsigned
	    group; /* of the tags of a command with the same number only one may be given; 0: no group */
	/* More to check when it is given; NULL: nothing. */
	bool (*check)(struct sieve_check *c, struct sieve_call *call, const struct sieve_arg *arg);
};
/* Groups that more than one table of a command may speak of. */
#define SIEVE_GROUP_MATCH        1
#define SIEVE_GROUP_ADDRESS_PART 2
#define SIEVE_GROUP_MAILBOX      3
#define SIEVE_GROUP_OWN          4 /* and up: those of one command */

/* if, elsif, else: a command of the chain hangs on the one before it, not in the block's list. */
enum sieve_chain { SIEVE_NO_CHAIN, SIEVE_CHAIN_IF, SIEVE_CHAIN_ELSIF, SIEVE_CHAIN_ELSE };

/* What a test is known to come to while compiling, because of an `ihave` (RFC 5463 §4). */
enum sieve_constant { SIEVE_UNKNOWN, SIEVE_ALWAYS, SIEVE_NEVER };

/* One command or test.  A table of them ends with a row without a name. */
struct sieve_spec {
	const char *name;
	enum sieve_kind kind;
	enum sieve_cap cap;                                      /* must be required */
	const struct sieve_tag_spec *tags[SIEVE_TAG_TABLES_MAX]; /* until NULL */
	enum sieve_type args[SIEVE_ARGS_MAX];                    /* until SIEVE_NOTHING */
	enum sieve_tests tests;
	bool block;
	/* `args[keys_arg - 1]` are the keys of a match (see match.h); join SIEVE_MATCH_TAGS.  0: no match */
	unsigned keys_arg;
	bool no_captures; /* the match leaves ${1} alone (RFC 5173 §6) */
	enum sieve_chain chain;
	/* What the call comes to because of an `ihave` within: asked after each of its tests, `call->constant`
	 * being what those before `last` come to.  NULL: unknown */
	enum sieve_constant (*fold)(const struct sieve_call *call, const struct sieve_call *last);
	enum sieve_constant decisive; /* a test that comes to this decides, whatever follows */
	/* More to check, after arguments and tags, before tests and block; NULL: nothing.  May set call->data. */
	bool (*check)(struct sieve_check *c, struct sieve_call *call);
	/* One of the two.  False: the run has ended, and sieve_run_error() or sieve_run_tempfail()
	 * has been told why. */
	bool (*run)(struct sieve_run *r, const struct sieve_call *call);
	bool (*test)(struct sieve_run *r, const struct sieve_call *call, bool *truth_out);
};

/* --- the checked program --- */

/* A string of a script.  Constant, or with variables in it: sieve_expand() gives its text. */
struct sieve_piece;
struct sieve_string {
	struct str text;                  /* as written; of a constant: its value */
	const struct sieve_piece *pieces; /* NULL: constant */
	size_t piece_count;
};

struct sieve_arg {
	unsigned line;
	enum sieve_type type; /* SIEVE_NOTHING for a tag without a value */
	uint64_t number;
	const struct sieve_string *strings; /* SIEVE_STRING: one */
	size_t count;
	enum sieve_tag tag; /* of a tag */
	const struct sieve_tag_spec *tag_spec;
};

struct sieve_match;
struct sieve_call {
	const struct sieve_spec *spec;
	unsigned line;
	struct sieve_arg *tags; /* those that were given; ask sieve_tag() */
	size_t tag_count;
	struct sieve_arg *args[SIEVE_ARGS_MAX]; /* by position; NULL: optional and not given */
	struct sieve_call *tests;               /* a list by `next` */
	struct sieve_call *block;               /* likewise; NULL: empty, or none */
	struct sieve_call *next;
	struct sieve_call *otherwise; /* the elsif or else behind it */
	enum sieve_constant constant; /* of a test; SIEVE_NEVER: what it guards was not checked */
	struct sieve_match *match;    /* with keys_arg */
	const void *data;             /* what `check` made of it; in the program's arena */
};

/* The tag if it was given, else NULL. */
const struct sieve_arg *sieve_tag(const struct sieve_call *call, enum sieve_tag tag);

/* Variables of another kind: ${env.name} (RFC 5229 §3).  "global" is known to the checker itself. */
struct sieve_namespace {
	const char *name;
	enum sieve_cap cap;
	/* Is there such a variable?  False with sieve_check_error(). */
	bool (*check)(struct sieve_check *c, unsigned line, struct str name);
	struct str (*get)(struct sieve_run *r, struct str name); /* lives as long as the run */
};
const struct sieve_namespace *sieve_namespace_find(
    struct str name); /* rows: table.c; NULL: unknown */

/* --- tables that several files give rows to (table.c lists the commands) --- */

extern const struct sieve_tag_spec SIEVE_MATCH_TAGS[];        /* match.c */
extern const struct sieve_tag_spec SIEVE_ADDRESS_PART_TAGS[]; /* test_address.c */
extern const struct sieve_tag_spec SIEVE_MODIFIER_TAGS[];     /* ext_variables.c: sieve_modify() */
extern const struct sieve_tag_spec SIEVE_STORE_TAGS[]; /* action_store.c: keep, fileinto, :fcc */

/* The row of that name and kind (a test, or anything else), letter case aside; NULL: unknown. */
const struct sieve_spec *sieve_spec_find(struct str name, bool test);

#endif
