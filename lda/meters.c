#include "lda/meters.h"

#include "lda/delivery_record.h"
#include "service/service.h"

/* In sv->meters. */
enum {
	METER_SECONDS,
	METER_DELIVERIES,
	METER_REFUSED = METER_DELIVERIES + LDA_VERDICT_COUNT + 1,
};

void
lda_meters_name(struct service *sv)
{
	static const struct metric SECONDS = { "sanger_delivery_seconds", METRIC_HISTOGRAM,
		"seconds", "",
		"Time from the whole message to its durable copies, filter included." };
	static const struct metric DELIVERIES = { "sanger_deliveries", METRIC_COUNTER, "", "result",
		"Deliveries to one recipient, by how they ended." };
	static const struct metric REFUSED = { "sanger_recipients_refused", METRIC_COUNTER, "",
		"result", "Recipients that were refused at RCPT." };

	sv->meters[METER_SECONDS] = metrics_series(sv->metrics, &SECONDS, NULL);
	for (unsigned v = 0; v <= LDA_VERDICT_COUNT; v++) {
		const char *result = delivery_record_verdict(v);

		sv->meters[METER_DELIVERIES + v] =
		    metrics_series(sv->metrics, &DELIVERIES, &result);
		if (v != LDA_OK && v < LDA_VERDICT_COUNT)
			sv->meters[METER_REFUSED + v] =
			    metrics_series(sv->metrics, &REFUSED, &result);
	}
}

void
lda_meters_delivery(const struct service *sv, enum lda_verdict v, uint64_t since_ns)
{
	metrics_add(sv->metrics, sv->meters[METER_DELIVERIES + v], 1);
	if (v == LDA_OK)
		metrics_time_ns(
		    sv->metrics, sv->meters[METER_SECONDS], metrics_now_ns() - since_ns);
}

void
lda_meters_refused(const struct service *sv, enum lda_verdict v)
{
	if (v != LDA_OK)
		metrics_add(sv->metrics, sv->meters[METER_REFUSED + v], 1);
}
