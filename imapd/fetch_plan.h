/* What a FETCH asks for: the parsed fetch-att list, RFC 9051 §6.4.5 and §9.
 *
 * Every data item is a row: its name, what it needs besides the message's index row, and the function
 * that writes its value.  A parsed item is a row with its section and the name that stands before
 * the value in the response. */
#ifndef IMAPD_FETCH_PLAN_H
#define IMAPD_FETCH_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "imapd/partial.h"

/* The row of PREVIEW (LAZY); no client can say it like this. */
#define FETCH_PREVIEW_LAZY "PREVIEW LAZY"

#define FETCH_ITEMS_MAX         1000 /* items of one command */
#define FETCH_SECTION_DEPTH_MAX 128  /* part numbers of one section; more than MIME_DEPTH_MAX */

enum fetch_need {
	FETCH_NEEDS_PARSED = 1, /* ENVELOPE, BODY, BODYSTRUCTURE of the index */
	FETCH_NEEDS_PARTS = 2,  /* the table of the message's parts */
	FETCH_NEEDS_FILE = 4,
	FETCH_SETS_SEEN = 8,
	FETCH_NEEDS_MODSEQ = 16,        /* a CONDSTORE-enabling item */
	FETCH_NEEDS_SUMMARY = 32,       /* ids and preview */
	FETCH_NEEDS_KNOWN_SUMMARY = 64, /* the same, where nobody has to wait for it */
};

enum fetch_text { /* section-text, RFC 9051 §9 */
	FETCH_TEXT_ALL,
	FETCH_TEXT_HEADER,
	FETCH_TEXT_FIELDS,
	FETCH_TEXT_FIELDS_NOT,
	FETCH_TEXT_TEXT,
	FETCH_TEXT_MIME,
};

struct fetch_section {
	uint32_t *numbers; /* "1.2" */
	size_t number_count;
	enum fetch_text text;
	struct str *fields; /* names of HEADER.FIELDS */
	size_t field_count;
	bool has_partial; /* "<offset.count>" */
	uint64_t offset, count;
};

struct fetch_run;
struct fetch_item;

enum fetch_syntax {
	FETCH_PLAIN,
	FETCH_SECTION,        /* section and partial */
	FETCH_SECTION_BINARY, /* section of numbers only, and partial */
	FETCH_SECTION_SIZE,   /* section of numbers only */
};

struct fetch_row {
	const char *name;  /* in the command, capitals */
	const char *label; /* in the response */
	enum fetch_syntax syntax;
	unsigned needs;
	enum fetch_text text; /* RFC822.HEADER and its like: the section they stand for */
	/* Writes the value into the session's output, or starts a stream for it (fetch_run.h). */
	void (*emit)(struct fetch_run *run, const struct fetch_item *item);
};
extern const struct fetch_row FETCH_ROWS[]; /* fetch_run.c */
extern const size_t FETCH_ROW_COUNT;

struct fetch_item {
	const struct fetch_row *row;
	struct str label;
	struct fetch_section section;
};

struct fetch_plan {
	struct fetch_item *items; /* in the arena */
	size_t item_count, item_cap;
	unsigned needs;   /* of all items */
	bool has_partial; /* RFC 9394 §3.3 */
	struct imap_partial partial;
	bool has_changed_since;
	uint64_t changed_since; /* RFC 7162 §3.1.4.1 */
	bool vanished;          /* RFC 7162 §3.2.6; only with CHANGEDSINCE */
};

/* Adds a plain item (FLAGS, UID, …) unless it is there already. */
void fetch_plan_add(struct fetch_plan *plan, struct arena *a, const char *name);

/* What follows the message set: SP ( macro / fetch-att / "(" fetch-att *(SP fetch-att) ")" )
 * [ SP "(" modifiers ")" ].  The cursor must be at its end then.  False: a syntax error. */
bool fetch_plan_parse(struct cursor *c, struct arena *a, struct fetch_plan *plan_out);
/* fetch-att *(SP fetch-att), up to what follows, added to a zero-initialised plan. */
bool fetch_plan_parse_atts(struct cursor *c, struct arena *a, struct fetch_plan *plan);

/* section-spec without its brackets ("1.2.MIME", "" for the whole message), as it stands in a URL. */
bool fetch_section_parse(const char *text, struct arena *a, struct fetch_section *section_out);

#endif
