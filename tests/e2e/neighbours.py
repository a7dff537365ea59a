"""What stands around a relay in the tests: the published copy of the account database, spamd,
spamass-milter, certificates; and a look into a mailbox at the store."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess

from sanger import PORTS_PER_INSTANCE, TOP, free_ports, release_ports, run, temp_dir, wait_for


@contextlib.contextmanager
def open_dir():
    """A directory that the daemons' users can walk to, removed at the end."""
    path = temp_dir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


class Published:
    """`db` is the published copy, in a directory that the relay's user can read."""

    def __init__(self, instance):
        self.instance = instance
        self.dir = temp_dir() / "published"
        self.db = self.dir / "user.db"

    def __enter__(self):
        self.dir.mkdir()
        self.instance.own(self.dir)
        self.publish()
        return self

    def __exit__(self, kind, value, trace):
        shutil.rmtree(self.dir.parent, ignore_errors=True)

    def publish(self):
        self.instance.admin("publish", self.dir)


class Spamd:
    """SpamAssassin's daemon with the shipped local.cf, and nothing that asks the network."""

    def __init__(self, rules=""):
        self.rules = rules
        self.dir = temp_dir()
        self.base = free_ports(PORTS_PER_INSTANCE)
        self.port = self.base
        self.process = None

    def __enter__(self):
        site = self.dir / "site"
        site.mkdir()
        # Debian's own rules without its local.cf: the shipped one is local.cf here.
        for path in pathlib.Path("/etc/spamassassin").iterdir():
            if path.suffix in (".pre", ".cf") and path.name != "local.cf":
                shutil.copy(path, site)
        shutil.copy(TOP / "doc/relay/spamassassin-local.cf", site / "local.cf")
        (site / "rules.cf").write_text(self.rules)
        out = open(self.dir / "log", "ab")
        self.process = subprocess.Popen(
            ["/usr/sbin/spamd", "-L", "-x", f"--listen=127.0.0.1:{self.port}",
             f"--siteconfigpath={site}", "--max-children=2", "--min-children=1",
             f"--helper-home-dir={self.dir}", "--syslog=stderr",
             *(["--username=nobody"] if os.getuid() == 0 else [])],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.dir), "LANG": "C"})
        out.close()

        def answers():
            assert self.process.poll() is None, (self.dir / "log").read_text()
            try:
                with socket.create_connection(("127.0.0.1", self.port), 10) as s:
                    s.sendall(b"PING SPAMC/1.5\r\n\r\n")
                    return b"PONG" in s.recv(100)
            except OSError:
                return False
        wait_for(answers, "spamd to answer", 120)
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(f"--- spamd\n{(self.dir / 'log').read_text(errors='replace')[-4000:]}")
        try:
            os.killpg(self.process.pid, 15)
        except ProcessLookupError:
            pass
        self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)
        release_ports(self.base, PORTS_PER_INSTANCE)


class Milter:
    """spamass-milter, with the options that doc/relay/README.md gives it."""

    def __init__(self, spamd_port, trusted, max_bytes):
        self.dir = temp_dir()
        self.base = free_ports(PORTS_PER_INSTANCE)
        self.arguments = ["-p", f"inet:{self.base}@127.0.0.1", "-m", "-r", "15",
                          "-i", ",".join(trusted), "--", "-d", "127.0.0.1", "-p", str(spamd_port),
                          "-s", str(max_bytes)]
        self.process = None

    def address(self):
        return f"inet:127.0.0.1:{self.base}"

    def __enter__(self):
        with open(self.dir / "log", "ab") as out:
            self.process = subprocess.Popen(
                ["/usr/sbin/spamass-milter", *self.arguments], stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True)

        def answers():
            assert self.process.poll() is None, (self.dir / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.base), 10).close()
                return True
            except OSError:
                return False
        wait_for(answers, "spamass-milter to answer")
        return self

    def __exit__(self, kind, value, trace):
        try:
            os.killpg(self.process.pid, 15)
            self.process.wait(20)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)
        release_ports(self.base, PORTS_PER_INSTANCE)


def certificate(directory, name, ca=None):
    """Makes NAME.pem and NAME.key with that DNS name, signed by `ca` (such a pair) or by itself."""
    cert, key = directory / f"{name}.pem", directory / f"{name}.key"
    sign = ["-CA", ca[0], "-CAkey", ca[1]] if ca else []
    if ca is None:
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "30", "-subj", f"/CN={name}", "-addext",
            f"subjectAltName=DNS:{name}", "-keyout", key, "-out", cert)
        return cert, key
    request = directory / f"{name}.csr"
    extensions = directory / f"{name}.ext"
    extensions.write_text(f"subjectAltName=DNS:{name}\n")
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    run("openssl", "x509", "-req", "-in", request, *sign, "-CAcreateserial", "-days", "30",
        "-extfile", extensions, "-out", cert)
    return cert, key


def subjects(imap, mailbox):
    """The subjects in a mailbox, as an IMAP client sees them."""
    imap.select(mailbox, readonly=True)
    found = []
    for part in imap.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
        if isinstance(part, tuple):
            found.append(part[1].decode().split(":", 1)[1].strip())
    return found


def wait_mail(instance, address, subject, mailbox="INBOX"):
    """Waits until that message is in the mailbox; returns its bytes."""
    imap = instance.connect_imap(address)
    try:
        def there():
            try:
                imap.noop()
                return subject in subjects(imap, mailbox)
            except imap.error:  # the mailbox or its first message is not there yet
                return False
        wait_for(there, f"{subject!r} in {mailbox} of {address}")
        number = imap.search(None, "SUBJECT", f'"{subject}"')[1][0].split()[-1]
        return imap.fetch(number, "(BODY.PEEK[])")[1][0][1]
    finally:
        imap.logout()
