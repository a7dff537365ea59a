"""A real Postfix on loopback ports in a temporary directory.  Debian's packages are unpacked by
tests/postfix below build/, since they cannot be installed beside Exim; the daemons run from there
with their own configuration, queue and log.

    with Postfix(settings={"relay_domains": "example.org"}) as p: p.send(…)

`conf` names a directory whose main.cf, master.cf and other files are taken as they are; without it,
MAIN and MASTER below make a plain relay.  `settings` then changes main.cf by `postconf -e`, as an
administrator does.  The word `smtp` that begins the line of the SMTP service in master.cf becomes
the test's port, and nothing is ever chrooted."""

import os
import pathlib
import pwd
import grp
import shutil
import signal
import smtplib
import socket
import subprocess

import pytest

from sanger import PORTS_PER_INSTANCE, TOP, free_ports, release_ports, run, temp_dir, wait_for

MAIN = """
compatibility_level = 3.6
myhostname = postfix.example.net
mydestination =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
mynetworks = 127.0.0.0/8
"""

# What every Postfix needs; {smtpd} are the lines of the SMTP services.
SERVICES = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""
MASTER = "smtp inet n - n - - smtpd\n" + SERVICES


def unpacked():
    """The directory of the unpacked packages; where Postfix cannot run, the test is skipped."""
    done = run(TOP / "tests" / "postfix", check=False)
    if done.returncode == 77:
        pytest.skip("only root can run Postfix")
    assert done.returncode == 0, done.stderr.decode()
    return pathlib.Path(done.stdout.decode().strip())


class Postfix:
    """A context manager; `port` is its SMTP door on 127.0.0.1, `dir / "conf"` its configuration.
    `files` (name → text) are written beside main.cf first, `replace` changes texts in all of them
    (paths in tables, which know no parameters; "{conf}" there is the directory of main.cf); "{dir}"
    in settings is the temporary directory.
    A certificate and key for TLS: `tls=(cert, key)` are copied to conf/cert.pem and conf/key.pem."""

    def __init__(self, conf=None, settings=(), files=(), main=MAIN, master=MASTER, tls=None,
                 replace=(), start=True):
        self.root = unpacked()
        self.dir = temp_dir()
        self.base = free_ports(PORTS_PER_INSTANCE)
        self.port = self.base
        self.conf = self.dir / "conf"
        self.master = None
        self.start_at_once = start
        self.parts = []
        if conf is not None:
            shutil.copytree(conf, self.conf)
        else:
            self.conf.mkdir()
            (self.conf / "main.cf").write_text(main)
            (self.conf / "master.cf").write_text(master)
        for name, text in dict(files).items():
            (self.conf / name).write_text(text)
        for path in self.conf.iterdir():
            text = path.read_text()
            for old, new in dict(replace).items():
                text = text.replace(old, str(new).replace("{conf}", str(self.conf)))
            path.write_text(text)
        if tls is not None:
            shutil.copy(tls[0], self.conf / "cert.pem")
            shutil.copy(tls[1], self.conf / "key.pem")
            (self.conf / "key.pem").chmod(0o600)
        self._make_directories()
        self._fit_master()
        self.set(self._paths() | {k: str(v).replace("{dir}", str(self.dir))
                                  for k, v in dict(settings).items()})

    def _make_directories(self):
        """The queue as post-install(1) makes it."""
        owner, group = pwd.getpwnam("postfix"), grp.getgrnam("postdrop").gr_gid
        queue = self.dir / "queue"
        for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
                     "incoming", "private", "saved", "trace", "maildrop", "public", "pid"):
            (queue / name).mkdir(parents=True)
            (queue / name).chmod(0o700)
            os.chown(queue / name, owner.pw_uid, -1)
        for name, mode in (("maildrop", 0o730), ("public", 0o710)):
            os.chown(queue / name, owner.pw_uid, group)
            (queue / name).chmod(mode)
        os.chown(queue / "pid", 0, 0)
        (queue / "pid").chmod(0o755)
        (self.dir / "data").mkdir(mode=0o700)
        os.chown(self.dir / "data", owner.pw_uid, owner.pw_gid)
        (self.dir / "log").mkdir()
        (self.dir / "sink").mkdir()
        shutil.copy(self.root / "usr/share/postfix/dynamicmaps.cf", self.conf)

    def _fit_master(self):
        lines = []
        for line in (self.conf / "master.cf").read_text().splitlines():
            words = line.split()
            if line[:1].isspace() or line.startswith("#") or len(words) < 8:
                lines.append(line)
                continue
            if words[:2] == ["smtp", "inet"]:
                words[0] = f"127.0.0.1:{self.port}"
            words[4] = "n"
            lines.append(" ".join(words))
        if not any(line.startswith("postlog ") for line in lines):
            lines.append("postlog unix-dgram n - n - 1 postlogd")
        (self.conf / "master.cf").write_text("\n".join(lines) + "\n")

    def _paths(self):
        lib = self.root / "usr/lib/postfix"
        return {
            "queue_directory": self.dir / "queue", "data_directory": self.dir / "data",
            "daemon_directory": lib / "sbin", "command_directory": self.root / "usr/sbin",
            "shlib_directory": lib, "meta_directory": self.conf,
            "mail_owner": "postfix", "setgid_group": "postdrop",
            "maillog_file": self.dir / "log/maillog", "maillog_file_prefixes": self.dir,
            "import_environment": "MAIL_CONFIG MAIL_LOGTAG LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME"
                                  f" LD_LIBRARY_PATH={lib}",
            "inet_interfaces": "127.0.0.1", "inet_protocols": "ipv4",
            # Waiting: a test is not the Internet.
            "minimal_backoff_time": "2s", "maximal_backoff_time": "4s", "queue_run_delay": "2s",
            "smtp_connect_timeout": "5s", "smtpd_error_sleep_time": "0",
            "notify_classes": "",
        }

    def _environment(self):
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C",
                "LD_LIBRARY_PATH": str(self.root / "usr/lib/postfix"),
                "MAIL_CONFIG": str(self.conf)}

    def tool(self, name, *args, check=True, **kwargs):
        """postconf, postqueue, postsuper, postmap, postcat … on this instance."""
        return run(self.root / "usr/sbin" / name, "-c", self.conf, *args, check=check,
                   env=self._environment(), **kwargs)

    def set(self, settings):
        if settings:
            self.tool("postconf", "-e", *(f"{k}={v}" for k, v in settings.items()))

    def also(self, part):
        """Another daemon (a context manager) that runs while this one does, a milter for example."""
        self.parts.append(part)

    def __enter__(self):
        started = []
        try:
            for part in self.parts:
                part.__enter__()
                started.append(part)
            if self.start_at_once:
                self.start()
        except BaseException as e:
            self.parts = started
            self.__exit__(type(e), e, e.__traceback__)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(f"--- postfix\n{self.log()[-6000:]}")
        self.stop()
        for part in reversed(self.parts):
            part.__exit__(kind, value, trace)
        shutil.rmtree(self.dir, ignore_errors=True)
        release_ports(self.base, PORTS_PER_INSTANCE)

    def start(self):
        with open(self.dir / "log/stderr", "ab") as out:
            self.master = subprocess.Popen(
                [self.root / "usr/lib/postfix/sbin/master", "-c", self.conf, "-d"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self._environment(),
                start_new_session=True)

        def answers():
            assert self.master.poll() is None, (self.dir / "log/stderr").read_text() + self.log()
            try:
                with socket.create_connection(("127.0.0.1", self.port), 20) as s:
                    return s.recv(3) == b"220"
            except OSError:
                return False
        wait_for(answers, "postfix to answer")

    def stop(self):
        """master(8) ends its children with itself, all in one process group."""
        if self.master is None:
            return
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.master.pid, sig)
            except ProcessLookupError:
                pass
            self.master.wait(30)
        self.master = None

    def reload(self):
        self.master.send_signal(signal.SIGHUP)

    def address(self):
        return f"127.0.0.1:{self.port}"

    def log(self):
        path = self.dir / "log/maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def queued(self):
        """How many messages wait in its queue."""
        return sum(1 for sub in ("incoming", "active", "deferred", "hold", "maildrop")
                   for p in (self.dir / "queue" / sub).rglob("*") if p.is_file())

    def flush(self):
        self.tool("postqueue", "-f")

    def send(self, sender, recipients, message):
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            return client.sendmail(sender, recipients, message)
