/* The grammar of ManageSieve commands, RFC 5804 §4.
 *
 * A command is one span of bytes: its lines without the last CRLF, each literal in place behind the
 * "{n+}" CRLF that announced it, as frame.h has put it together.  One function per rule; each takes the
 * cursor to behind what it matched, or returns false and leaves it anywhere.  Spans point into the
 * command or into the arena.  Nothing here reads beyond the cursor's end, recurses, or takes more than
 * linear time. */
#ifndef MANAGESIEVED_PARSE_H
#define MANAGESIEVED_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"
#include "net/frame.h"

bool msieve_parse_sp(struct cursor *c); /* one SP */
/* atom, as a command's name */
bool msieve_parse_atom(struct cursor *c, struct str *atom_out);
/* number = (NZDIGIT *DIGIT) / "0", 32 bits */
bool msieve_parse_number(struct cursor *c, uint32_t *n_out);
/* string = quoted / literal-c2s.  Quoted ones must be UTF-8 and may be longer than 1024 octets: the
 * line's limit bounds them.  A literal may hold any bytes. */
bool msieve_parse_string(struct cursor *c, struct arena *a, struct str *text_out);

/* Does `line` (without its CRLF) end in the announcement of a literal?  Besides "{n+}" also "{n}", which
 * old clients send and which means the same here: nobody waits in this protocol.  At *start_out it begins. */
bool msieve_line_announces(struct str line, struct frame_literal *lit_out, size_t *start_out);

#endif
