#include "admin/account_limits.h"

#include <string.h>

#include "base/mem.h"
#include "base/settings.h"

enum limit_form { LIMIT_NUMBER, LIMIT_SIZE, LIMIT_SWITCH };

/* By the columns of store/account_limits.h. */
static const struct {
	const char *column, *option, *title;
	enum limit_form form;
} LIMITS[ACCOUNT_LIMIT_COUNT] = {
	{ "messages_max", "--max-messages", "Max messages", LIMIT_NUMBER },
	{ "message_kb_max", "--max-message-size", "Max size", LIMIT_SIZE },
	{ "sent_messages_hour", "--sent-per-hour", "Sent an hour", LIMIT_NUMBER },
	{ "sent_messages_day", "--sent-per-day", "Sent a day", LIMIT_NUMBER },
	{ "sent_recipients_hour", "--rcpts-per-hour", "Rcpts an hour", LIMIT_NUMBER },
	{ "sent_recipients_day", "--rcpts-per-day", "Rcpts a day", LIMIT_NUMBER },
	{ "recipients_max", "--max-recipients", "Max rcpts", LIMIT_NUMBER },
	{ "sent_copy", "--sent-copy", "Copy in Sent", LIMIT_SWITCH },
	{ "mailboxes_max", "--max-mailboxes", "Max mailboxes", LIMIT_NUMBER },
};

bool
account_limits_asked(const struct admin *a)
{
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		if (admin_option(a, LIMITS[i].option) != NULL)
			return true;
	return false;
}

/* "10M" is kept in kilobytes, rounded up. */
static bool
parse_size(const char *text, int64_t *kb_out)
{
	uint64_t bytes;

	if (!text_size(str_from(text), ACCOUNT_LIMIT_MAX, &bytes) || bytes == 0)
		return false;
	*kb_out = (int64_t)((bytes + 1023) / 1024);
	return true;
}

static bool
parse_limit(enum limit_form form, const char *text, int64_t *limit_out)
{
	uint64_t number;

	if (strcmp(text, "default") == 0) {
		*limit_out = ACCOUNT_LIMIT_DEFAULT;
		return true;
	}
	if (form == LIMIT_SWITCH) {
		*limit_out = strcmp(text, "yes") == 0;
		return *limit_out == 1 || strcmp(text, "no") == 0;
	}
	if (strcmp(text, "none") == 0) {
		*limit_out = ACCOUNT_LIMIT_NONE;
		return true;
	}
	if (form == LIMIT_SIZE)
		return parse_size(text, limit_out);
	if (!text_u64(str_from(text), ACCOUNT_LIMIT_MAX, &number) || number == 0)
		return false;
	*limit_out = (int64_t)number;
	return true;
}

bool
account_limit_parse(size_t column, const char *text, int64_t *limit_out)
{
	return parse_limit(LIMITS[column].form, text, limit_out);
}

const char *
account_limit_wanted(size_t column)
{
	static const char *const WANTED[] = {
		[LIMIT_NUMBER] = "a number from 1, none or default is needed",
		[LIMIT_SIZE] = "a size like 500K or 20M, none or default is needed",
		[LIMIT_SWITCH] = "yes, no or default is needed",
	};

	return WANTED[LIMITS[column].form];
}

void
account_limit_print(size_t column, int64_t limit, struct buf *out)
{
	if (limit == ACCOUNT_LIMIT_DEFAULT)
		return;
	if (LIMITS[column].form == LIMIT_SWITCH)
		buf_adds(out, limit != 0 ? "yes" : "no");
	else if (limit == ACCOUNT_LIMIT_NONE)
		buf_adds(out, "none");
	else if (LIMITS[column].form == LIMIT_SIZE)
		setting_number(SETTING_SIZE, (uint64_t)limit * 1024, out);
	else
		buf_printf(out, "%lld", (long long)limit);
}

enum admin_status
account_limits_read(const struct admin *a, struct account_limits *limits)
{
	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++) {
		const char *text = admin_option(a, LIMITS[i].option);

		if (text != NULL && !account_limit_parse(i, text, account_limit_at(limits, i)))
			return admin_bad_usage(
			    a, "%s %s: %s", LIMITS[i].option, text, account_limit_wanted(i));
	}
	return ADMIN_DONE;
}

void
account_limits_show(json_t *object, const struct account_limits *limits)
{
	struct account_limits copy = *limits;

	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++) {
		int64_t limit = *account_limit_at(&copy, i);
		json_t *value = limit < 0                        ? json_null()
				: LIMITS[i].form == LIMIT_SWITCH ? json_boolean(limit != 0)
								 : json_integer(limit);

		json_object_set_new(object, LIMITS[i].column, value);
	}
}

size_t
account_limits_columns(
    const struct account_limits *limits, struct output_column columns[ACCOUNT_LIMIT_COUNT])
{
	static const enum output_form FORMS[] = {
		[LIMIT_NUMBER] = OUTPUT_TEXT,
		[LIMIT_SIZE] = OUTPUT_KB,
		[LIMIT_SWITCH] = OUTPUT_YESNO,
	};
	struct account_limits copy = *limits;
	size_t count = 0;

	for (size_t i = 0; i < ACCOUNT_LIMIT_COUNT; i++)
		if (*account_limit_at(&copy, i) >= 0)
			columns[count++] = (struct output_column){ LIMITS[i].column,
				LIMITS[i].title, FORMS[LIMITS[i].form] };
	return count;
}
