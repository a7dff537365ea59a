/* Access control lists, RFC 4314: who may do what with a mailbox.
 *
 * The owner of an account has all rights on all of its mailboxes unless a list says otherwise, and always those of
 * ACL_OWNER_ALWAYS.  Everybody else has what the mailbox's list gives. */
#ifndef STORE_ACL_H
#define STORE_ACL_H

/* RFC 4314 §2.1, in the order in which rights are written. */
enum acl_right {
	ACL_LOOKUP = 1 << 0,          /* l: the mailbox is there at all */
	ACL_READ = 1 << 1,            /* r: SELECT, STATUS, copying out of it */
	ACL_SEEN = 1 << 2,            /* s: the flag \Seen */
	ACL_WRITE = 1 << 3,           /* w: other flags and keywords */
	ACL_INSERT = 1 << 4,          /* i: APPEND, COPY and MOVE into it */
	ACL_POST = 1 << 5,            /* p: mail by SMTP; IMAP does not ask for it */
	ACL_CREATE = 1 << 6,          /* k: new mailboxes below it */
	ACL_DELETE_MAILBOX = 1 << 7,  /* x */
	ACL_DELETE_MESSAGES = 1 << 8, /* t: the flag \Deleted */
	ACL_EXPUNGE = 1 << 9,         /* e */
	ACL_ADMIN = 1 << 10,          /* a: the list itself */
	ACL_ALL = (1 << 11) - 1,
	ACL_OWNER_ALWAYS = ACL_LOOKUP | ACL_ADMIN,
};

#endif
