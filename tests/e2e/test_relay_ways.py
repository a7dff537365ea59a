"""The ways of the queue: to a real Exim that asks who we are, to the second of two relays, in the order of urgency,
back to the sender in reports of which each field is looked at, and to nobody (double bounces)."""

import contextlib
import email
import email.policy
import email.utils
import re
import sqlite3
import time

import pytest

from chaos_relay import ChaosRelay, hold
from exim import Exim
from neighbours import certificate
from sanger import Instance, make_message, wait_for
from test_relay_chaos import QUICK, digests, restart_submitd, set_settings, wait_empty

pytestmark = pytest.mark.once

ANN = "ann@example.org"
SECRET = "its-password"


def queue(i, *args):
    return i.admin_json("queue", "list", *args)


def settled(i):
    """What waits, once nothing of it is under way."""
    return wait_for(lambda: [m for m in queue(i)] if not any(m["claimed"] for m in queue(i))
                    else None, "the attempts to end")


def submit(i, subject, to=("x@example.net",), body="Hello.\n", options=(), rcpt_options=(), headers=None,
           sender=ANN):
    message = bytes(make_message(to[0], sender=ANN, subject=subject, body=body, **(headers or {})))
    with contextlib.closing(i.connect_submission(ANN)) as client:
        client.sendmail(sender, list(to), message, mail_options=options, rcpt_options=rcpt_options)
        client.quit()


# --- a real Exim that asks who we are ------------------------------------------------------------------

AUTHENTICATORS = f"""
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{store}}}}{{eq{{$auth3}}{{{SECRET}}}}}}}}}
  server_set_id = $auth2
"""


class AskingExim(Exim):
    """STARTTLS at one port, TLS from the first byte at the next; login, then a certificate of its authority."""

    def __init__(self, pair, authority):
        super().__init__(tls=pair, mail_acl="""deny !authenticated = *
         message = 5.7.0 log in first
  defer !verify = certificate
         message = 4.7.0 no certificate""")
        text = self.conf.read_text()
        text = text.replace(f"daemon_smtp_ports = {self.port}\n",
                            f"daemon_smtp_ports = {self.port} : {self.port + 1}\n"
                            f"tls_on_connect_ports = {self.port + 1}\n"
                            f"tls_verify_certificates = {self.dir}/ca.pem\ntls_try_verify_hosts = *\n"
                            "auth_advertise_hosts = ${if def:tls_in_cipher{*}}\n")
        self.conf.write_text(text + AUTHENTICATORS)
        (self.dir / "ca.pem").write_bytes(authority.read_bytes())
        (self.dir / "ca.pem").chmod(0o644)


def test_exim_asks_who_we_are(tmp_path):
    authority = certificate(tmp_path, "ca.example.org")
    relay_pair = certificate(tmp_path, "relay.example.net", authority)
    good, alien = certificate(tmp_path, "store.example.org", authority), certificate(tmp_path, "alien")
    cert, key = digests(relay_pair[0])
    with AskingExim(relay_pair, authority[0]) as relay, Instance(
            relay=relay.address(), settings={**QUICK, "submitd.relay_tls": "fingerprint",
                                             "submitd.relay_fingerprint": "00" * 32}) as i:
        for path in (*good, *alien):
            (i.dir / path.name).write_bytes(path.read_bytes())
            i.own(i.dir / path.name)
        password = i.dir / "relay-password"
        password.write_text("not-it\n")
        password.chmod(0o640)
        i.own(password)
        i.add_account(ANN)
        submit(i, "who am I")

        def says(words):
            before = len(i.log())
            return lambda: wait_for(lambda: words in i.log()[before:], words)
        says("relay-down")()
        heard = says("code=535")
        set_settings(i, relay_fingerprint=key, relay_user="store", relay_password_file=str(password),
                     relay_certificate=str(i.dir / "alien.pem"), relay_key=str(i.dir / "alien.key"))
        heard()
        password.write_text(f"{SECRET}\n")
        heard = says("451")  # the login is right, the certificate nobody's
        restart_submitd(i)
        heard()
        assert not relay.received() and len(queue(i)) == 1
        set_settings(i, relay_certificate=str(i.dir / "store.example.org.pem"),
                     relay_key=str(i.dir / "store.example.org.key"))
        assert relay.wait_received(1)[0]["Subject"] == "who am I"
        # TLS from the first byte, and the certificate itself as the pin
        implicit = f"127.0.0.1:{relay.port + 1}"
        set_settings(i, relay=implicit, relay_tls_start="implicit",
                     relay_fingerprint=":".join(re.findall("..", cert)))
        submit(i, "by implicit TLS")
        received = relay.wait_received(2)
        assert {m["Subject"] for m in received} == {"who am I", "by implicit TLS"}
        assert all("esmtpsa" in str(m["Received"]) for m in received)
        # Exim knows no REQUIRETLS: it comes back, without the body whatever RET says (RFC 8689 §5)
        submit(i, "kept secret", body="the secret", options=["REQUIRETLS", "RET=FULL"])
        report = [m for m in relay.wait_received(3) if m["Auto-Submitted"]][0]
        assert "Status: 5.7.30" in report.as_string() and "kept secret" in report.as_string()
        assert "the secret" not in report.as_string()
        wait_empty(i)
        # a password that others may read is none
        heard = says("relay-password")
        password.chmod(0o644)
        assert i.admin("doctor", check=False).returncode != 0
        i.tool("instance", "restart", i.dir, check=False)
        heard()


# --- in which order, and where to ---------------------------------------------------------------------

def test_urgent_first_and_rerouted():
    with ChaosRelay("MT-PRIORITY MIXER") as relay, Exim() as other, Instance(
            relay=relay.address(), settings={**QUICK, "submitd.relay_connections": "1",
                                             "submitd.relay_probe": "10m"}) as i:
        i.add_account(ANN)
        relay.answer, reached, go = hold("CONNECT")
        submit(i, "first")
        assert reached.wait(60)
        for n, priority in enumerate((-3, 0, 0, 2, 4)):
            submit(i, f"{n}: {priority}", options=[f"MT-PRIORITY={priority}"])
        relay.answer = lambda verb, line: None
        go.set()
        wanted = ["4: 4", "3: 2", "1: 0", "2: 0"]  # the usual ones in no order
        relay.wait_subjects([*wanted, "0: -3"])
        order = [s for s in relay.subjects() if s in wanted]
        assert relay.subjects()[0] == "first" and order[:2] == wanted[:2] and set(order) == set(wanted)
        assert [" MT-PRIORITY=4" in mail for mail, _, c in relay.messages() if b": 4\r\n" in c] == [True]
        wait_empty(i)
        # the relay is down for long; an administrator sends what waits elsewhere
        relay.stop()
        submit(i, "stays")
        submit(i, "elsewhere", to=["y@example.com"])
        wait_for(lambda: "relay-down" in i.log(), "the relay to be known as down")
        settled(i)
        i.admin("queue", "reroute", other.address(), "--to", "*@example.com")
        assert other.wait_received(1)[0]["Subject"] == "elsewhere"
        wait_for(lambda: len(queue(i)) == 1, "it to leave the queue")
        assert len(other.received()) == 1


def test_what_one_relay_lacks_and_what_is_held():
    """The next relay has SMTPUTF8, and the first is none the worse for it; HOLDFOR holds against flush --all."""
    with ChaosRelay() as first, ChaosRelay("SMTPUTF8") as second, Instance(
            relay=[first.address(), second.address()], settings=QUICK) as i:
        i.add_account(ANN)
        submit_wide(i, "größe", "é@example.net", "FULL")
        second.wait_subjects(["größe"])
        wait_empty(i)
        assert not first.subjects() and not re.search(" relay-down | deferred ", i.log())
        begin = time.time()
        submit(i, "held", options=["HOLDFOR=3"])
        submit(i, "plain")
        first.wait_subjects(["plain"])
        i.admin("queue", "flush", "--all")
        first.wait_subjects(["held"])
        assert time.time() - begin >= 2
        assert second.subjects() == ["größe"]


# --- reports --------------------------------------------------------------------------------------------

PER_MESSAGE = {"Original-Envelope-Id", "Reporting-MTA", "Arrival-Date", "Deliver-By-Date"}
PER_RCPT = {"Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code",
            "Will-Retry-Until"}


def blocks(text):
    """The fields of a delivery-status, block by block; none twice."""
    out = []
    for block in text.strip().split("\r\n\r\n"):
        pairs = [line.split(": ", 1) for line in re.sub(r"\r\n[ \t]+", " ", block).split("\r\n")]
        assert len({k for k, _ in pairs}) == len(pairs), block
        out.append(dict(pairs))
    return out


def read_report(content, wide=False):
    """A report as RFC 6522, 3464 and (`wide`) 6533 have it, all of its fields looked at: its text, the fields per
    message and per recipient, and its last part: type and bytes."""
    m = email.message_from_bytes(content, policy=email.policy.SMTP)
    parts = list(m.iter_parts())
    assert m.get_content_type() == "multipart/report" and len(parts) == 3
    assert m.get_param("report-type") == "delivery-status"
    assert m["Auto-Submitted"] == "auto-replied" and m["Message-ID"] and m["MIME-Version"] == "1.0"
    assert abs(email.utils.parsedate_to_datetime(m["Date"]).timestamp() - time.time()) < 600
    assert not m.defects and not any(p.defects for p in m.walk())
    raw = content.split(b"\r\n--" + m.get_boundary().encode())
    assert len(raw) == 5 and raw[4] == b"--\r\n" and b"\n" not in content.replace(b"\r\n", b"")
    head = raw[0].split(b"\r\n\r\n")[0]
    assert not head.isascii() or m["To"]
    if not content.isascii():  # RFC 2045 §6.4: what is in it is no more than what it says
        assert m["Content-Transfer-Encoding"] == "8bit"
    for part, bytes_ in zip(parts, raw[1:4]):
        assert bytes_.isascii() or part["Content-Transfer-Encoding"] == "8bit", bytes_
    assert parts[1].get_content_type() == f"message/{'global-' if wide else ''}delivery-status"
    body = raw[2].split(b"\r\n\r\n", 1)[1]
    assert wide or body.isascii()
    per_message, *per_rcpt = blocks(body.decode())
    assert set(per_message) <= PER_MESSAGE and per_message["Reporting-MTA"] == "dns; mail.example.org"
    assert email.utils.parsedate_to_datetime(per_message["Arrival-Date"])
    for r in per_rcpt:
        assert set(r) <= PER_RCPT
        kind, address = r["Final-Recipient"].split("; ")
        assert kind == ("rfc822" if address.isascii() else "utf-8") and re.fullmatch(r"\S+@\S+", address)
        assert r["Action"] in ("failed", "delayed", "relayed")
        assert re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", r["Status"])
        assert re.fullmatch(r"(smtp|x-sanger); [^\r\n]+", r.get("Diagnostic-Code", "smtp; x"))
        # a domain, or an address in brackets; no port
        assert re.fullmatch(r"dns; ([a-z0-9.-]*[a-z][a-z0-9.-]*|\[([0-9.]+|IPv6:[0-9a-f:]+)\])", r.get("Remote-MTA", "dns; x"))
        if r["Action"] == "delayed":
            assert email.utils.parsedate_to_datetime(r["Will-Retry-Until"]).timestamp() > time.time()
    text = raw[1].split(b"\r\n\r\n", 1)[1].decode()
    assert all(r["Final-Recipient"].split("; ")[1] in text for r in per_rcpt)
    return text, per_message, per_rcpt, (parts[2].get_content_type(), raw[3].split(b"\r\n\r\n", 1)[1])


def reports(relay, to=ANN):
    return [(mail, content) for mail, rcpts, content in relay.messages()
            if mail.startswith("MAIL FROM:<>") and any(f"<{to}>" in r for r in rcpts)]


def wait_report(relay, count, to=ANN):
    wait_for(lambda: len(reports(relay, to)) >= count, f"{count} reports")
    return reports(relay, to)[count - 1]


def refuse(verb, line):
    if verb == "RCPT" and "<bad" in line:
        return "550-5.1.1 never\r\n550 5.1.1 heard of"
    if verb == "RCPT" and "<later" in line:
        return "451 4.3.0 not now"
    return None


def test_each_field_of_a_report():
    with ChaosRelay() as relay, Instance(relay=relay.address(), settings={
            **QUICK, "submitd.retry_first": "1h", "submitd.retry_max": "1h"}) as i:
        relay.answer = refuse
        i.add_account(ANN)
        # refused: whole, with what came in the envelope decoded again; good ones are told of, too
        submit(i, "whole", to=["bad@example.net", "good@example.net"], body="grüße\n",
               options=["ENVID=my+20id+2B1", "RET=FULL", "BODY=8BITMIME"],
               rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;o+2Bld@example.com"])
        wait_report(relay, 2)
        found = [read_report(content) for _, content in reports(relay)]
        (_, per_message, (rcpt,), last), = [f for f in found if f[2][0]["Action"] == "failed"]
        assert per_message["Original-Envelope-Id"] == "my id+1"
        assert rcpt["Original-Recipient"] == "rfc822;o+ld@example.com"
        assert rcpt["Final-Recipient"] == "rfc822; bad@example.net" and rcpt["Status"] == "5.1.1"
        assert rcpt["Diagnostic-Code"] == "smtp; 550 5.1.1 never heard of"
        assert rcpt["Remote-MTA"] == "dns; [127.0.0.1]"
        assert last[0] == "message/rfc822" and b"Subject: whole" in last[1]
        original = email.message_from_bytes(last[1], policy=email.policy.default)
        assert "grüße" in original.get_content()
        (_, _, (rcpt,), last), = [f for f in found if f[2][0]["Action"] == "relayed"]
        assert rcpt["Final-Recipient"] == "rfc822; good@example.net" and rcpt["Status"][0] == "2"
        assert last[0] == "text/rfc822-headers" and "grüße".encode() not in last[1]
        # the header alone
        submit(i, "header only", to=["bad@example.net"], body="not this\n", options=["RET=HDRS"])
        _, _, (rcpt,), last = read_report(wait_report(relay, 3)[1])
        assert last[0] == "text/rfc822-headers" and b"Subject: header only" in last[1]
        assert b"not this" not in last[1] and "Original-Recipient" not in rcpt
        wait_empty(i)


def age(i, seconds):
    """What waits has waited for longer, and is due."""
    with contextlib.closing(sqlite3.connect(i.dir / "spool" / "spool.db", timeout=60)) as db, db:
        db.execute("UPDATE message SET received = received - ?", [seconds])
    i.admin("queue", "flush", "--all")


def test_delayed_and_expired():
    """After a while the sender is told once, where he wants it; bulk mail's life is shorter."""
    with ChaosRelay("DSN") as relay, Instance(relay=relay.address(), settings={
            **QUICK, "submitd.retry_first": "1h", "submitd.retry_max": "1h"}) as i:
        relay.answer = refuse
        i.add_account(ANN)
        submit(i, "normal", to=["later@example.net"], rcpt_options=["NOTIFY=DELAY"])
        submit(i, "no word", to=["later1@example.net"], rcpt_options=["NOTIFY=FAILURE"])
        submit(i, "bulk", to=["later2@example.net"], headers={"Precedence": "bulk"})
        wait_for(lambda: i.log().count(" deferred ") >= 3, "the first attempts")
        settled(i)
        age(i, 3 * 86400)  # bulk: two days; other mail: five
        wait_report(relay, 2)
        found = {f[2][0]["Action"]: f for f in (read_report(c) for _, c in reports(relay))}
        _, per_message, (rcpt,), last = found["delayed"]
        assert rcpt["Final-Recipient"].endswith(" later@example.net") and rcpt["Status"] == "4.3.0"
        until = email.utils.parsedate_to_datetime(rcpt["Will-Retry-Until"])
        arrival = email.utils.parsedate_to_datetime(per_message["Arrival-Date"])
        assert (until - arrival).total_seconds() == 5 * 86400
        assert last[0] == "text/rfc822-headers"
        _, _, (rcpt,), last = found["failed"]
        assert rcpt["Final-Recipient"].endswith(" later2@example.net")
        assert rcpt["Status"] in ("4.3.0", "4.4.7", "5.4.7")
        wait_for(lambda: len(queue(i)) == 2, "the other two to wait")
        settled(i)
        age(i, 3600)
        wait_for(lambda: i.log().count(" deferred ") >= 7, "another attempt each")
        settled(i)
        assert len(reports(relay)) == 2  # not told again
        age(i, 3 * 86400)
        report = read_report(wait_report(relay, 3)[1])  # NOTIFY=DELAY: nothing of its failure
        assert report[2][0]["Final-Recipient"].endswith(" later1@example.net")
        assert report[2][0]["Action"] == "failed"
        wait_empty(i)
        assert len(reports(relay)) == 3


def test_reports_of_wide_addresses():
    """RFC 6533; and where the relay does not know SMTPUTF8 the sender still hears that."""
    with ChaosRelay("SMTPUTF8") as relay, Instance(relay=relay.address(), settings=QUICK) as i:
        relay.answer = refuse
        i.add_account(ANN)
        for ret, kind in (("FULL", "message/global"), ("HDRS", "message/global-headers")):
            submit_wide(i, f"größe {ret}", "badé@example.net", ret)
            wait_for(lambda r=ret: [c for _, c in reports(relay) if f"größe {r}".encode() in c], ret)
            mail, content = [(m, c) for m, c in reports(relay) if f"größe {ret}".encode() in c][0]
            _, _, (rcpt,), last = read_report(content, wide=True)
            assert rcpt["Final-Recipient"] == "utf-8; badé@example.net" and last[0] == kind
            assert "SMTPUTF8" not in mail  # its own header and envelope are plain
        relay.offers = ()
        restart_submitd(i)
        submit_wide(i, "größe plain", "goodé@example.net", "FULL")
        wait_for(lambda: [c for _, c in reports(relay) if "größe plain".encode() in c], "the report")
        content, = [c for _, c in reports(relay) if "größe plain".encode() in c]
        _, _, (rcpt,), _ = read_report(content, wide=True)
        assert rcpt["Status"] == "5.6.7" and rcpt["Diagnostic-Code"].startswith("x-sanger; ")
        wait_empty(i)


def submit_wide(i, subject, to, ret):
    message = f"From: {ANN}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nHello.\r\n".encode()
    with contextlib.closing(i.connect_submission(ANN)) as client:
        client.ehlo()
        client.command_encoding = "utf-8"
        assert client.mail(ANN, ["SMTPUTF8", "BODY=8BITMIME", f"RET={ret}"])[0] == 250
        assert client.rcpt(to)[0] == 250
        assert client.data(message)[0] == 250
        client.quit()


def test_double_bounces():
    """Parked with the reason, shown, released, parked again, deleted."""
    def nobody(verb, line):
        return "550 5.1.1 nobody" if verb == "RCPT" and not taken else None
    taken = []
    with ChaosRelay() as relay, Instance(relay=relay.address(), settings=QUICK) as i:
        relay.answer = nobody
        i.add_account(ANN)
        submit(i, "lost", to=["bad@example.net"])
        submit(i, "lost too", to=["bad@example.net"])
        wait_for(lambda: len(queue(i, "--parked")) == 2, "two parked reports")
        first, second = (m["id"] for m in queue(i, "--parked"))
        shown = i.admin_json("queue", "show", first)
        assert shown["sender"] == "" and "5.1.1 nobody" in shown["parked"] and shown["held"]
        assert shown["recipients"][0]["address"] == ANN
        assert shown["recipients"][0]["state"] == "failed"
        assert "nobody" in i.admin("queue", "show", first)
        body = i.admin("queue", "show", first, "--body")
        assert "Final-Recipient: rfc822; bad@example.net" in body
        i.admin("queue", "release", first)
        wait_for(lambda: i.log().count(" parked ") >= 3, "it to be parked once more")
        taken.append(True)
        wait_for(lambda: len(queue(i, "--parked")) == 2, "both there")
        i.admin("queue", "release", first)
        read_report(wait_report(relay, 1)[1])
        wait_for(lambda: [m["id"] for m in queue(i)] == [second], "the other one alone")
        i.admin("queue", "delete", second)
        assert not queue(i) and len(reports(relay)) == 1
