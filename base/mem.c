#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_BLOCK_BYTES 4096
#define ARENA_ALIGN       (_Alignof(max_align_t))

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(max_align_t) char bytes[];
};

static void *
checked(void *p, size_t size)
{
	if (p == NULL && size > 0) {
		fprintf(stderr, "fatal event=out-of-memory bytes=%zu\n", size);
		abort();
	}
	return p;
}

void *
mem_alloc(size_t size)
{
	return checked(malloc(size > 0 ? size : 1), size);
}

void *
mem_zalloc(size_t size)
{
	return checked(calloc(1, size > 0 ? size : 1), size);
}

void *
mem_realloc(void *p, size_t size)
{
	return checked(realloc(p, size > 0 ? size : 1), size);
}

void *
mem_realloc_array(void *p, size_t count, size_t size)
{
	size_t total;

	if (__builtin_mul_overflow(count, size, &total))
		return checked(NULL, SIZE_MAX);
	return mem_realloc(p, total);
}

void *
mem_dup(const void *p, size_t size)
{
	void *copy = mem_alloc(size);

	if (size > 0)
		memcpy(copy, p, size);
	return copy;
}

char *
mem_strndup(const char *s, size_t len)
{
	char *copy = mem_alloc(len + 1);

	if (len > 0)
		memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *
mem_strdup(const char *s)
{
	return mem_strndup(s, strlen(s));
}

char *
mem_printf(const char *fmt, ...)
{
	va_list args;
	char *s = NULL;

	va_start(args, fmt);
	if (vasprintf(&s, fmt, args) < 0)
		checked(NULL, 1);
	va_end(args);
	return s;
}

void
mem_wipe(void *p, size_t size)
{
	explicit_bzero(p, size);
}

/* A block big enough for `size`; a request beyond the usual block gets one of its own. */
static struct arena_block *
block_new(size_t size)
{
	size_t room = size > ARENA_BLOCK_BYTES ? size : ARENA_BLOCK_BYTES;
	struct arena_block *b = mem_alloc(sizeof(*b) + room);

	b->next = NULL;
	b->size = room;
	b->used = 0;
	return b;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	size_t need = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	struct arena_block *b = a->blocks;
	void *p;

	if (need < size)
		checked(NULL, SIZE_MAX);
	if (b == NULL || b->size - b->used < need) {
		b = block_new(need);
		b->next = a->blocks;
		a->blocks = b;
	}
	p = b->bytes + b->used;
	b->used += need;
	a->used_bytes += need;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

char *
arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *copy = arena_alloc(a, len + 1);

	if (len > 0)
		memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	char *copy;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len < 0)
		checked(NULL, 1);
	copy = arena_alloc(a, (size_t)len + 1);
	va_start(args, fmt);
	vsnprintf(copy, (size_t)len + 1, fmt, args);
	va_end(args);
	return copy;
}

void
arena_reset(struct arena *a)
{
	struct arena_block *b = a->blocks, *next;

	a->used_bytes = 0;
	if (b == NULL)
		return;
	for (; (next = b->next) != NULL; b = next)
		free(b);
	if (b->size > ARENA_BLOCK_BYTES) { /* keep only a small one */
		free(b);
		b = NULL;
	} else {
		b->used = 0;
	}
	a->blocks = b;
}

void
arena_free(struct arena *a)
{
	struct arena_block *next;

	for (struct arena_block *b = a->blocks; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	*a = (struct arena){ 0 };
}
