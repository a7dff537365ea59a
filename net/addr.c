#include "net/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/mem.h"

static const uint8_t V4_MAPPED[12] = { [10] = 0xff, [11] = 0xff };

bool
net_ip_is_v4(const struct net_ip *ip)
{
	return memcmp(ip->b, V4_MAPPED, sizeof(V4_MAPPED)) == 0;
}

bool
net_ip_parse(struct str text, struct net_ip *ip_out)
{
	char s[NET_IP_TEXT_BYTES];

	if (text.len >= sizeof(s) || memchr(text.p, '\0', text.len) != NULL)
		return false;
	memcpy(s, text.p, text.len);
	s[text.len] = '\0';
	if (inet_pton(AF_INET6, s, ip_out->b) == 1)
		return true;
	memcpy(ip_out->b, V4_MAPPED, sizeof(V4_MAPPED));
	return inet_pton(AF_INET, s, ip_out->b + sizeof(V4_MAPPED)) == 1;
}

void
net_ip_text(const struct net_ip *ip, char text[static NET_IP_TEXT_BYTES])
{
	if (net_ip_is_v4(ip))
		inet_ntop(AF_INET, ip->b + sizeof(V4_MAPPED), text, NET_IP_TEXT_BYTES);
	else
		inet_ntop(AF_INET6, ip->b, text, NET_IP_TEXT_BYTES);
}

static bool
is_host_char(char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '_' || c == '.';
}

/* Letters, digits, '-', '_' and dots, no empty label.  A name of digits and dots only is an IPv4
 * address or a mistake ("127.0.0"), which getaddrinfo() would silently expand. */
static bool
is_host_name(struct str s)
{
	bool number = true;
	struct net_ip ip;

	if (s.len == 0 || s.len >= NET_HOST_BYTES || s.p[0] == '.' || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_host_char(s.p[i]) || (s.p[i] == '.' && i > 0 && s.p[i - 1] == '.'))
			return false;
		if (!ascii_is_digit(s.p[i]) && s.p[i] != '.')
			number = false;
	}
	return !number || net_ip_parse(s, &ip);
}

static void
set_host(struct net_endpoint *end, struct str host)
{
	memcpy(end->host, host.p, host.len);
	end->host[host.len] = '\0';
}

/* ":25", or nothing where there is a default. */
static bool
parse_port(struct cursor *c, uint16_t default_port, uint16_t *port_out)
{
	uint64_t port = default_port;

	if (!cursor_at_end(c) &&
	    (!cursor_take(c, ':') ||
		!text_u64((struct str){ c->p, cursor_left(c) }, UINT16_MAX, &port)))
		return false;
	*port_out = (uint16_t)port;
	return port != 0;
}

/* "/path", with or without "unix:". */
static bool
parse_unix(struct str path, struct net_endpoint *end_out)
{
	if (path.len < 2 || path.p[0] != '/' || path.len >= NET_PATH_BYTES ||
	    memchr(path.p, '\0', path.len) != NULL)
		return false;
	end_out->kind = NET_UNIX;
	memcpy(end_out->path, path.p, path.len);
	return true;
}

/* "[2001:db8::1]" and what is behind it. */
static bool
parse_bracketed(struct cursor *c, uint16_t default_port, struct net_endpoint *end_out)
{
	const char *close = memchr(c->p, ']', cursor_left(c));
	struct str host = { c->p + 1, 0 };
	struct net_ip ip;

	if (close == NULL)
		return false;
	host.len = (size_t)(close - host.p);
	if (!net_ip_parse(host, &ip))
		return false;
	set_host(end_out, host);
	c->p = close + 1;
	return parse_port(c, default_port, &end_out->port);
}

bool
net_endpoint_parse(struct str text, uint16_t default_port, struct net_endpoint *end_out)
{
	struct cursor c = cursor_from(text);
	const char *colon;
	struct str host;

	memset(end_out, 0, sizeof(*end_out));
	if (cursor_peek(&c) == '/')
		return parse_unix(text, end_out);
	if (str_has_prefix(text, STR("unix:/")))
		return parse_unix((struct str){ text.p + 5, text.len - 5 }, end_out);
	end_out->kind = NET_TCP;
	if (cursor_peek(&c) == '[')
		return parse_bracketed(&c, default_port, end_out);
	colon = memchr(text.p, ':', text.len);
	host = (struct str){ text.p, colon != NULL ? (size_t)(colon - text.p) : text.len };
	c.p += host.len;
	if ((host.len == 0 && colon != NULL) || str_eq(host, STR("*")))
		set_host(end_out, STR("*"));
	else if (is_host_name(host))
		set_host(end_out, host);
	else
		return false;
	return parse_port(&c, default_port, &end_out->port);
}

void
net_endpoint_text(const struct net_endpoint *end, char text[static NET_ENDPOINT_BYTES])
{
	if (end->kind == NET_UNIX)
		snprintf(text, NET_ENDPOINT_BYTES, "%s", end->path);
	else if (strchr(end->host, ':') != NULL)
		snprintf(text, NET_ENDPOINT_BYTES, "[%s]:%u", end->host, end->port);
	else
		snprintf(text, NET_ENDPOINT_BYTES, "%s:%u", end->host, end->port);
}
