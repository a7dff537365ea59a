/* What the relay knows of the accounts: is it fresh? */
#include <fcntl.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#include "admin/doctor.h"
#include "admin/publish_status.h"

#define STALE_S (60 * 60) /* the timer comes every 15 minutes */

static void
check_target(struct doctor *d, struct publish_status *status, const char *name)
{
	const struct publish_target *t = publish_status_target(status, name);
	int64_t now = time(NULL);

	if (t == NULL)
		return;
	if (t->sent == 0)
		doctor_fail(d, "publish", "mailadmin publish says why",
		    "%s has never got the accounts", name);
	else if (t->failed != 0)
		doctor_fail(d, "publish", "mailadmin publish says why",
		    "sending the accounts to %s fails; they are %" PRId64 " minutes old there",
		    name, (now - t->sent) / 60);
	else if (now - t->sent > STALE_S)
		doctor_fail(d, "publish", "systemctl status sanger-publish.timer",
		    "%s got the accounts %" PRId64 " minutes ago", name, (now - t->sent) / 60);
	else
		doctor_ok(d, "publish", "%s got the accounts %" PRId64 " minutes ago", name,
		    (now - t->sent) / 60);
}

void
doctor_publish(struct doctor *d)
{
	const char *dir = config_string(d->a->config, "publish.dir");
	size_t count = config_count(d->a->config, "publish.to");
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct publish_status status = { 0 };

	if (dir_fd >= 0)
		publish_status_read(dir_fd, &status);
	if (dir_fd >= 0)
		close(dir_fd);
	for (size_t i = 0; i < count; i++)
		check_target(d, &status, config_string_at(d->a->config, "publish.to", i));
	if (count == 0 && status.published != 0 && time(NULL) - status.published > STALE_S)
		doctor_warn(d, "publish", "systemctl status sanger-publish.timer",
		    "%s was written %" PRId64 " minutes ago", dir,
		    ((int64_t)time(NULL) - status.published) / 60);
	publish_status_free(&status);
}
