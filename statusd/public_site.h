/* The public pages: how mail clients are set up, in the forms they read and for people, and new passwords.
 *
 * Anybody may ask.  Nothing here tells whether an address exists, or whose it is: only domains are known.  What needs
 * writing is POST, with the current password inside. */
#ifndef STATUSD_PUBLIC_SITE_H
#define STATUSD_PUBLIC_SITE_H

#include "clients/facts.h"
#include "statusd/http.h"

struct service;
struct statusd;

struct public_site {
	struct service *service;
	struct http_site_spec spec;
	struct http_site *http;
	struct clients_facts facts;
};

/* What the worker needs beside, as it is configured: enum service_needs. */
unsigned public_site_needs(const struct config *config);
/* NULL in *site_out where statusd.listen_public is not set.  False with the reason logged. */
bool public_site_start(struct service *sv, struct public_site **site_out);
void public_site_free(struct public_site *site); /* after the loop; NULL is fine */

/* The domain that the request is about: of `address` (may be NULL), of autoconfig.DOMAIN and autodiscover.DOMAIN as the
 * site's name, auth.default_domain, or the domain that the server's name lies in; appended to out.  False: none of
 * these has accounts here. */
bool public_site_domain(const struct http_request *rq, const char *address, struct buf *out);

/* --- the rows: public_config.c, public_setup.c, public_password.c --- */
void public_autoconfig(const struct http_request *rq, struct http_reply *reply);
void public_autodiscover(const struct http_request *rq, struct http_reply *reply);
void public_autodiscover_json(const struct http_request *rq, struct http_reply *reply);
void public_profile(const struct http_request *rq, struct http_reply *reply);
void public_setup(const struct http_request *rq, struct http_reply *reply);
void public_password_form(const struct http_request *rq, struct http_reply *reply);
void public_password_change(const struct http_request *rq, struct http_reply *reply);
uint64_t public_password_delay_ms(const struct http_request *rq);

#endif
