/* A message written out once more: lines of ours on top, its header without what earlier deliveries left
 * (trace.h), its body; as it came, or as a filter has edited it. */
#ifndef SENDING_POUR_H
#define SENDING_POUR_H

#include "base/text.h"
#include "filter/actions.h"
#include "sending/content.h"
#include "store/err.h"

/* Where the pieces go; anything but STORE_OK ends it. */
struct pour_sink {
	enum store_err (*write)(void *arg, const void *bytes, size_t len);
	void *arg;
};

/* `edit` NULL: as it came.  The sink's error, or STORE_IO if the content cannot be read. */
enum store_err pour_message(const struct content *content, const struct filter_edit *edit,
    struct str top, const struct pour_sink *sink);

/* The same message has the same digest, however often a relay comes with it: SHA-256 of what is poured without `top`, in
 * hex. */
#define POUR_DIGEST_BYTES 65
enum store_err pour_digest(const struct content *content, char digest_out[POUR_DIGEST_BYTES]);

#endif
