"""Three sessions at random, the same in Dovecot and in Sanger: each answer must mean the same, and the mail be the same at the end.

Commands run one after another, and a session names messages by UID, for servers may tell of changes at different times; by
number it does so right behind a NOOP."""

import re

from imap_wire import Wire, fetch_items, trusting
from test_imap_compare import listing

SELECTED = ["INBOX", "one", "two/three"]  # nobody deletes or renames these
OTHERS = ["a", "a/b", "a/b/c", "b", "b/x", "A", "c d", "&AMQ-", "e/f"]
FLAGS = ["\\Seen", "\\Flagged", "\\Answered", "\\Draft", "\\Deleted", "work", "$Later", "Mixed"]
KEYS = ["ALL", "SEEN", "UNSEEN", "DELETED", "UNDELETED", "FLAGGED", "KEYWORD work", "UNKEYWORD $Later", "OR SEEN FLAGGED", "NOT ANSWERED",
        "DRAFT KEYWORD mixed", "SUBJECT 1", "LARGER 60", "NOT SUBJECT 2 UNSEEN", "UID 1:5", "UID 3,7:*", "BODY text", "NOT UID 1:1000"]
STATUS = "(MESSAGES UIDNEXT UNSEEN)"
# where the two may differ: the command's beginning, the beginning of our tagged answer and of theirs, and why
DIFFERENCES = [
    ("UID COPY", b"NO [TRYCREATE]", b"OK", "RFC 9051 6.4.7: no such mailbox; Dovecot does not look where there is nothing to copy"),
    ("UID MOVE", b"NO [TRYCREATE]", b"OK", "likewise"),
]


class Side:
    """One server with its sessions."""

    def __init__(self, port, user, password):
        self.wires = [Wire(port, trusting()).login(user, password) for _ in range(3)]

    def close(self):
        for wire in self.wires:
            wire.close()


def flags_told(responses, uids):
    """{UID: flags} of the FETCH responses for these."""
    found = {}
    for line in responses[:-1]:
        have = fetch_items(line)
        if have is not None and "UID" in have[1] and "FLAGS" in have[1] and int(have[1]["UID"]) in uids:
            found[int(have[1]["UID"])] = {f.lower() for f in have[1]["FLAGS"]} - {"\\recent"}
    return found


def copied(responses):
    """The sets of COPYUID or APPENDUID, without UIDVALIDITY."""
    m = re.search(rb"\[(?:COPYUID \d+ (\S+)|APPENDUID \d+) (\S+)\]", b"\n".join(responses))
    return m and tuple(numbers(part) for part in m.groups())


def numbers(text):
    if text is None:
        return None
    ranges = [r.partition(b":") for r in text.split(b",")]
    return [n for a, _, b in ranges for n in range(int(a), int(b or a) + 1)]


def searched(responses):
    return next({int(n) for n in line.split()[2:]} for line in responses if line.startswith(b"* SEARCH"))


def trees(command, responses):
    """What LIST says, without \\Marked, which only Dovecot says (RFC 9051 7.3.1 leaves that), and without \\Noselect: Dovecot's
    index of mailboxes does not always know it of one that was deleted and has children.  STATUS tells whether they are there."""
    passed_over = {"\\marked", "\\unmarked", "\\noselect", "\\nonexistent"}
    return {key: (what[0] - passed_over, *what[1:]) if isinstance(what, tuple) else what for key, what in listing(command, responses).items()}


class Play:
    """Random moves; what a command says is compared by the function beside it."""

    def __init__(self, sides, rng):
        self.sides, self.rng, self.log, self.met = sides, rng, [], set()
        self.at = [None] * 3  # what each session has selected
        self.last = dict.fromkeys(SELECTED, 0)  # the highest UID

    def both(self, n, command):
        self.log.append(f"{n}: {command:.200}")
        answers = [side.wires[n].ask(command) for side in self.sides]
        ours, theirs = (a[-1] for a in answers)
        self.log[-1] += f" -> {ours.decode():.30} | {theirs.decode():.30}"
        known = [row for row in DIFFERENCES if command.startswith(row[0]) and ours.startswith(row[1]) and theirs.startswith(row[2])]
        if not known:
            self.same(ours.split()[0], theirs.split()[0], answers)
        self.met.update(known)
        return answers

    def same(self, a, b, answers):
        assert a == b, f"Sanger {a}\nDovecot {b}\nanswers {str(answers)[:3000]}\n" + "\n".join(self.log[-40:])

    def agree(self, n, command, meaning):
        """Runs a command; `meaning` of its responses must be the same."""
        answers = self.both(n, command)
        ours, theirs = (meaning(a) for a in answers)
        self.same(ours, theirs, answers)
        return ours

    def uids(self, n):
        top = self.last[self.at[n]]
        if top == 0:
            return "1", {1}
        if self.rng.random() < .3:
            a, b = sorted(self.rng.randrange(1, top + 1) for _ in range(2))
            return f"{a}:{b}", set(range(a, b + 1))
        found = {self.rng.randrange(1, top + 1) for _ in range(self.rng.randrange(1, 4))}
        return ",".join(map(str, found)), found

    def flags(self):
        return "(" + " ".join(self.rng.sample(FLAGS, self.rng.randrange(3))) + ")"

    def grew(self, name, copies):
        if copies and name in self.last:
            self.last[name] = max([self.last[name], *copies[-1]])

    # --- moves

    def append(self, n):
        name = self.rng.choice(SELECTED * 4 + OTHERS)
        data = f"Subject: {self.rng.randrange(100)}\r\n\r\ntext {'x' * self.rng.randrange(50)}\r\n"
        one = f" {self.flags()} {{{len(data)}+}}\r\n{data}"
        self.grew(name, self.agree(n, f'APPEND "{name}"' + one * self.rng.choice([1, 1, 3]), copied))

    def store(self, n):
        text, uids = self.uids(n)
        how = self.rng.choice(["", "+", "-"])
        silent = self.rng.choice(["", "", ".SILENT"])
        flags = self.flags()
        if silent:
            self.both(n, f"UID STORE {text} {how}FLAGS{silent} {flags}")
            return
        self.both(n, "NOOP")
        self.agree(n, f"UID STORE {text} {how}FLAGS {flags}", lambda r: flags_told(r, uids).keys() <= uids)

    def fetch(self, n):
        text, uids = self.uids(n)
        self.both(n, "NOOP")
        items = self.rng.choice(["(FLAGS)", "(FLAGS)", "(FLAGS BODY[])", "(FLAGS BODY.PEEK[TEXT])"])
        self.both(n, f"UID FETCH {text} {items}")
        self.agree(n, f"UID FETCH {text} (FLAGS RFC822.SIZE)", lambda r: flags_told(r, uids))

    def number(self, n):
        """By number, where both have just told all."""
        self.both(n, "NOOP")
        command = self.rng.choice(["FETCH 1:* (UID FLAGS)", "FETCH 1,* (UID FLAGS)", "STORE 1 +FLAGS (work)", "STORE * -FLAGS (\\Seen)", "FETCH 1:3 (UID FLAGS)"])
        if "1:*" in command:
            self.agree(n, command, lambda r: flags_told(r, set(range(1, 10000))))
        else:
            self.both(n, command)

    def search(self, n):
        self.both(n, "NOOP")
        self.agree(n, "UID SEARCH " + self.rng.choice(KEYS), searched)

    def copy(self, n):
        name = self.rng.choice(SELECTED * 3 + OTHERS)
        if self.rng.random() < .5:
            self.both(n, "NOOP")
            verb = self.rng.choice(["COPY", "MOVE"])
            self.grew(name, self.agree(n, f'UID {verb} {self.uids(n)[0]} "{name}"', copied))

    def expunge(self, n):
        self.both(n, "NOOP")
        self.both(n, self.rng.choice(["EXPUNGE", f"UID EXPUNGE {self.uids(n)[0]}"]))

    def select(self, n):
        if self.at[n] is not None:
            self.both(n, "NOOP")
            self.both(n, self.rng.choice(["CLOSE", "UNSELECT", "NOOP"]))
        self.at[n] = self.rng.choice(SELECTED)
        self.agree(n, f'SELECT "{self.at[n]}"', lambda r: {m[1] for line in r if (m := re.match(rb"\* (\d+ EXISTS|OK \[UIDNEXT \d+\])", line))})

    def mailbox(self, n):
        name = self.rng.choice(OTHERS)
        self.both(n, self.rng.choice([f'CREATE "{name}"', f'CREATE "{name}"', f'DELETE "{name}"', f'UNSUBSCRIBE "{name}"']))

    def rename(self, n):
        """Not of a name that exists only as a parent, to a mailbox that is there, and not where what is below both would meet:
        Dovecot says OK, and RFC 9051 6.3.6 has an error."""
        name, other = self.rng.choice(OTHERS), self.rng.choice(OTHERS)
        below = [self.sides[0].wires[n].ok(f'LIST "" "{parent}/*"') for parent in (name, other)]
        if (self.is_there(n, name) or not self.is_there(n, other)) and not all(below):
            self.both(n, f'RENAME "{name}" "{other}"')

    def is_there(self, n, name):
        return self.both(n, f'STATUS "{name}" (UIDNEXT)')[0][-1].startswith(b"OK")

    def subscribe(self, n):
        name = self.rng.choice(SELECTED)
        self.both(n, self.rng.choice([f'SUBSCRIBE "{name}"', f'UNSUBSCRIBE "{name}"']))

    def lists(self, n):
        command = self.rng.choice(['LIST "" *', 'LIST "" %', 'LIST "" a*', 'LIST "" "a/%"', 'LIST "" "%/%"', 'LIST (SUBSCRIBED) "" *', 'LIST "" * RETURN (SUBSCRIBED)',
                                   'LSUB "" *', f'LIST "" * RETURN (STATUS {STATUS})'])
        self.both(n, "NOOP")
        self.agree(n, command, lambda r: trees(command, r))

    def status(self, n):
        self.both(n, "NOOP")
        command = f'STATUS "{self.rng.choice(SELECTED + OTHERS)}" {STATUS}'
        self.agree(n, command, lambda r: listing(command, r))

    MOVES = [("append", 6), ("store", 8), ("fetch", 6), ("number", 3), ("search", 4), ("copy", 5), ("expunge", 3), ("select", 2), ("mailbox", 6), ("rename", 2), ("subscribe", 1),
             ("lists", 3), ("status", 3)]

    def step(self):
        names, weights = zip(*self.MOVES)
        move = self.rng.choices(names, weights)[0]
        # Dovecot's index of mailboxes may be late to tell a session what another has made or deleted
        getattr(self, move)(0 if move in ("mailbox", "rename", "lists", "subscribe") else self.rng.randrange(3))

    def end(self):
        """All mailboxes with all their messages."""
        found = self.agree(0, 'LIST "" *', lambda r: trees('LIST "" *', r))
        self.both(0, "UNSELECT")
        for _, name in found:
            if self.is_there(0, name.decode()):
                self.both(0, f'EXAMINE "{name.decode()}"')
                self.agree(0, "UID FETCH 1:* (FLAGS RFC822.SIZE BODY.PEEK[])", lambda r: [
                    (items["UID"], {f.lower() for f in items["FLAGS"]} - {"\\recent"}, items["RFC822.SIZE"], items["BODY[]"])
                    for _, items in filter(None, map(fetch_items, r[:-1]))])

    def prepare(self):
        """Only INBOX and SELECTED are there, and each session has one of them selected."""
        for side in self.sides:
            for name in ("Archive", "Drafts", "Junk", "Sent", "Trash", "INBOX"):
                side.wires[0].ask(f"UNSUBSCRIBE {name}")
                side.wires[0].ask(f"DELETE {name}")
        for name in SELECTED[1:]:
            self.both(0, f'CREATE "{name}"')
        for n in range(3):
            self.select(n)
