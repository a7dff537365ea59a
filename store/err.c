#include "store/err.h"

#include <errno.h>
#include <stddef.h>

#include "base/mem.h"

static const struct {
	const char *text;
	bool temporary;
} ERRORS[STORE_ERR_COUNT] = {
	[STORE_OK] = { "done", false },
	[STORE_NOT_FOUND] = { "no such object", false },
	[STORE_EXISTS] = { "exists already", false },
	[STORE_BUSY] = { "busy, try again", true },
	[STORE_IO] = { "input/output error", true },
	[STORE_FULL] = { "no space left", true },
	[STORE_OVER_QUOTA] = { "quota exceeded", false },
	[STORE_INVALID] = { "not valid", false },
	[STORE_CORRUPT] = { "data is damaged", true },
	[STORE_LIMIT] = { "a limit is exceeded", false },
	[STORE_DENIED] = { "not permitted", false },
	[STORE_CHANGED] = { "changed meanwhile", true },
	[STORE_VERSION] = { "made by a newer version", true },
};

const char *
store_err_text(enum store_err err)
{
	return (size_t)err < ARRAY_LEN(ERRORS) ? ERRORS[err].text : "unknown error";
}

bool
store_err_is_temporary(enum store_err err)
{
	return (size_t)err < ARRAY_LEN(ERRORS) && ERRORS[err].temporary;
}

enum store_err
store_err_from_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT: return STORE_FULL;
	case ENOENT: return STORE_NOT_FOUND;
	case EEXIST:
	case ENOTEMPTY: return STORE_EXISTS;
	case EACCES:
	case EPERM: return STORE_DENIED;
	case ENAMETOOLONG: return STORE_INVALID;
	case EAGAIN:
	case EBUSY: return STORE_BUSY;
	default: return STORE_IO;
	}
}
