#include "base/settings.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

#define KIB  (UINT64_C(1) << 10)
#define MIB  (UINT64_C(1) << 20)
#define GIB  (UINT64_C(1) << 30)
#define TIB  (UINT64_C(1) << 40)
#define MIN  60
#define HOUR (60 * MIN)
#define DAY  (24 * HOUR)

#define TEXT(sec, k, d, least_, most_, h)                                                          \
	{                                                                                          \
		.section = (sec), .key = (k), .type = SETTING_STRING, .unit = "", .def = (d),      \
		.least = (least_), .most = (most_), .help = (h)                                    \
	}
#define PATH(sec, k, d, h)                                                                         \
	{                                                                                          \
		.section = (sec), .key = (k), .type = SETTING_PATH, .unit = "", .def = (d),        \
		.most = 1000, .help = (h)                                                          \
	}
#define NUMBER(sec, k, u, d, least_, most_, h)                                                     \
	{                                                                                          \
		.section = (sec), .key = (k), .type = SETTING_INTEGER, .unit = (u), .def = (d),    \
		.least = (least_), .most = (most_), .help = (h)                                    \
	}
#define SIZE(sec, k, d, least_, most_, h)                                                          \
	{                                                                                          \
		.section = (sec), .key = (k), .type = SETTING_SIZE, .unit = "bytes", .def = (d),   \
		.least = (least_), .most = (most_), .help = (h)                                    \
	}
#define DURATION(sec, k, d, least_, most_, h)                                                      \
	{                                                                                          \
		.section = (sec), .key = (k), .type = SETTING_DURATION, .unit = "seconds",         \
		.def = (d), .least = (least_), .most = (most_), .help = (h)                        \
	}
#define BOOL(sec, k, d, h)                                                                         \
	{                                                                                          \
		.section = (sec), .key = (k), .type = SETTING_BOOL, .unit = "", .def = (d),        \
		.help = (h)                                                                        \
	}
#define ENUM(sec, k, d, c, h)                                                                      \
	{                                                                                          \
		.section = (sec), .key = (k), .type = SETTING_ENUM, .unit = "", .def = (d),        \
		.choices = (c), .help = (h)                                                        \
	}
#define LIST(sec, k, t, d, most_, h)                                                               \
	{                                                                                          \
		.section = (sec), .key = (k), .type = (t), .list = true, .unit = "", .def = (d),   \
		.most = (most_), .help = (h)                                                       \
	}

#define HOST(sec, k, h)                                                                            \
	{                                                                                          \
		.section = (sec), .key = (k), .type = SETTING_HOST, .unit = "", .help = (h)        \
	}

/* clang-format off */
const struct setting SETTINGS[] = {
	TEXT("server", "hostname", NULL, 1, 255,
	    "Name of this host in greetings, Received headers and file names. Not set: the system's name."),
	TEXT("server", "user", "vmail", 1, 32,
	    "User that owns the mail and whom the daemons become when started as root."),
	PATH("server", "run_dir", "/run/sanger",
	    "Where the daemons keep their pid files, and what they count for statusd."),
	DURATION("server", "drain", "30s", 1, 10 * MIN,
	    "How long sessions may finish what they are doing when a daemon stops or restarts."),
	LIST("server", "proxy_networks", SETTING_NETWORK, NULL, 0,
	    "Proxies: at an address of proxy_listen they say by the PROXY protocol who the client is, and by SMTP they may say XCLIENT."),
	NUMBER("server", "load_ceiling", "load average", "100", 1, 100000,
	    "Above this load, new deliveries and submissions are put off; reading and deleting go on."),
	BOOL("server", "sandbox", "yes",
	    "Lock the workers in with Landlock and seccomp, as far as the kernel can."),

	ENUM("log", "level", "info", "error warn info debug",
	    "What is logged: this and everything more important."),
	PATH("log", "file", NULL,
	    "Log file, opened again on SIGHUP. Not set: standard error, where journald takes it."),

	PATH("tls", "certificate", "/etc/sanger/tls/cert.pem",
	    "Certificate chain, PEM, for clients that ask for no other name. Read again when it changes."),
	PATH("tls", "key", "/etc/sanger/tls/key.pem",
	    "Private key of the certificate, PEM."),
	PATH("tls", "sni_dir", NULL,
	    "Directory of further certificates: NAME.crt (chain) and NAME.key for the server name NAME."),
	ENUM("tls", "min_version", "1.2", "1.2 1.3",
	    "Oldest TLS version that is spoken."),
	DURATION("tls", "handshake_timeout", "10s", 1, 2 * MIN,
	    "Time for a client's TLS handshake."),

	TEXT("auth", "default_domain", NULL, 1, 255,
	    "Domain of login names without one. Not set: they are unknown."),
	DURATION("auth", "cache_ttl", "5m", 0, HOUR,
	    "How long a verified password is remembered (as a keyed digest, until the account changes)."),
	BOOL("auth", "app_passwords_only", "no",
	    "Only app passwords log in, where an account says nothing else: the password itself is for changing things."),
	DURATION("auth", "login_timeout", "60s", 5, 10 * MIN,
	    "Time from connection to successful login."),
	NUMBER("auth", "fail_limit", "logins", "10", 1, 1000,
	    "Failed logins of one address before its further tries are delayed, longer each time."),
	DURATION("auth", "fail_delay_max", "30s", 1, 10 * MIN,
	    "The longest such delay."),
	NUMBER("auth", "connections_per_address", "connections", "20", 1, 10000,
	    "Connections of one address that have not logged in yet."),

	PATH("store", "mail_root", "/var/lib/sanger/mail",
	    "The mail tree: DOMAIN/LOCALPART/ is an account's Maildir++."),
	PATH("store", "index_root", NULL,
	    "Where the index files (a cache) lie, as DOMAIN/LOCALPART/. Not set: in the account's Maildir++."),
	PATH("store", "account_db", "/var/lib/sanger/user.db",
	    "The account database (SQLite)."),
	PATH("store", "spool", "/var/lib/sanger/spool",
	    "Outgoing messages on their way to the relay."),
	SIZE("store", "message_size_max", "50M", 64 * KIB, 2 * GIB - 1,
	    "Largest message that is taken, by delivery, APPEND and submission."),
	SIZE("store", "free_space_floor", "50M", 1 * MIB, 1 * TIB,
	    "With less free space on the disk, deliveries and submissions are put off."),
	NUMBER("store", "messages_max", "messages", "0", 0, 1000000000,
	    "Messages that an account may keep, where mailboxes count towards quota; 0: any number. An account's own limit goes before."),
	NUMBER("store", "mailboxes_max", "mailboxes", "0", 0, 10000,
	    "Mailboxes that an account may have, INBOX too, but for those that do not count towards quota; 0: any number up to 10000."
	    " An account's own limit goes before."),
	LIST("store", "quota_exempt", SETTING_STRING, "Trash", 240,
	    "Mailboxes that do not count towards quota, with all below them."),
	ENUM("store", "localpart_case", "fold", "fold exact",
	    "Whether upper and lower case letters before the @ are the same (fold) when mail is delivered."),
	NUMBER("store", "undelete_days", "days", "7", 0, 3650,
	    "How long expunged messages are kept beside the mailboxes, outside quota, for mailadmin undelete; 0: not at all."),
	SIZE("store", "undelete_size", "2G", 0, 1 * TIB,
	    "Bytes of them that an account keeps at most; beyond that the oldest go earlier. 0: any number."),
	ENUM("store", "search_index", "searched", "no searched always",
	    "Which accounts get a search.db, by which searches for text need not read all messages: those in which somebody has searched, or all that are used."),
	SIZE("store", "search_index_size", "2G", 0, 1 * TIB,
	    "Bytes of an account's search.db at most; what is not in it is read when somebody searches. 0: any number. It also ends at twice store.free_space_floor."),
	NUMBER("store", "index_connections", "connections", "256", 8, 10000,
	    "Open index databases per process."),

	TEXT("training", "spam_folder", "Bayes_Spam", 1, 240,
	    "Mailbox into which users put spam that was not found; mailadmin bayes empties it."),
	TEXT("training", "ham_folder", "Bayes_Ham", 1, 240,
	    "Mailbox into which users put what was taken for spam wrongly; mailadmin bayes moves it back to INBOX."),
	NUMBER("training", "messages_max", "messages", "1000", 1, 1000000,
	    "Messages of one account and kind that one run of mailadmin bayes takes, and that imapd.junk_training collects."),

	PATH("record", "dir", NULL,
	    "Where is written down what became of each message, for mailadmin why. Not set: record/ in the spool."),
	DURATION("record", "keep", "30d", 0, 3650 * DAY,
	    "How long that is kept; 0: nothing is recorded."),
	SIZE("record", "size_max", "256M", 1 * MIB, 1 * TIB,
	    "Bytes of all records together; beyond that the oldest go earlier."),

	LIST("imapd", "listen_tls", SETTING_LISTEN, "*:993", 0,
	    "Addresses for IMAP over TLS."),
	LIST("imapd", "listen_starttls", SETTING_LISTEN, "*:143", 0,
	    "Addresses for IMAP where nothing but STARTTLS works before TLS."),
	LIST("imapd", "proxy_listen", SETTING_LISTEN, NULL, 0,
	    "Of the addresses above those at which the hosts of server.proxy_networks begin with a PROXY header, and must. All others are taken as they come there."),
	NUMBER("imapd", "workers", "processes", "0", 0, 256,
	    "Worker processes; 0: one per processor."),
	NUMBER("imapd", "threads", "threads", "16", 2, 1024,
	    "Threads per worker for disks and password hashes."),
	NUMBER("imapd", "max_connections", "connections", "20000", 1, 1000000,
	    "Connections in all workers together."),
	NUMBER("imapd", "connections_per_account", "connections", "100", 1, 10000,
	    "Sessions of one account in one worker."),
	LIST("imapd", "quota_admins", SETTING_STRING, NULL, 257,
	    "Addresses of accounts that may set the quota of all by IMAP (SETQUOTA). With one of them, imapd may write the account database."),
	BOOL("imapd", "share_with_anyone", "no",
	    "Users may share mailboxes with all accounts of this server at once, by anyone and authenticated in SETACL."
	    " Accounts that they name they may always share with."),
	BOOL("imapd", "junk_training", "no",
	    "Moving messages into Junk and out of it teaches the spam filter, by way of mailadmin bayes."),
	TEXT("imapd", "server_admin", NULL, 0, 1000,
	    "What clients are told of how to reach the administrator: a URI, as mailto:postmaster@example.org (METADATA, /shared/admin)."),
	TEXT("imapd", "server_comment", NULL, 0, 1000,
	    "A remark on the server that clients can show (METADATA, /shared/comment)."),
	NUMBER("imapd", "message_limit", "messages", "1000000", 0, 4294967295,
	    "Messages of one FETCH, SEARCH, STORE, COPY, MOVE, APPEND or UID EXPUNGE (MESSAGELIMIT); of more only those with the highest UIDs are taken, COPY and APPEND are refused. 0: no limit. RFC 9738 advises against less than 1000: clients that do not know of it see no more of a mailbox."),
	NUMBER("imapd", "save_limit", "messages", "0", 0, 4294967295,
	    "Messages of one COPY or APPEND where that is to be less than message_limit (SAVELIMIT); 0: as message_limit."),
	DURATION("imapd", "autologout", "30m", 10, DAY,
	    "Silence before a client is logged out. RFC 9051 asks for at least 30 minutes."),
	BOOL("imapd", "unauthenticate", "yes",
	    "A client may go back to before its login and log in as somebody else (UNAUTHENTICATE). No where a proxy in front decides at the login who may go on."),
	BOOL("imapd", "append_8bit_headers", "no",
	    "Takes messages with 8-bit header fields from clients that have said neither ENABLE UTF8=ACCEPT nor ENABLE IMAP4rev2. Much old mail has such fields: say yes while clients move it here. No refuses them, as RFC 6855 wants."),
	DURATION("imapd", "progress_interval", "10s", 0, HOUR,
	    "How often a client hears how far a command is that takes long (INPROGRESS), first after that time; 0: all the time."),

	LIST("submitd", "listen_tls", SETTING_LISTEN, "*:465", 0,
	    "Addresses for submission over TLS."),
	LIST("submitd", "listen_starttls", SETTING_LISTEN, "*:587", 0,
	    "Addresses for submission where STARTTLS comes before AUTH."),
	LIST("submitd", "proxy_listen", SETTING_LISTEN, NULL, 0,
	    "Of the addresses above those at which the hosts of server.proxy_networks begin with a PROXY header, and must. All others are taken as they come there."),
	NUMBER("submitd", "workers", "processes", "0", 0, 256,
	    "Worker processes; 0: one per processor."),
	NUMBER("submitd", "threads", "threads", "16", 2, 1024,
	    "Threads per worker for disks and password hashes."),
	NUMBER("submitd", "max_connections", "connections", "2000", 1, 1000000,
	    "Connections in all workers together."),
	DURATION("submitd", "timeout", "5m", 10, HOUR,
	    "Silence before a client is disconnected."),
	ENUM("submitd", "sender_policy", "account", "account any",
	    "Sender addresses an account may use: its own, or any."),
	ENUM("submitd", "from_policy", "add-sender", "off refuse add-sender",
	    "Where From is not the account's own address: nothing, refuse the message, or let Sender say who sent it. "
	    "What a filter redirects, also from a mailbox and on request (IMAP's FILTER), is not submitted: it keeps its From, whoever wrote it."),
	NUMBER("submitd", "recipients_max", "recipients", "1000", 1, 10000,
	    "Recipients of one message. RFC 5321 asks for at least 100."),
	NUMBER("submitd", "messages_per_connection", "messages", "1000", 0, 1000000,
	    "Messages that a client may submit over one connection, told to it as MAILMAX; 0: any number."),
	DURATION("submitd", "hold_max", "7d", 0, 365 * DAY,
	    "How long clients may have messages held before they go (HOLDFOR, HOLDUNTIL); 0: not at all."),
	DURATION("submitd", "deliver_by_min", "1m", 0, DAY,
	    "The shortest time for delivery or return (BY=...;R) that clients may ask for."),
	NUMBER("submitd", "priority_max", "priority", "4", 0, 9,
	    "The highest MT-PRIORITY that clients get; what asks for more is lowered to it."),
	NUMBER("submitd", "rate_messages_hour", "messages", "300", 1, 1000000000,
	    "Messages that an account may submit in an hour."),
	NUMBER("submitd", "rate_messages_day", "messages", "2000", 1, 1000000000,
	    "Messages that an account may submit in a day."),
	NUMBER("submitd", "rate_recipients_hour", "recipients", "2000", 1, 1000000000,
	    "Recipients of all that an account submits in an hour."),
	NUMBER("submitd", "rate_recipients_day", "recipients", "10000", 1, 1000000000,
	    "Recipients of all that an account submits in a day."),
	BOOL("submitd", "sent_copy", "no",
	    "Put a copy of what an account submits into its Sent mailbox, so that clients need not upload one."),
	NUMBER("submitd", "queue_max", "messages", "100000", 1, 100000000,
	    "Messages in the spool; beyond that submissions are put off."),
	LIST("submitd", "relay", SETTING_HOST, NULL, 0,
	    "The relay that takes outgoing mail, HOST:PORT. Several are tried in order: the first that is up takes all."),
	ENUM("submitd", "relay_tls", "required", "none opportunistic required verify fingerprint",
	    "TLS towards the relay: never, if offered, always, always with its certificate and name checked, or always with one of relay_fingerprint."),
	ENUM("submitd", "relay_tls_start", "auto", "auto starttls implicit",
	    "How TLS begins: from the first byte at port 465 and by STARTTLS elsewhere, always by STARTTLS, or always from the first byte."),
	PATH("submitd", "relay_ca_file", NULL,
	    "Certificates (PEM) that may vouch for the relay's. Not set: the system's."),
	LIST("submitd", "relay_fingerprint", SETTING_STRING, NULL, 100,
	    "SHA-256 of a relay's certificate or of its public key, 64 hexadecimal digits, colons allowed; any of them will do."),
	PATH("submitd", "relay_certificate", NULL,
	    "Certificate (PEM) to show to a relay that asks for one."),
	PATH("submitd", "relay_key", NULL,
	    "Its private key. Not set: in the same file."),
	TEXT("submitd", "relay_user", NULL, 1, 255,
	    "Name to log in with at the relay, by AUTH PLAIN and under TLS only. Not set: no login."),
	PATH("submitd", "relay_password_file", NULL,
	    "File with the password for it, in the first line; nobody but its owner and group may read it."),
	NUMBER("submitd", "relay_connections", "connections", "4", 1, 100,
	    "Connections per worker to one relay, and messages that a worker sends at a time."),
	NUMBER("submitd", "relay_messages_max", "messages", "100", 1, 100000,
	    "Messages over one connection, unless the relay wants fewer (RFC 9422)."),
	DURATION("submitd", "relay_probe", "30s", 1, HOUR,
	    "When a relay that was down is first tried again; the pause doubles up to ten times that."),
	DURATION("submitd", "relay_timeout", "5m", 1, HOUR,
	    "Time for each answer of the relay; ten minutes for the one after the message, RFC 5321 4.5.3.2."),
	DURATION("submitd", "retry_first", "1m", 1, DAY,
	    "Pause after the first temporary failure; it doubles with each further one."),
	DURATION("submitd", "retry_max", "1h", 1, 7 * DAY,
	    "The longest such pause."),
	DURATION("submitd", "delay_warning", "4h", MIN, 30 * DAY,
	    "When the sender is told that a message is still waiting."),
	DURATION("submitd", "message_lifetime", "5d", MIN, 30 * DAY,
	    "When a message that still waits is returned to its sender, and one that is parked is forgotten."),
	DURATION("submitd", "bulk_lifetime", "2d", MIN, 30 * DAY,
	    "The same for bulk mail, if that is sooner."),

	LIST("lda", "listen_lmtp", SETTING_LISTEN, "127.0.0.1:24", 0,
	    "Addresses for LMTP."),
	PATH("lda", "listen_lmtp_unix", "/run/sanger/lmtp.sock",
	    "UNIX socket for LMTP. Empty: none."),
	LIST("lda", "listen_smtp", SETTING_LISTEN, NULL, 0,
	    "Addresses for SMTP from the relay."),
	LIST("lda", "proxy_listen", SETTING_LISTEN, NULL, 0,
	    "Of the addresses above those at which the hosts of server.proxy_networks begin with a PROXY header, and must. All others are taken as they come there."),
	LIST("lda", "listen_lookup", SETTING_LISTEN, NULL, 0,
	    "Addresses where relays may ask who gets mail here, by socketmap or tcp_table."),
	LIST("lda", "relay_networks", SETTING_NETWORK, "127.0.0.0/8 ::1", 0,
	    "Who may speak SMTP and LMTP over TCP."),
	NUMBER("lda", "workers", "processes", "0", 0, 256,
	    "Worker processes; 0: one per processor."),
	NUMBER("lda", "threads", "threads", "64", 2, 1024,
	    "Threads per worker: as many deliveries wait for the disk at the same time."),
	NUMBER("lda", "max_connections", "connections", "1000", 1, 1000000,
	    "Connections in all workers together."),
	DURATION("lda", "timeout", "5m", 10, HOUR,
	    "Silence before a peer is disconnected."),
	NUMBER("lda", "recipients_max", "recipients", "1000", 100, 10000,
	    "Recipients of one message. RFC 5321 asks for at least 100."),
	TEXT("lda", "detail_delimiter", "+", 0, 1,
	    "What divides a local part from its detail (ann+lists). Empty: nothing does."),
	BOOL("lda", "detail_mailbox", "no",
	    "Mail to ann+lists that no filter decides about goes to the mailbox lists, if there is one."),
	BOOL("lda", "catch_all", "no",
	    "Mail to unknown addresses of a domain goes to the account of the alias *@DOMAIN."),
	PATH("lda", "leave_template", NULL,
	    "Text of the answer to those who write to a user who has left. Not set: a built-in one."),
	BOOL("lda", "quota_at_rcpt", "no",
	    "Refuse recipients over quota at RCPT already, so that a relay's callout sees it."),
	ENUM("lda", "quota_reject", "temporary", "temporary permanent",
	    "Whether mail to an account over quota is put off (452) or refused (552)."),
	LIST("lda", "quota_warning", SETTING_INTEGER, "80 90 100", 100,
	    "Percentages of the quota at which the user gets a warning message, once for each until usage falls below it. Empty or 0: never."),
	PATH("lda", "quota_warning_template", NULL,
	    "Text of that message, in UTF-8; may begin with lines Subject: and From:. Not set: a built-in one."),
	DURATION("lda", "duplicate_window", "0", 0, 90 * DAY,
	    "How long an account takes a message, known by its Message-ID and content, only once. 0: it gets each one."),
	NUMBER("lda", "hops_max", "hops", "100", 10, 1000,
	    "A message with more Received fields is in a loop and refused. RFC 5321 asks for at least 100."),
	BOOL("lda", "delivered_to", "yes",
	    "Put Delivered-To on top of each message, and refuse one that has been delivered to the same recipient before."),

	LIST("managesieved", "listen_tls", SETTING_LISTEN, NULL, 0,
	    "Addresses for ManageSieve over TLS, which few clients can."),
	LIST("managesieved", "listen_starttls", SETTING_LISTEN, "*:4190", 0,
	    "Addresses for ManageSieve where STARTTLS comes before the login."),
	LIST("managesieved", "proxy_listen", SETTING_LISTEN, NULL, 0,
	    "Of the addresses above those at which the hosts of server.proxy_networks begin with a PROXY header, and must. All others are taken as they come there."),
	NUMBER("managesieved", "workers", "processes", "1", 0, 256,
	    "Worker processes; 0: one per processor."),
	NUMBER("managesieved", "threads", "threads", "8", 2, 1024,
	    "Threads per worker for the database and password hashes."),
	NUMBER("managesieved", "max_connections", "connections", "1000", 1, 1000000,
	    "Connections in all workers together."),
	NUMBER("managesieved", "connections_per_account", "connections", "20", 1, 10000,
	    "Sessions of one account in one worker."),
	DURATION("managesieved", "autologout", "30m", 10, DAY,
	    "Silence before a client is logged out. RFC 5804 asks for at least 30 minutes."),

	LIST("statusd", "listen", SETTING_LISTEN, "127.0.0.1:8025", 0,
	    "Addresses for the status page, /metrics and /healthz, by HTTP. Empty: none."),
	LIST("statusd", "listen_public", SETTING_LISTEN, NULL, 0,
	    "Addresses for the public pages over HTTPS: set-up of mail clients, and new passwords. The usual port is 443. Not set: there are none."),
	LIST("statusd", "proxy_listen", SETTING_LISTEN, NULL, 0,
	    "Of the addresses above those at which the hosts of server.proxy_networks begin with a PROXY header, and must. All others are taken as they come there."),
	LIST("statusd", "allow", SETTING_NETWORK, "127.0.0.0/8 ::1", 0,
	    "Who may see the status page, /metrics and /healthz."),
	LIST("statusd", "names", SETTING_STRING, NULL, 255,
	    "Host name by which the status page may be asked for, beside addresses, localhost and server.hostname. Any other is refused: it may be a foreign site that lets its name point here."),
	TEXT("statusd", "user", "admin", 1, 64,
	    "User name for the status page and /metrics, where statusd.password is set."),
	TEXT("statusd", "password", NULL, 1, 1024,
	    "Password for them, as {SCHEME}hash or as openssl passwd -6 prints it. Not set: whoever statusd.allow names."),
	NUMBER("statusd", "quota_percent", "percent", "90", 1, 100,
	    "Accounts that have used so much of their quota stand on the status page."),
	NUMBER("statusd", "workers", "processes", "1", 1, 16,
	    "Worker processes."),
	NUMBER("statusd", "threads", "threads", "8", 2, 1024,
	    "Threads per worker for the databases and password hashes."),
	NUMBER("statusd", "max_connections", "connections", "200", 1, 1000000,
	    "Connections in all workers together."),
	BOOL("statusd", "password_change", "no",
	    "Users may set a new password on the public pages, with the one they have. statusd may then write store.account_db."),
	NUMBER("statusd", "password_length_min", "characters", "10", 1, 100,
	    "The shortest password they may choose."),

	PATH("filter", "default", NULL,
	    "Filter script of accounts that have none of their own. Not set: what the relay calls spam (X-Spam-Score of five or more, X-Spam-Flag, X-Spam-Status) goes to Junk, all else to INBOX."),
	DURATION("filter", "vacation_min_period", "1d", 0, 30 * DAY,
	    "Shortest time between two automatic replies to one sender."),
	DURATION("filter", "vacation_max_period", "30d", DAY, 365 * DAY,
	    "Longest such time; a filter that asks for more gets this."),
	DURATION("filter", "vacation_period", "7d", 0, 365 * DAY,
	    "Such time where the filter does not say one."),
	TEXT("filter", "spam_header", "X-Spam-Score", 1, 100,
	    "Header field in which the relay says how likely a message is spam, as a number or as so many plus signs. RFC 5235."),
	TEXT("filter", "spam_max", "10", 1, 20,
	    "The score in that field that means certainly spam."),
	TEXT("filter", "virus_header", "X-Virus-Score", 1, 100,
	    "Header field in which the relay says how likely a message holds a virus, from 0 to 5. RFC 5235."),
	LIST("filter", "protected_headers", SETTING_STRING, NULL, 100,
	    "Header field that filters cannot add or delete, beside Received and Auto-Submitted. RFC 5293."),
	PATH("filter", "global_dir", NULL,
	    "Directory with the scripts NAME.sieve that filters may include as global ones."),
	NUMBER("filter", "scripts_max", "scripts", "100", 1, 1000,
	    "Named scripts of one account."),
	SIZE("filter", "script_bytes_max", "4M", 64 * KIB, 64 * MIB,
	    "Size of all named scripts of one account together; one has at most 1M."),
	LIST("filter", "before", SETTING_PATH, NULL, 1000,
	    "Filter script of the administrator that runs before each account's own. Several run in this order, each if the one before keeps the message."),
	LIST("filter", "after", SETTING_PATH, NULL, 1000,
	    "Filter script of the administrator that runs after each account's own, if that keeps the message."),
	ENUM("filter", "redirect_sender", "sender", "sender account",
	    "Envelope sender of redirected messages: the one they came with, who is then told of failures, or the account."),

	NUMBER("cleanup", "trash_days", "days", "0", 0, 3650,
	    "Messages that have been in Trash for longer are expunged by mailadmin cleanup; 0: never."),
	NUMBER("cleanup", "junk_days", "days", "0", 0, 3650,
	    "The same for Junk."),
	PATH("cleanup", "removed_dir", NULL,
	    "Where mailadmin cleanup puts the mail of accounts that are no more, in a directory for each day; on the mail root's file system. Not set: the mail root's path with .removed behind it."),

	PATH("standby", "dir", NULL,
	    "Where a standby host gets its copies, on the mail root's file system. Not set: the mail root's path with .standby behind it."),
	TEXT("standby", "peer", NULL, 1, 1000,
	    "On the primary: where standby-sync sends them, HOST:DIR, where DIR is the other host's standby.dir."),

	PATH("publish", "dir", "/var/lib/sanger/publish",
	    "Where mailadmin publish writes user.db, the relay's copy of the account database."),
	LIST("publish", "to", SETTING_STRING, NULL, 1000,
	    "Where it is then sent by rsync: a directory or file, as HOST:PATH or PATH."),
	LIST("publish", "columns", SETTING_STRING, "quota", 32,
	    "Columns of an account in that copy beside its name, active and leaving: quota, realname."),

	PATH("backup", "dir", NULL,
	    "Where mailadmin backup makes its snapshots, best on another disk. It belongs to server.user. Not set: DIR must be given."),
	NUMBER("backup", "keep_daily", "snapshots", "7", 0, 10000,
	    "Of so many days the newest snapshot is kept, of days that have one."),
	NUMBER("backup", "keep_weekly", "snapshots", "5", 0, 10000,
	    "The same for weeks (from Monday on, in UTC)."),
	NUMBER("backup", "keep_monthly", "snapshots", "12", 0, 10000,
	    "The same for months. The newest good snapshot is kept always."),

	TEXT("clients", "name", NULL, 1, 100,
	    "What clients call the mail service, for example the organisation's name. Not set: the domain."),
	HOST("clients", "imaps",
	    "Where clients reach IMAP over TLS; without a port 993. Not set: server.hostname with the port of imapd.listen_tls. Empty: not offered."),
	HOST("clients", "imap",
	    "Where clients reach IMAP with STARTTLS; without a port 143. Not set: server.hostname with the port of imapd.listen_starttls. Empty: not offered."),
	HOST("clients", "submissions",
	    "Where clients reach submission over TLS; without a port 465. Not set: server.hostname with the port of submitd.listen_tls. Empty: not offered."),
	HOST("clients", "submission",
	    "Where clients reach submission with STARTTLS; without a port 587. Not set: server.hostname with the port of submitd.listen_starttls. Empty: not offered."),
	HOST("clients", "sieve",
	    "Where clients reach ManageSieve; without a port 4190. Not set: server.hostname with the port of managesieved.listen_starttls. Empty: not offered."),
	HOST("clients", "web",
	    "Where clients reach the public pages; without a port 443. Not set: server.hostname with the port of statusd.listen_public. Empty: not offered."),
	BOOL("clients", "sign_profiles", "yes",
	    "Sign the profiles for Apple's devices that the public pages give out with tls.certificate, so that they show who made them."),
};
/* clang-format on */
const size_t SETTINGS_COUNT = ARRAY_LEN(SETTINGS);

static const char *const TYPE_NAMES[SETTING_TYPE_COUNT] = {
	[SETTING_STRING] = "string",
	[SETTING_PATH] = "path",
	[SETTING_INTEGER] = "integer",
	[SETTING_SIZE] = "size",
	[SETTING_DURATION] = "duration",
	[SETTING_BOOL] = "bool",
	[SETTING_ENUM] = "enum",
	[SETTING_LISTEN] = "listen",
	[SETTING_HOST] = "host",
	[SETTING_NETWORK] = "network",
};

const char *
setting_type_name(enum setting_type type)
{
	return TYPE_NAMES[type];
}

const struct setting *
setting_find(const char *name)
{
	const char *dot = strchr(name, '.');
	size_t section_len;

	if (dot == NULL)
		return NULL;
	section_len = (size_t)(dot - name);
	for (size_t i = 0; i < SETTINGS_COUNT; i++) {
		const struct setting *s = &SETTINGS[i];

		if (strlen(s->section) == section_len &&
		    memcmp(s->section, name, section_len) == 0 && strcmp(s->key, dot + 1) == 0)
			return s;
	}
	return NULL;
}

struct unit {
	uint64_t factor; /* 0 ends a table */
	char letter;
};
static const struct unit SIZE_UNITS[] = { { TIB, 'T' }, { GIB, 'G' }, { MIB, 'M' }, { KIB, 'K' },
	{ 0 } };
static const struct unit TIME_UNITS[] = { { DAY, 'd' }, { HOUR, 'h' }, { MIN, 'm' }, { 0 } };

static void
number_with_unit(const struct unit *u, uint64_t value, struct buf *out)
{
	for (; u->factor != 0; u++) {
		if (value >= u->factor && value % u->factor == 0) {
			buf_printf(out, "%" PRIu64 "%c", value / u->factor, u->letter);
			return;
		}
	}
	buf_printf(out, "%" PRIu64, value);
}

void
setting_number(enum setting_type type, uint64_t value, struct buf *out)
{
	if (type == SETTING_SIZE)
		number_with_unit(SIZE_UNITS, value, out);
	else if (type == SETTING_DURATION && value != 0 && value % MIN != 0)
		buf_printf(out, "%" PRIu64 "s", value);
	else if (type == SETTING_DURATION)
		number_with_unit(TIME_UNITS, value, out);
	else
		buf_printf(out, "%" PRIu64, value);
}

static const char *const TYPE_ALLOWED[SETTING_TYPE_COUNT] = {
	[SETTING_STRING] = "text",
	[SETTING_PATH] = "an absolute path",
	[SETTING_INTEGER] = "a number",
	[SETTING_SIZE] = "a size (bytes, or with K, M, G, T)",
	[SETTING_DURATION] = "a duration (seconds, or with s, m, h, d, w)",
	[SETTING_BOOL] = "yes or no",
	[SETTING_ENUM] = "one of",
	[SETTING_LISTEN] = "HOST:PORT, *:PORT, [IPV6]:PORT or an absolute path",
	[SETTING_HOST] = "HOST, HOST:PORT or [IPV6]:PORT",
	[SETTING_NETWORK] = "ADDRESS or ADDRESS/BITS with no bit set behind BITS",
};

void
setting_allowed(const struct setting *s, struct buf *out)
{
	buf_adds(out, TYPE_ALLOWED[s->type]);
	switch (s->type) {
	case SETTING_INTEGER:
	case SETTING_SIZE:
	case SETTING_DURATION:
		buf_adds(out, " from ");
		setting_number(s->type, s->least, out);
		buf_adds(out, " to ");
		setting_number(s->type, s->most, out);
		break;
	case SETTING_STRING:
		buf_printf(out, " of %" PRIu64 " to %" PRIu64 " bytes", s->least, s->most);
		break;
	case SETTING_ENUM: buf_printf(out, ": %s", s->choices); break;
	default: break;
	}
}
