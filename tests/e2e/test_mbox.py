"""mailadmin import mbox and export mbox."""

import json
import mailbox
import os
import random
import signal
import subprocess
import time

import pytest

from sanger import BIN, Instance, run
from test_import_imap import account, fill, look


@pytest.fixture(scope="module")
def box():
    with Instance(settings={"server.drain": "1s"}) as i:  # connections stay open to the end
        yield i


@pytest.fixture
def out(box):
    """A directory that the server's user may write."""
    path = box.temp / f"out-{random.randrange(10**9)}"
    path.mkdir()
    box.own(path)
    return path


def bring(instance, address, *args, status=0):
    done = instance.admin("import", "mbox", address, *args, "--json", check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout or b"[]"), done.stderr.decode()


def counts(rows):
    return [(r["mailbox"], r["messages"], r["already"], r["imported"]) for r in rows]


def contents(client, name):
    """What a mailbox holds, without UIDs."""
    return sorted(look(client, name)[0].values(), key=lambda m: (m[1], m[3]))


def test_round_trip(box, out):
    ann, bob = account(box, "ann"), account(box, "bob")
    client = box.connect_imap(ann)
    client.create("Lists/C")
    client.create(".hidden")
    fill(client, "INBOX", 300)
    fill(client, "Lists/C", 3)
    client.append("Lists/C", "(Odd)", '"01-Jan-2001 00:00:00 +0000"',
                  b"Status: R\r\nSubject: x\r\n\r\n\r\nFrom here on\r\n>From there\r\n\r\n\r\nFrom a@b Thu Nov 20 10:00:00 2025\r\n\r\n")
    client.append("Lists/C", "", None, b"Subject: big\r\n\r\n" + b"0123456789abcde\r\n" * (30 << 16))
    rows = json.loads(box.admin("export", "mbox", ann, out / "all", "--json"))
    assert {r["mailbox"]: r["messages"] for r in rows} == {
        "INBOX": 300, "Lists/C": 5, ".hidden": 0, "Archive": 0, "Drafts": 0, "Junk": 0, "Sent": 0, "Trash": 0}
    assert not list(out.glob("*.new"))
    there = mailbox.mbox(out / "all" / "INBOX.mbox", create=False)
    assert len(there) == 300
    assert [m["subject"] for m in there][:2] == ["INBOX 0", "INBOX 1"]
    assert "F" in there[2].get_flags() and "R" in there[1].get_flags()
    again = box.admin("export", "mbox", ann, out / "all", check=False)
    assert again.returncode == 1 and b"exists already" in again.stderr
    rows, said = bring(box, bob, out / "all")
    assert said == ""
    assert ("INBOX", 300, 0, 300) in counts(rows) and ("Lists/C", 5, 0, 5) in counts(rows)
    copy = box.connect_imap(bob)
    assert contents(client, "INBOX") == contents(copy, "INBOX")
    want, got = contents(client, "Lists/C"), contents(copy, "Lists/C")
    assert want[0][:2] == got[0][:2] and want[0][3] == b"Status: R\r\n" + got[0][3]
    assert want[1:] == got[1:]
    rows, _ = bring(box, bob, out / "all")
    assert all(r["imported"] == 0 and r["already"] == r["messages"] for r in rows)
    box.admin("export", "mbox", bob, out / "one", "--mailbox", "Lists/C")
    assert (out / "one").read_bytes().count(b"\nX-UID: ") == 5


def test_what_is_new_and_what_stands_twice(box, out):
    ann = account(box, "twice")
    message = b"From x@y Thu Nov 20 10:00:00 2025\nSubject: same\n\ntext\n\n"
    file = out / "Old.mbox"
    file.write_bytes(message * 3)
    assert counts(bring(box, ann, file, "--dry-run")[0]) == [("Old", 3, 0, 3)]
    assert counts(bring(box, ann, file)[0]) == [("Old", 3, 0, 3)]
    file.write_bytes(message.replace(b"\n\ntext", b"\nStatus: RO\n\ntext") * 4 + message.replace(b"text", b"other"))
    assert counts(bring(box, ann, file)[0]) == [("Old", 5, 3, 2)]
    client = box.connect_imap(ann)
    found, _ = look(client, "Old")
    assert len(found) == 5
    client.select("Old")
    client.store("1:*", "+FLAGS", "\\Deleted")
    client.expunge()
    assert counts(bring(box, ann, file)[0]) == [("Old", 5, 5, 0)]
    client.close()
    client.delete("Old")
    assert counts(bring(box, ann, file)[0]) == [("Old", 5, 0, 5)]


def test_files_that_are_none_stop_no_other(box, out):
    ann = account(box, "none")
    (out / "a.mbox").write_bytes(b"From x Thu Nov 20 10:00:00 2025\nS: 1\n\nx\n")
    (out / "b.txt").write_bytes(b"no mbox\n")
    (out / "c").write_bytes(b"")
    (out / "inbox").write_bytes(b"From - Thu Nov 20 10:00:00 2025\r\nX-Mozilla-Status: 0001\r\nS: 2\r\n\r\ny\r\n"
                                b"\r\nFrom \r\nX-Mozilla-Status: 0009\r\nS: 3\r\n\r\nz\r\n")
    (out / "Local.sbd").mkdir()
    (out / "Local.sbd" / "Sub").write_bytes(b"From x\n")
    (out / "Apple.mbox").mkdir()
    (out / "Apple.mbox" / "mbox").write_bytes(b"From x Thu Nov 20 10:00:00 2025\n\ntext\n")
    (out / "a.mbox.msf").write_bytes(b"index")
    rows, said = bring(box, ann, out, status=1)
    assert {r["mailbox"]: (r["status"], r["imported"], r["deleted"]) for r in rows} == {
        "a": ("done", 1, 0), "b.txt": ("failed", 0, 0), "c": ("done", 0, 0), "INBOX": ("done", 1, 1),
        "Local/Sub": ("failed", 0, 0), "Apple": ("done", 1, 0)}
    assert "b.txt is no mbox" in said and "Sub is no mbox" in said
    found, _ = look(box.connect_imap(ann), "INBOX")
    (flags, date, _, text), = found.values()
    assert flags == {b"\\seen"} and date == 1763632800 and text == b"S: 2\r\n\r\ny\r\n"
    done = box.admin("import", "mbox", ann, out / "missing", check=False)
    assert done.returncode == 1 and b"missing: No such file" in done.stderr


@pytest.mark.once
def test_killed_runs_double_and_lose_nothing(box, out):
    ann = account(box, "killed-mbox")
    file = out / "Much.mbox"
    with open(file, "wb") as f:
        for n in range(3000):
            f.write(b"From x Thu Nov 20 10:00:00 2025\nSubject: %d\n\n%s\n\n" % (n, b"x" * (n % 500)))
    random.seed(7)
    kills = 0
    for _ in range(14):
        process = subprocess.Popen([BIN / "mailadmin", "-c", box.conf(), "import", "mbox", ann, file],
                                   stdout=subprocess.DEVNULL, env=box.environment())
        time.sleep(random.uniform(0.02, 0.2))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills >= 3
    bring(box, ann, file)
    subjects = [m[3].split(b"\r\n")[0] for m in look(box.connect_imap(ann), "Much")[0].values()]
    assert subjects == [b"Subject: %d" % n for n in range(3000)]


@pytest.mark.once
def test_export_as_somebody_who_may_not(box, out):
    ann = account(box, "closed")
    if os.getuid() == 0:
        os.chown(out, 0, 0)
        out.chmod(0o755)
    else:
        out.chmod(0o555)
    done = run(BIN / "mailadmin", "-c", box.conf(), "export", "mbox", ann, out / "x", check=False)
    assert done.returncode == 1 and b"Permission denied" in done.stderr
