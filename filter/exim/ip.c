#include "filter/exim/ip.h"

#include <arpa/inet.h>

bool
exim_ip_parse(struct str s, bool mask, struct exim_ip *out)
{
	char text[64];
	const char *slash = s.len > 0 ? memchr(s.p, '/', s.len) : NULL;
	size_t len = slash != NULL ? (size_t)(slash - s.p) : s.len;
	uint64_t bits;

	*out = (struct exim_ip){ .mask_bits = -1 };
	if (len >= sizeof(text) || len == 0 || memchr(s.p, '\0', len) != NULL)
		return false;
	memcpy(text, s.p, len);
	text[len] = '\0';
	out->len = strchr(text, ':') != NULL ? 16 : 4;
	if (inet_pton(out->len == 4 ? AF_INET : AF_INET6, text, out->bytes) != 1)
		return false;
	if (slash == NULL)
		return true;
	if (!mask || !text_u64((struct str){ slash + 1, s.len - len - 1 }, out->len * 8, &bits))
		return false;
	out->mask_bits = (int)bits;
	return true;
}

void
exim_ip_apply_mask(struct exim_ip *ip)
{
	for (unsigned i = 0; i < ip->len && ip->mask_bits >= 0; i++) {
		unsigned bits = (unsigned)ip->mask_bits;
		unsigned keep = bits >= (i + 1) * 8 ? 8 : bits <= i * 8 ? 0 : bits - i * 8;

		ip->bytes[i] &= (unsigned char)(0xff00u >> keep);
	}
}

bool
exim_ip_within(const struct exim_ip *ip, const struct exim_ip *net)
{
	struct exim_ip a = *ip, b = *net;

	if (a.len != b.len)
		return false;
	a.mask_bits = b.mask_bits;
	exim_ip_apply_mask(&a);
	exim_ip_apply_mask(&b);
	return memcmp(a.bytes, b.bytes, a.len) == 0;
}

void
exim_ip_print(struct exim_text *out, const struct exim_ip *ip, char separator)
{
	if (ip->len == 4) {
		exim_text_printf(
		    out, "%u.%u.%u.%u", ip->bytes[0], ip->bytes[1], ip->bytes[2], ip->bytes[3]);
		return;
	}
	for (unsigned i = 0; i < 16; i += 2) {
		if (i > 0)
			exim_text_char(out, separator);
		exim_text_printf(out, "%02x%02x", ip->bytes[i], ip->bytes[i + 1]);
	}
}

void
exim_ip_print_short(struct exim_text *out, const struct exim_ip *ip)
{
	char text[INET6_ADDRSTRLEN];

	if (inet_ntop(ip->len == 4 ? AF_INET : AF_INET6, ip->bytes, text, sizeof(text)) != NULL)
		exim_text_str(out, str_from(text));
}

void
exim_ip_print_reverse(struct exim_text *out, const struct exim_ip *ip)
{
	for (unsigned i = ip->len; i-- > 0;) {
		if (ip->len == 4)
			exim_text_printf(out, "%u", ip->bytes[i]);
		else
			exim_text_printf(out, "%x.%x", ip->bytes[i] & 15, ip->bytes[i] >> 4);
		if (i > 0)
			exim_text_char(out, '.');
	}
}
