/* The grammar of IMAP commands: RFC 9051 §9, and RFC 3501 §9 where that allows more.
 *
 * A command is one span of bytes: its lines without the last CRLF, each literal in place behind
 * the "{n}" CRLF that announced it.  The framing on the loop thread has made sure that the bytes of
 * every literal it announced are there; the parser checks again and trusts nothing.
 *
 * One function per rule, named after it.  Each takes the cursor to behind what it matched and
 * returns true, or returns false and leaves the cursor anywhere: a caller that wants to try another
 * rule keeps a copy.  Spans that are returned point into the command or into the arena: they last
 * as long as the command.  Nothing here reads beyond the cursor's end, recurses, or takes more than
 * linear time. */
#ifndef IMAPD_PARSE_H
#define IMAPD_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/mem.h"
#include "base/text.h"
#include "store/mailbox.h"

/* character classes, RFC 9051 §9 */
bool imap_is_atom_char(char c);    /* ATOM-CHAR: no CTL, SP, ( ) { % * " \ ] */
bool imap_is_astring_char(char c); /* ATOM-CHAR or "]" */
bool imap_is_list_char(char c);    /* ASTRING-CHAR, "%" or "*" */
bool imap_is_tag_char(char c);     /* ASTRING-CHAR but "+" */

bool imap_parse_sp(struct cursor *c);                       /* exactly one SP */
bool imap_parse_crlf(struct cursor *c);                     /* CRLF, or a bare LF as framed */
bool imap_parse_tag(struct cursor *c, struct str *tag_out); /* 1*tag-char */
bool imap_parse_atom(struct cursor *c, struct str *atom_out);
bool imap_parse_number(struct cursor *c, uint32_t *n_out);
bool imap_parse_nz_number(struct cursor *c, uint32_t *n_out);
bool imap_parse_number64(struct cursor *c, uint64_t *n_out); /* up to 2^63-1 */
bool imap_parse_nz_number64(struct cursor *c, uint64_t *n_out);

/* A literal's announcement: "{n}", "{n+}", "~{n}", "~{n+}", without the CRLF. */
struct imap_literal {
	uint64_t size_bytes;
	bool nonsync; /* "+": the client does not wait for our "+", RFC 7888 */
	bool binary;  /* "~": literal8, may hold NULs, RFC 9051 §4.3.1 and RFC 3516 */
};
bool imap_parse_literal_head(struct cursor *c, struct imap_literal *lit_out);
/* Does `line` (without its CRLF) end in such an announcement?  At *start_out it begins. */
bool imap_line_ends_in_literal(struct str line, struct imap_literal *lit_out, size_t *start_out);

/* quoted: the text without quotes and backslashes; UTF-8 is taken in every session. */
bool imap_parse_quoted(struct cursor *c, struct arena *a, struct str *text_out);
/* literal; with `binary_ok` a literal8 too (then it may hold NULs, otherwise it must not). */
bool imap_parse_literal(struct cursor *c, bool binary_ok, struct str *bytes_out);
bool imap_parse_string(struct cursor *c, struct arena *a, struct str *text_out);
bool imap_parse_astring(struct cursor *c, struct arena *a, struct str *text_out);
bool imap_parse_nstring(struct cursor *c, struct arena *a, struct str *text_out); /* NIL: p NULL */
bool imap_parse_list_mailbox(struct cursor *c, struct arena *a, struct str *pattern_out);

/* sequence-set.  "*" parses as UINT32_MAX, so a range can be ordered before the mailbox's size is
 * known; imap_range_resolve() then puts the real largest number in. */
#define IMAP_SEQ_STAR UINT32_MAX
struct imap_range {
	uint32_t low, high; /* low <= high */
};
struct imap_sequence_set {
	struct imap_range *ranges; /* in the arena, in the client's order, may overlap */
	size_t count;
	bool saved; /* the set is "$", the saved search result, RFC 9051 §6.4.4.1; count is 0 */
};
bool imap_parse_seq_number(struct cursor *c, uint32_t *n_out);             /* nz-number or "*" */
bool imap_parse_seq_range(struct cursor *c, struct imap_range *range_out); /* or a single number */
bool imap_parse_sequence_set(struct cursor *c, struct arena *a, struct imap_sequence_set *set_out);
/* The range with "*" standing for `largest`; "9:*" above the largest is the largest alone and all
 * between, RFC 9051 §9 seq-range. */
struct imap_range imap_range_resolve(struct imap_range r, uint32_t largest);

/* date-text, with or without quotes, as in SEARCH: days since 1970-01-01 (may be negative). */
bool imap_parse_date(struct cursor *c, int32_t *days_out);
/* date-time as in APPEND, quoted, " 1-Jan-2026 10:00:00 +0100" */
bool imap_parse_date_time(struct cursor *c, int64_t *unix_s_out);

/* Flags, RFC 9051 §2.3.2.  System flags are bits, the rest are names. */
struct imap_flags {
	unsigned bits;         /* of enum message_flag */
	const char **keywords; /* in the arena; each once, letter case as the client wrote it */
	size_t keyword_count;  /* at most MAILBOX_KEYWORDS_MAX */
	bool beyond;           /* a name was too long, or there were too many: NO [LIMIT] */
};
/* flag = "\Answered" … / flag-keyword / flag-extension.  \Recent and "\*" fail; an unknown \Flag is passed over, as is one
 * that PERMANENTFLAGS does not name, RFC 9051 §7.1. */
bool imap_parse_flag(struct cursor *c, struct arena *a, struct imap_flags *flags);
bool imap_parse_flag_list(struct cursor *c, struct arena *a, struct imap_flags *flags_out);
/* STORE's value: a flag-list, or flags with spaces between and no parentheses. */
bool imap_parse_store_flags(struct cursor *c, struct arena *a, struct imap_flags *flags_out);

#endif
