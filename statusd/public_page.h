/* What the public pages have in common: head, foot, notices, and how they look. */
#ifndef STATUSD_PUBLIC_PAGE_H
#define STATUSD_PUBLIC_PAGE_H

#include "statusd/http.h"

/* Begins an HTML page in the reply: `title` is its heading, too. */
void public_page_begin(const struct http_request *rq, struct http_reply *reply, const char *title);
void public_page_end(struct http_reply *reply);
/* A sentence in a box: how it went. */
void public_page_notice(struct http_reply *reply, bool good, const char *text);

/* The row of the style sheet. */
void public_page_style(const struct http_request *rq, struct http_reply *reply);

#endif
