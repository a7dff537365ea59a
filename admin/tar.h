/* Writes a tar archive (POSIX.1-1988 ustar, which every tar reads).  Its members' names are ours and have at most
 * 100 bytes; so the whole format is one block of header for each, and needs no library. */
#ifndef ADMIN_TAR_H
#define ADMIN_TAR_H

#include <stdbool.h>
#include <stdint.h>

#define TAR_NAME_MAX   100
#define TAR_MEMBER_MAX ((uint64_t)077777777777) /* bytes of one */

struct tar {
	int fd;         /* the caller's */
	uint64_t bytes; /* written so far */
};

/* All return false with errno. */
bool tar_directory(struct tar *t, const char *name, int64_t mtime); /* name ends in '/' */
/* Exactly `size` bytes of `fd` from its beginning; EIO if it has fewer. */
bool tar_file(struct tar *t, const char *name, int64_t mtime, int fd, uint64_t size);
bool tar_end(struct tar *t);

#endif
