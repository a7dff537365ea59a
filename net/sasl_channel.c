#include <string.h>

#include "base/buf.h"
#include "net/sasl.h"
#include "net/stream.h"

static size_t
binding(const struct net_stream *st, enum net_binding kind,
    unsigned char out[static SASL_BINDING_MAX_BYTES])
{
	struct buf data = { 0 };
	size_t len = 0;

	if (net_stream_tls_binding(st, kind, &data) && data.len <= SASL_BINDING_MAX_BYTES) {
		len = data.len;
		memcpy(out, data.data, len);
	}
	buf_free(&data);
	return len;
}

void
sasl_channel_tls(struct sasl_channel *ch, const struct net_stream *st)
{
	ch->tls = true;
	ch->exporter_len = binding(st, NET_BINDING_EXPORTER, ch->exporter);
	ch->end_point_len = binding(st, NET_BINDING_SERVER_ENDPOINT, ch->end_point);
}
