/* filter run: an account's filter over mail that is stored already.
 *
 * Only what concerns the account's mailboxes is done: keep (with flags), fileinto, save and discard.  Mail of months ago
 * is nothing to redirect, refuse or answer now: such actions are said and skipped, and a message that one of them would
 * have taken away stays where it is.  So does one whose filter fails, and edits of the message are not made. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/filter_tools.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "service/hostname.h"
#include "store/mailbox.h"

struct run {
	struct admin *a;
	const struct account_row *row;
	struct account *mail;
	struct mailbox *box;
	const struct filter *filter;
	const char *language;
	struct filter_bed bed;
	char *address, *hostname;
	struct arena arena; /* of one message */
	bool dry;
	bool failed; /* on some message: exit status 1 */
	struct progress *progress;
	uint64_t seen; /* messages */
	json_t *rows;
};

/* What becomes of one message. */
struct plan {
	const struct filter_store *to[FILTER_ACTIONS_MAX]; /* other mailboxes */
	size_t to_count;
	const struct filter_store *keep; /* here, with these flags; NULL: not kept */
	bool stays;                      /* something that was skipped would have taken it away */
	bool expunge;
};

/* --- planning ----------------------------------------------------------------------------------- */

static bool
is_here(const struct run *r, const struct filter_store *s)
{
	const char *here = mailbox_name(r->box);

	if (s->mailbox == NULL || mailbox_name_is_inbox(s->mailbox))
		return mailbox_name_is_inbox(here);
	return strcmp(s->mailbox, here) == 0;
}

static void
skip(json_t *notes, const char *what)
{
	json_array_append_new(notes, json_string(what));
}

/* A keep keeps the message where it is, be that INBOX or not. */
static void
plan_action(const struct run *r, const struct filter_action *a, struct plan *p, json_t *notes)
{
	switch (a->kind) {
	case FILTER_KEEP: p->keep = &a->store; break;
	case FILTER_FILEINTO:
	case FILTER_SAVE:
		if (a->kind == FILTER_SAVE && a->store.mailbox == NULL) {
			p->keep = &a->store;
			skip(notes, "no folder of the account");
		} else if (is_here(r, &a->store))
			p->keep = &a->store;
		else
			p->to[p->to_count++] = &a->store;
		break;
	case FILTER_DISCARD: break;
	case FILTER_REDIRECT:
	case FILTER_DELIVER:
	case FILTER_REJECT:
		p->stays = true;
		skip(notes, "not sent");
		break;
	case FILTER_VACATION:
	case FILTER_MAIL:
	case FILTER_NOTIFY:
	case FILTER_REPORT: skip(notes, "not sent"); break;
	}
}

static void
make_plan(const struct run *r, const struct filter_result *result, struct plan *p, json_t *notes)
{
	static const struct filter_store PLAIN = { 0 };

	*p = (struct plan){ 0 };
	for (size_t i = 0; i < result->action_count; i++)
		plan_action(r, &result->actions[i], p, notes);
	if (p->keep == NULL && !result->seen && strcmp(r->language, "exim") == 0)
		p->keep = &PLAIN; /* normal delivery, listed or not */
	if (p->keep == NULL && p->stays)
		p->keep = &PLAIN;
	p->expunge = p->keep == NULL && p->to_count == 0;
	if (result->edit != NULL)
		skip(notes, "not edited");
}

/* --- doing -------------------------------------------------------------------------------------- */

static enum store_err
set_flags(struct run *r, const struct uidset *uid, enum flags_mode mode, unsigned flags,
    const char *const *keywords, size_t keyword_count)
{
	struct flags_change change = {
		.mode = mode, .flags = flags, .keywords = keywords, .keyword_count = keyword_count
	};

	if (mode == FLAGS_ADD && flags == 0 && keyword_count == 0)
		return STORE_OK;
	return mailbox_store_flags(r->box, uid, &change, NULL);
}

static enum store_err
ensure_mailbox(struct run *r, const struct filter_store *s)
{
	struct mailbox_status status;
	enum special_use use = SPECIAL_NONE;
	enum store_err err = account_status(r->mail, s->mailbox, &status);

	if (err != STORE_NOT_FOUND || !s->create)
		return err;
	if (s->special_use != NULL)
		special_use_parse(s->special_use, &use);
	err = account_create_mailbox(r->mail, s->mailbox, use);
	return err == STORE_OK ? account_subscribe(r->mail, s->mailbox) : err;
}

/* The copy gets the flags that the message had, and those of the filter. */
static enum store_err
put_into(struct run *r, const struct uidset *uid, const struct filter_store *s, bool move)
{
	struct copy_result copied = { 0 };
	struct mailbox *to = NULL;
	struct flags_change change = { .mode = FLAGS_ADD,
		.flags = s->flags,
		.keywords = s->keywords,
		.keyword_count = s->keyword_count };
	const char *name = s->mailbox != NULL ? s->mailbox : "INBOX";
	enum store_err err = s->mailbox != NULL ? ensure_mailbox(r, s) : STORE_OK;

	if (err == STORE_OK)
		err = move ? mailbox_move(r->box, uid, NULL, name, &copied)
			   : mailbox_copy(r->box, uid, NULL, name, &copied);
	if (err == STORE_OK && (s->flags != 0 || s->keyword_count > 0)) {
		err = mailbox_open(r->mail, name, false, &to);
		if (err == STORE_OK)
			err = mailbox_store_flags(to, &copied.to, &change, NULL);
		mailbox_close(to);
	}
	uidset_free(&copied.from);
	uidset_free(&copied.to);
	return err;
}

static enum store_err
expunge(struct run *r, const struct uidset *uid)
{
	enum store_err err = set_flags(r, uid, FLAGS_ADD, MESSAGE_DELETED, NULL, 0);

	return err == STORE_OK ? mailbox_expunge(r->box, uid, NULL) : err;
}

static enum store_err
carry_out(struct run *r, uint32_t number, const struct plan *p)
{
	struct uidset uid = { 0 };
	enum store_err err = STORE_OK;

	uidset_add(&uid, number);
	for (size_t i = 0; err == STORE_OK && i < p->to_count; i++)
		err = put_into(r, &uid, p->to[i], p->keep == NULL && i + 1 == p->to_count);
	if (err == STORE_OK && p->keep != NULL)
		err = set_flags(
		    r, &uid, FLAGS_ADD, p->keep->flags, p->keep->keywords, p->keep->keyword_count);
	if (err == STORE_OK && p->expunge)
		err = expunge(r, &uid);
	uidset_free(&uid);
	return err;
}

/* --- one message -------------------------------------------------------------------------------- */

static void
add_row(struct run *r, uint32_t uid, const struct filter_result *result, const struct plan *p,
    json_t *notes, const char *problem)
{
	json_t *actions = json_array(), *texts = json_array();
	struct buf line = { 0 };

	for (size_t i = 0; i < result->action_count; i++) {
		if (filter_action_is_hidden(r->language, &result->actions[i]))
			continue;
		json_array_append_new(actions, filter_action_json(&result->actions[i]));
		buf_reset(&line);
		filter_action_text(&result->actions[i], &line);
		json_array_append_new(texts, output_string(buf_cstr(&line)));
	}
	json_array_append_new(
	    r->rows, json_pack("{sI so so so ss so}", "uid", (json_int_t)uid, "actions", actions,
			 "texts", texts, "skipped", notes, "done",
			 problem != NULL   ? "nothing"
			 : p->expunge      ? "deleted"
			 : p->keep == NULL ? "moved"
			 : p->to_count > 0 ? "copied"
					   : "kept",
			 "error", output_string(problem)));
	buf_free(&line);
	r->failed = r->failed || problem != NULL;
}

/* The sender that delivery noted. */
static const char *
return_path(struct run *r, const struct filter_message *m)
{
	static const char *const NAMES[] = { "Return-path", "From", NULL };

	return filter_address_in(m, NAMES, &r->arena);
}

static void
filter_one(struct run *r, const struct message *stored)
{
	struct filter_message m = {
		.fd = -1, .rcpt = r->address, .account = r->address, .hostname = r->hostname
	};
	struct filter_run_options options = { .around = filter_account_around(r->bed.account) };
	struct filter_result *result = mem_zalloc(sizeof(*result));
	struct filter_error error = { .text = "" };
	struct plan plan = { 0 };
	json_t *notes = json_array();
	const char *problem = NULL;
	enum store_err err = mailbox_message_open(r->box, stored->uid, &m.fd);

	arena_reset(&r->arena);
	if (err == STORE_OK) {
		m.sender = return_path(r, &m);
		if (m.sender == NULL)
			m.sender = "";
		if (filter_run(r->filter, &m, &options, &r->arena, result, &error) != FILTER_OK)
			problem = arena_printf(&r->arena, "line %u: %s", error.line, error.text);
		else
			make_plan(r, result, &plan, notes);
		close(m.fd);
	}
	if (err == STORE_OK && problem == NULL && !r->dry)
		err = carry_out(r, stored->uid, &plan);
	if (err == STORE_NOT_FOUND && m.fd < 0) { /* gone meanwhile */
		json_decref(notes);
	} else {
		if (err == STORE_NOT_FOUND)
			problem = "a mailbox that the filter names is not there";
		else if (err != STORE_OK)
			problem = store_err_text(err);
		add_row(r, stored->uid, result, &plan, notes, problem);
	}
	free(result);
}

/* --- all of them -------------------------------------------------------------------------------- */

static bool
on_message(void *arg, const struct message *m)
{
	struct run *r = arg;

	filter_one(r, m);
	progress_step(r->progress, ++r->seen);
	return true;
}

static void
print_joined(const char *title, json_t *texts)
{
	json_t *text;
	size_t i;

	json_array_foreach(texts, i, text)
	{
		fputs(i == 0 ? title : ", ", stdout);
		output_text(json_string_value(text));
	}
}

static bool
print_rows(struct run *r)
{
	json_t *row;
	size_t i;

	json_array_foreach(r->rows, i, row)
	{
		const char *error = json_string_value(json_object_get(row, "error"));

		printf("%6lld  %-8s", (long long)json_integer_value(json_object_get(row, "uid")),
		    json_string_value(json_object_get(row, "done")));
		print_joined("  ", json_object_get(row, "texts"));
		print_joined("; skipped: ", json_object_get(row, "skipped"));
		if (error != NULL) {
			fputs("  ", stdout);
			output_text(error);
		}
		putchar('\n');
	}
	return fflush(stdout) == 0;
}

static enum admin_status
run_all(struct run *r)
{
	struct mailbox_facts facts;
	enum store_err err;
	bool printed;

	mailbox_facts(r->box, &facts);
	r->progress = progress_begin("Filtering messages", facts.messages);
	err = mailbox_messages(r->box, mailbox_view(r->box), on_message, r);
	progress_end(r->progress);
	if (err != STORE_OK)
		admin_result(err, r->a->args[1]);
	printed = r->a->json ? output_list(json_incref(r->rows), NULL, 0, true) : print_rows(r);
	return err == STORE_OK && printed && !r->failed ? ADMIN_DONE : ADMIN_REFUSED;
}

static enum admin_status
open_and_run(struct run *r)
{
	struct admin *a = r->a;
	struct buf text = { 0 };
	struct filter *filter = NULL;
	struct filter_error error;
	struct str s;
	enum store_err err;
	enum admin_status status = ADMIN_REFUSED;

	if (!filter_bed_open(a, r->row, &r->bed) || !filter_active_text(a, r->row, &text) ||
	    !admin_open_mail(a, r->row, &r->mail))
		goto out;
	s = (struct str){ buf_cstr(&text), text.len };
	r->language = filter_text_language(s);
	if (filter_compile(s, &filter, &error, NULL) != FILTER_OK) {
		admin_refuse("the account's filter: line %u: %s", error.line, error.text);
		goto out;
	}
	r->filter = filter;
	err = mailbox_open(r->mail, a->args[1], r->dry, &r->box);
	status = err == STORE_OK          ? run_all(r)
		 : err == STORE_NOT_FOUND ? admin_refuse("there is no mailbox %s", a->args[1])
					  : admin_result(err, a->args[1]);
out:
	mailbox_close(r->box);
	account_close(r->mail);
	filter_free(filter);
	filter_bed_close(&r->bed);
	buf_free(&text);
	return status;
}

static enum admin_status
run_run(struct admin *a)
{
	struct account_row row = { 0 };
	struct run r = { .a = a, .row = &row, .dry = admin_option(a, "--dry-run") != NULL };
	enum admin_status status = ADMIN_REFUSED;

	if (admin_find_account(a, a->args[0], &row)) {
		r.address = mem_printf("%s@%s", row.localpart, row.domain);
		r.hostname = service_hostname(a->config);
		r.rows = json_array();
		status = open_and_run(&r);
	}
	json_decref(r.rows);
	arena_free(&r.arena);
	free(r.address);
	free(r.hostname);
	account_row_free(&row);
	return status;
}

const struct admin_command admin_cmd_filter_run = {
	.group = "filter",
	.name = "run",
	.args = "ADDRESS MAILBOX",
	.args_least = 2,
	.args_most = 2,
	.options = { { "--dry-run", NULL, "only says what would be done" },
	    { "--json", NULL, "as JSON" } },
	.summary = "Applies the account's filter to the messages of a mailbox.",
	.help =
	    "Messages are moved, copied, flagged and deleted as the filter says.  Nothing is sent, "
	    "refused or\nedited: that is named and skipped, and such messages stay.  Exit status 1 "
	    "if something failed\nwith a message; it stays too.",
	.example = "mailadmin filter run ann@example.org INBOX --dry-run",
	.removes = true,
	.run = run_run,
};
