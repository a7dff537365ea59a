#include "store/uidset.h"

#include <stdlib.h>

#include "base/mem.h"

void
uidset_free(struct uidset *s)
{
	free(s->runs);
	*s = (struct uidset){ 0 };
}

void
uidset_clear(struct uidset *s)
{
	s->run_count = 0;
}

static void
reserve(struct uidset *s, size_t run_count)
{
	if (run_count <= s->run_cap)
		return;
	s->run_cap = run_count < 8 ? 8 : run_count + run_count / 2;
	s->runs = mem_realloc_array(s->runs, s->run_cap, sizeof(*s->runs));
}

void
uidset_copy(struct uidset *to, const struct uidset *from)
{
	if (to == from)
		return;
	reserve(to, from->run_count);
	if (from->run_count > 0)
		memcpy(to->runs, from->runs, from->run_count * sizeof(*from->runs));
	to->run_count = from->run_count;
}

void
uidset_swap(struct uidset *a, struct uidset *b)
{
	struct uidset t = *a;

	*a = *b;
	*b = t;
}

static uint32_t
run_size(const struct uid_run *r)
{
	return r->last - r->first + 1;
}

uint32_t
uidset_count(const struct uidset *s)
{
	const struct uid_run *r;

	if (s->run_count == 0)
		return 0;
	r = &s->runs[s->run_count - 1];
	return r->before + run_size(r);
}

bool
uidset_is_empty(const struct uidset *s)
{
	return s->run_count == 0;
}

bool
uidset_eq(const struct uidset *a, const struct uidset *b)
{
	if (a->run_count != b->run_count)
		return false;
	for (size_t i = 0; i < a->run_count; i++) {
		if (a->runs[i].first != b->runs[i].first || a->runs[i].last != b->runs[i].last)
			return false;
	}
	return true;
}

uint32_t
uidset_first(const struct uidset *s)
{
	return s->run_count > 0 ? s->runs[0].first : 0;
}

uint32_t
uidset_last(const struct uidset *s)
{
	return s->run_count > 0 ? s->runs[s->run_count - 1].last : 0;
}

/* The first run whose last member is >= uid; run_count if there is none. */
static size_t
run_at_or_after(const struct uidset *s, uint32_t uid)
{
	size_t lo = 0, hi = s->run_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->runs[mid].last < uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

bool
uidset_contains(const struct uidset *s, uint32_t uid)
{
	size_t i = run_at_or_after(s, uid);

	return uid != 0 && i < s->run_count && s->runs[i].first <= uid;
}

static void
renumber(struct uidset *s, size_t from)
{
	for (size_t i = from; i < s->run_count; i++) {
		s->runs[i].before = i == 0 ? 0 : s->runs[i - 1].before + run_size(&s->runs[i - 1]);
	}
}

/* Puts a run behind all others, joining it with the last one where they touch. */
static void
append_run(struct uidset *s, uint32_t first, uint32_t last)
{
	struct uid_run *tail = s->run_count > 0 ? &s->runs[s->run_count - 1] : NULL;

	if (tail != NULL && first <= tail->last + 1 && tail->last != UINT32_MAX) {
		if (last > tail->last)
			tail->last = last;
		return;
	}
	if (tail != NULL && tail->last == UINT32_MAX)
		return;
	reserve(s, s->run_count + 1);
	s->runs[s->run_count] = (struct uid_run){ first, last, uidset_count(s) };
	s->run_count++;
}

/* Replaces runs [at, at + old_count) by the `new_count` (0 … 2) runs in `with`. */
static void
splice(struct uidset *s, size_t at, size_t old_count, const struct uid_run *with, size_t new_count)
{
	size_t tail = s->run_count - at - old_count;

	reserve(s, s->run_count - old_count + new_count);
	if (tail > 0 && old_count != new_count) {
		memmove(
		    &s->runs[at + new_count], &s->runs[at + old_count], tail * sizeof(*s->runs));
	}
	for (size_t i = 0; i < new_count; i++)
		s->runs[at + i] = with[i];
	s->run_count = s->run_count - old_count + new_count;
	renumber(s, at);
}

void
uidset_add_range(struct uidset *s, uint32_t first, uint32_t last)
{
	struct uid_run merged = { first == 0 ? 1 : first, last, 0 };
	size_t at, end;

	if (last < merged.first)
		return;
	if (s->run_count == 0 || merged.first > s->runs[s->run_count - 1].last) {
		append_run(s, merged.first, last);
		return;
	}
	at = run_at_or_after(s, merged.first - 1); /* a run ending right before it joins too */
	for (end = at; end < s->run_count; end++) {
		if (merged.last != UINT32_MAX && s->runs[end].first > merged.last + 1)
			break;
		if (s->runs[end].first < merged.first)
			merged.first = s->runs[end].first;
		if (s->runs[end].last > merged.last)
			merged.last = s->runs[end].last;
	}
	splice(s, at, end - at, &merged, 1);
}

void
uidset_add(struct uidset *s, uint32_t uid)
{
	if (uid != 0)
		uidset_add_range(s, uid, uid);
}

void
uidset_remove_range(struct uidset *s, uint32_t first, uint32_t last)
{
	struct uid_run rest[2];
	size_t rest_count = 0, at = run_at_or_after(s, first), end;

	if (last < first)
		return;
	for (end = at; end < s->run_count && s->runs[end].first <= last; end++) {
		if (s->runs[end].first < first)
			rest[rest_count++] = (struct uid_run){ s->runs[end].first, first - 1, 0 };
		if (s->runs[end].last > last)
			rest[rest_count++] = (struct uid_run){ last + 1, s->runs[end].last, 0 };
	}
	if (end > at)
		splice(s, at, end - at, rest, rest_count);
}

void
uidset_remove(struct uidset *s, uint32_t uid)
{
	uidset_remove_range(s, uid, uid);
}

void
uidset_union(struct uidset *s, const struct uidset *other)
{
	struct uidset out = { 0 };
	size_t i = 0, j = 0;

	if (s == other || other->run_count == 0)
		return;
	if (s->run_count == 0) {
		uidset_copy(s, other);
		return;
	}
	reserve(&out, s->run_count + other->run_count);
	while (i < s->run_count || j < other->run_count) {
		const struct uid_run *r;

		if (j == other->run_count ||
		    (i < s->run_count && s->runs[i].first <= other->runs[j].first))
			r = &s->runs[i++];
		else
			r = &other->runs[j++];
		append_run(&out, r->first, r->last);
	}
	uidset_swap(s, &out);
	uidset_free(&out);
}

void
uidset_intersect(struct uidset *s, const struct uidset *other)
{
	struct uidset out = { 0 };
	size_t i = 0, j = 0;

	if (s == other)
		return;
	while (i < s->run_count && j < other->run_count) {
		const struct uid_run *a = &s->runs[i], *b = &other->runs[j];
		uint32_t first = a->first > b->first ? a->first : b->first;
		uint32_t last = a->last < b->last ? a->last : b->last;

		if (first <= last)
			append_run(&out, first, last);
		if (a->last < b->last)
			i++;
		else
			j++;
	}
	uidset_swap(s, &out);
	uidset_free(&out);
}

void
uidset_subtract(struct uidset *s, const struct uidset *other)
{
	struct uidset out = { 0 };
	size_t j = 0;

	if (s == other) {
		uidset_clear(s);
		return;
	}
	if (other->run_count == 0)
		return;
	for (size_t i = 0; i < s->run_count; i++) {
		uint32_t first = s->runs[i].first, last = s->runs[i].last;
		bool rest = true;

		while (j < other->run_count && other->runs[j].last < first)
			j++;
		for (size_t k = j; k < other->run_count && other->runs[k].first <= last; k++) {
			if (other->runs[k].first > first)
				append_run(&out, first, other->runs[k].first - 1);
			if (other->runs[k].last >= last) {
				rest = false;
				break;
			}
			first = other->runs[k].last + 1;
			j = k;
		}
		if (rest)
			append_run(&out, first, last);
	}
	uidset_swap(s, &out);
	uidset_free(&out);
}

uint32_t
uidset_nth(const struct uidset *s, uint32_t n)
{
	size_t lo = 0, hi = s->run_count;

	if (n == 0 || n > uidset_count(s))
		return 0;
	while (hi - lo > 1) { /* the last run with before < n */
		size_t mid = lo + (hi - lo) / 2;

		if (s->runs[mid].before < n)
			lo = mid;
		else
			hi = mid;
	}
	return s->runs[lo].first + (n - 1 - s->runs[lo].before);
}

uint32_t
uidset_count_upto(const struct uidset *s, uint32_t uid)
{
	size_t i = run_at_or_after(s, uid);

	if (i == s->run_count)
		return uidset_count(s);
	return s->runs[i].before + (s->runs[i].first <= uid ? uid - s->runs[i].first + 1 : 0);
}

uint32_t
uidset_rank(const struct uidset *s, uint32_t uid)
{
	return uidset_contains(s, uid) ? uidset_count_upto(s, uid) : 0;
}

uint32_t
uidset_next(const struct uidset *s, uint32_t after)
{
	size_t i;

	if (after == UINT32_MAX)
		return 0;
	i = run_at_or_after(s, after + 1);
	if (i == s->run_count)
		return 0;
	return s->runs[i].first > after ? s->runs[i].first : after + 1;
}

/* sequence-set, RFC 9051 §9 */
void
uidset_format(const struct uidset *s, struct buf *out)
{
	for (size_t i = 0; i < s->run_count; i++) {
		const struct uid_run *r = &s->runs[i];

		if (i > 0)
			buf_addc(out, ',');
		if (r->first == r->last)
			buf_printf(out, "%u", r->first);
		else
			buf_printf(out, "%u:%u", r->first, r->last);
	}
}

bool
uidset_parse(struct uidset *s, struct str text)
{
	struct cursor c = cursor_from(text);

	uidset_clear(s);
	do {
		uint32_t a, b;

		if (!cursor_take_u32(&c, &a))
			goto bad;
		b = a;
		if (cursor_take(&c, ':') && !cursor_take_u32(&c, &b))
			goto bad;
		if (a == 0 || b == 0)
			goto bad;
		uidset_add_range(s, a < b ? a : b, a < b ? b : a);
	} while (cursor_take(&c, ','));
	if (cursor_at_end(&c))
		return true;
bad:
	uidset_clear(s);
	return false;
}

static void
add_varint(struct buf *out, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_addc(out, (char)(v | 0x80));
	buf_addc(out, (char)v);
}

static bool
take_varint(const unsigned char **p, const unsigned char *end, uint32_t *v_out)
{
	uint64_t v = 0;

	for (unsigned shift = 0; *p < end && shift < 35; shift += 7) {
		unsigned char b = *(*p)++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if ((b & 0x80) == 0) {
			*v_out = (uint32_t)v;
			return v <= UINT32_MAX && (b != 0 || shift == 0);
		}
	}
	return false;
}

/* Each run: how far its first member is from the one before, and how many more follow. */
void
uidset_pack(const struct uidset *s, struct buf *out)
{
	uint32_t at = 0;

	for (size_t i = 0; i < s->run_count; i++) {
		add_varint(out, s->runs[i].first - at);
		add_varint(out, s->runs[i].last - s->runs[i].first);
		at = s->runs[i].last;
	}
}

bool
uidset_unpack(struct uidset *s, const void *bytes, size_t len)
{
	const unsigned char *p = bytes, *end = p + len;
	uint64_t at = 0;

	uidset_clear(s);
	while (p < end) {
		uint32_t gap, more;

		if (!take_varint(&p, end, &gap) || !take_varint(&p, end, &more))
			goto bad;
		/* a gap of one would have been the same run */
		if (gap < (at == 0 ? 1 : 2) || at + gap + more > UINT32_MAX)
			goto bad;
		append_run(s, (uint32_t)(at + gap), (uint32_t)(at + gap + more));
		at += (uint64_t)gap + more;
	}
	return true;
bad:
	uidset_clear(s);
	return false;
}
