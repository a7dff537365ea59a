"""App passwords, accounts that log in by nothing else, and the login history."""

import imaplib
import smtplib
import sqlite3

import pytest

from sanger import wait_for
from scram import Scram

ANN = "ann@example.org"
EVE = "eve@example.org"


def app(box, address, label, *options):
    return box.admin("app", "add", address, label, *options).strip()


def imap(box, address, password, client=None):
    """Logs in; with `client` it says who it is, as most clients do, afterwards."""
    c = box.connect_imap()
    c.login(address, password)
    if client is not None:
        assert c.xatom("ID", '("name" "%s" "version" "%s")' % client)[0] == "OK"
    c.logout()


def submit(box, address, password):
    with box.connect_submission() as c:
        c.ehlo("laptop.example.net")
        c.login(address, password)


def sieve(box, address, password):
    with box.connect_managesieve() as c:
        reply = c.login(address, password)
        if reply.word != "OK":
            raise PermissionError(reply)


LOGINS = {"imap": imap, "submission": submit, "sieve": sieve}
REFUSED = (imaplib.IMAP4.error, smtplib.SMTPAuthenticationError, PermissionError)


def may(box, address, password):
    """The protocols that this password opens."""
    opened = set()
    for protocol, login in LOGINS.items():
        try:
            login(box, address, password)
            opened.add(protocol)
        except REFUSED:
            pass
    return opened


def scram_imap(box, address, password):
    scram = Scram(address, password)
    answers = iter((lambda _: scram.first(), scram.final, lambda _: b""))
    c = box.connect_imap()
    try:
        c.authenticate("SCRAM-SHA-256", lambda challenge: next(answers)(challenge))
    finally:
        c.logout()


def history(box, address, *options):
    return box.admin_json("account", "logins", address, *options)


def seen(box, address, **wanted):
    """The line of the history that has these members, as soon as it is there."""
    def find():
        for row in history(box, address):
            if all(row[k] == v for k, v in wanted.items()):
                return row
        return None
    return wait_for(find, f"{wanted} in the history")


def test_app_passwords(instance):
    box = instance
    phone = app(box, ANN, "Phone")
    tablet = app(box, ANN, "tablet", "--protocols", "imap,sieve")
    assert len(phone) == 23 and phone != tablet
    assert may(box, ANN, phone) == {"imap", "submission", "sieve"}
    assert may(box, ANN, phone.upper().replace("-", " ")) == {"imap", "submission", "sieve"}
    assert may(box, ANN, tablet) == {"imap", "sieve"}
    assert may(box, ANN, box.accounts[ANN]) == {"imap", "submission", "sieve"}

    # Only app passwords, but for changing things.
    box.admin("account", "set", ANN, "--app-only", "yes")
    assert box.admin_json("account", "show", ANN)["app_only"] is True
    assert may(box, ANN, box.accounts[ANN]) == set()
    assert may(box, ANN, phone) == {"imap", "submission", "sieve"}
    box.admin("account", "set", ANN, "--app-only", "default")

    # The list says when each was used, and what is taken back is gone at once.
    rows = {r["label"]: r for r in box.admin_json("app", "list", ANN)}
    assert rows["tablet"]["protocols"] == ["imap", "sieve"] and rows["tablet"]["expires"] is None
    wait_for(lambda: all(r["last_use"] for r in box.admin_json("app", "list", ANN)), "the last use")
    dry = box.admin("app", "delete", ANN, "phone", "--dry-run")
    assert "phone" in dry and len(box.admin_json("app", "list", ANN)) == 2
    box.admin("app", "delete", ANN, "phone")
    assert may(box, ANN, phone) == set()
    assert box.admin("app", "delete", ANN, "phone", check=False).returncode == 1
    assert box.admin("app", "add", ANN, "Tablet", check=False).returncode == 1
    assert box.admin("app", "add", ANN, "x", "--protocols", "pop3", check=False).returncode == 64
    assert box.admin("app", "add", ANN, "x", "--expires", "1999-01-01",
                     check=False).returncode == 64
    assert tablet not in box.log() and phone not in box.log()


@pytest.mark.once
def test_history(instance):
    """Each kind of login is a line that counts, with the client's name even if it comes after the login."""
    box = instance
    old = app(box, ANN, "old", "--expires", "2099-12-31")
    notebook = app(box, ANN, "notebook", "--protocols", "imap")
    for _ in range(20):
        imap(box, ANN, box.accounts[ANN], ("Test Mail", "1.2"))
    submit(box, ANN, box.accounts[ANN])
    sieve(box, ANN, box.accounts[ANN])
    scram_imap(box, ANN, box.accounts[ANN])
    imap(box, ANN, notebook)
    for login, password in ((imap, "wrong"), (submit, "wrong"), (submit, notebook)):
        with pytest.raises(REFUSED):
            login(box, ANN, password)
    with pytest.raises(REFUSED):
        imap(box, EVE, "wrong")
    imap(box, ANN, old)
    with sqlite3.connect(box.dir / "user.db", timeout=60) as db:  # time goes by
        db.execute("UPDATE app_password SET expires = created - 1"
                   " WHERE label = 'old'")
    with pytest.raises(REFUSED, match=r"\[EXPIRED\]"):
        imap(box, ANN, old)
    box.admin("account", "set", ANN, "--app-only", "yes")
    with pytest.raises(REFUSED):
        scram_imap(box, ANN, box.accounts[ANN])
    with pytest.raises(REFUSED):
        imap(box, ANN, box.accounts[ANN])
    box.admin("account", "set", ANN, "--app-only", "no", "--active", "no")
    with pytest.raises(REFUSED):
        imap(box, ANN, box.accounts[ANN])
    box.stop()  # what is not written yet is written at the end

    row = seen(box, ANN, client="Test Mail 1.2")
    assert (row["count"], row["outcome"], row["protocol"], row["method"], row["app"]) == \
        (20, "ok", "imap", "LOGIN", None)
    assert row["source"] == "127.0.0.1" and row["first"] <= row["last"]
    assert seen(box, ANN, protocol="submission", outcome="ok")["client"] == "laptop.example.net"
    assert seen(box, ANN, protocol="sieve", outcome="ok")["client"] is None
    assert seen(box, ANN, method="SCRAM-SHA-256", outcome="ok")["count"] == 1
    assert seen(box, ANN, app="notebook", outcome="ok")["count"] == 1
    refused = {(r["protocol"], r["outcome"], r["app"]) for r in history(box, ANN, "--failed")}
    assert refused == {
        ("imap", "wrong-password", None), ("submission", "wrong-password", None),
        ("submission", "app-password-protocol", "notebook"),
        ("imap", "app-password-expired", "old"), ("imap", "app-passwords-only", None),
        ("imap", "inactive", None)}
    assert history(box, ANN, "--since", "2099-01-01") == []
    assert "Test Mail 1.2" in box.admin("account", "logins", ANN)
    assert "why=app-password-expired" in box.log() and "why=unknown-user" in box.log()
    assert not box.maildir(EVE).exists()
