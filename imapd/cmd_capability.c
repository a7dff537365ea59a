#include "imapd/append.h"
#include "imapd/capability.h"
#include "imapd/commands.h"
#include "imapd/filters.h"
#include "imapd/imapd.h"
#include "imapd/messages.h"
#include "imapd/quota.h"
#include "imapd/response.h"
#include "imapd/session.h"
#include "net/sasl.h"

#define LOGGED_IN (IMAP_AUTHENTICATED | IMAP_SELECTED)
#define NO_LOGIN  (IMAP_CLEAR | IMAP_UNAUTHENTICATED)

/* In the order in which they are said; where each RFC is named, what it says is implemented. */
static const struct {
	const char *name;
	unsigned states;
} CAPABILITIES[] = {
	{ "IMAP4rev1", IMAP_ANY_STATE },        /* RFC 3501 */
	{ "IMAP4rev2", IMAP_ANY_STATE },        /* RFC 9051 */
	{ "LITERAL-", NO_LOGIN },               /* RFC 7888 */
	{ "LITERAL+", LOGGED_IN },              /* RFC 7888 */
	{ "SASL-IR", NO_LOGIN },                /* RFC 4959 */
	{ "ID", IMAP_ANY_STATE },               /* RFC 2971 */
	{ "STARTTLS", IMAP_CLEAR },             /* RFC 9051 §6.2.1 */
	{ "LOGINDISABLED", IMAP_CLEAR },        /* RFC 9051 §6.2.3 */
	{ "ENABLE", IMAP_ANY_STATE },           /* RFC 5161 */
	{ "IDLE", LOGGED_IN },                  /* RFC 2177 */
	{ "NAMESPACE", LOGGED_IN },             /* RFC 2342 */
	{ "UIDPLUS", LOGGED_IN },               /* RFC 4315 */
	{ "UNSELECT", LOGGED_IN },              /* RFC 3691 */
	{ "CHILDREN", LOGGED_IN },              /* RFC 3348 */
	{ "SPECIAL-USE", LOGGED_IN },           /* RFC 6154 */
	{ "CREATE-SPECIAL-USE", LOGGED_IN },    /* RFC 6154 */
	{ "LIST-EXTENDED", LOGGED_IN },         /* RFC 5258 */
	{ "LIST-STATUS", LOGGED_IN },           /* RFC 5819 */
	{ "MOVE", LOGGED_IN },                  /* RFC 6851 */
	{ "ESEARCH", LOGGED_IN },               /* RFC 4731 */
	{ "SEARCHRES", LOGGED_IN },             /* RFC 5182 */
	{ "WITHIN", LOGGED_IN },                /* RFC 5032 */
	{ "SORT", LOGGED_IN },                  /* RFC 5256 */
	{ "SORT=DISPLAY", LOGGED_IN },          /* RFC 5957 */
	{ "THREAD=ORDEREDSUBJECT", LOGGED_IN }, /* RFC 5256 */
	{ "THREAD=REFERENCES", LOGGED_IN },     /* RFC 5256 */
	{ "THREAD=REFS", LOGGED_IN },           /* draft-ietf-morg-inthread */
	{ "ESORT", LOGGED_IN },                 /* RFC 5267 §3 */
	{ "CONTEXT=SEARCH", LOGGED_IN },        /* RFC 5267 §4 */
	{ "CONTEXT=SORT", LOGGED_IN },          /* RFC 5267 §4 */
	{ "PARTIAL", LOGGED_IN },               /* RFC 9394 */
	{ "I18NLEVEL=1", LOGGED_IN },           /* RFC 5255 */
	{ "BINARY", LOGGED_IN },                /* RFC 3516 */
	{ "MULTIAPPEND", LOGGED_IN },           /* RFC 3502 */
	{ "CONDSTORE", LOGGED_IN },             /* RFC 7162 */
	{ "SEARCH=FUZZY", LOGGED_IN },          /* RFC 6203 */
	{ "INPROGRESS", LOGGED_IN },            /* RFC 9585 */
	{ "COMPRESS=DEFLATE", LOGGED_IN },      /* RFC 4978 */
	{ "QRESYNC", LOGGED_IN },               /* RFC 7162 */
	{ "UIDBATCHES", LOGGED_IN },            /* RFC 10022 */
	{ "UIDONLY", LOGGED_IN },               /* RFC 9586 */
	{ "NOTIFY", LOGGED_IN },                /* RFC 5465 */
	{ "STATUS=SIZE", LOGGED_IN },           /* RFC 8438 */
	{ "FILTER=SIEVE", LOGGED_IN },          /* draft-bosch-imap-filter-sieve-00 */
	{ "METADATA", LOGGED_IN },              /* RFC 5464 */
	{ "LIST-METADATA", LOGGED_IN },         /* RFC 9590 */
	{ "ACL", LOGGED_IN },                   /* RFC 4314 */
	{ "RIGHTS=kxte", LOGGED_IN },           /* RFC 4314 §2.2 */
	{ "LIST-MYRIGHTS", LOGGED_IN },         /* RFC 8440 */
	{ "QUOTA", LOGGED_IN },                 /* RFC 9208 */
	{ "QUOTA=RES-STORAGE", LOGGED_IN },     /* RFC 9208 §5.1 */
	{ "QUOTA=RES-MESSAGE", LOGGED_IN },     /* RFC 9208 §5.2 */
	{ "QUOTA=RES-MAILBOX", LOGGED_IN },     /* RFC 9208 §5.3 */
	{ "MULTISEARCH", LOGGED_IN },           /* RFC 7377 */
	{ "UTF8=ACCEPT", LOGGED_IN },           /* RFC 6855 */
	{ "REPLACE", LOGGED_IN },               /* RFC 8508 */
	{ "CATENATE", LOGGED_IN },              /* RFC 4469 */
	{ "URL-PARTIAL", LOGGED_IN },           /* RFC 5550 §3.1 */
	{ "OBJECTID", LOGGED_IN },              /* RFC 8474 */
	{ "SAVEDATE", LOGGED_IN },              /* RFC 8514 */
	{ "PREVIEW", LOGGED_IN },               /* RFC 8970 */
};

static void
add_limits(const struct imap_session *s, struct buf *out)
{
	uint32_t all = messages_limit(s), saved = messages_save_limit(s);

	if (all != 0)
		buf_printf(out, " MESSAGELIMIT=%u", all);
	if (saved != all)
		buf_printf(out, " SAVELIMIT=%u", saved);
}

void
imap_out_capabilities(struct imap_session *s, struct buf *out)
{
	buf_adds(out, "CAPABILITY");
	for (size_t i = 0; i < ARRAY_LEN(CAPABILITIES); i++)
		if ((CAPABILITIES[i].states & s->state) != 0)
			buf_printf(out, " %s", CAPABILITIES[i].name);
	if (s->state == IMAP_UNAUTHENTICATED && s->channel != NULL)
		sasl_mechanisms(s->imapd->sasl, s->channel, " AUTH=", out);
	if ((s->state & LOGGED_IN) != 0 && imap_is_quota_admin(s)) /* RFC 9208 §4.1.3 */
		buf_adds(out, " QUOTASET");
	if ((s->state & LOGGED_IN) != 0 && imap_may_unauthenticate(s)) /* RFC 8437 */
		buf_adds(out, " UNAUTHENTICATE");
	if ((s->state & LOGGED_IN) != 0) /* RFC 9738 */
		add_limits(s, out);
	if ((s->state & LOGGED_IN) != 0 && s->imapd->filters != NULL &&
	    s->imapd->filters->sieve_url != NULL) /* RFC 6785 §2.1 */
		buf_printf(out, " IMAPSIEVE=%s", s->imapd->filters->sieve_url);
	if ((s->state & LOGGED_IN) != 0) /* RFC 7889 */
		buf_printf(out, " APPENDLIMIT=%llu",
		    (unsigned long long)imap_append_limit_bytes(s, s->acct));
}

/* CAPABILITY.  RFC 9051 §6.1.1. */
static enum imap_result
capability_run(struct imap_session *s, struct imap_request *req)
{
	if (!imap_arg_end(req))
		return IMAP_BAD;
	buf_adds(&s->out, "* ");
	imap_out_capabilities(s, &s->out);
	buf_adds(&s->out, "\r\n");
	return IMAP_OK;
}

const struct imap_command imap_cmd_capability = {
	.name = "CAPABILITY",
	.rfc = "RFC 9051 6.1.1",
	.states = IMAP_ANY_STATE,
	.run = capability_run,
};
