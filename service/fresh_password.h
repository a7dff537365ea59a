/* What the account database keeps of a new password: its hash, and the keys of SCRAM-SHA-256. */
#ifndef SERVICE_FRESH_PASSWORD_H
#define SERVICE_FRESH_PASSWORD_H

#include <stdbool.h>

#include "store/password.h"

struct fresh_password {
	char *stored; /* {ARGON2ID} */
	struct scram_keys scram;
};

/* SCRAM works on the prepared form (SASLprep), and clients prepare what users type: what cannot be prepared could not
 * be used to log in. */
bool fresh_password_possible(struct str text);
/* False, and nothing to free, if it is not possible.  Burns CPU: pool threads only. */
bool fresh_password_make(struct str text, struct fresh_password *out);
void fresh_password_free(struct fresh_password *p); /* wipes it; twice is fine */

#endif
