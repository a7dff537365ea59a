/* The bytes of one message while it is taken in: in memory while it is small, else in an unnamed
 * file on the mail root's disk.  Line ends stay as they come.  Not durable: a message is answered
 * for when its copies in the mailboxes are. */
#ifndef SENDING_CONTENT_H
#define SENDING_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "store/err.h"

#define CONTENT_MEMORY_BYTES (256 * 1024)
#define CONTENT_COPY_BYTES   (64 * 1024)

struct content {
	struct buf memory; /* all of it while fd is -1 */
	int fd;            /* -1: in memory */
	uint64_t size_bytes;
};

void content_init(struct content *c);
/* `dir_fd`: a directory on the disk that shall hold it.  STORE_FULL, STORE_IO. */
enum store_err content_write(struct content *c, int dir_fd, const void *bytes, size_t len);
/* Appends up to len bytes from `offset` on to `out`; fewer only at the end. */
enum store_err content_read(const struct content *c, uint64_t offset, size_t len, struct buf *out);
void content_reset(struct content *c); /* empty and ready for the next message */

#endif
