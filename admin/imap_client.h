/* An IMAP client that reads: it logs in to a foreign server, lists mailboxes and fetches messages.  Mailboxes are opened by
 * EXAMINE, so nothing changes there.  Blocking; one command after the other.
 *
 * Every call says how it went: IMAP_DONE; IMAP_REFUSED, the server said NO or BAD and the connection goes on; IMAP_LOST, the
 * connection is of no use any more (closed, silent, or what came is no IMAP): close it, and connect anew if that
 * makes sense.  imap_client_error() says why. */
#ifndef ADMIN_IMAP_CLIENT_H
#define ADMIN_IMAP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/imap_reply.h"
#include "admin/import_message.h"

#define IMAP_CLIENT_REPLIES_MAX 50000 /* to one command, beside those that it is for */
#define IMAP_MAILBOXES_MAX      10000
#define IMAP_MESSAGES_MAX       (20 * 1000 * 1000) /* in one mailbox */
/* Under way at once.  Servers answer several in turns (Dovecot does), and messages shall come in the order of their UIDs;
 * one for hundreds of messages is as quick. */
#define IMAP_FETCHES_MAX 1

struct imap_client;
struct net_tls;

enum imap_tls { IMAP_TLS_IMPLICIT, IMAP_TLS_STARTTLS, IMAP_TLS_NONE /* to this machine only */ };
struct imap_client_spec {
	const char *host;
	uint16_t port;
	enum imap_tls mode;
	struct net_tls *tls;         /* NULL with IMAP_TLS_NONE */
	const char *user, *password; /* the password is `master`'s if there is one */
	const char *master;          /* NULL, or who logs in for `user` */
	unsigned silence_s;          /* of the server, then the connection is lost */
};

enum imap_outcome { IMAP_DONE, IMAP_REFUSED, IMAP_LOST };

/* Connects and logs in.  IMAP_REFUSED: trying again would not help (wrong password, no TLS).  *client_out is there in any case
 * and ends with imap_client_close(). */
enum imap_outcome imap_client_open(
    const struct imap_client_spec *spec, struct imap_client **client_out);
void imap_client_close(struct imap_client *c); /* NULL is fine */
/* One line that may be shown to people; borrowed until the next call. */
const char *imap_client_error(const struct imap_client *c);

struct imap_mailbox {
	char *wire;     /* the name as the server writes it */
	char *name;     /* in UTF-8, levels still split by `delimiter` */
	char delimiter; /* '\0': none */
	bool selectable, subscribed;
	unsigned uses;                      /* bit n: enum special_use n */
	const struct imap_namespace *space; /* whose prefix it has; NULL: none */
};
struct imap_mailboxes {
	struct arena arena;
	struct imap_mailbox *boxes;
	size_t count;
	struct imap_namespace spaces[IMAP_NAMESPACES_MAX];
	size_t space_count;
};
/* All mailboxes.  Zero-initialise *out; it ends with imap_mailboxes_free(), whatever came of it. */
enum imap_outcome imap_client_list(struct imap_client *c, struct imap_mailboxes *out);
void imap_mailboxes_free(struct imap_mailboxes *m);

struct imap_examined {
	uint32_t uidvalidity; /* 0: the server has none */
	uint32_t uidnext;     /* 0: not said */
	uint32_t messages;
};
enum imap_outcome imap_client_examine(
    struct imap_client *c, const char *wire, struct imap_examined *out);

/* UID, flags, date and size of all messages of the examined mailbox, in the order in which they come; `f` is valid in
 * the callback. */
enum imap_outcome imap_client_scan(struct imap_client *c, uint32_t messages,
    void (*cb)(void *arg, const struct imap_fetched *f), void *arg);

/* Asks for messages, or their headers, by UID ("3:5,9"); at most IMAP_FETCHES_MAX are under way. */
enum imap_outcome imap_client_fetch(struct imap_client *c, const char *uids, bool header_only);
struct imap_fetch_event {
	bool ended; /* the oldest fetch under way has been answered, `refused` or not */
	bool refused;
	uint32_t uid;  /* else a message: 0 if the server did not say whose it is */
	bool has_body; /* it is in `message`, whole */
};
/* What comes next.  `message` is overwritten. */
enum imap_outcome imap_client_fetched(
    struct imap_client *c, struct import_message *message, struct imap_fetch_event *out);

#endif
