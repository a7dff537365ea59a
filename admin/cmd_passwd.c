/* passwd: what a user does himself, without any right on this machine: the form of statusd's public pages, sent by
 * HTTPS. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/password_input.h"
#include "base/mem.h"
#include "clients/facts.h"

#define ANSWER_MAX_BYTES 4096
#define CONNECT_S        30L
#define TIMEOUT_S        120L /* after failed logins the server lets one wait, auth.fail_delay_max */
#define PAGE             "/password"

struct passwords {
	char current[PASSWORD_LINE_BYTES], fresh[PASSWORD_LINE_BYTES], again[PASSWORD_LINE_BYTES];
};

/* --- where to ----------------------------------------------------------------------------------- */

/* Ordinary users often cannot read the configuration: that is no error to speak of. */
static char *
configured_url(const struct admin *a)
{
	struct buf errors = { 0 };
	struct config *config = config_load(a->config_path, &errors);
	struct clients_facts facts;
	char *url = NULL;

	buf_free(&errors);
	if (config == NULL)
		return NULL;
	clients_facts_read(config, &facts);
	if (facts.password_change)
		url = clients_web_url(&facts);
	clients_facts_free(&facts);
	config_free(config);
	return url;
}

/* The page at the address that was given or is configured; the caller's. */
static enum admin_status
page_url(const struct admin *a, char **url_out)
{
	const char *given = admin_option(a, "--url");
	char *base = given != NULL ? mem_strdup(given) : configured_url(a);
	size_t len;

	*url_out = NULL;
	if (base == NULL)
		return admin_bad_usage(a,
		    "--url is needed: the configuration cannot be read, or names "
		    "no page for passwords (statusd.password_change)");
	if (!str_has_prefix_nocase(str_from(base), STR("https://"))) {
		free(base);
		return admin_bad_usage(a, "--url begins with https://, nothing else is safe");
	}
	len = strlen(base);
	while (len > 0 && base[len - 1] == '/')
		base[--len] = '\0';
	if (len > strlen(PAGE) && strcmp(base + len - strlen(PAGE), PAGE) == 0)
		*url_out = mem_strdup(base);
	else
		*url_out = mem_printf("%s" PAGE, base);
	free(base);
	return ADMIN_DONE;
}

/* --- what to send ------------------------------------------------------------------------------- */

static enum admin_status
read_passwords(const struct admin *a, struct passwords *p)
{
	if (admin_option(a, "--password-stdin") != NULL) {
		if (!password_read_line(STDIN_FILENO, p->current) ||
		    !password_read_line(STDIN_FILENO, p->fresh))
			return ADMIN_REFUSED;
	} else if (!isatty(STDIN_FILENO)) {
		return admin_bad_usage(a, "--password-stdin is needed where nobody can be asked");
	} else if (!password_ask("Current password: ", p->current) ||
		   !password_ask("New password: ", p->fresh) ||
		   !password_ask("Once more: ", p->again)) {
		return ADMIN_REFUSED;
	} else if (strcmp(p->fresh, p->again) != 0) {
		return admin_refuse("the two are not the same; nothing was changed");
	}
	if (*p->current == '\0' || *p->fresh == '\0')
		return admin_refuse("a password is empty; nothing was changed");
	return ADMIN_DONE;
}

/* application/x-www-form-urlencoded */
static void
add_field(struct buf *form, const char *name, const char *value)
{
	buf_printf(form, "%s%s=", form->len > 0 ? "&" : "", name);
	for (; *value != '\0'; value++) {
		if (ascii_is_alnum(*value))
			buf_addc(form, *value);
		else
			buf_printf(form, "%%%02X", (unsigned)(unsigned char)*value);
	}
}

/* --- sending ------------------------------------------------------------------------------------ */

static size_t
on_answer(char *bytes, size_t size, size_t count, void *arg)
{
	struct buf *answer = arg;
	size_t len = size * count;

	if (answer->len + len > ANSWER_MAX_BYTES)
		return 0; /* ends the transfer */
	buf_add(answer, bytes, len);
	return len;
}

static void
set_up(CURL *curl, const char *url, const char *ca, struct buf *form, struct buf *answer,
    char error[CURL_ERROR_SIZE])
{
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (ca != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)form->len);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, buf_cstr(form));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_answer);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
}

/* The server's line, as a terminal may show it. */
static enum admin_status
refused(struct buf *answer, long code)
{
	struct buf line = { 0 };
	enum admin_status status;

	for (const char *s = buf_cstr(answer); *s != '\0' && *s != '\n';) {
		size_t len = text_visible(s);

		if (len > 0)
			buf_add(&line, s, len);
		s += len > 0 ? len : 1;
	}
	if (code == 404)
		status = admin_refuse("the server has no page for passwords there");
	else if (line.len > 0)
		status = admin_refuse("%s", buf_cstr(&line));
	else
		status = admin_refuse("the server answers %ld", code);
	buf_free(&line);
	return status;
}

static enum admin_status
send_form(const char *url, const char *ca, struct buf *form)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/plain");
	char error[CURL_ERROR_SIZE] = "";
	struct buf answer = { 0 };
	enum admin_status status;
	CURLcode rc = CURLE_FAILED_INIT;
	long code = 0;

	if (curl != NULL && headers != NULL) {
		set_up(curl, url, ca, form, &answer, error);
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		rc = curl_easy_perform(curl);
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	}
	if (rc != CURLE_OK)
		status = admin_refuse("%s: %s; the password may be the old one still", url,
		    *error != '\0' ? error : curl_easy_strerror(rc));
	else
		status = code == 200 ? ADMIN_DONE : refused(&answer, code);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	buf_free(&answer);
	return status;
}

static enum admin_status
passwd_run(struct admin *a)
{
	struct passwords passwords = { 0 };
	struct buf form = { 0 };
	char *url;
	enum admin_status status = page_url(a, &url);

	if (status == ADMIN_DONE)
		status = read_passwords(a, &passwords);
	if (status == ADMIN_DONE) {
		buf_reserve(&form, 4 * sizeof(passwords)); /* so that no copy is left behind */
		add_field(&form, "address", a->args[0]);
		add_field(&form, "current", passwords.current);
		add_field(&form, "new", passwords.fresh);
		curl_global_init(CURL_GLOBAL_DEFAULT);
		status = send_form(url, admin_option(a, "--ca"), &form);
		curl_global_cleanup();
		mem_wipe(form.data, form.len);
	}
	if (status == ADMIN_DONE)
		puts("The password is changed.");
	mem_wipe(&passwords, sizeof(passwords));
	buf_free(&form);
	free(url);
	return status;
}

const struct admin_command admin_cmd_passwd = {
	.group = "passwd",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--url", "URL", "the server's pages, https://mail.example.org" },
	    { "--ca", "FILE", "certificates (PEM) that may vouch for it; default: the system's" },
	    { "--password-stdin", NULL,
		"read the current and the new password from standard input, a line each" } },
	.summary = "Changes one's own password, by the current one, over HTTPS.",
	.help = "For users: needs no right on this machine, only statusd's public pages with\n"
		"statusd.password_change.  Administrators have account passwd.",
	.example = "mailadmin passwd ann@example.org --url https://mail.example.org",
	.before_config = true,
	.run = passwd_run,
};
