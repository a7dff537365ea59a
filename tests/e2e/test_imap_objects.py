"""Ids, save dates and previews of messages and mailboxes (RFC 8474, 8514, 8970) beyond one session: over copies, backups,
imports and the loss of the index; previews beside Dovecot's; and what a kill leaves of a REPLACE (RFC 8508)."""

import imaplib
import random
import re
import shutil
import threading
import time

import pytest

from dovecot import Dovecot
from sanger import BIN, Instance, run, wait_for

pytestmark = pytest.mark.once

A = (b"Subject: A\r\nMessage-ID: <a@example.org>\r\n\r\nA\r\n")
B = (b"Subject: Re: A\r\nMessage-ID: <b@example.org>\r\nReferences: <a@example.org>\r\n\r\nB\r\n")
C = (b"Subject: none\r\n\r\nFrom the start: no id at all\r\n.\r\n")


@pytest.fixture(scope="module")
def server():
    with Instance() as i:
        yield i


def append(client, box, *messages):
    for m in messages:
        assert client.append(box, None, None, m)[0] == "OK"


def fetch(client, box, item):
    """The item of each message, in the order of UIDs."""
    assert client.select(f'"{box}"', readonly=True)[0] == "OK"
    data = client.uid("FETCH", "1:*", f"(UID {item})")[1]
    found = {}
    for d in data:
        if d is None:
            continue
        text = b"".join(d) if isinstance(d, tuple) else d
        if m := re.search(rb"UID (\d+) (.*)", text, re.S):
            found[int(m[1])] = m[2]
    return [found[uid].rstrip(b")") for uid in sorted(found)]


def ids(client, box):
    return fetch(client, box, "EMAILID THREADID")


def mailbox_id(client, box):
    data = client.status(f'"{box}"', "(MAILBOXID)")[1][0]
    return re.search(rb"MAILBOXID \((\w[\w-]*)\)", data)[1]


def drop_indexes(i):
    for path in (i.dir / "mail").rglob("index.db*"):
        path.unlink(missing_ok=True)


def test_ids_last(server):
    """Over RENAME, COPY, MOVE, the loss of every index, other line ends on disk, backup and import."""
    i = server
    ann = i.add_account("ann@example.org")
    client = i.connect_imap(ann)
    append(client, "INBOX", A, B, C)
    wanted = ids(client, "INBOX")
    assert len(set(w.split(b" THREADID")[0] for w in wanted)) == 3
    assert wanted[0].split(b"THREADID")[1] == wanted[1].split(b"THREADID")[1]
    inbox = mailbox_id(client, "INBOX")
    assert client.create("Work")[0] == "OK"
    work = mailbox_id(client, "Work")
    assert inbox != work
    client.rename("Work", '"Done/2026"')
    assert mailbox_id(client, "Done/2026") == work
    client.create("Work")
    assert mailbox_id(client, "Work") not in (work, inbox)
    client.select("INBOX")
    client.copy("1:3", '"Done/2026"')
    assert ids(client, "Done/2026") == wanted
    client.select('"Done/2026"')
    client.uid("MOVE", "1:3", "Work")
    assert ids(client, "Work") == wanted
    client.logout()

    drop_indexes(i)
    client = i.connect_imap(ann)
    assert [ids(client, box) for box in ("INBOX", "Work")] == [wanted, wanted]
    assert (mailbox_id(client, "INBOX"), mailbox_id(client, "Done/2026")) == (inbox, work)
    client.logout()

    # a file with CRLF is the same message
    path = i.files(ann)[0]
    text = path.read_bytes()
    assert b"\r\n" not in text
    size = len(text.replace(b"\n", b"\r\n"))
    name = re.sub(r",S=\d+(,W=\d+)?", f",S={size},W={size}", path.name)
    path.write_bytes(text.replace(b"\n", b"\r\n"))
    path.rename(path.with_name(name))
    drop_indexes(i)
    client = i.connect_imap(ann)
    assert sorted(ids(client, "INBOX")) == sorted(wanted)
    client.logout()

    # backup and restore of the account; mailboxes keep their ids, too
    place = i.temp / "backup"
    place.mkdir()
    i.own(place)
    i.admin("backup", place)
    i.admin("account", "delete", ann)
    shutil.rmtree(i.maildir(ann))
    i.admin("restore", place, ann)
    client = i.connect_imap(ann)
    assert sorted(ids(client, "INBOX")) == sorted(wanted)
    assert ids(client, "Work") == wanted
    assert mailbox_id(client, "Done/2026") == work
    client.logout()

    # imports, from an mbox and over IMAP
    bob = i.add_account("bob@example.org")
    mbox = i.temp / "ann.mbox"
    i.own(i.temp)
    i.admin("export", "mbox", ann, mbox, "--mailbox", "Work")
    i.admin("import", "mbox", bob, mbox, "--mailbox", "FromMbox")
    run(BIN / "mailadmin", "-c", i.conf(), "import", "imap", bob, "--from",
        f"localhost:{i.imaps}", "--ca", i.dir / "tls" / "cert.pem", "--user", ann,
        "--password-stdin", input=i.accounts[ann].encode() + b"\n", env=i.environment())
    client = i.connect_imap(bob)
    assert sorted(ids(client, "FromMbox")) == sorted(wanted)
    assert ids(client, "Work") == wanted
    # RENAME of INBOX moves messages into a new mailbox, RFC 8474 §4
    client.select("INBOX")
    inbox = mailbox_id(client, "INBOX")
    before = ids(client, "INBOX")
    client.close()
    client.rename("INBOX", "Old")
    assert mailbox_id(client, "INBOX") == inbox != mailbox_id(client, "Old")
    assert ids(client, "Old") == before
    client.logout()


def test_save_dates(server):
    """COPY and MOVE save anew; the message that was there keeps its date, without an index too."""
    i = server
    cid = i.add_account("cid@example.org")
    client = i.connect_imap(cid)
    client.create("Work")
    client.logout()
    path = i.maildir(cid) / "cur" / "1000000000.M1P1.old:2,S"
    path.write_bytes(A.replace(b"\r\n", b"\n"))
    i.own(path)
    client = i.connect_imap(cid)
    old = b'SAVEDATE "09-Sep-2001 01:46:40 +0000"'
    assert fetch(client, "INBOX", "SAVEDATE") == [old]
    assert client.search(None, "SAVEDON", "9-Sep-2001")[1] == [b"1"]
    assert client.search(None, "SAVEDBEFORE", "9-Sep-2001")[1] == [b""]
    client.select("INBOX")
    client.copy("1", "Work")
    client.copy("1", "INBOX")
    today = time.strftime("%d-%b-%Y", time.gmtime())
    yesterday = time.strftime("%d-%b-%Y", time.gmtime(time.time() - 86400))
    for n in range(2):
        found = fetch(client, "INBOX", "SAVEDATE")
        assert found[0] == old
        assert any(day.encode() in found[1] for day in (today, yesterday))
        assert client.search(None, "SAVEDSINCE", yesterday)[1] == [b"2"]
        assert all(day != old for day in fetch(client, "Work", "SAVEDATE"))
        if n == 0:
            client.logout()
            drop_indexes(i)
            client = i.connect_imap(cid)
    client.select("INBOX")
    client.uid("MOVE", "1", "Work")
    assert old not in fetch(client, "Work", "SAVEDATE")
    client.logout()


def part(content_type, text):
    return f"--b\r\nContent-Type: {content_type}\r\n\r\n{text}\r\n".encode()


def multi(subtype, *parts):
    head = f"MIME-Version: 1.0\r\nContent-Type: multipart/{subtype}; boundary=b\r\n\r\n"
    return head.encode() + b"".join(parts) + b"--b--\r\n"


PLAIN, HTML = part("text/plain", "plain text"), part("text/html", "<p>html text</p>")
SAME = {
    "plain": b"\r\nHello   there,\r\n\r\nthis is\ta text.\r\n> quoted\r\n>> more\r\nafter\r\n-- \r\nAnn\r\n",
    "quoted": b"\r\n> quoted line\r\n> more\r\n",
    "html": b"Content-Type: text/html; charset=utf-8\r\n\r\n<html><head><title>The title</title>"
            b"<style>x{}</style></head><p>Hello <b>bo</b>ld &amp; &euro;</p><blockquote>quoted"
            b"</blockquote><div>after</div></html>\r\n",
    "html-quoted": b"Content-Type: text/html\r\n\r\n<blockquote>only quoted</blockquote>\r\n",
    "alternative": multi("alternative", PLAIN, HTML),
    "html-first": multi("alternative", HTML, PLAIN),
    "mixed": multi("mixed", HTML, PLAIN),
    "image-first": multi("mixed", part("image/png", "xx"), PLAIN),
    "empty-first": multi("mixed", part("text/plain", ""), PLAIN),
    "nested": b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n",
    "attached": multi("mixed", part("message/rfc822", "Subject: inner\r\n\r\ninner")),
    "encrypted": multi("encrypted", part("application/pgp-encrypted", "Version: 1"),
                       part("application/octet-stream", "xx")),
    "signed": multi("signed", PLAIN, part("application/pgp-signature", "xx")),
    "report": multi("report", PLAIN, part("message/delivery-status", "Reporting-MTA: dns; x")),
    "related": multi("related", part("text/html", "<script>x</script>a<br>b&nbsp;c<!-- d -->"),
                     part("image/png", "xx")),
    "long": "Content-Type: text/plain; charset=utf-8\r\n\r\n".encode()
            + ("ä" * 150 + " " + "ö€" * 100).encode() + b"\r\n",
    "qp": b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: "
          b"quoted-printable\r\n\r\nGr=FC=DFe =\r\nan alle\r\n",
    "nothing": b"Subject: a\r\n\r\n",
    "answer": b"\r\nOn Mon, Ann wrote:\r\n> quoted\r\n\r\nMy answer\r\n",
}
OTHERWISE = {  # ours: control characters are dropped, encrypted text is none
    "control": (b"\r\na\x01b\x7fc\r\n", b'"abc"'),
    "pgp": (b"\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEMA\r\n-----END PGP MESSAGE-----\r\n", b'""'),
}


# Of the first message, with the mailbox selected; what differs is in doc/rfc.md.
URLS = ["/INBOX/;UID=1", ";UID=1", "/in%62ox/;uid=1", "/INBOX/;UID=1/;SECTION=HEADER", "/INBOX/;UID=1/;SECTION=TEXT",
        "/INBOX/;UID=1/;SECTION=1", "/INBOX/;UID=1/;SECTION=HEADER/;PARTIAL=0.5", "/INBOX/;UID=1/;PARTIAL=5",
        "/INBOX/;UID=1/;SECTION=HEADER.FIELDS%20(Subject)", "/INBOX/;UID=1/;PARTIAL=5000.5", "/INBOX/;UID=01",
        "/INBOX/;UID=99", "/INBOX/;UID=1;SECTION=HEADER", "/INBOX;UIDVALIDITY=1/;UID=1", "/Nowhere/;UID=1",
        "http://example.org/", "/INBOX/;UID=1/;SECTION=1/;PARTIAL=0.0", "/INBOX/;UID=x", "bad url"]


def catenated(client, url):
    """What a message of "x" and the URL is: its text, or the reply."""
    tag = client._new_tag()
    client.send(tag + b" APPEND INBOX CATENATE (TEXT {3+}\r\nx:  URL {%d+}\r\n%s)\r\n" % (len(url), url.encode()))
    while not (line := client.readline()).startswith(tag):
        assert line
    if m := re.search(rb" OK \[APPENDUID \d+ (\d+)\]", line):
        return client.uid("FETCH", m[1].decode(), "BODY.PEEK[]")[1][0][1]
    return re.search(rb" NO \[\w+", line)[0]


def test_dovecot_does_the_same(server):
    """Previews and CATENATE, where the RFCs leave room or both are right."""
    address = server.add_account("dan@example.org")
    with Dovecot() as dovecot:
        clients = [server.connect_imap(address), dovecot.connect("dan")]
        texts, pieces = [], []
        for client in clients:
            for m in [*SAME.values(), *(m for m, _ in OTHERWISE.values())]:
                append(client, "INBOX", b"Subject: x\r\n" + m)
            texts.append(fetch(client, "INBOX", "PREVIEW"))
            client.select("INBOX")
            pieces.append([catenated(client, url) for url in URLS])
            client.logout()
    for name, ours, theirs in zip(SAME, *texts):
        assert ours == theirs, name
    for (name, (_, wanted)), ours in zip(OTHERWISE.items(), texts[0][len(SAME):]):
        assert ours == b"PREVIEW " + wanted, name
    for url, ours, theirs in zip(URLS, *pieces):
        assert ours == theirs, url


def test_catenate_in_slices(server):
    """Parts that are copied take many slices, in front of a literal and at the end of the command."""
    i = server
    fay = i.add_account("fay@example.org")
    client = i.connect_imap(fay)
    body = b"".join(b"%07d\r\n" % n for n in range(200_000))
    append(client, "INBOX", b"Subject: big\r\n\r\n" + body)
    for end in (b"", b' TEXT {5+}\r\nend\r\n'):
        tag = client._new_tag()
        client.send(tag + b' APPEND Drafts CATENATE (URL "/INBOX/;UID=1/;SECTION=HEADER" URL "/INBOX/;UID=1/;SECTION=TEXT" '
                    b'URL "/INBOX/;UID=1/;PARTIAL=1000000.9"' + end + b")\r\n")
        while not (line := client.readline()).startswith(tag):
            assert line
        assert b" OK [APPENDUID " in line
    client.select("Drafts")
    for uid, end in ((1, b""), (2, b"end\r\n")):
        text = client.uid("FETCH", str(uid), "BODY.PEEK[]")[1][0][1]
        whole = b"Subject: big\r\n\r\n" + body
        assert text == whole + whole[1000000:1000009] + end
    # 40 times that is too much for one message, and nothing is left of the try
    tag = client._new_tag()
    client.send(tag + b" APPEND Drafts CATENATE (" + b" ".join([b'URL "/INBOX/;UID=1"'] * 40) + b")\r\n")
    while not (line := client.readline()).startswith(tag):
        assert line
    assert b" NO [TOOBIG] " in line
    assert not list((i.maildir(fay, "Drafts") / "tmp").iterdir())
    client.logout()


@pytest.mark.once
def test_catenate_has_an_end(server):
    """What stands between the literals of one command is bounded, however little data comes with it."""
    i = server
    client = i.connect_imap(i.add_account("gus@example.org"))
    append(client, "INBOX", b"Subject: 0\r\n\r\nx\r\n")
    urls = b" ".join([b'URL "/INBOX/;UID=1/;SECTION=HEADER/;PARTIAL=100"'] * 1000)
    for rounds, expected in ((10, b" OK "), (40, b" NO [LIMIT] ")):
        tag = client._new_tag()
        client.send(tag + b" APPEND Drafts CATENATE (" +
                    b" ".join([urls + b" TEXT {1+}\r\nx"] * rounds) + b")\r\n")
        while not (line := client.readline()).startswith(tag):
            assert line
        assert expected in line, line
    assert client.noop()[0] == "OK"
    client.logout()


def test_kill_during_replace(server):
    """A draft that is saved again and again is there, in the last version that was acknowledged or the one after it."""
    i = server
    eve = i.add_account("eve@example.org")
    client = i.connect_imap(eve)
    append(client, "Drafts", b"Subject: 0\r\n\r\nx\r\n")
    client.logout()
    state = {"acknowledged": 0, "tried": 0}
    stop = threading.Event()

    def save():
        while not stop.is_set():
            try:
                client = i.connect_imap(eve)
                client.select("Drafts")
                while not stop.is_set():
                    state["tried"] = state["acknowledged"] + 1
                    message = f"Subject: {state['tried']}\r\n\r\nx\r\n".encode()
                    tag = client._new_tag()
                    client.send(tag + b" REPLACE * Drafts {%d+}\r\n" % len(message) + message + b"\r\n")
                    while not (line := client.readline()).startswith(tag):
                        if not line:
                            raise EOFError
                    if line.split()[1] == b"OK":
                        state["acknowledged"] = state["tried"]
            except (OSError, EOFError, imaplib.IMAP4.abort):
                time.sleep(0.01)

    thread = threading.Thread(target=save)
    thread.start()
    dice = random.Random(8508)
    try:
        for _ in range(6):
            seen = state["acknowledged"]
            wait_for(lambda: state["acknowledged"] >= seen + 2, "drafts to be saved")
            time.sleep(dice.random() * 0.02)
            i.kill("imapd")
            found = [int(re.search(rb"Subject: (\d+)", p.read_bytes())[1])
                     for p in i.files(eve, "Drafts")]
            newest = max(found)
            assert newest in (state["acknowledged"], state["tried"])
            assert newest >= state["acknowledged"]
            i.start_one("imapd")
    finally:
        stop.set()
        thread.join(60)
    client = i.connect_imap(eve)
    text = b" ".join(fetch(client, "Drafts", "BODY.PEEK[HEADER.FIELDS (SUBJECT)]"))
    subjects = {int(n) for n in re.findall(rb"Subject: (\d+)", text)}
    assert subjects & set(state.values()), (subjects, state)
    client.logout()
