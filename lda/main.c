/* lda: takes mail from the relay by LMTP and SMTP, and from scripts by lda -d. */
#include <stdlib.h>
#include <string.h>

#include "lda/command.h"
#include "lda/lda.h"
#include "lda/lookup.h"
#include "lda/meters.h"
#include "lda/session.h"
#include "sending/outgoing.h"
#include "service/service.h"

struct lda_worker {
	struct lda lda;
	struct lda_door lmtp, smtp;
	struct lookup *lookup;
};

static void
on_lmtp(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *sv = arg;
	struct lda_worker *lw = sv->data;

	(void)w;
	lda_door_accept(&lw->lmtp, st);
}

static void
on_smtp(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *sv = arg;
	struct lda_worker *lw = sv->data;

	(void)w;
	lda_door_accept(&lw->smtp, st);
}

static void
on_lookup(struct net_worker *w, struct net_stream *st, void *arg)
{
	struct service *sv = arg;
	struct lda_worker *lw = sv->data;

	(void)w;
	lookup_accept(lw->lookup, st);
}

static bool
start(struct service *sv, struct net_worker *w)
{
	struct lda_worker *lw = mem_zalloc(sizeof(*lw));

	(void)w;
	if (!lda_open(&lw->lda, sv)) {
		free(lw);
		return false;
	}
	outgoing_spool(
	    &lw->lda.outgoing); /* made before the sandbox closes; logged if it cannot be */
	lda_door_open(&lw->lmtp, &lw->lda, SMTP_PROTOCOL_LMTP);
	lda_door_open(&lw->smtp, &lw->lda, SMTP_PROTOCOL_SMTP);
	lw->lookup = lookup_open(&lw->lda);
	sv->data = lw;
	return true;
}

static void
drain(struct service *sv, enum net_drain how)
{
	struct lda_worker *lw = sv->data;

	(void)how; /* a relay comes back: it is told 421 in both cases */
	lda_door_drain(&lw->lmtp);
	lda_door_drain(&lw->smtp);
	lookup_drain(lw->lookup);
}

static void
stop(struct service *sv)
{
	struct lda_worker *lw = sv->data;

	lookup_close(lw->lookup);
	lda_close(&lw->lda);
	free(lw);
	sv->data = NULL;
}

#define TOO_MANY "421 4.7.0 Too many connections, try again later\r\n"
static const struct service_door DOORS[] = {
	{ "lmtp", "lda.listen_lmtp", 24, TOO_MANY, on_lmtp, NULL },
	{ "lmtp-unix", "lda.listen_lmtp_unix", 0, TOO_MANY, on_lmtp, NULL },
	{ "smtp", "lda.listen_smtp", 25, TOO_MANY, on_smtp, NULL },
	{ "lookup", "lda.listen_lookup", 2424, "", on_lookup, NULL },
};

static const struct service_spec SPEC = {
	.name = "lda",
	.relay_setting = "lda.relay_networks",
	.needs = SERVICE_TLS | SERVICE_STORE,
	.writes_spool = true,
	.doors = DOORS,
	.door_count = ARRAY_LEN(DOORS),
	.name_meters = lda_meters_name,
	.start = start,
	.drain = drain,
	.stop = stop,
};

/* With -d it is a command, without it a daemon. */
static bool
is_command(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "-d", 2) == 0 || strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

int
main(int argc, char **argv)
{
	return is_command(argc, argv) ? lda_command(argc, argv, &SPEC)
				      : service_main(argc, argv, &SPEC);
}
