/* XCLIENT: a proxy says for whom it speaks, so that logs, Received fields and the counting of failed logins tell
 * the true client.  Postfix's XCLIENT_README is the description; nginx and Postfix say it.
 * Beyond it nothing, and less: LOGIN is refused, for a proxy's word does not stand for a password. */
#include <stdlib.h>

#include "net/smtp_session.h"
#include "net/stream.h"

/* What one command says. */
struct xclient {
	struct smtp_session *s;
	bool has_ip, extended;
	struct net_ip ip;
	const char *name, *helo;
};

bool
smtp_xclient_is_offered(const struct smtp_session *s)
{
	return s->may_xclient;
}

/* "192.0.2.1" or "IPV6:2001:db8::1"; not known: the proxy's own stays */
static bool
attribute_addr(struct xclient *x, const char *value)
{
	struct str text;

	if (value == NULL)
		return true;
	text = str_from(value);
	if (str_has_prefix_nocase(text, STR("IPV6:")))
		text = (struct str){ text.p + 5, text.len - 5 };
	x->has_ip = net_ip_parse(text, &x->ip);
	return x->has_ip;
}

static bool
attribute_port(struct xclient *x, const char *value)
{
	uint64_t port;

	(void)x;
	return value == NULL || text_u64(str_from(value), 65535, &port);
}

static bool
attribute_proto(struct xclient *x, const char *value)
{
	x->extended = value == NULL || ascii_eq_nocase(value, "ESMTP");
	return x->extended || ascii_eq_nocase(value, "SMTP");
}

static bool
attribute_helo(struct xclient *x, const char *value)
{
	x->helo = NULL;
	return value == NULL || smtp_parse_helo(str_from(value), true, &x->s->arena, &x->helo);
}

static bool
attribute_name(struct xclient *x, const char *value)
{
	x->name = value;
	return true;
}

/* Who the client talked to; we greet with our own name all the same. */
static bool
attribute_destaddr(struct xclient *x, const char *value)
{
	struct xclient other = { .s = x->s };

	return attribute_addr(&other, value);
}

static const struct attribute {
	const char *name;
	bool (*take)(struct xclient *x, const char *value);
} ATTRIBUTES[] = {
	{ "NAME", attribute_name },
	{ "ADDR", attribute_addr },
	{ "PORT", attribute_port },
	{ "PROTO", attribute_proto },
	{ "HELO", attribute_helo },
	{ "DESTADDR", attribute_destaddr },
	{ "DESTPORT", attribute_port },
};

void
smtp_xclient_keyword(struct buf *lines)
{
	buf_adds(lines, "\nXCLIENT");
	for (size_t i = 0; i < ARRAY_LEN(ATTRIBUTES); i++)
		buf_printf(lines, " %s", ATTRIBUTES[i].name);
}

static bool
take_attribute(struct xclient *x, const struct smtp_xclient *given)
{
	for (size_t i = 0; i < ARRAY_LEN(ATTRIBUTES); i++)
		if (str_eq_nocase(given->name, str_from(ATTRIBUTES[i].name)))
			return ATTRIBUTES[i].take(x, given->value);
	/* What is not offered may be said to be unknown: nginx does so with LOGIN. */
	return given->value == NULL;
}

/* The session begins anew, with another peer. */
static void
start_anew(struct smtp_session *s, const struct xclient *x)
{
	char *helo = x->helo != NULL ? mem_strdup(x->helo) : NULL;
	char by[NET_IP_TEXT_BYTES];

	memcpy(by, s->peer, sizeof(by));
	if (x->has_ip) {
		s->peer_ip = x->ip;
		s->has_peer_ip = true;
		net_ip_text(&x->ip, s->peer);
	}
	log_info(s->log, "xclient", "peer=%s name=%s by=%s", s->peer,
	    x->name != NULL ? x->name : "", by);
	free(s->helo);
	s->helo = helo;
	s->extended = x->extended;
	free(s->login);
	s->login = NULL;
	s->mechanism = NULL;
	smtp_session_forget_transaction(s);
	smtp_session_start_life(s);
}

enum smtp_step
smtp_xclient_command(struct smtp_session *s, struct str args)
{
	struct xclient x = { .s = s, .extended = true };
	struct smtp_xclient given;
	bool bad = false;

	if (!s->may_xclient)
		return smtp_command_bad(s, 550, "5.7.0", "XCLIENT is not for you");
	if (s->in_transaction)
		return smtp_command_bad(s, 503, "5.5.1", "Not inside a mail transaction");
	if (args.len == 0)
		return smtp_command_bad(s, 501, "5.5.4", "Syntax: XCLIENT attribute=value");
	smtp_session_forget_transaction(s);
	while (smtp_parse_xclient(&args, &s->arena, &given, &bad))
		if (!take_attribute(&x, &given))
			return smtp_command_bad(s, 501, "5.5.4", "Bad XCLIENT attribute");
	if (bad)
		return smtp_command_bad(s, 501, "5.5.4", "Bad XCLIENT syntax");
	start_anew(s, &x);
	smtp_command_greeting(s, &s->reply);
	smtp_session_reply(s, &s->reply);
	return STEP_AGAIN;
}
