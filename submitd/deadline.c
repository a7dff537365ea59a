#include "submitd/deadline.h"

char
deadline_mode(const struct spool_message *msg)
{
	if (msg->by_mode == 'R' && *msg->sender == '\0')
		return 'N';
	return msg->by_mode;
}

bool
deadline_returns(const struct spool_message *msg, int64_t now)
{
	return deadline_mode(msg) == 'R' && msg->deliver_by <= now;
}

bool
deadline_is_late(const struct spool_message *msg, int64_t now)
{
	return deadline_mode(msg) == 'N' && msg->deliver_by <= now;
}

int64_t
deadline_no_later(const struct spool_message *msg, int64_t now, int64_t when)
{
	bool comes = msg->by_mode != 0 && msg->deliver_by > now;

	return comes && msg->deliver_by < when ? msg->deliver_by : when;
}
