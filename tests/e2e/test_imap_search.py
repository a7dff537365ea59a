"""Searching with search.db gives what searching without it gives, and what Dovecot gives."""

import base64
import contextlib
import fcntl
import os
import random
import shutil
import signal
import sqlite3
import subprocess

import pytest

from dovecot import Dovecot
from sanger import Instance, wait_for

ANN = "ann@example.org"
WORDS = ["Marti", "telson", "vique", "Müller", "straße", "ÉCOLE", "naïve", "日本語", "Ελλάδα", "tabou",
         "100%", "a\"b", "re-do", "o'clock", "x", "Ωmega", "ﬁn", "soft", "news", "LETTER"]
MESSAGES = 90


def line(rng, n=9):
    return " ".join(rng.choice(WORDS) for _ in range(n))


def message(rng, n):
    """Text in some charset and encoding, sometimes HTML, sometimes in a message within."""
    text = "\n".join(line(rng) for _ in range(rng.randrange(1, 9))) + "\n"
    html = rng.random() < 0.3
    if html:
        text = f"<p>{text}</p><b>le</b>t&uuml;r\n"
    kind, lead = ("html" if html else "plain"), f"From: =?utf-8?q?{rng.choice(('Ann', 'J=C3=B6rg'))}?= <a{n}@example.org>\n"
    lead += f"Subject: =?utf-8?b?{line_b64(rng)}?= {n}\nMIME-Version: 1.0\n"
    part = f"Content-Type: text/{kind}; charset=utf-8\n"
    if rng.random() < 0.4:
        coded = base64.encodebytes(text.encode()).decode()
        part += f"Content-Transfer-Encoding: base64\n\n{coded}"
    else:
        part += f"Content-Transfer-Encoding: 8bit\n\n{text}"
    if rng.random() < 0.2:
        inner = f"Subject: inner {line(rng, 2)}\nX-Inner: {n}\n{part}"
        return (lead + "Content-Type: multipart/mixed; boundary=zz\n\n--zz\n"
                f"Content-Type: message/rfc822\n\n{inner}\n--zz--\n").encode()
    return (lead + part).encode()


def line_b64(rng):
    return base64.b64encode(line(rng, 3).encode()).decode()


def lay(root, messages):
    for sub in ("cur", "new", "tmp"):
        (root / sub).mkdir(parents=True, exist_ok=True)
    for n, text in enumerate(messages):
        (root / "cur" / f"17{n:08d}.M{n}P1.host:2,S").write_bytes(text)
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "vmail:vmail", str(root.parents[1])], check=True)


def needle(rng):
    """A part of what stands in messages: of one character or more, across words, in another case."""
    text = line(rng, 3)
    at = rng.randrange(len(text))
    part = text[at:at + rng.choice((1, 2, 3, 4, 7, 12))]
    return rng.choice((part, part.upper(), part.lower())).strip() or "x"


def programs(rng, count):
    def key():
        return rng.choice(("TEXT", "TEXT", "BODY", "BODY", "SUBJECT", "FROM", "HEADER X-Inner"))

    for _ in range(count):
        keys = [(key(), needle(rng)) for _ in range(3)]
        shape = rng.choice(("{0}", "{0}", "{0}", "NOT {0}", "OR {0} {1}", "{0} {1}",
                            "OR NOT {0} (SEEN {1})", "NOT (OR {0} NOT {1})"))
        yield shape, keys[:shape.count("{")]


def search(client, program):
    """As a client says it whose needles are literals."""
    shape, keys = program
    text, literals = shape, []
    for n, (key, value) in enumerate(keys):
        data = value.encode()
        text = text.replace("{%d}" % n, f"{key} {{{len(data)}+}}\r\n\x00")
        literals.append(data)
    pieces = text.split("\x00")
    line_ = b"".join(p.encode() + (literals[i] if i < len(literals) else b"")
                     for i, p in enumerate(pieces))
    tag = client._new_tag()
    client.send(tag + b" SEARCH CHARSET UTF-8 " + line_ + b"\r\n")
    found = None
    while True:
        got = client.readline()
        if got.startswith(b"* SEARCH"):
            found = got.split()[2:]
        if got.startswith(tag):
            assert b" OK " in got, (program, got)
            return found


def without_checksums(journal):
    """What SQLite itself makes of a search.db-wal: the last bytes of each page are zeros there."""
    data = bytearray(journal)
    for end in range(32 + 24 + 4096, len(data) + 1, 24 + 4096):
        data[end - 8:end] = bytes(8)
    return data


def known(instance, address=ANN):
    """Messages in search.db.  A copy is looked at: who opens the file itself without knowing of its checksums disturbs it."""
    path, copy = instance.maildir(address) / "search.db", instance.temp / "search.db"
    try:
        for name in ("search.db", "search.db-wal"):
            data = path.with_name(name).read_bytes()
            copy.with_name(name).write_bytes(data if name == "search.db" else without_checksums(data))
        copy.with_name("search.db-shm").unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(copy)) as db:
            return db.execute("SELECT count(*) FROM message").fetchone()[0]
    except (sqlite3.Error, OSError):
        return 0


@contextlib.contextmanager
def session(instance):
    client = instance.connect_imap(ANN)
    client.select("INBOX")
    yield client
    with contextlib.suppress(Exception):
        client.logout()


def test_as_dovecot_and_as_without():
    rng = random.Random(4)
    messages = [message(rng, n) for n in range(MESSAGES)]
    wanted_programs = list(programs(rng, 150))
    with Instance() as instance, Dovecot() as dovecot:
        instance.add_account(ANN)
        lay(instance.maildir(ANN), messages)
        lay(dovecot.mail / "example.org" / "ann", messages)
        reference = dovecot.connect(ANN)
        reference.select("INBOX", readonly=True)
        wanted = [search(reference, p) for p in wanted_programs]
        reference.logout()
        assert sum(0 < len(w) < MESSAGES for w in wanted) > 50
        with session(instance) as client:
            read = [search(client, p) for p in wanted_programs[:40]]  # asks for search.db
            wait_for(lambda: known(instance) == MESSAGES, "search.db to know all")
            indexed = [search(client, p) for p in wanted_programs]
        for program, w, i in zip(wanted_programs, wanted, indexed):
            assert i == w, program
        assert read == indexed[:40]


@pytest.mark.once
def test_whatever_becomes_of_the_file():
    """Deleted, cut, overwritten, its writer killed: the answers stay, and it comes back."""
    rng = random.Random(5)
    messages = [message(rng, n) for n in range(40)]
    some = list(programs(rng, 12))
    with Instance(settings={"store.search_index": "always"}) as instance:
        instance.add_account(ANN)
        lay(instance.maildir(ANN), messages)
        path = instance.maildir(ANN) / "search.db"
        with session(instance) as client:
            wanted = [search(client, p) for p in some]
            wait_for(lambda: known(instance) == 40, "search.db to know all")

            def damaged(how):
                how()
                assert [search(client, p) for p in some] == wanted, how
                client.select("INBOX")
                wait_for(lambda: path.exists() and known(instance) == 40, f"a new one, {how}")
                assert [search(client, p) for p in some] == wanted, how

            def overwrite():
                size = path.stat().st_size
                with open(path, "r+b") as f:
                    for _ in range(20):
                        f.seek(rng.randrange(size - 100))
                        f.write(rng.randbytes(100))

            damaged(path.unlink)
            damaged(overwrite)
            damaged(lambda: shutil.copy(__file__, path))
        for _ in range(2):
            path.unlink(missing_ok=True)
            with session(instance) as client:
                search(client, some[0])
            with session(instance) as client:
                for pid in instance.workers("imapd"):
                    os.kill(pid, signal.SIGKILL)
        with session(instance) as client:
            wait_for(lambda: known(instance) == 40, "search.db after kills")
            assert [search(client, p) for p in some] == wanted
            assert "search.db" not in instance.admin("doctor", check=False).stdout.decode()
            data = path.read_bytes()
            path.write_bytes(data[:4096] + bytes(len(data) - 4096))
            assert f"{ANN}: search.db is damaged" in instance.admin("doctor", check=False).stdout.decode()
            assert not path.exists()
            assert [search(client, p) for p in some] == wanted


@pytest.mark.once
def test_new_mail_and_mail_that_goes():
    with Instance(settings={"store.search_index": "always"}) as instance:
        instance.add_account(ANN)
        instance.deliver(ANN, subject="first", body="needle one\n")
        with session(instance) as client:
            assert client.search(None, "BODY", "needle")[1] == [b"1"]
            wait_for(lambda: known(instance) == 1, "the first")
            instance.deliver(ANN, subject="second", body="needle two\n")
            client.noop()  # it is seen: it is indexed
            wait_for(lambda: known(instance) == 2, "the second")
            assert client.search(None, "BODY", '"needle two"')[1] == [b"2"]
            assert client.search(None, "BODY", "xyzzy")[1] == [b""]
            client.store("1", "+FLAGS", "\\Deleted")
            client.expunge()
            assert client.search(None, "BODY", "needle")[1] == [b"1"]
            instance.deliver(ANN, subject="third", body="needle three\n")
            client.noop()
            wait_for(lambda: known(instance) == 2, "what is gone to be forgotten")
            assert client.search(None, "BODY", "needle")[1] == [b"1 2"]
        assert not [p for p in (instance.dir / "log").glob("*")
                    if "search-index-corrupt" in p.read_text(errors="replace")]


@pytest.mark.once
def test_a_command_that_waits_says_that_it_goes_on():
    """RFC 9585: another program has the account's lock, so STORE waits."""
    with Instance(settings={"imapd.progress_interval": "1s"}) as instance:
        instance.add_account(ANN)
        instance.deliver(ANN)
        with session(instance) as client:
            lock = os.open(instance.maildir(ANN), os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(lock, fcntl.LOCK_EX)
            client.send(b"slow STORE 1 +FLAGS (\\Flagged)\r\n")
            assert client.readline().startswith(b'* OK [INPROGRESS ("slow" NIL NIL)] ')
            os.close(lock)
            lines = []
            while not lines or not lines[-1].startswith(b"slow "):
                lines.append(client.readline())
            assert lines[-1].startswith(b"slow OK"), lines


@pytest.mark.once
def test_progress_stays_out_of_literals():
    """FETCH of bodies sets \\Seen batch by batch, which can take long: nothing may be told in the middle of a message."""
    body = 1600 * (b"y" * 62 + b"\r\n")
    with Instance(settings={"imapd.progress_interval": "0s"}) as instance:
        client = instance.connect_imap(instance.add_account("lit@example.org"))
        for n in range(30):
            client.append("INBOX", None, None, b"Subject: %d\r\n\r\n" % n + body)
        client.select()
        parts = [d for d in client.fetch("1:*", "(BODY[TEXT])")[1] if isinstance(d, tuple)]
        assert [d[1] == body for d in parts] == [True] * 30
        client.logout()
