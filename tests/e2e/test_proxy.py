"""Proxies in front: the PROXY protocol for all daemons, XCLIENT for SMTP; and that nobody else can use them.
127.0.0.2 is the proxy, 127.0.0.1 somebody."""

import base64
import contextlib
import socket
import ssl
import struct

import pytest

from sanger import Instance, free_port, run, wait_for

ANN = "ann@example.org"
CLIENT = "203.0.113.9"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.fixture(scope="module")
def box():
    i = Instance(relay=f"127.0.0.1:{free_port()}", settings={
        "server.proxy_networks": "127.0.0.2", "auth.connections_per_address": "3",
        "submitd.workers": "1"})
    i.settings += [f"imapd.proxy_listen=*:{i.imap}", f"imapd.proxy_listen=*:{i.imaps}",
                   f"submitd.proxy_listen=*:{i.submissions}", f"lda.proxy_listen=*:{i.smtp}",
                   f"managesieved.proxy_listen=*:{i.sieve}"]
    with i:
        i.add_account(ANN)
        yield i


def v1(client=CLIENT):
    return f"PROXY TCP4 {client} 192.0.2.1 50000 993\r\n".encode()


def v2(client=CLIENT, command=1, tlvs=b""):
    body = socket.inet_aton(client) + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 50000, 993)
    return SIGNATURE + struct.pack("!BBH", 0x20 | command, 0x11, len(body + tlvs)) + body + tlvs


def connect(port, header=b"", source="127.0.0.2"):
    s = socket.create_connection(("127.0.0.1", port), 60, source_address=(source, 0))
    s.sendall(header)
    return s


def first(s):
    """The first line, or b"" if the connection ends without one."""
    with contextlib.suppress(ConnectionError):
        return s.makefile("rb").readline()
    return b""


@pytest.mark.parametrize("header", [v1(), v2(), v2(tlvs=b"\x04\0\x01z"), v2(command=0),
                                    b"PROXY UNKNOWN\r\n"])
@pytest.mark.parametrize("door,greeting", [("imap", b"* OK"), ("sieve", b'"IMPLEMENTATION"')])
def test_header(box, door, greeting, header):
    with connect(getattr(box, door), header) as s:
        assert first(s).startswith(greeting)


def test_header_in_pieces(box):
    with connect(box.imap) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in v2():
            s.sendall(bytes([byte]))
        assert first(s).startswith(b"* OK")


def test_tls_right_behind_the_header(box):
    """Header and ClientHello in one segment: not a byte of TLS is swallowed."""
    inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = box.tls().wrap_bio(inner, outer, server_hostname="localhost")
    with connect(box.imaps) as s:
        before = v2()
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                s.sendall(before + outer.read())
                before = b""
                inner.write(s.recv(65536))
        s.sendall(outer.read())
        while True:
            try:
                assert tls.read().startswith(b"* OK")
                break
            except ssl.SSLWantReadError:
                inner.write(s.recv(65536))


@pytest.mark.parametrize("header", [
    b"a1 NOOP\r\n", v1().replace(b"\r\n", b"\n"), v2(tlvs=b"\x03\0\x04zzzz"),
    SIGNATURE + b"\x21\x11\xff\xff", b"\x16\x03\x01\x02\x00\x01"])
def test_a_proxy_without_a_header_is_refused(box, header):
    with connect(box.imap, header) as s:
        assert first(s) == b""


@pytest.mark.parametrize("header", [v1(), v2()])
def test_nobody_else_speaks_for_others(box, header):
    with connect(box.imap, header, source="127.0.0.1") as s:
        file = s.makefile("rb")
        assert file.readline().startswith(b"* OK")
        if header.startswith(b"PROXY"):
            assert b" BAD " in file.readline()
    with connect(box.imaps, header, source="127.0.0.1") as s:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            box.tls().wrap_socket(s, server_hostname="localhost")


def test_where_nothing_is_proxied_a_header_is_garbage(box):
    with connect(box.submission, v1()) as s:
        file = s.makefile("rb")
        assert file.readline().startswith(b"220 ")
        assert file.readline().startswith(b"500 ")


def test_limits_are_the_clients(box):
    with contextlib.ExitStack() as stack:
        for n in range(3):
            s = stack.enter_context(connect(box.imap, v1("203.0.113.50")))
            assert first(s).startswith(b"* OK"), n
        over = stack.enter_context(connect(box.imap, v1("203.0.113.50")))
        assert not first(over).startswith(b"* OK")
        other = stack.enter_context(connect(box.imap, v1("203.0.113.51")))
        assert first(other).startswith(b"* OK")


def test_the_log_and_received_name_the_client(box):
    s = connect(box.submissions, v1("203.0.113.77"))
    with box.tls().wrap_socket(s, server_hostname="localhost") as t:
        file = t.makefile("rb")

        def say(line):
            t.sendall(line.encode() + b"\r\n")
            while (got := file.readline())[3:4] == b"-":
                pass
            return got

        assert file.readline().startswith(b"220 ")
        say("EHLO client.example.org")
        wrong = base64.b64encode(f"\0{ANN}\0wrong".encode()).decode()
        right = base64.b64encode(f"\0{ANN}\0{box.accounts[ANN]}".encode()).decode()
        assert say(f"AUTH PLAIN {wrong}").startswith(b"535 ")
        assert say(f"AUTH PLAIN {right}").startswith(b"235 ")
        for line, code in ((f"MAIL FROM:<{ANN}>", b"250"), ("RCPT TO:<b@example.net>", b"250"),
                           ("DATA", b"354")):
            assert say(line).startswith(code)
        reply = say("Subject: x\r\n\r\nx\r\n.")
        assert reply.startswith(b"250 "), reply
        ident = reply.decode().split()[-1]
    path, = (box.dir / "spool" / "msg").glob(f"{ident}.*")
    assert b"([203.0.113.77])" in path.read_bytes()
    wait_for(lambda: "203.0.113.77" in box.log(), "the client in the log")


def test_who_may_deliver_is_asked_of_the_client(box):
    with connect(box.smtp, v1("203.0.113.80")) as s:  # not in lda.relay_networks
        assert first(s).startswith(b"554 ")
    with connect(box.smtp, v1("127.0.0.9")) as s:
        assert first(s).startswith(b"220 ")


def test_xclient(box):
    with connect(box.submission) as s:
        file = s.makefile("rb")

        def say(line):
            s.sendall(line.encode() + b"\r\n")
            lines = [file.readline()]
            while lines[-1][3:4] == b"-":
                lines.append(file.readline())
            return b"".join(lines)

        assert file.readline().startswith(b"220 ")
        offered = say("EHLO proxy.example.org")
        assert b"XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT\r\n" in offered
        assert say(f"XCLIENT ADDR={CLIENT} LOGIN={ANN}").startswith(b"501 ")
        assert say("XCLIENT ADDR=nonsense").startswith(b"501 ")
        assert say(f"XCLIENT ADDR={CLIENT} PORT=99999").startswith(b"501 ")
        assert say("XCLIENT NAME=[UNAVAILABLE] ADDR=203.0.113.88 PORT=5000 PROTO=ESMTP "
                   "HELO=client.example LOGIN=[UNAVAILABLE] DESTADDR=IPV6:2001:db8::1"
                   ).startswith(b"220 ")
        assert b"XCLIENT" in say("EHLO client.example")
        assert say(f"MAIL FROM:<{ANN}>").startswith(b"530 ")  # no login by the proxy's word
    wait_for(lambda: "peer=203.0.113.88" in box.log(), "the client in the log")
    with connect(box.submission, source="127.0.0.1") as s:
        file = s.makefile("rb")
        file.readline()
        s.sendall(b"EHLO a\r\n")
        while (line := file.readline())[3:4] == b"-":
            assert b"XCLIENT" not in line
        s.sendall(b"XCLIENT ADDR=192.0.2.1\r\n")
        assert file.readline().startswith(b"550 ")


def test_swaks_by_proxy(box):
    for version in ("1", "2"):
        done = run("swaks", "--server", "127.0.0.1", "--port", box.submissions, "--tls-on-connect",
                   "--local-interface", "127.0.0.2", "--timeout", "60", "--from", ANN, "--to",
                   "bob@example.net", "--auth", "PLAIN", "--auth-user", ANN, "--auth-password",
                   box.accounts[ANN], "--proxy-version", version, "--proxy-family",
                   "TCP4" if version == "1" else "AF_INET", "--proxy-source", f"203.0.113.{version}",
                   "--proxy-source-port", "4000", "--proxy-dest", "192.0.2.1", "--proxy-dest-port",
                   "465", check=False)
        out = done.stdout.decode()
        assert done.returncode == 0, out + done.stderr.decode()
        ident = out.split("queued as ")[1].split()[0]
        path, = (box.dir / "spool" / "msg").glob(f"{ident}.*")
        assert f"([203.0.113.{version}])".encode() in path.read_bytes()


def test_swaks_by_xclient(box):
    done = run("swaks", "--server", "127.0.0.1", "--port", box.submission, "--tls",
               "--local-interface", "127.0.0.2", "--timeout", "60", "--from", ANN, "--to",
               "bob@example.net", "--auth", "PLAIN", "--auth-user", ANN, "--auth-password",
               box.accounts[ANN], "--xclient-addr", "203.0.113.33", "--xclient-name",
               "client.example", check=False)
    out = done.stdout.decode()
    assert done.returncode == 0, out + done.stderr.decode()
    ident = out.split("queued as ")[1].split()[0]
    path, = (box.dir / "spool" / "msg").glob(f"{ident}.*")
    assert b"([203.0.113.33])" in path.read_bytes()


def test_a_silent_proxy_does_not_hold_up_the_end(box):
    with connect(box.imap) as silent:
        box.restart()
        assert first(silent) == b""
    with connect(box.imap, v2()) as s:
        assert first(s).startswith(b"* OK")
    assert "time is up" not in box.log()
