/* APPEND's data comes past the parser: the connection hands it over piece by piece, each in a job, so
 * a message is never held in memory.  The command's row runs at the end, with what follows the
 * last literal. */
#ifndef IMAPD_APPEND_H
#define IMAPD_APPEND_H

#include "imapd/commands.h"
#include "imapd/parse.h"

/* The largest message that the account may have; before login that anybody may.  RFC 7889. */
uint64_t imap_append_limit_bytes(const struct imap_session *s);

#define IMAP_APPEND_CHUNK_BYTES  (64 * 1024) /* handed over at once */
#define IMAP_APPEND_MESSAGES_MAX 1000        /* in one MULTIAPPEND */

/* `text` is the command up to an announcement of data: all of it the first time, then what stood
 * between two literals.  IMAP_WAIT: the data may come; otherwise the reply. */
enum imap_result imap_append_head(struct imap_session *s, struct imap_request *req, struct str text,
    const struct imap_literal *literal);
/* Bytes of the literal announced last.  IMAP_WAIT: go on; otherwise the reply. */
enum imap_result imap_append_data(
    struct imap_session *s, struct imap_request *req, struct str bytes);

#endif
