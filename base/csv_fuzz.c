/* Any bytes as CSV: fields lie inside what was given, are UTF-8 without NULs, and are read again as they are written. */
#include "base/csv.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_again(const struct csv *csv)
{
	struct buf text = { 0 };
	struct csv again;

	buf_adds(&text, "first,");
	for (size_t i = 1; i < csv->count; i++)
		buf_adds(&text, i + 1 < csv->count ? "c," : "c");
	buf_adds(&text, "\n");
	for (size_t i = 0; i < csv->count; i++) {
		csv_add(&text, csv->fields[i]);
		buf_adds(&text, i + 1 < csv->count || csv->count == 1 ? "," : "");
	}
	csv_begin(&again, (struct str){ text.data, text.len });
	for (int line = 0; line < 2; line++)
		if (csv_next(&again) != CSV_RECORD)
			__builtin_trap();
	for (size_t i = 0; i < csv->count; i++)
		if (!str_eq(again.fields[i], csv->fields[i]))
			__builtin_trap();
	csv_end(&again);
	buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct csv csv;

	csv_begin(&csv, (struct str){ (const char *)data, size });
	while (csv_next(&csv) == CSV_RECORD) {
		for (size_t i = 0; i < csv.count; i++)
			if (!text_is_utf8(csv.fields[i]))
				__builtin_trap();
		if (csv.text.len < CSV_RECORD_MAX_BYTES / 2)
			check_again(&csv);
	}
	csv_end(&csv);
	return 0;
}
