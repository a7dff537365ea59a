/* undelete: what was expunged lately, listed and brought back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/commands.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "admin/times.h"
#include "base/mem.h"
#include "store/casefold.h"
#include "store/header.h"
#include "store/kept.h"

#define HEADER_MAX_BYTES (64 * 1024) /* of each message that are looked at */

struct choice {
	const struct kept_message *m;
	const char *to; /* where it goes; NULL with --list */
	bool done;
};

struct undelete {
	struct admin *a;
	struct account *mail;
	const char *mailbox, *message_id, *into;
	char *subject, *from; /* as casefold_all() has them; NULL: any */
	bool has_since, has_until, list, dry;
	int64_t since, until;
	struct kept_list kept;
	struct mailbox_list boxes;
	struct choice *chosen;
	size_t chosen_count;
	json_t *rows; /* of those chosen */
};

/* --- what a message says of itself --------------------------------------------------------------- */

struct header {
	struct buf from, subject, date, message_id;
};

static void
header_free(struct header *h)
{
	buf_free(&h->from);
	buf_free(&h->subject);
	buf_free(&h->date);
	buf_free(&h->message_id);
}

static void
take_field(struct str block, const char *name, struct buf *out)
{
	struct header_field field;

	if (header_find(block, name, &field))
		header_decode(out, field.value);
}

/* What cannot be read has empty fields: the message can be brought back all the same. */
static void
read_header(struct undelete *u, const struct kept_message *m, struct header *h)
{
	char *text = mem_alloc(HEADER_MAX_BYTES);
	struct str block = { text, 0 };
	ssize_t got = 1;
	int fd;

	*h = (struct header){ 0 };
	if (kept_open(u->mail, m, &fd) == STORE_OK) {
		while (got > 0 && block.len < HEADER_MAX_BYTES) {
			got = read(fd, text + block.len, HEADER_MAX_BYTES - block.len);
			block.len += got > 0 ? (size_t)got : 0;
		}
		close(fd);
	}
	take_field(block, "From", &h->from);
	take_field(block, "Subject", &h->subject);
	take_field(block, "Date", &h->date);
	take_field(block, "Message-ID", &h->message_id);
	free(text);
}

/* --- choosing ------------------------------------------------------------------------------------ */

static char *
folded(const char *text)
{
	struct buf out = { 0 };

	if (text == NULL)
		return NULL;
	casefold_all(&out, str_from(text));
	return buf_take(&out);
}

static bool
holds(struct buf *text, const char *wanted)
{
	struct buf normal = { 0 };
	bool found;

	if (wanted == NULL)
		return true;
	casefold_all(&normal, (struct str){ text->data, text->len });
	found = strstr(buf_cstr(&normal), wanted) != NULL;
	buf_free(&normal);
	return found;
}

static struct str
without_brackets(struct str id)
{
	id = str_trim(id);
	if (id.len >= 2 && id.p[0] == '<' && id.p[id.len - 1] == '>')
		return (struct str){ id.p + 1, id.len - 2 };
	return id;
}

static bool
is_chosen_by_header(const struct undelete *u, struct header *h)
{
	if (u->message_id != NULL &&
	    !str_eq(without_brackets(str_from(u->message_id)),
		without_brackets((struct str){ h->message_id.data, h->message_id.len })))
		return false;
	return holds(&h->subject, u->subject) && holds(&h->from, u->from);
}

static bool
is_chosen_by_name(const struct undelete *u, const struct kept_message *m)
{
	if (u->mailbox != NULL && strcmp(u->mailbox, m->mailbox) != 0 &&
	    !(mailbox_name_is_inbox(u->mailbox) && mailbox_name_is_inbox(m->mailbox)))
		return false;
	return (!u->has_since || m->expunged_s >= u->since) &&
	       (!u->has_until || m->expunged_s < u->until);
}

/* Where a message goes: its mailbox, also if that has been renamed since. */
static const char *
destination(const struct undelete *u, const struct kept_message *m)
{
	if (u->into != NULL)
		return u->into;
	for (size_t i = 0; *m->mailbox_id != '\0' && i < u->boxes.count; i++) {
		struct mailbox_status status;

		if ((u->boxes.boxes[i].attributes & MAILBOX_NONEXISTENT) == 0 &&
		    account_status(u->mail, u->boxes.boxes[i].name, &status) == STORE_OK &&
		    strcmp(status.id, m->mailbox_id) == 0)
			return u->boxes.boxes[i].name;
	}
	return m->mailbox;
}

/* Messages of one mailbox stand together: it is looked for once. */
static const char *
destination_of(const struct undelete *u, const struct kept_message *m)
{
	const struct choice *last = u->chosen_count > 0 ? &u->chosen[u->chosen_count - 1] : NULL;

	if (u->list)
		return NULL;
	if (last != NULL && last->m->mailbox == m->mailbox && last->m->mailbox_id == m->mailbox_id)
		return last->to;
	return destination(u, m);
}

static int64_t
kept_until(const struct undelete *u, const struct kept_message *m)
{
	return m->expunged_s +
	       (int64_t)config_integer(u->a->config, "store.undelete_days") * STORE_DAY_S;
}

static json_t *
row_of(const struct undelete *u, const struct choice *c, struct header *h)
{
	const struct kept_message *m = c->m;

	return json_pack("{so so so so so sI sI sI sI so}", "mailbox", output_string(m->mailbox),
	    "date", output_string(buf_cstr(&h->date)), "from", output_string(buf_cstr(&h->from)),
	    "subject", output_string(buf_cstr(&h->subject)), "message_id",
	    output_string(buf_cstr(&h->message_id)), "uid", (json_int_t)m->uid, "size_bytes",
	    (json_int_t)m->disk_bytes, "expunged", (json_int_t)m->expunged_s, "until",
	    (json_int_t)kept_until(u, m), "to", output_string(c->to));
}

static void
choose(struct undelete *u)
{
	struct progress *p = progress_begin("Reading", u->kept.count);

	u->chosen = mem_realloc_array(NULL, u->kept.count + 1, sizeof(*u->chosen));
	for (size_t i = 0; i < u->kept.count; i++) {
		const struct kept_message *m = &u->kept.messages[i];
		struct header h;

		progress_step(p, i);
		if (!is_chosen_by_name(u, m))
			continue;
		read_header(u, m, &h);
		if (is_chosen_by_header(u, &h)) {
			struct choice c = { .m = m, .to = destination_of(u, m) };

			json_array_append_new(u->rows, row_of(u, &c, &h));
			u->chosen[u->chosen_count++] = c;
		}
		header_free(&h);
	}
	progress_end(p);
}

/* --- bringing back ------------------------------------------------------------------------------- */

/* A mailbox that was deleted is made again, with the special use it had if nobody else has it. */
static enum store_err
make_mailbox(struct undelete *u, const char *name, const struct kept_message *first)
{
	enum special_use use = SPECIAL_NONE;
	enum store_err err;

	if (u->into == NULL && first->special_use != NULL)
		special_use_parse(first->special_use, &use);
	err = account_create_mailbox(u->mail, name, use);
	if (err == STORE_INVALID && use != SPECIAL_NONE)
		err = account_create_mailbox(u->mail, name, SPECIAL_NONE);
	if (err == STORE_OK)
		err = account_subscribe(u->mail, name);
	return err == STORE_EXISTS ? STORE_OK : err;
}

/* All that go to the mailbox of the i-th, and were not brought back yet. */
static bool
bring_back(struct undelete *u, size_t i, struct progress *p, size_t *done, json_t *summary)
{
	const char *to = u->chosen[i].to;
	const struct kept_message **some = mem_realloc_array(NULL, u->chosen_count, sizeof(*some));
	struct uidset uids = { 0 };
	struct buf text = { 0 };
	size_t count = 0;
	enum store_err err = make_mailbox(u, to, u->chosen[i].m);

	for (size_t k = i; k < u->chosen_count; k++) {
		if (u->chosen[k].done || strcmp(u->chosen[k].to, to) != 0)
			continue;
		some[count++] = u->chosen[k].m;
		u->chosen[k].done = true;
	}
	if (err == STORE_OK)
		err = kept_restore(u->mail, some, count, to, &uids);
	*done += count;
	progress_step(p, *done);
	uidset_format(&uids, &text);
	json_array_append_new(
	    summary, json_pack("{so sI so sI}", "mailbox", output_string(to), "messages",
			 (json_int_t)uidset_count(&uids), "uids", output_string(buf_cstr(&text)),
			 "gone", (json_int_t)(count - uidset_count(&uids))));
	buf_free(&text);
	uidset_free(&uids);
	free(some);
	if (err == STORE_INVALID)
		admin_refuse("%s: no such mailbox can be made; name another with --into", to);
	else if (err != STORE_OK)
		admin_refuse("%s: %s; what is not back is still kept", to, store_err_text(err));
	return err == STORE_OK;
}

static enum admin_status
bring_all_back(struct undelete *u)
{
	static const struct output_column COLUMNS[] = { { "mailbox", "MAILBOX", OUTPUT_TEXT },
		{ "messages", "BROUGHT BACK", OUTPUT_TEXT }, { "uids", "UIDS", OUTPUT_TEXT } };
	struct progress *p = progress_begin("Bringing back", u->chosen_count);
	json_t *summary = json_array();
	size_t done = 0;
	bool ok = true;

	for (size_t i = 0; i < u->chosen_count; i++)
		if (!u->chosen[i].done)
			ok = bring_back(u, i, p, &done, summary) && ok;
	progress_end(p);
	return output_list(summary, COLUMNS, ARRAY_LEN(COLUMNS), u->a->json) && ok ? ADMIN_DONE
										   : ADMIN_REFUSED;
}

/* --- the command --------------------------------------------------------------------------------- */

static bool
parse_time(const struct undelete *u, const char *option, bool *has_out, int64_t *time_out)
{
	const char *text = admin_option(u->a, option);

	*has_out = text != NULL;
	if (text == NULL || time_parse(text, time_out))
		return true;
	admin_bad_usage(u->a, "%s takes a duration (2h) or a time (2026-11-21 14:00)", option);
	return false;
}

static bool
parse_options(struct undelete *u)
{
	struct admin *a = u->a;
	bool all = admin_option(a, "--all") != NULL, some;

	u->list = admin_option(a, "--list") != NULL;
	u->dry = admin_option(a, "--dry-run") != NULL;
	u->mailbox = admin_option(a, "--mailbox");
	u->message_id = admin_option(a, "--message-id");
	u->into = admin_option(a, "--into");
	if (!parse_time(u, "--since", &u->has_since, &u->since) ||
	    !parse_time(u, "--until", &u->has_until, &u->until))
		return false;
	u->subject = folded(admin_option(a, "--subject"));
	u->from = folded(admin_option(a, "--from"));
	some = u->mailbox != NULL || u->message_id != NULL || u->subject != NULL ||
	       u->from != NULL || u->has_since || u->has_until;
	if (u->list || some != all)
		return true;
	admin_bad_usage(a, all ? "--all and a choice exclude each other"
			       : "--list shows what there is; which are to come back? --all, or "
				 "a choice by the other options");
	return false;
}

static enum admin_status
list_chosen(struct undelete *u)
{
	static const struct output_column COLUMNS[] = { { "mailbox", "MAILBOX", OUTPUT_TEXT },
		{ "expunged", "EXPUNGED", OUTPUT_TIME }, { "until", "KEPT UNTIL", OUTPUT_TIME },
		{ "size_bytes", "SIZE", OUTPUT_BYTES }, { "date", "DATE", OUTPUT_TEXT },
		{ "from", "FROM", OUTPUT_TEXT }, { "subject", "SUBJECT", OUTPUT_TEXT } };

	return output_list(json_incref(u->rows), COLUMNS, ARRAY_LEN(COLUMNS), u->a->json)
		   ? ADMIN_DONE
		   : ADMIN_REFUSED;
}

static enum admin_status
undelete(struct undelete *u)
{
	enum store_err err = kept_list(u->mail, &u->kept);

	if (err == STORE_OK)
		err = account_list(u->mail, &u->boxes);
	if (err != STORE_OK)
		return admin_result(err, account_address(u->mail));
	choose(u);
	if (u->list)
		return list_chosen(u);
	if (u->chosen_count == 0)
		return admin_refuse("nothing that is kept of %s is like that; --list shows all",
		    account_address(u->mail));
	return u->dry ? list_chosen(u) : bring_all_back(u);
}

static enum admin_status
run(struct admin *a)
{
	struct undelete u = { .a = a, .rows = json_array() };
	struct account_row row = { 0 };
	enum admin_status status = ADMIN_USAGE;

	if (parse_options(&u)) {
		status = ADMIN_REFUSED;
		if (admin_find_account(a, a->args[0], &row) && admin_open_mail(a, &row, &u.mail))
			status = undelete(&u);
	}
	account_close(u.mail);
	account_row_free(&row);
	kept_list_free(&u.kept);
	mailbox_list_free(&u.boxes);
	free(u.chosen);
	free(u.subject);
	free(u.from);
	json_decref(u.rows);
	return status;
}

const struct admin_command admin_cmd_undelete = {
	.group = "undelete",
	.args = "ADDRESS",
	.args_least = 1,
	.args_most = 1,
	.options = { { "--list", NULL, "only show what can be brought back" },
	    { "--all", NULL, "everything that is kept" },
	    { "--mailbox", "MAILBOX", "what was in this mailbox" },
	    { "--message-id", "MESSAGE-ID", "the message with this Message-ID" },
	    { "--subject", "TEXT", "what has this in its subject" },
	    { "--from", "TEXT", "what has this in From" },
	    { "--since", "TIME",
		"what was expunged since then: 2h, 2026-11-21, \"2026-11-21 14:00\"" },
	    { "--until", "TIME", "what was expunged before" },
	    { "--into", "MAILBOX", "bring it back into this mailbox instead of its own" },
	    { "--dry-run", NULL, "only show what would be brought back" },
	    { "--json", NULL, "as JSON" } },
	.summary = "Brings back messages that were expunged.",
	.help =
	    "Expunged messages and deleted mailboxes are kept for store.undelete_days.  What comes "
	    "back\n"
	    "has its flags, keywords and date and a new UID, in the mailbox where it was, which is "
	    "made again\n"
	    "if it was deleted; open sessions see it at once.  Quota does not stop it.",
	.example = "mailadmin undelete ann@example.org --mailbox INBOX --since 2h",
	.run = run,
};
