"""mailadmin: every command, every error, JSON, and what doctor finds."""

import contextlib
import imaplib
import json
import os
import pathlib
import pty
import re
import signal
import smtplib
import socket
import sqlite3
import stat
import subprocess
import threading

import pytest

from sanger import BIN, TOP, Instance, free_port, make_message, run, wait_for

PASSWORD = "secret-Pw1"


@pytest.fixture(scope="module")
def box():
    """An instance that nobody has started: mailadmin works without daemons."""
    with Instance(start=False) as i:
        yield i


@pytest.fixture(scope="module")
def held():
    """A started instance whose relay is dead: what is submitted stays in the queue."""
    with Instance(relay=f"127.0.0.1:{free_port()}",
                  settings={"submitd.retry_first": "1h"}) as i:
        i.add_account("ann@example.org")
        yield i


def refused(instance, *args, status=1, **kwargs):
    """Runs a command that must fail; returns what it said."""
    done = instance.admin(*args, check=False, **kwargs)
    assert done.returncode == status, (args, done)
    assert done.stderr.startswith(b"mailadmin: "), done.stderr
    return done.stderr.decode()


def addresses(instance):
    return [a["address"] for a in instance.admin_json("account", "list")]


# --- the program


def all_commands():
    text = run(BIN / "mailadmin", "--help").stdout.decode()
    words = [line.split() for line in text.splitlines() if re.match(r"  [a-z]", line)]
    return [[w for w in line[:2] if re.fullmatch("[a-z]+(-[a-z]+)*", w)]
            if line[0] not in ("doctor", "publish", "reindex") else [line[0]] for line in words]


def test_every_command_has_help_with_an_example():
    commands = all_commands()
    assert len(commands) >= 25
    for words in commands:
        text = run(BIN / "mailadmin", *words, "--help").stdout.decode()
        assert text.startswith(f"usage: mailadmin {' '.join(words)}"), text
        assert "\nexample: mailadmin " in text, text


def test_every_command_stands_in_the_man_page():
    text = (TOP / "doc" / "man" / "mailadmin.1").read_text()
    for words in all_commands():
        assert f".It Cm {' '.join(words)}" in text, words
        usage = run(BIN / "mailadmin", *words, "--help").stdout.decode().splitlines()[0]
        entry = text.split(f".It Cm {' '.join(words)}", 1)[1].split(".It Cm ", 1)[0]
        for option in re.findall(r"--([a-z-]+)", usage):
            if option != "json":  # said once for all
                assert f"Fl -{option}" in entry, (words, option)


def test_no_command_is_undocumented_nonsense():
    text = (TOP / "doc" / "man" / "mailadmin.1").read_text()
    known = {" ".join(words) for words in all_commands()}
    for line in re.findall(r"^\.It Cm (.*)$", text, re.M):
        command = re.split(r" (?:Ar|Op|Fl|Oo)\b", line)[0]
        assert command in known, line


def test_group_help_lists_its_commands():
    out = run(BIN / "mailadmin", "queue", "--help").stdout.decode()
    assert "queue flush" in out and "account" not in out


@pytest.mark.parametrize("args", [
    (), ("nonsense",), ("account",), ("account", "nonsense"), ("account", "show"),
    ("account", "show", "a@b", "c@d"), ("account", "list", "--nonsense"),
    ("account", "list", "--json=1"), ("account", "list", "--json", "--json"),
    ("account", "add", "a@b.example", "--quota"), ("-c",),
    ("account", "add", "a@b.example", "--quota", "much", "--generate"),
    ("account", "add", "a@b.example", "--quota", "-1", "--generate"),
    ("account", "add", "a@b.example", "--generate", "--password-stdin"),
    ("account", "add", "a@b.example", "--generate", "--realname", "a\nb"),
    ("account", "add", "a@b.example", "--generate", "--realname", "x" * 300),
    ("account", "set", "a@b.example"), ("account", "set", "a@b.example", "--active", "maybe"),
    ("reindex",), ("reindex", "--all", "a@b.example"),
    ("queue", "delete"), ("queue", "hold", "x", "--all"), ("queue", "show"),
    ("mailbox", "create", "a@b.example"),
])
def test_wrong_usage_is_64(box, args):
    done = run(BIN / "mailadmin", *([] if args[:1] == ("-c",) else ["-c", box.conf()]), *args,
               check=False)
    assert done.returncode == 64, done
    assert done.stderr.startswith(b"mailadmin: ")
    assert b"--help" in done.stderr


def test_missing_configuration_is_said(box):
    done = run(BIN / "mailadmin", "-c", "/nonexistent/sanger.conf", "account", "list", check=False)
    assert done.returncode == 1
    assert b"/nonexistent/sanger.conf" in done.stderr


# --- accounts


def test_add_show_and_list(box):
    box.add_account("Ann.Smith@example.org", quota="2G", realname="Änn Smith")
    shown = box.admin_json("account", "show", "ann.smith@EXAMPLE.org")
    assert shown["quota_kb"] == 2 * 1024 * 1024
    assert shown["realname"] == "Änn Smith"
    assert shown["active"] is True and shown["scram"] is True
    assert shown["password_scheme"] == "ARGON2ID"
    assert shown["used_messages"] == 0
    assert "Ann.Smith@example.org" in addresses(box)
    assert [a["localpart"] for a in box.admin_json("account", "list", "--domain", "EXAMPLE.ORG")]
    assert box.admin_json("account", "list", "--domain", "other.example") == []
    table = box.admin("account", "list")
    assert "ADDRESS" in table and "2G" in table
    assert "Änn Smith" in box.admin("account", "show", "ann.smith@example.org")
    names = [b["name"] for b in box.admin_json("mailbox", "list", "ann.smith@example.org")]
    assert names == ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]


def test_nothing_of_it_belongs_to_root(box):
    box.add_account("owner@example.org")
    if os.getuid() != 0:
        pytest.skip("not root")
    for path in [box.dir / "user.db", *(box.dir / "mail").rglob("*")]:
        assert path.lstat().st_uid != 0, path
        assert path.lstat().st_mode & 0o007 == 0, path


@pytest.mark.parametrize("text, kb", [
    ("0", 0), ("none", 0), ("1", 1), ("1023", 1), ("1025", 2), ("10K", 10), ("500M", 512000),
    ("1T", 1 << 30)])
def test_quota_is_kept_in_kilobytes_rounded_up(box, text, kb):
    if "quota@example.org" not in addresses(box):
        box.add_account("quota@example.org")
    box.admin("account", "set", "quota@example.org", "--quota", text)
    assert box.admin_json("account", "show", "quota@example.org")["quota_kb"] == kb


def test_add_refuses_what_is_there_and_changes_nothing(box):
    box.add_account("twice@example.org")
    before = box.admin("account", "show", "twice@example.org")
    assert "exists" in refused(box, "account", "add", "TWICE@example.org", "--password-stdin",
                               input=b"another-Pw2\n")
    assert box.admin("account", "show", "twice@example.org") == before


@pytest.mark.parametrize("address", [
    "", "ann", "ann@", "@example.org", "a b@example.org", "../x@example.org", "a/b@example.org",
    ".a@example.org", "a@b@example.org", "ann@exa mple.org", "a" * 200 + "@example.org"])
def test_add_refuses_impossible_addresses(box, address):
    before = addresses(box)
    refused(box, "account", "add", "--generate", "--", address)
    assert addresses(box) == before


@pytest.mark.parametrize("given", [b"", b"\n", b"a\0b\n", b"x" * 600 + b"\n", b"bad\x07bell\n",
                                   b"\xff\xfe\n"])
def test_add_refuses_unusable_passwords(box, given):
    refused(box, "account", "add", "nopw@example.org", "--password-stdin", input=given)
    assert "nopw@example.org" not in addresses(box)


def test_password_is_needed_where_nobody_can_be_asked(box):
    refused(box, "account", "add", "nopw@example.org", status=64)
    assert "nopw@example.org" not in addresses(box)


def test_password_is_asked_for_twice_and_not_shown(box):
    def ask_for_a_password():
        pid, fd = pty.fork()
        if pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it
            os.execv(BIN / "mailadmin", ["mailadmin", "-c", str(box.conf()), "account", "add",
                                         "asked@example.org"])
        return pid, fd

    def dialogue(first, second):
        pid, fd = ask_for_a_password()
        seen = b""
        for question, answer in ((b"Password: ", first), (b"Once more: ", second)):
            while question not in seen:
                seen += os.read(fd, 1000)
            os.write(fd, answer + b"\n")
        with contextlib.suppress(OSError):
            while chunk := os.read(fd, 1000):
                seen += chunk
        os.close(fd)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen

    pid, fd = ask_for_a_password()
    wait_for(lambda: not termios_echo(fd), "the terminal to hide what is typed")
    os.write(fd, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGINT
    assert termios_echo(fd)
    os.close(fd)
    status, seen = dialogue(b"one-Pw1", b"two-Pw2")
    assert status == 1 and b"not the same" in seen
    assert "asked@example.org" not in addresses(box)
    status, seen = dialogue(b"one-Pw1", b"one-Pw1")
    assert status == 0 and b"one-Pw1" not in seen, seen
    assert "asked@example.org" in addresses(box)


def termios_echo(fd):
    import termios
    return termios.tcgetattr(fd)[3] & termios.ECHO


def test_delete_keeps_the_mail_and_says_where(box):
    box.add_account("gone@example.org")
    out = box.admin("account", "delete", "gone@example.org")
    assert str(box.maildir("gone@example.org")) in out
    assert box.maildir("gone@example.org").is_dir()
    assert "no account" in refused(box, "account", "show", "gone@example.org")
    box.add_account("gone@example.org")  # and it has its mail back


@pytest.mark.parametrize("args", [
    ("account", "show"), ("account", "set", "--quota", "1M"), ("account", "passwd", "--generate"),
    ("account", "delete"), ("account", "leave"), ("quota", "show"), ("quota", "recount"),
    ("mailbox", "list"), ("reindex",)])
def test_unknown_accounts_are_refused(box, args):
    assert "no account nobody@example.org" in refused(box, *args, "nobody@example.org")
    assert "LOCALPART@DOMAIN" in refused(box, *args, "nobody")


def test_passwords_work_and_change_at_once(instance):
    generated = instance.admin("account", "add", "bob@example.org", "--generate").strip()
    assert len(generated) >= 16 and "\n" not in generated
    instance.accounts["bob@example.org"] = generated
    instance.connect_imap("bob@example.org").logout()
    assert instance.admin("account", "passwd", "bob@example.org", "--password-stdin",
                          input=b"new-Pw2\n") == ""
    with pytest.raises(imaplib.IMAP4.error):
        instance.connect_imap("bob@example.org")
    instance.accounts["bob@example.org"] = "new-Pw2"
    instance.connect_imap("bob@example.org").logout()
    instance.admin("account", "set", "bob@example.org", "--active", "no", "--realname", "Bob")
    with pytest.raises(imaplib.IMAP4.error):
        instance.connect_imap("bob@example.org")
    assert instance.admin_json("account", "show", "bob@example.org")["realname"] == "Bob"


def test_leave_closes_the_account_and_keeps_the_text(instance):
    template = instance.temp / "left.txt"
    template.write_text("Ann has left: write to bob@example.org. Grüße\n")
    template.chmod(0o600)  # the administrator's own: the daemons' user cannot read it
    instance.admin("account", "leave", "ann@example.org", "--template", template)
    shown = instance.admin_json("account", "show", "ann@example.org")
    assert shown["active"] is False
    assert shown["leave_text"] == template.read_text()
    instance.admin("account", "leave", "ann@example.org")
    assert instance.admin_json("account", "show", "ann@example.org")["leave_text"] == ""
    template.write_text(" \n")
    refused(instance, "account", "leave", "ann@example.org", "--template", template)
    template.write_bytes(b"\xff\xff")
    refused(instance, "account", "leave", "ann@example.org", "--template", template)
    refused(instance, "account", "leave", "ann@example.org", "--template", "/nonexistent")


# --- rename


def uids(instance, address):
    client = instance.connect_imap(address)
    client.select("INBOX", readonly=True)
    found = client.uid("SEARCH", "ALL")[1][0].split()
    validity = client.untagged_responses.get("UIDVALIDITY")
    client.logout()
    return validity, found


def test_rename_takes_mail_and_uids_along(instance):
    for n in range(3):
        instance.deliver("ann@example.org", subject=f"number {n}")
    before = uids(instance, "ann@example.org")
    instance.admin("account", "rename", "ann@example.org", "Ann.Smith@example.net")
    instance.accounts["ann.smith@example.net"] = PASSWORD
    assert uids(instance, "ann.smith@example.net") == before
    assert not instance.maildir("ann@example.org").exists()
    assert not (instance.maildir("ann.smith@example.net") / "sanger-account-rename").exists()
    with pytest.raises(imaplib.IMAP4.error):
        instance.connect_imap("ann@example.org")
    instance.deliver("ann.smith@example.net", subject="another")
    assert len(uids(instance, "ann.smith@example.net")[1]) == 4


def test_rename_refuses_what_is_taken(box):
    for name in ("ra", "rb", "rc"):
        box.add_account(f"{name}@example.org")
    assert "exists" in refused(box, "account", "rename", "ra@example.org", "RB@example.org")
    assert "cannot be" in refused(box, "account", "rename", "ra@example.org", "r b@example.org")
    assert "no account" in refused(box, "account", "rename", "no@example.org", "n@example.org")
    box.admin("account", "delete", "rc@example.org")
    said = refused(box, "account", "rename", "ra@example.org", "rc@example.org")
    assert "earlier" in said and str(box.maildir("rc@example.org")) in said
    assert {"ra@example.org", "rb@example.org"} <= set(addresses(box))
    assert box.maildir("ra@example.org").is_dir()
    box.admin("account", "rename", "ra@example.org", "RA@example.org")  # only its letters
    assert "RA@example.org" in addresses(box)


def test_rename_is_finished_after_a_crash(instance):
    """As if it had been killed between tree and row, and mail had come for the old address."""
    instance.deliver("ann@example.org", subject="before")
    before = uids(instance, "ann@example.org")
    old, new = instance.maildir("ann@example.org"), instance.maildir("eve@example.org")
    (old / "sanger-account-rename").write_text("ann@example.org eve@example.org\n")
    instance.own(old)
    old.rename(new)
    instance.deliver("ann@example.org", subject="in between")
    assert old.is_dir()
    failure(instance, "mail", "account rename ann@example.org eve@example.org was stopped")
    assert "renaming was stopped" in refused(instance, "account", "add", "eve@example.org",
                                             "--generate")
    out = instance.admin("account", "rename", "ann@example.org", "eve@example.org")
    assert "1 message that came meanwhile" in out
    instance.accounts["eve@example.org"] = PASSWORD
    after = uids(instance, "eve@example.org")
    assert after[0] == before[0]
    assert after[1][0] == before[1][0] and len(after[1]) == 2


def test_rename_loses_no_mail_that_comes_meanwhile(instance):
    instance.add_account("old@example.org")
    sent, stop = [], threading.Event()

    def deliver():
        n = 0
        while not stop.is_set():
            n += 1
            try:
                instance.deliver("old@example.org", subject=f"number {n}")
                sent.append(n)
            except smtplib.SMTPRecipientsRefused as e:
                if e.recipients["old@example.org"][0] == 550:
                    return
            except smtplib.SMTPDataError as e:  # its folder moved away: the relay tries again
                assert e.smtp_code == 451
    thread = threading.Thread(target=deliver)
    thread.start()
    wait_for(lambda: len(sent) >= 5, "some deliveries")
    instance.admin("account", "rename", "old@example.org", "new@example.org")
    thread.join(20)
    stop.set()
    thread.join()
    instance.accounts["new@example.org"] = PASSWORD
    here = len(uids(instance, "new@example.org")[1])
    stray = len(instance.files("old@example.org"))
    assert here + stray == len(sent)
    assert stray <= 1  # one that had been promised before and was filed after the sweep


# --- mailboxes, quota, index


def test_mailboxes(instance):
    ann = "ann@example.org"

    def boxes():
        return {b["name"]: b for b in instance.admin_json("mailbox", "list", ann)}

    instance.admin("mailbox", "create", ann, "Projects/Käse 2026")
    assert boxes()["Projects"]["exists"] is False
    assert boxes()["Projects/Käse 2026"]["subscribed"] is False
    instance.admin("mailbox", "subscribe", ann, "Projects/Käse 2026")
    assert boxes()["Projects/Käse 2026"]["subscribed"] is True
    instance.admin("mailbox", "unsubscribe", ann, "Projects/Käse 2026")
    assert boxes()["Projects/Käse 2026"]["subscribed"] is False
    instance.admin("mailbox", "create", ann, "Stars", "--special-use", "Flagged")
    assert boxes()["Stars"]["special_use"] == "\\Flagged"
    assert "special use" in refused(instance, "mailbox", "create", ann, "S2", "--special-use",
                                    "\\Sent")
    refused(instance, "mailbox", "create", ann, "S3", "--special-use", "Nonsense", status=64)
    assert "S2" not in boxes() and "S3" not in boxes()
    assert "exists" in refused(instance, "mailbox", "create", ann, "Stars")
    refused(instance, "mailbox", "create", ann, "a//b")
    refused(instance, "mailbox", "create", ann, "x" * 300)
    assert "no mailbox" in refused(instance, "mailbox", "delete", ann, "Nope")
    assert "no mailbox" in refused(instance, "mailbox", "subscribe", ann, "Nope")
    assert "INBOX" in refused(instance, "mailbox", "delete", ann, "inbox")
    instance.admin("mailbox", "delete", ann, "Stars")
    assert "Stars" not in boxes()
    instance.deliver(ann)
    inbox = boxes()["INBOX"]
    assert inbox["messages"] == 1 and inbox["unseen"] == 1 and inbox["size_bytes"] > 100
    assert "Projects/Käse 2026" in instance.admin("mailbox", "list", ann)


def test_quota(instance):
    ann = "ann@example.org"
    instance.admin("account", "set", ann, "--quota", "100K")
    instance.deliver(ann, body="x" * 60 + "\n")
    shown = instance.admin_json("quota", "show", ann)
    assert shown["limit_bytes"] == 102400 and shown["used_messages"] == 1
    assert shown["used_bytes"] > 0 and shown["percent"] < 5
    (instance.maildir(ann) / "maildirsize").write_text("102400S\n90000 7\n")
    instance.own(instance.maildir(ann))
    assert instance.admin_json("quota", "show", ann)["used_messages"] == 7
    assert instance.admin_json("quota", "recount", ann) == shown
    assert instance.admin_json("quota", "show", ann) == shown
    assert "100K" in instance.admin("quota", "show", ann)


def test_reindex_changes_no_uid(instance):
    for n in range(3):
        instance.deliver("ann@example.org")
    before = uids(instance, "ann@example.org")
    instance.admin("reindex", "ann@example.org")
    assert uids(instance, "ann@example.org") == before
    instance.add_account("bob@example.org")
    out = instance.admin("reindex", "--all")
    assert "ann@example.org done" in out and "bob@example.org done" in out
    assert uids(instance, "ann@example.org") == before


# --- queue


def queue(instance):
    return instance.admin_json("queue", "list")


def submit(instance, *recipients):
    with instance.connect_submission("ann@example.org") as client:
        client.sendmail("ann@example.org", list(recipients), bytes(make_message(recipients[0])))


def test_queue(held):
    assert queue(held) == []
    submit(held, "x@example.net", "y@example.net")
    wait_for(lambda: queue(held) and not queue(held)[0]["claimed"]
             and queue(held)[0]["recipients"][0]["attempts"] > 0, "the first attempt")
    message, = queue(held)
    assert message["sender"] == "ann@example.org"
    assert message["account"] == "ann@example.org"
    assert message["held"] is False and message["size"] > 100
    assert message["next_attempt"] > message["received"] > 1_000_000_000
    assert {r["address"] for r in message["recipients"]} == {"x@example.net", "y@example.net"}
    assert {r["state"] for r in message["recipients"]} == {"pending"}
    assert "refused" in message["recipients"][0]["reply"].lower()
    assert held.admin_json("queue", "show", message["id"]) == message
    assert "y@example.net" in held.admin("queue", "show", message["id"])
    assert message["id"] in held.admin("queue", "list")

    held.admin("queue", "hold", message["id"])
    assert queue(held)[0]["held"] is True
    assert held.admin("queue", "flush", message["id"])
    held.admin("queue", "release", "--all")
    assert queue(held)[0]["held"] is False
    held.admin("queue", "flush")
    wait_for(lambda: queue(held)[0]["recipients"][0]["attempts"]
             > message["recipients"][0]["attempts"], "another attempt")
    for command in ("show", "flush", "hold", "release", "delete"):
        assert "no message" in refused(held, "queue", command, "0000000000000000")
        assert "no message" in refused(held, "queue", command, "../../etc/passwd")
    wait_for(lambda: held.admin("queue", "delete", message["id"], check=False).returncode == 0,
             "the message not to be on its way")
    assert queue(held) == []
    submit(held, "z@example.net")
    submit(held, "z@example.net")
    wait_for(lambda: not any(m["claimed"] for m in queue(held)), "the attempts")
    assert held.admin("queue", "delete", "--all") == "2 messages deleted\n"
    assert held.admin("queue", "delete", "--all") == "0 messages deleted\n"


# --- config


def test_config_check_names_every_mistake(box):
    assert "valid" in box.admin("config", "check")
    bad = box.temp / "bad.conf"
    bad.write_text("[imapd]\nworkres = 2\nthreads = many\n[nonsense]\n")
    for command in ("check", "list"):
        done = run(BIN / "mailadmin", "-c", bad, "config", command, check=False)
        assert done.returncode == 1
        for line in (2, 3, 4):
            assert f"bad.conf:{line}:".encode() in done.stderr, done.stderr


def test_config_list(box):
    settings = {s["name"]: s for s in box.admin_json("config", "list")}
    assert settings["server.hostname"]["value"] == "mail.example.org"
    assert settings["imapd.listen_tls"]["values"] == [f"*:{box.imaps}"]
    assert settings["imapd.autologout"]["value"] == "30m"
    assert settings["imapd.autologout"]["line"] == 0
    assert settings["store.spool"]["line"] > 0
    assert settings["store.message_size_max"]["value"] == "50M"
    assert settings["tls.sni_dir"]["value"] is None
    assert all(s["help"] for s in settings.values())
    assert "imapd.autologout" in box.admin("config", "list")


# --- doctor


def findings(instance, status=None, check=None):
    done = instance.admin("doctor", "--json", check=False)
    found = json.loads(done.stdout)
    assert done.returncode == (1 if any(f["status"] == "fail" for f in found) else 0)
    assert all((f["hint"] is None) == (f["status"] == "ok") for f in found)
    return [f for f in found if (status is None or f["status"] == status)
            and (check is None or f["check"] == check)]


def failure(instance, check, text):
    found = findings(instance, "fail", check)
    assert any(text in f["text"] for f in found), (found, findings(instance, "fail"))


@pytest.fixture(scope="module")
def patient():
    with Instance() as i:
        i.add_account("ann@example.org")
        i.deliver("ann@example.org")
        yield i


def test_doctor_finds_a_sound_instance_sound(patient):
    assert findings(patient, "fail") == []
    checks = {f["check"] for f in findings(patient, "ok")}
    assert {"config", "user", "store.mail_root", "store.account_db", "tls", "accounts", "mail",
            "spool", "ports", "relay", "space"} <= checks
    assert "0 failed" in patient.admin("doctor")


def test_doctor_finds_bad_configuration(box):
    bad = box.temp / "bad.conf"
    bad.write_text("[imapd]\nworkres = 2\n")
    done = run(BIN / "mailadmin", "-c", bad, "doctor", "--json", check=False)
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found[0]["check"] == "config" and "bad.conf:2:" in found[0]["text"]


@contextlib.contextmanager
def mode(path, bits, owner=None):
    before = path.stat()
    path.chmod(bits)
    if owner is not None:
        os.chown(path, owner, -1)
    try:
        yield
    finally:
        os.chown(path, before.st_uid, -1)
        path.chmod(stat.S_IMODE(before.st_mode))


def test_doctor_finds_wrong_permissions(patient):
    owner = 0 if os.getuid() == 0 else None
    for name, check in (("mail", "store.mail_root"), ("spool", "store.spool")):
        with mode(patient.dir / name, 0o500, owner):
            failure(patient, check, name)
    with mode(patient.dir / "mail", 0o777):
        failure(patient, "store.mail_root", "everybody may write")
    with mode(patient.dir / "mail", 0o755):
        assert any("look into" in f["text"] for f in findings(patient, "warn", "store.mail_root"))
    with mode(patient.dir / "user.db", 0o644):
        failure(patient, "store.account_db", "everybody may read")
    with mode(patient.dir / "user.db", 0o400, owner):
        failure(patient, "store.account_db", "user.db")
    with mode(patient.dir / "tls" / "key.pem", 0o644):
        failure(patient, "tls", "everybody may read the private key")
    with mode(patient.dir / "tls" / "key.pem", 0o000, owner):
        failure(patient, "tls", "cannot be read")
    if owner == 0:
        with mode(patient.dir, 0o700, 0):
            failure(patient, "store.mail_root", f"{patient.dir} is closed")
        with mode(patient.maildir("ann@example.org", "Sent"), 0o700, 0):
            failure(patient, "mail", "Sent")
    assert findings(patient, "fail") == []


def new_certificate(instance, cert, key, *options):
    """By openssl ca-less signing with dates of our choice."""
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-subj", "/CN=mail.example.org", "-keyout", key,
        "-out", instance.temp / "new.csr")
    run("openssl", "x509", "-req", "-in", instance.temp / "new.csr", "-signkey", key,
        "-out", cert, *options)
    instance.own(cert)
    instance.own(key)


def test_doctor_looks_at_the_certificate():
    with Instance(start=False) as i:
        i.add_account("ann@example.org")
        cert, key = i.dir / "tls" / "cert.pem", i.dir / "tls" / "key.pem"
        good = cert.read_bytes()

        def tls(status):
            return " | ".join(f["text"] for f in findings(i, status, "tls"))

        assert "valid for another" in tls("ok")
        new_certificate(i, cert, i.temp / "other.pem", "-days", "3650")
        assert "does not belong" in tls("fail")
        new_certificate(i, cert, key, "-days", "7")
        assert "expires in" in tls("warn")
        expired(i, cert, key)
        assert "has expired" in tls("fail")
        cert.write_bytes(b"nonsense")
        assert "no certificate" in tls("fail")
        cert.unlink()
        assert "not there" in tls("fail")
        cert.write_bytes(good)
        i.own(cert)
        run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-aes256", "-pass", "pass:secret", "-out", key)
        i.own(key)
        assert "passphrase" in tls("fail")
    with Instance(start=False, host="other.example.org",
                  settings={"server.hostname": "imap.example.org"}) as i:
        assert any("not for the name imap.example.org" in f["text"]
                   for f in findings(i, "warn", "tls"))


def expired(instance, cert, key):
    """openssl x509 makes no dates in the past: its ca does."""
    ca = instance.temp / "ca"
    ca.mkdir(exist_ok=True)
    (ca / "index.txt").write_text("")
    (ca / "serial").write_text("01\n")
    (ca / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=c\n[c]\ndir={ca}\ndatabase={ca}/index.txt\nnew_certs_dir={ca}\n"
        f"serial={ca}/serial\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n")
    run("openssl", "ca", "-batch", "-config", ca / "ca.cnf", "-selfsign", "-keyfile", key,
        "-in", instance.temp / "new.csr", "-out", cert, "-notext",
        "-startdate", "20200101000000Z", "-enddate", "20210101000000Z")
    instance.own(cert)


def test_doctor_finds_a_broken_account_database():
    with Instance(start=False) as i:
        i.add_account("ann@example.org")
        path = i.dir / "user.db"
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE account SET password = '{NONSENSE}x'")
            db.commit()
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        i.own(i.dir / "user.db")
        for extra in i.dir.glob("user.db-*"):
            i.own(extra)
        assert any("can never match" in f["text"] for f in findings(i, "warn", "accounts"))
        for extra in i.dir.glob("user.db-*"):
            extra.unlink()
        good = path.read_bytes()
        path.write_bytes(b"This is no database. " * 500)
        failure(i, "accounts", "user.db")
        damaged = bytearray(good)
        damaged[4096:] = os.urandom(len(good) - 4096)
        path.write_bytes(damaged)
        failure(i, "accounts", "user.db")
        path.unlink()
        failure(i, "accounts", "not there")
        i.admin("account", "list")
        assert findings(i, "fail", "accounts") == []


def test_doctor_finds_taken_ports_and_stopped_daemons():
    with Instance(start=False) as i:
        i.add_account("ann@example.org")
        failure(i, "ports", "imapd is not running")
        failure(i, "ports", "lda is not running")
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("127.0.0.1", i.imap))
            s.listen()

            def talk():
                with contextlib.suppress(OSError):
                    while True:
                        peer, _ = s.accept()
                        peer.sendall(b"SSH-2.0-something\r\n")
                        peer.close()
            threading.Thread(target=talk, daemon=True).start()
            failure(i, "ports", "another program listens there: SSH-2.0-something")


def test_doctor_finds_a_daemon_that_died(instance):
    instance.kill("submitd")
    failure(instance, "ports", "submitd is not running")
    assert any("imapd answers" in f["text"] for f in findings(instance, "ok", "ports"))


def test_doctor_finds_a_dead_relay(held):
    failure(held, "relay", "refused")


def test_doctor_finds_a_relay_without_tls(instance):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()

        def talk():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = s.accept()
                    peer.sendall(b"220 relay ESMTP\r\n")
                    peer.recv(1000)
                    peer.sendall(b"250 relay\r\n")
                    peer.recv(1000)
                    peer.close()
        threading.Thread(target=talk, daemon=True).start()
        conf = instance.temp / "relay.conf"
        text = instance.conf().read_text()
        conf.write_text(re.sub(r"relay = .*", f"relay = 127.0.0.1:{s.getsockname()[1]}", text))
        conf.chmod(0o644)
        done = run(BIN / "mailadmin", "-c", conf, "doctor", "--json", check=False)
        relay = [f for f in json.loads(done.stdout) if f["check"] == "relay"]
        assert [f["status"] for f in relay] == ["fail"], relay
        conf.write_text(conf.read_text().replace("[submitd]", "[submitd]\nrelay_tls = none"))
        done = run(BIN / "mailadmin", "-c", conf, "doctor", "--json", check=False)
        relay = [f for f in json.loads(done.stdout) if f["check"] == "relay"]
        assert [f["status"] for f in relay] == ["ok"], relay


def test_doctor_looks_at_mail_trees(patient):
    (patient.maildir("ann@example.org") / "maildirsize").write_text("0S\n99999 7\n")
    patient.own(patient.maildir("ann@example.org"))
    assert any("maildirsize said 99999" in f["text"] for f in findings(patient, "warn", "mail"))
    assert findings(patient, "warn", "mail") == []  # mended
    stray = patient.dir / "mail" / "example.org" / "stray"
    stray.mkdir(mode=0o700)
    patient.own(stray)
    assert any("example.org/stray" in f["text"] for f in findings(patient, "warn", "mail"))
    stray.rmdir()


def test_doctor_finds_a_full_disk():
    with Instance(start=False, settings={"store.free_space_floor": "1T"}) as i:
        free = os.statvfs(i.dir)
        if free.f_bavail * free.f_frsize >= 1 << 40:
            pytest.skip("more than a terabyte is free")
        failure(i, "space", "below store.free_space_floor")


def test_doctor_finds_a_damaged_spool():
    with Instance(relay=f"127.0.0.1:{free_port()}") as i:
        i.add_account("ann@example.org")
        submit(i, "x@example.net")
        i.stop()
        for path in (i.dir / "spool" / "msg").iterdir():
            path.unlink()
        failure(i, "spool", str(i.dir / "spool"))
