#include "service/login_meters.h"

#include <stddef.h>

#include "base/text.h"

static const char *const MECHANISMS[LOGIN_MECHANISMS] = {
	"PLAIN",
	"LOGIN",
	"SCRAM-SHA-256",
	"SCRAM-SHA-256-PLUS",
	"BASIC",
	"other",
};

void
login_meters_name(struct metrics *m, struct login_meters *out)
{
	static const struct metric LOGINS = { "sanger_logins", METRIC_COUNTER, "",
		"mechanism result", "Logins, by SASL mechanism." };
	static const struct metric SECONDS = { "sanger_login_seconds", METRIC_HISTOGRAM, "seconds",
		"", "Time to look up an account and to check its password." };
	static const char *const RESULTS[2] = { "failed", "ok" };

	*out = (struct login_meters){ .metrics = m };
	for (size_t i = 0; i < LOGIN_MECHANISMS; i++) {
		for (size_t r = 0; r < 2; r++) {
			const char *values[] = { MECHANISMS[i], RESULTS[r] };

			out->logins[i][r] = metrics_series(m, &LOGINS, values);
		}
	}
	out->seconds = metrics_series(m, &SECONDS, NULL);
}

void
login_meters_count(
    const struct login_meters *lm, const char *mechanism, bool ok, const struct net_ip *ip)
{
	size_t i = 0;

	while (i < LOGIN_MECHANISMS - 1 && !ascii_eq_nocase(MECHANISMS[i], mechanism))
		i++;
	metrics_add(lm->metrics, lm->logins[i][ok], 1);
	if (!ok)
		metrics_login_failed(lm->metrics, ip);
}

void
login_meters_time(const struct login_meters *lm, uint64_t since_ns)
{
	metrics_time_ns(lm->metrics, lm->seconds, metrics_now_ns() - since_ns);
}
