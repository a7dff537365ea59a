"""Further addresses of accounts: aliases, catch-alls, details that name a mailbox; limits of accounts."""

import sqlite3

import pytest

from relay import Relay
from sanger import Instance, make_message, wait_for

SETTINGS = {"submitd.relay_tls": "none", "submitd.retry_first": "1s", "lda.catch_all": "yes",
            "lda.detail_mailbox": "yes"}


@pytest.fixture(scope="module")
def relay():
    with Relay() as r:
        yield r


@pytest.fixture(scope="module")
def box(relay):
    with Instance(relay=relay.address(), settings=SETTINGS) as i:
        yield i


def refused(box, *args):
    done = box.admin(*args, check=False)
    assert done.returncode == 1, done
    return done.stderr.decode()


def rcpt(box, address):
    """The code of RCPT, by LMTP and by SMTP: what a relay's callout hears."""
    codes = set()
    for client in (box.connect_lmtp(), box.connect_smtp()):
        client.ehlo_or_helo_if_needed()
        client.mail("")
        codes.add(client.rcpt(address)[0])
        client.close()
    code, = codes
    return code


def subjects(box, address, mailbox="INBOX"):
    return sorted(line.split(": ", 1)[1] for p in box.files(address, mailbox)
                  for line in p.read_text().splitlines() if line.startswith("Subject: "))


def test_aliases_are_addresses(box, relay):
    ann = box.add_account("ann@a.example")
    bob = box.add_account("bob@a.example")
    assert rcpt(box, "info@a.example") == 550
    box.admin("alias", "add", ann, "Info@a.example", "ann.smith@b.example")
    assert rcpt(box, "INFO@a.example") == 250
    assert rcpt(box, "info+x@A.example") == 250
    assert rcpt(box, "ann.smith@b.example") == 250
    assert rcpt(box, "other@b.example") == 550
    box.deliver("info@a.example", subject="one")
    box.deliver("ann.smith+news@b.example", subject="two")
    assert subjects(box, ann) == ["one", "two"]
    text = next(p.read_text() for p in box.files(ann) if "Subject: two" in p.read_text())
    assert "\nEnvelope-to: ann.smith+news@b.example\n" in text
    # exactly one owner for an address
    assert "is an alias of ann@a.example" in refused(box, "alias", "add", bob, "info@a.example")
    assert "is an account" in refused(box, "alias", "add", bob, "ann@a.example")
    assert "is an alias" in refused(box, "account", "add", "info@a.example", "--generate")
    assert "is an alias" in refused(box, "account", "rename", bob, "ann.smith@b.example")
    refused(box, "alias", "add", bob, "no address")
    # lists
    assert box.admin_json("alias", "list", ann) == [
        {"alias": "Info@a.example", "account": ann, "catch_all": False},
        {"alias": "ann.smith@b.example", "account": ann, "catch_all": False}]
    assert len(box.admin_json("alias", "list", "--domain", "B.example")) == 1
    assert box.admin_json("account", "show", ann)["aliases"] == [
        "Info@a.example", "ann.smith@b.example"]
    assert "Info@a.example ann.smith@b.example" in box.admin("account", "show", ann)
    # an account of its own wins over somebody's alias with a detail, an alias over a detail
    box.admin("alias", "add", bob, "ann+bob@a.example")
    box.deliver("ann+bob@a.example", subject="for bob")
    assert subjects(box, bob) == ["for bob"]
    # gone
    assert "info@a.example of ann@a.example" in box.admin(
        "alias", "delete", "info@a.example", "--dry-run")
    assert rcpt(box, "info@a.example") == 250
    box.admin("alias", "delete", "info@a.example")
    assert rcpt(box, "info@a.example") == 550
    refused(box, "alias", "delete", "info@a.example")
    box.admin("account", "delete", ann)
    assert rcpt(box, "ann.smith@b.example") == 550
    assert box.admin_json("alias", "list", "--domain", "b.example") == []


def test_vacation_takes_aliases_for_own(box, relay):
    cy = box.add_account("cy@a.example")
    box.admin("alias", "add", cy, "sales@a.example", "*@c.example")
    box.admin("filter", "set", cy, "-", input=b'require "vacation"; vacation "away";\n')
    box.deliver("sales@a.example", make_message(to="sales@a.example"), sender="s1@example.net")
    (mail, answer), = relay.wait_to("s1@example.net")
    assert answer["Auto-Submitted"].startswith("auto-replied") and "<>" in mail
    # by the catch-all nothing is addressed to the user, and nobody answers himself
    box.deliver("any@c.example", make_message(to="any@c.example"), sender="s2@example.net")
    box.deliver(cy, make_message(to=cy), sender="sales@a.example")
    wait_for(lambda: len(box.files(cy)) == 3, "the mail")
    wait_for(lambda: box.admin_json("queue", "list") == [], "an empty queue")
    assert relay.to("s2@example.net") == [] or relay.to("s2@example.net")[0][1][
        "To"] == "s2@example.net"
    assert relay.to("sales@a.example") == []


def test_catch_all(box):
    dan = box.add_account("dan@d.example")
    assert rcpt(box, "what@d.example") == 550
    box.admin("alias", "add", dan, "*@d.example")
    assert rcpt(box, "what@d.example") == 250
    box.deliver("what+ever@d.example", subject="caught")
    assert subjects(box, dan) == ["caught"]
    assert box.admin_json("alias", "list", dan) == [
        {"alias": "*@d.example", "account": dan, "catch_all": True}]
    box.admin("account", "set", dan, "--active", "no")
    assert rcpt(box, "what@d.example") == 550
    box.admin("account", "set", dan, "--active", "yes")
    box.admin("alias", "delete", "*@d.example")
    assert rcpt(box, "what@d.example") == 550


def test_detail_finds_a_mailbox(box):
    eve = box.add_account("eve@e.example")
    box.admin("mailbox", "create", eve, "Lists")
    box.admin("mailbox", "create", eve, "Lists/C")
    box.admin("mailbox", "create", eve, "two")
    box.admin("mailbox", "create", eve, "TWO")
    box.admin("mailbox", "create", eve, "Bayes_Ham")
    box.admin("mailbox", "unsubscribe", eve, "Lists")
    for n, (detail, mailbox) in enumerate([
            ("Lists", "Lists"), ("lists", "Lists"), ("LISTS/c", "Lists/C"),
            ("two", "two"), ("TWO", "TWO"), ("Two", "INBOX"),  # which one?
            ("nothing", "INBOX"), ("inbox", "INBOX"), ("", "INBOX"), ("../eve", "INBOX"),
            ("../../d.example/dan", "INBOX"), (".Lists", "INBOX"), ("Lists/", "INBOX"),
            ("Trash", "INBOX"), ("junk", "INBOX"), ("bayes_ham", "INBOX"), ("cur", "INBOX")]):
        address = f'"eve+{detail}"@e.example'
        client = box.connect_lmtp()
        client.sendmail("x@example.net", [address],
                        make_message(to=eve, subject=f"detail {n}").as_bytes())
        client.close()
        assert f"detail {n}" in subjects(box, eve, mailbox), detail
    assert [m["subscribed"] for m in box.admin_json("mailbox", "list", eve)
            if m["name"] == "Lists"] == [False]
    assert "nothing" not in [m["name"] for m in box.admin_json("mailbox", "list", eve)]
    # a filter that decides is heard; one that only marks is not a decision
    box.admin("filter", "set", eve, "-", input=b"keep;\n")
    box.deliver("eve+lists@e.example", subject="kept")
    assert "kept" in subjects(box, eve)
    box.admin("filter", "set", eve, "-",
              input=b'require "imap4flags"; addflag "\\\\Flagged";\n')
    box.deliver("eve+lists@e.example", subject="marked")
    assert "marked" in subjects(box, eve, "Lists")


def test_limits_of_an_account(box):
    fay = box.add_account("fay@f.example")
    names = ["messages_max", "message_kb_max", "sent_messages_hour", "sent_messages_day",
             "sent_recipients_hour", "sent_recipients_day", "recipients_max", "sent_copy"]

    def shown():
        account = box.admin_json("account", "show", fay)
        return [account[name] for name in names]

    assert shown() == [None] * 8
    box.admin("account", "set", fay, "--max-messages", "10", "--max-message-size", "20M",
              "--sent-per-hour", "1", "--sent-per-day", "2", "--rcpts-per-hour", "3",
              "--rcpts-per-day", "none", "--max-recipients", "5", "--sent-copy", "yes")
    assert shown() == [10, 20480, 1, 2, 3, 0, 5, True]
    box.admin("account", "set", fay, "--max-messages", "default", "--sent-copy", "no",
              "--realname", "Fay")
    assert shown() == [None, 20480, 1, 2, 3, 0, 5, False]
    table = box.admin("account", "show", fay)
    assert "20M" in table and "Max messages" not in table
    for bad in (["--max-messages", "0"], ["--max-messages", "x"], ["--sent-copy", "maybe"],
                ["--max-message-size", "-1"], ["--sent-per-hour", "9999999999999999999"]):
        assert box.admin("account", "set", fay, *bad, check=False).returncode == 64, bad
    assert shown() == [None, 20480, 1, 2, 3, 0, 5, False]


def test_doctor_sees_an_alias_that_does_nothing(box):
    gil = box.add_account("gil@g.example")
    with sqlite3.connect(box.dir / "user.db", timeout=60) as db:  # another program's doing
        db.execute("INSERT INTO alias SELECT 'gil', 'g.example', id FROM account"
                   " WHERE localpart = 'gil'")
    db.close()
    said = box.admin("doctor", check=False).stdout.decode()
    assert "the alias gil@g.example does nothing: an account has that address" in said
    box.deliver(gil, subject="still hers")
    assert subjects(box, gil) == ["still hers"]
    box.admin("alias", "delete", gil)
    assert "does nothing" not in box.admin("doctor", check=False).stdout.decode()
