/* A stream's bytes packed by DEFLATE, between the session and TLS. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/compress.h"
#include "net/internal.h"
#include "net/stream.h"

/* Packed at once: under a millisecond, then others have their turn. */
#define PACK_SLICE_BYTES (32 * 1024)

/* --- memory that can be given back ------------------------------------------------------------- */

static void
leave_warm(struct net_stream *st)
{
	struct net_packing *p = st->packing;

	if (!p->in_warm)
		return;
	if (p->warm_prev != NULL)
		p->warm_prev->packing->warm_next = p->warm_next;
	else
		st->loop->warm = p->warm_next;
	if (p->warm_next != NULL)
		p->warm_next->packing->warm_prev = p->warm_prev;
	p->warm_prev = p->warm_next = NULL;
	p->in_warm = false;
}

static void
on_rest(uv_timer_t *h)
{
	struct net_loop *loop = h->data;
	uint64_t now_ms = uv_now(&loop->uv);
	struct net_stream *st = loop->warm, *next;

	for (; st != NULL; st = next) {
		next = st->packing->warm_next;
		if (now_ms - st->moved_ms >= NET_COMPRESS_REST_MS && net_packing_left(st) == 0 &&
		    net_compress_rest(st->packing->z))
			leave_warm(st);
	}
	if (loop->warm == NULL)
		uv_timer_stop(&loop->rest);
}

static void
join_warm(struct net_stream *st)
{
	struct net_packing *p = st->packing;

	if (p->in_warm)
		return;
	p->in_warm = true;
	p->warm_next = st->loop->warm;
	if (p->warm_next != NULL)
		p->warm_next->packing->warm_prev = st;
	st->loop->warm = st;
	if (!uv_is_active((uv_handle_t *)&st->loop->rest))
		uv_timer_start(
		    &st->loop->rest, on_rest, NET_COMPRESS_REST_MS, NET_COMPRESS_REST_MS);
}

/* --- output ------------------------------------------------------------------------------------ */

size_t
net_packing_left(const struct net_stream *st)
{
	return st->packing == NULL ? 0 : st->packing->plain.len - st->packing->plain_off;
}

/* The last slice is flushed: with it goes all there is to say for now. */
void
net_packing_pack(struct net_stream *st)
{
	struct net_packing *p = st->packing;
	size_t left = net_packing_left(st), len = left;

	if (left == 0)
		return;
	if (len > PACK_SLICE_BYTES)
		len = PACK_SLICE_BYTES;
	net_compress_pack(p->z, p->plain.data + p->plain_off, len, len == left, &st->out);
	p->plain_off += len;
	if (p->plain_off == p->plain.len) {
		buf_free(&p->plain);
		p->plain_off = 0;
	}
	join_warm(st);
}

/* --- input ------------------------------------------------------------------------------------- */

void
net_packing_feed(struct net_stream *st, const char *bytes, size_t len)
{
	buf_add(&st->packing->raw, bytes, len);
}

bool
net_packing_has_input(const struct net_stream *st)
{
	const struct net_packing *p = st->packing;

	return p->raw.len > p->raw_off || net_compress_has_more(p->z);
}

enum net_unpacked
net_packing_unpack(struct net_stream *st, char *out, size_t size, size_t *len_out)
{
	struct net_packing *p = st->packing;
	enum net_unpacked result = NET_UNPACKED;

	*len_out = 0;
	while (result == NET_UNPACKED && *len_out == 0 && net_packing_has_input(st)) {
		const char *at = p->raw.len > 0 ? p->raw.data + p->raw_off : "";
		size_t left = p->raw.len - p->raw_off;

		result = net_compress_unpack(p->z, &at, &left, out, size, len_out);
		p->raw_off = p->raw.len - left;
	}
	if (p->raw_off == p->raw.len) {
		buf_free(&p->raw);
		p->raw_off = 0;
	}
	join_warm(st);
	return result;
}

/* --- on and off -------------------------------------------------------------------------------- */

void
net_packing_free(struct net_stream *st)
{
	struct net_packing *p = st->packing;

	if (p == NULL)
		return;
	leave_warm(st);
	net_compress_free(p->z);
	buf_free(&p->plain);
	buf_free(&p->raw);
	free(p);
	st->packing = NULL;
}

void
net_stream_compress(struct net_stream *st)
{
	const char *bytes;
	size_t len;

	if (st->packing != NULL || st->state != STREAM_OPEN)
		return;
	st->packing = mem_zalloc(sizeof(*st->packing));
	st->packing->z = net_compress_new();
	net_stream_input(st, &bytes, &len);
	if (len == 0)
		return;
	net_packing_feed(st, bytes, len);
	net_stream_consume(st, len);
	st->read_more = true;
	net_stream_look_after(st);
}

/* A peer that ends its side in form does so by an empty last block, two bytes of which no line begins. */
static void
skip_last_block(struct net_packing *p)
{
	static const char LAST[] = { 3, 0 };

	if (p->raw.len - p->raw_off >= sizeof(LAST) &&
	    memcmp(p->raw.data + p->raw_off, LAST, sizeof(LAST)) == 0)
		p->raw_off += sizeof(LAST);
}

void
net_stream_uncompress(struct net_stream *st)
{
	struct net_packing *p = st->packing;

	if (p == NULL)
		return;
	while (net_packing_left(st) > 0)
		net_packing_pack(st);
	skip_last_block(p);
	st->packed_end = false;
	if (p->raw.len > p->raw_off) {
		buf_add(&st->in, p->raw.data + p->raw_off, p->raw.len - p->raw_off);
		st->input_due = true;
	}
	net_packing_free(st);
	net_stream_look_after(st);
}

bool
net_stream_is_compressed(const struct net_stream *st)
{
	return st->packing != NULL;
}
