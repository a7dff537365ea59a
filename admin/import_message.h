/* One message on its way in: the first IMPORT_MEMORY_BYTES in memory, what is longer in a file without a name; and digests,
 * by which it is known again.  So it is whole, and known to be what was asked for, before the store sees any of it. */
#ifndef ADMIN_IMPORT_MESSAGE_H
#define ADMIN_IMPORT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define IMPORT_MEMORY_BYTES (512 * 1024)
#define IMPORT_DIGEST_BYTES 16 /* of SHA-256 */

struct append;
struct import_message;

/* dir_fd: where the file may be made; borrowed. */
struct import_message *import_message_new(int dir_fd);
void import_message_free(struct import_message *m);  /* NULL is fine */
void import_message_begin(struct import_message *m); /* the next one */
/* False: the disk failed (errno). */
bool import_message_write(struct import_message *m, const char *bytes, size_t len);
uint64_t import_message_size(const struct import_message *m);

/* Of the header, and of all of it; CRs do not count, so line ends may change on the way. */
void import_message_header_digest(
    struct import_message *m, uint8_t digest_out[static IMPORT_DIGEST_BYTES]);
void import_message_digest(
    struct import_message *m, uint8_t digest_out[static IMPORT_DIGEST_BYTES]);

/* Hands all of it to `each` in pieces; false if it said so or the file cannot be read. */
bool import_message_read(
    struct import_message *m, bool (*each)(void *arg, const char *bytes, size_t len), void *arg);

#endif
