#include "service/relay_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "base/mem.h"
#include "net/tls.h"

#define PORT_SUBMISSIONS   465 /* RFC 8314 §7.3 */
#define PASSWORD_MAX_BYTES 1024

static const struct {
	enum smtp_client_tls mode;
	enum net_tls_verify verify;
} WORDS[] = {
	/* in the order of the choices of submitd.relay_tls */
	{ SMTP_TLS_NONE, NET_TLS_ANY },
	{ SMTP_TLS_OPPORTUNISTIC, NET_TLS_ANY },
	{ SMTP_TLS_REQUIRED, NET_TLS_ANY },
	{ SMTP_TLS_REQUIRED, NET_TLS_CA },
	{ SMTP_TLS_REQUIRED, NET_TLS_FINGERPRINT },
};

enum { START_AUTO, START_STARTTLS, START_IMPLICIT }; /* the choices of submitd.relay_tls_start */

static bool
password_failed(struct log *log, const char *path, const char *why)
{
	log_error(log, "relay-password", "file=%s error=%s", path, why);
	return false;
}

/* The first line of the file; a password that everybody may read is none. */
static bool
read_password(const char *path, struct log *log, char **password_out)
{
	char text[PASSWORD_MAX_BYTES];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	ssize_t len;

	if (fd < 0)
		return password_failed(log, path, strerror(errno));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & S_IRWXO) != 0) {
		close(fd);
		return password_failed(log, path, "must be a file that others may not read");
	}
	len = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (len <= 0 || len == (ssize_t)sizeof(text) - 1)
		return password_failed(log, path, "empty, too long or unreadable");
	text[len] = '\0';
	text[strcspn(text, "\r\n")] = '\0';
	*password_out = mem_strdup(text);
	mem_wipe(text, sizeof(text));
	return **password_out != '\0' || password_failed(log, path, "its first line is empty");
}

static bool
set_up_login(const struct config *config, struct log *log, struct service_relay_tls *out)
{
	const char *path = config_string(config, "submitd.relay_password_file");

	out->user = config_string(config, "submitd.relay_user");
	if (out->user == NULL)
		return true;
	if (path != NULL)
		return read_password(path, log, &out->password);
	log_error(log, "relay-password", "error=%s",
	    "submitd.relay_user needs submitd.relay_password_file");
	return false;
}

bool
service_relay_tls(const struct config *config, struct log *log, struct service_relay_tls *out)
{
	unsigned word = config_enum(config, "submitd.relay_tls");
	unsigned start = config_enum(config, "submitd.relay_tls_start");
	size_t pins = config_count(config, "submitd.relay_fingerprint");
	const char **fingerprints = mem_zalloc((pins + 1) * sizeof(const char *));
	struct net_tls_client_spec spec = {
		.verify = WORDS[word].verify,
		.ca_file = config_string(config, "submitd.relay_ca_file"),
		.fingerprints = fingerprints,
		.fingerprint_count = pins,
		.certificate = config_string(config, "submitd.relay_certificate"),
		.key = config_string(config, "submitd.relay_key"),
	};

	for (size_t i = 0; i < pins; i++)
		fingerprints[i] = config_string_at(config, "submitd.relay_fingerprint", i);
	*out = (struct service_relay_tls){ .mode = WORDS[word].mode };
	if (out->mode != SMTP_TLS_NONE) {
		out->implicit = start == START_IMPLICIT;
		out->implicit_at_465 = start == START_AUTO;
		out->client = net_tls_client_new(&spec, log);
	}
	free(fingerprints);
	return (out->mode == SMTP_TLS_NONE || out->client != NULL) &&
	       set_up_login(config, log, out);
}

void
service_relay_tls_apply(
    const struct service_relay_tls *tls, uint16_t port, struct smtp_client_config *config)
{
	bool implicit = tls->implicit || (tls->implicit_at_465 && port == PORT_SUBMISSIONS);

	config->tls = implicit ? SMTP_TLS_IMPLICIT : tls->mode;
	config->tls_client = tls->client;
	config->user = tls->user;
	config->password = tls->password;
}

void
service_relay_tls_free(struct service_relay_tls *tls)
{
	net_tls_free(tls->client);
	if (tls->password != NULL)
		mem_wipe(tls->password, strlen(tls->password));
	free(tls->password);
	*tls = (struct service_relay_tls){ 0 };
}
