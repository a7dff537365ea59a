"""A relay with a script: what it says to each command may be replaced, put off, or cut off; what it took is kept."""

import email
import email.policy
import re
import socket
import threading

from sanger import WAIT_S, wait_for

CLOSE = object()  # as an answer: break the connection


class ChaosRelay:
    """`answer(verb, line)` may give another reply than the usual one, CLOSE, or None; it may also sleep or wait.
    Verbs are those of SMTP, and CONNECT, DOT (the message is complete) and TOOK (the 250 for it was sent).
    Stopped, it refuses connections; started again it listens at the same port."""

    def __init__(self, *offers, tls=None, user=None):
        self.offers, self.tls, self.user = offers, tls, user
        self.answer = lambda verb, line: None
        self.taken = []  # (MAIL, [RCPT…], content) in their order
        self.lock = threading.Lock()
        self.connections = 0
        self.listener, self.port, self.open = None, 0, set()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    def start(self):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        """Also ends the conversations."""
        if self.listener is None:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None
        with self.lock:
            for s in list(self.open):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def accept(self, listener):
        while True:
            try:
                s = listener.accept()[0]
            except OSError:
                return
            with self.lock:
                self.open.add(s)
                self.connections += 1
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    def serve(self, s):
        raw = s
        try:
            if self.tls:
                s = self.tls.wrap_socket(s, server_side=True)
            self.converse(s, s.makefile("rb"))
        except OSError:
            pass
        finally:
            with self.lock:
                self.open.discard(raw)
            s.close()

    def converse(self, s, lines):
        mail, to, known = None, [], not self.user

        def say(verb, line, usual):
            """False: the connection is to be broken."""
            reply = self.answer(verb, line) or usual
            if reply is CLOSE:
                return False
            s.sendall(reply.encode() + b"\r\n")
            return reply

        if not say("CONNECT", "", "220 relay.example.net"):
            return
        while line := lines.readline().decode().rstrip("\r\n"):
            verb = line.split()[0].upper()
            usual = "250 2.0.0 fine"
            if verb == "EHLO":
                auth = ["AUTH PLAIN"] if self.user else []
                offers = ["relay.example.net", *self.offers, *auth, "PIPELINING", "8BITMIME"]
                usual = "\r\n".join(f"250-{o}" for o in offers) + "\r\n250 SIZE"
            elif verb == "AUTH":
                known = line.split()[-1] == self.user
                usual = "235 2.7.0 welcome" if known else "535 5.7.8 no"
            elif verb == "MAIL":
                mail, to = line, []
                usual = usual if known else "530 5.7.0 log in first"
            elif verb == "DATA":
                usual = "354 go on" if to else "503 5.5.1 to nobody"
            elif verb == "QUIT":
                usual = "221 2.0.0 bye"
            reply = say(verb, line, usual)
            if not reply or verb == "QUIT":
                return
            if verb == "RCPT" and reply.startswith("250"):
                to.append(line)
            if verb == "DATA" and reply.startswith("354"):
                content = []
                while (piece := lines.readline()) not in (b".\r\n", b""):
                    content.append(piece[1:] if piece.startswith(b".") else piece)
                if piece == b"":
                    return
                with self.lock:
                    place = len(self.taken)
                    self.taken.append((mail, to, b"".join(content)))
                reply = say("DOT", mail, "250 2.0.0 mine")
                if reply and not reply.startswith("250"):
                    with self.lock:
                        self.taken[place] = None
                if not reply:
                    return
                self.answer("TOOK", mail)

    # --- what it took

    def address(self):
        return f"127.0.0.1:{self.port}"

    def messages(self):
        with self.lock:
            return [one for one in self.taken if one is not None]

    def subjects(self):
        return [re.search(rb"^Subject: ([^\r\n]*)", content, re.M).group(1).decode()
                for _, _, content in self.messages()]

    def wait_subjects(self, wanted, limit=WAIT_S):
        wait_for(lambda: set(wanted) <= set(self.subjects()), f"{len(wanted)} messages", limit)

    def to(self, address):
        return [email.message_from_bytes(content, policy=email.policy.default)
                for _, to, content in self.messages() if any(f"<{address}>" in r for r in to)]


def hold(*verbs):
    """An answer that waits at each of these verbs; returns it, an event set once one waits, and one to let go."""
    reached, go = threading.Event(), threading.Event()

    def answer(verb, line):
        if verb in verbs:
            reached.set()
            go.wait(WAIT_S)
    return answer, reached, go
