#!/usr/bin/python3
"""A door that listens in: takes TLS with an instance's certificate, talks TLS to its imapd, and writes what both sides say, also
under COMPRESS, to one file per connection: `    0.42 C: a1 NOOP`.  So any client can be recorded that takes a server's name and port.

    tests/clients/recorder.py PORT INSTANCE_DIR IMAPS_PORT FOLDER     by hand, until Ctrl-C"""

import pathlib
import re
import socket
import ssl
import sys
import threading
import time
import zlib


class Conversation:
    """One connection's record; the two directions write into it by turns."""

    def __init__(self, path):
        self.log = open(path, "wb", buffering=0)
        self.start = time.monotonic()
        self.lock = threading.Lock()
        self.last, self.at_line_start = None, True
        self.compress_tag = None
        self.inflate = {}  # by direction, once COMPRESS is on

    def plain(self, who, data):
        """What the bytes of one direction mean."""
        if who in self.inflate:
            return self.inflate[who].decompress(data)
        if who == b"C":
            asked = re.search(rb"^(\S+) COMPRESS DEFLATE\r\n", data, re.IGNORECASE | re.MULTILINE)
            self.compress_tag = asked[1] if asked else self.compress_tag
        elif self.compress_tag:
            granted = re.search(rb"^%s OK[^\r]*\r\n" % re.escape(self.compress_tag), data, re.MULTILINE)
            if granted:
                self.inflate = {b"C": zlib.decompressobj(-15), b"S": zlib.decompressobj(-15)}
                return data[:granted.end()] + self.inflate[b"S"].decompress(data[granted.end():])
        return data

    def said(self, who, data):
        with self.lock:
            for line in self.plain(who, data).splitlines(keepends=True):
                if not self.at_line_start and self.last != who:
                    self.log.write(b"\n")
                if self.at_line_start or self.last != who:
                    self.log.write(b"%8.2f %s: " % (time.monotonic() - self.start, who))
                self.log.write(line)
                self.last, self.at_line_start = who, line.endswith(b"\n")


class Recorder:
    def __init__(self, port, instance_dir, imaps, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.near = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.near.load_cert_chain(instance_dir / "tls" / "cert.pem", instance_dir / "tls" / "key.pem")
        self.far = ssl.create_default_context()
        self.far.check_hostname, self.far.verify_mode = False, ssl.CERT_NONE
        self.imaps = imaps
        self.door = socket.create_server(("127.0.0.1", port))
        self.port = self.door.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        count = 0
        while True:
            sock, _ = self.door.accept()
            count += 1
            threading.Thread(target=self.serve, args=(sock, self.folder / f"{count:03}"), daemon=True).start()

    def serve(self, sock, path):
        try:
            client = self.near.wrap_socket(sock, server_side=True)
            server = self.far.wrap_socket(socket.create_connection(("127.0.0.1", self.imaps)))
        except OSError as e:
            path.write_text(f"no connection: {e}\n")
            return
        conversation = Conversation(path)
        back = threading.Thread(target=self.pump, args=(conversation, b"S", server, client), daemon=True)
        back.start()
        self.pump(conversation, b"C", client, server)
        back.join()

    @staticmethod
    def pump(conversation, who, source, sink):
        try:
            while data := source.recv(65536):
                conversation.said(who, data)
                sink.sendall(data)
        except OSError:
            pass
        for sock in (source, sink):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def refusals(self):
        """The lines in which the server said NO or BAD."""
        return [line.decode(errors="replace") for path in sorted(self.folder.iterdir()) for line in path.read_bytes().splitlines()
                if re.match(rb" *[0-9.]+ S: \S+ (NO|BAD) ", line)]


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    Recorder(int(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    threading.Event().wait()
