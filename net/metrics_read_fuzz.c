/* Any bytes as a file of metrics: refused or read, never more. */
#include <stddef.h>
#include <stdlib.h>

#include "base/mem.h"
#include "net/metrics_file.h"
#include "net/metrics_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input lies over a file that would be good, at a place that it names, as chance finds no good one. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t len = offsetof(struct metrics_file, rows) + sizeof(struct metrics_row);
	struct metrics_file *f = mem_zalloc(len);
	struct metrics_reading *r;
	const char *why;
	size_t at = size >= 4 ? data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 : 0;

	memcpy(f->magic, METRICS_MAGIC, sizeof(f->magic));
	f->version = METRICS_VERSION;
	f->size = sizeof(*f);
	f->rows_top = 1;
	f->series_count = 2;
	strcpy(f->series[0].name, "a");
	strcpy(f->series[1].name, "b");
	f->series[1].type = METRIC_HISTOGRAM;
	f->series[1].cell = 1;
	for (size_t i = 4; i < size && at + i - 4 < len; i++)
		((uint8_t *)f)[at + i - 4] = data[i];
	r = metrics_parse((struct str){ (const char *)f, len }, sizeof(*f), 1800000000, &why);
	for (size_t i = 0; r != NULL && i < r->value_count; i++)
		if (strlen(r->values[i].name) == 0)
			abort();
	metrics_reading_free(r);
	free(f);
	return 0;
}
