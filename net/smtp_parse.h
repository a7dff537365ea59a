/* The grammar of SMTP and LMTP commands and replies: RFC 5321 §4.1, 2033, 1870 (SIZE), 6152 (BODY),
 * 3030 (BDAT, BINARYMIME), 3461 (DSN), 4954 (AUTH), 6531 (SMTPUTF8), 2852 (BY), 4865 (HOLDFOR, HOLDUNTIL),
 * 6710 (MT-PRIORITY), 8689 (REQUIRETLS), and XCLIENT.  Pure functions over bytes.
 *
 * Beyond the rules, for the sake of peers that are about: blanks behind "FROM:" and "TO:" and at
 * the end of a command; an address without its angle brackets; several blanks between
 * parameters; a host name with "_" in HELO.  Control bytes are never accepted. */
#ifndef NET_SMTP_PARSE_H
#define NET_SMTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"

#define SMTP_LOCAL_PART_MAX_BYTES 64  /* RFC 5321 §4.5.3.1.1; quotes and backslashes not counted */
#define SMTP_DOMAIN_MAX_BYTES     255 /* §4.5.3.1.2 */
#define SMTP_PATH_MAX_BYTES       1024 /* §4.5.3.1.3 asks for 256; a source route may stand before */
#define SMTP_PARAMS_MAX           16
#define SMTP_ENVID_MAX_BYTES      100 /* RFC 3461 §4.4 */
#define SMTP_ORCPT_MAX_BYTES      500 /* RFC 3461 §4.2 */

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };
enum smtp_ret { SMTP_RET_NONE, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify { /* bits, RFC 3461 §4.1; none given is 0 */
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8,
};

/* A mailbox.  All strings are NUL-terminated and hold neither NUL nor control bytes.  The null
 * reverse-path <> has all three empty; <postmaster> has a local part only. */
struct smtp_path {
	const char *address; /* as to be written: local part quoted where it must be */
	const char *local;   /* unquoted */
	const char *domain;  /* lower case in ASCII; an address literal with its brackets */
	bool utf8;           /* has bytes beyond ASCII: needs SMTPUTF8 */
};

struct smtp_mail { /* MAIL FROM */
	struct smtp_path from;
	uint64_t size_bytes; /* SIZE=, 0 if not given */
	enum smtp_body body;
	bool smtputf8;
	const char *auth; /* AUTH=, decoded; NULL if not given; "<>" for nobody, RFC 4954 §5 */
	enum smtp_ret ret;
	const char *envid; /* decoded xtext; NULL if not given */
	bool require_tls;  /* RFC 8689 §2 */
	bool has_priority;
	int priority; /* MT-PRIORITY, -9 to 9, RFC 6710 §5 */
	char by_mode; /* BY, RFC 2852 §4: 'N' or 'R'; 0 if not given */
	bool by_trace;
	int64_t by_seconds; /* from now on; with R it is positive */
	char hold_mode;     /* RFC 4865 §3: 'F' HOLDFOR, 'U' HOLDUNTIL; 0 if not given */
	int64_t hold;       /* seconds from now on, or unix time */
};

struct smtp_rcpt { /* RCPT TO */
	struct smtp_path to;
	unsigned notify;   /* enum smtp_notify */
	const char *orcpt; /* "type;address", decoded; NULL if not given */
};

enum smtp_parse {
	SMTP_PARSE_OK,
	SMTP_PARSE_SYNTAX,        /* 501 5.5.4 (or 5.1.3, 5.1.7 for the address) */
	SMTP_PARSE_ADDRESS,       /* 553 5.1.3 / 5.1.7 */
	SMTP_PARSE_UNKNOWN_PARAM, /* 555 5.5.4 */
	SMTP_PARSE_BAD_PARAM,     /* 501 5.5.4: value missing, wrong or given twice */
};

/* Which parameters are known; others are SMTP_PARSE_UNKNOWN_PARAM. */
enum smtp_param {
	SMTP_PARAM_SIZE = 1,
	SMTP_PARAM_BODY = 2, /* 7BIT and 8BITMIME */
	SMTP_PARAM_BINARYMIME = 4,
	SMTP_PARAM_SMTPUTF8 = 8,
	SMTP_PARAM_AUTH = 16,
	SMTP_PARAM_DSN = 32, /* RET, ENVID; NOTIFY, ORCPT */
	SMTP_PARAM_REQUIRETLS = 64,
	SMTP_PARAM_PRIORITY = 128,
	SMTP_PARAM_BY = 256,
	SMTP_PARAM_HOLD = 512, /* HOLDFOR, HOLDUNTIL */
};
#define SMTP_PARAMS_ALL 1023u

/* What stands behind "MAIL FROM:" and "RCPT TO:".  Strings go to the arena.  An address beyond ASCII
 * without SMTPUTF8 in this MAIL is SMTP_PARSE_ADDRESS; for RCPT `smtputf8` says what MAIL had. */
enum smtp_parse smtp_parse_mail(
    struct str args, unsigned params, struct arena *a, struct smtp_mail *mail_out);
enum smtp_parse smtp_parse_rcpt(
    struct str args, unsigned params, bool smtputf8, struct arena *a, struct smtp_rcpt *rcpt_out);

/* Domain or address-literal, RFC 5321 §4.1.2, §4.1.3, as EHLO and LHLO want it; U-labels if utf8. */
bool smtp_parse_helo(struct str args, bool utf8, struct arena *a, const char **host_out);
/* chunk-size SP LAST, RFC 3030 §2 */
bool smtp_parse_bdat(struct str args, uint64_t *size_out, bool *last_out);
/* auth-type and initial-response, RFC 4954 §4; initial_out->p is NULL if there is none. */
bool smtp_parse_auth(struct str args, struct str *mechanism_out, struct str *initial_out);

/* date-time, RFC 3339 §5.6; a fraction of a second is dropped. */
bool smtp_parse_date_time(struct str text, int64_t *unix_time_out);

/* One attribute of XCLIENT, "NAME=xtext", from the front of what is left; the value decoded, NULL for
 * [UNAVAILABLE] and [TEMPUNAVAIL].  False: none is left, or (with *bad_out) it cannot be read. */
struct smtp_xclient {
	struct str name;
	const char *value; /* in the arena */
};
bool smtp_parse_xclient(
    struct str *args, struct arena *a, struct smtp_xclient *attribute_out, bool *bad_out);

/* A lone mailbox, "local@domain", without angle brackets or parameters; what lda's -d and tests use. */
bool smtp_parse_address(struct str text, struct arena *a, struct smtp_path *path_out);

/* xtext, RFC 3461 §4: "+" and two upper-case hex digits.  NUL and, after decoding, control bytes
 * are refused.  The encoder writes what may not stand for itself. */
bool smtp_xtext_decode(struct str in, struct buf *out);
void smtp_xtext_encode(struct buf *out, struct str in);

/* One line of a reply, without CRLF: `250-text`, `250 text` or `250`.  RFC 5321 §4.2. */
struct smtp_reply_line {
	int code; /* 200..599 */
	bool more;
	char enhanced[12]; /* "5.1.1" of RFC 2034, "" if there is none */
	struct str text;   /* behind the code, enhanced code included */
};
bool smtp_parse_reply_line(struct str line, struct smtp_reply_line *line_out);

#endif
