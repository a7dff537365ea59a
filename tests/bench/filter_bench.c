/* What a filter costs: filter_bench FILTER MESSAGE COUNT prints the microseconds of CPU of one run and
 * of one compilation.  Both in memory: files and the store are the other benchmarks' business. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filter/filter.h"

#define FILE_MAX_BYTES (16 * 1024 * 1024)
#define RUNS_A_COMPILE 10 /* compiling is measured with fewer rounds */

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "filter_bench: %s: %s\n", what, why);
	exit(1);
}

static struct str
read_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = mem_alloc(FILE_MAX_BYTES);
	size_t len;

	if (f == NULL)
		die(path, strerror(errno));
	len = fread(text, 1, FILE_MAX_BYTES, f);
	fclose(f);
	return (struct str){ text, len };
}

static double
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct filter *
compile(struct str text)
{
	struct filter *filter;
	struct filter_error error;

	if (filter_compile(text, &filter, &error, NULL) != FILTER_OK)
		die("compile", error.text);
	return filter;
}

static double
compile_us(struct str text, long count)
{
	double start = cpu_us();

	for (long i = 0; i < count; i++)
		filter_free(compile(text));
	return (cpu_us() - start) / (double)count;
}

static double
run_us(const struct filter *filter, struct str message, long count)
{
	static struct filter_result result;
	struct filter_message m = {
		.fd = -1,
		.bytes = message,
		.sender = "load@example.net",
		.rcpt = "ann@example.org",
		.account = "ann@example.org",
		.hostname = "mail.example.org",
	};
	struct filter_run_options options = { 0 };
	struct filter_error error;
	struct arena arena = { 0 };
	double start = cpu_us();

	for (long i = 0; i < count; i++) {
		if (filter_run(filter, &m, &options, &arena, &result, &error) != FILTER_OK)
			die("run", error.text);
		arena_reset(&arena);
	}
	arena_free(&arena);
	return (cpu_us() - start) / (double)count;
}

int
main(int argc, char **argv)
{
	struct str text, message;
	struct filter *filter;
	long count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;

	if (count < RUNS_A_COMPILE)
		die("usage", "filter_bench FILTER MESSAGE COUNT");
	text = read_file(argv[1]);
	message = read_file(argv[2]);
	filter = compile(text);
	printf("%.2f %.2f\n", run_us(filter, message, count),
	    compile_us(text, count / RUNS_A_COMPILE));
	filter_free(filter);
	free((void *)text.p);
	free((void *)message.p);
	return 0;
}
