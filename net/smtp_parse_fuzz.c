/* The SMTP grammar: the first byte chooses the rule. */
#include "net/smtp_dots.h"
#include "net/smtp_parse.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct arena a = { 0 };
	struct buf out = { 0 };
	struct smtp_mail mail;
	struct smtp_rcpt rcpt;
	struct smtp_path path;
	struct smtp_reply_line line;
	struct smtp_dots dots = { 0 };
	struct smtp_stuff stuff = { 0 };
	struct str in, one, two;
	const char *host;
	uint64_t number;
	struct smtp_xclient attribute;
	int64_t when;
	bool last;

	if (size == 0)
		return 0;
	in = (struct str){ (const char *)data + 1, size - 1 };
	switch (data[0] % 11) {
	case 0:
		/* What was understood, written again, means the same. */
		if (smtp_parse_mail(in, SMTP_PARAMS_ALL, &a, &mail) == SMTP_PARSE_OK &&
		    mail.from.domain[0] != '\0' && mail.from.local[0] != '\0' &&
		    (!smtp_parse_address(str_from(mail.from.address), &a, &path) ||
			strcmp(path.local, mail.from.local) != 0 ||
			strcmp(path.domain, mail.from.domain) != 0))
			__builtin_trap();
		break;
	case 1: smtp_parse_rcpt(in, SMTP_PARAMS_ALL, true, &a, &rcpt); break;
	case 2: smtp_parse_helo(in, true, &a, &host); break;
	case 3: smtp_parse_bdat(in, &number, &last); break;
	case 4: smtp_parse_auth(in, &one, &two); break;
	case 5: smtp_parse_address(in, &a, &path); break;
	case 6: smtp_parse_reply_line(in, &line); break;
	case 7:
		smtp_xtext_decode(in, &out);
		smtp_xtext_encode(&out, in);
		break;
	case 8: smtp_parse_date_time(in, &when); break;
	case 9:
		while (smtp_parse_xclient(&in, &a, &attribute, &last))
			;
		break;
	default: /* whatever is stuffed and decoded again ends exactly at its end */
		smtp_stuff_encode(&stuff, true, in.p, in.len, &out);
		smtp_stuff_end(&stuff, true, &out);
		{
			struct buf back = { 0 };

			if (smtp_dots_decode(&dots, out.data, out.len, &back) != out.len ||
			    dots.state != SMTP_DOTS_END || dots.bare_newline)
				__builtin_trap();
			buf_free(&back);
		}
		break;
	}
	buf_free(&out);
	arena_free(&a);
	return 0;
}
