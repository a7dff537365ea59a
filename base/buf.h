/* A growing byte buffer.  Zero-initialise it ({ 0 }); buf_free() gives the memory back and leaves
 * it ready for use again.  The bytes may hold NULs; buf_cstr() adds one behind them. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data;
	size_t len, cap;
};

void buf_reserve(struct buf *b, size_t more_bytes); /* room for that many behind len */
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_number(struct buf *b, uint64_t n); /* in decimal; where buf_printf() is too slow */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));
void buf_consume(struct buf *b, size_t len); /* drops the first len bytes */
void buf_reset(struct buf *b);               /* empties it, keeps the memory */
void buf_free(struct buf *b);
const char *buf_cstr(struct buf *b); /* NUL-terminated; valid until the next change */
char *buf_take(struct buf *b);       /* the NUL-terminated bytes, the caller's; b is empty then */

static inline void
buf_addc(struct buf *b, char c)
{
	if (b->len == b->cap)
		buf_reserve(b, 1);
	b->data[b->len++] = c;
}

#endif
