#include "store/mailbox.h"

const struct message_flag_name MESSAGE_FLAG_NAMES[MESSAGE_FLAG_COUNT] = {
	{ MESSAGE_ANSWERED, "\\Answered" },
	{ MESSAGE_FLAGGED, "\\Flagged" },
	{ MESSAGE_DELETED, "\\Deleted" },
	{ MESSAGE_SEEN, "\\Seen" },
	{ MESSAGE_DRAFT, "\\Draft" },
	{ MESSAGE_RECENT, "\\Recent" },
};
