/* PLAIN (RFC 4616) and LOGIN, run by libsasl2; and libsasl2's own settings.
 *
 * libsasl2 asks us for everything through callbacks: options have one answer each here, no
 * configuration file is looked for, and of the plug-ins on disk only those two are loaded.  Passwords go
 * to the backend by the "userdb checkpass" callback.  What counts in the end is the
 * backend's verdict, not libsasl2's code. */
#include <pthread.h>
#include <sasl/sasl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/sasl_mechanism.h"

/* The first that is there: libsasl2 complains to syslog of each that is not. */
static const char *const PLUGIN_DIRS[] = { "/usr/lib/x86_64-linux-gnu/sasl2",
	"/usr/lib/aarch64-linux-gnu/sasl2", "/usr/lib64/sasl2", "/usr/lib/sasl2" };
#define EXTERNAL_SSF 128 /* there is always TLS; without a layer libsasl2 may refuse PLAIN */

typedef int sasl_proc(void); /* libsasl2's "any callback" */

struct plain {
	sasl_conn_t *conn;
	sasl_callback_t callbacks[2];
	struct buf authzid;
	bool started, asked; /* asked: the backend has given its verdict */
	enum sasl_verdict verdict;
};

/* --- once per process --- */

static void *
mutex_new(void)
{
	pthread_mutex_t *m = mem_alloc(sizeof(*m));

	pthread_mutex_init(m, NULL);
	return m;
}

static int
mutex_lock(void *m)
{
	return pthread_mutex_lock(m) == 0 ? SASL_OK : SASL_FAIL;
}

static int
mutex_unlock(void *m)
{
	return pthread_mutex_unlock(m) == 0 ? SASL_OK : SASL_FAIL;
}

static void
mutex_free(void *m)
{
	if (m == NULL)
		return;
	pthread_mutex_destroy(m);
	free(m);
}

static int
on_getopt(void *context, const char *plugin, const char *option, const char **value, unsigned *len)
{
	static const struct {
		const char *option, *value;
	} OPTIONS[] = {
		{ "mech_list", "PLAIN LOGIN" },
		{ "pwcheck_method", "none" }, /* after our callback said no, nobody else is asked */
		{ "auxprop_plugin", "none" },
		{ "canon_user_plugin", "INTERNAL" },
		{ "log_level", "1" },
	};

	(void)context;
	(void)plugin;
	for (size_t i = 0; i < ARRAY_LEN(OPTIONS); i++) {
		if (strcmp(option, OPTIONS[i].option) != 0)
			continue;
		*value = OPTIONS[i].value;
		if (len != NULL)
			*len = (unsigned)strlen(*value);
		return SASL_OK;
	}
	return SASL_FAIL;
}

static const char *
plugin_dir(void)
{
	for (size_t i = 0; i < ARRAY_LEN(PLUGIN_DIRS); i++)
		if (access(PLUGIN_DIRS[i], X_OK) == 0)
			return PLUGIN_DIRS[i];
	return PLUGIN_DIRS[0];
}

static int
on_getpath(void *context, const char **path)
{
	(void)context;
	*path = plugin_dir();
	return SASL_OK;
}

static int
on_verify_file(void *context, const char *file, sasl_verify_type_t type)
{
	const char *slash = strrchr(file, '/'), *name = slash != NULL ? slash + 1 : file;

	(void)context;
	if (type != SASL_VRFY_PLUGIN)
		return SASL_CONTINUE;
	return strncmp(name, "libplain.", 9) == 0 || strncmp(name, "liblogin.", 9) == 0
		   ? SASL_OK
		   : SASL_CONTINUE;
}

/* Its messages may quote what a client sent; what matters we log ourselves. */
static int
on_log(void *context, int level, const char *message)
{
	struct log *log = context;

	if (level == SASL_LOG_ERR)
		log_debug(log, "libsasl2", "message=%s", message);
	return SASL_OK;
}

static bool
plug_in_is_there(const char *mechanism)
{
	const char **list = sasl_global_listmech();

	for (; list != NULL && *list != NULL; list++)
		if (strcmp(*list, mechanism) == 0)
			return true;
	return false;
}

bool
sasl_setup(struct log *log)
{
	static sasl_callback_t callbacks[] = {
		{ SASL_CB_GETOPT, (sasl_proc *)(void *)on_getopt, NULL },
		{ SASL_CB_GETPATH, (sasl_proc *)(void *)on_getpath, NULL },
		{ SASL_CB_VERIFYFILE, (sasl_proc *)(void *)on_verify_file, NULL },
		{ SASL_CB_LOG, (sasl_proc *)(void *)on_log, NULL },
		{ SASL_CB_LIST_END, NULL, NULL },
	};
	int result;

	callbacks[3].context = log;
	sasl_set_mutex(mutex_new, mutex_lock, mutex_unlock, mutex_free);
	result = sasl_server_init(callbacks, NULL);
	if (result != SASL_OK) {
		log_error(log, "sasl", "error=%s", sasl_errstring(result, NULL, NULL));
		return false;
	}
	if (plug_in_is_there("PLAIN") && plug_in_is_there("LOGIN"))
		return true;
	log_error(log, "sasl", "error=%s path=%s",
	    "libsasl2's PLAIN and LOGIN plug-ins are missing (package libsasl2-modules)",
	    plugin_dir());
	sasl_server_done();
	return false;
}

void
sasl_teardown(void)
{
	sasl_server_done();
}

/* --- one exchange --- */

static int
on_checkpass(sasl_conn_t *conn, void *context, const char *user, const char *password, unsigned len,
    struct propctx *props)
{
	static const int CODES[] = {
		[SASL_VERDICT_OK] = SASL_OK,
		[SASL_VERDICT_DENIED] = SASL_BADAUTH,
		[SASL_VERDICT_TEMPFAIL] = SASL_UNAVAIL,
	};
	struct sasl_session *s = context;
	struct plain *p = s->state;
	struct str pass = { password, len };

	(void)conn;
	(void)props;
	p->verdict = SASL_VERDICT_DENIED;
	p->asked = true;
	if (sasl_session_claim(s, str_from(user)) && len > 0 && len <= SASL_PASSWORD_MAX_BYTES &&
	    memchr(password, '\0', len) == NULL && text_is_utf8(pass))
		p->verdict = s->service->backend->verify_password(
		    s->service->arg, s->user.data, pass, s->channel.peer, &s->login, &s->note);
	return CODES[p->verdict];
}

static bool
plain_offered(const struct sasl_service *service, const struct sasl_channel *channel)
{
	(void)channel;
	return service->backend->verify_password != NULL;
}

static bool
plain_begin(struct sasl_session *s)
{
	struct plain *p = mem_zalloc(sizeof(*p));
	sasl_ssf_t ssf = EXTERNAL_SSF;
	sasl_security_properties_t security = { .max_ssf = 0, .maxbufsize = 0 };

	p->callbacks[0] = (sasl_callback_t){ SASL_CB_SERVER_USERDB_CHECKPASS,
		(sasl_proc *)(void *)on_checkpass, s };
	p->callbacks[1] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	s->state = p;
	/* A server name is given, so that it does not look its own up. */
	if (sasl_server_new(s->service->name, "localhost", NULL, NULL, NULL, p->callbacks, 0,
		&p->conn) != SASL_OK)
		return false;
	return sasl_setprop(p->conn, SASL_SSF_EXTERNAL, &ssf) == SASL_OK &&
	       sasl_setprop(p->conn, SASL_SEC_PROPS, &security) == SASL_OK;
}

static void
plain_end(struct sasl_session *s)
{
	struct plain *p = s->state;

	sasl_dispose(&p->conn);
	buf_free(&p->authzid);
	free(p);
}

/* libsasl2's answer, as one of ours.  Without a verdict of the backend nobody is let in. */
static enum sasl_status
result_of(struct sasl_session *s, int result)
{
	const struct plain *p = s->state;
	struct str authzid = { p->authzid.data, p->authzid.len };

	if (result == SASL_CONTINUE)
		return SASL_STATUS_MORE;
	if (p->asked && p->verdict != SASL_VERDICT_OK)
		return sasl_status_of(p->verdict);
	if (p->asked && result == SASL_OK)
		return sasl_session_may_act_as(s, authzid) ? SASL_STATUS_DONE
							   : SASL_STATUS_NOT_AUTHORIZED;
	if (result == SASL_BADPROT || result == SASL_BADPARAM || result == SASL_BUFOVER)
		return SASL_STATUS_MALFORMED;
	if (result == SASL_BADAUTH || result == SASL_NOAUTHZ || result == SASL_NOUSER)
		return SASL_STATUS_DENIED;
	log_warn(s->service->log, "sasl", "mech=%s error=%s", s->mechanism->name,
	    sasl_errstring(result, NULL, NULL));
	return SASL_STATUS_TEMPFAIL;
}

static enum sasl_status
pass_on(struct sasl_session *s, struct str in, struct buf *out)
{
	struct plain *p = s->state;
	const char *reply = NULL;
	unsigned len = 0;
	int result;

	if (!p->started)
		result = sasl_server_start(
		    p->conn, s->mechanism->name, in.p, (unsigned)in.len, &reply, &len);
	else
		result = sasl_server_step(p->conn, in.p, (unsigned)in.len, &reply, &len);
	p->started = true;
	if (result == SASL_CONTINUE && reply != NULL)
		buf_add(out, reply, len);
	return result_of(s, result);
}

/* message = [authzid] UTF8NUL authcid UTF8NUL passwd, RFC 4616 §2: two NULs, neither authcid nor
 * passwd empty, all of it UTF-8.  Checked here first; libsasl2 does not look at the encoding. */
static bool
plain_is_well_formed(struct sasl_session *s, struct str in)
{
	struct plain *p = s->state;
	const char *first, *second;
	size_t rest;

	if (in.p == NULL || (first = memchr(in.p, '\0', in.len)) == NULL)
		return false;
	rest = in.len - (size_t)(first + 1 - in.p);
	second = memchr(first + 1, '\0', rest);
	if (second == NULL || second == first + 1)
		return false;
	rest = in.len - (size_t)(second + 1 - in.p);
	if (rest == 0 || memchr(second + 1, '\0', rest) != NULL || !text_is_utf8(in))
		return false;
	buf_reset(&p->authzid);
	buf_add(&p->authzid, in.p, (size_t)(first - in.p));
	return sasl_session_claim(s, (struct str){ first + 1, (size_t)(second - first) - 1 });
}

/* libsasl2 gets the message without the authorization identity: it would look that up as a user of
 * its own.  result_of() compares it with who has logged in. */
static enum sasl_status
plain_step(struct sasl_session *s, struct str in, struct buf *out)
{
	const struct plain *p = s->state;

	if (!plain_is_well_formed(s, in))
		return SASL_STATUS_MALFORMED;
	in.p += p->authzid.len;
	in.len -= p->authzid.len;
	return pass_on(s, in, out);
}

/* LOGIN, draft-murchison-sasl-login-00: the name, then the password, each a message of its own. */
static enum sasl_status
login_step(struct sasl_session *s, struct str in, struct buf *out)
{
	if (in.p != NULL &&
	    (in.len == 0 || memchr(in.p, '\0', in.len) != NULL || !text_is_utf8(in)))
		return SASL_STATUS_MALFORMED;
	if (in.p != NULL && s->user.len == 0 && !sasl_session_claim(s, in))
		return SASL_STATUS_MALFORMED; /* the first message is the name */
	return pass_on(s, in, out);
}

const struct sasl_mechanism sasl_mechanism_plain = {
	.name = "PLAIN",
	.offered = plain_offered,
	.begin = plain_begin,
	.step = plain_step,
	.end = plain_end,
};

const struct sasl_mechanism sasl_mechanism_login = {
	.name = "LOGIN",
	.server_first = true,
	.offered = plain_offered,
	.begin = plain_begin,
	.step = login_step,
	.end = plain_end,
};
