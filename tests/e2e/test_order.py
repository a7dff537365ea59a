"""The order of durability, read from the system calls of running daemons (strace): bytes, fsync,
rename, fsync of the directory, and only then the reply.  Two readings of each trace: one names the
steps that must be there, the other (Disk) knows what a power failure could still take, and allows
no reply, no rename of it and no end of a source while there is anything.  Each is also tried on the
same trace with one of the syncs taken out, and must then fail."""

import contextlib
import re
import shutil
import signal
import subprocess

import pytest

from exim import Exim
from sanger import Instance, make_message, wait_for

CALLS = ("write,pwrite64,writev,pwritev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,"
         "link,linkat,unlink,unlinkat,mkdir,mkdirat,setsockopt")
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


REPLY = r"(write|writev|sendto|sendmsg)\(\d+<(socket|TCP|UNIX)"


def finished_calls(text):
    """Joins `<unfinished ...>` with its `resumed` line.  A call counts when it is over, as a sync
    must be; only what goes to a socket counts from its beginning."""
    open_calls, calls = {}, []
    for line in text.splitlines():
        m = re.match(r"(\d+)\s+(.*)", line)
        if not m:
            continue
        pid, rest = m.groups()
        if rest.endswith("<unfinished ...>"):
            open_calls[pid] = rest[:-len("<unfinished ...>")]
            if re.match(REPLY, rest):
                calls.append(rest)
        elif rest.startswith("<... "):
            begun = open_calls.pop(pid, "")
            if not re.match(REPLY, begun):
                calls.append(begun + re.sub(r"^<\.\.\. \w+ resumed>", "", rest))
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


class Disk:
    """What has been written, renamed, linked or made and is not synced yet."""

    # Nor are logs and the records of what was done: they tell of mail and are none.
    CACHE = re.compile(r'[^,]*/(index\.db[^/">]*|spool\.db-shm|sanger\.log|record/[^/">]*\.jsonl|state\.db-shm'
                       r'|[a-z]*\.lock[^/">]*)[">]')

    def __init__(self):
        self.unsafe = set()

    def call(self, text):
        name, rest = text.split("(", 1)
        dirs = re.findall(r"\d+<([^>]*)>", rest)
        names = re.findall(r', "([^"]*)"', rest)
        if re.match(REPLY, text):
            self.nothing_unsafe(text)
        elif self.CACHE.match(rest):
            if "index.db-wal" in rest:
                self.nothing_unsafe(text)  # the index comes last
        elif name.startswith(("write", "pwrite")):
            self.unsafe.add(dirs[0])
        elif name in ("fsync", "fdatasync"):
            self.unsafe.discard(dirs[0])
        elif name.startswith("rename") and names[1].endswith(".lock"):
            pass  # a lock is nothing to keep
        elif name.startswith("rename"):
            if f"{dirs[0]}/{names[0]}" in self.unsafe:
                raise Broken(f"renamed before it is safe: {text}")
            self.unsafe.add(dirs[1])
        elif name == "linkat":
            self.unsafe.add(dirs[1])
        elif name == "mkdirat":
            self.unsafe.add(dirs[0])
        elif name == "unlinkat" and "/tmp>" not in rest:
            self.nothing_unsafe(text)

    def nothing_unsafe(self, text):
        if self.unsafe:
            raise Broken(f"{sorted(self.unsafe)} not safe yet: {text}")


def check_disk(calls):
    """Replies that came while nothing had happened yet are fine, and so are those after the end."""
    disk = Disk()
    for text in calls:
        if "<anon_inode" not in text:
            disk.call(text)
    if disk.unsafe:
        raise Broken(f"never synced: {sorted(disk.unsafe)}")


def check_delivery(calls, box):
    """write tmp → fsync it → rename into new or cur → fsync that → reply."""
    wrote = find(calls, rf"p?write.*<.*{box}tmp/[^>]*>")
    synced = find(calls, rf"fsync\(\d+<.*{box}tmp/[^>]*>\)", wrote)
    renamed = find(calls, rf"renameat2\(\d+<[^>]*/{box}tmp>.*RENAME_NOREPLACE", synced)
    directory = find(calls, rf"fsync\(\d+<[^>]*/{box}(new|cur)>\)", renamed)
    find(calls, REPLY, directory)
    check_disk(calls)


def check_copy(calls, target):
    """link → fsync of the destination → reply; and for a move: unlink after that."""
    linked = find(calls, r"linkat\(")
    directory = find(calls, rf"fsync\(\d+<[^>]*/{target}/cur>\)", linked)
    find(calls, REPLY, directory)
    check_disk(calls)


def check_submission(calls):
    """write → fsync → rename into msg/ → fsync msg/ → database commit synced → reply."""
    wrote = find(calls, r"p?write.*<.*/spool/tmp/[^>]*>")
    synced = find(calls, r"fsync\(\d+<.*/spool/tmp/[^>]*>\)", wrote)
    renamed = find(calls, r"renameat2\(\d+<[^>]*/spool/tmp>.*RENAME_NOREPLACE", synced)
    directory = find(calls, r"fsync\(\d+<[^>]*/spool/msg>\)", renamed)
    commit = find(calls, r"f(data)?sync\(\d+<[^>]*/spool\.db-wal>\)", directory)
    reply = find(calls, REPLY, commit)
    # From the commit on a queue runner may be at work on it already, beside the reply.
    check_disk([*calls[:commit + 1], calls[reply]])


def check_new_mail(calls):
    """rename out of new/ under its UID → fsync of cur/ → the client hears of it."""
    renamed = find(calls, r"renameat2\(\d+<[^>]*/new>.*,U=\d+:2,")
    directory = find(calls, r"fsync\(\d+<[^>]*/cur>\)", renamed)
    find(calls, REPLY, directory)
    check_disk(calls)


def check_made(calls):
    """mkdir → fsync of the directory it is in, and so on upwards → reply."""
    made = find(calls, r"mkdirat\(")
    find(calls, REPLY, made)
    check_disk(calls)


def syncs_in(calls):
    return [n for n, c in enumerate(calls) if re.match(r"f(data)?sync\(", c)]


def holds_and_needs_each_sync(check, calls, *args):
    check(calls, *args)
    needed = []
    for n in syncs_in(calls):
        try:
            check(calls[:n] + calls[n + 1:], *args)
        except Broken:
            needed.append(n)
    return [calls[n] for n in needed]


def holds_and_needs_each_path(check, calls, *args):
    """Where a directory is synced more than once on the way: without any sync of it, it must fail."""
    check(calls, *args)
    paths = {re.search(r"<([^>]*)>", calls[n])[1] for n in syncs_in(calls)
             if "/index.db" not in calls[n]}
    assert len(paths) > 2
    for path in paths:
        without = [c for c in calls if not re.match(rf"f(data)?sync.*<{re.escape(path)}>", c)]
        with pytest.raises(Broken):
            check(without, *args)
            print(f"{path} need not be synced")


@pytest.mark.once
def test_delivery_order(instance):
    instance.deliver("ann@example.org")  # the tree is made
    with traced(instance, "lda") as calls:
        instance.deliver("ann@example.org", body=BODY)
    needed = holds_and_needs_each_sync(check_delivery, calls, "ann/")
    assert len(needed) == 2, needed
    assert len(syncs_in(calls)) == 2, "two syncs, no more"


@pytest.mark.once
def test_append_order(instance):
    client = instance.connect_imap("ann@example.org")
    client.append("Archive", None, None, bytes(make_message()))
    with traced(instance, "imapd") as calls:
        client.append("Archive", None, None, bytes(make_message(body=BODY)))
    client.logout()
    needed = holds_and_needs_each_sync(check_delivery, calls, ".Archive/")
    assert len(needed) == 2, needed
    assert len(syncs_in(calls)) == 2, "two syncs, no more"


@pytest.mark.once
def test_what_waits_for_more_is_acknowledged_at_once(instance):
    """imaplib writes a literal and the end of its line one by one; by Nagle's algorithm the second goes
    out when the first is acknowledged."""
    client = instance.connect_imap("ann@example.org")
    with traced(instance, "imapd") as calls:
        client.append("INBOX", None, None, bytes(make_message()))
    client.logout()
    go_ahead = find(calls, REPLY)
    acknowledged = find(calls, r"setsockopt\(.*TCP_QUICKACK, \[1\]", go_ahead)
    find(calls, REPLY, acknowledged)


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
        wait_for(lambda: "deferred" in i.log(), "the first attempt")
        wait_for(lambda: not any(m["claimed"] for m in i.admin_json("queue", "list")),
                 "the attempt to be over")
        with traced(i, "submitd") as calls:
            client.sendmail("ann@example.org", ["b@example.net"], bytes(make_message(body=BODY)))
        client.close()
    assert len(holds_and_needs_each_sync(check_submission, calls)) == 3


@pytest.mark.once
def test_new_mail_order(instance):
    """A UID is shown only after the rename that carries it is durable."""
    client = instance.connect_imap("ann@example.org")
    instance.deliver("ann@example.org")
    client.select("INBOX")
    instance.deliver("ann@example.org")
    with traced(instance, "imapd") as calls:
        client.noop()
    assert client.response("EXISTS")[1][-1] == b"2"
    client.logout()
    assert len(holds_and_needs_each_sync(check_new_mail, calls)) == len(syncs_in(calls)) == 1


@pytest.mark.once
def test_new_mailbox_order(instance):
    client = instance.connect_imap("ann@example.org")
    client.create("before")
    with traced(instance, "imapd") as calls:
        assert client.create("A/B")[0] == "OK"
    holds_and_needs_each_path(check_made, calls)
    with traced(instance, "imapd") as calls:  # its first UID is leased, durably, before it is used
        assert client.append("A/B", None, None, bytes(make_message()))[0] == "OK"
    client.logout()
    assert len(holds_and_needs_each_sync(check_delivery, calls, r"\.A\.B/")) == len(syncs_in(calls)) == 4


@pytest.mark.once
def test_new_account_order(instance):
    """A delivery that makes the tree on its way syncs all it made."""
    instance.add_account("new@elsewhere.example")
    shutil.rmtree(instance.dir / "mail" / "elsewhere.example")
    with traced(instance, "lda") as calls:
        instance.deliver("new@elsewhere.example")
    holds_and_needs_each_path(check_made, calls)
    check_delivery(calls, "new/")
