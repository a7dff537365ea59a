/* What users may choose as a password.  Length is what counts; beside it only what a guesser tries first is refused. */
#ifndef STATUSD_PASSWORD_POLICY_H
#define STATUSD_PASSWORD_POLICY_H

#include "base/buf.h"
#include "base/text.h"

#define PASSWORD_DISTINCT_MIN 4 /* different characters */

enum password_policy {
	PASSWORD_POLICY_OK = 0,
	PASSWORD_POLICY_SHORT,
	PASSWORD_POLICY_LONG,
	PASSWORD_POLICY_CHARACTERS, /* control characters, or no UTF-8: no mail client could send it */
	PASSWORD_POLICY_SAME,       /* as the current one */
	PASSWORD_POLICY_ADDRESS,    /* the address, or a half of it */
	PASSWORD_POLICY_MONOTONE, /* too few different characters */
	PASSWORD_POLICY_COUNT
};

/* `length_min` counts characters. */
enum password_policy password_policy_check(
    struct str fresh, struct str current, struct str address, unsigned length_min);
/* A sentence for the user; empty for OK. */
void password_policy_explain(enum password_policy verdict, unsigned length_min, struct buf *out);

#endif
