"""A ManageSieve client (RFC 5804) for tests: it says what it is told to and reads replies by the grammar."""

import base64
import re
import socket
import ssl


class Reply:
    """word OK, NO, BYE, or "" when the server hung up; `lines` are what stood before it, each a list of
    its strings (bytes) and atoms (str)."""

    def __init__(self, word, code, text, lines):
        self.word, self.code, self.text, self.lines = word, code, text, lines

    def __repr__(self):
        return f"{self.word} ({self.code}) {self.text!r} {self.lines!r}"


class ManageSieve:
    """One connection; greeted on return, under TLS unless told otherwise."""

    def __init__(self, port, tls="starttls", context=None, source="127.0.0.1", timeout_s=60):
        self.context = context or self.any_certificate()
        self.sock = socket.create_connection(("127.0.0.1", port), timeout_s, (source, 0))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        if tls == "implicit":
            self.start_tls()
        self.greeting = self.reply()
        if tls == "starttls":
            assert self.command("STARTTLS").word == "OK"
            self.start_tls()
            self.greeting = self.reply()

    @staticmethod
    def any_certificate():
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def start_tls(self):
        self.sock = self.context.wrap_socket(self.sock, server_hostname="localhost")

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())

    def more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        self.pending += data
        return bool(data)

    def take(self, size):
        while len(self.pending) < size:
            if not self.more():
                raise EOFError
        data, self.pending = self.pending[:size], self.pending[size:]
        return data

    def line(self):
        """One line as its strings and atoms, with what stands in parentheses as one str."""
        items, text = [], b""
        while True:
            while b"\r\n" not in self.pending:
                if not self.more():
                    raise EOFError
            part, self.pending = self.pending.split(b"\r\n", 1)
            text += part
            literal = re.search(rb"\{(\d+)\}$", text)
            if not literal:
                break
            data = self.take(int(literal[1]))
            text = text[:literal.start()] + b'"' + data.replace(b"\\", b"\\\\").replace(
                b'"', b'\\"') + b'"'
        for quoted, parentheses, atom in re.findall(
                rb'("(?:[^"\\]|\\.)*")|(\((?:[^"()]|"(?:[^"\\]|\\.)*")*\))|([^ "()]+)', text,
                re.DOTALL):
            if quoted:
                items.append(re.sub(rb"\\(.)", rb"\1", quoted[1:-1], flags=re.DOTALL))
            else:
                items.append((parentheses or atom).decode())
        return items

    def reply(self):
        """All lines up to the completion."""
        lines = []
        while True:
            try:
                line = self.line()
            except EOFError:
                return Reply("", None, None, lines)
            if line and isinstance(line[0], str) and line[0].upper() in ("OK", "NO", "BYE"):
                code = text = None
                for item in line[1:]:
                    if isinstance(item, bytes):
                        text = item.decode()
                    else:
                        code = item[1:-1]
                return Reply(line[0].upper(), code, text, lines)
            lines.append(line)

    def command(self, line, literal=None, end=b""):
        """A command whose last argument may be a literal."""
        data = line if isinstance(line, bytes) else line.encode()
        if literal is not None:
            literal = literal if isinstance(literal, bytes) else literal.encode()
            data += b" {%d+}\r\n" % len(literal) + literal
        self.send(data + end + b"\r\n")
        return self.reply()

    def capabilities(self):
        return capabilities(self.command("CAPABILITY"))

    def login(self, user, password):
        response = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f'AUTHENTICATE "PLAIN" "{response}"')

    def scripts(self):
        """Names in order, and the active one."""
        reply = self.command("LISTSCRIPTS")
        assert reply.word == "OK", reply
        active = [line[0].decode() for line in reply.lines if line[1:] == ["ACTIVE"]]
        assert len(active) <= 1
        return [line[0].decode() for line in reply.lines], active[0] if active else None

    def get(self, name):
        reply = self.command(f'GETSCRIPT "{name}"')
        assert reply.word == "OK", reply
        return reply.lines[0][0].decode()

    def rest(self, silence_s=60):
        """All until the server closes or is silent."""
        self.sock.settimeout(silence_s)
        try:
            while self.more():
                pass
        except (TimeoutError, OSError):
            pass
        data, self.pending = self.pending, b""
        return data

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.close()


def capabilities(reply):
    """{"SASL": "PLAIN …", "STARTTLS": None, …} of a greeting or of CAPABILITY."""
    assert reply.word == "OK", reply
    found = {line[0].decode().upper(): line[1].decode() if len(line) > 1 else None
             for line in reply.lines}
    assert len(found) == len(reply.lines), "a capability appears at most once"
    return found
