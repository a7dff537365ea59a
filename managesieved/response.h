/* What the server says: replies and the strings in them, RFC 5804 §1.2, §1.3 and §4. */
#ifndef MANAGESIEVED_RESPONSE_H
#define MANAGESIEVED_RESPONSE_H

#include "base/buf.h"
#include "base/text.h"
#include "managesieved/commands.h"
#include "store/err.h"

/* The reply; code (may be NULL) and text are copied.  Each returns the matching result, to be returned by the
 * handler.  The text may have several lines, and bytes that are no UTF-8 become "?". */
enum msieve_result msieve_ok(struct msieve_request *req, const char *code, const char *text);
enum msieve_result msieve_no(struct msieve_request *req, const char *code, const char *text);
/* NO for what cannot be read or is not allowed now. */
enum msieve_result msieve_bad(struct msieve_request *req, const char *text);
/* OK for STORE_OK, else NO with the code and text that stand for the error. */
enum msieve_result msieve_finish(struct msieve_request *req, enum store_err err);

/* string: quoted where it can be, else a literal. */
void msieve_write_string(struct buf *out, struct str text);
void msieve_write_literal(struct buf *out, struct str bytes);
/* ("OK" / "NO" / "BYE") [SP "(" resp-code ")"] [SP string] CRLF; code may be NULL, text.p too. */
void msieve_write_reply(struct buf *out, const char *word, const char *code, struct str text);

#endif
