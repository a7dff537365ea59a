/* IMAP's substring search on one message (RFC 9051 §6.4.4): HEADER (and with it SUBJECT, FROM,
 * TO, CC, BCC), BODY and TEXT, on decoded headers and decoded text parts, without regard to case
 * (i;unicode-casemap).  FROM and its like look at the addresses as ENVELOPE shows them, HEADER at the field as it
 * stands.  All keys of a search are answered in one pass; no message is decoded twice.
 *
 * BODY looks at the bodies of text parts, those of nested messages too, and at no header field; TEXT at the
 * message's own header, the MIME headers of parts and the headers of nested messages too.  HTML is searched as it stands, decoded but with its
 * tags.  A part in an unknown charset is searched as us-ascii, one in an unknown encoding as it stands.
 *
 * A fuzzy key (RFC 6203) matches by words, search_fuzzy.h, and HTML as a reader sees it; what is behind the first
 * SEARCH_FUZZY_PART_MAX_BYTES of a part it does not see. */
#ifndef STORE_SEARCH_TEXT_H
#define STORE_SEARCH_TEXT_H

#include "store/mime.h"
#include "store/uidset.h"

#define SEARCH_FUZZY_PART_MAX_BYTES (1024 * 1024)
#define SEARCH_NEEDLE_MAX_BYTES     8192 /* of a normalised needle; longer ones match nothing */

enum search_where {
	SEARCH_HEADER, /* a field of the message's header, as it stands */
	SEARCH_ADDRESSES, /* one with addresses, as ENVELOPE has them; if one cannot be read, as it stands as well */
	SEARCH_BODY,
	SEARCH_TEXT
};

struct search_key {
	enum search_where where;
	struct str header; /* SEARCH_HEADER and SEARCH_ADDRESSES: the field's name */
	struct str text;   /* UTF-8 (see charset_to_utf8()), not normalised; "" is in every field
				 * that exists, and in every body */
	bool fuzzy;
};

struct search_text; /* may be used for any number of messages, by one thread at a time */
struct search_text *search_text_new(const struct search_key *keys, size_t count); /* copies them */
void search_text_free(struct search_text *st);                                    /* NULL is fine */

/* Sets matched_out[i] for each key.  `m` is a parsed or unpacked table of the same file.  Stops as
 * soon as every key has matched.  False and errno if the file could not be read. */
bool search_text_run(
    struct search_text *st, int fd, const struct mime_message *m, bool *matched_out);
/* How well the last message fits a fuzzy key, 1 to 100; 0: not at all, or the key is not fuzzy. */
unsigned search_text_score(const struct search_text *st, size_t key);

/* --- texts for an index --- */

/* All that keys can match in a message: what a matching key looks for stands in `head` (HEADER and TEXT) or `body`
 * (BODY and TEXT), in the normal form of casefold.h; and each piece of a fuzzy one does.  Whoever changes what is in
 * them, or the normal form, makes SEARCH_INDEX_VERSION one more. */
struct search_texts {
	struct buf head, body;
};
/* Replaces *texts.  False and errno if the file could not be read; EFBIG: the texts would have more than max_bytes. */
bool search_texts_collect(
    struct search_texts *texts, size_t max_bytes, int fd, const struct mime_message *m);
void search_texts_free(struct search_texts *texts);

/* --- header fields kept by an index --- */

/* The fields that clients search (Subject, From, To and their like) of a message's own header, as HEADER
 * compares them: so a HEADER key on one of them needs no file.  Values that do not fit are left out and their
 * field is marked.
 *
 * Format: marked fields (bits, low byte first), then for each occurrence in the header's order its field's number, the length of
 * the decoded and normalised value (low byte first, 2 bytes each), the value.  Where ENVELOPE has addresses otherwise
 * than they stand there, a second entry with 256 added to the number has them so; 512 is added to the number of the
 * first if only the second is for FROM and its like.  Whoever changes it, the fields or the
 * normal form makes INDEX_VERSION one more. */
#define SEARCH_FIELDS_MAX_BYTES 8192

bool search_fields_keep(struct str name); /* is it one of these fields? */
/* Appends the fields of a message's header, whose lines end in LF or CRLF. */
void search_fields_pack(struct buf *out, struct str header);

enum search_truth { SEARCH_NO, SEARCH_YES, SEARCH_UNKNOWN };

/* Is any key on one of these fields?  If not, search_fields_match() need not be asked. */
bool search_fields_help(const struct search_text *st);
/* Sets truths_out[i] for each key to what search_text_run() would say of the message, as far as that can be
 * told from `fields` (none or damaged ones are fine): SEARCH_UNKNOWN is for the message itself to decide. */
void search_fields_match(
    const struct search_text *st, struct str fields, enum search_truth *truths_out);

/* --- candidates --- */

/* An index may know which messages can match at all.  It may name too many but must not leave out
 * one that matches; the message itself decides.  A NULL source means all. */
struct search_candidates {
	void *arg;
	/* Takes from `uids` those that cannot match `key`.  False if it cannot say anything (no index yet): the set is
	 * unchanged. */
	bool (*narrow)(void *arg, const struct search_key *key, struct uidset *uids);
};
bool search_narrow(
    const struct search_candidates *source, const struct search_key *key, struct uidset *uids);

#endif
