/* `sanger-mailbox` in each folder and `sanger-account` in the account's directory: the little that
 * must survive the loss of every index.  Text, one `key value` per line, first line the version; lines
 * we do not know are kept.  Replaced atomically and fsynced.  doc/formats.md has the format.
 *
 * UIDVALIDITY of an account's mailboxes only grows: `sanger-account` keeps the highest ever given, and
 * a new one is max(now, highest + 1).  If that file is lost, the highest of all folders' files is
 * taken; the clock alone never decides.
 * Writers hold the account's writer lock. */
#ifndef STORE_SANGER_MAILBOX_H
#define STORE_SANGER_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "store/err.h"
#include "store/root.h"

#define SANGER_MAILBOX_ID_BYTES  23 /* 22 characters of A-Za-z0-9_- (128 random bits) and the NUL */
#define SANGER_SPECIAL_USE_BYTES 64

/* How the UIDs of messages without a believable U= are found. */
enum sanger_uid_source {
	SANGER_UIDS_OWN = 0,     /* U= only */
	SANGER_UIDS_DOVECOT = 1, /* adopted: dovecot-uidlist knows the older ones */
	SANGER_UIDS_COURIER = 2, /* adopted: courierimapuiddb */
};

struct sanger_mailbox {
	uint32_t uid_validity;
	char mailbox_id[SANGER_MAILBOX_ID_BYTES]; /* RFC 8474 */
	uint32_t
	    uid_lease; /* every UID below it may have been given; a U= at or above is not believed */
	uint64_t modseq_lease; /* every mod-sequence below it may have been given */
	enum sanger_uid_source uid_source;
	char special_use
	    [SANGER_SPECIAL_USE_BYTES]; /* "\Sent", several with blanks between; "": none */
	struct buf unknown;             /* lines of a newer version, kept */
};

/* STORE_NOT_FOUND: there is none, or it is damaged (logged as `mailbox-file-damaged`, set aside as
 * sanger-mailbox.damaged).  STORE_VERSION: by a version that forbids us to touch it.  On STORE_OK the
 * caller ends it with sanger_mailbox_free(). */
enum store_err sanger_mailbox_read(
    const struct home *home, int folder_fd, struct sanger_mailbox *mailbox_out);
/* Durable when it returns STORE_OK. */
enum store_err sanger_mailbox_write(
    const struct home *home, int folder_fd, const struct sanger_mailbox *mailbox);
void sanger_mailbox_free(struct sanger_mailbox *mailbox);

/* A fresh one, not yet written: new id, new UIDVALIDITY (durably noted in sanger-account), leases 1. */
enum store_err sanger_mailbox_new(const struct home *home, struct sanger_mailbox *mailbox_out);
/* The next UIDVALIDITY, noted durably before it returns. */
enum store_err sanger_uid_validity_new(const struct home *home, uint32_t *uid_validity_out);
/* Notes one that was adopted from elsewhere, so that none is given again at or below it. */
enum store_err sanger_uid_validity_seen(const struct home *home, uint32_t uid_validity);
void sanger_mailbox_id_new(char id_out[SANGER_MAILBOX_ID_BYTES]);

/* The text form, for tests and fuzzing.  False: damaged, or (version_out > 1) newer. */
bool sanger_mailbox_parse(
    struct str text, struct sanger_mailbox *mailbox_out, unsigned *version_out);
void sanger_mailbox_format(struct buf *out, const struct sanger_mailbox *mailbox);

#endif
