/* filter test: what a filter would do with a message, without doing it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/filter_tools.h"
#include "admin/output.h"
#include "service/hostname.h"
#include "store/mailbox.h"

#define MESSAGE_MAX_BYTES (256 * 1024 * 1024) /* of standard input */

struct trial {
	struct admin *a;
	const char *account, *message_name;
	struct buf text;  /* the filter's */
	struct buf bytes; /* the message, if it is not in `fd` */
	int fd;           /* -1 */
	struct arena arena;
	struct account_row row;
	struct filter_bed bed;
	struct filter_surroundings empty; /* without an account: the settings alone */
	char *hostname;
	json_t *trace; /* with --json */
	bool trace_included;
	unsigned trace_line; /* whose words stand above already */
};

/* --- the message -------------------------------------------------------------------------------- */

/* False if there is no such file; *ok false: it cannot be read, and it was said. */
static bool
open_file(struct trial *t, bool *ok)
{
	struct stat sb = { 0 };

	*ok = true;
	if (strcmp(t->message_name, "-") == 0) {
		*ok = filter_input("-", MESSAGE_MAX_BYTES, &t->bytes);
		return true;
	}
	if (stat(t->message_name, &sb) != 0 && (errno == ENOENT || errno == ENOTDIR))
		return false;
	if (sb.st_mode != 0 && !S_ISREG(sb.st_mode)) { /* a pipe */
		*ok = filter_input(t->message_name, MESSAGE_MAX_BYTES, &t->bytes);
		return true;
	}
	t->fd = open(t->message_name, O_RDONLY | O_CLOEXEC);
	*ok = t->fd >= 0;
	if (!*ok)
		admin_refuse("%s: %s", t->message_name, strerror(errno));
	return true;
}

/* MAILBOX/UID. */
static bool
open_stored(struct trial *t)
{
	const char *slash = strrchr(t->message_name, '/');
	struct account *mail = NULL;
	struct mailbox *box = NULL;
	char *name;
	uint64_t uid;
	enum store_err err;

	if (t->account == NULL || slash == NULL ||
	    !text_u64(str_from(slash + 1), UINT32_MAX, &uid)) {
		admin_refuse("there is no file %s%s", t->message_name,
		    t->account != NULL ? ", and it is not MAILBOX/UID" : "");
		return false;
	}
	if (!admin_open_mail(t->a, &t->row, &mail))
		return false;
	name = mem_strndup(t->message_name, (size_t)(slash - t->message_name));
	err = mailbox_open(mail, name, true, &box);
	if (err == STORE_NOT_FOUND)
		admin_refuse("there is no file and no mailbox %s", name);
	else if (err != STORE_OK)
		admin_result(err, name);
	if (err == STORE_OK) {
		err = mailbox_message_open(box, (uint32_t)uid, &t->fd);
		if (err == STORE_NOT_FOUND)
			admin_refuse(
			    "there is no message %llu in %s", (unsigned long long)uid, name);
		else if (err != STORE_OK)
			admin_result(err, t->message_name);
	}
	mailbox_close(box);
	account_close(mail);
	free(name);
	return err == STORE_OK;
}

/* --- the envelope ------------------------------------------------------------------------------- */

static const char *
option_address(struct trial *t, const char *name)
{
	const char *value = admin_option(t->a, name);

	if (value == NULL)
		return NULL;
	return strcmp(value, "<>") == 0 ? "" : value;
}

/* localpart+detail of this recipient, with the configuration's delimiter. */
static const char *
detail_of(struct trial *t, const char *recipient)
{
	char delimiter = t->bed.settings != NULL ? t->bed.settings->detail_delimiter : '+';
	const char *at = strrchr(recipient, '@'), *detail;

	if (at == NULL || delimiter == '\0')
		return NULL;
	detail = memchr(recipient, delimiter, (size_t)(at - recipient));
	if (detail == NULL || detail == recipient)
		return NULL;
	return arena_strndup(&t->arena, detail + 1, (size_t)(at - detail - 1));
}

static void
guess_envelope(struct trial *t, struct filter_message *m)
{
	static const char *const SENDER[] = { "Return-path", "From", NULL };
	static const char *const RECIPIENT[] = { "Envelope-to", "Delivered-To", "To", NULL };

	m->sender = option_address(t, "--sender");
	m->rcpt = option_address(t, "--recipient");
	m->account = t->account != NULL
			 ? arena_printf(&t->arena, "%s@%s", t->row.localpart, t->row.domain)
			 : NULL;
	if (m->rcpt == NULL)
		m->rcpt = m->account;
	if (m->sender == NULL)
		m->sender = filter_address_in(m, SENDER, &t->arena);
	if (m->rcpt == NULL)
		m->rcpt = filter_address_in(m, RECIPIENT, &t->arena);
	if (m->sender == NULL)
		m->sender = "";
	if (m->rcpt == NULL)
		m->rcpt = "";
	if (m->account == NULL)
		m->account = m->rcpt;
	m->detail = detail_of(t, m->rcpt);
	m->hostname = t->hostname;
}

/* --- running ------------------------------------------------------------------------------------ */

/* The words of the line, once above all that is said of it.  Lines within an included script are those of a text that is
 * not here: `include` is the last of which the words stand. */
static void
print_script_line(struct trial *t, unsigned line)
{
	struct buf words = { 0 };

	if (line == t->trace_line)
		return;
	t->trace_line = line;
	if (!t->trace_included)
		filter_line((struct str){ buf_cstr(&t->text), t->text.len }, line, &words);
	if (words.len > 0) {
		printf("%4u| ", line);
		output_text(buf_cstr(&words));
		putchar('\n');
	}
	buf_free(&words);
}

static void
on_trace(void *arg, unsigned line, const char *text)
{
	struct trial *t = arg;

	if (t->trace != NULL) {
		json_array_append_new(t->trace,
		    json_pack("{sI so}", "line", (json_int_t)line, "text", output_string(text)));
		return;
	}
	print_script_line(t, line);
	/* From the first include on it cannot be told whose line it is. */
	t->trace_included = t->trace_included || strncmp(text, "include ", 8) == 0;
	printf("%4u:   ", line);
	output_text(text);
	putchar('\n');
}

static void
print_lines(const char *title, struct str text)
{
	printf("%s:\n", title);
	output_lines(text.p, text.len);
}

static void
print_result(const char *language, const struct filter_result *r, const struct filter_error *error)
{
	struct buf line = { 0 };

	if (error != NULL && error->line > 0)
		printf("error (%s) in line %u: ", filter_error_kind_name(error->kind), error->line);
	else if (error != NULL)
		printf("error (%s): ", filter_error_kind_name(error->kind));
	if (error != NULL) {
		output_text(error->text);
		puts("\nthe message would go to INBOX");
		return;
	}
	for (size_t i = 0; i < r->action_count; i++) {
		if (filter_action_is_hidden(language, &r->actions[i]))
			continue;
		buf_reset(&line);
		filter_action_text(&r->actions[i], &line);
		output_text(buf_cstr(&line));
		putchar('\n');
	}
	if (strcmp(language, "exim") == 0)
		puts(r->seen ? "no normal delivery" : "normal delivery into INBOX");
	if (r->edit != NULL)
		print_lines("header", r->edit->header);
	if (r->log.len > 0)
		print_lines("log", r->log);
	buf_free(&line);
}

/* Whether `save` names a folder depends on $home, which only an account has. */
static void
warn_of_home(const struct trial *t, const struct filter_result *r)
{
	for (size_t i = 0; i < r->action_count && t->account == NULL; i++)
		if (r->actions[i].kind == FILTER_SAVE && r->actions[i].store.mailbox == NULL) {
			fputs("mailadmin: without an account $home is empty: name one to see which "
			      "folders these are\n",
			    stderr);
			return;
		}
}

static enum admin_status
say(struct trial *t, const char *language, const struct filter_result *result,
    const struct filter_error *error)
{
	if (t->a->json) {
		json_t *o = filter_json(language, result, error);

		if (t->trace != NULL)
			json_object_set(o, "trace", t->trace);
		if (!output_object(o, NULL, 0, true))
			return ADMIN_REFUSED;
	} else {
		print_result(language, result, error);
		warn_of_home(t, result);
	}
	if (fflush(stdout) != 0)
		return admin_refuse("cannot write the output");
	return error == NULL ? ADMIN_DONE : ADMIN_REFUSED;
}

static enum admin_status
try_filter(struct trial *t)
{
	struct str text = { buf_cstr(&t->text), t->text.len };
	const char *language = filter_text_language(text);
	struct filter_message message = {
		.fd = t->fd,
		.bytes = { t->fd < 0 ? buf_cstr(&t->bytes) : NULL, t->bytes.len },
	};
	struct filter_run_options options = {
		.around = t->account != NULL ? filter_account_around(t->bed.account) : &t->empty,
		.trace = admin_option(t->a, "--trace") != NULL ? on_trace : NULL,
		.trace_arg = t,
	};
	struct filter *filter = NULL;
	struct filter_error error = { .kind = FILTER_ERROR_COMPILE };
	struct filter_result *result = mem_zalloc(sizeof(*result));
	enum filter_status status;
	enum admin_status done;

	t->trace = t->a->json && options.trace != NULL ? json_array() : NULL;
	guess_envelope(t, &message);
	status = filter_compile(text, &filter, &error, NULL);
	if (status == FILTER_OK)
		status = filter_run(filter, &message, &options, &t->arena, result, &error);
	done = status == FILTER_TEMPFAIL
		   ? admin_refuse("the message or the account cannot be read: %s", error.text)
		   : say(t, language, result, status == FILTER_OK ? NULL : &error);
	json_decref(t->trace);
	filter_free(filter);
	free(result);
	return done;
}

/* Without an account the configuration only gives settings: do without it where there is none. */
static bool
open_settings(struct trial *t)
{
	struct admin *a = t->a;

	if (t->account == NULL && a->config_path == NULL && access(CONFIG_DEFAULT_PATH, F_OK) != 0)
		return true;
	if (!admin_start(a))
		return false;
	t->hostname = service_hostname(a->config);
	if (t->account != NULL)
		return true;
	t->bed.settings = filter_settings_new(a->config);
	t->empty.settings = t->bed.settings;
	return true;
}

static bool
open_account(struct trial *t)
{
	if (t->account == NULL)
		return true;
	if (!admin_find_account(t->a, t->account, &t->row) ||
	    !filter_bed_open(t->a, &t->row, &t->bed))
		return false;
	return admin_option(t->a, "--file") != NULL || filter_active_text(t->a, &t->row, &t->text);
}

static enum admin_status
test_run(struct admin *a)
{
	struct trial t = { .a = a,
		.fd = -1,
		.account = a->arg_count > 1 ? a->args[0] : NULL,
		.message_name = a->args[a->arg_count - 1] };
	const char *file = admin_option(a, "--file");
	enum admin_status status = ADMIN_REFUSED;
	bool ok = true, is_file;

	if (t.account == NULL && file == NULL)
		return admin_bad_usage(a, "an account or --file is needed");
	if (file != NULL && strcmp(file, "-") == 0 && strcmp(t.message_name, "-") == 0)
		return admin_bad_usage(a, "only one of them can be standard input");
	/* Files first: server.user may not see them. */
	if (file != NULL)
		ok = filter_input(file, FILTER_TEXT_MAX_BYTES, &t.text);
	is_file = ok && open_file(&t, &ok);
	if (ok && open_settings(&t) && open_account(&t) && (is_file || open_stored(&t)))
		status = try_filter(&t);
	if (t.fd >= 0)
		close(t.fd);
	filter_bed_close(&t.bed);
	account_row_free(&t.row);
	arena_free(&t.arena);
	buf_free(&t.text);
	buf_free(&t.bytes);
	free(t.hostname);
	return status;
}

const struct admin_command admin_cmd_filter_test = {
	.group = "filter",
	.name = "test",
	.args = "[ADDRESS] MESSAGE",
	.args_least = 1,
	.args_most = 2,
	.options = { { "--file", "FILTER", "this filter instead of the account's own" },
	    { "--sender", "ADDRESS", "envelope sender; default: Return-path, From" },
	    { "--recipient", "ADDRESS", "envelope recipient; default: the account" },
	    { "--trace", NULL, "each line that ran, with what decided" },
	    { "--json", NULL, "as JSON" } },
	.summary = "Says what a filter would do with a message, without doing it.",
	.help =
	    "MESSAGE is a file, - or a message in the account as MAILBOX/UID.  With --file and no "
	    "account\nthe filter runs in empty surroundings.  Exit status 1: the filter has an "
	    "error.",
	.example = "mailadmin filter test ann@example.org --trace INBOX/17",
	.before_config = true,
	.run = test_run,
};
