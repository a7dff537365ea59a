/* What may stand at the end of a command line that is still being typed: for the shells.
 *
 * Everything comes from the table of commands: groups, names, options, and by the words in a row's `args` and option
 * values (COMPLETE_WORDS) addresses, mailboxes, scripts, lists and queue ids, as far as whoever asks may read them.
 * Nothing is made or changed. */
#ifndef ADMIN_COMPLETE_H
#define ADMIN_COMPLETE_H

#include "admin/command.h"

#define COMPLETE_MAX 2000 /* candidates; nobody reads more */

/* `mailadmin --complete LINE`: LINE is what stands before the cursor, from the command's name on, quoted as for a shell.
 * Prints its last word unquoted, then the candidates for it, whole and unquoted too, one a line; ":files" or
 * ":directories" where the shell itself knows better. */
enum admin_status complete_run(struct admin *a, const char *line);

/* What a word in `args` ("[MAILBOX]...", "FILE|ADDRESS") or an option's value stands for; every row uses these. */
enum complete_source {
	COMPLETE_FREE, /* nobody can know */
	COMPLETE_ADDRESSES,
	COMPLETE_ALIASES,
	COMPLETE_DOMAINS,
	COMPLETE_MAILBOXES, /* of the account that stands before */
	COMPLETE_SCRIPTS,
	COMPLETE_LISTS,
	COMPLETE_LABELS, /* of its app passwords */
	COMPLETE_QUEUE,
	COMPLETE_USES,
	COMPLETE_FILES,
	COMPLETE_DIRECTORIES,
};
struct complete_word {
	const char *word;
	enum complete_source source;
};
extern const struct complete_word COMPLETE_WORDS[];
extern const size_t COMPLETE_WORDS_COUNT;

#endif
