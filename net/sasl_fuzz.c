/* What clients send in SASL exchanges: the first byte chooses the mechanism, lines are split by LF.  Nobody knows
 * the password, so nothing may end in success. */
#include <openssl/rand.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/sasl.h"
#include "net/sasl_prep.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static enum sasl_verdict
verify_password(void *arg, const char *user, struct str password, const char *peer,
    struct buf *login_out, struct buf *note_out)
{
	(void)note_out;
	(void)arg;
	(void)password;
	(void)peer;
	(void)login_out;
	return *user == 't' ? SASL_VERDICT_TEMPFAIL : SASL_VERDICT_DENIED;
}

static enum sasl_verdict
scram_keys(void *arg, const char *user, struct sasl_scram_keys *keys, struct buf *login_out,
    struct buf *note_out)
{
	(void)note_out;
	(void)arg;
	(void)user;
	memset(keys, 7, sizeof(*keys));
	keys->salt_len = 16;
	keys->iterations = 4096;
	buf_adds(login_out, "ann@example.org");
	return SASL_VERDICT_OK;
}

static const struct sasl_backend BACKEND = { verify_password, scram_keys };
static const struct sasl_service SERVICE = { .name = "smtp", .backend = &BACKEND };
static const char *const MECHANISMS[] = { "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS" };

/* Raw messages reach deeper than base64 ones: each is encoded here, unless it begins with "~". */
static enum sasl_status
send_message(struct sasl_session *s, bool first, struct str text, struct buf *out)
{
	struct buf line = { 0 };
	enum sasl_status status;
	struct str coded;

	if (text.len > 0 && *text.p == '~')
		buf_add(&line, text.p + 1, text.len - 1);
	else
		base64_encode(&line, text.p, text.len);
	coded = (struct str){ line.data, line.len };
	status = first ? sasl_session_start(s, &coded, out) : sasl_session_next(s, coded, out);
	buf_free(&line);
	return status;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static bool ready;
	struct sasl_channel channel = { .tls = true, .peer = "192.0.2.1", .exporter_len = 32 };
	struct buf out = { 0 };
	struct sasl_session *s;
	struct cursor c;
	enum sasl_status status = SASL_STATUS_MORE;

	if (!ready && !sasl_setup(NULL))
		abort();
	ready = true;
	if (size == 0)
		return 0;
	sasl_prep((struct str){ (const char *)data + 1, size - 1 }, &out);
	buf_reset(&out);
	s = sasl_session_new(&SERVICE, &channel, str_from(MECHANISMS[data[0] % 4]));
	c = (struct cursor){ (const char *)data + 1, (const char *)data + size };
	for (bool first = true; status == SASL_STATUS_MORE && !cursor_at_end(&c); first = false) {
		const char *lf = memchr(c.p, '\n', cursor_left(&c));
		const char *to = lf != NULL ? lf : c.end;

		buf_reset(&out);
		status = send_message(s, first, (struct str){ c.p, (size_t)(to - c.p) }, &out);
		c.p = lf != NULL ? lf + 1 : c.end;
	}
	if (status == SASL_STATUS_DONE || sasl_session_login(s) != NULL)
		abort();
	sasl_session_free(s);
	buf_free(&out);
	return 0;
}
