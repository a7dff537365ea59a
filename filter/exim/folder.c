#include "filter/exim/folder.h"

#include "store/mailbox_name.h"
#include "store/mutf7.h"

static struct str
from(struct str s, size_t at)
{
	return (struct str){ s.p + at, s.len - at };
}

/* "$home/" with a home that is known. */
static struct str
without_home(struct str path, const char *home)
{
	struct str root = home != NULL ? str_from(home) : (struct str){ "", 0 };

	while (root.len > 0 && root.p[root.len - 1] == '/')
		root.len--;
	if (root.len > 0 && path.len > root.len && str_has_prefix(path, root) &&
	    path.p[root.len] == '/')
		return from(path, root.len + 1);
	return path;
}

/* One level in modified UTF-7, or as UTF-8 if it is not ASCII. */
static bool
add_level(struct buf *out, struct str level)
{
	if (level.len == 0)
		return false;
	for (size_t i = 0; i < level.len; i++)
		if ((level.p[i] & 0x80) != 0) {
			buf_add(out, level.p, level.len);
			return text_is_utf8(level);
		}
	return mutf7_decode(out, level);
}

static bool
add_levels(struct buf *out, struct str path, bool dots)
{
	size_t start = 0;

	for (size_t i = 0; i <= path.len; i++) {
		if (i < path.len && path.p[i] != '/' && !(dots && path.p[i] == '.'))
			continue;
		if (start > 0)
			buf_addc(out, '/');
		if (!add_level(out, (struct str){ path.p + start, i - start }))
			return false;
		start = i + 1;
	}
	return true;
}

const char *
exim_folder(struct arena *a, struct str path, const char *home)
{
	struct buf name = { 0 }, canonical = { 0 };
	const char *folder = NULL;
	bool dots;

	path = without_home(path, home);
	if (str_eq(path, STR("./")) || str_eq(path, STR(".")))
		return "INBOX";
	while (str_has_prefix(path, STR("./")))
		path = from(path, 2);
	if (path.len > 0 && path.p[path.len - 1] == '/')
		path.len--;
	if (path.len == 0 || path.p[0] == '/' || str_has_prefix(path, STR("..")))
		return NULL;
	dots = path.p[0] == '.';
	if (add_levels(&name, dots ? from(path, 1) : path, dots) &&
	    mailbox_name_problem((struct str){ name.data, name.len }) == NULL) {
		mailbox_name_canonical(&canonical, (struct str){ name.data, name.len });
		folder = arena_strndup(a, canonical.data, canonical.len);
	}
	buf_free(&name);
	buf_free(&canonical);
	return folder;
}
