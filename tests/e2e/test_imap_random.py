"""Messages and sessions by chance, the same in Debian's Dovecot and in Sanger.

Some in each run, always the same; `ninja soak-imap` takes thousands.  IMAP_RANDOM_MESSAGES, IMAP_RANDOM_STEPS and
IMAP_RANDOM_SEED say how many, and which.  A difference is known by a word in the message's name, imap_random.py."""

import os
import random

import pytest

import imap_random
from dovecot import Dovecot
from imap_beside import Play, Side
from imap_wire import Wire, trusting
from sanger import Instance
from test_imap_compare import (BAD_TYPE, BEFORE_BOUNDARY, BLANK_LINE, ENCODING, FLEXIBLE, FROM_TEXT, HEADER_END, LONG_BOUNDARY, MESSAGE_ID, NUL,
                               SPACES, Known, Pair, by_message, compare_whole, fetch_sections, found_by, is_message, lay_out, quoted, threads)

pytestmark = pytest.mark.once
USER, OTHER = "ann@example.org", "bob@example.org"
MESSAGES = int(os.environ.get("IMAP_RANDOM_MESSAGES", "80"))
STEPS = int(os.environ.get("IMAP_RANDOM_STEPS", "100"))
SEED = int(os.environ.get("IMAP_RANDOM_SEED", "6"))
AT_ONCE = 1000  # messages of one mailbox

DUPLICATE = "Dovecot searches a part by its last Content-Type, and shows the first"
ANY_WAY = "no rule says how it is read"
NO_MIME = "Content- fields are read without MIME-Version and Content-Type too"
PLAIN_PIECE = "RFC 2231 4.1: a blank or percent sign of a plain piece is percent-encoded in a value that is"
IN_MESSAGE = "BINARY.SIZE of Dovecot 2.3 goes wrong within an inner message"
OBSOLETE = "obsolete syntax of RFC 5322 4.4 is read"
DATE = "RFC 9051 6.4.4: the date as it is written, if it can be read"
ADDRESS_WORDS = {word for _, word in imap_random.BROKEN_MAILBOXES} | {"empty-members"}
SHAPES = ("ENVELOPE", "BODY", "BODYSTRUCTURE")
WORD_WORDS = {word for _, word in imap_random.BROKEN_WORDS}


def rows(words, items, reason):
    return [(f"* {word} *", item, reason) for word in words.split() for item in items]


DIFFERENCES = [
    *rows("inner-end no-end no-line-end boundary-like boundary-line multipart-encoded body", ["B*"], BEFORE_BOUNDARY),
    *rows("digest-text header-cut fold-start from-line no-colon", ["BODY[[]*"], HEADER_END),
    *rows("header-cut mutated mixed-lines", ["BODY[[]HEADER.FIELDS*"], BLANK_LINE),
    *rows("boundary-odd type-no-boundary", ["B*"], LONG_BOUNDARY), *rows("type type-blanks fold-start", ["BODY*", "TEXT *"], BAD_TYPE),
    *rows("parameter-plain", ["BODY*"], PLAIN_PIECE), *rows("parameter part-field twice", ["BODY", "BODYSTRUCTURE"], ANY_WAY),
    *rows("no-version", ["BODY", "BODYSTRUCTURE"], NO_MIME), *rows("in-message", ["BINARY.SIZE*"], IN_MESSAGE),
    *rows("id-blanks id id-folded", SHAPES, MESSAGE_ID), *rows("obsolete-blanks quoted-atom", SHAPES, OBSOLETE),
    *rows("bracket comment-unclosed quote-unclosed date", SHAPES, ANY_WAY), *rows("nul bare-cr", [*SHAPES, "TEXT *"], NUL),
    *rows(" ".join(sorted(ADDRESS_WORDS | WORD_WORDS)), ["FROM *", "TO *", "CC *", "HEADER*"], FROM_TEXT),
    *rows("encoding fold-start", ["TEXT *", "BODY *"], ENCODING), *rows("parameter body-base64 raw-8bit", ["TEXT *", "BODY *"], FLEXIBLE),
    *rows("twice", ["TEXT *", "BODY *"], DUPLICATE),
    *rows("tab blanks", ["SUBJECT *", "HEADER*"], SPACES),
    *rows("word " + " ".join(sorted(WORD_WORDS)), ["TEXT *", "SUBJECT *", "HEADER*", "BODY *"], FLEXIBLE),
    *rows("date twice", ["SENT*"], DATE), *rows("mutated", ["*"], ANY_WAY),
]
FIELDS = [("Subject", "alpha"), ("X-Folded", "one two"), ("X-Folded", "two"), ("Message-ID", "t1"), ("X-None", ""), ("x-a", ""), ("Received", "10:00"),
          ("Content-Type", "multipart"), ("Content-Type", "name"), ("Date", "20"), ("MIME-Version", "1.0"), ("Content-Disposition", "attachment"),
          ("Content-Language", "en"), ("List-Id", "l.example")]


@pytest.fixture(scope="module")
def servers():
    with Instance() as i, Dovecot(separator="/") as dovecot:
        for user in (USER, OTHER):
            i.add_account(user)
        yield i, dovecot


def compare_fetch(pair, well_formed):
    """All that can be asked of the messages; BINARY of broken ones ends a Dovecot's connection."""
    numbers = compare_whole(pair)
    commands = []
    for seq, have in numbers.items():
        whole, partial = fetch_sections(seq, have)
        commands.append(whole)
        if " mutated " in pair.names[seq - 1]:  # a CR at an odd place ends a Dovecot's connection
            assert pair.sanger.ask(partial)[-1].startswith(b"OK")
        else:
            commands.append(partial)
    pair.fetch(commands)
    leaves = [(seq, n) for seq, have in numbers.items() for n, part in have[:24] if not isinstance(part[0], list) and not is_message(part)]
    ask = ["FETCH {0} (BINARY.SIZE[{1}] BINARY.PEEK[{1}] BINARY.PEEK[{1}]<2.5>)".format(*leaf) for leaf in leaves]
    if well_formed:
        pair.fetch(ask)
    for items in by_message(pair.sanger.ask_all(ask)).values():
        for item, size in items.items():
            if item.startswith("BINARY.SIZE"):
                assert int(size) == len(items[item.replace(".SIZE", "")] if items[item.replace(".SIZE", "")] != "NIL" else b""), items


def programs():
    for word in [*imap_random.WORDS[:12], "=?utf-8", "ann@example.org", "Last", "alpha beta", "example.org", "b@example.org"]:
        for key in ("TEXT", "BODY", "SUBJECT", "FROM", "TO", "CC"):
            yield f"{key} {word}", key.encode() + b" " + quoted(word)
    for name, word in FIELDS:
        yield f"HEADER {name} {word}", b"HEADER " + quoted(name) + b" " + quoted(word)
    for year in (1990, 1999, 2005, 2015, 2030):
        for key in ("SENTBEFORE", "SENTON", "SENTSINCE"):
            yield f"{key} {year}", f"{key} 5-Jun-{year}".encode()
    yield "SENTON 1970", b"SENTON 1-Jan-1970"


def compare_search(pair):
    """Messages without a date that can be read are of 1970 to Dovecot, and of no time here."""
    named = list(programs())
    ours, theirs = (found_by(wire, [p for _, p in named]) for wire in (pair.sanger, pair.dovecot))
    undated = theirs[-1] - ours[-1]
    for (label, _), a, b in zip(named, ours, theirs):
        for seq in a ^ b:
            if seq not in undated or not label.startswith("SENT"):
                pair.known.meet(pair.names[seq - 1], label, seq in a, seq in b)


def compare_order(pair):
    """SORT and THREAD of well-formed mail."""
    for key in ("DATE", "SUBJECT", "FROM", "TO", "CC", "DISPLAYFROM", "DISPLAYTO", "ARRIVAL", "SIZE"):
        ours, theirs = (wire.ok(f"SORT ({key}) UTF-8 ALL") for wire in (pair.sanger, pair.dovecot))
        assert [n.split() for n in ours] == [n.split() for n in theirs], key
    for way in ("REFERENCES", "ORDEREDSUBJECT", "REFS"):
        ours, theirs = (threads(wire.ok(f"THREAD {way} UTF-8 ALL")[0], pair.names, ()) for wire in (pair.sanger, pair.dovecot))
        assert ours == theirs, way


@pytest.mark.parametrize("well_formed", [True, False])
def test_messages(servers, well_formed):
    i, dovecot = servers
    known = Known(DIFFERENCES)
    for start in range(0, MESSAGES, AT_ONCE):
        box = f"Box{start}{well_formed}"
        found = list(imap_random.messages(f"{SEED}.{start}", min(AT_ONCE, MESSAGES - start), not well_formed))
        lay_out(i, dovecot, found, box)
        wires = Wire(i.imaps, trusting()).login(USER, i.accounts[USER]), Wire(dovecot.imaps, trusting()).login(USER, dovecot.password)
        pair = Pair(*wires, [name for name, _, _ in found])
        pair.known = known
        pair.ok(f"EXAMINE {box}")
        compare_fetch(pair, well_formed)
        compare_search(pair)
        if well_formed:
            compare_order(pair)
        for wire in wires:
            wire.close()
    known.check(complete=False)


def test_sessions(servers):
    i, dovecot = servers
    play = Play([Side(i.imaps, OTHER, i.accounts[OTHER]), Side(dovecot.imaps, OTHER, dovecot.password)], random.Random(SEED))
    play.prepare()
    for _ in range(STEPS):
        play.step()
    play.end()
    for side in play.sides:
        side.close()
