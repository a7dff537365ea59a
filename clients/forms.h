/* What mail clients are told (clients/facts.h), in the forms that they ask for. */
#ifndef CLIENTS_FORMS_H
#define CLIENTS_FORMS_H

#include <stdbool.h>

#include "base/buf.h"
#include "clients/facts.h"

struct log;

/* Thunderbird's config-v1.1.xml, which K-9, Evolution, KMail and others read too.  Without an address its
 * placeholders stand for it. */
void clients_autoconfig(
    const struct clients_facts *facts, const struct clients_user *user, struct buf *out);

/* The answer of Autodiscover in plain old XML, MS-OXDSCLI §2.2.4: what Outlook asks for. */
void clients_autodiscover(
    const struct clients_facts *facts, const struct clients_user *user, struct buf *out);
/* Its errors, §2.2.4.1.1.4. */
#define CLIENTS_AUTODISCOVER_UNKNOWN  500 /* no such address here */
#define CLIENTS_AUTODISCOVER_INVALID  600 /* the request is none */
#define CLIENTS_AUTODISCOVER_PROVIDER 601 /* a schema that is not ours (ActiveSync) */
void clients_autodiscover_error(unsigned code, struct buf *out);

/* A configuration profile of macOS and iOS: one mail account.  Whoever installs it again replaces the first: its
 * identifiers are made of the address and the server's name. */
void clients_mobileconfig(
    const struct clients_facts *facts, const struct clients_user *user, struct buf *out);
/* The same inside CMS (RFC 5652, DER), signed by the server's certificate and its chain (PEM files), so that a device
 * shows who it is from.  False with the reason logged; `out` is then as before. */
bool clients_sign(const char *certificate, const char *key, const struct buf *profile,
    struct buf *out, const struct log *log);

/* Records for the domain's zone: RFC 6186, RFC 8314 §5.1, RFC 5804 §1.8, and what clients look for that
 * know none of these. */
void clients_srv(const struct clients_facts *facts, const char *domain, struct buf *out);

/* For people: what to type into a client that finds nothing by itself. */
void clients_text(
    const struct clients_facts *facts, const struct clients_user *user, struct buf *out);

#endif
