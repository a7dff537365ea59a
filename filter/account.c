#include "filter/account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/config.h"
#include "filter/cache.h"
#include "store/account.h"
#include "store/account_aliases.h"
#include "store/account_db.h"
#include "store/account_lists.h"
#include "store/account_scripts.h"
#include "store/folder.h"
#include "store/root.h"
#include "store/sanger_mailbox.h"
#include "store/state.h"
#include "store/state_metadata.h"

#define ADDRESS_BOOK          "urn:ietf:params:sieve:addrbook:" /* RFC 6134 §6.2 */
#define GLOBAL_ENDING         ".sieve"
#define GLOBAL_NAME_MAX_BYTES 200

struct included {
	struct included *next;
	struct filter_cached *cached;
};

struct filter_account {
	struct filter_account_spec spec;
	struct filter_surroundings around;
	char *home_path;
	struct home *home;   /* opened when first needed */
	struct state *state; /* the same */
	int64_t account_id;  /* 0: not looked up yet */
	struct included *included;
};

/* --- what is opened ----------------------------------------------------------------------------- */

static enum filter_answer
answer(enum store_err err)
{
	return err == STORE_OK ? FILTER_YES : err == STORE_NOT_FOUND ? FILTER_NO : FILTER_FAILED;
}

/* NO: the account has no directory yet. */
static enum filter_answer
open_home(struct filter_account *fa)
{
	if (fa->home != NULL)
		return FILTER_YES;
	return answer(
	    home_open(fa->spec.root, fa->spec.localpart, fa->spec.domain, false, &fa->home));
}

static enum filter_answer
find_account(struct filter_account *fa)
{
	struct account_row row = { 0 };
	enum store_err err;

	if (fa->account_id != 0)
		return FILTER_YES;
	err = account_db_find(
	    fa->spec.accounts, str_from(fa->spec.localpart), str_from(fa->spec.domain), &row);
	if (err == STORE_OK)
		fa->account_id = row.id;
	account_row_free(&row);
	return answer(err);
}

/* NO: nothing has been noted yet. */
static enum filter_answer
open_state(struct filter_account *fa, bool create)
{
	enum filter_answer a;

	if (fa->state != NULL)
		return FILTER_YES;
	a = open_home(fa);
	if (a != FILTER_YES)
		return a;
	return answer(state_open(fa->home->fd, create, fa->spec.log, &fa->state));
}

struct state *
filter_account_state(struct filter_account *fa)
{
	if (fa->home == NULL)
		home_open(fa->spec.root, fa->spec.localpart, fa->spec.domain, true, &fa->home);
	if (fa->home == NULL || open_state(fa, true) != FILTER_YES)
		return NULL;
	return fa->state;
}

static int64_t
now(const struct filter_account *fa)
{
	return fa->spec.now != 0 ? fa->spec.now : (int64_t)time(NULL);
}

/* --- mailboxes ---------------------------------------------------------------------------------- */

static enum filter_answer
mailbox_exists(void *arg, const char *mailbox)
{
	struct filter_account *fa = arg;
	enum filter_answer a;

	if (mailbox_name_is_inbox(mailbox))
		return FILTER_YES; /* delivery makes it */
	a = open_home(fa);
	if (a != FILTER_YES)
		return a;
	return folder_exists(fa->home, mailbox) ? FILTER_YES : FILTER_NO;
}

static enum filter_answer
mailbox_by_use(void *arg, struct arena *a, const char *use, const char **mailbox_out)
{
	struct filter_account *fa = arg;
	struct store_options options = { .mail_root = fa->spec.mail_root, .log = fa->spec.log };
	struct store *store;
	struct account *mail = NULL;
	struct buf name = { 0 };
	enum special_use parsed;
	enum store_err err;

	if (!special_use_parse(use, &parsed))
		return FILTER_NO;
	store = store_open(&options);
	if (store == NULL)
		return FILTER_FAILED;
	err = account_open(store, fa->spec.localpart, fa->spec.domain, 0, &mail);
	if (err == STORE_OK)
		err = account_find_special(mail, parsed, &name);
	if (err == STORE_OK && name.len == 0)
		err = STORE_NOT_FOUND;
	if (err == STORE_OK)
		*mailbox_out = arena_strndup(a, name.data, name.len);
	buf_free(&name);
	account_close(mail);
	store_close(store);
	return answer(err);
}

/* The mailbox's MAILBOXID; NO: it has none yet, or there is no such mailbox. */
static enum filter_answer
read_id(struct filter_account *fa, const char *mailbox, char id_out[SANGER_MAILBOX_ID_BYTES])
{
	struct sanger_mailbox file = { 0 };
	struct maildir dir;
	enum store_err err;

	err = maildir_open(fa->home, mailbox, &dir);
	if (err == STORE_INVALID)
		return FILTER_NO;
	if (err != STORE_OK)
		return answer(err);
	err = sanger_mailbox_read(fa->home, dir.fd, &file);
	if (err == STORE_OK) {
		memcpy(id_out, file.mailbox_id, SANGER_MAILBOX_ID_BYTES);
		sanger_mailbox_free(&file);
	}
	maildir_close(&dir);
	return answer(err);
}

static enum filter_answer
mailbox_by_id(void *arg, struct arena *a, const char *id, const char **mailbox_out)
{
	struct filter_account *fa = arg;
	struct folder_list folders = { 0 };
	enum filter_answer found = open_home(fa);

	if (found != FILTER_YES)
		return found;
	if (folder_list(fa->home, &folders) != STORE_OK)
		return FILTER_FAILED;
	found = FILTER_NO;
	for (size_t i = 0; i < folders.count && found == FILTER_NO; i++) {
		char other[SANGER_MAILBOX_ID_BYTES];

		if (!folders.items[i].selectable)
			continue;
		found = read_id(fa, folders.items[i].name, other);
		if (found == FILTER_YES && strcmp(other, id) != 0)
			found = FILTER_NO;
		else if (found == FILTER_YES)
			*mailbox_out = arena_strdup(a, folders.items[i].name);
	}
	folder_list_free(&folders);
	return found;
}

/* Two of the server's annotations are settings, as IMAP shows them (RFC 5464 §6.2). */
static bool
is_administrators(const struct filter_account *fa, const char *annotation, const char **said_out)
{
	bool admin = ascii_eq_nocase(annotation, "/shared/admin");

	if (!admin && !ascii_eq_nocase(annotation, "/shared/comment"))
		return false;
	*said_out = admin ? fa->spec.server_admin : fa->spec.server_comment;
	if (*said_out != NULL && **said_out == '\0')
		*said_out = NULL;
	return true;
}

static enum filter_answer
metadata(
    void *arg, struct arena *a, const char *mailbox, const char *annotation, struct str *value_out)
{
	struct filter_account *fa = arg;
	char id[SANGER_MAILBOX_ID_BYTES];
	enum filter_answer found;
	const char *said;

	if (mailbox == NULL && is_administrators(fa, annotation, &said)) {
		*value_out = said != NULL ? str_from(said) : (struct str){ NULL, 0 };
		return said != NULL ? FILTER_YES : FILTER_NO;
	}
	found = open_state(fa, false);
	if (found == FILTER_YES && mailbox != NULL)
		found = read_id(fa, mailbox, id);
	if (found != FILTER_YES)
		return found;
	return answer(
	    state_metadata_get(fa->state, a, mailbox != NULL ? id : NULL, annotation, value_out));
}

/* --- scripts ------------------------------------------------------------------------------------ */

/* Keeps the compiled form until the account is closed. */
static enum filter_answer
compile(struct filter_account *fa, struct arena *a, struct str text,
    const struct filter **filter_out, const char **why_out)
{
	struct filter_error error;
	struct filter_cached *cached;
	struct included *i;

	*filter_out = NULL;
	switch (filter_cache_get(fa->spec.cache, text, &cached, &error)) {
	case FILTER_OK: break;
	case FILTER_COMPILE_ERROR:
	case FILTER_RUN_ERROR:
		*why_out = arena_printf(a, "line %u: %s", error.line, error.text);
		return FILTER_YES;
	case FILTER_TEMPFAIL: return FILTER_FAILED;
	}
	i = mem_zalloc(sizeof(*i));
	*i = (struct included){ fa->included, cached };
	fa->included = i;
	*filter_out = filter_cached_filter(cached);
	return FILTER_YES;
}

static enum filter_answer
personal_script(struct filter_account *fa, struct arena *a, const char *name,
    const struct filter **filter_out, const char **why_out)
{
	struct account_script script;
	enum filter_answer found = find_account(fa);

	if (found != FILTER_YES)
		return found;
	found = answer(account_script_get(fa->spec.accounts, fa->account_id, name, &script));
	if (found == FILTER_YES)
		found = compile(
		    fa, a, (struct str){ script.text, script.text_len }, filter_out, why_out);
	account_script_clear(&script);
	return found;
}

/* A name is one file of the directory: no '/', no dot in front. */
static bool
global_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= GLOBAL_NAME_MAX_BYTES && name[0] != '.' &&
	       strchr(name, '/') == NULL;
}

/* The file's errno, or 0. */
static int
read_text(const char *path, struct buf *text)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a FIFO keeps nobody waiting */
	ssize_t got = -1;
	struct stat sb;
	int err;

	if (fd < 0)
		return errno;
	buf_reserve(text, FILTER_TEXT_MAX_BYTES + 1); /* one more: too large is said by compile() */
	errno = EINVAL;
	if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode))
		while ((got = read(
			    fd, text->data + text->len, FILTER_TEXT_MAX_BYTES + 1 - text->len)) > 0)
			text->len += (size_t)got;
	err = got < 0 ? errno : 0;
	close(fd);
	return err;
}

/* What waiting does not mend (no regular file, no permission) is a mistake in the filter that asks for it, and its mail
 * goes to INBOX; YES with *why_out.  What may pass is tried again later. */
static enum filter_answer
read_file(struct filter_account *fa, const char *path, struct buf *text, const char **why_out)
{
	static const int LASTING[] = { EINVAL, EACCES, EPERM, ELOOP, ENOTDIR, ENXIO };
	int err = read_text(path, text);

	*why_out = NULL;
	if (err == 0)
		return FILTER_YES;
	if (err == ENOENT)
		return FILTER_NO;
	log_error(fa->spec.log, "filter-global", "file=%s error=%s", path,
	    err == EINVAL ? "not a regular file" : strerror(err));
	for (size_t i = 0; i < ARRAY_LEN(LASTING); i++)
		if (err == LASTING[i])
			*why_out = "it cannot be read";
	return *why_out != NULL ? FILTER_YES : FILTER_FAILED;
}

static enum filter_answer
global_script(struct filter_account *fa, struct arena *a, const char *name,
    const struct filter **filter_out, const char **why_out)
{
	struct buf text = { 0 };
	enum filter_answer found;
	char *path;

	if (fa->spec.global_dir == NULL || !global_name_is_valid(name))
		return FILTER_NO;
	path = mem_printf("%s/%s" GLOBAL_ENDING, fa->spec.global_dir, name);
	*filter_out = NULL;
	found = read_file(fa, path, &text, why_out);
	if (found == FILTER_YES && *why_out == NULL)
		found = compile(fa, a, (struct str){ text.data, text.len }, filter_out, why_out);
	free(path);
	buf_free(&text);
	return found;
}

static enum filter_answer
script(void *arg, struct arena *a, enum filter_script_place place, const char *name,
    const struct filter **filter_out, const char **why_out)
{
	return place == FILTER_GLOBAL ? global_script(arg, a, name, filter_out, why_out)
				      : personal_script(arg, a, name, filter_out, why_out);
}

/* --- lists -------------------------------------------------------------------------------------- */

/* RFC 6134 §6.2: "urn:ietf:params:sieve:addrbook:NAME" is an address book of the account, here the list NAME. */
static const char *
list_name(const char *list)
{
	struct str s = str_from(list);

	return str_has_prefix_nocase(s, STR(ADDRESS_BOOK)) ? list + strlen(ADDRESS_BOOK) : list;
}

static enum filter_answer
list_exists(void *arg, const char *list)
{
	struct filter_account *fa = arg;
	enum filter_answer found = find_account(fa);

	if (found != FILTER_YES)
		return found;
	return answer(account_list_exists(fa->spec.accounts, fa->account_id, list_name(list)));
}

static enum filter_answer
list_has(void *arg, const char *list, struct str value)
{
	struct filter_account *fa = arg;
	enum filter_answer found = find_account(fa);

	if (found != FILTER_YES)
		return found;
	return answer(account_list_has(fa->spec.accounts, fa->account_id, list_name(list), value));
}

static enum filter_answer
list_members(
    void *arg, struct arena *a, const char *list, const char ***members_out, size_t *count_out)
{
	struct filter_account *fa = arg;
	enum filter_answer found = find_account(fa);
	char **members;
	size_t count;

	if (found != FILTER_YES)
		return found;
	found = answer(account_list_members(
	    fa->spec.accounts, fa->account_id, list_name(list), &members, &count));
	if (found != FILTER_YES)
		return found;
	*members_out = arena_alloc(a, (count + 1) * sizeof(**members_out));
	for (size_t i = 0; i < count; i++)
		(*members_out)[i] = arena_strdup(a, members[i]);
	(*members_out)[count] = NULL;
	*count_out = count;
	account_texts_free(members, count);
	return FILTER_YES;
}

/* --- the rest ----------------------------------------------------------------------------------- */

static enum filter_answer
remembered(void *arg, const char *key)
{
	struct filter_account *fa = arg;
	enum filter_answer found = open_state(fa, false);
	bool is;

	if (found != FILTER_YES)
		return found;
	if (state_remembered(fa->state, key, now(fa), &is) != STORE_OK)
		return FILTER_FAILED;
	return is ? FILTER_YES : FILTER_NO;
}

/* The account's address or an alias of it, with or without a detail.  What the relay calls the account beside these is its
 * own: it knows, we do not. */
static enum filter_answer
is_own_address(void *arg, struct str address)
{
	struct filter_account *fa = arg;
	const struct account_resolve_rules rules = {
		.delimiter = fa->spec.settings != NULL ? fa->spec.settings->detail_delimiter : '+',
	};
	enum filter_answer found = find_account(fa);

	if (found != FILTER_YES)
		return found;
	return answer(account_owns_address(fa->spec.accounts, fa->account_id, &rules, address));
}

struct filter_account *
filter_account_open(const struct filter_account_spec *spec)
{
	struct filter_account *fa = mem_zalloc(sizeof(*fa));

	fa->spec = *spec;
	if (spec->mail_root != NULL)
		fa->home_path =
		    mem_printf("%s/%s/%s", spec->mail_root, spec->domain, spec->localpart);
	fa->around = (struct filter_surroundings){
		.arg = fa,
		.mailbox_exists = mailbox_exists,
		.mailbox_by_use = spec->mail_root != NULL ? mailbox_by_use : NULL,
		.mailbox_by_id = mailbox_by_id,
		.metadata = metadata,
		.script = script,
		.list_exists = list_exists,
		.list_has = list_has,
		.list_members = list_members,
		.remembered = remembered,
		.is_own_address = is_own_address,
		.home = fa->home_path,
		.settings = spec->settings,
	};
	return fa;
}

void
filter_account_close(struct filter_account *fa)
{
	if (fa == NULL)
		return;
	while (fa->included != NULL) {
		struct included *i = fa->included;

		fa->included = i->next;
		filter_cache_release(fa->spec.cache, i->cached);
		free(i);
	}
	state_close(fa->state);
	home_close(fa->home);
	free(fa->home_path);
	free(fa);
}

const struct filter_surroundings *
filter_account_around(struct filter_account *fa)
{
	return &fa->around;
}

/* --- settings ----------------------------------------------------------------------------------- */

struct filter_account_spec
filter_account_spec_of(const struct config *config)
{
	return (struct filter_account_spec){
		.mail_root = config_string(config, "store.mail_root"),
		.global_dir = config_string(config, "filter.global_dir"),
		.server_admin = config_string(config, "imapd.server_admin"),
		.server_comment = config_string(config, "imapd.server_comment"),
	};
}

struct filter_settings *
filter_settings_new(const struct config *config)
{
	size_t count = config_count(config, "filter.protected_headers");
	const char **headers = mem_zalloc((count + 1) * sizeof(*headers));
	const char *delimiter = config_string(config, "lda.detail_delimiter");
	struct filter_settings *s = mem_zalloc(sizeof(*s));

	for (size_t i = 0; i < count; i++)
		headers[i] = config_string_at(config, "filter.protected_headers", i);
	*s = (struct filter_settings){
		.vacation_min_seconds = config_duration_s(config, "filter.vacation_min_period"),
		.vacation_max_seconds = config_duration_s(config, "filter.vacation_max_period"),
		.vacation_default_seconds = config_duration_s(config, "filter.vacation_period"),
		.spam_header = config_string(config, "filter.spam_header"),
		.spam_max = config_string(config, "filter.spam_max"),
		.virus_header = config_string(config, "filter.virus_header"),
		.protected_headers = headers,
		.detail_delimiter = delimiter != NULL ? *delimiter : '\0',
		.qualify_domain = config_string(config, "auth.default_domain"),
	};
	return s;
}

void
filter_settings_free(struct filter_settings *settings)
{
	if (settings == NULL)
		return;
	free((void *)settings->protected_headers);
	free(settings);
}

void
filter_script_limits(const struct config *config, struct account_script_limits *limits_out)
{
	*limits_out = (struct account_script_limits){
		.scripts_max = config_integer(config, "filter.scripts_max"),
		.bytes_max = config_size(config, "filter.script_bytes_max"),
	};
}
