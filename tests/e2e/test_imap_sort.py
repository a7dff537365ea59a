"""SORT and THREAD give the same answers as Dovecot does on mail with odd subjects, dates, addresses and references.

Known differences, which are not in the messages here: Dovecot takes a no-break space in a subject for a blank (it
normalises before it looks for the base subject, RFC 5256 §2.1 afterwards), leaves two blanks where a fold with several
stands behind an encoded word, and reads words in an unknown charset, which Sanger leaves as they are."""

import email.utils
import imaplib
import random
import re

import pytest

from dovecot import Dovecot
from sanger import Instance

PASSWORD = "secret-Pw1"
SUBJECTS = [
    "hello", "Re: hello", "RE: Re: hello", "Fwd: hello", "Fw: hello", "hello (fwd)", "[list] hello",
    "Re: [list] hello", "[list] Re: hello", "Re[2]: hello", "re : hello", "[Fwd: hello]", "Re: [fwd: hello (fwd)]",
    "", "Re:", "Re: Re:", "[list]", "(fwd)", "  spaces   and\ttabs ", "Re:spaces and tabs",
    "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "=?utf-8?q?Re=3A_Gr=C3=BC=C3=9Fe?=", "=?iso-8859-1?q?GR=DC=DFe?=",
    "Re: =?utf-8?b?W2xpc3RdIGhlbGxv?=", "=?utf-8?q?split?= =?utf-8?q?_word?=", "split word", "AW: hello",
    "aardvark", "Zebra", "zebra", "_under", "~tilde", "0 digits", "10 digits", "9 digits",
    "x" * 300, "Re: " + "x" * 300, "x" * 299 + "y", "folded\r\n subject line", "Re: folded subject line",
    "[a] [b] c", "[a][b]", "Re: [a] Re: [b] c", "Fwd[x]: c", "fwd", "re", "=?utf-8?q?=C3=84rger?=", "arger",
    "[fwd: nested [list] x]", "one two", "one  two", "One Two (FWD)",
]
NAMES = ["Ann <ann@example.org>", "\"Bob B.\" <bob@example.net>", "carl@example.com", "=?utf-8?q?Zo=C3=AB?= <z@example.org>",
         "<dora@example.org>", "Friends: ann@example.org, bob@example.net;", "Empty:;", "\"\" <eve@example.org>",
         "ANN <ANN@example.org>", "Frank <\"f r\"@example.org>", "gus@example.org (Gus)", "not an address"]
DATES = ["Mon, 7 Feb 1994 21:52:25 -0800", "Tue, 8 Feb 1994 05:52:25 +0000", "Tue, 8 Feb 1994 05:52:26 +0000",
         "Sun, 1 Mar 2026 10:00:00 +0100", "1 Mar 2026 10:00:00 +0100", "Sun, 1 Mar 2026 10:00 +0200", "no date", "",
         "Sun, 1 Mar 99 10:00:00 EST", None]


def references(rng, n):
    """Header lines that say what a message is and answers."""
    lines, some = [], [f"<{rng.randrange(max(1, n - 12), n + 3)}@id>" for _ in range(rng.randrange(5))]
    kind = rng.randrange(20)
    if kind < 16:
        lines.append(f"Message-ID: <{n}@id>")
    elif kind == 16:
        lines.append(f"Message-ID: <{max(1, n - 3)}@id>")  # taken already, perhaps
    elif kind == 17:
        lines.append(f'Message-ID: <"{n}"@id>')
    elif kind == 18:
        lines.append(f"Message-ID: {n}@id")  # not valid
    if kind == 5:
        some.append(f"<{n}@id>")  # answers itself
    if some and rng.random() < 0.7:
        lines.append("References: " + "\r\n ".join(some))
    if rng.random() < 0.3:
        lines.append(f"In-Reply-To: {rng.choice(['', 'your mail of today '])}<{rng.randrange(1, n + 1)}@id>")
    return lines


def messages():
    rng = random.Random(5256)
    out = []
    for n in range(1, 301):
        lines = references(rng, n)
        lines.append(f"Subject: {rng.choice(SUBJECTS)}" if rng.random() < 0.9 else "X-None: 1")
        for field in ("From", "To", "Cc"):
            if rng.random() < 0.8:
                lines.append(f"{field}: {rng.choice(NAMES)}")
        date = rng.choice(DATES) if rng.random() < 0.5 else f"{rng.randrange(1, 29)} Jan 2026 {rng.randrange(24):02}:00:00 +0000"
        if date is not None:
            lines.append(f"Date: {date}")
        body = "x" * rng.randrange(60)
        at = f'"{rng.randrange(1, 29):02}-Feb-2026 {rng.randrange(24):02}:00:00 +0000"'
        out.append((at, "\r\n".join(lines + ["", body, ""]).encode()))
    return out


def dated():
    """References only, and no two dates alike."""
    rng = random.Random(256)
    days = rng.sample(range(1, 20_000), 150)
    return [('"01-Feb-2026 00:00:00 +0000"', "\r\n".join(references(rng, n) + [
        "Date: " + email.utils.formatdate(days[n - 1] * 86_400), "", "x", ""]).encode()) for n in range(1, 151)]


def load(client, name, some):
    assert client.create(name)[0] == "OK"
    for at, message in some:
        assert client.append(name, None, at, message)[0] == "OK"
    assert client.select(name)[0] == "OK"


def ask(client, command):
    """What the server says to a command: its untagged SORT, THREAD and ESEARCH lines and the tagged word."""
    tag = client._new_tag().decode()
    client.send(f"{tag} {command}\r\n".encode("latin-1"))
    lines = []
    while True:
        line = client.readline().decode().rstrip("\r\n")
        if line.startswith(tag):
            return lines, line.split()[1]
        if re.match(r"\* (SORT|THREAD|ESEARCH|SEARCH)\b", line):
            lines.append(re.sub(r'\(TAG "[^"]*"\)', "(TAG)", line).strip())


@pytest.fixture(scope="module")
def servers():
    imaplib._MAXLINE = 50_000_000
    with Dovecot() as dovecot, Instance() as sanger:
        sanger.add_account("ann@example.org")
        clients = [sanger.connect_imap("ann@example.org"), dovecot.connect("ann@example.org")]
        for c in clients:
            load(c, "Dated", dated())
            load(c, "Odd", messages())
        yield clients


KEYS = ["ARRIVAL", "CC", "DATE", "FROM", "SIZE", "SUBJECT", "TO", "DISPLAYFROM", "DISPLAYTO", "REVERSE DATE",
        "REVERSE SUBJECT", "SUBJECT DATE", "SUBJECT REVERSE DATE", "FROM SUBJECT", "REVERSE FROM REVERSE SIZE", "CC TO ARRIVAL"]


@pytest.mark.once
@pytest.mark.parametrize("keys", KEYS)
def test_sort(servers, keys):
    for command in (f"SORT ({keys}) UTF-8 ALL", f"UID SORT ({keys}) US-ASCII SUBJECT hello",
                    f"SORT ({keys}) ISO-8859-1 SUBJECT {{3+}}\r\ngr\xfc"):
        ours, theirs = (ask(c, command) for c in servers)
        assert ours == theirs, command


@pytest.mark.once
@pytest.mark.parametrize("algorithm", ["ORDEREDSUBJECT", "REFERENCES"])
def test_thread(servers, algorithm):
    for command in (f"THREAD {algorithm} UTF-8 ALL", f"UID THREAD {algorithm} UTF-8 UID 100:200",
                    f"THREAD {algorithm} US-ASCII SUBJECT hello",
                    f"UID THREAD {algorithm} ISO-8859-1 SUBJECT {{3+}}\r\ngr\xfc", f"THREAD {algorithm} UTF-8 SUBJECT nowhere"):
        ours, theirs = (ask(c, command) for c in servers)
        assert ours == theirs, command


def threads(answer):
    """The threads of an answer, each as its text, sorted."""
    found, depth = [""], 0
    for ch in answer[0][0].removeprefix("* THREAD "):
        found[-1] += ch
        depth += (ch == "(") - (ch == ")")
        if depth == 0:
            found.append("")
    return sorted(found)


@pytest.mark.once
def test_thread_refs(servers):
    """Known difference: threads whose youngest messages have the same date are in the order of these messages here, and in
    that of its own table of Message-IDs in Dovecot; the draft does not say."""
    for command in ("THREAD REFS UTF-8 ALL", "UID THREAD REFS UTF-8 UID 100:200", "THREAD REFS US-ASCII SUBJECT hello"):
        ours, theirs = (ask(c, command) for c in servers)
        assert threads(ours) == threads(theirs), command
    for c in servers:
        assert c.select("Dated")[0] == "OK"
    for command in ("THREAD REFS UTF-8 ALL", "UID THREAD REFS UTF-8 UID 50:100"):
        ours, theirs = (ask(c, command) for c in servers)
        assert ours == theirs, command
    for c in servers:
        assert c.select("Odd")[0] == "OK"


@pytest.mark.once
def test_returns(servers):
    for command in ("SORT RETURN () (REVERSE DATE) UTF-8 ALL", "UID SORT RETURN (MIN MAX COUNT) (SUBJECT) UTF-8 1:100",
                    "SORT RETURN (PARTIAL 5:20) (FROM DATE) UTF-8 ALL", "UID SORT RETURN (COUNT) (SIZE) UTF-8 UID 1:5",
                    "SORT RETURN (PARTIAL 1000:2000) (DATE) UTF-8 ALL", "SORT RETURN (MIN) (DATE) UTF-8 SUBJECT nowhere",
                    "SEARCH RETURN (PARTIAL 10:20) ALL", "UID SEARCH RETURN (PARTIAL 10:20 COUNT) SUBJECT e"):
        ours, theirs = (ask(c, command) for c in servers)
        assert ours == theirs, command


class Follower:
    """A client that keeps a result by ADDTO and REMOVEFROM, RFC 5267 §4.3."""

    def __init__(self, client, tag, command, uid):
        self.client, self.command, self.uid = client, command, uid
        self.results, self.tag = numbers(said(client, f"{'UID ' if uid else ''}{command('UPDATE ALL')}", tag)), tag

    def follow(self, line):
        gone = re.match(r"\* (\d+) EXPUNGE", line)
        if gone and not self.uid:
            n = int(gone[1])
            assert n not in self.results
            self.results = [m - (m > n) for m in self.results]
        if not line.startswith(f'* ESEARCH (TAG "{self.tag}")'):
            return
        for item, pairs in re.findall(r"(ADDTO|REMOVEFROM) \(([^)]*)\)", line):
            words = pairs.split()
            for at, some in zip(map(int, words[::2]), words[1::2]):
                self.change(item, at, expand(some))

    def change(self, item, at, some):
        if item == "REMOVEFROM":
            assert at == 0 or self.results[at - 1:at - 1 + len(some)] == some
            assert set(some) <= set(self.results)
            self.results = [m for m in self.results if m not in some]
        elif at == 0:
            self.results = sorted(self.results + some)
        else:
            assert at <= len(self.results) + 1
            self.results[at - 1:at - 1] = some

    def check(self):
        now = said(self.client, f"{'UID ' if self.uid else ''}{self.command('ALL')}")
        assert self.results == numbers(now), self.tag


def expand(text):
    out = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        out += range(int(first), int(last or first) + 1)
    return out


def numbers(lines):
    found = [re.search(r"ALL ([\d:,]+)", line) for line in lines if "ESEARCH" in line]
    return [n for f in found if f for n in expand(f[1])]


def said(client, command, tag=None):
    """All untagged lines of a command that must succeed."""
    tag = tag or client._new_tag().decode()
    client.send(f"{tag} {command}\r\n".encode())
    lines = []
    while True:
        line = client.readline().decode().rstrip("\r\n")
        if line.startswith(tag + " "):
            assert line.split()[1] == "OK", line
            return lines
        lines.append(line)


@pytest.mark.once
def test_contexts():
    """Whatever another session does, a client that follows ADDTO and REMOVEFROM has what a new search finds."""
    rng = random.Random(5267)
    programs = {
        "a1": (lambda r: f"SORT RETURN ({r}) (SUBJECT REVERSE DATE) UTF-8 UNFLAGGED", True),
        "a2": (lambda r: f"SORT RETURN ({r}) (REVERSE FROM SIZE) UTF-8 OR KEYWORD work SUBJECT hello", False),
        "a3": (lambda r: f"SEARCH RETURN ({r}) NOT KEYWORD work", False),
        "a4": (lambda r: f"SEARCH RETURN ({r}) UNFLAGGED SUBJECT e", True),
    }
    some = messages()
    with Instance() as sanger:
        sanger.add_account("ann@example.org")
        one, two = (sanger.connect_imap("ann@example.org") for _ in range(2))
        load(two, "Box", some[:60])
        assert one.select("Box")[0] == "OK"
        followers = [Follower(one, tag, *p) for tag, p in programs.items()]
        at = 60
        for turn in range(12):
            for message in some[60:90] if turn == 6 else ():  # so many that all is sorted anew
                two.append("Box", None, *message)
            for _ in range(rng.randrange(1, 20)):
                n = rng.randrange(1, len(two.search(None, "ALL")[1][0].split()) + 1)
                what = rng.randrange(8)
                if what < 5:
                    two.store(str(n), rng.choice(["+FLAGS", "-FLAGS"]), rng.choice(["(\\Flagged)", "(work)"]))
                elif what < 7:
                    two.append("Box", rng.choice([None, "\\Flagged", "work"]), *some[at % len(some)])
                    at += 1
                else:
                    two.store(str(n), "+FLAGS", "(\\Deleted)")
                    two.expunge()
            for line in said(one, "NOOP"):
                for f in followers:
                    f.follow(line)
            for f in followers:
                f.check()
        assert one.select("Box")[0] == "OK"
