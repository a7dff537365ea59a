"""What lda does with all that a filter can ask for, with real daemons and a real relay."""

import contextlib
import email
import email.policy
import os
import smtplib
import sqlite3
import threading

import pytest

from exim import Exim
from sanger import BIN, Instance, make_message, run, wait_for

RELAY = {"submitd.relay_tls": "none", "submitd.retry_first": "1s"}


def set_filter(box, address, text):
    """By way of the column itself, as an administrator's own tools write it."""
    local, domain = address.split("@")
    with sqlite3.connect(box.dir / "user.db", timeout=60) as db:
        db.execute("UPDATE account SET filter = ? WHERE localpart = ? AND domain = ?",
                   (text.encode() if text is not None else None, local, domain))
    db.close()


def texts(box, address, mailbox="INBOX"):
    return [p.read_bytes() for p in box.files(address, mailbox)]


def named(box, address, subject, mailbox="INBOX"):
    """The messages with that subject."""
    return [t for t in texts(box, address, mailbox) if f"\nSubject: {subject}\n".encode() in t]


def log_lines(box, event, *words):
    return [line for line in box.log().splitlines()
            if f" {event} " in line and all(w in line for w in words)]


@pytest.fixture(scope="module")
def box():
    with Instance() as i:
        yield i


counter = iter(range(1000))


@pytest.fixture
def user(box):
    return box.add_account(f"user{next(counter)}@example.org")


# --- copies

def test_fileinto_makes_a_folder_that_another_session_sees(box, user):
    set_filter(box, user, 'require ["fileinto","mailbox"];\n'
               'if header :contains "subject" "list" { fileinto :create "Lists/Grüße"; }\n')
    box.deliver(user, subject="first")  # the account's tree
    watcher = box.connect_imap(user)
    watcher.select("INBOX")
    assert "Lists/Gr" not in str(watcher.list())
    box.deliver(user, subject="a list")
    wait_for(lambda: "Lists/Gr" in str(watcher.list()) + str(watcher.lsub()), "the folder")
    assert watcher.select('"Lists/Gr&APwA3w-e"')[1] == [b"1"]
    # IDLE in that folder: the next message is announced without asking
    tag = watcher._new_tag().decode()
    watcher.send(f"{tag} IDLE\r\n".encode())
    assert watcher.readline().startswith(b"+")
    heard = []
    listener = threading.Thread(target=lambda: heard.append(watcher.readline()), daemon=True)
    listener.start()
    box.deliver(user, subject="another list")
    listener.join(60)
    assert heard and heard[0].endswith(b"2 EXISTS\r\n")
    watcher.send(b"DONE\r\n")
    lines = log_lines(box, "delivered", f"account={user}", "mailbox=Lists/Gr")
    assert len(lines) == 2 and all("filter=sieve script=own line=2" in line for line in lines)
    assert len(named(box, user, "first")) == 1 and len(texts(box, user)) == 1


def test_flags_and_keywords_are_seen_by_imap(box, user):
    set_filter(box, user, 'require ["imap4flags","fileinto"];\n'
               'addflag ["\\\\Flagged", "$label1", "work"];\n'
               'if header :is "subject" "seen" { keep :flags "\\\\Seen"; }\n'
               'else { fileinto "Other"; }\n')
    box.deliver(user, subject="seen")
    box.deliver(user, subject="kept words")
    client = box.connect_imap(user)
    client.select("INBOX", readonly=True)
    answer = client.fetch("1", "(FLAGS)")[1][0]
    assert b"\\Seen" in answer and b"work" not in answer
    client.select("Other", readonly=True)
    answer = client.fetch("1", "(FLAGS)")[1][0]
    for word in (b"\\Flagged", b"$label1", b"work"):
        assert word in answer
    assert b"\\Seen" not in answer
    client.logout()


def test_one_copy_for_each_target(box, user):
    set_filter(box, user, 'require ["fileinto","copy"];\n'
               'fileinto :copy "A"; fileinto "A"; fileinto :copy "INBOX"; keep;\n')
    box.deliver(user, subject="once")
    assert len(named(box, user, "once")) == 1
    assert len(named(box, user, "once", "A")) == 1


def test_edited_headers_are_in_the_stored_message(box, user):
    set_filter(box, user, 'require ["editheader","fileinto","copy"];\n'
               'fileinto :copy "As it came";\n'
               'addheader "X-Sorted" "yes"; deleteheader "X-Noise";\n')
    box.deliver(user, subject="edited", X_Noise="much")
    came, = named(box, user, "edited", "As it came")
    assert b"X-Noise: much" in came and b"X-Sorted" not in came
    edited, = named(box, user, "edited")
    assert edited.startswith(b"Return-Path: <sender@example.net>\nEnvelope-to: ")
    assert b"X-Sorted: yes\n" in edited and b"X-Noise" not in edited
    assert came.partition(b"\n\n")[2] == edited.partition(b"\n\n")[2]


def test_a_large_message_is_edited_in_its_file(box, user):
    """One that does not fit into memory while it is taken in."""
    set_filter(box, user, 'require "editheader"; addheader :last "X-Large" "yes";\n')
    body = "".join(f"{n:070}\n" for n in range(8000))
    box.deliver(user, bytes(make_message(user, subject="large", body=body)))
    text, = named(box, user, "large")
    header, _, rest = text.partition(b"\n\n")
    assert header.endswith(b"\nX-Large: yes") and rest == body.encode()


def test_discard_and_what_the_log_says_of_it(box, user):
    set_filter(box, user, '\n\ndiscard;\n')
    box.deliver(user, subject="gone")
    assert not texts(box, user)
    assert log_lines(box, "discarded", f"account={user}", "filter=sieve script=own line=3")


def test_over_quota_where_the_copy_goes(box):
    """A full mailbox does not keep mail out of Trash."""
    user = box.add_account("full@example.org", quota="10K")
    box.deliver(user, bytes(make_message(user)) + b"x" * 20000)
    set_filter(box, user, 'require "fileinto"; fileinto "Trash";')
    box.deliver(user, subject="straight to trash")
    assert len(named(box, user, "straight to trash", "Trash")) == 1


def test_exim_filter(box, user):
    set_filter(box, user, '# Exim filter\nif $h_subject: contains "spam" then\n'
               '  save .Junk/\n  finish\nendif\nunseen save $home/.Copies/\n')
    box.deliver(user, subject="spam and eggs")
    box.deliver(user, subject="ham")
    assert len(texts(box, user, "Junk")) == 1
    assert len(named(box, user, "ham")) == 1 and len(named(box, user, "ham", "Copies")) == 1
    assert log_lines(box, "delivered", f"account={user}", "mailbox=Junk", "filter=exim",
                     "line=3")


def test_exim_save_outside_goes_to_inbox(box, user):
    set_filter(box, user, '# Exim filter\nsave /var/mail/somebody\n')
    box.deliver(user, subject="outside")
    assert len(named(box, user, "outside")) == 1
    assert not os.path.exists("/var/mail/somebody")


# --- mistakes

def test_mistakes_are_reported_once_a_day_and_cost_no_mail(box, user):
    set_filter(box, user, 'require "fileinto";\nfileinto "A";\nno such thing;\n')
    for n in range(3):
        box.deliver(user, subject=f"message {n}")
    messages = texts(box, user)
    reports = [t for t in messages if b"Subject: Your mail filter has a mistake" in t]
    assert len(messages) == 4 and len(reports) == 1
    report = email.message_from_bytes(reports[0], policy=email.policy.default)
    assert report["Auto-Submitted"] == "auto-generated" and report["To"] == user
    assert report["Subject"].endswith(" in line 3") and report["Date"]
    words = report.get_content()
    assert "    line 3: " in words and "\n    >  " in words, words
    assert "    Subject: " in words and "No mail is lost" in words
    assert len(log_lines(box, "filter-error", f"account={user}", "line=3")) == 3
    # another mistake is another report
    set_filter(box, user, 'fileinto "A";\n')
    box.deliver(user, subject="message 3")
    reports = [t for t in texts(box, user) if b"Subject: Your mail filter has a mistake" in t]
    assert len(reports) == 2
    with sqlite3.connect(box.maildir(user) / "state.db") as db:
        tables = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        table = next(t for t in tables if "error" in t)
        assert sorted(r[0] for r in db.execute(f"SELECT count FROM {table}")) == [1, 3]
    db.close()


def test_a_mailbox_that_cannot_be_is_inbox_and_a_report(box, user):
    set_filter(box, user, 'require "fileinto";\nfileinto "a//b";\n')
    box.deliver(user, subject="nowhere")
    assert len(named(box, user, "nowhere")) == 1
    assert [t for t in texts(box, user) if b"a//b" in t and b"auto-generated" in t]


# --- the administrator's filters

def test_a_memory_that_cannot_be_opened(box, user):
    """A filter that asks it has its mail put off; one that only answers keeps the mail and is silent."""
    set_filter(box, user, 'require "duplicate"; if duplicate { discard; }')
    box.deliver(user, subject="before")
    home = box.maildir(user)
    for path in home.glob("state.db*"):
        path.unlink()
    (home / "state.db").mkdir()
    box.own(home)
    message = bytes(make_message(user, subject="put off"))
    with pytest.raises(smtplib.SMTPException):
        box.deliver(user, message)
    assert log_lines(box, "state", f"account_dir={home}", "doing=open")
    set_filter(box, user, 'require "vacation"; vacation "I am away.";')
    box.deliver(user, subject="kept")
    (home / "state.db").rmdir()
    set_filter(box, user, 'require "duplicate"; if duplicate { discard; }')
    box.deliver(user, message)
    assert all(len(named(box, user, name)) == 1 for name in ("before", "put off", "kept"))


def test_scripts_before_and_after():
    with Instance(start=False) as i:
        scripts = {
            "before1": 'require ["fileinto","copy"];\nfileinto :copy "Archive";\n',
            "before2": 'require "editheader";\naddheader "X-Before" "yes";\n',
            "broken": 'no such command;\n',
            "after": 'require "fileinto";\nif header :contains "subject" "late" '
                     '{ fileinto "After"; }\n'}
        conf = i.conf().read_text()
        lines = ""
        for name, text in scripts.items():
            path = i.dir / f"{name}.sieve"
            path.write_text(text)
            path.chmod(0o644)
            lines += f"{'after' if name == 'after' else 'before'} = {path}\n"
        assert "[filter]" not in conf
        i.conf().write_text(conf + "\n[filter]\n" + lines)
        i.start()
        i.add_account("ann@example.org")
        i.add_account("bob@example.org")
        set_filter(i, "ann@example.org", 'require "fileinto";\n'
                   'if header :contains "subject" "mine" { fileinto "Mine"; }\n'
                   'if not exists "X-Before" { discard; }\n')
        for subject in ("mine and late", "late", "plain"):
            i.deliver("ann@example.org", subject=subject)
        assert len(texts(i, "ann@example.org", "Archive")) == 3
        assert len(named(i, "ann@example.org", "mine and late", "Mine")) == 1
        assert len(named(i, "ann@example.org", "late", "After")) == 1
        plain, = named(i, "ann@example.org", "plain")
        assert b"X-Before: yes\n" in plain
        assert len(texts(i, "ann@example.org")) == 1
        # an account without a filter has the administrator's all the same
        i.deliver("bob@example.org", subject="late")
        assert len(named(i, "bob@example.org", "late", "After")) == 1
        assert log_lines(i, "filter-before", "broken.sieve")
        # and one whose filter is broken has the ones before it
        set_filter(i, "bob@example.org", "broken")
        i.deliver("bob@example.org", subject="late again")
        assert len(named(i, "bob@example.org", "late again")) == 1
        assert len(texts(i, "bob@example.org", "Archive")) == 2


def test_owners_do_not_hear_of_what_they_cannot_mend():
    with Instance(start=False) as i:
        path = i.dir / "before.sieve"
        path.write_text('require ["fileinto","copy"];\nfileinto :copy "a//b";\n')
        path.chmod(0o644)
        i.conf().write_text(i.conf().read_text() + f"\n[filter]\nbefore = {path}\n")
        i.start()
        i.add_account("ann@example.org")
        set_filter(i, "ann@example.org", "keep;\n")
        i.deliver("ann@example.org", subject="plain")
        assert len(texts(i, "ann@example.org")) == 1
        assert log_lines(i, "filter-target", f"script={path}", "line=2")
        assert i.admin_json("filter", "show", "ann@example.org")["errors"] == []


# --- refusing

def test_reject_by_lmtp(box, user):
    set_filter(box, user, 'require "reject";\nif header :is "subject" "unwanted" {\n'
               '  reject text:\nI do not want this.\nGo away.\n.\n;\n}\n')
    other = box.add_account(f"other-of-{user}")
    client = box.connect_lmtp()
    client.ehlo_or_helo_if_needed()
    client.mail("s@example.net")
    for address in (user, other):
        assert client.rcpt(address)[0] == 250
    code, text = client.data(bytes(make_message(subject="unwanted")))
    assert code == 550 and text.startswith(b"5.7.1")
    assert b"I do not want this." in text and b"Go away." in text
    assert client.getreply()[0] == 250
    client.quit()
    assert not texts(box, user) and len(texts(box, other)) == 1
    assert log_lines(box, "rejected", f"account={user}", "by=reply", "line=3")


def test_reject_by_smtp_with_one_recipient(box, user):
    set_filter(box, user, 'require "ereject"; ereject "Nein, danke: für mich nicht.";')
    client = box.connect_smtp()
    with pytest.raises(smtplib.SMTPDataError) as error:
        client.sendmail("s@example.net", [user], bytes(make_message()))
    assert error.value.smtp_code == 550 and b"does not want" in error.value.smtp_error
    client.close()


def test_reject_on_the_command_line(box, user):
    set_filter(box, user, 'require "reject"; reject "Not wanted.";')
    done = run(BIN / "lda", "-c", box.conf(), "-d", user, input=b"Subject: x\n\n", check=False,
               env=box.environment())
    assert done.returncode == 77 and b"Not wanted." in done.stderr


# --- what goes out by a relay

@pytest.fixture(scope="module")
def relayed():
    with Exim() as relay, Instance(relay=relay.address(), settings=RELAY) as i:
        i.relay = relay
        yield i


@pytest.fixture
def owner(relayed):
    return relayed.add_account(f"owner{next(counter)}@example.org")


def flushed(i):
    """Nothing waits in the spool any more."""
    wait_for(lambda: i.admin_json("queue", "list") in ([], {"messages": []}), "the spool to empty")


def sent(i, *words):
    """What the relay got and has these bytes in it."""
    return [m for m, raw in zip(i.relay.received(), i.relay.received_raw())
            if all(w.encode() in raw for w in words)]


VACATION = ('require ["vacation","vacation-seconds"];\n'
            'vacation :subject "Bin weg: Grüße" :addresses ["alias@example.org"] '
            '"Ich bin nicht da, schöne Grüße.";\n')


def test_vacation_once_for_each_sender(relayed, owner):
    i = relayed
    set_filter(i, owner, VACATION)
    for sender in ("x1@example.net", "x1@example.net", "x2@example.net"):
        i.deliver(owner, sender=sender, subject="hello")
    wait_for(lambda: len(sent(i, "auto-replied", owner)) >= 2, "two answers")
    flushed(i)
    answers = sent(i, "auto-replied", owner)
    assert sorted(m["To"] for m in answers) == ["x1@example.net", "x2@example.net"]
    for m in answers:
        assert m["Return-path"] == "<>" and m["From"] == owner
        assert m["Subject"] == "Bin weg: Grüße"
        assert m["Auto-Submitted"].startswith("auto-replied")
        assert m["In-Reply-To"] and m["References"].split()[-1] == m["In-Reply-To"]
        assert m.get_content() == "Ich bin nicht da, schöne Grüße.\n"
    assert len(named(i, owner, "hello")) == 3
    assert log_lines(i, "not-answered", f"account={owner}", "reason=told-lately")


@pytest.mark.parametrize("sender,fields,reason", [
    ("", {}, "null-sender"),
    ("list@example.net", {"List_Id": "<l.example.net>"}, "list-or-bulk"),
    ("many@example.net", {"Precedence": "bulk"}, "list-or-bulk"),
    ("robot@example.net", {"Auto_Submitted": "auto-generated"}, "auto-submitted"),
    ("owner-l@example.net", {}, "system-sender"),
    ("away@example.net", {"X_Auto_Response_Suppress": "DR, OOF"}, "suppressed-by-sender"),
    ("bcc@example.net", {"to": "somebody@else.example"}, "not-addressed"),
    ("ME", {}, "own-address"),
])
def test_vacation_is_silent(relayed, owner, sender, fields, reason):
    i = relayed
    set_filter(i, owner, VACATION)
    fields = dict(fields)
    message = make_message(fields.pop("to", owner), subject="quiet", **fields)
    i.deliver(owner, bytes(message), sender=owner if sender == "ME" else sender)
    assert len(named(i, owner, "quiet")) == 1
    wait_for(lambda: log_lines(i, "not-answered", f"account={owner}", f"reason={reason}"), reason)
    assert not log_lines(i, "answered", f"account={owner}")


def test_vacation_answers_for_an_alias(relayed, owner):
    i = relayed
    set_filter(i, owner, VACATION)
    i.deliver(owner, bytes(make_message("alias@example.org")), sender="al@example.net")
    wait_for(lambda: sent(i, "auto-replied", owner), "the answer")


def test_redirect_and_its_loop(relayed, owner):
    i = relayed
    set_filter(i, owner, 'require "copy"; redirect :copy "far@example.net";')
    i.deliver(owner, sender="s@example.net", subject="onward")
    wait_for(lambda: sent(i, "Subject: onward"), "the redirect")
    m, = sent(i, "Subject: onward")
    assert m["Return-path"] == "<s@example.net>"
    assert "far@example.net" in m["Envelope-to"]
    assert m["X-Sanger-Redirected"] == owner
    assert len(m.get_all("Return-path")) == 1
    # it comes back: kept, and not sent round again
    set_filter(i, owner, 'redirect "far@example.net";')
    raw, = [r for r in i.relay.received_raw() if b"Subject: onward" in r]
    i.deliver(owner, raw.replace(b"\n", b"\r\n"), sender="s@example.net")
    assert len(named(i, owner, "onward")) == 2
    flushed(i)
    assert len(sent(i, "Subject: onward")) == 1
    assert log_lines(i, "not-redirected", f"account={owner}", "reason=redirected-before")


def test_redirect_of_a_bounce_keeps_the_null_sender(relayed, owner):
    i = relayed
    set_filter(i, owner, 'redirect "far@example.net";')
    i.deliver(owner, sender="", subject="bounce of mine")
    wait_for(lambda: sent(i, "Subject: bounce of mine"), "the redirect")
    assert sent(i, "Subject: bounce of mine")[0]["Return-path"] == "<>"
    assert not texts(i, owner)


def test_redirect_to_oneself_is_inbox(relayed, owner):
    set_filter(relayed, owner, f'redirect "{owner}";')
    relayed.deliver(owner, subject="to myself")
    assert len(named(relayed, owner, "to myself")) == 1


def test_a_redirect_is_not_doubled_by_a_retry(relayed, owner):
    """The copy cannot be written, the redirect is in the spool: the relay comes again, after a kill."""
    i = relayed
    i.deliver(owner, subject="the tree is there")
    set_filter(i, owner, 'require ["copy","fileinto"];\nredirect :copy "twice@example.net"; '
               'fileinto "Broken";')
    message = bytes(make_message(owner, subject="not twice"))
    broken = i.maildir(owner, "Broken")
    broken.mkdir()
    for sub in ("tmp", "cur"):
        (broken / sub).mkdir()
    (broken / "new").write_text("in the way")
    i.own(broken)
    for _ in range(2):
        with pytest.raises(smtplib.SMTPException):
            i.deliver(owner, message)
        i.kill("lda")
        i.start_one("lda")
    (broken / "new").unlink()
    (broken / "new").mkdir()
    i.own(broken)
    i.deliver(owner, message)
    assert len(named(i, owner, "not twice", "Broken")) == 1
    wait_for(lambda: sent(i, "Subject: not twice"), "the redirect")
    flushed(i)
    assert len(sent(i, "Subject: not twice")) == 1


def test_reject_of_several_by_smtp_is_a_message(relayed, owner):
    i = relayed
    set_filter(i, owner, 'require "reject"; reject "Not today, für niemand.";')
    other = i.add_account(f"other-of-{owner}")
    client = i.connect_smtp()
    client.sendmail("refused@example.net", [owner, other], bytes(make_message(subject="both")))
    client.sendmail("", [owner, other], bytes(make_message(subject="both again")))
    client.quit()
    wait_for(lambda: sent(i, "auto-replied (rejected)", owner), "the refusal")
    flushed(i)
    m, = sent(i, "auto-replied (rejected)", owner)
    assert m["To"] == "refused@example.net" and m["Return-path"] == "<>"
    assert m.get_content_type() == "multipart/report"
    assert m.get_param("report-type") == "disposition-notification"
    text, report, header = m.iter_parts()
    assert "Not today, für niemand." in text.get_content()
    assert report.get_content_type() == "message/disposition-notification"
    assert "Subject: both" in header.get_content()
    assert len(texts(i, other)) == 2
    assert [b"both again" in t for t in texts(i, owner)] == [True], "nobody could be told of it"


def test_a_refusal_that_cannot_be_sent_is_not_taken():
    """The report is all that becomes of the message: without it the relay has to keep it."""
    with Exim(start=False) as relay, Instance(relay=relay.address(),
                                              settings={"submitd.queue_max": "1"}) as i:
        ann = i.add_account("ann@example.org")
        bob = i.add_account("bob@example.org")
        set_filter(i, ann, 'require "reject"; reject "No.";')
        client = i.connect_submission(bob)
        client.sendmail(bob, ["x@example.net"], bytes(make_message()))  # the spool is full now
        client.close()
        client = i.connect_smtp()
        with pytest.raises(smtplib.SMTPDataError) as error:
            client.sendmail("s@example.net", [ann, bob], bytes(make_message()))
        assert error.value.smtp_code == 451
        client.close()
        assert not texts(i, ann) and not texts(i, bob), "all of it comes again"
        i.kill("submitd")
        i.admin("queue", "delete", "--all")

        def taken():
            with i.connect_smtp() as client, contextlib.suppress(smtplib.SMTPDataError):
                client.sendmail("s@example.net", [ann, bob], bytes(make_message()))
                return True

        wait_for(taken, "lda to count the spool's messages anew")
        assert not texts(i, ann) and len(texts(i, bob)) == 1
        assert [m["recipients"][0]["address"] for m in i.admin_json("queue", "list")] == ["s@example.net"]


def test_notify_by_mail(relayed, owner):
    i = relayed
    set_filter(i, owner, 'require "enotify";\n'
               'notify :importance "1" :message "You have mail" "mailto:phone@example.net";\n')
    i.deliver(owner, subject="alarm")
    i.deliver(owner, subject="robot", Auto_Submitted="auto-notified")
    wait_for(lambda: sent(i, "auto-notified", owner), "the notification")
    flushed(i)
    m, = sent(i, "auto-notified", owner)
    assert m["To"] == "phone@example.net" and m["Subject"] == "You have mail"
    assert m["Return-path"] == "<>" and m["Importance"] == "high"
    assert f'owner-email="{owner}"' in m["Auto-Submitted"]
    assert "alarm" in m.get_content()


def test_report_of_abuse(relayed, owner):
    i = relayed
    set_filter(i, owner, 'require ["vnd.dovecot.report", "fileinto"];\n'
               'report "abuse" "This is spam." "Desk <abuse@example.net>"; fileinto "Junk";\n')
    i.deliver(owner, sender="spammer@example.net", subject="buy")
    wait_for(lambda: sent(i, "feedback-report", owner), "the report")
    flushed(i)
    m, = sent(i, "feedback-report", owner)
    assert m["To"] == "Desk <abuse@example.net>" and m["Subject"] == "Report: buy"
    assert m["Return-path"] == "<>" and m["From"] == owner
    text, feedback, original = m.iter_parts()
    assert text.get_content() == "This is spam.\n"
    assert feedback.get_content_type() == "message/feedback-report"
    assert original.get_content_type() == "message/rfc822"
    assert original.get_payload(0)["Subject"] == "buy"
    assert len(texts(i, owner, "Junk")) == 1
    # no report of a report: two accounts that report to each other would go on for ever
    raw, = [r for r in i.relay.received_raw() if b"feedback-report" in r and owner.encode() in r]
    i.deliver(owner, raw.replace(b"\n", b"\r\n"), sender="")
    assert log_lines(i, "not-answered", f"account={owner}", "what=report", "reason=auto-submitted")
    assert len(texts(i, owner, "Junk")) == 2


def test_fcc_keeps_what_was_sent(relayed, owner):
    i = relayed
    set_filter(i, owner, 'require ["vacation","fcc","mailbox","imap4flags"];\n'
               'vacation :fcc "Sent answers" :create :flags "\\\\Seen" "Away.";\n')
    i.deliver(owner, sender="fcc@example.net")
    kept = wait_for(lambda: texts(i, owner, "Sent answers"), "the copy")
    assert len(kept) == 1 and b"To: fcc@example.net\n" in kept[0] and b"Away." in kept[0]
    assert i.files(owner, "Sent answers")[0].name.endswith(":2,S")


def test_exim_mail_and_deliver(relayed, owner):
    i = relayed
    set_filter(i, owner, '# Exim filter\n'
               'unseen deliver onward@example.net\n'
               'mail to $reply_address subject "Re: $h_subject:" text "Thank you." '
               'bcc "hidden@example.net" once $home/once once_repeat 2d\n')
    for _ in range(2):
        i.deliver(owner, sender="asker@example.net",
                  message=bytes(make_message(owner, sender="Asker <asker@example.net>",
                                             subject="question")))
    wait_for(lambda: len(sent(i, "Subject: question", "onward@example.net")) == 2, "both copies")

    def told():
        return sorted(a for m in sent(i, "Thank you.", owner) for a in m["Envelope-to"].split(", "))
    wait_for(lambda: len(told()) >= 2, "the answer to both")
    flushed(i)
    assert told() == ["asker@example.net", "hidden@example.net"]
    for m in sent(i, "Thank you.", owner):
        assert m["Subject"] == "Re: question" and "asker@example.net" in m["To"]
        assert m["Bcc"] is None
    assert len(named(i, owner, "question")) == 2


def test_dsn_goes_along_or_is_answered(relayed, owner):
    """NOTIFY=SUCCESS: the copy here is reported, or a redirect takes the wish along."""
    i = relayed
    set_filter(i, owner, 'require "envelope-dsn"; require "envelope";\n'
               'if not envelope :is "notify" "SUCCESS" { discard; }\n'
               'if not envelope :is "envid" "the id" { discard; }\n')

    def send():
        client = i.connect_lmtp()
        client.ehlo_or_helo_if_needed()
        assert client.has_extn("dsn")
        assert client.mail("asks@example.net", ["ret=HDRS", "envid=the+20id"])[0] == 250
        assert client.rcpt(owner, ["notify=SUCCESS",
                                   "orcpt=rfc822;alias+2Bx@example.org"])[0] == 250
        assert client.data(bytes(make_message(owner, subject="certified")))[0] == 250
        client.quit()
    send()
    assert len(named(i, owner, "certified")) == 1
    wait_for(lambda: sent(i, "delivery-status", owner), "the report")
    m, = sent(i, "delivery-status", owner)
    assert m["To"] == "asks@example.net" and m["Return-path"] == "<>"
    text, status, header = m.iter_parts()
    per_message, per_rcpt = status.get_payload()
    assert per_message["Original-Envelope-Id"] == "the id"
    assert per_rcpt["Original-Recipient"] == "rfc822;alias+x@example.org"
    assert per_rcpt["Action"] == "delivered" and per_rcpt["Status"].startswith("2.")
    assert "Subject: certified" in header.get_content()
    # Exim at the other end says DSN too, so it is the one to report
    set_filter(i, owner, 'redirect "certified@example.net";')
    send()
    wait_for(lambda: "certified@example.net" in i.relay.log(), "the redirect")
    flushed(i)
    assert len([r for r in sent(i, "delivery-status", owner)
                if "delivered to the mailbox" in str(r)]) == 1
