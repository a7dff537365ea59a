"""ninja install: what it puts where, and that the installed programs run an instance."""

import os
import pathlib
import re
import subprocess

import pytest

from sanger import PORTS_PER_INSTANCE, TOP, free_ports, release_ports, run, temp_dir


def verify_units(top):
    """The installed units are what systemd understands, and start what is installed."""
    units = sorted((top / "lib/systemd/system").iterdir())
    assert [u.name for u in units] == sorted(p.name for p in (TOP / "admin/systemd").iterdir())
    for unit in units:
        for start in re.findall(r"^ExecStart=(\S+)", unit.read_text(), re.M):
            assert (top / pathlib.Path(start).relative_to("/opt/sanger")).exists()
            unit.write_text(unit.read_text().replace(start, str(top) + start[len("/opt/sanger"):]))
    done = run("systemd-analyze", "verify", "--man=no", *units, check=False)
    assert done.returncode == 0 and not done.stderr, done


@pytest.mark.once
def test_install_and_run():
    root = temp_dir()
    base = free_ports(PORTS_PER_INSTANCE)
    try:
        env = dict(os.environ, DESTDIR=str(root), prefix="/opt/sanger")
        env.pop("SANGER_BIN", None)
        run(TOP / "admin/install", env=env)
        top = root / "opt/sanger"
        for name in ("libexec/sanger/imapd", "libexec/sanger/submitd", "libexec/sanger/lda",
                     "libexec/sanger/managesieved", "libexec/sanger/statusd", "share/man/man8/managesieved.8",
                     "bin/mailadmin", "sbin/sanger-instance", "share/man/man8/imapd.8",
                     "share/man/man5/sanger.conf.5", "share/man/man1/mailadmin.1",
                     "share/bash-completion/completions/mailadmin",
                     "share/doc/sanger/README.md", "share/doc/sanger/webmail/config.inc.php"):
            assert (top / name).exists(), name
        verify_units(top)
        env.pop("DESTDIR")
        instance = top / "sbin/sanger-instance"
        run(instance, "create", root / "own", "--base-port", base, env=env)
        try:
            out = run(instance, "start", root / "own", env=env).stdout.decode()
            assert out.count("started") == 5
            run(top / "bin/mailadmin", "-c", root / "own/sanger.conf", "account", "add",
                "ann@example.org", "--generate", env=env)
            done = run(top / "libexec/sanger/lda", "-c", root / "own/sanger.conf", "-d",
                       "ann@example.org", input=b"Subject: x\n\ny\n", env=env)
            assert done.returncode == 0
        finally:
            run(instance, "stop", root / "own", env=env, check=False)
    finally:
        release_ports(base, PORTS_PER_INSTANCE)
        subprocess.run(["rm", "-rf", str(root)], check=True)
