"""lda's doors: LMTP, SMTP from the relay, the command line; recipients, quota, trace headers."""

import concurrent.futures
import re
import shutil
import smtplib
import socket
import subprocess

import pytest

from sanger import BIN, Instance, make_message, run, wait_for


@pytest.fixture(scope="module")
def box():
    with Instance(settings=[("store.message_size_max", "1M")]) as i:
        i.add_account("ann@example.org")
        i.add_account("bob@example.org")
        yield i


def rcpt(client, address):
    client.ehlo_or_helo_if_needed()
    client.mail("sender@example.net")
    answer = client.rcpt(address)
    client.rset()
    return answer


@pytest.mark.parametrize("door", ["connect_lmtp", "connect_smtp"])
def test_recipients_are_answered_from_the_account_db(box, door):
    client = getattr(box, door)()
    assert rcpt(client, "ann@example.org")[0] == 250
    assert rcpt(client, "ANN@Example.ORG")[0] == 250
    assert rcpt(client, "ann+lists@example.org")[0] == 250
    code, text = rcpt(client, "nobody@example.org")
    assert code == 550 and text.startswith(b"5.1.1")
    assert rcpt(client, "ann@elsewhere.example")[0] == 550
    assert rcpt(client, "+x@example.org")[0] == 550
    client.quit()


def test_message_arrives_with_trace_headers(box):
    message = make_message("bob@example.org", body="Grüße\n", subject="trace")
    box.deliver("bob@example.org", bytes(message), sender="from@example.net")
    file = next(f for f in box.files("bob@example.org") if b"Subject: trace" in f.read_bytes())
    data = file.read_bytes()
    assert data.startswith(b"Return-Path: <from@example.net>\nEnvelope-to: bob@example.org\n"
                           b"Delivery-date: ")
    assert b"\nReceived: from " in data
    assert b"\r" not in data
    size = int(re.search(r",S=(\d+)", file.name).group(1))
    wide = int(re.search(r",W=(\d+)", file.name).group(1))
    assert size == len(data)
    assert wide == len(data) + data.count(b"\n")


def test_trace_headers_of_earlier_deliveries_go(box):
    message = (b"Return-path: <old@example.net>\r\nEnvelope-to: old@example.org\r\n"
               b"Delivery-date: yesterday\r\n" + bytes(make_message("bob@example.org", subject="old")))
    box.deliver("bob@example.org", message)
    data = next(f.read_bytes() for f in box.files("bob@example.org")
                if b"Subject: old" in f.read_bytes())
    assert data.lower().count(b"return-path:") == 1
    assert b"old@example.net" not in data and b"yesterday" not in data


def test_lmtp_answers_for_each_recipient(box):
    with socket.create_connection(("127.0.0.1", box.lmtp), 60) as s:
        f = s.makefile("rwb")

        def say(line):
            f.write(line + b"\r\n")
            f.flush()

        def hear():
            while True:
                line = f.readline()
                if line[3:4] == b" ":
                    return line
        hear()
        say(b"LHLO relay.example.net")
        hear()
        # pipelined
        say(b"MAIL FROM:<s@example.net>\r\nRCPT TO:<ann@example.org>\r\n"
            b"RCPT TO:<nobody@example.org>\r\nRCPT TO:<bob@example.org>\r\nDATA")
        codes = [hear()[:3] for _ in range(5)]
        assert codes == [b"250", b"250", b"550", b"250", b"354"]
        say(b"Subject: several\r\n\r\n..dot\r\n.")
        assert [hear()[:3] for _ in range(2)] == [b"250", b"250"]
        say(b"QUIT")
    for who in ("ann@example.org", "bob@example.org"):
        texts = [p.read_bytes() for p in box.files(who)]
        assert sum(b"Subject: several\n\n.dot\n" in t for t in texts) == 1


def test_chunking_and_utf8(box):
    with socket.create_connection(("127.0.0.1", box.smtp), 60) as s:
        f = s.makefile("rwb")

        def hear():
            lines = []
            while True:
                lines.append(f.readline())
                if lines[-1][3:4] == b" ":
                    return b"".join(lines)
        hear()
        f.write(b"EHLO relay.example.net\r\n")
        f.flush()
        offers = hear()
        for word in (b"PIPELINING", b"SIZE 1048576", b"8BITMIME", b"ENHANCEDSTATUSCODES",
                     b"CHUNKING", b"BINARYMIME", b"SMTPUTF8", b"STARTTLS"):
            assert word in offers
        body = "Subject: Grüße aus Köln\r\n\r\nchunk".encode()
        f.write(b"MAIL FROM:<s@example.net> SMTPUTF8 BODY=8BITMIME\r\nRCPT TO:<ann@example.org>\r\n")
        f.write(b"BDAT %d\r\n" % len(body) + body + b"BDAT 3 LAST\r\ned\n")
        f.flush()
        assert [hear()[:3] for _ in range(4)] == [b"250"] * 4
    assert any("Subject: Grüße aus Köln\n\nchunked\n".encode() in p.read_bytes()
               for p in box.files("ann@example.org"))


def test_starttls_towards_the_relay(box):
    with smtplib.SMTP("127.0.0.1", box.smtp, timeout=60) as client:
        client.starttls(context=box.tls())
        client.sendmail("s@example.net", ["ann@example.org"],
                        bytes(make_message(subject="under tls")))
    data = next(p.read_bytes() for p in box.files("ann@example.org")
                if b"Subject: under tls" in p.read_bytes())
    assert b"with ESMTPS\n\t(TLSv1" in data


def test_unix_socket(box):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(str(box.dir / "run" / "lmtp.sock"))
        f = s.makefile("rwb")
        f.write(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"
                b"Subject: by socket\r\n\r\n.\r\nQUIT\r\n")
        f.flush()
        text = f.read()
    assert b"\r\n221 " in text
    assert any(b"Subject: by socket" in p.read_bytes() for p in box.files("ann@example.org"))


def test_too_big_is_refused(box):
    client = box.connect_lmtp()
    client.ehlo_or_helo_if_needed()
    assert client.mail("s@example.net", ["size=2000000"])[0] == 552
    with pytest.raises(smtplib.SMTPException):
        client.sendmail("s@example.net", ["ann@example.org"],
                        b"Subject: big\r\n\r\n" + (b"x" * 998 + b"\r\n") * 1200)
    assert not any(b"Subject: big" in p.read_bytes()[:2000] for p in box.files("ann@example.org"))


def test_inactive_accounts_are_refused(box):
    box.add_account("gone@example.org")
    box.admin("account", "set", "gone@example.org", "--active", "no")
    client = box.connect_lmtp()
    code, text = rcpt(client, "gone@example.org")
    assert code == 550 and text.startswith(b"5.2.1")
    client.close()


def test_account_that_nobody_opened_yet_gets_its_folders(box):
    """A row that another program put into the database."""
    subprocess.run(["sqlite3", str(box.dir / "user.db"),
                    "INSERT INTO account (localpart, domain, password) "
                    "VALUES ('raw', 'example.org', '{PLAIN}raw')"], check=True)
    box.accounts["raw@example.org"] = "raw"
    box.deliver("raw@example.org")
    assert len(box.files("raw@example.org")) == 1
    assert (box.maildir("raw@example.org", "Sent") / "cur").is_dir()
    client = box.connect_imap("raw@example.org")
    assert client.select("INBOX")[1] == [b"1"]
    client.logout()


def test_first_deliveries_to_an_account_at_once(box):
    """All of them find no tree and make it; each is told 250."""
    box.admin("account", "add", "rush@example.org", "--password-stdin", input=b"secret-Pw1\n")
    shutil.rmtree(box.maildir("rush@example.org"), ignore_errors=True)
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda n: box.deliver("rush@example.org"), range(24)))
    assert len(box.files("rush@example.org")) == 24


def test_filter_that_cannot_be_read_costs_no_mail(box):
    """Whatever stands in the column: the message goes to INBOX, and the log says why."""
    box.add_account("filtered@example.org")
    subprocess.run(["sqlite3", str(box.dir / "user.db"), "UPDATE account SET filter = "
                    "'do what I mean' WHERE localpart = 'filtered'"], check=True)
    box.deliver("filtered@example.org", subject="kept")
    kept, report = sorted(p.read_bytes() for p in box.files("filtered@example.org"))
    if b"\nSubject: kept\n" not in kept:
        kept, report = report, kept
    assert b"Subject: kept\n" in kept and b"Auto-Submitted: auto-generated\n" in report
    assert "filter-error account=filtered@example.org" in box.log()


def test_only_relays_may_deliver():
    with Instance(settings={"lda.relay_networks": "192.0.2.0/24"}) as i:
        i.add_account("ann@example.org")
        for port in (i.lmtp, i.smtp):
            with socket.create_connection(("127.0.0.1", port), 60) as s:
                assert s.recv(1000).startswith(b"554 5.7.1")


def test_full_disk_is_a_temporary_error_before_data():
    with Instance(settings={"store.free_space_floor": "1T"}) as i:
        i.add_account("ann@example.org")
        client = i.connect_lmtp()
        client.ehlo_or_helo_if_needed()
        code, text = client.mail("s@example.net")
        assert code == 452 and text.startswith(b"4.3.1")
        client.close()
        imap = i.connect_imap("ann@example.org")  # reading goes on
        assert imap.select("INBOX")[0] == "OK"
        imap.logout()


# --- quota

def fill(i, address, count=1, size=6000):
    for _ in range(count):
        i.deliver(address, bytes(make_message(address, subject="filler", body="x" * 70 + "\n"))
                  + (b"y" * 78 + b"\r\n") * (size // 80))


@pytest.mark.parametrize("answer,code", [("temporary", 452), ("permanent", 552)])
def test_over_quota_at_data(answer, code):
    with Instance(settings={"lda.quota_reject": answer, "lda.quota_warning": "0"}) as i:
        i.add_account("ann@example.org", quota="10K")
        fill(i, "ann@example.org", 1)
        # not exceeded yet: a message larger than what is left still comes in
        fill(i, "ann@example.org", 1, size=20000)
        with pytest.raises(smtplib.SMTPResponseException) as error:
            fill(i, "ann@example.org", 1, size=100)
        assert error.value.smtp_code == code
        # deleting makes room again
        client = i.connect_imap("ann@example.org")
        client.select("INBOX")
        client.store("1:*", "+FLAGS", "\\Deleted")
        client.expunge()
        client.logout()
        fill(i, "ann@example.org", 1)


def test_over_quota_at_rcpt():
    with Instance(settings={"lda.quota_at_rcpt": "yes", "lda.quota_reject": "permanent",
                            "lda.quota_warning": "0"}) as i:
        i.add_account("ann@example.org", quota="10K")
        fill(i, "ann@example.org", 2)
        client = i.connect_lmtp()
        code, text = rcpt(client, "ann@example.org")
        assert code == 552 and text.startswith(b"5.2.2")
        client.close()


def test_quota_is_a_matter_of_rcpt_for_smtp():
    """There is one answer for all recipients after DATA, so a full mailbox must be said before."""
    with Instance(settings={"lda.quota_warning": "0"}) as i:
        i.add_account("ann@example.org", quota="10K")
        i.add_account("bob@example.org")
        fill(i, "ann@example.org", 2)
        client = i.connect_smtp()
        refused = client.sendmail("s@example.net", ["ann@example.org", "bob@example.org"],
                                  bytes(make_message(subject="both")))
        assert refused["ann@example.org"][0] == 452
        assert len(i.files("bob@example.org")) == 1


def test_trash_does_not_count():
    with Instance(settings={"lda.quota_warning": "0"}) as i:
        i.add_account("ann@example.org", quota="10K")
        fill(i, "ann@example.org", 2)
        client = i.connect_imap("ann@example.org")
        client.select("INBOX")
        assert client._simple_command("MOVE", "1:*", "Trash")[0] == "OK"
        client.logout()
        fill(i, "ann@example.org", 1)


def warnings(i):
    return [p for p in i.files("ann@example.org")
            if b"Auto-Submitted: auto-generated" in p.read_bytes()]


def test_quota_warning_comes_once_per_crossing():
    with Instance(settings={"lda.quota_warning": "50"}) as i:
        i.add_account("ann@example.org", quota="40K")
        fill(i, "ann@example.org", 2)
        assert not warnings(i)
        fill(i, "ann@example.org", 3)
        assert len(warnings(i)) == 1
        text = warnings(i)[0].read_bytes()
        assert b"ann@example.org is " in text and b"${" not in text
        client = i.connect_imap("ann@example.org")
        client.select("INBOX")
        client.store("1:*", "+FLAGS", "\\Deleted")
        client.expunge()
        client.logout()
        fill(i, "ann@example.org", 5)
        assert len(warnings(i)) == 1  # the first one was deleted


# --- lda -d

def lda(i, *args, message=b"Subject: by command\n\nbody\n"):
    return run(BIN / "lda", "-c", i.conf(), *args, input=message, check=False,
               env=i.environment())


def test_command_line(box):
    assert lda(box, "-d", "ann@example.org", "-f", "s@example.net").returncode == 0
    data = next(p.read_bytes() for p in box.files("ann@example.org")
                if b"Subject: by command" in p.read_bytes())
    assert data.startswith(b"Return-Path: <s@example.net>\nEnvelope-to: ann@example.org\n")
    assert b"Received:" not in data
    # a leading mbox line is not part of the message
    assert lda(box, "-d", "ann@example.org",
               message=b"From s@example.net Sat Nov 21\nSubject: mbox line\n\n").returncode == 0
    assert any(b"Subject: mbox line" in p.read_bytes() and b"\nFrom s@" not in p.read_bytes()
               for p in box.files("ann@example.org"))


def test_command_line_into_a_mailbox(box):
    assert lda(box, "-d", "ann@example.org", "-m", "Lists/Some.thing").returncode == 0
    client = box.connect_imap("ann@example.org")
    assert client.select("Lists/Some.thing")[1] == [b"1"]
    assert any(b'"Lists/Some.thing"' in line or b" Lists/Some.thing" in line
               for line in client.lsub()[1])
    client.logout()


@pytest.mark.parametrize("args,status", [
    (["-d", "nobody@example.org"], 67),
    (["-d", "not an address"], 64),
    (["-d", "ann@example.org", "-f", "a b"], 64),
    (["-d", "ann@example.org", "extra"], 64),
    (["-d", "ann@example.org", "-m", "a//b"], 73),
    (["-d"], 64),
])
def test_command_line_exit_codes(box, args, status):
    done = lda(box, *args)
    assert done.returncode == status
    assert done.stderr


def test_command_line_too_big(box):
    done = lda(box, "-d", "ann@example.org", message=b"Subject: x\n\n" + b"x" * 1200000)
    assert done.returncode == 65


def test_store_goes_on_while_workers_are_killed(box):
    """A worker that dies is replaced."""
    import os
    import signal
    before = box.workers("lda")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(set(box.workers("lda")) - set(before)) == len(before), "new workers")
    box.deliver("ann@example.org", subject="after the kill")
