/* Contexts: what RETURN (UPDATE) of SEARCH and SORT promises, ADDTO and REMOVEFROM as the result changes; RFC 5267 §4.3.
 *
 * A context keeps its search program and its present result.  Sequence numbers and "$" in the program are what they were
 * when the command came; sets of UIDs, keywords and flags are looked at anew.  After each sync only the messages that are
 * new or have changed are searched again.
 *
 * RETURN (CONTEXT) alone is a hint that needs no context here: what searches ask the index keeps anyway. */
#ifndef IMAPD_CONTEXT_H
#define IMAPD_CONTEXT_H

#include "imapd/search_result.h"
#include "imapd/sort.h"

#define IMAP_CONTEXTS_MAX       32                /* of a session */
#define IMAP_CONTEXTS_MAX_BYTES (8 * 1024 * 1024) /* of all of them; a single one may be larger */
/* Searching new and changed messages for all of them, without a break: one that is not done by then is kept up no more. */
#define IMAP_CONTEXTS_UPDATE_MS 5000

struct context;
struct imap_session;

bool context_tag_is_used(const struct imap_session *s, struct str tag);
/* Takes what a command that is about to run would have to keep: `program` is what search_parse_program() reads, `sort` may
 * be NULL.  NULL if it does not parse.  The caller gives it to context_open() or ends it with context_free(). */
struct context *context_new(struct imap_session *s, struct str tag, struct str program,
    enum search_charset charset, int64_t now_s, const struct sort_plan *sort);
/* What is sent of new messages that come into it: fetch-att, checked; RFC 5465 §7. */
void context_wants(struct context *c, struct str atts);
void context_free(struct context *c); /* NULL is fine */
/* The command's result: from now on changes of it are told, or "* NO [NOUPDATE "tag"]" says that they are not.  Owns the
 * context.  `correlator` is what search_out_esearch() was given. */
void context_open(struct imap_session *s, struct context *c, const struct search_result *result,
    struct str correlator);
/* "* NO [NOUPDATE "tag"] text" */
void context_refuse(struct imap_session *s, struct str tag, const char *text);
/* CANCELUPDATE; false: no such context. */
bool context_cancel(struct imap_session *s, struct str tag);
void context_close_all(struct imap_session *s);

/* What a sync has brought: first, before EXPUNGE is said, REMOVEFROM for what is gone, whose numbers still hold; then,
 * behind EXISTS and FETCH, all else. */
void context_report_gone(struct imap_session *s, const struct mailbox_changes *changes);
void context_report(struct imap_session *s, const struct mailbox_changes *changes);

#endif
