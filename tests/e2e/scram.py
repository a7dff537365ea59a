"""A SCRAM-SHA-256 client of its own, from RFC 5802 and RFC 7677; shares nothing with the server's."""

import base64
import hashlib
import hmac
import os


def b64(data):
    return base64.b64encode(data).decode()


def digest(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


class Scram:
    """One exchange.  `binding` is (name, bytes) for -PLUS, or None."""

    def __init__(self, user, password, binding=None, gs2=None):
        self.password = password.encode()
        self.nonce = b64(os.urandom(18))
        self.binding = binding
        self.gs2 = gs2 or (f"p={binding[0]},," if binding else "n,,")
        self.bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={self.nonce}"

    def first(self):
        return (self.gs2 + self.bare).encode()

    def final(self, server_first):
        text = server_first.decode()
        fields = dict(part.split("=", 1) for part in text.split(","))
        assert fields["r"].startswith(self.nonce) and len(fields["r"]) > len(self.nonce) + 12
        assert int(fields["i"]) >= 4096
        salted = hashlib.pbkdf2_hmac("sha256", self.password, base64.b64decode(fields["s"]),
                                     int(fields["i"]))
        bound = self.gs2.encode() + (self.binding[1] if self.binding else b"")
        without_proof = f"c={b64(bound)},r={fields['r']}"
        message = f"{self.bare},{text},{without_proof}".encode()
        client_key = digest(salted, b"Client Key")
        signature = digest(hashlib.sha256(client_key).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self.server_signature = digest(digest(salted, b"Server Key"), message)
        return f"{without_proof},p={b64(proof)}".encode()

    def check(self, server_final):
        """The server knows the keys too, RFC 5802 §3."""
        assert server_final == b"v=" + base64.b64encode(self.server_signature), server_final
