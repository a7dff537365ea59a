/* Memory that is there or the process ends.  A size that a peer chose meets its limit before it
 * comes here; what is left cannot fail in a way anyone could answer, so running out is fatal. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

void *mem_alloc(size_t size);
void *mem_zalloc(size_t size); /* zeroed */
void *mem_realloc(void *p, size_t size);
/* An array of `count` members of `size` bytes; ends the process if the product overflows. */
void *mem_realloc_array(void *p, size_t count, size_t size);
void *mem_dup(const void *p, size_t size);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t len);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Wipes a secret in a way the compiler keeps. */
void mem_wipe(void *p, size_t size);

/* An arena: allocations that end together.  Zero-initialise it ({ 0 }); arena_reset() drops all
 * that was allocated and keeps one block for the next use, arena_free() drops that too. */
struct arena_block;
struct arena {
	struct arena_block *blocks;
	size_t used_bytes; /* handed out since the last reset */
};

void *arena_alloc(struct arena *a, size_t size); /* aligned for any type, not zeroed */
void *arena_zalloc(struct arena *a, size_t size);
char *arena_strndup(struct arena *a, const char *s, size_t len); /* adds the NUL */
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
