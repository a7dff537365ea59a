/* 1. Every block begins at a multiple of BLOCK_BYTES with a struct block, so a piece leads to its block.
 * 2. A block is cut into pieces of one size, or is one piece (BLOCK_LARGE) of any size.
 * 3. Blocks with room hang in the list of their class; full ones in none.
 * All is under one mutex: SQLite would otherwise take one of its own for its statistics. */
#include "store/sql_heap.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/sanitizer.h"

#define BLOCK_BYTES  ((size_t)64 * 1024)
#define HEADER_BYTES 64 /* keeps pieces on 16 bytes */
#define PIECE_MAX_BYTES                                                                            \
	16384 /* what SQLite needs to balance a tree comes and goes with most pages filled */
#define FINE_BYTES  128 /* up to here sizes go in steps of 16, then in 4 steps per doubling */
#define CLASSES     36
#define BLOCK_LARGE CLASSES
#define PAGE_BYTES  ((size_t)4096)
#define SPARE_MAX   4

struct piece { /* a free one */
	struct piece *next;
};

struct block {
	struct block *next, **link; /* of its class's, or of the spare ones */
	struct piece *free;
	size_t piece_bytes; /* of BLOCK_LARGE: what can be used */
	size_t mapped_bytes;
	size_t cut_bytes; /* from the start: so far given out or free */
	unsigned class, used;
};

_Static_assert(sizeof(struct block) <= HEADER_BYTES, "the header fits");

/* SQLite hands no context to its allocator: the one mutable global. */
static struct {
	pthread_mutex_t mutex;
	struct block *with_room[CLASSES];
	struct block *spare;
	unsigned spare_count;
} heap = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* --- sizes -------------------------------------------------------------------------------------- */

/* Steps of 16 up to 128, then 160, 192, 224, 256, 320 … 16384. */
static unsigned
class_of(size_t bytes, size_t *piece_bytes_out)
{
	size_t last = bytes > 0 ? bytes - 1 : 0;
	unsigned top, step;

	if (last < FINE_BYTES) {
		*piece_bytes_out = (last / 16 + 1) * 16;
		return (unsigned)(last / 16);
	}
	top = 63 - (unsigned)__builtin_clzll(last); /* 7 for 128 … 255 */
	step = top - 2;
	*piece_bytes_out = ((last >> step) + 1) << step;
	return 8 + (top - 7) * 4 + (unsigned)(last >> step & 3);
}

static struct block *
block_of(void *p)
{
	return (struct block *)((uintptr_t)p & ~(uintptr_t)(BLOCK_BYTES - 1));
}

/* --- blocks ------------------------------------------------------------------------------------- */

/* Maps more than is wanted and gives back what lies before and behind the aligned part. */
static struct block *
block_map(size_t bytes)
{
	char *raw = mmap(
	    NULL, bytes + BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before, behind;
	struct block *b;

	if (raw == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)raw & (BLOCK_BYTES - 1);
	behind = BLOCK_BYTES - before;
	if (before > 0)
		munmap(raw, before);
	munmap(raw + before + bytes, behind);
	b = (struct block *)(void *)(raw + before);
	b->mapped_bytes = bytes;
	return b;
}

static void
link_to(struct block *b, struct block **list)
{
	b->next = *list;
	b->link = list;
	if (b->next != NULL)
		b->next->link = &b->next;
	*list = b;
}

static void
unlink_from(struct block *b)
{
	*b->link = b->next;
	if (b->next != NULL)
		b->next->link = b->link;
}

static struct block *
block_take(unsigned class, size_t piece_bytes)
{
	struct block *b = heap.spare;

	if (b != NULL) {
		unlink_from(b);
		heap.spare_count--;
	} else if ((b = block_map(BLOCK_BYTES)) == NULL) {
		return NULL;
	}
	b->free = NULL;
	b->piece_bytes = piece_bytes;
	b->cut_bytes = HEADER_BYTES;
	b->class = class;
	b->used = 0;
	link_to(b, &heap.with_room[class]);
	return b;
}

static void
block_drop(struct block *b)
{
	unlink_from(b);
	if (heap.spare_count == SPARE_MAX) {
		munmap(b, b->mapped_bytes);
		return;
	}
	link_to(b, &heap.spare);
	heap.spare_count++;
}

static bool
has_room(const struct block *b)
{
	return b->free != NULL || b->cut_bytes + b->piece_bytes <= BLOCK_BYTES;
}

/* --- pieces ------------------------------------------------------------------------------------- */

static void *
large_new(size_t bytes)
{
	size_t mapped_bytes = (HEADER_BYTES + bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	struct block *b = block_map(mapped_bytes);

	if (b == NULL)
		return NULL;
	b->class = BLOCK_LARGE;
	b->piece_bytes = mapped_bytes - HEADER_BYTES;
	return (char *)b + HEADER_BYTES;
}

static void *
piece_new(unsigned class, size_t piece_bytes)
{
	struct block *b = heap.with_room[class];
	void *p;

	if (b == NULL && (b = block_take(class, piece_bytes)) == NULL)
		return NULL;
	if (b->free != NULL) {
		p = b->free;
		b->free = b->free->next;
	} else {
		p = (char *)b + b->cut_bytes;
		b->cut_bytes += piece_bytes;
	}
	b->used++;
	if (!has_room(b))
		unlink_from(b);
	return p;
}

static void
piece_free(struct block *b, struct piece *p)
{
	bool was_full = !has_room(b);

	p->next = b->free;
	b->free = p;
	if (was_full)
		link_to(b, &heap.with_room[b->class]);
	if (--b->used == 0)
		block_drop(b);
}

/* --- what SQLite calls -------------------------------------------------------------------------- */

static void *
heap_malloc(int bytes)
{
	size_t piece_bytes;
	unsigned class;
	void *p;

	if (bytes > PIECE_MAX_BYTES)
		return large_new((size_t)bytes);
	class = class_of((size_t)bytes, &piece_bytes);
	pthread_mutex_lock(&heap.mutex);
	p = piece_new(class, piece_bytes);
	pthread_mutex_unlock(&heap.mutex);
	return p;
}

static void
heap_free(void *p)
{
	struct block *b = block_of(p);

	if (p == NULL)
		return;
	if (b->class == BLOCK_LARGE) {
		munmap(b, b->mapped_bytes);
		return;
	}
	pthread_mutex_lock(&heap.mutex);
	piece_free(b, p);
	pthread_mutex_unlock(&heap.mutex);
}

static int
heap_size(void *p)
{
	return p != NULL ? (int)block_of(p)->piece_bytes : 0;
}

static int
heap_roundup(int bytes)
{
	size_t piece_bytes = (size_t)bytes;

	if (bytes <= PIECE_MAX_BYTES)
		class_of((size_t)bytes, &piece_bytes);
	return (int)piece_bytes;
}

/* Also smaller: what shrinks much moves to a smaller piece. */
static void *
heap_realloc(void *p, int bytes)
{
	int have = heap_size(p);
	void *to;

	if (bytes <= have && bytes > have / 2)
		return p;
	to = heap_malloc(bytes);
	if (to == NULL)
		return NULL;
	memcpy(to, p, (size_t)(bytes < have ? bytes : have));
	heap_free(p);
	return to;
}

static int
heap_init(void *arg)
{
	(void)arg;
	return SQLITE_OK;
}

static void
heap_shutdown(void *arg)
{
	(void)arg;
}

void
sql_heap_use(void)
{
	static const struct sqlite3_mem_methods METHODS = { heap_malloc, heap_free, heap_realloc,
		heap_size, heap_roundup, heap_init, heap_shutdown, NULL };

#if !UNDER_SANITIZER /* ASan shall see who uses what SQLite has freed */
	sqlite3_config(SQLITE_CONFIG_MALLOC, &METHODS);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
#else
	(void)METHODS;
#endif
}
