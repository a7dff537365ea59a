"""NOTIFY (RFC 5465) with several sessions and foreign programs in the mail tree, side by side with Dovecot's, and
UNAUTHENTICATE (RFC 8437) where a dialogue cannot show it.  Nothing here sleeps: every line is waited for."""

import os
import re
import shutil

import pytest

from dovecot import Dovecot
from imap_wire import Wire
from sanger import Instance
from test_imap_compress import Compressed

PASSWORD = "secret-Pw1"
MESSAGE = b"Subject: chad\r\n\r\nswim\r\n"
ALL = "(MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange)"


def session(instance, user):
    wire = Wire(instance.imaps, instance.tls())
    wire.ok(f"LOGIN {user} {PASSWORD}")
    return wire


def account(instance, name):
    address = f"{name}.notify@example.org"
    instance.add_account(address, PASSWORD)
    return address


def append(wire, mailbox, message=MESSAGE):
    wire.ok(b"APPEND %s {%d+}\r\n%s" % (mailbox.encode(), len(message), message))


def heard(wire, pattern):
    """The first unasked response that fits, and all that come before it."""
    found = []
    while True:
        response = wire.response()
        assert response, f"closed; before that: {found}"
        found.append(response)
        if re.match(pattern.encode(), response, re.DOTALL):
            return found


def make_folder(instance, path):
    for sub in ("tmp", "new", "cur"):
        (path / sub).mkdir(parents=True)
    for p in (path, *path.iterdir()):
        instance.own(p)


def put(instance, folder, name, data=b"Subject: x\n\nbody\n"):
    """As any Maildir program delivers."""
    (folder / "tmp" / name).write_bytes(data)
    instance.own(folder / "tmp" / name)
    os.rename(folder / "tmp" / name, folder / "new" / name)


def test_foreign_programs(shared_instance):
    ann = account(shared_instance, "foreign")
    box = shared_instance.maildir(ann, "Work")
    with session(shared_instance, ann) as wire:
        wire.ok("CREATE Work")
        wire.ok(f"NOTIFY SET (selected NONE) (personal {ALL})")
        put(shared_instance, box, "1.M1.host")
        heard(wire, r"\* STATUS Work \(MESSAGES 1 UIDNEXT 2 .*UNSEEN 1")
        wire.ok("STATUS Work (MESSAGES)")
        message, = [p for p in box.glob("*/1.M1.host*")]
        seen = box / "cur" / (message.name.split(":2,")[0] + ":2,S")
        os.rename(message, seen)
        heard(wire, r"\* STATUS Work \(.*UNSEEN 0")
        message, = [p for p in box.glob("*/1.M1.host*")]
        message.unlink()
        heard(wire, r"\* STATUS Work \(MESSAGES 0 UIDNEXT 2 ")
        # folders
        made = shared_instance.maildir(ann, "Made")
        make_folder(shared_instance, made.with_name("making"))
        os.rename(made.with_name("making"), made)
        heard(wire, r'\* LIST \(\\HasNoChildren\) "/" Made$')
        put(shared_instance, made, "2.M1.host")
        heard(wire, r"\* STATUS Made \(MESSAGES 1 ")
        os.rename(made, made.with_name(".Moved"))
        heard(wire, r'\* LIST \(\\HasNoChildren\) "/" Moved \("OLDNAME" \(Made\)\)$')
        put(shared_instance, made.with_name(".Moved"), "3.M1.host")
        heard(wire, r"\* STATUS Moved \(MESSAGES 2 ")
        os.rename(made.with_name(".Moved"), made.with_name("gone"))
        shutil.rmtree(made.with_name("gone"))
        heard(wire, r'\* LIST \(\\NonExistent\) "/" Moved$')
        # the list of subscriptions, written in place
        with open(shared_instance.maildir(ann) / "subscriptions", "a", encoding="ascii") as f:
            f.write("Work\n")
        heard(wire, r'\* LIST \(\\HasNoChildren \\Subscribed\) "/" Work$')


def test_deliveries_and_a_slow_client(shared_instance):
    """Many messages become few responses, and big FETCH responses wait for the client without mixing with others."""
    ann = account(shared_instance, "burst")
    box = shared_instance.maildir(ann, "Work")
    with session(shared_instance, ann) as wire, session(shared_instance, ann) as other:
        wire.ok("CREATE Work")
        wire.ok("SELECT INBOX")
        wire.ok("NOTIFY SET (selected (MessageNew (UID BODY.PEEK[]) MessageExpunge)) "
                "(mailboxes Work (MessageNew MessageExpunge))")
        for i in range(100):
            put(shared_instance, box, f"{i}.M1.host")
        found = heard(wire, r"\* STATUS Work \(MESSAGES 100 ")
        assert all(f.startswith(b"* STATUS Work ") for f in found)
        big = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 20000
        for i in range(20):
            append(other, "INBOX", big + b"%d\r\n" % i)
        wire.send(b"n1 NOOP\r\n")  # nothing of it has been read so far
        found = wire.until(b"n1")
        while sum(b" FETCH (" in f for f in found) < 20:
            found.append(wire.response())
        fetched = [f for f in found if b" FETCH (" in f]
        assert [int(re.search(rb"UID (\d+)", f)[1]) for f in fetched] == list(range(1, 21))
        assert all(b"%d\r\n)" % i in f for i, f in enumerate(fetched))
        assert found[-1].startswith(b"* 20 FETCH") or found[-1] == b"OK NOOP done"
        other.ok("SELECT INBOX")
        other.ok("STORE 1:20 +FLAGS.SILENT (\\Deleted)")
        other.ok("EXPUNGE")
        assert sum(f.endswith(b" EXPUNGE") for f in heard(wire, r"\* 1 EXPUNGE")) == 20


def test_too_much_at_once(shared_instance):
    """More than a client is told of in one go: then NOTIFY is off."""
    ann = account(shared_instance, "much")
    root = shared_instance.maildir(ann)
    with session(shared_instance, ann) as wire, session(shared_instance, ann) as other:
        other.ok("SELECT INBOX")
        wire.ok("SELECT INBOX")
        wire.ok("NOTIFY SET (selected (MessageNew MessageExpunge)) (personal (SubscriptionChange))")
        (root / "new-subscriptions").write_text("".join(f"n{i}\n" for i in range(1001)))
        shared_instance.own(root / "new-subscriptions")
        os.rename(root / "new-subscriptions", root / "subscriptions")
        assert wire.response().startswith(b"* OK [NOTIFICATIONOVERFLOW] ")
        append(other, "INBOX")
        assert wire.ok("NOOP") == []
        wire.ok("NOTIFY SET (selected (MessageNew MessageExpunge)) (personal (SubscriptionChange))")
        append(other, "INBOX")
        heard(wire, r"\* 2 EXISTS")


@pytest.mark.once
def test_many_changes_of_rights(shared_instance):
    """The tree is not read again for each, but what it is in the end is told, in IDLE and without."""
    ann, guest = account(shared_instance, "owner"), account(shared_instance, "guest")
    with session(shared_instance, ann) as owner, session(shared_instance, guest) as wire:
        for n in range(6, 9):
            owner.ok(f"CREATE box{n}")
            owner.ok(f"SETACL box{n} {guest} lr")
        wire.ok('NOTIFY SET (subtree "Other Users" (MailboxName MessageNew MessageExpunge))')
        for idle in (False, True):
            if idle:
                wire.send(b"i IDLE\r\n")
                heard(wire, r"\+ ")
            changes = [f"SETACL box7 {guest} {rights}" for rights in ("lr", "lrs", "lri") * 10]
            assert all(f[-1].startswith(b"OK") for f in owner.ask_all([*changes, f"DELETEACL box7 {guest}"]))
            heard(wire, r'\* LIST \(\\NonExistent\) "/" "Other Users/owner\.notify/box7"')
            owner.ok(f"SETACL box7 {guest} lr")
            heard(wire, r'\* LIST \(\\HasNoChildren\) "/" "Other Users/owner\.notify/box7"')
        wire.send(b"DONE\r\n")
        assert wire.until(b"i")[-1].startswith(b"OK")


@pytest.mark.once
def test_too_many_mailboxes(shared_instance):
    ann = account(shared_instance, "many")
    root = shared_instance.maildir(ann)
    with session(shared_instance, ann) as wire:
        for i in range(1001):
            make_folder(shared_instance, root / f".n{i}")
        found = wire.ask("NOTIFY SET (personal (MessageNew MessageExpunge))")
        assert found[-1].startswith(b"NO [NOTIFICATIONOVERFLOW] "), found
        # one subtree is not too much
        wire.ok("NOTIFY SET (subtree (n1 n2) (MessageNew MessageExpunge MailboxName))")
        put(shared_instance, root / ".n2", "1.M1.host")
        heard(wire, r"\* STATUS n2 \(MESSAGES 1 ")


@pytest.mark.once
def test_as_dovecot(shared_instance):
    """What differs: Dovecot's STATUS of a flag change has no UIDVALIDITY, and comes without CONDSTORE too; names of
    mailboxes and the selected mailbox it looks at only now and then, so they are no part of this."""
    ann = account(shared_instance, "dovecot")
    with Dovecot(separator="/") as dovecot:
        for box in ("misc", "Lists/A"):
            with session(shared_instance, ann) as a:
                a.ok(f"CREATE {box}")
            dovecot.connect(ann).create(box)
        context = shared_instance.tls()
        context.load_verify_locations(str(dovecot.cert))

        def both():
            theirs = Wire(dovecot.imaps, context)
            theirs.ok(f"LOGIN {ann} {dovecot.password}")
            return session(shared_instance, ann), theirs

        def status(responses):
            """{mailbox: {item: value}}, of those items whose values are the same everywhere."""
            found = {}
            for r in responses:
                if m := re.fullmatch(rb"\* STATUS (\S+) \((.*)\)", r):
                    words = m[2].decode().split()
                    found[m[1].decode()] = dict(zip(words[::2], words[1::2]))
            return {box: {k: v for k, v in items.items() if k not in ("UIDVALIDITY", "HIGHESTMODSEQ")}
                    for box, items in found.items()}

        listening, acting = both(), both()
        first = [status(w.ok("NOTIFY SET STATUS (subtree Lists (MessageNew MessageExpunge)) "
                             "(mailboxes misc (MessageNew MessageExpunge FlagChange))"))
                 for w in listening]
        assert first[0] == first[1]

        def same(pattern, act):
            for w in acting:
                act(w)
            ours, theirs = (status(heard(w, pattern)[-1:]) for w in listening)
            assert ours == theirs

        def seen(w):
            w.ok("SELECT misc")
            w.ok("STORE 1 +FLAGS (\\Seen)")

        def expunge(w):
            w.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
            w.ok("EXPUNGE")

        same(r"\* STATUS misc \(MESSAGES 1 ", lambda w: append(w, "misc"))
        same(r"\* STATUS Lists/A \(MESSAGES 1 ", lambda w: append(w, "Lists/A"))
        same(r"\* STATUS misc \(.*UNSEEN 0", seen)
        same(r"\* STATUS misc \(MESSAGES 0 ", expunge)
        # what is refused, and how
        for command in ("NOTIFY", "NOTIFY SET (personal ())", "NOTIFY SET (selected NONE) (selected-delayed NONE)",
                        "NOTIFY SET (personal (MessageNew (UID) MessageExpunge))", "NOTIFY SET (nowhere (MailboxName))",
                        "NOTIFY SET (personal (MessageNew MessageExpunge AnnotationChange))"):
            words = [w.ask(command)[-1].split()[0] for w in listening]
            assert words[0] == words[1], f"{command}: {words}"
        for w in (*listening, *acting):
            w.close()


def test_unauthenticate_ends_compression(shared_instance):
    ann, bob = account(shared_instance, "unpack"), account(shared_instance, "unpack2")
    c = Compressed(shared_instance, ann).start()
    c.command("SELECT INBOX")
    c.send(b"u1 UNAUTHENTICATE\r\n")
    assert c.line() == b"u1 OK Log in again\r\n"
    c.pack = c.unpack = None  # both sides, RFC 8437 §4.1
    c.command(f"LOGIN {bob} {PASSWORD}")
    c.start().command("SELECT INBOX")
    c.sock.close()


@pytest.mark.once
def test_unauthenticate_can_be_switched_off():
    with Instance(settings={"imapd.unauthenticate": "no"}) as i:
        ann = account(i, "off")
        with session(i, ann) as wire:
            assert b"UNAUTHENTICATE" not in b" ".join(wire.ok("CAPABILITY"))
            assert wire.ask("UNAUTHENTICATE")[-1].startswith(b"BAD ")
            wire.ok("SELECT INBOX")
