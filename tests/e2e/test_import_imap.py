"""mailadmin import imap, from a real Dovecot, from Sanger itself, and from servers that misbehave."""

import imaplib
import json
import random
import re
import signal
import subprocess
import time

import pytest

from dovecot import Dovecot
from imap_fake import FakeServer
from sanger import BIN, Instance, make_message, run, wait_for

ANN = "ann@example.org"


@pytest.fixture(scope="module")
def dovecot():
    with Dovecot(separator=".", prefix="INBOX.") as d:
        yield d


@pytest.fixture(scope="module")
def box():
    with Instance(settings={"server.drain": "1s"}) as i:  # connections stay open to the end
        yield i


def account(instance, name):
    """An account of its own, and what a command needs to log in for it elsewhere."""
    instance.add_account(f"{name}@example.org")
    return f"{name}@example.org"


def command(instance, *args):
    return [BIN / "mailadmin", "-c", instance.conf(), "import", "imap", *args, "--password-stdin"]


def bring(instance, address, port, *args, ca=None, status=0, password="secret-Pw1"):
    """Runs the import; the rows of its table by mailbox, and what it said on standard error."""
    ca = ["--ca", ca] if ca else ["--tls", "none"]
    host = "localhost" if ca[0] == "--ca" else "127.0.0.1"
    done = run(*command(instance, address, "--from", f"{host}:{port}", *ca, *args, "--json"),
               input=password.encode() + b"\n", check=False, env=instance.environment())
    assert done.returncode == status, done.stdout.decode() + done.stderr.decode()
    result = json.loads(done.stdout)[0] if done.stdout else None
    return {row["mailbox"]: row for row in result["mailboxes"]}, done.stderr.decode()


def fill(client, mailbox, count, first=0, size=100):
    """Appends messages with flags, keywords and dates that tell them apart."""
    for start in range(first, first + count, 200):
        tag = client._new_tag()
        client.send(tag + b" APPEND " + mailbox.encode())
        for n in range(start, min(start + 200, first + count)):
            text = (f"Message-ID: <{mailbox}-{n}@example.net>\r\nSubject: {mailbox} {n}\r\n\r\n"
                    + "x" * (n % 70) + "\r\n" * (size // 100)).encode()
            flags = " ".join(f for k, f in enumerate(("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "\\Deleted"))
                             if n >> k & 1)
            if n % 3 == 0:
                flags += f" Label{n % 5} $Forwarded"
            client.send(b' (%s) "%02d-Mar-2019 11:%02d:%02d +0200" {%d+}\r\n' % (
                flags.strip().encode(), n % 28 + 1, n // 60 % 60, n % 60, len(text)) + text)
        client.send(b"\r\n")
        while not (line := client.readline()).startswith(tag):
            assert line, "closed"
        assert line.startswith(tag + b" OK"), line


def look(client, mailbox):
    """UID → (flags, date, size, text) of all messages, and UIDVALIDITY."""
    kind, data = client.select(f'"{mailbox}"', readonly=True)
    assert kind == "OK", data
    validity = int(client.response("UIDVALIDITY")[1][0])
    if data == [b"0"]:
        return {}, validity
    kind, data = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
    found = {}
    for line, text in (d for d in data if isinstance(d, tuple)):
        flags = set(re.search(rb"FLAGS \((.*?)\)", line).group(1).lower().split()) - {b"\\recent"}
        when = imaplib.Internaldate2tuple(line)
        found[int(re.search(rb"UID (\d+)", line).group(1))] = (
            frozenset(flags), time.mktime(when), int(re.search(rb"SIZE (\d+)", line).group(1)), text)
    return found, validity


def same(there, here, mailbox, local=None):
    a, validity = look(there, mailbox)
    b, here_validity = look(here, local or mailbox)
    assert validity == here_validity
    assert a.keys() == b.keys()
    assert a == b


def names(client, command="LIST"):
    kind, data = client.list() if command == "LIST" else client.lsub()
    return {d.decode().rsplit('"/" ', 1)[1].strip('"') for d in data if d}


def test_everything_comes_along(box, dovecot):
    ann = account(box, "all")
    there = dovecot.connect(ann)
    for name in ("INBOX.Lists.C &AOQ-", "INBOX.a&IKw-b", '"INBOX.Sent Items"', '"INBOX.Sent Items.2024"', "INBOX.Empty"):
        name = name if name.startswith('"') else f'"{name}"'
        assert there.create(name)[0] == "OK"
    there.subscribe('"INBOX.Lists.C &AOQ-"')
    there.subscribe('"INBOX.Empty"')
    fill(there, "INBOX", 800, size=200000)  # so much that the server must wait for us
    fill(there, '"INBOX.Sent Items"', 5)
    there.append('"INBOX.Lists.C &AOQ-"', "", None, b"Subject: big\r\n\r\n" + b"0123456789abcde\r\n" * (30 << 16))
    there.append('"INBOX.a&IKw-b"', "", None, b"no header at all")
    there.select("INBOX")
    there.uid("STORE", "10:20", "+FLAGS", "\\Deleted")
    there.expunge()
    looked, _ = bring(box, ann, dovecot.imaps, "--dry-run", ca=dovecot.cert)
    n = looked["INBOX"]["imported"]
    rows, said = bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    assert said == ""
    assert rows["INBOX"]["imported"] == rows["INBOX"]["messages"] == n
    assert {r["uids"] for r in rows.values()} == {"kept"}
    assert {r["mailbox"]: r["local"] for r in rows.values()} == {
        "INBOX": "INBOX", "Lists/C ä": "Lists/C ä", "a€b": "a€b", "Sent Items": "Sent",
        "Sent Items/2024": "Sent/2024", "Empty": "Empty"}
    here = box.connect_imap(ann)
    for name, local in (("INBOX", None), ("INBOX.Sent Items", "Sent"), ("INBOX.a&IKw-b", "a&IKw-b"),
                        ("INBOX.Lists.C &AOQ-", "Lists/C &AOQ-"), ("INBOX.Empty", "Empty")):
        same(there, here, name, local)
    assert "Lists/C &AOQ-" in names(here, "LSUB") and "Empty" in names(here, "LSUB")
    assert "a&IKw-b" not in names(here, "LSUB")
    used = box.admin_json("quota", "show", ann)
    box.admin("quota", "recount", ann)
    assert box.admin_json("quota", "show", ann) == used
    rows, _ = bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    assert sum(r["imported"] + r["flags"] + r["expunged"] for r in rows.values()) == 0


def test_changes_come_until_the_switch(box, dovecot):
    ann = account(box, "changes")
    there = dovecot.connect(ann)
    fill(there, "INBOX", 40)
    bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    here = box.connect_imap(ann)
    there.select("INBOX")
    here.select("INBOX")
    before = look(here, "INBOX")[0]
    here.select("INBOX")
    here.uid("STORE", "1:4", "FLAGS", "(\\Seen Mine)")     # changed here: stays
    here.uid("STORE", "39", "FLAGS", "(\\Deleted)")        # deleted here: does not come back
    here.uid("EXPUNGE", "39")
    here.uid("COPY", "38", "Archive")
    there.uid("STORE", "3:8", "FLAGS", "(\\Flagged Theirs)")
    there.uid("STORE", "20:21,4", "+FLAGS", "\\Deleted")
    there.uid("EXPUNGE", "20:21,4")
    fill(there, "INBOX", 3, first=100)
    rows, said = bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    assert said == ""
    assert (rows["INBOX"]["imported"], rows["INBOX"]["flags"], rows["INBOX"]["expunged"]) == (3, 4, 2)
    after, _ = look(here, "INBOX")
    assert set(after) == set(before) - {20, 21, 39} | {41, 42, 43}
    for uid in range(1, 5):
        assert after[uid][0] == {b"\\seen", b"mine"}
    for uid in range(5, 9):
        assert after[uid][0] == {b"\\flagged", b"theirs"}
    assert after[9] == before[9]
    rows, _ = bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    assert (rows["INBOX"]["imported"], rows["INBOX"]["flags"], rows["INBOX"]["expunged"]) == (0, 0, 0)
    there.uid("STORE", "1:42", "+FLAGS", "\\Deleted")
    there.expunge()
    rows, _ = bring(box, ann, dovecot.imaps, "--keep-expunged", ca=dovecot.cert)
    assert rows["INBOX"]["expunged"] == 0
    rows, _ = bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    assert set(look(here, "INBOX")[0]) == {1, 2, 3, 4, 43}
    there.uid("STORE", "43", "+FLAGS", "\\Deleted")
    there.expunge()
    rows, _ = bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    assert rows["INBOX"]["expunged"] == 0 and "empty there now" in rows["INBOX"]["note"]


def test_mail_that_came_here_first_gets_in_the_way_of_uids(box, dovecot):
    ann = account(box, "early")
    there = dovecot.connect(ann)
    fill(there, "INBOX", 5)
    bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    here = box.connect_imap(ann)
    _, validity = look(here, "INBOX")
    box.deliver(ann)
    fill(there, "INBOX", 2, first=50)
    rows, _ = bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    assert rows["INBOX"]["uids"] == "new" and "UIDVALIDITY changed" in rows["INBOX"]["note"]
    here = box.connect_imap(ann)
    now, new = look(here, "INBOX")
    uids = sorted(now)
    assert new > validity and len(uids) == 8 and uids[:6] == list(range(1, 7))
    there.select("INBOX")
    there.uid("STORE", "7", "FLAGS", "(Told)")
    rows, _ = bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    assert rows["INBOX"]["imported"] == 0 and rows["INBOX"]["flags"] == 1
    assert look(here, "INBOX")[0][uids[7]][0] == {b"told"}


@pytest.mark.once
def test_killed_runs_double_and_lose_nothing(box, dovecot):
    ann = account(box, "killed")
    there = dovecot.connect(ann)
    fill(there, "INBOX", 1500)
    random.seed(5)
    kills = 0
    for _ in range(14):
        process = subprocess.Popen(
            [str(a) for a in command(box, ann, "--from", f"localhost:{dovecot.imaps}", "--ca", dovecot.cert)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=box.environment())
        process.stdin.write(b"secret-Pw1\n")
        process.stdin.close()
        time.sleep(random.uniform(0.03, 0.25))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 3
    rows, said = bring(box, ann, dovecot.imaps, ca=dovecot.cert)
    assert said == "" and rows["INBOX"]["uids"] == "kept"
    same(there, box.connect_imap(ann), "INBOX")


def test_new_uidvalidity_there_doubles_nothing(box):
    ann = account(box, "validity")
    texts = {n: b"Message-ID: <%d@x>\r\n\r\ntext %d\r\n" % (n, n) for n in range(1, 31)}
    with FakeServer(texts) as server:
        rows, _ = bring(box, ann, server.port)
        assert rows["INBOX"]["imported"] == 30
        server.uidvalidity += 1
        server.messages = {n + 100: t for n, t in texts.items()} | {200: b"Message-ID: <new@x>\r\n\r\nnew"}
        rows, said = bring(box, ann, server.port)
    assert said == "" and rows["INBOX"]["imported"] == 1 and "known again" in rows["INBOX"]["note"]
    assert len(look(box.connect_imap(ann), "INBOX")[0]) == 31


@pytest.mark.once
def test_from_sanger_to_sanger_with_several_at_once(box):
    with Instance(settings={"server.drain": "1s"}) as old:
        lines = ["address;user;password;host;port"]
        for name in ("one", "two", "three"):
            there = account(old, name)
            client = old.connect_imap(there)
            client.create("Entw&APw-rfe.")
            fill(client, "INBOX", 60)
            lines.append(f"{account(box, name)};{there};secret-Pw1;localhost;{old.imaps}")
        lines.append(f"{account(box, 'four')};four@example.org;wrong;localhost;{old.imaps}")
        lines.append(f"nobody@example.org;one@example.org;secret-Pw1;localhost;{old.imaps}")
        args = ["--accounts", "-", "--ca", old.dir / "tls" / "cert.pem", "--jobs", "3", "--json"]
        done = run(BIN / "mailadmin", "-c", box.conf(), "import", "imap", *args, check=False,
                   input="\n".join(lines).encode(), env=box.environment())
        assert done.returncode == 1, done.stderr
        results = {r["address"].split("@")[0]: r for r in json.loads(done.stdout)}
        assert {k: v["status"] for k, v in results.items()} == {
            "one": "done", "two": "done", "three": "done", "four": "failed", "nobody": "failed"}
        assert b"secret-Pw1" not in done.stderr and b"wrong" not in done.stderr
        for name in ("one", "two", "three"):
            assert results[name]["imported"] == 60
            same(old.connect_imap(f"{name}@example.org"), box.connect_imap(f"{name}@example.org"), "INBOX")


@pytest.mark.once
def test_no_quota_stops_it(box):
    ann = account(box, "full")
    box.admin("account", "set", ann, "--quota", "10K")
    with FakeServer({n: b"x" * 8000 for n in range(1, 6)}) as server:
        rows, said = bring(box, ann, server.port)
    assert rows["INBOX"]["imported"] == 5 and "over quota now" in said


@pytest.mark.once
def test_a_connection_that_breaks_is_made_again(box):
    ann = account(box, "breaks")

    def break_off(server, send, tag, uids):
        if server.connections < 4:
            send(b"* 1 FETCH (UID %d BODY[] {1000}\r\nabc" % uids[0])
            return "drop"
        return None
    with FakeServer({n: b"text %d" % n for n in range(1, 300)}, break_off) as server:
        rows, said = bring(box, ann, server.port, "--mailbox", "INBOX", status=1)
    assert rows["INBOX"]["imported"] == 298 and rows["INBOX"]["failed"] == 1
    assert "mailbox INBOX: UID 1: connection lost" in said  # it broke two connections, alone
    with FakeServer({n: b"text %d" % n for n in range(1, 300)}) as server:
        rows, said = bring(box, ann, server.port)
    assert rows["INBOX"]["imported"] == 1 and said == ""


BAD = 7


def broken_literal(server, send, tag, uids):
    if BAD in uids:
        send(b"* 7 FETCH (UID 7 BODY[] {99999999999999999999}\r\n")
        return "drop"
    return None


def endless_line(server, send, tag, uids):
    if BAD in uids:
        for _ in range(1000):
            send(b"* 7 FETCH (UID 7 BODY[] " + b"(" * 10000)
        return "drop"
    return None


def no_imap(server, send, tag, uids):
    if BAD in uids:
        send(b"\x00\x01\x02 garbage\r\n" * 3)
        return "drop"
    return None


def wrong_uid(server, send, tag, uids):
    for uid in uids:
        server.send_text(send, uid, name=4711 if uid == BAD else None)
    send(f"{tag} OK done\r\n".encode())
    return True


def nil(server, send, tag, uids):
    for uid in uids:
        if uid == BAD:
            send(b"* 7 FETCH (UID 7 BODY[] NIL)\r\n")
        else:
            server.send_text(send, uid)
    send(f"{tag} OK done\r\n".encode())
    return True


def refused(server, send, tag, uids):
    for uid in uids:
        if uid != BAD:
            server.send_text(send, uid)
    send(f"{tag} {'NO [SERVERBUG] broken' if BAD in uids else 'OK'} done\r\n".encode())
    return True


@pytest.mark.parametrize("mischief", [broken_literal, endless_line, no_imap, wrong_uid, nil, refused],
                         ids=lambda f: f.__name__)
def test_one_bad_message_stops_no_other(box, mischief):
    ann = account(box, mischief.__name__.replace("_", "-"))
    texts = {n: b"Subject: %d\r\n\r\ntext\r\n" % n for n in range(1, 251)}
    with FakeServer(texts, mischief) as server:
        rows, said = bring(box, ann, server.port, status=1)
    assert rows["INBOX"]["imported"] == 249 and rows["INBOX"]["failed"] == 1, (rows, said)
    assert "mailbox INBOX: UID 7: " in said and said.count("\n") == 1, said
    found, _ = look(box.connect_imap(ann), "INBOX")
    assert sorted(found) == [n for n in texts if n != BAD]
    assert all(found[n][3] == texts[n] for n in found)


def test_servers_that_are_none(box):
    ann = account(box, "none")
    with FakeServer({}, greeting=b"SSH-2.0-x\r\n") as server:
        done = run(*command(box, ann, "--from", f"127.0.0.1:{server.port}", "--tls", "none"), check=False,
                   input=b"pw\n", env=box.environment())
    assert done.returncode == 1 and b"no IMAP server greets there: SSH-2.0-x" in done.stderr

    def no_validity(server, send, tag, command, words):
        if command == "EXAMINE":
            send(f"* 1 EXISTS\r\n{tag} OK [READ-ONLY] x\r\n".encode())
            return True
        return None
    with FakeServer({1: b"x"}, on_command=no_validity) as server:
        _, said = bring(box, ann, server.port, status=1)
        assert "no UIDVALIDITY" in said

    def evil(server, send, tag, command, words):
        if command == "AUTHENTICATE":
            send(f"{tag} NO \x1b[31mwrong \x07password\r\n".encode())
            return True
        return None
    with FakeServer({1: b"x"}, on_command=evil) as server:
        done = run(*command(box, ann, "--from", f"127.0.0.1:{server.port}", "--tls", "none"), check=False,
                   input=b"pw\n", env=box.environment())
        assert done.returncode == 1 and b"?[31mwrong ?password" in done.stderr


@pytest.mark.once
def test_certificates_are_checked(box, dovecot):
    ann = account(box, "tls")
    for args in ([], ["--fingerprint", "ab" * 32]):
        done = run(*command(box, ann, "--from", f"localhost:{dovecot.imaps}", *args), check=False,
                   input=b"secret-Pw1\n", env=box.environment())
        assert done.returncode == 1 and b"certificate" in done.stderr, done.stderr
    text = run("openssl", "x509", "-in", dovecot.cert, "-noout", "-fingerprint", "-sha256").stdout.decode()
    run(*command(box, ann, "--from", f"localhost:{dovecot.imaps}", "--fingerprint", text.strip().split("=")[1]),
        input=b"secret-Pw1\n", env=box.environment())


def test_all_mail_doubles_nothing(box):
    ann = account(box, "gmail")
    texts = {n: b"Message-ID: <%d@x>\r\n\r\ntext %d\r\n" % (n, n) for n in range(1, 11)}
    listing = [r'* LIST (\HasNoChildren) "/" INBOX', r'* LIST (\HasChildren \Noselect) "/" "[Gmail]"',
               r'* LIST (\All \HasNoChildren) "/" "[Gmail]/All Mail"', r'* LIST (\Sent) "/" "[Gmail]/Sent Mail"']

    def examine(server, send, tag, command, words):
        if command == "EXAMINE":
            everything = "All" in " ".join(words)
            server.messages = texts if everything else {n: texts[n] for n in texts if n % 2 == ("Sent" in words[1])}
            server.uidvalidity = 1000 + len(" ".join(words))
        return None
    with FakeServer({}, on_command=examine, listing=listing) as server:
        rows, said = bring(box, ann, server.port)
        assert said == "" and rows["[Gmail]/Sent Mail"]["local"] == "Sent"
        assert rows["[Gmail]/All Mail"]["local"] == "Archive"
        assert sum(r["imported"] for r in rows.values()) == 10
        rows, _ = bring(box, ann, server.port)
        assert sum(r["imported"] for r in rows.values()) == 0


@pytest.mark.once
def test_a_kill_at_each_step_of_a_commit(box, dovecot):
    """Between any two of the calls that make things durable or visible."""
    there = dovecot.connect("steps@example.org")
    fill(there, "INBOX", 12)
    killed = set()
    for call, times in (("fdatasync,fsync,syncfs", range(1, 40, 3)), ("renameat2,rename", range(1, 16, 3))):
        for when in times:
            ann = account(box, f"step-{call[0]}{when}")
            args = [str(a) for a in command(box, ann, "--from", f"localhost:{dovecot.imaps}", "--ca", dovecot.cert,
                                            "--user", "steps@example.org")]
            done = run("strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                       f"inject={call}:signal=SIGKILL:when={when}", *args, input=b"secret-Pw1\n", check=False,
                       env=box.environment())
            if done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL):
                killed.add((call, when))
            rows, said = bring(box, ann, dovecot.imaps, "--user", "steps@example.org", ca=dovecot.cert)
            assert said == "" and rows["INBOX"]["uids"] == "kept", (call, when, rows)
            same(there, box.connect_imap(ann), "INBOX")
            if (call, when) not in killed:
                break
    assert len(killed) >= 8, killed


MASTERS = """
passdb {
  driver = static
  args = password=master-Pw1
  master = yes
}
"""


@pytest.mark.once
def test_other_ways_to_log_in(box):
    ann, bob = account(box, "starttls"), account(box, "mastered")
    with Dovecot(extra=MASTERS) as d:
        fill(d.connect(bob), "INBOX", 3)
        rows, said = bring(box, bob, d.imaps, "--master-user", "root", ca=d.cert, password="master-Pw1")
        assert said == "" and rows["INBOX"]["imported"] == 3
        _, said = bring(box, bob, d.imaps, "--master-user", "root", ca=d.cert, password="wrong", status=1)
        assert "the server says" in said and "wrong" not in said
    fill(box.connect_imap(ann), "INBOX", 3)
    ca = box.dir / "tls" / "cert.pem"
    rows, said = bring(box, bob, box.imap, "--user", ann, "--tls", "starttls", "--mailbox", "INBOX", ca=ca)
    assert said == "" and rows["INBOX"]["imported"] == 3 and rows["INBOX"]["uids"] == "new"
    assert "not empty here" in rows["INBOX"]["note"]

    def injected(server, send, tag, command, words):
        if command == "STARTTLS":
            send(f"{tag} OK go\r\n* OK [ALERT] believe me\r\n".encode())
            return True
        return None
    with FakeServer({1: b"x"}, on_command=injected) as server:
        done = run(*command(box, ann, "--from", f"127.0.0.1:{server.port}", "--tls", "starttls"), check=False,
                   input=b"pw\n", env=box.environment())
    assert done.returncode == 1 and b"came between STARTTLS and TLS" in done.stderr
