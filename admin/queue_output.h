/* Messages of the queue as JSON and as tables, and what they add up to. */
#ifndef ADMIN_QUEUE_OUTPUT_H
#define ADMIN_QUEUE_OUTPUT_H

#include "admin/output.h"
#include "admin/queue_select.h"

#define QUEUE_LIST_COLUMN_COUNT 7
extern const struct output_column QUEUE_LIST_COLUMNS[QUEUE_LIST_COLUMN_COUNT];

/* With its recipients; for a table (not `json`) with "to" and "state" in words. */
json_t *queue_message_json(const struct spool_message *m, bool json);

/* "domain": of recipients that wait; "account". */
bool queue_summary_is_known(const char *word);
/* Prints it, most messages first. */
enum admin_status queue_summary(
    struct admin *a, const struct queue_filter *filter, const char *word);

#endif
