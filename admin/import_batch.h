/* Brings messages into one mailbox, some hundreds with each sync, and writes them down (import_record.h) so that each is
 * there once, whenever the program dies.  No quota stops them. */
#ifndef ADMIN_IMPORT_BATCH_H
#define ADMIN_IMPORT_BATCH_H

#include "admin/import_record.h"
#include "base/text.h"
#include "store/mailbox.h"

#define IMPORT_BATCH_MESSAGES 500
#define IMPORT_BATCH_BYTES    (UINT64_C(32) << 20)
#define IMPORT_UID_MAX        UINT32_C(0xf0000000) /* UIDs from here on are not taken over */

/* Flags and keywords as the record has them: "9 $forwarded work": the number of enum message_flag, then keywords in lower
 * case, sorted.  What can be no keyword here is left out. */
void import_flags(struct buf *out, unsigned flags, const struct str *keywords, size_t count);

bool import_keyword_is_usable(struct str keyword);

struct import_item {
	uint32_t uid;        /* there: the record's key */
	uint32_t wanted_uid; /* here, if nothing is in the way; 0: any */
	unsigned flags;
	const struct str *keywords;
	size_t keyword_count;
	int64_t date_s; /* < 0: now */
	uint64_t size;  /* as the source says */
	uint8_t digest[IMPORT_DIGEST_BYTES];
};

struct import_batch;
/* `box` is in the record, its mailbox exists; both are borrowed. */
enum store_err import_batch_new(struct account *acct, struct import_record *record,
    const struct import_box *box, struct import_batch **batch_out);
/* Commits now and then by itself.  After an error nothing more is taken. */
enum store_err import_batch_add(
    struct import_batch *b, const struct import_item *item, struct import_message *message);
enum store_err import_batch_commit(struct import_batch *b);
/* What was added since the last commit is not there. */
void import_batch_free(struct import_batch *b); /* NULL is fine */

struct import_batch_facts {
	uint32_t imported;         /* committed */
	uint32_t keywords_dropped; /* beyond what a mailbox can have */
	bool uid_missed;           /* some message has not the UID that was wanted */
};
struct import_batch_facts import_batch_facts(const struct import_batch *b);

#endif
