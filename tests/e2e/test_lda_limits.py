"""What lda refuses or lets go no further: loops, messages that come twice, and answers that would go round."""

import concurrent.futures
import contextlib
import re
import socketserver
import threading

import pytest

from sanger import BIN, Instance, make_message, run, wait_for

ANN, BOB = "ann@example.org", "bob@example.org"


def answer(i, message, *rcpts, door="connect_lmtp", sender="s@example.net"):
    client = getattr(i, door)()
    client.ehlo_or_helo_if_needed()
    client.mail(sender)
    for rcpt in rcpts:
        assert client.rcpt(rcpt)[0] == 250
    code, text = client.data(message)
    client.close()
    return code, text


def hops(count, to=ANN):
    return b"Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n" * count + bytes(
        make_message(to))


# --- loops

@pytest.fixture(scope="module")
def box():
    with Instance(settings={"lda.hops_max": "30", "lda.duplicate_window": "1h",
                            "lda.delivered_to": "yes"}) as i:
        i.add_account(ANN)
        i.add_account(BOB)
        yield i


def test_too_many_hops(box):
    assert answer(box, hops(30), ANN)[0] == 250
    code, text = answer(box, hops(31), ANN)
    assert (code, text[:5]) == (554, b"5.4.6")
    assert answer(box, hops(31), ANN, door="connect_smtp")[0] == 554
    assert b"loop" in text and "reason=too-many-hops" in box.log()


def test_delivered_before(box):
    """What lda has put on top comes back with another hop above it."""
    who = box.add_account("once@example.org")
    box.deliver(who)
    [path] = box.files(who)
    stored = path.read_bytes()
    assert stored.count(b"\nDelivered-To: once@example.org\n") == 1
    again = (b"Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\n" + stored).replace(
        b"\n", b"\r\n")
    code, text = answer(box, again, who)
    assert (code, text[:5]) == (554, b"5.4.6")
    assert answer(box, again, BOB)[0] == 250  # another recipient
    # on the very top it is the hand that gives the message now: Postfix, flags=D
    assert answer(box, b"Delivered-To: once@example.org\r\n" + bytes(make_message(who)),
                  who)[0] == 250


class Store(socketserver.StreamRequestHandler):
    """A relay that brings everything straight back to lda, with a hop of its own."""

    def handle(self):
        self.wfile.write(b"220 back.example.net\r\n")
        mail, to = None, []
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            verb = line.split()[0].upper()
            if verb == "EHLO":
                self.wfile.write(b"250-back.example.net\r\n250 8BITMIME\r\n")
                continue
            if verb == "MAIL":
                mail, to = re.search("<(.*?)>", line).group(1), []
            elif verb == "RCPT":
                to.append(re.search("<(.*?)>", line).group(1))
            elif verb == "DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (data := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(data[1:] if data.startswith(b".") else data)
                hop = b"Received: from x by back; Thu, 1 Jan 2026 00:00:00 +0000\r\n"
                self.server.gone.append(b"".join(lines))
                self.server.codes.append(
                    answer(self.server.store, hop + b"".join(lines), *to, sender=mail)[0])
            elif verb == "QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 2.0.0 fine\r\n")


@contextlib.contextmanager
def instance_with_relay_back(settings=()):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Store) as back:
        back.daemon_threads, back.codes, back.gone = True, [], []
        threading.Thread(target=back.serve_forever, daemon=True).start()
        with Instance(relay=f"127.0.0.1:{back.server_address[1]}",
                      settings={"submitd.relay_tls": "none", **dict(settings)}) as i:
            back.store = i
            yield i, back
        back.shutdown()


@pytest.mark.parametrize("window", ["0", "1d"])
def test_redirects_that_loop_end_in_inbox(window):
    """One round, and the message is kept: also where each message is taken only once."""
    script = (b'require "editheader"; deleteheader "X-Sanger-Redirected"; deleteheader "Received";\n'
              b'redirect "%s";\n')
    with instance_with_relay_back({"lda.duplicate_window": window}) as (i, back):
        for who, other in ((ANN, BOB), (BOB, ANN), ("cid@example.org", "me@example.org")):
            i.add_account(who)
            i.admin("filter", "set", who, "-", input=script % other.encode())
        i.admin("alias", "add", "cid@example.org", "me@example.org")
        i.deliver(ANN)
        wait_for(lambda: len(back.codes) == 2, "the message to come back")
        assert back.codes == [250, 250] and i.files(ANN) and not i.files(BOB)
        assert "reason=redirected-before" in i.log()
        # to an alias of oneself
        message = bytes(make_message("cid@example.org"))
        i.deliver("cid@example.org", message)
        wait_for(lambda: len(back.codes) == 3, "the message to come back")
        assert len(i.files("cid@example.org")) == 1
        # what the relay brings twice, because it did not hear the answer
        i.deliver("cid@example.org", back.gone[-1])
        assert len(i.files("cid@example.org")) == (2 if window == "0" else 1)


# --- duplicates

def test_the_same_message_comes_once(box):
    who = box.add_account("dup@example.org")
    message = bytes(make_message(who, subject="one"))
    for n in range(3):  # the ways differ, the message does not
        hop = b"Received: from h%d by b; Thu, 1 Jan 2026 00:00:00 +0000\r\nX-Spam-Score: %d\r\n"
        assert answer(box, hop % (n, n) + message, who)[0] == 250
    assert answer(box, message, who, door="connect_smtp")[0] == 250
    done = run(BIN / "lda", "-c", box.conf(), "-d", who, input=message.replace(b"\r\n", b"\n"),
               check=False)
    assert done.returncode == 0
    assert len(box.files(who)) == 1
    assert "duplicate account=dup@example.org" in box.log()
    # what differs is kept, whatever its Message-ID says; so is what has none
    assert answer(box, message.replace(b"Hello.", b"Goodbye."), who)[0] == 250
    assert answer(box, message.replace(b"Subject: one", b"Subject: [list] one"), who)[0] == 250
    bare = re.sub(rb"Message-ID: .*\r\n", b"", message)
    assert answer(box, bare, who)[0] == answer(box, bare, who)[0] == 250
    assert len(box.files(who)) == 5
    # another account has its own memory, and aliases of one share it
    assert answer(box, message, BOB)[0] == 250
    assert answer(box, bytes(make_message(who, subject="two")), who, "dup+x@example.org",
                  door="connect_smtp")[0] == 250
    assert len(box.files(who)) == 6


def test_the_same_message_at_once(box):
    who = box.add_account("dup2@example.org")
    message = bytes(make_message(who))
    for _ in range(4):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(lambda n: answer(
                box, message, who, door="connect_smtp" if n % 2 else "connect_lmtp")[0], range(8)))
        assert set(codes) <= {250, 451} and 250 in codes
    assert len(box.files(who)) == 1


def test_a_refused_message_is_not_remembered(box):
    who = box.add_account("dup3@example.org")
    message = bytes(make_message(who))
    box.admin("filter", "set", who, "-", input=b'require "reject"; reject "no";\n')
    assert answer(box, message, who)[0] == 550
    box.admin("filter", "set", who, "-", input=b"keep;\n")
    assert answer(box, message, who)[0] == 250
    assert len(box.files(who)) == 1


def test_off_by_default():
    with Instance() as i:
        i.add_account(ANN)
        message = bytes(make_message(ANN))
        i.deliver(ANN, message)
        i.deliver(ANN, message)
        assert len(i.files(ANN)) == 2


# --- answers

@pytest.mark.parametrize("fields, kept", [
    ({}, False),
    ({"List-Id": "<x.example>"}, True),
    ({"Precedence": "bulk"}, True),
    ({"Auto-Submitted": "auto-replied"}, True),
])
def test_refusals_by_message_follow_rfc3834(box, fields, kept):
    """By SMTP with two recipients a refusal is a message: to lists and robots there is none, and the mail is kept."""
    who = "refuse@example.org"
    if who not in box.accounts:
        box.add_account(who)
        box.admin("filter", "set", who, "-", input=b'require "reject"; reject "no";\n')
    before = len(box.files(who))
    assert answer(box, bytes(make_message(who, **fields)), who, BOB, door="connect_smtp")[0] == 250
    assert len(box.files(who)) - before == kept
