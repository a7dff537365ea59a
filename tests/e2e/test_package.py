"""The Debian package, from programs that are built already: what is in it, what lintian and shellcheck say of it, and how
little its units may do.  `ninja package-test` installs, upgrades and purges it under a real systemd."""

import json
import os
import re
import shutil
import subprocess

import pytest

from sanger import BIN, TOP, run, temp_dir

DAEMONS = ["imapd", "lda", "managesieved", "statusd", "submitd"]
EXPOSURE_MOST = 2.0  # of 10, by systemd-analyze security
# What all that run as daemons have in common, and what those that do one thing and end have.
NOT_COMPARED = ("ExecStart=", "Description=", "Documentation=")


@pytest.fixture(scope="module")
def package():
    out = temp_dir()
    env = dict(os.environ, SANGER_BUILT=str(BIN), SANGER_PACKAGE_DIR=str(out / "package"),
               DEB_BUILD_OPTIONS="nocheck noautodbgsym")
    run(TOP / "admin" / "package", env=env)
    deb, = (out / "package").glob("*.deb")
    run("dpkg-deb", "-R", deb, out / "root")
    yield out
    shutil.rmtree(out)


@pytest.mark.once
def test_what_is_in_it(package):
    root = package / "root"
    for name in [*(f"usr/libexec/sanger/{d}" for d in DAEMONS), "usr/bin/mailadmin", "usr/sbin/sanger-instance",
                 "etc/sanger/sanger.conf", "usr/share/bash-completion/completions/mailadmin",
                 "usr/share/doc/sanger/README.Debian", "usr/share/doc/sanger/howto.md.gz",
                 "usr/lib/sysusers.d/sanger.conf", "usr/lib/tmpfiles.d/sanger.conf",
                 "usr/share/man/man1/mailadmin.1.gz", "usr/share/man/man8/sanger-instance.8.gz",
                 *(f"usr/share/man/man8/{d}.8.gz" for d in DAEMONS)]:
        assert (root / name).exists(), name
    shipped = {p.name for p in (root / "lib/systemd/system").iterdir()}
    assert shipped == {p.name for p in (TOP / "admin/systemd").iterdir()}
    assert (root / "DEBIAN/conffiles").read_text().split() == ["/etc/sanger/sanger.conf"]
    # the log says how the program was found, not the reader's own configuration
    run(BIN / "mailadmin", "-c", root / "etc/sanger/sanger.conf", "config", "check")


@pytest.mark.once
def test_default_configuration_changes_nothing_but_the_relay(package):
    """What stands in it without a semicolon says what would be anyway."""
    conf = package / "root/etc/sanger/sanger.conf"
    out = run(BIN / "mailadmin", "-c", conf, "config", "list", "--json").stdout
    changed = {s["name"] for s in json.loads(out) if s["line"] and s["value"] != s["default"]
               and s.get("values") != [s["default"]]}
    assert changed <= {"submitd.relay", "submitd.relay_tls"}, changed


@pytest.mark.once
def test_commented_settings_are_valid_too(package):
    text = (package / "root/etc/sanger/sanger.conf").read_text()
    conf = package / "all.conf"
    conf.write_text(re.sub(r"^; ", "", text, flags=re.M))
    run(BIN / "mailadmin", "-c", conf, "config", "check")


@pytest.mark.once
def test_lintian_and_shellcheck(package):
    changes, = (package / "package").glob("*.changes")
    done = run("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", changes, check=False)
    assert done.returncode == 0, done.stdout.decode()
    run("shellcheck", "-s", "sh", TOP / "debian/sanger.postinst", TOP / "debian/sanger.postrm")
    run("shellcheck", "-s", "bash", TOP / "admin/mailadmin.bash", TOP / "admin/package", TOP / "tests/package")


@pytest.mark.once
def test_units_may_do_little(package):
    units = package / "root/lib/systemd/system"
    services = sorted(units.glob("*.service"))
    assert len(services) >= len(DAEMONS) + 3
    for unit in services:  # systemd wants to see the programs
        unit.write_text(unit.read_text().replace("/usr/bin/", f"{package}/root/usr/bin/")
                        .replace("/usr/libexec/", f"{package}/root/usr/libexec/"))
        said = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
                              capture_output=True, text=True, check=False).stdout
        figure = re.search(r"exposure level for \S+: ([0-9.]+)", said)
        assert figure and float(figure[1]) <= EXPOSURE_MOST, (unit.name, said)


def test_what_building_needs_is_said_twice_alike():
    script = (TOP / "admin/packages").read_text()
    wanted = set(re.search(r'build="(.*?)"', script, re.S)[1].split())
    control = (TOP / "debian/control").read_text()
    said = set(re.findall(r"[a-z0-9.+-]+", control.split("Build-Depends:")[1].split("\n\n")[0]))
    assert {p for p in wanted if p.endswith("-dev")} - said <= {"libc6-dev"}  # which build-essential is


def test_daemons_have_the_same_unit():
    def body(name):
        lines = (TOP / f"admin/systemd/sanger-{name}.service").read_text().splitlines()
        return [line for line in lines if not line.startswith(NOT_COMPARED)]
    for name in DAEMONS:
        assert body(name) == body("imapd"), name
    target = (TOP / "admin/systemd/sanger.target").read_text()
    for name in DAEMONS:
        assert f"sanger-{name}.service" in target
