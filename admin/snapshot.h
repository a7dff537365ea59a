/* Snapshots: directories DIR/2026-11-21T0230Z/ that `mailadmin backup` makes.
 *
 *     complete                     what is in it, written last: without it, it is no snapshot
 *     mail/DOMAIN/LOCALPART/       an account's Maildir++ with its state.db, without caches
 *     manifest/DOMAIN/LOCALPART    its files with their digests (admin/manifest.h)
 *     manifest.server              the same of all that follows, and of the manifests
 *     user.db                      the account database
 *     config/PATH                  the configuration and the files it names, but no keys
 *     spool/                       outgoing mail
 *
 * While it is made it is NAME.partial, while it is removed NAME.gone; a second one in a minute is NAME-2.
 * A snapshot that is used is locked (flock, shared) by its directory; removing one needs that lock alone. */
#ifndef ADMIN_SNAPSHOT_H
#define ADMIN_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "store/err.h"
#include "store/file_copy.h"

#define SNAPSHOT_NAME_BYTES 32
#define SNAPSHOT_PARTIAL    ".partial"
#define SNAPSHOT_GONE       ".gone"
#define SNAPSHOT_SERVER     "manifest.server"

struct snapshot_facts {
	int64_t began_s, ended_s;
	uint64_t accounts, messages, bytes;  /* bytes: of all files */
	uint64_t copied_files, copied_bytes; /* the others are links to the snapshot before */
	uint64_t problems;                   /* what could not be read and is not in it */
	struct file_digest manifest_server;
};

struct snapshot {
	char name[SNAPSHOT_NAME_BYTES];
	struct snapshot_facts facts;
};

struct snapshot_list {
	struct snapshot *items; /* the oldest first */
	size_t count;
};

/* YYYY-MM-DDTHHMMZ, or with -N behind it.  *when_out (may be NULL): unix time. */
bool snapshot_name_parse(const char *name, int64_t *when_out);
/* The name for that minute that nothing in the directory has yet. */
void snapshot_name_make(int dir_fd, int64_t when, char name_out[SNAPSHOT_NAME_BYTES]);
int snapshot_name_compare(const char *a, const char *b); /* as strcmp(), by time */

/* `complete`.  STORE_NOT_FOUND: it is not whole; STORE_CORRUPT. */
enum store_err snapshot_facts_read(int snapshot_fd, struct snapshot_facts *facts_out);
enum store_err snapshot_facts_write(int snapshot_fd, const struct snapshot_facts *facts);
bool snapshot_facts_parse(struct str text, struct snapshot_facts *facts_out);
void snapshot_facts_format(struct buf *out, const struct snapshot_facts *facts);

/* The whole snapshots of a directory. */
enum store_err snapshot_list(int dir_fd, struct snapshot_list *list_out);
void snapshot_list_free(struct snapshot_list *list);

/* Opens what a person named: a snapshot, or a directory of them, whose newest it is then (with `name`, that
 * one).  Locked shared until the descriptor is closed.  -1 with the reason said.  *path_out is the caller's to free. */
int snapshot_open(
    const char *path, const char *name, char **path_out, struct snapshot *snapshot_out);

#endif
