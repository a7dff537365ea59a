#include "admin/tree_layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "admin/command.h"
#include "base/mem.h"
#include "store/dir.h"

bool
tree_layout_is_good(const char *layout)
{
	return strstr(layout, "..") == NULL &&
	       (strstr(layout, "%n") != NULL || strstr(layout, "%u") != NULL);
}

char *
tree_layout_path(const char *root, const char *layout, const struct account_row *row)
{
	struct buf path = { 0 };

	buf_printf(&path, "%s/", root);
	for (const char *p = layout; *p != '\0'; p++) {
		if (*p != '%' || p[1] == '\0' || strchr("dnu", p[1]) == NULL) {
			buf_addc(&path, *p);
			continue;
		}
		p++;
		if (row == NULL)
			buf_addc(&path, '*');
		else if (*p == 'u')
			buf_printf(&path, "%s@%s", row->localpart, row->domain);
		else
			buf_adds(&path, *p == 'd' ? row->domain : row->localpart);
	}
	return buf_take(&path);
}

bool
tree_layout_make_parents(const char *root, const char *path)
{
	char *copy = mem_strdup(path);
	bool ok = true;

	for (char *slash = copy + strlen(root); ok && (slash = strchr(slash, '/')) != NULL;
	     slash++) {
		*slash = '\0';
		if (mkdir(copy, DIR_MODE) != 0 && errno != EEXIST)
			ok = admin_refuse("%s: %s", copy, strerror(errno)) == ADMIN_DONE;
		*slash = '/';
	}
	free(copy);
	return ok;
}
