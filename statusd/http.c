#include "statusd/http.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "service/service.h"
#include "statusd/form.h"
#include "statusd/http_tls.h"

struct http_connection { /* the socket; many requests, one after the other */
	struct http_site *site;
	struct http_connection *next, **link;
	struct net_socket peer;
	char peer_text[NET_IP_TEXT_BYTES];
	int fd;
	bool busy;                /* a request has come whole and is not answered yet */
	struct exchange *waiting; /* for the end of its delay */
};

struct http_site {
	struct service *sv;
	const struct http_site_spec *spec;
	struct MHD_Daemon *mhd;
	struct net_poll *poll;
	struct net_timer *timer;
	struct http_connection *connections;
	struct http_connection *arriving; /* on its way through MHD_add_connection() */
	struct http_tls *tls;
	bool draining;
};

struct exchange { /* one request and its reply */
	struct http_connection *connection;
	struct http_request request;
	struct http_reply reply;
	struct buf body;
	char *path;
	struct net_timer *delay;
	bool over_limit, answered;
};

/* --- replies ------------------------------------------------------------------------------------ */

/* What every reply says; "same-origin" and not "no-referrer", with which browsers would not name the Origin of a form. */
static const char *const STANDING[][2] = {
	{ "Content-Security-Policy",
	    "default-src 'none'; style-src 'self'; img-src 'self'; "
	    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "X-Frame-Options", "DENY" },
	{ "Referrer-Policy", "same-origin" },
	{ "Cross-Origin-Resource-Policy", "same-origin" },
	{ "Cache-Control", "no-store" },
};

void
http_reply_header(struct http_reply *reply, const char *name, const char *value)
{
	if (reply->header_count == HTTP_REPLY_HEADERS_MAX)
		return;
	reply->headers[reply->header_count].name = name;
	reply->headers[reply->header_count++].value = mem_strdup(value);
}

void
http_reply_text(struct http_reply *reply, unsigned status, const char *text)
{
	reply->status = status;
	reply->type = "text/plain; charset=utf-8";
	buf_reset(&reply->body);
	buf_printf(&reply->body, "%s\n", text);
}

void
http_reply_see(struct http_reply *reply, const char *path)
{
	http_reply_text(reply, 303, "See there.");
	http_reply_header(reply, "Location", path);
}

static void
reply_free(struct http_reply *reply)
{
	buf_free(&reply->body);
	for (size_t i = 0; i < reply->header_count; i++)
		free(reply->headers[i].value);
}

static bool
says(const struct http_reply *reply, const char *name)
{
	for (size_t i = 0; i < reply->header_count; i++)
		if (ascii_eq_nocase(reply->headers[i].name, name))
			return true;
	return false;
}

/* Hands the reply to the library, which frees the body. */
static enum MHD_Result
send_reply(struct exchange *x, struct MHD_Connection *connection)
{
	struct http_reply *reply = &x->reply;
	size_t len = reply->body.len;
	struct MHD_Response *response =
	    MHD_create_response_from_buffer(len, buf_take(&reply->body), MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->type);
	for (size_t i = 0; i < ARRAY_LEN(STANDING); i++)
		if (!says(reply, STANDING[i][0]))
			MHD_add_response_header(response, STANDING[i][0], STANDING[i][1]);
	for (size_t i = 0; i < reply->header_count; i++)
		MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
	if (x->connection->site->draining)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	x->answered = x->connection->busy = true;
	result = MHD_queue_response(connection, reply->status, response);
	MHD_destroy_response(response);
	return result;
}

void
http_html(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		switch (text.p[i]) {
		case '&': buf_adds(out, "&amp;"); break;
		case '<': buf_adds(out, "&lt;"); break;
		case '>': buf_adds(out, "&gt;"); break;
		case '"': buf_adds(out, "&quot;"); break;
		case '\'': buf_adds(out, "&#39;"); break;
		default: buf_addc(out, text.p[i]); break;
		}
	}
}

/* --- requests ----------------------------------------------------------------------------------- */

const char *
http_header(const struct http_request *rq, const char *name)
{
	return MHD_lookup_connection_value(rq->connection, MHD_HEADER_KIND, name);
}

const char *
http_query(const struct http_request *rq, const char *name)
{
	return MHD_lookup_connection_value(rq->connection, MHD_GET_ARGUMENT_KIND, name);
}

char *
http_form(const struct http_request *rq, const char *name)
{
	const char *type = http_header(rq, "Content-Type");
	struct buf value = { 0 };

	if (type == NULL ||
	    !str_has_prefix_nocase(str_from(type), STR("application/x-www-form-urlencoded")))
		return NULL;
	if (form_field(rq->body, name, &value))
		return buf_take(&value);
	buf_free(&value);
	return NULL;
}

static bool
path_matches(const char *pattern, const char *path)
{
	size_t len = strlen(pattern);

	if (len > 0 && pattern[len - 1] == '*')
		return str_has_prefix_nocase(str_from(path), (struct str){ pattern, len - 1 });
	return ascii_eq_nocase(pattern, path);
}

static void
route(const struct http_site_spec *spec, const struct http_request *rq, struct http_reply *reply)
{
	const char *other = NULL;

	for (size_t i = 0; i < spec->route_count; i++) {
		const struct http_route *r = &spec->routes[i];

		if (!path_matches(r->path, rq->path))
			continue;
		if (strcmp(r->method, rq->method) == 0) {
			r->run(rq, reply);
			return;
		}
		other = r->method;
	}
	if (other == NULL) {
		http_reply_text(reply, 404, "There is nothing here.");
		return;
	}
	http_reply_text(reply, 405, "Not by this method.");
	http_reply_header(reply, "Allow", other);
}

static void
run_exchange(void *arg)
{
	struct exchange *x = arg;
	const struct http_site_spec *spec = x->connection->site->spec;

	if (spec->admit == NULL || spec->admit(&x->request, &x->reply))
		route(spec, &x->request, &x->reply);
}

static void run_site(void *arg);

static void
on_exchange_run(void *arg)
{
	struct exchange *x = arg;

	MHD_resume_connection(x->request.connection);
	run_site(x->connection->site);
}

static void
start_job(struct exchange *x)
{
	net_job_run(x->connection->site->sv->loop, run_exchange, on_exchange_run, x);
}

static void
end_delay(struct exchange *x)
{
	net_timer_free(x->delay);
	x->delay = NULL;
	x->connection->waiting = NULL;
}

static void
on_delay_over(void *arg)
{
	struct exchange *x = arg;

	end_delay(x);
	start_job(x);
}

/* The daemon ends: nobody waits any longer. */
static void
cut_delay(struct exchange *x)
{
	end_delay(x);
	http_reply_text(&x->reply, 503, "Try again in a minute.");
	MHD_resume_connection(x->request.connection);
}

/* The request is whole. */
static void
start_exchange(struct exchange *x)
{
	const struct http_site *site = x->connection->site;
	const struct http_site_spec *spec = site->spec;
	uint64_t delay_ms = spec->delay_ms != NULL ? spec->delay_ms(&x->request) : 0;

	x->connection->busy = true;
	MHD_suspend_connection(x->request.connection);
	if (delay_ms == 0) {
		start_job(x);
		return;
	}
	x->connection->waiting = x;
	x->delay = net_timer_new(site->sv->loop, on_delay_over, x);
	net_timer_start_ms(x->delay, delay_ms);
}

static struct exchange *
exchange_new(struct http_connection *c, struct MHD_Connection *connection, const char *url,
    const char *method)
{
	struct exchange *x = mem_zalloc(sizeof(*x));

	x->connection = c;
	x->path = mem_strdup(url);
	x->reply.status = 200;
	x->reply.type = "text/plain; charset=utf-8";
	x->request = (struct http_request){
		.method = strcmp(method, "POST") == 0                                 ? "POST"
			  : strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 ? "GET"
										      : "",
		.path = x->path,
		.peer = c->peer.is_unix ? NULL : &c->peer.ip,
		.peer_text = c->peer_text,
		.tls = c->site->tls != NULL,
		.log = c->site->sv->log,
		.arg = c->site->spec->arg,
		.connection = connection,
	};
	return x;
}

static struct http_connection *
connection_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
	    MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info != NULL ? info->socket_context : NULL;
}

/* Says its head so. */
static bool
is_too_long(const struct http_request *rq)
{
	const char *length = http_header(rq, "Content-Length");
	uint64_t bytes;

	return length != NULL && !text_u64(str_from(length), HTTP_BODY_MAX_BYTES, &bytes);
}

static enum MHD_Result
refuse_long(struct exchange *x)
{
	http_reply_text(&x->reply, 413, "That is too much.");
	http_reply_header(&x->reply, "Connection", "close");
	return send_reply(x, x->request.connection);
}

/* Comes once with the head of a request, then with pieces of its body, then with none: it is whole; and once more
 * when it has been answered. */
static enum MHD_Result
on_request(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
    const char *version, const char *upload, size_t *upload_len, void **context)
{
	struct http_connection *c = connection_of(connection);
	struct exchange *x = *context;

	(void)arg, (void)version;
	if (c == NULL)
		return MHD_NO;
	if (x == NULL) {
		x = *context = exchange_new(c, connection, url, method);
		return is_too_long(&x->request) ? refuse_long(x) : MHD_YES;
	}
	if (*upload_len > 0) {
		x->over_limit = x->over_limit || x->body.len + *upload_len > HTTP_BODY_MAX_BYTES;
		if (x->over_limit)
			return MHD_NO;
		buf_add(&x->body, upload, *upload_len);
		*upload_len = 0;
		return MHD_YES;
	}
	if (x->request.body.p != NULL)
		return send_reply(x, connection);
	x->request.body = (struct str){ buf_cstr(&x->body), x->body.len };
	start_exchange(x);
	return MHD_YES;
}

static void
on_completed(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *context;

	(void)arg, (void)connection;
	if (x == NULL)
		return;
	log_debug(x->request.log, "http", "site=%s peer=%s method=%s path=%s status=%u result=%s",
	    x->connection->site->spec->name, x->connection->peer_text, x->request.method, x->path,
	    x->answered ? x->reply.status : 0,
	    why == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "ok" : "cut");
	x->connection->busy = false;
	if (x->body.len > 0)
		mem_wipe(x->body.data, x->body.len);
	buf_free(&x->body);
	reply_free(&x->reply);
	free(x->path);
	free(x);
	*context = NULL;
}

/* --- connections -------------------------------------------------------------------------------- */

static void
connection_gone(struct http_connection *c)
{
	*c->link = c->next;
	if (c->next != NULL)
		c->next->link = c->link;
	net_worker_socket_gone(c->site->sv->worker, &c->peer.place);
	free(c);
}

static void
on_connection(void *arg, struct MHD_Connection *connection, void **context,
    enum MHD_ConnectionNotificationCode what)
{
	struct http_site *site = arg;

	(void)connection;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = site->arriving;
		site->arriving = NULL;
	} else if (*context != NULL) {
		connection_gone(*context);
		*context = NULL;
	}
}

static socklen_t
make_address(const struct net_socket *peer, struct sockaddr_storage *out)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (peer->is_unix) {
		out->ss_family = AF_UNIX;
		return sizeof(out->ss_family);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(peer->port);
	memcpy(&in6->sin6_addr, peer->ip.b, sizeof(peer->ip.b));
	return sizeof(*in6);
}

void
http_site_accept(struct http_site *site, int fd, const struct net_socket *peer)
{
	struct http_connection *c = mem_zalloc(sizeof(*c));
	struct sockaddr_storage address;
	socklen_t len = make_address(peer, &address);

	*c = (struct http_connection){ .site = site, .peer = *peer, .fd = fd };
	snprintf(c->peer_text, sizeof(c->peer_text), "local");
	if (!peer->is_unix)
		net_ip_text(&peer->ip, c->peer_text);
	c->next = site->connections;
	c->link = &site->connections;
	if (c->next != NULL)
		c->next->link = &c->next;
	site->connections = c;
	site->arriving = c;
	if (MHD_add_connection(site->mhd, fd, (struct sockaddr *)&address, len) != MHD_YES)
		log_warn(site->sv->log, "http", "site=%s peer=%s error=%s", site->spec->name,
		    c->peer_text, "the connection was not taken");
	if (site->arriving != NULL) { /* the library has closed fd and told nobody */
		connection_gone(site->arriving);
		site->arriving = NULL;
	}
	run_site(site);
}

/* --- the site ----------------------------------------------------------------------------------- */

static void
run_site(void *arg)
{
	struct http_site *site = arg;
	MHD_UNSIGNED_LONG_LONG wait_ms;

	MHD_run(site->mhd);
	if (MHD_get_timeout(site->mhd, &wait_ms) == MHD_YES)
		net_timer_start_ms(site->timer, wait_ms);
	else
		net_timer_stop(site->timer);
}

__attribute__((format(printf, 2, 0))) static void
on_library_log(void *arg, const char *format, va_list args)
{
	struct http_site *site = arg;
	struct buf line = { 0 };

	buf_vprintf(&line, format, args);
	while (line.len > 0 && ascii_is_space(line.data[line.len - 1]))
		line.len--;
	log_debug(site->sv->log, "http", "site=%s library=%s", site->spec->name, buf_cstr(&line));
	buf_free(&line);
}

/* GnuTLS asks in each handshake; its session knows the library's connection. */
static int
on_certificate(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
    gnutls_pcert_st **chain, unsigned *chain_len, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_len,
    gnutls_privkey_t *key, unsigned *flags)
{
	struct MHD_Connection *connection = gnutls_session_get_ptr(session);
	const struct http_connection *c = connection != NULL ? connection_of(connection) : NULL;

	(void)info;
	*ocsp = NULL;
	*ocsp_len = 0;
	*flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	return c != NULL ? http_tls_choose(c->site->tls, session, chain, chain_len, key) : -1;
}

static bool
start_library(struct http_site *site)
{
	unsigned flags =
	    MHD_USE_NO_LISTEN_SOCKET | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{ MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)on_certificate },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0, mem_strdup(http_tls_priorities(site->sv)) },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem plain[] = { { MHD_OPTION_END, 0, NULL } };
	bool with_tls = site->tls != NULL;

	if (with_tls)
		flags |= MHD_USE_TLS;
	site->mhd = MHD_start_daemon(flags, 0, NULL, NULL, on_request, NULL,
	    MHD_OPTION_EXTERNAL_LOGGER, on_library_log, site, MHD_OPTION_NOTIFY_COMPLETED,
	    on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, site,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_HEADERS_MAX_BYTES,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_SILENCE_S, MHD_OPTION_CONNECTION_LIMIT,
	    (unsigned)config_integer(site->sv->config, "statusd.max_connections") + 1,
	    MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, with_tls ? tls : plain,
	    MHD_OPTION_END);
	free(tls[1].ptr_value);
	return site->mhd != NULL;
}

struct http_site *
http_site_new(struct service *sv, const struct http_site_spec *spec)
{
	struct http_site *site = mem_zalloc(sizeof(*site));
	const union MHD_DaemonInfo *info = NULL;

	site->sv = sv;
	site->spec = spec;
	if (spec->tls) {
		site->tls = http_tls_new(sv);
		if (site->tls == NULL) {
			http_site_free(site);
			return NULL;
		}
	}
	if (start_library(site))
		info = MHD_get_daemon_info(site->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	if (info == NULL || info->epoll_fd < 0) {
		log_error(sv->log, "http", "site=%s error=%s", spec->name,
		    "libmicrohttpd does not start");
		http_site_free(site);
		return NULL;
	}
	site->timer = net_timer_new(sv->loop, run_site, site);
	site->poll = net_poll_new(sv->loop, info->epoll_fd, run_site, site);
	return site;
}

void
http_site_drain(struct http_site *site, enum net_drain how)
{
	site->draining = true;
	for (struct http_connection *c = site->connections; c != NULL; c = c->next) {
		if (how == NET_DRAIN_END && c->waiting != NULL)
			cut_delay(c->waiting);
		else if (how == NET_DRAIN_END && !c->busy)
			shutdown(c->fd, SHUT_RDWR); /* the library sees its end and closes it */
	}
	run_site(site);
}

void
http_site_free(struct http_site *site)
{
	if (site == NULL)
		return;
	net_poll_free(site->poll);
	net_timer_free(site->timer);
	if (site->mhd != NULL)
		MHD_stop_daemon(site->mhd);
	http_tls_free(site->tls);
	free(site);
}
