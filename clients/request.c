#include "clients/request.h"

#include <expat.h>
#include <stdlib.h>

#include "base/mem.h"

#define DEPTH_MAX      8
#define TEXT_MAX_BYTES 1024 /* of one element */
#define SCHEMA_OURS                                                                                \
	"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
#define SCHEMA_LEGACY                                                                              \
	"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006"
#define NAMESPACE_DIVIDE '|'

struct reader {
	XML_Parser parser;
	unsigned depth;
	struct buf text; /* of the element that is open */
	struct buf address, schema;
	bool bad;
};

static void
refuse(struct reader *r)
{
	r->bad = true;
	XML_StopParser(r->parser, XML_FALSE);
}

/* The name without its namespace: clients are not careful with it. */
static const char *
local_name(const char *name)
{
	const char *divide = strrchr(name, NAMESPACE_DIVIDE);

	return divide != NULL ? divide + 1 : name;
}

static void
on_doctype(void *arg, const char *name, const char *system, const char *public, int subset)
{
	(void)name;
	(void)system;
	(void)public;
	(void)subset;
	refuse(arg);
}

static void
on_start(void *arg, const char *name, const char **attributes)
{
	struct reader *r = arg;

	(void)attributes;
	if (++r->depth > DEPTH_MAX ||
	    (r->depth == 1 && strcmp(local_name(name), "Autodiscover") != 0))
		refuse(r);
	buf_reset(&r->text);
}

static void
on_text(void *arg, const char *text, int len)
{
	struct reader *r = arg;

	if (r->text.len + (size_t)len > TEXT_MAX_BYTES)
		refuse(r);
	else
		buf_add(&r->text, text, (size_t)len);
}

static void
keep(struct buf *out, struct buf *text)
{
	struct str trimmed = str_trim((struct str){ text->data, text->len });

	buf_reset(out);
	buf_add(out, trimmed.p, trimmed.len);
}

static void
on_end(void *arg, const char *name)
{
	struct reader *r = arg;

	if (strcmp(local_name(name), "EMailAddress") == 0)
		keep(&r->address, &r->text);
	else if (strcmp(local_name(name), "AcceptableResponseSchema") == 0)
		keep(&r->schema, &r->text);
	buf_reset(&r->text);
	r->depth--;
}

static bool
parse(struct reader *r, struct str body)
{
	bool ok;

	r->parser = XML_ParserCreateNS(NULL, NAMESPACE_DIVIDE);
	if (r->parser == NULL)
		return false;
	XML_SetUserData(r->parser, r);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	XML_SetElementHandler(r->parser, on_start, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	ok = XML_Parse(r->parser, body.p, (int)body.len, XML_TRUE) == XML_STATUS_OK && !r->bad;
	XML_ParserFree(r->parser);
	return ok;
}

/* Without a schema the client takes what comes. */
static bool
is_our_schema(struct buf *schema)
{
	return schema->len == 0 || strcmp(buf_cstr(schema), SCHEMA_OURS) == 0 ||
	       strcmp(buf_cstr(schema), SCHEMA_LEGACY) == 0;
}

enum clients_request
clients_request_parse(struct str body, struct buf *address_out)
{
	struct reader r = { 0 };
	enum clients_request result = CLIENTS_REQUEST_INVALID;

	if (body.len > 0 && body.len <= CLIENTS_REQUEST_MAX_BYTES && parse(&r, body)) {
		result = is_our_schema(&r.schema) ? CLIENTS_REQUEST_OK : CLIENTS_REQUEST_SCHEMA;
		if (result == CLIENTS_REQUEST_OK && r.address.len == 0)
			result = CLIENTS_REQUEST_INVALID;
	}
	if (result == CLIENTS_REQUEST_OK)
		buf_add(address_out, r.address.data, r.address.len);
	buf_free(&r.text);
	buf_free(&r.address);
	buf_free(&r.schema);
	return result;
}
