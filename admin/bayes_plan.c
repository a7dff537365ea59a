#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/bayes.h"
#include "base/mem.h"

#define FIRST_LINE "sanger-bayes 1"

struct bayes_item *
bayes_plan_add(struct bayes_plan *plan, const char *address, enum training_kind kind)
{
	if ((plan->count & (plan->count - 1)) == 0)
		plan->items = mem_realloc_array(
		    plan->items, plan->count == 0 ? 1 : 2 * plan->count, sizeof(*plan->items));
	plan->items[plan->count] =
	    (struct bayes_item){ .address = mem_strdup(address), .kind = kind };
	return &plan->items[plan->count++];
}

void
bayes_plan_free(struct bayes_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		free(plan->items[i].address);
		free(plan->items[i].name);
		free(plan->items[i].mailbox);
		uidset_free(&plan->items[i].uids);
	}
	free(plan->items);
	*plan = (struct bayes_plan){ 0 };
}

/* --- as text: TABs between words, since names may hold blanks ------------------------------------- */

void
bayes_plan_format(const struct bayes_plan *plan, struct buf *out)
{
	buf_adds(out, FIRST_LINE "\n");
	for (size_t i = 0; i < plan->count; i++) {
		const struct bayes_item *item = &plan->items[i];

		buf_printf(out, "%s\t%s\t%s\t", item->name != NULL ? "collected" : "mailbox",
		    training_kind_name(item->kind), item->address);
		if (item->name != NULL) {
			buf_adds(out, item->name);
		} else {
			buf_printf(out, "%" PRIu32 "\t", item->uidvalidity);
			uidset_format(&item->uids, out);
			buf_printf(out, "\t%s", item->mailbox);
		}
		buf_addc(out, '\n');
	}
	buf_adds(out, "end\n");
}

/* The next word, up to a TAB or the end. */
static struct str
take_word(struct str *line)
{
	const char *tab = line->len > 0 ? memchr(line->p, '\t', line->len) : NULL;
	struct str word = { line->p, tab != NULL ? (size_t)(tab - line->p) : line->len };

	line->p += tab != NULL ? word.len + 1 : word.len;
	line->len -= tab != NULL ? word.len + 1 : word.len;
	return word;
}

static bool
parse_line(struct bayes_plan *plan, struct str line)
{
	struct str what = take_word(&line), kind = take_word(&line), address = take_word(&line);
	bool spam = str_eq(kind, STR("spam"));
	struct bayes_item *item;
	uint64_t uidvalidity;
	char *text;

	if ((!spam && !str_eq(kind, STR("ham"))) || address.len == 0 || line.len == 0)
		return false;
	text = mem_strndup(address.p, address.len);
	item = bayes_plan_add(plan, text, spam ? TRAINING_SPAM : TRAINING_HAM);
	free(text);
	if (str_eq(what, STR("collected"))) {
		item->name = mem_strndup(line.p, line.len);
		return true;
	}
	if (!str_eq(what, STR("mailbox")) ||
	    !text_u64(take_word(&line), UINT32_MAX, &uidvalidity) ||
	    !uidset_parse(&item->uids, take_word(&line)) || line.len == 0)
		return false;
	item->uidvalidity = (uint32_t)uidvalidity;
	item->mailbox = mem_strndup(line.p, line.len);
	return true;
}

bool
bayes_plan_parse(struct str text, struct bayes_plan *plan_out)
{
	struct cursor c = cursor_from(text);
	struct str line;

	*plan_out = (struct bayes_plan){ 0 };
	if (cursor_take_line(&c, &line) && str_eq(line, STR(FIRST_LINE))) {
		while (cursor_take_line(&c, &line)) {
			if (str_eq(line, STR("end")))
				return true;
			if (!parse_line(plan_out, line))
				break;
		}
	}
	bayes_plan_free(plan_out);
	return false;
}

/* --- emptying ----------------------------------------------------------------------------------- */

static enum store_err
empty_spam(struct mailbox *box, const struct uidset *uids)
{
	return mailbox_expunge_with(
	    box, uids, MAILBOX_EXPUNGE_UNMARKED | MAILBOX_EXPUNGE_FOR_GOOD, NULL);
}

static enum store_err
move_back(struct mailbox *box, const struct uidset *uids)
{
	struct copy_result moved = { 0 };
	enum store_err err = mailbox_move(box, uids, NULL, "INBOX", &moved);

	uidset_free(&moved.from);
	uidset_free(&moved.to);
	return err;
}

/* A mailbox made anew meanwhile has other messages under these UIDs. */
static enum store_err
empty_mailbox(struct account *mail, const struct bayes_item *item)
{
	struct mailbox_facts facts;
	struct mailbox *box;
	enum store_err err = mailbox_open(mail, item->mailbox, false, &box);

	if (err != STORE_OK)
		return err;
	mailbox_facts(box, &facts);
	if (facts.uidvalidity == item->uidvalidity)
		err = item->kind == TRAINING_SPAM ? empty_spam(box, &item->uids)
						  : move_back(box, &item->uids);
	mailbox_close(box);
	return err;
}

static enum store_err
carry_out(struct admin *a, const struct bayes_item *item)
{
	const char *at = strrchr(item->address, '@');
	char *local = mem_strndup(item->address, at != NULL ? (size_t)(at - item->address) : 0);
	struct account *mail = NULL;
	enum store_err err =
	    at != NULL ? account_open(a->store, local, at + 1, 0, &mail) : STORE_NOT_FOUND;

	if (err == STORE_OK)
		err = item->name != NULL ? training_remove(mail, item->kind, item->name)
					 : empty_mailbox(mail, item);
	account_close(mail);
	free(local);
	return err == STORE_NOT_FOUND ? STORE_OK : err; /* account or mailbox went meanwhile */
}

bool
bayes_plan_carry_out(struct admin *a, const struct bayes_plan *plan)
{
	bool ok = true;

	for (size_t i = 0; i < plan->count; i++)
		if (admin_result(carry_out(a, &plan->items[i]), plan->items[i].address) !=
		    ADMIN_DONE)
			ok = false;
	return ok;
}
