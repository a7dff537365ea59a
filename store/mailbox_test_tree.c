#include "store/mailbox_test_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/deliver.h"
#include "store/dir.h"

void
tree_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, what);
	abort();
}

void
tree_fail_err(const char *file, int line, const char *what, enum store_err err)
{
	fprintf(stderr, "%s:%d: %s: %s\n", file, line, what, store_err_text(err));
	abort();
}

void
tree_open(struct tree *t)
{
	static const char *const EXEMPT[] = { "Trash" };

	t->log =
	    log_open("test", NULL, getenv("TEST_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	t->st = store_open(&(struct store_options){ .mail_root = t->root,
	    .quota_exempt = EXEMPT,
	    .quota_exempt_count = 1,
	    .keep_s = t->keep_s,
	    .keep_max_bytes = t->keep_max_bytes,
	    .search = t->search,
	    .search_max_bytes = t->search_max_bytes,
	    .log = getenv("TEST_LOG") != NULL ? t->log : NULL });
	CHECK(t->st != NULL);
	CHECK_OK(account_open(t->st, "ann", "example.org", ACCOUNT_CREATE, &t->acct));
}

void
tree_make(struct tree *t)
{
	*t = (struct tree){ 0 };
	snprintf(t->root, sizeof(t->root), "/tmp/mailbox_test.XXXXXX");
	CHECK(mkdtemp(t->root) != NULL);
	tree_open(t);
}

void
tree_close(struct tree *t)
{
	account_close(t->acct);
	store_close(t->st);
	log_close(t->log);
}

void
tree_reopen(struct tree *t)
{
	tree_close(t);
	tree_open(t);
}

void
tree_remove(struct tree *t)
{
	int tmp_fd = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	tree_close(t);
	CHECK_OK(dir_remove_tree(tmp_fd, t->root + strlen("/tmp/")));
	close(tmp_fd);
}

void
tree_drop_index(struct tree *t)
{
	static const char *const FILES[] = { "index.db", "index.db-wal", "index.db-shm" };

	for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
		unlinkat(account_dir_fd(t->acct), FILES[i], 0);
}

void
tree_deliver(struct tree *t, const char *mailbox, const char *text)
{
	struct maildir_delivery *d;
	struct store_root *root;

	CHECK_OK(store_root_open(t->root, NULL, &root));
	CHECK_OK(maildir_delivery_begin(root, "ann", "example.org", mailbox, false, &d));
	CHECK_OK(maildir_delivery_write(d, text, strlen(text)));
	CHECK_OK(maildir_delivery_finish(d, MAILDIR_DATE_NOW, 0, 0, NULL));
	store_root_close(root);
}

void
tree_write(struct tree *t, const char *path, const char *text)
{
	int fd = openat(account_dir_fd(t->acct), path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

void
tree_rename(struct tree *t, const char *from, const char *to)
{
	CHECK(renameat(account_dir_fd(t->acct), from, account_dir_fd(t->acct), to) == 0);
}

const char *
tree_find(struct tree *t, const char *dir, const char *part)
{
	static char found[256];
	int fd = openat(account_dir_fd(t->acct), dir, O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);
	struct dirent *e;

	found[0] = '\0';
	CHECK(d != NULL);
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.' && strstr(e->d_name, part) != NULL)
			snprintf(found, sizeof(found), "%s", e->d_name);
	}
	closedir(d);
	return found;
}

unsigned
tree_count(struct tree *t, const char *dir)
{
	int fd = openat(account_dir_fd(t->acct), dir, O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);
	struct dirent *e;
	unsigned n = 0;

	CHECK(d != NULL);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

struct show {
	struct mailbox *box;
	struct buf out;
};

static bool
show_one(void *arg, const struct message *m)
{
	static const char LETTERS[] = "AFDSTR"; /* Answered Flagged Deleted Seen drafT Recent */
	struct show *s = arg;
	bool first = true;

	buf_printf(&s->out, "%s%u:", s->out.len > 0 ? " " : "", m->uid);
	for (unsigned i = 0; i < 5; i++) {
		if ((m->flags >> i & 1) != 0)
			buf_addc(&s->out, LETTERS[i]);
	}
	for (unsigned i = 0; i < mailbox_keyword_count(s->box); i++) {
		if (keyword_set_has(&m->keywords, i)) {
			buf_printf(
			    &s->out, "%s%s", first ? ":" : ",", mailbox_keyword_name(s->box, i));
			first = false;
		}
	}
	return true;
}

char *
tree_show(struct mailbox *box)
{
	struct show s = { .box = box };

	CHECK_OK(mailbox_messages(box, mailbox_view(box), show_one, &s));
	return buf_take(&s.out);
}

char *
tree_text(struct mailbox *box, uint32_t uid)
{
	char *text = mem_zalloc(4096);
	enum store_err err;
	int fd;

	err = mailbox_message_open(box, uid, &fd);
	if (err != STORE_OK) {
		free(text);
		CHECK(err == STORE_NOT_FOUND);
		return NULL;
	}
	CHECK(read(fd, text, 4095) >= 0);
	close(fd);
	return text;
}

struct uidset
tree_set(const char *text)
{
	struct uidset s = { 0 };

	if (text[0] != '\0')
		CHECK(uidset_parse(&s, str_from(text)));
	return s;
}

void
tree_sync(struct mailbox *box)
{
	struct mailbox_changes c = { 0 };

	do {
		CHECK_OK(mailbox_sync(box, true, &c));
	} while (c.more);
	mailbox_changes_free(&c);
}

uint32_t
tree_append(
    struct tree *t, const char *mailbox, const char *text, unsigned flags, const char *keyword)
{
	struct append *ap;
	struct uidset uids = { 0 };
	uint32_t validity, uid;

	CHECK_OK(append_begin(t->acct, mailbox, &ap));
	CHECK_OK(append_message(ap, &(struct append_message_info){ .flags = flags,
					.keywords = &keyword,
					.keyword_count = keyword != NULL,
					.internaldate_s = 1000000000 }));
	CHECK_OK(append_write(ap, text, strlen(text)));
	CHECK_OK(append_commit(ap, &validity, &uids));
	append_end(ap);
	CHECK(uidset_count(&uids) == 1);
	uid = uidset_first(&uids);
	uidset_free(&uids);
	return uid;
}

void
tree_flag(struct mailbox *box, const char *uids, enum flags_mode mode, unsigned flags,
    const char *keyword)
{
	struct uidset set = tree_set(uids);

	CHECK_OK(mailbox_store_flags(box, &set,
	    &(struct flags_change){ .mode = mode,
		.flags = flags,
		.keywords = &keyword,
		.keyword_count = keyword != NULL },
	    NULL));
	uidset_free(&set);
}
