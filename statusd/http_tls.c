#include "statusd/http_tls.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/tls.h"
#include "service/service.h"

#define PEM_MAX_BYTES  (256 * 1024)
#define NAMES_MAX      1000
#define CHAIN_MAX      16
#define NAME_MAX_BYTES 256

struct identity { /* as the files have it */
	char *name;
	struct buf certificate, key;
};

struct identities {
	struct identity *list; /* the default first */
	size_t count;
};

struct http_tls {
	struct service *sv;
	struct identities now;
	struct identities next; /* of the job that is reading; it alone has it */
	bool next_whole;        /* nothing was broken */
	unsigned broken;        /* checks in a row that found something so */
	struct net_timer *timer;
};

#define BROKEN_SAID_EVERY 60 /* checks, so hourly: what is broken stays so until somebody acts */

/* --- reading ------------------------------------------------------------------------------------ */

static void
identity_free(struct identity *id)
{
	if (id->key.len > 0)
		mem_wipe(id->key.data, id->key.len);
	buf_free(&id->key);
	buf_free(&id->certificate);
	free(id->name);
}

static void
identities_free(struct identities *all)
{
	for (size_t i = 0; i < all->count; i++)
		identity_free(&all->list[i]);
	free(all->list);
	*all = (struct identities){ 0 };
}

static const struct log *
log_of(const struct http_tls *tls)
{
	return tls->broken % BROKEN_SAID_EVERY == 0 ? tls->sv->log : NULL;
}

static bool
read_pem(const struct http_tls *tls, const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t got = -1;

	if (fd >= 0 && fstat(fd, &st) == 0) {
		errno = EFBIG;
		if (st.st_size <= PEM_MAX_BYTES) {
			buf_reserve(out, PEM_MAX_BYTES);
			got = read(fd, out->data, PEM_MAX_BYTES);
		}
	}
	if (got < 0)
		log_error(log_of(tls), "certificate", "path=%s error=%s", path, strerror(errno));
	else
		out->len = (size_t)got;
	if (fd >= 0)
		close(fd);
	return got >= 0;
}

static gnutls_datum_t
datum(const struct buf *b)
{
	return (gnutls_datum_t){ (unsigned char *)b->data, (unsigned)b->len };
}

/* Can they be read, and do they belong together? */
static bool
is_good(const struct http_tls *tls, const struct identity *id, const char *path)
{
	gnutls_datum_t certificate = datum(&id->certificate), key = datum(&id->key);
	gnutls_certificate_credentials_t both;
	int rc = gnutls_certificate_allocate_credentials(&both);

	if (rc < 0)
		return false;
	rc = gnutls_certificate_set_x509_key_mem(both, &certificate, &key, GNUTLS_X509_FMT_PEM);
	gnutls_certificate_free_credentials(both);
	if (rc < 0)
		log_error(
		    log_of(tls), "certificate", "path=%s error=%s", path, gnutls_strerror(rc));
	return rc >= 0;
}

static bool
add_identity(const struct http_tls *tls, struct identities *all, const char *name,
    const char *certificate, const char *key)
{
	struct identity id = { .name = mem_strdup(name) };

	if (!read_pem(tls, certificate, &id.certificate) || !read_pem(tls, key, &id.key) ||
	    !is_good(tls, &id, certificate)) {
		identity_free(&id);
		return false;
	}
	all->list = mem_realloc_array(all->list, all->count + 1, sizeof(*all->list));
	all->list[all->count++] = id;
	return true;
}

/* NAME.crt with NAME.key, or NAME/fullchain.pem with NAME/privkey.pem; other entries are passed over. */
static bool
add_entry(const struct http_tls *tls, struct identities *all, const char *dir, const char *entry)
{
	size_t len = strlen(entry);
	char *name, *certificate, *key;
	bool ok = true;

	if (*entry == '.' || len > NAME_MAX_BYTES)
		return true;
	if (len > 4 && strcmp(entry + len - 4, ".crt") == 0) {
		name = mem_strndup(entry, len - 4);
		certificate = mem_printf("%s/%s", dir, entry);
		key = mem_printf("%s/%s.key", dir, name);
	} else {
		name = mem_strdup(entry);
		certificate = mem_printf("%s/%s/fullchain.pem", dir, entry);
		key = mem_printf("%s/%s/privkey.pem", dir, entry);
	}
	if (access(certificate, F_OK) == 0)
		ok = add_identity(tls, all, name, certificate, key);
	free(name);
	free(certificate);
	free(key);
	return ok;
}

static bool
add_directory(const struct http_tls *tls, struct identities *all, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool ok = true;

	if (dir == NULL) {
		log_error(log_of(tls), "certificate", "path=%s error=%s", path, strerror(errno));
		return false;
	}
	while (all->count <= NAMES_MAX && (entry = readdir(dir)) != NULL)
		ok = add_entry(tls, all, path, entry->d_name) && ok;
	closedir(dir);
	return ok;
}

/* False if anything was broken; what is good is in all_out: nothing at all without the default. */
static bool
read_all(const struct http_tls *tls, struct identities *all_out)
{
	const struct config *c = tls->sv->config;
	const char *dir = config_string(c, "tls.sni_dir");

	return add_identity(tls, all_out, "", config_string(c, "tls.certificate"),
		   config_string(c, "tls.key")) &&
	       (dir == NULL || *dir == '\0' || add_directory(tls, all_out, dir));
}

/* --- reading again ------------------------------------------------------------------------------ */

static bool
is_same(const struct identities *a, const struct identities *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct identity *x = &a->list[i], *y = &b->list[i];

		if (strcmp(x->name, y->name) != 0 || x->certificate.len != y->certificate.len ||
		    x->key.len != y->key.len ||
		    memcmp(x->certificate.data, y->certificate.data, x->certificate.len) != 0 ||
		    memcmp(x->key.data, y->key.data, x->key.len) != 0)
			return false;
	}
	return true;
}

static void
run_check(void *arg)
{
	struct http_tls *tls = arg;

	tls->next_whole = read_all(tls, &tls->next);
}

static const struct identity *
find_name(const struct identities *all, const char *name)
{
	for (size_t i = 1; i < all->count; i++)
		if (ascii_eq_nocase(all->list[i].name, name))
			return &all->list[i];
	return NULL;
}

static void
add_copy(struct identities *all, const struct identity *id)
{
	struct identity copy = { .name = mem_strdup(id->name) };

	buf_add(&copy.certificate, id->certificate.data, id->certificate.len);
	buf_add(&copy.key, id->key.data, id->key.len);
	all->list = mem_realloc_array(all->list, all->count + 1, sizeof(*all->list));
	all->list[all->count++] = copy;
}

/* Of what is broken now, the old stays. */
static void
keep_missing(struct http_tls *tls)
{
	for (size_t i = 1; i < tls->now.count; i++)
		if (find_name(&tls->next, tls->now.list[i].name) == NULL)
			add_copy(&tls->next, &tls->now.list[i]);
}

static void
on_checked(void *arg)
{
	struct http_tls *tls = arg;

	tls->broken = tls->next_whole ? 0 : tls->broken + 1;
	if (tls->next.count > 0 && !tls->next_whole)
		keep_missing(tls);
	if (tls->next.count > 0 && !is_same(&tls->now, &tls->next)) {
		struct identities old = tls->now;

		tls->now = tls->next;
		tls->next = old;
		log_info(tls->sv->log, "certificate", "result=%s", "changed files taken over");
	}
	identities_free(&tls->next);
	net_timer_start_s(tls->timer, NET_TLS_CHECK_S);
}

static void
on_check_time(void *arg)
{
	struct http_tls *tls = arg;

	net_job_run(tls->sv->loop, run_check, on_checked, tls);
}

struct http_tls *
http_tls_new(struct service *sv)
{
	struct http_tls *tls = mem_zalloc(sizeof(*tls));

	tls->sv = sv;
	if (!read_all(tls, &tls->now) && tls->now.count == 0) {
		http_tls_free(tls);
		return NULL;
	}
	tls->timer = net_timer_new(sv->loop, on_check_time, tls);
	net_timer_start_s(tls->timer, NET_TLS_CHECK_S);
	return tls;
}

void
http_tls_free(struct http_tls *tls)
{
	if (tls == NULL)
		return;
	net_timer_free(tls->timer);
	identities_free(&tls->now);
	identities_free(&tls->next);
	free(tls);
}

/* --- handshakes --------------------------------------------------------------------------------- */

const char *
http_tls_priorities(const struct service *sv)
{
	return strcmp(config_string(sv->config, "tls.min_version"), "1.3") == 0
		   ? "NORMAL:-VERS-ALL:+VERS-TLS1.3"
		   : "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2";
}

/* The name that the client asks for; empty without SNI (RFC 6066 §3). */
static void
asked_name(gnutls_session_t session, char name[static NAME_MAX_BYTES])
{
	size_t len = NAME_MAX_BYTES;
	unsigned type;

	if (gnutls_server_name_get(session, name, &len, &type, 0) != GNUTLS_E_SUCCESS ||
	    type != GNUTLS_NAME_DNS)
		*name = '\0';
}

/* An exact name, then "*.rest", then the default. */
static const struct identity *
choose(const struct identities *all, const char *name)
{
	const struct identity *found = find_name(all, name);
	const char *dot = strchr(name, '.');
	char wild[NAME_MAX_BYTES + 2];

	if (found == NULL && dot != NULL) {
		wild[0] = '*';
		memcpy(wild + 1, dot, strlen(dot) + 1);
		found = find_name(all, wild);
	}
	return found != NULL ? found : &all->list[0];
}

int
http_tls_choose(struct http_tls *tls, gnutls_session_t session, gnutls_pcert_st **chain_out,
    unsigned *chain_len_out, gnutls_privkey_t *key_out)
{
	char name[NAME_MAX_BYTES];
	const struct identity *id;
	gnutls_datum_t certificate, key;
	gnutls_pcert_st *chain = gnutls_malloc(CHAIN_MAX * sizeof(*chain));
	unsigned count = CHAIN_MAX;

	asked_name(session, name);
	id = choose(&tls->now, name);
	certificate = datum(&id->certificate);
	key = datum(&id->key);
	if (chain == NULL)
		return -1;
	if (gnutls_pcert_list_import_x509_raw(chain, &count, &certificate, GNUTLS_X509_FMT_PEM, 0) <
	    0) {
		gnutls_free(chain);
		return -1;
	}
	if (gnutls_privkey_init(key_out) < 0 ||
	    gnutls_privkey_import_x509_raw(*key_out, &key, GNUTLS_X509_FMT_PEM, NULL, 0) < 0) {
		for (unsigned i = 0; i < count; i++)
			gnutls_pcert_deinit(&chain[i]);
		gnutls_free(chain);
		return -1;
	}
	*chain_out = chain;
	*chain_len_out = count;
	return 0;
}
