#include "lda/message_log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "store/header.h"

#define LOOKED_AT_BYTES (16 * 1024) /* a Message-ID stands far in front */
#define MSGID_MAX_BYTES 250

void
message_log_id(char id[MESSAGE_LOG_ID_BYTES])
{
	static atomic_uint counter;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(id, MESSAGE_LOG_ID_BYTES, "%llx.%lx.%x.%x", (unsigned long long)now.tv_sec,
	    now.tv_nsec / 1000, (unsigned)getpid(), atomic_fetch_add(&counter, 1));
}

void
message_log_received(const struct log *log, const struct lda_envelope *envelope,
    const struct content *content, size_t rcpt_count)
{
	struct buf start = { 0 }, msgid = { 0 };
	struct header_field field;

	if (!log_wants(log, LOG_LEVEL_INFO))
		return;
	if (content_read(content, 0, LOOKED_AT_BYTES, &start) == STORE_OK &&
	    header_find((struct str){ start.data, start.len }, "Message-ID", &field)) {
		header_unfold(&msgid, field.value);
		if (msgid.len > MSGID_MAX_BYTES)
			msgid.len = MSGID_MAX_BYTES;
	}
	log_info(log, "message", "id=%s from=%s rcpts=%zu size=%llu msgid=%s", envelope->id,
	    envelope->sender, rcpt_count, (unsigned long long)content->size_bytes,
	    buf_cstr(&msgid));
	buf_free(&start);
	buf_free(&msgid);
}
