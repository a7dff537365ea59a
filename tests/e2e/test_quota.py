"""Quota as users meet it: warnings, limits of number and size, what is always possible, and a count that stays right."""

import concurrent.futures
import re
import shutil
import smtplib
import threading
import time

import pytest

from sanger import Instance, make_message, temp_dir

pytestmark = pytest.mark.once

ANN = "ann@example.org"
DELETED = r"(\Deleted)"


def filler(size, **fields):
    return bytes(make_message(ANN, **fields)) + (b"y" * 78 + b"\r\n") * (size // 80)


def fill(i, count=1, size=6000, address=ANN):
    for _ in range(count):
        i.deliver(address, filler(size))


def answer(i, message, address=ANN, door="connect_lmtp"):
    """The code that a message gets, at RCPT or after DATA."""
    client = getattr(i, door)()
    try:
        client.sendmail("s@example.net", [address], message)  # it declares the size
        return 250
    except smtplib.SMTPRecipientsRefused as refused:
        return refused.recipients[address][0]
    except smtplib.SMTPDataError as error:
        return error.smtp_code
    finally:
        client.close()


def warnings(i, address=ANN):
    """The percentages that the account was warned of."""
    found = []
    for path in i.files(address):
        subject = re.search(rb"^Subject: Your mailbox is (\d+)% full$", path.read_bytes(), re.M)
        if subject:
            found.append(int(subject.group(1)))
    return sorted(found)


def empty(i, address=ANN):
    client = i.connect_imap(address)
    client.select("INBOX")
    client.store("1:*", "+FLAGS", DELETED)
    assert client.expunge()[0] == "OK"
    client.logout()


def usage(i, address=ANN):
    """Sum of maildirsize: bytes and messages."""
    lines = (i.maildir(address) / "maildirsize").read_text().splitlines()[1:]
    pairs = [tuple(map(int, line.split())) for line in lines]
    return [sum(column) for column in zip(*pairs)]


def counted(i, address=ANN, exempt=(".Trash",)):
    """What lies in the tree, without what is exempt."""
    root = i.maildir(address)
    files = [f for folder in [root, *root.glob(".*")]
             if folder.is_dir() and not folder.name.startswith(exempt)
             for sub in ("cur", "new") for f in (folder / sub).glob("*")]
    return [sum(f.stat().st_size for f in files), len(files)]


# --- warnings

@pytest.fixture(scope="module")
def box():
    with Instance(settings={"lda.quota_warning": "50 80 100"}) as i:
        yield i


def test_each_threshold_once_per_crossing(box):
    who = box.add_account("steps@example.org", quota="40K")
    fill(box, 3, address=who)
    assert not warnings(box, who)
    fill(box, 1, address=who)
    assert [w // 10 for w in warnings(box, who)] == [6]
    fill(box, 1, address=who)  # 50 is told; 80 is not reached, or just
    fill(box, 2, address=who)
    assert len([w for w in warnings(box, who) if 80 <= w < 100]) == 1
    before = warnings(box, who)
    empty(box, who)
    fill(box, 2, address=who)  # below all: they are due again
    fill(box, 1, address=who, size=20000)
    assert len(warnings(box, who)) == 1 and before


def test_the_highest_of_several_and_full_by_imap(box):
    who = box.add_account("jump@example.org", quota="40K")
    fill(box, 1, address=who, size=39000)
    assert len(warnings(box, who)) == 1
    empty(box, who)
    client = box.connect_imap(who)
    client.append("INBOX", None, None, filler(50000))
    client.logout()
    assert not warnings(box, who)  # lda says it, when it next has to do with the account
    assert answer(box, filler(100), who) == 452
    assert len(warnings(box, who)) == 1 and warnings(box, who)[0] >= 100
    assert answer(box, filler(100), who) == 452
    assert len(warnings(box, who)) == 1


def test_many_cross_at_once_and_one_warns(box):
    for n in range(3):
        who = box.add_account(f"race{n}@example.org", quota="60K")
        fill(box, 1, address=who, size=20000)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _, w=who: fill(box, 1, address=w, size=2400), range(8)))
        assert len(warnings(box, who)) == 1, box.log()


@pytest.fixture
def open_dir():
    """A directory that the daemons, which are another user, can read."""
    path = temp_dir()
    yield path
    shutil.rmtree(path)


def test_template_filter_and_trace(open_dir):
    template = open_dir / "warning.txt"
    template.write_text("Subject: Voll: ${percent} über ${threshold}\nFrom: Hilfe <help@${domain}>"
                        "\n\nHallo ${realname}, ${address} an ${host}: ${usage}. ${nothing}\n")
    with Instance(settings={"lda.quota_warning": "50", "lda.quota_warning_template": template}) as i:
        i.add_account(ANN, quota="20K", realname="Änn")
        i.admin("filter", "set", ANN, "-",
                input=b"require [\"fileinto\", \"mailbox\"]; fileinto :create \"x\";\n")
        fill(i, 1, size=14000)
        [path] = i.files(ANN)  # in INBOX: no filter has seen it
        text = path.read_text().replace("=\n", "")
        assert "From: Hilfe <help@example.org>" in text
        assert "\nTo: =?utf-8?B?" in text and "<ann@example.org>" in text
        assert "\nAuto-Submitted: auto-generated\n" in text
        assert "${nothing}" in text and "${address}" not in text
        assert re.search(r"1\d\.?\d? KB of 20 KB", text)


# --- limits of number and size

def test_message_count_and_size_per_account():
    with Instance(settings={"lda.quota_warning": "0", "store.messages_max": "3"}) as i:
        i.add_account(ANN)
        i.add_account("bob@example.org")
        i.admin("account", "set", ANN, "--max-message-size", "10K")
        i.admin("account", "set", "bob@example.org", "--max-messages", "none")
        fill(i, 3, size=100)
        assert answer(i, filler(100)) == 452
        fill(i, 4, size=100, address="bob@example.org")
        client = i.connect_imap(ANN)
        assert b"APPENDLIMIT=10240" in client.capability()[1][0]
        assert client._simple_command("GETQUOTA", '""')[0] == "OK"
        assert client.untagged_responses["QUOTA"][-1] == b'"" (MESSAGE 3 3)'
        client.select("INBOX")
        assert "OVERQUOTA" in str(client.append("INBOX", None, None, filler(100)))
        assert "OVERQUOTA" in str(client.copy("1", "INBOX"))
        # what counts for nothing, and what frees, goes on
        assert client.append("Trash", None, None, filler(100))[0] == "OK"
        assert client._simple_command("MOVE", "1", "Trash")[0] == "OK"
        assert "TOOBIG" in str(client.append("INBOX", None, None, filler(12000)))
        client.logout()
        # its size: at RCPT where it was declared, else after the data
        big = filler(12000)
        assert answer(i, big) == 552
        assert answer(i, big, door="connect_smtp") == 552
        client = i.connect_lmtp()
        client.ehlo()
        client.mail("s@example.net")
        assert client.rcpt(ANN)[0] == 250
        code, text = client.data(big)
        assert (code, text[:5]) == (552, b"5.3.4")
        client.close()
        client = i.connect_smtp()
        client.ehlo()
        client.mail("s@example.net", [f"SIZE={len(big)}"])
        code, text = client.rcpt(ANN)
        assert (code, text[:5]) == (552, b"5.3.4")
        assert client.rcpt("bob@example.org")[0] == 250
        client.close()
        # by SMTP without a declared size: bob shall have his
        before = len(i.files("bob@example.org"))
        client = i.connect_smtp()
        client.helo()
        client.mail("s@example.net")
        assert client.rcpt(ANN)[0] == client.rcpt("bob@example.org")[0] == 250
        assert client.data(big)[0] == 250
        client.close()
        assert len(i.files("bob@example.org")) == before + 1
        assert usage(i) == counted(i)


def test_what_is_possible_when_full():
    with Instance(settings=[("lda.quota_warning", "0"), ("lda.quota_reject", "permanent"),
                            ("store.quota_exempt", "Trash"),
                            ("store.quota_exempt", "Archive/Old")]) as i:
        i.add_account(ANN, quota="10K")
        fill(i, 2)
        assert answer(i, filler(10)) == 552
        client = i.connect_imap(ANN)
        client.create("Archive/Old/2020")
        client.select("INBOX")
        assert client.store("1", "+FLAGS", r"(\Seen kept)")[0] == "OK"
        assert client.copy("1", "Trash")[0] == "OK"
        assert client.copy("1", "Archive/Old/2020")[0] == "OK"
        assert "OVERQUOTA" in str(client.copy("1", "Sent"))
        assert client._simple_command("MOVE", "1", "Sent")[0] == "OK"  # no more than before
        assert client._simple_command("MOVE", "1", "Trash")[0] == "OK"
        client.logout()
        fill(i, 1)
        assert usage(i) == counted(i, exempt=(".Trash", ".Archive.Old"))


# --- all at once

def outside(box_dir, stop):
    """Another program: takes messages away, flags them, and brings some."""
    n = 0
    while not stop.is_set():
        for path in list((box_dir / "cur").glob("*"))[:2]:
            try:
                if n % 2:
                    path.unlink()
                else:
                    path.rename(path.with_name(path.name.split(":2,")[0] + ":2,FS"))
            except FileNotFoundError:
                pass
        n += 1
        time.sleep(0.02)


def test_eight_writers_leave_the_count_right():
    """lda, APPEND, COPY and EXPUNGE at the same time; then an outside program too, which a recount mends."""
    with Instance(settings={"lda.quota_warning": "0"}) as i:
        i.add_account(ANN, quota="50M")
        fill(i, 3)
        i.admin("quota", "recount", ANN)

        def deliver(_):
            fill(i, 12, size=400)

        def append(_):
            client = i.connect_imap(ANN)
            for n in range(12):
                assert client.append("Sent" if n % 2 else "INBOX", None, None, filler(300))[0] == "OK"
            client.logout()

        def expunge(_):
            client = i.connect_imap(ANN)
            for n in range(8):
                client.select("INBOX")
                client.uid("COPY", "1:3", "Archive")
                client.store("1:2", "+FLAGS", DELETED)
                client.expunge()
                client._simple_command("MOVE", "1", "Trash" if n % 2 else "Sent")
            client.logout()

        work = [deliver, append, expunge, deliver, append, expunge, deliver, append]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(f, n) for n, f in enumerate(work)]:
                done.result()
        assert usage(i) == counted(i)

        stop = threading.Event()
        other = threading.Thread(target=outside, args=(i.maildir(ANN), stop))
        other.start()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(f, n) for n, f in enumerate(work[:4])]:
                done.result()
        stop.set()
        other.join()
        i.admin("quota", "recount", ANN)
        assert usage(i) == counted(i)
