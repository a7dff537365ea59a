/* The filters here are scripts of this test's own making: filter_run() below plays them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "filter/sequence.h"

struct filter {
	enum filter_status status;
	struct filter_result result;
	char seen_message[200]; /* what it was shown */
	unsigned runs;
};

enum filter_status
filter_run(const struct filter *filter, const struct filter_message *message,
    const struct filter_run_options *options, struct arena *arena, struct filter_result *result_out,
    struct filter_error *error_out)
{
	struct filter *f = (struct filter *)(uintptr_t)filter;

	(void)options, (void)arena;
	f->runs++;
	snprintf(f->seen_message, sizeof(f->seen_message), "%.*s", (int)message->bytes.len,
	    message->bytes.p);
	*result_out = (struct filter_result){ 0 };
	if (f->status == FILTER_OK)
		*result_out = f->result;
	else
		snprintf(error_out->text, sizeof(error_out->text), "broken");
	return f->status;
}

/* "k" keep, "s" keep with \Seen, "w" keep with keyword w, "f" fileinto, "c" fileinto that lets the implicit keep
 * stand, "r" redirect, "d" discard, "e" edits the header and keeps, "b" edits header and body and keeps; "!" fails,
 * "?" fails for now. */
static const char *WORDS[] = { "w" };
static const struct filter_edit HEADER_EDIT = { .header = { "Subject: edited\n", 16 } };
static const struct filter_edit BODY_EDIT = { .header = { "Subject: both\n", 14 },
	.body = { "new\n", 4 } };

static void
add(struct filter *f, struct filter_action a)
{
	f->result.actions[f->result.action_count++] = a;
}

static void
make_filter(struct filter *f, const char *what)
{
	for (; *what != '\0'; what++) {
		switch (*what) {
		case 'k': add(f, (struct filter_action){ .kind = FILTER_KEEP }); break;
		case 's':
			add(f, (struct filter_action){ .kind = FILTER_KEEP, .store.flags = 8 });
			break;
		case 'w':
			add(f, (struct filter_action){ .kind = FILTER_KEEP,
				   .store.keywords = WORDS,
				   .store.keyword_count = 1 });
			break;
		case 'f': add(f, (struct filter_action){ .kind = FILTER_FILEINTO }); break;
		case 'c':
			add(f, (struct filter_action){ .kind = FILTER_FILEINTO });
			add(f, (struct filter_action){ .kind = FILTER_KEEP, .implicit = true });
			break;
		case 'r': add(f, (struct filter_action){ .kind = FILTER_REDIRECT }); break;
		case 'd': add(f, (struct filter_action){ .kind = FILTER_DISCARD }); break;
		case 'e':
		case 'b':
			f->result.edit = *what == 'e' ? &HEADER_EDIT : &BODY_EDIT;
			add(f,
			    (struct filter_action){ .kind = FILTER_KEEP, .edit = f->result.edit });
			break;
		case '!': f->status = FILTER_RUN_ERROR; break;
		default: f->status = FILTER_TEMPFAIL; break;
		}
	}
}

struct sequence_case {
	const char *steps;    /* divided by ','; the own one is in brackets */
	const char *actions;  /* K with its flags and keywords, F, R, D; the digit is the step */
	const char *failures; /* their steps */
	bool seen;
};

static const struct sequence_case CASES[] = {
	{ "(k)", "K0", "", false },
	{ "(f)", "F0", "", true },
	{ "(d)", "D0", "", true },
	{ "k,(k),k", "K2", "", false },
	/* the keep of each decides whether the next runs */
	{ "f,(k),k", "F0", "", true },
	{ "c,(f),k", "F0F1", "", true },
	{ "c,(c),c", "F0F1F2K2", "", false },
	{ "k,(d),k", "D1", "", true },
	{ "k,(k),f", "F2", "", true },
	/* flags stay with the message */
	{ "s,(k)", "Ks1", "", false },
	{ "w,(s)", "Kws1", "", false },
	{ "(s),w", "Kws1", "", false },
	/* one that fails */
	{ "!,(f)", "F1", "0", true },
	{ "c,(!),f", "F0K0", "1", false },
	{ "c,!,(k)", "F0K2", "1", false },
	{ "(s),!", "Ks0", "1", false },
	{ "(c),!,!", "F0K0", "12", false },
	{ "s,(!)", "Ks0", "1", false },
	{ "(!)", "K0", "0", false },
	/* the bounds hold for all together */
	{ "rrrk,(rr)", "R0R0R0K0", "1", false },
	{ "rrk,(rr)", "R0R0R1R1", "", true },
};

static size_t
make_steps(const char *text, struct filter *filters, struct filter_step *steps)
{
	char part[32];
	size_t count = 0;

	while (*text != '\0') {
		size_t n = strcspn(text, ",");

		snprintf(part, sizeof(part), "%.*s", (int)n, text);
		steps[count] =
		    (struct filter_step){ .filter = &filters[count], .own = part[0] == '(' };
		if (part[0] == '(')
			part[strlen(part) - 1] = '\0';
		make_filter(&filters[count], part + (part[0] == '('));
		text += n + (text[n] == ',');
		count++;
	}
	return count;
}

static void
show(const struct filter_sequence_result *r, struct buf *out)
{
	for (size_t i = 0; i < r->result.action_count; i++) {
		const struct filter_action *a = &r->result.actions[i];

		buf_addc(out, "KFSRXD"[a->kind]);
		if (a->store.keyword_count > 0)
			buf_adds(out, a->store.keywords[0]);
		if (a->store.flags != 0)
			buf_addc(out, 's');
		buf_printf(out, "%zu", r->step_of[i]);
	}
}

static void
test_sequences(void **state)
{
	struct filter_message message = { .fd = -1, .bytes = { "Subject: x\n\nbody\n", 17 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
		struct filter filters[8] = { 0 };
		struct filter_step steps[8];
		size_t count = make_steps(CASES[i].steps, filters, steps);
		struct filter_sequence_result *r = mem_alloc(sizeof(*r));
		struct arena arena = { 0 };
		struct buf actions = { 0 }, failures = { 0 };

		assert_int_equal(
		    filter_sequence_run(steps, count, &message, NULL, &arena, r), FILTER_OK);
		show(r, &actions);
		for (size_t f = 0; f < r->failure_count; f++)
			buf_printf(&failures, "%zu", r->failures[f].step);
		if (strcmp(buf_cstr(&actions), CASES[i].actions) != 0)
			fail_msg("%s gives %s, not %s", CASES[i].steps, buf_cstr(&actions),
			    CASES[i].actions);
		assert_string_equal(buf_cstr(&failures), CASES[i].failures);
		assert_int_equal(r->result.seen, CASES[i].seen);
		buf_free(&actions);
		buf_free(&failures);
		arena_free(&arena);
		free(r);
	}
}

static void
test_edits_are_carried_over(void **state)
{
	struct filter_message message = { .fd = -1, .bytes = { "Subject: x\n\nbody\n", 17 } };
	struct filter filters[8] = { 0 };
	struct filter_step steps[8];
	size_t count = make_steps("e,(b),e,k", filters, steps);
	struct filter_sequence_result r;
	struct arena arena = { 0 };

	(void)state;
	assert_int_equal(filter_sequence_run(steps, count, &message, NULL, &arena, &r), FILTER_OK);
	assert_string_equal(filters[0].seen_message, "Subject: x\n\nbody\n");
	assert_string_equal(filters[1].seen_message, "Subject: edited\n\nbody\n");
	assert_string_equal(filters[2].seen_message, "Subject: both\n\nnew\n");
	/* the third left the body alone that the second had made */
	assert_string_equal(filters[3].seen_message, "Subject: edited\n\nnew\n");
	assert_int_equal(r.result.action_count, 1);
	assert_non_null(r.result.actions[0].edit);
	assert_memory_equal(r.result.actions[0].edit->body.p, "new\n", 4);
	arena_free(&arena);
}

static void
test_failing_for_now_gives_nothing(void **state)
{
	struct filter_message message = { .fd = -1, .bytes = { "Subject: x\n\nbody\n", 17 } };
	struct filter filters[8] = { 0 };
	struct filter_step steps[8];
	size_t count = make_steps("c,(k),?,k", filters, steps);
	struct filter_sequence_result r;
	struct arena arena = { 0 };

	(void)state;
	assert_int_equal(
	    filter_sequence_run(steps, count, &message, NULL, &arena, &r), FILTER_TEMPFAIL);
	assert_int_equal(r.result.action_count, 0);
	assert_int_equal(filters[3].runs, 0);
	arena_free(&arena);
}

/* One that does not compile fails with its own words. */
static void
test_broken_step(void **state)
{
	struct filter_message message = { .fd = -1, .bytes = { "\n", 1 } };
	struct filter_error why = { .line = 3, .text = "no such command" };
	struct filter_step step = { .broken = &why, .own = true };
	struct filter_sequence_result r;
	struct arena arena = { 0 };

	(void)state;
	assert_int_equal(filter_sequence_run(&step, 1, &message, NULL, &arena, &r), FILTER_OK);
	assert_int_equal(r.failure_count, 1);
	assert_int_equal(r.failures[0].error.line, 3);
	assert_int_equal(r.result.action_count, 1);
	assert_int_equal(r.result.actions[0].kind, FILTER_KEEP);
	arena_free(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_edits_are_carried_over),
		cmocka_unit_test(test_failing_for_now_gives_nothing),
		cmocka_unit_test(test_broken_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
