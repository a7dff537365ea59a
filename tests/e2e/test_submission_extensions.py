"""What submitd offers besides plain submission, by raw dialogue: what EHLO says, what MAIL may ask for, what of it
the spool keeps and the relay is told."""

import base64
import contextlib
import re
import socket
import sqlite3
import time

import pytest

from relay import Relay
from sanger import Instance, free_port, wait_for

QUICK = {"submitd.relay_tls": "none", "submitd.retry_first": "1s", "submitd.retry_max": "1s"}
ANN = "ann@example.org"


class Dialogue:
    """Lines to a submission door, and its replies: code and text of all lines."""

    def __init__(self, i, starttls=False, login=True):
        self.i = i
        self.socket = socket.create_connection(
            ("127.0.0.1", i.submission if starttls else i.submissions), 60)
        if not starttls:
            self.secure()
        self.file = self.socket.makefile("rb")
        self.reply()
        self.features = self.say("EHLO client.example.org")[1].split("\n")
        if login:
            plain = base64.b64encode(f"\0{ANN}\0{i.accounts[ANN]}".encode()).decode()
            assert self.say(f"AUTH PLAIN {plain}")[0] == 235

    def secure(self):
        self.socket = self.i.tls().wrap_socket(self.socket, server_hostname="localhost")
        self.file = self.socket.makefile("rb")

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def reply(self):
        lines = []
        while line := self.file.readline().decode():
            lines.append(line[4:].rstrip("\r\n"))
            if line[3] == " ":
                return int(line[:3]), "\n".join(lines)
        raise EOFError

    def say(self, line):
        self.send(line + "\r\n")
        return self.reply()

    def submit(self, params="", header="", body="text\r\n", to="bob@example.net"):
        code, text = self.say(f"MAIL FROM:<{ANN}>{' ' + params if params else ''}")
        assert code == 250, text
        assert self.say(f"RCPT TO:<{to}>")[0] == 250
        assert self.say("DATA")[0] == 354
        code, text = self.say(f"From: {ANN}\r\n{header}\r\n{body}.")
        assert code == 250, text
        return text.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


@pytest.fixture(scope="module")
def box():
    """Its relay is down: what is submitted stays in the spool."""
    with Instance(relay=f"127.0.0.1:{free_port()}",
                  settings=dict(QUICK, **{"submitd.messages_per_connection": "3",
                                          "submitd.recipients_max": "5"})) as i:
        i.add_account(ANN)
        yield i


def row(i, ident, *columns):
    with contextlib.closing(sqlite3.connect(i.dir / "spool" / "spool.db")) as db:
        return db.execute(f"SELECT {', '.join(columns)} FROM message WHERE id = ?",
                          (ident,)).fetchone()


def test_what_is_offered(box):
    with Dialogue(box) as d:
        offered = set(d.features)
        assert {"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME",
                "SMTPUTF8", "DSN", "DELIVERBY 60", "MT-PRIORITY MIXER", "REQUIRETLS",
                "LIMITS RCPTMAX=5 MAILMAX=3"} <= offered
        hold, = [f for f in offered if f.startswith("FUTURERELEASE ")]
        assert re.fullmatch(r"FUTURERELEASE 604800 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", hold)
        assert not any(f.startswith("XCLIENT") for f in offered)
    with Dialogue(box, starttls=True, login=False) as d:
        assert "REQUIRETLS" not in d.features and "STARTTLS" in d.features
        assert d.say("STARTTLS")[0] == 220
        d.secure()
        assert "REQUIRETLS" in d.say("EHLO client.example.org")[1].split("\n")


@pytest.mark.parametrize("params,code", [
    ("REQUIRETLS", 250), ("REQUIRETLS=yes", 501), ("MT-PRIORITY=-9", 250), ("MT-PRIORITY=10", 501),
    ("BY=60;R", 250), ("BY=59;R", 501), ("BY=-10;NT", 250), ("BY=0;R", 501), ("HOLDFOR=604800", 250),
    ("HOLDFOR=604801", 501), ("HOLDUNTIL=2001-02-03T04:05:06Z", 250),
    ("HOLDUNTIL=2101-02-03T04:05:06Z", 501), ("HOLDFOR=5 HOLDUNTIL=2001-02-03T04:05:06Z", 501),
    ("HOLDFOR=100 BY=90;R", 501), ("HOLDFOR=100 BY=190;R", 250), ("FOO=1", 555),
    ("SIZE=99999999999", 552), ("BODY=BINARYMIME SMTPUTF8 RET=FULL ENVID=a+2Bb AUTH=<>", 250),
    ("RET=ALL", 501), ("ENVID=a+b", 501)])
def test_parameters_of_mail(box, params, code):
    with Dialogue(box) as d:
        got, text = d.say(f"MAIL FROM:<{ANN}> {params}")
        assert got == code, text
        assert text.startswith({250: "2.", 501: "5.5.4", 555: "5.5.4", 552: "5.3.4"}[code])


def test_limits_are_kept(box):
    with Dialogue(box) as d:
        d.say(f"MAIL FROM:<{ANN}>")
        codes = [d.say(f"RCPT TO:<r{n}@example.net>") for n in range(6)]
        assert [c for c, _ in codes] == [250] * 5 + [452] and codes[5][1].startswith("4.5.3")
        for _ in range(2):
            d.say("RSET")
            assert d.say(f"MAIL FROM:<{ANN}>")[0] == 250
        d.say("RSET")
        code, text = d.say(f"MAIL FROM:<{ANN}>")
        assert code == 452 and text.startswith("4.5.3")


def test_the_spool_keeps_what_was_asked_for(box):
    with Dialogue(box) as d:
        now = time.time()
        ident = d.submit("REQUIRETLS MT-PRIORITY=-3 HOLDFOR=1000 BY=2000;NT", "TLS-Required: No\r\n")
        tls, optional, priority, mode, release, by, by_mode, trace, due = row(
            box, ident, "require_tls", "tls_optional", "priority", "release_mode", "release_at",
            "deliver_by", "by_mode", "by_trace", "next_attempt")
        assert (tls, optional, priority, mode, by_mode, trace) == (1, 0, -3, "F", "N", 1)
        assert now + 990 < release < now + 1100 and due == release
        assert now + 1990 < by < now + 2100
        # the field alone, and bulk mail; a priority that is too high
        code, text = d.say(f"MAIL FROM:<{ANN}> MT-PRIORITY=9")
        assert (code, text) == (250, "2.3.6 4 is the new priority assigned to the message")
        d.say("RSET")
        ident = d.submit("HOLDUNTIL=2001-02-03T04:05:06Z",
                         "TLS-Required: No\r\nList-Id: <l.example.org>\r\n")
        assert row(box, ident, "require_tls", "tls_optional", "priority", "bulk") == (0, 1, 0, 1)


def test_chunks(box):
    with Dialogue(box) as d:
        header = f"From: {ANN}\r\nSubject: chunks\r\n\r\n".encode()
        body = b"a\nb\0\r.\r\n.\r\nc"
        d.send(f"MAIL FROM:<{ANN}> BODY=BINARYMIME\r\nRCPT TO:<bob@example.net>\r\n"
               f"BDAT {len(header)}\r\n".encode() + header +
               f"BDAT {len(body)}\r\n".encode() + body + b"BDAT 0 LAST\r\nNOOP\r\n")
        replies = [d.reply() for _ in range(6)]
        assert [code for code, _ in replies] == [250] * 6
        ident = replies[4][1].split()[-1]
        path, = (box.dir / "spool" / "msg").glob(f"{ident}.*")
        assert path.read_bytes().endswith(b"Subject: chunks\r\n\r\n" + body)
        # DATA cannot carry it, and does not go between chunks
        d.say(f"MAIL FROM:<{ANN}> BODY=BINARYMIME")
        d.say("RCPT TO:<bob@example.net>")
        assert d.say("DATA")[0] == 503
        d.send(b"BDAT 3\r\nabc")
        assert d.reply()[0] == 250
        assert d.say("DATA")[0] == 503
        assert d.say("RCPT TO:<carl@example.net>")[0] == 503
        assert d.say("RSET")[0] == 250
        d.send(b"BDAT 3 LAST\r\nabc")  # belongs to nothing; its bytes are no commands
        assert d.reply()[0] == 503


def test_small_commands(box):
    with Dialogue(box) as d:
        assert d.say("VRFY ann@example.org")[0] == 252
        assert d.say("EXPN list")[0] == 502
        assert d.say("HELP")[0] == 214
        assert d.say("XCLIENT ADDR=192.0.2.1")[0] == 550
        assert d.say("NOOP")[0] == 250


def test_the_relay_is_told():
    with Relay("DSN", "DELIVERBY", "MT-PRIORITY MIXER", "PIPELINING") as relay, \
            Instance(relay=relay.address(), settings=QUICK) as i:
        i.add_account(ANN)
        with Dialogue(i) as d:
            d.submit("MT-PRIORITY=3 BY=600;R RET=HDRS ENVID=xyz", to="a@example.net")
            (mail, _), = relay.wait_to("a@example.net")
            assert "MT-PRIORITY=3" in mail and "ENVID=xyz" in mail
            assert 500 < int(re.search(r" BY=(\d+);R", mail)[1]) <= 600
            # held, then sent
            start = time.time()
            d.submit("HOLDFOR=4", to="b@example.net")
            d.submit(to="c@example.net")
            relay.wait_to("c@example.net")
            if time.time() < start + 3:
                assert not relay.to("b@example.net")
            wait_for(lambda: relay.to("b@example.net"), "the held message")
            assert time.time() >= start + 3


def test_a_redirect_keeps_requiretls(box):
    box.admin("filter", "set", ANN, "-", input=b'redirect "far@example.net";\n')
    with box.connect_smtp() as client:
        client.starttls(context=box.tls())
        client.ehlo()
        assert client.has_extn("requiretls") and client.esmtp_features["limits"] == "RCPTMAX=1000"
        client.sendmail("asks@example.com", [ANN], b"Subject: keep\r\n\r\nx\r\n",
                        mail_options=["REQUIRETLS"])
    with contextlib.closing(sqlite3.connect(box.dir / "spool" / "spool.db")) as db:
        assert db.execute("SELECT require_tls FROM message WHERE sender = 'asks@example.com'"
                          ).fetchall() == [(1,)]
