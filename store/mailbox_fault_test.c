/* What happens when a system call fails in the middle of APPEND, COPY, MOVE, STORE, EXPUNGE or the arrival of mail:
 * every call that changes the disk is made to fail once, one run for each.  The linker puts the __wrap_ functions in
 * front of the library's (-Wl,--wrap). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "store/index.h"
#include "store/kept.h"
#include "store/mailbox_test_tree.h"

/* --- calls that fail --------------------------------------------------------------------------- */

enum call { FSYNC_FILE, FSYNC_DIR, RENAME, RENAME_NEW, LINK, UNLINK, WRITE, OPEN, COMMIT, CALLS };
static const char *const CALL_NAMES[CALLS] = { "fsync of a file", "fsync of a directory", "rename",
	"rename without replacing", "link", "unlink", "write", "open", "commit of the index" };

enum { FAILED_MAX = 16 };
static struct {
	bool armed, fired;
	bool lasting; /* all such calls fail from then on */
	bool kill;    /* the process ends there instead */
	enum call call;
	unsigned left; /* calls that still succeed */
	int errnum;
	struct statx failed[FAILED_MAX]; /* files whose fsync has failed: never to be asked again */
	unsigned failed_count;
	ino_t lease_dir; /* a folder whose sanger-mailbox is in place, but not synced; 0: none */
} fault;

static bool
fails(enum call call)
{
	if (!fault.armed || call != fault.call || (fault.fired && !fault.lasting))
		return false;
	if (!fault.fired && fault.left > 0) {
		fault.left--;
		return false;
	}
	if (fault.kill)
		_exit(9);
	fault.fired = true;
	errno = fault.errnum;
	return true;
}

/* An inode's number alone is used again as soon as the file is gone. */
static bool
is_same_file(const struct statx *a, const struct statx *b)
{
	return a->stx_ino == b->stx_ino && a->stx_btime.tv_sec == b->stx_btime.tv_sec &&
	       a->stx_btime.tv_nsec == b->stx_btime.tv_nsec;
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int
__wrap_fsync(int fd)
{
	struct statx st;
	bool is_dir;

	CHECK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) == 0);
	is_dir = S_ISDIR(st.stx_mode);
	for (unsigned i = 0; i < fault.failed_count && !is_dir; i++)
		CHECK(!is_same_file(&fault.failed[i], &st));
	if (fails(is_dir ? FSYNC_DIR : FSYNC_FILE)) {
		if (!is_dir && fault.failed_count < FAILED_MAX)
			fault.failed[fault.failed_count++] = st;
		return -1;
	}
	if (st.stx_ino == fault.lease_dir)
		fault.lease_dir = 0;
	return 0; /* nobody pulls the plug here */
}

int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int
__wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat st;

	if (fails(RENAME))
		return -1;
	if (strcmp(to, "sanger-mailbox") == 0 && fstat(to_fd, &st) == 0)
		fault.lease_dir = st.st_ino;
	return __real_renameat(from_fd, from, to_fd, to);
}

int __real_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags);
int
__wrap_renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return fails(RENAME_NEW) ? -1 : __real_renameat2(from_fd, from, to_fd, to, flags);
}

int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int
__wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return fails(LINK) ? -1 : __real_linkat(from_fd, from, to_fd, to, flags);
}

int __real_unlinkat(int fd, const char *path, int flags);
int __wrap_unlinkat(int fd, const char *path, int flags);
int
__wrap_unlinkat(int fd, const char *path, int flags)
{
	return fails(UNLINK) ? -1 : __real_unlinkat(fd, path, flags);
}

ssize_t __real_write(int fd, const void *bytes, size_t len);
ssize_t __wrap_write(int fd, const void *bytes, size_t len);
ssize_t
__wrap_write(int fd, const void *bytes, size_t len)
{
	return fails(WRITE) ? -1 : __real_write(fd, bytes, len);
}

int __real_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...);
int
__wrap_openat(int fd, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
	va_end(args);
	return fails(OPEN) ? -1 : __real_openat(fd, path, flags, mode);
}

enum store_err __real_index_commit(struct index *ix);
enum store_err __wrap_index_commit(struct index *ix);
enum store_err
__wrap_index_commit(struct index *ix)
{
	if (!fails(COMMIT))
		return __real_index_commit(ix);
	index_rollback(ix);
	return store_err_from_errno(errno);
}

/* --- what is done ------------------------------------------------------------------------------ */

static enum store_err
append_some(struct tree *t, const char *mailbox, unsigned count)
{
	const struct append_message_info info = { .flags = MESSAGE_SEEN,
		.internaldate_s = 1000000000 };
	struct append *ap;
	char text[32];
	uint32_t validity;
	enum store_err err = append_begin(t->acct, mailbox, &ap);

	if (err != STORE_OK)
		return err;
	for (unsigned i = 0; i < count && err == STORE_OK; i++) {
		err = append_message(ap, &info);
		snprintf(text, sizeof(text), "appended %u\n", i);
		if (err == STORE_OK)
			err = append_write(ap, text, strlen(text));
	}
	if (err == STORE_OK)
		err = append_commit(ap, &validity, NULL);
	append_end(ap);
	return err;
}

static enum store_err
do_append(struct tree *t, struct mailbox *box)
{
	(void)box;
	return append_some(t, "Archive", 1);
}

static enum store_err
do_multiappend(struct tree *t, struct mailbox *box)
{
	(void)box;
	return append_some(t, "Archive", 3);
}

static enum store_err
do_copy(struct tree *t, struct mailbox *box)
{
	struct copy_result r = { 0 };
	enum store_err err = mailbox_copy(box, mailbox_view(box), NULL, "Archive", &r);

	(void)t;
	uidset_free(&r.from);
	uidset_free(&r.to);
	return err;
}

static enum store_err
do_move(struct tree *t, struct mailbox *box)
{
	struct copy_result r = { 0 };
	enum store_err err = mailbox_move(box, mailbox_view(box), NULL, "Archive", &r);

	(void)t;
	uidset_free(&r.from);
	uidset_free(&r.to);
	return err;
}

static enum store_err
do_store(struct tree *t, struct mailbox *box)
{
	const char *keyword = "Fresh";

	(void)t;
	return mailbox_store_flags(box, mailbox_view(box),
	    &(struct flags_change){ .mode = FLAGS_ADD,
		.flags = MESSAGE_FLAGGED,
		.keywords = &keyword,
		.keyword_count = 1 },
	    NULL);
}

static enum store_err
do_expunge(struct tree *t, struct mailbox *box)
{
	(void)t;
	return mailbox_expunge(box, NULL, NULL);
}

/* "two" makes room for another message; nothing to do where that has happened. */
static enum store_err
replace_into(struct tree *t, struct mailbox *box, const char *mailbox)
{
	const struct append_message_info info = { .internaldate_s = 1000000000 };
	struct append *ap;
	uint32_t validity;
	enum store_err err;

	if (mailbox_uid_to_seq(box, 2) == 0)
		return STORE_OK;
	err = append_begin(t->acct, mailbox, &ap);
	if (err != STORE_OK)
		return err;
	err = append_replaces(ap, box, 2);
	if (err == STORE_OK)
		err = append_message(ap, &info);
	if (err == STORE_OK)
		err = append_write(ap, "instead\n", 8);
	if (err == STORE_OK)
		err = append_commit(ap, &validity, NULL);
	append_end(ap);
	return err;
}

static enum store_err
do_replace(struct tree *t, struct mailbox *box)
{
	return replace_into(t, box, "INBOX");
}

static enum store_err
do_replace_there(struct tree *t, struct mailbox *box)
{
	return replace_into(t, box, "Archive");
}

/* Two messages lie in new/. */
static enum store_err
do_arrival(struct tree *t, struct mailbox *box)
{
	struct mailbox_changes c = { 0 };
	enum store_err err = mailbox_sync(box, true, &c);

	(void)t;
	mailbox_changes_free(&c);
	return err;
}

enum remains {
	AS_BEFORE, /* the same messages, flags too */
	FLAGS_MAY_DIFFER,
	FEWER,    /* some of those with \Deleted may be gone already */
	MOVED,    /* each in one of the two mailboxes */
	REPLACED, /* the old one or the new one, or both where the process died in between */
	ARRIVED,  /* what lay in new/ may have got its UID */
};
static const struct op {
	const char *name;
	enum store_err (*run)(struct tree *t, struct mailbox *box);
	enum remains remains; /* after a failure */
} OPS[] = {
	{ "APPEND", do_append, AS_BEFORE },
	{ "MULTIAPPEND", do_multiappend, AS_BEFORE },
	{ "COPY", do_copy, AS_BEFORE },
	{ "MOVE", do_move, MOVED },
	{ "STORE", do_store, FLAGS_MAY_DIFFER },
	{ "EXPUNGE", do_expunge, FEWER },
	{ "REPLACE", do_replace, REPLACED },
	{ "REPLACE elsewhere", do_replace_there, REPLACED },
	{ "arrival", do_arrival, ARRIVED },
};

/* --- what must hold afterwards ----------------------------------------------------------------- */

static const char *const BOXES[] = { "INBOX", "Archive" };

/* "uid=text" per message, or with flags; both mailboxes one behind the other. */
static char *
contents(struct tree *t, bool with_uids, bool with_flags)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(BOXES); i++) {
		const struct uidset *view;
		struct mailbox *box;
		char *shown;

		CHECK_OK(mailbox_open(t->acct, BOXES[i], true, &box));
		view = mailbox_view(box);
		buf_printf(&out, "%s\n", BOXES[i]);
		for (uint32_t u = uidset_next(view, 0); u != 0; u = uidset_next(view, u)) {
			char *text = tree_text(box, u);

			CHECK(text != NULL);
			if (with_uids)
				buf_printf(&out, "%u=", u);
			buf_adds(&out, text);
			free(text);
		}
		shown = tree_show(box);
		if (with_flags)
			buf_printf(&out, "%s\n", shown);
		free(shown);
		mailbox_close(box);
	}
	return buf_take(&out);
}

static unsigned
occurrences(const char *in, const char *what)
{
	unsigned n = 0;

	for (; (in = strstr(in, what)) != NULL; in += strlen(what))
		n++;
	return n;
}

static uint32_t
uidnext_of(struct tree *t, const char *mailbox)
{
	struct mailbox_status status;

	CHECK_OK(account_status(t->acct, mailbox, &status));
	return status.uidnext;
}

struct before {
	char *all, *texts; /* NULL: not known */
};

static void
check_replaced(unsigned old, unsigned new, enum store_err err)
{
	CHECK(err == STORE_OK ? old == 0 && new == 1 : old <= 1 && new <= 1 && old + new > 0);
}

static void
check_messages(struct tree *t, const struct op *op, enum store_err err, const struct before *before)
{
	static const char *const TEXTS[] = { "one\n", "two\n", "three\n" };
	char *all = contents(t, true, true), *uids = contents(t, true, false);
	bool copied = err == STORE_OK && op->run == do_copy;

	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
		unsigned n = occurrences(all, TEXTS[i]);

		if (op->remains == FEWER && i == 1) /* "two" has \Deleted */
			CHECK(err == STORE_OK ? n == 0 : n <= 1);
		else if (op->remains == REPLACED && i == 1)
			check_replaced(n, occurrences(all, "instead\n"), err);
		else
			CHECK(n == (copied ? 2u : 1u));
	}
	CHECK(occurrences(all, "new ") == 2 * (copied ? 2u : 1u));
	if (err != STORE_OK && op->remains == AS_BEFORE && before->all != NULL)
		CHECK(strcmp(all, before->all) == 0);
	if (err != STORE_OK && op->remains == FLAGS_MAY_DIFFER && before->texts != NULL)
		CHECK(strcmp(uids, before->texts) == 0);
	free(all);
	free(uids);
}

static void
check_nothing_left_over(struct tree *t)
{
	CHECK(tree_count(t, "tmp") == 0);
	CHECK(tree_count(t, ".Archive/tmp") == 0);
	CHECK(tree_find(t, ".", ".new.")[0] == '\0');
	CHECK(tree_find(t, ".Archive", ".new.")[0] == '\0');
}

/* The next change works, gives UIDs nobody has seen, below a lease that is on disk; and the tree says what the index
 * says. */
static void
check_next(struct tree *t)
{
	uint32_t next[2], uid;
	char *with_index, *without;

	for (size_t i = 0; i < ARRAY_LEN(BOXES); i++)
		next[i] = uidnext_of(t, BOXES[i]);
	for (size_t i = 0; i < ARRAY_LEN(BOXES); i++) {
		uid = tree_append(t, BOXES[i], "next\n", 0, NULL);
		CHECK(uid >= next[i]);
		CHECK(fault.lease_dir == 0);
	}
	with_index = contents(t, true, true);
	tree_drop_index(t);
	without = contents(t, true, true);
	if (strcmp(with_index, without) != 0) {
		fprintf(stderr, "index: %s\ntree: %s\n", with_index, without);
		abort();
	}
	free(with_index);
	free(without);
}

static void
prepare(struct tree *t, struct mailbox **box_out, const struct op *op)
{
	static const struct {
		const char *text, *keyword;
		unsigned flags;
	} MESSAGES[] = { { "one\n", "Work", 0 }, { "two\n", NULL, MESSAGE_DELETED },
		{ "three\n", NULL, MESSAGE_SEEN } };

	fault.armed = false;
	tree_make(t);
	for (size_t i = 0; i < ARRAY_LEN(MESSAGES); i++)
		tree_append(t, "INBOX", MESSAGES[i].text, MESSAGES[i].flags, MESSAGES[i].keyword);
	CHECK_OK(mailbox_open(t->acct, "INBOX", false, box_out));
	tree_deliver(t, "INBOX", "new 1\n");
	tree_deliver(t, "INBOX", "new 2\n");
	if (op->run != do_arrival)
		tree_sync(*box_out);
}

static void
arm(enum call call, unsigned nth, int errnum)
{
	memset(&fault, 0, sizeof(fault));
	fault.call = call;
	fault.left = nth;
	fault.errnum = errnum;
	fault.armed = true;
}

/* False: the operation makes fewer such calls than that. */
static bool
run_with_fault(const struct op *op, enum call call, unsigned nth, int errnum, bool lasting)
{
	struct before before = { 0 };
	struct mailbox *box;
	enum store_err err;
	struct tree t;
	bool fired;

	prepare(&t, &box, op);
	if (op->run != do_arrival) {
		before.all = contents(&t, true, true);
		before.texts = contents(&t, true, false);
	}
	arm(call, nth, errnum);
	fault.lasting = lasting;
	err = op->run(&t, box);
	fault.armed = false;
	fired = fault.fired;
	if (getenv("TEST_VERBOSE") != NULL && fired)
		printf("%s: %s no. %u %s: %s\n", op->name, CALL_NAMES[call], nth + 1,
		    strerror(errnum), store_err_text(err));
	if (fired && err != STORE_OK)
		CHECK(err == (errnum == ENOSPC ? STORE_FULL : STORE_IO));
	else
		CHECK(err == STORE_OK);
	tree_sync(box);
	check_messages(&t, op, err, &before);
	if (!lasting && call != UNLINK)
		check_nothing_left_over(&t);
	/* again, and this time it works */
	if (err != STORE_OK && op->run != do_arrival)
		CHECK_OK(op->run(&t, box));
	check_next(&t);
	mailbox_close(box);
	tree_remove(&t);
	free(before.all);
	free(before.texts);
	return fired;
}

static void
test_each_call_fails_once(void **state)
{
	static const int ERRORS[] = { EIO, ENOSPC };

	(void)state;
	for (size_t o = 0; o < ARRAY_LEN(OPS); o++) {
		unsigned runs = 0;

		for (enum call c = 0; c < CALLS; c++) {
			for (size_t e = 0; e < ARRAY_LEN(ERRORS); e++) {
				unsigned nth = 0;

				while (run_with_fault(&OPS[o], c, nth, ERRORS[e], false))
					nth++;
				runs += nth;
				run_with_fault(&OPS[o], c, 0, ERRORS[e], true);
			}
		}
		printf("%s: %u calls failed\n", OPS[o].name, runs);
		CHECK(runs > 0);
	}
}

/* Runs it in a process of its own that dies at this call, if it comes to that; what it ended with.  `box` is closed, and the
 * tree open again. */
static int
run_and_die(struct tree *t, struct mailbox *box, enum call call, unsigned nth,
    enum store_err (*run)(struct tree *t, struct mailbox *box))
{
	int status;
	pid_t pid;

	mailbox_close(box);
	tree_close(t);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		tree_open(t);
		CHECK_OK(mailbox_open(t->acct, "INBOX", false, &box));
		arm(call, nth, EIO);
		fault.kill = true;
		CHECK_OK(run(t, box));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	tree_open(t);
	return WEXITSTATUS(status);
}

/* Dies at any call: nothing is lost, whatever the next process does first. */
static void
dies_at_each_call(const struct op *op)
{
	static const enum call WHERE[] = { LINK, FSYNC_DIR, UNLINK, FSYNC_FILE, RENAME, COMMIT };
	unsigned deaths = 0;

	for (size_t w = 0; w < ARRAY_LEN(WHERE); w++) {
		for (unsigned nth = 0;; nth++) {
			struct mailbox *box;
			struct tree t;
			int status;

			prepare(&t, &box, op);
			status = run_and_die(&t, box, WHERE[w], nth, op->run);
			if (nth % 2 ==
			    0) /* whoever is first: the destination's reader, or a flag change */
				uidnext_of(&t, "Archive");
			check_messages(&t, op, STORE_IO, &(struct before){ 0 });
			check_next(&t);
			tree_remove(&t);
			if (status == 0)
				break;
			CHECK(status == 9);
			deaths++;
		}
	}
	printf("%s died at %u calls\n", op->name, deaths);
	CHECK(deaths >= 4);
}

/* After a MOVE the message is in one mailbox; after a REPLACE the old one or the new one is there. */
static void
test_dies_at_each_call(void **state)
{
	(void)state;
	for (size_t o = 0; o < ARRAY_LEN(OPS); o++)
		if (OPS[o].remains == MOVED || OPS[o].remains == REPLACED)
			dies_at_each_call(&OPS[o]);
}

/* --- into another account ----------------------------------------------------------------------- */

static struct tree
other_account(const struct tree *t)
{
	struct tree other = *t;

	CHECK_OK(account_open(t->st, "bob", "example.org", ACCOUNT_CREATE, &other.acct));
	return other;
}

/* The second of the mailbox, by a new one in the other account. */
static enum store_err
replace_across(struct tree *t, struct mailbox *box)
{
	struct tree other = other_account(t);
	enum store_err err = replace_into(&other, box, "INBOX");

	account_close(other.acct);
	return err;
}

static enum store_err
run_across(struct mailbox *box, struct account *to, bool move)
{
	struct copy_result r = { 0 };
	enum store_err err = move ? mailbox_move(box, mailbox_view(box), to, "INBOX", &r)
				  : mailbox_copy(box, mailbox_view(box), to, "INBOX", &r);

	if (err == STORE_OK)
		CHECK(uidset_count(&r.from) == uidset_count(&r.to));
	uidset_free(&r.from);
	uidset_free(&r.to);
	return err;
}

/* A copy is whole or not there, unless the process died; a move loses nothing and doubles nothing, as soon as somebody has
 * opened the source again. */
static void
check_across(struct tree *t, bool move, bool died, enum store_err err)
{
	static const char *const TEXTS[] = { "one", "two", "three", "new 1", "new 2" };
	struct tree other = other_account(t);
	char *here = contents(t, false, false), *there = contents(&other, false, false);
	unsigned copied = 0;

	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
		unsigned old = occurrences(here, TEXTS[i]), new = occurrences(there, TEXTS[i]);

		CHECK(old <= 1 && new <= 1 && old + new >= 1);
		CHECK(move ? old + new == 1 : old == 1);
		CHECK(err != STORE_OK || (new == 1 && old == (move ? 0 : 1)));
		copied += new;
	}
	CHECK(died || move || copied == 0 || copied == ARRAY_LEN(TEXTS));
	CHECK(move || err == STORE_OK || copied == 0);
	free(here);
	free(there);
	account_close(other.acct);
}

/* False: there are fewer such calls than that. */
static bool
across_with_fault(bool move, enum call call, unsigned nth, int errnum)
{
	const struct op op = { "across", do_move, MOVED };
	struct mailbox *box;
	struct tree t, other;
	enum store_err err;
	bool fired;

	prepare(&t, &box, &op);
	other = other_account(&t);
	arm(call, nth, errnum);
	err = run_across(box, other.acct, move);
	fault.armed = false;
	fired = fault.fired;
	CHECK(err == STORE_OK || (fired && err == (errnum == ENOSPC ? STORE_FULL : STORE_IO)));
	tree_sync(box);
	check_across(&t, move, false, err);
	check_next(&t);
	check_next(&other);
	mailbox_close(box);
	account_close(other.acct);
	tree_remove(&t);
	return fired;
}

static enum store_err
move_across(struct tree *t, struct mailbox *box)
{
	return run_across(box, other_account(t).acct, true);
}

static void
across_dies(enum call call, unsigned nth, bool *died_out)
{
	const struct op op = { "across", do_move, MOVED };
	struct mailbox *box;
	struct tree t;

	prepare(&t, &box, &op);
	account_close(other_account(&t).acct); /* it is there */
	*died_out = run_and_die(&t, box, call, nth, move_across) != 0;
	check_across(&t, true, *died_out, *died_out ? STORE_IO : STORE_OK);
	check_next(&t);
	tree_remove(&t);
}

/* The client is told that it failed, and asks again in the same session. */
static bool
across_again(enum call call, unsigned nth)
{
	const struct op op = { "across again", do_move, MOVED };
	struct mailbox *box;
	struct tree t, other;
	bool fired;

	prepare(&t, &box, &op);
	other = other_account(&t);
	arm(call, nth, EIO);
	if (run_across(box, other.acct, true) != STORE_OK) {
		fault.armed = false;
		CHECK_OK(run_across(box, other.acct, true));
	}
	fault.armed = false;
	fired = fault.fired;
	check_across(&t, true, false, STORE_OK);
	mailbox_close(box);
	account_close(other.acct);
	tree_remove(&t);
	return fired;
}

/* Starts a process that moves all once the pipe is closed. */
static pid_t
start_mover(const struct tree *t, const int *go)
{
	pid_t pid = fork();
	struct mailbox *box;
	struct tree mine = *t, other;
	char byte;

	CHECK(pid >= 0);
	if (pid != 0)
		return pid;
	close(go[1]);
	tree_open(&mine);
	other = other_account(&mine);
	CHECK_OK(mailbox_open(mine.acct, "INBOX", false, &box));
	CHECK(read(go[0], &byte, 1) == 0);
	CHECK_OK(run_across(box, other.acct, true));
	_exit(0);
}

/* Two sessions move the same messages. */
static void
test_two_move_at_once(void **state)
{
	const struct op op = { "two at once", do_move, MOVED };

	(void)state;
	for (int round = 0; round < 10; round++) {
		struct mailbox *box;
		struct tree t, other;
		int go[2], status;
		pid_t movers[2];

		prepare(&t, &box, &op);
		other = other_account(&t);
		account_close(other.acct);
		mailbox_close(box);
		tree_close(&t);
		CHECK(pipe(go) == 0);
		for (int i = 0; i < 2; i++)
			movers[i] = start_mover(&t, go);
		close(go[0]);
		close(go[1]);
		for (int i = 0; i < 2; i++)
			CHECK(waitpid(movers[i], &status, 0) == movers[i] && status == 0);
		tree_open(&t);
		check_across(&t, true, false, STORE_OK);
		tree_remove(&t);
	}
}

/* The old one here or the new one there, and never both. */
static void
check_replaced_across(struct tree *t)
{
	struct tree other = other_account(t);
	char *here = contents(t, false, false), *there = contents(&other, false, false);

	CHECK(occurrences(here, "two") + occurrences(there, "instead") == 1);
	CHECK(occurrences(here, "one") == 1 && occurrences(here, "three") == 1);
	free(here);
	free(there);
	account_close(other.acct);
}

static void
test_replacing_into_another_account(void **state)
{
	static const enum call WHERE[] = { FSYNC_FILE, FSYNC_DIR, UNLINK, RENAME_NEW, COMMIT };
	const struct op op = { "replace across", do_move, MOVED };
	unsigned deaths = 0;

	(void)state;
	for (size_t w = 0; w < ARRAY_LEN(WHERE); w++) {
		for (unsigned nth = 0;; nth++) {
			struct mailbox *box;
			struct tree t;
			int status;

			prepare(&t, &box, &op);
			account_close(other_account(&t).acct); /* it is there */
			status = run_and_die(&t, box, WHERE[w], nth, replace_across);
			check_replaced_across(&t);
			tree_remove(&t);
			if (status == 0)
				break;
			deaths++;
		}
	}
	printf("replacing into another account: died at %u calls\n", deaths);
	CHECK(deaths > 6);
}

/* The same for a REPLACE: where the first was done after all, the second finds nothing to replace. */
static bool
replace_across_again(enum call call, unsigned nth)
{
	const struct op op = { "replace across again", do_move, MOVED };
	struct mailbox *box;
	struct tree t, other;
	bool fired;

	prepare(&t, &box, &op);
	other = other_account(&t);
	account_close(other.acct);
	arm(call, nth, EIO);
	if (replace_across(&t, box) != STORE_OK) {
		enum store_err err;

		fault.armed = false;
		err = replace_across(&t, box);
		CHECK(err == STORE_OK || err == STORE_CHANGED);
	}
	fault.armed = false;
	fired = fault.fired;
	check_replaced_across(&t);
	mailbox_close(box);
	tree_remove(&t);
	return fired;
}

static void
test_across_again(void **state)
{
	(void)state;
	for (enum call c = 0; c < CALLS; c++) {
		unsigned nth = 0;

		while (c != UNLINK && across_again(c, nth))
			nth++;
		for (nth = 0; c != UNLINK && replace_across_again(c, nth);)
			nth++;
	}
}

static void
test_into_another_account(void **state)
{
	static const enum call FAIL[] = { LINK, FSYNC_DIR, UNLINK, RENAME_NEW, COMMIT };
	static const enum call DIE[] = { FSYNC_DIR, UNLINK, RENAME_NEW, COMMIT };
	unsigned runs = 0, deaths = 0;
	bool died;

	(void)state;
	for (int move = 0; move < 2; move++)
		for (size_t c = 0; c < ARRAY_LEN(FAIL); c++)
			for (unsigned nth = 0; across_with_fault(move, FAIL[c], nth, EIO); nth++)
				runs++;
	across_with_fault(true, RENAME_NEW, 0, ENOSPC);
	for (size_t w = 0; w < ARRAY_LEN(DIE); w++) {
		died = true;
		for (unsigned nth = 0; died; nth++) {
			across_dies(DIE[w], nth, &died);
			deaths += died;
		}
	}
	printf("into another account: %u calls failed, died at %u\n", runs, deaths);
	CHECK(runs > 20 && deaths > 8);
}

/* Other programs write names that say less than there is; where no link can be made all of the message goes over. */
static void
test_all_bytes_go_over(void **state)
{
	enum { BYTES = 200000 };
	char *text = mem_zalloc(BYTES + 1);
	struct mailbox *box, *there;
	struct tree t, other;
	struct stat sb;
	int fd;

	(void)state;
	memset(text, 'x', BYTES);
	tree_make(&t);
	tree_write(&t, "new/1700000000.M1P1.host,S=10", text);
	other = other_account(&t);
	CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	CHECK(uidset_count(mailbox_view(box)) == 1);
	arm(LINK, 0, EXDEV);
	CHECK_OK(run_across(box, other.acct, true));
	CHECK(fault.fired);
	fault.armed = false;
	CHECK_OK(mailbox_open(other.acct, "INBOX", true, &there));
	CHECK_OK(mailbox_message_open(there, uidset_first(mailbox_view(there)), &fd));
	CHECK(fstat(fd, &sb) == 0 && sb.st_size == BYTES);
	close(fd);
	mailbox_close(there);
	mailbox_close(box);
	account_close(other.acct);
	tree_remove(&t);
	free(text);
}

/* --- what a dead process has left -------------------------------------------------------------- */

/* The unique part of the only name in cur/. */
static char *
only_unique(struct tree *t)
{
	const char *name = tree_find(t, "cur", ",S=");

	CHECK(tree_count(t, "cur") == 1);
	return mem_strndup(name, strcspn(name, ","));
}

static const struct left_case {
	const char *what;
	unsigned uid, validity_more;                                    /* the message has 1 */
	const char *from, *to_domain, *to, *unique, *from_unique, *end; /* NULL: as it should be */
	bool expunged;
} LEFT[] = {
	{ "as it should be", 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, true },
	{ "the source was made again", 1, 1, NULL, NULL, NULL, NULL, NULL, NULL, false },
	{ "the source is not there", 1, 0, "Gone", NULL, NULL, NULL, NULL, NULL, false },
	{ "no such account", 1, 0, NULL, "example.net", NULL, NULL, NULL, NULL, false },
	{ "no such mailbox", 1, 0, NULL, NULL, "Gone", NULL, NULL, NULL, false },
	{ "no account can be called so", 1, 0, NULL, "..", NULL, NULL, NULL, NULL, false },
	{ "no mailbox can be called so", 1, 0, NULL, NULL, "..", NULL, NULL, NULL, false },
	{ "nor the source", 1, 0, "a/../b", NULL, NULL, NULL, NULL, NULL, false },
	{ "it is not there any more", 1, 0, NULL, NULL, NULL, "1.M2P3.host", NULL, NULL, false },
	{ "another has the UID", 1, 0, NULL, NULL, NULL, NULL, "1.M2P3.host", NULL, false },
	{ "a bit is wrong", 3, 0, NULL, NULL, NULL, NULL, NULL, NULL, false },
	{ "not written to its end", 1, 0, NULL, NULL, NULL, NULL, NULL, "", false },
	{ "a line is missing", 1, 0, NULL, NULL, NULL, NULL, NULL, "end 2\n", false },
};

static const char *
or_else(const char *given, const char *otherwise)
{
	return given != NULL ? given : otherwise;
}

static void
leave(const struct left_case *c, struct tree *t, const struct mailbox_facts *facts,
    const char *unique, const char *from_unique)
{
	char *text = mem_printf("sanger-crossing 1\nfrom %u %s\nto bob@%s %s\n%u %s %s\n%s",
	    facts->uidvalidity + c->validity_more, or_else(c->from, "INBOX"),
	    or_else(c->to_domain, "example.org"), or_else(c->to, "INBOX"), c->uid,
	    or_else(c->unique, unique), or_else(c->from_unique, from_unique),
	    or_else(c->end, "end 1\n"));

	CHECK(mkdirat(account_dir_fd(t->acct), "sanger-crossings", 0700) == 0);
	tree_write(t, "sanger-crossings/left", text);
	free(text);
}

/* Expunged is only what is safe elsewhere, and only that; the note goes in any case. */
static void
test_what_was_left(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(LEFT); i++) {
		char *unique, *from_unique, *here;
		struct copy_result r = { 0 };
		struct mailbox_facts facts;
		struct mailbox *box;
		struct tree t, other;

		tree_make(&t);
		other = other_account(&t);
		tree_append(&t, "INBOX", "one\n", 0, NULL);
		from_unique = only_unique(&t);
		CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
		CHECK_OK(mailbox_copy(box, mailbox_view(box), other.acct, "INBOX", &r));
		unique = only_unique(&other);
		mailbox_facts(box, &facts);
		mailbox_close(box);
		tree_append(&t, "INBOX", "two\n", 0, NULL);
		tree_append(&t, "INBOX", "three\n", 0, NULL);
		leave(&LEFT[i], &t, &facts, unique, from_unique);
		here = contents(&t, false, false);
		if ((occurrences(here, "one") == 0) != LEFT[i].expunged)
			fail_msg("%s", LEFT[i].what);
		CHECK(occurrences(here, "two") == 1 && occurrences(here, "three") == 1);
		CHECK(tree_find(&t, "sanger-crossings", "left")[0] == '\0');
		uidset_free(&r.from);
		uidset_free(&r.to);
		free(here);
		free(unique);
		free(from_unique);
		account_close(other.acct);
		tree_remove(&t);
	}
}

/* --- an index that could be opened to be read only --------------------------------------------- */

static bool no_writers;

static int
open_for_sqlite(const char *path, int flags, int mode)
{
	const char *name = strrchr(path, '/');

	if (no_writers && (flags & O_ACCMODE) == O_RDWR && name != NULL &&
	    strcmp(name, "/index.db") == 0) {
		errno = EMFILE;
		return -1;
	}
	return open(path, flags, mode);
}

/* SQLite then opens it to be read; that must not last longer than the fault. */
static void
test_writes_again(void **state)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	struct tree t;

	(void)state;
	tree_make(&t);
	CHECK_OK(append_some(&t, "Archive", 1));
	tree_close(&t);
	CHECK(vfs->xSetSystemCall(vfs, "open", (sqlite3_syscall_ptr)open_for_sqlite) == SQLITE_OK);
	no_writers = true;
	tree_open(&t);
	CHECK(append_some(&t, "Archive", 1) == STORE_IO);
	no_writers = false;
	CHECK_OK(append_some(&t, "Archive", 1));
	vfs->xSetSystemCall(vfs, "open", NULL);
	tree_remove(&t);
}

/* --- the kept area ------------------------------------------------------------------------------ */

static enum store_err
do_delete(struct tree *t, struct mailbox *box)
{
	(void)box;
	return account_delete_mailbox(t->acct, "Gone");
}

static enum store_err
do_restore(struct tree *t, struct mailbox *box)
{
	struct kept_list list = { 0 };
	const struct kept_message *all[8];
	enum store_err err = kept_list(t->acct, &list);
	size_t n = 0;

	(void)box;
	for (size_t i = 0; i < list.count && n < ARRAY_LEN(all); i++)
		all[n++] = &list.messages[i];
	if (err == STORE_OK && n > 0)
		err = kept_restore(t->acct, all, n, "Archive", NULL);
	kept_list_free(&list);
	return err;
}

static const struct kept_op {
	const char *name;
	enum store_err (*run)(struct tree *t, struct mailbox *box);
} KEPT_OPS[] = {
	{ "EXPUNGE, kept", do_expunge },
	{ "REPLACE, kept", do_replace },
	{ "DELETE, kept", do_delete },
	{ "undelete", do_restore },
};

/* "two" is expunged before it is brought back; "gone 1" and "gone 2" lie in a mailbox that is deleted. */
static void
prepare_kept(struct tree *t, const struct kept_op *op)
{
	static const char *const NEW_ONES[] = { "gone 1\n", "gone 2\n" };
	struct mailbox *box;

	prepare(t, &box, &OPS[0]);
	mailbox_close(box);
	tree_close(t);
	t->keep_s = STORE_DAY_S;
	tree_open(t);
	CHECK_OK(account_create_mailbox(t->acct, "Gone", SPECIAL_NONE));
	for (size_t i = 0; i < ARRAY_LEN(NEW_ONES); i++)
		tree_append(t, "Gone", NEW_ONES[i], 0, "Work");
	if (op->run != do_restore)
		return;
	CHECK_OK(mailbox_open(t->acct, "INBOX", false, &box));
	CHECK_OK(mailbox_expunge(box, NULL, NULL));
	mailbox_close(box);
	CHECK_OK(account_delete_mailbox(t->acct, "Gone"));
}

static void
add_texts(struct tree *t, const char *mailbox, struct buf *out)
{
	struct mailbox *box;
	const struct uidset *view;

	if (mailbox_open(t->acct, mailbox, true, &box) != STORE_OK)
		return;
	view = mailbox_view(box);
	for (uint32_t u = uidset_next(view, 0); u != 0; u = uidset_next(view, u)) {
		char *text = tree_text(box, u);

		CHECK(text != NULL);
		buf_adds(out, text);
		free(text);
	}
	mailbox_close(box);
}

static void
add_kept_texts(struct tree *t, struct buf *out)
{
	struct kept_list list = { 0 };

	CHECK_OK(kept_list(t->acct, &list));
	for (size_t i = 0; i < list.count; i++) {
		char text[64];
		ssize_t got;
		int fd;

		CHECK_OK(kept_open(t->acct, &list.messages[i], &fd));
		got = read(fd, text, sizeof(text));
		CHECK(got > 0);
		buf_add(out, text, (size_t)got);
		close(fd);
	}
	kept_list_free(&list);
}

/* In one of the mailboxes or kept, but never in both, and never in neither. */
static void
check_each_once(struct tree *t)
{
	static const char *const TEXTS[] = { "one\n", "two\n", "three\n", "new 1\n", "new 2\n",
		"gone 1\n", "gone 2\n" };
	struct buf all = { 0 };

	add_texts(t, "INBOX", &all);
	add_texts(t, "Archive", &all);
	add_texts(t, "Gone", &all);
	add_kept_texts(t, &all);
	for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
		if (occurrences(buf_cstr(&all), TEXTS[i]) != 1) {
			fprintf(stderr, "%s is there %u times in:\n%s\n", TEXTS[i],
			    occurrences(buf_cstr(&all), TEXTS[i]), buf_cstr(&all));
			abort();
		}
	buf_free(&all);
}

/* False: there are fewer such calls. */
static bool
kept_with_fault(const struct kept_op *op, enum call call, unsigned nth, bool die)
{
	struct mailbox *box;
	struct tree t;
	bool fired;
	int status;
	pid_t pid;

	prepare_kept(&t, op);
	if (die) {
		tree_close(&t);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			tree_open(&t);
			CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
			arm(call, nth, EIO);
			fault.kill = true;
			CHECK_OK(op->run(&t, box));
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		CHECK(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9);
		fired = WEXITSTATUS(status) == 9;
		tree_open(&t);
		CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
	} else {
		enum store_err err;

		CHECK_OK(mailbox_open(t.acct, "INBOX", false, &box));
		arm(call, nth, EIO);
		err = op->run(&t, box);
		fault.armed = false;
		fired = fault.fired;
		CHECK(err == STORE_OK || (fired && err == STORE_IO));
	}
	tree_sync(box);
	check_each_once(&t);
	mailbox_close(box);
	tree_drop_index(&t);
	check_each_once(&t);
	check_next(&t);
	tree_remove(&t);
	return fired;
}

static void
test_kept_area(void **state)
{
	(void)state;
	for (size_t o = 0; o < ARRAY_LEN(KEPT_OPS); o++) {
		unsigned deaths = 0, faults = 0;

		for (enum call c = 0; c < CALLS; c++) {
			for (unsigned nth = 0; kept_with_fault(&KEPT_OPS[o], c, nth, true); nth++)
				deaths++;
			for (unsigned nth = 0; kept_with_fault(&KEPT_OPS[o], c, nth, false); nth++)
				faults++;
		}
		printf("%s: died at %u calls, %u calls failed\n", KEPT_OPS[o].name, deaths, faults);
		CHECK(deaths >= 5 && faults >= 5);
	}
}

int
main(void)
{
	cmocka_set_test_filter(getenv("TEST_ONLY"));
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_writes_again),
		cmocka_unit_test(test_each_call_fails_once),
		cmocka_unit_test(test_dies_at_each_call),
		cmocka_unit_test(test_into_another_account),
		cmocka_unit_test(test_replacing_into_another_account),
		cmocka_unit_test(test_across_again),
		cmocka_unit_test(test_two_move_at_once),
		cmocka_unit_test(test_what_was_left),
		cmocka_unit_test(test_all_bytes_go_over),
		cmocka_unit_test(test_kept_area),
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
