"""Expunged messages, kept and brought back: mailadmin undelete."""

import json
import os
import re
from email.header import decode_header, make_header

import pytest
from sanger import Instance, make_message, wait_for

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def instance():
    with Instance() as i:
        yield i


def account(instance, name):
    return instance.add_account(f"{name}@example.org")


def fill(instance, address, *subjects, mailbox="INBOX"):
    client = instance.connect_imap(address)
    if mailbox != "INBOX":
        client.create(mailbox)
    for n, subject in enumerate(subjects):
        message = make_message(address, subject=subject, sender=f"s{n}@example.net")
        status, _ = client.append(mailbox, r"(\Seen $Work)", '"17-Jul-1996 02:44:25 -0700"',
                                  bytes(message))
        assert status == "OK"
    return client


def subjects(client, mailbox="INBOX"):
    client.select(mailbox, readonly=True)
    _, rows = client.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    found = [(int(re.search(rb"UID (\d+)", r[0]).group(1)),
              str(make_header(decode_header(r[1].decode().split(":", 1)[1].strip()))))
             for r in rows if isinstance(r, tuple)]
    client.unselect()
    return sorted(found)


def expunge(client, mailbox="INBOX", uids="1:*"):
    client.select(mailbox)
    assert client.uid("STORE", uids, "+FLAGS", r"(\Deleted)")[0] == "OK"
    assert client.expunge()[0] == "OK"
    client.unselect()


def test_list_and_bring_back(instance):
    ann = account(instance, "lister")
    client = fill(instance, ann, "Rechnung März", "Lunch", "Rechnung April")
    usage = instance.admin_json("quota", "show", ann)
    expunge(client)
    assert subjects(client) == []
    rows = instance.admin_json("undelete", ann, "--list")
    assert [(r["mailbox"], r["uid"], r["subject"]) for r in rows] == [
        ("INBOX", 1, "Rechnung März"), ("INBOX", 2, "Lunch"), ("INBOX", 3, "Rechnung April")]
    assert rows[0]["until"] == rows[0]["expunged"] + 7 * 86400
    table = instance.admin("undelete", ann, "--list")
    assert "Lunch" in table and "s1@example.net" in table
    # nothing is done without a choice, nor with --dry-run
    assert instance.admin("undelete", ann, check=False).returncode == 64
    assert len(json.loads(instance.admin("undelete", ann, "--subject", "RECHNUNG", "--dry-run",
                                         "--json"))) == 2
    assert subjects(client) == []
    done = instance.admin_json("undelete", ann, "--subject", "rechnung")
    assert done == [{"mailbox": "INBOX", "messages": 2, "uids": "4:5", "gone": 0}]
    assert subjects(client) == [(4, "Rechnung März"), (5, "Rechnung April")]
    client.select("INBOX")
    _, row = client.uid("FETCH", "4", "(FLAGS INTERNALDATE)")
    assert rb"\Seen" in row[0] and b"$Work" in row[0] and rb"\Deleted" not in row[0]
    assert b"17-Jul-1996" in row[0]
    instance.admin("undelete", ann, "--message-id", rows[1]["message_id"], "--into", "Found")
    assert [s for _, s in subjects(client, "Found")] == ["Lunch"]
    assert instance.admin("undelete", ann, "--all", check=False).returncode == 1
    assert instance.admin_json("quota", "show", ann) == usage
    client.logout()


def test_idle_client_sees_them_come_back(instance):
    ann = account(instance, "idler")
    client = fill(instance, ann, "One")
    expunge(client)
    client.select("INBOX")
    client.send(b"i1 IDLE\r\n")
    assert client.readline().startswith(b"+")
    instance.admin("undelete", ann, "--all")
    line = client.readline()
    assert line == b"* 1 EXISTS\r\n", line
    client.send(b"DONE\r\n")
    while not client.readline().startswith(b"i1 "):
        pass
    client.logout()


def test_deleted_and_renamed_mailboxes(instance):
    ann = account(instance, "boxes")
    client = fill(instance, ann, "A", "B", mailbox="Lists/C.x")
    client.delete("Lists/C.x")
    fill(instance, ann, "D", mailbox="Old").logout()
    expunge(client, "Old")
    client.rename("Old", "New")
    assert {r["mailbox"] for r in instance.admin_json("undelete", ann, "--list")} == {
        "Lists/C.x", "Old"}
    instance.admin("undelete", ann, "--all")
    assert [s for _, s in subjects(client, "Lists/C.x")] == ["A", "B"]
    assert [s for _, s in subjects(client, "New")] == ["D"]
    assert instance.admin_json("undelete", ann, "--list") == []
    client.logout()


def test_move_keeps_nothing_and_the_tree_stays_a_maildir(instance):
    ann = account(instance, "mover")
    client = fill(instance, ann, "One", "Two")
    client.select("INBOX")
    assert client.uid("MOVE", "1", "Trash")[0] == "OK"
    assert instance.admin_json("undelete", ann, "--list") == []
    client.unselect()
    expunge(client)
    tree = instance.maildir(ann)
    assert (tree / "sanger-expunged").is_dir()
    assert "sanger-expunged" not in str(client.list())
    for path, _, _ in os.walk(tree / "sanger-expunged"):
        assert os.stat(path).st_mode & 0o077 == 0
    client.logout()


@pytest.mark.once
def test_kill_during_many_expunges(instance):
    """kill -9 of imapd in the middle: each message is in the mailbox or kept, once."""
    ann = account(instance, "killed")
    count = 250
    client = instance.connect_imap(ann)
    for n in range(count):
        client.append("INBOX", None, None, f"Subject: n{n}\r\n\r\nx\r\n".encode())
    client.select("INBOX")
    client.uid("STORE", "1:*", "+FLAGS.SILENT", r"(\Deleted)")
    kept = instance.maildir(ann) / "sanger-expunged"
    client.send(b"k1 EXPUNGE\r\n")
    wait_for(lambda: len(list(kept.glob("mailbox-*/*-*"))) >= 1, "the first to be kept")
    instance.kill("imapd")
    instance.start_one("imapd")
    client = instance.connect_imap(ann)
    here = [s for _, s in subjects(client)]
    there = [r["subject"] for r in instance.admin_json("undelete", ann, "--list")]
    assert sorted(here + there) == sorted(f"n{n}" for n in range(count))
    instance.admin("undelete", ann, "--all")
    assert sorted(s for _, s in subjects(client)) == sorted(f"n{n}" for n in range(count))
    client.logout()
