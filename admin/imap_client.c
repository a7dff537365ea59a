#include "admin/imap_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/client.h"
#include "net/tls.h"
#include "store/account.h"
#include "store/mutf7.h"

#define ERROR_BYTES        400
#define CAPABILITIES_BYTES 8192

struct imap_client {
	const struct imap_client_spec *spec;
	struct net_client *conn;
	struct imap_reader reader;
	struct buf text; /* the reply at hand */
	struct imap_reply reply;
	struct arena arena;             /* what was parsed of it */
	char *capabilities;             /* " IMAP4REV1 … " */
	bool utf8;                      /* names are UTF-8 */
	bool not_imap;                  /* what came is no IMAP */
	bool goodbye;                   /* BYE came, and `error` says why */
	unsigned tag;                   /* of the last command */
	unsigned oldest;                /* the first fetch under way; oldest > tag: none is */
	struct import_message *message; /* where BODY[] goes; NULL: nowhere */
	char error[ERROR_BYTES];
};

/* --- saying why --------------------------------------------------------------------------------- */

/* Text of a stranger's: what a terminal would obey is '?'. */
static enum imap_outcome
fail(struct imap_client *c, enum imap_outcome how, const char *what, struct str detail)
{
	char *text = mem_printf("%s%s%.*s", what, detail.len > 0 ? ": " : "", (int)detail.len,
	    detail.len > 0 ? detail.p : "");
	size_t len = 0;

	for (const char *p = text; *p != '\0';) {
		size_t n = text_visible(p);

		if (len + (n > 0 ? n : 1) >= sizeof(c->error))
			break;
		if (n == 0)
			c->error[len++] = '?';
		else
			memcpy(c->error + len, p, n);
		len += n;
		p += n > 0 ? n : 1;
	}
	c->error[len] = '\0';
	free(text);
	return how;
}

const char *
imap_client_error(const struct imap_client *c)
{
	return c->error;
}

static enum imap_outcome
lost(struct imap_client *c)
{
	if (c->goodbye)
		return IMAP_LOST;
	return fail(c, IMAP_LOST, "connection lost", str_from(net_client_error(c->conn)));
}

/* --- bytes -------------------------------------------------------------------------------------- */

static ssize_t
on_read(void *arg, void *bytes, size_t size)
{
	struct imap_client *c = arg;

	return net_client_read(c->conn, bytes, size);
}

static bool
on_body_begin(void *arg, uint64_t size)
{
	struct imap_client *c = arg;

	(void)size;
	if (c->message != NULL)
		import_message_begin(c->message);
	return true;
}

static bool
on_body(void *arg, const char *bytes, size_t len)
{
	struct imap_client *c = arg;

	if (c->message == NULL || import_message_write(c->message, bytes, len))
		return true;
	return false;
}

static enum imap_outcome
next_reply(struct imap_client *c)
{
	const char *why;

	arena_reset(&c->arena);
	c->not_imap = true;
	switch (imap_reader_next(&c->reader, &c->text, &why)) {
	case IMAP_READ_LOST: c->not_imap = false; return lost(c);
	case IMAP_READ_BAD:
		return fail(c, IMAP_LOST, "the server does not speak IMAP", str_from(why));
	case IMAP_READ_STOPPED:
		return fail(c, IMAP_LOST, "no room for a message", str_from(strerror(errno)));
	case IMAP_READ_OK: break;
	}
	if (!imap_reply_parse((struct str){ c->text.data, c->text.len }, &c->reply))
		return fail(c, IMAP_LOST, "not understood",
		    (struct str){ c->text.data, c->text.len < 80 ? c->text.len : 80 });
	c->not_imap = false;
	return IMAP_DONE;
}

static void
take_capabilities(struct imap_client *c, struct str list)
{
	if (list.len > CAPABILITIES_BYTES)
		list.len = CAPABILITIES_BYTES;
	free(c->capabilities);
	c->capabilities = mem_printf(" %.*s ", (int)list.len, list.p);
}

static bool
can(const struct imap_client *c, const char *capability)
{
	char *word = mem_printf(" %s ", capability);
	size_t len = strlen(word);
	bool found = false;

	for (const char *p = c->capabilities; p != NULL && strlen(p) >= len && !found; p++)
		found = str_eq_nocase((struct str){ p, len }, (struct str){ word, len });
	free(word);
	return found;
}

/* What every reply may bring along. */
static void
note_reply(struct imap_client *c)
{
	const struct imap_reply *r = &c->reply;
	struct cursor code = cursor_from(r->code);

	if (r->kind == IMAP_REPLY_OTHER && str_eq_nocase(r->name, STR("CAPABILITY")))
		take_capabilities(c, r->rest);
	else if ((r->kind == IMAP_REPLY_STATUS || r->kind == IMAP_REPLY_TAGGED) &&
		 cursor_take_nocase(&code, STR("CAPABILITY ")))
		take_capabilities(c, (struct str){ code.p, cursor_left(&code) });
}

/* --- commands ----------------------------------------------------------------------------------- */

static bool __attribute__((format(printf, 2, 3)))
send_text(struct imap_client *c, const char *fmt, ...)
{
	struct buf b = { 0 };
	va_list args;
	bool ok;

	va_start(args, fmt);
	buf_vprintf(&b, fmt, args);
	va_end(args);
	ok = net_client_write(c->conn, b.data, b.len);
	mem_wipe(b.data, b.len); /* it may be a password */
	buf_free(&b);
	return ok;
}

static bool
is_tag(struct str tag, unsigned n)
{
	char text[16];

	snprintf(text, sizeof(text), "S%u", n);
	return str_eq(tag, str_from(text));
}

/* What comes after it is only the end. */
static void
say_goodbye(struct imap_client *c)
{
	fail(c, IMAP_LOST, "the server says goodbye", c->reply.rest);
	c->goodbye = true;
}

struct waiting {
	/* Each untagged reply; false: it cannot be understood.  May be NULL. */
	bool (*cb)(struct imap_client *c, void *arg);
	void *arg;
	uint64_t replies_max;
	bool on_continue; /* return at "+" */
};

/* Reads up to the answer to the last command. */
static enum imap_outcome
wait_for_answer(struct imap_client *c, const struct waiting *w)
{
	for (uint64_t n = 0; n < w->replies_max; n++) {
		enum imap_outcome got = next_reply(c);

		if (got != IMAP_DONE)
			return got;
		note_reply(c);
		if (c->reply.kind == IMAP_REPLY_TAGGED) {
			if (!is_tag(c->reply.tag, c->tag))
				return fail(c, IMAP_LOST, "an answer to no command", c->reply.tag);
			if (c->reply.status == IMAP_STATUS_OK)
				return IMAP_DONE;
			return fail(c, IMAP_REFUSED, "the server says", c->reply.rest);
		}
		if (c->reply.kind == IMAP_REPLY_CONTINUE) {
			if (w->on_continue)
				return IMAP_DONE;
			return fail(c, IMAP_LOST, "the server asks for more", c->reply.rest);
		}
		if (c->reply.kind == IMAP_REPLY_STATUS && c->reply.status == IMAP_STATUS_BYE)
			say_goodbye(c);
		else if (w->cb != NULL && !w->cb(c, w->arg))
			return fail(c, IMAP_LOST, "not understood",
			    (struct str){ c->text.data, c->text.len < 80 ? c->text.len : 80 });
	}
	return fail(c, IMAP_LOST, "the server talks without end", STR(""));
}

static const struct waiting PLAINLY = { .replies_max = IMAP_CLIENT_REPLIES_MAX };

static enum imap_outcome
simple(struct imap_client *c, const char *command)
{
	if (!send_text(c, "S%u %s\r\n", ++c->tag, command))
		return lost(c);
	return wait_for_answer(c, &PLAINLY);
}

/* An astring that any server takes: quoted if it can be, else a literal. */
static enum imap_outcome
send_string(struct imap_client *c, const char *s)
{
	static const struct waiting CONTINUES = { .replies_max = IMAP_CLIENT_REPLIES_MAX,
		.on_continue = true };
	struct buf b = { 0 };
	bool quoted = true, ok;
	enum imap_outcome got;

	buf_addc(&b, '"');
	for (const char *p = s; *p != '\0'; p++) {
		quoted = quoted && (unsigned char)*p >= ' ' && *p != 127 &&
			 (c->utf8 || (unsigned char)*p < 128);
		if (*p == '"' || *p == '\\')
			buf_addc(&b, '\\');
		buf_addc(&b, *p);
	}
	buf_addc(&b, '"');
	ok = quoted && net_client_write(c->conn, b.data, b.len);
	mem_wipe(b.data, b.len);
	buf_free(&b);
	if (quoted)
		return ok ? IMAP_DONE : lost(c);
	if (!send_text(c, "{%zu}\r\n", strlen(s)))
		return lost(c);
	got = wait_for_answer(c, &CONTINUES);
	if (got != IMAP_DONE || c->reply.kind != IMAP_REPLY_CONTINUE)
		return got == IMAP_DONE ? fail(c, IMAP_LOST, "no answer to a literal", STR(""))
					: got;
	return net_client_write(c->conn, s, strlen(s)) ? IMAP_DONE : lost(c);
}

/* --- logging in --------------------------------------------------------------------------------- */

static enum imap_outcome
ask_capabilities(struct imap_client *c)
{
	free(c->capabilities);
	c->capabilities = NULL;
	return simple(c, "CAPABILITY");
}

static enum imap_outcome
greet(struct imap_client *c)
{
	enum imap_outcome got = next_reply(c);

	if (got != IMAP_DONE && !c->not_imap)
		return got;
	if (got == IMAP_DONE)
		note_reply(c);
	if (got != IMAP_DONE || c->reply.kind != IMAP_REPLY_STATUS)
		return fail(c, IMAP_REFUSED, "no IMAP server greets there",
		    (struct str){ c->text.data, c->text.len < 80 ? c->text.len : 80 });
	if (c->reply.status == IMAP_STATUS_OK || c->reply.status == IMAP_STATUS_PREAUTH)
		return IMAP_DONE;
	return fail(c, IMAP_LOST, "the server says", c->reply.rest);
}

/* RFC 3501 §6.2.1.  Whatever stands behind the answer came from somebody in between. */
static enum imap_outcome
start_tls(struct imap_client *c)
{
	enum imap_outcome got = simple(c, "STARTTLS");

	if (got != IMAP_DONE)
		return got;
	if (imap_reader_has_input(&c->reader))
		return fail(c, IMAP_REFUSED, "something came between STARTTLS and TLS", STR(""));
	if (!net_client_start_tls(c->conn, c->spec->tls, c->spec->host))
		return fail(c, IMAP_REFUSED, "TLS", str_from(net_client_error(c->conn)));
	free(c->capabilities); /* told in the clear: not to be believed */
	c->capabilities = NULL;
	return IMAP_DONE;
}

static enum imap_outcome
log_in_plain(struct imap_client *c)
{
	static const struct waiting CONTINUES = { .replies_max = IMAP_CLIENT_REPLIES_MAX,
		.on_continue = true };
	const struct imap_client_spec *s = c->spec;
	struct buf message = { 0 }, coded = { 0 };
	enum imap_outcome got = IMAP_DONE;
	bool initial = can(c, "SASL-IR"), ok;

	buf_adds(&message, s->master != NULL ? s->user : "");
	buf_addc(&message, '\0');
	buf_adds(&message, s->master != NULL ? s->master : s->user);
	buf_addc(&message, '\0');
	buf_adds(&message, s->password);
	base64_encode(&coded, message.data, message.len);
	ok = initial ? send_text(c, "S%u AUTHENTICATE PLAIN %s\r\n", ++c->tag, buf_cstr(&coded))
		     : send_text(c, "S%u AUTHENTICATE PLAIN\r\n", ++c->tag);
	if (ok && !initial) {
		got = wait_for_answer(c, &CONTINUES);
		if (got == IMAP_DONE)
			ok = send_text(c, "%s\r\n", buf_cstr(&coded));
	}
	mem_wipe(message.data, message.len);
	mem_wipe(coded.data, coded.len);
	buf_free(&message);
	buf_free(&coded);
	if (!ok)
		return lost(c);
	return got == IMAP_DONE ? wait_for_answer(c, &PLAINLY) : got;
}

static enum imap_outcome
log_in_simply(struct imap_client *c)
{
	enum imap_outcome got;

	if (!send_text(c, "S%u LOGIN ", ++c->tag))
		return lost(c);
	got = send_string(c, c->spec->user);
	if (got == IMAP_DONE && !send_text(c, " "))
		got = lost(c);
	if (got == IMAP_DONE)
		got = send_string(c, c->spec->password);
	if (got == IMAP_DONE && !send_text(c, "\r\n"))
		got = lost(c);
	return got == IMAP_DONE ? wait_for_answer(c, &PLAINLY) : got;
}

/* A NO with one of these may be a YES tomorrow. */
static bool
is_for_now(struct str code)
{
	return str_eq_nocase(code, STR("UNAVAILABLE")) || str_eq_nocase(code, STR("INUSE")) ||
	       str_eq_nocase(code, STR("LIMIT"));
}

static enum imap_outcome
log_in(struct imap_client *c)
{
	enum imap_outcome got = IMAP_DONE;

	if (c->capabilities == NULL)
		got = ask_capabilities(c);
	if (got != IMAP_DONE)
		return got;
	if (can(c, "AUTH=PLAIN"))
		got = log_in_plain(c);
	else if (c->spec->master != NULL)
		return fail(c, IMAP_REFUSED,
		    "the server has no AUTHENTICATE PLAIN, which "
		    "--master-user needs",
		    STR(""));
	else if (can(c, "LOGINDISABLED"))
		return fail(c, IMAP_REFUSED, "the server offers no way to log in here", STR(""));
	else
		got = log_in_simply(c);
	if (got == IMAP_REFUSED && is_for_now(c->reply.code))
		return IMAP_LOST;
	return got == IMAP_DONE ? ask_capabilities(c) : got;
}

static bool
on_enabled(struct imap_client *c, void *arg)
{
	(void)arg;
	if (c->reply.kind == IMAP_REPLY_OTHER && str_eq_nocase(c->reply.name, STR("ENABLED")))
		c->utf8 |= str_find(c->reply.rest, STR("UTF8=ACCEPT")) != SIZE_MAX ||
			   str_find(c->reply.rest, STR("IMAP4rev2")) != SIZE_MAX;
	return true;
}

/* Names in UTF-8, and messages with addresses in it as they are, RFC 6855. */
static enum imap_outcome
enable_utf8(struct imap_client *c)
{
	const struct waiting enabled = { .cb = on_enabled, .replies_max = IMAP_CLIENT_REPLIES_MAX };
	enum imap_outcome got;

	if (!can(c, "ENABLE") || (!can(c, "UTF8=ACCEPT") && !can(c, "UTF8=ONLY")))
		return IMAP_DONE;
	if (!send_text(c, "S%u ENABLE UTF8=ACCEPT\r\n", ++c->tag))
		return lost(c);
	got = wait_for_answer(c, &enabled);
	return got == IMAP_REFUSED ? IMAP_DONE : got;
}

static enum imap_outcome
connect_and_greet(struct imap_client *c)
{
	const struct imap_client_spec *s = c->spec;
	struct buf why = { 0 };
	enum imap_outcome got;

	c->conn = net_client_connect(s->host, s->port, s->silence_s, &why);
	if (c->conn == NULL) {
		got = fail(c, IMAP_LOST, "cannot connect", (struct str){ why.data, why.len });
		buf_free(&why);
		return got;
	}
	if (s->mode == IMAP_TLS_NONE && !net_client_is_loopback(c->conn))
		return fail(c, IMAP_REFUSED, "without TLS only this machine may be asked", STR(""));
	if (s->mode == IMAP_TLS_IMPLICIT && !net_client_start_tls(c->conn, s->tls, s->host))
		return fail(c, IMAP_REFUSED, "TLS", str_from(net_client_error(c->conn)));
	got = greet(c);
	if (got == IMAP_DONE && s->mode == IMAP_TLS_STARTTLS) {
		if (c->reply.status == IMAP_STATUS_PREAUTH)
			return fail(c, IMAP_REFUSED, "the server lets nobody start TLS", STR(""));
		got = start_tls(c);
	}
	return got;
}

enum imap_outcome
imap_client_open(const struct imap_client_spec *spec, struct imap_client **client_out)
{
	struct imap_client *c = mem_zalloc(sizeof(*c));
	enum imap_outcome got;

	c->spec = spec;
	c->oldest = 1;
	c->reader.source = (struct imap_source){ on_read, on_body_begin, on_body, c };
	*client_out = c;
	got = connect_and_greet(c);
	if (got == IMAP_DONE && c->reply.status != IMAP_STATUS_PREAUTH)
		got = log_in(c);
	else if (got == IMAP_DONE)
		got = ask_capabilities(c);
	if (got == IMAP_DONE)
		got = enable_utf8(c);
	return got;
}

void
imap_client_close(struct imap_client *c)
{
	if (c == NULL)
		return;
	net_client_close(c->conn);
	buf_free(&c->text);
	arena_free(&c->arena);
	free(c->capabilities);
	free(c);
}

/* --- mailboxes ---------------------------------------------------------------------------------- */

struct listing {
	struct imap_mailboxes *to;
	bool subscriptions; /* LSUB: marks what is there */
};

static char *
decode_name(struct imap_client *c, struct arena *arena, const char *wire)
{
	struct buf utf8 = { 0 };
	char *name;

	/* What is neither, nobody can say: it is kept as it is, and import_names mends it. */
	if (c->utf8 || !mutf7_decode(&utf8, str_from(wire)))
		buf_adds(&utf8, wire);
	name = arena_strndup(arena, utf8.data != NULL ? utf8.data : "", utf8.len);
	buf_free(&utf8);
	return name;
}

static struct imap_mailbox *
find_wire(struct imap_mailboxes *m, const char *wire)
{
	for (size_t i = 0; i < m->count; i++)
		if (strcmp(m->boxes[i].wire, wire) == 0)
			return &m->boxes[i];
	return NULL;
}

static bool
on_listed(struct imap_client *c, void *arg)
{
	struct listing *l = arg;
	struct imap_mailboxes *m = l->to;
	struct imap_listed listed;
	struct imap_mailbox *box;

	if (c->reply.kind != IMAP_REPLY_OTHER ||
	    !str_eq_nocase(c->reply.name, l->subscriptions ? STR("LSUB") : STR("LIST")))
		return true;
	if (!imap_listed_parse(c->reply.rest, &m->arena, &listed))
		return false;
	if (l->subscriptions) {
		box = find_wire(m, listed.name);
		if (box != NULL && !listed.noselect)
			box->subscribed = true;
		return true;
	}
	if (m->count == IMAP_MAILBOXES_MAX)
		return false;
	m->boxes = mem_realloc_array(m->boxes, m->count + 1, sizeof(*m->boxes));
	m->boxes[m->count++] = (struct imap_mailbox){ .wire = listed.name,
		.name = decode_name(c, &m->arena, listed.name),
		.delimiter = listed.delimiter,
		.selectable = !listed.noselect && !listed.nonexistent,
		.subscribed = listed.subscribed,
		.uses = listed.uses };
	return true;
}

static bool
on_namespace(struct imap_client *c, void *arg)
{
	struct imap_mailboxes *m = arg;

	if (c->reply.kind != IMAP_REPLY_OTHER || !str_eq_nocase(c->reply.name, STR("NAMESPACE")))
		return true;
	return imap_namespaces_parse(c->reply.rest, &m->arena, m->spaces, &m->space_count);
}

/* The longest prefix that fits says where a mailbox belongs. */
static void
join_spaces(struct imap_mailboxes *m)
{
	for (size_t i = 0; i < m->count; i++) {
		struct imap_mailbox *box = &m->boxes[i];
		size_t best = 0;

		for (size_t n = 0; n < m->space_count; n++) {
			size_t len = strlen(m->spaces[n].prefix);

			if (strncmp(box->wire, m->spaces[n].prefix, len) == 0 &&
			    (box->space == NULL || len > best)) {
				box->space = &m->spaces[n];
				best = len;
			}
		}
	}
}

enum imap_outcome
imap_client_list(struct imap_client *c, struct imap_mailboxes *out)
{
	struct listing listing = { .to = out };
	struct waiting w = {
		.cb = on_namespace, .arg = out, .replies_max = IMAP_CLIENT_REPLIES_MAX
	};
	bool extended = can(c, "LIST-EXTENDED") || can(c, "IMAP4rev2");
	const char *command = "LIST \"\" \"*\"";
	enum imap_outcome got = IMAP_DONE;

	if (can(c, "NAMESPACE") || can(c, "IMAP4rev2")) {
		if (!send_text(c, "S%u NAMESPACE\r\n", ++c->tag))
			return lost(c);
		got = wait_for_answer(c, &w);
		if (got == IMAP_LOST)
			return got;
	}
	if (extended)
		command = can(c, "SPECIAL-USE") || can(c, "IMAP4rev2")
			      ? "LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)"
			      : "LIST \"\" \"*\" RETURN (SUBSCRIBED)";
	w.cb = on_listed;
	w.arg = &listing;
	if (!send_text(c, "S%u %s\r\n", ++c->tag, command))
		return lost(c);
	got = wait_for_answer(c, &w);
	if (got == IMAP_DONE && !extended) {
		listing.subscriptions = true;
		if (!send_text(c, "S%u LSUB \"\" \"*\"\r\n", ++c->tag))
			return lost(c);
		got = wait_for_answer(c, &w);
		if (got == IMAP_REFUSED) /* then nothing is subscribed */
			got = IMAP_DONE;
	}
	join_spaces(out);
	return got;
}

void
imap_mailboxes_free(struct imap_mailboxes *m)
{
	free(m->boxes);
	arena_free(&m->arena);
	*m = (struct imap_mailboxes){ 0 };
}

static bool
on_examined(struct imap_client *c, void *arg)
{
	struct imap_examined *e = arg;

	if (c->reply.kind == IMAP_REPLY_NUMBER && str_eq_nocase(c->reply.name, STR("EXISTS")))
		e->messages = c->reply.number;
	if (c->reply.kind == IMAP_REPLY_STATUS) {
		imap_code_number(c->reply.code, STR("UIDVALIDITY"), &e->uidvalidity);
		imap_code_number(c->reply.code, STR("UIDNEXT"), &e->uidnext);
	}
	return true;
}

enum imap_outcome
imap_client_examine(struct imap_client *c, const char *wire, struct imap_examined *out)
{
	const struct waiting w = {
		.cb = on_examined, .arg = out, .replies_max = IMAP_CLIENT_REPLIES_MAX
	};
	enum imap_outcome got;

	*out = (struct imap_examined){ 0 };
	if (!send_text(c, "S%u EXAMINE ", ++c->tag))
		return lost(c);
	got = send_string(c, wire);
	if (got == IMAP_DONE && !send_text(c, "\r\n"))
		got = lost(c);
	if (got == IMAP_DONE)
		got = wait_for_answer(c, &w);
	if (got == IMAP_DONE && out->messages > IMAP_MESSAGES_MAX)
		return fail(c, IMAP_REFUSED, "more messages than can be", STR(""));
	c->oldest = c->tag + 1;
	return got;
}

/* --- messages ----------------------------------------------------------------------------------- */

struct scan {
	void (*cb)(void *arg, const struct imap_fetched *f);
	void *arg;
};

static bool
on_scanned(struct imap_client *c, void *arg)
{
	const struct scan *s = arg;
	struct imap_fetched f;

	if (c->reply.kind != IMAP_REPLY_NUMBER || !str_eq_nocase(c->reply.name, STR("FETCH")))
		return true;
	if (!imap_fetched_parse(c->reply.rest, &c->arena, &f))
		return false;
	if (f.uid != 0 && f.has_flags) /* else somebody's news */
		s->cb(s->arg, &f);
	return true;
}

enum imap_outcome
imap_client_scan(struct imap_client *c, uint32_t messages,
    void (*cb)(void *arg, const struct imap_fetched *f), void *arg)
{
	struct scan scan = { cb, arg };
	const struct waiting w = { .cb = on_scanned,
		.arg = &scan,
		.replies_max = IMAP_CLIENT_REPLIES_MAX + 2 * (uint64_t)messages };
	enum imap_outcome got;

	if (messages == 0)
		return IMAP_DONE;
	if (!send_text(c, "S%u UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n", ++c->tag))
		return lost(c);
	got = wait_for_answer(c, &w);
	c->oldest = c->tag + 1;
	return got;
}

enum imap_outcome
imap_client_fetch(struct imap_client *c, const char *uids, bool header_only)
{
	return send_text(c, "S%u UID FETCH %s (UID BODY.PEEK[%s])\r\n", ++c->tag, uids,
		   header_only ? "HEADER" : "")
		   ? IMAP_DONE
		   : lost(c);
}

static enum imap_outcome
take_fetched(struct imap_client *c, struct import_message *message, struct imap_fetch_event *out)
{
	struct imap_fetched f;

	if (!imap_fetched_parse(c->reply.rest, &c->arena, &f))
		return fail(c, IMAP_LOST, "not understood",
		    (struct str){ c->text.data, c->text.len < 80 ? c->text.len : 80 });
	out->uid = f.uid;
	out->has_body = f.body_kind == IMAP_BODY_SINK || f.body_kind == IMAP_BODY_TEXT;
	if (f.body_kind != IMAP_BODY_TEXT)
		return IMAP_DONE;
	import_message_begin(message);
	return import_message_write(message, f.body.p, f.body.len)
		   ? IMAP_DONE
		   : fail(c, IMAP_LOST, "no room for a message", str_from(strerror(errno)));
}

static enum imap_outcome
take_answer(struct imap_client *c, struct imap_fetch_event *out)
{
	if (c->oldest > c->tag || !is_tag(c->reply.tag, c->oldest))
		return fail(c, IMAP_LOST, "an answer to no command", c->reply.tag);
	c->oldest++;
	out->ended = true;
	out->refused = c->reply.status != IMAP_STATUS_OK;
	if (out->refused)
		fail(c, IMAP_REFUSED, "the server says", c->reply.rest);
	return IMAP_DONE;
}

enum imap_outcome
imap_client_fetched(
    struct imap_client *c, struct import_message *message, struct imap_fetch_event *out)
{
	enum imap_outcome got = IMAP_DONE;

	*out = (struct imap_fetch_event){ 0 };
	c->message = message;
	for (unsigned n = 0; got == IMAP_DONE; n++) {
		if (n == IMAP_CLIENT_REPLIES_MAX) {
			got = fail(c, IMAP_LOST, "the server talks without end", STR(""));
			break;
		}
		got = next_reply(c);
		if (got != IMAP_DONE)
			break;
		if (c->reply.kind == IMAP_REPLY_TAGGED) {
			got = take_answer(c, out);
			break;
		}
		if (c->reply.kind == IMAP_REPLY_CONTINUE) {
			got = fail(c, IMAP_LOST, "the server asks for more", c->reply.rest);
			break;
		}
		if (c->reply.kind == IMAP_REPLY_STATUS && c->reply.status == IMAP_STATUS_BYE)
			say_goodbye(c);
		if (c->reply.kind == IMAP_REPLY_NUMBER &&
		    str_eq_nocase(c->reply.name, STR("FETCH"))) {
			got = take_fetched(c, message, out);
			break;
		}
	}
	c->message = NULL;
	return got;
}
