"""Nobody gets in, and every size a peer can choose meets a limit first: real daemons, hostile peers."""

import base64
import hashlib
import os
import pathlib
import re
import socket
import sqlite3
import ssl
import stat
import subprocess
import time

import pytest

from sanger import BIN, Instance, make_message, run, wait_for
from scram import Scram, b64

PASSWORD = "secret-Pw1"
ANN, BOB = "ann@example.org", "bob@example.org"
SANITIZED = "asan" in BIN.parts
GROWTH_KB = 400_000 if SANITIZED else 100_000  # what a worker may grow by under attack
SLOW = 6 if SANITIZED else 1
BOX = {"log.level": "debug", "auth.fail_limit": "1000"}
STRICT = {"tls.min_version": "1.3", "auth.fail_limit": "3", "auth.fail_delay_max": "3s",
          "auth.connections_per_address": "5"}
HASTY = {"tls.handshake_timeout": "2s", "auth.login_timeout": "5s"}


def make_certificate(name, cert, key):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
        "-keyout", key, "-out", cert)


@pytest.fixture(scope="module")
def box():
    with Instance(settings=BOX, start=False) as i:
        sni = i.dir / "tls" / "sni"
        sni.mkdir()
        make_certificate("one.example.org", sni / "one.example.org.crt",
                         sni / "one.example.org.key")
        i.own(sni)
        text = i.conf().read_text()
        i.conf().write_text(text.replace("[tls]\n", f"[tls]\nsni_dir = {sni}\n"))
        i.start()
        i.add_account(ANN)
        i.add_account(BOB)
        yield i
        check_log(i)


@pytest.fixture(scope="module")
def hasty():
    with Instance(settings=HASTY) as i:
        yield i


@pytest.fixture(scope="module")
def strict():
    with Instance(settings=STRICT) as i:
        i.add_account(ANN)
        yield i


class Peer:
    """A raw connection, in the clear or TLS, from a loopback address of choice."""

    def __init__(self, port, tls=True, source="127.0.0.1", timeout_s=60):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout_s, (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        if tls:
            self.start_tls()

    def start_tls(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock)

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        """One line without its end; None when the server has closed."""
        while b"\n" not in self.pending:
            try:
                data = self.sock.recv(65536)
            except (ConnectionResetError, ssl.SSLError):
                data = b""
            if not data:
                return None
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line.rstrip(b"\r")

    def rest(self, silence_s=60):
        """All until the server closes, or is silent for so long."""
        self.sock.settimeout(silence_s)
        data, self.pending = self.pending, b""
        try:
            while chunk := self.sock.recv(65536):
                data += chunk
        except (TimeoutError, ConnectionResetError, ssl.SSLError):
            pass
        return data

    # IMAP
    def imap(self, command):
        """Sends a command under the tag t; returns all lines up to its reply."""
        self.send(b"t " + (command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        return self.reply()

    def reply(self):
        lines = []
        while True:
            line = self.line()
            lines.append(line)
            if line is None or line.startswith((b"t ", b"+ ")):
                return lines

    # SMTP
    def smtp(self, command=None):
        """Sends a command; returns the reply's code and text."""
        if command is not None:
            self.send((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        text = b""
        while True:
            line = self.line()
            if line is None:
                return 0, text
            text += line + b"\n"
            if line[3:4] != b"-":
                return int(line[:3]), text

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()


def imap_peer(i, address=None, **kwargs):
    p = Peer(i.imaps, **kwargs)
    assert p.line().startswith(b"* OK")
    if address:
        assert p.imap(f"LOGIN {address} {PASSWORD}")[-1].startswith(b"t OK")
    return p


def submission_peer(i, **kwargs):
    p = Peer(i.submissions, **kwargs)
    assert p.smtp()[0] == 220
    assert p.smtp("EHLO client.example.org")[0] == 250
    return p


def lda_peer(i, door):
    p = Peer(i.lmtp if door == "lmtp" else i.smtp, tls=False)
    assert p.smtp()[0] == 220
    assert p.smtp(("LHLO" if door == "lmtp" else "EHLO") + " relay.example.net")[0] == 250
    return p


def sending_peer(i, door):
    """A connection that may send: from the relay, or logged in."""
    if door != "submission":
        return lda_peer(i, door)
    p = submission_peer(i)
    assert p.smtp("AUTH PLAIN " + b64(f"\0{ANN}\0{PASSWORD}".encode()))[0] == 235
    return p


def rss_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1])


class Memory:
    """Asserts that no worker dies or grows without bound inside the block."""

    def __init__(self, i, daemon, growth_kb=GROWTH_KB):
        self.i, self.daemon, self.growth_kb = i, daemon, growth_kb

    def __enter__(self):
        self.before = {p: rss_kb(p) for p in self.i.workers(self.daemon)}
        self.started = time.monotonic()
        return self

    def check(self):
        assert set(self.i.workers(self.daemon)) == set(self.before), "a worker died"
        for pid, kb in self.before.items():
            assert rss_kb(pid) < kb + self.growth_kb

    def __exit__(self, kind, *why):
        if kind is None:
            self.check()


LOG_LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d) (error|warn|info|debug) [a-z]+"
    r"( s=[0-9a-f.]+)?( [a-z][a-z0-9_-]*)"
    r"( [a-z][a-z0-9_]*=(\"([^\"\\\x00-\x1f\x7f]|\\.)*\"|[^\s\"\x00-\x1f\x7f]*))*")


def check_log(i):
    """Each line is one event in logfmt, whatever peers called themselves; no password is there."""
    text = i.log()
    for line in text.split("\n")[:-1]:
        assert LOG_LINE.fullmatch(line), repr(line)
    for secret in (PASSWORD, b64(PASSWORD.encode()), b64(f"\0{ANN}\0{PASSWORD}".encode()),
                   "wrong-Pw", b64(b"wrong-Pw")):
        assert secret not in text, secret


# --- before TLS


@pytest.mark.parametrize("command", [
    f"LOGIN {ANN} {PASSWORD}", "AUTHENTICATE PLAIN", "AUTHENTICATE SCRAM-SHA-256", "SELECT INBOX",
    'LIST "" *', "ENABLE IMAP4rev2", "IDLE", "STATUS INBOX (MESSAGES)", "APPEND INBOX {3+}\r\nabc",
    "GETQUOTAROOT INBOX", "NAMESPACE", "SETACL INBOX a b"])
def test_nothing_before_tls(box, command):
    with Peer(box.imap, tls=False) as p:
        greeting = p.line()
        assert greeting.startswith(b"* OK") and b"AUTH=" not in greeting
        assert b"LOGINDISABLED" in greeting and b"STARTTLS" in greeting
        assert p.imap(command)[-1].startswith((b"t NO", b"t BAD"))
        for allowed in ("CAPABILITY", "ID NIL", "NOOP"):
            assert p.imap(allowed)[-1].startswith(b"t OK")
        assert p.imap("LOGOUT")[-1].startswith(b"t OK")


def test_no_smtp_auth_or_mail_before_tls(box):
    with Peer(box.submission, tls=False) as p:
        assert p.smtp()[0] == 220
        code, text = p.smtp("EHLO client.example.org")
        assert code == 250 and b"AUTH" not in text and b"STARTTLS" in text
        assert p.smtp(f"AUTH PLAIN {b64(f'{chr(0)}{ANN}{chr(0)}{PASSWORD}'.encode())}")[0] in (
            530, 538)
        assert p.smtp(f"MAIL FROM:<{ANN}>")[0] == 530


@pytest.mark.parametrize("door, first, starttls, injected", [
    ("imap", None, "t STARTTLS", "t2 CAPABILITY"),
    ("submission", "EHLO a.example.org", "STARTTLS", "RSET\r\nEHLO evil.example.org"),
    ("smtp", "EHLO a.example.org", "STARTTLS", "RSET\r\nEHLO evil.example.org"),
    ("lmtp", "LHLO a.example.org", "STARTTLS", "RSET\r\nLHLO evil.example.org")])
def test_starttls_injection(box, door, first, starttls, injected):
    """What is pipelined behind STARTTLS is never answered, in the clear or under TLS."""
    with Peer(getattr(box, door), tls=False) as p:
        p.line()
        if first:
            code, text = p.smtp(first)
            if b"STARTTLS" not in text:
                pytest.skip(f"{door} offers no STARTTLS here")
        p.send(f"{starttls}\r\n{injected}\r\n")
        p.line()
        p.sock.settimeout(5)
        try:
            p.start_tls()
        except (ssl.SSLError, OSError):
            return
        assert p.rest(silence_s=2 * SLOW) == b""


def openssl(i, *args, port=None, text=b""):
    done = run("openssl", "s_client", "-connect", f"127.0.0.1:{port or i.imaps}", *args,
               check=False, input=text, timeout=60)
    return done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_tls_is_refused(box, version):
    for port in (box.imaps, box.submissions):
        out = openssl(box, version, "-cipher", "ALL:@SECLEVEL=0", port=port)
        assert "Cipher is (NONE)" in out or "Cipher    : 0000" in out, out


def test_min_version(box, strict):
    assert "Protocol  : TLSv1.2" in openssl(box, "-tls1_2")
    out = openssl(strict, "-tls1_2")
    assert "Cipher is (NONE)" in out or "Cipher    : 0000" in out, out
    assert "TLSv1.3" in openssl(strict, "-tls1_3")


def shown_certificate(i, name):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", i.imaps), 60) as s:
        with context.wrap_socket(s, server_hostname=name) as t:
            return t.getpeercert(binary_form=True)


def test_sni_and_new_certificate(box):
    sni = box.dir / "tls" / "sni"
    of_file = lambda p: ssl.PEM_cert_to_DER_cert(p.read_text())  # noqa: E731
    default = of_file(box.dir / "tls" / "cert.pem")
    assert shown_certificate(box, "one.example.org") == of_file(sni / "one.example.org.crt")
    for name in (None, "nobody.example.org", "sni/one.example.org", "one.example.org.crt"):
        assert shown_certificate(box, name) == default
    make_certificate("one.example.org", sni / "one.example.org.crt", sni / "one.example.org.key")
    box.own(sni)
    pid = box.pid("imapd")
    with imap_peer(box, ANN) as old:
        box.tool("instance", "reload", box.dir)
        wait_for(lambda: shown_certificate(box, "one.example.org") ==
                 of_file(sni / "one.example.org.crt"), "the new certificate")
        assert old.imap("NOOP")[-1].startswith(b"t OK")
    assert box.pid("imapd") == pid


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption(box, version):
    ticket = box.temp / f"ticket{version}"
    openssl(box, version, "-sess_out", ticket, text=b"a LOGOUT\r\n", port=box.imaps)
    run("openssl", "s_client", "-connect", f"127.0.0.1:{box.imaps}", version, "-ign_eof",
        "-sess_out", ticket, input=b"a LOGOUT\r\n")
    for _ in range(4):  # whichever worker takes it
        out = run("openssl", "s_client", "-connect", f"127.0.0.1:{box.imaps}", version,
                  "-ign_eof", "-sess_in", ticket, input=b"a LOGOUT\r\n").stdout.decode()
        assert "Reused, TLS" in out, out


# --- logins


def endpoint_binding(sock):
    """RFC 5929 §4.1; our certificates are signed with SHA-256."""
    return "tls-server-end-point", hashlib.sha256(sock.getpeercert(binary_form=True)).digest()


def scram_imap(p, exchange, mechanism):
    p.send(f"t AUTHENTICATE {mechanism} {b64(exchange.first())}\r\n")
    line = p.line()
    if not line.startswith(b"+ "):
        return line
    p.send(b64(exchange.final(base64.b64decode(line[2:]))) + "\r\n")
    line = p.line()
    if not line.startswith(b"+ "):
        return line
    exchange.check(base64.b64decode(line[2:]))
    p.send("\r\n")
    while not (line := p.line()).startswith(b"t "):
        pass
    return line


def scram_smtp(p, exchange, mechanism):
    code, text = p.smtp(f"AUTH {mechanism} {b64(exchange.first())}")
    if code != 334:
        return code
    code, text = p.smtp(b64(exchange.final(base64.b64decode(text[4:]))))
    if code == 334:
        exchange.check(base64.b64decode(text[4:]))
        code, text = p.smtp("")
    return code


def bindings(p):
    return {"SCRAM-SHA-256": None, "SCRAM-SHA-256-PLUS": endpoint_binding(p.sock)}


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
def test_scram(box, mechanism):
    with imap_peer(box) as p:
        assert scram_imap(p, Scram(ANN, PASSWORD, bindings(p)[mechanism]),
                          mechanism).startswith(b"t OK")
        assert p.imap("SELECT INBOX")[-1].startswith(b"t OK")
    with submission_peer(box) as p:
        assert scram_smtp(p, Scram(ANN, PASSWORD, bindings(p)[mechanism]), mechanism) == 235
        assert p.smtp(f"MAIL FROM:<{ANN}>")[0] == 250


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
@pytest.mark.parametrize("user", [ANN, "nobody@example.org"])
def test_scram_denied(box, mechanism, user):
    """A wrong password and an unknown user: the same number of steps, the same words."""
    with imap_peer(box) as p:
        line = scram_imap(p, Scram(user, "wrong-Pw", bindings(p)[mechanism]), mechanism)
        assert line.startswith(b"t NO [AUTHENTICATIONFAILED]")
        assert p.imap("SELECT INBOX")[-1].startswith(b"t BAD")
    with submission_peer(box) as p:
        assert scram_smtp(p, Scram(user, "wrong-Pw", bindings(p)[mechanism]), mechanism) == 535


def test_scram_bindings(box):
    """A binding of another channel, or a client that was told there is no -PLUS: somebody is between."""
    with imap_peer(box) as p:
        other = ("tls-server-end-point", hashlib.sha256(b"of another server").digest())
        for exchange, mechanism in ((Scram(ANN, PASSWORD, other), "SCRAM-SHA-256-PLUS"),
                                    (Scram(ANN, PASSWORD, gs2="y,,"), "SCRAM-SHA-256"),
                                    (Scram(ANN, PASSWORD), "SCRAM-SHA-256-PLUS"),
                                    (Scram(ANN, PASSWORD, endpoint_binding(p.sock)),
                                     "SCRAM-SHA-256"),
                                    (Scram(ANN, PASSWORD, gs2=f"n,a={BOB},"), "SCRAM-SHA-256")):
            assert scram_imap(p, exchange, mechanism).startswith((b"t NO", b"t BAD")), mechanism


def test_scram_exporter(box):
    """tls-exporter, RFC 9266, as OpenSSL's own client computes it."""
    client = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{box.imaps}", "-ign_eof", "-keymatexport",
         "EXPORTER-Channel-Binding", "-keymatexportlen", "32"], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        lines, key = [], None
        while not lines or not lines[-1].startswith(b"* OK"):
            lines.append(client.stdout.readline())
            assert lines[-1], b"".join(lines)
            found = re.match(rb"\s*Keying material: ([0-9A-F]{64})", lines[-1])
            key = bytes.fromhex(found[1].decode()) if found else key

        class Pipe:
            def send(self, text):
                client.stdin.write(text.encode())
                client.stdin.flush()

            def line(self):
                """The client prints tickets among the server's lines."""
                while True:
                    line = client.stdout.readline().rstrip(b"\r\n")
                    if line.startswith((b"+ ", b"t ")):
                        return line
                    assert client.poll() is None

        exchange = Scram(ANN, PASSWORD, ("tls-exporter", key))
        assert scram_imap(Pipe(), exchange, "SCRAM-SHA-256-PLUS").startswith(b"t OK")
    finally:
        client.kill()
        client.wait()


def login_time(p, user, password):
    start = time.monotonic()
    reply = p.imap(f"LOGIN {user} {password}")[-1]
    return time.monotonic() - start, reply


def test_unknown_user_and_wrong_password_are_alike(box):
    """Also for a hash of an old, cheap scheme.  That they cost the same work is for store/auth_test."""
    old = box.add_account("old@example.org")
    with sqlite3.connect(box.dir / "user.db") as db:
        db.execute("UPDATE account SET password = ? WHERE localpart = 'old'",
                   ("{SHA}" + b64(hashlib.sha1(PASSWORD.encode()).digest()),))
    for user in (ANN, old, "nobody@example.org"):
        with imap_peer(box) as p:
            assert (p.imap(f"LOGIN {user} wrong-Pw")[-1]
                    == b"t NO [AUTHENTICATIONFAILED] Wrong user name or password")
    with imap_peer(box, old):
        pass


def test_guessing_slows_down(strict):
    def guess(password, source):
        with imap_peer(strict, source=source) as p:
            return login_time(p, ANN, password)

    for _ in range(8):  # an old password, again and again
        assert guess("forgotten-Pw", "127.0.0.11")[1].startswith(b"t NO")
    for n in range(3):
        guess(f"guess{n}", "127.0.0.12")
    took, reply = guess("guess4", "127.0.0.12")
    assert took >= 1 and reply.startswith(b"t NO")
    took, reply = guess("guess5", "127.0.0.12")
    assert took >= 2
    for n in range(6, 8):
        took, reply = guess(f"guess{n}", "127.0.0.12")
        assert took >= 2.9  # auth.fail_delay_max
    with submission_peer(strict, source="127.0.0.13") as p:  # submitd counts for itself
        for n in range(3):
            assert p.smtp("AUTH PLAIN " + b64(f"\0{ANN}\0guess{n}".encode()))[0] == 535
        start = time.monotonic()
        assert p.smtp("AUTH PLAIN " + b64(f"\0{ANN}\0{PASSWORD}".encode()))[0] == 235
        assert time.monotonic() - start >= 1
    strict.add_account("eve@example.org")
    for n in range(3):  # logging in to her own account in between helps nobody
        guess(f"guess{n}", "127.0.0.15")
        with imap_peer(strict, source="127.0.0.15") as p:
            p.imap(f"LOGIN eve@example.org {PASSWORD}")
    assert guess("guess4", "127.0.0.15")[0] >= 1
    assert guess(PASSWORD, "127.0.0.14")[1].startswith(b"t OK")
    strict.restart()  # the history is written at the end, if not before
    waited = {row["source"]: row["delayed"]
              for row in strict.admin_json("account", "logins", ANN) if row["protocol"] == "imap"}
    assert waited["127.0.0.11"] == waited["127.0.0.14"] == 0 and waited["127.0.0.12"] == 4


def test_connections_per_address(strict):
    first = [imap_peer(strict, source="127.0.0.21") for _ in range(5)]
    with pytest.raises((OSError, AssertionError, AttributeError)):
        imap_peer(strict, source="127.0.0.21")
    imap_peer(strict, source="127.0.0.22").close()
    assert first[0].imap(f"LOGIN {ANN} {PASSWORD}")[-1].startswith(b"t OK")
    sixth = imap_peer(strict, source="127.0.0.21")
    for p in [*first, sixth]:
        p.close()


@pytest.mark.parametrize("door", ["imaps", "imap", "submissions", "submission"])
def test_login_timeout(hasty, door):
    """A byte now and then does not keep a connection that never logs in."""
    with Peer(getattr(hasty, door), tls=False) as p:
        start = time.monotonic()
        if door.endswith("s"):
            p.start_tls()
        p.sock.settimeout(0.5)
        for _ in range(240):
            try:
                p.send("N")
                if p.sock.recv(4096) == b"":
                    break
            except TimeoutError:
                pass
            except OSError:
                break
        else:
            pytest.fail("still connected")
        assert time.monotonic() - start > 4


@pytest.mark.parametrize("door", ["imaps", "submissions"])
def test_handshake_timeout(hasty, door):
    with Peer(getattr(hasty, door), tls=False) as p:
        start = time.monotonic()
        p.send(b"\x16\x03\x01\x02\x00\x01")
        assert p.line() is None
        assert time.monotonic() - start > 1.5


# --- sizes


def test_line_limit_before_login(box):
    with imap_peer(box) as p:
        assert p.imap("NOOP " + "x" * 8000)[-1].startswith(b"t BAD")
        assert p.imap(f"LOGIN {ANN} " + "x" * 8300)[-1].startswith(b"t BAD [TOOBIG]")
        assert p.imap("LOGIN {9000}")[-1].startswith(b"t BAD [TOOBIG]")  # no "+"
        assert p.imap("LOGIN {9000+}\r\n" + "x" * 9000 + " y")[-1].startswith(b"t BAD [TOOBIG]")
        assert p.imap("NOOP")[-1].startswith(b"t OK")
        assert p.imap(f"LOGIN {ANN} {PASSWORD}")[-1].startswith(b"t OK")


def test_line_limit_after_login(box):
    with imap_peer(box, ANN) as p:
        p.imap("SELECT INBOX")
        assert p.imap("UID SEARCH UID " + "1:5," * 15000 + "7")[-1].startswith(b"t OK")
        assert p.imap("UID SEARCH UID " + "1:5," * 17000 + "7")[-1].startswith(b"t BAD [TOOBIG]")
        assert p.imap("SEARCH SUBJECT {70000}")[-1].startswith(b"t BAD [TOOBIG]")
        assert p.imap("APPEND INBOX {60000000}")[-1].startswith(b"t NO [TOOBIG]")
        assert p.imap("NOOP")[-1].startswith(b"t OK")
        p.send("t APPEND INBOX {4294967295+}\r\n")
        assert b"BYE" in p.rest()
    with imap_peer(box, ANN) as p:
        for size in ("4294967296", "18446744073709551616", "99999999999999999999999999", "-1"):
            assert p.imap(f"SEARCH SUBJECT {{{size}}}")[-1].startswith((b"t BAD", b"t NO"))


@pytest.mark.parametrize("daemon, address", [("imapd", None), ("imapd", ANN), ("submitd", None),
                                             ("lda", None)])
def test_endless_line(box, daemon, address):
    """100 MB without an end of line: read and dropped, or cut off."""
    with Memory(box, daemon) as memory:
        p = (imap_peer(box, address) if daemon == "imapd" else
             submission_peer(box) if daemon == "submitd" else lda_peer(box, "lmtp"))
        with p:
            block = b"x" * (1 << 20)
            try:
                for _ in range(100):
                    p.send(block)
            except OSError:
                pass
            memory.check()


def test_pipelined_commands_without_reading(box):
    """Somebody who asks and never reads fills his own buffers, not the server."""
    box.deliver(BOB, bytes(make_message(BOB, body="z\n" * 1000)))
    for daemon in ("imapd", "submitd"):
        with Memory(box, daemon) as memory:
            p = imap_peer(box, BOB) if daemon == "imapd" else submission_peer(box)
            with p:
                if daemon == "imapd":
                    p.imap("SELECT INBOX")
                p.sock.settimeout(2 * SLOW)
                block = (b"t FETCH 1 (BODY[] ENVELOPE)\r\n" * 1000 if daemon == "imapd"
                         else b"NOOP\r\n" * 5000)
                try:
                    for _ in range(2000):
                        p.send(block)
                except (TimeoutError, OSError):
                    pass
                memory.check()


HARD = {
    "parens": "SEARCH " + "(" * 20000 + "ALL" + ")" * 20000,
    "not": "SEARCH " + "NOT " * 15000 + "ALL",
    "or": "SEARCH " + "OR ALL " * 9000 + "ALL",
    "or tree": "SEARCH " + "OR (" * 90 + "ALL" + ") ALL" * 90,
    "sets": "SEARCH " + ",".join("1:*" for _ in range(15000)),
    "uid sets": "UID FETCH " + ",".join(f"{n}:{n + 4000000000}" for n in range(3000)) + " UID",
    "odd set": "SEARCH UID " + ",".join(str(2 * n + 1) for n in range(10000)),
    "many texts": "SEARCH " + "TEXT aa " * 8000,
    "fetch parens": "FETCH 1 (" + "(" * 30000,
    "fetch items": "FETCH 1 (" + "BODY.PEEK[] " * 5000 + "UID)",
    "sections": "FETCH 1 BODY[" + ".".join(["1"] * 30000) + "]",
    "fields": "FETCH 1 BODY[HEADER.FIELDS (" + "a " * 30000 + "b)]",
    "partial": "FETCH 1 BODY[]<4294967295.4294967295>",
    "flags": "STORE 1 FLAGS (" + " ".join(f"k{n}" for n in range(9000)) + ")",
    "long flag": "STORE 1 FLAGS (" + "k" * 60000 + ")",
    "list": 'LIST "" ' + "*%" * 30000,
    "list patterns": 'LIST "" (' + "*a*a*a*a*b " * 5000 + "x)",
    "id": "ID (" + '"a" "b" ' * 7000 + ")",
    "status": "STATUS INBOX (" + "MESSAGES " * 6000 + "UIDNEXT)",
    "copy": "COPY 1 " + "x/" * 30000,
    "quotes": 'SEARCH SUBJECT "' + "\\\\" * 30000 + '"',
}


@pytest.mark.parametrize("name", HARD)
def test_hard_commands(box, name):
    """Whatever one line can ask costs bounded time and memory, and the session lives on."""
    box.deliver(BOB, subject="hard")
    with Memory(box, "imapd"), imap_peer(box, BOB) as p:
        p.imap("SELECT INBOX")
        start = time.monotonic()
        assert p.imap(HARD[name])[-1].startswith((b"t OK", b"t NO", b"t BAD"))
        assert p.imap("NOOP")[-1].startswith(b"t OK")
        assert time.monotonic() - start < 60 * SLOW  # not minutes
        p.imap("STORE 1 FLAGS ()")


def fill(box, account, messages):
    """Puts that many small messages into an account's INBOX."""
    with imap_peer(box, account) as p:
        p.imap("SELECT INBOX")
    new = box.maildir(account) / "new"
    for n in range(messages):
        path = new / f"1700000000.M{n}P1Q{n}.host"
        path.write_text("Subject: x\n\nx\n")
        path.chmod(0o640)
    box.own(new)


def test_search_of_many_long_sets(box):
    """In a mailbox with a gap behind each message "1:*" is long; thousands of them are refused, and cost no memory."""
    account = box.add_account("gaps@example.org")
    messages, keys = 2500, 4500
    fill(box, account, messages)
    with imap_peer(box, account) as p:
        p.imap("SELECT INBOX")
        odd = ",".join(str(n) for n in range(1, messages, 2))
        assert p.imap(f"STORE {odd} +FLAGS.SILENT (\\Deleted)")[-1].startswith(b"t OK")
        assert p.imap("EXPUNGE")[-1].startswith(b"t OK")
        with Memory(box, "imapd", 2 * GROWTH_KB):
            for command in ("SEARCH", "SEARCH RETURN (UPDATE)", "SORT (DATE) UTF-8", "ESEARCH"):
                reply = p.imap(f"{command} " + "UID 1:* " * keys + "ALL")
                assert reply[-1].startswith(b"t NO [LIMIT]"), (command, reply[-1])
            assert p.imap("SEARCH " + "UID 1:* " * 100 + "ALL")[-1].startswith(b"t OK")


@pytest.mark.parametrize("wait", ["NOOP", "IDLE"])
def test_changes_with_all_keywords(box, wait):
    """A change can take 32 KB; thousands of them go out in steps, also to an idle session."""
    account = box.add_account(f"keywords-{wait.lower()}@example.org")
    messages, keywords = 1500, [f"k{n:03}" + "x" * 120 for n in range(200)]
    fill(box, account, messages)
    with imap_peer(box, account) as idle, imap_peer(box, account) as busy:
        idle.imap("SELECT INBOX")
        busy.imap("SELECT INBOX")
        with Memory(box, "imapd"):
            if wait == "IDLE":
                assert idle.imap("IDLE")[-1].startswith(b"+ ")
            reply = busy.imap("STORE 1:* +FLAGS.SILENT (" + " ".join(keywords) + ")")
            assert reply[-1].startswith(b"t OK")
            seen = set()
            if wait == "NOOP":
                idle.send("t NOOP\r\n")
            while len(seen) < messages:
                line = idle.line()
                assert line is not None and not line.startswith(b"t ")
                found = re.match(rb"\* (\d+) FETCH .*k199", line)
                if found:
                    seen.add(int(found[1]))
            if wait == "IDLE":
                idle.send("DONE\r\n")
            assert idle.reply()[-1].startswith(b"t OK")


def nested(depth):
    head = [f"--b{n}\r\nContent-Type: multipart/mixed; boundary=b{n + 1}\r\n\r\n"
            for n in range(depth)]
    return ("Content-Type: multipart/mixed; boundary=b0\r\n\r\n" + "".join(head) +
            f"--b{depth}\r\n\r\nhello\r\n" +
            "".join(f"--b{n}--\r\n" for n in range(depth, -1, -1)))


def nested_messages(depth):
    return "Content-Type: message/rfc822\r\n\r\n" * depth + "Subject: inmost\r\n\r\nhello\r\n"


BOMBS = {
    "deep": lambda: nested(1000),
    "deep messages": lambda: nested_messages(5000),
    "parts": lambda: "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
        "--b\r\n\r\nx\r\n" * 100_000 + "--b--\r\n",
    "empty parts": lambda: "Content-Type: multipart/mixed; boundary=b\r\n\r\n" +
        "--b\r\n" * 1_000_000,
    "header": lambda: "X-Long: " + "y" * 900 + "\r\n" + f"X-More: {'z' * 980}\r\n" * 40_000 +
        "\r\nbody\r\n",
    "one field": lambda: "Subject: a\r\n" + (" " + "b" * 900 + "\r\n") * 40_000 + "\r\nbody\r\n",
    "addresses": lambda: "To: " + ",\r\n ".join(f"a{n}@example.org" for n in range(400_000)) +
        "\r\n\r\nbody\r\n",
    "comments": lambda: "To: " + "(" * 100_000 + "a@b" + ")" * 100_000 + "\r\n\r\nbody\r\n",
    "groups": lambda: "To: " + "g:" * 100_000 + ";" * 100_000 + "\r\n\r\nbody\r\n",
    "parameters": lambda: "Content-Type: text/plain" + "".join(
        f";\r\n a*{n}*=x" for n in range(100_000)) + "\r\n\r\nbody\r\n",
    "words": lambda: "Subject: " + "\r\n ".join(["=?utf-8?b?w6Q=?="] * 200_000) + "\r\n\r\nb\r\n",
    "references": lambda: "References: " + "\r\n ".join(
        f"<{n}@x>" for n in range(200_000)) + "\r\n\r\nbody\r\n",
    "base64": lambda: "Content-Transfer-Encoding: base64\r\n\r\n" + ("QUFB" * 19 + "\r\n") * 400_000,
    "blank": lambda: "Subject: blank\r\n\r\n" + "\r\n" * 10_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(box, name):
    """Messages made to hurt: delivered or refused, then read and searched in bounded time and memory."""
    account = f"bomb-{name.replace(' ', '-')}@example.org"
    box.add_account(account)
    data = ("From: a@example.net\r\n" + BOMBS[name]()).encode()
    with Memory(box, "lda"), lda_peer(box, "lmtp") as p:
        assert p.smtp("MAIL FROM:<a@example.net>")[0] == 250
        assert p.smtp(f"RCPT TO:<{account}>")[0] == 250
        assert p.smtp("DATA")[0] == 354
        p.send(data + b".\r\n")
        code = p.smtp()[0]
        assert code in (250, 552, 554, 550)
    if code != 250:
        return
    with Memory(box, "imapd", 3 * GROWTH_KB), imap_peer(box, account) as p:
        start = time.monotonic()
        assert p.imap("SELECT INBOX")[-1].startswith(b"t OK")
        for command in ("FETCH 1 (UID ENVELOPE)", "FETCH 1 BODYSTRUCTURE", "SEARCH TEXT hello",
                        "SEARCH SUBJECT bbbb TO a1", "SEARCH HEADER X-None y",
                        "FETCH 1 BODY.PEEK[HEADER.FIELDS (To Subject)]", "FETCH 1 BODY.PEEK[1.1.1]",
                        "FETCH 1 BINARY.SIZE[1]", "FETCH 1 BODY.PEEK[1.MIME]"):
            assert p.imap(command)[-1].startswith((b"t OK", b"t NO")), command
        assert time.monotonic() - start < 60 * SLOW  # not minutes


def test_message_too_large(box):
    with Memory(box, "lda"), lda_peer(box, "smtp") as p:
        assert p.smtp("MAIL FROM:<a@example.net> SIZE=999999999")[0] == 552
        assert p.smtp("MAIL FROM:<a@example.net>")[0] == 250
        assert p.smtp(f"RCPT TO:<{ANN}>")[0] == 250
        assert p.smtp("DATA")[0] == 354
        block = b"X: " + b"h" * 990 + b"\r\n"
        for _ in range(60):
            p.send(block * 1050)
        p.send(b"\r\n.\r\n")
        assert p.smtp()[0] == 552


# --- names and paths


def tree(i):
    """Everything of the instance but what daemons write by themselves."""
    return {str(p.relative_to(i.temp)) for p in i.temp.rglob("*")
            if "spool" not in p.parts and not p.name.startswith(("index.db", "search.db", "state.db"))}


@pytest.mark.parametrize("name", [
    b"../bob", b"..", b"../../etc", b"a/../../b", b"/etc/passwd", b"a//b", b"./a", b"a/./b", b"a/..",
    b"x\x01y", b"x\x7fy", b"x\ry", b"x\ny", b"x\x00y", b"n" * 241, b"n" * 1000, b"/".join([b"l" * 200] * 100),
    b"&AC8-etc", b"&AC4ALg-/x", b"cur", b"new", b"tmp", b"a/cur", b"INBOX/../x", b"\xff\xfe", b"&-&",
    b"&AAA-", b"sanger-mailbox", b"user.db", b"~root", b"$(id)", b"%s%n", b"a\\b"])
def test_mailbox_names(box, name):
    """A mailbox is made inside the account's own tree or not at all."""
    before = tree(box)
    with imap_peer(box, ANN) as p:
        for command in (b"CREATE", b"SELECT", b"SUBSCRIBE", b"DELETE"):
            p.send(b"t " + command + b" {%d+}\r\n" % len(name) + name + b"\r\n")
            assert p.reply()[-1].startswith((b"t OK", b"t NO", b"t BAD")), command
        p.send(b"t RENAME Junk {%d+}\r\n" % len(name) + name + b"\r\n")
        if p.reply()[-1].startswith(b"t OK"):
            p.send(b"t RENAME {%d+}\r\n" % len(name) + name + b" Junk\r\n")
            assert p.reply()[-1].startswith(b"t OK")
    mine = "instance/mail/example.org/ann/"
    strange = {p for p in tree(box) - before if not p.startswith(mine)}
    assert not strange
    assert not [p for p in (box.dir / "mail/example.org/ann").rglob("*") if p.is_symlink()]


def test_symlinks_in_the_tree(box):
    """Links that a user or another program laid into the tree lead nowhere."""
    secret = box.dir / "mail" / "secret"
    (secret / "cur").mkdir(parents=True)
    for sub in ("new", "tmp"):
        (secret / sub).mkdir()
    (secret / "cur" / "1.M1P1Q1.host:2,").write_text("Subject: hidden-word\n\nhidden-word\n")
    box.own(secret)
    eve = box.add_account("eve@example.org")
    box.deliver(eve, subject="first")
    root = box.maildir(eve)
    (root / ".Evil").symlink_to(secret)
    (root / ".Half").mkdir(mode=0o700)
    for sub in ("cur", "new", "tmp"):
        (root / ".Half" / sub).symlink_to(secret / sub)
    (root / "new" / "2.M2P2Q2.host").symlink_to(secret / "cur" / "1.M1P1Q1.host:2,")
    (root / "cur" / "3.M3P3Q3.host:2,S").symlink_to(box.dir / "user.db")
    box.own(root / ".Half")
    with imap_peer(box, eve) as p:
        for box_name in ("Evil", "Half", "INBOX"):
            p.imap(f"SELECT {box_name}")
            lines = p.imap("UID FETCH 1:* (UID BODY.PEEK[])")
            assert b"hidden-word" not in b"\n".join(lines) and b"SQLite" not in b"\n".join(lines)
            lines = p.imap("UID SEARCH TEXT hidden-word")
            assert not re.search(rb"\* SEARCH \d", b"\n".join(lines))
            p.imap("COPY 1:* Evil")
            p.imap("APPEND Evil {3+}\r\nabc")
            p.imap("CREATE Evil/Sub")
            p.imap("APPEND Half {3+}\r\nabc")
        p.imap("DELETE Evil")
        p.imap("DELETE Half")
    assert [p.name for p in (secret / "cur").iterdir()] == ["1.M1P1Q1.host:2,"]
    assert not list((secret / "new").iterdir()) and not list((secret / "tmp").iterdir())
    box.deliver(eve, subject="second")  # deliveries go on


@pytest.mark.parametrize("local, domain", [
    ("../bob", "example.org"), ("..", "example.org"), (".", "example.org"), ("bob", "../example.org"),
    ("bob", ".."), ("a/../../bob", "x"), ("/tmp/evil", "example.org"), ("", "example.org"),
    ("bob", ""), ("x\ny", "example.org")])
def test_account_rows_with_paths(box, local, domain):
    """A row that somebody else's program wrote cannot lead out of its place."""
    good = box.add_account("row@example.org")
    before = tree(box)
    with sqlite3.connect(box.dir / "user.db") as db:
        (stored,) = db.execute("SELECT password FROM account WHERE localpart = 'row'").fetchone()
        db.execute("INSERT INTO account (localpart, domain, password) VALUES (?, ?, ?)",
                   (local, domain, stored))
    try:
        with imap_peer(box) as p:
            name = f"{local}@{domain}".encode()
            p.send(b"t LOGIN {%d+}\r\n" % len(name) + name + b" " + PASSWORD.encode() + b"\r\n")
            assert p.reply()[-1].startswith((b"t NO", b"t BAD"))
        for door in ("lmtp", "smtp"):
            with lda_peer(box, door) as p:
                p.smtp("MAIL FROM:<a@example.net>")
                quoted = local.replace("\n", "\\\n")
                for path in (f"{local}@{domain}", f'"{quoted}"@{domain}'):
                    assert p.smtp(f"RCPT TO:<{path}>")[0] >= 500
    finally:
        with sqlite3.connect(box.dir / "user.db") as db:
            db.execute("DELETE FROM account WHERE localpart = ? AND domain = ?", (local, domain))
        box.admin("account", "delete", good, check=False)
    strange = {p for p in tree(box) - before if "/row" not in p}
    assert not strange


# --- what peers say about themselves


def test_log_injection(box):
    forged = "x\r\n2026-01-01T00:00:00.000000Z info imapd login user=root mech=PLAIN\r\n"
    with imap_peer(box) as p:
        for name in (forged.encode(), b'a" b=c \\', b"\x00\x01\x1b[31m", b"\xff\xfe", b"user=x y=z"):
            p.send(b"t LOGIN {%d+}\r\n" % len(name) + name + b" wrong-Pw\r\n")
            assert p.reply()[-1].startswith((b"t NO", b"t BAD"))
            p.send(b"t ID (\"name\" {%d+}\r\n" % len(name) + name + b")\r\n")
            p.reply()
    with submission_peer(box) as p:
        p.smtp("AUTH PLAIN " + b64(f"\0{forged}\0wrong-Pw".encode()))
        p.smtp(b'EHLO a" b=c')
        p.smtp(b"EHLO a\rb")
    for door in ("lmtp", "smtp"):
        with lda_peer(box, door) as p:
            hello = b"LHLO" if door == "lmtp" else b"EHLO"
            p.smtp(hello + b' x"y=z')
            p.smtp(b'MAIL FROM:<"a\\" b=c"@example.net>')
            p.smtp(b"RCPT TO:<" + ANN.encode() + b">")
            p.smtp("DATA")
            p.send("Message-ID: <a\" user=root level=x\x01\x1b>\r\nSubject: s\r\n\r\nx\r\n.\r\n")
            p.smtp()
    check_log(box)


@pytest.mark.parametrize("door", ["lmtp", "smtp", "submission"])
def test_header_injection(box, door):
    """Nothing that stands in the envelope or in HELO begins a line of the message's header."""
    to = box.add_account(f"inject-{door}@example.org")
    hello = b"LHLO " if door == "lmtp" else b"EHLO "
    sender = ANN.encode() if door == "submission" else b"a@example.net"
    with sending_peer(box, door) as p:
        bad = [hello + b"a\rX-Evil: 1", hello + b"a\x00b", hello + b"[a]\x0bX-Evil: 1",
               b"MAIL FROM:<" + sender + b"\rX-Evil: 1>", b"MAIL FROM:<\"a\rX-Evil: 1\"@x>",
               b"MAIL FROM:<a@b\x00c>", b"MAIL FROM:<" + sender + b"> ENVID=a\rX-Evil:1",
               b"MAIL FROM:<a b@example.net>", b"MAIL FROM:<a@example.net> X-Evil:1"]
        for line in bad:
            code = p.smtp(line)[0]
            assert code >= 500 or code == 250 and b"X-Evil" not in line, line
            if code == 250:
                p.smtp("RSET")
    with sending_peer(box, door) as p:
        assert p.smtp(b"MAIL FROM:<" + sender + b">")[0] == 250
        for line in (f"RCPT TO:<{to}\rX-Evil: 1>", f'RCPT TO:<"x\rX-Evil: 1"@example.org>',
                     f"RCPT TO:<{to}> ORCPT=rfc822;a\rX-Evil:1"):
            assert p.smtp(line)[0] >= 500
        assert p.smtp(f"RCPT TO:<{to}>")[0] in (250, 251)
        assert p.smtp("DATA")[0] == 354
        p.send("Subject: clean\r\n\r\nbody\r\n.\r\n")
        assert p.smtp()[0] == 250
    wait_for(lambda: box.files(to), "the message")
    text = box.files(to)[0].read_bytes()
    assert b"X-Evil" not in text and b"\r" not in text.split(b"\n\n")[0]


ENDS = [b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r", b"\n.\r", b"\r\n\x00.\r\n",
        b"\r\n.\x00\r\n", b"\r\n .\r\n", b"\r\n..\r\n", b"\r\r\n.\r\r\n", b"\n\n.\n\n"]


@pytest.mark.parametrize("door", ["lmtp", "smtp", "submission"])
@pytest.mark.parametrize("end", ENDS, ids=[e.hex() for e in ENDS])
def test_smuggling(box, door, end):
    """Only CRLF . CRLF ends a message: what stands behind another end is text, never commands."""
    to = f"smuggle-{door}@example.org"
    if to not in box.accounts:
        box.add_account(to)
    before = len(box.files(to))
    sender = ANN if door == "submission" else "a@example.net"
    with sending_peer(box, door) as p:
        assert p.smtp(f"MAIL FROM:<{sender}>")[0] == 250
        assert p.smtp(f"RCPT TO:<{to}>")[0] in (250, 251)
        assert p.smtp("DATA")[0] == 354
        p.send(b"Subject: outer\r\n\r\nbody" + end + f"MAIL FROM:<{sender}>\r\nRCPT TO:<{to}>\r\n"
               "DATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n".encode())
        code = p.smtp()[0]
        assert code == 250 or code == 550 and door == "submission"
        p.send("NOOP\r\n")
        assert p.smtp()[0] == 250  # NOOP's own reply is the next one: nothing else was a command
        assert p.smtp("QUIT")[0] == 221
    if code == 250:
        wait_for(lambda: len(box.files(to)) > before, "the message")
        time.sleep(0.2)
    assert len(box.files(to)) == before + (code == 250)


# --- the processes


@pytest.mark.parametrize("daemon", ["imapd", "submitd", "lda", "managesieved"])
def test_workers_are_locked_in(box, daemon):
    for pid in box.workers(daemon):
        for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines()
                          if ":\t" in line)
            assert fields["NoNewPrivs"] == "1"
            assert SANITIZED or fields["Seccomp"] == "2"
            if os.getuid() == 0:
                assert "0" not in fields["Uid"].split() and "0" not in fields["Gid"].split()
                assert "0" not in fields["Groups"].split()
                for kind in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
                    assert int(fields[kind], 16) == 0
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size\s+0\s+0\s", limits)
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():  # nothing of the parent's stays open
            assert "tls/key" not in os.readlink(fd)
    if os.getuid() == 0:
        status = pathlib.Path(f"/proc/{box.pid(daemon)}/status").read_text()
        assert not re.search(r"^Uid:.*\b0\b", status, re.MULTILINE), "the parent runs as root"


def test_sandbox_can_be_off():
    with Instance(settings={"server.sandbox": "no"}) as i:
        i.add_account(ANN)
        status = pathlib.Path(f"/proc/{i.workers('imapd')[0]}/status").read_text()
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t0" in status
        imap_peer(i, ANN).close()


def test_files_are_private(box):
    assert stat.S_IMODE((box.dir / "tls" / "key.pem").stat().st_mode) == 0o600
    for name in ("user.db", "user.db-wal", "user.db-shm"):
        path = box.dir / name
        assert not path.exists() or stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, name
    for path in (box.dir / "mail").rglob("*"):
        if not path.is_symlink() and "secret" not in path.parts:
            assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path
    for path in [box.dir / "spool", *(box.dir / "spool").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path
    assert stat.S_IMODE((box.dir / "log" / "sanger.log").stat().st_mode) & 0o002 == 0


def test_no_password_in_the_log(box):
    """Every way to log in, right and wrong and broken, with everything logged that can be."""
    plain = b64(f"\0{ANN}\0{PASSWORD}".encode())
    with imap_peer(box) as p:
        p.imap(f"LOGIN {ANN} wrong-Pw")
        p.imap(f"LOGIN {ANN} {PASSWORD} {PASSWORD}")
        p.imap(f"NONSENSE {ANN} {PASSWORD}")
        p.imap(f"AUTHENTICATE PLAIN {plain}=x")
        p.imap(f"AUTHENTICATE LOGIN {plain}")
        p.imap("AUTHENTICATE PLAIN")
        p.send(b64(f"{BOB}\0{ANN}\0{PASSWORD}".encode()) + "\r\n")
        p.reply()
        p.send(f"{PASSWORD}\r\n")
        p.line()
        assert p.imap(f"AUTHENTICATE PLAIN {plain}")[-1].startswith(b"t OK")
    with submission_peer(box) as p:
        p.smtp(f"AUTH PLAIN {plain}x")
        p.smtp(f"AUTH {PASSWORD}")
        p.smtp(f"{PASSWORD} {plain}")
        if p.smtp("AUTH LOGIN")[0] == 334:
            p.smtp(b64(ANN.encode()))
            p.smtp(b64(b"wrong-Pw"))
        p.smtp(f"AUTH PLAIN {plain}")
    wait_for(lambda: "login-failed" in box.log(), "the log")
    check_log(box)
