#include "submitd/meters.h"

#include <string.h>

#include "net/smtp_client.h"
#include "service/service.h"
#include "submitd/relay.h"
#include "submitd/verdict.h"

enum relay_result {
	RELAY_ACCEPTED,
	RELAY_DEFERRED,
	RELAY_REFUSED,
	RELAY_BROKEN,
	RELAY_UNREACHABLE,
	RELAY_RESULTS
};

/* In sv->meters; of each configured relay in their order, and one behind them for all others. */
enum { METER_QUEUED, METER_PUT_OFF, METER_REFUSED, METER_RELAYS };

static size_t
relay_count(const struct service *sv)
{
	size_t count = config_count(sv->config, "submitd.relay");

	return count < RELAY_COUNT_MAX ? count : RELAY_COUNT_MAX;
}

static void
name_relay(struct service *sv, size_t i)
{
	static const struct metric SECONDS = { "sanger_relay_seconds", METRIC_HISTOGRAM, "seconds",
		"relay result", "Time of a relay for one message, by how it ended." };
	static const char *const RESULTS[RELAY_RESULTS] = { "accepted", "deferred", "refused",
		"broken", "unreachable" };

	for (size_t r = 0; r < RELAY_RESULTS; r++) {
		const char *values[] = { i < relay_count(sv)
					     ? config_string_at(sv->config, "submitd.relay", i)
					     : "other",
			RESULTS[r] };

		sv->meters[METER_RELAYS + i * RELAY_RESULTS + r] =
		    metrics_series(sv->metrics, &SECONDS, values);
	}
}

void
submit_meters_name(struct service *sv)
{
	static const struct metric SUBMISSIONS = { "sanger_submissions", METRIC_COUNTER, "",
		"result", "Messages that users submitted, by how they were answered." };
	static const char *const RESULTS[METER_RELAYS] = { "queued", "put-off", "refused" };

	for (size_t i = 0; i < METER_RELAYS; i++)
		sv->meters[i] = metrics_series(sv->metrics, &SUBMISSIONS, &RESULTS[i]);
	for (size_t i = 0; i <= relay_count(sv); i++)
		name_relay(sv, i);
}

void
submit_meters_answered(const struct service *sv, int code)
{
	metrics_add(sv->metrics,
	    sv->meters[code < 400   ? METER_QUEUED
		       : code < 500 ? METER_PUT_OFF
				    : METER_REFUSED],
	    1);
}

static enum relay_result
result_of(const struct smtp_client_report *report)
{
	enum relay_result result = RELAY_REFUSED;

	if (report == NULL)
		return RELAY_UNREACHABLE;
	if (verdict_some_taken(report))
		return RELAY_ACCEPTED;
	if (report->lost)
		return RELAY_BROKEN;
	for (size_t i = 0; i < report->rcpt_count; i++)
		if (report->rcpts[i].outcome == SMTP_OUTCOME_TEMPORARY)
			result = RELAY_DEFERRED;
	return result;
}

void
submit_meters_relay(const struct service *sv, const char *relay,
    const struct smtp_client_report *report, uint64_t since_ns)
{
	size_t i = 0;

	while (
	    i < relay_count(sv) &&
	    (relay == NULL || strcmp(config_string_at(sv->config, "submitd.relay", i), relay) != 0))
		i++;
	metrics_time_ns(sv->metrics,
	    sv->meters[METER_RELAYS + i * RELAY_RESULTS + result_of(report)],
	    metrics_now_ns() - since_ns);
}
