/* A new password, by whoever has the current one.  The form needs neither cookies nor a token: what a foreign site could
 * make a browser send lacks the current password, and is refused before that is looked at, so that nobody guesses
 * passwords through others' browsers.
 *
 * Programs use the same form (Roundcube's password plugin, mailadmin passwd): who does not ask for HTML is answered by a
 * line of text, and leaves out "again". */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "clients/markup.h"
#include "service/fresh_password.h"
#include "service/login.h"
#include "service/service.h"
#include "statusd/guard.h"
#include "statusd/password_policy.h"
#include "statusd/public_page.h"
#include "statusd/public_site.h"

#define MECHANISM "password-page"

struct wish {
	char *address, *current, *fresh, *again; /* NULL: not sent */
};

static bool
is_on(const struct http_request *rq)
{
	const struct public_site *site = rq->arg;

	return config_bool(site->service->config, "statusd.password_change");
}

static unsigned
length_min(const struct http_request *rq)
{
	const struct public_site *site = rq->arg;

	return (unsigned)config_integer(site->service->config, "statusd.password_length_min");
}

/* --- what was sent ------------------------------------------------------------------------------ */

static void
wipe(char *secret)
{
	if (secret != NULL)
		mem_wipe(secret, strlen(secret));
	free(secret);
}

static void
wish_read(const struct http_request *rq, struct wish *out)
{
	*out = (struct wish){
		.address = http_form(rq, "address"),
		.current = http_form(rq, "current"),
		.fresh = http_form(rq, "new"),
		.again = http_form(rq, "again"),
	};
}

static void
wish_free(struct wish *w)
{
	free(w->address);
	wipe(w->current);
	wipe(w->fresh);
	wipe(w->again);
}

/* Programs send neither header. */
static bool
is_from_elsewhere(const struct http_request *rq)
{
	const char *origin = http_header(rq, "Origin"), *host = http_header(rq, "Host");
	const char *site = http_header(rq, "Sec-Fetch-Site");

	if (site != NULL && strcmp(site, "same-origin") != 0)
		return true;
	return origin != NULL &&
	       (host == NULL || !guard_same_origin(str_from(origin), str_from(host)));
}

static bool
wants_html(const struct http_request *rq)
{
	const char *accept = http_header(rq, "Accept");

	return accept != NULL && str_find(str_from(accept), STR("text/html")) != SIZE_MAX;
}

/* --- pages -------------------------------------------------------------------------------------- */

static void
add_form(const struct http_request *rq, const char *address, struct http_reply *reply)
{
	markup_printf(&reply->body,
	    "<form class=\"card\" method=\"post\" action=\"/password\">\n"
	    "<label for=\"address\">Your address</label>\n"
	    "<input id=\"address\" name=\"address\" type=\"text\" inputmode=\"email\" "
	    "autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required "
	    "maxlength=\"257\" placeholder=\"name@example.org\" value=\"%s\">\n"
	    "<label for=\"current\">Current password</label>\n"
	    "<input id=\"current\" name=\"current\" type=\"password\" "
	    "autocomplete=\"current-password\" required maxlength=\"512\">\n"
	    "<label for=\"new\">New password</label>\n"
	    "<input id=\"new\" name=\"new\" type=\"password\" autocomplete=\"new-password\" "
	    "required minlength=\"%u\" maxlength=\"512\" aria-describedby=\"rule\">\n"
	    "<p class=\"hint\" id=\"rule\">At least %u characters. A few words that do not belong "
	    "together are good; so is whatever your password manager makes.</p>\n"
	    "<label for=\"again\">New password, once more</label>\n"
	    "<input id=\"again\" name=\"again\" type=\"password\" autocomplete=\"new-password\" "
	    "required minlength=\"%u\" maxlength=\"512\">\n"
	    "<button type=\"submit\">Change password</button>\n"
	    "</form>\n",
	    address, length_min(rq), length_min(rq), length_min(rq));
}

static void
add_foot(struct http_reply *reply)
{
	buf_adds(&reply->body, "<p><a href=\"/\">How to set up mail programs and phones</a></p>\n");
	public_page_end(reply);
}

void
public_password_form(const struct http_request *rq, struct http_reply *reply)
{
	const char *address = http_query(rq, "address");

	if (!is_on(rq)) {
		http_reply_text(reply, 404, "There is nothing here.");
		return;
	}
	public_page_begin(rq, reply, "Change your password");
	add_form(rq, address != NULL ? address : "", reply);
	add_foot(reply);
}

/* The form once more, with what was wrong; what was typed as a password is not in it. */
static void
refuse(const struct http_request *rq, const struct wish *w, unsigned status, const char *why,
    struct http_reply *reply)
{
	if (wants_html(rq)) {
		public_page_begin(rq, reply, "Change your password");
		public_page_notice(reply, false, why);
		add_form(rq, w->address != NULL ? w->address : "", reply);
		add_foot(reply);
	} else {
		http_reply_text(reply, status, why);
	}
	reply->status = status;
}

static void
succeed(const struct http_request *rq, const char *login, struct http_reply *reply)
{
	if (!wants_html(rq)) {
		http_reply_text(reply, 200, "The password is changed.");
		return;
	}
	public_page_begin(rq, reply, "Change your password");
	public_page_notice(reply, true, "Your password is changed.");
	markup_printf(&reply->body,
	    "<div class=\"card\"><p>The new password of <strong>%s</strong> counts from now on. "
	    "Enter it in your mail programs and on your phone when they ask for it: with the old "
	    "one they can no longer log in. App passwords, if you have any, stay as they are."
	    "</p></div>\n",
	    login);
	add_foot(reply);
}

/* --- the change --------------------------------------------------------------------------------- */

uint64_t
public_password_delay_ms(const struct http_request *rq)
{
	const struct public_site *site = rq->arg;

	return strcmp(rq->method, "POST") == 0 && ascii_eq_nocase(rq->path, "/password") &&
		       is_on(rq)
		   ? login_delay_ms(site->service, rq->peer)
		   : 0;
}

/* Is it this account's main password?  As in any login: counted, logged, and unknown users take as long. */
static enum sasl_verdict
verify(const struct http_request *rq, const struct wish *w, struct buf *login_out)
{
	const struct public_site *site = rq->arg;
	struct buf note = { 0 };
	enum sasl_verdict verdict = LOGIN_BACKEND.verify_password(
	    site->service, w->address, str_from(w->current), rq->peer_text, login_out, &note);
	struct login_end end = {
		.ip = rq->peer,
		.login = verdict == SASL_VERDICT_OK ? buf_cstr(login_out) : NULL,
		.user = w->address,
		.mechanism = MECHANISM,
		.note = { note.data, note.len },
	};

	if (verdict != SASL_VERDICT_TEMPFAIL)
		login_ended(site->service, rq->log, &end, NULL);
	buf_free(&note);
	return verdict;
}

static enum store_err
set_password(const struct http_request *rq, const char *login, const char *fresh)
{
	const struct public_site *site = rq->arg;
	struct account_db *db = site->service->accounts;
	struct account_row row = { 0 };
	struct fresh_password password = { 0 };
	enum store_err err = account_db_find_address(db, str_from(login), &row);

	if (err == STORE_OK && !fresh_password_make(str_from(fresh), &password))
		err = STORE_INVALID;
	if (err == STORE_OK)
		err = account_db_set_password(db, row.id, password.stored, &password.scram);
	if (err == STORE_OK)
		log_info(rq->log, "password-changed", "user=%s peer=%s", login, rq->peer_text);
	else
		log_error(rq->log, "password-not-changed", "user=%s peer=%s error=%s", login,
		    rq->peer_text, store_err_text(err));
	fresh_password_free(&password);
	account_row_free(&row);
	return err;
}

/* What can be said without knowing whether the current password is right. */
static bool
is_possible(const struct http_request *rq, const struct wish *w, struct http_reply *reply)
{
	enum password_policy verdict;
	struct buf why = { 0 };

	if (w->address == NULL || w->current == NULL || w->fresh == NULL || *w->address == '\0' ||
	    *w->current == '\0' || *w->fresh == '\0') {
		refuse(rq, w, 400, "Please fill in all fields.", reply);
		return false;
	}
	if (w->again == NULL ? wants_html(rq) : strcmp(w->fresh, w->again) != 0) {
		refuse(rq, w, 422, "The two new passwords are not the same.", reply);
		return false;
	}
	verdict = password_policy_check(
	    str_from(w->fresh), str_from(w->current), str_from(w->address), length_min(rq));
	if (verdict != PASSWORD_POLICY_OK) {
		password_policy_explain(verdict, length_min(rq), &why);
		refuse(rq, w, 422, buf_cstr(&why), reply);
		buf_free(&why);
	}
	return verdict == PASSWORD_POLICY_OK;
}

static void
change(const struct http_request *rq, const struct wish *w, struct http_reply *reply)
{
	struct buf login = { 0 };
	enum sasl_verdict verdict = verify(rq, w, &login);

	if (verdict == SASL_VERDICT_DENIED)
		refuse(rq, w, 403, "Address or current password is wrong.", reply);
	else if (verdict != SASL_VERDICT_OK ||
		 set_password(rq, buf_cstr(&login), w->fresh) != STORE_OK)
		refuse(rq, w, 503,
		    "That is not possible just now; the old password stays. Try again later.",
		    reply);
	else
		succeed(rq, buf_cstr(&login), reply);
	buf_free(&login);
}

void
public_password_change(const struct http_request *rq, struct http_reply *reply)
{
	struct wish wish = { 0 };

	if (!is_on(rq)) {
		http_reply_text(reply, 404, "There is nothing here.");
		return;
	}
	if (is_from_elsewhere(rq)) {
		http_reply_text(reply, 403, "This form does not come from here.");
		return;
	}
	wish_read(rq, &wish);
	if (is_possible(rq, &wish, reply))
		change(rq, &wish, reply);
	wish_free(&wish);
}
