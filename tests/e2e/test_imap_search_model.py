"""Random searches of random mail, while it changes and while search.db is made, damaged and taken away, against a model.

The model makes each message from decoded texts, so it knows without decoding what each search has to find.
SEARCH_MODEL_STEPS, SEARCH_MODEL_SEED and SEARCH_MODEL_INDEX (store.search_index) make longer and other runs."""

import base64
import datetime
import fcntl
import os
import quopri
import random
import re
import shutil
import unicodedata

import pytest

from imap_wire import Wire, trusting
from sanger import Instance, wait_for
from test_imap_search import known
from test_imap_sessions import Box, Session, uids_of

USER = "ann@example.org"
STEPS = int(os.environ.get("SEARCH_MODEL_STEPS", "100"))
INDEX = os.environ.get("SEARCH_MODEL_INDEX", "always")
SEED = int(os.environ.get("SEARCH_MODEL_SEED", "7"))
DAY = datetime.timedelta(days=1)
SYSTEM = ["seen", "flagged", "answered", "draft", "deleted"]
KEYWORDS = ["work", "$later"]
WORDS = ["Marti", "telson", "vique", "Müller", "straße", "ÉCOLE", "naïve", "tabou", "100%", "re-do", "o'clock", "x", "soft", "news", "LETTER",
         "aa", "aaa", "abababab", "a", "the", "needle", "hay"]
GREEK = ["Ωmega", "Ελλάδα", "λόγος", "ΣΊΣΥΦΟΣ"]
OTHER = ["日本語", "ﬁn", "Åb", "한국어", "Привет", "😀 ok", "ｗｉｄｅ", "Ǆ"]
CHARSETS = ["utf-8", "iso-8859-1", "iso-8859-7", "iso-2022-jp", "windows-1252", "koi8-r"]


def fold(text):
    """i;unicode-casemap, RFC 5051: each character to titlecase by its simple mapping, then decomposed."""
    out = []
    for ch in text:
        title = ch.title()
        out.append(unicodedata.normalize("NFKD", title if len(title) == 1 else ch))
    return "".join(out)


def encode_in(charset, text):
    try:
        return text.encode(charset)
    except UnicodeEncodeError:
        return None


class Message:
    """What it holds is in `fields` (name, value), `heads` (of its parts) and `bodies`, all decoded."""

    def __init__(self, rng, number):
        self.rng, self.fields, self.heads, self.bodies, self.wire = rng, [], [], [], []
        self.sent = None
        self.add("From", f"{rng.choice(['Ann', 'Jörg', 'Zoë X', 'λόγος'])} <a{number % 7}@example.org>")
        for name in ("To", "Cc", "Bcc"):
            if rng.random() < .4:
                self.add(name, f"{rng.choice(['Bob', 'Ünal', 'Li'])} <{rng.choice(['bob', 'li', 'u'])}@example.net>")
        if rng.random() < .9:
            self.add("Subject", self.words(rng.randrange(6)))
        if rng.random() < .2:
            self.add("Subject", self.words(2))  # a second one, as bad programs write it
        for name in ("X-Inner", "List-Id", "X-Long-Name-Of-A-Field"):
            if rng.random() < .3:
                self.add(name, self.words(rng.randrange(3)))
        if rng.random() < .85:
            self.sent = datetime.date(2020, 1, 1) + DAY * rng.randrange(40)
            hour, zone = rng.randrange(24), rng.choice(["+0000", "-1100", "+1300", "GMT", "-0330"])
            self.raw("Date", f"{self.sent.day} {self.sent.strftime('%b %Y')} {hour:02}:30:00 {zone}")
        self.raw("Message-ID", f"<{number}@model.example>")
        self.raw("MIME-Version", "1.0")
        lines = self.shape(rng.choice(["plain"] * 4 + ["html", "mixed", "nested", "binary"]))
        self.fields += self.heads.pop(0)
        self.data = b"\r\n".join(self.wire) + b"\r\n" + lines
        self.size = len(self.data)
        self.windows()

    def words(self, count):
        """Of one kind or of several."""
        pool = WORDS + self.rng.choice([[], [], GREEK, OTHER, GREEK + OTHER])
        return " ".join(self.rng.choice(pool) for _ in range(count))

    def raw(self, name, value):
        self.fields.append((name, value))
        self.wire.append(f"{name}: {value}".encode())

    def add(self, name, value):
        """A field in ASCII, encoded words or UTF-8 as it stands; an address keeps its address outside."""
        self.fields.append((name, value))
        text, rest = (value[:value.index(" <")], value[value.index(" <"):]) if " <" in value else (value, "")
        how = self.rng.randrange(4)
        if text.isascii() or how == 0:
            coded = text
        else:
            charset = self.rng.choice([c for c in CHARSETS[:4] if encode_in(c, text)])
            data = text.encode(charset)
            if how == 1:
                coded = "=?%s?q?%s?=" % (charset, "".join(f"={b:02X}" for b in data))
            else:
                at = self.rng.randrange(len(text))
                coded = "\r\n ".join("=?%s?b?%s?=" % (charset, base64.b64encode(t.encode(charset)).decode()) for t in (text[:at], text[at:]) if t)
        self.wire.append(f"{name}: {coded}{rest}".encode())

    def text(self, kind, keep=True):
        """A text part: (header lines, body).  Remembers both."""
        rng = self.rng
        text = "".join(self.words(rng.randrange(9)) + "\r\n" for _ in range(rng.randrange(6)))
        if rng.random() < .1:
            text += "padding of a long line, " * 300 + "\r\n" + self.words(3) + "\r\n"
        if kind == "html":
            text = f"<p>{text}</p>\r\n"
        charset = rng.choice([c for c in CHARSETS[:6] if encode_in(c, text) is not None])
        data = text.encode(charset)
        cte = rng.choice(["base64", "quoted-printable", "8bit"])
        lead = [f"Content-Type: text/{kind}; charset={charset}", f"Content-Transfer-Encoding: {cte}"]
        if cte == "base64":
            data = base64.encodebytes(data).replace(b"\n", b"\r\n")
        elif cte == "quoted-printable":
            data = quopri.encodestring(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        self.bodies.append(text)
        self.heads.append([tuple(line.split(": ", 1)) for line in lead])
        return "\r\n".join(lead).encode() + b"\r\n\r\n" + data

    def shape(self, kind):
        if kind in ("plain", "html"):
            return self.text(kind)
        self.heads.append([("Content-Type", "multipart/mixed; boundary=zz")])
        parts = [self.text("plain")]
        if kind == "mixed":
            parts.append(self.text("html"))
        elif kind == "binary":
            self.heads.append([("Content-Type", "application/octet-stream; name=needle")])
            parts.append(b"Content-Type: application/octet-stream; name=needle\r\n\r\nnot a text: telson Marti\r\n")
        else:
            subject = self.words(2)
            self.heads.append([("Content-Type", "message/rfc822")])
            self.heads.append([("Subject", subject), ("X-Inner", "below")])
            parts.append(b"Content-Type: message/rfc822\r\n\r\n" + f"Subject: {subject}\r\nX-Inner: below\r\n".encode() + self.text("plain"))
        return b"Content-Type: multipart/mixed; boundary=zz\r\n\r\n" + b"".join(b"--zz\r\n" + p + b"\r\n" for p in parts) + b"--zz--\r\n"

    def windows(self):
        """Where BODY and TEXT look; a needle goes over no border."""
        self.body_windows = [fold(t) for t in self.bodies]
        fields = self.fields + [f for head in self.heads for f in head]
        self.text_windows = [fold(f"{n}: {v}") for n, v in fields] + self.body_windows

    def has_field(self, name, needle):
        return any(n.lower() == name.lower() and fold(needle) in fold(v) for n, v in self.fields)


class Mail(Box):
    def __init__(self):
        super().__init__()
        self.messages, self.arrived = {}, {}

    def put(self, uid, message, flags, arrived):
        self.add(uid, flags)
        self.messages[uid], self.arrived[uid] = message, arrived


class Program:
    """One random program: its bytes on the wire and fits(uid).  `numbers` maps UIDs to numbers of the session's view."""

    def __init__(self, rng, box, view, saved, charset):
        self.rng, self.box, self.view, self.saved, self.charset = rng, box, view, saved, charset

    def wire_string(self, text):
        data = encode_in(self.charset, text)
        if data is None:
            text = "needle"
            data = text.encode(self.charset)
        plain = data.isascii() and self.charset != "iso-2022-jp"
        if plain and re.fullmatch(rb"[A-Za-z0-9@.$-]+", data) and self.rng.random() < .4:
            return text, data
        if plain and self.rng.random() < .5:
            return text, b'"' + data.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        if self.charset == "utf-8" and self.rng.random() < .4:
            return text, b'"' + data + b'"'
        return text, b"{%d+}\r\n%s" % (len(data), data)

    def needle(self):
        rng = self.rng
        if rng.random() < .5 and self.box.messages:
            m = self.box.messages[rng.choice(list(self.box.messages))]
            text = rng.choice([v for _, v in m.fields] + m.bodies).replace("\r\n", " ")
        else:
            text = " ".join(rng.choice(WORDS + GREEK + OTHER) for _ in range(3))
        if not text.strip():
            return ""
        at = rng.randrange(len(text))
        part = text[at:at + rng.choice((1, 2, 3, 3, 4, 5, 7, 12, 30))].strip()
        return rng.choice((part, part, part.upper(), part.lower()))

    def text_key(self):
        where = self.rng.choice(["TEXT", "TEXT", "BODY", "BODY", "SUBJECT", "FROM", "TO", "CC", "BCC", "HEADER", "HEADER"])
        needle, data = self.wire_string(self.needle())
        folded, messages = fold(needle), self.box.messages
        if where == "TEXT":
            return b"TEXT " + data, lambda u: any(folded in w for w in messages[u].text_windows)
        if where == "BODY":
            return b"BODY " + data, lambda u: not folded or any(folded in w for w in messages[u].body_windows)
        name = where
        if where == "HEADER":
            name = self.rng.choice(["X-Inner", "x-inner", "List-Id", "Subject", "From", "Date", "X-Long-Name-Of-A-Field", "X-None", "Content-Type"])
            where = f"HEADER {name}"
        return f"{where} ".encode() + data, lambda u: messages[u].has_field(name, needle)

    def flag_key(self):
        flags, rng = self.box.flags, self.rng
        if rng.random() < .3:
            word = rng.choice(KEYWORDS + ["nobody-has-it"])
            if rng.random() < .5:
                return f"KEYWORD {word}".encode(), lambda u: word in flags[u]
            return f"UNKEYWORD {word}".encode(), lambda u: word not in flags[u]
        flag = rng.choice(SYSTEM)
        if rng.random() < .5:
            return flag.upper().encode(), lambda u: "\\" + flag in flags[u]
        return f"UN{flag}".upper().encode(), lambda u: "\\" + flag not in flags[u]

    def date_key(self):
        rng, box = self.rng, self.box
        sent = rng.random() < .5
        day = (datetime.date(2020, 1, 1) if sent else datetime.date(2021, 6, 1)) + DAY * rng.randrange(40)
        text = f"{day.day}-{day.strftime('%b-%Y')}"
        if rng.random() < .3:
            text = f'"{text}"'
        key = rng.choice(["BEFORE", "ON", "SINCE"])
        fits = {"BEFORE": lambda d: d < day, "ON": lambda d: d == day, "SINCE": lambda d: d >= day}[key]
        if sent:
            return f"SENT{key} {text}".encode(), lambda u: box.messages[u].sent is not None and fits(box.messages[u].sent)
        return f"{key} {text}".encode(), lambda u: fits(box.arrived[u].date())

    def other_key(self):
        rng, box = self.rng, self.box
        kind = rng.randrange(6)
        if kind == 0:
            sizes = [m.size for m in box.messages.values()] or [300]
            size = rng.choice(sizes) + rng.choice([-1, 0, 1])
            if rng.random() < .5:
                return f"LARGER {size}".encode(), lambda u: box.messages[u].size > size
            return f"SMALLER {size}".encode(), lambda u: box.messages[u].size < size
        if kind == 1:
            return b"ALL", lambda u: True
        if kind == 2:
            return rng.choice([(b"YOUNGER 86400", lambda u: False), (b"OLDER 86400", lambda u: True), (b"SAVEDSINCE 1-Jan-2022", lambda u: True),
                               (b"SAVEDBEFORE 1-Jan-2022", lambda u: False), (b"SAVEDATESUPPORTED", lambda u: True)])
        if kind == 3 and self.saved is not None:
            saved = set(self.saved)
            return b"$", lambda u: u in saved
        if kind == 4 and self.view is not None and self.view:
            a, b = rng.randrange(1, len(self.view) + 1), rng.randrange(1, len(self.view) + 1)
            picked = set(self.view[min(a, b) - 1:max(a, b)])
            if rng.random() < .2:
                picked = set(self.view[a - 1:])
                return f"{a}:*".encode(), lambda u: u in picked
            return f"{a}:{b}".encode(), lambda u: u in picked
        if self.saved is None:
            return b"ALL", lambda u: True
        a, b = rng.randrange(1, box.next + 3), rng.randrange(1, box.next + 3)
        if rng.random() < .2 and self.view:
            low, high = min(a, self.view[-1]), max(a, self.view[-1])
            return f"UID {a}:*".encode(), lambda u: low <= u <= high
        return f"UID {a}:{b}".encode(), lambda u: min(a, b) <= u <= max(a, b)

    def key(self, depth):
        rng = self.rng
        shape = rng.random()
        if depth < 4 and shape < .12:
            data, fits = self.key(depth + 1)
            return b"NOT " + data, lambda u: not fits(u)
        if depth < 4 and shape < .27:
            (a, fits_a), (b, fits_b) = self.key(depth + 1), self.key(depth + 1)
            return b"OR " + a + b" " + b, lambda u: fits_a(u) or fits_b(u)
        if depth < 4 and shape < .35:
            data, fits = self.keys(depth + 1, rng.randrange(1, 4))
            return b"(" + data + b")", fits
        return rng.choice([self.text_key] * 5 + [self.flag_key, self.date_key, self.other_key])()

    def keys(self, depth, count):
        made = [self.key(depth) for _ in range(count)]
        return b" ".join(d for d, _ in made), lambda u: all(f(u) for _, f in made)

    def make(self):
        return self.keys(0, self.rng.choice([1, 1, 1, 2, 3]))


class Finder(Session):
    """Commands are bytes in Latin-1."""
    saved = ()

    def send(self, *commands):
        tags = [self.wire.tag() for _ in commands]
        self.wire.send(b"".join(t + b" " + c.encode("latin-1") + b"\r\n" for t, c in zip(tags, commands)))
        return tags

    def select(self, name):
        super().select(name)
        self.saved = []


class Play:
    def __init__(self, instance, boxes, writer, finders, rng):
        self.instance, self.boxes, self.writer, self.finders, self.rng = instance, boxes, writer, finders, rng
        self.home = instance.maildir(USER)
        self.count = self.searches = self.damages = 0
        self.holding = None

    # --- mail that changes

    def append(self):
        name, flags = self.rng.choice(list(self.boxes)), self.rng.sample(["\\" + f for f in SYSTEM] + KEYWORDS, self.rng.randrange(3))
        box = self.boxes[name]
        arrived = datetime.datetime(2021, 6, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(minutes=self.rng.randrange(40 * 1440))
        zone = datetime.timezone(datetime.timedelta(minutes=self.rng.choice([0, 0, 60, -720, 345])))
        self.count += 1
        message = Message(self.rng, self.count)
        box.put(box.next, message, flags, arrived)
        text = f"APPEND {name} ({' '.join(flags)}) \"{arrived.astimezone(zone).strftime('%d-%b-%Y %H:%M:%S %z')}\" " \
               f"{{{message.size}+}}\r\n{message.data.decode('latin-1')}"
        reply, _ = self.writer.ask(text)
        assert f" {box.next - 1}]" in reply, reply

    def some(self):
        uids = sorted(self.writer.box.flags)
        picked = self.rng.sample(uids, min(len(uids), self.rng.randrange(1, 5)))
        return picked, ",".join(map(str, picked))

    def store(self):
        picked, text = self.some()
        flags, how = set(self.rng.sample(["\\" + f for f in SYSTEM] + KEYWORDS, 2)), self.rng.choice("+-")
        for u in picked:
            old = self.writer.box.flags[u]
            self.writer.box.flags[u] = old | flags if how == "+" else old - flags
        self.writer.ask(f"UID STORE {text} {how}FLAGS.SILENT ({' '.join(flags)})")

    def expunge(self):
        picked, text = self.some()
        for u in picked:
            self.writer.box.flags[u] = self.writer.box.flags[u] | {"\\deleted"}
        self.writer.ask(f"UID STORE {text} +FLAGS.SILENT (\\Deleted)")
        self.writer.ask(f"UID EXPUNGE {text}", going=picked)
        self.writer.box.remove(picked)

    def move(self):
        picked, text = self.some()
        picked.sort()
        here, name = self.writer.box, next(n for n in self.boxes if n != self.writer.name)
        there, verb = self.boxes[name], self.rng.choice(["COPY", "MOVE"])
        for u in picked:
            there.put(there.next, here.messages[u], here.flags[u], here.arrived[u])
        reply, _ = self.writer.ask(f"UID {verb} {text} {name}", going=picked)
        assert reply.startswith("OK"), reply
        if verb == "MOVE":
            here.remove(picked)

    def change(self):
        if len(self.writer.box.flags) < 5:
            return self.append()
        self.rng.choice([self.append, self.append, self.append, self.store, self.store, self.expunge, self.move])()
        if self.rng.random() < .1:
            self.writer.select(self.rng.choice(list(self.boxes)))
        return None

    # --- search.db

    def damage(self):
        """Something happens to search.db, its journal or its lock."""
        path, wal, shm = (self.home / f"search.db{end}" for end in ("", "-wal", "-shm"))
        rng = self.rng
        if self.holding is not None:
            os.close(self.holding)
            self.holding = None

        def overwrite(p):
            with open(p, "r+b") as f:
                size = os.fstat(f.fileno()).st_size
                for _ in range(rng.randrange(1, 20)):
                    f.seek(rng.randrange(max(1, size)))
                    f.write(rng.randbytes(min(100, max(1, size // 10))))

        def cut(p):
            os.truncate(p, rng.randrange(os.stat(p).st_size + 1))

        def old():
            """As it was before, with a journal that is not its own."""
            kept = self.instance.temp / "search.db.old"
            if kept.exists() and rng.random() < .7:
                fresh = self.home / "search.db.copy"
                shutil.copy(kept, fresh)
                self.instance.own(fresh)
                fresh.rename(path)
            else:
                shutil.copy(path, kept)

        def hold():
            self.holding = os.open(self.home / "search.db.lock", os.O_RDWR | os.O_CREAT, 0o600)
            self.instance.own(self.home / "search.db.lock")
            try:
                fcntl.flock(self.holding, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self.holding)
                self.holding = None

        def both():
            wal.unlink()
            shm.unlink()

        def all_of_it():
            for p in (wal, path, shm):
                p.unlink()
        things = [path.unlink, wal.unlink, shm.unlink, both, all_of_it, lambda: overwrite(path), lambda: overwrite(wal), lambda: cut(path),
                  lambda: cut(wal), old, old, hold]
        thing = rng.choice(things)
        try:
            thing()
            self.damages += 1
            self.note(f"damage {things.index(thing)}")
        except FileNotFoundError:
            pass

    def complete(self):
        """Waits until a new search.db knows all there is, if nobody keeps it from that."""
        if self.holding is None and INDEX == "always":
            (self.home / "search.db").unlink(missing_ok=True)
            self.writer.select(self.writer.name)
            wait_for(lambda: known(self.instance) >= len(self.writer.box.flags), "search.db")

    def note(self, text):
        for s in self.finders:
            s.log.append(text)

    # --- searches

    def search(self):
        rng, s = self.rng, self.rng.choice(self.finders)
        if rng.random() < .15:
            s.select(rng.choice(list(self.boxes)))
        settled = rng.random() < .7
        if settled:
            s.settle()
        uid = rng.random() < .6 or s.extension == "UIDONLY"
        several = settled and rng.random() < .15
        charset = rng.choice(CHARSETS[:1] * 6 + CHARSETS)
        program = Program(rng, s.box, None if several or s.extension == "UIDONLY" else list(s.view), None if several else s.saved, charset)
        if several:
            return self.several(s, program)
        data, fits = program.make()
        view = list(s.view)
        right = [u for u in view if u in s.box.flags and fits(u)]
        say = (lambda u: u) if uid else (lambda u: view.index(u) + 1)
        returns = rng.choice(["ALL", "ALL", "ALL COUNT", "MIN MAX COUNT", "PARTIAL", "SAVE ALL", ""])
        first, second = sorted((rng.randrange(1, 12), rng.randrange(1, 12)))
        sign = rng.choice(["", "-"])
        verb = "SEARCH"
        if returns == "PARTIAL":
            returns = f"PARTIAL {sign}{first}:{sign}{second}"
        if rng.random() < .2 and returns.startswith("ALL"):
            verb = rng.choice(["SORT", "SORT REVERSE"])
        lead = ("UID " if uid else "") + verb.split()[0] + (f" RETURN ({returns})" if returns else "")
        if verb != "SEARCH":
            lead += f" ({verb[5:]} SIZE) {charset.upper()} ".replace("( ", "(")
        else:
            lead += f" CHARSET {charset.upper()} "
        reply, lines = s.ask(lead + data.decode("latin-1"))
        s.check(reply.startswith("OK"), f"{lead}{data!r}: {reply}")
        self.searches += 1
        if verb != "SEARCH":
            right.sort(key=lambda u: (s.box.messages[u].size if verb == "SORT" else -s.box.messages[u].size, view.index(u)))
        return self.judge(s, returns, lines, [say(u) for u in right], [say(u) for u in view if u not in s.box.flags], (sign, first, second), right)

    def judge(self, s, returns, lines, right, gone, partial, uids):
        said = [line for line in lines if re.match(r"E?SEARCH", line)]
        s.check(len(said) == 1, f"one answer, not {said}")
        if gone:  # a message that is gone may be found by what is still known of it
            if returns.startswith(("MIN", "PARTIAL")):
                return None
        m = re.search(r" ALL (\S+)", said[0])
        numbers = uids_of(m[1]) if m else []
        if returns == "" and said[0].startswith("SEARCH"):
            numbers = [int(n) for n in re.sub(r"\(MODSEQ.*", "", said[0]).split()[1:]]
        if "ALL" in returns or returns == "":
            s.check([n for n in numbers if n not in gone] == right, f"wanted {right}, found {numbers}, gone are {gone}: {said}")
            if "COUNT" in returns:
                s.check(f" COUNT {len(numbers)}" in said[0], said[0])
            if "SAVE" in returns:
                s.saved = [u for u in uids]
        elif returns.startswith("MIN"):
            wanted = (f" MIN {right[0]} MAX {right[-1]}" if right else "") + f" COUNT {len(right)}"
            s.check(said[0].endswith(wanted) or f"{wanted} MODSEQ" in said[0], f"wanted {wanted}: {said}")
        else:
            sign, first, second = partial
            part = right[first - 1:second] if not sign else right[max(0, len(right) - second):max(0, len(right) - first + 1)]
            m = re.search(r"PARTIAL \((\S+) (\S+)\)", said[0])
            s.check(m is not None and (uids_of(m[2]) if m[2] != "NIL" else []) == part, f"wanted {part}: {said}")
        return None

    def several(self, s, program):
        """ESEARCH over both: each mailbox with its own answer.  The keys are made from one of them."""
        boxes, found = self.boxes, {}
        keys = Program(self.rng, Both(boxes), None, None, program.charset)
        data, fits = keys.make()
        reply, lines = s.ask(f"ESEARCH IN (mailboxes ({' '.join(boxes)})) RETURN (ALL) CHARSET {program.charset.upper()} " + data.decode("latin-1"))
        s.check(reply.startswith("OK"), f"{data!r}: {reply}")
        for line in lines:
            if m := re.match(r'ESEARCH .*MAILBOX "?(\w+)"? UIDVALIDITY \d+\) UID ALL (\S+)', line):
                found[m[1]] = uids_of(m[2])
        self.searches += 1
        for name, box in boxes.items():
            right = [u for u in sorted(box.flags) if fits((name, u))]
            s.check(found.get(name, []) == right, f"{name}: wanted {right}, found {found.get(name, [])}")

    def step(self):
        move = self.rng.random()
        if move < .25:
            self.change()
        elif move < .32:
            self.damage()
        elif move < .33:
            self.complete()
        else:
            self.search()


class Both:
    """Mailboxes as one whose UIDs are (name, UID)."""

    def __init__(self, boxes):
        self.flags = {(n, u): f for n, b in boxes.items() for u, f in b.flags.items()}
        self.messages = {(n, u): m for n, b in boxes.items() for u, m in b.messages.items() if u in b.flags}
        self.arrived = {(n, u): a for n, b in boxes.items() for u, a in b.arrived.items()}
        self.next = 1


@pytest.mark.once
def test_searches_find_what_they_should():
    rng = random.Random(SEED)
    with Instance(settings={"store.search_index": INDEX, "imapd.append_8bit_headers": "yes"}) as i:
        i.add_account(USER)
        boxes = {"One": Mail(), "Two": Mail()}
        with Wire(i.imaps, trusting()) as first:
            first.login(USER, i.accounts[USER])
            for name in boxes:
                first.ok(f"CREATE {name}")
        sessions = []
        for n, extension in enumerate(["CONDSTORE", "", "IMAP4rev2", "UIDONLY"]):
            s = Finder(n, Wire(i.imaps, trusting()).login(USER, i.accounts[USER]), boxes, extension)
            s.select("One")
            sessions.append(s)
        play = Play(i, boxes, sessions[0], sessions[1:], rng)
        for _ in range(30):
            play.append()
        play.complete()
        for _ in range(STEPS):
            play.step()
        for s in sessions:
            s.settle()
            s.wire.close()
        print(f"{play.searches} searches, {play.damages} damages")
