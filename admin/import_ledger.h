/* What was imported into a mailbox: `sanger-imported` in its folder.  By it a second import takes only what is new, follows
 * what became of the rest (flags), and brings nothing back that was deleted here.  doc/formats.md has the format.
 * Without it nothing is doubled either, as long as messages are where they were put: they keep their names.  So it may be
 * removed when nothing more is to be imported. */
#ifndef ADMIN_IMPORT_LEDGER_H
#define ADMIN_IMPORT_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/err.h"

#define IMPORT_LEDGER_FILE      "sanger-imported"
#define IMPORT_LEDGER_MAX_BYTES (1024u * 1024 * 1024)

struct import_entry {
	const char *stem;            /* of the message's name there */
	uint32_t uid;                /* here; 0: not known */
	uint32_t source_uidvalidity; /* tells trees apart; 0: it had none */
	uint32_t source_uid;         /* there; 0: it had none */
	unsigned flags;              /* there, when we last looked: MESSAGE_… */
	const char **keywords;
	size_t keyword_count;
	bool seen; /* in this run: for the caller */
};

struct import_ledger {
	struct arena arena;
	struct import_entry *entries;
	size_t count, sorted_count; /* by stem up to sorted_count; added ones behind */
	bool found;                 /* there is a file: an import came to its end here */
};

/* No file is STORE_OK with none.  Ends with import_ledger_free(). */
enum store_err import_ledger_read(int folder_fd, struct import_ledger *ledger_out);
/* Durable. */
enum store_err import_ledger_write(int folder_fd, const struct import_ledger *ledger);
void import_ledger_free(struct import_ledger *ledger);

/* Among those that were read. */
struct import_entry *import_ledger_find(const struct import_ledger *ledger, const char *stem);
/* Copies what it is given; pointers to entries end. */
void import_ledger_add(struct import_ledger *ledger, const struct import_entry *entry);
/* Copies the names into the ledger. */
void import_ledger_set_keywords(struct import_ledger *ledger, struct import_entry *entry,
    const char *const *keywords, size_t count);

/* The text forms.  Damaged lines are skipped, the last of a stem counts; false if the first line is not ours. */
bool import_ledger_parse(struct str text, struct import_ledger *ledger_out);
void import_ledger_format(struct buf *out, const struct import_ledger *ledger);

#endif
