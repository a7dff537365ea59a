/* Feedback reports: what a provider sends when one of its users has called a message of ours spam.  RFC 5965: a
 * multipart/report with report-type feedback-report, whose second part (message/feedback-report) says what it is about and
 * whose third is the reported message or its header.  Read leniently: parts may stand in any order and depth. */
#ifndef ADMIN_ARF_H
#define ADMIN_ARF_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/text.h"

#define ARF_MESSAGE_MAX_BYTES (16u * 1024 * 1024) /* of a report; what is beyond is not looked at */
#define ARF_PART_MAX_BYTES    (256u * 1024) /* of the report's fields and of the reported header */
#define ARF_VALUE_MAX_BYTES   1000

enum arf_result {
	ARF_OK = 0,
	ARF_NONE,   /* no feedback report */
	ARF_BROKEN, /* one, but without what RFC 5965 §3.1 asks for: Feedback-Type */
};

/* Texts in UTF-8, decoded, on one line; NULL: not said. */
struct arf_report {
	struct arena arena;
	const char *type; /* "abuse", "fraud", "virus", "not-spam", "opt-out", "other" */
	const char *
	    recipient; /* Original-Rcpt-To, several with ", " between; or as the reported header says */
	const char *sender;    /* Original-Mail-From */
	const char *source_ip; /* Source-IP */
	const char *reporter;  /* Reporting-MTA, else who sent the report */
	const char *user_agent;
	const char *arrival_date; /* Arrival-Date or Received-Date */
	const char *incidents;
	const char *message_id, *from, *subject, *date; /* of the reported message */
};

/* Ends with arf_report_free(), whatever it says. */
enum arf_result arf_read(struct str message, struct arf_report *report_out);
void arf_report_free(struct arf_report *report);

#endif
