#include <stdio.h>

#include "filter/sieve/capability.h"
#include "managesieved/capability.h"
#include "managesieved/commands.h"
#include "managesieved/managesieved.h"
#include "managesieved/response.h"
#include "managesieved/session.h"

static void
write_line(struct buf *out, const char *name, struct str value)
{
	buf_printf(out, "\"%s\"", name);
	if (value.p != NULL) {
		buf_addc(out, ' ');
		msieve_write_string(out, value);
	}
	buf_adds(out, "\r\n");
}

/* Nothing is offered in the clear: the empty list says "STARTTLS first".  After login they are listed still, for
 * UNAUTHENTICATE. */
static void
write_mechanisms(const struct msieve_session *s, struct buf *out)
{
	struct buf list = { 0 };

	if (s->channel != NULL)
		sasl_mechanisms(s->daemon->sasl, s->channel, " ", &list);
	write_line(out, "SASL", str_trim((struct str){ buf_cstr(&list), list.len }));
	buf_free(&list);
}

static void
write_extensions(struct buf *out)
{
	struct buf list = { 0 };

	sieve_capability_list(&list);
	write_line(out, "SIEVE", (struct str){ buf_cstr(&list), list.len });
	buf_free(&list);
}

void
msieve_write_capabilities(const struct msieve_session *s, struct buf *out)
{
	char redirects[16];

	snprintf(redirects, sizeof(redirects), "%d", FILTER_REDIRECTS_MAX);
	write_line(out, "IMPLEMENTATION", STR("Sanger"));
	write_line(out, "VERSION", STR("1.0"));
	write_mechanisms(s, out);
	write_extensions(out);
	if (s->state == MSIEVE_CLEAR)
		write_line(out, "STARTTLS", (struct str){ 0 });
	write_line(out, "MAXREDIRECTS", str_from(redirects));
	if (sieve_capability_find(STR("enotify")) != SIEVE_CAP_NONE)
		write_line(out, "NOTIFY", STR("mailto"));
	if (sieve_capability_find(STR("extlists")) != SIEVE_CAP_NONE)
		write_line(out, "EXTLISTS", STR("urn")); /* RFC 6134: the lists' URI schemes */
	write_line(out, "LANGUAGE", STR("en"));
	write_line(out, "UNAUTHENTICATE", (struct str){ 0 });
	if (s->state == MSIEVE_AUTHENTICATED)
		write_line(out, "OWNER", str_from(s->user));
}

void
msieve_write_greeting(const struct msieve_session *s, struct buf *out)
{
	msieve_write_capabilities(s, out);
	msieve_write_reply(out, "OK", NULL, STR("Sanger is ready"));
}

static enum msieve_result
capability_run(struct msieve_session *s, struct msieve_request *req)
{
	if (!msieve_arg_end(req))
		return MSIEVE_NO;
	msieve_write_capabilities(s, &s->out);
	return MSIEVE_OK;
}

const struct msieve_command msieve_cmd_capability = {
	.name = "CAPABILITY",
	.rfc = "RFC 5804 2.4",
	.states = MSIEVE_ANY_STATE,
	.run = capability_run,
};
