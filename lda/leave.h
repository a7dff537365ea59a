/* Users who have left: who writes to them gets an answer in place of a delivery (RFC 3834).
 *
 * The account is inactive and has a text (mailadmin account leave).  The text goes into lda.leave_template, or is the whole
 * answer where it was given as a template of its own.  In either, ${address}, ${localpart} and ${domain} are the account's,
 * ${name} its user's name (or the address), ${text} the text given; anything else stays as it stands.  A template may begin
 * with a line "Subject: …", and an empty one behind it. */
#ifndef LDA_LEAVE_H
#define LDA_LEAVE_H

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#define LEAVE_TEMPLATE_MAX_BYTES (64 * 1024)

struct account_row;
struct filter_reply;
struct lda;

/* What senders are told for one account.  In an arena. */
struct leave {
	const char *text;
	bool whole; /* it is the template */
	const char *address, *localpart, *domain;
	const char *name; /* or NULL */
};

extern const char LEAVE_DEFAULT_TEMPLATE[];

/* The administrator's template, with a NUL, the caller's; NULL: the built-in one, with what is wrong logged. */
char *leave_template_read(const char *path, const struct log *log);

/* Fills from, subject (NULL: made from the message's), body and key of an answer that is otherwise a vacation's. */
void leave_reply(const struct leave *leave, const char *template, struct arena *arena,
    struct filter_reply *reply_out);

#endif
