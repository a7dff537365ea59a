/* A Maildir tree of another server, to be read and never changed: Dovecot's, Courier's, anybody's Maildir++, one of ours,
 * or Dovecot's LAYOUT=fs.  The other server may be at work in it: a message that got another name meanwhile is found again. */
#ifndef ADMIN_MAILDIR_SOURCE_H
#define ADMIN_MAILDIR_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "store/account.h"
#include "store/err.h"
#include "store/subscriptions.h"

#define SOURCE_FOLDERS_MAX 10000
#define SOURCE_DEPTH_MAX   32 /* levels of LAYOUT=fs */

struct source_folder {
	char *name; /* UTF-8, one that can be created here */
	char *dir;  /* below the tree; "" is INBOX */
};
struct source_tree {
	char *path;
	int fd;
	struct source_folder *folders; /* INBOX first, then by name */
	size_t count;
	struct buf remarks; /* lines about what is left aside */
};

/* False with the reason: no Maildir, or a known form that is none (mdbox, sdbox, mbox).  Ends with source_tree_close(),
 * also then. */
bool source_tree_open(const char *path, struct source_tree *tree_out, struct buf *problem_out);
void source_tree_close(struct source_tree *tree);
/* The subscribed mailboxes; none where the file is damaged or missing. */
void source_tree_subscriptions(const struct source_tree *tree, struct subscriptions *subs_out);

/* Files in it that look like messages: for progress. */
uint64_t source_tree_count(const struct source_tree *tree);

enum source_kind { SOURCE_PLAIN, SOURCE_DOVECOT, SOURCE_COURIER, SOURCE_SANGER };

struct source_message {
	char *stem;     /* the name's base without U=: what it is known by */
	char *unique;   /* NULL: another message has the same */
	char *path;     /* below the folder: "cur/NAME" */
	uint32_t uid;   /* 0: none */
	unsigned flags; /* MESSAGE_… */
	const char **keywords;
	size_t keyword_count;
};
struct source_mailbox {
	struct arena arena;
	enum source_kind kind;
	uint32_t uidvalidity, uidnext;   /* 0: none */
	struct source_message *messages; /* by UID, those without last, by arrival */
	size_t count;
	size_t keyword_count; /* different names */
	size_t damaged_lines; /* of its UID list, and letters without a name */
};

/* STORE_NOT_FOUND: the folder is gone.  Ends with source_mailbox_free(), also after an error. */
enum store_err source_mailbox_read(const struct source_tree *tree,
    const struct source_folder *folder, struct source_mailbox *box_out);
void source_mailbox_free(struct source_mailbox *box);

/* What a tree of ours says; SPECIAL_NONE in others. */
enum special_use source_folder_use(
    const struct source_tree *tree, const struct source_folder *folder);

/* Opens a message, under whatever name it has by now.  STORE_NOT_FOUND: it is gone.  The caller closes. */
enum store_err source_message_open(const struct source_tree *tree,
    const struct source_folder *folder, const struct source_message *m, int *fd_out);

/* The mailbox a directory of LAYOUT=fs stands for: ".v1.2" is no level, "v1.2" is one. */
void source_fs_name(struct buf *out, const char *dir);

#endif
