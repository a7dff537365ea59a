/* The table of all settings of all programs: what config.h checks a file against, what
 * `mailadmin config --list` prints, and what sanger.conf(5) must describe. */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum setting_type {
	SETTING_STRING,   /* any text; least and most bound its bytes */
	SETTING_PATH,     /* an absolute path */
	SETTING_INTEGER,  /* unsigned decimal */
	SETTING_SIZE,     /* bytes, with K, M, G or T (1024-based): "50M", "1.5G" */
	SETTING_DURATION, /* seconds, or with s, m, h, d, w, also added up: "90", "5m", "1h30m" */
	SETTING_BOOL,     /* yes/no, true/false, on/off, 1/0 */
	SETTING_ENUM,     /* one word of `choices` */
	SETTING_LISTEN,   /* HOST:PORT, *:PORT (all addresses), [IPv6]:PORT, or an absolute path */
	SETTING_HOST,     /* HOST:PORT or [IPv6]:PORT to connect to; without :PORT, 25 */
	SETTING_NETWORK,  /* ADDRESS or ADDRESS/BITS, IPv4 or IPv6, host bits clear */
	SETTING_TYPE_COUNT
};

/* One setting.  `def` is written as in the file; NULL or "": not set (a list: empty).
 * A list may stand several times, in order; what the file says replaces the default's
 * members, and an empty value means an empty list. */
struct setting {
	const char *section, *key;
	enum setting_type type;
	bool list;
	const char *unit; /* "bytes", "seconds", … for people; "" without */
	const char *def;  /* a list: members divided by blanks */
	uint64_t least, most;
	const char *choices; /* ENUM: words divided by one blank */
	const char *help;    /* one sentence or two */
};

extern const struct setting SETTINGS[];
extern const size_t SETTINGS_COUNT;

const char *setting_type_name(enum setting_type type);
/* What a value may be, for error messages and lists: "a size from 64K to 2G (bytes)". */
void setting_allowed(const struct setting *s, struct buf *out);
/* A number of the setting's type as people write it: "50M", "30m". */
void setting_number(enum setting_type type, uint64_t value, struct buf *out);
/* The row of "section.key", or NULL. */
const struct setting *setting_find(const char *name);

#endif
