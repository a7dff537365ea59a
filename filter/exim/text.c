#include "filter/exim/text.h"

#include <stdarg.h>
#include <stdio.h>

static void
reserve(struct exim_text *t, size_t more)
{
	size_t cap = t->cap > 0 ? t->cap : 32;
	char *p;

	if (t->p != NULL && t->cap - t->len > more)
		return;
	while (cap - t->len <= more)
		cap *= 2;
	p = arena_alloc(t->arena, cap);
	if (t->p != NULL)
		memcpy(p, t->p, t->len);
	t->p = p;
	t->cap = cap;
}

void
exim_text_add(struct exim_text *t, const void *bytes, size_t len)
{
	reserve(t, len);
	if (len > 0)
		memcpy(t->p + t->len, bytes, len);
	t->len += len;
}

void
exim_text_str(struct exim_text *t, struct str s)
{
	exim_text_add(t, s.p, s.len);
}

void
exim_text_char(struct exim_text *t, char c)
{
	exim_text_add(t, &c, 1);
}

void
exim_text_printf(struct exim_text *t, const char *fmt, ...)
{
	char small[256];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(small, sizeof(small), fmt, args);
	va_end(args);
	if (len > 0)
		exim_text_add(
		    t, small, (size_t)len < sizeof(small) ? (size_t)len : sizeof(small) - 1);
}

struct str
exim_text_get(struct exim_text *t)
{
	reserve(t, 0);
	t->p[t->len] = '\0';
	return (struct str){ t->p, t->len };
}
