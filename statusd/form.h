/* What browsers send: forms, and the name and password of Basic. */
#ifndef STATUSD_FORM_H
#define STATUSD_FORM_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/text.h"

/* The first field `name` of application/x-www-form-urlencoded, decoded into out.  False: there is none, or
 * its value holds a NUL or a broken escape. */
bool form_field(struct str body, const char *name, struct buf *out);

/* Credentials of "Authorization: Basic ...", RFC 7617 §2; false if they are none.  They may be secret: wipe them. */
bool form_basic(struct str header, struct buf *user_out, struct buf *password_out);

#endif
