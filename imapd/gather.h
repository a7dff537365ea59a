/* What SORT and THREAD compare, collected for many messages in slices of time: a mailbox whose messages have not been parsed
 * yet keeps no pool thread from other sessions for long. */
#ifndef IMAPD_GATHER_H
#define IMAPD_GATHER_H

#include "store/mailbox.h"

#define GATHER_SLICE_MS   50 /* of work between two chances for others */
#define GATHER_SLICE_ROWS 256

enum gather_need {
	GATHER_ROW = 1,  /* INTERNALDATE, size */
	GATHER_KEYS = 2, /* struct sort_keys */
	GATHER_DATE = 4, /* the sent date, RFC 5256 §2.2; INTERNALDATE where there is none */
};

struct gathered {
	uint32_t uid;
	const struct message *row;    /* NULL unless asked for */
	const struct sort_keys *keys; /* likewise */
	int64_t date_s;
};

/* Zero-initialise it and set the first five. */
struct gather {
	struct mailbox *box;
	const struct uidset *uids; /* outlives it */
	unsigned needs;
	/* In ascending order; messages that are gone are left out.  False stops with STORE_LIMIT. */
	bool (*cb)(void *arg, const struct gathered *m);
	void *arg;

	uint32_t done_uid;
	int64_t until_ms;
	bool stopped, refused;
	unsigned given;
	struct message rows[GATHER_SLICE_ROWS];
	size_t row_count, row_at;
};

/* A slice of work.  STORE_OK with *done_out false: call again. */
enum store_err gather_step(struct gather *g, bool *done_out);

#endif
