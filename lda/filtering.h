/* Which filters a message meets on its way to a recipient: filter.before, the account's own (or filter.default),
 * filter.after; and what they ask for. */
#ifndef LDA_FILTERING_H
#define LDA_FILTERING_H

#include "lda/lda.h"

struct config;
struct lda_delivery;
struct log;

/* The administrator's filters, compiled once per process.  One that cannot be read or compiled is logged; it
 * costs no mail. */
struct lda_scripts {
	struct lda_script *before, *after;
	size_t before_count, after_count;
	struct filter *default_filter; /* NULL: the built-in one */
};
void filtering_scripts_open(
    struct lda_scripts *scripts, const struct config *config, const struct log *log);
void filtering_scripts_close(struct lda_scripts *scripts);

/* Runs them all: d->found is filled.  Failures of the account's own filter are noted as trouble.
 * LDA_OK or LDA_TEMPORARY. */
enum lda_verdict filtering_run(struct lda_delivery *d);
/* Without any filter: d->around alone. */
void filtering_surround(struct lda_delivery *d);
void filtering_end(struct lda_delivery *d);

#endif
