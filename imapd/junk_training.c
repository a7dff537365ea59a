#include "imapd/junk_training.h"

#include <string.h>

#include "base/config.h"
#include "imapd/imapd.h"
#include "imapd/place.h"
#include "imapd/session.h"
#include "store/training.h"

/* The mailbox with that special use, or else the one of that name. */
static bool
is_special(struct account *acct, const char *mailbox, enum special_use use, const char *name)
{
	struct buf special = { 0 };
	bool is = account_find_special(acct, use, &special) == STORE_OK && special.len > 0
		      ? strcmp(mailbox, buf_cstr(&special)) == 0
		      : strcmp(mailbox, name) == 0;

	buf_free(&special);
	return is;
}

static bool
is_training_folder(const struct config *c, const char *mailbox)
{
	return strcmp(mailbox, config_string(c, "training.spam_folder")) == 0 ||
	       strcmp(mailbox, config_string(c, "training.ham_folder")) == 0;
}

void
junk_training_learn(
    struct imap_session *s, const struct uidset *uids, const struct imap_place *place)
{
	const struct config *c = s->imapd->config;
	struct account *from_acct = mailbox_account(s->box);
	const char *from = mailbox_name(s->box), *to = place->name;
	enum training_kind kind;
	enum store_err err;
	bool from_junk, to_junk;

	if (!config_bool(c, "imapd.junk_training") || is_training_folder(c, from) ||
	    is_training_folder(c, to)) /* those are collected as they are */
		return;
	from_junk = is_special(from_acct, from, SPECIAL_JUNK, "Junk");
	to_junk = is_special(place->acct, to, SPECIAL_JUNK, "Junk");
	if (from_junk == to_junk ||
	    (from_junk && is_special(place->acct, to, SPECIAL_TRASH, "Trash")))
		return;
	kind = to_junk ? TRAINING_SPAM : TRAINING_HAM;
	err = training_collect(
	    s->box, uids, kind, (size_t)config_integer(c, "training.messages_max"));
	log_info(s->log, "training", "user=%s kind=%s messages=%u result=%s", s->user,
	    training_kind_name(kind), uidset_count(uids), store_err_text(err));
}
