"""Runs the dialogues of tests/imap/*.dlg; what a line may say is in tests/imap/README.md."""

import base64
import re
import socket
import ssl

import pytest

from sanger import TOP, WAIT_S, Instance, Instance

DIALOGUES = sorted((TOP / "tests" / "imap").glob("*.dlg"))
SILENCE_S = 0.3
PASSWORD = "secret-Pw1"


class Client:
    """One connection: lines out, lines in."""

    def __init__(self, instance, door):
        self.instance = instance
        self.sock = socket.create_connection(
            ("127.0.0.1", instance.imaps if door == "imaps" else instance.imap), WAIT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending = b""
        if door == "imaps":
            self.start_tls()

    def start_tls(self):
        context = self.instance.tls()
        context.check_hostname = False
        self.sock = context.wrap_socket(self.sock)

    def send(self, data):
        self.sock.sendall(data)

    def line(self, timeout_s=WAIT_S):
        """One line without CRLF; None when the server has closed."""
        self.sock.settimeout(timeout_s)
        while b"\n" not in self.pending:
            try:
                data = self.sock.recv(65536)
            except (ConnectionResetError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                data = b""
            if not data:
                return None
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        assert line.endswith(b"\r"), f"a line without CR: {line!r}"
        return line[:-1].decode("utf-8", errors="surrogateescape")

    def is_silent(self):
        try:
            line = self.line(SILENCE_S)
        except (TimeoutError, socket.timeout):
            return True
        raise AssertionError(f"not silent: {line!r}")

    def close(self):
        self.sock.close()


def fits(pattern, line):
    pattern = re.sub(r"\{[a-z]+\}", "*", pattern)
    parts = [re.escape(p) for p in pattern.split("*")]
    if pattern.startswith("* "):
        parts = [re.escape("* " + pattern[2:].split("*")[0]),
                 *[re.escape(p) for p in pattern[2:].split("*")[1:]]]
    return re.fullmatch(".*".join(parts), line, re.DOTALL) is not None


def unescape(text):
    table = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}
    out = b""
    for m in re.finditer(r"\\x([0-9a-fA-F]{2})|\\(.)|([^\\]+)", text):
        if m[1]:
            out += bytes([int(m[1], 16)])
        elif m[2]:
            out += table[m[2]]
        else:
            out += m[3].encode()
    return out


class Dialogue:
    def __init__(self, instance, path):
        self.instance, self.path = instance, path
        self.clients, self.addresses, self.kept = {}, {}, {}
        self.skipping = set()
        self.own_instance = None

    def address(self, name):
        return self.addresses[name]

    def expand(self, text):
        def plain(m):
            user, _, other = m[2].partition("/")
            password = PASSWORD if m[1] == "plain" else "wrong"
            return base64.b64encode("\0".join((
                self.address(other) if other else "", self.address(user), password)).encode()).decode()
        text = re.sub(r"\$(plain|wrong):(\w+(?:/\w+)?)", plain, text)
        text = re.sub(r"\$big:(\d+)", lambda m: "x" * int(m[1]), text)
        text = text.replace("$password", PASSWORD)
        for name, address in sorted((self.addresses | self.kept).items(), reverse=True):
            text = text.replace("$" + name, address)
        return text

    def keep(self, pattern, line):
        """What the line has where the pattern says {name}: from now on it is $name."""
        parts = re.split(r"\{([a-z]+)\}", pattern)
        if len(parts) == 1:
            return
        wild = [re.escape(p).replace(r"\*", ".*") for p in parts[0::2]]
        wild[0] = re.sub(r"^\.\*\\ ", r"\\* ", wild[0])
        m = re.fullmatch(r"([^\s\])]+)".join(wild), line, re.DOTALL)
        assert m is not None, f"nothing to keep in {line!r}"
        self.kept.update(zip(parts[1::2], m.groups()))

    def client(self, name):
        if name not in self.clients:
            self.clients[name] = Client(self.instance, "imaps")
            assert self.clients[name].line().startswith("* OK ")
        return self.clients[name]

    # --- what a line may say

    def do_setting(self, setting):
        self.own_instance = Instance(settings=dict([setting.split("=", 1)]))
        self.instance = self.own_instance.__enter__()

    def do_account(self, name, *options):
        self.addresses[name] = f"{name}.{self.path.stem}@example.org"
        self.instance.add_account(
            self.addresses[name], PASSWORD, **dict(o.split("=", 1) for o in options))

    def do_deliver(self, name, *subject):
        self.instance.deliver(self.address(name), subject=" ".join(subject) or "A subject")

    def do_setting(self, _):
        """Read before the instance was started."""

    def do_script(self, account, name, *text):
        self.instance.admin("filter", "put", self.address(account), name, "-",
                            input=self.expand(" ".join(text)).replace("\\n", "\n").encode())

    def do_connect(self, name, door):
        self.clients[name] = Client(self.instance, door)

    def do_login(self, name, account):
        client = self.client(name)
        client.send(f"login LOGIN {self.address(account)} {PASSWORD}\r\n".encode())
        line = client.line()
        assert line.startswith("login OK"), line

    def says(self, name, raw, text):
        client = self.client(name)
        text = self.expand(text)
        if text == "<starttls>":
            client.start_tls()
        elif text == "<end>":
            client.sock.shutdown(socket.SHUT_WR)
        elif raw:
            client.send(unescape(text))
        else:
            client.send(text.encode() + b"\r\n")

    def hears(self, name, text):
        client = self.client(name)
        text = self.expand(text)
        if text == "...":
            self.skipping.add(name)
        elif text == "<silence>":
            client.is_silent()
        elif text == "<closed>":
            line = client.line()
            assert line is None, f"not closed, but: {line!r}"
        else:
            line = client.line()
            while name in self.skipping and line is not None and not fits(text, line):
                assert not re.match(r"\w+ (OK|NO|BAD) ", line), f"skipped to {line!r}"
                line = client.line()
            self.skipping.discard(name)
            assert line is not None, "closed"
            assert fits(text, line), f"the server says {line!r}"
            self.keep(text, line)

    def run_line(self, line):
        m = re.fullmatch(r"([CS])(\d?)(!?):(?: (.*))?", line)
        if m is None:
            word, *words = line.split()
            getattr(self, "do_" + word)(*words)
        elif m[1] == "C":
            self.says("C" + (m[2] or "1"), m[3] == "!", m[4] or "")
        else:
            self.hears("C" + (m[2] or "1"), m[4] or "")

    def run(self):
        try:
            for number, line in enumerate(self.path.read_text().splitlines(), 1):
                if not line.strip() or line.startswith("#"):
                    continue
                try:
                    self.run_line(line)
                except (AssertionError, OSError) as e:
                    raise AssertionError(f"{self.path.name}:{number}: {line}\n{e}") from e
        finally:
            for client in self.clients.values():
                client.close()
            if self.own_instance is not None:
                self.own_instance.__exit__(None, None, None)


def settings_of(path):
    """Those of its "setting" lines."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return dict(words[1].split("=", 1) for words in lines if words[:1] == ["setting"])


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda p: p.stem)
def test_dialogue(shared_instance, path):
    settings = settings_of(path)
    if settings:
        with Instance(settings=settings) as own:
            Dialogue(own, path).run()
    else:
        Dialogue(shared_instance, path).run()
