"""Look-ups for relays: socketmap and tcp_table on one port, also as Postfix's own tools ask."""

import contextlib
import socket

import pytest

from postfix import Postfix
from sanger import Instance, free_port, run, wait_for


@pytest.fixture(scope="module")
def store():
    port = free_port()
    with Instance(settings={"lda.listen_lookup": f"127.0.0.1:{port}", "lda.catch_all": "yes"}) as i:
        i.lookup = port
        i.add_account("ann@example.org")
        i.add_account("gone@example.org")
        i.admin("account", "set", "gone@example.org", "--active", "no")
        i.admin("alias", "add", "ann@example.org", "info@example.org")
        i.admin("alias", "add", "ann@example.org", "*@example.net")
        yield i


def ask(i, *requests):
    """Sends all requests at once and reads until the server has answered each and closed."""
    with socket.create_connection(("127.0.0.1", i.lookup), timeout=60) as s:
        s.sendall("".join(requests).encode())
        s.shutdown(socket.SHUT_WR)
        with s.makefile("rb") as f:
            return f.read().decode()


def netstring(text):
    return f"{len(text.encode())}:{text},"


QUESTIONS = [  # map, key, account or None
    ("recipients", "ann@example.org", "ann@example.org"),
    ("recipients", "ANN@Example.ORG", "ann@example.org"),
    ("recipients", "ann+lists@example.org", "ann@example.org"),
    ("recipients", "info@example.org", "ann@example.org"),
    ("recipients", "anybody@example.net", "ann@example.org"),
    ("recipients", "nobody@example.org", None),
    ("recipients", "gone@example.org", None),
    ("recipients", "../ann@example.org", None),
    ("recipients", "@example.org", None),
    ("recipients", "a@b@example.org", None),
    ("domains", "example.org", "example.org"),
    ("domains", "example.net", "example.net"),
    ("domains", "example.com", None),
]


def test_answers(store):
    for table, key, value in QUESTIONS:
        want = netstring(f"OK {value}" if value else "NOTFOUND ")
        assert ask(store, netstring(f"{table} {key}")) == want, key
        if ("@" in key) == (table == "recipients"):
            want = f"200 {value}\n" if value else "500 not%20found\n"
            assert ask(store, f"get {key}\n") == want, key


def test_many_at_once_are_answered_in_order(store):
    requests = [netstring(f"{t} {k}") for t, k, _ in QUESTIONS] * 50
    want = [netstring(f"OK {v}" if v else "NOTFOUND ") for _, _, v in QUESTIONS] * 50
    assert ask(store, *requests) == "".join(want)


def test_bad_requests(store):
    assert ask(store, netstring("other ann@example.org")) == netstring("PERM no such map")
    assert ask(store, netstring("nonsense"), "get x%0ay\n", "put a b\n") == (
        netstring("PERM not understood") + "500 not%20understood\n" * 2)
    for garbage in ("EHLO x\r\n", "99999:x", "5:abcdefgh", "get " + "a" * 5000):
        assert ask(store, garbage, netstring("recipients ann@example.org")) == ""
    assert ask(store, netstring("recipients ann@example.org")) == netstring("OK ann@example.org")


def test_a_change_is_seen_at_once(store):
    question = netstring("recipients new@example.org")
    assert ask(store, question) == netstring("NOTFOUND ")
    store.add_account("new@example.org")
    assert ask(store, question) == netstring("OK new@example.org")
    store.admin("account", "set", "new@example.org", "--active", "no")
    assert ask(store, question) == netstring("NOTFOUND ")


def test_only_relays_may_ask():
    port = free_port()
    with Instance(settings={"lda.listen_lookup": f"127.0.0.1:{port}",
                            "lda.relay_networks": "192.0.2.0/24"}) as i:
        i.lookup = port
        i.add_account("ann@example.org")
        with contextlib.suppress(ConnectionError):
            assert ask(i, netstring("recipients ann@example.org")) == ""
        wait_for(lambda: "lookup-refused" in i.log(), "the refusal in the log")


def test_as_postfix_asks(store):
    with Postfix() as postfix:
        for table in (f"socketmap:inet:127.0.0.1:{store.lookup}:recipients",
                      f"tcp:127.0.0.1:{store.lookup}"):
            for key, value in (("info@example.org", "ann@example.org"), ("nobody@example.org", "")):
                done = postfix.tool("postmap", "-q", key, table, check=False)
                assert done.stdout.decode().strip() == value, (table, key, done)
