#include "service/login.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem.h"
#include "net/addr.h"
#include "net/limits.h"
#include "service/login_history.h"
#include "service/service.h"
#include "store/auth.h"

static enum sasl_verdict
verdict(enum store_err err)
{
	return err == STORE_OK       ? SASL_VERDICT_OK
	       : err == STORE_DENIED ? SASL_VERDICT_DENIED
				     : SASL_VERDICT_TEMPFAIL;
}

static void
add_address(struct buf *login_out, const struct account_row *row)
{
	buf_printf(login_out, "%s@%s", row->localpart, row->domain);
}

static struct net_limits *
limits_of(const struct service *sv)
{
	return sv->worker != NULL ? net_worker_limits(sv->worker) : NULL;
}

static void
count_password(const struct service *sv, const char *peer, const char *user, struct str password,
    enum store_err err)
{
	struct net_limits *limits = limits_of(sv);
	struct net_ip ip;

	if (limits == NULL || !net_ip_parse(str_from(peer), &ip))
		return;
	if (err == STORE_OK)
		net_limits_login_ok(limits, &ip, str_from(user));
	else if (err == STORE_DENIED)
		net_limits_login_failed(limits, &ip, str_from(user), password);
}

/* What the backend knows and login_ended() tells: bytes in the exchange's note. */
struct note {
	enum auth_outcome outcome;
	int64_t app_id;
	char app[ACCOUNT_APP_LABEL_MAX + 1];
	char localpart[ACCOUNT_LOCALPART_MAX + 1], domain[ACCOUNT_DOMAIN_MAX + 1];
};

/* Of an account that is there. */
static void
leave_note(struct buf *note_out, const struct auth_login *login)
{
	struct note note = { .outcome = login->outcome, .app_id = login->app_id };

	if (login->row.localpart == NULL || note_out == NULL)
		return;
	memcpy(note.app, login->app, sizeof(note.app));
	snprintf(note.localpart, sizeof(note.localpart), "%s", login->row.localpart);
	snprintf(note.domain, sizeof(note.domain), "%s", login->row.domain);
	buf_reset(note_out);
	buf_add(note_out, &note, sizeof(note));
}

static enum sasl_verdict
verify_password(void *arg, const char *user, struct str password, const char *peer,
    struct buf *login_out, struct buf *note_out)
{
	struct service *sv = arg;
	struct auth_login login;
	uint64_t since_ns = metrics_now_ns();
	enum store_err err = auth_login(sv->auth, str_from(user), password, &login);

	login_meters_time(&sv->logins, since_ns);
	if (err == STORE_OK)
		add_address(login_out, &login.row);
	leave_note(note_out, &login);
	count_password(sv, peer, user, password, err);
	auth_login_free(&login);
	return verdict(err);
}

static enum sasl_verdict
find_scram_keys(void *arg, const char *user, struct sasl_scram_keys *keys_out,
    struct buf *login_out, struct buf *note_out)
{
	struct service *sv = arg;
	struct scram_keys keys;
	struct auth_login login;
	uint64_t since_ns = metrics_now_ns();
	enum store_err err = auth_login_keys(sv->auth, str_from(user), &keys, &login);

	login_meters_time(&sv->logins, since_ns);
	if (err != STORE_OK && err != STORE_DENIED) {
		auth_login_free(&login);
		return SASL_VERDICT_TEMPFAIL;
	}
	*keys_out =
	    (struct sasl_scram_keys){ .salt_len = keys.salt_len, .iterations = keys.iterations };
	_Static_assert(sizeof(keys.salt) <= sizeof(keys_out->salt), "a salt fits");
	memcpy(keys_out->salt, keys.salt, keys.salt_len);
	memcpy(keys_out->stored_key, keys.stored_key, sizeof(keys_out->stored_key));
	memcpy(keys_out->server_key, keys.server_key, sizeof(keys_out->server_key));
	if (err == STORE_OK)
		add_address(login_out, &login.row);
	leave_note(note_out, &login);
	auth_login_free(&login);
	return verdict(err);
}

const struct sasl_backend LOGIN_BACKEND = {
	.verify_password = verify_password,
	.scram_keys = find_scram_keys,
};

uint64_t
login_delay_ms(const struct service *sv, const struct net_ip *ip)
{
	struct net_limits *limits = limits_of(sv);

	return limits != NULL ? net_limits_login_delay_ms(limits, ip) : 0;
}

static bool
is_scram(const char *mechanism)
{
	return str_has_prefix_nocase(str_from(mechanism), STR("SCRAM"));
}

/* A SCRAM exchange shows no password to tell a repeated mistake by: each failure counts. */
static void
count_scram(const struct service *sv, const struct net_ip *ip, const char *login, const char *user)
{
	struct net_limits *limits = limits_of(sv);
	unsigned char nonce[16];

	if (limits == NULL || ip == NULL)
		return;
	if (login != NULL)
		net_limits_login_ok(limits, ip, str_from(user));
	else if (getrandom(nonce, sizeof(nonce), 0) == (ssize_t)sizeof(nonce))
		net_limits_login_failed(
		    limits, ip, str_from(user), (struct str){ (const char *)nonce, sizeof(nonce) });
}

/* --- the history -------------------------------------------------------------------------------- */

struct login_event {
	int64_t at_s;
	struct note note;
	const char *protocol, *mechanism; /* static */
	bool delayed;
	char source[NET_IP_TEXT_BYTES];
	char client[STATE_LOGIN_TEXT_MAX + 1];
};

void
login_event_free(struct login_event *event)
{
	free(event);
}

/* As it may stand in a terminal: UTF-8 without control characters, cut at a character's end. */
static void
copy_text(char out[static STATE_LOGIN_TEXT_MAX + 1], const char *text)
{
	size_t len = 0;

	for (const char *s = text; *s != '\0' && len < STATE_LOGIN_TEXT_MAX; s++)
		out[len++] = (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s;
	for (int cut = 0; cut < 4 && len > 0 && !text_is_utf8((struct str){ out, len }); cut++)
		len--;
	out[text_is_utf8((struct str){ out, len }) ? len : 0] = '\0';
}

/* `count` -1 takes back what was noted. */
static void
count_event(const struct service *sv, const struct login_event *e, int64_t count)
{
	struct state_login l = { .source = (char *)(uintptr_t)e->source,
		.client = (char *)(uintptr_t)e->client,
		.protocol = (char *)(uintptr_t)e->protocol,
		.method = (char *)(uintptr_t)e->mechanism,
		.app = (char *)(uintptr_t)e->note.app,
		.outcome = (char *)(uintptr_t)auth_outcome_name(e->note.outcome),
		.first_s = e->at_s,
		.last_s = e->at_s,
		.count = count,
		.delayed = e->delayed ? count : 0,
		.app_id = e->note.outcome == AUTH_OK ? e->note.app_id : 0 };

	login_history_add(sv->history, e->note.localpart, e->note.domain, &l);
}

/* What the backend thought was right came to nothing: the proof was wrong, or it was to act as somebody else. */
static enum auth_outcome
outcome_of(const struct note *note, const struct login_end *end)
{
	if (end->login != NULL || note->outcome != AUTH_OK)
		return note->outcome;
	return is_scram(end->mechanism) ? AUTH_WRONG : AUTH_OTHER_USER;
}

static struct login_event *
note_event(const struct service *sv, const struct login_end *end, const struct note *note,
    const char *source)
{
	struct login_event *e = mem_zalloc(sizeof(*e));

	e->at_s = time(NULL);
	e->note = *note;
	e->protocol = login_protocol_name(service_protocol(sv));
	e->mechanism = end->mechanism;
	e->delayed = end->delayed;
	snprintf(e->source, sizeof(e->source), "%s", source);
	copy_text(e->client, end->client != NULL ? end->client : "");
	count_event(sv, e, 1);
	return e;
}

void
login_client(const struct service *sv, struct login_event *event, const char *client)
{
	char text[STATE_LOGIN_TEXT_MAX + 1];

	copy_text(text, client);
	if (sv->history == NULL || strcmp(text, event->client) == 0)
		return;
	count_event(sv, event, -1);
	memcpy(event->client, text, sizeof(text));
	count_event(sv, event, 1);
}

/* --- the end of an exchange --------------------------------------------------------------------- */

static void
log_end(
    const struct log *log, const struct login_end *end, const struct note *note, const char *peer)
{
	if (end->login == NULL)
		log_info(log, "login-failed", "user=%s mech=%s peer=%s why=%s", end->user,
		    end->mechanism, peer, auth_outcome_name(note->outcome));
	else if (note->app_id != 0)
		log_info(log, "login", "user=%s mech=%s peer=%s app=%s", end->login, end->mechanism,
		    peer, note->app);
	else
		log_info(log, "login", "user=%s mech=%s peer=%s", end->login, end->mechanism, peer);
}

static struct note
read_note(struct str bytes)
{
	struct note note = { .outcome = AUTH_UNKNOWN };

	if (bytes.len == sizeof(note))
		memcpy(&note, bytes.p, sizeof(note));
	return note;
}

enum auth_outcome
login_outcome(struct str note)
{
	return read_note(note).outcome;
}

void
login_ended(const struct service *sv, const struct log *log, const struct login_end *end,
    struct login_event **event_out)
{
	char peer[NET_IP_TEXT_BYTES] = "local";
	struct note note = read_note(end->note);
	struct login_event *event = NULL;

	login_meters_count(&sv->logins, end->mechanism, end->login != NULL, end->ip);
	if (end->ip != NULL)
		net_ip_text(end->ip, peer);
	if (is_scram(end->mechanism))
		count_scram(sv, end->ip, end->login, end->user);
	if (end->note.len > 0) {
		note.outcome = outcome_of(&note, end);
		if (sv->history != NULL)
			event = note_event(sv, end, &note, peer);
	}
	log_end(log, end, &note, peer);
	if (event_out != NULL)
		*event_out = event;
	else
		login_event_free(event);
}
