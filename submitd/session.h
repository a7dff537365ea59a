/* The submission doors: a logged-in user hands in messages, which are in the spool before they are
 * answered for.  RFC 6409. */
#ifndef SUBMITD_SESSION_H
#define SUBMITD_SESSION_H

#include "net/daemon.h"
#include "net/smtp_server.h"

struct net_stream;
struct service;

struct submit_door {
	struct service *sv;
	struct smtp_service service;
	char *hostname;
	struct submit_session *first;
};

void submit_door_open(struct submit_door *door, struct service *sv, bool implicit_tls);
void submit_door_close(struct submit_door *door);
void submit_door_accept(struct submit_door *door, struct net_stream *st);
void submit_door_drain(struct submit_door *door, enum net_drain how);

#endif
