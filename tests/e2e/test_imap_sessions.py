"""Several sessions on one mailbox, at random, against a model: every number that the server says is checked.

Commands run one after another, so the model knows the mailbox; each session knows of it only what it was
told.  IMAP_SESSIONS_STEPS and IMAP_SESSIONS_SEED make longer and other runs."""

import os
import random
import re

import pytest

from imap_wire import Wire, tree, trusting
from sanger import Instance

USER = "ann@example.org"
STEPS = int(os.environ.get("IMAP_SESSIONS_STEPS", "300"))
SEED = int(os.environ.get("IMAP_SESSIONS_SEED", "6"))
FLAGS = ["\\seen", "\\flagged", "\\answered", "\\draft", "\\deleted", "work", "$later"]
SEARCHES = {"SEEN": lambda f: "\\seen" in f, "UNSEEN": lambda f: "\\seen" not in f, "FLAGGED": lambda f: "\\flagged" in f,
            "DELETED": lambda f: "\\deleted" in f, "KEYWORD work": lambda f: "work" in f, "NOT KEYWORD $later": lambda f: "$later" not in f,
            "ALL": lambda f: True}


def uids_of(text):
    """The numbers of a set, in the order in which it names them."""
    found = []
    for part in text.split(","):
        first, _, last = part.partition(":")
        found += range(int(first), int(last or first) + 1)
    return found


class Box:
    """The truth about one mailbox."""

    def __init__(self):
        self.flags = {}  # of each UID, which ascend
        self.gone = set()
        self.next = 1
        self.modseq = {}  # the largest that anybody was told, of each UID

    def add(self, uid, flags):
        assert uid >= self.next, f"UID {uid} after UIDNEXT {self.next}"
        self.flags[uid] = set(flags)
        self.next = uid + 1

    def remove(self, uids):
        for uid in uids:
            del self.flags[uid]
            self.gone.add(uid)


class Session:
    """One connection and what it was told: UIDs in their order."""

    def __init__(self, number, wire, model, extension):
        self.number, self.wire, self.model, self.extension = number, wire, model, extension
        self.box, self.view, self.log = None, [], []
        self.uid = "UID " if extension == "UIDONLY" else ""  # what it must say before commands that take a set
        self.last = 0  # the largest UID that is or was in the view
        if extension:
            wire.ok(f"ENABLE {extension}")

    def fail(self, what):
        raise AssertionError(f"session {self.number}: {what}\n" + "\n".join(self.log[-12:]))

    def check(self, true, what):
        if not true:
            self.fail(what)

    def send(self, *commands):
        """Pipelined."""
        tags = [self.wire.tag() for _ in commands]
        self.wire.send(b"".join(t + b" " + c.encode() + b"\r\n" for t, c in zip(tags, commands)))
        return tags

    def hear(self, tag, command, going=()):
        """Reads to the tagged reply; `going`: UIDs that may go by this very command.  Returns (reply, untagged ones)."""
        self.log.append(f"C: {command}")
        found = []
        keeps = re.match(r"(FETCH|STORE|SEARCH)\b", command) is not None
        while True:
            line = self.wire.response().decode("latin-1")
            self.log.append(f"S: {line[:300]}")
            self.check(line, "closed")
            if line.startswith(tag.decode() + " "):
                return line[len(tag) + 1:], found
            self.check(line.startswith("* "), f"what is {line!r}?")
            found.append(line[2:])
            if self.box is not None and not command.startswith(("SELECT", "EXAMINE")):
                self.take(line[2:], keeps, going)

    def take(self, line, keeps, going):
        self.check(self.extension != "IMAP4rev2" or "recent" not in line.lower(), "IMAP4rev2 has no \\Recent")
        if m := re.match(r"(\d+) EXISTS$", line):
            self.check(int(m[1]) >= len(self.view), "EXISTS takes messages away")
            new = [u for u in sorted(self.box.flags) if u > self.last]
            self.check(int(m[1]) <= len(self.view) + len(new), f"EXISTS of too many: new are {new}")
            self.view += new[:int(m[1]) - len(self.view)]
            self.last = max([self.last, *self.view])
        elif m := re.match(r"(\d+) EXPUNGE$", line):
            self.check(not keeps, "EXPUNGE during a command that uses numbers")
            self.check(self.extension not in ("QRESYNC", "UIDONLY"), "EXPUNGE where VANISHED is to come")
            self.check(1 <= int(m[1]) <= len(self.view), "EXPUNGE of a number that is not there")
            self.forget(int(m[1]) - 1, going)
        elif m := re.match(r"VANISHED (\S+)$", line):
            self.check(not keeps, "VANISHED during a command that uses numbers")
            self.check(self.extension in ("QRESYNC", "UIDONLY"), "VANISHED without QRESYNC")
            for uid in uids_of(m[1]):
                self.check(uid in self.view, f"UID {uid} was never told of")
                self.forget(self.view.index(uid), going)
        elif m := re.match(r"(\d+) FETCH (\(.*\))$", line, re.DOTALL):
            self.check(1 <= int(m[1]) <= len(self.view), "FETCH of a number that is not there")
            self.check(self.extension != "UIDONLY", "a number under UIDONLY")
            items = tree(m[2].encode("latin-1"))[0]
            self.fetched(int(m[1]) - 1, dict(zip([k.upper() for k in items[::2]], items[1::2])), going)
        elif m := re.match(r"(\d+) UIDFETCH (\(.*\))$", line, re.DOTALL):
            self.check(self.extension == "UIDONLY", "UIDFETCH without UIDONLY")
            self.check(int(m[1]) in self.view, f"UIDFETCH of {m[1]}, which is not there")
            items = tree(m[2].encode("latin-1"))[0]
            self.fetched(self.view.index(int(m[1])), dict(zip([k.upper() for k in items[::2]], items[1::2])), going)

    def forget(self, at, going):
        uid = self.view.pop(at)
        self.check(uid in self.box.gone or uid in going, f"UID {uid} is told to be gone, and is not")

    def fetched(self, at, items, going):
        if "UID" in items:
            uid = int(items["UID"])
            self.check(self.view[at] == uid, f"number {at + 1} is UID {uid}, not {self.view[at]}")
        uid = self.view[at]
        if uid not in self.box.flags:
            return
        if "FLAGS" in items:
            flags = {f.lower() for f in items["FLAGS"]} - {"\\recent"}
            self.check(flags == self.box.flags[uid], f"flags of UID {uid}: {flags}, not {self.box.flags[uid]}")
        if "MODSEQ" in items:
            modseq = int(items["MODSEQ"][0])
            self.check(modseq >= self.box.modseq.get(uid, 0), f"MODSEQ of UID {uid} falls")
            self.box.modseq[uid] = modseq

    def ask(self, command, going=()):
        [tag] = self.send(command)
        return self.hear(tag, command, going)

    def select(self, name):
        box = self.model[name]
        self.box = None
        reply, lines = self.ask(f"SELECT {name}")
        self.check(reply.startswith("OK"), "SELECT fails")
        said = {m[2]: int(m[1]) for line in lines if (m := re.match(r"(\d+) (EXISTS|RECENT)$", line))}
        self.check(said["EXISTS"] == len(box.flags), f"EXISTS {said['EXISTS']}, not {len(box.flags)}")
        self.check(any(f"[UIDNEXT {box.next}]" in line for line in lines), f"UIDNEXT is not {box.next}")
        self.box, self.name = box, name
        self.view = sorted(box.flags)
        self.last = box.next - 1

    def settle(self):
        """All is told."""
        reply, _ = self.ask("NOOP")
        self.check(reply.startswith("OK"), "NOOP fails")
        self.check(len(self.view) == len(self.box.flags), f"{len(self.view)} messages after NOOP, not {len(self.box.flags)}")
        self.check(self.view == sorted(self.box.flags), f"the client sees {self.view}, not {sorted(self.box.flags)}")
        if self.view:
            _, lines = self.ask(f"{self.uid}FETCH 1:* (UID FLAGS)")
            self.check(len([line for line in lines if "FETCH (" in line]) >= len(self.view), "FETCH leaves messages out")


class Play:
    """The random moves; each changes the model as the server must have changed the mailbox."""

    def __init__(self, model, sessions, rng):
        self.model, self.sessions, self.rng = model, sessions, rng

    def some(self, s):
        """Numbers of some messages of the session's view, as a set with ranges."""
        if not s.view:
            return None, []
        picked = sorted(self.rng.sample(range(1, len(s.view) + 1), min(len(s.view), self.rng.randrange(1, 5))))
        if self.rng.random() < .3:
            picked = list(range(picked[0], picked[-1] + 1))
            text = f"{picked[-1]}:{picked[0]}" if self.rng.random() < .3 else f"{picked[0]}:{picked[-1]}"
        else:
            text = ",".join(map(str, self.rng.sample(picked, len(picked))))
        return text, picked

    def target(self, s):
        """(prefix, set, UIDs) of a command by numbers or by UIDs."""
        text, picked = self.some(s)
        if text is None:
            return None
        uids = [s.view[n - 1] for n in picked]
        if s.uid or self.rng.random() < .5:
            return "UID ", ",".join(map(str, self.rng.sample(uids, len(uids)))), uids
        return "", text, uids

    def append(self, s):
        flags = self.rng.sample(FLAGS, self.rng.randrange(3))
        name = self.rng.choice(list(self.model))
        count = self.rng.choice([1, 1, 1, 3])
        data = f"Subject: {self.rng.random()}\r\n\r\ntext\r\n"
        one = f" ({' '.join(flags)}) {{{len(data)}+}}\r\n{data}"
        box = self.model[name]
        # this session hears of its own message at once where it is in that mailbox
        before = box.next
        for n in range(count):
            box.flags[before + n] = set(flags)
        box.next = before + count
        reply, _ = s.ask(f"APPEND {name}" + one * count)
        m = re.search(r"APPENDUID \d+ (\S+)\]", reply)
        s.check(m and uids_of(m[1]) == list(range(before, before + count)), f"APPENDUID is not {before}, {count} messages")

    def store(self, s):
        if (t := self.target(s)) is None:
            return
        prefix, text, uids = t
        flags = set(self.rng.sample(FLAGS, self.rng.randrange(1, 3)))
        how = self.rng.choice(["", "+", "-"])
        silent = self.rng.choice(["", "", ".SILENT"])
        there = [u for u in uids if u in s.box.flags]
        old = {u: set(s.box.flags[u]) for u in there}
        for u in there:
            s.box.flags[u] = flags if how == "" else old[u] | flags if how == "+" else old[u] - flags
            s.box.flags[u] = set(s.box.flags[u])
        reply, lines = s.ask(f"{prefix}STORE {text} {how}FLAGS{silent} ({' '.join(flags)})")
        if len(there) < len(uids):
            s.check(reply.startswith(("OK", "NO")), "STORE to what is gone")
            if reply.startswith("NO"):
                self.look(s, uids)
            return
        s.check(reply.startswith("OK"), "STORE fails")
        if not silent and not prefix:
            told = {s.view[int(m[1]) - 1] for line in lines if (m := re.match(r"(\d+) FETCH .*FLAGS", line))}
            s.check(told >= set(there), "STORE does not tell all flags")

    def look(self, s, uids):
        """A command failed half way: the model learns from the server what became of these, and only these."""
        other = self.sessions[0]
        name = self.sessions[0].name
        tag = other.wire.tag()
        other.wire.send(tag + f" SELECT {s.name}\r\n".encode())
        other.wire.until(tag)
        for line in other.wire.ok("UID FETCH 1:* (FLAGS)"):
            m = re.match(rb"\* \d+ FETCH \(.*UID (\d+).*\)$", line)
            if m and int(m[1]) in uids and int(m[1]) in s.box.flags:
                found = re.search(rb"FLAGS \((.*?)\)", line)[1].decode().lower().split()
                s.box.flags[int(m[1])] = set(found) - {"\\recent"}
        self.sessions[0].select(name)

    def fetch(self, s):
        if (t := self.target(s)) is None:
            return
        prefix, text, uids = t
        items = self.rng.choice(["(FLAGS)", "(UID FLAGS)", "(UID RFC822.SIZE FLAGS)", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])", "(UID BODY[])"])
        there = [u for u in uids if u in s.box.flags]
        if "BODY[]" in items:
            for u in there:
                s.box.flags[u].add("\\seen")
        reply, lines = s.ask(f"{prefix}FETCH {text} {items}")
        numbers = {int(m[1]) for line in lines if (m := re.match(r"(\d+) (UID)?FETCH", line))}
        if len(there) == len(uids):
            s.check(reply.startswith("OK"), "FETCH fails")
            s.check(len(numbers) >= len(uids), f"FETCH answers for {numbers}")

    def search(self, s):
        key = self.rng.choice(list(SEARCHES))
        fits = SEARCHES[key]
        uid = bool(s.uid) or self.rng.random() < .5
        before = list(s.view)
        reply, lines = s.ask(f"{'UID ' if uid else ''}SEARCH RETURN (ALL) {key}")
        s.check(reply.startswith("OK"), "SEARCH fails")
        m = next(m for line in lines if (m := re.match(r"ESEARCH \(TAG \S+\)( UID)?(?: ALL (\S+))?", line)))
        found = uids_of(m[2]) if m[2] else []
        s.check((m[1] is not None) == uid, "UID or not")
        if uid:
            s.check(set(found) - s.box.gone == {u for u, f in s.box.flags.items() if fits(f) and u in found}, "SEARCH finds too much")
            missed = {u for u, f in s.box.flags.items() if fits(f)} - set(found)
            s.check(not missed & set(before), f"SEARCH misses {missed & set(before)}")
            return
        s.check(all(1 <= n <= len(before) for n in found), "SEARCH finds a number that is not there")
        for n, u in enumerate(before, 1):
            if u in s.box.flags:
                s.check(fits(s.box.flags[u]) == (n in found), f"SEARCH {key} is wrong about {n}, UID {u}")

    def copy(self, s):
        self.transfer(s, "COPY")

    def move(self, s):
        self.transfer(s, "MOVE")

    def transfer(self, s, verb):
        if (t := self.target(s)) is None:
            return
        prefix, text, uids = t
        name = next(n for n in self.model if n != s.name)
        other = self.model[name]
        there = [u for u in uids if u in s.box.flags]
        flags = {u: set(s.box.flags[u]) for u in there}
        reply, lines = s.ask(f"{prefix}{verb} {text} {name}", going=uids if verb == "MOVE" else ())
        m = re.search(r"COPYUID \d+ (\S+) (\S+)\]", "\n".join([reply, *lines]))
        if not m:
            s.check(len(there) < len(uids), f"{verb} without COPYUID")
            return
        source, target = uids_of(m[1]), uids_of(m[2])
        s.check(len(source) == len(target) and set(source) <= set(uids), f"COPYUID of {source}")
        s.check(set(there) <= set(source) or not reply.startswith("OK"), f"{verb} leaves out {set(there) - set(source)}")
        s.check(target == sorted(target), "the copies' UIDs do not ascend")
        for a, b in zip(source, target):
            other.add(b, flags.get(a, ()))
        if verb == "MOVE":
            s.box.remove([u for u in source if u in s.box.flags])
            s.check(not set(source) & set(s.view), "MOVE does not tell what went")

    def marked(self, s):
        """EXPUNGE and CLOSE remove what is marked, by whomever, of what the session was told of."""
        return [u for u in s.view if "\\deleted" in s.box.flags.get(u, ())]

    def expunge(self, s):
        going = self.marked(s)
        reply, _ = s.ask("EXPUNGE", going=going)
        s.check(reply.startswith("OK"), "EXPUNGE fails")
        s.box.remove(going)
        s.check(not set(going) & set(s.view), "EXPUNGE does not tell what went")

    def uid_expunge(self, s):
        _, picked = self.some(s)
        uids = [s.view[n - 1] for n in picked]
        if not uids:
            return
        going = [u for u in uids if "\\deleted" in s.box.flags.get(u, ())]
        reply, _ = s.ask("UID EXPUNGE " + ",".join(map(str, uids)), going=going)
        s.check(reply.startswith("OK"), "UID EXPUNGE fails")
        s.box.remove(going)

    def noop(self, s):
        s.settle()

    def reselect(self, s):
        if self.rng.random() < .3:
            going = self.marked(s)
            s.box = None
            reply, lines = s.ask("CLOSE")
            s.check(reply.startswith("OK") and not any("EXPUNGE" in line for line in lines), "CLOSE tells of messages")
            self.model[s.name].remove(going)
        s.select(self.rng.choice(list(self.model)))

    def idle(self, s):
        """Hears what others did while it was silent."""
        [tag] = s.send("IDLE")
        s.log.append("C: IDLE")
        while True:
            line = s.wire.response().decode("latin-1")
            s.log.append(f"S: {line}")
            if line.startswith("+"):
                break
            s.take(line[2:], False, ())
        s.wire.send(b"DONE\r\n")
        reply, _ = s.hear(tag, "IDLE")
        s.check(reply.startswith("OK"), "IDLE fails")
        s.settle()

    def pipeline(self, s):
        """Commands that would be ambiguous run one after another, RFC 9051 5.5."""
        text, picked = self.some(s)
        if text is None or any(s.view[n - 1] not in s.box.flags for n in picked):
            return
        uids = [s.view[n - 1] for n in picked]
        for u in uids:
            s.box.flags[u].add("\\deleted")
        if s.uid:
            text = ",".join(map(str, uids))
        commands = [f"{s.uid}STORE {text} +FLAGS.SILENT (\\Deleted)", f"{s.uid}FETCH {text} (UID FLAGS)", "EXPUNGE",
                    f"{s.uid}FETCH 1:* (UID FLAGS)", "NOOP"]
        tags = s.send(*commands)
        for tag, command in zip(tags, commands):
            going = self.marked(s) if command == "EXPUNGE" else []
            reply, _ = s.hear(tag, command, going)
            s.box.remove(going)
            s.check(reply.startswith("OK") or (command.startswith("FETCH 1:*") and not s.view), f"{command} fails")

    MOVES = [("append", 5), ("store", 8), ("fetch", 5), ("search", 4), ("copy", 2), ("move", 2), ("expunge", 2), ("uid_expunge", 2), ("noop", 4),
             ("reselect", 1), ("idle", 1), ("pipeline", 1)]

    def step(self):
        names, weights = zip(*self.MOVES)
        getattr(self, self.rng.choices(names, weights)[0])(self.rng.choice(self.sessions))


@pytest.mark.once
def test_sessions_agree_with_a_model():
    with Instance() as i:
        i.add_account(USER)
        model = {"One": Box(), "Two": Box()}
        with Wire(i.imaps, trusting()) as first:
            first.login(USER, i.accounts[USER])
            for name in model:
                first.ok(f"CREATE {name}")
        rng = random.Random(SEED)
        sessions = []
        for n, extension in enumerate(["", "IMAP4rev2", "CONDSTORE", "QRESYNC", "UIDONLY"]):
            s = Session(n, Wire(i.imaps, trusting()).login(USER, i.accounts[USER]), model, extension)
            s.select("One")
            sessions.append(s)
        play = Play(model, sessions, rng)
        for _ in range(12):
            play.append(sessions[0])
        for _ in range(STEPS):
            play.step()
        for s in sessions:
            s.settle()
            s.wire.close()
