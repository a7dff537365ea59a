"""A real Exim as the organisation's relay: in front of the store by SMTP and by LMTP, and as the
smarthost behind it.  The whole way of one message and its answer."""

import pytest

from exim import Exim
from sanger import Instance, make_message, wait_for

pytestmark = pytest.mark.once


def store_door(i, protocol):
    return protocol, i.lmtp if protocol == "lmtp" else i.smtp


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_message_there_and_answer_back(protocol):
    """relay → lda → Maildir → imapd → the user answers by 465 and 587 → relay."""
    with Exim() as smarthost, Instance(relay=smarthost.address(),
                                       settings={"submitd.relay_tls": "opportunistic"}) as i:
        i.add_account("ann@example.org")
        with Exim(store=store_door(i, protocol)) as relay:
            relay.send("bob@example.net", ["ann@example.org"],
                       bytes(make_message(subject="question", sender="bob@example.net")))
            imap = i.connect_imap("ann@example.org")

            def count():
                imap.noop()
                return int(imap.select("INBOX")[1][0]) == 1
            wait_for(count, "the message in INBOX")
            text = imap.fetch("1", "(BODY[])")[1][0][1]
            assert b"Subject: question" in text and b"Return-Path: <bob@example.net>" in text
            imap.logout()
        for starttls in (False, True):
            client = i.connect_submission("ann@example.org", starttls=starttls)
            client.sendmail("ann@example.org", ["bob@example.net"], bytes(make_message(
                "bob@example.net", sender="ann@example.org", subject=f"answer {starttls}")))
            client.quit()
        answers = smarthost.wait_received(2)
        assert {m["Subject"] for m in answers} == {"answer False", "answer True"}
        assert all(m["Return-path"] == "<ann@example.org>" for m in answers)
        assert all(m["Envelope-to"] == "bob@example.net" for m in answers)
        assert all("ESMTPSA" in str(m.get_all("Received")) for m in answers)


@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_callout_and_unknown_user(protocol):
    with Instance() as i:
        i.add_account("ann@example.org")
        with Exim(store=store_door(i, protocol), callout=True) as relay:
            import smtplib
            with smtplib.SMTP("127.0.0.1", relay.port, timeout=60) as client:
                client.helo("x.example.net")
                client.mail("bob@example.net")
                assert client.rcpt("ann@example.org")[0] == 250
                assert client.rcpt("ann+detail@example.org")[0] == 250
                assert client.rcpt("nobody@example.org")[0] == 550


def test_unknown_user_without_callout_bounces_at_the_relay():
    with Instance() as i:
        i.add_account("ann@example.org")
        with Exim(store=("smtp", i.smtp)) as relay:
            relay.send("bob@example.net", ["nobody@example.org"], bytes(make_message()))
            bounce = relay.wait_received(1)[0]
            assert "5.1.1" in bounce.as_string() and bounce["Envelope-to"] == "bob@example.net"


def test_over_quota_waits_at_the_relay_and_comes_when_there_is_room():
    with Instance(settings={"lda.quota_warning": "0"}) as i:
        i.add_account("ann@example.org", quota="10K")
        with Exim(store=("lmtp", i.lmtp)) as relay:
            big = bytes(make_message()) + (b"y" * 78 + b"\r\n") * 200
            relay.send("bob@example.net", ["ann@example.org"], big)
            wait_for(lambda: len(i.files("ann@example.org")) == 1, "the first message")
            relay.send("bob@example.net", ["ann@example.org"],
                       bytes(make_message(subject="waits")))
            wait_for(lambda: "4.2.2" in relay.log(), "the refusal")
            assert len(i.files("ann@example.org")) == 1
            imap = i.connect_imap("ann@example.org")
            imap.select("INBOX")
            imap.store("1", "+FLAGS", "\\Deleted")
            imap.expunge()
            imap.logout()
            wait_for(lambda: any(b"Subject: waits" in p.read_bytes()
                                 for p in i.files("ann@example.org")), "the message that waited")


def test_store_down_then_up():
    with Instance() as i:
        i.add_account("ann@example.org")
        with Exim(store=("smtp", i.smtp)) as relay:
            i.stop()
            for n in range(5):
                relay.send("bob@example.net", ["ann@example.org"],
                           bytes(make_message(subject=f"while down {n}")))
            wait_for(lambda: relay.queued() == 5, "five messages queued")
            i.start()
            wait_for(lambda: len(i.files("ann@example.org")) == 5, "all five")
            wait_for(lambda: relay.queued() == 0, "an empty queue")
            subjects = {line for p in i.files("ann@example.org")
                        for line in p.read_text().splitlines() if line.startswith("Subject:")}
            assert subjects == {f"Subject: while down {n}" for n in range(5)}


def test_one_message_for_several_accounts():
    with Instance() as i:
        names = [f"user{n}@example.org" for n in range(8)]
        for name in names:
            i.add_account(name)
        for protocol in ("smtp", "lmtp"):
            with Exim(store=store_door(i, protocol)) as relay:
                relay.send("bob@example.net", names,
                           bytes(make_message(subject=f"all by {protocol}")))
                wait_for(lambda: all(any(f"all by {protocol}".encode() in p.read_bytes()
                                         for p in i.files(n)) for n in names), "eight copies")
        for name in names:
            assert len(i.files(name)) == 2
