#include "net/proxy_parse.h"

#include <string.h>

#include "base/mem.h"

#define V1_START      "PROXY "
#define V2_START_LEN  16 /* signature, version and command, family, length */
#define TLV_HEAD_LEN  3
#define TLV_CRC32C    0x03 /* PP2_TYPE_CRC32C, §2.2.3 */
#define COMMAND_LOCAL 0
#define COMMAND_PROXY 1

static const unsigned char V2_SIGNATURE[12] = { 0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51,
	0x55, 0x49, 0x54, 0x0A };

uint32_t
proxy_crc32c(uint32_t crc, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
	}
	return ~crc;
}

/* --- version 1: "PROXY" SP family SP source SP destination SP port SP port CRLF, §2.1 ------------ */

/* The next word, up to one blank or the end. */
static struct str
take_word(struct cursor *c)
{
	struct str word = { c->p, 0 };

	while (!cursor_at_end(c) && *c->p != ' ')
		c->p++;
	word.len = (size_t)(c->p - word.p);
	(void)cursor_take(c, ' ');
	return word;
}

/* 0 to 65535, without leading zeroes */
static bool
read_port(struct str word, uint16_t *port_out)
{
	uint64_t port;

	if (word.len == 0 || word.len > 5 || (word.len > 1 && word.p[0] == '0') ||
	    !text_u64(word, 65535, &port))
		return false;
	*port_out = (uint16_t)port;
	return true;
}

static bool
read_address(struct str word, bool v4, struct net_ip *ip_out)
{
	bool dotted = word.len > 0 && memchr(word.p, ':', word.len) == NULL;

	return dotted == v4 && net_ip_parse(word, ip_out);
}

static enum proxy_parse
parse_v1_line(struct str line, struct proxy_header *h)
{
	struct cursor c = cursor_from(line);
	struct str family, words[4];
	bool v4;

	c.p += strlen(V1_START);
	family = take_word(&c);
	if (str_eq(family, STR("UNKNOWN"))) /* whatever follows is to be ignored */
		return PROXY_PARSE_OK;
	v4 = str_eq(family, STR("TCP4"));
	if (!v4 && !str_eq(family, STR("TCP6")))
		return PROXY_PARSE_BAD;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		words[i] = take_word(&c);
	if (!cursor_at_end(&c) || c.p[-1] == ' ' || !read_address(words[0], v4, &h->source) ||
	    !read_address(words[1], v4, &h->destination) || !read_port(words[2], &h->source_port) ||
	    !read_port(words[3], &h->destination_port))
		return PROXY_PARSE_BAD;
	h->has_addresses = true;
	return PROXY_PARSE_OK;
}

static enum proxy_parse
parse_v1(const char *bytes, size_t len, struct proxy_header *h, size_t *used_out)
{
	size_t look = len < PROXY_V1_MAX_BYTES ? len : PROXY_V1_MAX_BYTES;
	const char *lf = memchr(bytes, '\n', look);

	if (lf == NULL)
		return len < PROXY_V1_MAX_BYTES ? PROXY_PARSE_MORE : PROXY_PARSE_BAD;
	if (lf[-1] != '\r')
		return PROXY_PARSE_BAD;
	*used_out = (size_t)(lf + 1 - bytes);
	return parse_v1_line((struct str){ bytes, *used_out - 2 }, h);
}

/* --- version 2, §2.2 ---------------------------------------------------------------------------- */

static unsigned
number16(const unsigned char *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t
number32(const unsigned char *p)
{
	return (uint32_t)number16(p) << 16 | number16(p + 2);
}

/* Over the whole header, with the checksum itself as zeroes. */
static bool
checksum_is_right(const unsigned char *bytes, size_t len, size_t at)
{
	static const unsigned char ZEROES[4];
	uint32_t crc = proxy_crc32c(0, bytes, at);

	crc = proxy_crc32c(crc, ZEROES, sizeof(ZEROES));
	return proxy_crc32c(crc, bytes + at + 4, len - at - 4) == number32(bytes + at);
}

/* All from `at` on are whole. */
static bool
tlvs_are_fine(const unsigned char *bytes, size_t len, size_t at)
{
	while (at < len) {
		size_t value_len;

		if (len - at < TLV_HEAD_LEN)
			return false;
		value_len = number16(bytes + at + 1);
		if (value_len > len - at - TLV_HEAD_LEN)
			return false;
		if (bytes[at] == TLV_CRC32C &&
		    (value_len != 4 || !checksum_is_right(bytes, len, at + TLV_HEAD_LEN)))
			return false;
		at += TLV_HEAD_LEN + value_len;
	}
	return true;
}

static void
read_v4(const unsigned char *p, struct net_ip *ip_out)
{
	*ip_out = (struct net_ip){ .b = { [10] = 0xFF, [11] = 0xFF } };
	memcpy(ip_out->b + 12, p, 4);
}

/* Address family and transport, and how long their block of addresses is. */
static const struct family {
	unsigned char code;
	unsigned char address_len; /* 0: no address that we could use */
	size_t block_len;
} FAMILIES[] = {
	{ 0x00, 0, 0 },   /* UNSPEC: what follows is skipped, it need not be TLVs */
	{ 0x11, 4, 12 },  /* TCP over IPv4 */
	{ 0x21, 16, 36 }, /* TCP over IPv6 */
	{ 0x31, 0, 216 }, /* UNIX stream */
};

static void
read_addresses(const unsigned char *p, size_t address_len, struct proxy_header *h)
{
	if (address_len == 4) {
		read_v4(p, &h->source);
		read_v4(p + 4, &h->destination);
	} else {
		memcpy(h->source.b, p, 16);
		memcpy(h->destination.b, p + 16, 16);
	}
	h->source_port = (uint16_t)number16(p + 2 * address_len);
	h->destination_port = (uint16_t)number16(p + 2 * address_len + 2);
	h->has_addresses = true;
}

static enum proxy_parse
parse_v2_body(const unsigned char *bytes, size_t len, struct proxy_header *h)
{
	const struct family *f = NULL;
	bool local = (bytes[12] & 0x0F) == COMMAND_LOCAL;

	for (size_t i = 0; i < ARRAY_LEN(FAMILIES); i++)
		if (FAMILIES[i].code == bytes[13])
			f = &FAMILIES[i];
	if (local || (f != NULL && f->code == 0x00)) /* "must … skip", §2.2 */
		return PROXY_PARSE_OK;
	if (f == NULL || f->block_len > len - V2_START_LEN ||
	    !tlvs_are_fine(bytes, len, V2_START_LEN + f->block_len))
		return PROXY_PARSE_BAD;
	if (f->address_len > 0)
		read_addresses(bytes + V2_START_LEN, f->address_len, h);
	return PROXY_PARSE_OK;
}

static enum proxy_parse
parse_v2(const unsigned char *bytes, size_t len, struct proxy_header *h, size_t *used_out)
{
	size_t whole;

	if (len > 12 && (bytes[12] >> 4 != 2 || (bytes[12] & 0x0F) > COMMAND_PROXY))
		return PROXY_PARSE_BAD;
	if (len < V2_START_LEN)
		return PROXY_PARSE_MORE;
	whole = V2_START_LEN + number16(bytes + 14);
	if (whole > PROXY_MAX_BYTES)
		return PROXY_PARSE_BAD;
	if (len < whole)
		return PROXY_PARSE_MORE;
	*used_out = whole;
	return parse_v2_body(bytes, whole, h);
}

static bool
starts_like(const char *bytes, size_t len, const void *start, size_t start_len)
{
	return memcmp(bytes, start, len < start_len ? len : start_len) == 0;
}

enum proxy_parse
proxy_parse(const void *bytes, size_t len, struct proxy_header *header_out, size_t *used_out)
{
	*header_out = (struct proxy_header){ 0 };
	*used_out = 0;
	if (len == 0)
		return PROXY_PARSE_MORE;
	if (starts_like(bytes, len, V2_SIGNATURE, sizeof(V2_SIGNATURE)))
		return parse_v2(bytes, len, header_out, used_out);
	if (!starts_like(bytes, len, V1_START, strlen(V1_START)))
		return PROXY_PARSE_BAD;
	return len <= strlen(V1_START) ? PROXY_PARSE_MORE
				       : parse_v1(bytes, len, header_out, used_out);
}
