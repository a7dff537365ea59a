#include "imapd/meters.h"

#include "service/service.h"

/* In sv->meters: of each command, in the order of the table and one behind it for the unknown. */
enum { METER_SECONDS, METER_OK, METER_NO, METER_BAD, METER_COUNT };

void
imap_meters_name(struct service *sv)
{
	static const struct metric SECONDS = { "sanger_imap_command_seconds", METRIC_HISTOGRAM,
		"seconds", "command", "Time that the server worked on an IMAP command." };
	static const struct metric COMMANDS = { "sanger_imap_commands", METRIC_COUNTER, "",
		"command result", "IMAP commands and how they ended." };
	static const char *const RESULTS[METER_COUNT] = {
		[METER_OK] = "ok", [METER_NO] = "no", [METER_BAD] = "bad"
	};

	for (size_t i = 0; i <= IMAP_COMMAND_COUNT; i++) {
		const char *values[2] = { i < IMAP_COMMAND_COUNT ? IMAP_COMMANDS[i]->name
								 : "unknown" };
		uint32_t *meters = &sv->meters[i * METER_COUNT];

		meters[METER_SECONDS] = metrics_series(sv->metrics, &SECONDS, values);
		for (size_t m = METER_OK; m < METER_COUNT; m++) {
			values[1] = RESULTS[m];
			meters[m] = metrics_series(sv->metrics, &COMMANDS, values);
		}
	}
}

void
imap_meters_count(const struct service *sv, const struct imap_command *command,
    enum imap_result result, uint64_t ns)
{
	const uint32_t *meters;
	size_t i = 0;

	if (sv->metrics == NULL)
		return;
	while (i < IMAP_COMMAND_COUNT && IMAP_COMMANDS[i] != command)
		i++;
	meters = &sv->meters[i * METER_COUNT];
	metrics_time_ns(sv->metrics, meters[METER_SECONDS], ns);
	metrics_add(sv->metrics,
	    meters[result == IMAP_OK   ? METER_OK
		   : result == IMAP_NO ? METER_NO
				       : METER_BAD],
	    1);
}
