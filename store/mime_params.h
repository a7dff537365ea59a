/* Fields of the form `value; name=value; …` (Content-Type, Content-Disposition) and the other
 * structured fields of MIME.  RFC 2045 §5.1, RFC 2231, RFC 3282.  Between mime_*.c only. */
#ifndef STORE_MIME_PARAMS_H
#define STORE_MIME_PARAMS_H

#include "store/mime.h"

#define MIME_PARAMS_MAX 128 /* of one field; more are dropped */

/* type "/" subtype *(";" parameter); false if the type cannot be read. */
bool mime_parse_type(
    struct arena *arena, struct str value, struct mime_part *part, struct mime_info *info);
void mime_parse_disposition(struct arena *arena, struct str value, struct mime_info *info);
void mime_parse_languages(struct arena *arena, struct str value, struct mime_info *info);
/* The one token of Content-Transfer-Encoding; p NULL if it is none. */
struct str mime_parse_encoding(struct arena *arena, struct str value);
enum mime_cte mime_cte_from_name(struct str name);
/* The parameter's value as BODYSTRUCTURE shows it; p NULL if not there. */
struct str mime_param(const struct mime_param *params, size_t count, const char *name);

#endif
