"""An IMAP connection as bytes and trees: what a server says is compared and checked by these.

A tree has a str for each atom (letter case as sent), bytes for each string however it was sent, a
list for each parenthesis.  The name of a FETCH item is one atom, sections and all: `BODY[1.MIME]<0>`."""

import re
import socket
import ssl
import zlib

WAIT_S = 60
LITERAL = re.compile(rb"~?\{(\d+)\+?\}\r\n$")
# a quoted string, a parenthesis, a literal's start, or an atom with [sections] in it
TOKEN = re.compile(rb'\s*(?:"((?:[^"\\]|\\.)*)"|([()])|~?\{(\d+)\}\r\n|((?:\[[^]]*\]|[^\s()"\[])+))', re.DOTALL)


class Deflated:
    """A socket under COMPRESS=DEFLATE."""

    def __init__(self, sock):
        self.sock = sock
        self.out, self.into = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)
        self.pending = b""

    def sendall(self, data):
        self.sock.sendall(self.out.compress(data) + self.out.flush(zlib.Z_SYNC_FLUSH))

    def more(self):
        data = self.sock.recv(65536)
        assert data, "closed"
        self.pending += self.into.decompress(data)

    def readline(self):
        while b"\n" not in self.pending:
            self.more()
        line, _, self.pending = self.pending.partition(b"\n")
        return line + b"\n"

    def read(self, n):
        while len(self.pending) < n:
            self.more()
        data, self.pending = self.pending[:n], self.pending[n:]
        return data

    def close(self):
        self.sock.close()


class Wire:
    """One connection.  `responses` of a command are byte strings, literals within them."""

    def __init__(self, port, context=None, greeting=True):
        self.sock = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            context.check_hostname = False
            self.sock = context.wrap_socket(self.sock)
        self.reader = self.sock.makefile("rb")
        self.count = 0
        if greeting:
            self.greeting = self.response()

    def close(self):
        self.reader.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def send(self, data):
        self.sock.sendall(data)

    def response(self):
        """One response without its last CRLF; b"" when the server has closed."""
        line = self.reader.readline()
        whole = line
        while m := LITERAL.search(line):
            whole += self.reader.read(int(m[1]))
            line = self.reader.readline()
            whole += line
        return whole[:-2]

    def tag(self):
        self.count += 1
        return b"t%d" % self.count

    def until(self, tag):
        """All responses to the tagged one, which comes last, without its tag."""
        found = []
        while True:
            line = self.response()
            assert line, f"closed; before that: {found[-3:]}"
            if line.startswith(tag + b" "):
                return [*found, line[len(tag) + 1:]]
            found.append(line)

    def ask(self, command):
        """Sends a command, bytes or text, and returns its responses; the tagged one is the last."""
        tag = self.tag()
        self.send(tag + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.until(tag)

    def ok(self, command):
        found = self.ask(command)
        assert found[-1].startswith(b"OK"), f"{command!r}: {found[-1]!r}"
        return found[:-1]

    def ask_all(self, commands, at_once=100):
        """Pipelines commands; a list with the responses of each: those that came before its tagged one,
        which is the last.  A server may answer out of turn."""
        tags = [self.tag() for _ in commands]
        answers = {}
        for start in range(0, len(commands), at_once):  # a server that waits to write reads no more
            part = slice(start, start + at_once)
            self.send(b"".join(t + b" " + (c.encode() if isinstance(c, str) else c) + b"\r\n"
                               for t, c in zip(tags[part], commands[part])))
            found, waiting = [], set(tags[part])
            while waiting:
                line = self.response()
                assert line, f"closed; before that: {found[-3:]}"
                tag, _, rest = line.partition(b" ")
                found.append(rest if tag in waiting else line)
                if tag in waiting:
                    waiting.remove(tag)
                    answers[tag] = found
                    found = []
        return [answers[t] for t in tags]

    def login(self, user, password):
        self.ok(f"LOGIN {user} {password}")
        return self

    def compress(self):
        self.ok("COMPRESS DEFLATE")
        self.sock = self.reader = Deflated(self.sock)
        return self

    def append(self, mailbox, message, extra=b""):
        tag = self.tag()
        self.send(tag + b" APPEND " + mailbox.encode() + b" " + extra + b"{%d}\r\n" % len(message))
        line = self.response()
        if not line.startswith(b"+"):
            return line[len(tag) + 1:]
        self.send(message + b"\r\n")
        return self.until(tag)[-1]


def tree(data):
    """All that stands in a response, as a list."""
    stack, at = [[]], 0
    while m := TOKEN.match(data, at):
        at = m.end()
        if m[1] is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", m[1]))
        elif m[2] == b"(":
            stack[-1].append([])
            stack.append(stack[-1][-1])
        elif m[2] == b")":
            stack.pop()
        elif m[3] is not None:
            stack[-1].append(data[at:at + int(m[3])])
            at += int(m[3])
        else:
            stack[-1].append(m[4].decode("latin-1"))
    assert not data[at:].strip(), f"cannot be read: {data[at:at + 80]!r} in {data[:200]!r}"
    assert len(stack) == 1, f"parentheses: {data[:200]!r}"
    return stack[0]


def fetch_items(response):
    """(sequence number, {ITEM: value}) of `* n FETCH (…)`, None for other responses."""
    if not re.match(rb"\* \d+ FETCH \(", response):
        return None
    found = tree(response[2:])
    pairs = found[2]
    assert len(pairs) % 2 == 0, response[:300]
    return int(found[0]), {n.upper(): v for n, v in zip(pairs[::2], pairs[1::2])}


def trusting():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
