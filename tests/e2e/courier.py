"""A real Courier imapd, one process for each connection, spoken to by its standard input and output.
Debian's packages are unpacked by tests/courier below build/, since they cannot be installed beside
Dovecot."""

import contextlib
import imaplib
import re
import shlex

import pytest

from sanger import TOP, run


def program(name):
    done = run(TOP / "tests" / "courier", check=False)
    if done.returncode != 0:
        pytest.fail(done.stderr.decode())
    root = done.stdout.decode().strip()
    libraries = f"{root}/usr/lib/x86_64-linux-gnu:{root}/usr/lib"
    return ["env", f"LD_LIBRARY_PATH={libraries}", f"{root}/usr/bin/{name}"]


def make_maildir(path):
    run(*program("maildirmake.courier"), path)


@contextlib.contextmanager
def connect(maildir):
    """An imaplib client of who owns this Maildir; Courier's mailboxes are INBOX.Name."""
    command = ["env", "-C", str(maildir.parent), "AUTHENTICATED=ann", "AUTHADDR=ann",
               "IMAP_KEYWORDS=1", "IMAP_USELOCKS=0", "IMAP_ENHANCEDIDLE=0", "IMAP_CAPABILITY=IMAP4rev1 UIDPLUS", f"MAILDIRPATH={maildir.name}",
               *program("imapd"), maildir.name]
    log = shlex.quote(str(maildir.parent / "courier.log"))
    client = imaplib.IMAP4_stream(f"{shlex.join(command)} 2>>{log}")
    assert "PREAUTH" in client.untagged_responses, client.welcome
    client.state = "AUTH"  # its first line is an alert: there is no daemon that watches files
    try:
        yield client
    finally:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            client.logout()
        client.process.wait(60)


def state(maildir):
    """As test_clients.server_state() tells it of Sanger: {mailbox: {uid: (flags, size)}}, the UIDVALIDITYs, and
    what is subscribed, with names as Sanger has them."""
    found, validity = {}, {}
    with connect(maildir) as client:
        def names(lines):
            return [line.decode().rsplit(' "." ', 1)[1].strip('"') for line in lines if line]

        def ours(name):
            return name if name == "INBOX" else name.removeprefix("INBOX.").replace(".", "/")
        for name in names(client.list()[1]):
            client.select(f'"{name}"', readonly=True)
            validity[ours(name)] = client.response("UIDVALIDITY")[1][0]
            messages = found[ours(name)] = {}
            for item in client.uid("FETCH", "1:*", "(UID FLAGS RFC822.SIZE)")[1]:
                if item is None:
                    continue
                flags = re.search(rb"FLAGS \((.*?)\)", item).group(1).split()
                messages[int(re.search(rb"UID (\d+)", item).group(1))] = (
                    frozenset(f for f in flags if f != b"\\Recent"),
                    int(re.search(rb"RFC822.SIZE (\d+)", item).group(1)))
        subscribed = {ours(name) for name in names(client.lsub()[1])}
    return found, validity, subscribed
