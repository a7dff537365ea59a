#include "net/meters.h"

/* The series of `metric` with these values behind the listener's name. */
static uint32_t
series(struct metrics *m, const struct metric *metric, const char *listener, const char *value)
{
	const char *values[METRICS_LABELS_MAX] = { listener, value };

	return metrics_series(m, metric, values);
}

void
net_meters_name(struct metrics *m, const char *listener, struct net_meters *out)
{
	static const struct metric CONNECTIONS = { "sanger_connections", METRIC_GAUGE, "",
		"listener", "Connections that are open now." };
	static const struct metric ACCEPTED = { "sanger_connections_accepted", METRIC_COUNTER, "",
		"listener", "Connections that were taken." };
	static const struct metric REFUSED = { "sanger_connections_refused", METRIC_COUNTER, "",
		"listener limit",
		"Connections beyond a limit, of one address or of the listener." };
	static const struct metric HANDSHAKES = { "sanger_tls_handshakes", METRIC_COUNTER, "",
		"listener result", "TLS handshakes with clients." };
	static const struct metric BYTES = { "sanger_network_bytes", METRIC_COUNTER, "bytes",
		"listener direction", "Bytes on the wire, as clients send and receive them." };

	*out = (struct net_meters){
		.metrics = m,
		.connections = series(m, &CONNECTIONS, listener, ""),
		.accepted = series(m, &ACCEPTED, listener, ""),
		.refused_total = series(m, &REFUSED, listener, "total"),
		.refused_address = series(m, &REFUSED, listener, "address"),
		.tls_full = series(m, &HANDSHAKES, listener, "full"),
		.tls_resumed = series(m, &HANDSHAKES, listener, "resumed"),
		.tls_failed = series(m, &HANDSHAKES, listener, "failed"),
		.received = series(m, &BYTES, listener, "received"),
		.sent = series(m, &BYTES, listener, "sent"),
	};
}
