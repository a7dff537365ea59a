#include "lda/filter_report.h"

#include "service/service.h"
#include "store/state.h"

static void
send(struct lda_delivery *d, const struct trouble *trouble)
{
	struct buf message = { 0 };
	enum lda_verdict v;

	filter_report_compose(&message, d->account, d->lda->hostname, d->now, trouble);
	v = lda_deliver_system(d->lda, d->rcpt, (struct str){ message.data, message.len });
	log_info(d->lda->sv->log, "filter-report", "account=%s line=%u result=%s", d->account,
	    trouble->line, v == LDA_OK ? "delivered" : "failed");
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
