"""COMPRESS=DEFLATE, RFC 4978, by a client of its own: Python's zlib on both sides of a TLS socket."""

import random
import re
import socket
import zlib
from pathlib import Path

import pytest

from sanger import WAIT_S, Instance

PASSWORD = "secret-Pw1"
BOMB_CHUNKS = 200  # of a megabyte


class Compressed:
    """A connection that has sent COMPRESS."""

    def __init__(self, instance, user):
        context = instance.tls()
        context.check_hostname = False
        sock = socket.create_connection(("127.0.0.1", instance.imaps), WAIT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = context.wrap_socket(sock)
        self.pending, self.pack, self.unpack, self.count = b"", None, None, 0
        assert self.line().startswith(b"* OK")
        self.command(f"LOGIN {user} {PASSWORD}")

    def start(self):
        self.command("COMPRESS DEFLATE")
        self.pack = zlib.compressobj(6, zlib.DEFLATED, -15)
        self.unpack = zlib.decompressobj(-15)
        self.pending = self.unpack.decompress(self.pending)
        return self

    def packed(self, data, flush=zlib.Z_SYNC_FLUSH):
        return self.pack.compress(data) + self.pack.flush(flush)

    def send(self, data):
        self.sock.sendall(self.packed(data) if self.pack else data)

    def more(self):
        data = self.sock.recv(65536)
        self.pending += self.unpack.decompress(data) if self.unpack else data
        return data != b""

    def line(self):
        while b"\n" not in self.pending:
            assert self.more(), "closed"
        line, self.pending = self.pending.split(b"\n", 1)
        return line + b"\n"

    def answer(self, tag):
        lines = []
        while True:
            line = self.line()
            lines.append(line)
            while literal := re.search(rb"\{(\d+)\}\r\n$", line):
                size = int(literal[1])
                while len(self.pending) < size:
                    assert self.more(), "closed"
                lines.append(self.pending[:size])
                self.pending = self.pending[size:]
                line = self.line()
                lines.append(line)
            if line.startswith(tag + b" "):
                return lines

    def command(self, text, ok=True):
        self.count += 1
        tag = b"t%d" % self.count
        self.send(tag + b" " + (text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        lines = self.answer(tag)
        assert not ok or lines[-1].startswith(tag + b" OK"), lines[-1]
        return lines

    def is_closed(self):
        try:
            while self.more():
                pass
        except (ConnectionError, OSError, zlib.error):
            pass
        return True


@pytest.fixture
def user(shared_instance, request):
    name = re.sub(r"\W", "", request.node.name)[:40].lower() + "@example.org"
    shared_instance.add_account(name, PASSWORD)
    return name


def test_everything_works_compressed(shared_instance, user):
    """Commands, literals of APPEND, big answers, updates to IDLE; COMPRESS twice is refused."""
    c = Compressed(shared_instance, user)
    assert b"COMPRESS=DEFLATE" in c.command("CAPABILITY")[0]
    assert c.command("COMPRESS LZW", ok=False)[-1].startswith(b"t3 BAD")
    c.start()
    assert b"BAD [COMPRESSIONACTIVE]" in c.command("COMPRESS DEFLATE", ok=False)[-1]
    c.command("SELECT INBOX")
    text = b"Subject: big\r\n\r\n" + b"".join(
        b"%s\r\n" % random.Random(i).randbytes(30).hex().encode() for i in range(20000))
    c.send(b"a1 APPEND INBOX {%d}\r\n" % len(text))
    assert c.line().startswith(b"+ ")
    c.send(text + b"\r\n")
    assert c.answer(b"a1")[-1].startswith(b"a1 OK")
    c.command(b"APPEND INBOX {21+}\r\nSubject: s\r\n\r\nhello\r\n\r\n"[:-2])
    got = c.command("FETCH 1:2 BODY.PEEK[]")
    assert text in got and b"Subject: s\r\n\r\nhello\r\n" in got
    # pipelined, each flushed for itself and cut anywhere
    packed = b"".join(c.packed(b"p%d NOOP\r\n" % i) for i in range(50))
    for i in range(0, len(packed), 7):
        c.sock.sendall(packed[i:i + 7])
    for i in range(50):
        assert c.answer(b"p%d" % i)[-1].startswith(b"p%d OK" % i)
    # without any flush the bytes come when they come
    c.send(b"i IDLE\r\n")
    assert c.line().startswith(b"+ ")
    shared_instance.deliver(user, subject="pushed")
    assert c.line() == b"* 3 EXISTS\r\n"
    c.send(b"DONE\r\n")
    assert c.answer(b"i")[-1].startswith(b"i OK")
    c.command("LOGOUT")
    assert c.is_closed()


def test_bytes_behind_compress_are_compressed(shared_instance, user):
    """What a hasty client sends behind its COMPRESS, in one piece with it, has to be DEFLATE already."""
    c = Compressed(shared_instance, user)
    pack = zlib.compressobj(6, zlib.DEFLATED, -15)
    c.send(b"z COMPRESS DEFLATE\r\n" + pack.compress(b"n NOOP\r\n") + pack.flush(zlib.Z_SYNC_FLUSH))
    assert c.line().startswith(b"z OK")
    c.unpack = zlib.decompressobj(-15)
    c.pending = c.unpack.decompress(c.pending)
    assert c.answer(b"n")[-1].startswith(b"n OK")
    d = Compressed(shared_instance, user)
    d.send(b"z COMPRESS DEFLATE\r\nn NOOP\r\n")
    assert d.line().startswith(b"z OK")
    assert d.is_closed()


def test_broken_data_ends_the_connection(shared_instance, user):
    c = Compressed(shared_instance, user).start()
    c.command("NOOP")
    c.sock.sendall(b"\xff" * 100)
    assert c.is_closed()
    # an end in form is an end of input
    c = Compressed(shared_instance, user).start()
    c.sock.sendall(c.packed(b"l NOOP\r\n", zlib.Z_FINISH) + b"rubbish")
    assert c.answer(b"l")[-1].startswith(b"l OK")
    assert c.is_closed()


def session_kb(instance):
    """Private memory of all workers of imapd."""
    total = 0
    for pid in instance.workers("imapd"):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                total += int(line.split()[1])
    return total


@pytest.mark.once
def test_a_bomb_meets_the_limit(shared_instance, user):
    """A few hundred kilobytes that are 200 MB: as a line, and as a literal."""
    c = Compressed(shared_instance, user).start()
    c.send(b"a NOOP " + b"x" * 1000000 + b"\r\n")
    assert b"[TOOBIG]" in c.line()
    c.command("NOOP")
    before_kb = session_kb(shared_instance)
    pack, chunk = zlib.compressobj(9, zlib.DEFLATED, -15), b"x" * 1000000
    bomb = pack.compress(b"a LIST \"\" {%d+}\r\n" % (BOMB_CHUNKS * len(chunk)))
    bomb += b"".join(pack.compress(chunk) for _ in range(BOMB_CHUNKS))
    bomb += pack.compress(b"\r\n") + pack.flush(zlib.Z_FULL_FLUSH)
    assert len(bomb) < BOMB_CHUNKS * len(chunk) // 500
    c.sock.sendall(c.packed(b"", zlib.Z_FULL_FLUSH) + bomb)
    assert b"a BAD [TOOBIG]" in c.line()
    assert session_kb(shared_instance) - before_kb < 8 * 1024
    c.command("NOOP")


@pytest.fixture(scope="module")
def unauthenticating():
    with Instance(settings={"imapd.unauthenticate": "yes"}) as i:
        i.add_account("uma@example.org", PASSWORD)
        yield i


@pytest.mark.parametrize("flush", [zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_FINISH])
def test_unauthenticate_ends_it(unauthenticating, flush):
    """RFC 8437 §4.1: behind UNAUTHENTICATE both sides speak plainly, even in the same piece."""
    c = Compressed(unauthenticating, "uma@example.org").start()
    c.command("SELECT INBOX")
    login = b"l LOGIN uma@example.org %s\r\nn NOOP\r\n" % PASSWORD.encode()
    c.sock.sendall(c.packed(b"m NOOP\r\nu UNAUTHENTICATE\r\n", flush) + login)
    assert c.answer(b"m")[-1].startswith(b"m OK")
    data = b""
    while c.unpack is not None:
        if b"u OK" not in c.pending:
            data = c.sock.recv(65536)
            packed, mark, plain = data.partition(b"\x00\x00\xff\xff")
            c.pending += c.unpack.decompress(packed + mark)
        if b"u OK" in c.pending:
            c.unpack = c.pack = None
            c.pending += plain
    assert c.answer(b"u")[-1].startswith(b"u OK")
    assert c.answer(b"l")[-1].startswith(b"l OK")
    assert c.answer(b"n")[-1].startswith(b"n OK")
    c.start()  # and once more
    c.command("SELECT INBOX")

