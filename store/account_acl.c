/* Lists on disk; see account_acl.h.  A change is read, made and replaced under the account's writer lock. */
#include "store/account_acl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/account_internal.h"
#include "store/dir.h"
#include "store/folder.h"
#include "store/mailbox_internal.h"
#include "store/shares_internal.h"

static enum store_err
failed(struct account *acct, const char *name, const char *op, enum store_err err)
{
	log_error(account_log(acct), "acl", "account=%s mailbox=%s op=%s result=%s", acct->address,
	    name, op, store_err_text(err));
	return err;
}

/* `dir` is the mailbox's directory relative to the account's, "" for INBOX. */
static enum store_err
read_in(struct account *acct, const char *name, const char *dir, struct acl *acl_out)
{
	char *path = mem_printf("%s%s", dir, ACL_FILE);
	struct buf text = { 0 };
	enum store_err err = dir_read_file(acct->home->fd, path, ACL_FILE_MAX_BYTES, &text);

	*acl_out = (struct acl){ 0 };
	if (err == STORE_LIMIT ||
	    (err == STORE_OK && !acl_parse((struct str){ buf_cstr(&text), text.len }, acl_out)))
		err = failed(acct, name, "read", STORE_CORRUPT);
	else if (err == STORE_NOT_FOUND)
		err = STORE_OK;
	else if (err != STORE_OK)
		failed(acct, name, "read", err);
	buf_free(&text);
	free(path);
	return err;
}

/* The directory of a mailbox that is there. */
static enum store_err
find_mailbox(struct account *acct, const char *name, struct buf *dir_out)
{
	if (!folder_exists(acct->home, name))
		return STORE_NOT_FOUND;
	return account_folder_prefix(acct, name, dir_out);
}

enum store_err
account_acl_read(struct account *acct, const char *any_name, struct acl *acl_out)
{
	char *name = mailbox_canonical(any_name);
	struct buf dir = { 0 };
	enum store_err err = find_mailbox(acct, name, &dir);

	*acl_out = (struct acl){ 0 };
	if (err == STORE_OK)
		err = read_in(acct, name, buf_cstr(&dir), acl_out);
	buf_free(&dir);
	free(name);
	return err;
}

enum store_err
account_acl_current(
    struct account *acct, const char *name, const struct acl_tenures *tenures, struct acl *acl_out)
{
	enum store_err err = account_acl_read(acct, name, acl_out);

	return err == STORE_OK ? acl_drop_former(acl_out, acct->address, tenures) : err;
}

enum store_err
account_acl_rights(
    struct account *acct, const char *name, const struct acl_user *user, unsigned *rights_out)
{
	bool own = strcmp(user->address, acct->address) == 0;
	struct acl acl;
	enum store_err err = account_acl_read(acct, name, &acl);

	*rights_out = own ? ACL_ALL : 0;
	if (err == STORE_OK)
		*rights_out = acl_rights_of(&acl, acct->address, user);
	acl_free(&acl);
	return err == STORE_NOT_FOUND || err == STORE_CORRUPT || err == STORE_INVALID ? STORE_OK
										      : err;
}

/* Cuts the last level off; false: there is none above. */
static bool
cut_level(char *name)
{
	char *slash = strrchr(name, '/');

	if (slash != NULL)
		*slash = '\0';
	return slash != NULL;
}

enum store_err
account_acl_rights_above(
    struct account *acct, const char *any_name, const struct acl_user *user, unsigned *rights_out)
{
	char *name = mailbox_canonical(any_name);
	enum store_err err = STORE_OK;

	*rights_out = strcmp(user->address, acct->address) == 0 ? ACL_ALL : 0;
	while (cut_level(name)) {
		if (folder_exists(acct->home, name)) {
			err = account_acl_rights(acct, name, user, rights_out);
			break;
		}
	}
	free(name);
	return err;
}

/* --- changing ---------------------------------------------------------------------------------- */

static enum store_err
write_in(struct account *acct, const char *name, const char *dir, const struct acl *acl)
{
	struct buf text = { 0 };
	enum store_err err;
	int fd;

	acl_format(&text, acl);
	err = dir_open(acct->home->fd, dir[0] != '\0' ? dir : ".", &fd);
	if (err == STORE_OK) {
		err = text.len > ACL_FILE_MAX_BYTES
			  ? STORE_LIMIT
			  : dir_replace_file(
				fd, ACL_FILE, (struct str){ buf_cstr(&text), text.len }, true);
		close(fd);
	}
	if (err != STORE_OK)
		failed(acct, name, "write", err);
	buf_free(&text);
	return err;
}

struct acl_op {
	const struct acl_id *id;
	bool delete;
	enum acl_change change;
	unsigned rights;
	const struct acl_tenures *tenures;
};

static enum store_err
set(struct acl *acl, const char *owner, const struct acl_op *op)
{
	struct buf tenure = { 0 };
	enum store_err err = acl_drop_former(acl, owner, op->tenures);

	if (err == STORE_OK && op->id->kind == ACL_USER)
		err = op->tenures->of(op->tenures->arg, op->id->name, &tenure);
	if (err == STORE_OK)
		err = acl_set(acl, owner, op->id, buf_cstr(&tenure), op->change, op->rights);
	buf_free(&tenure);
	return err;
}

static enum store_err
apply(struct acl *acl, const char *owner, const struct acl_op *op)
{
	if (!op->delete)
		return set(acl, owner, op);
	acl_delete(acl, owner, op->id);
	return STORE_OK;
}

static enum store_err
change_locked(struct account *acct, const char *name, const struct acl_op *op)
{
	struct buf dir = { 0 };
	struct acl acl = { 0 };
	enum store_err err = find_mailbox(acct, name, &dir);

	if (err == STORE_OK)
		err = read_in(acct, name, buf_cstr(&dir), &acl);
	if (err == STORE_OK)
		err = apply(&acl, acct->address, op);
	if (err == STORE_OK)
		err = write_in(acct, name, buf_cstr(&dir), &acl);
	acl_free(&acl);
	buf_free(&dir);
	return err;
}

static enum store_err
change(struct account *acct, const char *any_name, const struct acl_op *op)
{
	char *name = mailbox_canonical(any_name);
	enum store_err err = account_lock(acct);

	if (err == STORE_OK) {
		err = change_locked(acct, name, op);
		account_unlock(acct);
	}
	free(name);
	if (err == STORE_OK)
		shares_refresh(acct); /* an error is logged: at worst it proposes too much */
	return err;
}

enum store_err
account_acl_set(struct account *acct, const char *name, const struct acl_id *id,
    enum acl_change kind, unsigned rights, const struct acl_tenures *tenures)
{
	struct acl_op op = { .id = id, .change = kind, .rights = rights, .tenures = tenures };
	enum store_err err = STORE_OK;

	if (!folder_exists(acct->home, name))
		return STORE_NOT_FOUND;
	if (!id->negative && kind != ACL_REMOVE && rights != 0)
		err = shares_note(acct, id);
	if (err == STORE_LIMIT && shares_refresh(acct) == STORE_OK)
		err = shares_note(acct, id); /* what deleted mailboxes have left is gone */
	return err == STORE_OK ? change(acct, name, &op) : err;
}

enum store_err
account_acl_delete(struct account *acct, const char *name, const struct acl_id *id)
{
	return change(acct, name, &(struct acl_op){ .id = id, .delete = true });
}

enum store_err
account_acl_put(struct account *acct, const char *any_name, const struct acl *acl)
{
	char *name = mailbox_canonical(any_name);
	struct buf dir = { 0 };
	enum store_err err = account_lock(acct);

	if (err == STORE_OK) {
		err = find_mailbox(acct, name, &dir);
		if (err == STORE_OK)
			err = write_in(acct, name, buf_cstr(&dir), acl);
		account_unlock(acct);
	}
	buf_free(&dir);
	free(name);
	if (err == STORE_OK)
		err = shares_refresh(acct);
	return err;
}

enum store_err
account_acl_clear(struct account *acct, const char *name)
{
	return account_acl_put(acct, name, &(struct acl){ 0 });
}

enum store_err
account_acl_inherit(struct account *acct, const char *name)
{
	char *above = mem_strdup(name);
	struct buf dir = { 0 }, to = { 0 };
	struct acl acl = { 0 };
	enum store_err err = STORE_OK;

	while (cut_level(above)) {
		if (!folder_exists(acct->home, above))
			continue;
		err = account_folder_prefix(acct, above, &dir);
		if (err == STORE_OK)
			err = read_in(acct, above, buf_cstr(&dir), &acl);
		if (err == STORE_OK && acl.count > 0)
			err = account_folder_prefix(acct, name, &to);
		if (err == STORE_OK && acl.count > 0)
			err = write_in(acct, name, buf_cstr(&to), &acl);
		break;
	}
	acl_free(&acl);
	buf_free(&dir);
	buf_free(&to);
	free(above);
	return err == STORE_CORRUPT ? STORE_OK : err; /* a damaged one gives nobody anything */
}
