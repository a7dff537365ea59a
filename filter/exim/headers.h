/* The message's headers as $h_, $rh_, $bh_ and $lh_ show them. */
#ifndef FILTER_EXIM_HEADERS_H
#define FILTER_EXIM_HEADERS_H

#include "filter/exim/run.h"

enum exim_header_kind {
	EXIM_HEADER_DECODED, /* stripped, joined, decoded to the charset */
	EXIM_HEADER_RAW,     /* the blank in front and the line end stay */
	EXIM_HEADER_BYTES,   /* decoded, but not converted to a charset */
	EXIM_HEADER_LIST,    /* a list with a colon between occurrences; not decoded */
	EXIM_HEADER_REPLY,   /* as $reply_address: stripped and joined, not decoded */
};

/* All headers of that name in any letter case; empty if there are none.  Lines end in LF. */
struct str exim_header(struct exim_run *x, struct str name, enum exim_header_kind kind);
/* The whole block; decoded: without its last line end, and not converted to a charset. */
struct str exim_all_headers(struct exim_run *x, bool decoded);

#endif
