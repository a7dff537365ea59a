"""What accounts may submit: how much, in whose name, how large; and the copy in Sent."""

import contextlib
import email
import smtplib
import sqlite3
import threading
import time

import pytest

from relay import Relay
from sanger import Instance, make_message, run, wait_for

pytestmark = pytest.mark.once

RELAXED = {"submitd.relay_tls": "opportunistic", "submitd.retry_first": "1s",
           "submitd.retry_max": "2s"}
ANN = "ann@example.org"


@pytest.fixture(scope="module")
def relay():
    with Relay() as r:
        yield r


def held(relay=(), **settings):
    """An instance whose queue keeps what it gets, unless there is a relay."""
    return Instance(relay=relay or "127.0.0.1:9",
                    settings={**RELAXED, **{f"submitd.{k}": v for k, v in settings.items()}})


@pytest.fixture(scope="module")
def box():
    with held(rate_messages_hour=5, rate_recipients_hour=20, workers=2) as i:
        yield i


def limit(i, address, **numbers):
    """Numbers of the account's own in place of the configured ones."""
    with contextlib.closing(sqlite3.connect(i.dir / "user.db")) as db, db:
        row = db.execute("SELECT id FROM account WHERE localpart || '@' || domain = ?",
                         [address]).fetchone()
        db.execute(f"INSERT OR REPLACE INTO account_limit (account, {', '.join(numbers)})"
                   f" VALUES (?{', ?' * len(numbers)})", [row[0], *numbers.values()])


def refusal(i, address, message=None, sender=None, to=("q@example.net",), **fields):
    """What the server answered to the command that it refused; None if it took the message."""
    message = message or bytes(make_message(sender=address, **fields))
    client = i.connect_submission(address)
    try:
        client.sendmail(sender or address, list(to), message)
    except smtplib.SMTPRecipientsRefused as e:
        return next(iter(e.recipients.values()))
    except smtplib.SMTPResponseException as e:
        return e.smtp_code, e.smtp_error
    finally:
        client.close()
    return None


def of_log(i, word):
    return [line for line in i.log().splitlines() if f" {word} " in line]


# --- rates

def test_messages_in_an_hour(box):
    box.add_account("hour@example.org")
    for _ in range(5):
        assert refusal(box, "hour@example.org") is None
    code, text = refusal(box, "hour@example.org")
    assert (code, text[:6]) == (451, b"4.7.1 "), text
    assert b"5 messages in an hour" in text
    assert ("account=hour@example.org limit=sent_messages_hour count=5 max=5"
            in of_log(box, "rate-exceeded")[-1])
    box.add_account("other@example.org")
    assert refusal(box, "other@example.org") is None


def test_counts_survive_a_restart(box):
    box.add_account("again@example.org")
    for _ in range(5):
        assert refusal(box, "again@example.org") is None
    box.restart()
    assert refusal(box, "again@example.org")[0] == 451


def test_recipients_in_an_hour(box):
    box.add_account("many@example.org")
    to = [f"r{n}@example.net" for n in range(18)]
    assert refusal(box, "many@example.org", to=to) is None
    with contextlib.closing(box.connect_submission("many@example.org")) as client:
        client.ehlo()
        assert client.mail("many@example.org")[0] == 250
        assert [client.rcpt(r)[0] for r in to[:2]] == [250, 250]
        code, text = client.rcpt("one@example.net")
        assert (code, text[:6]) == (452, b"4.5.3 "), text
        assert client.data(bytes(make_message(sender="many@example.org")))[0] == 250
    # None is left, so there is no use in a message.
    assert refusal(box, "many@example.org", to=["x@example.net"])[0] == 451
    assert "limit=sent_recipients_hour count=20 max=20" in of_log(box, "rate-exceeded")[-1]


def test_own_limits_go_before_the_settings(box):
    box.add_account("own@example.org")
    limit(box, "own@example.org", sent_messages_hour=0, sent_messages_day=7,
          sent_recipients_hour=0, recipients_max=3, message_kb_max=10)
    for _ in range(7):
        assert refusal(box, "own@example.org") is None
    code, text = refusal(box, "own@example.org")
    assert code == 451 and b"7 messages in a day" in text
    limit(box, "own@example.org", sent_messages_hour=0, recipients_max=3, message_kb_max=10)
    with contextlib.closing(box.connect_submission("own@example.org")) as client:
        client.ehlo()
        assert client.docmd("MAIL FROM:<own@example.org> SIZE=10241")[0] == 552
        client.mail("own@example.org")
        assert [client.rcpt(f"{n}@example.net")[0] for n in range(4)] == [250, 250, 250, 452]
        code, text = client.data(b"Subject: large\r\n\r\n" + b"0123456789\r\n" * 1000)
        assert (code, text[:6]) == (552, b"5.3.4 "), text


def test_no_two_connections_are_both_the_last_that_is_allowed(box):
    """All are past RCPT before the first is in the spool."""
    box.add_account("crowd@example.org")
    ready, answers = threading.Barrier(16), []

    def send():
        with contextlib.closing(box.connect_submission("crowd@example.org")) as client:
            client.ehlo()
            assert client.mail("crowd@example.org")[0] == 250
            assert client.rcpt("q@example.net")[0] == 250
            ready.wait(60)
            answers.append(client.data(bytes(make_message(sender="crowd@example.org"))))

    threads = [threading.Thread(target=send) for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    codes = sorted(code for code, _ in answers)
    assert codes == [250] * 5 + [451] * 11, answers
    assert all(text.startswith(b"4.7.1 ") for code, text in answers if code == 451)


def test_account_show_has_the_counts(box):
    box.add_account("counted@example.org")
    assert refusal(box, "counted@example.org", to=["a@example.net", "b@example.net"]) is None
    shown = box.admin_json("account", "show", "counted@example.org")
    assert shown["sent"] == {"messages_hour": 1, "messages_day": 1, "recipients_hour": 2,
                             "recipients_day": 2}
    assert "1 in the last hour" in box.admin("account", "show", "counted@example.org")


def test_an_account_that_is_switched_off_sends_no_more(box):
    box.add_account("leaver@example.org")
    with contextlib.closing(box.connect_submission("leaver@example.org")) as client:
        client.ehlo()
        assert client.mail("leaver@example.org")[0] == 250
        client.rset()
        box.admin("account", "set", "leaver@example.org", "--active", "no")
        code, text = client.mail("leaver@example.org")
        assert (code, text[:6]) == (550, b"5.7.1 "), text


# --- addresses

@pytest.fixture(scope="module")
def named(relay):
    with held(relay=relay.address(), rate_messages_hour=10**9) as i:
        i.add_account(ANN)
        with contextlib.closing(sqlite3.connect(i.dir / "user.db")) as db, db:
            db.execute("INSERT INTO alias SELECT 'info', 'example.org', id FROM account")
            db.execute("INSERT INTO alias SELECT '', 'catch.example.org', id FROM account")
        yield i


@pytest.mark.parametrize("sender, fine", [
    ("ann@example.org", True), ("Ann+lists@EXAMPLE.org", True), ("info@example.org", True),
    ("info+x@example.org", True), ("anne@example.org", False), ("ann@example.net", False),
    ("any@catch.example.org", False)])
def test_envelope_sender(named, sender, fine):
    answer = refusal(named, ANN, sender=sender)
    assert answer is None if fine else answer[0] == 553, answer


def sent_with(i, relay, header, subject):
    """Submits a message with these header lines and returns it as the relay got it."""
    data = f"Subject: {subject}\r\n{header}\r\nTo: q@example.net\r\n\r\nHello.\r\n"
    assert refusal(i, ANN, message=data.encode()) is None
    return email.message_from_bytes(wait_for(
        lambda: [c for _, _, c in relay.taken if f"Subject: {subject}\r\n".encode() in c],
        f"{subject} at the relay")[0])


def test_sender_says_who_submitted_it(named, relay):
    assert sent_with(named, relay, "From: info@example.org", "own")["Sender"] is None
    m = sent_with(named, relay, "From: The Boss <boss@example.net>\r\nSender: pa@example.net",
                  "foreign")
    assert m.get_all("Sender") == [ANN] and m["From"] == "The Boss <boss@example.net>"


def test_from_can_be_refused(named):
    with held(from_policy="refuse") as i:
        i.add_account(ANN)
        assert refusal(i, ANN, sender=ANN) is None
        data = b"From: boss@example.net\r\nSubject: x\r\n\r\nHello.\r\n"
        code, text = refusal(i, ANN, message=data)
        assert (code, text[:6]) == (550, b"5.7.1 "), text
        assert b"boss@example.net is not an address of yours" in text
        assert refusal(i, ANN, message=data.replace(b"boss@example.net", b"Ann <ann@example.org>,\r\n"
                                                    b" ann+x@example.org")) is None
        assert len(i.admin_json("queue", "list")) == 2
        assert of_log(i, "from-refused")


# --- the copy in Sent

@pytest.fixture(scope="module")
def copying(relay):
    with held(relay=relay.address(), sent_copy="yes") as i:
        yield i


def sent_box(i, address, mailbox="Sent"):
    with i.connect_imap(address) as client:
        status, (count,) = client.select(mailbox, readonly=True)
        assert status == "OK", count
        found = []
        for n in range(1, int(count) + 1):
            _, ((head, body), *_) = client.fetch(str(n), "(FLAGS BODY.PEEK[])")
            found.append((head, body))
        return found


def test_copy(copying, relay):
    copying.add_account(ANN)
    message = make_message(sender=ANN, to="to@example.net", subject="copied", Bcc="hidden@example.net")
    assert refusal(copying, ANN, message=bytes(message), to=["to@example.net", "hidden@example.net"]) is None
    ((head, body),) = sent_box(copying, ANN)
    assert b"\\Seen" in head
    assert email.message_from_bytes(body)["Bcc"] == "hidden@example.net"
    relayed = wait_for(lambda: [c for _, _, c in relay.taken if b"Subject: copied\r\n" in c],
                       "the message at the relay")[0]
    assert body.replace(b"Bcc: hidden@example.net\r\n", b"") == relayed
    # Sent again (the answer was lost), and uploaded by the client itself: one is enough.
    assert refusal(copying, ANN, message=bytes(message)) is None
    assert len(sent_box(copying, ANN)) == 1
    own = bytes(make_message(sender=ANN, subject="uploaded"))
    with copying.connect_imap(ANN) as client:
        client.append("Sent", "\\Seen", None, own)
    assert refusal(copying, ANN, message=own) is None
    assert len(sent_box(copying, ANN)) == 2
    assert sum("result=there-already" in line for line in of_log(copying, "sent-copy")) == 2


def test_copy_goes_where_sent_mail_goes(copying):
    copying.add_account("eva@example.org")
    with copying.connect_imap("eva@example.org") as client:
        client.delete("Sent")
        assert client._simple_command("CREATE", "Gesendet", "(USE (\\Sent))")[0] == "OK"
    assert refusal(copying, "eva@example.org") is None
    assert len(sent_box(copying, "eva@example.org", "Gesendet")) == 1


def test_copy_makes_its_mailbox(copying):
    copying.add_account("new@example.org")
    with copying.connect_imap("new@example.org") as client:
        client.delete("Sent")
        client.unsubscribe("Sent")
    assert refusal(copying, "new@example.org") is None
    assert len(sent_box(copying, "new@example.org")) == 1
    with copying.connect_imap("new@example.org") as client:
        assert any(b"Sent" in line for line in client.lsub()[1])


def test_full_mailbox_keeps_nothing_back(copying, relay):
    """A message may go beyond the quota; the next one may not."""
    copying.add_account("full@example.org", quota="1K")
    for subject in ("beyond", "despite"):
        assert refusal(copying, "full@example.org", subject=subject, body="x" * 5000) is None
        wait_for(lambda s=subject: [c for _, _, c in relay.taken if f"Subject: {s}\r\n".encode() in c],
                 "the message at the relay")
    assert len(sent_box(copying, "full@example.org")) == 1
    assert "account=full@example.org" in of_log(copying, "sent-copy-failed")[-1]


def test_copy_by_account(copying):
    copying.add_account("without@example.org")
    limit(copying, "without@example.org", sent_copy=0)
    assert refusal(copying, "without@example.org") is None
    assert sent_box(copying, "without@example.org") == []
