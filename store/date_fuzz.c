#include "store/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct buf b = { 0 };
	int64_t time, again;
	int zone;

	if (date_parse_rfc5322(text, &time, &zone))
		date_print_rfc5322(&b, time, zone);
	buf_reset(&b);
	if (date_parse_imap(text, &time, &zone)) {
		date_print_imap(&b, time, zone);
		if (time > 0 && (!date_parse_imap((struct str){ b.data, b.len }, &again, &zone) ||
				    again != time))
			__builtin_trap();
	}
	date_parse_imap_day(text, &time);
	buf_free(&b);
	return 0;
}
