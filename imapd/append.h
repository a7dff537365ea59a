/* The commands that add messages, APPEND and REPLACE: what stands between their literals is parsed here, and the messages are
 * put together from their pieces on disk.
 *
 *	append-message = [SP flag-list] [SP date-time] SP append-data        RFC 9051 §9, RFC 4466
 *	append-data    = literal / literal8 / "UTF8" SP "(" literal8 ")" /   RFC 6855 §4
 *	                 "CATENATE" SP "(" cat-part *(SP cat-part) ")"       RFC 4469 §5
 *	cat-part       = "TEXT" SP literal / "URL" SP astring / "UTF8" SP "(" literal8 ")"
 *
 * The data of literals comes past the parser: the connection hands it over piece by piece, each in a job, so a message is
 * never held in memory.  The command's row runs at the end, with what follows the last literal; a row's `begin` parses
 * what stands before the first message and calls imap_append_into(). */
#ifndef IMAPD_APPEND_H
#define IMAPD_APPEND_H

#include "imapd/commands.h"
#include "imapd/parse.h"
#include "imapd/place.h"
#include "imapd/session.h"

struct append;
struct uidset;

#define IMAP_APPEND_CHUNK_BYTES  (64 * 1024)   /* handed over at once */
#define IMAP_APPEND_SLICE_BYTES  (1024 * 1024) /* copied from URLs between two chances for others */
#define IMAP_APPEND_MESSAGES_MAX 1000          /* in one MULTIAPPEND */
/* Of one command between its literals, all together: parts with next to no data could come for ever. */
#define IMAP_APPEND_TEXT_MAX_BYTES (1024 * 1024)

/* The largest message that the account may have; NULL, before login: that anybody may.  RFC 7889. */
uint64_t imap_append_limit_bytes(const struct imap_session *s, const struct account *acct);

/* For `begin`: the messages go into this place; at most `messages_max` of them.  When the last byte is there, `commit` makes
 * them visible, and its result is the command's.  IMAP_WAIT: go on. */
struct imap_append_target {
	struct imap_place to;
	uint32_t replaced_uid; /* REPLACE: of the selected mailbox, 0: none */
	unsigned messages_max;
	enum imap_result (*commit)(struct imap_session *s, struct imap_request *req,
	    const struct imap_append_target *target, struct append *ap);
};
enum imap_result imap_append_into(
    struct imap_session *s, struct imap_request *req, const struct imap_append_target *target);
/* append_commit(), and tells the scripts.  On STORE_OK "APPENDUID 7 3:5" is in *code_out; nothing for who may not read the
 * mailbox, RFC 9051 §11.4. */
enum store_err imap_append_commit(struct imap_session *s, const struct imap_append_target *target,
    struct append *ap, struct buf *code_out);
/* NO for what the store says, [TRYCREATE] for a mailbox that is not there, RFC 9051 §6.3.12. */
enum imap_result imap_append_refuse(struct imap_request *req, enum store_err err);

/* The `run` of both rows: what follows the last literal. */
enum imap_result imap_append_run(struct imap_session *s, struct imap_request *req);

/* --- for the connection --- */

/* `text` is the command up to an announcement of data: all of it the first time, then what stood
 * between two literals.  IMAP_WAIT: the data may come; IMAP_MORE: call again; otherwise the reply. */
enum imap_result imap_append_head(struct imap_session *s, struct imap_request *req, struct str text,
    const struct imap_literal *literal);
/* Bytes of the literal announced last.  IMAP_WAIT: go on; otherwise the reply. */
enum imap_result imap_append_data(
    struct imap_session *s, struct imap_request *req, struct str bytes);

#endif
