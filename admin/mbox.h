/* mbox files: reads what there is (mboxo, mboxrd, RFC 4155; mboxcl2 where its Content-Length leads to the next message;
 * Thunderbird's), and writes mboxrd.
 *
 * 1. A message begins with a line "From …" at the start of the file or behind an empty line.  Such a line ends with a date,
 *    in UTC where it says no zone, or is no more than "From ".  Lines that only begin so are text.
 * 2. The empty line in front of the next message is not the message's.  ">From " and ">>From " of the body lose a '>'.
 * 3. Status, X-Status, X-Keywords, X-UID, X-IMAPbase, X-IMAP, Content-Length and X-Mozilla-Status, -Status2 and -Keys are
 *    the file's, not the message's: read and left out.
 * 4. A Content-Length is believed if a message or the end of the file stands behind so many bytes; then they are taken as
 *    they are.
 * 5. Lines may end with CRLF. */
#ifndef ADMIN_MBOX_H
#define ADMIN_MBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#define MBOX_KEYWORDS_MAX     200
#define MBOX_HEADER_MAX_BYTES (1024 * 1024) /* beyond it fields are only text */

struct mbox_source {
	/* As pread(2). */
	ssize_t (*read_at)(void *arg, void *bytes, size_t size, uint64_t at);
	void *arg;
};
struct mbox_message {
	uint64_t at;    /* of its From_ line in the file */
	int64_t date_s; /* of that line; < 0: none */
	unsigned flags; /* enum message_flag */
	bool expunged;  /* Thunderbird deleted it and has not compacted the file */
	struct str keywords[MBOX_KEYWORDS_MAX];
	size_t keyword_count;
	struct arena arena; /* of the keywords */
};

struct mbox;
struct mbox *mbox_new(const struct mbox_source *source);
void mbox_free(struct mbox *m);

enum mbox_result {
	MBOX_MESSAGE,
	MBOX_END,
	MBOX_NONE,    /* the file does not begin like an mbox */
	MBOX_STOPPED, /* write() said so */
	MBOX_IO,
};
/* The next message, its bytes to write().  *out: zero it once, and end it with mbox_message_free(). */
enum mbox_result mbox_next(struct mbox *m, bool (*write)(void *arg, const char *bytes, size_t len),
    void *arg, struct mbox_message *out);
void mbox_message_free(struct mbox_message *m);
uint64_t mbox_at(const struct mbox *m); /* so far was read */

/* The date of a From_ line ("From ann@example.org Thu Nov 20 10:00:00 2025"); false: it is none. */
bool mbox_from_line(struct str line, int64_t *date_out);

/* --- writing ------------------------------------------------------------------------------------ */

struct mbox_writer {
	bool (*write)(void *arg, const char *bytes, size_t len);
	void *arg;
	/* private */
	struct buf header, line;
	bool in_body, ok;
	bool continued; /* the last piece was no whole line */
};
struct mbox_meta {
	const char *sender; /* NULL or "": MAILER-DAEMON */
	int64_t date_s;
	unsigned flags;
	const char *const *keywords;
	size_t keyword_count;
	uint32_t uid, uidvalidity, uidnext; /* the last two for the file's first message, else 0 */
};
/* begin, write the message's bytes (line ends as they are), end; false when the writer's write() once said so. */
bool mbox_write_begin(struct mbox_writer *w, const struct mbox_meta *meta);
bool mbox_write(struct mbox_writer *w, const char *bytes, size_t len);
bool mbox_write_end(struct mbox_writer *w);
void mbox_writer_free(struct mbox_writer *w);

#endif
