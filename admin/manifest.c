#include "admin/manifest.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/command.h"
#include "base/buf.h"
#include "store/dir.h"
#include "store/maildir_name.h"

#define NS_PER_S INT64_C(1000000000)

struct manifest_entry *
manifest_add(struct manifest *m, const struct manifest_entry *entry)
{
	if (m->count == m->cap) {
		m->cap = m->cap == 0 ? 64 : 2 * m->cap;
		m->entries = mem_realloc_array(m->entries, m->cap, sizeof(*m->entries));
	}
	m->entries[m->count] = *entry;
	m->entries[m->count].path = arena_strdup(&m->arena, entry->path);
	return &m->entries[m->count++];
}

void
manifest_free(struct manifest *m)
{
	arena_free(&m->arena);
	free(m->entries);
	free(m->by_name);
	free(m->by_source);
	*m = (struct manifest){ 0 };
}

/* --- finding ------------------------------------------------------------------------------------ */

bool
manifest_path_is_message(const char *path, struct str *folder_out, struct str *unique_out)
{
	const char *rest = path, *slash;
	struct maildir_name name;

	if (*rest == '.') {
		slash = strchr(rest, '/');
		if (slash == NULL)
			return false;
		rest = slash + 1;
	}
	if (strncmp(rest, "cur/", 4) != 0 && strncmp(rest, "new/", 4) != 0)
		return false;
	if (!maildir_name_parse(str_from(rest + 4), &name))
		return false;
	*folder_out = (struct str){ path, (size_t)(rest - path) };
	*unique_out = name.unique;
	return true;
}

static uint64_t
hash(uint64_t h, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return h;
}

static uint64_t
finish_hash(uint64_t h)
{
	return (h ^ h >> 29) * UINT64_C(0x9E3779B97F4A7C15) >> 8;
}

/* By folder and unique part; what is no message by its path. */
static uint64_t
hash_name(struct str folder, struct str unique)
{
	uint64_t h = hash(UINT64_C(1469598103934665603), folder.p, folder.len);

	return finish_hash(hash(h, unique.p, unique.len));
}

static uint64_t
hash_path(const char *path)
{
	struct str folder, unique;

	if (manifest_path_is_message(path, &folder, &unique))
		return hash_name(folder, unique);
	return hash_name(STR(""), str_from(path));
}

static uint64_t
hash_source(uint64_t inode, int64_t born_ns)
{
	uint64_t h = hash(UINT64_C(1469598103934665603), &inode, sizeof(inode));

	return finish_hash(hash(h, &born_ns, sizeof(born_ns)));
}

/* Entry i is i + 1 in the tables; 0 is a free place. */
static void
put_in_table(const struct manifest *m, uint32_t *table, uint64_t h, size_t i)
{
	while (table[h & (m->table_size - 1)] != 0)
		h++;
	table[h & (m->table_size - 1)] = (uint32_t)(i + 1);
}

static void
make_tables(struct manifest *m)
{
	if (m->table_size != 0)
		return;
	m->table_size = 64;
	while (m->table_size < 2 * m->count)
		m->table_size *= 2;
	m->by_name = mem_zalloc(m->table_size * sizeof(uint32_t));
	m->by_source = mem_zalloc(m->table_size * sizeof(uint32_t));
	for (size_t i = 0; i < m->count; i++) {
		const struct manifest_entry *e = &m->entries[i];

		put_in_table(m, m->by_name, hash_path(e->path), i);
		if (e->inode != 0)
			put_in_table(m, m->by_source, hash_source(e->inode, e->born_ns), i);
	}
}

/* The next entry at or behind *h; NULL at the end of the run. */
static const struct manifest_entry *
next_in_table(const struct manifest *m, const uint32_t *table, uint64_t *h)
{
	uint32_t at = table[(*h)++ & (m->table_size - 1)];

	return at == 0 ? NULL : &m->entries[at - 1];
}

const struct manifest_entry *
manifest_find_message(
    struct manifest *m, struct str folder, struct str unique, uint64_t size, int64_t mtime_ns)
{
	uint64_t h = hash_name(folder, unique);
	const struct manifest_entry *e;

	make_tables(m);
	while ((e = next_in_table(m, m->by_name, &h)) != NULL) {
		struct str its_folder, its_unique;

		if (e->size == size && e->mtime_ns == mtime_ns &&
		    manifest_path_is_message(e->path, &its_folder, &its_unique) &&
		    str_eq(its_folder, folder) && str_eq(its_unique, unique))
			return e;
	}
	return NULL;
}

const struct manifest_entry *
manifest_find_source(
    struct manifest *m, uint64_t inode, int64_t born_ns, uint64_t size, int64_t mtime_ns)
{
	uint64_t h = hash_source(inode, born_ns);
	const struct manifest_entry *e;

	if (inode == 0 || born_ns == 0)
		return NULL; /* an inode number alone is used again */
	make_tables(m);
	while ((e = next_in_table(m, m->by_source, &h)) != NULL)
		if (e->inode == inode && e->born_ns == born_ns && e->size == size &&
		    e->mtime_ns == mtime_ns)
			return e;
	return NULL;
}

const struct manifest_entry *
manifest_find_path(struct manifest *m, const char *path)
{
	uint64_t h = hash_path(path);
	const struct manifest_entry *e;

	make_tables(m);
	while ((e = next_in_table(m, m->by_name, &h)) != NULL)
		if (strcmp(e->path, path) == 0)
			return e;
	return NULL;
}

/* --- writing ------------------------------------------------------------------------------------ */

void
manifest_format_head(struct buf *out, int64_t taken_s)
{
	buf_printf(out, "%staken %" PRId64 "\n", MANIFEST_FIRST_LINE, taken_s);
}

void
manifest_format_entry(struct buf *out, const struct manifest_entry *e)
{
	int64_t s = e->mtime_ns / NS_PER_S, ns = e->mtime_ns % NS_PER_S;

	if (ns < 0) {
		ns += NS_PER_S;
		s--;
	}
	hex_encode(out, e->digest.bytes, FILE_DIGEST_BYTES);
	buf_printf(out, " %" PRIu64 " %" PRId64 ".%09" PRId64 " ", e->size, s, ns);
	if (e->inode != 0)
		buf_printf(out, "%" PRIu64 ".%" PRId64 " ", e->inode, e->born_ns);
	else
		buf_adds(out, "- ");
	for (const char *p = e->path; *p != '\0'; p++) {
		if (*p == '\n')
			buf_adds(out, "\\n");
		else if (*p == '\\')
			buf_adds(out, "\\\\");
		else
			buf_addc(out, *p);
	}
	buf_addc(out, '\n');
}

void
manifest_format(struct buf *out, const struct manifest *m)
{
	manifest_format_head(out, m->taken_s);
	for (size_t i = 0; i < m->count; i++)
		manifest_format_entry(out, &m->entries[i]);
	buf_printf(out, "end %zu\n", m->count);
}

/* --- reading ------------------------------------------------------------------------------------ */

static bool
take_i64(struct cursor *c, int64_t *value_out)
{
	bool negative = cursor_take(c, '-');
	uint64_t value;

	if (!cursor_take_u64(c, &value) || value > INT64_MAX)
		return false;
	*value_out = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/* Seconds "." nine digits. */
static bool
take_time(struct cursor *c, int64_t *ns_out)
{
	const char *digits;
	uint64_t ns;
	int64_t s;

	if (!take_i64(c, &s) || !cursor_take(c, '.'))
		return false;
	digits = c->p;
	if (!cursor_take_u64(c, &ns) || c->p - digits != 9 || s > INT64_MAX / NS_PER_S - 1 ||
	    s < INT64_MIN / NS_PER_S + 1)
		return false;
	*ns_out = s * NS_PER_S + (int64_t)ns;
	return true;
}

static bool
take_source(struct cursor *c, struct manifest_entry *e)
{
	if (cursor_take(c, '-'))
		return true;
	return cursor_take_u64(c, &e->inode) && cursor_take(c, '.') && take_i64(c, &e->born_ns);
}

/* Nothing that leads out of the directory. */
static bool
path_is_safe(const char *path)
{
	const char *p = path;

	if (*p == '\0' || strlen(path) > MANIFEST_PATH_MAX_BYTES)
		return false;
	for (;;) {
		size_t len = strcspn(p, "/");

		if (len == 0 || (len == 1 && p[0] == '.') || (len == 2 && memcmp(p, "..", 2) == 0))
			return false;
		if (p[len] == '\0')
			return true;
		p += len + 1;
	}
}

static bool
take_path(struct cursor *c, struct buf *path)
{
	buf_reset(path);
	while (!cursor_at_end(c)) {
		char ch = *c->p++;

		if (ch == '\0')
			return false;
		if (ch == '\\') {
			if (cursor_take(c, 'n'))
				ch = '\n';
			else if (!cursor_take(c, '\\'))
				return false;
		}
		buf_addc(path, ch);
	}
	return path_is_safe(buf_cstr(path));
}

static bool
parse_entry(struct str line, struct buf *scratch, struct manifest *m)
{
	struct cursor c = cursor_from(line);
	struct manifest_entry e = { 0 };
	struct buf digest = { 0 };
	bool ok = line.len > 2 * FILE_DIGEST_BYTES &&
		  hex_decode(&digest, (struct str){ line.p, 2 * FILE_DIGEST_BYTES });

	if (ok) {
		memcpy(e.digest.bytes, digest.data, FILE_DIGEST_BYTES);
		c.p += 2 * FILE_DIGEST_BYTES;
		ok = cursor_take(&c, ' ') && cursor_take_u64(&c, &e.size) && cursor_take(&c, ' ') &&
		     take_time(&c, &e.mtime_ns) && cursor_take(&c, ' ') && take_source(&c, &e) &&
		     cursor_take(&c, ' ') && take_path(&c, scratch) && m->count < UINT32_MAX - 1;
	}
	buf_free(&digest);
	if (!ok)
		return false;
	e.path = buf_cstr(scratch);
	manifest_add(m, &e);
	return true;
}

static bool
parse_lines(struct cursor *c, struct manifest *m, size_t *line_out)
{
	struct buf scratch = { 0 };
	struct str line;
	bool ok = true;
	uint64_t count;

	while (ok && !m->whole && cursor_take_line(c, &line)) {
		(*line_out)++;
		if (line.p + line.len == c->end) { /* cut off: it has no LF */
			ok = false;
		} else if (str_has_prefix(line, STR("end "))) {
			m->whole = text_u64((struct str){ line.p + 4, line.len - 4 }, UINT32_MAX,
				       &count) &&
				   count == m->count;
			ok = m->whole;
		} else {
			ok = parse_entry(line, &scratch, m);
		}
	}
	buf_free(&scratch);
	return ok && cursor_at_end(c);
}

bool
manifest_parse(struct str text, bool whole, struct manifest *m_out, size_t *line_out)
{
	struct cursor c = cursor_from(text);
	struct str line;
	uint64_t taken;
	bool ok;

	*m_out = (struct manifest){ 0 };
	*line_out = 1;
	if (!str_has_prefix(text, STR(MANIFEST_FIRST_LINE)))
		return false;
	cursor_take_line(&c, &line);
	*line_out = 2;
	if (!cursor_take_line(&c, &line) || !str_has_prefix(line, STR("taken ")))
		return false;
	line.p += 6;
	line.len -= 6;
	if (!text_u64(line, INT64_MAX, &taken))
		return false;
	m_out->taken_s = (int64_t)taken;
	ok = parse_lines(&c, m_out, line_out);
	if (!whole)
		return true;
	if (ok && m_out->whole)
		return true;
	manifest_free(m_out);
	return false;
}

enum store_err
manifest_read(
    int at_fd, const char *path, bool whole, struct manifest *m_out, struct file_digest *digest_out)
{
	struct buf text = { 0 };
	enum store_err err = dir_read_file(at_fd, path, MANIFEST_MAX_BYTES, &text);
	struct str bytes = { text.data, text.len };
	size_t line;

	*m_out = (struct manifest){ 0 };
	if (err == STORE_OK && digest_out != NULL)
		file_digest_str(bytes, digest_out);
	if (err == STORE_OK && !manifest_parse(bytes, whole, m_out, &line)) {
		admin_refuse("%s: damaged in line %zu", path, line);
		err = STORE_CORRUPT;
	} else if (err != STORE_OK && err != STORE_NOT_FOUND) {
		admin_result(err, path);
	}
	buf_free(&text);
	return err;
}
