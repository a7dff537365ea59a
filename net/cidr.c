#include "net/cidr.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

#define V4_BITS_BEFORE 96 /* of the 128 of a mapped address */

/* True if no bit behind the prefix is set. */
static bool
host_bits_clear(const struct net_cidr *net)
{
	for (unsigned i = net->bits; i < 128; i++)
		if (net->ip.b[i / 8] & (0x80 >> i % 8))
			return false;
	return true;
}

bool
net_cidr_parse(struct str text, struct net_cidr *net_out)
{
	const char *slash = text.len > 0 ? memchr(text.p, '/', text.len) : NULL;
	size_t ip_len = slash != NULL ? (size_t)(slash - text.p) : text.len;
	uint64_t bits;
	bool v4;

	if (!net_ip_parse((struct str){ text.p, ip_len }, &net_out->ip))
		return false;
	/* A mapped address written as IPv6 counts its bits as IPv6. */
	v4 = memchr(text.p, ':', ip_len) == NULL;
	bits = v4 ? 32 : 128;
	if (slash != NULL &&
	    !text_u64((struct str){ slash + 1, text.len - ip_len - 1 }, bits, &bits))
		return false;
	net_out->bits = (uint8_t)(bits + (v4 ? V4_BITS_BEFORE : 0));
	return host_bits_clear(net_out);
}

static bool
is_separator(char c)
{
	return c == ',' || ascii_is_space(c);
}

static bool
is_item(char c)
{
	return !is_separator(c);
}

bool
net_cidr_list_parse(struct str text, struct net_cidr_list *list_out, struct str *bad_out)
{
	struct cursor c = cursor_from(text);
	struct net_cidr net;
	struct str item;

	*list_out = (struct net_cidr_list){ 0 };
	for (;;) {
		cursor_take_while(&c, is_separator);
		item = cursor_take_while(&c, is_item);
		if (item.len == 0)
			return true;
		if (list_out->count == NET_CIDR_MAX || !net_cidr_parse(item, &net))
			break;
		list_out->nets =
		    mem_realloc_array(list_out->nets, list_out->count + 1, sizeof(*list_out->nets));
		list_out->nets[list_out->count++] = net;
	}
	*bad_out = item;
	net_cidr_list_free(list_out);
	return false;
}

void
net_cidr_list_free(struct net_cidr_list *list)
{
	free(list->nets);
	*list = (struct net_cidr_list){ 0 };
}

bool
net_cidr_match(const struct net_cidr *net, const struct net_ip *ip)
{
	unsigned bytes = net->bits / 8, rest = net->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(net->ip.b, ip->b, bytes) != 0)
		return false;
	return rest == 0 || (ip->b[bytes] & mask) == net->ip.b[bytes];
}

bool
net_cidr_list_match(const struct net_cidr_list *list, const struct net_ip *ip)
{
	for (size_t i = 0; i < list->count; i++)
		if (net_cidr_match(&list->nets[i], ip))
			return true;
	return false;
}
