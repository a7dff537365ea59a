/* Our name in greetings, Received fields and reports. */
#ifndef SERVICE_HOSTNAME_H
#define SERVICE_HOSTNAME_H

struct config;

/* server.hostname, or the system's name where it is not set; the caller's to free. */
char *service_hostname(const struct config *config);

#endif
