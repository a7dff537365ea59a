"""Messages by chance for the comparison of two servers, without end; the same for the same seed.

Each piece of a message is a row of a table below.  A row that breaks a rule, or that servers read in different
ways, has a word for it behind its text; a message's name ends in the words of all rows in it, so that a difference
can be traced to its reason.  Without `broken` such rows are not taken, and the messages are well-formed."""

import base64
import random

from imap_samples import crlf, qp

WORDS = ["alpha", "Beta", "gamma-ray", "x1", "Gr\u00fc\u00dfe", "\u0416\u0443\u043a", "\u65e5\u672c\u8a9e", "na\u00efve", "caf\u00e9", "\u20ac",
         "\u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2", "hello", "world", "O'Brien", "50%", "a.b", "\ud55c\uad6d", "line", "deep", "mail"]
ASCII_WORDS = [w for w in WORDS if w.isascii()]
CHARSETS = ["utf-8", "UTF-8", "iso-8859-1", "iso-8859-15", "windows-1252", "koi8-r", "windows-1251", "iso-2022-jp", "shift_jis", "euc-jp", "euc-kr",
            "iso-8859-7", "us-ascii"]
FOLDS = [" ", " ", " ", "\n ", "\n\t", ("\t", "tab")]

BROKEN_WORDS = [
    ("=?utf-8?q?Gr=C3=BC", "word-open"), ("=?x-none?q?Gr=C3=BC?=", "word-charset"), ("=?utf-8?x?abc?=", "word-encoding"),
    ("=?utf-8?b?R3L*DvA?=", "word-base64"), ("=?utf-8?q?a=ZZb?=", "word-qp"), ("=?utf-8?q?two words?=", "word-blank"), ("=??q?x?=", "word-no-charset"),
    ("=?utf-8?b?R3LD?= =?utf-8?b?vMOfZQ==?=", "word-cut"), ("=?utf-8*de?q?Gr=C3=BC?=", "word-language"), ("=?utf-8?q??=", "word-empty"),
    ("=?utf-8?q?=C3?=", "word-half"), ("a=?utf-8?q?=C3=BC?=b", "word-within"), ("=?utf-8?q?=0D=0AX:_y?=", "word-newline"),
    ("=?utf-8?q?=00?=", "word-nul"), ("=?utf-8?b??=", "word-empty"), ("=?=?utf-8?q?x?=", "word-open"), ("=?utf-8?q?a?b?=", "word-open")]

MAILBOXES = [
    "%(l)s@example.org", "<%(l)s@example.org>", "%(n)s <%(l)s@example.org>", "%(n)s\n <%(l)s@example.org>", '"%(q)s" <%(l)s@example.org>',
    "%(e)s <%(l)s@example.org>", "%(l)s@[192.0.2.1]", '"%(q)s"@example.org', '"%(q)s" %(n)s <%(l)s@sub.example.org>', "%(n)s %(e)s <%(l)s@example.org>",
    "Ann <@a.example,@b.example:%(l)s@example.org>", "<@a.example:%(l)s@example.org>", "J. R. %(n)s <%(l)s@example.org>", '"" <%(l)s@example.org>',
    "%(l)s@example.org (%(n)s)", "(%(n)s) %(l)s@example.org", "%(n)s (%(n)s) <%(l)s@example.org>", "%(l)s@example.org (a (%(n)s) b)",
    "%(n)s <%(l)s@example.org> (%(n)s)", "%(n)s <(a) %(l)s (b) @ (c) example.org (d)>", "%(l)s.%(l)s@x.example.org", "%(l)s+%(l)s@example.org"]
GROUPS = ["%s: %s;", "\"A, %s\": %s ;", "%s:\n %s;", "(c) %s (d): %s; (e)", "%s two: %s;"]
BROKEN_MAILBOXES = [
    ("%(l)s . x @ example . org", "obsolete-blanks"), ("%(l)s@b@example.org", "two-ats"), ("Ann <%(l)s@b@example.org>", "two-ats"), ("%(l)s", "no-domain"),
    ("%(n)s %(l)s@example.org", "words-before"), ("Ann <%(l)s@example.org", "unclosed"), ('"Ann <%(l)s@example.org>', "quote-unclosed"),
    ("%(l)s@example.org (Ann", "comment-unclosed"), ("Ann <>", "angle-empty"), ("<>", "angle-empty"), ("Ann <no address>", "angle-words"),
    ("@", "at-only"), ("@example.org", "at-only"), ("a@", "at-only"), (".a..b.@example.org", "dots"), ("a@.example.org", "dots"),
    ("a@example..org", "dots"), ("<@a.example %(l)s@example.org>", "route-broken"), ("<@a.example:>", "route-broken"), ("a b@example.org", "local-blank"),
    ("[a@example.org]", "bracket"), ("a@[192.0.2", "bracket"), ("a\\b@example.org", "backslash"), ("::;", "colons"), ("a@example.org>", "angle-close"),
    ("a@example.org;", "semicolon"), ("G: H: a@example.org;;", "group-in-group"), ("G: a@example.org", "group-open"), ("Last, First <a@example.org>", "no-domain"),
    ("%(u)s <%(l)s@example.org>", "raw-8bit"), ("<%(l)s@example.org> tail", "tail"), ("<%(l)s@example.org> <b@example.org>", "tail"),
    ("%(b)s <%(l)s@example.org>", "word"), ('"=?utf-8?q?J=C3=B6rg?=" <j@example.org>', "word-quoted"), ("A\x01B <a\x02@example.org>", "control"),
    ('"a"b"c" <a@example.org>', "quotes"), ('a."b c".d@example.org', "quoted-atom"), ('"a"@"b"', "quotes"), ("a@(x)example.org", "comment-domain"),
    ("<a@example.org,b@example.org>", "angle-comma"), ("A <<a@example.org>>", "angle-twice"), ("mailto:a@example.org", "colon"), ("a@example.org:25", "colon"),
    ("\\\"A <a@example.org>", "backslash"), ("A\rB <a@example.org>", "bare-cr"), ("A\0B <a@example.org>", "nul"), ("(", "comment-unclosed"), (")", "paren"),
    ("(a) <a@example.org> b)", "paren"), ("(\\) x@example.org", "comment-unclosed")]

DATES = ["%(w)s, %(d)d %(m)s %(y)d %(h)02d:%(i)02d:%(s)02d %(z)s", "%(d)d %(m)s %(y)d %(h)02d:%(i)02d %(z)s", "%(w)s, %(d)02d %(m)s %(y)d\n\t%(h)02d:%(i)02d:%(s)02d %(z)s (X)",
         "%(w)s,%(d)d %(m)s %(y)d %(h)02d:%(i)02d:%(s)02d %(z)s", "%(w)s,  %(d)d\t%(m)s  %(y)d %(h)02d:%(i)02d:%(s)02d  %(z)s"]
ZONES = ["+0000", "-0000", "+0100", "-0530", "+1400", "-1130", "GMT", "UT", "EST", "EDT", "PST", "PDT", "CST", "MDT", "Z"]
BROKEN_DATES = [
    ("%(w)s, %(d)d %(m)s %(y2)02d %(h)02d:%(i)02d:%(s)02d %(z)s", "date"), ("%(d)d %(m)s 1%(y2)02d %(h)02d:%(i)02d %(z)s", "date"),
    ("%(w)s %(m)s %(d)2d %(h)02d:%(i)02d:%(s)02d %(y)d", "date"), ("%(d)d-%(m)s-%(y)d %(h)02d:%(i)02d", "date"), ("", "date"), ("yesterday", "date"),
    ("%(w)s, 31 Feb %(y)d %(h)02d:%(i)02d:%(s)02d %(z)s", "date"), ("%(w)s, %(d)d %(m)s %(y)d 25:61:61 %(z)s", "date"), ("%(w)s, %(d)d %(m)s %(y)d", "date"),
    ("%(y)d-01-02T03:04:05Z", "date"), ("%(w)s, %(d)d %(m)s %(y)d %(h)02d:%(i)02d:%(s)02d", "date"), ("%(w)s, %(d)d %(m)s %(y)d %(h)02d:%(i)02d:%(s)02d +99", "date"),
    ("%(w)s, %(d)d %(m)s %(y)d %(h)d:%(i)d:%(s)d %(z)s", "date"), ("%(w)sday, %(d)d %(m)suary %(y)d %(h)02d:%(i)02d %(z)s", "date"),
    ("%(w)s (c), (c) %(d)d %(m)s (c) %(y)d %(h)02d (c):%(i)02d %(z)s", "date"), ("%(w)s, %(d)d %(m)s %(y)d %(h)02d.%(i)02d.%(s)02d %(z)s", "date"),
    ("Thu, 1 Jan 1970 00:00:00 +0100", "date"), ("%(d)d %(m)s 01%(y2)02d 12:00 %(z)s", "date"), ("Fri, 31 Dec 9999 23:59:59 +0000", "date"), ("1 Jan 99999 00:00 +0000", "date"), ("%(w)s, %(d)d %(m)s %(y)d %(h)02d:%(i)02d:60 A", "date")]
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

ID_FIELDS = ["<%s>", "<%s>", "<%s>", "<%s>", "<%s>", ("<%s> ", "id-blanks")]
BROKEN_IDS = [("%s", "id"), ("< %s >", "id"), ("<%s", "id"), ("\n <%s>", "id-folded"), ("<a b@c>", "id"), ("<>", "id"), ("<%s> <%s>", "id"), ('<"q r"@c>', "id"), ("(c) <%s>", "id"),
              ("<a@b\0>", "nul"), ("<a\rb@c>", "bare-cr"), ("<%s>>", "id"), ("<[%s]@x>", "id"), ("<x@[1.2.3.4]>", "id"), ("\x7f<%s>", "id")]

TYPES = ["text/plain", "text/plain; charset=utf-8", 'text/plain; charset="utf-8"; format=flowed', "text/html; charset=utf-8", "TEXT/HTML", "application/octet-stream",
         "image/png; name=x.png", 'application/pdf; name="a b.pdf"', "text/x-patch; name*=utf-8''%C3%A4.diff", "audio/ogg", "application/x; a=1; b=\"2 \\\" 3\"",
         "text/calendar;\n method=REQUEST;\n\tcharset=utf-8", "text/plain (a comment); charset=us-ascii (b)", "application/x; name*0=a; name*1=b",
         "application/x; name*0*=utf-8'en'%C3%A4; name*1=plain; name*2*=%C3%BC",
         ("application/x; name*0*=utf-8'en'%C3%A4; name*1=\"a %41\"; name*2*=%C3%BC", "parameter-plain"), "application/x; name*1=b; name*0=a", "x-own/y-type; q=\"\"",
         "application/x; name=\"a\n b\"", "text/plain; charset=iso-8859-1", "text/plain; CHARSET=US-ASCII", "application/x;name=a;x=b", "application/x ; name = a"]
BROKEN_TYPES = [
    ("", "type"), ("text", "type"), ("/", "type"), ("text/", "type"), ("/plain", "type"), ("junk junk", "type"), ("text/plain/x", "type"), ("\"text/plain\"", "type"),
    ("text/plain, charset=utf-8", "type"), ("text: plain", "type"), ("text / html", "type-blanks"), ("; charset=utf-8", "type"), ("multipart/mixed", "type-no-boundary"),
    ("multipart/mixed; boundary=\"\"", "type-no-boundary"), ("multipart/", "type"), ("message/", "type"), ("message/x-news", "type-message"), ("*/*", "type"),
    ("text/plain; charset", "parameter"), ("text/plain; charset=", "parameter"), ("text/plain; name=a b; x=1", "parameter"), ("text/plain; name=\"open; x=1", "parameter"),
    ("text/plain name=a", "parameter"), ("text/plain; name==x", "parameter"), ("text/plain; name=a; name=b", "parameter"), ("text/plain; ;; name=x;", "parameter"),
    ("application/x; name*0=a; name*2=c", "parameter"), ("application/x; name*1=a", "parameter"), ("application/x; name*=utf-8''%ZZ%4", "parameter"),
    ("application/x; name*=plain", "parameter"), ("application/x; name*00=a; name*01=b", "parameter"), ("application/x; name=a; name*=utf-8''b; name*0=c", "parameter"),
    ("application/x; name*0*=utf-8''%C3; name*1*=%A4", "parameter"), ("application/x; name*0*=utf-8''a; name*0*=koi8-r''b", "parameter"),
    ("application/x; name*999999999999=a", "parameter"), ("application/x; *=a; *0=b; name*=c", "parameter"), ("application/x; name*0**=a", "parameter"),
    ("application/x; name=a/b:c@d", "parameter"), ("application/x; name=(c) a", "parameter"), ("application/x; name=\"a\\", "parameter"), ("application/x; (unclosed", "parameter"),
    ("application/x; name=\u00fc", "raw-8bit"), ("application/x; n\u00e4me=a", "raw-8bit"), ("application/x; name=\"a\0b\"", "nul"), ("application/x; name=\"a\rb\"", "bare-cr"),
    ("application/x; na me=a", "parameter"), ("application/x; name=\"a\"b", "parameter"), ("application/x; name=a\"b\"", "parameter"), ("message/external-body; access-type=x", "type-message"),
    ("message/partial; id=\"a\"; number=1", "type-message"), ("message/delivery-status", "type-message")]

PART_FIELDS = ["Content-ID: <c%d@example.org>", "Content-Description: part %d", "Content-Disposition: attachment; filename=f%d.bin", "X-Other: %d",
               "Content-Language: en", "Content-Language: en, de", "Content-Location: http://example.org/%d", "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==",
               "Content-Disposition: inline", "Content-Disposition: attachment;\n filename*=utf-8''%%C3%%A4%d; size=3", "Content-Description: =?utf-8?q?=C3=BC_%d?=",
               "content-disposition: INLINE ; FILENAME=\"a %d\"", "Content-Description: folded\n %d"]
BROKEN_FIELDS = [
    ("Content-Disposition: ", "disposition"), ("Content-Disposition: \"attachment\"", "disposition"), ("Content-Disposition: ; filename=a", "disposition"),
    ("Content-Disposition: attachment filename=a", "disposition"), ("Content-Disposition: inline\nContent-Disposition: attachment", "twice"),
    ("Content-Language: ", "language"), ("Content-Language: ,,en,, de,", "language"), ("Content-Language: \"en\"", "language"), ("Content-Language: en (x), (y) de fr", "language"),
    ("Content-ID: no angle", "part-field"), ("Content-ID: <a> <b>", "part-field"), ("Content-ID:", "part-field"), ("Content-Description:", "part-field"),
    ("Content-Description:   two   blanks  ", "part-field"), ("Content-Description: \u00fc", "raw-8bit"), ("Content-MD5: a b", "part-field"), ("Content-MD5: (x)abc", "part-field"),
    ("Content-Location: a\n b", "part-field"), ("Content-Location: a b c", "part-field"), ("Content-Type: text/html\nContent-Type: text/plain", "twice"),
    ("no colon here", "no-colon"), ("Content-Description", "no-colon"), (": empty name", "no-colon"), ("X-\u00fc: a", "raw-8bit"), ("X Y: z", "odd-name"),
    ("Content-Description : blank", "blank-colon"), ("Content-Description: a\0b", "nul"), ("Content-Description: a\rb", "bare-cr"),
    (" folded start", "fold-start"), ("X-Long: " + "y" * 3000, "long"), ("X-Blank: a\n   \n b", "fold-blank"), ("Content-Description: a\n\t\n  b", "fold-blank"),
    ("Content-ID: (c) <a@b> (d)", "part-field"), ("Content-Description: (c) a (d)", "part-field")]
ENCODINGS = ["", "7bit", "8bit", "quoted-printable", "base64", "binary", "BASE64", "Quoted-Printable", "(c) base64"]
BROKEN_ENCODINGS = [("x-rot13", "encoding"), (" ", "encoding"), ("\"base64\"", "encoding"), ("base64 7bit", "encoding"), ("x-uuencode", "encoding"),
                    ("7bit\nContent-Transfer-Encoding: base64", "encoding"), ("base64;", "encoding"), ("quoted_printable", "encoding"), ("8-bit", "encoding")]
BROKEN_BODIES = [
    ("R3LDvMOfZQ\n", "body-base64"), ("R3L!DvMO\n*fZQ==\n--text\n", "body-base64"), ("YWE=\nYmI=\n", "body-base64"), ("YWFhY\n", "body-base64"), ("=ZZ =3 = x =\nq=4\n=\n", "body-qp"),
    ("text   \nmore\t \nsoft=  \nend\n", "body-qp"), ("a\rb\r\rc\n", "bare-cr"), ("a\0b\n", "nul"), ("From x\n>From y\n.\n..\n", "body"), ("\udcff\udcfe\udc80\n", "raw-8bit"),
    ("x" * 9000 + "\n", "long"), ("\n\n\n", "body"), ("", "body"), ("--\n----\n--b\n", "body"), ("no end", "body"), ("\n \n\t\n", "body")]
SUBTYPES = ["mixed", "alternative", "related", "parallel", "x-own", "signed", "report", "digest", "MIXED"]
BOUNDARIES = ["=_%d", "b%d", "----=_Part_%d", "gc0'()+_,-./:=? x%d", "%d"]
HEADER_FIELDS = ["Received: from a by b; Mon, 2 Mar 2026 10:00:00 +0100", "X-A: 1", "x-a: two", "X-Folded: one\n two\n\tthree", "List-Id: <l.example.org>",
                 "Reply-To: r@example.org", "Sender: s@example.org", "Bcc: e@example.org", "X-Empty:", "Resent-From: r@example.org", "MIME-Version: 1.0 (x)"]
BROKEN_HEADER_FIELDS = [
    ("From a@b Mon Mar  2 10:00:00 2026", "from-line"), (">From a@b Mon", "from-line"), ("Subject", "no-colon"), ("Date", "no-colon"), ("no colon", "no-colon"), (": x", "no-colon"),
    ("X-8\u00fc: \u00fc", "raw-8bit"), ("X-Nul: a\0b", "nul"), ("X-Cr: a\rb", "bare-cr"), ("X-Long: " + "z" * 20000, "long"), ("X Y: z", "odd-name"), ("X-A : blank", "blank-colon"),
    ("Subject : blank", "blank-colon"), ("X-Blank: a\n  \n b", "fold-blank"), ("\x01\x02: c", "control"), ("X-C: \x01\x7f", "control"), ("Subject: second", "twice"),
    ("To: again@example.org", "twice"), ("From: again@example.org", "twice"), ("Message-ID: <again@x>", "twice"), ("Date: Tue, 3 Mar 2026 10:00:00 +0100", "twice"),
    ("Reply-To: ", "empty"), ("Sender: ", "empty"), ("Reply-To: ;", "empty"), ("In-Reply-To: <x@y>", "twice"), ("References: <x@y>", "twice"), ("-: x", "odd-name")]


class Mail:
    """One message by chance."""

    def __init__(self, rng, broken):
        self.rng, self.broken, self.words, self.boundaries = rng, broken, set(), []

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, good, bad, p=.08):
        """A row's text; its word is noted."""
        row = self.rng.choice(bad if self.broken and self.chance(p) else good)
        if isinstance(row, tuple):
            self.words.add(row[1])
            return row[0]
        return row

    def flaw(self, word, p):
        if self.broken and self.chance(p):
            self.words.add(word)
            return True
        return False

    # --- header fields

    def encoded(self):
        """One encoded word, or two that belong together."""
        if self.broken and self.chance(.15):
            return self.pick([""], BROKEN_WORDS, 1)
        while True:
            charset, word = self.rng.choice(CHARSETS), self.rng.choice(WORDS)
            try:
                raw = word.encode(charset)
            except UnicodeError:
                continue
            if self.chance(.5):
                one = "=?%s?%s?%s?=" % (charset, self.rng.choice("Bb"), base64.b64encode(raw).decode())
            else:
                text = "".join(chr(c) if chr(c).isalnum() and c < 128 else "=%02X" % c for c in raw)
                one = "=?%s?%s?%s?=" % (charset, self.rng.choice("Qq"), text)
            return one if self.chance(.8) else one + self.rng.choice([" ", "\n ", "\n\t"]) + "=?utf-8?q?=C3=BC?="

    def subject(self):
        found = self.rng.choice(["", "", "", "Re: ", "RE: ", "Fwd: ", "Re: [list] "])
        for _ in range(self.rng.randrange(1, 7)):
            found += (self.encoded() if self.chance(.3) else self.rng.choice(ASCII_WORDS)) + self.pick(FOLDS, FOLDS)
        if self.flaw("raw-8bit", .05):
            found += self.rng.choice(["\u00fc", "\udcfc", "\u65e5"])
        if self.flaw("blanks", .05):
            found = found.replace(" ", "  ")
        if self.flaw("nul", .01):
            found += "\0"
        if self.flaw("bare-cr", .01):
            found += "\rx"
        return found.rstrip()

    def mailbox(self):
        r = self.rng
        row = self.pick(MAILBOXES, BROKEN_MAILBOXES, .12)
        if "(" in row:
            self.words.add("comment")
        if '"' in row:
            self.words.add("quoted")
        return row % {"l": r.choice(["ann", "bob", "o'x", "a%b"]), "n": r.choice(ASCII_WORDS[:5]), "e": self.encoded() if "%(e)s" in row else "", "q": r.choice(["x", "Last, F.", "a \\\" b", "\\\\", "a b"]),
                      "u": "J\u00f6rg", "b": r.choice(BROKEN_WORDS)[0]}

    def addresses(self):
        found = []
        for _ in range(self.rng.randrange(1, 4)):
            if self.chance(.12):
                members = ", ".join(self.mailbox() for _ in range(self.rng.randrange(3)))
                row = self.rng.choice(GROUPS)
                if "(" in row:
                    self.words.add("comment")
                found.append(row % (self.rng.choice(ASCII_WORDS[:3]), members))
            else:
                found.append(self.mailbox())
        text = self.rng.choice([", ", ",", ",\n ", " , "]).join(found)
        return ", " + text.replace(",", ",,", 1) + "," if self.flaw("empty-members", .04) else text

    def date(self):
        r = self.rng
        y = r.randrange(1990, 2037)
        return self.pick(DATES, BROKEN_DATES, .15) % {
            "w": r.choice(["Mon", "Tue", "Sun"]), "d": r.randrange(1, 29), "m": r.choice(MONTHS), "y": y, "y2": y % 100, "h": r.randrange(24), "i": r.randrange(60),
            "s": r.randrange(60), "z": r.choice(ZONES)}

    def ids(self, count):
        found = []
        for _ in range(count):
            row = self.pick(ID_FIELDS, BROKEN_IDS, .1)
            one = f"t{self.rng.randrange(40)}@example.org"
            found.append(row.replace("%s", one))
        return self.rng.choice([" ", "\n ", "\n\t"]).join(found)

    def header(self, depth):
        """The fields of a message; without those that say what its content is."""
        r = self.rng
        fields = ["From: " + self.addresses(), "To: " + self.addresses(), "Subject: " + self.subject(), "Date: " + self.date()]
        if self.chance(.3):
            fields.append("Cc: " + self.addresses())
        if self.chance(.8):
            fields.append("Message-ID: " + self.ids(1))
        if self.chance(.4):
            fields.append("References: " + self.ids(r.randrange(1, 4)))
        if self.chance(.3):
            fields.append("In-Reply-To: " + self.ids(1))
        if self.chance(.2):
            fields = [f for f in fields if not f.startswith(r.choice(["To", "Subject", "Message", "Cc"]))]
        if self.flaw("missing", .05):
            fields = [f for f in fields if not f.startswith(r.choice(["From", "Date"]))]
        for _ in range(r.randrange(4)):
            fields.append(self.pick(HEADER_FIELDS, BROKEN_HEADER_FIELDS, .25))
        names = set()
        kept = []
        for f in fields:  # a well-formed header has these once
            name = f.split(":")[0].lower()
            if name in names and name in ("reply-to", "sender", "bcc", "mime-version") and not self.flaw("twice", .5):
                continue
            names.add(name)
            kept.append(f)
        if self.chance(.5):
            r.shuffle(kept)
        if "mime-version" not in names and not self.flaw("no-version", .1):
            kept.append("MIME-Version: 1.0")
        if r.random() < .1:
            kept = [f.replace(": ", r.choice([":", ":\t", ":\n ", ":  "]), 1) if f.split(":")[0] in ("Subject", "X-A", "Received", "To") else f for f in kept]
        if r.random() < .1:
            kept = [f.split(":")[0].upper() + f[len(f.split(":")[0]):] if ":" in f else f for f in kept]
        return kept

    # --- bodies

    def part_fields(self):
        fields = []
        while self.chance(.4):
            row = self.pick(PART_FIELDS, BROKEN_FIELDS, .15)
            row = row % self.rng.randrange(100) if "%d" in row else row
            if not any(f.split(":")[0].lower() == row.split(":")[0].lower() for f in fields) or self.flaw("twice", .5):
                fields.append(row)
        return fields

    def join(self, *fields):
        fields = [f for group in fields for f in group]
        self.rng.shuffle(fields)
        return "\n".join(fields) + "\n"

    def leaf(self, outer):
        r = self.rng
        encoding = self.pick(ENCODINGS, BROKEN_ENCODINGS)
        text = " ".join(r.choice(WORDS) + r.choice(["", "", "\n", " "]) for _ in range(r.randrange(30)))
        if r.random() < .5:
            text = "".join(c for c in text if c.isascii())
        fields = [f"Content-Transfer-Encoding: {encoding}"] if encoding else []
        if not self.chance(.15):
            fields.append("Content-Type: " + self.pick(TYPES, BROKEN_TYPES, .2))
        if self.broken and self.chance(.1):
            text = self.pick([""], BROKEN_BODIES, 1)
        elif encoding.lower().endswith("base64"):
            text = base64.encodebytes(text.encode()).decode()
        elif encoding.lower() == "quoted-printable":
            text = "".join(qp(c.encode()).decode() if c != "\n" else c for c in text)
            text = text.replace(" \n", "=20\n")
            text = text[:-1] + "=20" if text.endswith(" ") else text
        elif not text.isascii() and not encoding:
            text = text.encode("ascii", "ignore").decode()
        return fields, text

    def entity(self, depth, outer=(), lead=()):
        """Header and body; `outer` are the fields that stand with it."""
        r = self.rng
        kind = r.random()
        if depth > 0 and kind < .4:
            return self.multipart(depth, outer)
        if depth > 0 and kind < .55:
            fields = ["Content-Type: message/rfc822"]
            if self.flaw("message-encoded", .1):
                fields.append("Content-Transfer-Encoding: " + r.choice(["base64", "quoted-printable"]))
            inner = self.entity(depth - 1, self.header(depth))
            self.words.add("in-message")
            return self.join(outer, fields, self.part_fields()) + "\n" + inner
        fields, text = self.leaf(outer)
        head = self.join(outer, fields, self.part_fields())
        if self.flaw("header-cut", .02):
            return head if r.random() < .5 else head[:-1]
        return ("" if not head.strip() else head) + "\n" + text

    def boundary(self):
        r = self.rng
        if self.boundaries and self.flaw("boundary-like", .1):
            near = r.choice(self.boundaries)
            return r.choice([near, near + "x", near[:-1] or "q", near.swapcase(), near + "--"])
        if self.flaw("boundary-odd", .05):
            return r.choice(["", " ", "b ", "--", "x" * 71, "x" * 200, "\"", "\\", "\u00fc", "a\tb"])
        return r.choice(BOUNDARIES) % r.randrange(10**6)

    def multipart(self, depth, outer):
        r = self.rng
        b, within = self.boundary(), len(self.boundaries) > 0
        self.boundaries.append(b)
        subtype = r.choice(SUBTYPES)
        spelt = b if b.isalnum() and r.random() < .5 else '"%s"' % b
        fields = [f"Content-Type: multipart/{subtype};" + r.choice([" ", "\n ", "\n\t"]) + f"boundary={spelt}" + r.choice(["", "; x=y"])]
        if self.flaw("multipart-encoded", .05):
            fields.append("Content-Transfer-Encoding: " + r.choice(["base64", "quoted-printable", "x-own"]))
        out = self.join(outer, fields, self.part_fields()) + "\n" + r.choice(["", "", "preamble\n", "\n", "a\nb\n\n"])
        for _ in range(r.randrange(1, 4)):
            line = "--" + b + r.choice(["", "", "", " ", "\t "])
            if self.flaw("boundary-line", .03):
                line = r.choice([" " + line, line + " text", line[:-1], line + "-", line + "x", "-" + line])
            digested = subtype == "digest" and r.random() < .8
            if digested:
                inner = "\n" + self.entity(depth - 1, self.header(depth))
                self.words.add("in-message")
            else:
                inner = self.entity(depth - 1)
                if subtype == "digest":
                    self.words.add("digest-text")  # a message, unless it says what it is
            out += line + "\n" + inner + ("" if self.flaw("no-line-end", .02) else "\n")
        end = r.random()
        if not self.flaw("no-end", .1):
            out += f"--{b}--" + r.choice(["\n", "\n", "", " \n"])
            if within and not out.endswith("\n"):
                self.words.add("inner-end")
        if end < .3 and out.endswith("\n"):
            out += r.choice(["epilogue\n", "\n\n", "an\nepilogue", "\n"])
        return out

    def mutated(self, data):
        """Something cut, doubled or spoilt."""
        r = self.rng
        self.words.add("mutated")
        for _ in range(r.randrange(1, 4)):
            at, end = sorted(r.randrange(len(data) + 1) for _ in range(2))
            end = min(end, at + r.choice([1, 2, 40]))
            what = r.randrange(6)
            if what == 0:
                data = data[:at] + data[end:]
            elif what == 1:
                data = data[:at] + data[at:end] * 2 + data[end:]
            elif what == 2:
                data = data[:at] + bytes([r.choice([0, 9, 10, 13, 32, 34, 40, 41, 45, 59, 61, 92, 128, 255])]) + data[at:]
            elif what == 3:
                data = data[:at] + r.choice([b"\n", b"\r\n\r\n", b"\n ", b"\r", b"--", b"\r\n--"]) + data[at:]
            elif what == 4:
                lines = data.split(b"\n")
                lines.insert(r.randrange(len(lines)), r.choice(lines))
                data = b"\n".join(lines)
            elif len(data) > 200:
                data = data[:max(at, 100)]
        return data

    def bytes(self):
        text = self.entity(self.rng.randrange(5), self.header(0))
        data = text.encode("utf-8", "surrogateescape")
        how = self.rng.random()
        if how < .8:
            data = crlf(data)
        elif self.flaw("mixed-lines", .3):
            data = b"\n".join(line + self.rng.choice([b"\r", b""]) for line in data.split(b"\n"))
        return self.mutated(data) if self.broken and self.chance(.1) else data


def messages(seed, count, broken):
    """(name, well_formed, bytes) of `count` messages; each word stands between blanks."""
    for n in range(count):
        mail = Mail(random.Random(f"{seed}-{n}-{broken}"), broken)
        data = mail.bytes()
        yield " ".join([f"{'broken' if broken else 'good'}-{seed}-{n}", *sorted(mail.words), ""]), not broken, data
