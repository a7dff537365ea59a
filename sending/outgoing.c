#include "sending/outgoing.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "base/log.h"
#include "base/mem.h"

void
outgoing_open(struct outgoing *o, const struct config *config, const struct log *log)
{
	*o = (struct outgoing){ .config = config, .log = log };
	pthread_mutex_init(&o->mutex, NULL);
}

void
outgoing_close(struct outgoing *o)
{
	spool_close(o->spool);
	pthread_mutex_destroy(&o->mutex);
	*o = (struct outgoing){ 0 };
}

struct spool *
outgoing_spool(struct outgoing *o)
{
	const struct config *c = o->config;
	struct spool_options options = {
		.free_space_floor = config_size(c, "store.free_space_floor"),
		.message_size_max = config_size(c, "store.message_size_max") + OUTGOING_ROOM_BYTES,
		.messages_max = config_integer(c, "submitd.queue_max"),
	};
	struct spool *spool;
	enum store_err err = STORE_OK;

	pthread_mutex_lock(&o->mutex);
	if (o->spool == NULL)
		err = spool_open(config_string(c, "store.spool"), &options, o->log, &o->spool);
	if (err != STORE_OK) {
		o->spool = NULL;
		log_error(o->log, "spool", "path=%s error=%s", config_string(c, "store.spool"),
		    store_err_text(err));
	}
	spool = o->spool;
	pthread_mutex_unlock(&o->mutex);
	return spool;
}

static bool
has_8bit(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] >= 0x80)
			return true;
	return false;
}

/* RFC 6531 §3.1: only a relay that takes SMTPUTF8 may see it. */
static bool
has_8bit_header(struct str message)
{
	size_t end = str_find(message, STR("\n\n"));

	return has_8bit(message.p, end != SIZE_MAX ? end : message.len);
}

enum store_err
outgoing_send(struct outgoing *o, const char *account, const char *origin, struct str message,
    const char *const *recipients, size_t count, char id_out[SPOOL_ID_LEN + 1])
{
	struct spool *spool = outgoing_spool(o);
	struct spool_recipient *to = mem_zalloc(count * sizeof(*to));
	struct spool_message envelope = {
		.sender = (char[]){ "" },
		.account = mem_strdup(account),
		.origin = mem_strdup(origin),
		.body = has_8bit(message.p, message.len) ? SPOOL_BODY_8BITMIME : SPOOL_BODY_7BIT,
		.smtputf8 = has_8bit_header(message),
		.recipients = to,
		.recipient_count = count,
	};
	struct spool_draft *draft = NULL;
	enum store_err err = spool != NULL ? spool_begin(spool, &draft) : STORE_IO;

	for (size_t i = 0; i < count; i++) {
		to[i].address = mem_strdup(recipients[i]);
		to[i].notify = SPOOL_NOTIFY_NEVER;
		envelope.smtputf8 =
		    envelope.smtputf8 || has_8bit(recipients[i], strlen(recipients[i]));
	}
	if (err == STORE_OK)
		err = spool_write(draft, message.p, message.len);
	if (err == STORE_OK) {
		memcpy(id_out, spool_draft_id(draft), SPOOL_ID_LEN + 1);
		err = spool_commit(draft, &envelope, 0);
	} else {
		spool_abort(draft);
	}
	for (size_t i = 0; i < count; i++)
		free(to[i].address);
	free(envelope.account);
	free(envelope.origin);
	free(to);
	return err;
}

unsigned
outgoing_notify(const char *words)
{
	static const struct {
		struct str word;
		unsigned notify;
	} WORDS[] = {
		{ { "NEVER", 5 }, SPOOL_NOTIFY_NEVER },
		{ { "SUCCESS", 7 }, SPOOL_NOTIFY_SUCCESS },
		{ { "FAILURE", 7 }, SPOOL_NOTIFY_FAILURE },
		{ { "DELAY", 5 }, SPOOL_NOTIFY_DELAY },
	};
	struct cursor c = cursor_from(words != NULL ? str_from(words) : STR(""));
	unsigned notify = 0;

	while (!cursor_at_end(&c)) {
		size_t i = 0;

		while (i < ARRAY_LEN(WORDS) && !cursor_take_nocase(&c, WORDS[i].word))
			i++;
		if (i < ARRAY_LEN(WORDS))
			notify |= WORDS[i].notify;
		else
			c.p++; /* a comma or a blank */
	}
	return notify;
}
