"""admin/instance: create, start, stop, status, restart, reload, and its errors."""

import os
import shutil
import smtplib
import socket

import pytest

from sanger import BIN, TOP, Instance, alive, make_message, run, wait_for

pytestmark = pytest.mark.once


def test_start_answers_on_all_doors_and_stop_ends_them():
    with Instance() as i:
        i.add_account("ann@example.org")
        for port in (i.imaps, i.imap, i.submissions, i.submission, i.lmtp, i.smtp, i.sieve):
            socket.create_connection(("127.0.0.1", port), 10).close()
        pids = [i.pid(d) for d in ("imapd", "submitd", "lda", "managesieved")]
        status = i.tool("instance", "status", i.dir).stdout.decode()
        assert status.count("running") >= 3
        i.stop()
        assert not any(alive(p) for p in pids)
        assert i.tool("instance", "status", i.dir, check=False).returncode == 1
        i.start()
        i.connect_imap("ann@example.org").logout()


def test_start_twice_does_no_harm(instance):
    before = instance.pid("imapd")
    out = instance.tool("instance", "start", instance.dir).stdout.decode()
    assert "runs already" in out
    assert instance.pid("imapd") == before


def test_create_refuses_an_existing_instance(instance):
    done = instance.tool("instance", "create", instance.dir, check=False)
    assert done.returncode == 1
    assert b"already holds an instance" in done.stderr


def test_taken_port_is_named():
    with Instance(start=False) as i:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(("0.0.0.0", i.imaps))
            s.listen()
            done = i.tool("instance", "start", i.dir, check=False)
        assert done.returncode == 1
        assert str(i.imaps).encode() in done.stderr
        assert b"in use" in done.stderr
        assert i.tool("instance", "status", i.dir, check=False).returncode == 1


def test_unknown_setting_is_refused_with_file_and_line():
    with pytest.raises(AssertionError, match=r"sanger.conf:\d+"):
        with Instance(settings={"imapd.wrokers": "2"}):
            pass


def test_reload_takes_new_settings_and_keeps_sessions(instance):
    client = instance.connect_imap("ann@example.org")
    old = set(instance.workers("imapd"))
    text = instance.conf().read_text().replace("level = info", "level = debug")
    instance.conf().write_text(text)
    instance.tool("instance", "reload", instance.dir)
    wait_for(lambda: set(instance.workers("imapd")) - old, "new workers")
    assert client.noop()[0] == "OK"
    client.logout()


def test_reload_lets_a_mail_program_send_what_it_came_for(instance):
    client = instance.connect_submission("ann@example.org")
    reloads = instance.log().count("submitd reload state=done")
    instance.tool("instance", "reload", instance.dir)
    wait_for(lambda: instance.log().count("submitd reload state=done") > reloads, "the reload's end")
    message = bytes(make_message("ann@example.org"))
    assert client.sendmail("ann@example.org", ["ann@example.org"], message) == {}
    with pytest.raises((smtplib.SMTPResponseException, smtplib.SMTPServerDisconnected)):
        client.sendmail("ann@example.org", ["ann@example.org"], message)
    with instance.connect_submission("ann@example.org") as again:
        assert again.sendmail("ann@example.org", ["ann@example.org"], message) == {}


def test_reload_with_a_broken_file_changes_nothing(instance):
    before = instance.workers("imapd")
    with open(instance.conf(), "a") as f:
        f.write("\n[imapd]\nnonsense = 1\n")
    done = instance.tool("instance", "reload", instance.dir, check=False)
    assert done.returncode == 1
    assert instance.workers("imapd") == before


@pytest.mark.parametrize("args", [[], ["fly"], ["create"], ["create", "/x", "--base-port", "a"],
                                  ["create", "/x", "--set", "a=b"], ["start"]])
def test_usage_errors(args):
    with Instance(start=False) as i:
        assert i.tool("instance", *args, check=False).returncode == 64


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_as_ordinary_user():
    with Instance(start=False) as i:
        # where the user can reach it, wherever this checkout lies
        for name in ("imapd", "submitd", "lda", "managesieved", "mailadmin"):
            shutil.copy2(BIN / name, i.temp / name)
        script = shutil.copy2(TOP / "admin" / "instance", i.temp / "instance-script")
        home = i.temp / "home"
        home.mkdir()
        os.chown(home, 65534, 65534)
        env = dict(i.environment(), HOME=str(home), SANGER_BIN=str(i.temp))

        def instance(*args):
            return run(script, *args, env=env, user=65534, group=65534, extra_groups=[],
                       cwd=home).stdout
        instance("create", home / "own", "--base-port", i.base)
        instance("start", home / "own")
        try:
            assert instance("status", home / "own").count(b"running") >= 3
        finally:
            instance("stop", home / "own")
