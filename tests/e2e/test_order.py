"""The order of durability, read from the system calls of running daemons (strace): bytes, fsync,
rename, fsync of the directory, and only then the reply.  Each rule is also tried on the same trace
with one of its syncs taken out, and must then fail."""

import contextlib
import re
import signal
import subprocess

import pytest

from exim import Exim
from sanger import Instance, make_message, wait_for

CALLS = ("write,pwrite64,writev,pwritev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,"
         "link,linkat,unlink,unlinkat")
BODY = "order of things\n" * 20


@contextlib.contextmanager
def traced(i, daemon):
    """Collects the finished system calls of a daemon's workers, in the order in which they ended."""
    out = i.temp / f"{daemon}.strace"
    pids = [arg for pid in i.workers(daemon) for arg in ("-p", str(pid))]
    strace = subprocess.Popen(["strace", "-f", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o",
                               str(out), *pids], stderr=subprocess.PIPE)
    calls = []
    try:
        attached = 0
        while attached < len(i.workers(daemon)):
            line = strace.stderr.readline()
            assert line, "strace ended"
            attached += b"attached" in line
        yield calls
    finally:
        strace.send_signal(signal.SIGINT)
        strace.stderr.read()
        strace.wait(60)
    calls += finished_calls(out.read_text(errors="replace"))


def finished_calls(text):
    """Joins `<unfinished ...>` with its `resumed` line."""
    open_calls, calls = {}, []
    for line in text.splitlines():
        m = re.match(r"(\d+)\s+(.*)", line)
        if not m:
            continue
        pid, rest = m.groups()
        if rest.endswith("<unfinished ...>"):
            open_calls[pid] = rest[:-len("<unfinished ...>")]
        elif rest.startswith("<... "):
            tail = re.sub(r"^<\.\.\. \w+ resumed>", "", rest)
            calls.append(open_calls.pop(pid, "") + tail)
        else:
            calls.append(rest)
    return [c for c in calls if " = -1 " not in c]


class Broken(Exception):
    pass


def find(calls, pattern, start=0):
    for n in range(start, len(calls)):
        if re.match(pattern, calls[n]):
            return n
    raise Broken(f"nothing like {pattern} after call {start}")


def no_reply_between(calls, first, last):
    """Nothing goes to a socket between the message's first byte on disk and its last sync."""
    for n in range(first, last):
        if re.match(r"(write|writev|sendto|sendmsg)\(\d+<(socket|TCP|UNIX)", calls[n]):
            raise Broken(f"answered too early: {calls[n]}")


def check_delivery(calls, box):
    """write tmp → fsync it → rename into new → fsync new → reply."""
    wrote = find(calls, rf"p?write.*<.*{box}tmp/[^>]*>")
    synced = find(calls, rf"fsync\(\d+<.*{box}tmp/[^>]*>\)", wrote)
    renamed = find(calls, r"(renameat2?|linkat)\(.*", synced)
    if "fsync" in calls[renamed]:
        raise Broken("no rename")
    directory = find(calls, rf"fsync\(\d+<[^>]*/{box}(new|cur)>\)", renamed)
    no_reply_between(calls, wrote, directory)
    find(calls, r"(write|writev|sendto|sendmsg)\(\d+<(socket|TCP|UNIX)", directory)


def check_copy(calls, target):
    """link → fsync of the destination → reply; and for a move: unlink after that."""
    linked = find(calls, r"linkat\(")
    directory = find(calls, rf"fsync\(\d+<[^>]*/{target}/cur>\)", linked)
    no_reply_between(calls, linked, directory)
    for n in range(linked, directory):
        if re.match(r"unlink", calls[n]) and "/tmp/" not in calls[n]:
            raise Broken(f"source gone too early: {calls[n]}")
    find(calls, r"(write|writev|sendto|sendmsg)\(\d+<(socket|TCP|UNIX)", directory)


def check_submission(calls):
    """write → fsync → rename into msg/ → fsync msg/ → database commit synced → reply."""
    wrote = find(calls, r"p?write.*<.*/spool/tmp/[^>]*>")
    synced = find(calls, r"fsync\(\d+<.*/spool/tmp/[^>]*>\)", wrote)
    renamed = find(calls, r"renameat2?\(|linkat\(", synced)
    directory = find(calls, r"fsync\(\d+<[^>]*/spool/msg>\)", renamed)
    commit = find(calls, r"f(data)?sync\(\d+<[^>]*/spool\.db-wal>\)", directory)
    no_reply_between(calls, wrote, commit)
    find(calls, r"(write|writev|sendto|sendmsg)\(\d+<(socket|TCP|UNIX)", commit)


def holds_and_needs_each_sync(check, calls, *args):
    check(calls, *args)
    syncs = [n for n, c in enumerate(calls) if re.match(r"f(data)?sync\(", c)]
    needed = []
    for n in syncs:
        try:
            check(calls[:n] + calls[n + 1:], *args)
        except Broken:
            needed.append(n)
    return [calls[n] for n in needed]


@pytest.mark.once
def test_delivery_order(instance):
    instance.deliver("ann@example.org")  # the tree is made
    with traced(instance, "lda") as calls:
        instance.deliver("ann@example.org", body=BODY)
    needed = holds_and_needs_each_sync(check_delivery, calls, "ann/")
    assert len(needed) == 2, needed
    assert sum(c.startswith(("fsync", "fdatasync")) for c in calls) == 2, "two syncs, no more"


@pytest.mark.once
def test_append_order(instance):
    client = instance.connect_imap("ann@example.org")
    client.append("Archive", None, None, bytes(make_message()))
    with traced(instance, "imapd") as calls:
        client.append("Archive", None, None, bytes(make_message(body=BODY)))
    client.logout()
    needed = holds_and_needs_each_sync(check_delivery, calls, ".Archive/")
    assert len(needed) == 2, needed


@pytest.mark.once
@pytest.mark.parametrize("what", ["COPY", "MOVE"])
def test_copy_and_move_order(instance, what):
    client = instance.connect_imap("ann@example.org")
    client.append("INBOX", None, None, bytes(make_message()))
    client.append("Archive", None, None, bytes(make_message()))
    client.select("INBOX")
    with traced(instance, "imapd") as calls:
        assert client._simple_command(what, "1", "Archive")[0] == "OK"
    client.logout()
    assert len(holds_and_needs_each_sync(check_copy, calls, ".Archive")) == 1
    if what == "MOVE":
        assert any(c.startswith("unlink") for c in calls)


@pytest.mark.once
def test_submission_order():
    with Exim(start=False) as relay, Instance(relay=relay.address()) as i:
        i.add_account("ann@example.org")
        client = i.connect_submission("ann@example.org")
        client.sendmail("ann@example.org", ["b@example.net"], bytes(make_message()))
        wait_for(lambda: "deferred" in i.log(), "the first attempt to be over")
        with traced(i, "submitd") as calls:
            client.sendmail("ann@example.org", ["b@example.net"], bytes(make_message(body=BODY)))
        client.close()
    assert len(holds_and_needs_each_sync(check_submission, calls)) == 3
