#include "imapd/commands.h"
#include "imapd/response.h"
#include "imapd/session.h"

/* COMPRESS.  RFC 4978 §3.  Only after login, so that no password is ever packed together with what somebody else has a say
 * in: how well it packs would tell of it.  The connection switches behind the tagged OK. */
static enum imap_result
compress_run(struct imap_session *s, struct imap_request *req)
{
	struct str algorithm;

	if (!imap_arg_atom(req, &algorithm) || !imap_arg_end(req))
		return IMAP_BAD;
	if (!str_eq_nocase(algorithm, STR("DEFLATE")))
		return imap_bad(req, "DEFLATE is all there is");
	if (s->compressed) {
		imap_bad(req, "Compression is on already");
		req->code = "COMPRESSIONACTIVE";
		return IMAP_BAD;
	}
	s->start_compress = true;
	return imap_ok(req, NULL, "DEFLATE from here on");
}

const struct imap_command imap_cmd_compress = {
	.name = "COMPRESS",
	.rfc = "RFC 4978 3",
	.states = IMAP_AUTHENTICATED | IMAP_SELECTED,
	.run = compress_run,
};
