/* Other parts in a message, and other messages around it: what replace and enclose make.  RFC 5703 §5, §6. */
#ifndef FILTER_SIEVE_EDIT_PART_H
#define FILTER_SIEVE_EDIT_PART_H

#include "base/mem.h"
#include "filter/sieve/run.h"

/* A MIME entity, RFC 2045 §2.4, with LF line ends. */
struct sieve_entity {
	struct str header; /* its fields, each with its line end; no blank line */
	struct str body;
};

/* Reads one: fields, a blank line, anything.  False: it is none. */
bool sieve_entity_parse(struct arena *a, struct str text, struct sieve_entity *entity_out);
/* The text/plain entity with that text in UTF-8. */
void sieve_entity_text(struct arena *a, struct str text, struct sieve_entity *entity_out);

/* Is it a mailbox-list, RFC 5322 §3.4, with at least one address? */
bool sieve_is_mailbox_list(struct arena *scratch, struct str text);

/* A delimiter that is in neither text, RFC 2046 §5.1.1. */
struct str sieve_boundary(struct arena *a, struct str one, struct str other);
/* multipart/mixed of the text and the message. */
struct str sieve_enclosing_body(
    struct sieve_run *r, struct str boundary, const struct sieve_entity *text, struct str message);

/* Marks the message as it is now as what `redirect` sends: RFC 5703 §6 keeps enclosing from it. */
void sieve_edit_enclosing(struct sieve_run *r);
/* What redirect sends: the message as edited, but for its being enclosed. */
const struct filter_edit *sieve_edit_unenclosed(struct sieve_run *r);

/* Is the part all of the message? */
bool sieve_part_is_message(const struct sieve_part *part);
/* The loop's part is another one from now on, for the loop and for the message. */
bool sieve_part_set(struct sieve_run *r, unsigned line, const struct sieve_entity *entity);

#endif
