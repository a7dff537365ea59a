"""A real Sanger instance for tests: made by admin/instance on free loopback ports in a temporary
directory, driven through the programs' own doors, stopped and removed at the end.

SANGER_BIN chooses the build that is tested (default: build/)."""

import contextlib
import email.message
import email.policy
import email.utils
import imaplib
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import tempfile
import time

from managesieve import ManageSieve

TOP = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("SANGER_BIN", TOP / "build")).resolve()
WAIT_S = 60  # the generous limit of every wait for a condition
PORTS_PER_INSTANCE = 10
# Tests submit more than people do; those of the limits set their own.
UNLIMITED = {f"submitd.rate_{what}_{time}": 10**9
             for what in ("messages", "recipients") for time in ("hour", "day")}


def wait_for(condition, what, limit_s=WAIT_S):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still waiting after {limit_s} s: {what}")
        time.sleep(0.02)


def run_on_screen(command, home):
    """A program that wants a terminal: waits for its end, which must be a good one; what it showed is in home/screen."""
    with open(home / "screen", "wb") as screen:
        client = subprocess.Popen(["script", "-qec", command, "/dev/null"],
                                  stdin=subprocess.PIPE, stdout=screen, stderr=screen,
                                  env=dict(os.environ, TERM="xterm", HOME=str(home)))
        try:
            assert client.wait(60) == 0
        finally:
            client.kill()
            client.stdin.close()


def port_is_free(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(count):
    """The first of `count` free consecutive ports, held by a lock file against parallel tests.
    They lie below the range that the kernel takes for outgoing connections."""
    locks = pathlib.Path(tempfile.gettempdir()) / f"sanger-test-ports-{os.getuid()}"
    locks.mkdir(exist_ok=True)
    while True:
        base = random.randrange(10000, 32000 - count, PORTS_PER_INSTANCE)
        names = [locks / str(p) for p in range(base, base + count, PORTS_PER_INSTANCE)]
        taken = []
        try:
            for name in names:
                os.close(os.open(name, os.O_CREAT | os.O_EXCL))
                taken.append(name)
            if all(port_is_free(p) for p in range(base, base + count)):
                return base
        except FileExistsError:
            pass
        for name in taken:
            name.unlink(missing_ok=True)


def release_ports(base, count):
    locks = pathlib.Path(tempfile.gettempdir()) / f"sanger-test-ports-{os.getuid()}"
    for p in range(base, base + count, PORTS_PER_INSTANCE):
        (locks / str(p)).unlink(missing_ok=True)


def run(*args, check=True, **kwargs):
    """Runs a program; a failure shows what it printed."""
    kwargs.setdefault("timeout", 300)
    if "stdin" not in kwargs and "input" not in kwargs:
        kwargs["stdin"] = subprocess.DEVNULL
    done = subprocess.run([str(a) for a in args], capture_output=True, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(
            f"{' '.join(str(a) for a in args)}: exit {done.returncode}\n"
            f"{done.stdout.decode(errors='replace')}{done.stderr.decode(errors='replace')}")
    return done


def temp_dir():
    """A directory that the mail user can walk to (root's own temporary directories are closed)."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="sanger-test-"))
    path.chmod(0o755)
    return path


class Instance:
    """One instance; a context manager that has started it inside the `with` block."""

    def __init__(self, relay=(), settings=(), start=True, host="mail.example.org"):
        self.temp = temp_dir()
        self.dir = self.temp / "instance"
        self.base = free_ports(PORTS_PER_INSTANCE)
        self.imaps, self.imap = self.base + 1, self.base + 2
        self.submissions, self.submission = self.base + 3, self.base + 4
        self.lmtp, self.smtp, self.sieve = self.base + 5, self.base + 6, self.base + 7
        self.accounts = {}
        self.relays = [relay] if isinstance(relay, str) else list(relay)
        settings = list(settings.items() if isinstance(settings, dict) else settings)
        given = [k for k, _ in settings]
        settings += [(k, v) for k, v in UNLIMITED.items() if k not in given]
        self.settings = [f"{k}={v}" for k, v in settings]
        self.start_at_once = start
        self.host = host

    def __enter__(self):
        try:
            args = ["--base-port", self.base, "--host", self.host]
            for relay in self.relays:
                args += ["--relay", relay]
            for setting in self.settings:
                args += ["--set", setting]
            self.tool("instance", "create", self.dir, *args)
            if self.start_at_once:
                self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and (self.dir / "log").exists():
            for name in sorted((self.dir / "log").iterdir()):
                text = name.read_text(errors="replace")
                print(f"--- {name.name} (its end)\n{text[-6000:]}")
        if (self.dir / "sanger.conf").exists():
            self.tool("instance", "stop", self.dir, check=False)
        outputs = "".join(p.read_text(errors="replace")
                          for p in (self.dir / "log").glob("*.out")) if self.dir.exists() else ""
        if not os.environ.get("SANGER_KEEP"):
            shutil.rmtree(self.temp, ignore_errors=True)
        release_ports(self.base, PORTS_PER_INSTANCE)
        if kind is None and ("ERROR: AddressSanitizer" in outputs or "runtime error:" in outputs
                             or "ERROR: LeakSanitizer" in outputs):
            raise AssertionError("a sanitizer spoke:\n" + outputs[-8000:])

    # --- running it

    def environment(self):
        env = dict(os.environ, SANGER_BIN=str(BIN))
        env.setdefault("ASAN_OPTIONS", "detect_leaks=0:abort_on_error=0")
        return env

    def tool(self, name, *args, check=True, **kwargs):
        return run(TOP / "admin" / name, *args, check=check, env=self.environment(), **kwargs)

    def start(self):
        self.tool("instance", "start", self.dir)

    def stop(self):
        self.tool("instance", "stop", self.dir)

    def restart(self):
        self.tool("instance", "restart", self.dir)

    def conf(self):
        return self.dir / "sanger.conf"

    def admin(self, *args, check=True, **kwargs):
        """mailadmin; returns what it printed."""
        done = run(BIN / "mailadmin", "-c", self.conf(), *args, check=check,
                   env=self.environment(), **kwargs)
        return done.stdout.decode() if check else done

    def admin_json(self, *args):
        return json.loads(self.admin(*args, "--json"))

    def pid(self, daemon):
        return int((self.dir / "run" / f"{daemon}.pid").read_text())

    def workers(self, daemon):
        """The worker processes of a daemon."""
        pid = self.pid(daemon)
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(p) for p in children.split()]

    def start_one(self, daemon):
        """Starts a single daemon that was killed, and returns when it has written its pid file: its
        doors are open then.  Quicker than `admin/instance start`, which looks after all."""
        with open(self.dir / "log" / f"{daemon}.out", "ab") as out:
            subprocess.run(["setsid", "--fork", str(BIN / daemon), "-c", str(self.conf())],
                           stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True,
                           env=self.environment())
        wait_for(lambda: self.runs(daemon), f"{daemon} to start")

    def runs(self, daemon):
        """True if the process in the pid file lives and is that daemon."""
        try:
            pid = self.pid(daemon)
            return (pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == daemon
                    and alive(pid))
        except (OSError, ValueError):
            return False

    def kill(self, daemon):
        """kill -9 for a daemon and its workers; they are gone on return."""
        pid = self.pid(daemon)
        os.kill(pid, signal.SIGSTOP)  # so that it replaces none
        self.kill_pids([*self.processes(daemon), pid])

    def processes(self, daemon):
        """All living processes of a daemon: the parent and its workers, orphans too."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if ((path / "comm").read_text().strip() == daemon
                        and str(self.conf()).encode() in (path / "cmdline").read_bytes()):
                    found.append(int(path.name))
        return [pid for pid in found if alive(pid)]

    def kill_pids(self, pids):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in pids:
            wait_for(lambda p=pid: not alive(p), f"process {pid} to die")

    def log(self):
        path = self.dir / "log" / "sanger.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- accounts and files

    def add_account(self, address, password="secret-Pw1", quota=None, realname=None):
        args = ["account", "add", address, "--password-stdin"]
        if quota is not None:
            args += ["--quota", quota]
        if realname is not None:
            args += ["--realname", realname]
        self.admin(*args, input=password.encode() + b"\n")
        self.accounts[address] = password
        return address

    def maildir(self, address, mailbox="INBOX"):
        local, domain = address.lower().split("@")
        root = self.dir / "mail" / domain / local
        return root if mailbox == "INBOX" else root / ("." + mailbox.replace("/", "."))

    def files(self, address, mailbox="INBOX"):
        """The message files of a mailbox."""
        box = self.maildir(address, mailbox)
        return [p for sub in ("new", "cur") for p in sorted((box / sub).glob("*"))]

    def own(self, path):
        """Gives files that the test laid into the tree to the daemons' user."""
        if os.getuid() == 0:
            user = pwd.getpwnam("vmail")
            for p in [pathlib.Path(path), *pathlib.Path(path).rglob("*")]:
                os.chown(p, user.pw_uid, user.pw_gid, follow_symlinks=False)

    # --- doors

    def tls(self):
        return ssl.create_default_context(cafile=str(self.dir / "tls" / "cert.pem"))

    def connect_imap(self, address=None, starttls=False):
        """A python imaplib client, logged in if an address is given."""
        imaplib._MAXLINE = 50_000_000
        if starttls:
            client = imaplib.IMAP4("127.0.0.1", self.imap, timeout=WAIT_S)
            client.starttls(self.tls())
        else:
            client = imaplib.IMAP4_SSL("127.0.0.1", self.imaps, ssl_context=self.tls(),
                                       timeout=WAIT_S)
        if address is not None:
            client.login(address, self.accounts[address])
        return client

    def connect_managesieve(self, address=None):
        """A ManageSieve client under TLS, logged in if an address is given."""
        client = ManageSieve(self.sieve, context=self.tls())
        if address is not None:
            reply = client.login(address, self.accounts[address])
            assert reply.word == "OK", reply
        return client

    def connect_lmtp(self):
        return smtplib.LMTP("127.0.0.1", self.lmtp)

    def connect_smtp(self):
        return smtplib.SMTP("127.0.0.1", self.smtp, timeout=WAIT_S)

    def connect_submission(self, address=None, starttls=False):
        if starttls:
            client = smtplib.SMTP("127.0.0.1", self.submission, timeout=WAIT_S)
            client.starttls(context=self.tls())
        else:
            client = smtplib.SMTP_SSL("127.0.0.1", self.submissions, timeout=WAIT_S,
                                      context=self.tls())
        if address is not None:
            client.login(address, self.accounts[address])
        return client

    def deliver(self, address, message=None, sender="sender@example.net", **fields):
        """Delivers one message over LMTP; returns its bytes as given (CRLF)."""
        data = message if isinstance(message, bytes) else bytes(make_message(address, **fields))
        with contextlib.closing(socket.create_connection(("127.0.0.1", self.lmtp), WAIT_S)):
            pass
        client = self.connect_lmtp()
        try:
            refused = client.sendmail(sender, [address], data)
            assert not refused, refused
        finally:
            client.close()
        return data


def alive(pid):
    """False also for a zombie, but not before its last thread is gone, which holds its sockets."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def make_message(to="ann@example.org", sender="sender@example.net", subject="A test message",
                 body="Hello.\n", **headers):
    """A plain message; bytes(…) has CRLF line ends."""
    message = email.message.EmailMessage(
        policy=email.policy.SMTP.clone(max_line_length=100000))
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = email.utils.formatdate()
    message["Message-ID"] = email.utils.make_msgid(domain="example.net")
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message


def free_port():
    """One free port that stays reserved for this test run's process."""
    return free_ports(PORTS_PER_INSTANCE)
