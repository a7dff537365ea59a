"""QRESYNC, RFC 7162: a client that keeps a copy of a mailbox by it, whatever other sessions do to the mailbox and whenever
its connection breaks.  Dovecot is given the same sequence, so that both end with the same mailbox and the same copy."""

import random
import re
import socket
import ssl

import pytest

from dovecot import Dovecot
from sanger import WAIT_S

PASSWORD = "secret-Pw1"
FLAGS = [r"\Seen", r"\Flagged", r"\Answered", r"\Draft", "$Work", "$Later"]
STEPS = 60


def numbers(text):
    for part in text.split(","):
        first, _, last = part.partition(":")
        yield from range(int(first), int(last or first) + 1)


def compact(uids):
    runs = []
    for uid in sorted(uids):
        if runs and runs[-1][1] == uid - 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(f"{a}:{b}" if a != b else f"{a}" for a, b in runs)


class Session:
    """A connection that has logged in; lines only."""

    def __init__(self, port, user):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        sock = socket.create_connection(("127.0.0.1", port), WAIT_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock, self.pending, self.count = context.wrap_socket(sock), b"", 0
        assert self.line().startswith("* OK")
        self.command(f"LOGIN {user} {PASSWORD}")

    def line(self):
        while b"\n" not in self.pending:
            data = self.sock.recv(65536)
            assert data, "closed"
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode().rstrip("\r")

    def command(self, text, literal=None, ok=("OK",)):
        self.count += 1
        tag, lines = f"t{self.count}", []
        self.sock.sendall(f"{tag} {text}\r\n".encode())
        while True:
            line = self.line()
            if literal is not None and line.startswith("+"):
                self.sock.sendall(literal + b"\r\n")
                continue
            lines.append(line)
            if line.startswith(tag + " "):
                assert line.split()[1] in ok, line
                return lines

    def drop(self):
        self.sock.close()


class Other(Session):
    """Somebody else in the mailbox."""

    def __init__(self, port, user):
        super().__init__(port, user)
        self.command("SELECT INBOX")

    def append(self, rng, count):
        for _ in range(count):
            flags = " ".join(rng.sample(FLAGS, rng.randrange(3)))
            text = b"Subject: %d\r\n\r\nx\r\n" % rng.randrange(1 << 30)
            self.command(f"APPEND INBOX ({flags}) {{{len(text)}}}", text)

    def store(self, rng, uids):
        flags = " ".join(rng.sample(FLAGS, 1 + rng.randrange(2)))
        self.command(f"UID STORE {compact(uids)} {rng.choice(['+', '-', ''])}FLAGS.SILENT ({flags})")

    def expunge(self, _, uids):
        self.command(rf"UID STORE {compact(uids)} +FLAGS.SILENT (\Deleted)")
        self.command(f"UID EXPUNGE {compact(uids)}")

    def move(self, _, uids):
        self.command(f"UID MOVE {compact(uids)} Other")

    def truth(self):
        """What there is: {UID: flags}."""
        self.command("NOOP")
        return dict(parse_fetch(line)[1:3] for line in self.command("UID FETCH 1:* (FLAGS)")
                    if " FETCH (" in line)


def parse_fetch(line):
    """Number, UID, flags, mod-sequence; what is not said is None."""
    uid, flags = re.search(r"\bUID (\d+)", line), re.search(r"FLAGS \(([^)]*)\)", line)
    modseq = re.search(r"MODSEQ \((\d+)\)", line)
    return (int(line.split()[1]), int(uid[1]) if uid else None,
            frozenset(flags[1].split()) - {r"\Recent"} if flags else None,
            int(modseq[1]) if modseq else None)


class Copy:
    """The client with the copy: {UID: flags}, what it knows of the mailbox by RFC 7162 §6."""

    def __init__(self, port, user, rng, strict):
        self.port, self.user, self.rng, self.strict = port, user, rng, strict
        self.cache, self.uidvalidity, self.modseq = {}, None, 0
        self.session, self.seen = None, []
        self.all_below = 1  # no message with a lower UID is unknown

    def run(self, text, ok=("OK",)):
        """One command; all it brings is taken over."""
        told, highest = None, 0
        for line in self.session.command(text, ok=ok):
            m = re.search(r"\[HIGHESTMODSEQ (\d+)\]", line)
            told = int(m[1]) if m else told
            if m := re.match(r"\* (\d+) EXISTS", line):
                self.exists = int(m[1])
            elif m := re.match(r"\* VANISHED \(EARLIER\) (\S+)", line):
                for uid in numbers(m[1]):
                    # what a session still shows vanishes with VANISHED alone; Dovecot says both
                    assert uid not in self.seen or not self.strict, f"{uid} vanished earlier"
                    self.cache.pop(uid, None)
            elif m := re.match(r"\* VANISHED (\S+)", line):
                for uid in numbers(m[1]):
                    self.exists -= 1
                    self.cache.pop(uid, None)
                    if uid in self.seen:
                        self.seen.remove(uid)
            elif m := re.search(r"UIDVALIDITY (\d+)", line):
                assert self.uidvalidity in (None, int(m[1])), "another mailbox"
                self.uidvalidity = int(m[1])
            elif " FETCH (" in line:
                number, uid, flags, modseq = parse_fetch(line)
                highest = max(highest, modseq or 0)
                if uid is not None and flags is not None:
                    self.cache[uid] = flags
                if uid in self.seen:
                    assert self.seen.index(uid) == number - 1, line
            assert not re.match(r"\* \d+ EXPUNGE", line), line
        if told is not None:
            self.modseq = told
        else:
            self.modseq = max(self.modseq, highest)

    def resync(self):
        self.session, self.seen, self.exists = Session(self.port, self.user), [], 0
        self.session.command("ENABLE QRESYNC")
        if self.uidvalidity is None:
            self.run("SELECT INBOX")
        else:
            known = sorted(self.cache)
            value = f"{self.uidvalidity} {self.modseq}"
            if known and self.rng.random() < 0.5:
                value += f" 1:{known[-1]}"
                if self.rng.random() < 0.5:
                    pairs = sorted(self.rng.sample(range(len(known)), min(3, len(known))))
                    value += " ({} {})".format(",".join(str(p + 1) for p in pairs),
                                               ",".join(str(known[p]) for p in pairs))
            self.run(f"SELECT INBOX (QRESYNC ({value}))")
        self.learn()

    def learn(self):
        """New messages; from then on every number's UID is known."""
        self.run("NOOP")
        self.run(f"UID FETCH {self.all_below}:* (FLAGS)")
        self.all_below = max(self.all_below, max(self.cache, default=0) + 1)
        self.seen = sorted(self.cache)
        assert len(self.seen) == self.exists

    def act(self):
        """Something that a client does.  What is told without UIDs yet is learnt with the next learn()."""
        what = self.rng.choice(["NOOP", "FETCH", "UID FETCH", "CHANGES", "drop", "drop", "stay"])
        if what == "drop":
            self.session.drop()
            self.session = None
        elif what == "NOOP":
            self.run("NOOP")
        elif what == "FETCH" and self.exists:
            self.run("FETCH 1:* (UID FLAGS MODSEQ)", ok=("OK", "NO"))
        elif what == "UID FETCH":
            self.run("UID FETCH 1:* (FLAGS)")
        elif what == "CHANGES":
            self.run(f"UID FETCH 1:* (FLAGS) (CHANGEDSINCE {self.modseq} VANISHED)")


def play(port, user, seed, between=None, strict=True):
    """The sequence that the seed stands for; returns what is there at the end and the client's copy of it."""
    rng, client_rng = random.Random(seed), random.Random(seed + 1)
    others = [Other(port, user), Other(port, user)]
    others[0].command("CREATE Other")
    client = Copy(port, user, client_rng, strict)
    others[0].append(rng, 12)
    for step in range(STEPS):
        if client.session is None:
            client.resync()
            assert client.cache == others[1].truth(), f"step {step}, seed {seed}"
        other = rng.choice(others)
        there = sorted(other.truth())
        what = rng.choice([other.store, other.store, other.expunge, other.move, other.append])
        if what == other.append or len(there) < 4:
            other.append(rng, 1 + rng.randrange(4))
        else:
            what(rng, rng.sample(there, 1 + rng.randrange(3)))
        if between is not None:
            between(step)
        client.act()
    if client.session is not None:
        client.session.drop()
    client.resync()
    return others[0].truth(), client.cache


@pytest.fixture
def user(shared_instance, request):
    name = re.sub(r"\W", "", request.node.name).lower()[:40] + "@example.org"
    shared_instance.add_account(name, PASSWORD)
    return name


@pytest.mark.once
def test_the_copy_is_the_mailbox(shared_instance, user):
    """… and Dovecot agrees on what the same sequence makes of it."""
    there, copy = play(shared_instance.imaps, user, 1)
    assert copy == there
    with Dovecot() as dovecot:
        his_there, his_copy = play(dovecot.imaps, user, 1, strict=False)
    assert his_copy == his_there
    assert there == his_there


@pytest.mark.parametrize("seed", [10, 20])
def test_also_where_the_index_is_lost(shared_instance, user, seed):
    """index.db goes while sessions are in the mailbox: then a client hears of too much, never of too little."""
    def lose(step):
        if step % 7 == 3:
            for path in (shared_instance.dir / "mail").rglob("index.db*"):
                path.unlink(missing_ok=True)
    there, copy = play(shared_instance.imaps, user, seed, lose)
    assert copy == there
