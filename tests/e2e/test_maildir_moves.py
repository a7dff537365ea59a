"""Mail moves in from Dovecot and Courier trees and out to Dovecot: same UIDVALIDITY, UIDs, flags, keywords, dates and
bytes, while the other server runs, in several runs, and after a kill."""

import email.utils
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from dovecot import Dovecot
from sanger import BIN, Instance, make_message, run, wait_for
from test_adoption import courier_tree, fill_dovecot

ADDRESS = "ann@example.org"
RARE = [f"rare{n}" for n in range(40)]


def state(client, separator):
    """All that a client sees: per mailbox UIDVALIDITY, UIDNEXT and, by UID, flags, date and bytes; and subscriptions."""
    boxes = {}
    for line in client.list()[1]:
        name = re.search(rb'"[./]" "?([^"]*)"?$', line).group(1).decode()
        answer = client.select(f'"{name}"', readonly=True)
        assert answer[0] == "OK", (line, answer)
        messages = {}
        answer = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]
        for item in answer:
            if not isinstance(item, tuple):
                continue
            head, body = item
            flags = frozenset(f for f in re.search(rb"FLAGS \((.*?)\)", head).group(1).split()
                              if f != b"\\Recent")
            date = email.utils.parsedate_to_datetime(
                re.search(rb'INTERNALDATE "([^"]*)"', head).group(1).decode().strip())
            messages[int(re.search(rb"UID (\d+)", head).group(1))] = (flags, date, body)
        numbers = {key: int(re.search(rb"%s (\d+)" % key.encode(), client.status(
            f'"{name}"', f"({key})")[1][0]).group(1)) for key in ("UIDVALIDITY", "UIDNEXT")}
        boxes[name.replace(separator, "/")] = (numbers["UIDVALIDITY"], numbers["UIDNEXT"], messages)
    subscribed = {re.search(rb'"?([^" ]*)"?$', line).group(1).decode().replace(separator, "/")
                  for line in client.lsub()[1] if line}
    client.logout()
    return boxes, subscribed


def dovecot_state(d, user=ADDRESS):
    return state(d.connect(user), ".")


def sanger_state(i, user=ADDRESS):
    return state(i.connect_imap(user), "/")


def expect_same(there, here, uidnext=True):
    for name, (validity, following, messages) in there.items():
        assert here[name][0] == validity, name
        assert here[name][2] == messages, name
        if uidnext:
            assert here[name][1] == following, name
    for name in set(here) - set(there):
        assert not here[name][2], name


def fill(d):
    """Mailboxes with gaps in their UIDs, dates of long ago, and more keywords than letters."""
    fill_dovecot(d, ADDRESS, per_folder=12)
    client = d.connect(ADDRESS)
    client.create('"Sent Items"')
    client.append('"Sent Items"', "(\\Seen)", '"01-Feb-2003 04:05:06 +0000"',
                  bytes(make_message(subject="long ago")))
    client.create("Keywords")
    for n in range(45):
        client.append("Keywords", None, None, bytes(make_message(subject=f"k {n}")))
    client.select("Keywords")
    for n, word in enumerate(RARE):
        client.store(f"{n + 1}:{n + 3}", "+FLAGS", f"({word})")
    client.logout()


def tree(d, user=ADDRESS):
    local, domain = user.split("@")
    return d.mail / domain / local


def import_maildir(i, *args, check=True):
    done = i.admin("import", "maildir", *args, "--json", check=check)
    return {row["mailbox"]: row for row in json.loads(done)} if check else done


@pytest.mark.once
def test_from_dovecot_in_runs_and_back():
    with Dovecot() as d, Instance() as i:
        fill(d)
        i.add_account(ADDRESS)
        # A first look, which changes nothing, then the first copy while Dovecot is at work.
        dry = import_maildir(i, ADDRESS, tree(d), "--dry-run")
        assert dry["INBOX"]["copied"] == 10 and not i.files(ADDRESS)
        first = import_maildir(i, ADDRESS, tree(d), "--running")
        assert first["INBOX"]["copied"] == first["INBOX"]["uids_kept"] == 10
        there = dovecot_state(d)
        here = sanger_state(i)
        letters = {w.encode() for w in RARE}
        beyond = there[0].pop("Keywords"), here[0].pop("Keywords")
        expect_same(there[0], here[0])
        assert beyond[0][0] == beyond[1][0] and set(beyond[0][2]) == set(beyond[1][2])
        assert there[1] <= here[1]
        client = i.connect_imap(ADDRESS)
        assert any(b"\\Sent" in line and b'"Sent Items"' in line for line in client.list()[1])
        client.logout()

        # Dovecot goes on: new mail, flags, an expunge; here somebody deletes and flags too.
        client = d.connect(ADDRESS)
        client.select("INBOX")
        client.store("2", "+FLAGS", "(\\Flagged late)")
        client.store("4", "-FLAGS", "(\\Answered touched)")
        client.store("1", "+FLAGS", "\\Deleted")
        gone = client.uid("SEARCH", "1")[1][0].decode()
        client.expunge()
        client.append("INBOX", "(\\Draft)", None, bytes(make_message(subject="between the runs")))
        client.logout()
        client = i.connect_imap(ADDRESS)
        client.select("INBOX")
        deleted = client.uid("SEARCH", "5")[1][0].decode()
        client.store("5", "+FLAGS", "\\Deleted")
        client.expunge()
        client.store("5", "+FLAGS", "mine")
        mine = int(client.uid("SEARCH", "5")[1][0])
        client.logout()
        second = import_maildir(i, ADDRESS, tree(d))
        assert second["INBOX"]["copied"] == 1 and second["INBOX"]["changed"] == 2
        assert second["INBOX"]["gone"] == 1
        third = import_maildir(i, ADDRESS, tree(d), "--expunge")
        assert third["INBOX"]["copied"] == third["INBOX"]["changed"] == 0
        there, here = dovecot_state(d)[0], sanger_state(i)[0]
        expected = dict(there["INBOX"][2])
        del expected[int(deleted)]
        flags, *rest = expected[mine]
        expected[mine] = (flags | {b"mine"}, *rest)
        assert here["INBOX"][2] == expected and int(gone) not in expected
        assert here["INBOX"][0] == there["INBOX"][0]
        assert len(letters) == 40


@pytest.mark.once
def test_to_dovecot_and_back(tmp_path):
    with Instance() as i, Dovecot() as d:
        i.add_account(ADDRESS)
        i.add_account("bob@example.org")
        client = i.connect_imap(ADDRESS)
        for name in ("Work", "Work/Deep", "Entw&APw-rfe", "v1.2"):
            client.create(name)
        client.subscribe("Work/Deep")
        for n in range(60):
            client.append("Work", "(\\Seen odd)" if n % 2 else None,
                          '"01-Feb-2003 04:05:06 +0000"' if n % 3 else None,
                          bytes(make_message(subject=f"w {n}", body="x\n" * n)))
        client.append("v1.2", "(\\Draft \\Flagged \\Answered)", None, bytes(make_message()))
        client.select("Work")
        for n, word in enumerate(RARE):
            client.store(f"{n + 1}:{n + 4}", "+FLAGS", f"({word})")
        client.store("7:9,60", "+FLAGS", "\\Deleted")
        client.expunge()
        client.logout()
        here = sanger_state(i)
        out = i.temp / "out"
        out.mkdir()
        i.own(out)
        rows = json.loads(i.admin("export", "maildir", "--all", out, "--json"))
        work = next(r for r in rows if r["mailbox"] == "Work")
        assert work["messages"] == 56 and work["keywords_beyond"] == len(RARE) + 1 - 26
        assert i.admin("export", "maildir", ADDRESS, out / "example.org" / "ann",
                       check=False).returncode == 1
        shutil.copytree(out / "example.org", d.mail / "example.org")
        i.own(d.mail)
        there = dovecot_state(d)
        there[0]["v1.2"] = there[0].pop("v1_2")
        expect_same(here[0], there[0])
        assert "Work/Deep" in there[1]

        # Hard links, on one file system.
        i.admin("export", "maildir", ADDRESS, out / "linked", "--link")
        inodes = {p.stat().st_ino for p in i.files(ADDRESS, "Work")}
        assert {p.stat().st_ino for p in (out / "linked" / ".Work" / "cur").iterdir()} == inodes

        # And from there once more, into another account, as Dovecot left it.
        import_maildir(i, "bob@example.org", tree(d))
        again = sanger_state(i, "bob@example.org")
        again[0]["v1.2"] = again[0].pop("v1_2")
        expect_same(here[0], again[0])


def plain_tree(root, count, first=1, validity=4711):
    """A Dovecot tree by its documented format; UIDs grow by two."""
    for sub in ("cur", "new", "tmp"):
        (root / sub).mkdir(parents=True, exist_ok=True)
    lines = [f"3 V{validity} N{2 * (first + count)} G0123456789abcdef0123456789abcdef"]
    for n in range(first, first + count):
        base = f"1700000000.M{n}P1.host"
        (root / "cur" / f"{base}:2,S").write_bytes(b"Subject: %d\n\nline\n" % n)
        os.utime(root / "cur" / f"{base}:2,S", (1000000000 + n, 1000000000 + n))
        lines.append(f"{2 * n} :{base}")
    (root / "dovecot-uidlist").write_text("\n".join(lines) + "\n")


def uids(i, address, mailbox="INBOX"):
    client = i.connect_imap(address)
    client.select(mailbox, readonly=True)
    found = [int(u) for u in client.uid("SEARCH", "ALL")[1][0].split()]
    validity = int(client.response("UIDVALIDITY")[1][0])
    client.logout()
    return validity, found


@pytest.mark.once
def test_killed_merged_and_met_by_new_mail(tmp_path):
    with Instance() as i:
        for name in ("ann", "bob", "eve"):
            i.add_account(f"{name}@example.org")
        source = i.temp / "source"
        plain_tree(source, 1500)
        # Killed again and again, at whatever point: nothing is lost or doubled.
        for delay in (0.02, 0.05, 0.1, 0.2):
            p = subprocess.Popen([str(BIN / "mailadmin"), "-c", str(i.conf()), "import", "maildir",
                                  "ann@example.org", str(source)], stdout=subprocess.DEVNULL)
            time.sleep(delay)
            p.send_signal(signal.SIGKILL)
            p.wait()
        row = import_maildir(i, "ann@example.org", source)["INBOX"]
        assert row["uids_kept"] == row["messages"] == 1500
        assert uids(i, "ann@example.org") == (4711, list(range(2, 3002, 2)))
        assert import_maildir(i, "ann@example.org", source)["INBOX"]["copied"] == 0

        # An account that has mail keeps its UIDs and gets the rest behind them, once.
        i.deliver("bob@example.org", subject="first")
        before = uids(i, "bob@example.org")
        plain_tree(tmp_path / "few", 3)
        for copied in (3, 0):
            row = import_maildir(i, "bob@example.org", tmp_path / "few")["INBOX"]
            assert row["copied"] == copied and row["uids_kept"] == 0
        assert uids(i, "bob@example.org") == (before[0], [1, 2, 3, 4])

        # Mail came in between two runs under a UID that the other server has given meanwhile: clients must look anew.
        import_maildir(i, "eve@example.org", tmp_path / "few")
        assert uids(i, "eve@example.org") == (4711, [2, 4, 6])
        i.deliver("eve@example.org", subject="too early")
        assert uids(i, "eve@example.org") == (4711, [2, 4, 6, 8])
        plain_tree(tmp_path / "few", 4)
        row = import_maildir(i, "eve@example.org", tmp_path / "few")["INBOX"]
        assert row["copied"] == 1 and not row["same_uidvalidity"]
        validity, now = uids(i, "eve@example.org")
        assert validity != 4711 and len(now) == 5


@pytest.mark.once
def test_other_layouts_and_all(tmp_path):
    with Instance() as i:
        root = i.temp / "trees"
        for name in ("courier", "fs", "packed", "mdbox", "place", "none"):
            i.add_account(f"{name}@example.org")
            (root / name).mkdir(parents=True)
        (root / "none").rmdir()
        (root / "stranger").mkdir()
        shutil.rmtree(root / "courier")
        courier_tree(root / "courier")
        plain_tree(root / "fs", 2)
        plain_tree(root / "fs" / "Work" / "v1.2", 3)
        plain_tree(root / "packed", 3)
        for n, path in enumerate(sorted((root / "packed" / "cur").iterdir())):
            path.write_bytes((gzip.compress(path.read_bytes()), b"BZh91AY", b"plain\n\nx\n")[n])
        for sub in ("storage", "mailboxes"):
            (root / "mdbox" / sub).mkdir()
        plain_tree(root / "place", 2)
        plain_tree(root / "place" / ".Spam", 2)
        i.own(root)
        done = import_maildir(i, "--all", "--layout", "%n", root, check=False)
        said = done.stderr.decode()
        rows = {(r["account"].split("@")[0], r["mailbox"]): r for r in json.loads(done.stdout)}
        assert done.returncode == 1 and "mdbox" in said and "packed with bzip2" in said
        assert "stranger: no account" in said and "1 account has no tree" in said
        assert rows["courier", "Lists/foo"]["uids_kept"] == 1
        assert rows["fs", "Work/v1.2"]["uids_kept"] == 3
        assert rows["packed", "INBOX"]["copied"] == 2 and rows["packed", "INBOX"]["failed"] == 1
        client = i.connect_imap("packed@example.org")
        client.select("INBOX", readonly=True)
        assert client.uid("FETCH", "2", "(BODY.PEEK[])")[1][0][1] == b"Subject: 1\r\n\r\nline\r\n"
        client.logout()

        # In place: one rename, and the names stay.
        for name in ("ann", "cat"):
            i.add_account(f"{name}@example.org")
        i.deliver("cat@example.org")
        names = sorted(p.name for p in (root / "place" / ".Spam" / "cur").iterdir())
        if os.getuid() == 0:
            os.chown(root / "place" / "cur" / names[0], 0, 0)
            done = import_maildir(i, "ann@example.org", root / "place", "--in-place", check=False)
            assert done.returncode == 1 and b"chown -R" in done.stderr
            i.own(root)
        done = import_maildir(i, "cat@example.org", root / "place", "--in-place", check=False)
        assert done.returncode == 1 and b"has mail already" in done.stderr
        i.admin("mailbox", "list", "ann@example.org")
        (i.maildir("ann@example.org") / "sanger-expunged").mkdir(exist_ok=True)
        (i.maildir("ann@example.org") / "sanger-expunged" / "kept").touch()
        i.own(i.maildir("ann@example.org"))
        row = import_maildir(i, "ann@example.org", root / "place", "--in-place")["Spam"]
        assert (i.maildir("ann@example.org") / "sanger-expunged" / "kept").exists()
        assert row["uids_kept"] == 2 and not (root / "place").exists()
        assert uids(i, "ann@example.org", "Spam") == (4711, [2, 4])
        assert sorted(p.name for p in i.maildir("ann@example.org", "Spam").glob("cur/*")) == names
        i.deliver("ann@example.org")
        assert uids(i, "ann@example.org") == (4711, [2, 4, 6])
        client = i.connect_imap("ann@example.org")
        assert any(b"\\Junk" in line and b"Spam" in line for line in client.list()[1])
        client.logout()


@pytest.mark.once
def test_log_and_complaints():
    """A message is followed through submission, spool, relay (the instance itself), delivery and redirect."""
    with Instance() as i:
        for name in ("ann", "bob", "eve"):
            i.add_account(f"{name}@example.org")
        i.admin("filter", "set", "bob@example.org", "-", input=b'require "copy"; redirect :copy "eve@example.org";\n')
        message = make_message("bob@example.org", "ann@example.org")
        client = i.connect_submission("ann@example.org")
        client.send_message(message)
        client.send_message(make_message("bob@example.org", "ann@example.org", subject="other"))
        client.quit()
        i.deliver("eve@example.org", subject="unrelated")
        wait_for(lambda: len(i.files("eve@example.org")) == 3, "both messages, redirected")
        wait_for(lambda: i.log().count("relayed") + i.log().count(" sent ") >= 0 and
                 i.log().count("account=eve@example.org") >= 3, "the log")

        def groups(*args):
            return json.loads(i.admin("log", *args, "--json"))
        whole = wait_for(lambda: (lambda g: g if len(g) == 1 and any(
            "account=eve@example.org" in line for line in g[0]["lines"]) else None)(
                groups(message["Message-ID"])), "the whole story")
        events = [re.search(r" (?:info|warn) (\w+)(?: s=\S+)? (\S+)", line) for line in whole[0]["lines"]]
        events = [f"{m[1]} {m[2]}" for m in events]
        assert events[0] == "submitd queued" and "lda message" in events
        assert {"lda delivered", "lda redirected"} <= set(events), events
        assert not any("unrelated" in line for line in whole[0]["lines"])
        # by another end of it, and from rotated files
        spool = re.search(r"spool=(\S+)", "\n".join(whole[0]["lines"])).group(1)
        assert groups(spool) == whole
        log = i.dir / "log" / "sanger.log"
        lines = log.read_bytes().splitlines(keepends=True)
        half = next(n for n, line in enumerate(lines) if b" redirected " in line)
        with gzip.open(f"{log}.1.gz", "wb") as out:
            out.writelines(lines[:half])
        os.utime(f"{log}.1.gz", (1, 1))
        (i.temp / "rest").write_bytes(b"".join(lines[half:]))
        os.replace(i.temp / "rest", log)
        i.own(log.parent)
        assert groups(spool) == whole
        assert i.admin("log", "nobody@nowhere.example", check=False).returncode == 1

        report = (
            b"From: <fbl@isp.example>\r\nTo: eve@example.org\r\nMIME-Version: 1.0\r\n"
            b'Content-Type: multipart/report; report-type="feedback-report"; boundary=b\r\n\r\n'
            b"--b\r\n\r\nA complaint.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
            b"%s: abuse\r\nVersion: 1\r\nOriginal-Rcpt-To: <user@isp.example>\r\nSource-IP: 192.0.2.7\r\n"
            b"\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + bytes(message) + b"\r\n--b--\r\n")
        i.deliver("eve@example.org", message=report % b"Feedback-Type")
        i.deliver("eve@example.org", message=report % b"Type")
        done = i.admin("arf", "eve@example.org", "INBOX", "--json", check=False)
        rows, said = json.loads(done.stdout), done.stderr.decode()
        assert done.returncode == 0 and len(rows) == 1
        assert rows[0]["type"] == "abuse" and rows[0]["recipient"] == "user@isp.example"
        assert rows[0]["message_id"] == message["Message-ID"].strip("<>")
        assert "3 messages are no feedback report" in said and "without Feedback-Type" in said
        assert json.loads(i.admin("arf", i.maildir("eve@example.org"), "--json"))[0]["source_ip"] == "192.0.2.7"
