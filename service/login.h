/* Logins: net/'s SASL asks, store/'s accounts answer. */
#ifndef SERVICE_LOGIN_H
#define SERVICE_LOGIN_H

#include "net/sasl.h"

/* For sasl_service; its arg is the struct service. */
extern const struct sasl_backend LOGIN_BACKEND;

#endif
