/* HTTP for statusd: libmicrohttpd, run by the worker's loop.  It makes no thread of its own.
 *
 * A site is a door of the daemon (or several) with one table of routes.  Its door's `on_socket` hands each connection to
 * http_site_accept().  A request is read whole, to a limit; then the row of the table that has its path and method
 * runs in a job on a pool thread, as straight-line code that may wait for disks, databases and password hashes, and
 * fills the reply, which then goes out.  No row: 404, or 405 where the path has another method.
 *
 * Every reply says: take no other content from anywhere, guess no types, show me in no frame, keep me nowhere
 * (Cache-Control: no-store).  A row that wants it otherwise says so with http_reply_header(). */
#ifndef STATUSD_HTTP_H
#define STATUSD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/text.h"
#include "net/addr.h"
#include "net/daemon.h"

struct log;
struct service;

#define HTTP_BODY_MAX_BYTES    (64 * 1024)
#define HTTP_HEADERS_MAX_BYTES (32 * 1024) /* with the request line */
#define HTTP_SILENCE_S         30          /* a connection that waits for its next request, too */
#define HTTP_REPLY_HEADERS_MAX 8

struct MHD_Connection;

/* Valid while the route runs. */
struct http_request {
	const char *method; /* "GET" also for HEAD, "POST" */
	const char *path;   /* decoded, without the query: "/queue/flush" */
	struct str body;
	const struct net_ip *peer; /* NULL: a UNIX socket */
	const char *peer_text;     /* "192.0.2.1", "local" */
	bool tls;
	struct log *log;
	void *arg; /* the site's */
	struct MHD_Connection *connection;
};

/* Header fields and query parameters: the first of that name (any letter case of header fields), or NULL. */
const char *http_header(const struct http_request *rq, const char *name);
const char *http_query(const struct http_request *rq, const char *name);
/* A field of a form in the body (application/x-www-form-urlencoded), decoded, the caller's to free; NULL: none. */
char *http_form(const struct http_request *rq, const char *name);

struct http_reply {
	unsigned status;  /* 200 at the beginning */
	const char *type; /* "text/plain; charset=utf-8" at the beginning; a text that lives on */
	struct buf body;
	struct {
		const char *name; /* a text that lives on */
		char *value;
	} headers[HTTP_REPLY_HEADERS_MAX];
	size_t header_count;
};
/* Adds a header field, or replaces one of those that every reply has.  `value` is copied. */
void http_reply_header(struct http_reply *reply, const char *name, const char *value);
/* A short text in place of whatever the body had. */
void http_reply_text(struct http_reply *reply, unsigned status, const char *text);
/* 303: after a form, look there (a path of this site). */
void http_reply_see(struct http_reply *reply, const char *path);

/* Body bytes, escaped for HTML text and for attribute values in quotes. */
void http_html(struct buf *out, struct str text);

struct http_route {
	const char *method; /* "GET", "POST" */
	const char *
	    path; /* all of it, or its beginning with '*' behind: "/.well-known/x*"; in any letter case */
	void (*run)(const struct http_request *rq, struct http_reply *reply);
};

struct http_site_spec {
	const char *name; /* for the log */
	const struct http_route *routes;
	size_t route_count;
	/* Before any route, in the job: false if the request is not to be answered by one; the reply says why then.
	 * NULL: all are. */
	bool (*admit)(const struct http_request *rq, struct http_reply *reply);
	/* NULL, or how long a request waits, without a thread, before all that.  On the loop: must not block. */
	uint64_t (*delay_ms)(const struct http_request *rq);
	bool tls; /* HTTPS, with the certificates of the configuration (statusd/http_tls.h) */
	void *arg;
};

struct http_site;
/* In the worker's start, before it locks itself in.  NULL, with the reason logged.  Borrows the spec. */
struct http_site *http_site_new(struct service *sv, const struct http_site_spec *spec);
/* A connection of one of the site's doors. */
void http_site_accept(struct http_site *site, int fd, const struct net_socket *peer);
/* The worker drains: connections end after the reply in hand, at NET_DRAIN_END those without one at once. */
void http_site_drain(struct http_site *site, enum net_drain how);
void http_site_free(struct http_site *site); /* after the loop; NULL is fine */

#endif
