"""submitd: doors, AUTH, who may send as whom, header fix-ups, the queue and its relays."""

import contextlib
import smtplib
import socket
import sqlite3
import ssl

import pytest

from exim import Exim
from relay import Relay, status_of
from sanger import Instance, free_port, make_message, run, wait_for

RELAXED = {"submitd.relay_tls": "opportunistic", "submitd.retry_first": "1s",
           "submitd.retry_max": "2s", "submitd.relay_probe": "1s"}


@pytest.fixture(scope="module")
def relay():
    with Exim() as e:
        yield e


@pytest.fixture(scope="module")
def box(relay):
    with Instance(relay=relay.address(), settings=RELAXED) as i:
        i.add_account("ann@example.org")
        yield i


def submit(i, message, sender="ann@example.org", to=("bob@example.net",), **kwargs):
    client = i.connect_submission("ann@example.org", **kwargs)
    try:
        return client.sendmail(sender, list(to), message)
    finally:
        client.close()


def received(relay, subject):
    def look():
        return [m for m in relay.received() if m["Subject"] == subject]
    return wait_for(look, f"{subject} at the relay")[0]


def swaks(i, *args, check=True):
    done = run("swaks", "--server", "127.0.0.1", "--from", "ann@example.org", "--to",
               "bob@example.net", "--ehlo", "client.example.org", "--timeout", "60", *args,
               check=False)
    if check:
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return done.stdout.decode()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("door", ["tls", "starttls"])
def test_swaks(box, relay, mechanism, door):
    subject = f"swaks {mechanism} {door}"
    out = swaks(box, "--port", box.submissions if door == "tls" else box.submission,
                "--tls-on-connect" if door == "tls" else "--tls", "--auth", mechanism,
                "--auth-user", "ann@example.org", "--auth-password", "secret-Pw1",
                "--header", f"Subject: {subject}")
    assert "queued as" in out
    received(relay, subject)


def test_swaks_wrong_password(box):
    out = swaks(box, "--port", box.submissions, "--tls-on-connect", "--auth", "PLAIN",
                "--auth-user", "ann@example.org", "--auth-password", "wrong", check=False)
    assert "535 5.7.8" in out


def test_nothing_before_tls(box):
    with smtplib.SMTP("127.0.0.1", box.submission, timeout=60) as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features and "starttls" in client.esmtp_features
        assert client.docmd("AUTH", "PLAIN AGFubgBzZWNyZXQ=")[0] in (530, 538, 503)
        assert client.docmd("MAIL", "FROM:<ann@example.org>")[0] == 530


def test_mail_needs_auth(box):
    client = box.connect_submission()
    client.ehlo()
    assert client.docmd("MAIL", "FROM:<ann@example.org>")[0] == 530
    client.close()


def test_old_tls_is_refused(box):
    context = ssl.create_default_context(cafile=str(box.dir / "tls" / "cert.pem"))
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, OSError)):
        with socket.create_connection(("127.0.0.1", box.submissions), 60) as s:
            context.wrap_socket(s, server_hostname="localhost")


@pytest.mark.parametrize("sender,good", [
    ("ann@example.org", True), ("ANN@EXAMPLE.org", True), ("ann+shop@example.org", True),
    ("", True), ("bob@example.org", False), ("ann@example.net", False), ("annx@example.org", False)])
def test_sender_must_belong_to_the_account(box, sender, good):
    client = box.connect_submission("ann@example.org")
    client.ehlo_or_helo_if_needed()
    code, text = client.mail(sender)
    assert (code == 250) == good, text
    if not good:
        assert code == 553 and text.startswith(b"5.7.1")
    client.close()


def test_any_sender_by_configuration(relay):
    with Instance(relay=relay.address(),
                  settings=dict(RELAXED, **{"submitd.sender_policy": "any"})) as i:
        i.add_account("ann@example.org")
        client = i.connect_submission("ann@example.org")
        client.ehlo_or_helo_if_needed()
        assert client.mail("somebody@else.example")[0] == 250
        client.close()


def test_header_is_mended(box, relay):
    submit(box, b"Subject: mended\r\nBcc: secret@example.net\r\nTo: bob@example.net\r\n\r\nbody\r\n")
    m = received(relay, "mended")
    assert m["Bcc"] is None and m["From"] == "ann@example.org"
    assert m["Date"] and m["Message-ID"]
    assert m.get_content() == "body\n"
    assert "secret" not in m.as_string()


def test_good_header_is_left_alone(box, relay):
    message = bytes(make_message("bob@example.net", sender="Ann <ann@example.org>",
                                 subject="untouched", body="line\n" * 3))
    submit(box, message)
    received(relay, "untouched")
    raw = next(r for r in relay.received_raw() if b"Subject: untouched" in r)
    assert raw.endswith(message.replace(b"\r\n", b"\n"))


def test_eight_bit_dots_and_long_lines(box, relay):
    body = "Grüße\r\n.\r\n..\r\n.x\r\n".encode() + b"z" * 900 + b"\r\n"
    message = b"Subject: bytes\r\nFrom: ann@example.org\r\n\r\n" + body
    client = box.connect_submission("ann@example.org")
    client.sendmail("ann@example.org", ["bob@example.net"], message, mail_options=["BODY=8BITMIME"])
    client.close()
    received(relay, "bytes")
    raw = next(r for r in relay.received_raw() if b"Subject: bytes" in r)
    assert raw.split(b"\n\n", 1)[1] == body.replace(b"\r\n", b"\n")


def test_recipient_without_domain_is_refused(box):
    client = box.connect_submission("ann@example.org")
    client.ehlo_or_helo_if_needed()
    client.mail("ann@example.org")
    assert client.rcpt("bob")[0] in (501, 550, 553, 554)
    assert client.rcpt("postmaster")[0] in (501, 550, 553, 554)
    client.close()


def test_bare_newlines_are_refused(box):
    """What looks like the end of a message to some relay must not get there (smuggling)."""
    client = box.connect_submission("ann@example.org")
    client.ehlo_or_helo_if_needed()
    client.mail("ann@example.org")
    client.rcpt("bob@example.net")
    client.putcmd("DATA")
    client.getreply()
    client.send(b"Subject: smuggled\r\n\r\nx\n.\nMAIL FROM:<evil@example.net>\r\n.\r\n")
    code, _ = client.getreply()
    assert code == 550
    assert client.noop()[0] == 250
    client.close()


def queue(i):
    return i.admin_json("queue", "list")


def test_waits_for_a_relay_that_is_down():
    with Exim(start=False) as relay, Instance(relay=relay.address(), settings=RELAXED) as i:
        i.add_account("ann@example.org")
        for n in range(3):
            submit(i, bytes(make_message(subject=f"patient {n}")))
        wait_for(lambda: "deferred" in i.log(), "a first failed attempt")
        assert len(queue(i)) == 3
        relay.start()
        subjects = {m["Subject"] for m in relay.wait_received(3)}
        assert subjects == {f"patient {n}" for n in range(3)}
        wait_for(lambda: not queue(i), "an empty queue")


def test_second_relay_takes_over():
    dead = f"127.0.0.1:{free_port()}"
    with Exim() as relay, Instance(relay=[dead, relay.address()], settings=RELAXED) as i:
        i.add_account("ann@example.org")
        submit(i, bytes(make_message(subject="failover")))
        received(relay, "failover")
        assert "relay-down" in i.log()


def test_relay_says_later_then_yes():
    acl = ("defer condition = ${if exists{$spool_directory/later}}\n"
           "         message = 4.7.1 not now")
    with Exim(rcpt_acl=acl) as relay:
        (relay.dir / "spool" / "later").touch()
        with Instance(relay=relay.address(), settings=RELAXED) as i:
            i.add_account("ann@example.org")
            submit(i, bytes(make_message(subject="later")))
            wait_for(lambda: i.log().count("deferred") >= 2, "two attempts")
            (relay.dir / "spool" / "later").unlink()
            received(relay, "later")


def test_refused_by_the_relay_comes_back():
    acl = "deny local_parts = nobody\n         message = 5.1.1 nobody of that name"
    with Exim(rcpt_acl=acl) as relay, Instance(relay=relay.address(), settings=RELAXED) as i:
        i.add_account("ann@example.org")
        submit(i, bytes(make_message(subject="half good")),
               to=["bob@example.net", "nobody@example.net"])
        received(relay, "half good")
        bounce = received(relay, "Your message could not be delivered")
        assert bounce["Return-path"] == "<>"
        assert bounce["Envelope-to"] == "ann@example.org"
        assert bounce.get_content_type() == "multipart/report"
        text, status, original = bounce.get_payload()
        assert "nobody@example.net" in text.get_payload()
        fields = "".join(str(part) for part in status.get_payload())
        assert "Final-Recipient: rfc822; nobody@example.net" in fields
        assert "Action: failed" in fields and "Status: 5.1.1" in fields
        assert "bob@example.net" not in fields
        assert original.get_content_type() == "message/rfc822"
        assert "half good" in original.as_string()
        wait_for(lambda: not queue(i), "an empty queue")


def test_bounce_that_nobody_takes_is_parked():
    acl = "deny message = 5.1.1 nobody at all"
    with Exim(rcpt_acl=acl) as relay, Instance(relay=relay.address(), settings=RELAXED) as i:
        i.add_account("ann@example.org")
        submit(i, bytes(make_message(subject="lost")))
        wait_for(lambda: "parked" in i.log(), "the bounce to be parked")
        held = wait_for(lambda: [m for m in queue(i) if m["held"]], "a held message")
        assert len(queue(i)) == 1 and held[0]["sender"] == ""


def test_lifetime_ends_in_a_report():
    with Exim(start=False) as relay, Instance(relay=relay.address(), settings=dict(
            RELAXED, **{"submitd.message_lifetime": "1m", "submitd.delay_warning": "1m"})) as i:
        i.add_account("ann@example.org")
        submit(i, bytes(make_message(subject="too old")))
        wait_for(lambda: "deferred" in i.log(), "a first attempt")
        with contextlib.closing(sqlite3.connect(i.dir / "spool" / "spool.db", timeout=60)) as db, db:
            assert db.execute("UPDATE message SET received = received - 61").rowcount == 1
        i.admin("queue", "flush")
        wait_for(lambda: "failed id=" in i.log(), "the end of its life")
        relay.start()
        bounce = received(relay, "Your message could not be delivered")
        assert "too old" in bounce.as_string()


def test_tls_to_the_relay_is_required_by_default():
    with Exim() as plain, Instance(relay=plain.address(), settings={
            "submitd.retry_first": "1s", "submitd.retry_max": "1s"}) as i:
        i.add_account("ann@example.org")
        submit(i, bytes(make_message(subject="not in the clear")))
        wait_for(lambda: "relay-down" in i.log(), "a refused relay")
        assert not plain.received()
        with Exim(tls=(i.dir / "tls/cert.pem", i.dir / "tls/key.pem")) as secure:
            text = i.conf().read_text().replace(plain.address(), secure.address())
            i.conf().write_text(text)
            i.tool("instance", "reload", i.dir)
            m = received(secure, "not in the clear")
            assert "esmtps" in str(m.get_all("Received"))


def test_two_accounts_write_to_each_other():
    """Without --relay an instance is its own relay."""
    with Instance() as i:
        i.add_account("ann@example.org")
        i.add_account("bob@example.org")
        submit(i, bytes(make_message(subject="neighbour")), to=["bob@example.org"])
        wait_for(lambda: i.files("bob@example.org"), "the message")


def test_dsn_success_is_passed_on_or_told():
    with Exim(dsn="") as relay, Instance(relay=relay.address(), settings=RELAXED) as i:
        i.add_account("ann@example.org")
        client = i.connect_submission("ann@example.org")
        client.sendmail("ann@example.org", ["bob@example.net"],
                        bytes(make_message(subject="tell me")), mail_options=["ENVID=abc", "RET=HDRS"],
                        rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
        client.close()
        report = received(relay, "Your message was handed on")
        fields = "".join(str(p) for p in report.get_payload()[1].get_payload())
        assert "Action: relayed" in fields and "Original-Envelope-Id: abc" in fields


def test_relayed_is_told_once_while_others_wait():
    with Relay() as relay, Instance(relay=relay.address(), settings=dict(
            RELAXED, **{"submitd.retry_max": "1s"})) as i:
        i.add_account("ann@example.org")
        relay.later = "waits"
        client = i.connect_submission("ann@example.org")
        client.sendmail("ann@example.org", ["takes@example.net", "waits@example.net"],
                        bytes(make_message(sender="ann@example.org")),
                        rcpt_options=["NOTIFY=SUCCESS,FAILURE"])
        client.quit()
        relay.wait_to("ann@example.org")
        seen = relay.asked
        wait_for(lambda: relay.asked >= seen + 3, "three more attempts")
        relay.later = None
        relay.wait_to("waits@example.net")
        wait_for(lambda: i.admin_json("queue", "list") == [], "an empty queue")
        told = [str(m) for _, m in relay.to("ann@example.org")]
        assert [("; takes@" in t, "; waits@" in t) for t in told] == [(True, False), (False, True)]


def test_what_submitd_itself_refuses():
    """BINARYMIME for a relay that has none: the report has our status, and who wants none is not in it."""
    with Relay() as relay, Instance(relay=relay.address(), settings=RELAXED) as i:
        i.add_account("ann@example.org")
        message = bytes(make_message(sender="ann@example.org"))
        client = i.connect_submission("ann@example.org")
        client.ehlo()
        assert client.mail("ann@example.org", ["BODY=BINARYMIME"])[0] == 250
        assert client.rcpt("loud@example.net", ["NOTIFY=FAILURE"])[0] == 250
        assert client.rcpt("quiet@example.net", ["NOTIFY=NEVER"])[0] == 250
        client.putcmd(f"BDAT {len(message)} LAST")
        client.send(message)
        assert client.getreply()[0] == 250
        client.quit()
        (_, report), = relay.wait_to("ann@example.org")
        _, per_rcpt = status_of(report)
        assert per_rcpt["Final-Recipient"] == "rfc822; loud@example.net"
        assert per_rcpt["Status"] == "5.6.1"
        assert per_rcpt["Diagnostic-Code"].startswith("x-sanger; 5.6.1 ")
        assert b"quiet@example.net" not in report.as_bytes()
