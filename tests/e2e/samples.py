"""Messages of every shape, generated: MIME trees, charsets, encodings, broken structure, long
headers, groups, RFC 2231 parameters, nested messages, 8-bit."""

import base64
import email.message
import email.policy
import quopri

HEAD = ("From: Ann Sample <ann@example.net>\nTo: Bob <bob@example.org>\n"
        "Date: Mon, 02 Mar 2026 10:20:30 +0100\nMessage-ID: <{n}@example.net>\n")


def text_part(text, charset, encoding):
    raw = text.encode(charset, errors="replace")
    body = {"base64": base64.encodebytes(raw), "quoted-printable": quopri.encodestring(raw),
            "8bit": raw + b"\n"}[encoding]
    return (f"Content-Type: text/plain; charset={charset}\n"
            f"Content-Transfer-Encoding: {encoding}\n\n").encode() + body


def multipart(kind, parts, boundary="b0undary", preamble=b"", epilogue=b"", end=True):
    out = f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n'.encode() + preamble
    for part in parts:
        out += b"--" + boundary.encode() + b"\n" + part
        if not part.endswith(b"\n"):
            out += b"\n"
    return out + (b"--" + boundary.encode() + b"--\n" if end else b"") + epilogue


def samples():
    """(name, bytes with LF line ends)"""
    out = []

    def add(name, tail, head=HEAD):
        n = len(out)
        tail = tail if isinstance(tail, bytes) else tail.encode()
        out.append((f"{n:03d}-{name}", head.format(n=n).encode() + tail))

    plain = b"Content-Type: text/plain\n\nplain\n"
    html = b"Content-Type: text/html; charset=utf-8\n\n<p>html</p>\n"
    for charset in ("us-ascii", "utf-8", "iso-8859-1", "iso-8859-15", "windows-1252", "koi8-r",
                    "shift_jis", "iso-2022-jp", "gb18030", "big5", "euc-kr", "utf-16"):
        for encoding in ("base64", "quoted-printable"):
            add(f"{charset}-{encoding}", f"Subject: {charset}\nMIME-Version: 1.0\n".encode()
                + text_part("Grüße, Привет, 日本語 and text.\n" * 3, charset, encoding))
    add("utf8-8bit", "Subject: raw\n".encode() + text_part("Grüße ohne Umschweife", "utf-8", "8bit"))
    for kind in ("mixed", "alternative", "related", "digest", "signed", "parallel", "unknown-kind"):
        add(f"multipart-{kind}", b"Subject: multipart\n" + multipart(kind, [plain, html]))
    add("preamble", multipart("mixed", [plain], preamble=b"before\n", epilogue=b"after\nall\n"))
    add("no-end", multipart("mixed", [plain, html], end=False))
    add("empty-parts", multipart("mixed", [b"\n", b"\n", b"\n"]))
    add("no-parts", multipart("mixed", []))
    add("no-boundary-param", b"Content-Type: multipart/mixed\n\n--x\n\nbody\n--x--\n")
    add("boundary-is-prefix", multipart("mixed", [multipart("mixed", [plain, plain], "ab")], "a"))
    add("same-boundary-nested", multipart("mixed", [multipart("mixed", [plain], "q")], "q"))
    nested = plain
    for level in range(40):
        nested = multipart("mixed", [nested], f"level{level}")
    add("deep", nested)
    add("many-parts", multipart("mixed", [plain] * 200))
    inner = HEAD.format(n="inner").encode() + b"Subject: inner\n" + multipart("mixed", [plain, html], "in")
    add("rfc822", multipart("mixed", [plain, b"Content-Type: message/rfc822\n\n" + inner]))
    add("rfc822-alone", b"Content-Type: message/rfc822\n\n" + inner)
    add("rfc822-in-rfc822", b"Content-Type: message/rfc822\n\n" + HEAD.format(n="mid").encode()
        + b"Content-Type: message/rfc822\n\n" + inner)
    add("digest-default", multipart("digest", [b"\n" + inner, b"\n" + inner]))
    add("delivery-status", multipart("report; report-type=delivery-status", [
        plain, b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nAction: failed\n"]))
    add("attachment", multipart("mixed", [plain, (
        b"Content-Type: application/octet-stream; name=\"a b.bin\"\n"
        b"Content-Disposition: attachment; filename=\"a b.bin\"; size=300\n"
        b"Content-Transfer-Encoding: base64\nContent-ID: <id@x>\nContent-Description: some bytes\n"
        b"Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\nContent-Language: de, en\n"
        b"Content-Location: http://example.org/x\n\n" + base64.encodebytes(bytes(range(256))))]))
    add("rfc2231", "Content-Type: application/x; name*0*=utf-8''%e2%82%ac%20; name*1=rates;\n"
        " name*2*=%20x\nContent-Disposition: attachment; filename*=iso-8859-1'de'%fcber.txt\n\nx\n")
    add("encoded-subject", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?b?IGF1cyBLw7Zsbg==?=\n\nx\n")
    add("raw-utf8-headers", "Subject: Grüße\nX-Name: Jörg\n\nx\n")
    add("broken-encoded-word", "Subject: =?utf-8?q?broken=ZZ?= =?nope?b?!!!?= =?utf-8?x?a?=\n\nx\n")
    add("long-header", b"Subject: " + b"word " * 2000 + b"\n\nx\n")
    add("folded-header", b"Subject: a\n b\n\tc\n  d\nTo: x@y,\n z@y\n\nx\n")
    add("long-line", b"Subject: long\n\n" + b"x" * 990 + b"\n" + b"y" * 990 + b"\n")
    add("dots", b"Subject: dots\n\n.\n..\n.a\n...\n")
    add("from-line", b"Subject: from\n\nFrom here on\n>From there\n")
    add("empty-body", b"Subject: empty\n\n")
    add("only-blank-lines", b"Subject: blank\n\n\n\n\n")
    add("groups", b"Subject: g\nCc: friends: a@b, \"C D\" <c@d>;, nobody:;\nBcc: x@y\n\nx\n")
    add("odd-addresses", b"Cc: \"quoted, comma\" <q@x>, (comment) a@b (more), <@route,@r2:a@b>,"
        b" plain, a@[192.0.2.1], \"a b\"@c\nReply-To: ,,,\nSender:\n\nx\n")
    add("duplicate-fields", b"Subject: one\nSubject: two\nTo: a@b\nTo: c@d\n\nx\n")
    add("garbage-in-header", b"Subject: x\nthis is no field\nX: y\n\nbody\n")
    add("bad-content-type", b"Content-Type: text\n\nx\n")
    add("worse-content-type", b"Content-Type: /;;;=\"\n\nx\n")
    add("content-type-twice", b"Content-Type: text/html\nContent-Type: text/plain\n\nx\n")
    add("bad-encoding", b"Content-Transfer-Encoding: sometimes\n\nx\n")
    add("bad-base64", b"Content-Transfer-Encoding: base64\n\n!!!! not base64 ====\nQUJD\n")
    add("uuencode", b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n#0V%T\n`\nend\n")
    add("in-reply-to", b"In-Reply-To: <a@b> <c@d>\nReferences: <a@b>\n <c@d>\nSubject: Re: x\n\nx\n")
    add("odd-date", b"Subject: d\n\nx\n", HEAD.replace("Mon, 02 Mar 2026 10:20:30 +0100", "yesterday"))
    add("no-header-but-date", b"\nx\n", "Date: Mon, 2 Mar 26 10:20 EST\n")
    add("big", b"Subject: big\n\n" + (b"0123456789" * 7 + b"\n") * 20000)
    add("receipt", b"Disposition-Notification-To: a@b\nSubject: r\n" + multipart("alternative", [
        plain, multipart("related", [html, b"Content-Type: image/png\nContent-ID: <i>\n\n\x89PNG"])]))
    return out


def write_samples(directory):
    for name, data in samples():
        (directory / f"{name}.eml").write_bytes(data)
