/* A copy is known by its file: the unique part of its name, or after a MOVE (which gives a new name) the inode, if size and
 * time are those of then: an inode is used again when a message has been expunged. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/why.h"
#include "base/mem.h"
#include "store/folder.h"
#include "store/maildir_name.h"

#define PLACE_FILES_MAX    2000000 /* looked at for one copy */
#define PLACE_TIME_SLACK_S 600     /* between the file's time and the record's */

struct search {
	struct str unique; /* len 0: not known */
	uint64_t inode;    /* 0: not known */
	int64_t size, time;
	const char *mailbox; /* with `uid`: in this mailbox alone */
	uint32_t uid;
	size_t files;
	json_t *found;
};

static bool
is_same_file(const struct search *s, int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_ino == s->inode && (int64_t)st.st_size == s->size &&
	       st.st_mtime <= s->time + PLACE_TIME_SLACK_S &&
	       st.st_mtime >= s->time - PLACE_TIME_SLACK_S;
}

static json_t *
describe(const char *mailbox, const char *file, const struct maildir_name *name, bool is_new)
{
	return json_pack("{ss ss sI sb sb sb}", "mailbox", mailbox, "file", file, "uid",
	    (json_int_t)name->uid, "new", is_new, "seen", (name->flags & MAILDIR_SEEN) != 0,
	    "deleted", (name->flags & MAILDIR_TRASHED) != 0);
}

static bool
look_in(struct search *s, const char *mailbox, int dir_fd, bool is_new)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (dir == NULL && fd >= 0)
		close(fd);
	while (dir != NULL && s->found == NULL && s->files < PLACE_FILES_MAX &&
	       (e = readdir(dir)) != NULL) {
		struct maildir_name name;

		s->files++;
		if (!maildir_name_parse(str_from(e->d_name), &name))
			continue;
		if ((s->unique.len > 0 && str_eq(name.unique, s->unique)) ||
		    (s->uid > 0 && name.uid == s->uid) ||
		    (s->inode > 0 && e->d_ino == s->inode && is_same_file(s, fd, e->d_name)))
			s->found = describe(mailbox, e->d_name, &name, is_new);
	}
	if (dir != NULL)
		closedir(dir);
	return s->found != NULL;
}

static void
look_everywhere(struct search *s, const struct home *home)
{
	struct folder_list folders = { 0 };

	if (folder_list(home, &folders) != STORE_OK)
		return;
	for (size_t i = 0; i < folders.count && s->found == NULL; i++) {
		const char *name = folders.items[i].name;
		struct maildir dir;

		if (!folders.items[i].selectable || (s->uid > 0 && strcmp(name, s->mailbox) != 0) ||
		    maildir_open(home, name, &dir) != STORE_OK)
			continue;
		if (!look_in(s, name, dir.new_fd, true))
			look_in(s, name, dir.cur_fd, false);
		maildir_close(&dir);
	}
	folder_list_free(&folders);
}

static void
find_copy(const struct home *home, json_t *copy, int64_t time)
{
	const char *file = json_string_value(json_object_get(copy, "file"));
	struct maildir_name name;
	struct search s = {
		.inode = (uint64_t)json_integer_value(json_object_get(copy, "inode")),
		.size = json_integer_value(json_object_get(copy, "size")),
		.time = time,
		.mailbox = json_string_value(json_object_get(copy, "mailbox")),
		.uid = (uint32_t)json_integer_value(json_object_get(copy, "uid")),
	};

	if (file != NULL && maildir_name_parse(str_from(file), &name))
		s.unique = name.unique;
	if (s.mailbox == NULL || (s.unique.len == 0 && s.uid == 0))
		return;
	look_everywhere(&s, home);
	if (s.found == NULL && s.uid > 0)
		return; /* elsewhere it would have another UID */
	json_object_set_new(copy, "now", s.found != NULL ? s.found : json_null());
}

void
why_find_places(struct admin *a, json_t *delivery)
{
	const char *account = json_string_value(json_object_get(delivery, "account"));
	const char *at = account != NULL ? strrchr(account, '@') : NULL;
	struct store_root *root;
	struct home *home;
	json_t *did;
	size_t i;

	if (at == NULL ||
	    store_root_open(config_string(a->config, "store.mail_root"), NULL, &root) != STORE_OK)
		return;
	char *local = mem_strndup(account, (size_t)(at - account));

	if (home_open(root, local, at + 1, false, &home) == STORE_OK) {
		json_array_foreach(json_object_get(delivery, "did"), i, did)
		{
			const char *what = json_string_value(json_object_get(did, "what"));

			if (what != NULL && strcmp(what, "copy") == 0)
				find_copy(home, did,
				    (int64_t)json_number_value(json_object_get(delivery, "time")));
		}
		home_close(home);
	}
	free(local);
	store_root_close(root);
}
