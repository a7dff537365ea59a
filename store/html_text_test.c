#include "store/html_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct {
	const char *html, *text;
} PAGES[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "a<b>c</b>d", "a c d" },
	{ "<p>one</p>\n<p>two", "one \ntwo" },
	{ "x<script>var a = '</b>';</SCRIPT>y", "x y" },
	{ "x<style>p > b {}</style >y", "x y" },
	{ "x<!-- <b> --!> -->y", "x y" },
	{ "x<!-- open", "x " },
	{ "<a title=\"a > b\">link</a>", "link " },
	{ "<a title='unclosed>text", "" },
	{ "&amp;&lt;&gt;&quot;", "&<>\"" },
	{ "&eacute;&#233;&#xE9;&nbsp;.", "ééé\xc2\xa0." },
	{ "&nonesuch; & &#; &#xZ; &#99999999; &#xD800;",
	    "&nonesuch; & &#; &#xZ; &#99999999; \xef\xbf\xbd" },
	{ "a<blockquote>said</blockquote>b", "a \n> said \nb" },
	{ "1 < 2", "1 " },
	{ "<script>", "" },
	{ "&", "&" },
	{ "<", "" },
};

static void
pages(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(PAGES); i++) {
		struct buf out = { 0 };

		html_text(&out, str_from(PAGES[i].html));
		assert_string_equal(buf_cstr(&out), PAGES[i].text);
		buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(pages) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
