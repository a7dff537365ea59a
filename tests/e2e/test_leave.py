"""Users who have left: who writes to them is answered, once, and nothing is kept."""

import shutil
import smtplib

import pytest

from relay import Relay
from sanger import BIN, Instance, make_message, run, temp_dir, wait_for

pytestmark = pytest.mark.once

SETTINGS = {"submitd.relay_tls": "none", "submitd.retry_first": "1s"}


@pytest.fixture(scope="module")
def relay():
    with Relay() as r:
        yield r


@pytest.fixture(scope="module")
def box(relay):
    with Instance(relay=relay.address(), settings=SETTINGS) as i:
        yield i


def send(box, to, sender, text=None, **fields):
    message = make_message(to=to, sender=sender or "x@example.net", **fields)
    if text is not None:
        for name, value in text.items():
            message[name] = value
    client = box.connect_lmtp()
    try:
        client.sendmail(sender, [to], message.as_bytes())
    finally:
        client.close()


def logged(box, event, *words):
    return [line for line in box.log().splitlines()
            if f" {event} " in line and all(word in line for word in words)]


def test_an_answer_in_place_of_a_delivery(box, relay):
    ann = box.add_account("ann@example.org", realname='Ann "Ä" Smith')
    box.admin("alias", "add", ann, "info@example.org")
    box.admin("account", "leave", ann, "--text", "Please write to bob@${domain}.")
    account = box.admin_json("account", "show", ann)
    assert account["active"] is False and account["leave_text"].startswith("Please")
    send(box, ann, "s1@example.net", subject="Grüße")
    (mail, answer), = relay.wait_to("s1@example.net")
    assert "FROM:<>" in mail.upper()
    body = answer.get_payload(decode=True).decode().replace("\r\n", "\n")
    assert body.startswith('Ann "Ä" Smith no longer reads mail at ann@example.org.\n')
    assert "\n\nPlease write to bob@example.org.\n\n" in body
    assert answer["Auto-Submitted"].startswith("auto-replied")
    assert answer["In-Reply-To"] and answer["References"] and answer["Bcc"] is None
    assert "<ann@example.org>" in answer["From"] and answer["To"] == "s1@example.net"
    # once for each sender, however often and by which address
    send(box, ann, "s1@example.net", subject="again")
    send(box, "info@example.org", "S1@example.net", subject="and again")
    send(box, "info@example.org", "s2@example.net")
    relay.wait_to("s2@example.net")
    assert len(relay.to("s1@example.net")) == 1
    assert len(logged(box, "not-answered", "what=left", "reason=told-lately")) == 2
    assert len(logged(box, "left", f"account={ann}")) == 4
    assert box.files(ann) == []


@pytest.mark.parametrize("sender, fields, reason", [
    ("", {}, "null-sender"),
    ("l1@example.net", {"List-Id": "<x.example.net>"}, "list-or-bulk"),
    ("l2@example.net", {"Precedence": "bulk"}, "list-or-bulk"),
    ("l3@example.net", {"Auto-Submitted": "auto-generated"}, "auto-submitted"),
    ("owner-x@example.net", {}, "system-sender"),
    ("cy+x@example.org", {}, "own-address"),
])
def test_who_is_not_answered(box, relay, sender, fields, reason):
    cy = "cy@example.org"
    if cy not in box.accounts:
        box.add_account(cy)
        box.admin("leave", cy)
    send(box, cy, sender, fields)
    assert logged(box, "not-answered", f"account={cy}", f"from={sender}" if sender else "",
                  f"reason={reason}")
    assert relay.to(sender) == [] and box.files(cy) == []


def test_template_clear_and_return(box, relay):
    dan = box.add_account("dan@example.org")
    template = box.temp / "left.txt"
    template.write_text("Subject: ${localpart} ist fort\n\nSchöne Grüße: ${text}\n")
    template.chmod(0o600)
    box.admin("leave", dan, "--template", template, "--text", "-", input=b"tsch\xc3\xbcs\n")
    send(box, dan, "t1@example.net")
    (_, answer), = relay.wait_to("t1@example.net")
    assert answer["Subject"] == "dan ist fort"
    assert answer.get_payload(decode=True).decode().split() == ["Schöne", "Grüße:", "tschüs"]
    # another text is another answer
    box.admin("leave", dan, "--text", "anew")
    send(box, dan, "t1@example.net", subject="second")
    wait_for(lambda: len(relay.to("t1@example.net")) == 2, "the second answer")
    # without a text: refused
    box.admin("leave", dan, "--clear")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as e:
        send(box, dan, "t2@example.net")
    assert e.value.recipients[dan][0] == 550 and b"5.2.1" in e.value.recipients[dan][1]
    assert box.admin_json("account", "show", dan)["leave_text"] is None
    # back again
    box.admin("leave", dan, "--text", "gone")
    box.admin("account", "set", dan, "--active", "yes")
    send(box, dan, "t3@example.net", subject="back")
    assert len(box.files(dan)) == 1 and relay.to("t3@example.net") == []
    for bad in (["--clear", "--text", "x"], ["--template", "-", "--text", "-"]):
        assert box.admin("leave", dan, *bad, check=False).returncode == 64
    for bad in (["--text", " "], ["--template", "/nonexistent"]):
        assert box.admin("leave", dan, *bad, check=False).returncode == 1


def test_no_receipt_that_lies(box, relay):
    fay = box.add_account("fay@example.org")
    box.admin("leave", fay)
    with box.connect_lmtp() as client:
        client.ehlo_or_helo_if_needed()
        client.mail("dsn@example.net")
        assert client.rcpt(fay, ["NOTIFY=SUCCESS"])[0] == 250
        client.data(make_message(to=fay, subject="Any news?").as_bytes())
    (_, answer), = relay.wait_to("dsn@example.net")
    assert answer["Subject"] == "Auto: Any news?"
    assert answer.get_content_type() == "text/plain"


def test_the_administrators_template(relay):
    """By all doors; mail for several by one answer."""
    place = temp_dir()
    template = place / "left.txt"
    template.write_text("Subject: ${address} closed\n\nThe house says: ${text}\n")
    template.chmod(0o644)
    settings = dict(SETTINGS, **{"lda.leave_template": str(template)})
    with Instance(relay=relay.address(), settings=settings) as i:
        gus, hal = i.add_account("gus@example.org"), i.add_account("hal@example.org")
        i.admin("account", "leave", gus, "--text", "Bye.")
        client = i.connect_smtp()
        client.sendmail("h1@example.net", [gus, hal], make_message(to=gus).as_bytes())
        client.close()
        (_, answer), = relay.wait_to("h1@example.net")
        assert answer["Subject"] == "gus@example.org closed"
        assert answer.get_payload(decode=True).decode().strip() == "The house says: Bye."
        assert len(i.files(hal)) == 1 and i.files(gus) == []
        done = run(BIN / "lda", "-c", i.conf(), "-d", gus, "-f", "h2@example.net", check=False,
                   input=make_message(to=gus).as_bytes())
        assert done.returncode == 0
        relay.wait_to("h2@example.net")
        assert i.files(gus) == []
        # the story of it
        assert "told-lately" not in i.admin("why", gus)
        send(i, gus, "h2@example.net")
        wait_for(lambda: "told-lately" in i.admin("why", gus), "the story")
    shutil.rmtree(place)


def test_a_spool_that_takes_no_answer_puts_the_message_off(relay):
    """Nobody is told that a message was taken whose answer is lost."""
    with Instance(relay=relay.address(), settings=SETTINGS) as i:
        ida = i.add_account("ida@example.org")
        i.admin("account", "leave", ida)
        spool = i.dir / "spool"
        moved = i.dir / "spool.away"
        i.stop()
        spool.rename(moved)
        spool.write_text("no directory")
        done = run(BIN / "lda", "-c", i.conf(), "-d", ida, "-f", "i1@example.net", check=False,
                   input=make_message(to=ida).as_bytes())
        assert done.returncode == 75, done
        spool.unlink()
        moved.rename(spool)
        i.start()
        send(i, ida, "i1@example.net")
        relay.wait_to("i1@example.net")
