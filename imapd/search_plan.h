/* A SEARCH command, parsed and evaluated: RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 5032 (OLDER, YOUNGER),
 * RFC 7162 §3.1.5 (MODSEQ), RFC 4731 and RFC 5182 (result options).
 *
 * The search program is a tree of nodes.  Evaluated on a message whose text has not been looked at,
 * a node may be "unknown"; only messages whose answer is unknown after all that the index knows (the row,
 * then the header fields it keeps) are opened, and each of them once, for all texts of the program together. */
#ifndef IMAPD_SEARCH_PLAN_H
#define IMAPD_SEARCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "imapd/parse.h"
#include "imapd/partial.h"
#include "store/mailbox.h"
#include "store/search_text.h"

#define SEARCH_DEPTH_MAX      100                /* parentheses, NOT and OR within each other */
#define SEARCH_KEYS_MAX       5000               /* keys of one command */
#define SEARCH_SETS_MAX_BYTES (32 * 1024 * 1024) /* of the sets of one search, as resolved */

enum search_return { /* search-return-opt; bits */
	SEARCH_RETURN_MIN = 1,
	SEARCH_RETURN_MAX = 2,
	SEARCH_RETURN_ALL = 4,
	SEARCH_RETURN_COUNT = 8,
	SEARCH_RETURN_SAVE = 16,
	SEARCH_RETURN_PARTIAL = 32,        /* RFC 9394 */
	SEARCH_RETURN_UPDATE = 64,         /* RFC 5267 §4.3 */
	SEARCH_RETURN_CONTEXT = 128,       /* RFC 5267 §4.2: a hint */
	SEARCH_RETURN_RELEVANCY = 1 << 10, /* RFC 6203; needs a fuzzy key */
};

enum search_op {
	SEARCH_AND, /* of all children; without children: true */
	SEARCH_OR,  /* of two children */
	SEARCH_NOT, /* of one child */
	SEARCH_FLAGS_SET,
	SEARCH_FLAGS_CLEAR,
	SEARCH_KEYWORD,
	SEARCH_SET,      /* sequence-set, UID set or "$" */
	SEARCH_INTERNAL, /* INTERNALDATE: low <= t < high, seconds */
	SEARCH_SAVED,    /* save date, RFC 8514: the same; INTERNALDATE where it is not known */
	SEARCH_EMAILID,  /* RFC 8474 */
	SEARCH_THREADID,
	SEARCH_SENT, /* Date: low <= d < high, days */
	SEARCH_LARGER,
	SEARCH_SMALLER,
	SEARCH_MODSEQ,
	SEARCH_STRING,
};

struct search_node {
	enum search_op op;
	struct search_node *children, *next;
	union {
		unsigned flags;
		struct {
			const char *name;
			int index; /* in the mailbox, -1: no message has it; search_bind() */
		} keyword;
		struct {
			struct imap_sequence_set wire;
			bool uid;
			struct uidset uids; /* search_bind() */
		} set;
		struct {
			int64_t low, high;
		} range;
		struct {
			bool possible; /* some message may have it */
			unsigned char id[MESSAGE_ID_BYTES];
		} object;
		uint64_t number;
		size_t key; /* index into search_plan.keys */
	};
};

struct search_plan {
	unsigned returns; /* enum search_return; 0: no RETURN */
	bool has_return;
	struct imap_partial partial; /* of SEARCH_RETURN_PARTIAL */
	struct str update_atts;      /* of SEARCH_RETURN_UPDATE: fetch-att, checked; p NULL: none */
	bool names_charset;          /* CHARSET is said */
	bool uses_modseq;
	bool uses_sent;
	bool uses_ids;           /* EMAILID, THREADID */
	bool uses_fuzzy;         /* FUZZY is among the keys */
	bool uses_numbers;       /* a sequence set of message numbers is among the keys */
	struct search_node root; /* SEARCH_AND */
	struct search_key *keys; /* the texts, in UTF-8 */
	size_t key_count, key_cap;
	size_t set_bytes;   /* of all sets, once they are bound */
	bool keywords_read; /* anew, for one that was not known */
};

enum search_parsed {
	SEARCH_PARSED,
	SEARCH_SYNTAX,
	SEARCH_CHARSET,
	SEARCH_BEYOND, /* SEARCH_DEPTH_MAX or SEARCH_KEYS_MAX */
};

/* [SP "RETURN" SP "(" … ")"], into the zero-initialised plan: its return options. */
bool search_parse_returns(struct cursor *c, struct search_plan *plan);

enum search_charset {
	SEARCH_CHARSET_OPTIONAL, /* ["CHARSET" SP charset SP], as SEARCH has it */
	SEARCH_CHARSET_FIRST,    /* charset SP: SORT and THREAD, RFC 5256 §5 search-criteria */
};
/* The search program: the charset and the keys, up to the end of the command, added to what is in the plan. */
enum search_parsed search_parse_program(struct cursor *c, struct arena *a, int64_t now_s,
    enum search_charset charset, struct search_plan *plan);

/* Both: all behind SEARCH.  `now_s` is what OLDER and YOUNGER count from.  SEARCH_CHARSET: the
 * charset is not known and nothing else is wrong so far.  Either way plan_out->returns is what
 * could be parsed. */
enum search_parsed search_plan_parse(
    struct cursor *c, struct arena *a, int64_t now_s, struct search_plan *plan_out);

/* --- evaluation (search_eval.c) --- */

/* Resolves sets and keywords against a mailbox; `saved` is "$" there, or NULL.  search_unbind() gives back what that
 * took.  False: all sets together take more than SEARCH_SETS_MAX_BYTES; in a mailbox with many gaps "1:*" is a long one. */
bool search_bind(struct search_plan *plan, struct mailbox *box, const struct uidset *saved);
void search_unbind(struct search_plan *plan);

/* A copy of a bound plan, which it shares texts and names with, that searches among `uids` only.  Sets of UIDs and keywords
 * are resolved anew, sequence numbers and "$" are not.  Ends with search_unbind(). */
void search_plan_within(struct search_plan *to, const struct search_plan *from, struct arena *a,
    struct mailbox *box, const struct uidset *uids);

/* What is known about a message. */
struct search_facts {
	const struct message *row;
	const struct message_ids *ids; /* NULL: not known */
	bool parsed;                   /* the next two are known */
	bool has_sent_date;
	int64_t sent_day;
	const enum search_truth *matched; /* for each key of the plan; NULL: not looked at */
};
enum search_truth search_eval(const struct search_node *node, const struct search_facts *facts);

/* Moves what one query on the index can answer out of the root into `query`, so that only the
 * rest is left to evaluate message by message.  `within` starts with the view; query->within is it. */
void search_push_down(struct search_plan *plan, struct mailbox_query *query, struct uidset *within);

#endif
