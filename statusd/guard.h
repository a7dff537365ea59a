/* Who may see the status page, and whose forms count.
 *
 * A browser that can reach the page is also led by foreign sites.  So the page answers only to names that are ours
 * (else a foreign site lets its own name point here, and reads it), and takes forms only from itself: Origin and
 * Sec-Fetch-Site, where they are sent, must say so, and a token of this daemon's life must come with them. */
#ifndef STATUSD_GUARD_H
#define STATUSD_GUARD_H

#include <stdbool.h>

#include "base/text.h"

struct http_reply;
struct http_request;
struct service;

#define GUARD_TOKEN_BYTES 33 /* hex digits and the NUL */

/* May this peer ask, by this name, and with this password (which /healthz does not need)?  False: the reply says why
 * not.  Pool thread: a hash is computed. */
bool guard_admit(
    const struct service *sv, const struct http_request *rq, bool open, struct http_reply *reply);

/* The token that our forms carry in a field "token". */
void guard_token(const struct service *sv, char token[static GUARD_TOKEN_BYTES]);
/* Does this form come from our page?  False: the reply says why not. */
bool guard_form(const struct service *sv, const struct http_request *rq, struct http_reply *reply);

/* For tests: "name", "name:port", "[::1]:port" without the port and the brackets; empty: none of them. */
struct str guard_host_name(struct str host);
/* For tests: is `origin` ("https://name:8025") the site that is asked for as `host`? */
bool guard_same_origin(struct str origin, struct str host);

#endif
