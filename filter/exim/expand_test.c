#include <stdio.h>

#include "filter/exim/exim_test_tool.h"

/* What testprint prints; written as in C, so that a backslash of expansion is four here. */
static const struct {
	const char *text, *outcome;
} CASES[] = {
	/* variables */
	{ "$local_part $domain $local_part_suffix $original_local_part",
	    "ann example.org +list ann" },
	{ "$sender_address_local_part at $sender_address_domain", "bob at example.net" },
	{ "$h_subject:|$rh_x-two:|$h_x-two:|$lh_x-two:", "Grüße you| a\n b\n|a\nb| a: b" },
	{ "$h_nothing:|$h_subject, $h_x", "| " },
	{ "$tod_epoch $tod_zulu", "1772443230 20260302092030Z" },
	{ "$n1 $sn0 $item$value$thisaddress", "0 0 " },
	{ "$message_body_size $body_linecount $received_count", "5 1 0" },
	{ "$qualify_domain $primary_hostname", "example.org mail.example.org" },
	/* syntax */
	{ "a}b{c \\\\$x \\\\N$x\\\\N", "a}b{c $x $x" },
	{ "${lc:A${uc:b}C}", "abc" },
	/* items */
	{ "${if eq{a}{a}} ${if eq{a}{b}{x}}|${if !eq{a}{b}{x}{y}}", "true |x" },
	{ "${extract{2}{:}{a:b:c}} ${extract{k}{j=1 k=\\\"2 3\\\"}}", "b 2 3" },
	{ "${map{a:b}{<$item>}} ${filter{a:b}{eq{$item}{b}}} ${sort{c:a:b}{lt}{$item}}",
	    "<a>:<b> b a:b:c" },
	{ "${reduce{1:2:3}{0}{${eval:$value+$item}}} ${listextract{-1}{<; a;b}}", "6 b" },
	{ "${sg{abcabc}{b(.)}{[\\\\$1]}} ${tr{abc}{ac}{xy}} ${hmac{md5}{s}{d}}",
	    "a[c]a[c] xby 1d332e37e57bf3ccdf5ff7f27abe8b7a" },
	/* operators */
	{ "${substr_-3_2:abcdef} ${length_3:abcdef} ${strlen:abc} ${hash_5:monty python}",
	    "de abc 3 bsxzn" },
	{ "${nhash_8_64:supercalifragilisticexpialidocious}", "6/33" },
	{ "${md5:abc}", "900150983cd24fb0d6963f7d28e17f72" },
	{ "${eval:2*(3+4)%5} ${eval10:010} ${eval:~0}", "4 10 -1" },
	{ "${address:A <a@b>} ${addresses:a@b, C <c@d>} ${quote:a b}", "a@b a@b:c@d \"a b\"" },
	{ "${mask:10.1.2.3/8} ${reverse_ip:1.2.3.4} ${ipv6denorm:::1}",
	    "10.0.0.0/8 4.3.2.1 0000:0000:0000:0000:0000:0000:0000:0001" },
	{ "${rfc2047:ü} ${rfc2047d:=?iso-8859-1?q?=FC?=} ${base62:12345}",
	    "=?UTF-8?Q?=C3=BC?= ü 0003D7" },
	{ "${time_interval:90061} ${time_eval:1d1h}", "1d1h1m1s 90000" },
	/* conditions */
	{ "${if and{{<{1}{2}}{gei{b}{A}}}{y}{n}}${if match{abc}{^(.)b}{$1}}${if isip6{::1}{y}}",
	    "yay" },
	{ "${if forall{}{eq{a}{a}}{y}{n}}${if match_ip{1.2.3.4}{<; 1.0.0.0/8}{y}{n}}", "ny" },
	/* what fails, and how */
	{ "$foo", "expand: unknown variable name \"foo\"" },
	{ "${foo}", "expand: unknown variable in \"${foo}\"" },
	{ "${foo:x}", "expand: unknown expansion operator \"foo\"" },
	{ "${lc:x", "expand: missing } at end of string" },
	{ "$", "expand: $ not followed by letter, digit, or {" },
	{ "${eval:1/0}", "expand: error in expression evaluation: divide by zero" },
	{ "${if eq{a}{b}{x}fail}", "expand: \"if\" failed and \"fail\" requested" },
	{ "${if eq{a}{b}{${eval:x}}{ok}}", "ok" },
	{ "${nhash_0:x}", "expand: nhash needs positive numbers" },
	{ "${sg{a}{(}{}}", "expand: error while compiling regular expression" },
	/* what is refused, where it is reached */
	{ "${run{/bin/x}}", "forbidden: \"run\" is not permitted" },
	{ "${readfile{/etc/passwd}}", "forbidden: \"readfile\" is not permitted" },
	{ "${lookup{a}lsearch{/x}}", "forbidden: \"lookup\" is not permitted" },
	{ "${stat:/}", "forbidden: \"stat\" is not permitted" },
	{ "${env{HOME}}", "forbidden: \"env\" is not permitted" },
	{ "${if exists{/}{a}}", "forbidden: condition \"exists\" is not permitted" },
	{ "${if match_domain{a}{/etc/passwd}{a}}", "forbidden: files in a list" },
	{ "${if match_domain{a}{dbm;x}{a}}", "forbidden: lookups in a list" },
	{ "${if eq{a}{b}{${run{x}{y}{z}}}{ok}}", "ok" },
	{ "${if eq{a}{b}{${lookup{a}lsearch{/x}{y}fail}}{ok}}", "ok" },
};

static void
test_expansion(void **state)
{
	struct exim_trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		char filter[1024];
		const char *got, *in = ": ";

		snprintf(filter, sizeof(filter), "testprint \"%s\"", CASES[i].text);
		exim_trial(&t, filter, NULL, NULL);
		if (t.status == FILTER_OK) {
			got = arena_strndup(&t.arena, t.result.log.p, t.result.log.len - 1);
		} else {
			in = strstr(t.error.text, "in testprint command: ");
			got = arena_printf(&t.arena, "%s: %s",
			    t.error.kind == FILTER_ERROR_FORBIDDEN ? "forbidden" : "expand",
			    in != NULL ? in + strlen("in testprint command: ") : t.error.text);
		}
		if (strncmp(got, CASES[i].outcome, strlen(CASES[i].outcome)) != 0 ||
		    (t.status == FILTER_OK && strcmp(got, CASES[i].outcome) != 0))
			fail_msg(
			    "%s\n  wanted: %s\n  got:    %s", CASES[i].text, CASES[i].outcome, got);
		exim_trial_end(&t);
	}
}

/* Work without end: each must end in an error of the run, soon. */
static const char *const ENDLESS[] = {
	/* a result that doubles over and over */
	"testprint \"${reduce{1:2:3:4:5:6:7:8:9:0:1:2:3:4:5:6:7:8:9:0:1:2:3:4:5:6:7:8:9}"
	"{xxxxxxxxxxxxxxxx}{$value$value}}\"",
	"testprint "
	"\"${sg{${sg{${sg{aaaaaaaaaaaaaaaaaaaaaaaa}{}{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}"
	"}{}{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}}{}{"
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}\"",
	/* patterns that try everything */
	"if aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab matches \"^(a|a?)+\\\\$\" then save x "
	"endif",
};

static void
test_limits(void **state)
{
	struct exim_trial t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ENDLESS); i++) {
		exim_trial(&t, ENDLESS[i], NULL, NULL);
		if (t.status != FILTER_RUN_ERROR || t.error.kind != FILTER_ERROR_RUNTIME)
			fail_msg("%s: %s", ENDLESS[i], t.text);
		assert_int_equal(t.result.action_count, 0);
		exim_trial_end(&t);
	}
}

static void
test_nesting(void **state)
{
	struct buf text = { 0 };
	struct exim_trial t;

	(void)state;
	buf_adds(&text, "testprint \"");
	for (int i = 0; i < 150; i++)
		buf_adds(&text, "${lc:");
	buf_addc(&text, '"');
	exim_trial(&t, buf_cstr(&text), NULL, NULL);
	assert_int_equal(t.error.kind, FILTER_ERROR_RUNTIME);
	exim_trial_end(&t);
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expansion),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_nesting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
