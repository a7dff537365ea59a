/* Logins: net/'s SASL asks, store/'s accounts answer. */
#ifndef SERVICE_LOGIN_H
#define SERVICE_LOGIN_H

#include <stdint.h>

#include "net/sasl.h"

struct net_ip;
struct service;

/* For sasl_service; its arg is the struct service.  Failed and successful passwords are told to the
 * worker's net_limits. */
extern const struct sasl_backend LOGIN_BACKEND;

/* How long this peer must wait before its next try; NULL (UNIX socket): never. */
uint64_t login_delay_ms(const struct service *sv, const struct net_ip *ip);

/* After an exchange: logs it.  What the backend has not seen itself, a failed SCRAM proof, is
 * counted here.  `login` NULL: it failed. */
void login_ended(const struct service *sv, const struct log *log, const struct net_ip *ip,
    const char *login, const char *user, const char *mechanism);

#endif
