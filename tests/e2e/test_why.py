"""The record of deliveries and submissions, and mailadmin why, which tells it."""

import json
import smtplib
import socketserver
import threading

import pytest

from sanger import Instance, make_message, wait_for

ANN, BOB = "ann@example.org", "bob@example.org"


class Relay(socketserver.ThreadingTCPServer):
    """Takes what it is given; puts off who is called later, refuses who is called never."""

    allow_reuse_address = daemon_threads = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 relay\r\n")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    while self.rfile.readline() not in (b".\r\n", b""):
                        pass
                    self.wfile.write(b"250 taken as 4711\r\n")
                elif verb == b"RCPT" and b"later@" in line:
                    self.wfile.write(b"451 4.2.0 later\r\n")
                elif verb == b"RCPT" and b"never@" in line:
                    self.wfile.write(b"550 5.1.1 never\r\n")
                elif verb == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                else:
                    self.wfile.write(b"250 fine\r\n")

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def server():
    with Relay() as relay, Instance(relay=f"127.0.0.1:{relay.server_address[1]}",
                                    settings={"submitd.relay_tls": "none"}) as s:
        for address in (ANN, BOB):
            s.add_account(address)
        yield s
        relay.shutdown()


def deliver(server, address, message_id, sender="sender@example.net", **fields):
    message = make_message(to=address, sender=sender)
    data = message if isinstance(message, bytes) else message.as_bytes()
    lines = [line for line in data.replace(b"\r\n", b"\n").split(b"\n\n", 1)[0].split(b"\n")
             if not line.lower().startswith(b"message-id:")]
    lines.append(b"Message-ID: " + message_id.encode())
    lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in fields.items()]
    with server.connect_lmtp() as lmtp:
        return lmtp.sendmail(sender, address, b"\r\n".join(lines) + b"\r\n\r\nhello\r\n")


def why(server, *words):
    return server.admin_json("why", *words)


def test_default_filter_into_junk(server):
    deliver(server, ANN, "<junk-1@x>", X_Spam_Score="9.1 (+++++++++)", X_Spam_Flag="YES")
    [record] = why(server, "<junk-1@x>")
    [did] = record["did"]
    assert record["account"] == record["rcpt"] == ANN and record["verdict"] == "delivered"
    assert record["from"] == "sender@example.net" and record["with"] == "LMTP"
    assert (did["what"], did["mailbox"], did["place"], did["filter"]) == \
        ("copy", "Junk", "default", "exim")
    assert did["line"] > 0 and did["now"]["mailbox"] == "Junk"
    assert (server.maildir(ANN, "Junk") / "new" / did["file"]).exists()
    told = server.admin("why", "junk-1@x")
    assert "put into Junk (the default filter, exim, line" in told
    assert "X-Spam-Score: 9.1" in told and "still in Junk now, unread" in told


def test_own_filter_and_moves(server, tmp_path):
    script = tmp_path / "f.sieve"
    script.write_text('require ["fileinto", "copy"];\n\n'
                      'if header :contains "subject" "" {\n\tfileinto :copy "Lists";\n'
                      '\tredirect :copy "friend@example.net";\n}\n')
    script.chmod(0o644)
    tmp_path.chmod(0o755)
    server.admin("filter", "set", BOB, "-", input=script.read_bytes())
    deliver(server, BOB, "<own-1@x>", Subject="x")
    [record] = why(server, "own-1@x")
    did = {one["what"] + one.get("mailbox", ""): one for one in record["did"]}
    assert did["copyLists"]["line"] == 4 and did["copyLists"]["place"] == "user"
    assert did["redirect"]["line"] == 5 and did["redirect"]["to"] == "friend@example.net"
    assert "copyINBOX" in did
    wait_for(lambda: [a["state"] for a in next(
        d for d in why(server, "own-1@x")[0]["did"] if d["what"] == "redirect")["relayed"]]
        == ["delivered"], "the relay's answer")
    imap = server.connect_imap(BOB)
    imap.select("Lists")
    assert imap.uid("MOVE", "1:*", "Trash")[0] == "OK"
    imap.select("INBOX")
    imap.uid("STORE", "1:*", "+FLAGS", "(\\Deleted)")
    imap.expunge()
    imap.logout()
    told = server.admin("why", "<OWN-1@X>")
    assert "It is in Trash now" in told and "expunged" in told
    assert "the relay took it for friend@example.net" in told and "taken as 4711" in told


def test_refused_recipients(server):
    with server.connect_lmtp() as lmtp:
        lmtp.ehlo_or_helo_if_needed()
        lmtp.mail("stranger@example.net")
        assert lmtp.rcpt("nobody@example.org")[0] == 550
    [record] = why(server, "nobody@example.org")
    assert (record["event"], record["verdict"], record["code"]) == ("refused", "no-such-user", 550)
    assert "there is no such account" in server.admin("why", "stranger@example.net")


def test_submission(server):
    with server.connect_submission(ANN) as smtp:
        message = b"From: ann@example.org\r\nMessage-ID: <sub-1@x>\r\nSubject: hi\r\n\r\nhello\r\n"
        smtp.sendmail(ANN, ["out@example.net", "later@example.net", "never@example.net"], message)

    def states():
        [record] = [r for r in why(server, "sub-1@x") if r["event"] == "submission"]
        return {a["rcpt"].split("@")[0]: a["state"] for a in record["relayed"]}

    wait_for(lambda: states() == {"out": "delivered", "later": "waiting", "never": "failed"},
             "all three answers")
    told = server.admin("why", "<sub-1@x>")
    assert "Submitted: <sub-1@x> from ann@example.org" in told
    assert "still waiting in the queue for later@example.net" in told and "550" in told


def test_bounds_and_times(server):
    for n in range(5):
        deliver(server, ANN, f"<many-{n}@x>", sender="many@example.net")
    records = why(server, "many@example.net", "--last", "3")
    assert [r["message_id"] for r in records] == ["<many-2@x>", "<many-3@x>", "<many-4@x>"]
    assert "The last 2 of 5" in server.admin("why", "many@example.net", "--last", "2")
    assert len(why(server, "many@example.net", "--since", "1h")) == 5
    assert why(server, "many@example.net", "--since", "2099-01-01") == []
    assert server.admin("why", "unheard@example.net", check=False).returncode == 1
    for words in (("x", "--last", "0"), ("x", "--since", "soon"), ("",)):
        assert server.admin("why", *words, check=False).returncode == 64


def test_damaged_and_missing_records(server):
    """They cost nothing but themselves: deliveries go on, and so does the rest of the story."""
    directory = server.dir / "spool" / "record"
    deliver(server, ANN, "<before@x>")
    [current] = directory.glob("*.jsonl")
    with current.open("ab") as f:
        f.write(b'{"time":1,"event":"deliv')
    deliver(server, ANN, "<after\x01\xff@x>".encode("latin-1").decode("latin-1").replace("\xff", "y"))
    deliver(server, ANN, "<behind@x>")
    assert len(why(server, "before@x")) == len(why(server, "behind@x")) == 1
    moved = directory.with_name("record-elsewhere")
    directory.rename(moved)
    assert deliver(server, ANN, "<lost@x>") == {}
    directory.write_text("no directory")
    server.restart()
    assert deliver(server, ANN, "<unwritten@x>") == {}
    directory.unlink()
    server.restart()
    deliver(server, ANN, "<again@x>")
    assert len(why(server, "again@x")) == 1
    for line in next(directory.glob("*.jsonl")).read_text().splitlines():
        json.loads(line)
