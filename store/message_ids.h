/* EMAILID and THREADID, RFC 8474: what tells messages with the same content, and messages that belong together.
 *
 * Both follow from the message alone, so that they stay what they are over COPY, MOVE, a lost index, a backup, an import.
 * They are shown to clients who keep them: nothing here may ever change.
 *
 * 1. The email id is the first half of the SHA-256 of the message's bytes, without the CR in front of each LF: the same
 *    whether the file has LF or CRLF.
 * 2. The thread id is the hash (sort_keys_next_id()) of the first valid Message-ID in References, else in In-Reply-To,
 *    else of the message's own, else the email id. */
#ifndef STORE_MESSAGE_IDS_H
#define STORE_MESSAGE_IDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "store/mime.h"

#define MESSAGE_ID_BYTES      16
#define MESSAGE_ID_TEXT_BYTES (1 + 2 * MESSAGE_ID_BYTES + 1)

struct message_ids {
	unsigned char email[MESSAGE_ID_BYTES], thread[MESSAGE_ID_BYTES];
};

/* The email id of bytes that stream by. */
struct message_digest;
struct message_digest *message_digest_new(void);
void message_digest_feed(struct message_digest *d, const void *bytes, size_t len);
/* Ends it. */
void message_digest_finish(struct message_digest *d, unsigned char id_out[MESSAGE_ID_BYTES]);
void message_digest_free(struct message_digest *d); /* one that was not finished; NULL is fine */

/* Of a message that was parsed (not unpacked); ids->email is there already. */
void message_thread_id(const struct mime_message *m, struct message_ids *ids);

/* As clients see them: 'M' or 'T' and lower-case hexadecimal digits, RFC 8474 §8.1. */
void message_id_text(
    char kind, const unsigned char id[MESSAGE_ID_BYTES], char text_out[MESSAGE_ID_TEXT_BYTES]);
/* False: no message can have that id. */
bool message_id_parse(char kind, struct str text, unsigned char id_out[MESSAGE_ID_BYTES]);

#endif
