#include "submitd/submission_record.h"

#include "net/smtp_server.h"
#include "service/service.h"
#include "store/record.h"
#include "store/spool.h"

#define RECIPIENTS_SHOWN 100

static void
begin(struct record *r, const struct smtp_facts *facts, const struct spool_message *envelope,
    const char *message_id)
{
	record_begin(r, "submission");
	record_text(r, "peer", facts->peer);
	record_text(r, "helo", facts->helo);
	record_text(r, "tls", facts->tls);
	record_text(r, "with", facts->with);
	record_text(r, "mechanism", facts->mechanism);
	record_text(r, "account", facts->login);
	record_text(r, "from", envelope->sender);
	record_array(r, "to");
	for (size_t i = 0; i < envelope->recipient_count && i < RECIPIENTS_SHOWN; i++)
		record_text(r, NULL, envelope->recipients[i].address);
	record_end(r);
	record_number(r, "recipients", (int64_t)envelope->recipient_count);
	record_text(r, "message_id", message_id);
}

void
submission_record_queued(struct service *sv, const struct smtp_facts *facts,
    const struct spool_message *envelope, const char *message_id, const char *id,
    uint64_t size_bytes)
{
	struct record r;

	begin(&r, facts, envelope, message_id);
	record_text(&r, "spool", id);
	record_number(&r, "size", (int64_t)size_bytes);
	record_text(&r, "verdict", "queued");
	records_add(sv->records, &r);
}

void
submission_record_refused(struct service *sv, const struct smtp_facts *facts,
    const struct spool_message *envelope, const char *message_id, int code, const char *reason)
{
	struct record r;

	begin(&r, facts, envelope, message_id);
	record_text(&r, "verdict", "not-queued");
	record_number(&r, "code", code);
	record_text(&r, "reason", reason);
	records_add(sv->records, &r);
}

void
submission_record_relayed(struct service *sv, const struct spool_message *message,
    const struct spool_recipient *recipient)
{
	static const char *const STATES[] = {
		[SPOOL_PENDING] = "deferred",
		[SPOOL_DELIVERED] = "delivered",
		[SPOOL_FAILED] = "failed",
	};
	struct record r;

	record_begin(&r, "relay");
	record_text(&r, "spool", message->id);
	record_text(&r, "rcpt", recipient->address);
	record_text(&r, "relay", recipient->relay);
	record_text(&r, "state", STATES[recipient->state]);
	record_number(&r, "attempt", recipient->attempts);
	record_text(&r, "reply", recipient->reply);
	records_add(sv->records, &r);
}
