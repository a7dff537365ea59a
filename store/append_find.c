/* Messages by the names of their files; see mailbox.h. */
#include <stdlib.h>

#include "store/mailbox_internal.h"
#include "store/maildir_name.h"

struct wanted {
	const char *file;
	size_t at;
};

static int
by_file(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return strcmp(x->file, y->file);
}

static void
note_found(const struct wanted *wanted, size_t count, const struct index_message *m, uint32_t *uids)
{
	struct maildir_name name;
	struct wanted key;
	const struct wanted *found;
	char *unique;

	if (!maildir_name_parse(str_from(m->name), &name))
		return;
	unique = mem_strndup(name.unique.p, name.unique.len);
	key = (struct wanted){ .file = unique };
	found = bsearch(&key, wanted, count, sizeof(key), by_file);
	if (found != NULL)
		uids[found->at] = m->uid;
	free(unique);
}

static enum store_err
find_all(struct mailbox *box, const struct wanted *wanted, size_t count, uint32_t *uids)
{
	struct index_message *rows = mem_alloc(MAILBOX_SLICE_ROWS * sizeof(*rows));
	uint32_t after = 0;
	size_t n = 1;
	enum store_err err = STORE_OK;

	while (err == STORE_OK && n > 0) {
		struct index_mailbox row;

		err = mailbox_read_begin(box, &row);
		if (err != STORE_OK)
			break;
		err = index_messages(
		    box->acct->ix, row.id, &box->view, after, rows, MAILBOX_SLICE_ROWS, &n);
		mailbox_read_end(box, &row);
		for (size_t i = 0; i < n && err == STORE_OK; i++)
			note_found(wanted, count, &rows[i], uids);
		if (n > 0)
			after = rows[n - 1].uid;
	}
	free(rows);
	return err;
}

enum store_err
append_find(struct account *acct, const char *mailbox, const char *const *files, size_t count,
    uint32_t *uids_out)
{
	struct wanted *wanted = mem_alloc((count + 1) * sizeof(*wanted));
	struct mailbox *box;
	enum store_err err = mailbox_open(acct, mailbox, true, &box);

	for (size_t i = 0; i < count; i++) {
		wanted[i] = (struct wanted){ files[i], i };
		uids_out[i] = 0;
	}
	qsort(wanted, count, sizeof(*wanted), by_file);
	if (err == STORE_OK) {
		err = find_all(box, wanted, count, uids_out);
		mailbox_close(box);
	}
	free(wanted);
	return err;
}
