"""Scripts that IMAP runs: events (RFC 6785) and FILTER, with a real relay, two clients and things that go wrong."""

import email.policy
import os
import re
import shutil
import threading

import pytest

from dovecot import Dovecot
from relay import Relay
from sanger import Instance, make_message, temp_dir, wait_for

LEARN = """require ["imapsieve", "environment", "copy", "imap4flags", "variables", "editheader"];
if environment :matches "imap.user" "*" { set "who" "${1}"; }
if environment :matches "imap.cause" "*" { set "cause" "${1}"; }
if environment :is "imap.cause" "COPY" {
  addheader "X-Learnt-From" "${who}";
  redirect :copy "learn-spam@example.net";
  addflag "$Learnt";
}
"""


@pytest.fixture(scope="module")
def relay():
    with Relay() as r:
        yield r


@pytest.fixture(scope="module")
def box(relay):
    scripts = temp_dir()
    scripts.chmod(0o755)
    (scripts / "everyone.sieve").write_text('require "imap4flags"; addflag "$Global";')
    with Instance(relay=relay.address(), settings={
            "submitd.relay_tls": "none", "submitd.retry_first": "1s",
            "submitd.rate_messages_hour": "25", "filter.global_dir": scripts,
            "imapd.server_admin": "mailto:postmaster@example.org"}) as i:
        yield i
    shutil.rmtree(scripts)


counter = iter(range(1000))


@pytest.fixture
def user(box):
    return box.add_account(f"user{next(counter)}@example.org")


def put(box, user, name, text):
    box.admin("filter", "put", user, name, "-", input=text.encode())


def setmetadata(client, mailbox, script):
    typ, data = client.xatom("SETMETADATA", mailbox, f'(/shared/imapsieve/script "{script}")')
    assert typ == "OK", data


def flags(client):
    typ, data = client.uid("FETCH", "1:*", "(FLAGS)")
    assert typ == "OK"
    return [d.decode() for d in data if d]


def message(subject):
    return make_message(subject=subject).as_bytes(policy=email.policy.SMTP)


def append(client, mailbox, subject, count=1):
    for _ in range(count):
        assert client.append(mailbox, None, None, message(subject))[0] == "OK"


# imaplib knows the commands that it knows.
def commands(client):
    import imaplib
    for name in ("SETMETADATA", "GETMETADATA", "FILTER"):
        imaplib.Commands.setdefault(name, ("AUTH", "SELECTED"))
    return client


def connect(box, user):
    return commands(box.connect_imap(user))


def test_what_is_moved_to_junk_is_sent_to_be_learnt(box, user, relay):
    put(box, user, "learn", LEARN)
    one, two = connect(box, user), connect(box, user)
    setmetadata(one, "Junk", "learn")
    append(one, "INBOX", "Pills", 3)
    one.select("INBOX")
    two.select("Junk")
    assert one.uid("MOVE", "1:2", "Junk")[0] == "OK"
    # the other client sees message and flag, and the moved mail has gone from here
    two.noop()
    assert len([f for f in flags(two) if "$Learnt" in f]) == 2
    one.noop()
    assert len(flags(one)) == 1
    got = relay.wait_to("learn-spam@example.net")
    wait_for(lambda: len(relay.to("learn-spam@example.net")) == 2, "both")
    for mail, sent in got:
        assert f"<{user}>" in mail  # the mailbox's owner, RFC 6785 §3.4
        assert sent["X-Learnt-From"] == user
        assert sent["X-Sanger-Redirected"] == user
        assert sent["Subject"] == "Pills"
    # messages do not change
    two.select("Junk")
    typ, data = two.uid("FETCH", "1", "(BODY.PEEK[])")
    assert b"X-Learnt-From" not in data[0][1]
    # what comes back is not sent again
    append(one, "INBOX", "Pills")
    came_back = message("Back").replace(
        b"Subject:", f"X-Sanger-Redirected: {user}\r\nSubject:".encode(), 1)
    assert one.append("INBOX", None, None, came_back)[0] == "OK"
    one.select("INBOX")
    uid = one.uid("SEARCH", "SUBJECT", "Back")[1][0].decode()
    assert one.uid("MOVE", uid, "Junk")[0] == "OK"
    two.noop()
    assert len(flags(two)) == 3
    assert not [m for _, m in relay.to("learn-spam@example.net") if m["Subject"] == "Back"]


def test_redirects_count_as_sent_and_a_refusal_costs_nothing(box, user, relay):
    put(box, user, "all", 'require ["imapsieve", "copy"]; redirect "elsewhere@example.net";')
    client = connect(box, user)
    client.create("Out")
    setmetadata(client, "Out", "all")
    append(client, "Out", "Bulk", 30)
    client.select("Out")
    marked = ["\\Deleted" in f for f in flags(client)]
    assert marked == [True] * 25 + [False] * 5
    errors = box.admin_json("filter", "show", user)["errors"]
    assert any("sent too much" in e["message"] for e in errors), errors


def test_many_messages_leave_room_for_others(box, user):
    """A script over hundreds of messages goes on in slices; what one session does, the next finds done."""
    put(box, user, "mark", 'require ["imapsieve", "imap4flags"]; addflag "$Marked";')
    one, two = connect(box, user), connect(box, user)
    one.create("Many")
    append(one, "INBOX", "Many", 20)
    one.select("INBOX")
    for _ in range(3):
        assert one.copy("1:*", "INBOX")[0] == "OK"
        one.noop()
    setmetadata(one, "Many", "mark")
    done = []
    copying = threading.Thread(target=lambda: done.append(one.copy("1:*", "Many")))
    copying.start()
    assert two.noop()[0] == "OK"
    copying.join(60)
    assert done[0][0] == "OK"
    two.select("Many")
    assert len(flags(two)) == 160 and all("$Marked" in f for f in flags(two))


def test_errors_are_kept_and_mail_stays(box, user):
    put(box, user, "wrong", 'require ["imapsieve", "envelope"]; if envelope "from" "x" { discard; }')
    client = connect(box, user)
    client.create("Box")
    setmetadata(client, "Box", "wrong")
    append(client, "Box", "Stays")
    client.select("Box")
    assert "\\Deleted" not in flags(client)[0]
    errors = box.admin_json("filter", "show", user)["errors"]
    assert any("envelope" in e["message"] and '"wrong"' in e["message"] for e in errors), errors


def test_filter_redirects_and_notifies(box, user, relay):
    client = connect(box, user)
    append(client, "INBOX", "Notify me")
    client.select("INBOX")
    script = """require ["enotify", "copy"]; redirect :copy "filtered@example.net";
        notify :message "seen" "mailto:pager@example.net";""".replace("\n", " ").replace('"', '\\"')
    typ, data = client.xatom("FILTER", "SIEVE", "SCRIPT", f'"{script}"', "ALL")
    assert typ == "OK", data
    assert relay.wait_to("filtered@example.net")[0][1]["Subject"] == "Notify me"
    assert relay.wait_to("pager@example.net")[0][1]["Subject"] == "seen"


def test_the_administrator_sees_and_sets_annotations(box, user):
    box.admin("mailbox", "annotate", user, "Junk", "/shared/imapsieve/script", "learn")
    box.admin("mailbox", "annotate", user, "server", "/private/comment", "hello")
    client = connect(box, user)
    typ, data = client.xatom("GETMETADATA", "Junk", "/shared/imapsieve/script")
    assert client.response("METADATA")[1] == [b'Junk (/shared/imapsieve/script "learn")']
    rows = box.admin_json("mailbox", "annotations", user)
    assert [(r["mailbox"], r["entry"], r["value"]) for r in rows] == [
        ("server", "/private/comment", "hello"), ("Junk", "/shared/imapsieve/script", "learn")]
    box.admin("mailbox", "annotate", user, "Junk", "/shared/imapsieve/script")
    assert box.admin_json("mailbox", "annotations", user, "Junk") == []
    for wrong in (("Nowhere", "/private/x", "y"), ("Junk", "/other/x", "y"), ("Junk", "/private/x/", "y")):
        assert box.admin("mailbox", "annotate", user, *wrong, check=False).returncode != 0


def test_a_global_script_is_filtered_with(box, user):
    client = connect(box, user)
    append(client, "INBOX", "One")
    client.select("INBOX")
    assert client.xatom("FILTER", "SIEVE", "GLOBAL", "everyone", "ALL")[0] == "OK"
    assert "$Global" in flags(client)[0]
    for name in ("other", '"../everyone"'):
        assert client.xatom("FILTER", "SIEVE", "GLOBAL", name, "ALL")[0] == "NO"


def test_in_a_shared_mailbox_the_owners_script_runs(box, user, relay):
    guest = box.add_account(f"guest{next(counter)}@example.org")
    put(box, user, "who", LEARN.replace("learn-spam@", "owners@"))
    put(box, guest, "who", 'require "imap4flags"; addflag "$Wrong";')
    owner, other = connect(box, user), connect(box, guest)
    owner.create("Shared")
    setmetadata(owner, "Shared", "who")
    box.admin("mailbox", "share", user, "Shared", guest, "write")
    append(other, "INBOX", "From a guest")
    other.select("INBOX")
    local = user.split("@")[0]
    assert other.copy("1", f'"Other Users/{local}/Shared"')[0] == "OK"
    mail, sent = relay.wait_to("owners@example.net")[0]
    assert f"<{user}>" in mail and sent["X-Learnt-From"] == guest
    owner.select("Shared")
    assert "$Learnt" in flags(owner)[0] and "$Wrong" not in flags(owner)[0]


def test_delivery_sees_what_clients_have_annotated(box, user):
    client = connect(box, user)
    client.create("Lists")
    assert client.xatom("SETMETADATA", "Lists", '(/private/comment "of them")')[0] == "OK"
    assert client.xatom("SETMETADATA", '""', '(/private/vendor/x/y "mine")')[0] == "OK"
    put(box, user, "active", """require ["fileinto", "mboxmetadata", "servermetadata"];
if allof (metadata :is "Lists" "/private/comment" "of them",
          servermetadata :is "/private/vendor/x/y" "mine",
          servermetadata :is "/shared/admin" "mailto:postmaster@example.org",
          not servermetadataexists "/shared/comment") { fileinto "Lists"; }
""")
    box.admin("filter", "activate", user, "active")
    box.deliver(user, subject="To the lists")
    client.select("Lists")
    assert len(flags(client)) == 1
    typ, data = client.xatom("GETMETADATA", '""', "(/shared/admin /shared/comment)")
    assert client.response("METADATA")[1] == [
        b'"" (/shared/admin "mailto:postmaster@example.org" /shared/comment NIL)']


# --- what Pigeonhole does with the same

PIGEONHOLE = """
mail_attribute_dict = file:%h/dovecot-attributes
plugin {
  sieve = file:%h/sieve;active=%h/.dovecot.sieve
  sieve_plugins = sieve_imapsieve
  imapsieve_url = sieve://mail.example.org
}
protocol imap {
  imap_metadata = yes
  mail_plugins = imap_sieve imap_filter_sieve
}
"""
SAME = r"""require ["imapsieve", "environment", "imap4flags", "fileinto", "copy", "variables"];
if environment :matches "imap.cause" "*" { set "cause" "${1}"; }
if header :contains "subject" "throw" { addflag "$Lost"; discard; stop; }
if header :contains "subject" "file" { fileinto "Filed"; stop; }
if header :contains "subject" "copy" { fileinto :copy "Filed"; }
if header :contains "subject" "here" { fileinto "Box"; stop; }
if allof (hasflag "\\Flagged", environment :contains "imap.changedflags" "\\Flagged") { addflag "$Flagged-now"; }
addflag "$saw-${cause}";
"""


def story(client):
    """What both servers are told; the flags and responses that come of it."""
    seen = []

    def look(mailbox):
        client.select(mailbox)
        typ, data = client.uid("FETCH", "1:*", "(FLAGS)")
        seen.append((mailbox, [sorted(f for f in re.search(r"FLAGS \(([^)]*)\)", d.decode())[1].split()
                                      if f != "\\Recent") for d in data if d]))

    def filtered(*args):
        client.select("Box")
        typ, data = client.xatom("FILTER", "SIEVE", *args)
        results = client.untagged_responses.pop("FILTERED", [])
        seen.append((args, typ, [r.split()[-1] for r in results if r.endswith(b" OK")]))
        look("Box")
    for name in ("Box", "Filed"):
        client.create(name)
    setmetadata(client, "Box", "same")
    append(client, "INBOX", "plain")
    append(client, "INBOX", "copy this")
    for subject in ("plain", "throw away", "file it", "copy it", "here"):
        append(client, "Box", subject)
    look("Box")
    look("Filed")
    client.select("Box")
    client.uid("STORE", "1", "+FLAGS", "(\\Flagged \\Seen)")
    client.uid("STORE", "4", "+FLAGS", "(\\Answered)")
    client.uid("STORE", "4", "+FLAGS", "(\\Flagged)")
    client.uid("STORE", "4", "-FLAGS", "($saw-APPEND)")
    client.uid("FETCH", "5", "(BODY[TEXT])")
    look("Box")
    client.select("INBOX")
    client.uid("COPY", "1", "Box")
    client.uid("MOVE", "2", "Box")
    look("Box")
    look("Filed")
    setmetadata(client, "Box", "none of that name")
    client.select("Box")
    client.uid("STORE", "1", "-FLAGS", "(\\Flagged)")
    filtered("SCRIPT", '"discard;"', "SUBJECT", "plain")
    filtered("SCRIPT", '"require [\\"imap4flags\\"]; setflag \\"$Only\\";"', "ALL")
    filtered("SCRIPT", '"nonsense;"', "ALL")
    filtered("PERSONAL", "nope", "ALL")
    return seen


@pytest.mark.once
def test_pigeonhole_does_the_same(box, user):
    put(box, user, "same", SAME)
    ours = story(connect(box, user))
    with Dovecot(extra=PIGEONHOLE) as dovecot:
        client = commands(dovecot.connect(user))
        scripts = dovecot.dir / "home" / user / "sieve"
        scripts.mkdir(parents=True, exist_ok=True)
        (scripts / "same.sieve").write_text(SAME)
        for path in (scripts.parent, scripts, scripts / "same.sieve"):
            owner = dovecot.mail.stat()
            os.chown(path, owner.st_uid, owner.st_gid)
        theirs = story(client)
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs):
        assert our == their


def test_without_a_spool_mail_stays(box, user):
    """The last one: it takes the spool away."""
    put(box, user, "all", 'require ["imapsieve"]; redirect "elsewhere@example.net";')
    client = connect(box, user)
    client.create("Out")
    setmetadata(client, "Out", "all")
    box.kill("imapd")
    (box.dir / "spool").rename(box.dir / "spool-away")
    (box.dir / "spool").write_text("in the way")
    box.start_one("imapd")
    client = connect(box, user)
    append(client, "Out", "Stays")
    client.select("Out")
    assert len(flags(client)) == 1 and "\\Deleted" not in flags(client)[0]
