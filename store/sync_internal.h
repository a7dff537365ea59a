/* What sync.c (stamps, leases, beginning and end), sync_scan.c (folder against index) and sync_keywords.c share. */
#ifndef STORE_SYNC_INTERNAL_H
#define STORE_SYNC_INTERNAL_H

#include "base/mem.h"
#include "store/sync.h"

#define SYNC_LETTER_MASK (((uint64_t)1 << KEYWORDS_LETTERS) - 1)

bool sync_read_stamp(int dir_fd, const char *path, struct index_stamp *out);
bool sync_stamp_eq(const struct index_stamp *a, const struct index_stamp *b);
/* Another change within the same tick of the clock would leave the stamp as it is. */
bool sync_stamp_is_racy(const struct index_stamp *s);

/* The names of the mailbox's keywords. */
enum store_err sync_load_keywords(struct sync_box *sb);
/* What sanger-keywords says of a message. */
enum store_err sync_add_extra(struct sync_box *sb, struct str unique, struct keyword_set *keywords);

struct sync_belief {
	uint32_t from, below; /* UIDs that can be right */
	const struct uidset *taken;
	struct uidlist list; /* of an adopted tree; count 0: none */
};
/* Lists new/, and cur/ if `with_cur`, and makes the index say the same. */
enum store_err sync_scan(struct sync_box *sb, bool with_cur, struct sync_belief *b);

#endif
