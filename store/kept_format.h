/* Names and the small file of the kept area (kept.h): what both who writes and who reads it must know.  The file:
 *
 *     sanger-kept 1
 *     mailbox Lists/C
 *     mailbox-id q0_fDk3sTzyv1mN4bZx8Aw
 *     uidvalidity 1795247699
 *     keyword 0 $Label1            the letters of the names beside it, as in dovecot-keywords
 *     end */
#ifndef STORE_KEPT_FORMAT_H
#define STORE_KEPT_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "store/keywords.h"

#define KEPT_PLACE_FILE      "mailbox"
#define KEPT_PLACE_MAX_BYTES (64 * 1024)
#define KEPT_PLACE_PREFIX    "mailbox-"
#define KEPT_PLACE_BYTES     48
#define KEPT_DELETED_PREFIX  "deleted."

struct kept_place {
	char *mailbox;
	const char *mailbox_id;
	uint32_t uidvalidity;
	char *letters[KEYWORDS_LETTERS];
};
void kept_place_format(const struct kept_place *place, struct buf *out);
/* False: damaged.  Ends with kept_place_free() either way. */
bool kept_place_parse(struct str text, struct kept_place *place_out);
void kept_place_free(struct kept_place *place); /* of one that was parsed */

/* "mailbox-" and a hash of the text; `again` for another mailbox with the same hash. */
void kept_place_name(struct str text, unsigned again, char name_out[KEPT_PLACE_BYTES]);
bool kept_is_place(const char *name); /* either kind of directory */
bool kept_place_has_messages(int kept_fd, const char *name);

/* "TIME-UID-NAME" */
bool kept_name_parse(
    const char *file, int64_t *expunged_s_out, uint32_t *uid_out, const char **name_out);
/* The time in "deleted.TIME.UNIQUE". */
bool kept_deleted_parse(const char *place, int64_t *expunged_s_out);

#endif
