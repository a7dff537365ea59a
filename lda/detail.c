#include "lda/detail.h"

#include <stdlib.h>
#include <string.h>

#include "service/service.h"
#include "store/casefold.h"
#include "store/folder.h"
#include "store/mailbox_name.h"
#include "store/sanger_mailbox.h"

/* Whatever cannot be told of the mailbox counts as a role: then it is INBOX. */
static bool
has_role(const struct home *home, const char *mailbox)
{
	struct sanger_mailbox file = { 0 };
	struct maildir dir;
	enum store_err err;
	bool role;

	if (maildir_open(home, mailbox, &dir) != STORE_OK)
		return true;
	err = sanger_mailbox_read(home, dir.fd, &file);
	role = err != STORE_OK && err != STORE_NOT_FOUND; /* NOT_FOUND: nobody has opened it yet */
	if (err == STORE_OK) {
		role = file.special_use[0] != '\0';
		sanger_mailbox_free(&file);
	}
	maildir_close(&dir);
	return role;
}

/* The name in letters of another case; NULL: there is none, or more than one. */
static char *
find_folded(const struct home *home, struct str detail)
{
	struct folder_list folders = { 0 };
	char *found = NULL;
	bool several = false;

	if (folder_list(home, &folders) != STORE_OK)
		return NULL;
	for (size_t i = 0; i < folders.count; i++)
		if (folders.items[i].selectable &&
		    casefold_eq(str_from(folders.items[i].name), detail)) {
			several = found != NULL;
			free(found);
			found = mem_strdup(folders.items[i].name);
			if (several)
				break;
		}
	folder_list_free(&folders);
	if (several) {
		free(found);
		found = NULL;
	}
	return found;
}

/* What lies in these teaches the relay's spam filter: only the account's owner may put it there. */
static bool
teaches(const struct lda_delivery *d, const char *mailbox)
{
	static const char *const SETTINGS[] = { "training.spam_folder", "training.ham_folder" };

	for (size_t i = 0; i < ARRAY_LEN(SETTINGS); i++)
		if (casefold_eq(str_from(config_string(d->lda->sv->config, SETTINGS[i])),
			str_from(mailbox)))
			return true;
	return false;
}

const char *
detail_mailbox(struct lda_delivery *d)
{
	const char *detail = d->rcpt->detail, *mailbox = NULL;
	char *found;

	if (!d->lda->detail_mailbox || detail == NULL ||
	    mailbox_name_problem(str_from(detail)) != NULL || mailbox_name_is_inbox(detail))
		return NULL;
	found = folder_exists(d->home, detail) ? mem_strdup(detail)
					       : find_folded(d->home, str_from(detail));
	if (found != NULL && !mailbox_name_is_inbox(found) &&
	    !quota_excludes(&d->rcpt->quota, found) && !teaches(d, found) &&
	    !has_role(d->home, found))
		mailbox = arena_strdup(&d->arena, found);
	free(found);
	return mailbox;
}
