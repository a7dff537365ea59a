/* What a snapshot has of one account (or of the server itself): a line for each file.
 *
 *     sanger-manifest 1
 *     taken 1795247697
 *     SHA-256 SIZE MTIME SOURCE PATH
 *     …
 *     end 1234
 *
 * SHA-256 in hex; SIZE in bytes; MTIME as seconds.nanoseconds, for messages their INTERNALDATE; SOURCE is INODE.BIRTH (nanoseconds) of the
 * file in the mail tree that it was copied from, or '-'; PATH is relative, with LF and '\' as "\n" and "\\".  The last line
 * counts the others; a manifest without it is one of a run that was stopped.
 *
 * A message is found by its folder and the unique part of its name, which stay the same when flags change, or by its source,
 * which stays the same when it is moved. */
#ifndef ADMIN_MANIFEST_H
#define ADMIN_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/err.h"
#include "store/file_copy.h"

#define MANIFEST_MAX_BYTES      (UINT64_C(4) << 30)
#define MANIFEST_PATH_MAX_BYTES 4000
#define MANIFEST_FIRST_LINE     "sanger-manifest 1\n"

struct manifest_entry {
	struct file_digest digest;
	uint64_t size;
	int64_t mtime_ns;
	uint64_t inode;  /* of the source; 0: not known */
	int64_t born_ns; /* 0: the file system does not say */
	const char *path;
};

struct manifest {
	struct arena arena; /* the paths */
	struct manifest_entry *entries;
	size_t count, cap;
	int64_t taken_s;
	bool whole; /* it had its last line */
	/* For finding; made when first needed, entries added later are not in them. */
	uint32_t *by_name, *by_source;
	size_t table_size; /* a power of two; 0: not made yet */
};

/* Copies the path. */
struct manifest_entry *manifest_add(struct manifest *m, const struct manifest_entry *entry);
void manifest_free(struct manifest *m); /* leaves it zeroed */

/* Is it the path of a message: [.FOLDER/](cur|new)/NAME?  Folder is "" or ".FOLDER/". */
bool manifest_path_is_message(const char *path, struct str *folder_out, struct str *unique_out);

/* NULL: not there.  Size and mtime are compared too. */
const struct manifest_entry *manifest_find_message(
    struct manifest *m, struct str folder, struct str unique, uint64_t size, int64_t mtime_ns);
const struct manifest_entry *manifest_find_source(
    struct manifest *m, uint64_t inode, int64_t born_ns, uint64_t size, int64_t mtime_ns);
const struct manifest_entry *manifest_find_path(struct manifest *m, const char *path);

/* The text forms.  manifest_parse() says false, and in which line, for what is no manifest; without `whole` it takes
 * what stands before the damage (the file of a run that was stopped). */
void manifest_format_head(struct buf *out, int64_t taken_s);
void manifest_format_entry(struct buf *out, const struct manifest_entry *entry);
void manifest_format(struct buf *out, const struct manifest *m);
bool manifest_parse(struct str text, bool whole, struct manifest *m_out, size_t *line_out);

/* A file; what is wrong with it is said on stderr, but for STORE_NOT_FOUND.  digest_out may be NULL. */
enum store_err manifest_read(int at_fd, const char *path, bool whole, struct manifest *m_out,
    struct file_digest *digest_out);

#endif
