/* A sorted set of UIDs (or sequence numbers), kept as runs of neighbours: 100 000 messages without a
 * gap are one run of 12 bytes.  Zero-initialise it ({ 0 }); uidset_free() leaves it ready again.
 * 0 is never a member.  Look-ups are O(log runs); a change in the middle is O(runs), one at the end
 * O(1), so build sets in ascending order where you can.  Not locked: one owner at a time. */
#ifndef STORE_UIDSET_H
#define STORE_UIDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

struct uid_run {
	uint32_t first, last; /* both inclusive */
	uint32_t before;      /* members in the runs to the left */
};

/* runs[] may be read by anyone: sorted, not touching each other. */
struct uidset {
	struct uid_run *runs;
	size_t run_count, run_cap;
};

void uidset_free(struct uidset *s);
void uidset_clear(struct uidset *s); /* empties it, keeps the memory */
void uidset_copy(struct uidset *to, const struct uidset *from);
void uidset_swap(struct uidset *a, struct uidset *b);

uint32_t uidset_count(const struct uidset *s);
bool uidset_is_empty(const struct uidset *s);
bool uidset_eq(const struct uidset *a, const struct uidset *b);
uint32_t uidset_first(const struct uidset *s); /* 0 if empty */
uint32_t uidset_last(const struct uidset *s);  /* 0 if empty */

bool uidset_contains(const struct uidset *s, uint32_t uid);
void uidset_add(struct uidset *s, uint32_t uid); /* uid 0 is ignored */
void uidset_add_range(struct uidset *s, uint32_t first, uint32_t last);
void uidset_remove(struct uidset *s, uint32_t uid);
void uidset_remove_range(struct uidset *s, uint32_t first, uint32_t last);

/* s becomes s ∪ other, s ∩ other, s − other; O(runs of both).  `other` may be s itself. */
void uidset_union(struct uidset *s, const struct uidset *other);
void uidset_intersect(struct uidset *s, const struct uidset *other);
void uidset_subtract(struct uidset *s, const struct uidset *other);

/* Sequence number → UID: the n-th member, counted from 1; 0 if there are fewer. */
uint32_t uidset_nth(const struct uidset *s, uint32_t n);
/* UID → sequence number: the place of `uid`, from 1; 0 if it is no member. */
uint32_t uidset_rank(const struct uidset *s, uint32_t uid);
/* How many members are <= uid; uid need not be one. */
uint32_t uidset_count_upto(const struct uidset *s, uint32_t uid);

/* for (uint32_t u = uidset_next(s, 0); u != 0; u = uidset_next(s, u)): the least member > after, or
 * 0.  O(log runs) each; where speed matters walk runs[]. */
uint32_t uidset_next(const struct uidset *s, uint32_t after);

/* As an IMAP sequence-set: "1:5,7,9:12"; adds nothing for the empty set. */
void uidset_format(const struct uidset *s, struct buf *out);
/* The reverse, strictly: ascending or not, no "*"; false leaves s empty. */
bool uidset_parse(struct uidset *s, struct str text);

/* A compact blob: varints of (gap, length) pairs.  Unpacking checks it and replaces s; false (s is
 * empty then) if the blob is not one that uidset_pack() could have made. */
void uidset_pack(const struct uidset *s, struct buf *out);
bool uidset_unpack(struct uidset *s, const void *bytes, size_t len);

#endif
