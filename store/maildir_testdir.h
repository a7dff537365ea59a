/* For tests: a mail root in a temporary directory, with one account, that is removed at the end. */
#ifndef STORE_MAILDIR_TESTDIR_H
#define STORE_MAILDIR_TESTDIR_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/dir.h"
#include "store/root.h"

struct testdir {
	char path[64];
	struct store_root *root;
	struct home *home;
};

static inline void
testdir_open(struct testdir *t)
{
	strcpy(t->path, "/tmp/maildir-test.XXXXXX");
	if (mkdtemp(t->path) == NULL || store_root_open(t->path, NULL, &t->root) != STORE_OK ||
	    home_open(t->root, "ann", "example.org", true, &t->home) != STORE_OK)
		abort();
}

static inline void
testdir_close(struct testdir *t)
{
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	home_close(t->home);
	store_root_close(t->root);
	if (dir_remove_tree(tmp, t->path + strlen("/tmp/")) != STORE_OK)
		abort();
	close(tmp);
}

static inline void
testdir_write(int fd, const char *name, const char *text)
{
	if (dir_replace_file(fd, name, str_from(text), false) != STORE_OK)
		abort();
}

static inline void
testdir_write_at(int fd, const char *dir, const char *name, const char *text)
{
	int at;

	if (dir_open(fd, dir, &at) != STORE_OK)
		abort();
	testdir_write(at, name, text);
	close(at);
}

/* The file's text, the caller's to free; NULL: there is none. */
static inline char *
testdir_read(int fd, const char *name)
{
	struct buf text = { 0 };

	if (dir_read_file(fd, name, 1 << 24, &text) == STORE_OK)
		return buf_take(&text);
	buf_free(&text);
	return NULL;
}

#endif
