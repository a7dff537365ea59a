#include "store/acl.h"

#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <uninorm.h>

static const struct {
	char letter;
	unsigned rights;
} LETTERS[] = {
	{ 'l', ACL_LOOKUP },
	{ 'r', ACL_READ },
	{ 's', ACL_SEEN },
	{ 'w', ACL_WRITE },
	{ 'i', ACL_INSERT },
	{ 'p', ACL_POST },
	{ 'k', ACL_CREATE },
	{ 'x', ACL_DELETE_MAILBOX },
	{ 't', ACL_DELETE_MESSAGES },
	{ 'e', ACL_EXPUNGE },
	{ 'a', ACL_ADMIN },
	/* obsolete ones, RFC 4314 §2.1.1 */
	{ 'c', ACL_CREATE | ACL_DELETE_MAILBOX },
	{ 'd', ACL_DELETE_MESSAGES | ACL_EXPUNGE },
};

bool
acl_rights_parse(struct str letters, unsigned *rights_out)
{
	*rights_out = 0;
	for (size_t i = 0; i < letters.len; i++) {
		size_t at = 0;

		while (at < ARRAY_LEN(LETTERS) && LETTERS[at].letter != letters.p[i])
			at++;
		if (at == ARRAY_LEN(LETTERS))
			return false;
		*rights_out |= LETTERS[at].rights;
	}
	return true;
}

void
acl_rights_format(struct buf *out, unsigned rights, bool obsolete)
{
	for (size_t i = 0; i < ARRAY_LEN(LETTERS); i++) {
		bool single = (LETTERS[i].rights & (LETTERS[i].rights - 1)) == 0;

		if ((rights & LETTERS[i].rights) != 0 && (single || obsolete))
			buf_addc(out, LETTERS[i].letter);
	}
}

/* --- identifiers ------------------------------------------------------------------------------- */

/* As IMAP spells them and as the file does, but for a user, which in IMAP is what is left. */
static const struct {
	const char *imap, *file;
	enum acl_kind kind;
	bool named;
} KINDS[] = {
	{ "anyone", "anyone", ACL_ANYONE, false },
	{ "anonymous", "anonymous", ACL_ANYONE, false }, /* another word for it, in Dovecot */
	{ "authenticated", "authenticated", ACL_AUTHENTICATED, false },
	{ "owner", "owner", ACL_OWNER, false },
	{ "!$", "group-override=", ACL_GROUP_OVERRIDE, true },
	{ "$", "group=", ACL_GROUP, true },
	{ NULL, "user=", ACL_USER, true },
};

static bool
is_plain(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return s.len > 0 && s.len <= ACL_IDENTIFIER_MAX_BYTES && text_is_utf8(s);
}

/* Accounts' addresses, as the account database folds them: lower case and NFC. */
static const char *
user_name(struct arena *a, struct str text, const char *domain)
{
	size_t len = 0;
	uint8_t *folded =
	    u8_tolower((const uint8_t *)text.p, text.len, NULL, UNINORM_NFC, NULL, &len);
	char *name = folded != NULL ? arena_strndup(a, (const char *)folded, len)
				    : arena_strndup(a, text.p, text.len);

	free(folded);
	return domain != NULL && strchr(name, '@') == NULL ? arena_printf(a, "%s@%s", name, domain)
							   : name;
}

static bool
name_fits(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= ACL_NAME_MAX_BYTES;
}

bool
acl_id_parse(struct arena *a, struct str identifier, const char *owner, struct acl_id *id_out)
{
	const char *at = strrchr(owner, '@');
	struct str rest = identifier;

	*id_out = (struct acl_id){ .kind = ACL_USER };
	if (!is_plain(identifier))
		return false;
	if (rest.p[0] == '-') {
		id_out->negative = true;
		rest = (struct str){ rest.p + 1, rest.len - 1 };
	}
	for (size_t i = 0; i < ARRAY_LEN(KINDS) && KINDS[i].imap != NULL; i++) {
		struct str word = str_from(KINDS[i].imap);

		if (KINDS[i].named ? !str_has_prefix(rest, word) : !str_eq(rest, word))
			continue;
		id_out->kind = KINDS[i].kind;
		if (KINDS[i].named)
			id_out->name = arena_strndup(a, rest.p + word.len, rest.len - word.len);
		return !KINDS[i].named || name_fits(id_out->name);
	}
	if (rest.len == 0)
		return false;
	id_out->name = user_name(a, rest, at != NULL ? at + 1 : NULL);
	if (!name_fits(id_out->name))
		return false;
	if (strcmp(id_out->name, owner) == 0)
		*id_out = (struct acl_id){ .kind = ACL_OWNER, .negative = id_out->negative };
	return true;
}

void
acl_id_format(struct buf *out, const struct acl_id *id, const char *owner)
{
	if (id->negative)
		buf_addc(out, '-');
	if (id->kind == ACL_OWNER && owner != NULL) {
		buf_adds(out, owner);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		if (KINDS[i].kind != id->kind)
			continue;
		if (KINDS[i].imap != NULL)
			buf_adds(out, KINDS[i].imap);
		if (KINDS[i].named)
			buf_adds(out, id->name);
		return;
	}
}

/* --- the file ---------------------------------------------------------------------------------- */

static int
compare_ids(const struct acl_id *a, const struct acl_id *b)
{
	int order = (a->kind > b->kind) - (a->kind < b->kind);

	if (order == 0 && a->name != NULL && b->name != NULL)
		order = strcmp(a->name, b->name);
	return order != 0 ? order : (int)a->negative - (int)b->negative;
}

static int
compare_entries(const void *a, const void *b)
{
	return compare_ids(&((const struct acl_entry *)a)->id, &((const struct acl_entry *)b)->id);
}

char *
acl_user_address(const char *name, const char *owner)
{
	const char *at = strrchr(owner, '@');

	return mem_printf("%s%s", name, strchr(name, '@') == NULL && at != NULL ? at : "");
}

static struct acl_entry *
find(const struct acl *acl, const struct acl_id *id)
{
	struct acl_entry key = { .id = *id };

	return acl->count == 0
		   ? NULL
		   : bsearch(&key, acl->entries, acl->count, sizeof(key), compare_entries);
}

static enum store_err
add(struct acl *acl, struct acl_entry entry)
{
	if (acl->count >= ACL_ENTRIES_MAX)
		return STORE_LIMIT;
	if (acl->count == acl->cap) {
		acl->cap = acl->cap > 0 ? 2 * acl->cap : 8;
		acl->entries = mem_realloc_array(acl->entries, acl->cap, sizeof(*acl->entries));
	}
	acl->entries[acl->count++] = entry;
	qsort(acl->entries, acl->count, sizeof(*acl->entries), compare_entries);
	return STORE_OK;
}

static bool
is_word_char(char c)
{
	return !ascii_is_space(c) && c != ',';
}

/* The identifier, in quotes where it has blanks; a backslash in them stands before a quote or another. */
static bool
take_identifier(struct cursor *c, struct arena *a, struct str *id_out)
{
	struct buf id = { 0 };
	bool quoted = cursor_take(c, '"'), closed = !quoted;

	while (!cursor_at_end(c)) {
		char ch = *c->p;

		if (!quoted && (ch == ' ' || ch == '\t'))
			break;
		c->p++;
		if (quoted && ch == '"') {
			closed = true;
			break;
		}
		if (quoted && ch == '\\' && !cursor_at_end(c))
			ch = *c->p++;
		buf_addc(&id, ch);
	}
	*id_out = (struct str){ arena_strndup(a, buf_cstr(&id), id.len), id.len };
	buf_free(&id);
	return closed && is_plain(*id_out);
}

static bool
file_id(struct arena *a, struct str text, struct acl_id *id_out)
{
	*id_out = (struct acl_id){ .negative = text.p[0] == '-' };
	if (id_out->negative)
		text = (struct str){ text.p + 1, text.len - 1 };
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		struct str word = str_from(KINDS[i].file);

		if (KINDS[i].named ? !str_has_prefix(text, word) || text.len == word.len
				   : !str_eq(text, word))
			continue;
		id_out->kind = KINDS[i].kind;
		text = (struct str){ text.p + word.len, text.len - word.len };
		if (id_out->kind == ACL_USER)
			id_out->name = user_name(a, text, NULL);
		else if (KINDS[i].named)
			id_out->name = arena_strndup(a, text.p, text.len);
		return id_out->name == NULL || name_fits(id_out->name);
	}
	return false;
}

#define TENURE "tenure="

static void
add_word(struct buf *out, struct str word)
{
	buf_addc(out, out->len > 0 ? ' ' : ':');
	buf_add(out, word.p, word.len);
}

/* What stands behind the colon are words, of which one may be ours. */
static void
take_more(struct acl *acl, struct str more, struct acl_entry *entry)
{
	struct cursor c = cursor_from(more);
	struct buf others = { 0 };

	while (!cursor_at_end(&c)) {
		struct str word = cursor_take_while(&c, is_word_char);

		if (word.len == 0)
			c.p++;
		else if (str_has_prefix(word, STR(TENURE)))
			entry->tenure = arena_strndup(
			    &acl->arena, word.p + strlen(TENURE), word.len - strlen(TENURE));
		else
			add_word(&others, word);
	}
	if (others.len > 0)
		entry->more = arena_strndup(&acl->arena, others.data, others.len);
	buf_free(&others);
}

/* identifier [blanks letters [blanks ":" more]] */
static bool
parse_line(struct acl *acl, struct str line)
{
	struct cursor c = cursor_from(line);
	struct acl_entry entry = { .tenure = "" };
	struct str id, rest, letters;
	size_t colon;

	if (!take_identifier(&c, &acl->arena, &id) || !file_id(&acl->arena, id, &entry.id))
		return false;
	if (!cursor_at_end(&c) && !cursor_take(&c, ' ') && !cursor_take(&c, '\t'))
		return false;
	rest = str_trim((struct str){ c.p, cursor_left(&c) });
	colon = str_find(rest, STR(":"));
	letters = colon == SIZE_MAX ? rest : str_trim((struct str){ rest.p, colon });
	if (colon != SIZE_MAX)
		take_more(acl, (struct str){ rest.p + colon + 1, rest.len - colon - 1 }, &entry);
	if (memchr(rest.p, '\0', rest.len) != NULL || !acl_rights_parse(letters, &entry.rights))
		return false;
	if (find(acl, &entry.id) != NULL)
		return false; /* twice: which of them counts? */
	return add(acl, entry) == STORE_OK;
}

bool
acl_parse(struct str text, struct acl *acl_out)
{
	struct cursor c = cursor_from(text);
	struct str line;

	*acl_out = (struct acl){ 0 };
	if (text.len > ACL_FILE_MAX_BYTES)
		return false;
	while (cursor_take_line(&c, &line)) {
		line = str_trim(line);
		if (line.len == 0 || line.p[0] == '#')
			continue;
		if (!parse_line(acl_out, line))
			return false;
	}
	return true;
}

static void
format_identifier(struct buf *out, const struct acl_id *id)
{
	struct buf text = { 0 };
	bool quoted;

	if (id->negative)
		buf_addc(&text, '-');
	for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
		if (KINDS[i].kind == id->kind) {
			buf_adds(&text, KINDS[i].file);
			break;
		}
	}
	if (id->name != NULL)
		buf_adds(&text, id->name);
	quoted = strpbrk(buf_cstr(&text), " \t\"\\#") != NULL;
	if (quoted)
		buf_addc(out, '"');
	for (const char *p = buf_cstr(&text); *p != '\0'; p++) {
		if (quoted && (*p == '"' || *p == '\\'))
			buf_addc(out, '\\');
		buf_addc(out, *p);
	}
	if (quoted)
		buf_addc(out, '"');
	buf_free(&text);
}

void
acl_format(struct buf *out, const struct acl *acl)
{
	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->entries[i];

		format_identifier(out, &e->id);
		buf_addc(out, ' ');
		acl_rights_format(out, e->rights, false);
		if (e->more != NULL)
			buf_printf(out, " %s", e->more);
		if (e->tenure[0] != '\0')
			buf_printf(out, " %s" TENURE "%s", e->more != NULL ? "" : ":", e->tenure);
		buf_addc(out, '\n');
	}
}

void
acl_free(struct acl *acl)
{
	free(acl->entries);
	arena_free(&acl->arena);
	*acl = (struct acl){ 0 };
}

static void
drop(struct acl *acl, struct acl_entry *entry)
{
	acl->count--;
	memmove(entry, entry + 1, (size_t)(acl->entries + acl->count - entry) * sizeof(*entry));
}

/* Is it for a person, not for whoever asks? */
static bool
is_given(const struct acl_entry *e)
{
	return e->id.kind == ACL_USER && !e->id.negative && e->rights != 0;
}

enum store_err
acl_drop_former(struct acl *acl, const char *owner, const struct acl_tenures *tenures)
{
	struct buf tenure = { 0 };
	enum store_err err = STORE_OK;
	size_t kept = 0;

	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->entries[i];

		if (err == STORE_OK && is_given(e)) {
			bool is_owner;
			char *user = acl_user_address(e->id.name, owner);

			buf_reset(&tenure);
			is_owner = strcmp(user, owner) == 0;
			err = tenures->of(tenures->arg, user, &tenure);
			free(user);
			if (err == STORE_OK && !is_owner &&
			    strcmp(buf_cstr(&tenure), e->tenure) != 0)
				continue;
		}
		acl->entries[kept++] = *e;
	}
	acl->count = kept;
	buf_free(&tenure);
	return err;
}

void
acl_forget_tenures(struct acl *acl)
{
	for (size_t i = 0; i < acl->count; i++)
		acl->entries[i].tenure = "";
}

/* The owner by name becomes "owner", with what that says. */
static struct acl_entry *
find_entry(struct acl *acl, const char *owner, const struct acl_id *id)
{
	struct acl_id named = { .kind = ACL_USER, .negative = id->negative, .name = owner };
	struct acl_entry *by_name = id->kind == ACL_OWNER ? find(acl, &named) : NULL;
	struct acl_entry *entry = find(acl, id);

	if (by_name == NULL)
		return entry;
	if (entry != NULL) {
		entry->rights = by_name->rights;
		drop(acl, by_name);
		return entry;
	}
	by_name->id = *id;
	qsort(acl->entries, acl->count, sizeof(*acl->entries), compare_entries);
	return find(acl, id);
}

enum store_err
acl_set(struct acl *acl, const char *owner, const struct acl_id *id, const char *tenure,
    enum acl_change change, unsigned rights)
{
	struct acl_entry *entry = find_entry(acl, owner, id);
	bool is_owner = id->kind == ACL_OWNER && !id->negative;
	struct acl_entry new = { .id = *id, .tenure = "" };
	enum store_err err;

	if (entry == NULL) {
		if (change == ACL_REMOVE && !is_owner)
			return STORE_OK;
		if (id->name != NULL)
			new.id.name = arena_strdup(&acl->arena, id->name);
		new.rights = is_owner ? ACL_ALL : 0;
		err = add(acl, new);
		if (err != STORE_OK)
			return err;
		entry = find(acl, &new.id);
	}
	if (id->kind == ACL_USER && !id->negative && strcmp(entry->tenure, tenure) != 0) {
		entry->tenure = arena_strdup(&acl->arena, tenure);
		entry->rights = 0;
	}
	if (change == ACL_REPLACE)
		entry->rights = rights;
	else if (change == ACL_ADD)
		entry->rights |= rights;
	else
		entry->rights &= ~rights;
	if (is_owner)
		entry->rights |= ACL_OWNER_ALWAYS;
	return STORE_OK;
}

bool
acl_delete(struct acl *acl, const char *owner, const struct acl_id *id)
{
	struct acl_entry *entry = find_entry(acl, owner, id);

	if (entry == NULL)
		return false;
	drop(acl, entry);
	return true;
}

/* --- who may what ------------------------------------------------------------------------------ */

static bool
same_user(const char *name, const char *owner, const char *user)
{
	char *full = acl_user_address(name, owner);
	bool same = strcmp(full, user) == 0;

	free(full);
	return same;
}

static bool
fits(const struct acl_entry *e, const char *owner, const struct acl_user *user)
{
	bool is_owner = strcmp(owner, user->address) == 0;

	switch (e->id.kind) {
	case ACL_ANYONE:
	case ACL_AUTHENTICATED: return true;
	case ACL_OWNER: return is_owner;
	case ACL_USER:
		return same_user(e->id.name, owner, user->address) &&
		       (is_owner || !is_given(e) || strcmp(e->tenure, user->tenure) == 0);
	case ACL_GROUP:
	case ACL_GROUP_OVERRIDE: break;
	}
	return false;
}

unsigned
acl_rights_of(const struct acl *acl, const char *owner, const struct acl_user *user)
{
	bool is_owner = strcmp(owner, user->address) == 0;
	enum acl_kind best = ACL_ANYONE; /* the list is sorted by it */
	unsigned rights = 0, taken = 0;

	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->entries[i];

		if (!fits(e, owner, user))
			continue;
		if (e->id.negative) {
			taken |= e->rights;
			continue;
		}
		rights = e->id.kind > best ? e->rights : rights | e->rights;
		best = e->id.kind;
	}
	if (!is_owner)
		return rights & ~taken;
	return ((best < ACL_OWNER ? ACL_ALL : rights) & ~taken) | ACL_OWNER_ALWAYS;
}

bool
acl_names_owner(const struct acl *acl, const char *owner)
{
	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->entries[i];

		if (!e->id.negative &&
		    (e->id.kind == ACL_OWNER ||
			(e->id.kind == ACL_USER && same_user(e->id.name, owner, owner))))
			return true;
	}
	return false;
}
