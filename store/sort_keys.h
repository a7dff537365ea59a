/* What SORT and THREAD compare messages by, learnt once from a message and kept in the index: RFC 5256, RFC 5957.
 *
 * Texts are in the normal form of i;unicode-casemap (RFC 5051): comparing their bytes is comparing them by that collation.
 * A text that is not there is empty.  Message-IDs are kept as 128-bit hashes of their normal form (no quoting, no
 * blanks): two different ones do not meet in practice, and whoever wants to forge a thread need only write References. */
#ifndef STORE_SORT_KEYS_H
#define STORE_SORT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

struct mime_message;

#define SORT_TEXT_MAX_BYTES 4096 /* of a normal form; what is behind it is not compared */
#define SORT_REFERENCES_MAX 1000 /* Message-IDs of one References field; the last ones are kept */
#define SORT_ID_BYTES       16

enum sort_text {
	SORT_TEXT_SUBJECT, /* the base subject, RFC 5256 §2.1 */
	SORT_TEXT_FROM,    /* addr-mailbox of the first address */
	SORT_TEXT_TO,
	SORT_TEXT_CC,
	SORT_TEXT_DISPLAY_FROM, /* RFC 5957 §3 */
	SORT_TEXT_DISPLAY_TO,
	SORT_TEXTS
};

/* Spans point into the blob. */
struct sort_keys {
	bool reply; /* by its subject a reply or forward, RFC 5256 §3 REFERENCES */
	struct str text[SORT_TEXTS];
	const unsigned char *id;         /* SORT_ID_BYTES; NULL: no valid Message-ID */
	const unsigned char *references; /* reference_count of them, the parent last */
	size_t reference_count;
};

/* Appends them for a message that was parsed (not unpacked).  Whoever changes what is in it makes INDEX_VERSION one
 * more. */
void sort_keys_pack(struct buf *out, const struct mime_message *m);
/* False for a damaged blob: then *keys_out is that of a message without any header. */
bool sort_keys_unpack(struct str blob, struct sort_keys *keys_out);

/* The next valid msg-id of a header field's value as its hash: "<left@right>"; text outside of "<>" is passed over. */
bool sort_keys_next_id(struct cursor *value, unsigned char id_out[SORT_ID_BYTES]);

#endif
