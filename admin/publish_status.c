#include "admin/publish_status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/status_lines.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

struct publish_target *
publish_status_target(struct publish_status *status, const char *name)
{
	for (size_t i = 0; i < status->target_count; i++)
		if (strcmp(status->targets[i].name, name) == 0)
			return &status->targets[i];
	if (status->target_count == PUBLISH_TARGETS_MAX)
		return NULL;
	status->targets[status->target_count] = (struct publish_target){ .name = mem_strdup(name) };
	return &status->targets[status->target_count++];
}

static void
on_line(void *arg, const char *word, int64_t when, const char *rest)
{
	struct publish_status *status = arg;
	struct publish_target *target;

	if (strcmp(word, "published") == 0)
		status->published = when;
	if (*rest != ' ' || rest[1] == '\0')
		return;
	target = publish_status_target(status, rest + 1);
	if (target != NULL && strcmp(word, "sent") == 0)
		target->sent = when;
	else if (target != NULL && strcmp(word, "failed") == 0)
		target->failed = when;
}

void
publish_status_read(int dir_fd, struct publish_status *status_out)
{
	*status_out = (struct publish_status){ 0 };
	status_lines_read(dir_fd, on_line, status_out);
}

enum store_err
publish_status_write(int dir_fd, const struct publish_status *status)
{
	struct buf text = { 0 };
	enum store_err err;

	buf_printf(&text, "published %" PRId64 "\n", status->published);
	for (size_t i = 0; i < status->target_count; i++) {
		const struct publish_target *t = &status->targets[i];

		if (t->sent != 0)
			buf_printf(&text, "sent %" PRId64 " %s\n", t->sent, t->name);
		if (t->failed != 0)
			buf_printf(&text, "failed %" PRId64 " %s\n", t->failed, t->name);
	}
	err = status_lines_write(dir_fd, (struct str){ text.data, text.len });
	buf_free(&text);
	return err;
}

void
publish_status_free(struct publish_status *status)
{
	for (size_t i = 0; i < status->target_count; i++)
		free(status->targets[i].name);
	*status = (struct publish_status){ 0 };
}
