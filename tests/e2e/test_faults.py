"""When disks fail, fill up or lie: temporary errors to the peer, nothing half-written to be seen,
nothing acknowledged that is not there, and work goes on when the fault is over."""

import contextlib
import os
import re
import signal
import smtplib
import subprocess

import pytest

from sanger import Instance, make_message, run, wait_for
from test_clients import server_state

pytestmark = pytest.mark.once


@contextlib.contextmanager
def failing(i, daemon, call, error, when="1"):
    """Makes a system call of the daemon's workers fail: the n-th, or `1+` for all."""
    procs = []
    for pid in i.workers(daemon):
        p = subprocess.Popen(["strace", "-f", "-q", "-e", f"trace={call}", "-e",
                              f"inject={call}:error={error}:when={when}", "-o", "/dev/null",
                              "-p", str(pid)], stderr=subprocess.PIPE)
        procs.append(p)
    for p, pid in zip(procs, i.workers(daemon)):
        wait_for(lambda: re.search(r"TracerPid:\s+[1-9]", open(f"/proc/{pid}/status").read()),
                 "strace to attach")
    try:
        yield
    finally:
        for p in procs:
            p.send_signal(signal.SIGINT)
            p.wait(60)


def tmp_files(i, address, mailbox="INBOX"):
    return list((i.maildir(address, mailbox) / "tmp").iterdir())


@pytest.mark.parametrize("call,error,code", [
    ("fsync", "EIO", 451), ("fsync", "ENOSPC", 452), ("renameat2", "EIO", 451)])
def test_failed_calls_in_a_delivery(call, error, code):
    with Instance(settings={"lda.workers": "1"}) as i:
        i.add_account("ann@example.org")
        i.deliver("ann@example.org", subject="before")
        with failing(i, "lda", call, error, when="1+"):
            with pytest.raises(smtplib.SMTPResponseException) as e:
                i.deliver("ann@example.org", subject="unlucky")
            assert e.value.smtp_code == code
        assert len(i.files("ann@example.org")) == 1
        assert not tmp_files(i, "ann@example.org")
        i.deliver("ann@example.org", subject="after")
        assert len(i.files("ann@example.org")) == 2


def test_directory_sync_fails():
    """The second fsync of a delivery: the message must not stay after the 451."""
    with Instance(settings={"lda.workers": "1"}) as i:
        i.add_account("ann@example.org")
        i.deliver("ann@example.org", subject="before")
        with failing(i, "lda", "fsync", "EIO", when="2"):
            failures = 0
            for n in range(4):  # strace counts for each thread
                try:
                    i.deliver("ann@example.org", subject=f"try {n}")
                except smtplib.SMTPResponseException:
                    failures += 1
        texts = [p.read_bytes() for p in i.files("ann@example.org")]
        assert failures >= 1
        assert len(texts) == 5 - failures


@pytest.mark.parametrize("call,error", [("fsync", "EIO"), ("fsync", "ENOSPC"), ("renameat2", "EIO")])
def test_failed_calls_in_an_append(call, error):
    with Instance(settings={"imapd.workers": "1"}) as i:
        i.add_account("ann@example.org")
        client = i.connect_imap("ann@example.org")
        client.append("INBOX", None, None, bytes(make_message(subject="before")))
        with failing(i, "imapd", call, error, when="1+"):
            status, text = client.append("INBOX", None, None, bytes(make_message(subject="unlucky")))
            assert status == "NO", text
        assert client.select("INBOX")[1] == [b"1"]
        assert not tmp_files(i, "ann@example.org")
        assert client.append("INBOX", None, None, bytes(make_message(subject="after")))[0] == "OK"
        assert client.select("INBOX")[1] == [b"2"]
        client.logout()


def test_copy_and_flags_fail_cleanly():
    with Instance(settings={"imapd.workers": "1"}) as i:
        i.add_account("ann@example.org")
        client = i.connect_imap("ann@example.org")
        for n in range(3):
            client.append("INBOX", None, None, bytes(make_message(subject=f"{n}")))
        client.append("Archive", None, None, bytes(make_message(subject="there")))
        client.select("INBOX")
        with failing(i, "imapd", "fsync", "EIO", when="1+"):
            assert client.copy("1:3", "Archive")[0] == "NO"
            assert client._simple_command("MOVE", "1:3", "Archive")[0] == "NO"
        assert client.select("Archive")[1] == [b"1"]
        assert client.select("INBOX")[1] == [b"3"]
        assert client.copy("1:3", "Archive")[0] == "OK"
        assert client.select("Archive")[1] == [b"4"]
        client.logout()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
def test_full_disk():
    with Instance(start=False, settings={"store.free_space_floor": "1M", "lda.workers": "1"}) as i:
        run("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", i.dir / "mail")
        try:
            i.own(i.dir / "mail")
            i.start()
            i.add_account("ann@example.org")
            delivered, refused = 0, None
            for n in range(200):
                try:
                    i.deliver("ann@example.org", bytes(make_message(subject=f"n{n}"))
                              + (b"z" * 78 + b"\r\n") * 1500)
                    delivered += 1
                except smtplib.SMTPResponseException as e:
                    refused = e.smtp_code
                    break
                except smtplib.SMTPSenderRefused as e:
                    refused = e.smtp_code
                    break
            assert refused == 452 and delivered > 5
            assert len(i.files("ann@example.org")) == delivered
            # reading and deleting go on
            client = i.connect_imap("ann@example.org")
            assert client.select("INBOX")[1] == [str(delivered).encode()]
            assert client.fetch("1:*", "(FLAGS ENVELOPE)")[0] == "OK"
            assert client.append("INBOX", None, None, b"Subject: x\r\n\r\n" + b"y" * 4000000)[0] == "NO"
            client.store("1:5", "+FLAGS", "\\Deleted")
            assert client.expunge()[0] == "OK"
            client.logout()
            i.deliver("ann@example.org", subject="there is room again")
            assert not tmp_files(i, "ann@example.org")
        finally:
            i.stop()
            run("umount", "-l", i.dir / "mail", check=False)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a small file system")
def test_full_spool():
    with Instance(start=False, relay="127.0.0.1:9", settings={"store.free_space_floor": "1M"}) as i:
        run("mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", i.dir / "spool")
        try:
            i.own(i.dir / "spool")
            i.start()
            i.add_account("ann@example.org")
            accepted, refused = 0, None
            for n in range(200):
                client = i.connect_submission("ann@example.org")
                try:
                    client.sendmail("ann@example.org", ["b@example.net"],
                                    bytes(make_message(subject=f"n{n}")) + (b"z" * 78 + b"\r\n") * 2000)
                    accepted += 1
                except smtplib.SMTPResponseException as e:
                    refused = e.smtp_code
                    break
                finally:
                    client.close()
            assert refused == 452 and accepted > 3
            assert len(i.admin_json("queue", "list")) == accepted
        finally:
            i.stop()
            run("umount", "-l", i.dir / "spool", check=False)


def prepared(i, address="ann@example.org"):
    i.add_account(address)
    client = i.connect_imap(address)
    for n in range(20):
        client.append("INBOX", "(\\Seen word)" if n % 2 else None, None,
                      bytes(make_message(subject=f"{n}")))
    client.select("INBOX")
    client.store("3", "+FLAGS", "\\Deleted")
    client.expunge()
    client.logout()
    return server_state(i, address)


@pytest.mark.parametrize("damage", [b"this is no database" * 1000, b"", None],
                         ids=["garbage", "empty", "overwritten"])
def test_damaged_index(damage):
    with Instance() as i:
        before = prepared(i)
        i.stop()
        for path in (i.dir / "mail").rglob("index.db*"):
            if damage is None:
                data = bytearray(path.read_bytes())
                for at in range(4096, len(data), 512):
                    data[at:at + 64] = b"\xff" * min(64, len(data) - at)
                path.write_bytes(data)
            elif path.name == "index.db":
                path.write_bytes(damage)
            else:
                path.unlink()
        i.start()
        assert server_state(i, "ann@example.org") == before


def test_damaged_sanger_mailbox_gives_a_higher_uidvalidity():
    with Instance() as i:
        before = prepared(i)
        i.stop()
        for path in (i.dir / "mail").rglob("index.db*"):
            path.unlink()
        (i.maildir("ann@example.org") / "sanger-mailbox").write_bytes(b"\0\1garbage")
        i.start()
        after = server_state(i, "ann@example.org")
        assert int(after[1]["INBOX"]) > int(before[1]["INBOX"])
        assert len(after[0]["INBOX"]) == 19
        assert sorted(after[0]["INBOX"].values(), key=str) == sorted(
            before[0]["INBOX"].values(), key=str)
        assert after[1]["Sent"] == before[1]["Sent"]


def test_damaged_account_db_is_temporary():
    with Instance() as i:
        prepared(i)
        i.stop()
        for path in i.dir.glob("user.db*"):
            data = path.read_bytes()
            path.write_bytes(data[:100] + b"\xee" * (len(data) - 100))
        done = i.tool("instance", "start", i.dir, check=False)
        if done.returncode == 0:  # found out at the first question
            client = i.connect_lmtp()
            client.ehlo_or_helo_if_needed()
            client.mail("s@example.net")
            assert client.rcpt("ann@example.org")[0] == 451
            client.close()
        else:
            assert b"account-db" in done.stderr


def test_files_that_come_and_go_by_other_hands():
    """mutt, rsync and rm on the tree while a session looks."""
    with Instance() as i:
        prepared(i)
        client = i.connect_imap("ann@example.org")
        client.select("INBOX")
        files = i.files("ann@example.org")
        files[0].unlink()
        files[1].rename(str(files[1]).split(":2,")[0] + ":2,FRS")
        new = i.maildir("ann@example.org") / "new" / "1700000000.1.elsewhere"
        new.write_bytes(b"Subject: laid down\n\nx\n")
        i.own(new)
        copy = i.maildir("ann@example.org") / "cur" / files[2].name.replace("Q", "Qx")
        copy.write_bytes(files[2].read_bytes())  # the same U=: not to be believed
        i.own(copy)

        def settled():
            client.noop()
            return client.select("INBOX")[1] == [b"20"]
        wait_for(settled, "the session to see it all")
        data = client.uid("FETCH", "1:*", "(FLAGS RFC822.SIZE)")[1]
        uids = [int(re.search(rb"UID (\d+)", d).group(1)) for d in data]
        assert uids == sorted(set(uids)) and len(uids) == 20
        assert any(b"\\Answered" in d and b"\\Flagged" in d for d in data)
        client.logout()
