/* Keyword names.  The letters a–z of file names are numbers 0–25 of the folder's `dovecot-keywords`
 * (lines "<number> <name>"); Courier's `courierimapkeywords/` is read for adopted trees.
 * A message with keywords beyond those 26 names is named in `sanger-keywords`: lines
 * "<unique part of the file name> <keyword> …". */
#ifndef STORE_KEYWORDS_H
#define STORE_KEYWORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/text.h"
#include "store/err.h"

#define KEYWORDS_LETTERS        26
#define KEYWORD_NAME_MAX_BYTES  255
#define KEYWORDS_FILE_MAX_BYTES (64u * 1024 * 1024)

struct keywords {
	char *names[KEYWORDS_LETTERS]; /* NULL: the letter is free */
};

/* An IMAP flag-keyword: an atom (RFC 9051 §9) within the limit. */
bool keyword_is_valid(struct str name);

/* No file is STORE_OK with no names.  The caller ends it with keywords_free(). */
enum store_err keywords_read(int folder_fd, struct keywords *keywords_out);
void keywords_free(struct keywords *keywords);
int keywords_find(const struct keywords *keywords, struct str name); /* ASCII case ignored; or -1 */

/* Gives `name` a letter: under Dovecot's lock (dovecot-keywords.lock) reads the file anew into
 * *keywords, adds the name if it is not there, and replaces the file durably.  STORE_LIMIT: all 26
 * are taken (use sanger-keywords).  STORE_BUSY after wait_ms. */
enum store_err keywords_add(
    int folder_fd, struct keywords *keywords, struct str name, int wait_ms, int *letter_out);

/* One message's keyword names, found by the unique part of its file name. */
struct keyword_entry {
	char *unique;
	char **names;
	size_t name_count;
};
struct keyword_list {
	struct keyword_entry *entries; /* sorted by unique */
	size_t count;
};

/* sanger-keywords.  No file is an empty list. */
enum store_err keyword_list_read(int folder_fd, struct keyword_list *list_out);
/* Replaced durably; an empty list removes the file.  Under the writer lock. */
enum store_err keyword_list_write(int folder_fd, const struct keyword_list *list);
/* Sets one message's names (0: drops the entry); copies what it is given. */
void keyword_list_set(
    struct keyword_list *list, struct str unique, const struct str *names, size_t count);
const struct keyword_entry *keyword_list_find(const struct keyword_list *list, struct str unique);
void keyword_list_free(struct keyword_list *list);

/* Courier's courierimapkeywords/:list, with the later changes beside it, as the same kind of list. */
enum store_err keyword_list_read_courier(int folder_fd, struct keyword_list *list_out);

/* The text forms, for tests and fuzzing.  Damaged lines are skipped. */
void keywords_parse(struct str text, struct keywords *keywords_out);
void keyword_list_parse(struct str text, struct keyword_list *list_out);
void keyword_list_parse_courier(struct str text, struct keyword_list *list_out);

#endif
