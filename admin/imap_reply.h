/* What an IMAP server says to a client, taken apart: RFC 3501 and RFC 9051 §7, and as much of what real servers say
 * beside the grammar as does no harm.  The server is a stranger: everything has a limit, and what cannot be understood is
 * an error, never a guess.
 *
 * A reply is a line, with its literals in it as "{n}" CRLF and n bytes.  Literals with a message's bytes (BODY[…])
 * are not in it: they go to a sink as they come, and in the reply's text stands IMAP_REPLY_BODY for each.  At most one is
 * in a reply. */
#ifndef ADMIN_IMAP_REPLY_H
#define ADMIN_IMAP_REPLY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#define IMAP_REPLY_MAX_BYTES (256 * 1024)        /* a line with its literals, without BODY[] */
#define IMAP_BODY_MAX_BYTES  (UINT64_C(1) << 31) /* one message */
#define IMAP_REPLY_BODY      '\001'              /* stands for a literal that went to the sink */
#define IMAP_NESTING_MAX     50
#define IMAP_FLAGS_MAX       200 /* keywords of one message */

/* --- bytes to replies -------------------------------------------------------------------------- */

/* Where the bytes come from, and where those of messages go. */
struct imap_source {
	ssize_t (*read)(void *arg, void *bytes, size_t size); /* 0: the end, -1: an error */
	/* A literal of that many bytes begins; its pieces follow.  Both say false to stop. */
	bool (*body_begin)(void *arg, uint64_t size);
	bool (*body)(void *arg, const char *bytes, size_t len);
	void *arg;
};

struct imap_reader {
	struct imap_source source;
	size_t at, len;
	char in[32 * 1024];
};

enum imap_read {
	IMAP_READ_OK,
	IMAP_READ_LOST,    /* read() said so, or the end came inside a reply */
	IMAP_READ_STOPPED, /* the sink said so */
	IMAP_READ_BAD,     /* this is no IMAP; *why_out says why */
};

/* Reads the next reply into `text`, which is emptied before. */
enum imap_read imap_reader_next(struct imap_reader *r, struct buf *text, const char **why_out);
bool imap_reader_has_input(const struct imap_reader *r); /* bytes that came and are not read yet */

/* --- replies ----------------------------------------------------------------------------------- */

enum imap_reply_kind {
	IMAP_REPLY_TAGGED,   /* status */
	IMAP_REPLY_CONTINUE, /* "+" */
	IMAP_REPLY_STATUS,   /* untagged OK, NO, BAD, BYE, PREAUTH */
	IMAP_REPLY_NUMBER,   /* "* 12 EXISTS": number, name */
	IMAP_REPLY_OTHER,    /* "* LIST …": name */
};
enum imap_status {
	IMAP_STATUS_OK,
	IMAP_STATUS_NO,
	IMAP_STATUS_BAD,
	IMAP_STATUS_BYE,
	IMAP_STATUS_PREAUTH
};

struct imap_reply {
	enum imap_reply_kind kind;
	struct str tag;          /* TAGGED */
	enum imap_status status; /* TAGGED, STATUS */
	struct str code;         /* of a status: what stands in [ ]; empty if there is none */
	struct str name;         /* NUMBER, OTHER; as it came */
	uint32_t number;
	struct str rest; /* what follows: human text, or the data */
};

/* All spans lie in `text`. */
bool imap_reply_parse(struct str text, struct imap_reply *reply_out);
/* "UIDVALIDITY 12": is `code` of that name, and its number. */
bool imap_code_number(struct str code, struct str name, uint32_t *value_out);

struct imap_fetched {
	uint32_t uid; /* 0: not said */
	bool has_flags, has_date, has_size;
	unsigned flags;       /* enum message_flag, without \Recent */
	struct str *keywords; /* in the arena */
	size_t keyword_count;
	int64_t date_s;
	uint64_t size_bytes;
	enum {
		IMAP_BODY_NONE,
		IMAP_BODY_NIL,
		IMAP_BODY_TEXT, /* a quoted string: `body` */
		IMAP_BODY_SINK, /* it went to the sink */
	} body_kind;
	struct str body; /* in the arena */
};
/* The data of "* n FETCH". */
bool imap_fetched_parse(struct str rest, struct arena *arena, struct imap_fetched *out);

struct imap_listed {
	char *name;     /* as the server writes it; in the arena */
	char delimiter; /* '\0': none */
	bool noselect, nonexistent, subscribed;
	unsigned uses; /* bit n: enum special_use n */
};
/* The data of "* LIST" or "* LSUB", RFC 3501 §7.2.2, RFC 5258. */
bool imap_listed_parse(struct str rest, struct arena *arena, struct imap_listed *out);

#define IMAP_NAMESPACES_MAX 32
struct imap_namespace {
	char *prefix; /* in the arena */
	char delimiter;
	bool personal;
};
/* The data of "* NAMESPACE", RFC 2342 §5. */
bool imap_namespaces_parse(struct str rest, struct arena *arena,
    struct imap_namespace out[static IMAP_NAMESPACES_MAX], size_t *count_out);

#endif
