/* The messages of one mailbox on another IMAP server, and how they compare with what was imported before. */
#ifndef ADMIN_IMPORT_REMOTE_H
#define ADMIN_IMPORT_REMOTE_H

#include "admin/imap_reply.h"
#include "admin/import_record.h"

struct remote {
	uint32_t uid;
	unsigned flags;
	struct str *keywords; /* in the list's arena */
	size_t keyword_count;
	int64_t date_s; /* < 0: not said */
	uint64_t size;
	uint8_t digest[IMPORT_DIGEST_BYTES]; /* of the header */
	bool has_digest;
	bool elsewhere;               /* another mailbox has it */
	const struct import_row *row; /* of an earlier run; NULL: it is new */
};
struct remote_list {
	struct remote *items;
	size_t count, cap;
	uint32_t doubled; /* a UID that stood for two; 0: none */
	struct arena arena;
	struct str *last_keywords; /* many messages in a row have the same */
	size_t last_count;
};

void remote_clear(struct remote_list *l); /* keeps memory */
void remote_free(struct remote_list *l);
void remote_add(struct remote_list *l, const struct imap_fetched *f);
void remote_sort(struct remote_list *l); /* by UID; of doubled ones the first stays */
struct remote *remote_find(struct remote_list *l, uint32_t uid);
uint32_t remote_last_uid(const struct remote_list *l);

/* Sets `row` of each that was imported before; how many those are.  rows are ascending by uid. */
uint32_t remote_join(struct remote_list *l, const struct import_row *rows, size_t count);
/* The first row that is not used yet with that header and size; it is used then.  For rows as remote_sort_rows() leaves
 * them. */
void remote_sort_rows(struct import_row *rows, size_t count);
const struct import_row *remote_match(
    const struct import_row *rows, size_t count, bool *used, const struct remote *r);

/* Makes here what happened there since: flags, and what is gone.  A message whose flags were changed here is left alone, and
 * so is one that is not here any more. */
struct remote_compare {
	struct account *mail;
	struct import_record *record;
	const struct import_box *box;
	const struct remote_list *remote; /* joined */
	const struct import_row *rows;
	size_t row_count;
	bool expunge;
	uint32_t flags_changed, expunged; /* the result */
};
enum store_err remote_compare(struct remote_compare *c);

#endif
