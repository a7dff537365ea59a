/* What becomes of submissions, and how relays take what they are given. */
#ifndef SUBMITD_METERS_H
#define SUBMITD_METERS_H

#include <stdint.h>

struct service;
struct smtp_client_report;

/* In the parent. */
void submit_meters_name(struct service *sv);
/* A message was answered with that code, 250 or what else. */
void submit_meters_answered(const struct service *sv, int code);
/* One transaction with a relay (as configured or routed; NULL: none) is over; `report` NULL: none could be reached. */
void submit_meters_relay(const struct service *sv, const char *relay,
    const struct smtp_client_report *report, uint64_t since_ns);

#endif
