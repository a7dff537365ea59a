/* What a filter may ask about the account it runs for.  Functions, so that a run needs no store: lda
 * and mailadmin give those of filter/account.h, tests give their own.  Any may be NULL: then the
 * answer is "no" or "none". */
#ifndef FILTER_SURROUNDINGS_H
#define FILTER_SURROUNDINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/text.h"

/* FAILED ends the run with FILTER_TEMPFAIL: a disk or database did not answer. */
enum filter_answer { FILTER_NO, FILTER_YES, FILTER_FAILED };
enum filter_script_place { FILTER_PERSONAL, FILTER_GLOBAL };

struct filter;

struct filter_surroundings {
	void *arg; /* handed to each */
	/* Can mail be delivered into it?  RFC 5490 §3.1. */
	enum filter_answer (*mailbox_exists)(void *arg, const char *mailbox);
	/* The mailbox with that special use ("\\Junk"), or with that MAILBOXID; YES and its name. */
	enum filter_answer (*mailbox_by_use)(
	    void *arg, struct arena *a, const char *use, const char **mailbox_out);
	enum filter_answer (*mailbox_by_id)(
	    void *arg, struct arena *a, const char *id, const char **mailbox_out);
	/* An annotation's value; mailbox NULL: of the server.  RFC 5490 §3.3, §4. */
	enum filter_answer (*metadata)(void *arg, struct arena *a, const char *mailbox,
	    const char *annotation, struct str *value_out);
	/* A script that is included, compiled; lives until the run ends.  NO: there is none;
	 * YES with *filter_out NULL: it does not compile, *why_out says why. */
	enum filter_answer (*script)(void *arg, struct arena *a, enum filter_script_place place,
	    const char *name, const struct filter **filter_out, const char **why_out);
	/* RFC 6134: is `value` on the list?  Is there such a list?  Its addresses. */
	enum filter_answer (*list_exists)(void *arg, const char *list);
	enum filter_answer (*list_has)(void *arg, const char *list, struct str value);
	enum filter_answer (*list_members)(void *arg, struct arena *a, const char *list,
	    const char ***members_out, size_t *count_out);
	/* RFC 7352: has the key been remembered and is not forgotten yet?  `seconds`, `last`: :last
	 * starts the time anew. */
	enum filter_answer (*remembered)(void *arg, const char *key);
	/* Other addresses of the account (aliases), for vacation and "personal". */
	enum filter_answer (*is_own_address)(void *arg, struct str address);
	/* The account's mail root, for Exim's $home; and settings. */
	const char *home;
	struct filter_settings *settings;
};

/* Of the administrator; NULL settings: the defaults that are written here. */
struct filter_settings {
	uint64_t vacation_min_seconds, vacation_max_seconds,
	    vacation_default_seconds;       /* 1 d, 30 d, 7 d */
	const char *spam_header, *spam_max; /* "X-Spam-Score" and what is 100 % ("10"); RFC 5235 */
	const char *virus_header;           /* "X-Virus-Score" */
	const char *const *protected_headers; /* NULL-terminated; beside those of RFC 5293 §6 */
	char detail_delimiter;                /* '+' */
	const char *qualify_domain;           /* Exim: of bare local parts */
};

#endif
