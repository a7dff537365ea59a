#include "service/relay_tls.h"

#include "base/config.h"
#include "base/mem.h"
#include "net/tls.h"

bool
service_relay_tls(const struct config *config, struct log *log, struct service_relay_tls *out)
{
	static const struct {
		enum smtp_client_tls mode;
		enum net_tls_verify verify;
	} WORDS[] = {
		/* in the order of the setting's choices */
		{ SMTP_TLS_NONE, NET_TLS_ANY },          /* none */
		{ SMTP_TLS_OPPORTUNISTIC, NET_TLS_ANY }, /* opportunistic */
		{ SMTP_TLS_REQUIRED, NET_TLS_ANY },      /* required */
		{ SMTP_TLS_REQUIRED, NET_TLS_CA },       /* verify */
	};
	unsigned word = config_enum(config, "submitd.relay_tls");
	struct net_tls_client_spec spec = {
		.verify = WORDS[word].verify,
		.ca_file = config_string(config, "submitd.relay_ca_file"),
	};

	*out = (struct service_relay_tls){ .mode = WORDS[word].mode };
	if (out->mode != SMTP_TLS_NONE)
		out->client = net_tls_client_new(&spec, log);
	return out->mode == SMTP_TLS_NONE || out->client != NULL;
}
