/* Two small protocols by which mail servers ask for one key, told apart by a request's first byte.
 *
 * socketmap (sendmail; Postfix's socketmap_table(5)): netstrings.
 *     "25:recipients ann@example.org,"  ->  "18:OK ann@example.org,"  "9:NOTFOUND ,"  "TEMP why"  "PERM why"
 * tcp_table (Postfix's tcp_table(5)): lines, with %XX for what is special.  It has no map's name.
 *     "get ann@example.org\n"           ->  "200 ann@example.org\n"  "500 why\n"  "400 why\n" */
#ifndef LDA_LOOKUP_PROTOCOL_H
#define LDA_LOOKUP_PROTOCOL_H

#include <stddef.h>

#include "base/buf.h"
#include "base/text.h"

#define LOOKUP_KEY_MAX_BYTES     1000
#define LOOKUP_MAP_MAX_BYTES     32
#define LOOKUP_REQUEST_MAX_BYTES 3200 /* all of a key's bytes as %XX, and what is around it */

enum lookup_protocol { LOOKUP_SOCKETMAP, LOOKUP_TCP_TABLE };

struct lookup_request {
	enum lookup_protocol protocol;
	char map[LOOKUP_MAP_MAX_BYTES + 1]; /* "" in tcp_table */
	char key[LOOKUP_KEY_MAX_BYTES + 1];
};

enum lookup_read {
	LOOKUP_READ_YES,
	LOOKUP_READ_MORE, /* it is not all there */
	LOOKUP_READ_BAD, /* understood as a request, which asks for nothing: answer LOOKUP_REFUSED */
	LOOKUP_READ_END, /* neither protocol, or too long: nothing behind it can be understood */
};
/* Reads the request at the beginning of `bytes`; *used_out is its length with LOOKUP_READ_YES and _BAD,
 * which set request_out's protocol too. */
enum lookup_read lookup_request_read(
    struct str bytes, struct lookup_request *request_out, size_t *used_out);

enum lookup_result {
	LOOKUP_FOUND,
	LOOKUP_NOT_FOUND,
	LOOKUP_TEMPORARY, /* ask again later */
	LOOKUP_REFUSED,   /* asking again will not help: no such map */
};
/* Appends the answer; `text` is the value, or why. */
void lookup_answer_write(
    struct buf *out, enum lookup_protocol protocol, enum lookup_result result, const char *text);

#endif
