"""What holds for all of mailadmin's commands: completion in a real bash, near misses, --dry-run."""

import contextlib
import os
import pty
import re
import select
import time

import pytest

from sanger import BIN, TOP, WAIT_S, Instance, run

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def box():
    """An instance that nobody has started."""
    with Instance(start=False) as i:
        i.add_account("ann@example.org")
        i.add_account("anton@example.org")
        i.add_account("bob@example.net")
        i.admin("mailbox", "create", "ann@example.org", "Sent Items")
        i.admin("alias", "add", "ann@example.org", "info@example.org")
        i.admin("list", "add", "ann@example.org", "friends", "x@example.net")
        yield i


class Bash:
    """An interactive bash in which mailadmin's completion is loaded."""

    def __init__(self, conf):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = {"PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "dumb", "PS1": "", "LC_ALL": "C.UTF-8",
                   "ASAN_OPTIONS": "detect_leaks=0", "HOME": "/nonexistent", "HISTFILE": "/dev/null"}
            os.execve("/bin/bash", ["bash", "--norc", "--noprofile", "-i"], env)
        self.conf = conf
        self.run(f"PS1= PS2= ; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'; "
                 f"bind 'set completion-query-items 0'; bind 'set page-completions off'; "
                 f"stty -echo; source {TOP}/admin/mailadmin.bash; cd /tmp")

    def read_until(self, mark):
        seen, deadline = b"", time.monotonic() + WAIT_S
        while mark not in seen:
            assert time.monotonic() < deadline, seen
            if select.select([self.fd], [], [], 1)[0]:
                seen += os.read(self.fd, 4096)
        return seen

    def run(self, line):
        os.write(self.fd, line.encode() + b"; echo do''ne\n")
        return self.read_until(b"done\r\n")

    def typed(self, line):
        """The words of the line after the tabulator key; then args goes in front and shows them."""
        os.write(self.fd, f"mailadmin -c {self.conf} {line}\t".encode())
        os.write(self.fd, b"\x01args \x05; echo do''ne\n")
        seen = self.read_until(b"done\r\n").decode()
        return re.findall(r"<([^<>]*)>", seen)

    def close(self):
        os.close(self.fd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


@pytest.fixture(scope="module")
def bash(box):
    shell = Bash(box.conf())
    shell.run("args() { shift 3; printf '<%s>' \"$@\"; }")
    yield shell
    shell.close()


@pytest.mark.once
@pytest.mark.parametrize("line, words", [
    ("acc", ["account"]),
    ("account sho", ["account", "show"]),
    ("account show ann@", ["account", "show", "ann@example.org"]),
    ("account show ann@exa", ["account", "show", "ann@example.org"]),
    ("account show bo", ["account", "show", "bob@example.net"]),
    ("account show a", ["account", "show", "an"]),  # ann and anton
    ("account set ann@example.org --qu", ["account", "set", "ann@example.org", "--quota"]),
    ("account set ann@example.org --active=n", ["account", "set", "ann@example.org", "--active=no"]),
    ("account set ann@example.org --active n", ["account", "set", "ann@example.org", "--active", "no"]),
    ("filter test --sender=bob@", ["filter", "test", "--sender=bob@example.net"]),
    ("mailbox delete ann@example.org Sent\\ I", ["mailbox", "delete", "ann@example.org", "Sent Items"]),
    ("mailbox delete ann@example.org 'Sent I", ["mailbox", "delete", "ann@example.org", "Sent Items"]),
    ("mailbox delete ann@example.org \"Sent I", ["mailbox", "delete", "ann@example.org", "Sent Items"]),
    ("mailbox delete ann@example.org Tra", ["mailbox", "delete", "ann@example.org", "Trash"]),
    ("alias delete in", ["alias", "delete", "info@example.org"]),
    ("list show ann@example.org fr", ["list", "show", "ann@example.org", "friends"]),
    ("account list --domain example.n", ["account", "list", "--domain", "example.net"]),
    ("filter check /etc/host", ["filter", "check", "/etc/host"]),  # host.conf, hostname, hosts …
    ("filter check /etc/debian_ver", ["filter", "check", "/etc/debian_version"]),
    ("publish /etc/apt/sources.lis", ["publish", "/etc/apt/sources.list.d/"]),  # no file
])
def test_bash_completes(bash, line, words):
    assert bash.typed(line) == words


@pytest.mark.parametrize("args, meant", [
    (("acount", "list"), "did you mean account?"),
    (("account", "lst"), "did you mean account list?"),
    (("account", "list", "--jsno"), "did you mean --json?"),
    (("account", "list", "--jsno=1"), "did you mean --json?"),
    (("mailbox", "ls", "ann@example.org"), "has no command ls\n"),
    (("zebra",), "there is no command zebra\n"),
])
def test_the_near_one_is_named(box, args, meant):
    done = box.admin(*args, check=False)
    assert done.returncode == 64
    assert meant in done.stderr.decode()


@pytest.mark.parametrize("args, says", [
    (("account", "delete", "bob@example.net"), "its mail would stay in "),
    (("mailbox", "delete", "ann@example.org", "Sent Items"), "Sent Items would go with 0 messages"),
    (("list", "remove", "ann@example.org", "friends"), "1 of 1 members would go, and the list"),
    (("list", "remove", "ann@example.org", "friends", "X@example.net"), "1 of 1 members would go"),
    (("alias", "delete", "info@example.org"), "info@example.org of ann@example.org"),
    (("filter", "clear", "ann@example.org"), "active already"),
])
def test_dry_run_changes_nothing(box, args, says):
    for _ in range(2):
        assert says in box.admin(*args, "--dry-run")


@pytest.mark.parametrize("args", [
    ("account", "delete", "nobody@example.org"),
    ("mailbox", "delete", "ann@example.org", "Nope"), ("mailbox", "delete", "ann@example.org", "INBOX"),
    ("list", "remove", "ann@example.org", "nope"),
    ("list", "remove", "ann@example.org", "friends", "nobody@example.net"),
    ("alias", "delete", "nope@example.org"), ("filter", "delete", "ann@example.org", "nope"),
])
def test_dry_run_refuses_what_would_be_refused(box, args):
    assert box.admin(*args, "--dry-run", check=False).returncode == 1


def test_filters_would_go(box):
    box.admin("filter", "put", "anton@example.org", "one", input=b"keep;\n")
    box.admin("filter", "put", "anton@example.org", "two", input=b"discard;\n")
    box.admin("filter", "activate", "anton@example.org", "one")
    assert "one would go" in box.admin("filter", "clear", "anton@example.org", "--dry-run")
    assert "two would go" in box.admin("filter", "delete", "anton@example.org", "two", "--dry-run")
    done = box.admin("filter", "delete", "anton@example.org", "one", "--dry-run", check=False)
    assert done.returncode == 1 and b"active" in done.stderr
    names = [s["name"] for s in box.admin_json("filter", "list", "anton@example.org")]
    assert names == ["one", "two"]


def test_aliases_are_added_and_deleted_together_or_not_at_all(box):
    def aliases():
        return sorted(a["alias"] for a in box.admin_json("alias", "list", "anton@example.org"))
    box.admin("alias", "add", "anton@example.org", "a1@example.org")
    done = box.admin("alias", "add", "anton@example.org", "a2@example.org", "info@example.org", check=False)
    assert done.returncode == 1 and aliases() == ["a1@example.org"]
    done = box.admin("alias", "delete", "a1@example.org", "a2@example.org", check=False)
    assert done.returncode == 1 and aliases() == ["a1@example.org"]
    box.admin("alias", "delete", "a1@example.org")
    assert aliases() == []


def all_commands():
    lines = run(BIN / "mailadmin", "--help").stdout.decode().splitlines()
    calls = [line[2:].split("  ")[0].split() for line in lines if re.match(r"  [a-z]", line)]
    return [[w for w in call if re.fullmatch(r"[a-z-]+", w)] for call in calls]


def test_every_command_keeps_to_the_exit_codes(box):
    """Help is 0 and has an example; what the row does not know is 64, named, before anything is looked at."""
    commands = all_commands()
    assert len(commands) > 60
    for words in commands:
        done = box.admin(*words, "--help", check=False)
        assert done.returncode == 0 and b"\nexample: mailadmin " in done.stdout, words
        done = box.admin(*words, "--no-such-option", check=False)
        assert done.returncode == 64 and b"unknown option --no-such-option" in done.stderr, (words, done)
