/* Flags and keywords: between the index, file names and the files that hold keyword names.  See sync.h. */
#include <stdlib.h>

#include "store/sync_internal.h"

/* --- flags and names --------------------------------------------------------------------------- */

static const struct {
	unsigned flag;
	uint32_t letter;
} LETTERS[] = {
	{ MESSAGE_ANSWERED, MAILDIR_REPLIED },
	{ MESSAGE_FLAGGED, MAILDIR_FLAGGED },
	{ MESSAGE_DELETED, MAILDIR_TRASHED },
	{ MESSAGE_SEEN, MAILDIR_SEEN },
	{ MESSAGE_DRAFT, MAILDIR_DRAFT },
};

unsigned
sync_flags_of(uint32_t maildir_flags)
{
	unsigned flags = 0;

	for (size_t i = 0; i < ARRAY_LEN(LETTERS); i++) {
		if ((maildir_flags & LETTERS[i].letter) != 0)
			flags |= LETTERS[i].flag;
	}
	return flags;
}

uint32_t
sync_letters_of(unsigned flags)
{
	uint32_t letters = 0;

	for (size_t i = 0; i < ARRAY_LEN(LETTERS); i++) {
		if ((flags & LETTERS[i].flag) != 0)
			letters |= LETTERS[i].letter;
	}
	return letters;
}

void
sync_name(struct buf *out, const char *old, uint32_t uid, unsigned flags,
    const struct keyword_set *keywords, uint64_t disk_size, uint64_t size)
{
	uint32_t letters = sync_letters_of(flags);
	uint32_t keyword_letters = (uint32_t)(keywords->bits[0] & SYNC_LETTER_MASK);
	struct maildir_name name;

	if (maildir_name_parse(str_from(old), &name)) {
		letters |= name.flags & MAILDIR_PASSED;
		if (maildir_name_change(out, &name, uid, letters, keyword_letters))
			return;
	}
	maildir_name_new(out, disk_size, size == INDEX_SIZE_UNKNOWN ? MAILDIR_SIZE_UNKNOWN : size,
	    uid, true, letters, keyword_letters);
}

/* --- keywords ---------------------------------------------------------------------------------- */

static void
on_keyword(void *arg, unsigned number, const char *name)
{
	struct sync_box *sb = arg;

	free(sb->keywords[number]);
	sb->keywords[number] = mem_strdup(name);
	if (number >= sb->keyword_count)
		sb->keyword_count = number + 1;
}

static enum store_err
put_keyword(struct sync_box *sb, unsigned number, const char *name)
{
	on_keyword(sb, number, name);
	return index_keyword_put(sb->acct->ix, sb->row.id, number, name);
}

/* Takes over names that letters have in dovecot-keywords. */
static enum store_err
load_letters(struct sync_box *sb)
{
	struct keywords letters = { 0 };
	enum store_err err;

	if (sync_read_stamp(sb->dir.fd, "dovecot-keywords", &sb->row.keywords_stamp) &&
	    sync_stamp_is_racy(&sb->row.keywords_stamp))
		sb->row.keywords_stamp = (struct index_stamp){ 0 };
	err = keywords_read(sb->dir.fd, &letters);
	for (unsigned i = 0; i < KEYWORDS_LETTERS && err == STORE_OK; i++) {
		const char *known = sb->keywords[i];

		if (letters.names[i] != NULL &&
		    (known == NULL || strcmp(known, letters.names[i]) != 0))
			err = put_keyword(sb, i, letters.names[i]);
	}
	keywords_free(&letters);
	return err;
}

enum store_err
sync_load_keywords(struct sync_box *sb)
{
	struct index_stamp now;
	enum store_err err = index_keywords(sb->acct->ix, sb->row.id, on_keyword, sb);

	sync_read_stamp(sb->dir.fd, "dovecot-keywords", &now);
	if (err == STORE_OK && (sb->fresh || !sync_stamp_eq(&now, &sb->row.keywords_stamp)))
		err = load_letters(sb);
	return err;
}

static int
find_keyword(const struct sync_box *sb, struct str name)
{
	for (unsigned i = 0; i < sb->keyword_count; i++) {
		if (sb->keywords[i] != NULL && name.len > 0 &&
		    str_eq_nocase(str_from(sb->keywords[i]), name))
			return (int)i;
	}
	return -1;
}

/* A number without a letter, for keywords beyond the 26. */
static enum store_err
number_beyond_letters(struct sync_box *sb, struct str name, unsigned *number_out)
{
	char *text;
	enum store_err err;
	unsigned i = KEYWORDS_LETTERS;

	while (i < MAILBOX_KEYWORDS_MAX && sb->keywords[i] != NULL)
		i++;
	if (i == MAILBOX_KEYWORDS_MAX)
		return STORE_LIMIT;
	text = mem_strndup(name.p, name.len);
	err = put_keyword(sb, i, text);
	free(text);
	*number_out = i;
	return err;
}

enum store_err
sync_keyword(struct sync_box *sb, struct str name, bool create, unsigned *number_out)
{
	struct keywords letters = { 0 };
	enum store_err err;
	int number = find_keyword(sb, name), letter;

	if (number >= 0) {
		*number_out = (unsigned)number;
		return STORE_OK;
	}
	if (!create)
		return STORE_NOT_FOUND;
	if (name.len > MAILBOX_KEYWORD_MAX_BYTES || !keyword_is_valid(name))
		return STORE_INVALID;
	err = keywords_add(sb->dir.fd, &letters, name, SYNC_FOREIGN_MS, &letter);
	keywords_free(&letters);
	if (err == STORE_LIMIT)
		return number_beyond_letters(sb, name, number_out);
	if (err == STORE_OK)
		err = load_letters(sb);
	*number_out = (unsigned)letter;
	return err;
}

static enum store_err
load_extra(struct sync_box *sb)
{
	enum store_err err;

	if (sb->extra_loaded)
		return STORE_OK;
	err = keyword_list_read(sb->dir.fd, &sb->extra);
	sb->extra_loaded = err == STORE_OK;
	return err;
}

static bool
has_extra(const struct keyword_set *k)
{
	uint64_t any = k->bits[0] & ~SYNC_LETTER_MASK;

	for (size_t i = 1; i < ARRAY_LEN(k->bits); i++)
		any |= k->bits[i];
	return any != 0;
}

enum store_err
sync_extra_keywords(struct sync_box *sb, const char *file_name, const struct keyword_set *before,
    const struct keyword_set *now)
{
	struct str names[MAILBOX_KEYWORDS_MAX];
	struct maildir_name name;
	enum store_err err;
	size_t count = 0;

	if (!has_extra(before) && !has_extra(now))
		return STORE_OK;
	err = load_extra(sb);
	if (err != STORE_OK || !maildir_name_parse(str_from(file_name), &name))
		return err;
	for (unsigned i = KEYWORDS_LETTERS; i < sb->keyword_count; i++) {
		if (keyword_set_has(now, i) && sb->keywords[i] != NULL)
			names[count++] = str_from(sb->keywords[i]);
	}
	keyword_list_set(&sb->extra, name.unique, names, count);
	sb->extra_changed = true;
	return STORE_OK;
}

enum store_err
sync_add_extra(struct sync_box *sb, struct str unique, struct keyword_set *keywords)
{
	const struct keyword_entry *entry;
	enum store_err err = load_extra(sb);

	if (err != STORE_OK)
		return err;
	entry = keyword_list_find(&sb->extra, unique);
	for (size_t i = 0; entry != NULL && i < entry->name_count && err == STORE_OK; i++) {
		struct str name = str_from(entry->names[i]);
		int number = find_keyword(sb, name);
		unsigned fresh = 0;

		if (number < 0)
			err = number_beyond_letters(sb, name, &fresh);
		if (err == STORE_OK)
			keyword_set_add(keywords, number < 0 ? fresh : (unsigned)number);
	}
	return err == STORE_LIMIT ? STORE_OK : err;
}
