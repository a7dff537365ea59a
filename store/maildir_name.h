/* File names of messages: `<unique>[,<field>]…[:2,<flags>]`, by us
 * `<sec>.M<usec>P<pid>Q<n>.<host>,S=<bytes>,W=<CRLF bytes>,U=<uid>:2,<flags>`.
 *
 * Any program's names are understood: a missing S= or W= is SIZE_UNKNOWN, fields we do not know stay
 * where they are, flag letters we do not know too.  `:1,` infos are kept and have no flags.
 * The *unique* part (all before the first ',' or ':') tells one message from another for
 * its whole life in a mailbox; the *base* (all before ':') is what uidlists of other programs hold. */
#ifndef STORE_MAILDIR_NAME_H
#define STORE_MAILDIR_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

#define MAILDIR_NAME_MAX_BYTES 255
#define MAILDIR_SIZE_UNKNOWN   UINT64_MAX

/* The letters D F P R S T, as bits in that order. */
enum maildir_flag {
	MAILDIR_DRAFT = 1 << 0,
	MAILDIR_FLAGGED = 1 << 1,
	MAILDIR_PASSED = 1 << 2, /* $Forwarded */
	MAILDIR_REPLIED = 1 << 3,
	MAILDIR_SEEN = 1 << 4,
	MAILDIR_TRASHED = 1 << 5,
};

struct maildir_name {
	struct str unique;  /* spans of the name that was parsed */
	struct str base;    /* with fields, U= included */
	struct str info;    /* "2,FS", or empty: no ':' in the name */
	uint64_t size;      /* S=, or MAILDIR_SIZE_UNKNOWN */
	uint64_t crlf_size; /* W=, or MAILDIR_SIZE_UNKNOWN */
	uint32_t uid;       /* U=, or 0 */
	uint32_t flags;     /* enum maildir_flag */
	uint32_t keywords;  /* letter 'a' is bit 0 … 'z' is bit 25 */
};

/* False for what is no message: a name in front of which stands a dot, an empty one, one with '/',
 * one over the limit. */
bool maildir_name_parse(struct str filename, struct maildir_name *name_out);

/* Appends the base without U=: the same for a message before and after it got its UID. */
void maildir_name_stem(struct buf *out, const struct maildir_name *name);

/* Appends `old` with another UID (0: none), flags and keywords; all else stays, unknown flag letters
 * too; letters in ASCII order, each once.  False and nothing appended if it would be too long: such a
 * message takes a name of ours (maildir_name_new). */
bool maildir_name_change(struct buf *out, const struct maildir_name *old, uint32_t uid,
    uint32_t flags, uint32_t keywords);

/* Appends a new name: a unique part never used before, S=, W= (left out if MAILDIR_SIZE_UNKNOWN), U=
 * (left out if 0), and ":2,<flags>" if `with_info`. */
void maildir_name_new(struct buf *out, uint64_t size, uint64_t crlf_size, uint32_t uid,
    bool with_info, uint32_t flags, uint32_t keywords);

/* The same with a unique part that is already in use (a tmp file's name). */
void maildir_name_build(struct buf *out, struct str unique, uint64_t size, uint64_t crlf_size,
    uint32_t uid, bool with_info, uint32_t flags, uint32_t keywords);

#endif
