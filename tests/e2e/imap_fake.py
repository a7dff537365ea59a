"""An IMAP server that misbehaves on purpose: for what a client must survive."""

import contextlib
import socket
import threading


class FakeServer:
    """Speaks to one client after the other in a thread of its own, without TLS on a loopback port.

    `messages` is a dict of UID to bytes in the one mailbox.  `on_fetch(server, send, tag, uids)` may
    answer a UID FETCH of texts itself: it returns True then, or "drop" to close the connection."""

    def __init__(self, messages, on_fetch=None, capabilities="IMAP4rev1 AUTH=PLAIN SASL-IR",
                 greeting=b"* OK ready\r\n", on_command=None, listing=None, uidvalidity=77):
        self.messages, self.on_fetch, self.on_command = messages, on_fetch, on_command
        self.capabilities, self.greeting = capabilities, greeting
        self.listing = listing or [r'* LIST (\HasNoChildren) "/" INBOX']
        self.uidvalidity = uidvalidity
        self.connections = 0
        self.asked = []  # UIDs whose text was asked for
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen()
        self.port = self.socket.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.serve, daemon=True).start()
        return self

    def __exit__(self, *error):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                self.connections += 1
                peer.settimeout(60)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with contextlib.suppress(OSError), peer:
                    self.talk(peer)

    def uids(self, text):
        found = []
        for part in text.split(","):
            first, _, last = part.partition(":")
            if last == "*":
                last = max(self.messages, default=0)
            found += [u for u in self.messages if int(first) <= u <= int(last or first)]
        return sorted(found)

    def talk(self, peer):
        peer.sendall(self.greeting)
        reader = peer.makefile("rb")
        for line in reader:
            words = line.decode(errors="replace").split()
            if self.answer(peer.sendall, words[0], words[1:]) == "drop":
                return

    def answer(self, send, tag, words):
        command = " ".join(words[:2]).upper() if words[0].upper() == "UID" else words[0].upper()
        if self.on_command is not None:
            done = self.on_command(self, send, tag, command, words)
            if done:
                return done
        if command == "CAPABILITY":
            send(f"* CAPABILITY {self.capabilities}\r\n".encode())
        elif command == "LIST":
            send("".join(f"{line}\r\n" for line in self.listing).encode())
        elif command == "EXAMINE":
            send(b"* %d EXISTS\r\n* OK [UIDVALIDITY %d] x\r\n* OK [UIDNEXT %d] x\r\n"
                 % (len(self.messages), self.uidvalidity, max(self.messages, default=0) + 1))
        elif command == "UID FETCH" and "RFC822.SIZE" in " ".join(words):
            for n, (uid, text) in enumerate(sorted(self.messages.items()), 1):
                send(b'* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE "01-Feb-2021 10:00:00 +0000"'
                     b' RFC822.SIZE %d)\r\n' % (n, uid, len(text)))
        elif command == "UID FETCH":
            uids = self.uids(words[2])
            self.asked += uids
            done = self.on_fetch and self.on_fetch(self, send, tag, uids)
            if done:
                return done
            for uid in uids:
                self.send_text(send, uid)
        send(f"{tag} OK done\r\n".encode())
        return None

    def send_text(self, send, uid, text=None, name=None):
        text = self.messages[uid] if text is None else text
        send(b"* 1 FETCH (UID %d BODY[] {%d}\r\n" % (name or uid, len(text)) + text + b")\r\n")
