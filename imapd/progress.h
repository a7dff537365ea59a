/* How far a command has come that takes long: "* OK [INPROGRESS ("a1" 454 1000)] …", RFC 9585.
 *
 * A command counts what it works on (messages, as a rule) and says so as often as it likes; the client hears it every
 * imapd.progress_interval, first when the command has run that long.  It goes out at once, also while the job runs.  Of one
 * that counts nothing and waits (for a lock, or an index that is made anew) the connection says that it goes on. */
#ifndef IMAPD_PROGRESS_H
#define IMAPD_PROGRESS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

struct imap_request;
struct imap_session;

/* `done` of `goal` are worked on; goal 0: nobody knows.  Not while half an answer is written. */
void imap_progress(struct imap_session *s, struct imap_request *req, uint64_t done, uint64_t goal);

/* Of a command that has nothing to count: "* OK [INPROGRESS ("a1" NIL NIL)] …" CRLF. */
void imap_progress_alive(struct buf *out, struct str tag);

/* The same as a callback of the store. */
struct imap_progress {
	struct imap_session *s;
	struct imap_request *req;
};
void imap_on_progress(void *progress, uint64_t done, uint64_t goal);

#endif
