/* mailadmin: the administrator's commands.  One row per command in the table ADMIN_COMMANDS; the
 * dispatch, the check of options and arguments, --help and the man page's test all read the row.
 *
 * A command runs after the configuration was read and, when started as root, the process has become
 * server.user: what it makes belongs to the daemons.  It opens the databases it needs by
 * admin_open_*(); main() closes them.  Exit status: ADMIN_DONE, ADMIN_REFUSED with the reason on
 * stderr, ADMIN_USAGE. */
#ifndef ADMIN_COMMAND_H
#define ADMIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/config.h"
#include "base/log.h"
#include "base/text.h"
#include "store/account.h"
#include "store/account_db.h"
#include "store/err.h"

struct spool;
struct state;

enum admin_status { ADMIN_DONE = 0, ADMIN_REFUSED = 1, ADMIN_USAGE = 64 };

#define ADMIN_OPTIONS_MAX 16
#define ADMIN_ARGS_MAX    200

struct admin_option {
	const char *name; /* "--quota" */
	const char
	    *value; /* "SIZE", "yes|no", a word of complete.h; NULL: the option stands alone */
	const char *help;
};
/* A value that ends with "...": the option may stand several times, admin_option_all(). */
bool admin_option_is_many(const struct admin_option *o);

struct admin;

struct admin_command {
	const char *group; /* "account", "doctor" */
	const char *name;  /* "add"; NULL: the group is the command */
	const char *args;  /* "ADDRESS [MAILBOX]...", "FILE|ADDRESS", "": words of complete.h */
	size_t args_least, args_most;
	struct admin_option options[ADMIN_OPTIONS_MAX]; /* ends with a NULL name */
	const char *summary;                            /* one line */
	const char *help;                               /* further sentences, or NULL */
	const char *example;
	/* Runs before the configuration is read and the user changed; admin_start() does it. */
	bool before_config;
	/* Takes away what cannot just be put back: such a command has --dry-run. */
	bool removes;
	enum admin_status (*run)(struct admin *a);
};

extern const struct admin_command *const ADMIN_COMMANDS[];
extern const size_t ADMIN_COMMANDS_COUNT;

/* One run of the program. */
struct admin {
	const struct admin_command *command;
	const char *config_path; /* as given; NULL: CONFIG_DEFAULT_PATH */
	const char *args[ADMIN_ARGS_MAX];
	size_t arg_count;
	const char *values[ADMIN_OPTIONS_MAX]; /* by the row's options; "" for one without value */
	struct {
		const char *option, *value;
	} many[ADMIN_ARGS_MAX]; /* all values of those that may stand several times */
	size_t many_count;
	bool json;

	struct config *config;
	struct log *log; /* stderr */
	struct account_db *accounts;
	struct store *store;
	struct spool *spool;
};

/* The option's value, NULL if it was not given.  A name that the row does not have ends the
 * program: a mistake in it. */
const char *admin_option(const struct admin *a, const char *name);
/* All values of one that may stand several times, in order; how many those are. */
size_t admin_option_all(
    const struct admin *a, const char *name, const char *values_out[static ADMIN_ARGS_MAX]);

/* "mailadmin: …" on stderr. */
#define ADMIN_PRINTF(n) __attribute__((format(printf, n, (n) + 1)))
enum admin_status admin_refuse(const char *fmt, ...) ADMIN_PRINTF(1); /* ADMIN_REFUSED */
enum admin_status admin_bad_usage(const struct admin *a, const char *fmt, ...)
    ADMIN_PRINTF(2); /* ADMIN_USAGE */
/* "mailadmin: WHAT: why" for anything but STORE_OK, and the status that fits. */
enum admin_status admin_result(enum store_err err, const char *what);

/* Each says what is wrong and returns false.  Twice is fine. */
bool admin_open_accounts(struct admin *a);
bool admin_open_store(struct admin *a);
bool admin_open_spool(struct admin *a);

/* Reads the configuration and becomes server.user: what main() does before a command, and one with
 * before_config does itself. */
bool admin_start(struct admin *a);
/* Becomes server.user when root and that user exists; false with the reason said. */
bool admin_become_user(const struct config *config);

/* False, with the reason said, where another host is the primary of the pair or may be (store/role.h): for what tells
 * others about the accounts, or changes mail by itself. */
bool admin_may_act(const struct admin *a);

/* The account of an address a person typed; says what is wrong and returns false.  Ends with
 * account_row_free(). */
bool admin_find_account(struct admin *a, const char *address, struct account_row *row_out);
/* Its mail, with the quota's limit set; made with the default folders where it is missing. */
bool admin_open_mail(struct admin *a, const struct account_row *row, struct account **acct_out);
/* Opens the mail of the account that the first argument names and gives it to `act`. */
enum admin_status admin_with_mail(
    struct admin *a, enum admin_status (*act)(struct admin *a, struct account *mail));

/* Its state.db, *state_out NULL where nothing was learnt yet; says what is wrong and returns false. */
bool admin_open_state(struct admin *a, const struct account_row *row, struct state **state_out);

/* What an `account rename` that was stopped half-way left in this mail tree, "OLD NEW"; false if
 * there is no such note. */
bool admin_rename_note(
    struct admin *a, const char *localpart, const char *domain, struct buf *note_out);

#endif
