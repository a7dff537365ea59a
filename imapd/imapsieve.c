#include "imapd/imapsieve.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "imapd/filters.h"
#include "imapd/imapd.h"
#include "imapd/metadata.h"
#include "imapd/notify.h"
#include "imapd/session.h"
#include "net/metrics.h"
#include "store/account.h"
#include "store/mailbox.h"
#include "store/state.h"
#include "store/state_metadata.h"

static const char *const CAUSES[] = {
	[IMAP_SIEVE_APPEND] = "APPEND",
	[IMAP_SIEVE_COPY] = "COPY",
	[IMAP_SIEVE_FLAG] = "FLAG",
};

struct flag_note { /* what has changed of one message */
	uint32_t uid;
	const char *changed;
};

/* Messages for one script that have not met it yet. */
struct due {
	struct due *next;
	struct arena arena;
	enum imap_sieve_cause cause;
	struct account *acct; /* a reference */
	const char *mailbox;
	uint32_t uidvalidity;
	struct uidset uids;
	const char *changed;     /* flags, of all; NULL: `notes` has them */
	struct flag_note *notes; /* ascending */
	size_t note_count;
};

/* Flags before a change. */
struct before {
	uint32_t uid;
	unsigned flags;
	struct keyword_set keywords;
};

struct imap_sieve {
	struct due *first, **last;
	/* What state.db of an account said at this stamp: does anything name a script? */
	const struct account *asked;
	struct state_stamp stamp;
	bool any;
	/* Between imap_sieve_flags_begin() and _end(). */
	struct due *changing;
	struct before *before;
	size_t before_count, before_cap;
};

static struct imap_sieve *
sieve_of(struct imap_session *s)
{
	if (s->sieve == NULL) {
		s->sieve = mem_zalloc(sizeof(*s->sieve));
		s->sieve->last = &s->sieve->first;
	}
	return s->sieve;
}

static struct due *
due_new(struct account *acct, const char *mailbox, enum imap_sieve_cause cause)
{
	struct due *d = mem_zalloc(sizeof(*d));

	d->acct = account_ref(acct);
	d->mailbox = arena_strdup(&d->arena, mailbox);
	d->cause = cause;
	return d;
}

static void
due_free(struct due *d)
{
	if (d == NULL)
		return;
	uidset_free(&d->uids);
	account_close(d->acct);
	arena_free(&d->arena);
	free(d);
}

/* --- is anybody interested? --------------------------------------------------------------------- */

/* Where that cannot be found out now there may be: who looks for the script then says what is wrong. */
static bool
ask_state(struct account *acct)
{
	struct state *st;
	bool any = false;
	enum store_err err = state_open(account_dir_fd(acct), false, account_log(acct), &st);

	if (err == STORE_OK) {
		err = state_metadata_any(st, IMAP_SIEVE_ENTRY, &any);
		state_close(st);
	}
	return err == STORE_OK ? any : err != STORE_NOT_FOUND;
}

static bool
has_scripts(struct imap_session *s, struct account *acct)
{
	struct imap_sieve *v;
	struct state_stamp stamp;
	bool settled;

	if (s->imapd == NULL || s->imapd->filters == NULL || acct == NULL)
		return false;
	v = sieve_of(s);
	settled = state_stamp(account_dir_fd(acct), &stamp);
	if (v->asked == acct && memcmp(&v->stamp, &stamp, sizeof(stamp)) == 0)
		return v->any;
	v->any = ask_state(acct);
	v->asked = settled ? acct : NULL;
	v->stamp = stamp;
	return v->any;
}

/* --- noting events ------------------------------------------------------------------------------ */

/* FETCH sets \Seen in batches: one entry for all of them. */
static bool
joins(const struct due *to, const struct due *d)
{
	return to->cause == IMAP_SIEVE_FLAG && d->cause == IMAP_SIEVE_FLAG && to->acct == d->acct &&
	       to->changed != NULL && d->changed != NULL && strcmp(to->changed, d->changed) == 0 &&
	       strcmp(to->mailbox, d->mailbox) == 0;
}

static void
add_due(struct imap_sieve *v, struct due *d)
{
	struct due *newest = v->first;

	while (newest != NULL && newest->next != NULL)
		newest = newest->next;
	if (newest != NULL && joins(newest, d)) {
		uidset_union(&newest->uids, &d->uids);
		due_free(d);
		return;
	}
	*v->last = d;
	v->last = &d->next;
}

void
imap_sieve_event(struct imap_session *s, const struct imap_sieve_event *event)
{
	struct due *d;

	imap_notify_own_messages(s, event->acct, event->mailbox, event->uids);
	if (uidset_is_empty(event->uids) || !has_scripts(s, event->acct))
		return;
	d = due_new(event->acct, event->mailbox, event->cause);
	d->uidvalidity = event->uidvalidity;
	uidset_copy(&d->uids, event->uids);
	add_due(s->sieve, d);
}

/* --- flags -------------------------------------------------------------------------------------- */

/* The one flag that this can change; NULL: several. */
static const char *
single_flag(const struct flags_change *change)
{
	if (change->mode == FLAGS_REPLACE)
		return NULL;
	if (change->keyword_count == 1 && (change->flags & MESSAGE_FLAGS_ALL) == 0)
		return change->keywords[0];
	for (size_t i = 0; change->keyword_count == 0 && i < MESSAGE_FLAG_COUNT; i++)
		if ((change->flags & MESSAGE_FLAGS_ALL) == MESSAGE_FLAG_NAMES[i].flag)
			return MESSAGE_FLAG_NAMES[i].name;
	return NULL;
}

static bool
note_before(void *arg, const struct message *m)
{
	struct imap_sieve *v = arg;

	if (v->before_count == v->before_cap) {
		v->before_cap = v->before_cap > 0 ? 2 * v->before_cap : 64;
		v->before = mem_realloc_array(v->before, v->before_cap, sizeof(*v->before));
	}
	v->before[v->before_count++] =
	    (struct before){ m->uid, m->flags & MESSAGE_FLAGS_ALL, m->keywords };
	return true;
}

static void
forget_before(struct imap_sieve *v)
{
	free(v->before);
	v->before = NULL;
	v->before_count = v->before_cap = 0;
	due_free(v->changing);
	v->changing = NULL;
}

void
imap_sieve_flags_begin(
    struct imap_session *s, const struct uidset *uids, const struct flags_change *change)
{
	struct imap_sieve *v;
	const char *single;

	if (s->box == NULL || !has_scripts(s, mailbox_account(s->box)))
		return;
	v = s->sieve;
	forget_before(v);
	v->changing = due_new(mailbox_account(s->box), mailbox_name(s->box), IMAP_SIEVE_FLAG);
	single = single_flag(change);
	if (single != NULL)
		v->changing->changed = arena_strdup(&v->changing->arena, single);
	else
		mailbox_messages(s->box, uids, note_before, v);
}

struct after {
	struct imap_session *s;
	struct due *due;
	size_t at; /* in v->before, which is ascending too */
};

/* imap.changedflags, RFC 6785 §4.5 */
static const char *
difference(struct after *a, const struct before *was, const struct message *m)
{
	unsigned flags = (was->flags ^ m->flags) & MESSAGE_FLAGS_ALL;
	struct buf text = { 0 };
	const char *copy;

	for (size_t i = 0; i < MESSAGE_FLAG_COUNT; i++)
		if ((flags & MESSAGE_FLAG_NAMES[i].flag) != 0)
			buf_printf(
			    &text, "%s%s", text.len > 0 ? " " : "", MESSAGE_FLAG_NAMES[i].name);
	for (unsigned i = 0; i < mailbox_keyword_count(a->s->box); i++) {
		const char *name = mailbox_keyword_name(a->s->box, i);

		if (keyword_set_has(&was->keywords, i) != keyword_set_has(&m->keywords, i) &&
		    name != NULL)
			buf_printf(&text, "%s%s", text.len > 0 ? " " : "", name);
	}
	copy = arena_strdup(&a->due->arena, buf_cstr(&text));
	buf_free(&text);
	return copy;
}

static bool
note_after(void *arg, const struct message *m)
{
	struct after *a = arg;
	const struct imap_sieve *v = a->s->sieve;

	while (a->at < v->before_count && v->before[a->at].uid < m->uid)
		a->at++;
	if (a->at < v->before_count && v->before[a->at].uid == m->uid)
		a->due->notes[a->due->note_count++] =
		    (struct flag_note){ m->uid, difference(a, &v->before[a->at], m) };
	return true;
}

void
imap_sieve_flags_end(struct imap_session *s, const struct uidset *changed)
{
	struct imap_sieve *v = s->sieve;
	struct due *d = v != NULL ? v->changing : NULL;
	struct after after = { .s = s, .due = d };

	if (d == NULL)
		return;
	v->changing = NULL;
	if (changed == NULL || uidset_is_empty(changed)) {
		due_free(d);
		forget_before(v);
		return;
	}
	uidset_copy(&d->uids, changed);
	if (d->changed == NULL) {
		d->notes = arena_alloc(&d->arena, uidset_count(changed) * sizeof(*d->notes));
		mailbox_messages(s->box, changed, note_after, &after);
	}
	forget_before(v);
	add_due(v, d);
}

/* --- running ------------------------------------------------------------------------------------ */

/* The script's name, §2.3.1: the mailbox's entry, or else the server's; "" is none. */
static const char *
script_name(struct due *d)
{
	struct str name;
	enum store_err err =
	    imap_metadata_shared(d->acct, d->mailbox, IMAP_SIEVE_ENTRY, &d->arena, &name);

	if (err == STORE_NOT_FOUND)
		err = imap_metadata_shared(d->acct, NULL, IMAP_SIEVE_ENTRY, &d->arena, &name);
	if (err != STORE_OK && err != STORE_NOT_FOUND)
		log_warn(account_log(d->acct), "not-filtered",
		    "account=%s mailbox=%s messages=%u error=%s", account_address(d->acct),
		    d->mailbox, uidset_count(&d->uids), store_err_text(err));
	return err == STORE_OK ? arena_strndup(&d->arena, name.p, name.len) : "";
}

/* Where the owner finds what goes wrong in filters. */
static void
note_error(struct imap_session *s, const struct due *d, const char *kind, unsigned line,
    const char *script, const char *text)
{
	struct buf full = { 0 };
	struct state *st;
	bool due;

	buf_printf(&full, "script \"%.100s\" for IMAP events: %s", script, text);
	while (full.len > 0 && (full.data[full.len - 1] == '\n' || full.data[full.len - 1] == '\r'))
		full.len--;
	log_warn(s->log, "filter-error", "account=%s kind=%s line=%u mailbox=%s cause=%s error=%s",
	    account_address(d->acct), kind, line, d->mailbox, CAUSES[d->cause], buf_cstr(&full));
	if (state_open(account_dir_fd(d->acct), true, account_log(d->acct), &st) == STORE_OK) {
		state_error_add(st, kind, line, buf_cstr(&full), (int64_t)time(NULL), &due);
		state_close(st);
	}
	buf_free(&full);
}

static const char *
changed_of(const struct due *d, uint32_t uid)
{
	size_t low = 0, high = d->note_count;

	if (d->cause != IMAP_SIEVE_FLAG || d->changed != NULL)
		return d->changed;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (d->notes[middle].uid == uid)
			return d->notes[middle].changed;
		if (d->notes[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return "";
}

static void
run_messages(struct imap_session *s, struct due *d, const struct imap_script *script,
    struct mailbox *box, uint64_t until_ns)
{
	struct imap_filter_event event = { .cause = CAUSES[d->cause], .mailbox = d->mailbox };
	uint32_t uid;

	do {
		struct buf text = { 0 };

		uid = uidset_first(&d->uids);
		event.changed_flags = changed_of(d, uid);
		if (imap_filter_message(s, script, box, uid, &event, &text) == IMAP_FILTERED_ERRORS)
			note_error(s, d, "runtime", 0, script->name, buf_cstr(&text));
		buf_free(&text);
		uidset_remove(&d->uids, uid);
	} while (!uidset_is_empty(&d->uids) && metrics_now_ns() < until_ns);
}

/* Does no more than it can until then; what is left stays in d->uids. */
static void
run_due(struct imap_session *s, struct due *d, uint64_t until_ns)
{
	const char *name = script_name(d);
	struct imap_script script = { 0 };
	struct filter_error error = { 0 };
	struct mailbox_facts facts;
	struct mailbox *box;
	enum store_err err;

	if (*name == '\0') {
		uidset_clear(&d->uids);
		return;
	}
	err = imap_script_open(&script, s->imapd->filters, d->acct, IMAP_SCRIPT_PERSONAL,
	    str_from(name), &error, NULL);
	if (err == STORE_OK)
		err = mailbox_open_aside(d->acct, d->mailbox, &box);
	if (err == STORE_OK) {
		mailbox_facts(box, &facts);
		if (d->uidvalidity == 0 || facts.uidvalidity == d->uidvalidity)
			run_messages(s, d, &script, box, until_ns);
		else
			uidset_clear(&d->uids);
		mailbox_close(box);
	} else {
		/* A name that is no script's runs nothing, §2.3.1. */
		if (err != STORE_NOT_FOUND)
			note_error(s, d, err == STORE_INVALID ? "compile" : "runtime", error.line,
			    name, error.text[0] != '\0' ? error.text : store_err_text(err));
		uidset_clear(&d->uids);
	}
	imap_script_close(&script);
}

static bool
run_until(struct imap_session *s, uint64_t until_ns)
{
	struct imap_sieve *v = s->sieve;

	while (v->first != NULL) {
		struct due *d = v->first;

		if (metrics_now_ns() >= until_ns)
			return false;
		run_due(s, d, until_ns);
		if (!uidset_is_empty(&d->uids))
			return false;
		v->first = d->next;
		if (v->first == NULL)
			v->last = &v->first;
		due_free(d);
	}
	return true;
}

bool
imap_sieve_run(struct imap_session *s)
{
	if (s->sieve == NULL || s->sieve->first == NULL)
		return true;
	return run_until(s, metrics_now_ns() + IMAP_SIEVE_SLICE_MS * UINT64_C(1000000));
}

void
imap_sieve_end(struct imap_session *s)
{
	struct imap_sieve *v = s->sieve;
	uint64_t left = 0;

	if (v == NULL)
		return;
	if (v->first != NULL && s->user != NULL)
		run_until(s, metrics_now_ns() + IMAP_SIEVE_LEAVE_MS * UINT64_C(1000000));
	while (v->first != NULL) {
		struct due *d = v->first;

		left += uidset_count(&d->uids);
		v->first = d->next;
		due_free(d);
	}
	if (left > 0)
		log_warn(s->log, "not-filtered", "user=%s messages=%llu reason=connection-gone",
		    s->user, (unsigned long long)left);
	forget_before(v);
	free(v);
	s->sieve = NULL;
}
