"""A relay of a few lines, for what a real Exim does not do: extensions that it lacks, and verdicts at will."""

import email
import email.policy
import socketserver
import threading

from sanger import wait_for


class Relay:
    """Takes all mail for everybody and notes what it was told.  `offers` are its lines after EHLO; `later` a
    local part that it puts off with 451."""

    def __init__(self, *offers):
        self.offers, self.taken, self.later, self.asked = offers, [], None, 0
        self.reason = "not now"
        relay = self

        class Conversation(socketserver.StreamRequestHandler):
            def say(self, *lines):
                for line in lines:
                    self.wfile.write(line.encode() + b"\r\n")

            def content(self):
                self.say("354 go on")
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line[1:] if line.startswith(b".") else line)
                return b"".join(lines)

            def handle(self):
                mail, to = None, []
                self.say("220 relay.example.net")
                while line := self.rfile.readline().decode().rstrip("\r\n"):
                    verb = line.split()[0].upper()
                    if verb == "EHLO":
                        self.say("250-relay.example.net", *(f"250-{o}" for o in relay.offers),
                                 "250 8BITMIME")
                    elif verb == "MAIL":
                        mail, to = line, []
                        self.say("250 2.1.0 fine")
                    elif verb == "RCPT":
                        relay.asked += 1
                        if relay.later and f"<{relay.later}@" in line:
                            self.say(f"451 4.3.0 {relay.reason}")
                        else:
                            to.append(line)
                            self.say("250 2.1.5 fine")
                    elif verb == "DATA" and to:
                        relay.taken.append((mail, to, self.content()))
                        self.say("250 2.0.0 mine")
                    elif verb == "QUIT":
                        self.say("221 2.0.0 bye")
                        return
                    else:
                        self.say("503 5.5.1 no" if verb == "DATA" else "250 2.0.0 fine")

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.server.shutdown()
        self.server.server_close()

    def address(self):
        return f"127.0.0.1:{self.server.server_address[1]}"

    def to(self, address):
        """MAIL and message of what came for that address."""
        return [(mail, email.message_from_bytes(content, policy=email.policy.default))
                for mail, to, content in self.taken
                if any(f"<{address}>" in line for line in to)]

    def wait_to(self, address):
        wait_for(lambda: self.to(address), f"mail for {address}")
        return self.to(address)


def status_of(report):
    """The fields of a report about one recipient: of the message and of the recipient."""
    assert report.get_content_type() == "multipart/report"
    per_message, per_rcpt = list(report.iter_parts())[1].get_payload()
    return per_message, per_rcpt
