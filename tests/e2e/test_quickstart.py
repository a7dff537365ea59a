"""admin/quickstart as a newcomer runs it: once, and once more."""

import os
import shutil
import socket
import subprocess

import pytest

from sanger import PORTS_PER_INSTANCE, TOP, free_ports, release_ports, run, temp_dir


@pytest.fixture
def checkout():
    """A copy of the tracked files with the programs already built (the build is tested elsewhere)."""
    top = temp_dir() / "sanger"
    names = run("git", "-C", TOP, "ls-files", "-z").stdout.decode().split("\0")[:-1]
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(TOP / name, top / name)
    subprocess.run(["cp", "-a", str(TOP / "build"), str(top / "build")], check=True)
    base = free_ports(PORTS_PER_INSTANCE)
    yield top, base
    if (top / "demo").exists():
        run(top / "admin/instance", "stop", top / "demo", check=False)
        shutil.rmtree(os.path.realpath(top / "demo"), ignore_errors=True)
    shutil.rmtree(top.parent, ignore_errors=True)
    release_ports(base, PORTS_PER_INSTANCE)


def quickstart(top, base, check=True):
    return run(top / "admin/quickstart", env=dict(os.environ, SANGER_DEMO_PORT=str(base)),
               check=check, timeout=900)


@pytest.mark.once
def test_twice(checkout):
    top, base = checkout
    out = quickstart(top, base).stdout.decode()
    assert "Delivered by LMTP, read by ann@example.org over IMAPS:" in out
    assert "This came in by LMTP." in out
    assert "Submitted by ann@example.org, read by bob@example.org over IMAPS:" in out
    assert "This went through submission and the relay." in out
    assert f"port {base + 1}" in out and "admin/instance stop demo" in out
    assert out.count("password ") >= 2
    again = quickstart(top, base).stdout.decode()
    assert "it is running" in again and "account ann@example.org is there" in again
    assert "This came in by LMTP." in again
    run(top / "admin/instance", "stop", top / "demo")
    third = quickstart(top, base).stdout.decode()
    assert "This went through submission and the relay." in third


@pytest.mark.once
def test_taken_port(checkout):
    top, base = checkout
    with socket.socket() as s:
        s.bind(("127.0.0.1", base + 3))
        s.listen()
        done = quickstart(top, base, check=False)
    assert done.returncode == 1
    assert f"port {base + 3} is taken".encode() in done.stderr
    assert not (top / "demo").exists() or not (top / "demo" / "sanger.conf").exists()


@pytest.mark.once
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_missing_packages_without_root(checkout):
    top, _ = checkout
    subprocess.run(["chmod", "-R", "a+rX", str(top)], check=True)
    fake = top.parent / "bin"
    fake.mkdir()
    # a dpkg-query that knows of no ninja
    (fake / "dpkg-query").write_text(
        '#!/bin/sh\ncase "$*" in *ninja-build*) exit 1;; esac\nprintf installed\n')
    (fake / "dpkg-query").chmod(0o755)
    done = run(top / "admin/packages", "build", check=False, user=65534, group=65534,
               env=dict(os.environ, PATH=f"{fake}:{os.environ['PATH']}"))
    assert done.returncode == 1
    assert b"ninja-build" in done.stderr and b"apt-get install" in done.stderr


@pytest.mark.parametrize("command", [["admin/quickstart"], ["admin/instance", "create", "DIR"]])
def test_full_disk(command, tmp_path):
    fake = tmp_path / "df"
    fake.write_text('#!/bin/sh\necho "Filesystem Blocks Used Available"; echo "x 100 90 10 90% /"\n')
    fake.chmod(0o755)
    new = temp_dir()
    args = [str(new / "instance") if a == "DIR" else a for a in command]
    done = run(TOP / args[0], *args[1:], check=False,
               env=dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}"))
    shutil.rmtree(new, ignore_errors=True)
    assert done.returncode == 1
    assert b"MB are free on the disk" in done.stderr
