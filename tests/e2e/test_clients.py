"""Real mail clients: mbsync, mutt, python imaplib; and many messages."""

import os
import re
import threading
import time

import pytest

from sanger import BIN, Instance, make_message, run, run_on_screen, temp_dir, wait_for


def laid_out(i, address, folders, per_folder):
    """Fills mailboxes by lda, which is quicker than a dialogue per message; returns the subjects."""
    client = i.connect_imap(address)
    for folder in folders:
        if folder != "INBOX":
            client.create(f'"{folder}"')
        for n in range(per_folder):
            message = bytes(make_message(address, subject=f"{folder} {n}", body=f"Text {n}\n" * (n % 7)))
            client.append(f'"{folder}"', "(\\Seen)" if n % 3 == 0 else None, None, message)
    client.logout()


class Mbsync:
    """mbsync between one account and a local Maildir."""

    def __init__(self, i, address, home, name="local"):
        self.home = home / name
        self.home.mkdir()
        self.rc = self.home / "rc"
        self.rc.write_text(f"""
IMAPAccount a
Host localhost
Port {i.imaps}
User {address}
Pass {i.accounts[address]}
SSLType IMAPS
CertificateFile {i.dir}/tls/cert.pem

IMAPStore remote
Account a

MaildirStore local
Path {self.home}/mail/
Inbox {self.home}/mail/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
""")
        (self.home / "mail").mkdir()

    def sync(self):
        """Returns the totals that mbsync prints: (far, near) as lists of added, flagged, trashed."""
        out = run("mbsync", "-c", self.rc, "-V", "-a", env=dict(os.environ, HOME=str(self.home)))
        text = out.stdout.decode() + out.stderr.decode()
        return text

    def files(self, folder="INBOX"):
        box = self.home / "mail" / folder
        return [p for sub in ("new", "cur") for p in sorted((box / sub).glob("*"))]


def server_state(i, address):
    """{mailbox: {uid: (flags, size)}} and the UIDVALIDITYs, by IMAP."""
    client = i.connect_imap(address)
    state, validity = {}, {}
    for line in client.list()[1]:
        name = re.match(rb'\(.*?\) "/" (?:"(.*)"|(\S+))$', line)
        name = (name.group(1) or name.group(2)).decode()
        if b"\\Noselect" in line or b"\\NonExistent" in line:
            continue
        client.select(f'"{name}"', readonly=True)
        validity[name] = client.response("UIDVALIDITY")[1][0]
        data = client.uid("FETCH", "1:*", "(UID FLAGS RFC822.SIZE)")[1]
        state[name] = {}
        for item in data:
            if item is None:
                continue
            m = re.search(rb"UID (\d+)", item)
            flags = re.search(rb"FLAGS \((.*?)\)", item).group(1).split()
            size = re.search(rb"RFC822.SIZE (\d+)", item).group(1)
            state[name][int(m.group(1))] = (frozenset(f for f in flags if f != b"\\Recent"), int(size))
    client.logout()
    return state, validity


@pytest.mark.once
def test_mbsync_two_way(tmp_path):
    with Instance() as i:
        i.add_account("ann@example.org")
        folders = ["INBOX", "Work", "Work/Deep.er", "Lists", "Grüße".encode("utf-7").decode()
                   .replace("+", "&")]
        laid_out(i, "ann@example.org", folders, 400)  # 2 000 messages
        sync = Mbsync(i, "ann@example.org", tmp_path)
        sync.sync()
        assert len(sync.files()) == 400
        total = sum(len(list(p.glob("cur/*"))) + len(list(p.glob("new/*")))
                    for p in [d.parent for d in (sync.home / "mail").rglob("cur")])
        assert total == 2000

        # flags, deletes and moves from both sides
        client = i.connect_imap("ann@example.org")
        client.select("INBOX")
        client.store("1:10", "+FLAGS", "(\\Flagged)")
        client.store("11:20", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client._simple_command("MOVE", "1:5", "Lists")
        client.logout()
        near = sync.files("Work")
        for p in near[:7]:
            name = p.name if ":2," in p.name else p.name + ":2,"
            p.rename(p.parent.parent / "cur" / (name + "R" if "R" not in name else name))
        for p in near[7:12]:
            p.unlink()
        moved = sync.files("Lists")[0]
        moved.rename(sync.home / "mail" / "INBOX" / "cur" / re.sub(r",U=\d+", "", moved.name))
        (sync.home / "mail" / "New one" / "cur").mkdir(parents=True)
        for sub in ("new", "tmp"):
            (sync.home / "mail" / "New one" / sub).mkdir()
        (sync.home / "mail" / "New one" / "new" / "1.2.3").write_bytes(bytes(make_message(subject="near")))
        sync.sync()
        state, _ = server_state(i, "ann@example.org")
        assert len(state["INBOX"]) == 400 - 10 - 5 + 1
        assert len(state["Lists"]) == 400 + 5 - 1
        assert len(state["Work"]) == 395
        assert sum(b"\\Answered" in flags for flags, _ in state["Work"].values()) == 7
        assert len(state["New one"]) == 1
        near_flagged = [p for p in sync.files() if "F" in p.name.split(":2,")[-1]]
        assert len(near_flagged) == 5

        # and again, with nothing to do
        before = server_state(i, "ann@example.org")
        text = sync.sync()
        assert server_state(i, "ann@example.org") == before
        assert "Opening" in text or text == "" or "+0" in text
        assert not re.search(r"[+*#][1-9]", text.splitlines()[-1] if text else "")


def test_mutt(tmp_path):
    with Instance() as i:
        i.add_account("ann@example.org")
        i.deliver("ann@example.org", subject="for mutt", body="Read by mutt.\n")
        (tmp_path / "cert.pem").write_bytes((i.dir / "tls" / "cert.pem").read_bytes())
        (tmp_path / "muttrc").write_text(f"""
set folder = "imaps://localhost:{i.imaps}"
set spoolfile = "imaps://localhost:{i.imaps}/INBOX"
set imap_user = "ann@example.org"
set imap_pass = "{i.accounts["ann@example.org"]}"
set certificate_file = "{tmp_path}/cert.pem"
set ssl_force_tls = yes
set timeout = 5
set confirmappend = no
set delete = yes
set mbox_type = Maildir
unset wait_key
push "<pipe-message>cat > {tmp_path}/read<enter><copy-message>=Archive<enter><tag-pattern>~A<enter><flag-message><sync-mailbox><delete-message><quit>"
""")
        run_on_screen(f"mutt -n -F {tmp_path}/muttrc", tmp_path)
        assert "Read by mutt." in (tmp_path / "read").read_text()
        client = i.connect_imap("ann@example.org")
        assert client.select("INBOX")[1] == [b"0"]
        assert client.select("Archive")[1] == [b"1"]
        assert b"for mutt" in client.fetch("1", "(BODY[HEADER])")[1][0][1]
        client.logout()


def test_imaplib(instance):
    client = instance.connect_imap("ann@example.org", starttls=True)
    message = bytes(make_message(subject="Ümlaut", body="ä\n"))
    status, data = client.append("INBOX", "(\\Flagged custom)", '"17-Jul-1996 02:44:25 -0700"', message)
    assert status == "OK" and b"APPENDUID" in data[0]
    client.select("INBOX")
    status, data = client.fetch("1", "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
    assert data[0][1] == message
    assert b'"17-Jul-1996 09:44:25 +0000"' in data[0][0] or b"17-Jul-1996 02:44:25 -0700" in data[0][0]
    assert b"custom" in data[0][0] and b"\\Flagged" in data[0][0]
    assert client.search(None, "FLAGGED")[1] == [b"1"]
    assert client.search("UTF-8", "SUBJECT", '"x"')[1] == [b""]
    assert client.copy("1", "Archive")[0] == "OK"
    client.logout()


def test_idle_hears_of_a_delivery(instance):
    client = instance.connect_imap("ann@example.org")
    client.select("INBOX")
    client.send(b"x1 IDLE\r\n")
    assert client.readline().startswith(b"+")
    instance.deliver("ann@example.org")
    line = client.readline()
    assert line == b"* 1 EXISTS\r\n"
    client.send(b"DONE\r\n")
    while not client.readline().startswith(b"x1 OK"):
        pass
    client.logout()


def test_idle_hears_of_flags_by_others(instance):
    instance.deliver("ann@example.org")
    one = instance.connect_imap("ann@example.org")
    two = instance.connect_imap("ann@example.org")
    one.select("INBOX")
    two.select("INBOX")
    one.send(b"x1 IDLE\r\n")
    assert one.readline().startswith(b"+")
    two.store("1", "+FLAGS", "\\Answered")
    line = one.readline()
    assert line.startswith(b"* 1 FETCH") and b"\\Answered" in line
    two.store("1", "+FLAGS", "\\Deleted")
    assert b"\\Deleted" in one.readline()
    two.expunge()
    assert one.readline() == b"* 1 EXPUNGE\r\n"
    one.send(b"DONE\r\n")
    while not one.readline().startswith(b"x1 OK"):
        pass


def state_of_everything(i, address):
    client = i.connect_imap(address)
    subscribed = sorted(client.lsub()[1])
    client.logout()
    return server_state(i, address), subscribed


@pytest.mark.once
def test_index_deleted_under_load():
    """The tree is the truth: index.db may vanish at any time."""
    with Instance() as i:
        i.add_account("ann@example.org")
        laid_out(i, "ann@example.org", ["INBOX", "Work"], 120)
        client = i.connect_imap("ann@example.org")
        client.select("Work")
        client.store("1:50", "+FLAGS", "(\\Answered $Label1 custom)")
        client.store("60:70", "+FLAGS", "(\\Deleted)")
        client.expunge()
        client.logout()
        before = state_of_everything(i, "ann@example.org")
        stop = threading.Event()
        errors, delivered = [], []

        def load(name):
            try:
                session = i.connect_imap("ann@example.org")
                session.select("INBOX")
                n = 0
                while not stop.is_set():
                    n += 1
                    assert session.append("Archive", None, None, bytes(
                        make_message(subject=f"{name} {n}")))[0] == "OK"
                    delivered.append(f"{name} {n}")
                    assert session.fetch("1:5", "(FLAGS ENVELOPE)")[0] == "OK"
                    assert session.noop()[0] == "OK"
                session.logout()
            except Exception as e:  # seen by the main thread
                errors.append(e)
        threads = [threading.Thread(target=load, args=(f"t{n}",)) for n in range(4)]
        for t in threads:
            t.start()
        removed = 0
        deadline = time.monotonic() + 60
        while removed < 40 and time.monotonic() < deadline and not errors:
            for p in list((i.dir / "mail").rglob("index.db*")):
                p.unlink(missing_ok=True)
            removed += 1
            target = len(delivered) + 4
            wait_for(lambda: len(delivered) >= target or errors, "work between two removals")
        stop.set()
        for t in threads:
            t.join(60)
        assert not errors, errors
        assert removed == 40
        after = state_of_everything(i, "ann@example.org")
        for name in ("INBOX", "Work"):
            assert after[0][0][name] == before[0][0][name]
        assert after[0][1] == before[0][1] and after[1] == before[1]
        client = i.connect_imap("ann@example.org")
        client.select("Archive")
        texts = [item[1] for item in client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
                 if isinstance(item, tuple)]
        subjects = sorted(re.search(rb"Subject: (.*)\r\n", t).group(1).decode() for t in texts)
        assert subjects == sorted(delivered)
        client.logout()
