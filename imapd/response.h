/* What the server says: tagged replies, untagged responses and the syntax of what is in them.
 * All of it is written into s->out and leaves when the job returns. */
#ifndef IMAPD_RESPONSE_H
#define IMAPD_RESPONSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "imapd/commands.h"
#include "store/err.h"
#include "store/mailbox.h"

/* The tagged reply.  `code` is a resp-text-code without its brackets (may be NULL, and may hold
 * arguments: "APPENDUID 7 3"); it and the text are copied.  Each returns the matching result, to be
 * returned by the handler. */
enum imap_result imap_ok(struct imap_request *req, const char *code, const char *text);
enum imap_result imap_okf(struct imap_request *req, const char *text, const char *code_fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum imap_result imap_no(struct imap_request *req, const char *code, const char *text);
enum imap_result imap_bad(struct imap_request *req, const char *text);
/* BAD [UIDREQUIRED]: a sequence number where UIDONLY is enabled, RFC 9586 §3. */
enum imap_result imap_uid_required(struct imap_request *req);
/* OK for STORE_OK, otherwise NO with the code and text that stand for the error, RFC 5530. */
enum imap_result imap_finish(struct imap_request *req, enum store_err err);

/* "* " + the formatted text + CRLF.  Never give it text of a client's or of a message: use the
 * imap_out_ functions below. */
void imap_untagged(struct imap_session *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* True when s->out holds NET_OUTPUT_HIGH_BYTES or more: return IMAP_MORE. */
bool imap_out_full(const struct imap_session *s);

/* string: quoted where it can be, else a literal ("~{n}" if it holds NULs). */
void imap_out_string(struct buf *out, struct str text);
void imap_out_nstring(struct buf *out, struct str text); /* NIL if p is NULL */
void imap_out_astring(struct buf *out, struct str text); /* an atom where it can be */
/* "{n}" CRLF or "~{n}" CRLF; the caller writes exactly size_bytes behind it. */
void imap_out_literal_head(struct buf *out, uint64_t size_bytes, bool binary);
/* mailbox: `name` is our UTF-8; modified UTF-7 unless the session enabled IMAP4rev2. */
void imap_out_mailbox(struct imap_session *s, const char *name);
/* mbox-list-extended with an oldname-extended-item, RFC 9051 §9: ' ("OLDNAME" (name))'. */
void imap_out_oldname(struct imap_session *s, const char *name);
/* "* LIST (attributes) "/" shown", with OLDNAME where the client wrote another name than the one that was made of it,
 * RFC 9051 §6.3.9.7. */
void imap_send_list(
    struct imap_session *s, const char *attributes, const char *shown, const char *written);
/* The same if that is so and the session has enabled IMAP4rev2; else nothing. */
void imap_send_normalized(
    struct imap_session *s, const char *attributes, const char *shown, const char *written);
/* "MAILBOXID (F…)", RFC 8474 §4: with a letter in front, §8.1 */
void imap_out_mailbox_id(struct buf *out, const char *id);
/* "17-Jul-2026 02:44:25 +0000", in quotes */
void imap_out_date_time(struct buf *out, int64_t unix_s);

/* "(\Seen \Recent $Junk)": system flags, then the selected mailbox's keywords.  \Recent is left out in
 * a session that has enabled IMAP4rev2.  `keywords` may be NULL. */
void imap_out_flags(struct imap_session *s, unsigned flags, const struct keyword_set *keywords);
/* "* 7 FETCH (", or "* 4711 UIDFETCH (" once UIDONLY is enabled, RFC 9586 §3.3: whatever writes FETCH
 * responses begins them with this, so that no sequence number is shown there. */
void imap_out_fetch_head(struct imap_session *s, uint32_t seq, uint32_t uid);
/* "* VANISHED 3:5,7", RFC 7162 §3.2.10; `earlier`: "* VANISHED (EARLIER) 3:5,7".  Nothing for an empty set, several
 * lines for a long one. */
void imap_send_vanished(struct imap_session *s, bool earlier, const struct uidset *uids);
/* True if expunges are announced by UIDs (QRESYNC, UIDONLY). */
bool imap_wants_vanished(const struct imap_session *s);

/* "* FLAGS (…)" and "* OK [PERMANENTFLAGS (…)]" of the selected mailbox, as SELECT says them; the
 * session says them again when new keywords have appeared. */
void imap_send_flags(struct imap_session *s);
/* Brings the session's view of the selected mailbox up to date and reports what changed: EXPUNGE or
 * VANISHED (only if `expunges_too`), EXISTS, RECENT, FETCH with flags, MODSEQ when CONDSTORE is on.  Called
 * by the session at the end of every command that does not forbid it; IDLE calls it too.  Does
 * nothing without a selected mailbox.  True: everything is told; false: s->out is full, call again. */
bool imap_send_updates(struct imap_session *s, bool expunges_too);

#endif
