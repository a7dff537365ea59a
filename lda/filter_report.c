#include "lda/filter_report.h"

#include "service/service.h"
#include "store/account_db.h"
#include "store/state.h"

static struct str
field(const struct view *v, const char *name)
{
	for (size_t i = 0; v != NULL && i < v->field_count; i++)
		if (str_eq_nocase(v->fields[i].name, str_from(name)))
			return str_trim(v->fields[i].value);
	return (struct str){ NULL, 0 };
}

static void
send(struct lda_delivery *d, const struct trouble *trouble)
{
	const struct view *v = delivery_view(d);
	struct account_row row = { 0 };
	struct filter_report_facts facts = {
		.account = d->account,
		.hostname = d->lda->hostname,
		.now = d->now,
		.from = field(v, "From"),
		.subject = field(v, "Subject"),
		.date = field(v, "Date"),
	};
	struct buf message = { 0 };
	enum lda_verdict verdict;

	/* The text is read again, for it is needed here only; without it the report lacks the line's words. */
	if (account_db_find(d->lda->sv->accounts, str_from(d->rcpt->localpart),
		str_from(d->rcpt->domain), &row) == STORE_OK &&
	    row.filter != NULL)
		facts.filter = (struct str){ row.filter, row.filter_len };
	filter_report_compose(&message, &facts, trouble);
	verdict = lda_deliver_system(d->lda, d->rcpt, (struct str){ message.data, message.len });
	log_info(d->lda->sv->log, "filter-report", "account=%s line=%u result=%s", d->account,
	    trouble->line, verdict == LDA_OK ? "delivered" : "failed");
	account_row_free(&row);
	buf_free(&message);
}

void
filter_report(struct lda_delivery *d)
{
	for (size_t i = 0; i < d->trouble_count; i++) {
		const struct trouble *t = &d->troubles[i];
		struct state *state = delivery_state(d);
		bool due = false;

		if (state != NULL &&
		    state_error_add(state, t->kind, t->line, t->text, d->now, &due) == STORE_OK &&
		    due)
			send(d, t);
	}
}
