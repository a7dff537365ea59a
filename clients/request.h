/* What a client asks of Autodiscover, MS-OXDSCLI §2.2.3: an XML document from the outside. */
#ifndef CLIENTS_REQUEST_H
#define CLIENTS_REQUEST_H

#include "base/buf.h"
#include "base/text.h"

#define CLIENTS_REQUEST_MAX_BYTES 8192 /* Outlook sends 400 */

enum clients_request {
	CLIENTS_REQUEST_OK = 0,
	CLIENTS_REQUEST_INVALID, /* no such document, or too large */
	CLIENTS_REQUEST_SCHEMA,  /* asks for answers that are not ours (ActiveSync) */
};

/* The address goes into *address_out; it is some UTF-8 text, not yet an address.  A document type declaration ends the
 * parsing at once, so there are no entities that could grow or fetch anything. */
enum clients_request clients_request_parse(struct str body, struct buf *address_out);

#endif
