#include "store/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/mem.h"
#include "store/maildir_testdir.h"

/* "name[*][+] ": '*' if it is only a parent, '+' if it has children. */
static void
check_list(const struct home *home, const char *expected)
{
	struct folder_list list;
	struct buf all = { 0 };

	assert_int_equal(folder_list(home, &list), STORE_OK);
	for (size_t i = 0; i < list.count; i++)
		buf_printf(&all, "%s%s%s ", list.items[i].name, list.items[i].selectable ? "" : "*",
		    list.items[i].has_children ? "+" : "");
	assert_string_equal(buf_cstr(&all), expected);
	folder_list_free(&list);
	buf_free(&all);
}

static void
create_list_delete(void **state)
{
	struct maildir dir;
	struct testdir t;

	(void)state;
	testdir_open(&t);
	assert_int_equal(folder_create(t.home, "b/c/d"), STORE_OK);
	assert_int_equal(folder_create(t.home, "b c"), STORE_OK);
	assert_int_equal(folder_create(t.home, "INBOX/kid"), STORE_OK);
	assert_int_equal(folder_create(t.home, "A"), STORE_OK);
	assert_int_equal(folder_create(t.home, "A"), STORE_EXISTS);
	assert_int_equal(folder_create(t.home, "inbox"), STORE_EXISTS);
	assert_int_equal(folder_create(t.home, "a//b"), STORE_INVALID);
	assert_int_equal(folder_create(t.home, "&=x"), STORE_INVALID);
	/* What is there and is no folder, or has another program's name. */
	assert_int_equal(mkdirat(t.home->fd, ".ssh", 0700), 0);
	assert_int_equal(mkdirat(t.home->fd, ".caf\xe9", 0700), 0);
	assert_int_equal(mkdirat(t.home->fd, ".caf\xe9/cur", 0700), 0);
	assert_int_equal(symlinkat(".A", t.home->fd, ".Link"), 0);
	check_list(t.home, "INBOX+ INBOX/kid &=caf%E9 A b*+ b/c*+ b/c/d b c ");
	assert_true(folder_exists(t.home, "&=caf%E9"));
	assert_false(folder_exists(t.home, "b"));
	assert_false(folder_exists(t.home, "Link"));
	assert_int_equal(maildir_open(t.home, "&=caf%E9", &dir), STORE_OK); /* gets tmp and new */
	assert_true(maildir_is_current(&dir, t.home, "&=caf%E9"));
	assert_int_equal(folder_delete(t.home, "&=caf%E9"), STORE_OK);
	assert_false(maildir_is_current(&dir, t.home, "&=caf%E9"));
	maildir_close(&dir);
	assert_int_equal(maildir_open(t.home, "Link", &dir), STORE_IO);
	assert_int_equal(maildir_open(t.home, "nowhere", &dir), STORE_NOT_FOUND);
	assert_int_equal(maildir_open(t.home, "../x", &dir), STORE_INVALID);
	assert_int_equal(folder_delete(t.home, "nowhere"), STORE_NOT_FOUND);
	assert_int_equal(folder_delete(t.home, "INBOX"), STORE_INVALID);
	assert_int_equal(folder_delete(t.home, "b"), STORE_NOT_FOUND);
	check_list(t.home, "INBOX+ INBOX/kid A b*+ b/c*+ b/c/d b c ");
	testdir_close(&t);
}

/* Names on disk in UTF-8, as Courier writes them: the same mailbox, unless there is one in modified UTF-7. */
static void
utf8_on_disk(void **state)
{
	struct maildir dir;
	struct testdir t;

	(void)state;
	testdir_open(&t);
	assert_int_equal(mkdirat(t.home->fd, ".caf\xC3\xA9", 0700), 0);
	assert_int_equal(mkdirat(t.home->fd, ".caf\xC3\xA9/cur", 0700), 0);
	assert_int_equal(mkdirat(t.home->fd, ".caf\xC3\xA9.a", 0700), 0);
	assert_int_equal(mkdirat(t.home->fd, ".caf\xC3\xA9.a/cur", 0700), 0);
	check_list(t.home, "INBOX caf\xC3\xA9+ caf\xC3\xA9/a ");
	assert_int_equal(maildir_open(t.home, "caf\xC3\xA9/a", &dir), STORE_OK);
	assert_true(maildir_is_current(&dir, t.home, "caf\xC3\xA9/a"));
	maildir_close(&dir);
	assert_int_equal(folder_create(t.home, "caf\xC3\xA9"), STORE_EXISTS);
	assert_int_equal(folder_create(t.home, "caf\xC3\xA9/b"), STORE_OK);
	check_list(t.home, "INBOX caf\xC3\xA9+ caf\xC3\xA9/a caf\xC3\xA9/b ");

	assert_int_equal(folder_rename(t.home, "caf\xC3\xA9", "Caf\xC3\xA9"), STORE_OK);
	assert_true(dir_exists(t.home->fd, ".Caf&AOk-.a"));
	check_list(t.home, "INBOX Caf\xC3\xA9+ Caf\xC3\xA9/a Caf\xC3\xA9/b ");

	/* both: each has a name of its own */
	assert_int_equal(mkdirat(t.home->fd, ".Caf\xC3\xA9", 0700), 0);
	assert_int_equal(mkdirat(t.home->fd, ".Caf\xC3\xA9/cur", 0700), 0);
	check_list(t.home, "INBOX &=Caf\xC3\xA9 Caf\xC3\xA9+ Caf\xC3\xA9/a Caf\xC3\xA9/b ");
	assert_int_equal(folder_delete(t.home, "Caf\xC3\xA9"), STORE_OK);
	assert_true(dir_exists(t.home->fd, ".Caf\xC3\xA9"));
	check_list(t.home, "INBOX Caf\xC3\xA9+ Caf\xC3\xA9/a Caf\xC3\xA9/b ");
	testdir_close(&t);
}

static void
rename_all(void **state)
{
	static const char *const NAMES[] = { "x", "x/y", "x/y/z", "xx", "p/q" };
	struct testdir t;

	(void)state;
	testdir_open(&t);
	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
		assert_int_equal(folder_create(t.home, NAMES[i]), STORE_OK);
	assert_int_equal(folder_rename(t.home, "x", "x/w"), STORE_INVALID);
	assert_int_equal(folder_rename(t.home, "x", "xx"), STORE_EXISTS);
	assert_int_equal(folder_rename(t.home, "x", "INBOX"), STORE_EXISTS);
	assert_int_equal(folder_rename(t.home, "INBOX", "y"), STORE_INVALID);
	assert_int_equal(folder_rename(t.home, "nowhere", "y"), STORE_NOT_FOUND);
	assert_int_equal(folder_rename(t.home, "x", "a//b"), STORE_INVALID);
	assert_int_equal(folder_rename(t.home, "x", "Käse"), STORE_OK);
	check_list(t.home, "INBOX Käse+ Käse/y+ Käse/y/z p*+ p/q xx ");
	assert_int_equal(folder_rename(t.home, "p", "r.s"), STORE_OK);
	check_list(t.home, "INBOX Käse+ Käse/y+ Käse/y/z r.s*+ r.s/q xx ");
	testdir_close(&t);
}

/* A plan that was written down and half done is finished; leftovers go. */
static void
after_a_crash(void **state)
{
	struct testdir t;

	(void)state;
	testdir_open(&t);
	assert_int_equal(folder_create(t.home, "new"), STORE_OK);
	assert_int_equal(folder_create(t.home, "old/kid"), STORE_OK);
	testdir_write(t.home->fd, "sanger-rename", "1\n.old/.new/.old.kid/.new.kid/");
	assert_int_equal(mkdirat(t.home->fd, "sanger-gone.1", 0700), 0);
	testdir_write_at(t.home->fd, "sanger-gone.1", "mail", "x");
	assert_int_equal(mkdirat(t.home->fd, "sanger-new.1", 0700), 0);
	assert_int_equal(folder_clean(t.home), STORE_OK);
	check_list(t.home, "INBOX new+ new/kid ");
	assert_false(dir_exists(t.home->fd, "sanger-gone.1"));
	assert_true(dir_exists(t.home->fd, "sanger-new.1")); /* perhaps still being made */
	assert_null(testdir_read(t.home->fd, "sanger-rename"));
	testdir_close(&t);
}

static void
old_tmp_files(void **state)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct maildir dir;
	struct testdir t;
	size_t removed;

	(void)state;
	testdir_open(&t);
	assert_int_equal(maildir_open(t.home, "INBOX", &dir), STORE_OK);
	testdir_write(dir.tmp_fd, "dated", "x"); /* an old INTERNALDATE, written just now */
	assert_int_equal(utimensat(dir.tmp_fd, "dated", old, 0), 0);
	assert_int_equal(folder_clean_tmp(&dir, time(NULL), false, &removed), STORE_OK);
	assert_int_equal(removed, 0);
	assert_int_equal(
	    folder_clean_tmp(&dir, time(NULL) + FOLDER_TMP_MAX_AGE_S + 9, false, &removed),
	    STORE_OK);
	assert_int_equal(removed, 1);
	maildir_close(&dir);
	testdir_close(&t);
}

static void
homes(void **state)
{
	static const char *const BAD[] = { "", ".", "..", ".x", "a/b", "a\nb", "\xff" };
	struct home_lock one, two;
	struct home *home;
	struct testdir t;

	(void)state;
	testdir_open(&t);
	for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
		assert_int_equal(home_open(t.root, BAD[i], "d", true, &home), STORE_INVALID);
		assert_int_equal(home_open(t.root, "u", BAD[i], true, &home), STORE_INVALID);
	}
	assert_int_equal(home_open(t.root, "bob", "example.org", false, &home), STORE_NOT_FOUND);
	assert_int_equal(home_open(t.root, "ANN", "Example.ORG", false, &home), STORE_OK);
	assert_int_equal(home_lock(t.home, 100, &one), STORE_OK);
	assert_int_equal(home_lock(home, 20, &two), STORE_BUSY);
	assert_int_equal(two.fd, -1);
	home_unlock(&one);
	assert_int_equal(home_lock(home, 20, &two), STORE_OK);
	home_unlock(&two);
	home_close(home);
	assert_int_equal(home_rename(t.root, "ann", "example.org", "bob", "b.example"), STORE_OK);
	assert_int_equal(
	    home_rename(t.root, "ann", "example.org", "bob", "b.example"), STORE_NOT_FOUND);
	assert_int_equal(home_open(t.root, "bob", "b.example", false, &home), STORE_OK);
	home_close(home);
	assert_int_equal(home_remove(t.root, "bob", "b.example"), STORE_OK);
	assert_int_equal(home_remove(t.root, "bob", "b.example"), STORE_NOT_FOUND);
	assert_int_equal(symlinkat("/etc", store_root_fd(t.root), "evil"), 0);
	assert_int_equal(home_open(t.root, "ssl", "evil", false, &home), STORE_IO);
	testdir_close(&t);
}

/* An older kernel, or a sandbox, without openat2 and renameat2. */
static bool
forbid_new_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_LEN(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int
old_kernel_child(const struct testdir *t)
{
	struct maildir dir;
	struct home *home;
	int fd, at;

	if (home_open(t->root, "old", "kernel.example", true, &home) != STORE_OK ||
	    folder_create(home, "A") != STORE_OK || folder_create(home, "A") != STORE_EXISTS ||
	    folder_rename(home, "A", "B") != STORE_OK || maildir_open(home, "B", &dir) != STORE_OK)
		return 2;
	testdir_write(dir.cur_fd, "one", "1");
	testdir_write(dir.cur_fd, "two", "2");
	if (dir_rename_new(dir.cur_fd, "one", dir.cur_fd, "two") != STORE_EXISTS ||
	    dir_rename_new(dir.cur_fd, "one", dir.new_fd, "three") != STORE_OK)
		return 3;
	if (symlinkat("/etc", home->fd, "evil") < 0 ||
	    dir_open(home->fd, "evil/ssl", &fd) == STORE_OK ||
	    dir_open(home->fd, "evil", &fd) == STORE_OK ||
	    dir_open(home->fd, "../old", &fd) == STORE_OK ||
	    dir_open(home->fd, "/etc", &fd) == STORE_OK ||
	    dir_open(home->fd, ".B/cur", &at) != STORE_OK)
		return 4;
	close(at);
	maildir_close(&dir);
	home_close(home);
	return 0;
}

static void
old_kernel(void **state)
{
	struct testdir t;
	int status;
	pid_t child;

	(void)state;
	testdir_open(&t);
	child = fork();
	if (child == 0)
		_exit(forbid_new_calls() ? old_kernel_child(&t) : 77);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WEXITSTATUS(status) != 77)
		assert_int_equal(status, 0);
	testdir_close(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_list_delete),
		cmocka_unit_test(utf8_on_disk),
		cmocka_unit_test(rename_all),
		cmocka_unit_test(after_a_crash),
		cmocka_unit_test(old_tmp_files),
		cmocka_unit_test(homes),
		cmocka_unit_test(old_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
