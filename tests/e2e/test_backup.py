"""mailadmin backup, verify and restore: snapshots of a server that works, what they prove, and what comes back from
them: messages, mailboxes, accounts, everything; killed anywhere, and on a full disk."""

import contextlib
import email
import fcntl
import json
import os
import pathlib
import re
import shutil
import threading

import pytest

from sanger import BIN, Instance, make_message, run, wait_for
from test_clients import Mbsync, server_state

pytestmark = pytest.mark.once

SNAPSHOT = re.compile(r"\d{4}-\d\d-\d\dT\d{4}Z(-\d+)?")
KEEP_ALL = ("--keep-daily", "1000")


@pytest.fixture(scope="module")
def server():
    with Instance() as i:
        yield i


def new_dir(i, name):
    """A place for snapshots that belongs to the server's user."""
    path = i.temp / f"backup-{name}"
    path.mkdir()
    path.chmod(0o755)
    i.own(path)
    return path


def snapshots(path):
    names = [p for p in path.iterdir() if SNAPSHOT.fullmatch(p.name)]
    return sorted(names, key=lambda p: (p.name[:16], int(p.name[18:] or 1)))


def backup(i, path, *options):
    """Returns the newest snapshot and what was said of it.  The one before becomes one of an earlier day."""
    for n, old in enumerate(snapshots(path)):
        old.rename(path / f"2025-01-{n + 1:02}T0000Z")
    said = i.admin_json("backup", path, *options)
    assert said["problems"] == 0
    return snapshots(path)[-1], said


def account(i, name, messages=0):
    address = i.add_account(f"{name}@example.org")
    for n in range(messages):
        i.deliver(address, subject=f"{name} {n}", body=f"Text {n}\n" * (n + 1))
    return address


def mail_of(snapshot, address):
    local, domain = address.split("@")
    return snapshot / "mail" / domain / local


def subjects(i, address, mailbox="INBOX"):
    client = i.connect_imap(address)
    try:
        status, _ = client.select(f'"{mailbox}"', readonly=True)
        assert status == "OK", mailbox
        data = client.uid("FETCH", "1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        return sorted(d[1].decode().split(":", 1)[1].strip() for d in data if isinstance(d, tuple))
    finally:
        client.logout()


def in_tree(i, who):
    files = [p for p in i.maildir(who).rglob("*") if p.parent.name in ("cur", "new")]
    return sorted(email.message_from_bytes(p.read_bytes())["Subject"] for p in files)


def refused(i, *args):
    done = i.admin(*args, check=False)
    assert done.returncode == 1, (done.stdout, done.stderr)
    return done.stdout.decode() + done.stderr.decode()


# --- what a snapshot is


def test_a_snapshot_is_a_mail_tree_and_costs_what_is_new(server):
    ann, place = account(server, "ann", 4), new_dir(server, "ann")
    client = server.connect_imap(ann)
    client.select("INBOX")
    client.store("1", "+FLAGS", "(\\Seen work)")
    first, said = backup(server, place, *KEEP_ALL)
    assert said["messages"] == len(list((mail_of(first, ann) / "cur").iterdir())) == 4
    assert said["copied_files"] > 4
    names = {p.name for p in mail_of(first, ann).iterdir()}
    assert {"cur", "new", "tmp", ".Sent", "sanger-mailbox", "sanger-account", "subscriptions",
            "dovecot-keywords"} <= names
    assert not [n for n in names if n.startswith("index.db")]
    assert (first / "user.db").stat().st_size > 0
    assert (first / f"config{server.conf()}").read_bytes() == server.conf().read_bytes()
    assert not list(first.rglob("*key*.pem"))

    client.store("1:2", "+FLAGS", "\\Flagged")  # another name
    client.uid("MOVE", "3", "Archive")  # another folder
    server.deliver(ann, subject="ann 4")
    second, said = backup(server, place, *KEEP_ALL)
    first = snapshots(place)[0]
    assert said["messages"] == 5
    assert said["copied_files"] <= 6  # the new message, and small files that changed
    inodes = {p.stat().st_ino for p in mail_of(first, ann).rglob("cur/*")}
    shared = [p for p in mail_of(second, ann).rglob("cur/*") if p.stat().st_ino in inodes]
    assert len(shared) == 4 and not list((mail_of(second, ann) / "new").iterdir())[1:]
    said = server.admin_json("backup", place, *KEEP_ALL, "--dry-run")
    assert said["copied_files"] <= 1 and len(snapshots(place)) == 2  # state.db: a login may just have been noted
    assert "all is as it was saved" in server.admin("verify", place)
    status = (place / "status").read_text()
    assert f"succeeded {status.split('succeeded ')[1].split()[0]} {second.name}" in status
    client.logout()


def test_one_at_a_time_and_not_anywhere(server):
    place = new_dir(server, "lock")
    with open(place / "lock", "w", encoding="ascii") as holder:
        server.own(place)
        fcntl.flock(holder, fcntl.LOCK_EX)
        assert "another backup" in refused(server, "backup", place)
    assert "mail tree" in refused(server, "backup", server.dir / "mail" / "backup")
    assert "backup.dir is not set" in server.admin("backup", check=False).stderr.decode()
    assert "no snapshot" in refused(server, "restore", place, "ann@example.org")


def test_under_load_nothing_is_missed_and_nothing_is_twice(server):
    """Deliveries, flags and moves all the time; what was acknowledged before a backup began is in it once."""
    who, place = account(server, "load"), new_dir(server, "load")
    stop, sent, errors = threading.Event(), [], []

    def delivering():
        n = 0
        while not stop.is_set() and n < 2000:
            server.deliver(who, make_message(who, subject=f"load {n}").as_bytes())
            sent.append(f"load {n}")
            n += 1

    def moving():
        client = server.connect_imap(who)
        here, there = "INBOX", "Archive"
        while not stop.is_set():
            client.select(here)
            client.store("1:*", "+FLAGS", "(\\Flagged)")
            client.uid("MOVE", "1:*", there)
            here, there = there, here
        client.logout()

    def guarded(f):
        try:
            f()
        except Exception as e:  # noqa: BLE001
            errors.append(e)

    threads = [threading.Thread(target=guarded, args=(f,)) for f in (delivering, moving)]
    for t in threads:
        t.start()
    try:
        wait_for(lambda: len(sent) > 20 or errors, "some mail")
        for _ in range(3):
            before = list(sent)
            snapshot, said = backup(server, place, *KEEP_ALL)
            found = [email.message_from_bytes(p.read_bytes())["Subject"]
                     for p in mail_of(snapshot, who).rglob("*") if p.parent.name in ("cur", "new")]
            assert len(found) == len(set(found)), "twice"
            assert set(before) <= set(found), "missed"
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not errors
    assert "all is as it was saved" in server.admin("verify", place)
    with Instance(start=False) as other:
        other.admin("restore", snapshot, "--everything")
        assert in_tree(other, who) == sorted(found)


# --- verify


def damage(path, change):
    """Changes a file and leaves its time stamp, as a disk does."""
    times = path.stat()
    change(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_verify_finds_every_damage_and_the_next_backup_mends_it(server):
    who, place = account(server, "vera", 4), new_dir(server, "verify")
    other = account(server, "otto", 1)
    server.connect_imap(who).logout()
    backup(server, place, *KEEP_ALL)
    second, _ = backup(server, place, *KEEP_ALL)
    first = snapshots(place)[0]
    messages = sorted(mail_of(second, who).glob("[cn][ue][rw]/*"))
    damage(messages[0], flip)  # both have it
    messages[1].unlink()
    os.utime(messages[2], (5, 5))
    (mail_of(second, who) / "cur" / "stray").write_bytes(b"x")
    damage(second / "user.db", lambda p: os.truncate(p, 5000))
    found = {(f["snapshot"].rsplit("/", 1)[1], pathlib.Path(f["file"]).name): f["problem"]
             for f in json.loads(
                 server.admin("verify", place, "--json", check=False).stdout)}
    assert found[(first.name, messages[0].name)] == "its bytes are not what was saved"
    assert found[(second.name, messages[0].name)] == "its bytes are not what was saved"
    assert found[(second.name, messages[1].name)] == "it is missing"
    assert "time stamp" in found[(second.name, messages[2].name)]
    assert found[(second.name, "stray")] == "it is in no manifest"
    assert "size" in found[(second.name, "user.db")]
    assert (first.name, messages[1].name) not in found
    quick = refused(server, "verify", second, "--quick")
    assert messages[1].name in quick and messages[0].name not in quick
    assert "all is" in server.admin("verify", second, "--account", other)
    assert "damaged" in (place / "status").read_text()

    server.admin("backup", place, *KEEP_ALL)  # takes the place of the second, as it is of the same day
    third = snapshots(place)[-1]  # it links nothing that has rotted
    assert not second.exists() and len(snapshots(place)) == 2
    assert "all is as it was saved" in server.admin("verify", third)
    assert "damaged" not in (place / "status").read_text()

    damage(third / "manifest" / "example.org" / "vera", flip)
    assert "vera" in refused(server, "verify", third)
    (third / "complete").unlink()
    assert refused(server, "verify", third)


def test_rotten_messages_are_not_handed_out(server):
    who, place = account(server, "rosa", 2), new_dir(server, "rot")
    client = server.connect_imap(who)
    client.select("INBOX")
    snapshot, _ = backup(server, place)
    rotten = sorted(mail_of(snapshot, who).glob("cur/*"))[0]
    damage(rotten, flip)
    client.store("1:*", "+FLAGS", "\\Deleted")
    client.expunge()
    client.logout()
    assert rotten.name in refused(server, "restore", place, who)
    assert len(subjects(server, who)) == 1
    refused(server, "restore", place, who, "--damaged")
    assert len(subjects(server, who)) == 2


# --- retention


def test_retention(server):
    place = new_dir(server, "retention")
    real, _ = backup(server, place)
    for month in range(1, 11):
        for day in ("01", "15", "28"):
            old = place / f"2025-{month:02}-{day}T0230Z"
            old.mkdir()
            shutil.copy(real / "complete", old)
    leftover = place / "2024-01-01T0000Z.gone"
    leftover.mkdir()
    server.own(place)
    options = ("--keep-daily", "2", "--keep-weekly", "0", "--keep-monthly", "4")
    said = server.admin_json("backup", place, *options, "--dry-run")
    assert len(said["removed"]) == 30 - 3 and len(snapshots(place)) == 31, said
    said = server.admin_json("backup", place, *options)
    kept = {p.name for p in snapshots(place)}
    assert {"2025-10-28T0230Z", "2025-09-28T0230Z", "2025-08-28T0230Z"} < kept
    assert len(kept) == 4 and real.name not in kept and not leftover.exists()
    assert "all is" in server.admin("verify", snapshots(place)[-1])


def test_a_snapshot_with_holes_removes_nothing(server):
    who, place = account(server, "holly", 2), new_dir(server, "holes")
    backup(server, place)
    state = server.maildir(who) / "state.db"
    state.write_bytes(b"no database at all" * 100)
    server.own(state)
    text = refused(server, "backup", place, "--keep-daily", "0", "--keep-weekly", "0",
                   "--keep-monthly", "0")
    assert "state.db" in text and len(snapshots(place)) == 2  # both of this day
    assert "failed" in (place / "status").read_text()
    state.unlink()
    backup(server, place)


# --- bringing back


def test_messages_come_back_while_clients_watch(server):
    who, place = account(server, "mona", 5), new_dir(server, "messages")
    client = server.connect_imap(who)
    client.select("INBOX")
    client.store("2", "+FLAGS", "(\\Answered $Forwarded work)")
    date = client.fetch("2", "(INTERNALDATE)")[1][0]
    body = client.fetch("2", "(BODY.PEEK[])")[1][0][1]
    message_id = email.message_from_bytes(body)["Message-ID"]
    backup(server, place)
    client.store("1:*", "+FLAGS", "\\Deleted")
    client.expunge()

    def restored(*options):
        rows = server.admin_json("restore", place, who, *options)
        return sorted(r["subject"] for r in rows if r["state"] == "restored")

    rows = server.admin_json("restore", place, who, "--message-id", message_id, "--dry-run")
    assert [r["state"] for r in rows] == ["would be restored"] and not subjects(server, who)
    assert restored("--message-id", message_id) == ["mona 1"]
    assert restored("--message-id", message_id.strip("<>")) == []  # it is there
    client.noop()
    flags = client.fetch("1", "(FLAGS)")[1][0]
    for flag in (b"\\Answered", b"$Forwarded", b"work"):
        assert flag in flags
    assert date.split(b"INTERNALDATE")[1] == client.fetch("1", "(INTERNALDATE)")[1][0].split(
        b"INTERNALDATE")[1]
    assert client.fetch("1", "(BODY.PEEK[])")[1][0][1] == body
    assert b"UID 6" in client.fetch("1", "(UID)")[1][0]  # 2 is gone for good

    assert restored("--uid", "1,4", "--mailbox", "INBOX") == ["mona 0", "mona 3"]
    assert restored("--header", "subject: MONA 4") == ["mona 4"]
    assert restored("--search", "text 2") == ["mona 2"]
    assert restored("--since", "1h", "--into", "Found/again") == [f"mona {n}" for n in range(5)]
    assert restored("--since", "1h", "--into", "Found/again") == []
    assert "no such message" in refused(server, "restore", place, who, "--until", "2020-01-01")
    assert subjects(server, who) == subjects(server, who, "Found/again") == [
        f"mona {n}" for n in range(5)]
    client.logout()


def test_an_older_snapshot_has_what_the_newest_lacks(server):
    who, place = account(server, "olga", 1), new_dir(server, "older")
    backup(server, place, *KEEP_ALL)
    client = server.connect_imap(who)
    client.select("INBOX")
    client.store("1", "+FLAGS", "\\Deleted")
    client.expunge()
    backup(server, place, *KEEP_ALL)
    server.admin("restore", place, who, "--header", "subject:olga 0")
    client.noop()
    assert client.fetch("1", "(UID)")[0] == "OK"
    client.logout()


def test_a_mailbox_comes_back_with_its_uids_and_mbsync_has_nothing_to_do(server, tmp_path):
    who, place = account(server, "mira", 3), new_dir(server, "mailbox")
    client = server.connect_imap(who)
    client.create("Work/Deep.er")
    client.subscribe("Work/Deep.er")
    client.select("INBOX")
    client.copy("1:3", "Work/Deep.er")
    client.select("Work/Deep.er")
    client.store("2", "+FLAGS", "(\\Flagged todo)")
    client.store("1", "+FLAGS", "\\Deleted")
    client.expunge()
    client.logout()
    sync = Mbsync(server, who, tmp_path)
    sync.sync()
    before = server_state(server, who)
    backup(server, place)
    shutil.rmtree(server.maildir(who, "Work/Deep&AC4-er"))
    rows = server.admin_json("restore", place, who, "--mailbox", "Work/Deep.er")
    assert [(r["restored"], r["how"]) for r in rows] == [(2, "made, UIDs kept")]
    assert server_state(server, who) == before
    near = sorted(p.name for p in sync.files())
    text = sync.sync()
    assert server_state(server, who) == before, text
    assert sorted(p.name for p in sync.files()) == near
    client = server.connect_imap(who)
    assert any(b"Deep.er" in line for line in client.lsub()[1])
    client.append('"Work/Deep.er"', None, None, bytes(make_message(subject="later")))
    client.select("Work/Deep.er")
    uids = [int(re.search(rb"UID (\d+)", d).group(1)) for d in client.fetch("1:*", "(UID)")[1]]
    assert uids[:2] == [2, 3] and uids[2] > 1000000  # what was given since is never given again
    client.logout()


def test_whole_account_moves_are_not_doubled(server):
    who, place = account(server, "wanda", 4), new_dir(server, "moves")
    client = server.connect_imap(who)
    client.create("Old")
    client.select("INBOX")
    client.copy("1", "Archive")
    client.uid("MOVE", "4", "Old")
    backup(server, place)
    client.uid("MOVE", "2", "Archive")  # elsewhere by now
    client.uid("MOVE", "3", "Trash")  # thrown away
    client.delete("Old")
    rows = server.admin_json("restore", place, who)
    assert subjects(server, who) == ["wanda 0", "wanda 2"]
    assert subjects(server, who, "Archive") == ["wanda 0", "wanda 1"]
    assert subjects(server, who, "Old") == ["wanda 3"]
    again = server.admin_json("restore", place, who)
    assert sum(r["restored"] for r in again) == 0 and sum(r["restored"] for r in rows) == 2
    client.logout()


def test_a_deleted_account_comes_back_with_all_that_was_its(server):
    who, place = account(server, "gone", 3), new_dir(server, "account")
    server.admin("alias", "add", who, "info@example.org")
    server.admin("account", "set", who, "--quota", "1G")
    server.admin("filter", "set", who, "-", input=b"require \"fileinto\";\nfileinto \"Archive\";\n")
    before = server_state(server, who)
    backup(server, place)
    server.admin("account", "delete", who)
    shutil.rmtree(server.maildir(who))
    rows = server.admin_json("restore", place, who, "--dry-run")
    assert sum(r["restored"] for r in rows) == 3 and not server.maildir(who).exists()
    server.admin("restore", place, who)
    after = server_state(server, who)
    assert after[0]["INBOX"] == before[0]["INBOX"] and after[1] == before[1]
    shown = server.admin_json("account", "show", who)
    assert shown["quota_kb"] == 1024 * 1024 and shown["aliases"] == ["info@example.org"]
    server.deliver("info@example.org", subject="to the alias")
    assert subjects(server, who, "Archive") == ["to the alias"]
    assert "is whole" in server.admin("doctor", check=False).stdout.decode()


def test_everything_on_a_new_machine(server):
    who, place = account(server, "nora", 3), new_dir(server, "machine")
    with Instance(relay="127.0.0.1:1", settings={"submitd.relay_tls": "none"}) as old:
        old.add_account(who)
        old.add_account("nomail@example.org")
        old.deliver(who, subject="kept")
        state = server_state(old, who)
        client = old.connect_submission(who)
        client.sendmail(who, ["out@example.net"], bytes(make_message("out@example.net", who)))
        client.quit()
        place = new_dir(old, "machine")
        snapshot, said = backup(old, place)
        assert list((snapshot / "spool" / "msg").iterdir())
        assert "there are" in refused(server, "restore", snapshot, "--everything")
        with Instance(start=False) as new:
            done = new.admin("restore", snapshot, "--everything", check=False)
            assert done.returncode == 0, done.stderr
            assert b"1 outgoing message is held" in done.stderr
            new.admin("restore", snapshot, "--everything", "--merge")  # nothing more to do
            new.start()
            new.accounts[who] = old.accounts[who]
            assert server_state(new, who) == state
            assert {a["address"] for a in new.admin_json("account", "list")} == {
                who, "nomail@example.org"}
            queue = new.admin_json("queue", "list")
            assert len(queue) == 1 and queue[0]["held"]
            assert b"out@example.net" in new.admin(
                "queue", "show", queue[0]["id"], check=False).stdout
            new.deliver(who, subject="new")
            assert subjects(new, who) == ["kept", "new"]


# --- kills and full disks


def killed(i, call, when, *args):
    done = run("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
               f"inject={call}:signal=SIGKILL:when={when}", BIN / "mailadmin", "-c", i.conf(), *args,
               check=False)
    return done.returncode != 0


def fibonacci():
    """Many early moments, some late ones."""
    a, b = 1, 2
    while True:
        yield a
        a, b = b, a + b


@pytest.fixture(scope="module")
def quiet():
    """Two accounts with six messages each, and no daemons: little to be killed in."""
    with Instance(start=False) as i:
        for name in ("kim", "lea"):
            who = i.add_account(f"{name}@example.org")
            i.admin("mailbox", "create", who, "Work")
            for n in range(6):
                box = i.maildir(who, "Work" if n > 3 else "INBOX")
                (box / "new" / f"179500000{n}.M{n}P1.host").write_bytes(
                    bytes(make_message(who, subject=f"{name} {n}")).replace(b"\r\n", b"\n"))
            i.own(i.maildir(who))
            i.admin("reindex", who)
        yield i


@pytest.mark.parametrize("call", ["openat", "linkat", "renameat,renameat2", "syncfs,fsync", "write"])
def test_a_backup_killed_anywhere(quiet, call):
    place = new_dir(quiet, f"kill-{call[:6]}")
    for when in fibonacci():
        if not killed(quiet, call, when, "backup", place):
            break
    assert when > 1
    quiet.admin("backup", place)
    snapshot, = snapshots(place)
    assert not [p.name for p in place.iterdir() if p.name.endswith((".partial", ".gone"))]
    assert len([p for p in snapshot.rglob("*") if p.parent.name in ("cur", "new")]) == 12
    assert "all is as it was saved" in quiet.admin("verify", place)


def test_an_interrupted_backup_is_gone_on_with(quiet):
    place = new_dir(quiet, "partial")
    assert killed(quiet, "syncfs", 1, "backup", place)
    assert not snapshots(place) and [p for p in place.iterdir() if p.name.endswith(".partial")]
    _, said = backup(quiet, place)
    assert said["copied_files"] < 12  # the messages were linked


@pytest.mark.parametrize("call", ["renameat,renameat2", "syncfs,fsync", "openat", "openat2"])
@pytest.mark.parametrize("lost", ["all", "some"])
def test_a_restore_killed_anywhere(quiet, call, lost):
    """The tree gone, or half of the messages: whenever it was killed, the next run leaves each message there once."""
    who, place = "lea@example.org", new_dir(quiet, f"restore-{call[:7]}-{lost}")
    backup(quiet, place)
    for when in fibonacci():
        if lost == "all":
            shutil.rmtree(quiet.maildir(who))
        else:
            for file in quiet.files(who)[::2]:
                file.unlink()
            shutil.rmtree(quiet.maildir(who, "Work"))
        was_killed = killed(quiet, call, when, "restore", place, who)
        quiet.admin("restore", place, who)
        assert in_tree(quiet, who) == [f"lea {n}" for n in range(6)]
        if not was_killed:
            break
    assert not [p for p in quiet.maildir(who).parent.iterdir() if p.name.startswith(".")]


def test_a_full_disk(server):
    """It gives up, says so and leaves no half snapshot; the one before stays."""
    if os.getuid() != 0:
        pytest.skip("only root can make a small disk")
    place = server.temp / "small"
    place.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=60m,mode=755", "none", place, check=False).returncode:
        pytest.skip("no mounts here")
    try:
        server.own(place)
        who = account(server, "fulvia")
        backup(server, place)
        client = server.connect_imap(who)
        for n in range(3):
            client.append("INBOX", None, None,
                          bytes(make_message(subject=f"big {n}", body="x" * 70 + "\n")) + b"y" * (9 << 20))
        client.logout()
        text = refused(server, "backup", place)
        assert "free_space_floor" in text or "no space" in text.lower(), text
        assert len(snapshots(place)) == 1
        assert not [p for p in place.iterdir() if p.name.endswith(".partial")]
        assert "all is" in server.admin("verify", place)
        assert "failed" in (place / "status").read_text()
    finally:
        run("umount", place)


def test_doctor_knows(server):
    with Instance(start=False, settings={"backup.dir": str(server.temp / "doctor")}) as i:
        def says():
            return [f for f in json.loads(
                i.admin("doctor", "--json", check=False).stdout) if f["check"] == "backup"]

        assert says()[0]["status"] == "fail"
        place = server.temp / "doctor"
        place.mkdir()
        i.own(place)
        assert "no backup yet" in says()[0]["text"]
        i.admin("backup")
        assert says()[0]["status"] == "ok"
        status = place / "status"
        status.write_text(re.sub(r"\d{9,}", lambda m: str(int(m.group()) - 3 * 86400),
                                 status.read_text()))
        assert says()[0]["status"] == "fail" and "hours old" in says()[0]["text"]
        assert killed(i, "syncfs", 1, "backup")
        assert "was stopped" in says()[0]["text"]
