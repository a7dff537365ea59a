#include "lda/warning.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service/service.h"
#include "store/account_db.h"
#include "store/state.h"

#define TEMPLATE_MAX_BYTES (64 * 1024)

/* --- when --------------------------------------------------------------------------------------- */

struct asked {
	const struct home *home;
	const struct quota_rules *rules;
	struct quota_usage usage;
};

static bool
percent_now(void *arg, uint64_t *percent_out)
{
	struct asked *a = arg;

	if (quota_usage(a->home, a->rules, &a->usage) != STORE_OK)
		return false;
	*percent_out = quota_percent(a->rules, &a->usage);
	return true;
}

static bool
has_state(const struct home *home)
{
	return faccessat(home->fd, "state.db", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void
warning_settle(struct lda *l, const struct lda_rcpt *rcpt, const struct home *home,
    const struct quota_usage *usage)
{
	struct asked asked = { .home = home, .rules = &rcpt->quota };
	struct state *state;
	unsigned due;

	if (l->warning_count == 0 || !quota_is_limited(&rcpt->quota) || !has_state(home) ||
	    quota_percent(&rcpt->quota, usage) >= l->warnings[l->warning_count - 1] ||
	    state_open(home->fd, false, l->sv->log, &state) != STORE_OK)
		return;
	state_warnings(state, NULL, 0, percent_now, &asked, &due); /* an error is logged */
	state_close(state);
}

/* --- the administrator's text ------------------------------------------------------------------- */

/* Nothing, and so our own text, if there is none or it cannot be read. */
static void
read_template(const struct lda *l, struct buf *out)
{
	const char *path = config_string(l->sv->config, "lda.quota_warning_template");
	int fd = path != NULL ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	ssize_t got = 0;
	struct stat sb;

	if (fd >= 0) {
		buf_reserve(out, TEMPLATE_MAX_BYTES);
		if (fstat(fd, &sb) == 0 && S_ISREG(sb.st_mode))
			got = read(fd, out->data, TEMPLATE_MAX_BYTES);
		close(fd);
	}
	if (got > 0)
		out->len = (size_t)got;
	if (path != NULL && got <= 0)
		log_error(l->sv->log, "quota-warning", "template=%s error=unreadable", path);
}

static enum lda_verdict
send(struct lda *l, const struct lda_rcpt *rcpt, const struct quota_usage *usage, unsigned due)
{
	struct account_row row = { 0 };
	struct buf text = { 0 }, message = { 0 };
	struct warning_facts facts = {
		.localpart = rcpt->localpart,
		.domain = rcpt->domain,
		.hostname = l->hostname,
		.rules = rcpt->quota,
		.usage = *usage,
		.threshold = due,
		.now = (int64_t)time(NULL),
	};
	enum lda_verdict v;

	if (account_db_find(l->sv->accounts, str_from(rcpt->localpart), str_from(rcpt->domain),
		&row) == STORE_OK)
		facts.realname = row.realname;
	read_template(l, &text);
	warning_compose(
	    &message, &facts, (struct str){ text.len > 0 ? text.data : NULL, text.len });
	v = lda_deliver_system(l, rcpt, (struct str){ message.data, message.len });
	account_row_free(&row);
	buf_free(&text);
	buf_free(&message);
	return v;
}

void
warning_check(struct lda *l, const struct lda_rcpt *rcpt, const struct home *home)
{
	struct asked asked = { .home = home, .rules = &rcpt->quota };
	struct state *state;
	enum lda_verdict v;
	uint64_t percent;
	unsigned due;

	if (l->warning_count == 0 || !quota_is_limited(&rcpt->quota) ||
	    !percent_now(&asked, &percent) || percent < l->warnings[0] ||
	    state_open(home->fd, true, l->sv->log, &state) != STORE_OK)
		return;
	if (state_warnings(state, l->warnings, l->warning_count, percent_now, &asked, &due) ==
		STORE_OK &&
	    due != 0) {
		v = send(l, rcpt, &asked.usage, due);
		if (v != LDA_OK)
			state_warning_undo(state, due);
		log_info(l->sv->log, "quota-warning", "account=%s@%s percent=%u result=%s",
		    rcpt->localpart, rcpt->domain, due, v == LDA_OK ? "delivered" : "failed");
	}
	state_close(state);
}
