#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "admin/cleanup.h"
#include "base/mem.h"
#include "store/dir.h"

#define STATUS_FILE      "status"
#define STATUS_MAX_BYTES 4096

char *
cleanup_removed_dir(const struct config *config)
{
	const char *dir = config_string(config, "cleanup.removed_dir");
	char *root;

	if (dir != NULL && *dir != '\0')
		return mem_strdup(dir);
	root = mem_strdup(config_string(config, "store.mail_root"));
	for (size_t len = strlen(root); len > 1 && root[len - 1] == '/'; len--)
		root[len - 1] = '\0';
	dir = mem_printf("%s.removed", root);
	free(root);
	return (char *)(uintptr_t)dir;
}

static void
read_status(int dir_fd, struct cleanup_status *out)
{
	struct buf text = { 0 };

	*out = (struct cleanup_status){ 0 };
	if (dir_read_file(dir_fd, STATUS_FILE, STATUS_MAX_BYTES, &text) == STORE_OK) {
		struct cursor c = cursor_from((struct str){ text.data, text.len });
		struct str line;

		while (cursor_take_line(&c, &line)) {
			struct cursor at = cursor_from(line);
			uint64_t when = 0;
			bool cleaned = cursor_take_nocase(&at, STR("cleaned "));

			if ((cleaned || cursor_take_nocase(&at, STR("failed "))) &&
			    cursor_take_u64(&at, &when) && when <= INT64_MAX)
				*(cleaned ? &out->cleaned : &out->failed) = (int64_t)when;
		}
	}
	buf_free(&text);
}

void
cleanup_status_read(const char *dir, struct cleanup_status *status_out)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*status_out = (struct cleanup_status){ 0 };
	if (fd < 0)
		return;
	read_status(fd, status_out);
	close(fd);
}

enum store_err
cleanup_status_note(int dir_fd, size_t problems)
{
	struct cleanup_status old;
	struct buf text = { 0 };
	enum store_err err;

	read_status(dir_fd, &old);
	if (problems == 0)
		buf_printf(&text, "cleaned %lld\n", (long long)time(NULL));
	else
		buf_printf(&text, "cleaned %" PRId64 "\nfailed %lld %zu problem%s\n", old.cleaned,
		    (long long)time(NULL), problems, problems == 1 ? "" : "s");
	err = dir_replace_file(dir_fd, STATUS_FILE, (struct str){ text.data, text.len }, true);
	buf_free(&text);
	return err;
}
