#include "admin/import_imap.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/command.h"
#include "admin/import_batch.h"
#include "admin/import_names.h"
#include "admin/import_remote.h"
#include "admin/output.h"
#include "admin/progress.h"
#include "base/mem.h"
#include "store/mailbox.h"

#define CHUNK_MESSAGES  500
#define CHUNK_BYTES     (UINT64_C(16) << 20)
#define MESSAGE_STRIKES 2 /* connections that one message may cost */
#define MAILBOX_STRIKES 3

/* What comes next. */
enum step {
	STEP_OK,
	STEP_SKIP, /* the mailbox is of no use, which was said: on with the next */
	STEP_STOP, /* so is the account */
};

struct job {
	struct account *mail;
	const struct import_imap *what;
	struct import_report *report;
	struct import_record *record;
	struct imap_client *client; /* NULL: not connected */
	struct imap_mailboxes boxes;
	struct arena names_arena;
	struct import_name *names;
	struct import_message *message;
	char *source;
	unsigned failures; /* connections lost since something came */
	bool logged_in;    /* some time in this run: the server exists, and the password is right */
	bool anything;     /* was imported */

	/* the mailbox at hand */
	const struct import_name *name;
	struct import_box box;
	struct imap_examined examined;
	struct remote_list remote;
	struct import_batch *batch;
	struct progress *progress;
	uint32_t already, fetched, flags, expunged, failed, elsewhere, gone;
	const char *note;
};

/* --- saying what is wrong ----------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3))) complain(struct job *j, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list args;

	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	j->report->failed = true;
	progress_hide(j->progress);
	if (json_array_size(j->report->errors) < IMPORT_ERRORS_MAX) {
		json_array_append_new(j->report->errors, output_string(buf_cstr(&text)));
		admin_refuse("%s: %s", j->what->address, buf_cstr(&text));
	}
	buf_free(&text);
}

static enum step
store_failed(struct job *j, const char *doing, enum store_err err)
{
	complain(j, "%s: %s: %s", j->name != NULL ? j->name->path : "import", doing,
	    store_err_text(err));
	return STEP_STOP;
}

/* --- the connection ----------------------------------------------------------------------------- */

static void
pause_before_retry(const struct job *j)
{
	unsigned seconds = 0;

	if (j->failures > 2)
		seconds = 1u << (j->failures - 3 < 5 ? j->failures - 3 : 5);
	if (seconds > IMPORT_PAUSE_S)
		seconds = IMPORT_PAUSE_S;
	if (seconds > 0)
		nanosleep(&(struct timespec){ .tv_sec = seconds }, NULL);
}

static bool
is_hopeless(const struct job *j)
{
	return j->failures > (j->logged_in ? IMPORT_RETRIES : IMPORT_FIRST_RETRIES);
}

static void
drop_client(struct job *j)
{
	imap_client_close(j->client);
	j->client = NULL;
}

/* A connection, the first or a new one after one was lost. */
static enum step
connect_client(struct job *j)
{
	enum imap_outcome got;

	if (j->client != NULL)
		return STEP_OK;
	for (;;) {
		pause_before_retry(j);
		got = imap_client_open(&j->what->client, &j->client);
		if (got == IMAP_DONE) {
			j->logged_in = true;
			return STEP_OK;
		}
		j->failures++;
		if (got == IMAP_REFUSED || is_hopeless(j)) {
			complain(j, "%s: %s%s", j->what->client.host, imap_client_error(j->client),
			    got == IMAP_LOST
				? ", again and again; run the same command later to go on"
				: "");
			drop_client(j);
			return STEP_STOP;
		}
		drop_client(j);
	}
}

/* The connection was lost: too often? */
static enum step
lost_client(struct job *j)
{
	j->failures++;
	if (!is_hopeless(j)) {
		drop_client(j);
		return STEP_OK;
	}
	complain(j, "%s: %s, again and again; run the same command later to go on",
	    j->what->client.host, imap_client_error(j->client));
	drop_client(j);
	return STEP_STOP;
}

/* --- opening the mailbox ------------------------------------------------------------------------ */

static void
on_scanned(void *arg, const struct imap_fetched *f)
{
	struct job *j = arg;

	remote_add(&j->remote, f);
}

static enum imap_outcome
examine_and_scan(struct job *j)
{
	enum imap_outcome got = imap_client_examine(j->client, j->name->box->wire, &j->examined);

	if (got != IMAP_DONE)
		return got;
	remote_clear(&j->remote);
	got = imap_client_scan(j->client, j->examined.messages, on_scanned, j);
	remote_sort(&j->remote);
	return got;
}

static enum step
open_remote(struct job *j)
{
	for (unsigned strikes = 1;; strikes++) {
		enum step step = connect_client(j);
		enum imap_outcome got;

		if (step != STEP_OK)
			return step;
		got = examine_and_scan(j);
		if (got == IMAP_DONE)
			break;
		if (got == IMAP_REFUSED || strikes == MAILBOX_STRIKES) {
			complain(j, "mailbox %s: %s", j->name->path, imap_client_error(j->client));
			if (got == IMAP_LOST)
				drop_client(j);
			return STEP_SKIP;
		}
		step = lost_client(j);
		if (step != STEP_OK)
			return step;
	}
	j->failures = 0;
	if (j->examined.uidvalidity == 0) {
		complain(j,
		    "mailbox %s: the server gives it no UIDVALIDITY, so it could not be known "
		    "what has been imported",
		    j->name->path);
		return STEP_SKIP;
	}
	if (j->remote.doubled > 0)
		complain(j, "mailbox %s: UID %u stands for several messages", j->name->path,
		    j->remote.doubled);
	return STEP_OK;
}

/* After a reconnection in the middle of fetching. */
static enum step
examine_again(struct job *j)
{
	struct imap_examined now;
	enum step step = connect_client(j);
	enum imap_outcome got;

	if (step != STEP_OK)
		return step;
	got = imap_client_examine(j->client, j->name->box->wire, &now);
	if (got == IMAP_LOST) {
		step = lost_client(j);
		return step == STEP_OK ? examine_again(j) : step; /* at most IMPORT_RETRIES deep */
	}
	if (got == IMAP_REFUSED || now.uidvalidity != j->examined.uidvalidity) {
		complain(j, "mailbox %s: %s", j->name->path,
		    got == IMAP_REFUSED
			? imap_client_error(j->client)
			: "its UIDVALIDITY has changed meanwhile; run the command again");
		return STEP_SKIP;
	}
	return STEP_OK;
}

/* --- fetching ----------------------------------------------------------------------------------- */

enum want_state { WANT_WAITING, WANT_ASKED, WANT_DONE, WANT_FAILED };
struct want {
	uint32_t uid;
	uint64_t size;
	uint8_t state, strikes;
	bool seen; /* something about it came, but not its text */
};
struct fetching {
	struct want *wants; /* ascending by UID */
	size_t count, next; /* next: nothing before it is to be asked for */
	bool header_only;
	bool careful; /* one at a time: something in the mailbox breaks the connection */
	bool foreign; /* since the last answer a text came that nobody asked for */
	struct {
		size_t from, to, asked;
	} under_way[IMAP_FETCHES_MAX];
	size_t under_way_count;
	/* A message is in j->message. */
	enum step (*got)(struct job *j, struct want *w);
};

static int
by_want(const void *a, const void *b)
{
	const struct want *x = a, *y = b;

	return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static struct want *
find_want(struct fetching *f, uint32_t uid)
{
	struct want key = { .uid = uid };

	return bsearch(&key, f->wants, f->count, sizeof(key), by_want);
}

static void
give_up(struct job *j, struct want *w, const char *why)
{
	w->state = WANT_FAILED;
	j->failed++;
	complain(j, "mailbox %s: UID %" PRIu32 ": %s", j->name->path, w->uid, why);
}

/* Asks for some more. */
static enum imap_outcome
ask(struct job *j, struct fetching *f)
{
	struct uidset uids = { 0 };
	struct buf text = { 0 };
	uint64_t bytes = 0;
	size_t from, asked = 0, most = f->careful ? 1 : CHUNK_MESSAGES;
	enum imap_outcome got = IMAP_DONE;

	while (f->next < f->count && f->wants[f->next].state != WANT_WAITING)
		f->next++;
	from = f->next;
	for (; f->next < f->count && asked < most; f->next++) {
		struct want *w = &f->wants[f->next];

		if (w->state != WANT_WAITING)
			continue;
		if (asked > 0 && !f->header_only && bytes + w->size > CHUNK_BYTES)
			break;
		w->state = WANT_ASKED;
		uidset_add(&uids, w->uid);
		bytes += w->size;
		asked++;
	}
	if (asked > 0) {
		uidset_format(&uids, &text);
		f->under_way[f->under_way_count].from = from;
		f->under_way[f->under_way_count].asked = asked;
		f->under_way[f->under_way_count++].to = f->next;
		got = imap_client_fetch(j->client, buf_cstr(&text), f->header_only);
	}
	uidset_free(&uids);
	buf_free(&text);
	return got;
}

/* A fetch has been answered.  What did not come is asked for alone; what does not come then either is said.  A
 * message that is not there any more is left out without a word, RFC 9051 §6.4.9. */
static void
on_ended(struct job *j, struct fetching *f, const struct imap_fetch_event *e)
{
	size_t from = f->under_way[0].from, to = f->under_way[0].to;
	bool alone = f->under_way[0].asked == 1;

	memmove(f->under_way, f->under_way + 1, sizeof(f->under_way) - sizeof(*f->under_way));
	f->under_way_count--;
	for (size_t i = from; i < to; i++) {
		struct want *w = &f->wants[i];

		if (w->state != WANT_ASKED)
			continue;
		if (!alone) {
			w->state = WANT_WAITING;
			if (i < f->next)
				f->next = i;
			f->careful = true;
		} else if (e->refused) {
			give_up(j, w, imap_client_error(j->client));
		} else if (f->foreign || w->seen) {
			give_up(j, w, "the server does not send it, but says it is there");
		} else {
			w->state = WANT_DONE;
			j->gone++;
		}
	}
	f->foreign = false;
}

static enum step
on_event(struct job *j, struct fetching *f, const struct imap_fetch_event *e)
{
	struct want *w;

	if (e->ended) {
		on_ended(j, f, e);
		return STEP_OK;
	}
	w = e->uid != 0 ? find_want(f, e->uid) : NULL;
	if (w == NULL && e->uid == 0 && e->has_body && f->under_way_count == 1 &&
	    f->under_way[0].asked == 1)
		w = &f->wants[f->under_way[0].from]; /* nobody else's */
	if (w != NULL && !e->has_body)
		w->seen = true;
	if (w == NULL || w->state != WANT_ASKED || !e->has_body) {
		f->foreign |= e->has_body;
		return STEP_OK;
	}
	w->state = WANT_DONE;
	j->failures = 0;
	/* Alone it came: the others may come together again.  Only then is nothing else under way. */
	if (f->careful && f->under_way_count == 1 && f->under_way[0].asked == 1)
		f->careful = false;
	return f->got(j, w);
}

/* The message at which the connection broke has cost one; too many, and it is left out. */
static void
strike(struct job *j, struct fetching *f, bool got_something)
{
	struct want *w = NULL;

	for (size_t i = 0; i < f->count; i++) {
		if (f->wants[i].state != WANT_ASKED)
			continue;
		if (w == NULL)
			w = &f->wants[i];
		f->wants[i].state = WANT_WAITING;
	}
	f->next = 0;
	f->under_way_count = 0;
	if (w == NULL || got_something)
		return;
	if (f->careful && ++w->strikes == MESSAGE_STRIKES) {
		give_up(j, w, imap_client_error(j->client));
		j->failures = 0;
	}
	f->careful = true;
}

static bool
is_finished(struct fetching *f)
{
	while (f->next < f->count &&
	       (f->wants[f->next].state == WANT_DONE || f->wants[f->next].state == WANT_FAILED))
		f->next++;
	return f->next == f->count && f->under_way_count == 0;
}

static enum step
fetch_all(struct job *j, struct fetching *f)
{
	bool got_something = false;
	enum step step = STEP_OK;

	while (step == STEP_OK && !is_finished(f)) {
		struct imap_fetch_event event = { 0 };
		enum imap_outcome got = IMAP_DONE;
		size_t most = f->careful ? 1 : IMAP_FETCHES_MAX;
		size_t before = SIZE_MAX;

		while (
		    got == IMAP_DONE && f->under_way_count < most && f->under_way_count != before) {
			before = f->under_way_count;
			got = ask(j, f);
		}
		if (got == IMAP_DONE && f->under_way_count > 0)
			got = imap_client_fetched(j->client, j->message, &event);
		else if (got == IMAP_DONE)
			break;
		if (got == IMAP_LOST) {
			strike(j, f, got_something);
			got_something = false;
			step = lost_client(j);
			if (step == STEP_OK)
				step = examine_again(j);
			continue;
		}
		step = on_event(j, f, &event);
		got_something |= !event.ended && event.has_body;
	}
	return step;
}

/* --- the headers, to know messages by --------------------------------------------------------------- */

static enum step
note_header(struct job *j, struct want *w)
{
	struct remote *r = remote_find(&j->remote, w->uid);

	import_message_header_digest(j->message, r->digest);
	r->has_digest = true;
	return STEP_OK;
}

/* Of those messages that `wanted` says. */
static enum step
fetch_headers(struct job *j, bool (*wanted)(const struct remote *r))
{
	struct fetching f = { .header_only = true, .got = note_header };
	enum step step;

	f.wants = mem_zalloc((j->remote.count + 1) * sizeof(*f.wants));
	for (size_t i = 0; i < j->remote.count; i++)
		if (wanted(&j->remote.items[i]))
			f.wants[f.count++] = (struct want){ .uid = j->remote.items[i].uid };
	step = fetch_all(j, &f);
	free(f.wants);
	return step;
}

static bool
is_any(const struct remote *r)
{
	(void)r;
	return true;
}

static bool
is_new(const struct remote *r)
{
	return r->row == NULL;
}

/* The server has begun to count anew.  Messages are known again by header and size; those that are not are imported once
 * more, and what nothing there fits any more stays here. */
static enum step
know_again(struct job *j, struct import_row *rows, size_t count)
{
	enum step step = fetch_headers(j, is_any);
	bool *used = mem_zalloc(count + 1);
	enum store_err err;

	if (step != STEP_OK) {
		free(used);
		return step;
	}
	remote_sort_rows(rows, count);
	err = import_record_begin(j->record);
	if (err == STORE_OK)
		err = import_record_drop_rows(j->record, j->box.id);
	for (size_t i = 0; i < j->remote.count && err == STORE_OK; i++) {
		const struct remote *r = &j->remote.items[i];
		const struct import_row *old = remote_match(rows, count, used, r);
		struct import_row row;

		if (old == NULL)
			continue;
		row = *old;
		row.uid = r->uid;
		err = import_record_put_row(j->record, j->box.id, &row);
	}
	j->box.uidvalidity = j->examined.uidvalidity;
	j->box.kept = false;
	if (err == STORE_OK)
		err = import_record_put_box(j->record, &j->box);
	err = import_record_end(j->record, err);
	free(used);
	j->note = "UIDVALIDITY changed there: messages were known again by header and size";
	return err == STORE_OK ? STEP_OK : store_failed(j, "record", err);
}

/* What another mailbox has already is only noted. */
static enum step
leave_out_others(struct job *j)
{
	enum step step = fetch_headers(j, is_new);
	enum store_err err;

	if (step != STEP_OK)
		return step;
	err = import_record_begin(j->record);
	for (size_t i = 0; i < j->remote.count && err == STORE_OK; i++) {
		struct remote *r = &j->remote.items[i];
		struct import_row row = { .uid = r->uid, .size = r->size, .flags = "0" };
		bool found = false;

		if (r->row != NULL || !r->has_digest)
			continue;
		memcpy(row.digest, r->digest, sizeof(row.digest));
		err = import_record_elsewhere(j->record, &j->box, r->digest, r->size, &found);
		if (err != STORE_OK || !found)
			continue;
		r->elsewhere = true;
		j->elsewhere++;
		err = import_record_put_row(j->record, j->box.id, &row);
	}
	err = import_record_end(j->record, err);
	return err == STORE_OK ? STEP_OK : store_failed(j, "record", err);
}

/* --- new messages ------------------------------------------------------------------------------- */

static enum step
take_message(struct job *j, struct want *w)
{
	const struct remote *r = remote_find(&j->remote, w->uid);
	struct import_item item = { .uid = r->uid,
		.wanted_uid = j->box.kept ? r->uid : 0,
		.flags = r->flags,
		.keywords = r->keywords,
		.keyword_count = r->keyword_count,
		.date_s = r->date_s,
		.size = r->size };
	enum store_err err;

	import_message_header_digest(j->message, item.digest);
	err = import_batch_add(j->batch, &item, j->message);
	progress_step(j->progress, ++j->fetched);
	return err == STORE_OK ? STEP_OK : store_failed(j, "cannot be stored here", err);
}

static enum step
fetch_new(struct job *j)
{
	struct fetching f = { .got = take_message };
	enum store_err err;
	enum step step;

	f.wants = mem_zalloc((j->remote.count + 1) * sizeof(*f.wants));
	for (size_t i = 0; i < j->remote.count; i++) {
		const struct remote *r = &j->remote.items[i];

		if (is_new(r) && !r->elsewhere)
			f.wants[f.count++] = (struct want){ .uid = r->uid, .size = r->size };
	}
	if (j->what->show_progress)
		j->progress = progress_begin(j->name->path, f.count);
	step = f.count > 0 ? fetch_all(j, &f) : STEP_OK;
	/* What came before something went wrong is good. */
	err = import_batch_commit(j->batch);
	progress_end(j->progress);
	j->progress = NULL;
	free(f.wants);
	j->anything |= import_batch_facts(j->batch).imported > 0;
	if (err != STORE_OK && step == STEP_OK)
		step = store_failed(j, "cannot be stored here", err);
	return step;
}

/* --- the mailbox here --------------------------------------------------------------------------- */

static enum store_err
make_local(struct job *j, struct mailbox_status *status)
{
	const char *local = j->box.local;
	enum store_err err = account_status(j->mail, local, status);

	if (err == STORE_NOT_FOUND) {
		err = account_create_mailbox(j->mail, local, j->name->use);
		if (err == STORE_INVALID && j->name->use != SPECIAL_NONE)
			err = account_create_mailbox(j->mail, local, SPECIAL_NONE);
		if (err == STORE_OK)
			err = account_status(j->mail, local, status);
	}
	if (err == STORE_OK && j->box.id == 0 && j->name->box->subscribed)
		err = account_subscribe(j->mail, local);
	return err;
}

/* The first time: can it be to clients what the one there was? */
static enum store_err
take_identity(struct job *j, struct mailbox_status *status)
{
	uint32_t last = remote_last_uid(&j->remote);
	enum store_err err = STORE_EXISTS;

	/* Killed before its first message was here, a run may have leased UIDs, which now count as given. */
	if (status->uidvalidity == j->examined.uidvalidity && status->messages == 0 && last > 0 &&
	    j->remote.items[0].uid < status->uidnext)
		err = account_renew_uids(j->mail, j->box.local);
	if (err != STORE_OK && err != STORE_EXISTS)
		return err;
	err = STORE_EXISTS;
	if (j->examined.uidvalidity < IMPORT_UID_MAX && last < IMPORT_UID_MAX)
		err = account_take_uids(j->mail, j->box.local, j->examined.uidvalidity, 1);
	j->box.kept = err == STORE_OK;
	if (err != STORE_OK && err != STORE_EXISTS)
		return err;
	if (!j->box.kept)
		j->note = "it is not empty here: messages get new UIDs, so clients load them again";
	j->box.uidvalidity = j->examined.uidvalidity;
	err = account_status(j->mail, j->box.local, status);
	j->box.local_uidvalidity = status->uidvalidity;
	return err == STORE_OK ? import_record_put_box(j->record, &j->box) : err;
}

/* Another mailbox has the name now: what was imported is not in it. */
static enum store_err
forget_local(struct job *j, struct import_row *rows, size_t count, uint32_t uidvalidity)
{
	enum store_err err = import_record_begin(j->record);

	if (err != STORE_OK)
		return err;
	for (size_t i = 0; i < count && err == STORE_OK && j->box.local_uidvalidity != 0; i++) {
		rows[i].local_uid = 0;
		err = import_record_put_row(j->record, j->box.id, &rows[i]);
	}
	j->box.local_uidvalidity = uidvalidity;
	j->box.kept = false;
	if (err == STORE_OK)
		err = import_record_put_box(j->record, &j->box);
	return import_record_end(j->record, err);
}

/* UIDs stand for other messages than there: clients must not believe that they know them.  Told to the record before and
 * after, so that a kill between is no riddle. */
static enum store_err
renew_identity(struct job *j)
{
	struct mailbox_status status;
	enum store_err err;

	j->box.kept = false;
	j->box.local_uidvalidity = 0;
	err = import_record_put_box(j->record, &j->box);
	if (err == STORE_OK)
		err = account_renew_uids(j->mail, j->box.local);
	if (err == STORE_OK)
		err = account_status(j->mail, j->box.local, &status);
	if (err == STORE_OK) {
		j->box.local_uidvalidity = status.uidvalidity;
		err = import_record_put_box(j->record, &j->box);
	}
	j->note = "mail came here before all was fetched there: UIDVALIDITY changed, so clients "
		  "load it again";
	return err;
}

static uint32_t
next_uid(const struct job *j)
{
	uint32_t last = remote_last_uid(&j->remote);

	return j->examined.uidnext > last ? j->examined.uidnext : last + 1;
}

/* Before the first message comes: nobody shall see another one under a UID that he knows. */
static enum store_err
avoid_clash(struct job *j, bool missed)
{
	struct mailbox_status status;
	uint32_t first = 0;
	enum store_err err;

	for (size_t i = 0; i < j->remote.count && first == 0; i++)
		if (is_new(&j->remote.items[i]) && !j->remote.items[i].elsewhere)
			first = j->remote.items[i].uid;
	if (!j->box.kept || (first == 0 && !missed))
		return STORE_OK;
	err = account_status(j->mail, j->box.local, &status);
	if (err == STORE_OK && (missed || first < status.uidnext))
		return renew_identity(j);
	/* At once for all, so that a kill in the middle of a batch leaves none that count as given. */
	if (err == STORE_OK && next_uid(j) < IMPORT_UID_MAX)
		err = account_lease_uids(j->mail, j->box.local, next_uid(j));
	return err;
}

static enum step
end_identity(struct job *j, bool missed)
{
	enum store_err err = STORE_OK;

	if (j->box.kept && missed)
		err = renew_identity(j);
	else if (j->box.kept && next_uid(j) < IMPORT_UID_MAX)
		err =
		    account_take_uids(j->mail, j->box.local, j->box.local_uidvalidity, next_uid(j));
	return err == STORE_OK ? STEP_OK : store_failed(j, "cannot be finished", err);
}

/* --- one mailbox -------------------------------------------------------------------------------- */

static enum step
compare_known(struct job *j, struct import_row *rows, size_t count)
{
	struct remote_compare compare = { .mail = j->mail,
		.record = j->record,
		.box = &j->box,
		.remote = &j->remote,
		.rows = rows,
		.row_count = count,
		/* a list that lacks some is no proof that they are gone; nor is an empty mailbox, which may be one
		 * that was cleared away after the switch */
		.expunge = !j->what->keep_expunged && j->remote.count > 0 &&
			   j->remote.count >= j->examined.messages };
	enum store_err err = remote_compare(&compare);

	j->flags = compare.flags_changed;
	j->expunged = compare.expunged;
	if (count > 0 && j->examined.messages == 0 && !j->what->keep_expunged)
		j->note = "it is empty there now: nothing was expunged here";
	return err == STORE_OK ? STEP_OK
			       : store_failed(j, "changes there cannot be made here", err);
}

static enum step
prepare_box(struct job *j, struct arena *arena, struct import_row **rows, size_t *count)
{
	struct mailbox_status status = { 0 };
	enum store_err err = make_local(j, &status);
	enum step step;

	if (err == STORE_OK && j->box.id != 0)
		err = import_record_rows(j->record, j->box.id, arena, rows, count);
	if (err == STORE_OK && *count == 0)
		err = take_identity(j, &status);
	else if (err == STORE_OK && j->box.local_uidvalidity != status.uidvalidity)
		err = forget_local(j, *rows, *count, status.uidvalidity);
	if (err != STORE_OK)
		return store_failed(j, "cannot be prepared", err);
	if (j->box.uidvalidity == j->examined.uidvalidity)
		return STEP_OK;
	step = know_again(j, *rows, *count);
	if (step == STEP_OK) {
		err = import_record_rows(j->record, j->box.id, arena, rows, count);
		if (err != STORE_OK)
			return store_failed(j, "record", err);
	}
	return step;
}

static bool
uid_was_missed(const struct job *j, const struct import_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i].local_uid != 0 && rows[i].local_uid != rows[i].uid)
			return j->box.kept;
	return false;
}

static enum step
import_into(struct job *j, struct arena *arena)
{
	struct import_row *rows = NULL;
	size_t count = 0;
	enum step step = prepare_box(j, arena, &rows, &count);
	bool missed;
	enum store_err err;

	if (step != STEP_OK)
		return step;
	missed = uid_was_missed(j, rows, count);
	j->already = remote_join(&j->remote, rows, count);
	step = compare_known(j, rows, count);
	if (step == STEP_OK && j->name->rest_only)
		step = leave_out_others(j);
	if (step != STEP_OK)
		return step;
	err = avoid_clash(j, missed);
	if (err == STORE_OK)
		err = import_batch_new(j->mail, j->record, &j->box, &j->batch);
	if (err != STORE_OK)
		return store_failed(j, "cannot be opened", err);
	step = fetch_new(j);
	if (import_batch_facts(j->batch).keywords_dropped > 0)
		j->note = "it has more keywords than a mailbox can; some were left out";
	if (step == STEP_OK)
		step = end_identity(j, import_batch_facts(j->batch).uid_missed);
	return step;
}

/* What would be done. */
static enum step
look_at(struct job *j, struct arena *arena)
{
	struct import_row *rows = NULL;
	size_t count = 0;
	enum store_err err = STORE_OK;

	if (j->record != NULL && j->box.id != 0)
		err = import_record_rows(j->record, j->box.id, arena, &rows, &count);
	if (err != STORE_OK)
		return store_failed(j, "record", err);
	if (j->box.id == 0 || j->box.uidvalidity == j->examined.uidvalidity)
		j->already = remote_join(&j->remote, rows, count);
	else
		j->note =
		    "UIDVALIDITY changed there: messages will be known again by header and size";
	return STEP_OK;
}

static void
report_box(struct job *j)
{
	uint32_t imported = j->batch != NULL ? import_batch_facts(j->batch).imported : 0;

	if (j->what->dry_run)
		imported = (uint32_t)j->remote.count - j->already;
	if (j->note == NULL && j->elsewhere > 0)
		j->note = "what other mailboxes hold was left out";
	json_array_append_new(j->report->rows,
	    json_pack("{so so si si si si si si ss so}", "mailbox", output_string(j->name->path),
		"local", output_string(j->box.local), "messages", (int)j->remote.count, "imported",
		(int)imported, "already", (int)j->already, "flags", (int)j->flags, "expunged",
		(int)j->expunged, "failed", (int)j->failed, "uids", j->box.kept ? "kept" : "new",
		"note", output_string(j->note)));
}

static enum step
import_box(struct job *j)
{
	struct arena arena = { 0 };
	enum step step;
	enum store_err err = STORE_NOT_FOUND;

	j->box = (struct import_box){ .source = j->source, .name = j->name->box->name };
	if (j->record != NULL)
		err = import_record_find_box(j->record, &j->box);
	if (err == STORE_NOT_FOUND)
		j->box.local = mem_strdup(j->name->local);
	else if (err != STORE_OK)
		return store_failed(j, "record", err);
	step = open_remote(j);
	if (step == STEP_OK)
		step = j->what->dry_run ? look_at(j, &arena) : import_into(j, &arena);
	report_box(j);
	import_batch_free(j->batch);
	j->batch = NULL;
	free(j->box.local);
	arena_free(&arena);
	j->already = j->fetched = j->flags = j->expunged = j->failed = j->elsewhere = j->gone = 0;
	j->note = NULL;
	remote_clear(&j->remote);
	return step;
}

/* --- the account -------------------------------------------------------------------------------- */

static bool
matches(const struct import_name *name, const char *const *patterns, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(patterns[i], name->path) == 0 ||
		    strcmp(patterns[i], name->box->name) == 0 ||
		    fnmatch(patterns[i], name->path, 0) == 0)
			return true;
	return false;
}

struct known {
	struct arena *arena;
	struct {
		const char *name, *local;
	} * items;
	size_t count;
};

static void
on_known(void *arg, const char *name, const char *local)
{
	struct known *k = arg;

	k->items = mem_realloc_array(k->items, k->count + 1, sizeof(*k->items));
	k->items[k->count].name = arena_strdup(k->arena, name);
	k->items[k->count++].local = arena_strdup(k->arena, local);
}

static const char *
known_local(void *arg, const char *name)
{
	const struct known *k = arg;

	for (size_t i = 0; i < k->count; i++)
		if (strcmp(k->items[i].name, name) == 0)
			return k->items[i].local;
	return NULL;
}

static enum step
name_mailboxes(struct job *j)
{
	struct known known = { .arena = &j->names_arena };
	struct mailbox_list here = { 0 };
	enum store_err err = account_list(j->mail, &here);

	if (err == STORE_OK && j->record != NULL)
		err = import_record_locals(j->record, j->source, on_known, &known);
	if (err == STORE_OK)
		import_names(&j->boxes, &here, known_local, &known, &j->names_arena, &j->names);
	mailbox_list_free(&here);
	free(known.items);
	return err == STORE_OK ? STEP_OK : store_failed(j, "mailboxes here", err);
}

static enum step
list_mailboxes(struct job *j)
{
	for (;;) {
		enum step step = connect_client(j);
		enum imap_outcome got;

		if (step != STEP_OK)
			return step;
		got = imap_client_list(j->client, &j->boxes);
		if (got == IMAP_DONE)
			break;
		if (got == IMAP_REFUSED) {
			complain(j, "LIST: %s", imap_client_error(j->client));
			return STEP_STOP;
		}
		imap_mailboxes_free(&j->boxes);
		step = lost_client(j);
		if (step != STEP_OK)
			return step;
	}
	return name_mailboxes(j);
}

static enum step
import_all(struct job *j)
{
	const struct import_imap *w = j->what;
	enum step step = list_mailboxes(j);
	size_t done = 0;

	for (size_t i = 0; i < j->boxes.count && step != STEP_STOP; i++) {
		j->name = &j->names[i];
		if (j->name->local == NULL ||
		    (w->only_count > 0 && !matches(j->name, w->only, w->only_count)) ||
		    matches(j->name, w->except, w->except_count))
			continue;
		done++;
		step = import_box(j);
	}
	j->name = NULL;
	if (step != STEP_STOP && done == 0)
		complain(j, "%s: there is no such mailbox", w->client.host);
	return step;
}

static void
end_quota(struct job *j)
{
	struct account_quota quota;

	if (!j->anything || account_quota_recount(j->mail) != STORE_OK ||
	    account_quota(j->mail, &quota) != STORE_OK || quota.limit_bytes == 0 ||
	    quota.used_bytes < quota.limit_bytes)
		return;
	fprintf(stderr,
	    "mailadmin: %s: over quota now, with %" PRIu64 " of %" PRIu64
	    " bytes: all was imported, but new mail is refused\n",
	    j->what->address, quota.used_bytes, quota.limit_bytes);
}

bool
import_imap(struct account *mail, const struct import_imap *what, struct import_report *report_out)
{
	struct job j = { .mail = mail, .what = what, .report = report_out };
	enum store_err err = import_record_open(mail, what->log, !what->dry_run, &j.record);
	enum step step = STEP_STOP;

	*report_out = (struct import_report){ json_array(), json_array(), false };
	j.source = mem_printf("imap:%s@%s", what->client.user, what->client.host);
	ascii_lower_all(j.source, strlen(j.source));
	j.message = import_message_new(account_dir_fd(mail));
	if (err == STORE_BUSY)
		complain(&j, "another import into this account is running");
	else if (err != STORE_OK)
		complain(
		    &j, "%s/%s: %s", account_path(mail), IMPORT_RECORD_FILE, store_err_text(err));
	else
		step = import_all(&j);
	if (!what->dry_run)
		end_quota(&j);
	drop_client(&j);
	import_record_close(j.record);
	import_message_free(j.message);
	imap_mailboxes_free(&j.boxes);
	arena_free(&j.names_arena);
	remote_free(&j.remote);
	free(j.source);
	return step != STEP_STOP;
}
