"""mailadmin queue: choosing messages and changing them while submitd runs."""

import contextlib
import json
import socket
import socketserver
import sqlite3
import threading
import time

import pytest

from relay import Relay
from sanger import Instance, make_message, wait_for

pytestmark = pytest.mark.once

ANN, BOB = "ann@example.org", "bob@example.org"
FAR = {"submitd.relay_tls": "opportunistic", "submitd.retry_first": "1h", "submitd.retry_max": "1h"}


class NotNow(socketserver.StreamRequestHandler):
    """A relay that puts everything off."""

    ANSWERS = {"RCPT": b"451 4.3.0 not now\r\n", "DATA": b"503 5.5.1 no\r\n",
               "QUIT": b"221 2.0.0 bye\r\n"}

    def handle(self):
        self.wfile.write(b"220 relay.example.net\r\n")
        while line := self.rfile.readline().decode():
            self.wfile.write(self.ANSWERS.get(line[:4].upper(), b"250 fine\r\n"))


@pytest.fixture(scope="module")
def box():
    """What is submitted is tried once and stays."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), NotNow) as relay:
        relay.daemon_threads = True
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        with Instance(relay=f"127.0.0.1:{relay.server_address[1]}", settings=FAR) as i:
            i.add_account(ANN)
            i.add_account(BOB)
            yield i
        relay.shutdown()


@pytest.fixture
def filled(box):
    """Five messages, each tried once."""
    box.admin("queue", "delete", "--all")
    for account, to, subject in ((ANN, "a@one.example", "a1"), (ANN, "b@two.example", "a2"),
                                 (BOB, "c@ONE.example", "b1"), (BOB, "d@one.example", "b2")):
        submit(box, account, [to], subject)
    submit(box, BOB, ["e@two.example", "f@one.example"], "b3", sender="")
    wait_for(lambda: all(not m["claimed"] and m["recipients"][0]["attempts"] for m in queue(box)),
             "the first attempts")
    yield box


def submit(i, account, to, subject, sender=None):
    with contextlib.closing(i.connect_submission(account)) as client:
        client.sendmail(account if sender is None else sender, to,
                        bytes(make_message(sender=account, subject=subject, body=f"Body {subject}.\n")))


def queue(i, *args):
    return i.admin_json("queue", "list", *args)


def subjects(i, *args):
    found = []
    for m in queue(i, *args):
        header = i.admin("queue", "show", m["id"], "--header")
        found += [line[9:] for line in header.splitlines() if line.startswith("Subject: ")]
    return sorted(found)


def ids(i):
    """By subject."""
    return {subjects(i, m["id"])[0]: m["id"] for m in queue(i)}


@pytest.mark.parametrize("choice, found", [
    ((), "a1 a2 b1 b2 b3"),
    (("--account", "ANN@*"), "a1 a2"),
    (("--from", "bob@example.org"), "b1 b2"),
    (("--from", "<>"), "b3"),
    (("--to", "*@one.example"), "a1 b1 b2 b3"),
    (("--to", "?@two.example", "--account", "bob*"), "b3"),
    (("--older-than", "1h"), ""),
    (("--held",), ""), (("--parked",), ""), (("--relay", "elsewhere*"), "")])
def test_choice(filled, choice, found):
    assert subjects(filled, *choice) == found.split()


def test_show(filled):
    name = ids(filled)["a1"]
    header = filled.admin("queue", "show", name, "--header")
    body = filled.admin("queue", "show", name, "--body")
    assert "Subject: a1" in header and "Body a1." not in header
    assert body.replace("\r", "") == "Body a1.\n"
    whole = filled.admin("queue", "show", name, "--header", "--body").replace("\r", "")
    assert whole == header.replace("\r", "") + "\n" + body.replace("\r", "")
    assert filled.admin("queue", "show", name, "--body", "--json", check=False).returncode == 64
    assert filled.admin("queue", "show", "0000000000000000", check=False).returncode == 1


def test_summary(filled):
    by_domain = filled.admin_json("queue", "list", "--summary", "domain")
    assert [(s["domain"], s["messages"], s["recipients"]) for s in by_domain] == [
        ("one.example", 4, 4), ("two.example", 2, 2)]
    by_account = filled.admin_json("queue", "list", "--summary", "account", "--to", "*@two.example")
    assert {s["account"]: s["messages"] for s in by_account} == {ANN: 1, BOB: 1}
    assert by_account[0]["bytes"] > 100 and by_account[0]["oldest"] <= by_account[0]["newest"]
    table = filled.admin("queue", "list", "--summary", "domain")
    assert table.splitlines()[0].split()[-1] == "DOMAIN" and "one.example" in table
    assert filled.admin("queue", "list", "--summary", "mood", check=False).returncode == 64


def test_hold_and_release(filled):
    assert filled.admin("queue", "hold", "--account", BOB) == "3 messages held\n"
    assert subjects(filled, "--held") == ["b1", "b2", "b3"]
    assert filled.admin("queue", "hold", "--all") == "2 messages held\n"
    assert filled.admin("queue", "release", "--to", "*@one.example") == "4 messages released\n"
    assert subjects(filled, "--held") == ["a2"]
    assert json.loads(filled.admin("queue", "release", "--all", "--json")) == {
        "done": 1, "being_sent": 0, "gone": 0}


def test_several_ids(filled):
    names = ids(filled)
    assert filled.admin("queue", "hold", names["a1"], names["b2"]) == "2 messages held\n"
    done = filled.admin("queue", "delete", names["a1"], "0000000000000000", names["b2"], check=False)
    assert done.returncode == 1 and done.stdout == b"2 messages deleted\n"
    assert b"there is no message 0000000000000000" in done.stderr
    assert subjects(filled) == ["a2", "b1", "b3"]


def test_delete_can_be_tried_first(filled):
    shown = filled.admin_json("queue", "delete", "--from", "bob*", "--dry-run")
    assert len(shown) == 2
    assert len(queue(filled)) == 5
    assert filled.admin("queue", "delete", "--from", "bob*") == "2 messages deleted\n"
    assert subjects(filled) == ["a1", "a2", "b3"]
    for nothing_chosen in (("delete",), ("hold",), ("release",), ("reroute", "127.0.0.1:25"),
                           ("delete", "--all", "--from", "x"), ("delete", "--older-than", "soon")):
        assert filled.admin("queue", *nothing_chosen, check=False).returncode == 64
    assert len(queue(filled)) == 3


def test_reroute(filled):
    with Relay() as other:
        assert filled.admin("queue", "reroute", "no relay", "--all", check=False).returncode == 64
        assert filled.admin("queue", "reroute", other.address(), "--to", "?@two.example",
                            "--account", "ann*") == "1 message rerouted\n"
        wait_for(lambda: other.taken, "the message at the other relay")
        assert b"Subject: a2" in other.taken[0][2]
    wait_for(lambda: len(queue(filled)) == 4, "it to leave the queue")
    filled.admin("queue", "reroute", "127.0.0.1:10", ids(filled)["a1"])
    assert queue(filled, "--relay", "127.0.0.1:10")[0]["route"] == "127.0.0.1:10"
    filled.admin("queue", "reroute", "default", "--all")
    assert not queue(filled, "--relay", "127.0.0.1:10") or all(
        m["route"] is None for m in queue(filled))


def test_parked_messages(filled):
    """A double bounce is shown with its reason, and released like what is held."""
    name = ids(filled)["b3"]
    with contextlib.closing(sqlite3.connect(filled.dir / "spool" / "spool.db", timeout=60)) as db, db:
        db.execute("UPDATE message SET held = 1, parked = 'double bounce' WHERE id = ?", [name])
        db.execute("UPDATE recipient SET state = 2 WHERE message = ?", [name])
    assert [m["id"] for m in queue(filled, "--parked")] == [name]
    assert "double bounce" in filled.admin("queue", "show", name)
    assert "parked" in filled.admin("queue", "list", "--parked")
    assert filled.admin("queue", "release", "--parked") == "1 message released\n"
    assert queue(filled, "--parked") == []
    assert all(r["state"] == "pending" for r in filled.admin_json("queue", "show", name)["recipients"])


def test_what_is_being_sent_stays():
    """The relay does not say a word: the message is in its hands."""
    silent = socket.create_server(("127.0.0.1", 0))
    with Instance(relay=f"127.0.0.1:{silent.getsockname()[1]}", settings=FAR) as i, silent:
        i.add_account(ANN)
        submit(i, ANN, ["q@example.net"], "under way")
        message = wait_for(lambda: [m for m in queue(i) if m["claimed"]], "the attempt")[0]["id"]
        for verb in ("delete", "flush"):
            done = i.admin("queue", verb, message, check=False)
            assert done.returncode == 1
            assert b"is being sent just now" in done.stderr
        assert i.admin("queue", "delete", "--all") == "0 messages deleted\n"
        done = i.admin("queue", "hold", message, check=False)
        assert done.returncode == 0 and b"being sent just now" in done.stderr


def test_thousands(box):
    """Listing, summing up and changing do not take long: rows are read page by page."""
    box.admin("queue", "delete", "--all")
    box.stop()
    now = int(time.time())
    with contextlib.closing(sqlite3.connect(box.dir / "spool" / "spool.db")) as db, db:
        for n in range(3000):
            name = f"{n:016d}"
            db.execute("INSERT INTO message (id, owner, sender, account, ret, body, smtputf8, held,"
                       " received, next_attempt, size) VALUES (?, ?, ?, ?, 0, 0, 0, 1, ?, ?, 100)",
                       [name, "0" * 16, ANN, ANN, now - n, now + 9999])
            db.execute("INSERT INTO recipient (message, address, notify, next_attempt)"
                       " VALUES (?, ?, 0, ?)", [name, f"r{n}@d{n % 3}.example", now + 9999])
    assert len(queue(box)) == 3000
    assert len(box.admin("queue", "list").splitlines()) == 3001
    assert {s["messages"] for s in box.admin_json("queue", "list", "--summary", "domain")} == {1000}
    assert box.admin("queue", "release", "--to", "*@d1.example") == "1000 messages released\n"
    assert box.admin("queue", "delete", "--all") == "3000 messages deleted\n"
    box.start()
