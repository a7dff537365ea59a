#include "lda/reply.h"

#include <sysexits.h>

struct answer {
	int code;
	const char *enhanced; /* RFC 3463 */
	const char *text;
	int exit_code;
};

static const struct answer ANSWERS[LDA_VERDICT_COUNT] = {
	[LDA_OK] = { 250, "2.1.5", "OK", EX_OK },
	[LDA_NO_USER] = { 550, "5.1.1", "No such user here", EX_NOUSER },
	[LDA_INACTIVE] = { 550, "5.2.1", "This mailbox is not in use", EX_NOUSER },
	[LDA_OVER_QUOTA] = { 452, "4.2.2", "The mailbox is full, try again later", EX_TEMPFAIL },
	[LDA_TOO_BIG] = { 552, "5.3.4", "The message is larger than this recipient takes",
	    EX_UNAVAILABLE },
	[LDA_LOOP] = { 554, "5.4.6", "Mail loop: the message has been here before",
	    EX_UNAVAILABLE },
	[LDA_NO_MAILBOX] = { 550, "5.2.0", "No such mailbox can be", EX_CANTCREAT },
	[LDA_REFUSED] = { 550, "5.7.1", "The recipient does not want this message", EX_NOPERM },
	[LDA_NO_SPACE] = { 452, "4.3.1", "Not enough disk space, try again later", EX_TEMPFAIL },
	[LDA_TEMPORARY] = { 451, "4.3.0", "Temporary failure, try again later", EX_TEMPFAIL },
};
static const struct answer QUOTA_PERMANENT = { 552, "5.2.2", "The mailbox is full", EX_CANTCREAT };

static const struct answer *
answer(enum lda_verdict v, bool permanent_quota)
{
	return v == LDA_OVER_QUOTA && permanent_quota ? &QUOTA_PERMANENT : &ANSWERS[v];
}

void
reply_set(struct smtp_reply *r, enum lda_verdict v, bool permanent_quota, const char *rcpt)
{
	const struct answer *a = answer(v, permanent_quota);

	smtp_reply_set(r, a->code, a->enhanced, "<%s> %s", rcpt, a->text);
}

void
reply_set_refusal(struct smtp_reply *r, const char *rcpt, const char *reason)
{
	const struct answer *a = &ANSWERS[LDA_REFUSED];

	smtp_reply_set(r, a->code, a->enhanced, "<%s> %s", rcpt, reason);
}

int
reply_exit_code(enum lda_verdict v, bool permanent_quota)
{
	return answer(v, permanent_quota)->exit_code;
}

const char *
reply_text(enum lda_verdict v)
{
	return ANSWERS[v].text;
}
