"""Trees of Dovecot and Courier are served in place: same UIDs, UIDVALIDITY, flags, keywords and
subscriptions; nothing that is there is changed; and one can go back."""

import os
import pathlib
import re
import shutil

import pytest

import courier
from dovecot import Dovecot
from sanger import Instance, make_message, run
from test_clients import Mbsync, server_state


def fill_dovecot(d, user, per_folder=30):
    client = d.connect(user)
    for name in ("Work", "Work.Deep", "Entw&APw-rfe"):
        client.create(name)
    client.subscribe("Work")
    client.subscribe("Entw&APw-rfe")
    for name in ("INBOX", "Work", "Work.Deep", "Entw&APw-rfe"):
        for n in range(per_folder):
            flags = ("(\\Seen)", "(\\Answered $Label1)", "(\\Flagged custom)", None)[n % 4]
            client.append(name, flags, None, bytes(make_message(subject=f"{name} {n}")))
        client.select(name)
        client.store("3,5,9", "+FLAGS", "\\Deleted")
        client.expunge()
        client.append(name, None, None, bytes(make_message(subject=f"{name} last")))
        client.store("1:*", "+FLAGS", "(touched)")
    client.logout()


def dovecot_state(d, user, separator="."):
    client = d.connect(user)
    state, validity = {}, {}
    for line in client.list()[1]:
        name = line.decode().rsplit(f' "{separator}" ', 1)[1].strip('"')
        client.select(f'"{name}"', readonly=True)
        validity[name.replace(separator, "/")] = client.response("UIDVALIDITY")[1][0]
        found = {}
        for item in client.uid("FETCH", "1:*", "(UID FLAGS RFC822.SIZE)")[1]:
            if item is None:
                continue
            flags = re.search(rb"FLAGS \((.*?)\)", item).group(1).split()
            found[int(re.search(rb"UID (\d+)", item).group(1))] = (
                frozenset(f for f in flags if f != b"\\Recent"),
                int(re.search(rb"RFC822.SIZE (\d+)", item).group(1)))
        state[name.replace(separator, "/")] = found
    subscribed = {line.decode().rsplit(" ", 1)[1].strip('"').replace(separator, "/")
                  for line in client.lsub()[1] if line}
    client.logout()
    return state, validity, subscribed


def adopt(i, d, address):
    """Puts Dovecot's tree where the instance keeps its own."""
    local, domain = address.split("@")
    target = i.dir / "mail" / domain
    target.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target / local, ignore_errors=True)
    shutil.copytree(d.mail / domain / local, target / local, symlinks=True)
    i.own(i.dir / "mail")
    return target / local


def listing(root):
    return {str(p.relative_to(root)): p.stat().st_ino for p in pathlib.Path(root).rglob("*")
            if p.is_file() and p.parent.name in ("cur", "new")}


@pytest.mark.once
def test_dovecot_tree_and_back(tmp_path):
    address = "ann@example.org"
    with Dovecot() as d, Instance(start=False) as i:
        fill_dovecot(d, address)
        before = dovecot_state(d, address)
        i.add_account(address)
        root = adopt(i, d, address)
        names = listing(root)
        i.start()
        state, validity = server_state(i, address)
        for name, messages in before[0].items():
            assert state[name] == messages, name
            assert validity[name] == before[1][name]
        client = i.connect_imap(address)
        subscribed = {re.search(rb'"/" "?([^"]*)"?$', line).group(1).decode()
                      for line in client.lsub()[1] if line}
        assert before[2] <= subscribed
        client.logout()
        # messages keep their names
        assert set(names) <= set(listing(root))

        # work goes on under Sanger …
        for n in range(5):
            i.deliver(address, subject=f"new {n}")
        client = i.connect_imap(address)
        client.select("INBOX")
        client.store("1:4", "+FLAGS", "(\\Answered newword)")
        client.append("Work", "(\\Seen)", None, bytes(make_message(subject="appended")))
        client.store("6", "+FLAGS", "\\Deleted")
        client.expunge()
        client.logout()
        now, now_validity = server_state(i, address)
        i.stop()
        # … and then back: Dovecot serves the tree with the same UIDs
        shutil.rmtree(d.mail / "example.org" / "ann")
        shutil.copytree(root, d.mail / "example.org" / "ann")
        i.own(d.mail)
        back = dovecot_state(d, address)
        for name in before[0]:
            assert back[0][name] == now[name], name
            assert back[1][name] == now_validity[name]


@pytest.mark.once
def test_no_client_downloads_anything_again(tmp_path):
    """mbsync has synced with Dovecot; after the move to Sanger it finds nothing to do."""
    address = "ann@example.org"
    with Dovecot(separator="/") as d, Instance(start=False) as i:
        client = d.connect(address)
        for n in range(50):
            client.append("INBOX", "(\\Seen)" if n % 2 else None, None,
                          bytes(make_message(subject=f"n {n}")))
        client.logout()

        class Door:
            imaps, accounts = d.imaps, {address: d.password}
            dir = d.dir / "as-instance"
        (Door.dir / "tls").mkdir(parents=True)
        shutil.copy(d.cert, Door.dir / "tls" / "cert.pem")
        sync = Mbsync(Door, address, tmp_path)
        sync.sync()
        before = {p.name: p.stat().st_ino for p in sync.files()}
        assert len(before) == 50
        i.add_account(address, password=d.password)
        adopt(i, d, address)
        i.start()
        text = sync.rc.read_text().replace(f"Port {d.imaps}", f"Port {i.imaps}").replace(
            str(Door.dir / "tls"), str(i.dir / "tls"))
        sync.rc.write_text(text)
        sync.sync()
        assert {p.name: p.stat().st_ino for p in sync.files()} == before
        i.deliver(address, subject="one more")
        sync.sync()
        after = {p.name: p.stat().st_ino for p in sync.files()}
        assert len(after) == 51 and set(before.items()) <= set(after.items())


def courier_tree(root):
    """A tree as Courier leaves it, by its documented formats."""
    for sub in ("cur", "new", "tmp"):
        (root / sub).mkdir(parents=True)
    lines = ["1 1234567 107"]
    for uid in (101, 103, 106):
        base = f"17000000{uid}.M1P2.host,S={len(bytes(make_message()))}"
        (root / "cur" / f"{base}:2,S").write_bytes(b"Subject: courier %d\n\nx\n" % uid)
        lines.append(f"{uid} {base}")
    (root / "courierimapuiddb").write_text("\n".join(lines) + "\n")
    folder = root / ".Lists.foo"
    for sub in ("cur", "new", "tmp"):
        (folder / sub).mkdir(parents=True)
    (folder / "maildirfolder").touch()
    (folder / "courierimapuiddb").write_text("1 7654321 43\n42 1700000042.a.host\n")
    (folder / "cur" / "1700000042.a.host:2,FR").write_bytes(b"Subject: list\n\nx\n")
    (root / "courierimapsubscribed").write_text("INBOX.Lists.foo\n")


def test_courier_tree():
    address = "ann@example.org"
    with Instance(start=False) as i:
        i.add_account(address)
        root = i.maildir(address)
        shutil.rmtree(root, ignore_errors=True)
        courier_tree(root)
        i.own(i.dir / "mail")
        names = set(listing(root))
        i.start()
        state, validity = server_state(i, address)
        assert set(state["INBOX"]) == {101, 103, 106} and validity["INBOX"] == b"1234567"
        assert set(state["Lists/foo"]) == {42} and validity["Lists/foo"] == b"7654321"
        assert state["Lists/foo"][42][0] == {b"\\Flagged", b"\\Answered"}
        client = i.connect_imap(address)
        assert any(b"Lists/foo" in line for line in client.lsub()[1])
        client.logout()
        assert set(listing(root)) == names
        i.deliver(address, subject="new")
        state, _ = server_state(i, address)
        assert max(state["INBOX"]) >= 107


def fill_courier(maildir):
    """By Courier itself: folders, keywords, gaps where messages were, subscriptions."""
    courier.make_maildir(maildir)
    with courier.connect(maildir) as client:
        names = ("INBOX", "INBOX.Work", "INBOX.Work.Deep", "INBOX.Entw&APw-rfe")
        for name in names[1:]:
            client.create(f'"{name}"')
        client.subscribe("INBOX.Work")
        client.subscribe('"INBOX.Entw&APw-rfe"')
        for name in names:
            for n in range(12):
                flags = ("(\\Seen)", "(\\Answered $Label1)", "(\\Flagged custom)", None)[n % 4]
                client.append(f'"{name}"', flags, None, bytes(make_message(subject=f"{name} {n}")))
            client.select(f'"{name}"')
            client.store("3,5,9", "+FLAGS", "\\Deleted")
            client.expunge()
            client.append(f'"{name}"', None, None, bytes(make_message(subject=f"{name} last")))
            client.store("2:4", "+FLAGS", "(touched)")
            client.store("4", "-FLAGS", "(touched)")


def test_real_courier_tree_and_back(tmp_path):
    address = "ann@example.org"
    with Instance(start=False) as i:
        i.add_account(address)
        root = i.maildir(address)
        shutil.rmtree(root, ignore_errors=True)
        fill_courier(tmp_path / "Maildir")
        shutil.copytree(tmp_path / "Maildir", root)
        i.own(i.dir / "mail")
        there, validities, subscribed = courier.state(tmp_path / "Maildir")
        assert len(there) == 4 and all(len(box) == 10 for box in there.values())
        names = set(listing(root))
        i.start()
        state, validity = server_state(i, address)
        assert {box: state[box] for box in there} == there
        assert {box: validity[box] for box in there} == validities
        client = i.connect_imap(address)
        assert {re.search(r'"/" "?(.*?)"?$', line.decode()).group(1)
                for line in client.lsub()[1]} == subscribed - {"INBOX"}  # which Courier always shows
        client.logout()
        assert set(listing(root)) == names

        # going back: what was there has its UIDs, what came since has new ones
        i.deliver(address, subject="by Sanger")
        wait = server_state(i, address)[0]["INBOX"]
        assert len(wait) == 11
        i.stop()
        run("chown", "-R", f"{os.getuid()}:{os.getgid()}", root)
        back, validities_back, _ = courier.state(root)
        assert validities_back == validities
        assert {uid: box for uid, box in back["INBOX"].items() if uid in there["INBOX"]} == there["INBOX"]
        assert {box: back[box] for box in there if box != "INBOX"} == {
            box: there[box] for box in there if box != "INBOX"}
