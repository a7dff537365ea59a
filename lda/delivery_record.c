#include "lda/delivery_record.h"

#include <string.h>
#include <time.h>

#include "net/smtp_server.h"
#include "service/service.h"

static const char *const VERDICTS[LDA_VERDICT_COUNT] = {
	[LDA_OK] = "delivered",
	[LDA_NO_USER] = "no-such-user",
	[LDA_INACTIVE] = "inactive",
	[LDA_OVER_QUOTA] = "over-quota",
	[LDA_TOO_BIG] = "too-big",
	[LDA_LOOP] = "loop",
	[LDA_NO_MAILBOX] = "no-such-mailbox",
	[LDA_REFUSED] = "refused",
	[LDA_NO_SPACE] = "no-space",
	[LDA_TEMPORARY] = "put-off",
};

const char *
delivery_record_verdict(enum lda_verdict verdict)
{
	return verdict < LDA_VERDICT_COUNT ? VERDICTS[verdict] : "given-up";
}

static void
add_envelope(struct record *r, const struct lda_envelope *e)
{
	record_text(r, "id", e->id);
	record_text(r, "peer", e->peer);
	record_text(r, "helo", e->helo);
	record_text(r, "tls", e->tls);
	record_text(r, "with", e->with);
	record_text(r, "from", e->sender);
}

void
delivery_record_begin(struct lda_delivery *d)
{
	struct record *r = &d->record;

	record_begin(r, "delivery");
	add_envelope(r, d->envelope);
	record_text(r, "rcpt", d->rcpt->address);
	record_text(r, "orcpt", d->rcpt->orcpt);
	record_text(r, "envid", d->envelope->envid);
	record_text(r, "account", d->account);
	record_text(r, "detail", d->rcpt->detail);
	record_number(r, "size", (int64_t)d->content->size_bytes);
	record_array(r, "did");
}

struct record *
delivery_record_did(struct lda_delivery *d, const char *what, struct decision by)
{
	struct record *r = &d->record;

	record_object(r, NULL);
	record_text(r, "what", what);
	record_text(r, "place", by.place);
	record_text(r, "script", by.script);
	record_text(r, "filter", by.language);
	if (by.line > 0)
		record_number(r, "line", by.line);
	return r;
}

void
delivery_record_note(
    struct lda_delivery *d, const char *what, struct decision by, const char *reason)
{
	struct record *r = delivery_record_did(d, what, by);

	record_text(r, "reason", reason);
	record_end(r);
}

/* --- how it ended ------------------------------------------------------------------------------- */

/* What people look for it by, and what the default filter asks. */
static void
add_header(struct lda_delivery *d)
{
	static const struct {
		struct str name;
		const char *key;
	} FIELDS[] = {
		{ STR("Message-ID"), "message_id" },
		{ STR("X-Spam-Score"), "spam_score" },
		{ STR("X-Spam-Flag"), "spam_flag" },
		{ STR("X-Spam-Status"), "spam_status" },
	};
	const struct view *view = delivery_view(d);
	unsigned seen = 0;

	for (size_t i = 0; view != NULL && i < view->field_count; i++) {
		for (size_t k = 0; k < ARRAY_LEN(FIELDS); k++) {
			struct str value = str_trim(view->fields[i].value);

			if ((seen >> k & 1) != 0 ||
			    !str_eq_nocase(view->fields[i].name, FIELDS[k].name))
				continue;
			seen |= 1U << k;
			record_text_of(&d->record, FIELDS[k].key, value.p, value.len);
		}
	}
}

static const char *
quota_state(const struct lda_delivery *d)
{
	const struct quota_rules *rules = &d->rcpt->quota;
	const char *state = quota_allows(rules, &d->before) ? "under" : "over";

	if (!quota_is_limited(rules))
		return "unlimited";
	if (d->copy_count == 0)
		return state;
	for (size_t i = 0; i < d->copy_count; i++)
		if (!quota_excludes(rules, d->copies[i].mailbox))
			return state;
	return "exempt";
}

static void
add_quota(struct lda_delivery *d)
{
	const struct quota_rules *rules = &d->rcpt->quota;
	struct record *r = &d->record;

	record_object(r, "quota");
	record_text(r, "state", quota_state(d));
	if (quota_is_limited(rules)) {
		record_number(r, "used", (int64_t)d->before.bytes);
		record_number(r, "limit", (int64_t)rules->limit_bytes);
		record_number(r, "messages", (int64_t)d->before.count);
		if (rules->limit_messages > 0)
			record_number(r, "messages_limit", (int64_t)rules->limit_messages);
	}
	record_number(r, "added", (int64_t)d->stored_bytes);
	record_end(r);
}

void
delivery_record_end(struct lda_delivery *d, enum lda_verdict verdict)
{
	struct record *r = &d->record;

	if (verdict == LDA_VERDICT_COUNT) {
		delivery_record_note(
		    d, "given-up", (struct decision){ 0 }, "with another recipient of the message");
		verdict = LDA_TEMPORARY;
	}
	record_end(r); /* what was done */
	add_header(d);
	add_quota(d);
	record_text(r, "verdict", verdict < LDA_VERDICT_COUNT ? VERDICTS[verdict] : NULL);
	if (verdict == LDA_REFUSED)
		record_text(r, "reason", d->refusal);
	records_add(d->lda->sv->records, r);
}

void
delivery_record_refused(struct lda *l, const struct lda_envelope *envelope, const char *rcpt,
    enum lda_verdict verdict, const struct smtp_reply *reply)
{
	struct record r;

	record_begin(&r, "refused");
	add_envelope(&r, envelope);
	record_text(&r, "rcpt", rcpt);
	record_text(&r, "verdict", VERDICTS[verdict]);
	if (reply != NULL) {
		record_number(&r, "code", reply->code);
		record_text(&r, "reason", reply->text);
	}
	records_add(l->sv->records, &r);
}
