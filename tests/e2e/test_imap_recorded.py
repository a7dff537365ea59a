"""What real clients were heard to say to imapd (doc/clients.md), said again: shortened, in their order and spelling."""

import base64
import re

import pytest

from imap_wire import Wire, trusting
from sanger import make_message

pytestmark = pytest.mark.once


def account(i, name, count):
    address = i.add_account(f"{name}@example.org")
    with Wire(i.imaps, trusting()) as wire:
        wire.login(address, i.accounts[address])
        for n in range(count):
            assert wire.append("INBOX", bytes(make_message(address, subject=f"number {n}"))).startswith(b"OK")
    return address


def synchronised(wire, command, literal):
    """A command that ends in a literal which waits to be asked for; its responses."""
    tag = wire.tag()
    wire.send(tag + b" %s {%d}\r\n" % (command.encode(), len(literal)))
    assert wire.response().startswith(b"+")
    wire.send(literal + b"\r\n")
    found = wire.until(tag)
    assert found[-1].startswith(b"OK"), found[-1]
    return found[:-1]


def idle_until(wire, pattern, change):
    """IDLE, then `change()`, until a line fits; DONE."""
    tag = wire.tag()
    wire.send(tag + b" IDLE\r\n")
    assert wire.response().startswith(b"+")
    change()
    while not re.match(pattern, wire.response()):
        pass
    wire.send(b"DONE\r\n")
    assert wire.until(tag)[-1].startswith(b"OK")


THUNDERBIRD_HEADERS = ("From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To "
                       "Received")


def test_thunderbird(shared_instance):
    """Thunderbird 153.7.0esr: first sync, flags, tags, Trash, folders, Sent, search, IDLE."""
    i = shared_instance
    address = account(i, "bird", 6)
    with Wire(i.imaps, trusting()) as wire:
        wire.send(b"4 authenticate PLAIN\r\n")
        assert wire.response().startswith(b"+")
        wire.send(base64.b64encode(f"\0{address}\0{i.accounts[address]}".encode()) + b"\r\n")
        assert wire.until(b"4")[-1].startswith(b"OK [CAPABILITY ")  # so it does not ask
        wire.ok("namespace")
        wire.compress()
        assert wire.ok('ID ("name" "Thunderbird" "version" "153.7.0")')[0].startswith(b"* ID (")
        wire.ok("ENABLE UTF8=ACCEPT")
        assert any(b"\\Trash" in line for line in wire.ok('list (subscribed) "" "*" return (special-use)'))
        wire.ok('list (subscribed) "" "Other Users/*" return (special-use)')
        wire.ok('list "" "INBOX"')
        assert wire.ok('myrights "Trash"')[0].startswith(b'* MYRIGHTS "Trash" lrswi')
        for command in ('select "INBOX"', 'myrights "INBOX"', 'getacl "INBOX"', 'getquotaroot "INBOX"'):
            wire.ok(command)
        assert len(wire.ok("UID fetch 1:* (FLAGS)")) == 6
        found = wire.ok(f"UID fetch 1:6 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS ({THUNDERBIRD_HEADERS})])")
        assert len(found) == 6 and b"Subject: number 0" in found[0]
        assert len(wire.ok("UID fetch 1:6 (UID RFC822.SIZE BODY.PEEK[])")) == 6
        for command in ("uid store 1:3 +Flags (\\Seen)", "uid store 4:5 +FLAGS ($label1)", "uid store 4 +FLAGS (privat)",
                        "uid store 5 -FLAGS ($label1)", "uid store 6 +Flags ($Forwarded)"):
            wire.ok(command)
        assert any(b"COPYUID" in line for line in wire.ok('uid move 1:2 "Trash"'))
        wire.ok('uid copy 3 "Archive"')
        for command in ('create "Neu & ältere"', 'subscribe "Neu & ältere"', 'list "" "Neu & ältere"', 'create "Neu & ältere/日本"',
                        'list (subscribed) "" "Neu & ältere/日本/*" return (special-use)', 'rename "Neu & ältere/日本" "Neu & ältere/改名"',
                        'subscribe "Neu & ältere/改名"', 'unsubscribe "Neu & ältere/日本"'):
            wire.ok(command)
        assert wire.ok('list "" "Neu & ältere/改名"')[0].endswith('"Neu & ältere/改名"'.encode())
        message = "From: a@example.org\r\nSubject: sent ü\r\n\r\nHi\r\n".encode()
        wire.ok(b'append "Sent" (\\Seen) UTF8 (~{%d+}\r\n%s)' % (len(message), message))
        assert synchronised(wire, "uid SEARCH UNDELETED BODY", "café".encode()) == [b"* SEARCH"]
        assert wire.ok('uid SEARCH UNDELETED SUBJECT "number" NOT FROM "bob" UNSEEN') == [b"* SEARCH 4 5 6"]
        wire.ok("uid store 6 +Flags (\\Deleted)")
        assert wire.ok("expunge")[0] == b"* 4 EXPUNGE"
        idle_until(wire, rb"\* 4 EXISTS", lambda: i.deliver(address))
        wire.ok("noop")
        assert len(wire.ok("UID fetch 7:* (FLAGS)")) == 1
        wire.ok('select "Trash"')
        wire.ok("store 1:* +FLAGS.SILENT (\\Deleted)")
        assert len([x for x in wire.ok("expunge") if x.endswith(b" EXPUNGE")]) == 2
        wire.ok("check")
        wire.ok("logout")


EVOLUTION_LIST = "RETURN (CHILDREN SUBSCRIBED STATUS (MESSAGES UNSEEN UIDVALIDITY UIDNEXT HIGHESTMODSEQ) SPECIAL-USE)"


def test_evolution(shared_instance):
    """evolution-data-server 3.46.4, the one that uses NOTIFY; and QRESYNC with pairs of numbers and UIDs."""
    i = shared_instance
    address = account(i, "evolution", 6)
    with Wire(i.imaps, trusting()) as wire:
        wire.login(address, i.accounts[address])
        for command in ('ID ("name" "evolution-data-server" "version" "3.46.4")', "ENABLE UTF8=ACCEPT", "NAMESPACE", "ENABLE CONDSTORE QRESYNC",
                        "NOTIFY SET (selected (MessageNew (UID RFC822.SIZE RFC822.HEADER FLAGS BODYSTRUCTURE) MessageExpunge FlagChange)) "
                        "(personal (MessageNew MessageExpunge MailboxName SubscriptionChange))"):
            wire.ok(command)
        listed = wire.ok(f'LIST "" "*" {EVOLUTION_LIST}')
        assert any(re.match(rb'\* LIST \(.*\\Sent\) "/" "Sent"', line) for line in listed)
        assert any(line.startswith(b'* STATUS "Sent" (MESSAGES 0 ') for line in listed)
        first = b"\n".join(wire.ok("SELECT INBOX"))
        assert len(wire.ok("UID FETCH 1:* (UID FLAGS)")) == 6
        assert len(wire.ok("UID FETCH 1:6 (RFC822.SIZE RFC822.HEADER BODYSTRUCTURE FLAGS)")) == 6
        i.deliver(address, subject="told unasked")
        while b" FETCH " not in (line := wire.response()):
            pass
        assert b"Subject: told unasked" in line and b'BODYSTRUCTURE ("text" "plain"' in line
        wire.ok("UID STORE 6 +FLAGS.SILENT ($Label1 sch&APY-n)")
        wire.ok(f'LIST "" {{16+}}\r\nEntwürfe/Unter* {EVOLUTION_LIST}')
        wire.ok("SELECT Sent")
        message = b"Subject: appended\r\n\r\nhello\r\n"
        assert b"APPENDUID" in wire.ask(b'APPEND Sent (\\SEEN) "22-Nov-2026 00:14:51 +0000" {%d+}\r\n%s' % (len(message), message))[-1]
        i.deliver(address)
        while not wire.response().startswith(b'* STATUS "INBOX" (MESSAGES 8 '):
            pass
        with Wire(i.imaps, trusting()) as other:
            other.login(address, i.accounts[address])
            other.ok("SELECT INBOX")
            other.ok("STORE 2 +FLAGS (\\Flagged)")
            other.ok("STORE 4 +FLAGS (\\Deleted)")
            other.ok("EXPUNGE")
        validity, modseq = (re.search(rb"%s (\d+)" % name, first)[1].decode() for name in (b"UIDVALIDITY", b"HIGHESTMODSEQ"))
        again = wire.ok(f"SELECT INBOX (QRESYNC ({validity} {modseq} 1:6 (1,3,5 1,3,5)))")
        assert b"* VANISHED (EARLIER) 4" in again
        assert any(re.match(rb"\* 2 FETCH \(.*UID 2.*Flagged", line) for line in again)


RECORDED = {
    "Alpine 2.26": """
        SELECT INBOX
        SEARCH UNANSWERED UNDELETED UNSEEN
        FETCH 1 FLAGS
        FETCH 1:6 (UID ENVELOPE BODY.PEEK[HEADER.FIELDS (Newsgroups Content-MD5 Content-Disposition resent-to)] INTERNALDATE RFC822.SIZE FLAGS)
        STORE 3 +Flags (\\FLAGGED)
        FETCH 3,4:6 (BODYSTRUCTURE FLAGS)
        FETCH 3 BODY[1]
        SEARCH 4:6 UNDELETED
        LIST "" Archive
        COPY 4 Archive
        STORE 4 +Flags (\\DELETED)
        LIST "" %""",
    "Sylpheed 3.8.0beta1": """
        NAMESPACE
        LIST "" "*"
        SELECT INBOX
        UID FETCH 1:* (UID FLAGS RFC822.SIZE RFC822.HEADER)
        UID FETCH 1 BODY.PEEK[]
        UID STORE 1 +FLAGS.SILENT (\\Seen)
        UID COPY 1 Trash
        UID STORE 1 +FLAGS.SILENT (\\Deleted)
        EXPUNGE
        STATUS Trash (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)""",
    "Geary 43.0": """
        NAMESPACE
        LIST "" "%" return (special-use)
        STATUS Archive (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)
        LIST "" "Other Users/%" return (special-use)
        select INBOX
        uid search since 08-Nov-2026
        fetch 1:6 uid
        uid fetch 1:6 body.peek[header.fields (in-reply-to message-id references)]
        uid fetch 1:6 (internaldate rfc822.size flags)
        uid fetch 1:2,4,5:6 rfc822.header
        uid fetch 1 flags
        noop
        close""",
    "JavaMail 2.0.0": """
        ENABLE UTF8=ACCEPT
        ENABLE QRESYNC
        SELECT INBOX (QRESYNC (1 1))
        SEARCH SUBJECT number NOT (SEEN) ALL
        SEARCH OR OR OR OR SINCE 22-Nov-2026 LARGER 10000 HEADER X-A "" YOUNGER 1000 MODSEQ 5 ALL
        SORT (REVERSE SUBJECT DATE) UTF-8 ALL
        MOVE 3:4 "Archive"
        LISTRIGHTS INBOX friend@example.org""",
}


@pytest.mark.parametrize("client", RECORDED)
def test_recorded(shared_instance, client):
    """All of it succeeds."""
    i = shared_instance
    address = account(i, client.split()[0].lower(), 6)
    with Wire(i.imaps, trusting()) as wire:
        wire.login(address, i.accounts[address])
        for command in filter(None, map(str.strip, RECORDED[client].split("\n"))):
            wire.ok(command)
