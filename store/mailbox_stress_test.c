/* Many things at once and in any order: a random sequence against a model, many processes on one account,
 * kill -9 at any moment, and how long a mailbox of 100 000 messages takes (printed, not judged).
 * STRESS_SECONDS, STRESS_ROUNDS and STRESS_MESSAGES in the environment make it longer. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/mailbox_test_tree.h"

static unsigned
setting(const char *name, unsigned value)
{
	const char *s = getenv(name);

	return s != NULL ? (unsigned)atoi(s) : value;
}

static uint32_t
next_random(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % below;
}

static const char *const BOXES[] = { "INBOX", "Archive" };

/* --- a random sequence against a model --------------------------------------------------------- */

enum { MODEL_MAX = 20000 };
struct model_box {
	struct model_message {
		uint32_t uid;
		unsigned flags;
		bool work; /* the keyword */
	} m[MODEL_MAX];
	uint32_t count;
};

static void
model_compare(struct mailbox *box, const struct model_box *model, const char *step)
{
	static const char LETTERS[] = "AFDST";
	struct buf want = { 0 };
	char *got = tree_show(box);

	for (uint32_t i = 0; i < model->count; i++) {
		buf_printf(&want, "%s%u:", i > 0 ? " " : "", model->m[i].uid);
		for (unsigned f = 0; f < 5; f++) {
			if ((model->m[i].flags >> f & 1) != 0)
				buf_addc(&want, LETTERS[f]);
		}
		if (model->m[i].work)
			buf_adds(&want, ":Work");
	}
	if (strcmp(got, buf_cstr(&want)) != 0) {
		fprintf(stderr, "after %s:\n got %s\nwant %s\n", step, got, buf_cstr(&want));
		abort();
	}
	free(got);
	buf_free(&want);
}

static void
model_expunge(struct model_box *model)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < model->count; i++) {
		if ((model->m[i].flags & MESSAGE_DELETED) == 0)
			model->m[kept++] = model->m[i];
	}
	model->count = kept;
}

static void
model_transfer(struct mailbox *from_box, struct model_box *from, struct model_box *to,
    const char *to_name, uint32_t first, uint32_t last, bool move)
{
	struct uidset set = { 0 };
	struct copy_result r = { 0 };
	uint32_t n = 0, kept = 0, before = from->count;

	uidset_add_range(&set, first, last);
	if (move)
		CHECK_OK(mailbox_move(from_box, &set, NULL, to_name, &r));
	else
		CHECK_OK(mailbox_copy(from_box, &set, NULL, to_name, &r));
	for (uint32_t i = 0; i < before; i++) {
		if (from->m[i].uid < first || from->m[i].uid > last)
			continue;
		CHECK(to->count < MODEL_MAX);
		to->m[to->count] = from->m[i];
		to->m[to->count++].uid = uidset_nth(&r.to, ++n);
		CHECK(uidset_nth(&r.from, n) == from->m[i].uid);
	}
	CHECK(uidset_count(&r.to) == n);
	for (uint32_t i = 0; move && i < from->count; i++) {
		if (i >= before || from->m[i].uid < first || from->m[i].uid > last)
			from->m[kept++] = from->m[i];
	}
	if (move)
		from->count = kept;
	uidset_free(&set);
	uidset_free(&r.from);
	uidset_free(&r.to);
}

static void
model_flags(struct mailbox *box, struct model_box *model, uint32_t first, uint32_t last, bool add,
    unsigned flags, bool work)
{
	char uids[32];

	snprintf(uids, sizeof(uids), "%u:%u", first, last);
	tree_flag(box, uids, add ? FLAGS_ADD : FLAGS_REMOVE, flags, work ? "Work" : NULL);
	for (uint32_t i = 0; i < model->count; i++) {
		struct model_message *m = &model->m[i];

		if (m->uid < first || m->uid > last)
			continue;
		m->flags = add ? m->flags | flags : m->flags & ~flags;
		m->work = work ? add : m->work;
	}
}

static void
test_random_against_model(void **state)
{
	struct model_box *model = mem_zalloc(2 * sizeof(*model));
	struct mailbox *box[2], *other;
	struct mailbox_changes c = { 0 };
	uint32_t seed = setting("STRESS_SEED", 1), rounds = setting("STRESS_ROUNDS", 60) * 10;
	struct tree t;

	(void)state;
	tree_make(&t);
	for (int i = 0; i < 2; i++)
		CHECK_OK(mailbox_open(t.acct, BOXES[i], false, &box[i]));
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &other));
	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t b = next_random(&seed, 2), op = next_random(&seed, 16);
		uint32_t top = model[b].count > 0 ? model[b].m[model[b].count - 1].uid : 1;
		uint32_t first = 1 + next_random(&seed, top), last = first + next_random(&seed, 4);
		unsigned flags = next_random(&seed, 32);
		uint32_t uid;
		char step[64];

		snprintf(
		    step, sizeof(step), "round %u op %u box %u %u:%u", round, op, b, first, last);
		switch (op) {
		case 0:
		case 1:
		case 2:
			uid = tree_append(&t, BOXES[b], step, flags, op == 0 ? "Work" : NULL);
			model[b].m[model[b].count++] =
			    (struct model_message){ uid, flags, op == 0 };
			break;
		case 3:
			tree_deliver(&t, BOXES[b], step);
			tree_sync(box[b]);
			model[b].m[model[b].count++] =
			    (struct model_message){ uidset_last(mailbox_view(box[b])), 0, false };
			break;
		case 4:
			model_transfer(box[b], &model[b], &model[!b], BOXES[!b], first, last, true);
			break;
		case 5:
			model_transfer(
			    box[b], &model[b], &model[!b], BOXES[!b], first, last, false);
			break;
		case 6:
			model_transfer(box[b], &model[b], &model[b], BOXES[b], first, first, true);
			break;
		case 7:
			CHECK_OK(mailbox_expunge(box[b], NULL, NULL));
			model_expunge(&model[b]);
			break;
		case 8: tree_drop_index(&t); break;
		case 9: CHECK_OK(mailbox_sync(other, next_random(&seed, 2) != 0, &c)); break;
		default:
			model_flags(box[b], &model[b], first, last, op % 2 == 0, flags, op > 13);
			break;
		}
		for (int i = 0; i < 2; i++) {
			tree_sync(box[i]);
			model_compare(box[i], &model[i], step);
		}
	}
	tree_sync(other);
	model_compare(other, &model[0], "the end");
	tree_drop_index(&t);
	for (int i = 0; i < 2; i++) {
		mailbox_close(box[i]);
		CHECK_OK(mailbox_open(t.acct, BOXES[i], false, &box[i]));
		model_compare(box[i], &model[i], "a new index");
		mailbox_close(box[i]);
	}
	mailbox_close(other);
	mailbox_changes_free(&c);
	free(model);
	tree_remove(&t);
}

/* --- many processes ---------------------------------------------------------------------------- */

struct shared {
	_Atomic uint32_t delivered, expunged, moved, flagged, dropped, ready;
	uint8_t acknowledged[MODEL_MAX]; /* by number of the append */
};

static struct shared *
share(void)
{
	struct shared *s =
	    mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(s != MAP_FAILED);
	return s;
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
deliverer(struct tree *t, struct shared *s, unsigned me, double until)
{
	char text[64];

	for (unsigned n = 0; now() < until; n++) {
		snprintf(text, sizeof(text), "p%u-%u\n", me, n);
		if (n % 3 == 0)
			tree_append(t, BOXES[n % 2], text, 0, n % 2 == 0 ? "Work" : NULL);
		else
			tree_deliver(t, BOXES[n % 2], text);
		s->delivered++;
		usleep(2000);
	}
}

/* A UID always leads to the same message. */
static void
check_text(char **texts, struct mailbox *box, uint32_t uid)
{
	char *text = uid < MODEL_MAX ? tree_text(box, uid) : NULL;

	if (text != NULL && texts[uid] != NULL)
		CHECK(strcmp(texts[uid], text) == 0);
	if (text != NULL && texts[uid] == NULL)
		texts[uid] = text;
	else
		free(text);
}

static void
session(struct tree *t, struct shared *s, unsigned me, double until)
{
	char **texts = mem_zalloc(MODEL_MAX * sizeof(char *));
	uint32_t seed = me * 7919;
	unsigned which = me % 2;
	struct mailbox *box;

	CHECK_OK(mailbox_open(t->acct, BOXES[which], false, &box));
	while (now() < until) {
		uint32_t count = uidset_count(mailbox_view(box)), op = next_random(&seed, 20);
		uint32_t uid = mailbox_seq_to_uid(box, 1 + next_random(&seed, count + 1));
		struct uidset one = { 0 };
		struct copy_result r = { 0 };

		uidset_add(&one, uid);
		if (op < 8) {
			CHECK_OK(mailbox_store_flags(box, &one,
			    &(struct flags_change){ .mode = op % 2 == 0 ? FLAGS_ADD : FLAGS_REMOVE,
				.flags = op < 4 ? MESSAGE_SEEN : MESSAGE_FLAGGED },
			    NULL));
			s->flagged++;
		} else if (op < 12) {
			CHECK_OK(mailbox_move(box, &one, NULL, BOXES[!which], &r));
			s->moved += uidset_count(&r.to);
			CHECK(uidset_count(&r.to) == uidset_count(&r.from));
		} else if (op < 14) {
			struct uidset gone = { 0 };

			CHECK_OK(mailbox_store_flags(box, &one,
			    &(struct flags_change){ .mode = FLAGS_ADD, .flags = MESSAGE_DELETED },
			    NULL));
			CHECK_OK(mailbox_expunge(box, &one, &gone));
			s->expunged += uidset_count(&gone);
			uidset_free(&gone);
		} else if (op == 14 && me == 7) {
			tree_drop_index(t);
			s->dropped++;
		} else if (uid != 0) {
			check_text(texts, box, uid);
		}
		tree_sync(box);
		uidset_free(&one);
		uidset_free(&r.from);
		uidset_free(&r.to);
	}
	for (uint32_t i = 0; i < MODEL_MAX; i++)
		free(texts[i]);
	free(texts);
	mailbox_close(box);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All texts of the two mailboxes, sorted; each names its message. */
static char **
all_texts(struct tree *t, uint32_t *count_out, uint32_t per_box_out[2])
{
	char **texts = NULL;
	uint32_t count = 0;

	for (int i = 0; i < 2; i++) {
		const struct uidset *view;
		struct mailbox *box;

		CHECK_OK(mailbox_open(t->acct, BOXES[i], true, &box));
		view = mailbox_view(box);
		per_box_out[i] = uidset_count(view);
		texts = mem_realloc_array(texts, count + uidset_count(view) + 1, sizeof(char *));
		for (uint32_t u = uidset_next(view, 0); u != 0; u = uidset_next(view, u)) {
			texts[count] = tree_text(box, u);
			CHECK(texts[count] != NULL);
			count++;
		}
		mailbox_close(box);
	}
	/* no lost file, none twice: folders and index hold the same */
	CHECK(tree_count(t, "cur") == per_box_out[0]);
	CHECK(tree_count(t, ".Archive/cur") == per_box_out[1]);
	qsort(texts, count, sizeof(char *), by_text);
	*count_out = count;
	return texts;
}

static void
free_texts(char **texts, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

static void
test_many_processes(void **state)
{
	enum { DELIVERERS = 3, PROCESSES = 8 };
	struct shared *s = share();
	double until = now() + setting("STRESS_SECONDS", 5);
	uint32_t count, per_box[2];
	struct tree t;
	char **texts;

	(void)state;
	tree_make(&t);
	tree_close(&t);
	for (unsigned i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			tree_open(&t);
			if (i < DELIVERERS)
				deliverer(&t, s, i, until);
			else
				session(&t, s, i, until);
			tree_close(&t);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < PROCESSES; i++) {
		int status;

		CHECK(wait(&status) > 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	tree_open(&t);
	texts = all_texts(&t, &count, per_box);
	printf("processes: delivered=%u moved=%u flagged=%u expunged=%u index dropped=%u left=%u\n",
	    s->delivered, s->moved, s->flagged, s->expunged, s->dropped, count);
	for (uint32_t i = 1; i < count; i++)
		CHECK(strcmp(texts[i - 1], texts[i]) != 0);
	CHECK(count + s->expunged == s->delivered);
	free_texts(texts, count);
	munmap(s, sizeof(*s));
	tree_remove(&t);
}

/* Each changes a flag again and again; nobody may starve. */
static void
test_fair_writers(void **state)
{
	enum { WRITERS = 16 };
	struct fair {
		double longest_s;
		unsigned changes;
	} *fair = mmap(NULL, WRITERS * sizeof(*fair), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double until, longest_s = 0;
	unsigned changes = 0, fewest = UINT32_MAX;
	struct tree t;

	(void)state;
	CHECK(fair != MAP_FAILED);
	tree_make(&t);
	for (unsigned i = 0; i < WRITERS; i++)
		tree_append(&t, "INBOX", "x\n", 0, NULL);
	tree_close(&t);
	until = now() + setting("STRESS_SECONDS", 5);
	for (unsigned i = 0; i < WRITERS; i++) {
		struct mailbox *box;
		char uid[16];

		if (fork() != 0)
			continue;
		tree_open(&t);
		CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
		snprintf(uid, sizeof(uid), "%u", i + 1);
		while (now() < until) {
			double since = now();

			tree_flag(box, uid, fair[i].changes % 2 == 0 ? FLAGS_ADD : FLAGS_REMOVE,
			    MESSAGE_FLAGGED, NULL);
			fair[i].changes++;
			if (now() - since > fair[i].longest_s)
				fair[i].longest_s = now() - since;
		}
		_exit(0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		int status;

		CHECK(wait(&status) > 0);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		longest_s = fair[i].longest_s > longest_s ? fair[i].longest_s : longest_s;
		fewest = fair[i].changes < fewest ? fair[i].changes : fewest;
		changes += fair[i].changes;
	}
	printf("writers: %u changes, the fewest of one %u, the longest wait %.0f ms\n", changes,
	    fewest, longest_s * 1e3);
	CHECK(longest_s < 2);
	munmap(fair, WRITERS * sizeof(*fair));
	tree_open(&t);
	tree_remove(&t);
}

/* --- kill -9 ----------------------------------------------------------------------------------- */

static void
victim(struct tree *t, struct shared *s, uint32_t seed)
{
	struct mailbox *box[2];

	tree_open(t);
	for (int i = 0; i < 2; i++)
		CHECK_OK(mailbox_open(t->acct, BOXES[i], false, &box[i]));
	for (s->ready = 1;;) {
		uint32_t b = next_random(&seed, 2), op = next_random(&seed, 6);
		uint32_t count = uidset_count(mailbox_view(box[b]));
		uint32_t uid = mailbox_seq_to_uid(box[b], 1 + next_random(&seed, count + 1));
		struct copy_result r = { 0 };
		struct uidset one = { 0 };
		char text[32];

		uidset_add(&one, uid);
		if (op == 0) {
			uint32_t n = s->delivered++;

			CHECK(n < MODEL_MAX);
			snprintf(text, sizeof(text), "m%u\n", n);
			tree_append(t, BOXES[b], text, MESSAGE_SEEN, NULL);
			s->acknowledged[n] = 1;
		} else if (op <= 2) {
			CHECK_OK(mailbox_move(box[b], &one, NULL, BOXES[op == 1 ? !b : b], &r));
			s->moved += uidset_count(&r.to);
		} else if (op == 3) {
			tree_drop_index(t);
		} else {
			CHECK_OK(mailbox_store_flags(box[b], &one,
			    &(struct flags_change){ .mode = FLAGS_ADD, .flags = MESSAGE_FLAGGED },
			    NULL));
		}
		tree_sync(box[b]);
		uidset_free(&one);
		uidset_free(&r.from);
		uidset_free(&r.to);
	}
}

static void
test_kill(void **state)
{
	struct shared *s = share();
	unsigned rounds = setting("STRESS_ROUNDS", 60);
	uint32_t seed = 3, count, per_box[2];
	struct tree t;

	(void)state;
	tree_make(&t);
	for (unsigned round = 0; round < rounds; round++) {
		char **texts, text[32];
		pid_t pid;

		tree_close(&t);
		s->ready = 0;
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0)
			victim(&t, s, round + 1);
		while (s->ready == 0)
			usleep(500);
		usleep(next_random(&seed, 60000));
		kill(pid, SIGKILL);
		CHECK(waitpid(pid, NULL, 0) == pid);
		tree_open(&t);
		texts = all_texts(&t, &count, per_box);
		for (uint32_t i = 0; i < s->delivered; i++) {
			char *key = text;

			snprintf(text, sizeof(text), "m%u\n", i);
			CHECK(bsearch(&key, texts, count, sizeof(char *), by_text) != NULL ||
			      s->acknowledged[i] == 0);
		}
		/* no APPEND twice, no MOVE in both mailboxes */
		for (uint32_t i = 1; i < count; i++)
			CHECK(strcmp(texts[i - 1], texts[i]) != 0);
		free_texts(texts, count);
	}
	printf("kills: rounds=%u appended=%u moved=%u\n", rounds, s->delivered, s->moved);
	munmap(s, sizeof(*s));
	tree_remove(&t);
}

/* --- a large mailbox --------------------------------------------------------------------------- */

static void
report(const char *what, double since)
{
	printf("large: %-42s %8.2f ms\n", what, (now() - since) * 1e3);
}

static void
test_large_mailbox(void **state)
{
	unsigned count = setting("STRESS_MESSAGES", 100000);
	struct mailbox *box;
	struct uidset found = { 0 };
	struct tree t;
	double since;
	int cur;

	(void)state;
	tree_make(&t);
	cur = openat(account_dir_fd(t.acct), "cur", O_RDONLY | O_DIRECTORY);
	for (unsigned i = 1; i <= count; i++) {
		char name[128];
		int fd;

		snprintf(name, sizeof(name), "%u.M%uP1Q%u.host,S=2,W=3:2,%s", 1000000 + i, i, i,
		    i % 10 == 0 ? "" : "S");
		fd = openat(cur, name, O_WRONLY | O_CREAT, 0600);
		CHECK(fd >= 0);
		CHECK(write(fd, "x\n", 2) == 2);
		close(fd);
	}
	close(cur);
	since = now();
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	report("first open: all UIDs given", since);
	tree_sync(box);
	mailbox_close(box);
	for (int i = 0; i < 2; i++) {
		since = now();
		CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
		report("open", since);
		since = now();
		tree_flag(box, "5", i == 0 ? FLAGS_ADD : FLAGS_REMOVE, MESSAGE_FLAGGED, NULL);
		report("set a flag", since);
		mailbox_close(box);
	}
	since = now();
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	report("open after own flag change", since);
	since = now();
	tree_sync(box);
	report("sync, nothing new", since);
	tree_deliver(&t, "INBOX", "new\n");
	since = now();
	tree_sync(box);
	report("sync after a delivery", since);
	CHECK(uidset_count(mailbox_view(box)) == count + 1);
	since = now();
	CHECK_OK(mailbox_find(
	    box, &(struct mailbox_query){ .flags_clear = MESSAGE_SEEN }, &found, NULL));
	report("SEARCH UNSEEN", since);
	CHECK(uidset_count(&found) == count / 10 + 1);
	since = now();
	CHECK_OK(mailbox_find(box, &(struct mailbox_query){ .larger_than = 3 }, &found, NULL));
	report("SEARCH LARGER", since);
	CHECK(uidset_count(&found) == 1);
	mailbox_close(box);
	tree_reopen(&t);
	since = now();
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	report("open, the process's first", since);
	mailbox_close(box);
	tree_drop_index(&t);
	since = now();
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	report("open, index lost", since);
	mailbox_close(box);
	uidset_free(&found);
	tree_remove(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_against_model),
		cmocka_unit_test(test_many_processes),
		cmocka_unit_test(test_fair_writers),
		cmocka_unit_test(test_kill),
		cmocka_unit_test(test_large_mailbox),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
