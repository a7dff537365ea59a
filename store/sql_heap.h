/* SQLite's memory, kept apart from ours.  An open index takes 150 KB in pieces of all sizes and gives all of it
 * back when it closes; a session keeps a few KB for hours.  From one heap, the few KB would hold on to the pages
 * between which they came to lie.  Here a page holds SQLite's pieces only, of one size, and goes back to the
 * system when the last of them is freed.
 *
 * For processes with many sessions; others need not care. */
#ifndef STORE_SQL_HEAP_H
#define STORE_SQL_HEAP_H

/* For the whole process, before SQLite is first used in it; later it has no effect.  One thread. */
void sql_heap_use(void);

#endif
