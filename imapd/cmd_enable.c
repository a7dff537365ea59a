#include "imapd/commands.h"
#include "imapd/parse.h"
#include "imapd/response.h"
#include "imapd/session.h"

static const struct {
	struct str name;
	unsigned bit; /* enum imap_enabled */
	unsigned too; /* what it brings with it */
} EXTENSIONS[] = {
	{ STR("IMAP4rev2"), IMAP_ENABLED_REV2, 0 },                       /* RFC 9051 §6.3.1 */
	{ STR("CONDSTORE"), IMAP_ENABLED_CONDSTORE, 0 },                  /* RFC 7162 §3.1 */
	{ STR("METADATA"), IMAP_ENABLED_METADATA, 0 },                    /* RFC 5464 §4.1 */
	{ STR("QRESYNC"), IMAP_ENABLED_QRESYNC, IMAP_ENABLED_CONDSTORE }, /* RFC 7162 §3.2.3 */
	{ STR("UIDONLY"), IMAP_ENABLED_UIDONLY, 0 },                      /* RFC 9586 §3.1 */
	{ STR("UTF8=ACCEPT"), IMAP_ENABLED_UTF8, 0 },                     /* RFC 6855 §3 */
};

/* What is not known is passed over, RFC 5161 §3.1. */
static void
enable(struct imap_session *s, struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(EXTENSIONS); i++) {
		if (!str_eq_nocase(name, EXTENSIONS[i].name) ||
		    (s->enabled & EXTENSIONS[i].bit) != 0)
			continue;
		s->enabled |= EXTENSIONS[i].bit | EXTENSIONS[i].too;
		buf_printf(&s->out, " %s", EXTENSIONS[i].name.p);
	}
}

/* ENABLE.  RFC 9051 §6.3.1, RFC 5161; the answer names what this command has switched on. */
static enum imap_result
enable_run(struct imap_session *s, struct imap_request *req)
{
	struct cursor check = req->args;
	struct str name;

	do {
		if (!imap_parse_sp(&check) || !imap_parse_atom(&check, &name))
			return imap_bad(req, "Names of extensions expected");
	} while (!cursor_at_end(&check));
	buf_adds(&s->out, "* ENABLED");
	while (imap_parse_sp(&req->args) && imap_parse_atom(&req->args, &name))
		enable(s, name);
	buf_adds(&s->out, "\r\n");
	return IMAP_OK;
}

const struct imap_command imap_cmd_enable = {
	.name = "ENABLE",
	.rfc = "RFC 9051 6.3.1",
	.states = IMAP_AUTHENTICATED,
	.run = enable_run,
};
