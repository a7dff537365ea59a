/* Bytes of a file on their way to another place, and their SHA-256: what backups are made and proven with. */
#ifndef STORE_FILE_COPY_H
#define STORE_FILE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "store/err.h"

#define FILE_DIGEST_BYTES 32 /* SHA-256 */

struct file_digest {
	uint8_t bytes[FILE_DIGEST_BYTES];
};

/* Copies all of from_fd, from its beginning, behind what to_fd has (an empty file); nothing is synced.  The digest and
 * the size are of the bytes that were copied.  *clone (may be NULL): whether to try to share the blocks (FICLONE), where both lie
 * on one file system that can; it becomes false once that has failed, so that it is not tried for each file. */
enum store_err file_copy(
    int from_fd, int to_fd, bool *clone, uint64_t *size_out, struct file_digest *digest_out);

/* Of all of the file, by pread(). */
enum store_err file_digest_fd(int fd, uint64_t *size_out, struct file_digest *digest_out);
void file_digest_str(struct str bytes, struct file_digest *digest_out);
bool file_digest_eq(const struct file_digest *a, const struct file_digest *b);

#endif
