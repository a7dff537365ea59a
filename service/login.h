/* Logins: net/'s SASL asks, store/'s accounts answer, and what came of it is counted, logged, and noted in the
 * account's login history (service/login_history.h). */
#ifndef SERVICE_LOGIN_H
#define SERVICE_LOGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "net/sasl.h"
#include "store/auth.h"

struct log;
struct net_ip;
struct service;

/* For sasl_service; its arg is the struct service.  Failed and successful passwords are told to the
 * worker's net_limits. */
extern const struct sasl_backend LOGIN_BACKEND;

/* How long this peer must wait before its next try; NULL (UNIX socket): never. */
uint64_t login_delay_ms(const struct service *sv, const struct net_ip *ip);

/* An exchange that has ended. */
struct login_end {
	const struct net_ip *ip; /* NULL: a UNIX socket */
	const char *login;       /* canonical; NULL: it failed */
	const char *user;        /* as claimed */
	const char *mechanism;
	struct str note;    /* sasl_session_note(), or what LOGIN_BACKEND wrote into note_out */
	const char *client; /* what it calls itself; NULL: it has not said yet */
	bool delayed;       /* it had to wait, because others had failed before */
};

/* A login in the history, whose client may still say who it is. */
struct login_event;
void login_event_free(struct login_event *event); /* NULL is fine */

/* What LOGIN_BACKEND found, from the note that it left. */
enum auth_outcome login_outcome(struct str note);

/* Logs it and notes it.  What the backend has not seen itself, a failed SCRAM proof, is counted here.  event_out (may
 * be NULL): the caller's, NULL where nothing was noted.  Any thread; waits for nothing. */
void login_ended(const struct service *sv, const struct log *log, const struct login_end *end,
    struct login_event **event_out);
/* The client has said who it is, for example by IMAP's ID. */
void login_client(const struct service *sv, struct login_event *event, const char *client);

#endif
