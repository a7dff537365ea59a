"""Some hundred messages of every shape for the comparison of two servers; always the same ones.

samples() gives (name, well_formed, bytes).  Lines end in CRLF but where that is the point.  Broken ones
break a rule of RFC 5322, 2045-2047, 2231 or of what may stand in a message; each says which."""

import base64
import itertools
import random

HEAD = b"""From: Ann <ann@example.org>\r
To: Bob <bob@example.net>\r
Subject: %s\r
Date: Mon, 2 Mar 2026 10:00:00 +0100\r
Message-ID: <%s@example.org>\r
MIME-Version: 1.0\r
"""


def crlf(text):
    return (text if isinstance(text, bytes) else text.encode()).replace(b"\n", b"\r\n")


def message(name, rest):
    """A usual header and what follows it, written with LF."""
    return HEAD % (name.replace("-", " ").encode(), name.encode()) + crlf(rest)


def header_only(name, fields, body="Hello.\n"):
    """Only these header fields."""
    return crlf(fields) + b"\r\n" + crlf(body)


# --- MIME shapes

SHAPES = {
    "plain": "\nJust text.\n",
    "no-newline-at-end": "\nJust text without an end",
    "empty-body": "\n",
    "blank-lines": "\n\n\n\n",
    "html": "Content-Type: text/html; charset=utf-8\n\n<p>caf\u00e9</p>\n",
    "text-params": 'Content-Type: text/plain; charset="iso-8859-1"; format=flowed; delsp=yes\n\nflowed \ntext\n',
    "type-comment": "Content-Type: text/plain (comment); charset=us-ascii (another (nested) one)\n\nx\n",
    "type-case": "CONTENT-TYPE: TEXT/PLAIN; CHARSET=US-ASCII\nCONTENT-TRANSFER-ENCODING: 7BIT\n\nx\n",
    "content-fields": "Content-Type: text/plain\nContent-ID: <1.2@example.org>\nContent-Description: a description\n"
                      "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\nContent-Disposition: inline; filename=a.txt; size=12\n"
                      "Content-Language: en, de\nContent-Location: http://example.org/a.txt\n\ntext\n",
    "language-list": "Content-Type: text/plain\nContent-Language: mi, en-GB (British) , fr\n\nx\n",
    "attachment": "Content-Type: application/pdf; name=\"a b.pdf\"\nContent-Transfer-Encoding: base64\n"
                  "Content-Disposition: attachment; filename=\"a b.pdf\"\n\nJVBERi0xLjQK\n",
    "mixed": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\nContent-Type: text/html\n\n<b>two</b>\n--b--\n",
    "mixed-one": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nonly\n--b--\n",
    "preamble": "Content-Type: multipart/mixed; boundary=b\n\nThis is a preamble.\nOf two lines.\n--b\n\none\n--b--\nAn epilogue.\n",
    "epilogue-empty": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n\n\n",
    "no-newline-after-last": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--",
    "alternative": "Content-Type: multipart/alternative; boundary=\"=_alt\"\n\n--=_alt\nContent-Type: text/plain; charset=utf-8\n"
                   "Content-Transfer-Encoding: quoted-printable\n\ncaf=C3=A9 =\nsoft\n--=_alt\nContent-Type: text/html; charset=utf-8\n"
                   "Content-Transfer-Encoding: base64\n\nPHA+Y2Fmw6k8L3A+\n--=_alt--\n",
    "related": "Content-Type: multipart/related; boundary=r; type=\"text/html\"; start=\"<a@b>\"\n\n--r\nContent-Type: text/html\n"
               "Content-ID: <a@b>\n\n<img src=cid:c@d>\n--r\nContent-Type: image/png\nContent-ID: <c@d>\n"
               "Content-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--r--\n",
    "nested": "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/alternative; boundary=i\n\n--i\n\nplain\n"
              "--i\nContent-Type: text/html\n\n<i>html</i>\n--i--\n\n--o\nContent-Type: image/gif\n"
              "Content-Transfer-Encoding: base64\n\nR0lGODdh\n--o--\n",
    "nested-three": "Content-Type: multipart/mixed; boundary=a1\n\n--a1\nContent-Type: multipart/related; boundary=b2\n\n--b2\n"
                    "Content-Type: multipart/alternative; boundary=c3\n\n--c3\n\n1\n--c3\n\n2\n--c3--\n--b2\n\n3\n--b2--\n--a1\n\n4\n--a1--\n",
    "signed": "Content-Type: multipart/signed; boundary=s; micalg=pgp-sha256; protocol=\"application/pgp-signature\"\n\n--s\n"
              "Content-Type: text/plain\n\nsigned\n--s\nContent-Type: application/pgp-signature; name=signature.asc\n\n"
              "-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----\n--s--\n",
    "report": "Content-Type: multipart/report; report-type=delivery-status; boundary=r\n\n--r\n\nIt failed.\n--r\n"
              "Content-Type: message/delivery-status\n\nReporting-MTA: dns; a.example.org\n\nFinal-Recipient: rfc822; b@example.net\n"
              "Action: failed\nStatus: 5.1.1\n--r\nContent-Type: text/rfc822-headers\n\nFrom: a@example.org\nSubject: x\n--r--\n",
    "disposition-notification": "Content-Type: multipart/report; report-type=disposition-notification; boundary=r\n\n--r\n\nRead.\n"
                                "--r\nContent-Type: message/disposition-notification\n\nReporting-UA: x\n\n--r--\n",
    "digest": "Content-Type: multipart/digest; boundary=d\n\n--d\n\nFrom: a@example.org\nSubject: first\n\none\n--d\n\n"
              "From: b@example.org\nSubject: second\n\ntwo\n--d\nContent-Type: text/plain\n\nexplicit\n--d--\n",
    "digest-nested": "Content-Type: multipart/mixed; boundary=m\n\n--m\n\ncontents\n--m\nContent-Type: multipart/digest; boundary=d\n\n"
                     "--d\n\nFrom: a@example.org\nSubject: multi\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\np1\n--x\n\np2\n--x--\n--d--\n--m--\n",
    "digest-fields": "Content-Type: multipart/digest; boundary=d\n\n--d\nContent-Description: one\n\nFrom: a@example.org\n\nx\n--d--\n",
    "rfc822": "Content-Type: message/rfc822\n\nFrom: c@example.org\nTo: d@example.org\nSubject: inner\n"
              "Date: Tue, 3 Mar 2026 00:00:00 +0000\nMessage-ID: <i@example.org>\n\ninner text\n",
    "rfc822-multi": "Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: multipart/mixed; boundary=z\n\n--z\n\np\n--z\nContent-Type: text/html\n\nq\n--z--\n",
    "rfc822-in-mixed": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsee below\n--b\nContent-Type: message/rfc822\n"
                       "Content-Disposition: attachment\n\nFrom: c@example.org\nSubject: fwd\n\nbody\n--b--\n",
    "rfc822-in-mixed-multi": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsee below\n--b\nContent-Type: message/rfc822\n\n"
                             "From: c@example.org\nSubject: fwd\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\ni1\n--c\n"
                             "Content-Type: message/rfc822\n\nSubject: deep\n\ndeep\n--c--\n--b--\n",
    "rfc822-encoded-inside": "Content-Type: message/rfc822\n\nSubject: inner\nContent-Type: text/plain; charset=utf-8\n"
                             "Content-Transfer-Encoding: base64\n\nR3LDvMOfZSBpbm5lbg==\n",
    "global": "Content-Type: message/global\nContent-Transfer-Encoding: 8bit\n\nFrom: J\u00f6rg <j\u00f6rg@b\u00fccher.example>\nSubject: Gr\u00fc\u00dfe\n\nw\u00f6rld\n",
    "global-headers": "Content-Type: multipart/report; boundary=r; report-type=global-delivery-status\n\n--r\n\nx\n--r\n"
                      "Content-Type: message/global-delivery-status\n\nReporting-MTA: x\n\n--r\nContent-Type: message/global-headers\n\nSubject: \u00fc\n--r--\n",
    "external-body": "Content-Type: message/external-body; access-type=URL; URL=\"ftp://example.org/a\"; size=100\n\n"
                     "Content-Type: text/plain\nContent-ID: <x@example.org>\n\nphantom\n",
    "partial": "Content-Type: message/partial; id=\"abc@example.org\"; number=2; total=3\n\nthe second part\n",
    "http": "Content-Type: message/http\n\nGET / HTTP/1.0\n",
    "encrypted": "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=e\n\n--e\n"
                 "Content-Type: application/pgp-encrypted\n\nVersion: 1\n--e\nContent-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\n--e--\n",
    "appledouble": "Content-Type: multipart/appledouble; boundary=a\n\n--a\nContent-Type: application/applefile\nContent-Transfer-Encoding: base64\n\nAAUWBw==\n"
                   "--a\nContent-Type: image/jpeg\nContent-Transfer-Encoding: base64\n\n/9j/4AAQ\n--a--\n",
    "calendar": "Content-Type: text/calendar; method=REQUEST; charset=utf-8\n\nBEGIN:VCALENDAR\nSUMMARY:Tr\u00e4ff\nEND:VCALENDAR\n",
    "empty-parts": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n\n--b\nContent-Type: text/plain\n\n\n--b--\n",
    "long-boundary": "Content-Type: multipart/mixed; boundary=\"" + "0123456789" * 7 + "\"\n\n--" + "0123456789" * 7
                     + "\n\nx\n--" + "0123456789" * 7 + "--\n",
    "boundary-specials": "Content-Type: multipart/mixed; boundary=\"gc0'()+_,-./:=? x\"\n\n--gc0'()+_,-./:=? x\n\nx\n--gc0'()+_,-./:=? x--\n",
    "boundary-padding": "Content-Type: multipart/mixed; boundary=b\n\n--b  \t\n\none\n--b \n\ntwo\n--b--  \n",
    "boundary-in-text": "Content-Type: multipart/mixed; boundary=bound\n\n--bound\n\n-- bound\n --bound\n-bound\n--boun\n--bound--\n",
    "parameter-order": "Content-Type: application/x; z=1; a=2; m=3\n\nx\n",
    "unknown-type": "Content-Type: x-strange/x-thing; q=\"a\\\"b\"\n\nx\n",
    "model": "Content-Type: model/vrml\nContent-Transfer-Encoding: binary\n\nx\n",
}


def shapes():
    for name, rest in SHAPES.items():
        yield "shape-" + name, True, message(name, rest)
    text = "inside of all\n"
    for depth in range(1, 12):
        text = "Content-Type: message/rfc822\n\nSubject: level " + str(depth) + "\nFrom: l" + str(depth) + "@example.org\n" + (
            text if depth > 1 else "\n" + text)
        if depth in (3, 11):
            yield f"shape-rfc822-deep-{depth}", True, message(f"deep {depth}", text)
    text = "\ninside of all\n"
    for depth in range(1, 13):
        b = f"b{depth}x"
        text = f"Content-Type: multipart/mixed; boundary={b}\n\n--{b}\n{text}\n--{b}--\n"
        if depth in (4, 12):
            yield f"shape-mixed-deep-{depth}", True, message(f"mixed deep {depth}", text)
    text = "".join(f"--b\nContent-Type: text/plain; name=n{n}\n\npart {n}\n" for n in range(40))
    yield "shape-forty-parts", True, message("forty", f"Content-Type: multipart/mixed; boundary=b\n\n{text}--b--\n")


class Trees:
    """MIME trees by chance."""

    LEAVES = ["text/plain; charset=utf-8", "text/html", "application/octet-stream", "image/png; name=x.png",
              "text/x-patch; name*=utf-8''%C3%A4.diff", "audio/ogg", "message/delivery-status"]

    def __init__(self, seed):
        self.rng, self.boundaries = random.Random(seed), itertools.count()

    def fields(self):
        r, out = self.rng, ""
        for field, chance in (("Content-ID: <c%d@example.org>", .3), ("Content-Description: part %d", .3),
                              ("Content-Disposition: attachment; filename=f%d.bin", .4),
                              ("X-Other: %d", .2), ("Content-Language: en", .1)):
            if r.random() < chance:
                out += (field % r.randrange(100) if "%d" in field else field) + "\n"
        return out

    def part(self, depth):
        r = self.rng
        kind = r.random()
        if depth > 0 and kind < .45:
            b = f"=_{next(self.boundaries)}_{r.randrange(10**6)}"
            subtype = r.choice(["mixed", "alternative", "related", "parallel", "x-own", "digest"])
            out = f"Content-Type: multipart/{subtype};\n\tboundary=\"{b}\"\n{self.fields()}\n"
            out += r.choice(["", "preamble\n", "\n"])
            for _ in range(r.randrange(1, 4)):
                if subtype == "digest":
                    out += f"--{b}\n\nSubject: digested\n{self.part(depth - 1)}\n"
                else:
                    out += f"--{b}\n{self.part(depth - 1)}\n"
            return out + f"--{b}--\n" + r.choice(["", "epilogue\n", "\n\n"])
        if depth > 0 and kind < .6:
            return (f"Content-Type: message/rfc822\n{self.fields()}\nFrom: r{r.randrange(99)}@example.org\n"
                    f"Subject: within {r.randrange(99)}\n{self.part(depth - 1)}")
        if kind < .65:
            return "\nplain\n"
        type_ = r.choice(self.LEAVES)
        words = "".join(r.choice(["alpha ", "beta\n", "Gr\u00fc\u00dfe ", "line\n", "\n", "."]) for _ in range(r.randrange(12)))
        how = r.randrange(3)
        if how == 0 and type_.startswith("text"):
            return f"Content-Type: {type_}\nContent-Transfer-Encoding: 8bit\n{self.fields()}\n{words}"
        if how == 1:
            coded = base64.encodebytes(words.encode()).decode()
            return f"Content-Type: {type_}\nContent-Transfer-Encoding: base64\n{self.fields()}\n{coded}"
        coded = "".join(chr(c) if 32 < c < 127 and c != 61 or c in (10, 32) else f"={c:02X}" for c in words.encode())
        return f"Content-Type: {type_}\nContent-Transfer-Encoding: quoted-printable\n{self.fields()}\n{coded}"


def random_trees(count):
    for n in range(count):
        yield f"tree-{n}", True, message(f"tree {n}", Trees(n).part(4))


# --- encodings and charsets

TEXTS = {
    "utf-8": "Gr\u00fc\u00dfe, \u0416\u0443\u043a, \u65e5\u672c\u8a9e, na\u00efve, \u0130stanbul, \ufb01sh, \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
    "iso-8859-1": "Gr\u00fc\u00dfe, na\u00efve \u00e6\u00f8\u00e5", "iso-8859-15": "10 \u20ac f\u00fcr \u0153uvre",
    "windows-1252": "\u201cquoted\u201d \u2013 \u20ac", "koi8-r": "\u0416\u0443\u043a \u0438 \u043c\u0443\u0445\u0430",
    "windows-1251": "\u041f\u0440\u0438\u0432\u0435\u0442", "iso-2022-jp": "\u65e5\u672c\u8a9e\u30c6\u30b9\u30c8", "shift_jis": "\u65e5\u672c\u8a9e\u30c6\u30b9\u30c8",
    "euc-jp": "\u65e5\u672c\u8a9e", "gb2312": "\u4e2d\u6587\u6d4b\u8bd5", "big5": "\u4e2d\u6587\u6e2c\u8a66", "euc-kr": "\ud55c\uad6d\uc5b4", "utf-16be": "z\u00fcg",
    "utf-7": "Gr\u00fc\u00dfe", "iso-8859-7": "\u0395\u03bb\u03bb\u03b7\u03bd\u03b9\u03ba\u03ac", "us-ascii": "plain ascii"}


def qp(data):
    return b"".join(b"=%02X" % c if c > 126 or c == 61 or c < 32 else bytes([c]) for c in data)


def charsets():
    for charset, text in TEXTS.items():
        raw = text.encode(charset)
        for cte, coded in (("8bit", raw), ("quoted-printable", qp(raw)), ("base64", base64.encodebytes(raw).strip())):
            if cte == "8bit" and charset == "utf-16be":
                continue
            word = (b"=?%s?b?%s?=" if len(raw) % 2 else b"=?%s?q?%s?=") % (
                charset.encode(), base64.b64encode(raw) if len(raw) % 2 else qp(raw).replace(b" ", b"_").replace(b"?", b"=3F"))
            name = f"charset-{charset}-{cte}"
            yield name, True, (HEAD % (word, name.encode())
                               + b"Content-Type: text/plain; charset=%s\r\nContent-Transfer-Encoding: %s\r\n\r\n" % (charset.encode(), cte.encode())
                               + coded + b"\r\n")


ENCODINGS = {
    "qp-all": (True, "Content-Transfer-Encoding: quoted-printable\n\nsoft=\n break =20\n=3D=09tab\n.\n..\nend=\n\n"),
    "qp-lower": (False, "Content-Transfer-Encoding: quoted-printable\n\n=c3=bc\n"),
    "qp-broken": (False, "Content-Transfer-Encoding: quoted-printable\n\n=ZZ =3 = x =\nq=4\n=\n=G1\n==41\n"),
    "qp-trailing-blanks": (False, "Content-Transfer-Encoding: quoted-printable\n\ntext   \nmore\t \nsoft=  \nend\n"),
    "base64-lines": (True, "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(b"line one\r\nline two\r\n" * 20).decode()),
    "base64-no-padding": (False, "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nR3LDvMOfZQ\n"),
    "base64-junk": (False, "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nR3L!DvMO\n*fZQ==\n--text after--\n"),
    "base64-after-padding": (False, "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nYWE=\nYmI=\n"),
    "base64-cut": (False, "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\nYWFhY\n"),
    "base64-blanks": (True, "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n  YWFh  \n\n\tYmJi \n"),
    "uuencode": (False, "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a.txt\n+2&5L;&\\@=V]R;&0 \n`\nend\n"),
    "unknown": (False, "Content-Transfer-Encoding: x-rot13\n\nUryyb\n"),
    "unknown-empty": (False, "Content-Transfer-Encoding:\n\ntext\n"),
    "comment": (True, "Content-Transfer-Encoding: (a) base64 (b)\nContent-Type: text/plain\n\nYWFh\n"),
    "case": (True, "Content-Transfer-Encoding: QuOtEd-PrInTaBlE\n\n=41\n"),
    "two": (False, "Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n\nYWFh\n"),
    "quoted": (False, "Content-Transfer-Encoding: \"base64\"\n\nYWFh\n"),
    "two-words": (False, "Content-Transfer-Encoding: base64 7bit\n\nYWFh\n"),
    "multipart-base64": (False, "Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n--b\n\nYWFh\n--b--\n"),
    "rfc822-base64": (False, "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKeAo=\n"),
    "charset-unknown": (True, "Content-Type: text/plain; charset=x-klingon\n\nplain\n"),
    "charset-8bit-in-ascii": (False, "Content-Type: text/plain; charset=us-ascii\n\nGr\u00fc\u00dfe\n"),
}


def encodings():
    for name, (good, rest) in ENCODINGS.items():
        yield "encoding-" + name, good, message(name, rest)
    for name, body in (("latin1-in-utf8", b"caf\xe9 \xff\xfe\r\n"), ("utf8-cut", b"caf\xc3\r\nx\xe2\x82\r\n"),
                       ("utf8-overlong", b"\xc0\xaf\r\n"), ("surrogate", b"\xed\xa0\x80\r\n")):
        yield "encoding-" + name, False, HEAD % (name.encode(), name.encode()) + b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + body


# --- address fields

ADDRESSES = {
    "two": (True, "From: A One <a@example.org>, b@example.org"),
    "quoted": (True, 'From: "Last, First \\"Nick\\" \\\\" <a@example.org>'),
    "comment-name": (True, "From: a@example.org (Ann Example)"),
    "comment-everywhere": (True, "From: (c1) Ann (c2) Example (c3) <(c4) a (c5) @ (c6) example.org (c7)> (c8)"),
    "nested-comment": (True, "From: a@example.org (one (two (three)) four)"),
    "comment-quoted-pair": (True, "From: a@example.org (one \\) two)"),
    "dots-in-phrase": (True, "From: J. R. R. Tolkien <jrr@example.org>"),
    "quoted-local": (True, 'From: "a b"@example.org, "a\\"b"@example.org, "..x"@example.org'),
    "domain-literal": (True, "From: a@[192.0.2.1], b@[IPv6:2001:db8::1]"),
    "route": (True, "From: Ann <@a.example,@b.example:ann@example.org>"),
    "route-empty-places": (True, "From: Ann <@a.example,,(c),@b.example,:ann@example.org>, Bob <@a.example , @b.example : bob@example.org>"),
    "group": (True, "To: Friends: a@example.org, B <b@example.org>;\nFrom: x@example.org"),
    "group-empty": (True, "To: undisclosed-recipients:;\nFrom: x@example.org"),
    "group-quoted": (True, 'To: "A, Group": a@example.org ;, b@example.org\nFrom: x@example.org'),
    "groups": (True, "To: A: a@example.org;, c@example.org, B:;, D: d@example.org,e@example.org;\nFrom: x@example.org"),
    "obs-empty-members": (True, "To: , a@example.org,, b@example.org ,\nFrom: x@example.org"),
    "obs-blanks": (True, "From: a . b @ example . org"),
    "folded": (True, "From: Ann\n Example\n\t<a@example.org>,\n b@example.org"),
    "encoded": (True, "From: =?utf-8?q?J=C3=B6rg?= <j@example.org>, =?utf-8?b?w4Q=?= =?utf-8?b?w4Q=?= <k@example.org>"),
    "utf8": (True, "From: J\u00f6rg \u00c4 <j\u00f6rg@b\u00fccher.example>"),
    "sender": (True, "From: a@example.org, b@example.org\nSender: b@example.org\nReply-To: c@example.org"),
    "bcc": (True, "From: a@example.org\nTo: t@example.org\nCc: c@example.org, d@example.org\nBcc: e@example.org"),
    "empty-quoted": (True, 'From: "" <a@example.org>'),
    "many": (True, "From: a@example.org\nTo: " + ",\n ".join(f"N{n} <n{n}@example.org>" for n in range(200))),
    "angle-only": (True, "From: <a@example.org>"),
    "resent": (True, "Resent-From: r@example.org\nResent-To: s@example.org\nFrom: a@example.org"),
    "tabs": (True, "From:\tAnn\t<a@example.org>\t,\tb@example.org\t"),
    "no-blank": (True, "From:Ann<a@example.org>,b@example.org"),
    "case": (True, "FROM: a@example.org\nTO: b@example.org\nSUBJECT: c\nDATE: Mon, 2 Mar 2026 10:00:00 +0100"),
    "from-twice": (False, "From: a@example.org\nFrom: b@example.org"),
    "to-twice": (False, "From: a@example.org\nTo: b@example.org\nTo: c@example.org\nCc: d@example.org\nCc: e@example.org"),
    "no-domain": (False, "From: ann\nTo: bob, carl@example.org"),
    "words": (False, "From: Ann Example"),
    "angle-unclosed": (False, "From: Ann <a@example.org"),
    "angle-words": (False, "From: Ann <not an address>"),
    "angle-empty": (False, "From: Ann <>\nTo: <>"),
    "two-ats": (False, "From: a@b@example.org\nTo: Ann <a@b@example.org>"),
    "quote-unclosed": (False, 'From: "Ann <a@example.org>'),
    "comment-unclosed": (False, "From: a@example.org (Ann"),
    "semicolons": (False, "From: a@example.org; b@example.org"),
    "group-unclosed": (False, "From: A: a@example.org, b@example.org"),
    "group-in-group": (False, "From: A: B: a@example.org;;"),
    "trailing-text": (False, "From: a@example.org Ann, b@example.org"),
    "colons": (False, "From: ::;"),
    "at-only": (False, "From: @\nTo: @example.org\nCc: a@"),
    "dots": (False, "From: .a..b.@example.org\nTo: a@example..org\nCc: a@.example.org"),
    "route-broken": (False, "From: <@a.example ann@example.org>"),
    "blank-in-local": (False, "From: a b@example.org"),
    "brackets": (False, "From: [a@example.org]\nTo: a@[192.0.2"),
    "backslash": (False, "From: a\\b@example.org"),
    "empty": (False, "From:\nTo: \nCc:\t"),
    "only-comment": (False, "From: (nobody)"),
    "utf8-local-quoted": (True, 'From: "J\u00f6rg" <"j\u00f6rg"@example.org>'),
    "quoted-then-atom": (True, 'From: "Ann" Example "X" <a@example.org>'),
    "encoded-in-quotes": (False, 'From: "=?utf-8?q?J=C3=B6rg?=" <j@example.org>'),
    "apostrophe": (True, "From: O'Brien <o'brien@example.org>"),
    "percent": (True, "From: a%b@example.org, a!b@example.org, a+b@example.org"),
    "long-name": (True, "From: " + "x" * 900 + " <a@example.org>"),
    "comma-unquoted": (False, "From: Last, First <a@example.org>"),
    "quoted-fold": (True, 'From: "Ann\n Example" <a@example.org>'),
    "literal-blank": (True, "From: a@[ 192.0.2.1 ]"),
}

# --- other header fields

FIELDS = {
    "subject-folded": (True, "Subject: one\n two\n\tthree"),
    "subject-folded-blank": (True, "Subject:\n one"),
    "subject-empty": (True, "Subject:"),
    "subject-blanks": (True, "Subject:    lots  of   blanks  "),
    "subject-quotes": (True, 'Subject: a "quoted" \\ backslash'),
    "subject-utf8": (True, "Subject: Gr\u00fc\u00dfe \u65e5\u672c"),
    "subject-long": (True, "Subject: " + "word " * 190),
    "subject-fold-many": (True, "Subject: " + "\n ".join(f"w{n}" for n in range(100))),
    "subject-encoded": (True, "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= and =?iso-8859-1?Q?caf=E9?="),
    "subject-encoded-split": (True, "Subject: =?utf-8?b?R3LDvA==?=\n =?utf-8?b?w59l?= end"),
    "subject-encoded-cut": (False, "Subject: =?utf-8?b?R3LD?= =?utf-8?b?vMOfZQ==?="),
    "subject-encoded-lang": (True, "Subject: =?utf-8*de?q?Gr=C3=BC=C3=9Fe?="),
    "subject-encoded-blank": (False, "Subject: =?utf-8?q?two words?="),
    "subject-encoded-open": (False, "Subject: =?utf-8?q?Gr=C3=BC"),
    "subject-encoded-open-two": (False, "Subject: =?utf-8?q?Gr=C3=BC x =?utf-8?q?caf=C3=A9?="),
    "subject-encoded-question": (False, "Subject: =?utf-8?q?one?two?="),
    "subject-encoded-bad-charset": (False, "Subject: =?x-none?q?Gr=C3=BC?="),
    "subject-encoded-bad-encoding": (False, "Subject: =?utf-8?x?abc?="),
    "subject-encoded-bad-base64": (False, "Subject: =?utf-8?b?R3L*DvA?="),
    "subject-encoded-in-word": (False, "Subject: re=?utf-8?q?=C3=BC?=st"),
    "subject-encoded-newline": (False, "Subject: =?utf-8?q?a=0D=0Ab?="),
    "subject-encoded-empty": (False, "Subject: =?utf-8?q??= x"),
    "subject-twice": (False, "Subject: first\nSubject: second"),
    "no-fields": (True, "From: a@example.org"),
    "no-date": (False, "From: a@example.org\nSubject: no date"),
    "no-from": (False, "Date: Mon, 2 Mar 2026 10:00:00 +0100\nSubject: no from"),
    "sender-only": (False, "Sender: s@example.org"),
    "reply-to-only": (False, "Reply-To: s@example.org"),
    "references": (True, "References: <a@b> <c@d>\nIn-Reply-To: <c@d>\nMessage-ID: <e@f>"),
    "references-folded": (True, "References: <a@b>\n <c@d>\nIn-Reply-To:\n <c@d>\nMessage-ID:\n <e@f>"),
    "in-reply-to-words": (False, "In-Reply-To: Your message of Monday <x@y>"),
    "message-id-blanks": (False, "Message-ID:   < a @ b >  "),
    "message-id-none": (False, "Message-ID: none"),
    "message-id-twice": (False, "Message-ID: <a@b>\nMessage-ID: <c@d>"),
    "blank-before-colon": (True, "From : a@example.org\nSubject\t: tab"),
    "no-colon": (False, "From: a@example.org\nthis is no field\nSubject: after"),
    "no-colon-names": (False, "From: a@example.org\nSubject: first\nSubject\nDate\nX-A\nMessage-ID"),
    "bare-cr": (False, "Subject: a\rb\nDate: x\ry\nMessage-ID: <a\rb@c>\nFrom: A\rB <a@b.example>\nMIME-Version: 1.0\n"
                       "Content-Description: d\re\nContent-Type: text/plain; name=\"n\rm\""),
    "no-colon-first": (False, "no field at all\nSubject: after"),
    "empty-name": (False, ": empty name\nSubject: after"),
    "fold-first": (False, " folded first line\nSubject: after"),
    "fold-blank-line": (True, "Subject: one\n \n two"),
    "fold-only-blanks": (True, "X-A: one\n   \nSubject: two"),
    "name-8bit": (False, "S\u00fcbject: x\nSubject: y"),
    "name-odd": (False, "Sub ject: x\n@: y\nSubject: z"),
    "from-line": (False, "From ann@example.org Mon Mar  2 10:00:00 2026\nFrom: a@example.org\nSubject: mbox"),
    "quoted-from-line": (False, ">From ann@example.org Mon Mar  2 10:00:00 2026\nFrom: a@example.org\nSubject: mbox"),
    "from-line-in-middle": (False, "From: a@example.org\nFrom ann@example.org Mon Mar  2 10:00:00 2026\nSubject: mbox"),
    "many-received": (True, "".join(f"Received: from h{n} by h{n + 1}; Mon, 2 Mar 2026 10:00:{n:02} +0100\n" for n in range(50)) + "Subject: many"),
    "long-line": (False, "X-Long: " + "y" * 5000 + "\nSubject: after"),
    "long-name": (False, "X-" + "n" * 2000 + ": v\nSubject: after"),
    "list": (True, "List-Id: A list <l.example.org>\nList-Unsubscribe: <mailto:u@example.org>\nX-A: 1\nx-a: 2\nX-a: 3\nSubject: list"),
    "priority": (True, "X-Priority: 1 (Highest)\nImportance: high\nSubject: p"),
    "quoted-pairs": (True, 'Subject: \\"\\a\nContent-Description: "d\\"x"\nFrom: "\\A\\n\\n" <a@example.org>'),
    "control-chars": (False, "Subject: a\x01b\x07c\x7fd"),
    "tab-subject": (True, "Subject:\ta\tb"),
    "dot-lines": (True, "Subject: .\n ..\n ..."),
}

DATES = {
    "usual": (True, "Mon, 2 Mar 2026 10:00:00 +0100"), "no-day": (True, "2 Mar 2026 10:00:00 +0100"),
    "no-seconds": (True, "Mon, 2 Mar 2026 10:00 +0100"), "comment": (True, "Mon, 2 Mar 2026 10:00:00 +0100 (CET)"),
    "minus": (True, "Mon, 2 Mar 2026 23:30:00 -1130"), "plus": (True, "Tue, 3 Mar 2026 00:15:00 +1400"),
    "gmt": (True, "Mon, 2 Mar 2026 10:00:00 GMT"), "est": (True, "Mon, 2 Mar 2026 23:00:00 EST"),
    "military": (True, "Mon, 2 Mar 2026 10:00:00 Z"), "two-digits": (True, "Mon, 2 Mar 98 10:00:00 +0000"),
    "y2k": (True, "Mon, 2 Mar 02 10:00:00 +0000"), "three-digits": (True, "Mon, 2 Mar 103 10:00:00 +0000"),
    "leap": (True, "Thu, 29 Feb 2024 12:00:00 +0000"), "leap-second": (True, "Sat, 31 Dec 2016 23:59:60 +0000"),
    "folded": (True, "Mon,\n 2 Mar 2026\n\t10:00:00 +0100"), "blanks": (True, "Mon,  2  Mar  2026  10:00:00  +0100"),
    "wrong-weekday": (False, "Fri, 2 Mar 2026 10:00:00 +0100"), "no-zone": (False, "Mon, 2 Mar 2026 10:00:00"),
    "words": (False, "yesterday"), "iso": (False, "2026-03-02T10:00:00Z"), "month-30": (False, "Mon, 30 Feb 2026 10:00:00 +0000"),
    "hour-25": (False, "Mon, 2 Mar 2026 25:00:00 +0000"), "lower": (True, "mon, 2 mar 2026 10:00:00 +0100"),
    "old": (True, "Thu, 1 Jan 1970 00:00:00 +0000"), "before-epoch": (False, "Wed, 31 Dec 1969 23:59:59 +0000"),
    "far": (True, "Fri, 1 Jan 2100 00:00:00 +0000"), "full-month": (False, "Mon, 2 March 2026 10:00:00 +0000"),
    "asctime": (False, "Mon Mar  2 10:00:00 2026"), "zone-odd": (False, "Mon, 2 Mar 2026 10:00:00 XYZ"),
    "twice": (False, "Mon, 2 Mar 2026 10:00:00 +0100\nDate: Tue, 3 Mar 2026 10:00:00 +0100"), "empty": (False, ""),
    "year-102": (False, "Thu, 18 Jul 0102 19:51:35 -0100"), "midnight": (True, "Mon, 2 Mar 2026 00:00:00 +0000"), "one-digit": (True, "Mon, 02 Mar 2026 9:05:00 +0100"),
    "no-comma": (False, "Mon 2 Mar 2026 10:00:00 +0100"), "dashes": (False, "Mon, 2-Mar-2026 10:00:00 +0100"),
}


def fields():
    for name, (good, text) in ADDRESSES.items():
        yield "address-" + name, good, header_only(name, text + "\nSubject: x\n")
    for name, (good, text) in FIELDS.items():
        yield "field-" + name, good, header_only(name, text + "\n")
    for name, (good, text) in DATES.items():
        yield "date-" + name, good, header_only(name, f"From: a@example.org\nDate: {text}\nSubject: date {name}\n")
    for charset in ("latin-1", "koi8-r"):
        text = "From: J\u00f6rg <j@example.org>" if charset == "latin-1" else "From: \u0416\u0443\u043a <z@example.org>"
        yield f"field-raw-{charset}", False, text.encode(charset) + b"\r\nSubject: caf\xe9 \xff\r\n\r\nx\r\n"
    yield "field-megabyte", False, b"From: a@example.org\r\nX-Big: " + b"z" * 1_000_000 + b"\r\nSubject: behind it\r\n\r\nbody\r\n"
    yield "field-megabyte-folds", True, b"From: a@example.org\r\nX-Big:" + b" z\r\n" * 100_000 + b" z\r\nSubject: behind it\r\n\r\nbody\r\n"


# --- parameters

PARAMS = {
    "split": (True, "name*0=\"a very \"; name*1=\"long name\""),
    "split-order": (True, "name*1=b; name*0=a; name*2=c"),
    "charset": (True, "name*=utf-8'de'Gr%C3%BC%C3%9Fe.txt"),
    "split-charset": (True, "name*0*=utf-8''%C3%A4; name*1=plain; name*2*=%C3%BC"),
    "both": (True, "name=plain.txt; name*=utf-8''%C3%A4.txt"),
    "latin1": (True, "name*=iso-8859-1''caf%E9"),
    "gap": (False, "name*0=a; name*2=c"),
    "no-zero": (False, "name*1=a; name*2=b"),
    "leading-zero": (False, "name*00=a; name*01=b"),
    "bad-percent": (False, "name*=utf-8''%ZZ%4"),
    "no-quotes": (False, "name*=plain"),
    "encoded-word": (False, "name=\"=?utf-8?q?=C3=A4?=\""),
    "encoded-word-bare": (False, "name==?utf-8?q?=C3=A4?="),
    "utf8": (False, "name=\"Gr\u00fc\u00dfe\""), "utf8-bare": (False, "name=Gr\u00fc\u00dfe"),
    "empty-value": (False, "name="), "empty-quoted": (True, "name=\"\""), "no-value": (False, "name; x=1"),
    "blanks": (True, "name = a ; x = b"), "semicolons": (False, ";; name=a;;; x=b;"), "twice": (False, "name=a; name=b"),
    "specials": (False, "name=a/b:c@d"), "blank-value": (False, "name=two words; x=1"), "unclosed": (False, "name=\"open; x=1"),
    "escapes": (True, "name=\"a\\\"b\\\\c\""), "backslash-n": (True, "name=\"a\\nb\""), "fold": (True, "name=\"a\n b\";\n\tx=1"),
    "comments": (True, "(a) name (b) = (c) v (d) ; (e) x=1"), "case": (True, "NAME=A; Name2=b"), "no-semicolon": (False, "name=a x=1"),
    "many": (True, "; ".join(f"p{n}={n}" for n in range(60))), "number": (True, "name=1; 2=3"), "single-quotes": (True, "name='a'"),
    "crossed": (False, "name*0*=utf-8''%C3; name*1*=%A4"), "equals": (False, "name=a=b"),
    "long": (True, "name=\"" + "n" * 700 + "\""),
}

TYPES = {  # the whole Content-Type field's value, broken each
    "empty": "", "no-slash": "text", "slash-only": "/", "no-subtype": "text/", "no-type": "/plain", "junk": "this is no type",
    "two-slashes": "text/plain/x", "quoted": "\"text/plain\"", "comma": "text/plain, charset=utf-8", "colon": "text: plain",
    "blank-in-type": "text / html", "params-only": "; charset=utf-8", "utf8": "t\u00e9xt/pl\u00e1in", "multipart-empty": "multipart/",
    "multipart-no-boundary": "multipart/mixed", "multipart-empty-boundary": "multipart/mixed; boundary=\"\"",
    "message-no-subtype": "message/", "message-unknown": "message/x-news", "star": "*/*", "dots": "text/plain.",
}

DISPOSITIONS = {
    "attachment": (True, "attachment"), "quoted": (False, "\"attachment\""), "empty": (False, ""), "params-only": (False, "; filename=a"),
    "dates": (True, "attachment; filename=a; creation-date=\"Mon, 2 Mar 2026 10:00:00 +0100\""),
    "star": (True, "attachment; filename*=utf-8''%C3%A4.txt"), "split": (True, "attachment; filename*0=a; filename*1=b"),
    "no-semicolon": (False, "attachment filename=a"), "unknown": (True, "x-own; a=b"), "case": (True, "INLINE; FILENAME=X"),
}


def parameters():
    for name, (good, text) in PARAMS.items():
        yield "param-" + name, good, message(name, f"Content-Type: application/x; {text}\n\nbody\n")
    for name, text in TYPES.items():
        yield "type-" + name, False, message(name, f"Content-Type: {text}\n\nbody\n--\nx\n")
        yield "type-in-part-" + name, False, message(
            name, f"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: {text}\n\nbody\n--b\n\nnext\n--b--\n")
    for name, (good, text) in DISPOSITIONS.items():
        yield "disposition-" + name, good, message(name, f"Content-Type: text/plain\nContent-Disposition: {text}\n\nbody\n")


# --- broken structure

BROKEN = {
    "no-final-boundary": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n",
    "no-boundary-at-all": "Content-Type: multipart/mixed; boundary=b\n\nno parts here\n",
    "only-final": "Content-Type: multipart/mixed; boundary=b\n\n--b--\n",
    "boundary-twice": "Content-Type: multipart/mixed; boundary=b\n\n--b\n--b\n\nx\n--b--\n",
    "boundary-no-blank-line": "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\nx\n--b--\n",
    "part-no-blank-line": "Content-Type: multipart/mixed; boundary=b\n\n--b\nbody without a header\n--b--\n",
    "prefix": "Content-Type: multipart/mixed; boundary=ab\n\n--ab\nContent-Type: multipart/mixed; boundary=abc\n\n--abc\n\nx\n--abc--\n--ab\n\ny\n--ab--\n",
    "prefix-other": "Content-Type: multipart/mixed; boundary=abc\n\n--abc\nContent-Type: multipart/mixed; boundary=ab\n\n--ab\n\nx\n--ab--\n--abc\n\ny\n--abc--\n",
    "same-boundary": "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n--b\n\ny\n--b--\n",
    "inner-open": "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--o\n\ny\n--o--\n",
    "inner-after-end": "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n--i--\n--i\n\nagain\n--o--\n",
    "after-final": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n--b\n\ntwo\n--b--\n",
    "boundary-longer": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--bx\n\ntwo\n--b--\n",
    "boundary-text": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b text behind\n\ntwo\n--b-- and more\nepilogue\n",
    "boundary-blank-before": "Content-Type: multipart/mixed; boundary=b\n\n --b\n\none\n--b--\n",
    "boundary-case": "Content-Type: multipart/mixed; boundary=Bb\n\n--bB\n\none\n--Bb--\n",
    "boundary-trailing-blank": "Content-Type: multipart/mixed; boundary=\"b \"\n\n--b\n\none\n--b --\n",
    "boundary-in-header": "Content-Type: multipart/mixed; boundary=b\nX-A: 1\n--b\n\none\n--b--\n",
    "header-cut": "Content-Type: multipart/mixed; boundary=b",
    "rfc822-empty": "Content-Type: message/rfc822\n\n",
    "rfc822-cut": "Content-Type: message/rfc822\n\nSubject: only a header",
    "rfc822-no-header": "Content-Type: message/rfc822\n\n\nbody\n",
    "rfc822-text": "Content-Type: message/rfc822\n\nno header, just text\nsecond line\n",
    "rfc822-from-line": "Content-Type: message/rfc822\n\nFrom a@b Mon Mar  2 10:00:00 2026\nSubject: inner\n\nx\n",
    "rfc822-in-open-part": "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\nSubject: cut\n--b--\n",
    "rfc822-missing-in-part": "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\n--b--\n",
    "digest-broken": "Content-Type: multipart/digest; boundary=d\n\n--d\nnot a header\n--d\n\n--d--\n",
    "type-twice": "Content-Type: text/html\nContent-Type: text/plain\n\n<b>\n",
    "disposition-twice": "Content-Disposition: inline\nContent-Disposition: attachment; filename=a\n\nx\n",
    "disposition-params-twice": "Content-Disposition: inline; filename=a\nContent-Disposition: attachment; filename=b\n\nx\n",
    "mime-version-missing-multipart": "X-No-Mime: 1\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b--\n",
    "empty-part-at-end": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n",
    "empty-part-cut": "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b",
    "partial-boundary-end": "Content-Type: multipart/mixed; boundary=bound\n\n--bound\n\none\n--boun",
    "dash-end": "Content-Type: multipart/mixed; boundary=bound\n\n--bound\n\none\n--bound-",
    "long-boundary-100": "Content-Type: multipart/mixed; boundary=" + "q" * 100 + "\n\n--" + "q" * 100 + "\n\nx\n--" + "q" * 100 + "--\n",
    "long-boundary-300": "Content-Type: multipart/mixed; boundary=" + "q" * 300 + "\n\n--" + "q" * 300 + "\n\nx\n--" + "q" * 300 + "--\n",
    "boundary-dashes": "Content-Type: multipart/mixed; boundary=\"--\"\n\n----\n\nx\n------\n",
    "boundary-ends-dashes": "Content-Type: multipart/mixed; boundary=\"b--\"\n\n--b--\n\nx\n--b----\n",
}


def broken():
    for name, rest in BROKEN.items():
        yield "broken-" + name, False, message(name, rest)
    good = HEAD % (b"line ends", b"line-ends")
    multi = b"Content-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\none\r\nmore\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\nepi\r\n"
    for name, data in {
        "bare-lf": (good + multi).replace(b"\r\n", b"\n"),
        "bare-lf-body": good + multi.replace(b"\r\n", b"\n"),
        "bare-lf-header": good.replace(b"\r\n", b"\n") + multi,
        "bare-lf-some": (good + multi).replace(b"one\r\n", b"one\n").replace(b"--b\r\n", b"--b\n", 1),
        "bare-cr": good + b"\r\none\rtwo\r\rthree\r\n",
        "bare-cr-header": good + b"X-A: one\rtwo\r\nContent-Type: text/html\r\n\r\nx\r\n",
        "cr-crlf": good + b"\r\none\r\r\ntwo\r\r\n",
        "cr-at-end": good + b"\r\none\r",
        "nul-body": good + b"\r\none\0two\r\n",
        "nul-header": good + b"X-A: one\0two\r\n\r\nx\r\n",
        "nul-subject": b"Subject: a\0b\r\nFrom: Ann\0 <a\0b@example.org>\r\n\r\nx\r\n",
        "no-body": good,
        "no-body-no-end": good[:-2],
        "no-header": b"\r\nonly a body\r\n",
        "only-crlf": b"\r\n", "only-lf": b"\n", "one-byte": b"x", "only-text": b"only text\r\n", "two-blank": b"\r\n\r\n",
        "long-lines": good + b"\r\n" + b"l" * 100_000 + b"\r\nshort\r\n" + b"-" * 5000 + b"\r\n",
        "long-line-boundary": good + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b" + b" " * 3000 + b"\r\n\r\ntwo\r\n--b--\r\n",
        "8bit-everywhere": bytes(range(1, 256)).replace(b"\n", b"").replace(b"\r", b"") + b": x\r\nSubject: " + bytes(range(128, 256)) + b"\r\n\r\n" + bytes(range(1, 256)) + b"\r\n",
    }.items():
        yield "broken-" + name, False, data


def mutations(count):
    """Well-formed trees with something cut, doubled or spoilt."""
    for n in range(count):
        rng = random.Random(1000 + n)
        data = message(f"mutation {n}", Trees(500 + n).part(4))
        for _ in range(rng.randrange(1, 4)):
            lines = data.split(b"\r\n")
            k = rng.randrange(6, len(lines)) if len(lines) > 7 else 0
            what = rng.randrange(7)
            if what == 0:
                del lines[k]
            elif what == 1:
                lines.insert(k, lines[rng.randrange(len(lines))])
            elif what == 2:
                lines[k] = lines[k][:len(lines[k]) // 2]
            elif what == 3:
                lines[k] = lines[k].replace(b'"', b"").replace(b";", b" ").replace(b"=", b"==", 1)
            elif what == 4:
                lines.insert(k, b"")
            elif what == 5:
                lines = lines[:max(k, 8)]
            else:
                lines[k] = b" " + lines[k]
            data = b"\r\n".join(lines)
        yield f"mutation-{n}", False, data


def samples():
    found = [*shapes(), *random_trees(50), *charsets(), *encodings(), *fields(), *parameters(), *broken(), *mutations(60)]
    names = [name for name, _, _ in found]
    assert len(set(names)) == len(names)
    return found


if __name__ == "__main__":
    print(len(samples()), sum(len(d) for _, _, d in samples()))
