#include "imapd/append_url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "imapd/fetch_plan.h"
#include "imapd/imapd.h"
#include "imapd/names.h"
#include "imapd/url.h"
#include "service/hostname.h"
#include "store/mailbox.h"

#define MAILBOX_OPEN_BYTES                                                                         \
	(64 * 1024) /* what opening a mailbox counts for, beside bytes that are parsed */

static void
close_message(struct append_url *u)
{
	if (u->uid != 0)
		close(u->fd);
	mime_message_free(u->mime);
	u->mime = NULL;
	u->uid = 0;
}

static void
close_mailbox(struct append_url *u)
{
	close_message(u);
	if (u->own)
		mailbox_close(u->box);
	free(u->name);
	u->name = NULL;
	u->box = NULL;
	u->own = false;
}

void
append_url_close(struct append_url *u)
{
	close_mailbox(u);
	buf_free(&u->fields);
}

/* An absolute URL may name this server, and this user or none: the session is the only login there is, RFC 4469 §3. */
static bool
is_ours(const struct imap_session *s, const struct imap_url *url)
{
	char *hostname;
	bool ours;

	if (url->host == NULL)
		return true;
	if (url->user != NULL && (s->user == NULL || !ascii_eq_nocase(url->user, s->user)))
		return false;
	hostname = service_hostname(s->imapd->config);
	ours = ascii_eq_nocase(url->host, hostname);
	free(hostname);
	return ours;
}

static enum store_err
use_selected(struct imap_session *s, struct append_url *u)
{
	if (u->box != s->box)
		close_mailbox(u);
	u->box = s->box;
	return STORE_OK;
}

/* Opens the mailbox unless it is the last one; the selected one is there already. */
static enum store_err
open_mailbox(
    struct imap_session *s, struct arena *a, struct append_url *u, const struct imap_url *url)
{
	struct imap_place place;
	enum store_err err;
	char *nfc;

	if (url->mailbox == NULL)
		return imap_selected_is_open(s) ? use_selected(s, u) : STORE_NOT_FOUND;
	nfc = imap_mailbox_nfc(a, url->mailbox);
	err = imap_place_of(s, a, nfc != NULL ? nfc : url->mailbox, &place);
	if (err != STORE_OK)
		return err;
	if (place.acct == NULL || (place.rights & ACL_READ) == 0)
		return STORE_NOT_FOUND;
	if (u->own && u->acct == place.acct && strcmp(u->name, place.name) == 0)
		return STORE_OK;
	if (imap_place_is_selected(s, &place))
		return use_selected(s, u);
	close_mailbox(u);
	u->acct = place.acct;
	u->name = mem_strdup(place.name);
	u->parsed_bytes += MAILBOX_OPEN_BYTES;
	err = mailbox_open(place.acct, place.name, true, &u->box);
	if (err != STORE_OK)
		u->box = NULL;
	u->own = err == STORE_OK;
	return err;
}

static enum store_err
open_message(struct append_url *u, const struct imap_url *url)
{
	struct mailbox_facts facts;
	enum store_err err;

	mailbox_facts(u->box, &facts);
	if (url->uidvalidity != 0 && url->uidvalidity != facts.uidvalidity)
		return STORE_NOT_FOUND;
	if (u->uid == url->uid)
		return STORE_OK;
	close_message(u);
	if (mailbox_uid_to_seq(u->box, url->uid) == 0)
		return STORE_NOT_FOUND;
	err = mailbox_message_open(u->box, url->uid, &u->fd);
	if (err != STORE_OK)
		return err;
	u->uid = url->uid;
	u->mime = mime_parse_fd(u->fd);
	if (u->mime == NULL)
		return store_err_from_errno(errno);
	u->parsed_bytes += mime_message_size(u->mime);
	return STORE_OK;
}

static void
read_extent(struct append_url *u, const struct mime_extent *range)
{
	mime_reader_open(&u->reader, u->fd, range);
	u->left = range->virtual_size;
}

static enum store_err
read_fields(struct append_url *u, const struct fetch_section *section, const struct mime_part *part)
{
	buf_reset(&u->fields);
	u->from_fields = true;
	u->fields_at = 0;
	if (!mime_header_fields(&u->fields, u->fd, part, section->fields, section->field_count,
		section->text == FETCH_TEXT_FIELDS_NOT))
		return store_err_from_errno(errno);
	u->left = u->fields.len;
	return STORE_OK;
}

/* As fetch_emit_section(). */
static enum store_err
open_section(struct append_url *u, const struct fetch_section *section)
{
	bool of_part = section->text == FETCH_TEXT_ALL || section->text == FETCH_TEXT_MIME;
	const struct mime_part *part =
	    of_part ? mime_find_part(u->mime, section->numbers, section->number_count)
		    : mime_find_message(u->mime, section->numbers, section->number_count);
	struct mime_extent whole;

	u->from_fields = false;
	if (part == NULL)
		return STORE_NOT_FOUND;
	if (section->text == FETCH_TEXT_FIELDS || section->text == FETCH_TEXT_FIELDS_NOT)
		return read_fields(u, section, part);
	whole = mime_part_extent(part);
	if (section->text == FETCH_TEXT_HEADER || section->text == FETCH_TEXT_MIME)
		read_extent(u, &part->header);
	else if (section->number_count == 0 && section->text == FETCH_TEXT_ALL)
		read_extent(u, &whole);
	else
		read_extent(u, &part->body);
	return STORE_OK;
}

/* URL-PARTIAL: as BODY[…]<offset.count>; behind the end there is nothing. */
static enum store_err
cut_out(struct append_url *u, const struct imap_url *url)
{
	uint64_t count = url->count != 0 ? url->count : UINT64_MAX;
	uint64_t size = u->left;

	if (!url->has_partial)
		return STORE_OK;
	u->left = mime_partial_size(size, url->offset, count);
	if (u->left == 0)
		return STORE_OK;
	if (u->from_fields)
		u->fields_at = (size_t)url->offset;
	else if (!mime_reader_skip(&u->reader, url->offset))
		return store_err_from_errno(errno);
	return STORE_OK;
}

/* The base of relative paths, RFC 4469 §3, as the session names it; NULL: none. */
static const char *
base_name(const struct imap_session *s, struct arena *a)
{
	const struct account *owner = s->box != NULL ? mailbox_account(s->box) : NULL;

	if (owner == NULL || owner == s->acct)
		return owner == NULL ? NULL : mailbox_name(s->box);
	return imap_place_shown(s, a, account_address(owner), mailbox_name(s->box));
}

enum store_err
append_url_open(struct imap_session *s, struct arena *a, struct append_url *u, struct str text)
{
	struct fetch_section section = { 0 };
	struct imap_url url;
	enum store_err err;

	u->left = 0;
	if (!imap_url_parse(text, base_name(s, a), a, &url) || !is_ours(s, &url) ||
	    !fetch_section_parse(url.section, a, &section))
		return STORE_INVALID;
	err = open_mailbox(s, a, u, &url);
	if (err == STORE_OK)
		err = open_message(u, &url);
	if (err == STORE_OK)
		err = open_section(u, &section);
	if (err == STORE_OK)
		err = cut_out(u, &url);
	return err == STORE_NOT_FOUND || err == STORE_DENIED ? STORE_INVALID : err;
}

ssize_t
append_url_read(struct append_url *u, void *bytes, size_t len)
{
	ssize_t n = (ssize_t)len;

	if (len > u->left)
		len = (size_t)u->left;
	if (len == 0)
		return 0;
	if (u->from_fields) {
		memcpy(bytes, u->fields.data + u->fields_at, len);
		u->fields_at += len;
		n = (ssize_t)len;
	} else {
		n = mime_reader_read(&u->reader, bytes, len);
	}
	if (n == 0) { /* cut off meanwhile */
		errno = EIO;
		return -1;
	}
	if (n > 0)
		u->left -= (uint64_t)n;
	return n;
}
