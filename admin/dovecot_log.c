/* As Dovecot 2.3 writes it, little-endian:
 *
 * header, 40 bytes: 1, 3 (version), header size (2), index id (4), file number (4), number and offset of the file before
 *                   (4, 4; 0), time of making (4), first mod-sequence (8), 1 (little-endian), padding
 * records:          size with these 8 bytes (4, by 7 bits), type (4), then
 *     header update   offset and size in the index's header (2, 2), the value
 *     append          UID (4), flags (1), padding (3)
 *     keyword update  0 (add), 0, length of the name (2), the name, padding to 4, pairs of first and last UID */
#include "admin/dovecot_log.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "store/mailbox.h"

#define HEADER_BYTES     40
#define TYPE_APPEND      0x2u
#define TYPE_HEADER      0x20u
#define TYPE_KEYWORD     0x400u
#define TYPE_EXTERNAL    0x10000000u /* found in the mailbox, not done by a client */
#define AT_UIDVALIDITY   24
#define AT_UIDNEXT       28
#define RECORD_MAX_BYTES (1024 * 1024)     /* of the 256 MB that a size can say; whole pairs */
#define FLAGS_IN_COMMON  MESSAGE_FLAGS_ALL /* the bits are the same */

struct range {
	uint32_t first, last;
};
struct keyword_uses {
	char *name;
	struct range *ranges;
	size_t count;
};
struct dovecot_log {
	uint32_t uidvalidity, uidnext;
	struct buf messages; /* append's payload */
	struct keyword_uses keywords[MAILBOX_KEYWORDS_MAX];
};

struct dovecot_log *
dovecot_log_new(uint32_t uidvalidity, uint32_t uidnext)
{
	struct dovecot_log *log = mem_zalloc(sizeof(*log));

	log->uidvalidity = uidvalidity;
	log->uidnext = uidnext;
	return log;
}

void
dovecot_log_free(struct dovecot_log *log)
{
	if (log == NULL)
		return;
	for (size_t i = 0; i < MAILBOX_KEYWORDS_MAX; i++) {
		free(log->keywords[i].name);
		free(log->keywords[i].ranges);
	}
	buf_free(&log->messages);
	free(log);
}

static void
add_u16(struct buf *out, unsigned v)
{
	buf_addc(out, (char)(v & 0xff));
	buf_addc(out, (char)(v >> 8 & 0xff));
}

static void
add_u32(struct buf *out, uint32_t v)
{
	add_u16(out, v & 0xffff);
	add_u16(out, v >> 16);
}

void
dovecot_log_name(struct dovecot_log *log, unsigned number, const char *name)
{
	free(log->keywords[number].name);
	log->keywords[number].name = mem_strdup(name);
}

void
dovecot_log_message(struct dovecot_log *log, uint32_t uid, unsigned flags)
{
	add_u32(&log->messages, uid);
	add_u32(&log->messages, flags & FLAGS_IN_COMMON);
}

void
dovecot_log_keyword(struct dovecot_log *log, unsigned number, uint32_t uid)
{
	struct keyword_uses *k = &log->keywords[number];

	if (k->count > 0 && k->ranges[k->count - 1].last + 1 == uid) {
		k->ranges[k->count - 1].last = uid;
		return;
	}
	if ((k->count & (k->count - 1)) == 0)
		k->ranges = mem_realloc_array(
		    k->ranges, k->count == 0 ? 1 : 2 * k->count, sizeof(*k->ranges));
	k->ranges[k->count++] = (struct range){ uid, uid };
}

/* A quarter of the size in four groups of seven bits, the highest first, each with the eighth set. */
static void
add_record(struct buf *out, uint32_t type, const void *payload, size_t len)
{
	uint32_t quarter = (uint32_t)(len + 8) / 4;

	for (int shift = 21; shift >= 0; shift -= 7)
		buf_addc(out, (char)(0x80 | (quarter >> shift & 0x7f)));
	add_u32(out, type | TYPE_EXTERNAL);
	buf_add(out, payload, len);
}

static void
add_header_update(struct buf *out, unsigned at, uint32_t value)
{
	struct buf payload = { 0 };

	add_u16(&payload, at);
	add_u16(&payload, sizeof(value));
	add_u32(&payload, value);
	add_record(out, TYPE_HEADER, payload.data, payload.len);
	buf_free(&payload);
}

static void
add_file_header(struct buf *out)
{
	uint32_t now = (uint32_t)time(NULL);

	buf_addc(out, 1);
	buf_addc(out, 3);
	add_u16(out, HEADER_BYTES);
	add_u32(out, now); /* the index's id: any number that is not 0 */
	add_u32(out, 2);   /* 1 is what Dovecot makes in memory only */
	add_u32(out, 0);
	add_u32(out, 0);
	add_u32(out, now);
	add_u32(out, 1);
	add_u32(out, 0);
	add_u32(out, 1);
	while (out->len < HEADER_BYTES)
		buf_addc(out, 0);
}

static void
add_keyword(struct buf *out, const struct keyword_uses *k)
{
	struct buf payload = { 0 };

	for (size_t at = 0; at < k->count;) {
		buf_reset(&payload);
		add_u16(&payload, 0);
		add_u16(&payload, (unsigned)strlen(k->name));
		buf_adds(&payload, k->name);
		while (payload.len % 4 != 0)
			buf_addc(&payload, 0);
		for (; at < k->count && payload.len < RECORD_MAX_BYTES; at++) {
			add_u32(&payload, k->ranges[at].first);
			add_u32(&payload, k->ranges[at].last);
		}
		add_record(out, TYPE_KEYWORD, payload.data, payload.len);
	}
	buf_free(&payload);
}

void
dovecot_log_format(const struct dovecot_log *log, struct buf *out)
{
	add_file_header(out);
	add_header_update(out, AT_UIDVALIDITY, log->uidvalidity);
	for (size_t at = 0; at < log->messages.len; at += RECORD_MAX_BYTES) {
		size_t left = log->messages.len - at;

		add_record(out, TYPE_APPEND, log->messages.data + at,
		    left < RECORD_MAX_BYTES ? left : RECORD_MAX_BYTES);
	}
	add_header_update(out, AT_UIDNEXT, log->uidnext);
	for (size_t i = 0; i < MAILBOX_KEYWORDS_MAX; i++)
		if (log->keywords[i].name != NULL)
			add_keyword(out, &log->keywords[i]);
}
