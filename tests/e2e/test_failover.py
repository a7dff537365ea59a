"""A standby takes over from a copy: standby-sync, mailadmin promote, and the old primary that comes back."""

import os
import re
import subprocess
import threading
import time

import pytest
from sanger import BIN, TOP, Instance, make_message, run, wait_for
from test_clients import Mbsync

ANN, BOB = "ann@example.org", "bob@example.org"


def uids(i, address, mailbox="INBOX"):
    """{Message-ID: [UIDs]} and the UIDVALIDITY."""
    client = i.connect_imap(address)
    client.select(mailbox, readonly=True)
    validity = client.response("UIDVALIDITY")[1][0]
    found = {}
    for row in client.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]:
        if isinstance(row, tuple):
            name = row[1].decode().split(":", 1)[1].strip()
            found.setdefault(name, []).append(int(re.search(rb"UID (\d+)", row[0]).group(1)))
    client.logout()
    return found, validity


class Load(threading.Thread):
    """Delivers by LMTP until it is stopped; `taken` are the Message-IDs that were acknowledged."""

    def __init__(self, i, address):
        super().__init__()
        self.i, self.address, self.taken, self.ended = i, address, [], threading.Event()

    def run(self):
        while not self.ended.is_set():
            message = make_message(self.address, subject=f"load {len(self.taken)}")
            try:
                self.i.deliver(self.address, bytes(message))
            except Exception:  # the primary has just been killed
                return
            self.taken.append(message["Message-ID"])


class Flags(threading.Thread):
    """A client that flags all messages again and again: files are renamed under the copy's hands."""

    def __init__(self, i, address):
        super().__init__()
        self.i, self.address, self.ended = i, address, threading.Event()

    def run(self):
        n = 0
        try:
            client = self.i.connect_imap(self.address)
            client.select("INBOX")
            while not self.ended.is_set():
                n += 1
                client.uid("STORE", "1:*", "+FLAGS" if n % 2 else "-FLAGS", r"(\Flagged)")
                client.noop()
                self.ended.wait(0.2)
        except Exception:
            return


def sync(primary, standby_dir, check=True):
    return run(TOP / "admin" / "standby-sync", "-c", primary.conf(), standby_dir, check=check,
               env=primary.environment())


@pytest.fixture
def pair(tmp_path):
    with Instance() as primary:
        snapshots = primary.dir / "snapshots"
        snapshots.mkdir()
        primary.own(snapshots)
        conf = primary.conf().read_text()
        with Instance(start=False) as standby:
            copies = standby.dir / "mail.standby"
            primary.conf().write_text(
                conf + f"\n[backup]\ndir = {snapshots}\n[standby]\npeer = {copies}\n")
            yield primary, standby, copies


def promote_fails(i, *args):
    done = i.admin("promote", *args, check=False)
    assert done.returncode == 1, done
    return (done.stdout + done.stderr).decode()


@pytest.mark.once
def test_failover_under_load(pair, tmp_path):
    primary, standby, copies = pair
    for address in (ANN, BOB):
        primary.add_account(address)
    before = [primary.deliver(ANN, subject=f"first {n}") for n in range(30)]
    assert len(before) == 30
    primary.admin("mailbox", "create", ANN, "Empty")
    mbsync = Mbsync(primary, ANN, tmp_path)
    mbsync.sync()
    load, flags = Load(primary, ANN), Flags(primary, ANN)
    load.start()
    flags.start()
    sync(primary, copies)
    wait_for(lambda: len(load.taken) > 40, "some load")
    acknowledged = list(load.taken)  # before the last sync begins
    sync(primary, copies)
    # what comes now is seen by clients, and is not in the copy
    wait_for(lambda: len(load.taken) > len(acknowledged) + 20, "more load")
    flags.ended.set()
    flags.join()
    mbsync.sync()
    seen, validity = uids(primary, ANN)
    for daemon in ("imapd", "lda", "submitd", "managesieved"):
        primary.kill(daemon)
    load.ended.set()
    load.join()

    assert "ok" in standby.admin("promote", "--dry-run")
    assert not list((standby.dir / "mail").glob("example.org"))
    for n in range(5):  # killed at some point: the same command goes on
        with subprocess.Popen([BIN / "mailadmin", "-c", standby.conf(), "promote"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=standby.environment()) as promotion:
            time.sleep(0.01 * n)
            promotion.kill()
    done = standby.admin("promote", check=False)
    assert b"This host is the primary" in done.stdout or b"primary already" in done.stderr, done
    standby.accounts.update(primary.accounts)
    standby.start()
    there, validity_there = uids(standby, ANN)
    assert validity_there == validity
    assert all(len(u) == 1 for u in there.values()), "nothing is doubled"
    missing = [m for m in acknowledged if m not in there]
    assert not missing, "everything acknowledged before the last sync is there"
    highest = max(u for us in seen.values() for u in us)
    for name, (uid,) in there.items():
        if uid <= highest:
            assert seen[name] == [uid], "no UID stands for another message than before"
    kept = {name for name, (uid,) in there.items() if uid <= highest}
    assert len(kept) >= 30

    # the client goes on, and loads nothing that it has a second time
    old = {p.name.split(",")[0]: p.stat().st_ino for p in mbsync.files()}
    rc = mbsync.rc.read_text().replace(f"Port {primary.imaps}", f"Port {standby.imaps}")
    mbsync.rc.write_text(rc.replace(str(primary.dir), str(standby.dir)))
    new = make_message(ANN, subject="after the fail-over")
    standby.deliver(ANN, bytes(new))
    mbsync.sync()
    now = {p.name.split(",")[0]: p for p in mbsync.files()}
    again = [p for name, p in now.items() if name not in old]
    fresh = {name for name, (uid,) in uids(standby, ANN)[0].items() if uid > highest}
    assert len(again) == len(fresh), "only what has a new UID was loaded"
    assert new["Message-ID"] in fresh and min(
        u for name in fresh for u in uids(standby, ANN)[0][name]) > highest + 1000000
    texts = [p.read_bytes() for p in mbsync.files()]
    assert sum(b"after the fail-over" in t for t in texts) == 1

    # the old primary comes back
    role = primary.dir / "mail" / "sanger-role"
    assert "role primary" in role.read_text()
    refused = sync(primary, copies, check=False)
    assert refused.returncode == 1 and b"has become the primary" in refused.stderr
    role.write_text(re.sub(r"^boot .*", "boot another", role.read_text(), flags=re.M))
    started = primary.tool("instance", "start", primary.dir, check=False)
    assert started.returncode != 0 and b"may have become the primary" in started.stderr
    assert "has become the primary" in promote_fails(primary, "--after-boot")
    assert "role retired" in role.read_text()
    assert "retired" in promote_fails(primary)
    assert primary.tool("instance", "start", primary.dir, check=False).returncode != 0
    assert primary.admin_json("standby", "status")["role"] == "retired"
    for command in ("cleanup", "publish"):  # nor does it tell the relay anything
        assert b"another host" in primary.admin(command, check=False).stderr


@pytest.mark.once
def test_spool_checks_and_reboots(pair):
    primary, standby, copies = pair
    primary.add_account(ANN)
    primary.admin("queue", "hold", "--all", check=False)
    # a relay that is down: the message waits in the spool
    conf = primary.conf().read_text()
    primary.conf().write_text(re.sub(r"^relay = .*", "relay = 127.0.0.1:1", conf, flags=re.M))
    primary.restart()
    client = primary.connect_submission(ANN)
    client.sendmail(ANN, ["x@example.net"], bytes(make_message("x@example.net", ANN)))
    client.quit()
    assert "no whole copy" in promote_fails(standby, "--dry-run")
    sync(primary, copies)
    # a reboot of the primary: the standby says that it is none yet
    primary.stop()
    role = primary.dir / "mail" / "sanger-role"
    role.write_text(re.sub(r"^boot .*", "boot another", role.read_text(), flags=re.M))
    assert primary.tool("instance", "start", primary.dir, check=False).returncode != 0
    copies.rename(copies.with_name("away"))
    assert "cannot be asked" in promote_fails(primary, "--after-boot")
    copies.with_name("away").rename(copies)
    assert "still the primary" in primary.admin("promote", "--after-boot")
    primary.start()
    sync(primary, copies)
    assert len(list(copies.glob("copy.*"))) == 1
    assert b"got a copy 0 minutes ago" in primary.admin("doctor", check=False).stdout
    assert standby.admin_json("standby", "status")["accounts"] == 1
    # what cannot be: daemons that run, mail that is here already, a damaged database
    standby.start()
    assert "is running here" in promote_fails(standby)
    standby.stop()
    other = standby.dir / "mail" / "example.com"
    other.mkdir()
    assert "there is mail" in promote_fails(standby)
    other.rmdir()
    database = copies / "current" / "user.db"
    good = database.read_bytes()
    database.write_bytes(good[:100] + b"\xff" * 900 + good[1000:])
    assert "damaged" in promote_fails(standby)
    assert not (copies / "promoted").exists()
    database.write_bytes(good)
    # stopped half-way: the same command goes on, and daemons do not start in between
    (standby.dir / "user.db").chmod(0o600)
    spool = standby.dir / "spool"
    spool.rename(spool.with_name("spool.away"))
    spool.write_text("in the way")
    assert "give the command again" in promote_fails(standby)
    assert b"was not finished" in standby.tool(
        "instance", "start", standby.dir, check=False).stderr
    spool.unlink()
    spool.with_name("spool.away").rename(spool)
    out = standby.admin("promote")
    assert "1 messages are held" in out
    standby.accounts.update(primary.accounts)
    standby.start()
    rows = standby.admin_json("queue", "list")
    assert len(rows) == 1 and rows[0]["held"]
    assert uids(standby, ANN)[0] == {}
    assert "already" in promote_fails(standby)
    assert os.path.exists(standby.dir / "mail" / "sanger-role")
