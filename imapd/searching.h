/* The searching commands: what SEARCH, SORT and THREAD have in common, from the parse of the search program to the
 * result.  RFC 9051 §6.4.4, RFC 5256 §3, RFC 5267. */
#ifndef IMAPD_SEARCHING_H
#define IMAPD_SEARCHING_H

#include "imapd/commands.h"
#include "imapd/context.h"
#include "imapd/search_result.h"
#include "imapd/search_run.h"
#include "imapd/sort.h"

/* A searching command under way, in its request's arena. */
struct searching {
	struct search_plan plan;
	struct search_run *run;
	bool sorted; /* by `sort` */
	struct sort_plan sort;
	struct sort_run *sort_run;
	struct search_result result;
	enum {
		SEARCHING_PARSE,
		SEARCHING_FIND,
		SEARCHING_SORT,
		SEARCHING_DONE,
	} state;
	struct context *context; /* UPDATE: what is to be kept */
	uint32_t sent;           /* results of a SEARCH or SORT response that stand in the output */
};
void searching_free(struct searching *st);

/* Parses the program that stands next (behind RETURN and what else the command has in front of it), and starts.  IMAP_OK:
 * go on with searching_step(); otherwise that is the command's result. */
enum imap_result searching_start(struct imap_session *s, struct imap_request *req,
    struct searching *st, enum search_charset charset);
/* A slice of work.  IMAP_OK: the result stands in st->result (and in "$" if it was to be saved there); IMAP_MORE: call
 * again; otherwise that is the command's result. */
enum imap_result searching_step(
    struct imap_session *s, struct imap_request *req, struct searching *st);
/* Once the result is said: opens the context that UPDATE asked for. */
void searching_keep(struct imap_session *s, struct imap_request *req, struct searching *st);
/* A search that ends in NO empties "$" if its result was to be saved there, RFC 9051 §6.4.4.1; one that is BAD leaves it.  Beyond
 * a limit that is said by NOTSAVED, §6.4.4.3. */
enum imap_result searching_fail(struct imap_session *s, struct imap_request *req,
    const struct search_plan *plan, enum store_err err);
/* The reply for a program that is not SEARCH_PARSED. */
enum imap_result searching_refuse(struct imap_session *s, struct imap_request *req,
    const struct search_plan *plan, enum search_parsed parsed);

/* "* SEARCH 2 84 882 (MODSEQ 917162500)", or SORT, in pieces: IMAP_MORE, then IMAP_OK.  RFC 3501 §7.2.5, RFC 5256 §4,
 * RFC 7162 §3.1.5. */
enum imap_result searching_send_numbers(
    struct imap_session *s, struct searching *st, const char *name);

#endif
