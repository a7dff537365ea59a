#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "admin/import_names.h"

#define BOXES_MAX 12

struct row {
	const char *name;
	unsigned use;     /* as the server says */
	const char *want; /* here; NULL: left out */
};
struct test {
	const char *what;
	char delimiter;
	const char *prefix, *other; /* namespaces; NULL: none */
	struct row rows[BOXES_MAX];
};

static const struct test TESTS[] = {
	{ "a prefix goes", '.', "INBOX.", "user.",
	    { { "INBOX", 0, "INBOX" }, { "INBOX.Lists.C", 0, "Lists/C" },
		{ "INBOX.INBOX", 0, "_INBOX" }, { "user.bob", 0, NULL },
		{ "INBOX.a/b", 0, "a_b" } } },
	{ "without NAMESPACE too", '.', NULL, NULL,
	    { { "INBOX", 0, "INBOX" }, { "INBOX.Sent", 0, "Sent" }, { "INBOX.x.y", 0, "x/y" } } },
	{ "but not what is below INBOX by choice", '/', NULL, NULL,
	    { { "inbox", 0, "INBOX" }, { "INBOX/a", 0, "INBOX/a" }, { "b", 0, "b" } } },
	{ "uses that are said", '/', "", NULL,
	    { { "INBOX", 0, "INBOX" }, { "Gesendete", 1u << SPECIAL_SENT, "Sent" },
		{ "Gesendete/2024", 0, "Sent/2024" }, { "Gesendete2", 0, "Gesendete2" },
		{ "Important", 1u << SPECIAL_IMPORTANT, "Important" } } },
	{ "uses by name", '/', "", NULL,
	    { { "Sent Items", 0, "Sent" }, { "Deleted Items", 0, "Trash" },
		{ "Junk E-mail", 0, "Junk" }, { "Entwürfe", 0, "Drafts" },
		{ "Archiv", 0, "Archive" } } },
	{ "both names are there", '/', "", NULL,
	    { { "Sent Items", 1u << SPECIAL_SENT, "Sent Items" }, { "Sent", 0, "Sent" } } },
	{ "all mail is the archive", '/', "", NULL,
	    { { "All", 1u << SPECIAL_ALL, "Archive" }, { "x", 0, "x" } } },
	{ "unless there is one", '/', "", NULL,
	    { { "All", 1u << SPECIAL_ALL, "All" }, { "Archive", 0, "Archive" } } },
	{ "what cannot be a name", '/', "", NULL,
	    { { "a//b", 0, "a/_/b" }, { "..", 0, "_.." }, { "&=x", 0, "_=x" }, { "a\tb", 0, "a_b" },
		{ "\xff", 0, "_" }, { "end/", 0, "end" }, { "A", 0, "A" },
		{ "a_b", 0, "a_b (2)" } } },
	{ "no levels", '\0', "", NULL, { { "a/b.c", 0, "a_b.c" } } },
};

static const char *
known(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "known") == 0 ? "Elsewhere" : NULL;
}

static void
check(const struct test *t)
{
	struct mailbox_info here[] = { { "INBOX", SPECIAL_NONE, 0 },
		{ "Archive", SPECIAL_ARCHIVE, 0 }, { "Drafts", SPECIAL_DRAFTS, 0 },
		{ "Junk", SPECIAL_JUNK, 0 }, { "Sent", SPECIAL_SENT, 0 },
		{ "Trash", SPECIAL_TRASH, 0 } };
	const struct mailbox_list list = { .boxes = here, .count = ARRAY_LEN(here) };
	struct imap_mailbox boxes[BOXES_MAX] = { 0 };
	struct imap_mailboxes m = { .boxes = boxes };
	struct arena arena = { 0 };
	struct import_name *names;
	char wire[BOXES_MAX][64];

	if (t->prefix != NULL)
		m.spaces[m.space_count++] =
		    (struct imap_namespace){ (char *)(uintptr_t)t->prefix, t->delimiter, true };
	if (t->other != NULL)
		m.spaces[m.space_count++] =
		    (struct imap_namespace){ (char *)(uintptr_t)t->other, t->delimiter, false };
	for (; m.count < BOXES_MAX && t->rows[m.count].name != NULL; m.count++) {
		strcpy(wire[m.count], t->rows[m.count].name);
		boxes[m.count] = (struct imap_mailbox){ .wire = wire[m.count],
			.name = wire[m.count],
			.delimiter = t->delimiter,
			.selectable = true,
			.uses = t->rows[m.count].use };
		for (size_t s = 0; s < m.space_count; s++)
			if (strncmp(
				wire[m.count], m.spaces[s].prefix, strlen(m.spaces[s].prefix)) == 0)
				boxes[m.count].space = &m.spaces[s];
	}
	import_names(&m, &list, known, NULL, &arena, &names);
	for (size_t i = 0; i < m.count; i++) {
		const struct row *row = &t->rows[names[i].box - boxes];
		const char *local = names[i].local != NULL ? names[i].local : "(left out)";

		if (strcmp(local, row->want != NULL ? row->want : "(left out)") != 0)
			fail_msg("%s: %s became %s", t->what, row->name, local);
	}
	arena_free(&arena);
}

static void
test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(TESTS); i++)
		check(&TESTS[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
