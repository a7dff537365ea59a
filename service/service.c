#include "service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/settings.h"
#include "net/loop.h"
#include "net/sandbox.h"
#include "net/sasl_prep.h"
#include "net/tls.h"
#include "service/login.h"
#include "service/login_history.h"
#include "store/account.h"
#include "store/auth.h"
#include "store/record.h"
#include "store/role.h"
#include "store/spool.h"
#include "store/sql_heap.h"

#define STORE_IDLE_EVERY_S   30
#define HISTORY_LOOK_EVERY_S 2

/* --- configuration and log ---------------------------------------------------------------------- */

static struct config *
load_config(const char *path)
{
	struct buf errors = { 0 };
	struct config *config = config_load(path, &errors);

	if (config == NULL)
		fputs(buf_cstr(&errors), stderr);
	buf_free(&errors);
	return config;
}

static enum log_level
configured_level(const struct config *config)
{
	enum log_level level = LOG_LEVEL_INFO;

	log_level_parse(config_string(config, "log.level"), &level);
	return level;
}

/* The networks of a setting; none with name NULL. */
static void
read_list(const struct config *config, const char *name, struct net_cidr_list *list)
{
	net_cidr_list_free(list);
	for (size_t i = 0; name != NULL && i < config_count(config, name); i++) {
		const struct config_network *n = config_network_at(config, name, i);

		net_cidr_list_add(list, n->family, n->address, n->prefix_bits);
	}
}

static void
read_networks(struct service *sv)
{
	read_list(sv->config, sv->spec->relay_setting, &sv->relays);
	read_list(sv->config, "server.proxy_networks", &sv->proxies);
}

/* Opened by root, the log belongs to root; whoever opens it again is server.user. */
static void
give_log_to_user(const struct config *config)
{
	const char *path = config_string(config, "log.file");
	const char *user = config_string(config, "server.user");
	const struct passwd *pw = getuid() == 0 && user != NULL ? getpwnam(user) : NULL;
	struct stat st;
	int fd;

	if (pw == NULL || path == NULL || *path == '\0')
		return;
	fd = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
	    st.st_uid == 0 && fchown(fd, pw->pw_uid, pw->pw_gid) != 0)
		fprintf(stderr, "%s: cannot be given to %s: %s\n", path, user, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* One of a pair of hosts serves, and no other. */
static bool
may_serve(const struct service *sv, int *exit_out)
{
	const char *root = config_string(sv->config, "store.mail_root");
	const char *problem = role_problem(root);

	if (problem == NULL)
		return true;
	log_error(sv->log, "role", "path=%s/" ROLE_FILE " problem=%s", root, problem);
	fprintf(stderr, "%s: %s\n", sv->spec->name, problem);
	*exit_out = EX_TEMPFAIL;
	return false;
}

bool
service_open(
    struct service *sv, const struct service_spec *spec, const char *config_path, int *exit_out)
{
	*sv = (struct service){ .spec = spec };
	*exit_out = EX_CONFIG;
	sv->config = load_config(config_path);
	if (sv->config == NULL)
		return false;
	sv->log = log_open(
	    spec->name, config_string(sv->config, "log.file"), configured_level(sv->config));
	if (sv->log == NULL) {
		fprintf(stderr, "%s: cannot open the log %s: %s\n", spec->name,
		    config_string(sv->config, "log.file"), strerror(errno));
		*exit_out = EX_CANTCREAT;
		return false;
	}
	give_log_to_user(sv->config);
	read_networks(sv);
	return may_serve(sv, exit_out);
}

bool
service_drop_root(const struct config *config)
{
	const char *user = config_string(config, "server.user");
	struct passwd *pw;

	if (getuid() != 0 || user == NULL || *user == '\0')
		return true;
	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL) {
		errno = errno != 0 ? errno : ENOENT;
		return false;
	}
	return initgroups(user, pw->pw_gid) == 0 &&
	       setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == 0 &&
	       setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == 0;
}

/* --- what a worker holds open ------------------------------------------------------------------- */

static unsigned
needs_of(const struct service *sv)
{
	const struct service_spec *spec = sv->spec;

	return spec->needs | (spec->needs_also != NULL ? spec->needs_also(sv->config) : 0);
}

/* A daemon makes no database: one at a wrong path would be an empty one. */
static bool
open_accounts(struct service *sv)
{
	const char *path = config_string(sv->config, "store.account_db");
	bool write = (needs_of(sv) & SERVICE_ACCOUNTS_WRITE) != 0;
	enum store_err err = STORE_NOT_FOUND;

	if (access(path, F_OK) == 0)
		err = account_db_open(
		    path, write ? ACCOUNT_DB_WRITE : ACCOUNT_DB_READ, sv->log, &sv->accounts);
	if (err != STORE_OK)
		log_error(sv->log, "account-db", "path=%s error=%s hint=%s", path,
		    store_err_text(err),
		    err == STORE_NOT_FOUND ? "mailadmin account add makes it"
					   : "see mailadmin doctor");
	return err == STORE_OK;
}

static bool
open_tls(struct service *sv)
{
	struct net_tls_server_spec spec = {
		.certificate = config_string(sv->config, "tls.certificate"),
		.key = config_string(sv->config, "tls.key"),
		.sni_dir = config_string(sv->config, "tls.sni_dir"),
		.keys = sv->keys,
		.tls13_only = strcmp(config_string(sv->config, "tls.min_version"), "1.3") == 0,
		.handshake_s = (unsigned)config_duration_s(sv->config, "tls.handshake_timeout"),
	};

	sv->tls = net_tls_server_new(&spec, sv->log);
	return sv->tls != NULL;
}

static bool
open_store(struct service *sv)
{
	size_t count = config_count(sv->config, "store.quota_exempt");
	const char **exempt = mem_realloc_array(NULL, count + 1, sizeof(*exempt));
	struct store_options options = {
		.mail_root = config_string(sv->config, "store.mail_root"),
		.index_root = config_string(sv->config, "store.index_root"),
		.quota_exempt = exempt,
		.quota_exempt_count = count,
		.index_open_max = (unsigned)config_integer(sv->config, "store.index_connections"),
		.free_floor_bytes = config_size(sv->config, "store.free_space_floor"),
		.keep_s = config_integer(sv->config, "store.undelete_days") * STORE_DAY_S,
		.keep_max_bytes = config_size(sv->config, "store.undelete_size"),
		.search = store_search_parse(config_string(sv->config, "store.search_index")),
		.search_max_bytes = config_size(sv->config, "store.search_index_size"),
		.log = sv->log,
	};

	for (size_t i = 0; i < count; i++)
		exempt[i] = config_string_at(sv->config, "store.quota_exempt", i);
	sv->store = store_open(&options);
	free(exempt);
	return sv->store != NULL;
}

enum login_protocol
service_protocol(const struct service *sv)
{
	static const struct {
		const char *sasl_name;
		enum login_protocol protocol;
	} PROTOCOLS[] = {
		{ "imap", LOGIN_IMAP },
		{ "smtp", LOGIN_SUBMISSION },
		{ "sieve", LOGIN_SIEVE },
	};

	for (size_t i = 0; sv->spec->sasl_name != NULL && i < ARRAY_LEN(PROTOCOLS); i++)
		if (strcmp(sv->spec->sasl_name, PROTOCOLS[i].sasl_name) == 0)
			return PROTOCOLS[i].protocol;
	return (enum login_protocol)0;
}

static bool
open_auth(struct service *sv)
{
	struct auth_options options = {
		.default_domain = config_string(sv->config, "auth.default_domain"),
		.cache_ttl_s = config_duration_s(sv->config, "auth.cache_ttl"),
		.protocol = service_protocol(sv),
		.app_only = config_bool(sv->config, "auth.app_passwords_only"),
		.prepare = sasl_prep,
	};

	if (!sasl_setup(sv->log))
		return false;
	if (sv->worker != NULL)
		net_limits_login_policy(net_worker_limits(sv->worker),
		    (unsigned)config_integer(sv->config, "auth.fail_limit"),
		    config_duration_s(sv->config, "auth.fail_delay_max") * 1000);
	sv->auth = auth_new(sv->accounts, &options, sv->log);
	sv->sasl = (struct sasl_service){
		.name = sv->spec->sasl_name,
		.backend = &LOGIN_BACKEND,
		.arg = sv,
		.log = sv->log,
	};
	if (sv->worker != NULL && sv->store != NULL && options.protocol != 0)
		sv->history =
		    login_history_new(config_string(sv->config, "store.mail_root"), sv->log);
	return sv->auth != NULL;
}

static bool
open_spool(struct service *sv)
{
	const char *dir = config_string(sv->config, "store.spool");
	struct spool_options options = {
		.free_space_floor = config_size(sv->config, "store.free_space_floor"),
		.message_size_max = config_size(sv->config, "store.message_size_max"),
		.messages_max = config_integer(sv->config, "submitd.queue_max"),
	};
	enum store_err err = spool_open(dir, &options, sv->log, &sv->spool);

	if (err != STORE_OK)
		log_error(sv->log, "spool", "path=%s error=%s", dir, store_err_text(err));
	return err == STORE_OK;
}

char *
service_records_dir(const struct config *config)
{
	const char *dir = config_string(config, "record.dir");

	return dir != NULL ? mem_strdup(dir)
			   : mem_printf("%s/record", config_string(config, "store.spool"));
}

static bool
uses_spool(const struct service *sv)
{
	return (needs_of(sv) & SERVICE_SPOOL) != 0 || sv->spec->writes_spool;
}

static void
open_records(struct service *sv)
{
	char *dir = service_records_dir(sv->config);

	sv->records = records_open(dir, config_duration_s(sv->config, "record.keep"),
	    config_size(sv->config, "record.size_max"), sv->log);
	free(dir);
}

bool
service_open_stores(struct service *sv)
{
	unsigned needs = needs_of(sv);

	if (uses_spool(sv) && !sv->spec->no_records)
		open_records(sv);
	return open_accounts(sv) && ((needs & SERVICE_STORE) == 0 || open_store(sv)) &&
	       ((needs & SERVICE_AUTH) == 0 || open_auth(sv)) &&
	       ((needs & SERVICE_SPOOL) == 0 || open_spool(sv));
}

void
service_close(struct service *sv)
{
	login_history_free(sv->history);
	spool_close(sv->spool);
	records_close(sv->records);
	auth_free(sv->auth);
	if (sv->store != NULL)
		store_close(sv->store);
	account_db_close(sv->accounts);
	net_tls_free(sv->tls);
	net_tls_keys_free(sv->keys);
	net_cidr_list_free(&sv->relays);
	net_cidr_list_free(&sv->proxies);
	log_close(sv->log);
	config_free(sv->config);
	*sv = (struct service){ 0 };
}

/* --- a worker's life ---------------------------------------------------------------------------- */

/* The directory a file lies in: what is created beside it or in its place must be reachable too. */
static char *
directory_of(const char *path)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	return slash != NULL ? mem_strndup(path, slash > path ? (size_t)(slash - path) : 1) : NULL;
}

static bool
lock_in(struct service *sv)
{
	const struct config *c = sv->config;
	unsigned needs = needs_of(sv);
	bool tls = (needs & SERVICE_TLS) != 0, store = (needs & SERVICE_STORE) != 0;
	bool spool = uses_spool(sv);
	char *db_dir = directory_of(config_string(c, "store.account_db"));
	char *cert_dir = directory_of(config_string(c, "tls.certificate"));
	char *key_dir = directory_of(config_string(c, "tls.key"));
	char *log_dir = directory_of(config_string(c, "log.file"));
	char *ca_dir = directory_of(config_string(c, "submitd.relay_ca_file"));
	char *relay_cert_dir = directory_of(config_string(c, "submitd.relay_certificate"));
	char *relay_key_dir = directory_of(config_string(c, "submitd.relay_key"));
	char *password_dir = directory_of(config_string(c, "submitd.relay_password_file"));
	char *text_dir = directory_of(config_string(c, "lda.quota_warning_template"));
	struct net_sandbox_path paths[15 + SERVICE_READS_MAX] = {
		{ db_dir, (needs & SERVICE_ACCOUNTS_WRITE) != 0 ? NET_WRITE : NET_READ },
		{ log_dir, NET_WRITE },
		{ tls ? cert_dir : NULL, NET_READ },
		{ tls ? key_dir : NULL, NET_READ },
		{ tls ? config_string(c, "tls.sni_dir") : NULL, NET_READ },
		{ store ? config_string(c, "store.mail_root") : NULL, NET_WRITE },
		{ store ? config_string(c, "store.index_root") : NULL, NET_WRITE },
		{ spool ? config_string(c, "store.spool") : NULL, NET_WRITE },
		{ spool && !sv->spec->no_records ? config_string(c, "record.dir") : NULL,
		    NET_WRITE },
		{ sv->spec->may_connect ? ca_dir : NULL, NET_READ },
		{ sv->spec->may_connect ? relay_cert_dir : NULL, NET_READ },
		{ sv->spec->may_connect ? relay_key_dir : NULL, NET_READ },
		{ sv->spec->may_connect ? password_dir : NULL, NET_READ },
		{ store ? text_dir : NULL, NET_READ },
		{ store ? config_string(c, "filter.global_dir") : NULL, NET_READ },
	};
	bool ok;
	struct net_sandbox_spec spec = {
		.paths = paths,
		.path_count = ARRAY_LEN(paths),
		.off = !config_bool(c, "server.sandbox"),
		.may_connect = sv->spec->may_connect,
	};

	for (size_t i = 0; sv->spec->reads != NULL && sv->spec->reads[i] != NULL; i++)
		paths[ARRAY_LEN(paths) - 1 - i].path = config_string(c, sv->spec->reads[i]);
	ok = net_sandbox_enter(&spec, sv->log);
	free(db_dir);
	free(cert_dir);
	free(key_dir);
	free(log_dir);
	free(ca_dir);
	free(relay_cert_dir);
	free(relay_key_dir);
	free(password_dir);
	free(text_dir);
	return ok;
}

static void
run_store_idle(void *arg)
{
	struct service *sv = arg;

	store_idle(sv->store);
	malloc_trim(0); /* what a busy minute, or a password hash, has left behind goes back */
}

static void
on_idle_time(void *arg)
{
	struct service *sv = arg;

	net_job_run(sv->loop, run_store_idle, NULL, sv);
	net_timer_start_s(sv->idle_timer, STORE_IDLE_EVERY_S);
}

static void
write_history(void *arg)
{
	struct service *sv = arg;

	login_history_write(sv->history);
}

static void
on_history_written(void *arg)
{
	struct service *sv = arg;

	net_timer_start_s(sv->history_timer, HISTORY_LOOK_EVERY_S);
}

/* Also while the worker drains: its sessions may last for hours. */
static void
on_history_time(void *arg)
{
	struct service *sv = arg;

	if (login_history_is_due(sv->history))
		net_job_run(sv->loop, write_history, on_history_written, sv);
	else
		on_history_written(sv);
}

static bool
worker_start(struct net_worker *w, void *arg)
{
	struct service *sv = arg;

	sv->worker = w;
	sv->loop = net_worker_loop(w);
	net_worker_set_data(w, sv);
	if ((needs_of(sv) & SERVICE_TLS) != 0 && !open_tls(sv))
		return false;
	sql_heap_use();
	if (!service_open_stores(sv))
		return false;
	if (sv->spec->start != NULL && !sv->spec->start(sv, w))
		return false;
	if (!lock_in(sv))
		return false;
	if (sv->store != NULL) {
		sv->idle_timer = net_timer_new(sv->loop, on_idle_time, sv);
		net_timer_start_s(sv->idle_timer, STORE_IDLE_EVERY_S);
	}
	if (sv->history != NULL) {
		sv->history_timer = net_timer_new(sv->loop, on_history_time, sv);
		net_timer_start_s(sv->history_timer, HISTORY_LOOK_EVERY_S);
	}
	return true;
}

static void
worker_drain(struct net_worker *w, enum net_drain how, void *arg)
{
	struct service *sv = arg;

	(void)w;
	net_timer_free(sv->idle_timer);
	sv->idle_timer = NULL;
	sv->spec->drain(sv, how);
}

static void
worker_stop(struct net_worker *w, void *arg)
{
	struct service *sv = arg;

	(void)w;
	net_timer_free(sv->history_timer);
	if (sv->spec->stop != NULL)
		sv->spec->stop(sv);
	if ((needs_of(sv) & SERVICE_AUTH) != 0)
		sasl_teardown();
	service_close(sv);
}

/* --- the parent --------------------------------------------------------------------------------- */

/* A setting of the daemon's own section. */
static uint64_t
own_integer(const struct service *sv, const char *key)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", sv->spec->name, key);
	return config_integer(sv->config, name);
}

static void
name_meters(struct service *sv)
{
	if (sv->spec->sasl_name != NULL || sv->spec->counts_logins)
		login_meters_name(sv->metrics, &sv->logins);
	if (sv->spec->name_meters != NULL)
		sv->spec->name_meters(sv);
}

/* Beside the pid file; without it the daemon goes on and counts nothing. */
static void
open_metrics(struct service *sv, const char *run_dir)
{
	const char *user = config_string(sv->config, "server.user");
	const struct passwd *pw = getuid() == 0 && user != NULL ? getpwnam(user) : NULL;
	char *path;

	if (run_dir == NULL)
		return;
	path = mem_printf("%s/%s.metrics", run_dir, sv->spec->name);
	sv->metrics = metrics_new(path, sv->spec->name, pw != NULL ? pw->pw_uid : getuid(),
	    pw != NULL ? pw->pw_gid : getgid(), sv->log);
	free(path);
	name_meters(sv);
}

static bool
reload(void *arg, unsigned *workers)
{
	struct service *sv = arg;
	struct config *config = load_config(config_file(sv->config));

	if (config == NULL) {
		log_error(sv->log, "reload", "result=refused file=%s hint=%s",
		    config_file(sv->config), "mailadmin config check names the mistakes");
		return false;
	}
	config_free(sv->config);
	sv->config = config;
	log_set_level(sv->log, configured_level(config));
	read_networks(sv);
	name_meters(sv);
	*workers = (unsigned)own_integer(sv, "workers");
	return true;
}

/* A door's setting is a list of addresses, or one path that may be unset. */
static size_t
door_count(const struct service *sv, const struct service_door *door)
{
	const char *path;

	if (setting_find(door->setting)->list)
		return config_count(sv->config, door->setting);
	path = config_string(sv->config, door->setting);
	return path != NULL && *path != '\0' ? 1 : 0;
}

static const char *
door_address(const struct service *sv, const struct service_door *door, size_t i)
{
	return setting_find(door->setting)->list ? config_string_at(sv->config, door->setting, i)
						 : config_string(sv->config, door->setting);
}

static bool
is_same_address(const struct config_address *a, const struct config_address *b)
{
	return a->port == b->port && a->path == NULL && b->path == NULL &&
	       (a->host == NULL || b->host == NULL ? a->host == b->host
						   : strcmp(a->host, b->host) == 0);
}

/* Is it one of the doors' addresses at which proxies speak for others (X.proxy_listen)? */
static bool
is_proxied(const struct service *sv, const struct service_door *door, size_t i)
{
	char name[64];

	if (!setting_find(door->setting)->list)
		return false;
	snprintf(name, sizeof(name), "%s.%s", sv->spec->name, "proxy_listen");
	for (size_t p = 0; p < config_count(sv->config, name); p++)
		if (is_same_address(config_address_at(sv->config, name, p),
			config_address_at(sv->config, door->setting, i)))
			return true;
	return false;
}

/* A proxy_listen that opens nothing is a slip that would leave proxies' headers to be read as commands. */
static void
warn_of_proxied(const struct service *sv, size_t proxied)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", sv->spec->name, "proxy_listen");
	if (proxied < config_count(sv->config, name))
		log_warn(sv->log, "proxy", "setting=%s hint=%s", name,
		    "each must be one of the addresses this daemon listens at");
	if (proxied > 0 && sv->proxies.count == 0)
		log_warn(sv->log, "proxy", "setting=%s hint=%s", name,
		    "server.proxy_networks is not set, so nobody is a proxy");
}

static size_t
count_listeners(const struct service *sv)
{
	size_t count = 0;

	for (size_t d = 0; d < sv->spec->door_count; d++)
		count += door_count(sv, &sv->spec->doors[d]);
	return count;
}

static struct net_listener_spec *
make_listeners(struct service *sv, size_t count)
{
	struct net_listener_spec *listeners = mem_zalloc((count + 1) * sizeof(*listeners));
	size_t n = 0, proxied = 0;

	for (size_t d = 0; d < sv->spec->door_count; d++) {
		const struct service_door *door = &sv->spec->doors[d];

		for (size_t i = 0; i < door_count(sv, door); i++) {
			bool from_proxy = is_proxied(sv, door, i);

			proxied += from_proxy;
			listeners[n++] = (struct net_listener_spec){
				.name = door->name,
				.address = door_address(sv, door, i),
				.default_port = door->default_port,
				.unix_mode = 0660,
				.refusal = door->refusal,
				.on_accept = door->on_accept,
				.on_socket = door->on_socket,
				.arg = sv,
				.proxies = from_proxy ? &sv->proxies : NULL,
				.limits = {
					.total_max = (unsigned)own_integer(sv, "max_connections"),
					.per_address_max = (unsigned)config_integer(
					    sv->config, "auth.connections_per_address"),
					.reserved_for = sv->relays.count > 0 ? &sv->relays : NULL,
					.reserved = sv->relays.count > 0 ?
					    (unsigned)own_integer(sv, "max_connections") / 2 : 0,
				},
			};
		}
	}
	warn_of_proxied(sv, proxied);
	return listeners;
}

static int
run_daemon(struct service *sv)
{
	size_t count = count_listeners(sv);
	struct net_listener_spec *listeners = make_listeners(sv, count);
	const char *run_dir = config_string(sv->config, "server.run_dir");
	char *pid_file = run_dir != NULL ? mem_printf("%s/%s.pid", run_dir, sv->spec->name) : NULL;
	struct net_tls_keys *keys = sv->keys = net_tls_keys_new();
	struct net_daemon_spec daemon = {
		.name = sv->spec->name,
		.log = sv->log,
		.listeners = listeners,
		.listener_count = count,
		.workers = (unsigned)own_integer(sv, "workers"),
		.threads = (unsigned)own_integer(sv, "threads"),
		.user = config_string(sv->config, "server.user"),
		.pid_file = pid_file,
		.drain_s = (unsigned)config_duration_s(sv->config, "server.drain"),
		.tls_keys = keys,
		.worker_start = worker_start,
		.worker_drain = sv->spec->drain != NULL ? worker_drain : NULL,
		.worker_stop = worker_stop,
		.reload = reload,
		.arg = sv,
	};
	int status;

	if (getrandom(sv->secret, sizeof(sv->secret), 0) != (ssize_t)sizeof(sv->secret))
		abort(); /* so few bytes always come */
	open_metrics(sv, run_dir);
	daemon.metrics = sv->metrics;
	status = net_daemon_run(&daemon);
	metrics_free(sv->metrics);
	sv->metrics = NULL;
	free(listeners);
	free(pid_file);
	return status;
}

static void
usage(const struct service_spec *spec, FILE *to)
{
	fprintf(to,
	    "usage: %s [-c FILE]\n"
	    "Runs in the foreground until SIGTERM; SIGHUP reads the configuration again.\n"
	    "  -c FILE  configuration, default " CONFIG_DEFAULT_PATH "; see sanger.conf(5)\n",
	    spec->name);
}

int
service_main(int argc, char **argv, const struct service_spec *spec)
{
	const char *path = NULL;
	struct service sv;
	int status, opt;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		usage(spec, stdout);
		return EX_OK;
	}
	while ((opt = getopt(argc, argv, "c:")) != -1) {
		if (opt != 'c') {
			usage(spec, stderr);
			return EX_USAGE;
		}
		path = optarg;
	}
	if (optind < argc) {
		usage(spec, stderr);
		return EX_USAGE;
	}
	if (!service_open(&sv, spec, path, &status)) {
		service_close(&sv);
		return status;
	}
	status = run_daemon(&sv);
	service_close(&sv);
	return status;
}
