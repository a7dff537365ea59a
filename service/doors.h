/* The doors of all daemons, and whether somebody of ours answers there. */
#ifndef SERVICE_DOORS_H
#define SERVICE_DOORS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/config.h"
#include "base/log.h"

struct net_tls;

#define DOOR_ANSWER_S 5 /* time for a connection and a greeting */

struct door {
	const char *daemon, *setting;
	bool tls; /* from the first byte */
	bool
	    silent; /* the client speaks first: who takes the connection (and speaks TLS) is taken for ours */
};
extern const struct door DOORS[];
extern const size_t DOOR_COUNT;

/* A door's addresses; one setting is a path that may be unset, the others are lists. */
size_t door_address_count(const struct config *config, const struct door *door);
const char *door_address(const struct config *config, const struct door *door, size_t i);

struct door_answer {
	bool is_address; /* else `address` was none */
	bool connected;
	bool opened;         /* TLS, where it is spoken from the first byte, too */
	bool ours;           /* it greeted as we do */
	char greeting[2000]; /* its first line, or "" */
	char why[256];       /* why there is none */
};
/* Makes a loop of its own and waits: for a pool thread or a program.  `tls` accepts any certificate
 * (NET_TLS_ANY). */
void door_knock(const struct door *door, const char *address, struct net_tls *tls, struct log *log,
    struct door_answer *out);

#endif
