/* What has changed in the selected mailbox, told to the client: RFC 9051 §7.5.1 and RFC 7162 §3.2.4. */
#include "imapd/context.h"
#include "imapd/news.h"
#include "imapd/notify.h"
#include "imapd/place.h"
#include "imapd/response.h"
#include "imapd/search_builder.h"
#include "imapd/session.h"

#define VANISHED_RUNS                                                                              \
	2000 /* of one line: lines that a client of RFC 7162 §4 must take are 8 KB and more */

/* One name of a list, with the blank that parts it from the one before. */
static void
add_name(struct buf *out, bool *first, const char *name)
{
	if (!*first)
		buf_addc(out, ' ');
	*first = false;
	buf_adds(out, name);
}

static void
add_system_flags(struct imap_session *s, bool *first, unsigned flags)
{
	if (imap_rev2(s))
		flags &= ~(unsigned)MESSAGE_RECENT;
	for (size_t i = 0; i < MESSAGE_FLAG_COUNT; i++)
		if ((flags & MESSAGE_FLAG_NAMES[i].flag) != 0)
			add_name(&s->out, first, MESSAGE_FLAG_NAMES[i].name);
}

/* Those in the set, or all for NULL.  A keyword without a name cannot be spoken of. */
static void
add_keywords(struct imap_session *s, bool *first, const struct keyword_set *keywords)
{
	unsigned count = mailbox_keyword_count(s->box);

	for (unsigned i = 0; i < count; i++) {
		const char *name;

		if (keywords != NULL && !keyword_set_has(keywords, i))
			continue;
		name = mailbox_keyword_name(s->box, i);
		if (name != NULL && name[0] != '\0')
			add_name(&s->out, first, name);
	}
}

void
imap_out_flags(struct imap_session *s, unsigned flags, const struct keyword_set *keywords)
{
	bool first = true;

	buf_addc(&s->out, '(');
	add_system_flags(s, &first, flags);
	if (keywords != NULL && s->box != NULL)
		add_keywords(s, &first, keywords);
	buf_addc(&s->out, ')');
}

void
imap_send_flags(struct imap_session *s)
{
	bool first = true;

	buf_adds(&s->out, "* FLAGS (");
	add_system_flags(s, &first, MESSAGE_FLAGS_ALL);
	add_keywords(s, &first, NULL);
	buf_adds(&s->out, ")\r\n* OK [PERMANENTFLAGS (");
	first = true;
	if (!s->read_only)
		add_system_flags(s, &first, imap_flags_allowed(s->rights));
	if (!s->read_only && (s->rights & ACL_WRITE) != 0) {
		add_keywords(s, &first, NULL);
		if (mailbox_keyword_count(s->box) < MAILBOX_KEYWORDS_MAX)
			add_name(&s->out, &first, "\\*");
	}
	buf_adds(&s->out, ")] These stay\r\n");
}

static bool
condstore(const struct imap_session *s)
{
	return imap_enabled(s, IMAP_ENABLED_CONDSTORE);
}

void
imap_out_fetch_head(struct imap_session *s, uint32_t seq, uint32_t uid)
{
	bool uidonly = imap_enabled(s, IMAP_ENABLED_UIDONLY);

	buf_add(&s->out, "* ", 2);
	buf_number(&s->out, uidonly ? uid : seq);
	buf_adds(&s->out, uidonly ? " UIDFETCH (" : " FETCH (");
}

bool
imap_wants_vanished(const struct imap_session *s)
{
	return imap_enabled(s, IMAP_ENABLED_QRESYNC | IMAP_ENABLED_UIDONLY);
}

/* Runs from `from` on, as many as a line takes. */
static size_t
send_vanished_line(struct imap_session *s, bool earlier, const struct uidset *uids, size_t from)
{
	size_t end =
	    uids->run_count - from < VANISHED_RUNS ? uids->run_count : from + VANISHED_RUNS;
	struct uidset line = { 0 };

	for (size_t i = from; i < end; i++)
		uidset_add_range(&line, uids->runs[i].first, uids->runs[i].last);
	buf_adds(&s->out, earlier ? "* VANISHED (EARLIER) " : "* VANISHED ");
	uidset_format(&line, &s->out);
	buf_adds(&s->out, "\r\n");
	uidset_free(&line);
	return end;
}

void
imap_send_vanished(struct imap_session *s, bool earlier, const struct uidset *uids)
{
	size_t at = 0;

	while (at < uids->run_count)
		at = send_vanished_line(s, earlier, uids, at);
}

/* "* 3 FETCH (UID 9 FLAGS (\Seen) MODSEQ (12))" */
static void
send_change(struct imap_session *s, const struct mailbox_change *change)
{
	bool silent = s->silent_store && change->own;

	if (silent && !condstore(s))
		return;
	imap_out_fetch_head(s, change->seq, change->uid);
	buf_printf(&s->out, "UID %u", change->uid);
	if (!silent) {
		buf_adds(&s->out, " FLAGS ");
		imap_out_flags(s, change->flags, &change->keywords);
	}
	if (condstore(s))
		buf_printf(&s->out, " MODSEQ (%llu)", (unsigned long long)change->modseq);
	buf_adds(&s->out, ")\r\n");
}

static void
send_expunges(struct imap_session *s, const struct mailbox_changes *changes)
{
	if (changes->expunged_count > 0)
		s->modseq_due = true;
	s->batches_asked.expunged += (uint32_t)changes->expunged_count;
	s->batches_asked.arrived += uidset_count(&changes->arrived);
	if (imap_wants_vanished(s)) {
		imap_send_vanished(s, false, &changes->expunged_uids);
		return;
	}
	for (size_t i = 0; i < changes->expunged_count; i++)
		imap_untagged(s, "%u EXPUNGE", changes->expunged_seqs[i]);
}

static void
send_changes(struct imap_session *s, const struct mailbox_changes *changes)
{
	context_report_gone(s, changes);
	send_expunges(s, changes);
	if (changes->exists_changed)
		imap_untagged(s, "%u EXISTS", changes->messages);
	if (changes->recent_changed && !imap_rev2(s))
		imap_untagged(s, "%u RECENT", changes->recent);
	if (changes->keywords_changed)
		imap_send_flags(s);
	for (size_t i = 0; i < changes->changed_count; i++)
		send_change(s, &changes->changed[i]);
	context_report(s, changes);
}

/* A client of QRESYNC may believe to know all up to the highest MODSEQ it has seen.  While expunges are held back that is
 * not so, RFC 7162 §3.2, §6; and a VANISHED has no mod-sequence of its own. */
static void
send_highestmodseq(struct imap_session *s)
{
	struct mailbox_facts facts;

	bool held;

	if (!imap_enabled(s, IMAP_ENABLED_QRESYNC) || s->modseq_in_tagged)
		return;
	mailbox_facts(s->box, &facts);
	held = facts.told_modseq < facts.highestmodseq;
	if (held || s->modseq_due)
		imap_untagged(s, "OK [HIGHESTMODSEQ %llu] %s",
		    (unsigned long long)facts.told_modseq,
		    held ? "Expunges are held back" : "Highest");
	s->modseq_due = held;
}

/* What a NOTIFY has left out of the selected mailbox's events. */
static unsigned
holds(const struct imap_session *s)
{
	unsigned wanted = imap_notify_selected(s), hold = 0;

	if ((wanted & NOTIFY_MESSAGE_NEW) == 0)
		hold |= MAILBOX_HOLD_ARRIVALS;
	if ((wanted & NOTIFY_FLAG_CHANGE) == 0)
		hold |= MAILBOX_HOLD_FLAGS;
	return hold;
}

/* What the client expunges itself it hears of, whatever NOTIFY says. */
static bool
wants_expunges(const struct imap_session *s)
{
	return s->own_expunge || (imap_notify_selected(s) & NOTIFY_MESSAGE_EXPUNGE) != 0;
}

/* May this user still read it?  Within a FETCH response nothing can be said, neither of new rights nor of the end. */
static bool
is_still_open(struct imap_session *s)
{
	if (imap_news_is_pending(s)) {
		if (imap_selected_goes_on(s))
			return true;
		s->broken = true;
		s->state = IMAP_LOGOUT;
		return false;
	}
	if (imap_selected_is_open(s))
		return true;
	imap_bye(s, NULL, "The selected mailbox is not shared any more");
	return false;
}

bool
imap_send_updates(struct imap_session *s, bool expunges_too)
{
	struct mailbox_changes changes = { 0 };
	enum store_err err = STORE_OK;
	bool more = false;

	if (s->box == NULL)
		return true;
	if (!is_still_open(s))
		return true;
	if (!imap_news_fetch(s))
		return false;
	if (s->broken)
		return true;
	mailbox_hold(s->box, holds(s));
	do {
		err = mailbox_sync(s->box, expunges_too && wants_expunges(s), &changes);
		if (err == STORE_OK) {
			send_changes(s, &changes);
			imap_news_arrived(s, &changes.arrived);
			if (!uidset_is_empty(&changes.arrived))
				imap_search_look(s);
		}
		more = err == STORE_OK && changes.more;
	} while (more && !imap_out_full(s));
	mailbox_changes_free(&changes);
	if (err == STORE_NOT_FOUND)
		imap_bye(s, NULL, "The selected mailbox is gone");
	if (!more) {
		s->silent_store = false;
		s->own_expunge = false;
		send_highestmodseq(s);
	}
	return !more && imap_news_fetch(s);
}
