/* A mail root in a temporary directory, for the tests of accounts and mailboxes. */
#ifndef STORE_MAILBOX_TEST_TREE_H
#define STORE_MAILBOX_TEST_TREE_H

#include "store/account.h"
#include "store/mailbox.h"

struct tree {
	char root[64];
	struct log *log;
	struct store *st;
	struct account *acct;
	uint64_t keep_s,
	    keep_max_bytes; /* as in struct store_options, from the next tree_open() on */
	enum store_search search;
	uint64_t search_max_bytes;
};

/* Every step that fails ends the process with a line saying where. */
#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond))                                                                       \
			tree_fail(__FILE__, __LINE__, #cond);                                      \
	} while (0)
#define CHECK_OK(call)                                                                             \
	do {                                                                                       \
		enum store_err check_err = (call);                                                 \
		if (check_err != STORE_OK)                                                         \
			tree_fail_err(__FILE__, __LINE__, #call, check_err);                       \
	} while (0)
__attribute__((noreturn)) void tree_fail(const char *file, int line, const char *what);
__attribute__((noreturn)) void tree_fail_err(
    const char *file, int line, const char *what, enum store_err err);

void tree_make(struct tree *t);   /* with account ann@example.org */
void tree_remove(struct tree *t); /* closes and deletes */
void tree_reopen(struct tree *t); /* as another process would see it */
void tree_close(struct tree *t);
void tree_open(struct tree *t);
void tree_drop_index(struct tree *t); /* behind the back of whoever has it open */

/* Puts a message with that text into new/ of a mailbox. */
void tree_deliver(struct tree *t, const char *mailbox, const char *text);
/* Writes a file below the account. */
void tree_write(struct tree *t, const char *path, const char *text);
/* Renames below the account. */
void tree_rename(struct tree *t, const char *from, const char *to);
/* The name of the first file in a directory of the account that contains `part`; "" if none.  A static buffer. */
const char *tree_find(struct tree *t, const char *dir, const char *part);
unsigned tree_count(struct tree *t, const char *dir);

/* One line per message: "uid:FLAGS:keyword,…" joined by blanks.  The caller frees it. */
char *tree_show(struct mailbox *box);
/* The text of a message, the caller's to free; NULL if gone. */
char *tree_text(struct mailbox *box, uint32_t uid);
struct uidset tree_set(const char *text); /* "1:3,7" */
void tree_sync(struct mailbox *box);      /* with expunges; what changed is dropped */
uint32_t tree_append(
    struct tree *t, const char *mailbox, const char *text, unsigned flags, const char *keyword);
void tree_flag(struct mailbox *box, const char *uids, enum flags_mode mode, unsigned flags,
    const char *keyword);

#endif
