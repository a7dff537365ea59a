#include "submitd/verdict.h"

#include <string.h>

/* A finding of ours, before the peer was asked. */
static bool
is_lack(const struct smtp_result *result)
{
	return !result->from_peer && result->code == 0;
}

bool
verdict_is_elsewhere(const struct smtp_client_report *rep)
{
	bool elsewhere = rep->lost;

	for (size_t i = 0; i < rep->rcpt_count; i++)
		elsewhere = elsewhere || is_lack(&rep->rcpts[i]);
	return elsewhere;
}

bool
verdict_some_taken(const struct smtp_client_report *rep)
{
	for (size_t i = 0; i < rep->rcpt_count; i++)
		if (rep->rcpts[i].outcome == SMTP_OUTCOME_ACCEPTED)
			return true;
	return false;
}

/* RFC 5321 §4.5.3.1.10: too many for one message, not for the relay; the next message may have them. */
static bool
is_one_too_many(const struct smtp_result *result)
{
	bool enhanced = strcmp(result->enhanced, "4.5.3") == 0 ||
			strcmp(result->enhanced, "5.5.3") == 0 || *result->enhanced == '\0';

	return result->outcome == SMTP_OUTCOME_TEMPORARY &&
	       (result->code == 452 || result->code == 552) && enhanced;
}

bool
verdict_decides(const struct smtp_client_report *rep, size_t i, bool some_taken, bool may_go_on)
{
	const struct smtp_result *result = &rep->rcpts[i];

	if (rep->lost && !rep->in_doubt && may_go_on)
		return result->from_peer && result->code != 421;
	if (!result->from_peer && result->outcome == SMTP_OUTCOME_PERMANENT && may_go_on)
		return false;
	return !(some_taken && is_one_too_many(result));
}
