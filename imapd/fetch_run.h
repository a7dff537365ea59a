/* A FETCH under way: messages are taken in batches, each batch's rows at once, and written item by
 * item until the output is full; then the next step goes on where this one stopped, also in the
 * middle of a literal.  Never more than a batch of rows, one header and one buffer of a body are in
 * memory.
 *
 * A literal's size is announced before its bytes are read.  Should another program change the file
 * in between, the connection ends: what was promised can neither be kept nor taken back. */
#ifndef IMAPD_FETCH_RUN_H
#define IMAPD_FETCH_RUN_H

#include "base/mem.h"
#include "imapd/fetch_plan.h"
#include "imapd/session.h"
#include "store/mailbox.h"
#include "store/mime_read.h"

#define FETCH_BATCH_ROWS   1024 /* messages whose rows are read at once */
#define FETCH_BATCH_PARSED 128  /* the same with ENVELOPE, BODYSTRUCTURE or a part table each */
#define FETCH_BATCH_BODIES 64   /* the same with bytes of the files */

enum fetch_source { FETCH_NOTHING, FETCH_FROM_FILE, FETCH_FROM_MEMORY, FETCH_FROM_DECODER };

/* The bytes of a literal that are still to come. */
struct fetch_stream {
	enum fetch_source source;
	uint64_t left;
	bool binary; /* NULs may be in it */
	struct mime_reader reader;
	struct mime_extent range; /* of the reader */
	struct buf memory;
	size_t memory_at;
	struct mime_decoder *decoder;
};

/* One message of the batch; the spans live in the batch's arena. */
struct fetch_message {
	struct message row;
	bool seen_now; /* \Seen has been set by this FETCH */
	bool parsed;
	struct str envelope, body, bodystructure, parts;
	bool summarised;
	struct message_ids ids;
	struct str preview; /* p NULL: not known */
};

struct fetch_run {
	struct imap_session *s;
	const struct fetch_plan *plan;
	struct arena *arena; /* the command's */

	struct uidset uids;
	uint32_t done_uid; /* all up to this one are in the batch or behind */
	bool
	    downwards; /* from the highest UID to the lowest: all from done_uid on are; RFC 9738 §3.1 */
	struct arena batch_arena;
	struct fetch_message *batch;
	size_t batch_count, batch_at;

	/* the message that is being written: batch[batch_at] */
	bool in_message;
	size_t item_at;
	int fd; /* -1: not open */
	struct mime_message *mime;
	struct fetch_stream stream;

	bool seen_changed; /* some message's \Seen was set */
	bool vanished;     /* a message of the view is gone */
	bool unknown_cte;  /* BINARY of a part in an encoding nobody knows */
	bool failed;       /* something could not be read */
};

/* In the arena; takes the members of `uids` out.  Ends with fetch_run_free(), which fits
 * imap_request.state_free. */
struct fetch_run *fetch_run_new(struct imap_session *s, struct arena *arena,
    const struct fetch_plan *plan, struct uidset *uids);
void fetch_run_free(void *run);

enum fetch_step {
	FETCH_DONE,
	FETCH_MORE,   /* the output is full */
	FETCH_BROKEN, /* the literal that is under way cannot be completed: drop the connection */
};
enum fetch_step fetch_run_step(struct fetch_run *run);

/* --- for the items (fetch_body.c) --- */

static inline struct fetch_message *
fetch_current(struct fetch_run *run)
{
	return &run->batch[run->batch_at];
}

void fetch_emit_section(struct fetch_run *run, const struct fetch_item *item);
void fetch_emit_binary(struct fetch_run *run, const struct fetch_item *item);
void fetch_emit_binary_size(struct fetch_run *run, const struct fetch_item *item);

/* Opens the file and makes the part table where the plan needs them.  False: the message is gone or
 * cannot be read, which is noted; nothing may be written for it. */
bool fetch_body_open(struct fetch_run *run);
void fetch_body_close(struct fetch_run *run);
/* Moves bytes of the stream to the output, until either ends.  False: broken. */
bool fetch_body_pump(struct fetch_run *run);

#endif
