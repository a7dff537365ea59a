/* What sasl.c and its mechanisms share; nobody else includes it. */
#ifndef NET_SASL_MECHANISM_H
#define NET_SASL_MECHANISM_H

#include "net/sasl.h"

struct sasl_session {
	const struct sasl_mechanism *mechanism;
	const struct sasl_service *service;
	struct sasl_channel channel;
	void *state;      /* the mechanism's */
	struct buf user;  /* as claimed, prepared */
	struct buf login; /* canonical, set by the backend */
	struct buf note;  /* the backend's */
	bool done;
};

/* One mechanism, one row.  Messages are raw here; base64 is sasl.c's. */
struct sasl_mechanism {
	const char *name;
	bool server_first; /* it has a challenge to begin with */
	bool (*offered)(const struct sasl_service *service, const struct sasl_channel *channel);
	/* False if it cannot run now (SASL_STATUS_TEMPFAIL). */
	bool (*begin)(struct sasl_session *s);
	/* in.p NULL: there is no message yet (only with server_first) */
	enum sasl_status (*step)(struct sasl_session *s, struct str in, struct buf *out);
	/* Nothing but an empty line is awaited now; NULL: never. */
	bool (*is_last)(const struct sasl_session *s);
	void (*end)(struct sasl_session *s);
};

extern const struct sasl_mechanism sasl_mechanism_plain, sasl_mechanism_login;
extern const struct sasl_mechanism sasl_mechanism_scram, sasl_mechanism_scram_plus;

/* Prepares the claimed name into s->user. */
bool sasl_session_claim(struct sasl_session *s, struct str name);
/* An authorization identity is empty, the claimed name, or (`login_known`) the canonical one. */
bool sasl_session_may_act_as(const struct sasl_session *s, struct str authzid);
enum sasl_status sasl_status_of(enum sasl_verdict verdict);

#endif
