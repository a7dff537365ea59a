#include "admin/maildir_uses.h"

#include <stdlib.h>
#include <string.h>

#include "admin/command.h"
#include "base/mem.h"

/* In the order in which they are looked for; the name a client makes comes after the usual one. */
static const struct {
	enum special_use use;
	const char *name;
} NAMES[] = {
	{ SPECIAL_ARCHIVE, "Archive" },
	{ SPECIAL_ARCHIVE, "Archives" },
	{ SPECIAL_DRAFTS, "Drafts" },
	{ SPECIAL_JUNK, "Junk" },
	{ SPECIAL_JUNK, "Spam" },
	{ SPECIAL_JUNK, "Junk E-mail" },
	{ SPECIAL_JUNK, "Junk Email" },
	{ SPECIAL_SENT, "Sent" },
	{ SPECIAL_SENT, "Sent Messages" },
	{ SPECIAL_SENT, "Sent Items" },
	{ SPECIAL_TRASH, "Trash" },
	{ SPECIAL_TRASH, "Deleted Messages" },
	{ SPECIAL_TRASH, "Deleted Items" },
};

static size_t
find_folder(const struct source_tree *tree, const char *name)
{
	for (size_t i = 0; i < tree->count; i++)
		if (strcmp(tree->folders[i].name, name) == 0)
			return i;
	return SIZE_MAX;
}

/* The tree's mailbox for a use; SIZE_MAX: none. */
static size_t
choose(const struct source_tree *tree, enum special_use use)
{
	for (size_t i = 0; i < tree->count; i++) {
		if (source_folder_use(tree, &tree->folders[i]) == use)
			return i;
	}
	for (size_t n = 0; n < ARRAY_LEN(NAMES); n++) {
		size_t i = NAMES[n].use == use ? find_folder(tree, NAMES[n].name) : SIZE_MAX;

		if (i != SIZE_MAX)
			return i;
	}
	return SIZE_MAX;
}

/* The mailbox that a new account was given for the use, which nobody has put anything into. */
static bool
is_untouched(struct account *mail, const char *name)
{
	struct mailbox_status s;

	return account_status(mail, name, &s) == STORE_OK && s.messages == 0 && s.uidnext <= 1;
}

static enum store_err
take_use(
    struct account *mail, const struct source_tree *tree, enum special_use use, const char *name)
{
	struct buf holder = { 0 };
	enum store_err err = account_find_special(mail, use, &holder);
	const char *now = buf_cstr(&holder);

	if (err != STORE_OK || strcmp(now, name) == 0)
		goto out;
	if (*now != '\0' && (find_folder(tree, now) != SIZE_MAX || !is_untouched(mail, now)))
		goto out; /* it is in use: the owner's choice */
	err = account_set_special_use(mail, name, use);
	if (err == STORE_OK && *now != '\0') {
		err = account_delete_mailbox(mail, now);
		if (err == STORE_OK)
			err = account_unsubscribe(mail, now);
	}
out:
	buf_free(&holder);
	return err;
}

static enum store_err
take_subscriptions(struct account *mail, const struct source_tree *tree, const bool *first)
{
	struct subscriptions subs = { 0 };
	enum store_err err = STORE_OK;

	source_tree_subscriptions(tree, &subs);
	for (size_t i = 0; i < subs.count && err == STORE_OK; i++) {
		size_t at = find_folder(tree, subs.names[i]);

		if (at != SIZE_MAX && first[at])
			err = account_subscribe(mail, subs.names[i]);
	}
	subscriptions_free(&subs);
	return err;
}

bool
maildir_uses_take(
    struct account *mail, const struct source_tree *tree, const bool *first, const char *label)
{
	enum store_err err = STORE_OK;

	for (unsigned use = 1; use < SPECIAL_COUNT && err == STORE_OK; use++) {
		size_t at = choose(tree, (enum special_use)use);

		if (at != SIZE_MAX && first[at])
			err = take_use(mail, tree, (enum special_use)use, tree->folders[at].name);
	}
	if (err == STORE_OK)
		err = take_subscriptions(mail, tree, first);
	if (err != STORE_OK)
		admin_refuse("%s: special uses and subscriptions: %s", label, store_err_text(err));
	return err == STORE_OK;
}
