/* Who a message says it is from, compared with who submits it: RFC 5322 §3.6.2 and §3.6.6, RFC 6854
 * (groups), RFC 6409 §8.1 (a submission server may add or replace Sender).
 *
 * What is judged is what a reader may take for the author, so anything in doubt is not the account's own: a second
 * From field, text that is left over behind an address, addresses beyond FROM_ADDRESSES_MAX. */
#ifndef SUBMITD_FROM_H
#define SUBMITD_FROM_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/text.h"

#define FROM_ADDRESSES_MAX 100         /* of one field */
#define FROM_FIELD_MAX     (64 * 1024) /* bytes of a field that is looked at */

enum from_policy {
	FROM_OFF,        /* nothing is looked at */
	FROM_REFUSE,     /* From and Sender must be the account's own */
	FROM_ADD_SENDER, /* where From is somebody else's, Sender says who submitted it */
};

struct from_check {
	enum from_policy policy;
	bool (*is_own)(void *arg, struct str address); /* local@domain */
	void *arg;
};

struct from_verdict {
	bool refused;
	char why[400];           /* for the refusal: printable ASCII or UTF-8, one line */
	bool drop_sender;        /* the Sender fields go */
	bool add_sender;         /* "Sender: account" comes */
	bool drop_resent_sender; /* the first Resent-Sender field goes */
	bool add_resent_sender;  /* "Resent-Sender: account" comes in front of the resent fields */
};

/* Judges a whole header block (fields with their line ends). */
void from_judge(
    const struct from_check *check, struct str header, struct from_verdict *verdict_out);

#endif
