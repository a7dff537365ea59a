/* A string that grows in an arena, so that a run that fails in the middle leaves nothing behind. */
#ifndef FILTER_EXIM_TEXT_H
#define FILTER_EXIM_TEXT_H

#include "base/mem.h"
#include "base/text.h"

struct exim_text {
	struct arena *arena;
	char *p;
	size_t len, cap;
};

void exim_text_add(struct exim_text *t, const void *bytes, size_t len);
void exim_text_str(struct exim_text *t, struct str s);
void exim_text_char(struct exim_text *t, char c);
void exim_text_printf(struct exim_text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct str exim_text_get(struct exim_text *t); /* NUL-terminated behind its end */

#endif
