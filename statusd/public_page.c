#include "statusd/public_page.h"

#include "clients/markup.h"
#include "statusd/public_site.h"

/* Light and dark as the device is; system fonts; one narrow column that a phone shows as it is. */
static const char STYLE[] =
    ":root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--text:#1c2430;--soft:#5a6675;"
    "--line:#dde2e8;--accent:#2563a8;--on:#fff;--good:#e6f4ea;--good-line:#7fbf93;"
    "--bad:#fdecea;--bad-line:#e09a94}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#12161c;--card:#1b2129;--text:#e5e9ee;"
    "--soft:#9aa6b4;--line:#303944;--accent:#6aa8ea;--on:#0e1319;--good:#1b3325;"
    "--good-line:#3f7a55;--bad:#3b2120;--bad-line:#8c4a46}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0;background:var(--page);color:var(--text);"
    "font:1rem/1.55 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}\n"
    "main{max-width:40rem;margin:0 auto;padding:3rem 1.25rem 4rem}\n"
    ".over{color:var(--soft);margin:0 0 .25rem;font-size:.95rem}\n"
    "h1{font-size:1.75rem;line-height:1.25;font-weight:650;margin:0 0 1.5rem}\n"
    "h2{font-size:1.1rem;font-weight:650;margin:0 0 .9rem}\n"
    "p{margin:0 0 .9rem}\n"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:.75rem;"
    "padding:1.5rem;margin:0 0 1.25rem}\n"
    ".card>:last-child{margin-bottom:0}\n"
    "a{color:var(--accent)}\n"
    "label{display:block;font-weight:600;margin:0 0 .3rem}\n"
    "input{width:100%;font:inherit;color:inherit;background:var(--page);"
    "border:1px solid var(--line);border-radius:.5rem;padding:.6rem .75rem;margin:0 0 1.1rem}\n"
    "input:focus-visible,button:focus-visible,a:focus-visible,summary:focus-visible"
    "{outline:2px solid var(--accent);outline-offset:2px}\n"
    ".hint{color:var(--soft);font-size:.9rem;margin:-.8rem 0 1.1rem}\n"
    "button,.button{display:inline-block;font:inherit;font-weight:600;color:var(--on);"
    "background:var(--accent);border:0;border-radius:.5rem;padding:.6rem 1.25rem;"
    "cursor:pointer;text-decoration:none}\n"
    ".row{display:flex;gap:.75rem;align-items:flex-start}.row input{margin:0}\n"
    "table{width:100%;border-collapse:collapse;margin:0 0 1rem}\n"
    "th,td{text-align:left;vertical-align:top;padding:.5rem .75rem .5rem 0;"
    "border-top:1px solid var(--line);overflow-wrap:anywhere}\n"
    "th{font-weight:400;color:var(--soft);width:9rem;overflow-wrap:normal}\n"
    "tr.first th,tr.first td{border-top:0}\n"
    "tr.head th{color:var(--text);font-weight:650;padding-top:1.1rem}\n"
    "details{border-top:1px solid var(--line);padding:.75rem 0}\n"
    "details:first-of-type{border-top:0;padding-top:0}details:last-of-type{padding-bottom:0}\n"
    "summary{cursor:pointer;font-weight:600}\n"
    "details ol,details ul{margin:.75rem 0 .25rem;padding-left:1.4rem}details p{margin:.75rem 0}\n"
    "li{margin:0 0 .35rem}\n"
    "code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,monospace;font-size:.9em}\n"
    "pre{background:var(--page);border:1px solid var(--line);border-radius:.5rem;"
    "padding:.75rem 1rem;overflow-x:auto;margin:.75rem 0}\n"
    ".notice{border:1px solid;border-radius:.5rem;padding:.75rem 1rem;margin:0 0 1.25rem}\n"
    ".good{background:var(--good);border-color:var(--good-line)}\n"
    ".bad{background:var(--bad);border-color:var(--bad-line)}\n"
    "@media(max-width:30rem){main{padding-top:1.75rem}.card{padding:1.1rem}"
    ".row{display:block}.row input{margin:0 0 .75rem}th{width:6.5rem}}\n";

void
public_page_style(const struct http_request *rq, struct http_reply *reply)
{
	(void)rq;
	reply->type = "text/css; charset=utf-8";
	http_reply_header(reply, "Cache-Control", "public, max-age=3600");
	buf_adds(&reply->body, STYLE);
}

void
public_page_begin(const struct http_request *rq, struct http_reply *reply, const char *title)
{
	const struct public_site *site = rq->arg;
	const char *name = site->facts.name != NULL ? site->facts.name : "Mail";

	reply->type = "text/html; charset=utf-8";
	buf_reset(&reply->body);
	markup_printf(&reply->body,
	    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	    "<title>%s · %s</title>\n<link rel=\"stylesheet\" href=\"/public.css\">\n"
	    "</head>\n<body>\n<main>\n<p class=\"over\">%s</p>\n<h1>%s</h1>\n",
	    title, name, name, title);
}

void
public_page_end(struct http_reply *reply)
{
	buf_adds(&reply->body, "</main>\n</body>\n</html>\n");
}

void
public_page_notice(struct http_reply *reply, bool good, const char *text)
{
	markup_printf(&reply->body, "<p class=\"notice %S\" role=\"%S\">%s</p>\n",
	    good ? "good" : "bad", good ? "status" : "alert", text);
}
