/* The configuration of all programs: one INI file, read and checked completely at start.
 *
 *     [imapd]
 *     listen_tls = *:993        ; a comment follows a blank and ';', or starts a line with '#' or ';'
 *     autologout = 30m
 *
 * An unknown section or key, a bad value, a value out of bounds, and a second value for a setting
 * that takes one are errors that name file, line and what is allowed.  No variables, no includes.
 * The settings are the rows of settings.h; what the file leaves out has its default.
 * A struct config does not change, so any thread may read it.
 *
 * Accessors take "section.key".  A name that is not in the table, or is of another type, is a
 * mistake in the program and ends it. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"

#define CONFIG_DEFAULT_PATH   "/etc/sanger/sanger.conf"
#define CONFIG_FILE_MAX_BYTES (1024 * 1024)
#define CONFIG_LIST_MAX       256 /* values of one list */

struct config;
struct setting;

/* LISTEN and HOST. */
struct config_address {
	const char
	    *host;     /* a name or an address without brackets; NULL: all addresses, or a path */
	uint16_t port; /* 0: it is a path */
	const char *path; /* of a UNIX socket, or NULL */
	const char *text; /* as written */
};

/* NETWORK. */
struct config_network {
	int family;          /* AF_INET, AF_INET6 */
	uint8_t address[16]; /* network byte order; no bit behind prefix_bits is set */
	unsigned prefix_bits;
};

/* Reads `path` (NULL: CONFIG_DEFAULT_PATH).  On any error returns NULL with all errors in
 * `errors`, one per line: "FILE:LINE: what is wrong; what is allowed\n". */
struct config *config_load(const char *path, struct buf *errors);
/* The same from memory; `name` stands for the file in errors. */
struct config *config_parse(const char *name, struct str text, struct buf *errors);
void config_free(struct config *cfg); /* NULL is fine */

const char *config_file(const struct config *cfg);                /* the path it was read from */
bool config_is_set(const struct config *cfg, const char *name);   /* by the file, not by default */
unsigned config_line(const struct config *cfg, const char *name); /* where; 0: by default */

/* STRING, PATH, ENUM; NULL where it is not set.  All pointers are valid until config_free(). */
const char *config_string(const struct config *cfg, const char *name);
uint64_t config_integer(const struct config *cfg, const char *name);
uint64_t config_size(const struct config *cfg, const char *name);       /* bytes */
uint64_t config_duration_s(const struct config *cfg, const char *name); /* seconds */
bool config_bool(const struct config *cfg, const char *name);
unsigned config_enum(const struct config *cfg, const char *name); /* index into `choices` */
/* A single (not list) LISTEN or HOST; NULL where it is not set. */
const struct config_address *config_address(const struct config *cfg, const char *name);

/* Lists: how many values, then each by its index. */
size_t config_count(const struct config *cfg, const char *name);
const char *config_string_at(const struct config *cfg, const char *name, size_t i); /* any type */
uint64_t config_integer_at(const struct config *cfg, const char *name, size_t i);
const struct config_address *config_address_at(
    const struct config *cfg, const char *name, size_t i);
const struct config_network *config_network_at(
    const struct config *cfg, const char *name, size_t i);

/* "90", "5m", "1h30m", "2d" in seconds. */
bool config_parse_duration(struct str s, uint64_t *seconds_out);

#endif
