#include "net/compress.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>

#include "base/mem.h"

#define PACK_ROOM  1024 /* least room given to zlib at once */
#define BLOCK_END  128  /* z_stream.data_type after inflate(Z_BLOCK): stopped between two blocks */
#define LAST_BLOCK 64   /* the same: within or behind the last one */
#define BITS_LEFT  7    /* the same: bits of the last byte that are not used yet */

struct net_compress {
	z_stream *pack, *unpack; /* NULL: resting */
	char *past;              /* while unpack rests: what the peer may refer to */
	size_t past_len;
	bool has_more;    /* the last call stopped for want of room */
	bool at_boundary; /* all that came was unpacked, up to the end of a byte and of a block */
	size_t held;
};

/* What stands before a block given to zlib. */
union block {
	struct {
		size_t bytes;
		bool mapped;
	};
	max_align_t align;
};

/* Sizes are zlib's own: what the peer sends does not change them.  Each block is whole pages of its own, so that what is
 * given back goes back to the system and leaves no hole among what stays; the heap has them where no more can be mapped. */
static void *
take_memory(void *arg, unsigned items, unsigned size)
{
	struct net_compress *z = arg;
	size_t bytes = sizeof(union block) + (size_t)items * size;
	union block *block =
	    mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool mapped = block != MAP_FAILED;

	if (!mapped)
		block = mem_zalloc(bytes);
	block->bytes = bytes;
	block->mapped = mapped;
	z->held += bytes;
	return block + 1;
}

static void
give_memory(void *arg, void *p)
{
	struct net_compress *z = arg;
	union block *block = (union block *)p - 1;

	z->held -= block->bytes;
	if (block->mapped)
		munmap(block, block->bytes);
	else
		free(block);
}

static z_stream *
stream_new(struct net_compress *z)
{
	z_stream *s = mem_zalloc(sizeof(*s));

	s->zalloc = take_memory;
	s->zfree = give_memory;
	s->opaque = z;
	return s;
}

struct net_compress *
net_compress_new(void)
{
	struct net_compress *z = mem_zalloc(sizeof(struct net_compress));

	z->at_boundary = true;
	return z;
}

static void
drop_pack(struct net_compress *z)
{
	if (z->pack != NULL)
		deflateEnd(z->pack);
	free(z->pack);
	z->pack = NULL;
}

static void
drop_unpack(struct net_compress *z)
{
	if (z->unpack != NULL)
		inflateEnd(z->unpack);
	free(z->unpack);
	z->unpack = NULL;
}

void
net_compress_free(struct net_compress *z)
{
	if (z == NULL)
		return;
	drop_pack(z);
	drop_unpack(z);
	free(z->past);
	free(z);
}

/* --- our side ---------------------------------------------------------------------------------- */

static void
wake_pack(struct net_compress *z)
{
	if (z->pack != NULL)
		return;
	z->pack = stream_new(z);
	deflateInit2(z->pack, COMPRESS_LEVEL, Z_DEFLATED, -COMPRESS_WINDOW_BITS, COMPRESS_MEM_LEVEL,
	    Z_DEFAULT_STRATEGY);
}

void
net_compress_pack(
    struct net_compress *z, const char *bytes, size_t len, bool flush, struct buf *out)
{
	wake_pack(z);
	z->pack->next_in = (const Bytef *)bytes;
	z->pack->avail_in = (uInt)len;
	do {
		uInt size;

		buf_reserve(out, PACK_ROOM + len / 2);
		size = out->cap - out->len < UINT_MAX ? (uInt)(out->cap - out->len) : UINT_MAX;
		z->pack->next_out = (Bytef *)out->data + out->len;
		z->pack->avail_out = size;
		deflate(z->pack, flush ? Z_SYNC_FLUSH : Z_NO_FLUSH);
		out->len += size - z->pack->avail_out;
	} while (z->pack->avail_out == 0);
}

/* --- the peer's side --------------------------------------------------------------------------- */

static void
wake_unpack(struct net_compress *z)
{
	if (z->unpack != NULL)
		return;
	z->unpack = stream_new(z);
	inflateInit2(z->unpack, -MAX_WBITS);
	if (z->past_len > 0)
		inflateSetDictionary(z->unpack, (const Bytef *)z->past, (uInt)z->past_len);
	free(z->past);
	z->past = NULL;
	z->past_len = 0;
}

static bool
is_at_boundary(const z_stream *s)
{
	return (s->data_type & BLOCK_END) != 0 && (s->data_type & BITS_LEFT) == 0;
}

/* Only one more call says so. */
static bool
is_behind_last(const z_stream *s)
{
	return (s->data_type & (BLOCK_END | LAST_BLOCK)) == (BLOCK_END | LAST_BLOCK);
}

enum net_unpacked
net_compress_unpack(struct net_compress *z, const char **bytes, size_t *left, char *out,
    size_t size, size_t *len_out)
{
	z_stream *s;
	int rc;

	wake_unpack(z);
	s = z->unpack;
	s->next_in = (const Bytef *)*bytes;
	s->avail_in = (uInt)*left;
	s->next_out = (Bytef *)out;
	s->avail_out = (uInt)size;
	do {
		rc = inflate(s, Z_BLOCK);
		if (rc != Z_BUF_ERROR) /* that is: nothing has moved */
			z->at_boundary = rc == Z_OK && is_at_boundary(s);
	} while (
	    rc == Z_OK && s->avail_out > 0 &&
	    (is_behind_last(s) || (s->avail_in > 0 && !(z->at_boundary && s->avail_out < size))));
	*bytes = (const char *)s->next_in;
	*left = s->avail_in;
	*len_out = size - s->avail_out;
	z->has_more = s->avail_out == 0;
	if (rc == Z_STREAM_END)
		return NET_UNPACKED_END;
	return rc == Z_OK || rc == Z_BUF_ERROR ? NET_UNPACKED : NET_UNPACKED_BROKEN;
}

bool
net_compress_has_more(const struct net_compress *z)
{
	return z->has_more;
}

/* --- rest -------------------------------------------------------------------------------------- */

static void
keep_past(struct net_compress *z)
{
	char window[COMPRESS_WINDOW_BYTES];
	uInt len = 0;

	if (inflateGetDictionary(z->unpack, (Bytef *)window, &len) == Z_OK && len > 0) {
		z->past = mem_alloc(len);
		memcpy(z->past, window, len);
		z->past_len = len;
	}
}

bool
net_compress_rest(struct net_compress *z)
{
	drop_pack(z);
	if (z->unpack == NULL)
		return true;
	if (!z->at_boundary || z->has_more)
		return false;
	keep_past(z);
	drop_unpack(z);
	return true;
}

size_t
net_compress_held(const struct net_compress *z)
{
	return sizeof(*z) + z->held + z->past_len;
}
