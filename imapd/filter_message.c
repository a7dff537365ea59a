#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "filter/account.h"
#include "filter/view.h"
#include "imapd/filters.h"
#include "imapd/session.h"
#include "sending/autoreply.h"
#include "sending/complaint.h"
#include "sending/content.h"
#include "sending/notification.h"
#include "sending/places.h"
#include "sending/redirect.h"
#include "store/account.h"
#include "store/mailbox.h"
#include "store/state.h"

struct copy {
	const char *mailbox;
	const struct filter_edit *edit;
	unsigned flags;
	const char **keywords;
	size_t keyword_count;
	struct append *append; /* NULL: not begun, or ended */
};

struct forward {
	const struct filter_action *action;
	struct redirect_draft draft;
};

/* One message that a script runs over. */
struct work {
	struct imap_session *s;
	const struct imap_script *script;
	struct mailbox *box;
	const struct imap_filter_event *event;
	struct buf *text; /* for people */
	struct arena arena;
	const char *account;
	int64_t now;
	struct message message;
	const char *flags; /* as a script has them */
	struct content content;
	struct view view;
	bool view_is_open;
	struct filter_message facts;
	struct filter_result result;

	bool keep; /* it stays */
	bool sets_flags;
	const struct filter_store *keep_as; /* with these flags, if sets_flags */
	struct copy copies[FILTER_ACTIONS_MAX];
	size_t copy_count;
	struct forward forwards[FILTER_REDIRECTS_MAX];
	size_t forward_count;
	bool warned;
};

/* --- reading it --------------------------------------------------------------------------------- */

static const char *
flags_text(struct work *w)
{
	struct buf text = { 0 };
	const char *copy;

	for (size_t i = 0; i < MESSAGE_FLAG_COUNT; i++)
		if ((w->message.flags & MESSAGE_FLAGS_ALL & MESSAGE_FLAG_NAMES[i].flag) != 0)
			buf_printf(
			    &text, "%s%s", text.len > 0 ? " " : "", MESSAGE_FLAG_NAMES[i].name);
	for (unsigned i = 0; i < mailbox_keyword_count(w->box); i++) {
		const char *name = mailbox_keyword_name(w->box, i);

		if (keyword_set_has(&w->message.keywords, i) && name != NULL && *name != '\0')
			buf_printf(&text, "%s%s", text.len > 0 ? " " : "", name);
	}
	copy = arena_strdup(&w->arena, buf_cstr(&text));
	buf_free(&text);
	return copy;
}

static struct str
field(const struct work *w, const char *name)
{
	for (size_t i = 0; i < w->view.field_count; i++)
		if (str_eq_nocase(w->view.fields[i].name, str_from(name)))
			return str_trim(w->view.fields[i].value);
	return (struct str){ NULL, 0 };
}

/* "<ann@example.org>" or without brackets; NULL: there is no such field. */
static const char *
address_field(struct work *w, const char *name)
{
	struct str s = field(w, name);

	if (s.p == NULL)
		return NULL;
	if (s.len >= 2 && s.p[0] == '<' && s.p[s.len - 1] == '>')
		s = (struct str){ s.p + 1, s.len - 2 };
	return arena_strndup(&w->arena, s.p, s.len);
}

/* What the envelope was, as far as delivery has written it down (draft §5): Return-Path and Envelope-to or
 * Delivered-To. */
static void
guess_envelope(struct work *w)
{
	const char *to = address_field(w, "Envelope-to");
	const char *plus, *at;

	if (to == NULL)
		to = address_field(w, "Delivered-To");
	w->facts.rcpt = to != NULL ? to : w->account;
	w->facts.sender = address_field(w, "Return-Path");
	if (w->facts.sender == NULL)
		w->facts.sender = w->account;
	plus = strchr(w->facts.rcpt, w->script->filters->settings->detail_delimiter);
	at = strrchr(w->facts.rcpt, '@');
	if (plus != NULL && at != NULL && plus < at)
		w->facts.detail = arena_strndup(&w->arena, plus + 1, (size_t)(at - plus) - 1);
}

/* STORE_NOT_FOUND: it is gone. */
static enum store_err
read_message(struct work *w, uint32_t uid)
{
	struct stat sb;
	enum store_err err = mailbox_message(w->box, uid, &w->message);

	if (err == STORE_OK)
		err = mailbox_message_open(w->box, uid, &w->content.fd);
	if (err != STORE_OK)
		return err;
	if (fstat(w->content.fd, &sb) != 0)
		return STORE_IO;
	w->content.size_bytes = (uint64_t)sb.st_size;
	w->flags = flags_text(w);
	w->facts = (struct filter_message){
		.fd = w->content.fd,
		.account = w->account,
		.hostname = w->script->filters->hostname,
		.now = w->now,
		.mailbox = mailbox_name(w->box),
		.flags = w->flags,
	};
	w->view_is_open = view_open(&w->view, &w->facts, &w->arena);
	if (!w->view_is_open)
		return STORE_IO;
	guess_envelope(w);
	if (w->event->cause != NULL) {
		w->facts.imap_cause = w->event->cause;
		w->facts.imap_mailbox = w->event->mailbox;
		w->facts.imap_changed_flags = w->event->changed_flags;
		w->facts.imap_user = w->facts.imap_email = w->s->user;
	}
	return STORE_OK;
}

/* --- what shall become of it -------------------------------------------------------------------- */

static void
complain(struct work *w, unsigned line, const char *what, const char *detail)
{
	if (line > 0)
		buf_printf(w->text, "line %u: ", line);
	buf_printf(
	    w->text, "%s%s%s\r\n", what, detail != NULL ? ": " : "", detail != NULL ? detail : "");
}

static bool
is_here(const struct work *w, const char *mailbox)
{
	const char *here = mailbox_name(w->box);

	return mailbox == NULL ? mailbox_name_is_inbox(here)
			       : (mailbox_name_is_inbox(mailbox) ? mailbox_name_is_inbox(here)
								 : strcmp(mailbox, here) == 0);
}

static void
keep(struct work *w, const struct filter_store *store)
{
	w->keep = true;
	/* other languages do not speak of flags: theirs stay */
	if (store != NULL && strcmp(filter_language_name(w->script->filter), "sieve") == 0) {
		w->sets_flags = true;
		w->keep_as = store;
	}
}

static void
add_copy(struct work *w, const struct filter_action *a)
{
	const struct filter_store *store = &a->store;
	struct copy *copy;

	if (is_here(w, store->mailbox)) { /* it is there already, as Pigeonhole has it */
		keep(w, store);
		return;
	}
	for (size_t i = 0; i < w->copy_count; i++)
		if (strcmp(w->copies[i].mailbox,
			store->mailbox != NULL ? store->mailbox : "INBOX") == 0 &&
		    w->copies[i].edit == a->edit) {
			w->copies[i].flags |= store->flags;
			return;
		}
	copy = &w->copies[w->copy_count++];
	*copy = (struct copy){
		.mailbox = store->mailbox != NULL ? store->mailbox : "INBOX",
		.edit = a->edit,
		.flags = store->flags,
		.keywords = store->keywords,
		.keyword_count = store->keyword_count,
	};
}

/* A redirect that would loop keeps the message instead. */
static void
add_forward(struct work *w, const struct filter_action *a)
{
	const char *why =
	    redirect_objection(&a->redirect, w->account, &w->view, w->script->filters->hops_max);

	for (size_t i = 0; i < w->forward_count; i++)
		if (ascii_eq_nocase(w->forwards[i].action->redirect.to, a->redirect.to))
			return;
	if (why == NULL && w->forward_count < FILTER_REDIRECTS_MAX) {
		w->forwards[w->forward_count++].action = a;
		return;
	}
	complain(w, a->line, "not redirected", why != NULL ? why : "too many redirects");
	w->warned = true;
	keep(w, NULL);
}

static void
choose(struct work *w)
{
	for (size_t i = 0; i < w->result.action_count; i++) {
		const struct filter_action *a = &w->result.actions[i];

		switch (a->kind) {
		case FILTER_KEEP: keep(w, &a->store); break;
		case FILTER_SAVE: /* Exim: a path that is no mailbox leaves the message here */
			if (a->store.mailbox == NULL)
				keep(w, NULL);
			else
				add_copy(w, a);
			break;
		case FILTER_FILEINTO: add_copy(w, a); break;
		case FILTER_REDIRECT:
		case FILTER_DELIVER: add_forward(w, a); break;
		case FILTER_REJECT: keep(w, NULL); break; /* not answered: as if it were kept */
		case FILTER_MAIL:
			if (!a->unseen)
				keep(w, NULL);
			break;
		default: break;
		}
	}
}

/* --- preparing ---------------------------------------------------------------------------------- */

/* As at delivery, a mailbox that is not there is made. */
static enum store_err
begin_copy(struct work *w, struct copy *copy)
{
	struct account *acct = mailbox_account(w->box);
	struct append_message_info info = {
		.flags = copy->flags,
		.keywords = copy->keywords,
		.keyword_count = copy->keyword_count,
		.internaldate_s = w->message.internaldate_s,
		.keep_bytes = true,
	};
	enum store_err err = append_begin(acct, copy->mailbox, &copy->append);

	if (err == STORE_NOT_FOUND) {
		err = account_create_mailbox(acct, copy->mailbox, SPECIAL_NONE);
		if (err == STORE_OK)
			(void)account_subscribe(acct, copy->mailbox);
		if (err == STORE_OK || err == STORE_EXISTS)
			err = append_begin(acct, copy->mailbox, &copy->append);
	}
	return err == STORE_OK ? append_message(copy->append, &info) : err;
}

static enum store_err
write_copy(struct work *w, struct copy *copy)
{
	const struct filter_edit *edit = copy->edit;
	struct str body = w->view.body;
	enum store_err err = STORE_OK;

	if (edit == NULL)
		return append_write(copy->append, w->view.all.p, w->view.all.len);
	err = append_write(copy->append, edit->header.p, edit->header.len);
	if (err == STORE_OK && edit->header.len > 0 && edit->header.p[edit->header.len - 1] != '\n')
		err = append_write(copy->append, "\n", 1);
	if (err == STORE_OK)
		err = append_write(copy->append, "\n", 1);
	if (edit->body.p != NULL)
		body = edit->body;
	return err == STORE_OK && body.len > 0 ? append_write(copy->append, body.p, body.len) : err;
}

static const char *
origin(struct work *w)
{
	return arena_printf(&w->arena, "imap %s uid=%" PRIu32,
	    w->event->cause != NULL ? w->event->cause : "FILTER", w->message.uid);
}

static enum store_err
prepare(struct work *w)
{
	struct trace hop = {
		.rcpt = w->account,
		.hostname = w->script->filters->hostname,
		.peer = "local",
		.with = "IMAP",
		.id = arena_printf(&w->arena, "%" PRId64 ".%" PRIu32, w->now, w->message.uid),
		.now = w->now,
	};
	enum store_err err = STORE_OK;

	for (size_t i = 0; err == STORE_OK && i < w->forward_count; i++) {
		struct forward *f = &w->forwards[i];

		err = redirect_write(&w->script->filters->outgoing, &w->content, f->action->edit,
		    &hop, w->account, &f->draft);
		if (err != STORE_OK)
			complain(w, f->action->line, "redirect failed", store_err_text(err));
	}
	for (size_t i = 0; err == STORE_OK && i < w->copy_count; i++) {
		err = begin_copy(w, &w->copies[i]);
		if (err == STORE_OK)
			err = write_copy(w, &w->copies[i]);
		if (err != STORE_OK)
			complain(w, 0,
			    arena_printf(&w->arena, "mail cannot be put into the mailbox %.200s",
				w->copies[i].mailbox),
			    store_err_text(err));
	}
	return err;
}

/* --- doing it ----------------------------------------------------------------------------------- */

static enum store_err
publish_copy(struct work *w, struct copy *copy)
{
	struct uidset uids = { 0 };
	uint32_t uidvalidity;
	enum store_err err = append_commit(copy->append, &uidvalidity, &uids);

	uidset_free(&uids);
	append_end(copy->append);
	copy->append = NULL;
	if (err != STORE_OK)
		complain(w, 0,
		    arena_printf(
			&w->arena, "mail cannot be put into the mailbox %.200s", copy->mailbox),
		    store_err_text(err));
	return err;
}

static enum store_err
send_forward(struct work *w, struct forward *f)
{
	const struct filter_redirect *to = &f->action->redirect;
	struct spool_recipient recipient;
	struct spool_message envelope;
	char id[SPOOL_ID_LEN + 1];
	enum store_err err;

	/* The owner of the mailbox is the sender, RFC 6785 §3.4. */
	redirect_envelope(
	    &w->arena, &f->draft, to, w->account, w->account, w->now, &recipient, &envelope);
	envelope.origin = arena_strdup(&w->arena, origin(w));
	envelope.most = &w->script->most;
	err = redirect_commit(&f->draft, &envelope, id);
	if (err == STORE_OK)
		log_info(w->s->log, "redirected",
		    "account=%s to=%s from=%s spool=%s cause=%s mailbox=%s uid=%u script=%s "
		    "line=%u",
		    w->account, to->to, w->account, id,
		    w->event->cause != NULL ? w->event->cause : "FILTER", mailbox_name(w->box),
		    w->message.uid, w->script->name, f->action->line);
	else
		complain(w, f->action->line, "redirect failed",
		    err == STORE_LIMIT ? "you have sent too much lately" : store_err_text(err));
	return err;
}

static bool
has_word(const char *words, const char *word)
{
	struct cursor c = cursor_from(str_from(words));

	while (!cursor_at_end(&c)) {
		const char *start = c.p;

		while (!cursor_at_end(&c) && *c.p != ' ')
			c.p++;
		if (str_eq_nocase((struct str){ start, (size_t)(c.p - start) }, str_from(word)))
			return true;
		if (!cursor_at_end(&c))
			c.p++;
	}
	return false;
}

/* Only what the script has changed: what others change meanwhile stays. */
static enum store_err
set_keep_flags(struct work *w)
{
	const struct filter_store *as = w->keep_as;
	unsigned had = w->message.flags & MESSAGE_FLAGS_ALL;
	struct flags_change add = { .mode = FLAGS_ADD, .flags = as->flags & ~had };
	struct flags_change take = { .mode = FLAGS_REMOVE, .flags = had & ~as->flags };
	const char **added = arena_zalloc(&w->arena, (as->keyword_count + 1) * sizeof(*added));
	unsigned known = mailbox_keyword_count(w->box);
	const char **taken = arena_zalloc(&w->arena, (known + 1) * sizeof(*taken));
	struct uidset uids = { 0 };
	enum store_err err = STORE_OK;

	for (size_t i = 0; i < as->keyword_count; i++)
		if (!has_word(w->flags, as->keywords[i]))
			added[add.keyword_count++] = as->keywords[i];
	for (unsigned i = 0; i < known; i++) {
		const char *name = mailbox_keyword_name(w->box, i);
		bool stays = false;

		if (!keyword_set_has(&w->message.keywords, i) || name == NULL || *name == '\0')
			continue;
		for (size_t k = 0; k < as->keyword_count && !stays; k++)
			stays = ascii_eq_nocase(as->keywords[k], name);
		if (!stays)
			taken[take.keyword_count++] = name;
	}
	add.keywords = added;
	take.keywords = taken;
	uidset_add(&uids, w->message.uid);
	if (add.flags != 0 || add.keyword_count > 0)
		err = mailbox_store_flags(w->box, &uids, &add, NULL);
	if (err == STORE_OK && (take.flags != 0 || take.keyword_count > 0))
		err = mailbox_store_flags(w->box, &uids, &take, NULL);
	uidset_free(&uids);
	return err;
}

static enum store_err
mark_deleted(struct work *w)
{
	static const struct flags_change DELETED = { .mode = FLAGS_ADD, .flags = MESSAGE_DELETED };
	struct uidset uids = { 0 };
	enum store_err err;

	uidset_add(&uids, w->message.uid);
	err = mailbox_store_flags(w->box, &uids, &DELETED, NULL);
	uidset_free(&uids);
	return err;
}

/* --- telling others ----------------------------------------------------------------------------- */

static bool
is_own(void *arg, struct str address)
{
	const struct filter_surroundings *around = arg;

	return around->is_own_address != NULL &&
	       around->is_own_address(around->arg, address) == FILTER_YES;
}

static void
say(struct work *w, const struct filter_action *a)
{
	const struct filter_surroundings *around = filter_account_around(w->script->around);
	struct reply_facts facts = {
		.account = w->account,
		.rcpt = w->facts.rcpt,
		.sender = w->facts.sender,
		.hostname = w->script->filters->hostname,
		.now = w->now,
		.message = &w->view,
		.is_own = is_own,
		.is_own_arg = (void *)(uintptr_t)around,
	};
	bool notify = a->kind == FILTER_NOTIFY;
	const char *to[NOTIFICATION_RECIPIENTS_MAX], *why, *key = NULL;
	struct state *state = filter_account_state(w->script->around);
	struct buf message = { 0 };
	char id[SPOOL_ID_LEN + 1];
	size_t count = 1;

	why = notify ? notification_objection(&facts, &a->notify) : complaint_objection(&facts);
	if (notify)
		count = notification_recipients(&a->notify, &w->arena, to);
	else
		to[0] = complaint_recipient(&a->report, &w->arena);
	if (why == NULL && (count == 0 || to[0] == NULL))
		why = "no recipient";
	if (why == NULL && (state == NULL || place_claim(state, &w->arena, "", REPLIES_PER_HOUR,
						 w->now, &key) != STORE_OK))
		why = "the account's memory cannot be used";
	if (why == NULL && key == NULL)
		why = "too many in this hour";
	if (why == NULL) {
		if (notify)
			notification_compose(&message, &facts, &a->notify);
		else
			complaint_compose(&message, &facts, &a->report);
		if (outgoing_send(&w->script->filters->outgoing, w->account, origin(w),
			(struct str){ message.data, message.len }, to, count, id) != STORE_OK) {
			why = "the queue of outgoing mail cannot be used";
			state_once_undo(state, key, "");
		}
		buf_free(&message);
	}
	if (why == NULL) {
		log_info(w->s->log, "answered",
		    "account=%s what=%s to=%s spool=%s mailbox=%s uid=%u script=%s line=%u",
		    w->account, notify ? "notify" : "report", to[0], id, mailbox_name(w->box),
		    w->message.uid, w->script->name, a->line);
		return;
	}
	complain(w, a->line, notify ? "nobody was notified" : "nothing was reported", why);
	w->warned = true;
}

static void
tell_others(struct work *w)
{
	struct state *state;

	for (size_t i = 0; i < w->result.action_count; i++)
		if (w->result.actions[i].kind == FILTER_NOTIFY ||
		    w->result.actions[i].kind == FILTER_REPORT)
			say(w, &w->result.actions[i]);
	state = w->result.memory_count > 0 ? filter_account_state(w->script->around) : NULL;
	for (size_t i = 0; state != NULL && i < w->result.memory_count; i++)
		state_remember(
		    state, w->result.memories[i].key, w->result.memories[i].seconds, w->now);
}

/* --- all of it ---------------------------------------------------------------------------------- */

static enum store_err
act(struct work *w)
{
	enum store_err err;

	choose(w);
	err = prepare(w);
	for (size_t i = 0; err == STORE_OK && i < w->forward_count; i++)
		err = send_forward(w, &w->forwards[i]);
	for (size_t i = 0; err == STORE_OK && i < w->copy_count; i++)
		err = publish_copy(w, &w->copies[i]);
	if (err != STORE_OK)
		return err;
	if (!w->keep)
		err = mark_deleted(w);
	else if (w->sets_flags)
		err = set_keep_flags(w);
	if (err != STORE_OK)
		complain(w, 0, "its flags cannot be changed", store_err_text(err));
	tell_others(w);
	return err;
}

static void
work_end(struct work *w)
{
	for (size_t i = 0; i < w->copy_count; i++)
		append_end(w->copies[i].append);
	for (size_t i = 0; i < w->forward_count; i++)
		redirect_abort(&w->forwards[i].draft);
	if (w->view_is_open)
		view_close(&w->view);
	if (w->content.fd >= 0)
		close(w->content.fd);
	arena_free(&w->arena);
}

static enum imap_filtered
run(struct work *w, uint32_t uid)
{
	const struct filter_surroundings *around = filter_account_around(w->script->around);
	struct filter_run_options options = { .around = around };
	struct filter_error error = { 0 };
	enum store_err err = read_message(w, uid);

	if (err == STORE_NOT_FOUND)
		return IMAP_FILTERED_GONE;
	if (err != STORE_OK) {
		complain(w, 0, "the message cannot be read", NULL);
		return IMAP_FILTERED_ERRORS;
	}
	if (filter_run(w->script->filter, &w->facts, &options, &w->arena, &w->result, &error) !=
	    FILTER_OK) {
		complain(w, error.line, error.text[0] != '\0' ? error.text : "it failed", NULL);
		return IMAP_FILTERED_ERRORS;
	}
	if (act(w) != STORE_OK)
		return IMAP_FILTERED_ERRORS;
	return w->warned ? IMAP_FILTERED_WARNINGS : IMAP_FILTERED_OK;
}

enum imap_filtered
imap_filter_message(struct imap_session *s, const struct imap_script *script, struct mailbox *box,
    uint32_t uid, const struct imap_filter_event *event, struct buf *text)
{
	struct work *w = mem_zalloc(sizeof(*w));
	enum imap_filtered done;

	w->s = s;
	w->script = script;
	w->box = box;
	w->event = event;
	w->text = text;
	w->now = (int64_t)time(NULL);
	w->account = account_address(mailbox_account(box));
	w->content.fd = -1;
	done = run(w, uid);
	if (done != IMAP_FILTERED_GONE)
		log_info(s->log, "filtered",
		    "account=%s cause=%s mailbox=%s uid=%u script=%s result=%s kept=%s copies=%zu "
		    "redirects=%zu",
		    w->account, event->cause != NULL ? event->cause : "FILTER", mailbox_name(box),
		    uid, script->name,
		    done == IMAP_FILTERED_OK         ? "ok"
		    : done == IMAP_FILTERED_WARNINGS ? "warnings"
						     : "errors",
		    w->keep || done == IMAP_FILTERED_ERRORS ? "yes" : "no", w->copy_count,
		    w->forward_count);
	work_end(w);
	free(w);
	return done;
}
