"""The same mail in Debian's Dovecot and in Sanger: every answer about it must be the same.

Answers are compared as trees: a string is the same quoted or as a literal, items come in any order.
What is known to differ stands in the tables below with its reason, and in doc/rfc.md; each of them must occur."""

import fnmatch
import os
import random
import re

import pytest

from dovecot import Dovecot
from imap_samples import samples
from imap_wire import Wire, fetch_items, tree, trusting
from sanger import Instance

pytestmark = pytest.mark.once
USER = "ann@example.org"
COMPRESS = "mail_plugins = zlib\nprotocol imap {\n  mail_plugins = zlib imap_zlib\n}"
STRUCTURE = "(RFC822.SIZE INTERNALDATE ENVELOPE BODY BODYSTRUCTURE)"
NAMES = "SUBJECT FROM date X-A to x-none Content-Type content-disposition Received REFERENCES"
WHOLE = ["BODY.PEEK[]", "BODY.PEEK[HEADER]", "BODY.PEEK[TEXT]", "RFC822.HEADER",
         f"BODY.PEEK[HEADER.FIELDS ({NAMES})]", f"BODY.PEEK[HEADER.FIELDS.NOT ({NAMES})]",
         "BODY.PEEK[HEADER.FIELDS (X-A)]", "BODY.PEEK[HEADER.FIELDS (Subject SUBJECT From)]<3.20>"]
PARTIALS = [(0, 1), (0, 10), (1, 1), (7, 13), (100, 50), (199, 400), (1000, 100), (0, 100000), (50000, 3),
            (99999, 1), (2**32 - 2, 1)]
MISSING = ["99", "1.99", "1.1.1.1.1.1", "7.1.MIME", "88.HEADER", "88.TEXT"]

BLANK_LINE = "RFC 9051 6.4.5.1: a header without a blank line is shown without; Dovecot adds one where it answers from its cache"
BEFORE_BOUNDARY = ("RFC 2046 5.1.1: the line end before a boundary belongs to it; "
                   "Dovecot counts it to a multipart that ends there with its own last boundary")
HEADER_END = "a header that a boundary ends at once: Dovecot gives its last line end to the boundary"
BAD_TYPE = "RFC 2045 5.2: a Content-Type that cannot be read is text/plain; Dovecot shows an empty type"
GLOBAL = "RFC 6532 3.7, RFC 9051 7.5.2: message/global is a message; to Dovecot 2.3 it is a file"
LONG_BOUNDARY = "a boundary of more than 70 characters is compared whole; Dovecot cuts it at 80"
DECODES = "BINARY gives what can be had from a broken encoding; Dovecot refuses or ends the connection"
ENCODING = "an encoding that cannot be read counts as none, and of several the first; to Dovecot they are unknown, and the last counts"
ADDRESS = "obsolete syntax of RFC 5322 4.4 is read"
MESSAGE_ID = "blanks around a message id are no part of it, RFC 5322 3.6.4"
NUL = "a NUL is U+FFFD everywhere; Dovecot's reader of addresses stops at it"
# sample, FETCH item, reason: patterns
DIFFERENCES = [
    ("shape-global", "*", GLOBAL),
    ("broken-header-cut", "BODY[[]HEADER.FIELDS (*", BLANK_LINE), ("broken-no-body*", "BODY[[]HEADER.FIELDS (*", BLANK_LINE),
    ("broken-one-byte", "BODY[[]HEADER.FIELDS (*", BLANK_LINE), ("broken-only-text", "BODY[[]HEADER.FIELDS (*", BLANK_LINE),
    *((f"mutation-{n}", "BODY[[]HEADER.FIELDS (*", BLANK_LINE) for n in (1, 8, 16, 18, 29, 33, 36, 37, 45, 48, 53)),
    ("shape-digest-nested", "BODY*", BEFORE_BOUNDARY), ("shape-rfc822-in-mixed-multi", "BODY*", BEFORE_BOUNDARY),
    ("shape-nested-three", "BODY[[]1*", BEFORE_BOUNDARY), ("broken-*prefix*", "BODY[[]1*", BEFORE_BOUNDARY),
    ("broken-same-boundary", "BODY[[]1*", BEFORE_BOUNDARY), ("mutation-35", "B*", BEFORE_BOUNDARY),
    ("broken-boundary-no-blank-line", "BODY[[]?.MIME]", HEADER_END), ("broken-part-no-blank-line", "BODY[[]1.MIME]", HEADER_END),
    ("broken-rfc822-*part", "BODY[[]1*", HEADER_END), ("broken-digest-broken", "BODY[[]?.*", HEADER_END), ("mutation-21", "BODY[[]1.2.3.*", HEADER_END),
    *((f"type-{where}{name}", "BODY*", BAD_TYPE) for where in ("", "in-part-") for name in (
        "empty", "no-slash", "slash-only", "no-subtype", "no-type", "junk", "two-slashes", "quoted", "comma", "colon",
        "params-only", "multipart-empty", "message-no-subtype")),
    *((f"mutation-{n}", "BODY*", BAD_TYPE) for n in (9, 20, 54)),
    ("broken-long-boundary-*", "BODY*", LONG_BOUNDARY),
    ("broken-boundary-trailing-blank", "B*", "RFC 2046 5.1.1: a boundary does not end with a blank"),
    ("field-quoted-pairs", "BODY*", "Content-Description is shown without MIME-Version too"),
    ("field-bare-cr", "BODY*", "a CR within a quoted parameter is dropped"),
    ("address-obs-blanks", "ENVELOPE", ADDRESS), ("broken-nul-subject", "ENVELOPE", NUL),
    ("field-references-folded", "ENVELOPE", MESSAGE_ID), ("field-message-id-blanks", "ENVELOPE", MESSAGE_ID),
    ("encoding-qp-broken", "*BINARY*", DECODES), ("encoding-base64-junk", "*BINARY*", DECODES),
    ("encoding-base64-after-padding", "*BINARY*", DECODES), ("mutation-50", "*BINARY*", DECODES),
    ("encoding-uuencode", "*BINARY*", "uuencode is decoded"),
    ("encoding-unknown", "BINARY*", "0 and NIL with NO [UNKNOWN-CTE]; Dovecot leaves them out"),
    ("encoding-unknown-empty", "*BINARY*", ENCODING), ("encoding-two", "*BINARY*", ENCODING),
    ("encoding-quoted", "*BINARY*", ENCODING), ("encoding-two-words", "*BINARY*", ENCODING),
    ("mutation-24", "*BINARY*", ENCODING), ("mutation-56", "*BINARY*", ENCODING),
]
# BINARY of these ends a Dovecot's connection
DOVECOT_DIES = ["encoding-base64-cut", "encoding-base64-no-padding", "mutation-26"]


class Known:
    """Rows (pattern, pattern, reason); all must have been met at the end."""

    def __init__(self, rows):
        self.rows, self.met, self.new, self.unknown = rows, set(), [], []

    def meet(self, name, item, ours, theirs):
        found = [row for row in self.rows if fnmatch.fnmatchcase(name, row[0]) and fnmatch.fnmatchcase(item, row[1])]
        self.met.update(found)
        if not found:
            self.unknown.append((name, item))
            self.new.append(f"{name}: {item}\n   Sanger  {ours!r:.2000}\n   Dovecot {theirs!r:.2000}")

    def check(self, complete=True):
        assert not self.new, f"{len(self.new)} differences:\n" + "\n".join(self.new[:40])
        if not complete:
            return
        gone = [row for row in self.rows if row not in self.met]
        assert not gone, f"these no longer differ: {gone}"


class Pair:
    """Both servers, asked the same."""

    def __init__(self, sanger, dovecot, names):
        self.sanger, self.dovecot = sanger, dovecot
        self.names = names  # of the messages, by sequence number - 1
        self.known = Known(DIFFERENCES)

    def both(self, commands):
        return self.sanger.ask_all(commands), self.dovecot.ask_all(commands)

    def ok(self, command):
        return self.sanger.ok(command), self.dovecot.ok(command)

    def compress(self):
        self.sanger.compress()
        self.dovecot.compress()

    def fetch(self, commands):
        """FETCH commands; compares every item of every message and returns ours.  Dovecot may answer
        several at once, so the items of all are put together."""
        ours, theirs = self.both(commands)
        for command, a, b in zip(commands, ours, theirs):
            if status(a) != status(b):
                self.known.meet(self.names[int(command.split()[1]) - 1], "status of " + command, a[-1], b[-1])
        items, other = by_message(ours), by_message(theirs)
        assert items.keys() == other.keys()
        for seq, found in items.items():
            for item in found.keys() | other[seq].keys():
                a, b = found.get(item, ...), other[seq].get(item, ...)
                if a != b:
                    self.known.meet(self.names[seq - 1], item, a, b)
        return items


def by_message(answers):
    """{sequence number: {item: value}} of FETCH responses; flags aside, which may be told any time."""
    found = {}
    for response in (r for responses in answers for r in responses[:-1]):
        if (have := fetch_items(response)) is not None:
            items = found.setdefault(have[0], {})
            for item, value in have[1].items():
                if item not in ("FLAGS", "UID"):
                    assert items.setdefault(item, value) == value, response[:200]
    return found


def status(responses):
    """OK, NO or BAD, with the name of a response code."""
    return re.match(rb"\w+( \[[A-Z-]+)?", responses[-1])[0]


def is_message(body):
    return body[0].lower() == b"message" and body[1].lower() in (b"rfc822", b"global") and len(body) > 8


def part_numbers(body, prefix=""):
    """(number, BODY tree) of all parts of a BODY tree.  RFC 9051 6.4.5.1."""
    if not isinstance(body[0], list):  # a message that is not multipart has one part
        return [(prefix + "1", body), *within(body, prefix + "1")]
    found = []
    for n, part in enumerate([p for p in body if isinstance(p, list)], 1):
        found += [(f"{prefix}{n}", part)]
        found += part_numbers(part, f"{prefix}{n}.") if isinstance(part[0], list) else within(part, f"{prefix}{n}")
    return found


def within(part, number):
    return part_numbers(part[8], number + ".") if is_message(part) else []


def lay_out(sanger, dovecot, found, mailbox="INBOX"):
    """The same files under both servers."""
    folder = "" if mailbox == "INBOX" else "." + mailbox
    trees = [sanger.maildir(USER) / folder, dovecot.mail / "example.org" / "ann" / folder]
    for root in trees:
        for sub in ("cur", "new", "tmp"):
            (root / sub).mkdir(parents=True, exist_ok=True)
        for n, (_, _, data) in enumerate(found):
            path = root / "cur" / f"{1700000000 + n}.M1P1.host:2,{'S' if n % 3 == 0 else ''}"
            path.write_bytes(data)
            os.utime(path, (1700000000 + 7200 * n, 1700000000 + 7200 * n))
    sanger.own(trees[0])
    if os.getuid() == 0:
        owner = trees[0].stat()
        domain = dovecot.mail / "example.org"
        for p in [domain, *domain.rglob("*")]:
            os.chown(p, owner.st_uid, owner.st_gid)


@pytest.fixture
def connect():
    """Connects to both servers, which have the samples."""
    with Instance(settings={"imapd.append_8bit_headers": "yes"}) as i, Dovecot(separator="/", extra=COMPRESS) as dovecot:
        i.add_account(USER)
        lay_out(i, dovecot, samples())
        yield lambda: (Wire(i.imaps, trusting()).login(USER, i.accounts[USER]),
                       Wire(dovecot.imaps, trusting()).login(USER, dovecot.password))


# --- FETCH


def sections(numbers):
    for n, part in numbers[:24]:
        yield from (n, f"{n}.MIME")
        if not isinstance(part[0], list) and is_message(part):
            yield from (f"{n}.HEADER", f"{n}.TEXT", f"{n}.HEADER.FIELDS (SUBJECT CONTENT-TYPE)")


def compare_whole(pair):
    """Structures and whole messages; the numbers of their parts, by message."""
    items = pair.fetch([f"FETCH 1:* {STRUCTURE}"])
    pair.fetch([f"FETCH 1:* ({' '.join(WHOLE)})"])
    return {seq: part_numbers(have["BODY"]) for seq, have in items.items()}


def fetch_sections(seq, have):
    """The command that asks for a message's sections, and the one for pieces of some."""
    return (f"FETCH {seq} (" + " ".join(f"BODY.PEEK[{s}]" for s in sections(have)) + ")",
            f"FETCH {seq} (" + " ".join(f"BODY.PEEK[{s}]<{o}.{c}>" for s in ("", "TEXT", have[-1][0]) for o, c in PARTIALS) + ")")


def compare_fetch(pair):
    numbers = compare_whole(pair)
    commands = [command for seq, have in numbers.items() for command in fetch_sections(seq, have)]
    found = pair.fetch(commands)
    check_binary(pair, numbers, found)
    check_missing(pair, numbers)
    pair.fetch(["FETCH 1:* (RFC822 RFC822.TEXT)"])
    pair.known.check()


def compare_append(pair):
    """The same bytes by APPEND, all in one command.  NULs only Dovecot takes in a literal (RFC 9051 4.3.1)."""
    found = [(name, data) for name, _, data in samples() if b"\0" not in data]
    command = b"APPEND Appended" + b"".join(b" {%d+}\r\n%s" % (len(data), data) for _, data in found)
    for wire in (pair.sanger, pair.dovecot):
        wire.ok("CREATE Appended")
    with_nul = b"a: b\r\n\r\n\0"
    assert pair.sanger.append("Appended", with_nul).split()[0] == b"NO"
    for wire in (pair.sanger, pair.dovecot):
        wire.ok(command)
        wire.ok("EXAMINE Appended")
    pair.names = [name for name, _ in found]
    assert len(pair.fetch(["FETCH 1:* (RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])"])) == len(found) > 450
    assert all(item in ("BODY[]", "RFC822.SIZE", "BODYSTRUCTURE") for name, item in pair.known.unknown
               if name in ("broken-cr-crlf", "broken-cr-at-end"))  # Dovecot drops a CR before CRLF and at the end
    assert {name for name, _ in pair.known.unknown} == {"broken-cr-crlf", "broken-cr-at-end"}
    assert pair.dovecot.append("Appended", with_nul).split()[0] == b"OK"
    pair.ok("UNSELECT")
    pair.ok("DELETE Appended")


def check_binary(pair, numbers, found):
    """BINARY: leaves as Dovecot decodes them; of what has parts nothing is encoded (RFC 9051 6.4.5: the
    section's own encoding), while Dovecot decodes all within and says so in the headers there."""
    leaves, nodes = [], []
    for seq, have in numbers.items():
        for n, part in have[:24]:
            if not isinstance(part[0], list) and not is_message(part):
                leaves.append((seq, n))
            elif f"BODY[{n}]" in found[seq]:
                nodes.append((seq, n))
    ask = "FETCH {0} (BINARY.SIZE[{1}] BINARY.PEEK[{1}] BINARY.PEEK[{1}]<2.5>)"
    alive = [(s, n) for s, n in leaves if pair.names[s - 1] not in DOVECOT_DIES]
    pair.fetch([ask.format(*x) for x in alive])
    assert len(leaves) > len(alive)
    got = by_message(pair.sanger.ask_all([ask.format(*x) for x in nodes]))
    for seq, n in nodes:
        assert got[seq][f"BINARY[{n}]"] == found[seq][f"BODY[{n}]"], (pair.names[seq - 1], n)
        assert int(got[seq][f"BINARY.SIZE[{n}]"]) == len(found[seq][f"BODY[{n}]"])
    for name in DOVECOT_DIES:
        seq = pair.names.index(name) + 1
        pair.sanger.ok(f"FETCH {seq} (BINARY.SIZE[1] BINARY.PEEK[1])")
        ours, theirs = pair.connect()
        theirs.ok("EXAMINE INBOX")
        try:
            theirs.ask(f"FETCH {seq} (BINARY.SIZE[1] BINARY.PEEK[1])")
            raise AssertionError(f"Dovecot survives {name}")
        except (AssertionError, OSError) as e:
            assert "closed" in str(e), e
        ours.close()
        theirs.close()


def check_missing(pair, numbers):
    """A part that is not there is NIL (RFC 9051 4.6); Dovecot gives an empty string, or the part above."""
    commands = [f"FETCH {seq} (" + " ".join(f"BODY.PEEK[{n}]" for n in MISSING) + ")" for seq in numbers]
    for seq, have in by_message(pair.sanger.ask_all(commands)).items():
        there = [n for n, _ in numbers[seq]]
        for n in MISSING:
            if re.sub(r"\.[A-Z]+$", "", n) not in there:
                assert have[f"BODY[{n}]"] == "NIL", (pair.names[seq - 1], n)


# --- SEARCH

WORDS = [
    "one", "hello", "gr\u00fc\u00dfe", "GR\u00dcSSE", "GR\u00dc\u1e9eE", "caf\u00e9", "cafe", "\u0416\u0423\u041a", "\u0436\u0443\u043a",
    "\u65e5\u672c\u8a9e", "\u4e2d\u6587", "\ud55c\uad6d", "na\u00efve", "NAI\u0308VE", "\u0130stanbul", "istanbul", "\ufb01sh", "fish",
    "\u03c3\u03af\u03c3\u03c5\u03c6\u03bf\u03c3", "\u03a3\u038a\u03a3\u03a5\u03a6\u039f\u03a3", "\u20ac", "soft break", "text",
    "boundary", "x.png", "inner", "deep", "line", "preamble", "epilogue", "ann", "example.org", "a@example.org", "Ann Example",
    "J\u00f6rg", "undisclosed", "@a.example", "lots of", "lots  of", "two three", "one two", "a b.pdf", "\\", "%C3", "phantom",
    "hello world", "YWFh", "aaa", "-----BEGIN", "Reporting-MTA", "=?utf-8", "\u00c5", "a\u030a", "\u212b", "\uff21", "\u2460", "\u00bd",
    "O'Brien", "tolkien", "m\u00e4il", "level 3", "p\u2081", "\u01c4", "ß"]
HEADERS = [("Subject", ""), ("X-None", ""), ("x-a", ""), ("X-A", "2"), ("Message-ID", "<a@b>"), ("message-id", ""), ("Received", "h49"),
           ("Content-Type", "multipart"), ("Content-Type", "charset=utf-8"), ("References", "<c@d>"), ("In-Reply-To", ""), ("Date", "2026"),
           ("List-Id", "list"), ("MIME-Version", "1.0"), ("Content-Disposition", "attachment"), ("Reply-To", "c@"), ("Sender", ""),
           ("X-Big", "zzz"), ("Resent-From", "r@"), ("Bcc", "e@example"), ("Cc", ""), ("Content-Transfer-Encoding", "base64"), ("Sub ject", ""),
           ("X-Priority", "(Highest)"), ("From", ""), ("Date", ""), ("Content-ID", "1.2"), ("Content-Language", "en")]
DATES = ["14-Nov-2023", "15-Nov-2023", "1-Dec-2023", "28-Dec-2023", "29-Dec-2023", "1-Jan-1970", "31-Dec-1969", "2-Jan-1970",
         "1-Mar-2026", "2-Mar-2026", "3-Mar-2026", "29-Feb-2024", "31-Dec-2016", "1-Jan-2017", "2-Mar-1998", "2-Mar-2002", "2-Mar-2003",
         "1-Jan-2100", "02-mar-2026"]
REFUSED = ["SEARCH", "SEARCH ()", "SEARCH FOO", "SEARCH NOT", "SEARCH OR ALL", "SEARCH SUBJECT", "SEARCH HEADER Subject", "SEARCH BEFORE 2026-03-02",
           "SEARCH LARGER x", "SEARCH LARGER -1", "SEARCH UID 0", "SEARCH UID x", "SEARCH (ALL", "SEARCH ALL)",
           "SEARCH CHARSET", "SEARCH CHARSET x-none TEXT a", "SEARCH ALL ALL x", "SEARCH KEYWORD", "SEARCH 0",
           "SEARCH RETURN", "SEARCH RETURN (FOO) ALL", "SEARCH OLDER 0", "SEARCH YOUNGER x"]
REFUSED_HERE = ["SEARCH BEFORE 32-Jan-2026", "SEARCH 99999999999"]  # no date, no number: Dovecot finds nothing

FLEXIBLE = "what cannot be decoded is searched as far as it can; Dovecot leaves it out"
FROM_TEXT = ("a field with addresses that cannot be read is looked at as it stands, too; "
             "Dovecot looks at its MISSING_MAILBOX and MISSING_DOMAIN")
SPACES = "RFC 9051 6.4.4: the string as it stands; Dovecot makes one blank of several in the field, not in the string"
ANGSTROM = "RFC 5051: U+212B is U+00C5; Dovecot's decomposition stops half way"
# sample, "KEY needle", reason
SEARCH_DIFFERENCES = [
    ("shape-global", "BODY *", GLOBAL), ("broken-boundary-trailing-blank", "BODY one", "RFC 2046 5.1.1: a boundary does not end with a blank"),
    ("field-subject-encoded-bad-charset", "*one", FLEXIBLE), ("field-subject-encoded-cut", "* gr\u00fc\u00dfe", FLEXIBLE),
    ("encoding-base64-junk", "*", FLEXIBLE), ("mutation-20", "*", BAD_TYPE), ("mutation-56", "*", ENCODING),
    ("encoding-uuencode", "*hello*", "uuencode is decoded"), ("encoding-unknown-empty", "*", ENCODING), ("encoding-two*", "*", ENCODING),
    ("encoding-quoted", "*", ENCODING),
    ("field-subject-encoded-lang", "*gr\u00fc\u00dfe", "RFC 2231 5: an encoded word may name a language"),
    *((f"address-{name}", "FROM *", FROM_TEXT) for name in (
        "quote-unclosed", "comment-unclosed", "trailing-text", "angle-unclosed", "two-ats", "group-in-group", "blank-in-local",
        "brackets", "backslash", "route-broken", "colons", "at-only")),
    ("address-angle-empty", "TO *", FROM_TEXT), ("address-obs-blanks", "FROM *", ADDRESS),
    ("broken-nul-subject", "FROM *", NUL),
    ("field-subject-blanks", "SUBJECT lots *", SPACES), ("field-fold-blank-line", "SUBJECT one two", SPACES),
    ("charset-iso-8859-1-*", "* \u212b", ANGSTROM),
    ("date-asctime", "SENT*", "read all the same"), ("date-no-comma", "SENT*", "read all the same"), ("date-dashes", "SENT*", "read all the same"),
    ("date-three-digits", "SENT*", "RFC 5322 4.3: three digits count from 1900"),
    ("date-before-epoch", "SENT*", "is before 1970"), ("date-twice", "SENT*", "the last Date counts, as ENVELOPE shows it; Dovecot shows it too, but searches the first"),
]


def quoted(text):
    data = text.encode()
    return b"{%d+}\r\n%s" % (len(data), data)


def text_programs():
    """(label, program) of searches for text; the large samples are left out for the sake of time."""
    for n, word in enumerate(WORDS):
        for key in ("TEXT", "FROM", "SUBJECT") if n % 2 else ("BODY", "SUBJECT", "FROM", "TO"):
            yield f"{key} {word}", b"SMALLER 200000 " + key.encode() + b" " + quoted(word)
    for name, word in HEADERS:
        yield f"HEADER {name} {word}", b"HEADER " + quoted(name) + b" " + quoted(word)


def number_programs(sizes):
    for key in ("ALL", "ANSWERED", "DELETED", "DRAFT", "FLAGGED", "SEEN", "UNANSWERED", "UNDELETED", "UNDRAFT", "UNFLAGGED", "UNSEEN",
                "1", "*", "1:*", "5:3", "1,3,5:7,500:*", "UID 1:10,600:*", "UID *", "KEYWORD $Forwarded", "UNKEYWORD x-none",
                "OLDER 1000000", "YOUNGER 1000000", "NOT SEEN", "NOT 1:100", "(1:10 SEEN)", "((1:10))", "OR 1 2", "OR (1 2) 3"):
        yield key, key.encode()
    for date in DATES:
        for key in ("BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE"):
            yield f"{key} {date}", f'{key} {date}'.encode()
    for size in [0, 1, *random.Random(3).sample(sizes, 12), max(sizes)]:
        for near in (size - 1, size, size + 1):
            for key in ("LARGER", "SMALLER"):
                if near >= 0:
                    yield f"{key} {near}", f"{key} {near}".encode()


def combinations(atoms, count):
    """Programs by chance from those that agree."""
    rng = random.Random(7)

    def one(depth):
        kind = rng.random()
        if depth == 0 or kind < .3:
            return rng.choice(atoms)
        if kind < .5:
            return b"NOT " + one(depth - 1)
        if kind < .8:
            return b"OR " + one(depth - 1) + b" " + one(depth - 1)
        return b"(" + b" ".join(one(depth - 1) for _ in range(rng.randrange(1, 4))) + b")"
    return [one(3) for _ in range(count)]


def found_by(wire, programs, charset=b"UTF-8", prefix=b""):
    """The sets of messages; ESEARCH carries the tag, for Dovecot answers out of turn."""
    first = wire.count + 1
    answers = wire.ask_all([prefix + b"SEARCH RETURN (ALL) CHARSET " + charset + b" " + p for p in programs])
    found = {}
    for program, answer in zip(programs, answers):
        assert answer[-1].startswith(b"OK"), (program, answer[-1])
        for line in answer:
            m = re.fullmatch(rb'\* ESEARCH \(TAG "?t(\d+)"?\)( UID)?(?: ALL (\S+))?', line)
            if m:
                ranges = [r.partition(b":") for r in (m[3] or b"").split(b",") if r]
                found[int(m[1])] = {n for a, _, b in ranges for n in range(int(a), int(b or a) + 1)}
    return [found[first + n] for n in range(len(programs))]


def compare_search(pair):
    known = Known(SEARCH_DIFFERENCES)
    sizes = [int(v["RFC822.SIZE"]) for v in pair.fetch(["FETCH 1:* RFC822.SIZE"]).values()]
    named = [*text_programs(), *number_programs(sizes)]
    programs = [p for _, p in named]
    ours, theirs = found_by(pair.sanger, programs), found_by(pair.dovecot, programs)
    # without a Date that can be read no SENT key matches; to Dovecot such a message is of 1970
    epoch = next(n for n, (label, _) in enumerate(named) if label == "SENTON 1-Jan-1970")
    sent = set().union(*(a for (label, _), a in zip(named, ours) if label.startswith("SENT")))
    undated = theirs[epoch] - ours[epoch] - sent
    assert len(undated) > 100
    same = []
    for (label, program), a, b in zip(named, ours, theirs):
        for seq in a ^ b:
            if seq not in undated or not label.startswith("SENT"):
                known.meet(pair.names[seq - 1], label, seq in a, seq in b)
        if a == b and program.isascii():  # what is not goes astray in a Dovecot when there are several
            same.append(b"(" + program + b")")
    mixed = combinations(same, 150)
    for program, a, b in zip(mixed, found_by(pair.sanger, mixed), found_by(pair.dovecot, mixed)):
        assert a == b, (program, a ^ b)
    assert found_by(pair.sanger, mixed[:40], prefix=b"UID ") == found_by(pair.dovecot, mixed[:40], prefix=b"UID ")
    for charset, needle in (("koi8-r", "\u0436\u0443\u043a"), ("iso-8859-1", "gr\u00fc\u00dfe"), ("iso-2022-jp", "\u65e5\u672c"), ("us-ascii", "hello")):
        data = needle.encode(charset)
        program = [b"SMALLER 200000 TEXT {%d+}\r\n%s" % (len(data), data)]
        ours = found_by(pair.sanger, program, charset.encode())
        assert ours == found_by(pair.sanger, [b"SMALLER 200000 TEXT " + quoted(needle)]) and ours[0]
    known.check()


def compare_search_refused(pair):
    ours, theirs = pair.both(REFUSED)
    different = [(c, a[-1], b[-1]) for c, a, b in zip(REFUSED, ours, theirs) if a[-1].split()[0] != b[-1].split()[0]]
    assert not different
    ours, theirs = pair.both(REFUSED_HERE)
    assert {a[-1].split()[0] for a in ours} == {b"BAD"} and {b[-1].split()[0] for b in theirs} == {b"OK"}


# --- flags

FLAG_STEPS = [  # what is done to both, in a mailbox of twelve messages; {o} is another mailbox
    "STORE 1 +FLAGS (\\Seen)", "STORE 1:3 FLAGS (\\Answered \\Flagged)", "STORE 2 -FLAGS (\\Flagged)", "STORE 3 FLAGS ()",
    "STORE 4,6 +FLAGS.SILENT (\\Deleted $Label1 custom)", "STORE 4 -FLAGS (CUSTOM)", "STORE 5:7 +FLAGS (Custom other)",
    "UID STORE 8:* +FLAGS (\\Draft $MDNSent)", "STORE * FLAGS \\Seen", "STORE 12:10 +FLAGS \\Flagged \\Answered",
    "COPY 1:6 {o}", "UID COPY 2,4 {o}", "MOVE 7:8 {o}", "UID EXPUNGE 4", "EXPUNGE", "STORE 1:* +FLAGS ($Forwarded)",
    "UID STORE 500 +FLAGS (\\Seen)", "UID FETCH 500 FLAGS", "UID COPY 500 {o}", "UID MOVE 500 {o}", "UID EXPUNGE 500",
    "FETCH 1 BODY[]", "FETCH 2 BODY.PEEK[]", "FETCH 3 RFC822.TEXT", "FETCH 4 BODY[TEXT]<0.1>", "FETCH 5 BINARY[1]"]
FLAG_KEYS = ["ALL", "SEEN", "UNSEEN", "ANSWERED", "FLAGGED", "DRAFT", "DELETED", "UNDELETED", "KEYWORD custom", "KEYWORD CUSTOM", "UNKEYWORD Custom",
             "KEYWORD $label1", "KEYWORD $Forwarded", "KEYWORD nobody", "UNKEYWORD nobody", "NOT KEYWORD other", "OR SEEN KEYWORD other"]


def flags_of(wire, mailbox):
    wire.ok(f"EXAMINE {mailbox}")
    found = {}
    for line in wire.ok("UID FETCH 1:* (UID FLAGS)"):
        if (have := fetch_items(line)) is not None:
            found[int(have[1]["UID"])] = {f.lower() for f in have[1]["FLAGS"]} - {"\\recent"}
    return found


def compare_flags(pair):
    for wire in (pair.sanger, pair.dovecot):
        for name in ("Flags", "Other"):
            wire.ok(f"CREATE {name}")
        for n in range(12):
            flags = ["", "(\\Seen) ", "(\\Flagged Mixed) ", '(\\Draft \\Answered) "01-Feb-2026 10:00:00 +0100" '][n % 4]
            assert wire.append("Flags", b"Subject: flags %d\r\n\r\ntext\r\n" % n, flags.encode()).startswith(b"OK")
        wire.ok("SELECT Flags")
    for step in FLAG_STEPS:
        command = step.format(o="Other")
        ours, theirs = pair.sanger.ask(command), pair.dovecot.ask(command)
        assert status(ours).split()[0] == status(theirs).split()[0], (command, ours[-1], theirs[-1])
    found = [[flags_of(wire, name) for name in ("Flags", "Other")] for wire in (pair.sanger, pair.dovecot)]
    assert found[0] == found[1]
    pair.ok("EXAMINE Flags")
    programs = [key.encode() for key in FLAG_KEYS]
    assert found_by(pair.sanger, programs) == found_by(pair.dovecot, programs)


# --- mailboxes

TREE_STEPS = [
    "CREATE a", "CREATE a", "CREATE a/b", "CREATE a/b/c/d", "CREATE x/y/z", "CREATE \"with blank\"", "CREATE inbox", "CREATE INBOX/sub",
    "CREATE Inbox/Other", "CREATE &AMQ-", "CREATE A", "CREATE q/", "CREATE ends/with/", "CREATE \"\"", "CREATE /abs", "CREATE a//b",
    "CREATE \"star*\"", "CREATE \"per%cent\"", "CREATE \"quo\\\"te\"", "CREATE \"back\\\\slash\"", "CREATE &-amp",
    "CREATE tab\tname", "CREATE &bad", "CREATE " + "l" * 100, "SUBSCRIBE a", "SUBSCRIBE x/y/z", "SUBSCRIBE INBOX/sub", "SUBSCRIBE INBOX", "SUBSCRIBE &AMQ-",
    "UNSUBSCRIBE never", "RENAME a/b moved", "RENAME moved a/b/again", "RENAME nowhere else", "RENAME A A", "RENAME A new/deep/one",
    "RENAME q INBOX", "DELETE nowhere", "DELETE INBOX", "DELETE \"with blank\"", "SELECT nowhere", "EXAMINE x", "STATUS nowhere (MESSAGES)",
    "STATUS a (UNKNOWN)", "LIST", "LIST \"\"", "LSUB \"\"", "SUBSCRIBE", "CREATE", "RENAME a"]
# what only one does: (ours, theirs)
TREE_DIFFERENCES = {
    "SUBSCRIBE nowhere": ("OK", "NO"),  # RFC 9051 6.3.7: it may be subscribed before it is there
    "RENAME INBOX from-inbox": ("OK", "NO"),  # RFC 9051 6.3.6: moves its messages
    "CREATE with.dot": ("OK", "NO"),  # a dot parts the levels of Dovecot's Maildir++
}
TREE_LISTS = ['LIST "" *', 'LIST "" %', 'LIST "" "%/%"', 'LIST "a" "/*"', 'LIST "a/" %', 'LIST "" INBOX', 'LIST "" inbox', 'LIST "" "inbox/*"',
              'LIST "" "*a*"', 'LIST "" ""', 'LIST "x/" "y*"', 'LIST "" "A"', 'LIST "" "nowhere"', 'LIST "" "*/c"', 'LIST "" "%c%"',
              'LSUB "" *', 'LSUB "" %', 'LSUB "" "a/%"', 'LSUB "a/" *', 'LIST "" (a* INBOX)', 'LIST (SUBSCRIBED) "" *',
              'LIST (SUBSCRIBED RECURSIVEMATCH) "" %', 'LIST "" * RETURN (SUBSCRIBED)', 'LIST (SUBSCRIBED) "" % RETURN (CHILDREN)',
              'LIST "" * RETURN (STATUS (MESSAGES UIDNEXT UNSEEN))']


def listing(command, responses):
    """{(kind, name): what is said of it}; attributes in any order.  \\HasChildren comes with each LIST here, with
    Dovecot only where LIST is plain or asks for it (RFC 9051 6.3.9.5 leaves that)."""
    found = {}
    plain = re.fullmatch(r'\w+ "[^"]*" [^( ]+|.*CHILDREN.*', command)
    for line in responses[:-1]:
        have = tree(line[2:])
        if have[0] in ("LIST", "LSUB"):
            attributes = {a.lower() for a in have[1]} - (set() if plain else {"\\haschildren", "\\hasnochildren"})
            found[have[0], named(have[3])] = (attributes, have[2], str(have[4:]).replace("b'", "'"))
        elif have[0] == "STATUS":
            found[have[0], named(have[1])] = dict(zip(have[2][::2], have[2][1::2]))
    return found


def named(name):
    return name.encode() if isinstance(name, str) else name


def compare_tree(pair):
    for wire in (pair.sanger, pair.dovecot):
        for name in ("Archive", "Drafts", "Junk", "Sent", "Trash", "INBOX"):
            wire.ask(f"UNSUBSCRIBE {name}")
            wire.ask(f"DELETE {name}")
    ours, theirs = pair.both(TREE_STEPS)
    different = [(c, a[-1], b[-1]) for c, a, b in zip(TREE_STEPS, ours, theirs) if a[-1].split()[0] != b[-1].split()[0]]
    assert not different
    for command in TREE_LISTS:
        a, b = (listing(command, wire.ask(command)) for wire in (pair.sanger, pair.dovecot))
        assert a == b, command
    for command, words in TREE_DIFFERENCES.items():
        assert tuple(wire.ask(command)[-1].split()[0].decode() for wire in (pair.sanger, pair.dovecot)) == words, command


# --- SORT and THREAD: all but these stand in the same order, with the reasons that SEARCH has

SORT_DIFFERENCES = {
    "DATE": {"date-three-digits", "date-old", "date-before-epoch", "date-asctime", "date-twice", "date-no-comma", "date-dashes"},
    "SUBJECT": {"address-case", "field-subject-encoded-cut", "field-subject-encoded-lang", "field-subject-encoded-bad-charset",
                "field-subject-twice", "field-raw-latin-1", "field-raw-koi8-r"},
    "FROM": {"address-obs-blanks"}, "DISPLAYFROM": {"field-raw-latin-1"}, "ARRIVAL": set(), "SIZE": set(), "TO": set(), "CC": set(), "DISPLAYTO": set()}


def compare_sort(pair):
    for key, known in SORT_DIFFERENCES.items():
        for command in (f"SORT ({key}) UTF-8 ALL", f"SORT (REVERSE {key}) UTF-8 NOT SEEN", f"UID SORT ({key} REVERSE ARRIVAL) UTF-8 SMALLER 3000"):
            ours, theirs = ([int(n) for n in wire.ok(command)[0].split()[2:]] for wire in (pair.sanger, pair.dovecot))
            assert sorted(ours) == sorted(theirs) and ours, command
            order, other = ([n for n in found if pair.names[n - 1] not in known] for found in (ours, theirs))
            assert order == other, command
    # `< a @ b >` is no id here, and of two Message-IDs the last counts, as ENVELOPE shows it
    known = SORT_DIFFERENCES["DATE"] | SORT_DIFFERENCES["SUBJECT"] | {"field-message-id-twice", "field-message-id-blanks"}
    for command in ("THREAD REFERENCES UTF-8 ALL", "THREAD ORDEREDSUBJECT UTF-8 ALL", "THREAD REFS UTF-8 ALL", "UID THREAD REFERENCES UTF-8 SEEN"):
        ours, theirs = (threads(wire.ok(command)[0], pair.names, known) for wire in (pair.sanger, pair.dovecot))
        assert ours == theirs and len(ours) > 20, command


def threads(response, names, known):
    """Which messages stand in one thread, without those in `known`."""
    found = set()
    for thread in tree(response)[2:]:
        members = {int(n) for n in re.findall(r"\d+", str(thread))}
        found.add(frozenset(n for n in members if names[n - 1] not in known))
    return found - {frozenset()}


# --- what another session has expunged: (command, tagged reply here, there)

EXPUNGED = [
    ("FETCH 1:3 BODY.PEEK[]", "NO [EXPUNGEISSUED", "OK [EXPUNGEISSUED"), ("STORE 1:3 +FLAGS (\\Flagged)", "NO [EXPUNGEISSUED", "OK"),
    ("SEARCH ALL", "OK", "OK"), ("UID STORE 1:3 +FLAGS (\\Seen)", "OK", "OK"), ("COPY 1:3 {o}", "OK [COPYUID", "NO [EXPUNGEISSUED"),
    ("UID MOVE 1:3 {o}", "OK", "NO [EXPUNGEISSUED")]


def compare_expunged(pair):
    others = pair.connect()
    for wire in (pair.sanger, pair.dovecot):
        wire.ok("CREATE Target")
    for n, (command, *words) in enumerate(EXPUNGED):
        for wire, other, word in zip((pair.sanger, pair.dovecot), others, words):
            wire.ok(f"CREATE Gone{n}")
            for _ in range(3):
                assert wire.append(f"Gone{n}", b"Subject: x\r\n\r\nx\r\n").startswith(b"OK")
            wire.ok(f"SELECT Gone{n}")
            other.ok(f"SELECT Gone{n}")
            other.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
            other.ok("EXPUNGE")
            said = wire.ask(command.format(o="Target"))
            assert status(said) == word.encode(), (command, said)
            assert command.startswith(("UID", "COPY")) or not any(b"EXPUNGE" in line for line in said[:-1])
    for wire in (pair.sanger, pair.dovecot, *others):
        wire.ok("UNSELECT")
    for wire in (pair.sanger, pair.dovecot):
        for name in ["Target", *(f"Gone{n}" for n in range(len(EXPUNGED)))]:
            wire.ok(f"DELETE {name}")
    for wire in others:
        wire.close()


# What is long: literals both ways, and answers without end.  The others are compared without COMPRESS=DEFLATE.
COMPRESSED = (compare_fetch, compare_append, compare_sort)


def test_compare(connect):
    """One test, for the servers take longer to start than all of it."""
    for compare in (compare_fetch, compare_append, compare_search, compare_search_refused, compare_sort, compare_flags, compare_expunged,
                    compare_tree):
        pair = Pair(*connect(), [name for name, _, _ in samples()])
        pair.connect = connect
        if compare in COMPRESSED:
            pair.compress()
        pair.ok("EXAMINE INBOX")
        compare(pair)
        pair.sanger.close()
        pair.dovecot.close()
