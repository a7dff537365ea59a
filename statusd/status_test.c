/* What statusd reads and writes, without a daemon: forms, names, status files, numbers for people, OpenMetrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "statusd/form.h"
#include "statusd/guard.h"
#include "statusd/health.h"
#include "statusd/http.h"
#include "statusd/openmetrics.h"
#include "statusd/page.h"

static void
test_form(void **state)
{
	static const struct {
		const char *body, *name, *value; /* value NULL: there is none */
	} CASES[] = {
		{ "a=1&b=2", "b", "2" },
		{ "a=1&b=2", "c", NULL },
		{ "", "a", NULL },
		{ "a", "a", NULL }, /* no value, not even an empty one */
		{ "a=", "a", "" },
		{ "a=x+y%21%3d", "a", "x y!=" },
		{ "a%62=1", "ab", "1" },
		{ "a=1&a=2", "a", "1" },
		{ "&&a=1&", "a", "1" },
		{ "a=1%", "a", NULL },
		{ "a=1%2", "a", NULL },
		{ "a=%zz", "a", NULL },
		{ "a=x%00y", "a", NULL },
		{ "a=%C3%A9", "a", "\xc3\xa9" },
		{ "=1", "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf out = { 0 };
		bool found = form_field(str_from(CASES[i].body), CASES[i].name, &out);

		if (found != (CASES[i].value != NULL) ||
		    (found && strcmp(buf_cstr(&out), CASES[i].value) != 0))
			fail_msg("case %zu: %s", i, CASES[i].body);
		buf_free(&out);
	}
}

static void
test_basic(void **state)
{
	static const struct {
		const char *header, *user, *password; /* user NULL: none */
	} CASES[] = {
		{ "Basic YWRtaW46c2VjcmV0", "admin", "secret" },
		{ "basic  YWRtaW46c2VjcmV0 ", "admin", "secret" },
		{ "Basic YTpiOmM=", "a", "b:c" }, /* RFC 7617 §2: the first colon parts them */
		{ "Basic Og==", "", "" },
		{ "Basic YWRtaW4=", NULL, NULL }, /* no colon */
		{ "Basic YWRtaW46c2VjcmV0!", NULL, NULL },
		{ "Basic", NULL, NULL },
		{ "Bearer YWRtaW46c2VjcmV0", NULL, NULL },
		{ "Basic YQA6Yg==", NULL, NULL }, /* a NUL */
		{ "", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct buf user = { 0 }, password = { 0 };
		bool ok = form_basic(str_from(CASES[i].header), &user, &password);

		if (ok != (CASES[i].user != NULL) ||
		    (ok && (strcmp(buf_cstr(&user), CASES[i].user) != 0 ||
			       strcmp(buf_cstr(&password), CASES[i].password) != 0)))
			fail_msg("case %zu: %s", i, CASES[i].header);
		buf_free(&user);
		buf_free(&password);
	}
}

static void
test_host_name(void **state)
{
	static const char *const CASES[][2] = {
		{ "mail.example.org", "mail.example.org" },
		{ "mail.example.org:8025", "mail.example.org" },
		{ "mail.example.org:", "mail.example.org" },
		{ "mail.example.org:x", "" },
		{ "mail.example.org:70000", "" },
		{ "[::1]", "::1" },
		{ "[::1]:8025", "::1" },
		{ "[::1", "" },
		{ "[::1]8025", "" },
		{ "::1", "" },
		{ "", "" },
		{ ":80", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct str name = guard_host_name(str_from(CASES[i][0]));

		if (!str_eq(name, str_from(CASES[i][1])))
			fail_msg("%s: %.*s", CASES[i][0], (int)name.len, name.p);
	}
}

static void
test_origin(void **state)
{
	static const struct {
		const char *origin, *host;
		bool same;
	} CASES[] = {
		{ "http://127.0.0.1:8025", "127.0.0.1:8025", true },
		{ "https://Mail.Example.org", "mail.example.org", true }, /* behind a proxy */
		{ "http://127.0.0.1:8026", "127.0.0.1:8025", false },
		{ "http://evil.example", "127.0.0.1:8025", false },
		{ "http://127.0.0.1:8025.evil.example", "127.0.0.1:8025", false },
		{ "null", "null", false },
		{ "", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		if (guard_same_origin(str_from(CASES[i].origin), str_from(CASES[i].host)) !=
		    CASES[i].same)
			fail_msg("%s at %s", CASES[i].origin, CASES[i].host);
}

static void
test_status_file(void **state)
{
	struct status_file f;

	(void)state;
	status_file_parse(
	    STR("published 100\nsent 200 a b\n\nsent 150 c\nfailed x y\nnothing\n"
		"odd 5 \x1b[31m\xff\n  began 7  z\nlate 99999999999999999999\nlast 9"),
	    &f);
	assert_int_equal(f.count, 6);
	assert_int_equal(status_file_last(&f, "published")->at, 100);
	assert_string_equal(status_file_last(&f, "published")->text, "");
	assert_string_equal(status_file_last(&f, "sent")->text, "a b"); /* the later one */
	assert_null(status_file_last(&f, "failed"));
	assert_string_equal(status_file_last(&f, "odd")->text, "?[31m?");
	assert_int_equal(status_file_last(&f, "last")->at, 9);
	status_file_free(&f);
	status_file_read("/nowhere", &f);
	assert_int_equal(f.count, 0);
	status_file_free(&f);
	status_file_read(NULL, &f);
	status_file_free(&f);
}

static void
test_words(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} DURATIONS[] = {
		{ -5, "0 seconds" },
		{ 1, "1 second" },
		{ 119, "119 seconds" },
		{ 120, "2 minutes" },
		{ 7199, "119 minutes" },
		{ 7200, "2 hours" },
		{ 172799, "47 hours" },
		{ 172800, "2 days" },
	};
	static const struct {
		uint64_t bytes;
		const char *text;
	} SIZES[] = {
		{ 0, "0 bytes" },
		{ 1023, "1023 bytes" },
		{ 1024, "1.0 KB" },
		{ 10240, "10 KB" },
		{ 1048575, "1.0 MB" },
		{ UINT64_C(5) << 30, "5.0 GB" },
		{ UINT64_MAX, "16 EB" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(DURATIONS); i++) {
		struct buf out = { 0 };

		page_duration(&out, DURATIONS[i].seconds);
		assert_string_equal(buf_cstr(&out), DURATIONS[i].text);
		buf_free(&out);
	}
	for (size_t i = 0; i < ARRAY_LEN(SIZES); i++) {
		struct buf out = { 0 };

		page_size(&out, SIZES[i].bytes);
		assert_string_equal(buf_cstr(&out), SIZES[i].text);
		buf_free(&out);
	}
}

/* Two daemons that count the same family, and one thing of each kind. */
static struct facts
some_facts(void)
{
	static struct metrics_value imapd[] = {
		{ .name = "t_seconds",
		    .unit = "seconds",
		    .help = "A \"time\".",
		    .type = METRIC_HISTOGRAM,
		    .buckets = { 1, 0, 2, [METRICS_BUCKETS] = 1 },
		    .count = 4,
		    .sum_ns = 1500250000 },
		{ .name = "t_things",
		    .unit = "",
		    .help = "Things.",
		    .type = METRIC_COUNTER,
		    .label_count = 1,
		    .label_names = { "kind" },
		    .label_values = { "a\\\"b" },
		    .count = 7 },
	};
	static struct metrics_value lda[] = {
		{ .name = "t_level",
		    .unit = "",
		    .help = "A level.",
		    .type = METRIC_GAUGE,
		    .level = -1 },
		{ .name = "t_things",
		    .unit = "",
		    .help = "Things.",
		    .type = METRIC_COUNTER,
		    .label_count = 1,
		    .label_names = { "kind" },
		    .label_values = { "c" },
		    .count = 8 },
		{ .name = "t_seconds",
		    .unit = "",
		    .help = "Of another release.",
		    .type = METRIC_COUNTER,
		    .count = 1 },
	};
	static struct metrics_reading readings[] = {
		{ .daemon = "imapd",
		    .release = "1",
		    .alive = true,
		    .values = imapd,
		    .value_count = ARRAY_LEN(imapd) },
		{ .daemon = "lda",
		    .release = "1",
		    .alive = true,
		    .values = lda,
		    .value_count = ARRAY_LEN(lda) },
	};
	struct facts f = { .now = 1800000000 };

	f.daemons[0] = (struct facts_daemon){ "imapd", true, true, &readings[0] };
	f.daemons[1] = (struct facts_daemon){ "lda", true, true, &readings[1] };
	for (size_t i = 2; i < FACTS_DAEMONS; i++)
		f.daemons[i] = (struct facts_daemon){ "other", i == 2, false, NULL };
	return f;
}

static void
test_openmetrics(void **state)
{
	static const char *const WANT[] = {
		"# TYPE t_things counter\n# HELP t_things Things.\n"
		"t_things_total{daemon=\"imapd\",kind=\"a\\\\\\\"b\"} 7\n"
		"t_things_total{daemon=\"lda\",kind=\"c\"} 8\n",
		"# TYPE t_level gauge\n# HELP t_level A level.\nt_level{daemon=\"lda\"} -1\n",
		"# TYPE t_seconds histogram\n# UNIT t_seconds seconds\n"
		"# HELP t_seconds A \\\"time\\\".\n"
		"t_seconds_bucket{daemon=\"imapd\",le=\"0.0001\"} 1\n"
		"t_seconds_bucket{daemon=\"imapd\",le=\"0.00025\"} 1\n"
		"t_seconds_bucket{daemon=\"imapd\",le=\"0.0005\"} 3\n"
		"t_seconds_bucket{daemon=\"imapd\",le=\"0.001\"} 3\n",
		"t_seconds_bucket{daemon=\"imapd\",le=\"1.0\"} 3\n",
		"t_seconds_bucket{daemon=\"imapd\",le=\"300.0\"} 3\n"
		"t_seconds_bucket{daemon=\"imapd\",le=\"+Inf\"} 4\n"
		"t_seconds_sum{daemon=\"imapd\"} 1.50025\n"
		"t_seconds_count{daemon=\"imapd\"} 4\n",
	};
	struct facts f = some_facts();
	struct buf out = { 0 };

	(void)state;
	openmetrics_write(&f, &out);
	for (size_t i = 0; i < ARRAY_LEN(WANT); i++)
		if (strstr(buf_cstr(&out), WANT[i]) == NULL)
			fail_msg("not there:\n%s\nin:\n%s", WANT[i], buf_cstr(&out));
	assert_null(strstr(out.data, "t_seconds_total")); /* the first one's type holds */
	assert_string_equal(out.data + out.len - 6, "# EOF\n");
	buf_free(&out);
}

static void
test_page(void **state)
{
	struct facts f = some_facts();
	struct buf out = { 0 }, problems = { 0 };

	(void)state;
	f.hostname = mem_strdup("<mail>");
	page_write(&f, "token", "a & b", &out);
	assert_non_null(strstr(buf_cstr(&out), "<h1>&lt;mail&gt;</h1>"));
	assert_non_null(strstr(out.data, "a &amp; b"));
	assert_non_null(strstr(out.data, "<li>other does not run</li>"));
	assert_non_null(strstr(out.data, "not set up"));
	assert_non_null(strstr(out.data, "lda runs release 1 still"));
	health_problems(&f, &problems);
	assert_string_equal(buf_cstr(&problems), "other does not run\n");
	free(f.hostname);
	buf_free(&out);
	buf_free(&problems);
}

static void
test_html(void **state)
{
	struct buf out = { 0 };

	(void)state;
	http_html(&out, STR("<a href=\"x\" title='y'>&amp;</a>"));
	assert_string_equal(
	    buf_cstr(&out), "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_basic),
		cmocka_unit_test(test_host_name),
		cmocka_unit_test(test_origin),
		cmocka_unit_test(test_status_file),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_openmetrics),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_html),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
