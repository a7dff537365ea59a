/* The view of an account: all of it, of one moment, while others deliver, flag and move. */
#include "store/account_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/mailbox_test_tree.h"

#define MESSAGES 200
#define VIEWS    60

static const struct view_folder *
folder_of(const struct account_view *view, const char *path)
{
	for (size_t i = 0; i < view->folder_count; i++)
		if (strcmp(view->folders[i].path, path) == 0)
			return &view->folders[i];
	return NULL;
}

static const struct view_file *
file_of(const struct account_view *view, const char *path)
{
	for (size_t i = 0; i < view->file_count; i++)
		if (strcmp(view->files[i].path, path) == 0)
			return &view->files[i];
	return NULL;
}

static void
sees_all(void **state)
{
	struct account_view view = { 0 };
	struct tree t;

	(void)state;
	tree_make(&t);
	CHECK_OK(account_create_mailbox(t.acct, "A/B", SPECIAL_NONE));
	tree_append(&t, "A/B", "text\r\n", MESSAGE_SEEN, "work");
	tree_deliver(&t, "INBOX", "new\n");
	tree_write(&t, "index.db.corrupt-1", "x");
	tree_write(&t, "state.db-wal", "x");
	tree_write(&t, "dovecot-uidlist.lock", "x");
	tree_write(&t, "sanger-mailbox.new.1.M2", "x");
	tree_write(&t, ".sieve", "keep;");
	CHECK_OK(account_view_take(t.acct, false, &view));
	CHECK(folder_of(&view, "")->fresh_count == 1);
	CHECK(folder_of(&view, ".A.B/")->cur_count == 1);
	CHECK(strstr(folder_of(&view, ".A.B/")->cur[0], ",U=1:2,Sa") != NULL);
	CHECK(str_eq(file_of(&view, ".A.B/dovecot-keywords")->bytes, STR("0 work\n")));
	CHECK(str_find(file_of(&view, ".A.B/sanger-mailbox")->bytes, STR("uid-lease")) != SIZE_MAX);
	CHECK(file_of(&view, ".sieve") != NULL);
	CHECK(file_of(&view, "index.db.corrupt-1") == NULL);
	CHECK(file_of(&view, "state.db-wal") == NULL);
	CHECK(file_of(&view, "dovecot-uidlist.lock") == NULL);
	CHECK(file_of(&view, "sanger-mailbox.new.1.M2") == NULL);
	account_view_free(&view);
	tree_remove(&t);
}

struct mover {
	struct tree *t;
	atomic_bool stop;
};

/* Moves all messages there and back again, and changes their flags. */
static void *
move_about(void *arg)
{
	struct mover *m = arg;
	struct copy_result result = { 0 };

	for (unsigned n = 0; !atomic_load(&m->stop); n++) {
		struct mailbox *box;
		const char *from = n % 2 == 0 ? "INBOX" : "Other";

		CHECK_OK(mailbox_open(m->t->acct, from, false, &box));
		CHECK_OK(mailbox_move(
		    box, mailbox_view(box), NULL, n % 2 == 0 ? "Other" : "INBOX", &result));
		mailbox_close(box);
	}
	uidset_free(&result.from);
	uidset_free(&result.to);
	return NULL;
}

static uint32_t
uid_lease(const struct account_view *view, const char *path)
{
	const struct view_file *f = file_of(view, path);
	size_t at = f != NULL ? str_find(f->bytes, STR("uid-lease ")) : SIZE_MAX;

	return at == SIZE_MAX ? 0 : (uint32_t)strtoul(f->bytes.p + at + 10, NULL, 10);
}

static void
check_uids(const struct account_view *view, const char *folder, const char *file)
{
	const struct view_folder *f = folder_of(view, folder);

	for (size_t i = 0; i < f->cur_count; i++) {
		const char *uid = strstr(f->cur[i], ",U=");

		CHECK(uid != NULL && strtoul(uid + 3, NULL, 10) < uid_lease(view, file));
	}
}

/* However they are moved meanwhile, each view has each message once, and no UID at or above the lease. */
static void
loses_nothing(void **state)
{
	struct mover m = { 0 };
	struct tree t;
	pthread_t thread;

	(void)state;
	tree_make(&t);
	m.t = &t;
	CHECK_OK(account_create_mailbox(t.acct, "Other", SPECIAL_NONE));
	for (int i = 0; i < MESSAGES; i++)
		tree_append(&t, "INBOX", "text\r\n", 0, NULL);
	CHECK(pthread_create(&thread, NULL, move_about, &m) == 0);
	for (int i = 0; i < VIEWS; i++) {
		struct account_view view = { 0 };

		CHECK_OK(account_view_take(t.acct, i % 7 == 0, &view));
		CHECK(folder_of(&view, "")->cur_count + folder_of(&view, ".Other/")->cur_count ==
		      MESSAGES);
		check_uids(&view, "", "sanger-mailbox");
		check_uids(&view, ".Other/", ".Other/sanger-mailbox");
		account_view_free(&view);
	}
	atomic_store(&m.stop, true);
	pthread_join(thread, NULL);
	tree_remove(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sees_all),
		cmocka_unit_test(loses_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
