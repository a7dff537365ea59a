#include "managesieved/frame.h"

#include "managesieved/parse.h"
#include "managesieved/session.h"

static const struct frame_rules BEFORE_LOGIN = {
	.line_bytes = MSIEVE_LINE_MAX_BYTES,
	.literal_bytes = MSIEVE_LITERAL_LOGIN_MAX_BYTES,
	.nonsync_bytes = MSIEVE_LITERAL_LOGIN_MAX_BYTES,
	.drain_bytes = MSIEVE_DRAIN_LOGIN_MAX_BYTES,
	.announces = msieve_line_announces,
};

static const struct frame_rules LOGGED_IN = {
	.line_bytes = MSIEVE_LINE_MAX_BYTES,
	.literal_bytes = MSIEVE_LITERAL_MAX_BYTES,
	.nonsync_bytes = MSIEVE_LITERAL_MAX_BYTES,
	.drain_bytes = MSIEVE_DRAIN_MAX_BYTES,
	.announces = msieve_line_announces,
};

const struct frame_rules *
msieve_frame_rules(bool logged_in)
{
	return logged_in ? &LOGGED_IN : &BEFORE_LOGIN;
}
