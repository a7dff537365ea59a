/* sanger-imported 1
 * <uid here> <uidvalidity there> <uid there> <flags> <stem> [<keyword> …]
 *
 * flags: letters of a file's name, "-" for none.  In stem and keywords blanks, control bytes and '%' stand as %XX. */
#include "admin/import_ledger.h"

#include <stdlib.h>
#include <string.h>

#include "store/dir.h"
#include "store/mailbox.h"

#define FIRST_LINE "sanger-imported 1"

static const struct {
	char letter;
	unsigned flag;
} LETTERS[] = {
	{ 'D', MESSAGE_DRAFT },
	{ 'F', MESSAGE_FLAGGED },
	{ 'R', MESSAGE_ANSWERED },
	{ 'S', MESSAGE_SEEN },
	{ 'T', MESSAGE_DELETED },
};

/* --- reading ------------------------------------------------------------------------------------- */

static bool
is_word(char c)
{
	return c != ' ';
}

static bool
parse_flags(struct str word, unsigned *flags_out)
{
	*flags_out = 0;
	if (str_eq(word, STR("-")))
		return true;
	for (size_t i = 0; i < word.len; i++) {
		size_t k = 0;

		while (k < ARRAY_LEN(LETTERS) && LETTERS[k].letter != word.p[i])
			k++;
		if (k == ARRAY_LEN(LETTERS))
			return false;
		*flags_out |= LETTERS[k].flag;
	}
	return word.len > 0;
}

/* The word without its %XX; NULL: damaged, or a NUL in it. */
static const char *
unescape(struct arena *arena, struct str word)
{
	char *text = arena_alloc(arena, word.len + 1);
	size_t len = 0;

	for (size_t i = 0; i < word.len; i++) {
		if (word.p[i] != '%') {
			text[len++] = word.p[i];
			continue;
		}
		if (i + 2 >= word.len || hex_value(word.p[i + 1]) < 0 ||
		    hex_value(word.p[i + 2]) < 0)
			return NULL;
		text[len++] = (char)(hex_value(word.p[i + 1]) << 4 | hex_value(word.p[i + 2]));
		i += 2;
	}
	text[len] = '\0';
	return len > 0 && strlen(text) == len ? text : NULL;
}

static bool
parse_line(struct import_ledger *ledger, struct str line, struct import_entry *entry)
{
	struct cursor c = cursor_from(line);

	*entry = (struct import_entry){ 0 };
	if (!cursor_take_u32(&c, &entry->uid) || !cursor_take(&c, ' ') ||
	    !cursor_take_u32(&c, &entry->source_uidvalidity) || !cursor_take(&c, ' ') ||
	    !cursor_take_u32(&c, &entry->source_uid) || !cursor_take(&c, ' ') ||
	    !parse_flags(cursor_take_while(&c, is_word), &entry->flags) || !cursor_take(&c, ' '))
		return false;
	entry->stem = unescape(&ledger->arena, cursor_take_while(&c, is_word));
	while (entry->stem != NULL && cursor_take(&c, ' ')) {
		const char *word = unescape(&ledger->arena, cursor_take_while(&c, is_word));

		if (word == NULL || entry->keyword_count == MAILBOX_KEYWORDS_MAX)
			return false;
		if ((entry->keyword_count & (entry->keyword_count - 1)) == 0) {
			size_t room = entry->keyword_count == 0 ? 1 : 2 * entry->keyword_count;
			const char **grown = arena_alloc(&ledger->arena, room * sizeof(*grown));

			if (entry->keyword_count > 0)
				memcpy(
				    grown, entry->keywords, entry->keyword_count * sizeof(*grown));
			entry->keywords = grown;
		}
		entry->keywords[entry->keyword_count++] = word;
	}
	return entry->stem != NULL && cursor_at_end(&c);
}

static void
push(struct import_ledger *ledger, const struct import_entry *entry)
{
	if ((ledger->count & (ledger->count - 1)) == 0)
		ledger->entries = mem_realloc_array(ledger->entries,
		    ledger->count == 0 ? 1 : 2 * ledger->count, sizeof(*ledger->entries));
	ledger->entries[ledger->count++] = *entry;
}

struct numbered {
	struct import_entry entry;
	size_t line;
};

static int
by_stem(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	int order = strcmp(x->entry.stem, y->entry.stem);

	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

/* Sorts; of a stem's several lines the last stays. */
static void
sort_entries(struct import_ledger *ledger)
{
	struct numbered *all = mem_realloc_array(NULL, ledger->count + 1, sizeof(*all));
	size_t count = ledger->count;

	for (size_t i = 0; i < count; i++)
		all[i] = (struct numbered){ ledger->entries[i], i };
	qsort(all, count, sizeof(*all), by_stem);
	ledger->count = 0;
	for (size_t i = 0; i < count; i++)
		if (i + 1 == count || strcmp(all[i].entry.stem, all[i + 1].entry.stem) != 0)
			ledger->entries[ledger->count++] = all[i].entry;
	ledger->sorted_count = ledger->count;
	free(all);
}

bool
import_ledger_parse(struct str text, struct import_ledger *ledger)
{
	struct cursor c = cursor_from(text);
	struct str line;
	struct import_entry entry;

	*ledger = (struct import_ledger){ 0 };
	if (!cursor_take_line(&c, &line) || !str_eq(line, STR(FIRST_LINE)))
		return false;
	while (cursor_take_line(&c, &line))
		if (parse_line(ledger, line, &entry))
			push(ledger, &entry);
	sort_entries(ledger);
	return true;
}

enum store_err
import_ledger_read(int folder_fd, struct import_ledger *ledger)
{
	struct buf text = { 0 };
	enum store_err err =
	    dir_read_file(folder_fd, IMPORT_LEDGER_FILE, IMPORT_LEDGER_MAX_BYTES, &text);

	*ledger = (struct import_ledger){ 0 };
	if (err == STORE_OK && !import_ledger_parse((struct str){ text.data, text.len }, ledger)) {
		import_ledger_free(ledger);
		err = STORE_CORRUPT;
	}
	buf_free(&text);
	ledger->found = err == STORE_OK;
	return err == STORE_NOT_FOUND ? STORE_OK : err;
}

void
import_ledger_free(struct import_ledger *ledger)
{
	free(ledger->entries);
	arena_free(&ledger->arena);
	*ledger = (struct import_ledger){ 0 };
}

/* --- writing ------------------------------------------------------------------------------------- */

static void
add_escaped(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;

		if (c <= ' ' || c == '%' || c == 0x7f)
			buf_printf(out, "%%%02X", c);
		else
			buf_addc(out, *s);
	}
}

void
import_ledger_format(struct buf *out, const struct import_ledger *ledger)
{
	buf_adds(out, FIRST_LINE "\n");
	for (size_t i = 0; i < ledger->count; i++) {
		const struct import_entry *e = &ledger->entries[i];

		buf_printf(out, "%u %u %u ", (unsigned)e->uid, (unsigned)e->source_uidvalidity,
		    (unsigned)e->source_uid);
		if (e->flags == 0)
			buf_addc(out, '-');
		for (size_t k = 0; k < ARRAY_LEN(LETTERS); k++)
			if ((e->flags & LETTERS[k].flag) != 0)
				buf_addc(out, LETTERS[k].letter);
		buf_addc(out, ' ');
		add_escaped(out, e->stem);
		for (size_t k = 0; k < e->keyword_count; k++) {
			buf_addc(out, ' ');
			add_escaped(out, e->keywords[k]);
		}
		buf_addc(out, '\n');
	}
}

enum store_err
import_ledger_write(int folder_fd, const struct import_ledger *ledger)
{
	struct buf text = { 0 };
	enum store_err err;

	import_ledger_format(&text, ledger);
	err = dir_replace_file(
	    folder_fd, IMPORT_LEDGER_FILE, (struct str){ text.data, text.len }, true);
	buf_free(&text);
	return err;
}

/* --- entries ------------------------------------------------------------------------------------- */

struct import_entry *
import_ledger_find(const struct import_ledger *ledger, const char *stem)
{
	size_t low = 0, high = ledger->sorted_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(ledger->entries[mid].stem, stem);

		if (order == 0)
			return &ledger->entries[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

void
import_ledger_set_keywords(struct import_ledger *ledger, struct import_entry *entry,
    const char *const *keywords, size_t count)
{
	const char **copies = arena_alloc(&ledger->arena, (count + 1) * sizeof(*copies));

	for (size_t i = 0; i < count; i++)
		copies[i] = arena_strdup(&ledger->arena, keywords[i]);
	entry->keywords = copies;
	entry->keyword_count = count;
}

void
import_ledger_add(struct import_ledger *ledger, const struct import_entry *entry)
{
	struct import_entry copy = *entry;

	copy.stem = arena_strdup(&ledger->arena, entry->stem);
	import_ledger_set_keywords(ledger, &copy, entry->keywords, entry->keyword_count);
	push(ledger, &copy);
}
