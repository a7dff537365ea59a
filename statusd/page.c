#include "statusd/page.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/version.h"
#include "statusd/health.h"
#include "statusd/http.h"

#define REPLY_SHOWN_BYTES 120

/* --- words -------------------------------------------------------------------------------------- */

void
page_duration(struct buf *out, int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *name;
	} UNITS[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
	size_t i = 0;

	if (seconds < 0)
		seconds = 0;
	while (i < ARRAY_LEN(UNITS) - 1 && seconds < 2 * UNITS[i].seconds)
		i++; /* "90 minutes", not "1 hour" */
	seconds /= UNITS[i].seconds;
	buf_printf(out, "%" PRId64 " %s%s", seconds, UNITS[i].name, seconds == 1 ? "" : "s");
}

void
page_size(struct buf *out, uint64_t bytes)
{
	static const char *const UNITS[] = { "KB", "MB", "GB", "TB", "PB", "EB" };
	double n = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		buf_printf(out, "%" PRIu64 " bytes", bytes);
		return;
	}
	while (n >= 1023.95 && i < ARRAY_LEN(UNITS) - 1) {
		n /= 1024;
		i++;
	}
	buf_printf(out, n < 9.95 ? "%.1f %s" : "%.0f %s", n, UNITS[i]);
}

static void
text(struct buf *out, const char *s)
{
	http_html(out, str_from(s));
}

/* A long one is cut, at the end of a character, and blanks stand for its line breaks. */
static void
short_text(struct buf *out, const char *s)
{
	size_t len = strnlen(s, REPLY_SHOWN_BYTES);
	bool cut = s[len] != '\0';

	while (cut && len > 0 && !text_is_utf8((struct str){ s, len }))
		len--;
	for (size_t i = 0; i < len; i++)
		http_html(out, (struct str){ s[i] == '\n' ? " " : &s[i], 1 });
	if (cut)
		buf_adds(out, "…");
}

/* <time>, as people at the server's place write it. */
static void
moment(struct buf *out, int64_t when)
{
	time_t t = (time_t)when;
	char iso[32], human[64];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(iso, sizeof(iso), "%Y-%m-%dT%H:%M:%SZ", &tm);
	localtime_r(&t, &tm);
	strftime(human, sizeof(human), "%-d %b %Y, %H:%M %Z", &tm);
	buf_printf(out, "<time datetime=\"%s\">%s</time>", iso, human);
}

static void
ago(struct buf *out, int64_t now, int64_t when)
{
	page_duration(out, now - when);
	buf_adds(out, " ago");
}

/* --- pieces ------------------------------------------------------------------------------------- */

static void
begin_section(struct buf *out, const char *id, const char *title)
{
	buf_printf(out, "<section aria-labelledby=\"%s\"><h2 id=\"%s\">%s</h2>\n", id, id, title);
}

static void
end_section(struct buf *out)
{
	buf_adds(out, "</section>\n");
}

/* On a phone the cells of a row stand one after another, where that reads well without headings. */
#define TABLE_PLAIN ""
#define TABLE_FLOWS " class=\"flows\""

/* `columns`: headings divided by '|'; one that begins with '#' is of numbers. */
static void
begin_table(struct buf *out, const char *section, const char *kind, const char *columns)
{
	buf_printf(out,
	    "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"%s\">"
	    "<table%s><thead><tr>",
	    section, kind);
	while (*columns != '\0') {
		bool number = *columns == '#';
		size_t len = strcspn(columns += number, "|");

		buf_printf(out, "<th scope=\"col\"%s>%.*s</th>", number ? " class=\"n\"" : "",
		    (int)len, columns);
		columns += len + (columns[len] == '|');
	}
	buf_adds(out, "</tr></thead><tbody>\n");
}

static void
end_table(struct buf *out)
{
	buf_adds(out, "</tbody></table></div>\n");
}

static void
number_cell(struct buf *out, uint64_t n)
{
	buf_printf(out, "<td class=\"n\">%" PRIu64 "</td>", n);
}

static void
begin_tile(struct buf *out, const char *label)
{
	buf_printf(out, "<li><span class=\"label\">%s</span> <span class=\"figure\">", label);
}

static void
end_tile(struct buf *out, const char *note)
{
	buf_printf(out, "</span> <span class=\"note\">%s</span></li>\n", note);
}

/* --- the top ------------------------------------------------------------------------------------ */

static void
write_head(const struct facts *f, struct buf *out)
{
	const char *host = f->hostname != NULL ? f->hostname : "";

	buf_adds(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
		      "<meta name=\"color-scheme\" content=\"light dark\"><title>");
	text(out, host);
	buf_adds(out, " – Sanger</title><link rel=\"stylesheet\" href=\"/style.css\">"
		      "<link rel=\"icon\" href=\"/icon.svg\" type=\"image/svg+xml\"></head>\n"
		      "<body><header><h1>");
	text(out, host);
	buf_adds(out, "</h1><p>As of ");
	moment(out, f->now);
	buf_adds(out, " · <a href=\"/\">look again</a></p></header>\n<main>\n");
}

/* What keeps nothing from working, and yet is to be seen to. */
static void
add_worries(const struct facts *f, struct buf *problems)
{
	const struct status_line *made = status_file_last(&f->backup, "succeeded");
	const struct status_line *failed = status_file_last(&f->backup, "failed");
	const struct status_line *damaged = status_file_last(&f->backup, "damaged");

	for (size_t i = 0; i < FACTS_DAEMONS; i++)
		if (f->daemons[i].running &&
		    strcmp(f->daemons[i].counts->release, SANGER_VERSION) != 0)
			buf_printf(problems, "%s runs release %s still: restart it\n",
			    f->daemons[i].name, f->daemons[i].counts->release);
	for (size_t i = 0; i < f->publish.count; i++)
		if (strcmp(f->publish.lines[i].key, "failed") == 0)
			buf_printf(problems, "the account database does not get to %s\n",
			    f->publish.lines[i].text);
	if (failed != NULL && (made == NULL || failed->at > made->at))
		buf_adds(problems, "the last backup failed\n");
	if (damaged != NULL)
		buf_printf(problems, "the backup %s is damaged\n", damaged->text);
}

static void
write_problems(const struct facts *f, struct buf *out)
{
	struct buf problems = { 0 };
	struct cursor c;
	struct str line;

	health_problems(f, &problems);
	add_worries(f, &problems);
	if (problems.len == 0) {
		buf_adds(out, "<p class=\"banner good\">Everything runs.</p>\n");
	} else {
		buf_adds(out, "<div class=\"banner bad\" role=\"alert\"><h2>Needs a look</h2><ul>");
		c = cursor_from((struct str){ problems.data, problems.len });
		while (cursor_take_line(&c, &line)) {
			buf_adds(out, "<li>");
			http_html(out, line);
			buf_adds(out, "</li>");
		}
		buf_adds(out, "</ul></div>\n");
	}
	buf_free(&problems);
}

static uint64_t
connections_now(const struct facts *f)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < FACTS_DAEMONS; i++)
		if (f->daemons[i].running)
			sum += facts_sum(&f->daemons[i], "sanger_connections", NULL);
	return sum;
}

static void
write_tiles(const struct facts *f, struct buf *out)
{
	const struct facts_disk *least = NULL;
	struct buf note = { 0 };

	buf_adds(out, "<ul class=\"tiles\">\n");
	begin_tile(out, "Queue");
	buf_printf(out, "%" PRIu64, f->queue.messages);
	if (f->queue.oldest > 0) {
		buf_adds(&note, "oldest ");
		page_duration(&note, f->now - f->queue.oldest);
	}
	end_tile(out, f->queue.messages == 0 ? "nothing waits" : buf_cstr(&note));
	begin_tile(out, "Connections");
	buf_printf(out, "%" PRIu64, connections_now(f));
	end_tile(out, "open now");
	begin_tile(out, "Failed logins");
	buf_printf(out, "%" PRIu64, f->failed_day);
	buf_reset(&note);
	buf_printf(&note, "in a day, %" PRIu64 " in the last hour", f->failed_hour);
	end_tile(out, buf_cstr(&note));
	for (size_t i = 0; i < f->disk_count; i++)
		if (least == NULL || f->disks[i].free_bytes < least->free_bytes)
			least = &f->disks[i];
	if (least != NULL) {
		begin_tile(out, "Disk");
		page_size(out, least->free_bytes);
		buf_reset(&note);
		buf_adds(&note, "free for ");
		text(&note, least->uses);
		end_tile(out, buf_cstr(&note));
	}
	buf_adds(out, "</ul>\n");
	buf_free(&note);
}

/* --- the queue ---------------------------------------------------------------------------------- */

static void
write_form(struct buf *out, const char *action, const char *token, const char *id,
    const char *label, const char *name)
{
	buf_printf(out,
	    "<form method=\"post\" action=\"%s\"><input type=\"hidden\" name=\"token\" "
	    "value=\"%s\">",
	    action, token);
	if (id != NULL)
		buf_printf(out, "<input type=\"hidden\" name=\"id\" value=\"%s\">", id);
	buf_printf(out, "<button type=\"submit\" name=\"%s\" value=\"1\">%s", name, label);
	if (id != NULL)
		buf_printf(out, "<span class=\"unseen\"> %s</span>", id);
	buf_adds(out, "</button></form>");
}

static const char *
state_of(const struct spool_message *m, int64_t now)
{
	if (m->parked != NULL)
		return "parked";
	if (m->held)
		return "held";
	if (m->claimed)
		return "being sent";
	if (m->release_mode != 0 && m->release_at > now)
		return "sent later";
	return m->next_attempt <= now ? "due" : "waits";
}

static const char *
reply_of(const struct spool_message *m)
{
	if (m->parked != NULL)
		return m->parked;
	for (size_t i = 0; i < m->recipient_count; i++)
		if (m->recipients[i].state == SPOOL_PENDING && m->recipients[i].reply != NULL)
			return m->recipients[i].reply;
	return "";
}

static void
write_message(
    const struct facts *f, const struct spool_message *m, const char *token, struct buf *out)
{
	bool can_retry = !m->held && !m->claimed;

	buf_printf(out, "<tr><th scope=\"row\"><code>%s</code></th><td>", m->id);
	text(out, *m->sender != '\0' ? m->sender : "<>");
	buf_adds(out, "</td><td>");
	if (m->recipient_count > 0)
		text(out, m->recipients[0].address);
	if (m->recipient_count > 1)
		buf_printf(out, " and %zu more", m->recipient_count - 1);
	buf_printf(out, "</td><td>%s</td><td class=\"n\">", state_of(m, f->now));
	page_duration(out, f->now - m->received);
	buf_adds(out, "</td><td class=\"wide\">");
	short_text(out, reply_of(m));
	buf_adds(out, "</td><td>");
	if (can_retry)
		write_form(out, "/queue/retry", token, m->id, "Retry", "retry");
	buf_adds(out, "</td></tr>\n");
}

static void
write_messages(const struct facts *f, const char *token, struct buf *out)
{
	if (f->oldest_count < f->queue.messages)
		buf_printf(
		    out, "<h3 id=\"oldest\">The %zu oldest messages</h3>\n", f->oldest_count);
	else
		buf_adds(out, "<h3 id=\"oldest\">Messages</h3>\n");
	begin_table(out, "oldest", TABLE_FLOWS, "Message|From|To|State|#Age|Last answer|Action");
	for (size_t i = 0; i < f->oldest_count; i++)
		write_message(f, f->oldest[i], token, out);
	end_table(out);
}

static void
write_relays(const struct facts *f, struct buf *out)
{
	buf_adds(out, "<h3 id=\"relays\">By relay</h3>\n");
	begin_table(out, "relays", TABLE_PLAIN, "Relay|#Recipients|One of its answers");
	for (size_t i = 0; i < f->relay_count; i++) {
		const struct spool_relay_count *r = &f->relays[i];

		buf_adds(out, "<tr><th scope=\"row\">");
		text(out, r->relay != NULL ? r->relay : "none has answered yet");
		buf_adds(out, "</th>");
		number_cell(out, r->recipients);
		buf_adds(out, "<td class=\"wide\">");
		short_text(out, r->reply != NULL ? r->reply : "");
		buf_adds(out, "</td></tr>\n");
	}
	end_table(out);
}

static void
write_states(const struct spool_counts *q, struct buf *out)
{
	const struct {
		const char *label;
		uint64_t n;
	} STATES[] = {
		{ "being sent", q->claimed },
		{ "held", q->held > q->parked ? q->held - q->parked : 0 },
		{ "parked", q->parked },
	};

	buf_printf(out, "<p><strong>%" PRIu64 "</strong> message%s for %" PRIu64 " recipient%s, ",
	    q->messages, q->messages == 1 ? "" : "s", q->recipients_pending,
	    q->recipients_pending == 1 ? "" : "s");
	page_size(out, q->bytes);
	for (size_t i = 0; i < ARRAY_LEN(STATES); i++)
		if (STATES[i].n > 0)
			buf_printf(out, "; %" PRIu64 " %s", STATES[i].n, STATES[i].label);
	buf_adds(out, ".</p>\n");
}

static void
write_queue(const struct facts *f, const char *token, struct buf *out)
{
	begin_section(out, "queue", "Queue");
	if (f->queue_err != STORE_OK) {
		buf_adds(out, "<p>It cannot be read; the log says why.</p>\n");
	} else if (f->queue.messages == 0) {
		buf_adds(out, "<p>Nothing waits for a relay.</p>\n");
	} else {
		write_states(&f->queue, out);
		write_form(out, "/queue/flush", token, NULL, "Try all now", "flush");
		write_relays(f, out);
		write_messages(f, token, out);
	}
	end_section(out);
}

/* --- daemons and connections -------------------------------------------------------------------- */

static void
write_daemons(const struct facts *f, struct buf *out)
{
	begin_section(out, "daemons", "Daemons");
	begin_table(out, "daemons", TABLE_FLOWS, "Daemon|State|Up since|Release");
	for (size_t i = 0; i < FACTS_DAEMONS; i++) {
		const struct facts_daemon *d = &f->daemons[i];

		buf_printf(out, "<tr><th scope=\"row\">%s</th>", d->name);
		if (d->running) {
			buf_adds(out, "<td><span class=\"state good\">runs</span></td><td>");
			moment(out, d->counts->started);
			buf_adds(out, "</td><td>");
			text(out, d->counts->release);
			buf_adds(out, "</td></tr>\n");
		} else {
			buf_printf(out,
			    "<td><span class=\"state %s</span></td><td></td><td></td></tr>\n",
			    d->wanted ? "bad\">does not run" : "off\">not set up");
		}
	}
	end_table(out);
	end_section(out);
}

static void
write_listener(const struct facts_daemon *d, const struct metrics_value *v, struct buf *out)
{
	const char *name = v->label_count > 0 ? v->label_values[0] : "";

	buf_adds(out, "<tr><th scope=\"row\">");
	text(out, name);
	buf_printf(out, "</th><td>%s</td>", d->name);
	buf_printf(out, "<td class=\"n\">%" PRId64 "</td>", v->level);
	number_cell(out, facts_sum(d, "sanger_connections_accepted", name));
	number_cell(out, facts_sum(d, "sanger_connections_refused", name));
	buf_adds(out, "</tr>\n");
}

static void
write_connections(const struct facts *f, struct buf *out)
{
	begin_section(out, "connections", "Connections");
	begin_table(out, "connections", TABLE_PLAIN, "Listener|Daemon|#Now|#Total|#Refused");
	for (size_t i = 0; i < FACTS_DAEMONS; i++) {
		const struct facts_daemon *d = &f->daemons[i];

		for (size_t v = 0; d->running && v < d->counts->value_count; v++)
			if (strcmp(d->counts->values[v].name, "sanger_connections") == 0)
				write_listener(d, &d->counts->values[v], out);
	}
	end_table(out);
	end_section(out);
}

/* --- disks, accounts, failed logins, publish and backup ----------------------------------------- */

static void
write_disks(const struct facts *f, struct buf *out)
{
	begin_section(out, "disks", "Disk space");
	begin_table(out, "disks", TABLE_FLOWS, "Holds|Path|#Free|Used");
	for (size_t i = 0; i < f->disk_count; i++) {
		const struct facts_disk *d = &f->disks[i];
		uint64_t used = d->size_bytes > d->free_bytes ? d->size_bytes - d->free_bytes : 0;
		unsigned percent =
		    d->size_bytes > 0 ? (unsigned)(used / ((d->size_bytes + 99) / 100)) : 0;

		buf_adds(out, "<tr><th scope=\"row\">");
		text(out, d->uses);
		buf_adds(out, "</th><td><code>");
		text(out, d->path);
		buf_adds(out, "</code></td><td class=\"n\">");
		page_size(out, d->free_bytes);
		buf_adds(out, " of ");
		page_size(out, d->size_bytes);
		buf_printf(out,
		    "</td><td class=\"bar\"><meter min=\"0\" max=\"100\" low=\"80\" high=\"92\" "
		    "optimum=\"0\" value=\"%u\">%u %%</meter> %u %%</td></tr>\n",
		    percent, percent, percent);
	}
	end_table(out);
	end_section(out);
}

static void
write_account(const struct quota_account *a, struct buf *out)
{
	buf_adds(out, "<tr><th scope=\"row\">");
	text(out, a->address);
	buf_adds(out, "</th><td class=\"n\">");
	if (a->limit_bytes > 0) {
		page_size(out, a->used_bytes);
		buf_adds(out, " of ");
		page_size(out, a->limit_bytes);
	}
	if (a->limit_messages > 0)
		buf_printf(out, "%s%" PRIu64 " of %" PRIu64 " messages",
		    a->limit_bytes > 0 ? ", " : "", a->used_messages, a->limit_messages);
	buf_printf(out,
	    "</td><td class=\"bar\"><meter min=\"0\" max=\"100\" low=\"90\" high=\"99\" "
	    "optimum=\"0\" value=\"%u\">%u %%</meter> %u %%</td></tr>\n",
	    a->percent < 100 ? a->percent : 100, a->percent, a->percent);
}

static void
write_accounts(const struct facts *f, struct buf *out)
{
	const struct quotas_found *q = &f->quotas;

	begin_section(out, "accounts", "Accounts near their quota");
	if (q->when == 0) {
		buf_adds(out, "<p>They are being looked at; come back in a moment.</p>\n");
	} else if (q->near == 0) {
		buf_printf(out, "<p>None of %zu; looked at ", q->accounts);
		ago(out, f->now, q->when);
		buf_adds(out, ".</p>\n");
	} else {
		buf_printf(out, "<p>%zu of %zu; looked at ", q->near, q->accounts);
		ago(out, f->now, q->when);
		buf_adds(out, q->row_count < q->near ? ". The fullest ones:</p>\n" : ".</p>\n");
		begin_table(out, "accounts", TABLE_FLOWS, "Account|#Used|Share");
		for (size_t i = 0; i < q->row_count; i++)
			write_account(&q->rows[i], out);
		end_table(out);
	}
	end_section(out);
}

static void
write_sources(const struct facts *f, struct buf *out)
{
	begin_section(out, "failed", "Failed logins");
	if (f->source_total == 0) {
		buf_adds(out, "<p>None within a day, or since the daemons were started.</p>\n");
	} else {
		buf_printf(out, "<p>From %zu address%s within a day.</p>\n", f->source_total,
		    f->source_total == 1 ? "" : "es");
		begin_table(out, "failed", TABLE_PLAIN, "Address|#Last hour|#Day|Last");
		for (size_t i = 0; i < f->source_count; i++) {
			char ip[NET_IP_TEXT_BYTES];

			net_ip_text(&f->sources[i].ip, ip);
			buf_printf(out, "<tr><th scope=\"row\"><code>%s</code></th>", ip);
			number_cell(out, f->sources[i].hour);
			number_cell(out, f->sources[i].day);
			buf_adds(out, "<td>");
			ago(out, f->now, f->sources[i].last);
			buf_adds(out, "</td></tr>\n");
		}
		end_table(out);
	}
	end_section(out);
}

/* What such a file says under `key`, if it does. */
static void
write_event(const struct facts *f, const char *what, const struct status_line *line, bool bad,
    struct buf *out)
{
	if (line == NULL)
		return;
	buf_printf(out, "<tr><th scope=\"row\">%s</th><td>", what);
	if (bad)
		buf_adds(out, "<span class=\"state bad\">");
	moment(out, line->at);
	if (bad)
		buf_adds(out, "</span>");
	buf_adds(out, " <span class=\"soft\">");
	ago(out, f->now, line->at);
	buf_adds(out, "</span></td><td class=\"wide\">");
	short_text(out, line->text);
	buf_adds(out, "</td></tr>\n");
}

static void
write_times(const struct facts *f, struct buf *out)
{
	begin_section(out, "times", "Publish and backup");
	if (f->publish.count + f->backup.count == 0) {
		buf_adds(out, "<p>Neither has run yet.</p>\n");
		end_section(out);
		return;
	}
	begin_table(out, "times", TABLE_FLOWS, "What|When|Which");
	for (size_t i = 0; i < f->publish.count; i++) {
		const struct status_line *line = &f->publish.lines[i];

		if (strcmp(line->key, "published") == 0)
			write_event(f, "Published", line, false, out);
		else if (strcmp(line->key, "sent") == 0)
			write_event(f, "Sent to a relay", line, false, out);
		else if (strcmp(line->key, "failed") == 0)
			write_event(f, "Not sent", line, true, out);
	}
	write_event(f, "Backup made", status_file_last(&f->backup, "succeeded"), false, out);
	write_event(f, "Backup failed", status_file_last(&f->backup, "failed"), true, out);
	write_event(f, "Backup verified", status_file_last(&f->backup, "verified"), false, out);
	write_event(f, "Backup damaged", status_file_last(&f->backup, "damaged"), true, out);
	end_table(out);
	end_section(out);
}

void
page_write(const struct facts *f, const char *token, const char *notice, struct buf *out)
{
	write_head(f, out);
	if (notice != NULL) {
		buf_adds(out, "<p class=\"banner notice\" role=\"status\">");
		text(out, notice);
		buf_adds(out, "</p>\n");
	}
	write_problems(f, out);
	write_tiles(f, out);
	write_queue(f, token, out);
	buf_adds(out, "<div class=\"columns\">\n");
	write_daemons(f, out);
	write_connections(f, out);
	write_disks(f, out);
	write_accounts(f, out);
	write_sources(f, out);
	write_times(f, out);
	buf_adds(out, "</div>\n</main>\n<footer><p>Sanger " SANGER_VERSION
		      " · <a href=\"/metrics\">metrics</a> · <a href=\"/healthz\">health</a>"
		      "</p></footer></body></html>\n");
}
