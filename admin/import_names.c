#include "admin/import_names.h"

#include <string.h>

#include "store/mailbox_name.h"

#define LEVEL_BYTES 200 /* MAILBOX_LEVEL_MAX_BYTES, and room for what makes names differ */

/* How programs and providers call what RFC 6154 knows, in the languages they speak. */
static const struct {
	enum special_use use;
	const char *names[24];
} WELL_KNOWN[] = {
	{ SPECIAL_SENT,
	    { "Sent", "Sent Items", "Sent Messages", "Sent Mail", "Sent-Mail", "Gesendet",
		"Gesendete Elemente", "Gesendete Objekte", "Gesendete Nachrichten", "Envoyés",
		"Objets envoyés", "Éléments envoyés", "Messages envoyés", "Enviados",
		"Elementos enviados", "Posta inviata", "Inviati", "Verzonden", "Verzonden items",
		"Skickat", "Wysłane", "Отправленные" } },
	{ SPECIAL_DRAFTS,
	    { "Drafts", "Draft", "Entwürfe", "Entwurf", "Brouillons", "Borradores", "Bozze",
		"Concepten", "Rascunhos", "Utkast", "Wersje robocze", "Черновики" } },
	{ SPECIAL_JUNK,
	    { "Junk", "Spam", "Junk E-mail", "Junk Email", "Junk Mail", "Bulk Mail", "Spamverdacht",
		"Unerwünscht", "Courrier indésirable", "Indésirables", "Correo no deseado",
		"Posta indesiderata", "Ongewenste e-mail", "Lixo Eletrônico", "Спам" } },
	{ SPECIAL_TRASH, { "Trash", "Deleted Items", "Deleted Messages", "Deleted", "Bin",
			     "Papierkorb", "Gelöscht", "Gelöschte Elemente", "Gelöschte Objekte",
			     "Corbeille", "Éléments supprimés", "Messages supprimés", "Papelera",
			     "Elementos eliminados", "Cestino", "Posta eliminata", "Prullenbak",
			     "Verwijderde items", "Lixeira", "Borttaget", "Kosz", "Корзина" } },
	{ SPECIAL_ARCHIVE,
	    { "Archive", "Archives", "Archiv", "Archivio", "Archivo", "Archief", "Arquivo" } },
};

struct naming {
	const struct imap_mailboxes *boxes;
	const struct mailbox_list *here;
	struct arena *arena;
	struct import_name *names;
	size_t count;
	char guessed_delimiter; /* '\0', or all but INBOX is below "INBOX" and this */
};

/* --- the path ----------------------------------------------------------------------------------- */

/* One level, with what cannot stand in a name replaced. */
static void
add_level(struct buf *out, struct str level)
{
	size_t start = out->len;

	if (level.len == 0 || str_eq(level, STR(".")) || str_eq(level, STR("..")))
		buf_addc(out, '_');
	if (str_has_prefix(level, STR("&="))) {
		buf_addc(out, '_');
		level.p++;
		level.len--;
	}
	while (level.len > 0 && out->len - start < LEVEL_BYTES) {
		char one[8] = "";
		size_t n;

		memcpy(one, level.p, level.len < sizeof(one) - 1 ? level.len : sizeof(one) - 1);
		n = text_visible(one);
		if (n == 0 || *one == '/')
			buf_addc(out, '_');
		else
			buf_add(out, one, n);
		n = n == 0 ? 1 : n;
		level.p += n;
		level.len -= n;
	}
}

/* The name behind its namespace's prefix; the name of the whole if it is the prefix itself. */
static struct str
without_prefix(const struct naming *n, const struct imap_mailbox *box)
{
	struct str name = str_from(box->name);
	size_t len = 0;

	if (box->space != NULL && box->space->personal)
		len = strlen(box->space->prefix);
	else if (n->guessed_delimiter != '\0' && strlen(box->wire) > strlen("INBOX."))
		len = strlen("INBOX.");
	/* A prefix is ASCII but for the strangest servers; there it stays. */
	if (len == 0 || len >= name.len || strlen(box->wire) <= len ||
	    memcmp(box->name, box->wire, len) != 0)
		return name;
	return (struct str){ name.p + len, name.len - len };
}

static const char *
make_path(const struct naming *n, const struct imap_mailbox *box)
{
	struct buf out = { 0 };
	struct str name = without_prefix(n, box);
	const char *path, *problem;

	if (ascii_eq_nocase(box->name, "INBOX"))
		return "INBOX";
	for (;;) {
		const char *end =
		    box->delimiter != '\0' ? memchr(name.p, box->delimiter, name.len) : NULL;
		struct str level = { name.p, end != NULL ? (size_t)(end - name.p) : name.len };

		if (end != NULL && end + 1 == name.p + name.len) /* "a." is "a" */
			end = NULL;
		add_level(&out, level);
		if (end == NULL)
			break;
		buf_addc(&out, '/');
		name.len -= (size_t)(end + 1 - name.p);
		name.p = end + 1;
	}
	path = arena_strdup(n->arena, buf_cstr(&out));
	problem = mailbox_name_problem(str_from(path));
	buf_free(&out);
	if (mailbox_name_is_inbox(path)) /* "INBOX.INBOX" */
		return "_INBOX";
	if (problem != NULL) { /* too long, too deep */
		unsigned hash = 2166136261u;

		for (const char *p = path; *p != '\0'; p++)
			hash = (hash ^ (unsigned char)*p) * 16777619u;
		return arena_printf(n->arena, "Imported %08x", hash);
	}
	return path;
}

/* A server that has no NAMESPACE, but everything below INBOX. */
static char
guess_delimiter(const struct imap_mailboxes *boxes)
{
	char delimiter = '\0';

	if (boxes->space_count > 0)
		return '\0';
	for (size_t i = 0; i < boxes->count; i++) {
		const struct imap_mailbox *box = &boxes->boxes[i];

		if (ascii_eq_nocase(box->wire, "INBOX"))
			continue;
		if (box->delimiter == '\0' ||
		    !str_has_prefix_nocase(str_from(box->wire), STR("INBOX")) ||
		    box->wire[strlen("INBOX")] != box->delimiter)
			return '\0';
		delimiter = box->delimiter;
	}
	return delimiter;
}

/* --- uses --------------------------------------------------------------------------------------- */

static bool
shows_others(enum special_use use)
{
	return use == SPECIAL_ALL || use == SPECIAL_FLAGGED || use == SPECIAL_IMPORTANT;
}

static enum special_use
use_said(const struct imap_mailbox *box)
{
	for (unsigned use = 1; use < SPECIAL_COUNT; use++)
		if ((box->uses >> use & 1) != 0)
			return (enum special_use)use;
	return SPECIAL_NONE;
}

static struct import_name *
find_use(const struct naming *n, enum special_use use)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->names[i].use == use)
			return &n->names[i];
	return NULL;
}

static struct import_name *
find_path(const struct naming *n, const char *path)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->names[i].left_out == NULL && strcmp(n->names[i].path, path) == 0)
			return &n->names[i];
	return NULL;
}

static void
find_uses(struct naming *n)
{
	for (size_t i = 0; i < n->count; i++) { /* each use once, the first that says it */
		enum special_use use = use_said(n->names[i].box);

		if (n->names[i].left_out == NULL && strcmp(n->names[i].path, "INBOX") != 0 &&
		    find_use(n, use) == NULL)
			n->names[i].use = use;
		n->names[i].rest_only = shows_others(use);
	}
	for (size_t w = 0; w < ARRAY_LEN(WELL_KNOWN); w++) {
		struct import_name *name = find_use(n, WELL_KNOWN[w].use);

		for (size_t k = 0; name == NULL && WELL_KNOWN[w].names[k] != NULL; k++) {
			name = find_path(n, WELL_KNOWN[w].names[k]);
			if (name != NULL && name->use == SPECIAL_NONE && !name->rest_only)
				name->use = WELL_KNOWN[w].use;
			else
				name = NULL;
		}
	}
}

/* --- the local name ----------------------------------------------------------------------------- */

static const char *
local_of_use(const struct naming *n, enum special_use use)
{
	for (size_t i = 0; i < n->here->count; i++)
		if (n->here->boxes[i].use == use &&
		    (n->here->boxes[i].attributes & MAILBOX_NONEXISTENT) == 0)
			return arena_strdup(n->arena, n->here->boxes[i].name);
	return NULL;
}

static bool
is_taken(const struct naming *n, const struct import_name *but, const char *local)
{
	for (size_t i = 0; i < n->count; i++)
		if (&n->names[i] != but && n->names[i].local != NULL &&
		    strcmp(n->names[i].local, local) == 0)
			return true;
	return false;
}

static void
map_uses(struct naming *n)
{
	for (size_t i = 0; i < n->count; i++) {
		struct import_name *name = &n->names[i];
		enum special_use use = name->use;
		const char *local;

		if (name->left_out != NULL || name->local != NULL)
			continue;
		/* What is in no other mailbox was archived: some providers have no other archive. */
		if (use == SPECIAL_ALL && find_use(n, SPECIAL_ARCHIVE) == NULL)
			use = SPECIAL_ARCHIVE;
		local = use != SPECIAL_NONE ? local_of_use(n, use) : NULL;
		if (local != NULL && !is_taken(n, name, local) &&
		    (find_path(n, local) == NULL || find_path(n, local) == name))
			name->local = local;
		else if (local != NULL)
			name->use = SPECIAL_NONE;
	}
}

/* Below a mailbox that has another name here: there too. */
static const char *
below_mapped(const struct naming *n, const char *path)
{
	for (size_t i = 0; i < n->count; i++) {
		const struct import_name *up = &n->names[i];
		size_t len = strlen(up->path);

		if (up->local != NULL && !up->rest_only && strcmp(up->local, up->path) != 0 &&
		    strncmp(up->path, path, len) == 0 && path[len] == '/')
			return arena_printf(n->arena, "%s%s", up->local, path + len);
	}
	return path;
}

static void
name_the_rest(struct naming *n)
{
	for (size_t i = 0; i < n->count; i++) {
		struct import_name *name = &n->names[i];
		const char *local;

		if (name->left_out != NULL || name->local != NULL)
			continue;
		local = below_mapped(n, name->path);
		for (unsigned k = 2; is_taken(n, name, local); k++)
			local = arena_printf(n->arena, "%s (%u)", name->path, k);
		name->local = local;
	}
}

/* INBOX first, what shows others last. */
static unsigned
rank(const struct import_name *name)
{
	if (name->rest_only)
		return 2;
	return strcmp(name->path, "INBOX") == 0 ? 0 : 1;
}

static void
put_in_order(struct naming *n)
{
	struct import_name *sorted = arena_alloc(n->arena, (n->count + 1) * sizeof(*sorted));
	size_t at = 0;

	for (unsigned r = 0; r <= 2; r++)
		for (size_t i = 0; i < n->count; i++)
			if (rank(&n->names[i]) == r)
				sorted[at++] = n->names[i];
	n->names = sorted;
}

void
import_names(const struct imap_mailboxes *boxes, const struct mailbox_list *here,
    const char *(*known)(void *arg, const char *name), void *arg, struct arena *arena,
    struct import_name **out)
{
	struct naming n = { boxes, here, arena,
		arena_zalloc(arena, (boxes->count + 1) * sizeof(*n.names)), boxes->count,
		guess_delimiter(boxes) };

	for (size_t i = 0; i < n.count; i++) {
		const struct imap_mailbox *box = &boxes->boxes[i];

		n.names[i].box = box;
		n.names[i].path = make_path(&n, box);
		if (!box->selectable)
			n.names[i].left_out = "it holds no messages, only other mailboxes";
		else if (box->space != NULL && !box->space->personal && *box->space->prefix != '\0')
			n.names[i].left_out = "it belongs to others";
	}
	find_uses(&n);
	for (size_t i = 0; i < n.count; i++) {
		const char *local =
		    n.names[i].left_out == NULL ? known(arg, boxes->boxes[i].name) : NULL;

		if (local != NULL)
			n.names[i].local = arena_strdup(arena, local);
	}
	map_uses(&n);
	name_the_rest(&n);
	put_in_order(&n);
	*out = n.names;
}
