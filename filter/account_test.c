#include "filter/account.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "filter/cache.h"
#include "store/account.h"
#include "store/account_aliases.h"
#include "store/account_db.h"
#include "store/account_lists.h"
#include "store/account_scripts.h"
#include "store/dir.h"
#include "store/root.h"
#include "store/sanger_mailbox.h"
#include "store/state.h"
#include "store/state_metadata.h"

struct place {
	char *dir, *mail, *global;
	struct account_db *accounts;
	struct store_root *root;
	struct filter_cache *cache;
	struct filter_settings settings;
	struct filter_account *fa;
	const struct filter_surroundings *around;
	struct arena arena;
	int64_t id;
};

static void
write_file(const char *dir, const char *name, const char *text)
{
	char *path = mem_printf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	free(path);
}

static int
setup(void **state)
{
	struct place *p = mem_zalloc(sizeof(*p));
	char dir[] = "/tmp/filter_account_test.XXXXXX", *path;
	struct account_row row = { .localpart = mem_strdup("ann"),
		.domain = mem_strdup("example.org"),
		.password = mem_strdup("{X}"),
		.active = true };

	assert_non_null(mkdtemp(dir));
	p->dir = mem_strdup(dir);
	p->mail = mem_printf("%s/mail", dir);
	p->global = mem_printf("%s/global", dir);
	assert_int_equal(mkdir(p->mail, 0700), 0);
	assert_int_equal(mkdir(p->global, 0700), 0);
	path = mem_printf("%s/user.db", dir);
	assert_int_equal(account_db_open(path, ACCOUNT_DB_WRITE, NULL, &p->accounts), STORE_OK);
	free(path);
	assert_int_equal(account_db_add(p->accounts, &row, NULL), STORE_OK);
	p->id = row.id;
	account_row_free(&row);
	assert_int_equal(store_root_open(p->mail, NULL, &p->root), STORE_OK);
	p->cache = filter_cache_new(0, 0);
	p->settings.detail_delimiter = '+';
	p->fa = filter_account_open(&(struct filter_account_spec){
	    .root = p->root,
	    .accounts = p->accounts,
	    .mail_root = p->mail,
	    .cache = p->cache,
	    .settings = &p->settings,
	    .global_dir = p->global,
	    .server_admin = "mailto:a@b",
	    .localpart = "ann",
	    .domain = "example.org",
	});
	p->around = filter_account_around(p->fa);
	*state = p;
	return 0;
}

static int
teardown(void **state)
{
	struct place *p = *state;
	int tmp;

	filter_account_close(p->fa);
	filter_cache_free(p->cache);
	store_root_close(p->root);
	account_db_close(p->accounts);
	arena_free(&p->arena);
	tmp = open("/tmp", O_RDONLY | O_DIRECTORY);
	assert_int_equal(dir_remove_tree(tmp, p->dir + strlen("/tmp/")), STORE_OK);
	close(tmp);
	free(p->dir);
	free(p->mail);
	free(p->global);
	free(p);
	return 0;
}

/* The account's tree, with its default folders. */
static void
make_mail(struct place *p)
{
	struct store *store = store_open(&(struct store_options){ .mail_root = p->mail });
	struct account *mail;
	struct mailbox_status status;

	assert_int_equal(
	    account_open(store, "ann", "example.org", ACCOUNT_CREATE, &mail), STORE_OK);
	assert_int_equal(account_create_mailbox(mail, "Lists/C", SPECIAL_NONE), STORE_OK);
	assert_int_equal(account_status(mail, "Lists/C", &status), STORE_OK); /* gives it an id */
	account_close(mail);
	store_close(store);
}

/* An account that never got mail has no directory, and asking makes none. */
static void
test_nothing_there(void **state)
{
	struct place *p = *state;
	const struct filter_surroundings *s = p->around;
	const char *name;
	struct str value;
	const struct filter *filter;
	char *home = mem_printf("%s/example.org", p->mail);

	assert_int_equal(s->mailbox_exists(s->arg, "inbox"), FILTER_YES);
	assert_int_equal(s->mailbox_exists(s->arg, "Lists"), FILTER_NO);
	assert_int_equal(s->mailbox_by_use(s->arg, &p->arena, "\\Junk", &name), FILTER_NO);
	assert_int_equal(s->mailbox_by_id(s->arg, &p->arena, "x", &name), FILTER_NO);
	assert_int_equal(
	    s->metadata(s->arg, &p->arena, "INBOX", "/private/comment", &value), FILTER_NO);
	assert_int_equal(s->remembered(s->arg, "k"), FILTER_NO);
	assert_int_equal(s->list_exists(s->arg, "friends"), FILTER_NO);
	assert_int_equal(
	    s->script(s->arg, &p->arena, FILTER_PERSONAL, "a", &filter, &name), FILTER_NO);
	assert_int_equal(access(home, F_OK), -1);
	free(home);
}

static void
test_mailboxes(void **state)
{
	struct place *p = *state;
	const struct filter_surroundings *s = p->around;
	struct sanger_mailbox file;
	const char *name;
	int fd;
	struct home *home;

	make_mail(p);
	assert_int_equal(s->mailbox_exists(s->arg, "Lists/C"), FILTER_YES);
	assert_int_equal(s->mailbox_exists(s->arg, "Lists"), FILTER_NO); /* only a parent's name */
	assert_int_equal(s->mailbox_exists(s->arg, "../x"), FILTER_NO);
	assert_int_equal(s->mailbox_by_use(s->arg, &p->arena, "\\junk", &name), FILTER_YES);
	assert_string_equal(name, "Junk");
	assert_int_equal(s->mailbox_by_use(s->arg, &p->arena, "\\Flagged", &name), FILTER_NO);
	assert_int_equal(s->mailbox_by_use(s->arg, &p->arena, "\\Other", &name), FILTER_NO);
	assert_int_equal(home_open(p->root, "ann", "example.org", false, &home), STORE_OK);
	assert_int_equal(dir_open(home->fd, ".Lists.C", &fd), STORE_OK);
	assert_int_equal(sanger_mailbox_read(home, fd, &file), STORE_OK);
	close(fd);
	assert_int_equal(s->mailbox_by_id(s->arg, &p->arena, file.mailbox_id, &name), FILTER_YES);
	assert_string_equal(name, "Lists/C");
	assert_int_equal(s->mailbox_by_id(s->arg, &p->arena, "nobody", &name), FILTER_NO);
	sanger_mailbox_free(&file);
	home_close(home);
}

static void
test_state(void **state)
{
	struct place *p = *state;
	const struct filter_surroundings *s = p->around;
	struct sanger_mailbox file;
	struct state *st;
	struct home *home;
	struct str value;
	int fd;

	make_mail(p);
	st = filter_account_state(p->fa);
	assert_non_null(st);
	assert_int_equal(state_remember(st, "k", 60, (int64_t)time(NULL)), STORE_OK);
	assert_int_equal(s->remembered(s->arg, "k"), FILTER_YES);
	assert_int_equal(state_metadata_set(st, NULL, "/shared/x", STR("y")), STORE_OK);
	assert_int_equal(home_open(p->root, "ann", "example.org", false, &home), STORE_OK);
	assert_int_equal(dir_open(home->fd, ".Lists.C", &fd), STORE_OK);
	assert_int_equal(sanger_mailbox_read(home, fd, &file), STORE_OK);
	close(fd);
	home_close(home);
	assert_int_equal(
	    state_metadata_set(st, file.mailbox_id, "/private/comment", STR("c")), STORE_OK);
	sanger_mailbox_free(&file);
	assert_int_equal(s->metadata(s->arg, &p->arena, NULL, "/shared/admin", &value), FILTER_YES);
	assert_true(str_eq(value, STR("mailto:a@b")));
	assert_int_equal(
	    s->metadata(s->arg, &p->arena, NULL, "/shared/comment", &value), FILTER_NO);
	assert_int_equal(s->metadata(s->arg, &p->arena, NULL, "/shared/X", &value), FILTER_YES);
	assert_true(str_eq(value, STR("y")));
	assert_int_equal(
	    s->metadata(s->arg, &p->arena, "Lists/C", "/private/comment", &value), FILTER_YES);
	assert_true(str_eq(value, STR("c")));
	assert_int_equal(
	    s->metadata(s->arg, &p->arena, "Trash", "/private/comment", &value), FILTER_NO);
	assert_int_equal(
	    s->metadata(s->arg, &p->arena, "None", "/private/comment", &value), FILTER_NO);
}

static void
test_scripts(void **state)
{
	static const struct account_script_limits WIDE = { 10, 1000 };
	struct place *p = *state;
	const struct filter_surroundings *s = p->around;
	const struct filter *filter, *again;
	const char *why;

	assert_int_equal(
	    account_script_put(p->accounts, p->id, "a", STR("keep;"), &WIDE, "test"), STORE_OK);
	assert_int_equal(
	    account_script_put(p->accounts, p->id, "bad", STR("nonsense \"x\";"), &WIDE, "test"),
	    STORE_OK);
	write_file(p->global, "g.sieve", "stop;");
	write_file(p->dir, "secret.sieve", "stop;");
	assert_int_equal(
	    s->script(s->arg, &p->arena, FILTER_PERSONAL, "a", &filter, &why), FILTER_YES);
	assert_non_null(filter);
	assert_int_equal(
	    s->script(s->arg, &p->arena, FILTER_PERSONAL, "a", &again, &why), FILTER_YES);
	assert_ptr_equal(filter, again);
	assert_int_equal(
	    s->script(s->arg, &p->arena, FILTER_PERSONAL, "g", &filter, &why), FILTER_NO);
	assert_int_equal(
	    s->script(s->arg, &p->arena, FILTER_GLOBAL, "g", &filter, &why), FILTER_YES);
	assert_non_null(filter);
	assert_int_equal(
	    s->script(s->arg, &p->arena, FILTER_GLOBAL, "none", &filter, &why), FILTER_NO);
	assert_int_equal(
	    s->script(s->arg, &p->arena, FILTER_GLOBAL, "../secret", &filter, &why), FILTER_NO);
	assert_int_equal(
	    s->script(s->arg, &p->arena, FILTER_PERSONAL, "bad", &filter, &why), FILTER_YES);
	assert_null(filter);
	assert_non_null(strstr(why, "line 1"));
}

/* What will never be readable is the script's error, so that the mail is kept and not put off for ever. */
static void
test_unreadable_scripts(void **state)
{
	static const char *const NAMES[] = { "fifo", "folder", "circle" };
	struct place *p = *state;
	char *fifo = mem_printf("%s/fifo.sieve", p->global);
	char *folder = mem_printf("%s/folder.sieve", p->global);
	char *circle = mem_printf("%s/circle.sieve", p->global);
	const struct filter *filter;
	const char *why;

	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(symlink("circle.sieve", circle), 0);
	for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
		assert_int_equal(p->around->script(p->around->arg, &p->arena, FILTER_GLOBAL,
				     NAMES[i], &filter, &why),
		    FILTER_YES);
		assert_null(filter);
		assert_string_equal(why, "it cannot be read");
	}
	free(fifo);
	free(folder);
	free(circle);
}

static void
test_lists(void **state)
{
	static const char *const SOME[] = { "bob@example.org", "Carl@example.org" };
	struct place *p = *state;
	const struct filter_surroundings *s = p->around;
	const char **members;
	size_t count;

	assert_int_equal(account_list_add(p->accounts, p->id, "friends", SOME, 2), STORE_OK);
	assert_int_equal(s->list_exists(s->arg, "friends"), FILTER_YES);
	assert_int_equal(
	    s->list_exists(s->arg, "urn:ietf:params:sieve:addrbook:friends"), FILTER_YES);
	assert_int_equal(
	    s->list_exists(s->arg, "URN:ietf:params:sieve:addrbook:default"), FILTER_NO);
	assert_int_equal(s->list_has(s->arg, "friends", STR("carl@example.org")), FILTER_YES);
	assert_int_equal(s->list_has(s->arg, "friends", STR("eve@example.org")), FILTER_NO);
	assert_int_equal(
	    s->list_members(s->arg, &p->arena, "friends", &members, &count), FILTER_YES);
	assert_int_equal(count, 2);
	assert_string_equal(members[0], "bob@example.org");
}

static void
test_own_addresses(void **state)
{
	static const struct {
		const char *address;
		enum filter_answer answer;
	} CASES[] = {
		{ "ann@example.org", FILTER_YES },
		{ "Ann@EXAMPLE.org", FILTER_YES },
		{ "ann+lists@example.org", FILTER_YES },
		{ "ann-lists@example.org", FILTER_NO },
		{ "anna@example.org", FILTER_NO },
		{ "ann@example.net", FILTER_NO },
		{ "info@example.net", FILTER_YES }, /* an alias */
		{ "Info+x@example.net", FILTER_YES },
		{ "other@example.net",
		    FILTER_NO }, /* by the catch-all, which makes nothing her own */
		{ "ann", FILTER_NO },
		{ "", FILTER_NO },
	};
	struct place *p = *state;

	assert_int_equal(
	    account_alias_add(p->accounts, p->id, STR("info"), STR("example.net")), STORE_OK);
	assert_int_equal(
	    account_alias_add(p->accounts, p->id, STR(""), STR("example.net")), STORE_OK);
	for (size_t i = 0; i < ARRAY_LEN(CASES); i++)
		if (p->around->is_own_address(p->around->arg, str_from(CASES[i].address)) !=
		    CASES[i].answer)
			fail_msg("%s", CASES[i].address);
	assert_non_null(strstr(p->around->home, "/mail/example.org/ann"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mailboxes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scripts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable_scripts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_addresses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
