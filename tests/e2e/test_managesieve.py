"""ManageSieve with the clients people have, by the letter of RFC 5804, and with hostile peers."""

import base64
import contextlib
import hashlib
import os
import signal
import smtplib
import subprocess
import time

import pytest

from managesieve import ManageSieve, capabilities
from sanger import BIN, Instance, make_message, run, wait_for
from scram import Scram, b64
from test_security import Memory, check_log

ANN, BOB = "ann@example.org", "bob@example.org"
PASSWORD = "secret-Pw1"
KEEP = "keep;\r\n"
LISTS = 'require "fileinto";\r\nif header :contains "subject" "list" { fileinto "Junk"; }\r\n'
EXIM = "# Exim filter\nif $h_subject: contains list then save .Junk/ endif\n"


@pytest.fixture(scope="module")
def box():
    with Instance(settings={"log.level": "debug", "auth.fail_limit": "1000"}) as i:
        for address in (ANN, BOB):
            i.add_account(address, PASSWORD)
        yield i
        check_log(i)


@pytest.fixture
def user(box, request):
    """An account of the test's own."""
    name = f"{request.node.name.split('[')[0].removeprefix('test_').replace('_', '-')}"
    return box.add_account(f"{name[:40]}-{os.urandom(3).hex()}@example.org", PASSWORD)


# --- who has an address later

def test_sessions_of_a_former_holder_of_the_address(box):
    """Who has logged in and gets deleted neither sets the filter of the next one with that address, nor sends as that one."""
    for gone in (["account", "delete"], ["account", "rename", None, "old-" + BOB]):
        former = box.add_account(f"{os.urandom(3).hex()}@example.org")
        with box.connect_managesieve(former) as sieve, box.connect_submission(former) as smtp:
            assert sieve.command('PUTSCRIPT "a"', KEEP).word == "OK"
            assert smtp.mail(former)[0] == 250
            smtp.rset()
            box.admin(*[former if word is None else word for word in gone + [former] * ("delete" in gone)])
            box.add_account(former, "another-Pw2")
            reply = sieve.command('PUTSCRIPT "evil"', 'redirect "eve@example.net";')
            assert (reply.word, reply.text) == ("BYE", "The account is gone")
            assert not sieve.more()
            assert smtp.mail(former)[0] == 550
            with contextlib.suppress(smtplib.SMTPException):
                smtp.quit()
        with box.connect_managesieve(former) as sieve:
            assert sieve.command("LISTSCRIPTS").lines == []


# --- the protocol


def test_greeting_and_starttls(box):
    """The capabilities come by themselves at the beginning and after TLS, and differ only as they should."""
    with ManageSieve(box.sieve, tls=None) as c:
        clear = capabilities(c.greeting)
        assert clear["SASL"] == "" and "STARTTLS" in clear and "OWNER" not in clear
        assert c.command("starttls").word == "OK"
        c.start_tls()
        tls = capabilities(c.reply())
        assert "STARTTLS" not in tls and "OWNER" not in tls
        assert tls["SASL"].split() == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]
        assert c.command("STARTTLS").word == "NO"
        for caps in (clear, tls):
            assert caps["IMPLEMENTATION"] == "Sanger" and caps["VERSION"] == "1.0"
            assert {"fileinto", "envelope", "copy"} <= set(caps["SIEVE"].split())
            assert int(caps["MAXREDIRECTS"]) > 0 and "UNAUTHENTICATE" in caps
            assert ("enotify" in caps["SIEVE"].split()) == (caps.get("NOTIFY") == "mailto")
        assert c.login(ANN, PASSWORD).word == "OK"
        inside = c.capabilities()
        assert inside.pop("OWNER") == ANN and inside == tls


def test_implicit_tls():
    with Instance(start=False) as i:
        text = i.conf().read_text()
        port = i.base + 9
        i.conf().write_text(text.replace("[managesieved]\n",
                                         f"[managesieved]\nlisten_tls = 127.0.0.1:{port}\n"))
        i.start()
        i.add_account(ANN, PASSWORD)
        with ManageSieve(port, tls="implicit", context=i.tls()) as c:
            assert "STARTTLS" not in capabilities(c.greeting)
            assert c.login(ANN, PASSWORD).word == "OK"
        assert "managesieved answers" in i.admin("doctor", check=False).stdout.decode()


@pytest.mark.parametrize("command", [
    f'AUTHENTICATE "PLAIN" "{b64(f"{chr(0)}{ANN}{chr(0)}{PASSWORD}".encode())}"', "LISTSCRIPTS",
    'AUTHENTICATE "SCRAM-SHA-256"', 'PUTSCRIPT "a" "keep;"', 'GETSCRIPT "a"', 'HAVESPACE "a" 5',
    'CHECKSCRIPT "keep;"', 'SETACTIVE ""', 'DELETESCRIPT "a"', 'RENAMESCRIPT "a" "b"',
    "UNAUTHENTICATE", "XFOO"])
def test_nothing_before_tls(box, command):
    with ManageSieve(box.sieve, tls=None) as c:
        reply = c.command(command)
        assert reply.word == "NO" and not reply.lines
        if command.startswith("AUTH"):
            assert reply.code == "ENCRYPT-NEEDED"
        for allowed in ("CAPABILITY", "NOOP", "LOGOUT"):
            assert c.command(allowed).word == "OK"
        assert c.rest() == b""


def test_starttls_injection(box):
    """What is pipelined behind STARTTLS is never answered, in the clear or under TLS."""
    with ManageSieve(box.sieve, tls=None) as c:
        c.send("STARTTLS\r\nNOOP \"evil\"\r\n")
        assert c.reply().word in ("OK", "")  # perhaps the end comes before it
        with contextlib.suppress(OSError):
            c.start_tls()
            assert b"evil" not in c.rest()


def test_plain_without_initial_response(box):
    """KDE's and the Thunderbird add-on's ways: an empty challenge, quoted and literal answers."""
    secret = b64(f"\0{BOB}\0{PASSWORD}".encode())
    for answer in (f'"{secret}"', f"{{{len(secret)}+}}\r\n{secret}"):
        with ManageSieve(box.sieve) as c:
            c.send('AUTHENTICATE "PLAIN"\r\n')
            assert c.line() == [b""]
            assert c.command(answer).word == "OK"
            assert c.command('AUTHENTICATE "PLAIN"').word == "NO"  # only once, RFC 5804 §2.1
    with ManageSieve(box.sieve) as c:
        assert c.command('AUTHENTICATE "PLAIN"', literal=secret).word == "OK"


def test_login_mechanism_and_cancel(box):
    with ManageSieve(box.sieve) as c:
        c.send('AUTHENTICATE "LOGIN"\r\n')
        assert c.line() == [base64.b64encode(b"Username:")]
        assert c.command('"*"').word == "NO"
        c.send('AUTHENTICATE "LOGIN"\r\n')
        c.line()
        c.send(f'"{b64(BOB.encode())}"\r\n')
        assert c.line() == [base64.b64encode(b"Password:")]
        assert c.command(f'"{b64(PASSWORD.encode())}"').word == "OK"


def test_scram_plus(box):
    """Bound to the server's certificate, RFC 5929 §4.1."""
    with ManageSieve(box.sieve) as c:
        digest = hashlib.sha256(c.sock.getpeercert(binary_form=True)).digest()
        scram = Scram(BOB, PASSWORD, binding=("tls-server-end-point", digest))
        c.send(f'AUTHENTICATE "SCRAM-SHA-256-PLUS" "{b64(scram.first())}"\r\n')
        reply = c.command(f'"{b64(scram.final(base64.b64decode(c.line()[0])))}"')
        assert reply.word == "OK"
        scram.check(base64.b64decode(reply.code[6:-1]))


@pytest.mark.parametrize("version, accepted", [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_openssl_starttls(box, version, accepted):
    done = run("openssl", "s_client", "-connect", f"127.0.0.1:{box.sieve}", "-starttls", "sieve", version,
               *([] if accepted else ["-cipher", "ALL:@SECLEVEL=0"]), check=False,
               input=b"LOGOUT\r\n", timeout=60)
    out = done.stdout.decode(errors="replace")
    assert ("Cipher is (NONE)" in out or "Cipher    : 0000" in out) != accepted, out


@pytest.mark.parametrize("initial", [True, False])
def test_scram(box, initial):
    """The server's last word comes with the OK, RFC 5804 §1.3."""
    with ManageSieve(box.sieve) as c:
        scram = Scram(BOB, PASSWORD)
        first = b64(scram.first())
        if initial:
            c.send(f'AUTHENTICATE "SCRAM-SHA-256" "{first}"\r\n')
        else:
            c.send('AUTHENTICATE "SCRAM-SHA-256"\r\n')
            assert c.line() == [b""]
            c.send(f'"{first}"\r\n')
        final = scram.final(base64.b64decode(c.line()[0]))
        reply = c.command(f'"{b64(final)}"')
        assert reply.word == "OK" and reply.code.startswith('SASL "')
        scram.check(base64.b64decode(reply.code[6:-1]))
        assert c.scripts()[0] == []
        wrong = Scram(BOB, "wrong-Pw")
        assert c.command("UNAUTHENTICATE").word == "OK"
        c.send(f'AUTHENTICATE "SCRAM-SHA-256" "{b64(wrong.first())}"\r\n')
        assert c.command(f'"{b64(wrong.final(base64.b64decode(c.line()[0])))}"').word == "NO"
        assert c.command("LISTSCRIPTS").word == "NO"


def test_scripts(box, user):
    with box.connect_managesieve(user) as c:
        assert c.scripts() == ([], None)
        assert c.command(f'HAVESPACE "lists" {len(LISTS)}').word == "OK"
        assert c.command('PUTSCRIPT "lists"', LISTS).word == "OK"
        assert c.command('putscript "quoted" "keep;"').word == "OK"
        assert c.scripts() == (["lists", "quoted"], None)
        assert c.command('SetActive "lists"').word == "OK"
        assert c.scripts() == (["lists", "quoted"], "lists")
        assert c.get("lists") == LISTS
        refused = c.command('PUTSCRIPT "lists"', KEEP + "fly;\r\n")
        assert refused.word == "NO" and "line 2" in refused.text
        assert c.get("lists") == LISTS
        assert c.command('CHECKSCRIPT', LISTS).word == "OK"
        assert c.command('DELETESCRIPT "lists"').code == "ACTIVE"
        assert c.command('RENAMESCRIPT "lists" "quoted"').code == "ALREADYEXISTS"
        assert c.command('RENAMESCRIPT "lists" "Regeln für alle"').word == "OK"
        assert c.scripts() == (["Regeln für alle", "quoted"], "Regeln für alle")
        for command in ('SETACTIVE "x"', 'GETSCRIPT "x"', 'DELETESCRIPT "x"', 'RENAMESCRIPT "x" "y"'):
            assert c.command(command).code == "NONEXISTENT"
        assert c.command('SETACTIVE ""').word == "OK"
        assert c.command('DELETESCRIPT "quoted"').word == "OK"
        assert c.scripts() == (["Regeln für alle"], None)


def test_pipelining(box, user):
    """Replies come in order, whatever is sent at once (RFC 5804 §2)."""
    with ManageSieve(box.sieve) as c:
        plain = b64(f"\0{user}\0{PASSWORD}".encode())
        c.send(f'AUTHENTICATE "PLAIN" "{plain}"\r\nPUTSCRIPT "a" {{5+}}\r\nkeep;\r\n'
               'SETACTIVE "a"\r\nLISTSCRIPTS\r\nNOOP "last"\r\nLOGOUT\r\nNOOP "never"\r\n')
        assert [c.reply().word for _ in range(3)] == ["OK"] * 3
        assert c.reply().lines == [[b"a", "ACTIVE"]]
        assert c.reply().code == 'TAG "last"'
        assert c.reply().word == "OK"
        assert c.rest() == b""


def test_unauthenticate(box, user):
    with box.connect_managesieve(user) as c:
        assert c.command('PUTSCRIPT "mine" "keep;"').word == "OK"
        assert c.command("UNAUTHENTICATE").word == "OK"
        assert c.command("LISTSCRIPTS").word == "NO"
        assert "OWNER" not in c.capabilities()
        assert c.login(BOB, PASSWORD).word == "OK"
        assert "mine" not in c.scripts()[0]
        assert c.capabilities()["OWNER"] == BOB


def test_mailadmin_sees_the_same(box, user):
    with box.connect_managesieve(user) as c:
        assert c.command('PUTSCRIPT "lists"', LISTS).word == "OK"
        assert c.command('SETACTIVE "lists"').word == "OK"
    assert "fileinto" in box.admin("filter", "show", user)
    assert "lists" in box.admin("filter", "list", user)
    assert box.admin("filter", "get", user, "lists").replace("\r\n", "\n") == LISTS.replace(
        "\r\n", "\n")
    assert "managesieve 127.0.0.1" in box.admin("filter", "history", user)


def test_delivery_runs_it(box, user):
    with box.connect_managesieve(user) as c:
        assert c.command('PUTSCRIPT "lists"', LISTS).word == "OK"
        box.deliver(user, subject="list 1")
        assert len(box.files(user)) == 1
        assert c.command('SETACTIVE "lists"').word == "OK"
        box.deliver(user, subject="list 2")
        assert len(box.files(user)) == 1 and len(box.files(user, "Junk")) == 1
        assert c.command('PUTSCRIPT "lists"', KEEP).word == "OK"  # of the active one: at once
        box.deliver(user, subject="list 3")
        assert len(box.files(user)) == 2
        assert c.command('SETACTIVE ""').word == "OK"


# --- filters that were set otherwise


def test_exim_filter(box, user):
    """It is there to read, stays as it is, and goes when another script takes its place."""
    box.admin("filter", "set", user, "-", input=EXIM.encode())
    with box.connect_managesieve(user) as c:
        assert c.scripts() == (["exim-filter"], "exim-filter")
        assert c.get("exim-filter") == EXIM
        for command in ('PUTSCRIPT "exim-filter" "keep;"', 'RENAMESCRIPT "exim-filter" "x"',
                        'DELETESCRIPT "exim-filter"', 'HAVESPACE "exim-filter" 5'):
            assert c.command(command).word == "NO"
        assert c.command('PUTSCRIPT "other"', EXIM).word == "NO"
        assert c.command('CHECKSCRIPT', EXIM).word == "NO"
        assert c.get("exim-filter") == EXIM
        assert c.command('PUTSCRIPT "mine"', KEEP).word == "OK"
        assert c.scripts() == (["mine", "exim-filter"], "exim-filter")
        assert c.command('SETACTIVE "mine"').word == "OK"
        assert c.scripts() == (["mine"], "mine")
    assert len(box.admin_json("filter", "history", user)) >= 2


def test_unnamed_sieve_filter(box, user):
    box.admin("filter", "set", user, "-", input=KEEP.encode())
    with box.connect_managesieve(user) as c:
        names, active = c.scripts()
        assert names == [active]
        assert c.command(f'PUTSCRIPT "{active}"', LISTS).word == "OK"
        assert c.scripts() == ([active], active)
    assert "fileinto" in box.admin("filter", "show", user)


def test_failed_filter_is_told(box, user):
    """A run-time error of the active filter comes as a warning until another one is active."""
    failing = 'require ["variables", "fileinto"];\r\nset "a" "${unknown}b\x01/../";\r\nfileinto "${a}";\r\n'
    with box.connect_managesieve(user) as c:
        assert c.command('PUTSCRIPT "bad"', failing).word == "OK"
        assert c.command('SETACTIVE "bad"').word == "OK"
        assert c.command("LISTSCRIPTS").code is None
        box.deliver(user, subject="hello")
        assert any(b"hello" in p.read_bytes() for p in box.files(user))
        reply = wait_for(lambda: (r := c.command("LISTSCRIPTS")).code == "WARNINGS" and r,
                         "the warning")
        assert reply.lines == [[b"bad", "ACTIVE"]] and "line 3" in reply.text
        assert c.command('SETACTIVE "bad"').code == "WARNINGS"
        assert c.command('PUTSCRIPT "bad"', KEEP).code is None
        assert c.command("LISTSCRIPTS").code is None


# --- limits


def test_script_sizes(box, user):
    """The largest script comes back whole; a larger one is refused, and the session goes on."""
    largest = ("# " + "x" * 77 + "\n").encode() * (1024 * 1024 // 80)
    largest += b"#" * (1024 * 1024 - len(largest))
    with box.connect_managesieve(user) as c:
        assert c.command(f'HAVESPACE "a" {len(largest)}').word == "OK"
        assert c.command('PUTSCRIPT "a"', largest).word == "OK"
        assert c.get("a").encode() == largest
        for size in (len(largest) + 1, 40_000_000):
            assert c.command(f'HAVESPACE "a" {size}').code == "QUOTA/MAXSIZE"
            assert c.command('PUTSCRIPT "a"', b"#" * size).code == "QUOTA/MAXSIZE"
            assert c.command("NOOP").word == "OK"
        refused = c.command("CHECKSCRIPT", largest + b"#")
        assert refused.word == "NO" and refused.code is None
        assert c.get("a").encode() == largest


def test_script_quota():
    with Instance(settings={"filter.scripts_max": "3", "filter.script_bytes_max": "64K"}) as i:
        i.add_account(ANN, PASSWORD)
        with i.connect_managesieve(ANN) as c:
            for name in "abc":
                assert c.command(f'PUTSCRIPT "{name}"', KEEP).word == "OK"
            assert c.command('PUTSCRIPT "d"', KEEP).code == "QUOTA/MAXSCRIPTS"
            assert c.command('HAVESPACE "d" 5').code == "QUOTA/MAXSCRIPTS"
            assert c.command('PUTSCRIPT "a"', KEEP).word == "OK"
            assert c.command('PUTSCRIPT "a"', b"#" * 65536).code == "QUOTA/MAXSIZE"
            assert c.command('HAVESPACE "a" 65536').code == "QUOTA/MAXSIZE"
            assert c.get("a") == KEEP


def test_a_slow_reader(box, user):
    """Who asks for much and reads nothing is not served further, and nobody else waits."""
    text = b"# " + b"x" * 500_000
    with Memory(box, "managesieved"), box.connect_managesieve(user) as c:
        assert c.command('PUTSCRIPT "a"', text).word == "OK"
        c.sock.settimeout(1)
        with contextlib.suppress(TimeoutError):
            for _ in range(2000):
                c.send('GETSCRIPT "a"\r\n')
        with box.connect_managesieve(BOB) as other:
            assert other.command("NOOP").word == "OK"


# --- real clients


def sieve_connect(box, user, *args, mechanism="PLAIN"):
    home = box.temp / "sieve-connect"
    home.mkdir(exist_ok=True)
    with open(home / "password", "w") as f:
        f.write(PASSWORD)
    with open(home / "password") as f:
        return subprocess.run(
            ["sieve-connect", "--server", "localhost", "--port", str(box.sieve), "--user", user,
             "--4", "--authmech", mechanism, "--passwordfd", str(f.fileno()),
             "--tlscafile", str(box.dir / "tls" / "cert.pem"), *args],
            stdin=subprocess.DEVNULL, pass_fds=[f.fileno()], capture_output=True, text=True, timeout=120,
            env=dict(os.environ, HOME=str(home)), cwd=home, check=False)


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_sieve_connect(box, user, mechanism):
    script = box.temp / "rules.sieve"
    script.write_text(LISTS)
    bad = box.temp / "bad.sieve"
    bad.write_text("keep;\nfly;\n")

    def sc(*args):
        return sieve_connect(box, user, *args, mechanism=mechanism)

    done = sc("--upload", "--localsieve", str(script), "--remotesieve", "rules")
    assert done.returncode == 0, done.stderr
    done = sc("--activate", "--remotesieve", "rules")
    assert done.returncode == 0, done.stderr
    done = sc("--list")
    assert done.returncode == 0 and '"rules" ACTIVE' in done.stdout, done.stdout + done.stderr
    back = box.temp / "back.sieve"
    back.unlink(missing_ok=True)
    done = sc("--download", "--remotesieve", "rules", "--localsieve", str(back))
    assert done.returncode == 0, done.stderr
    assert back.read_text().split() == LISTS.split()
    done = sc("--checkscript", "--localsieve", str(bad))
    assert "line 2" in done.stdout + done.stderr
    done = sc("--deactivate")
    assert done.returncode == 0, done.stderr
    done = sc("--delete", "--remotesieve", "rules")
    assert done.returncode == 0, done.stderr
    assert "rules" not in sc("--list").stdout


def test_net_sieve(box, user):
    """Roundcube's library, under a certificate that it checks."""
    done = run("php", "-d", "display_errors=stderr", os.path.join(os.path.dirname(__file__), "net_sieve.php"),
               box.sieve, box.dir / "tls" / "cert.pem", user, PASSWORD, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode()
    assert done.stdout.decode().splitlines()[-1] == "end"


# --- hostile peers


def test_huge_literals(box):
    """Before login hardly anything is taken; after it nothing that is no script."""
    with Memory(box, "managesieved"):
        for size in (2_000_000, 5_000_000_000, 10**30):
            with ManageSieve(box.sieve) as c:
                reply = c.command(f'AUTHENTICATE "PLAIN" {{{size}+}}')
                assert reply.word == "BYE" and reply.code == "QUOTA/MAXSIZE"
                assert c.rest() == b""
        with ManageSieve(box.sieve) as c:
            assert c.command('PUTSCRIPT "a"', b"x" * 1_000_000).word == "NO"
            assert c.command('AUTHENTICATE "PLAIN"', b"A" * 20_000).word == "NO"
            assert c.command("NOOP").word == "OK"
            c.send('AUTHENTICATE "PLAIN"\r\n')
            c.line()
            assert c.command("{900000+}\r\n" + "A" * 900_000).word == "NO"
            assert c.command("NOOP").word == "OK"  # and not an answer of the mechanism's
        with box.connect_managesieve(BOB) as c:
            reply = c.command('PUTSCRIPT "a" {100000000+}')
            assert reply.word == "BYE" and reply.code == "QUOTA/MAXSIZE"
        with box.connect_managesieve(BOB) as c:
            for line in ("x" * 1_000_000, "NOOP \"" + "x" * 100_000, '"' * 70_000):
                assert c.command(line).word == "NO"
            assert c.command("NOOP").word == "OK"


def test_skipped_literals_are_no_commands(box, user):
    with box.connect_managesieve(user) as c:
        assert c.command('PUTSCRIPT "a"', KEEP).word == "OK"
        evil = b'DELETESCRIPT "a"\r\n' * 70_000
        assert c.command('PUTSCRIPT "b"', evil).code == "QUOTA/MAXSIZE"
        assert c.command('NOOP {%d+}\r\n' % len(evil) + evil.decode()).word == "NO"
        assert c.scripts()[0] == ["a"]


def test_bad_commands_end(box):
    with box.connect_managesieve(BOB) as c:
        c.send(b"\x00\xff\r\nPUTSCRIPT\r\nLISTSCRIPTS x\r\nNOOP {\r\n" + b"FOO\r\n" * 30)
        assert b"BYE" in c.rest()


@pytest.mark.parametrize("name", [
    b"../bob", b"a/b", b"/etc/passwd", b"a\x01b", b"a\x7fb", b"a\r\nb", b"a\x00b", "a\u2028b".encode(),
    b"n" * 512, b"n" * 513, b"\xff\xfe", b"", b"'; DROP TABLE script; --", b"%s%n", "\u202ex".encode()])
def test_script_names(box, user, name):
    """A name is kept byte for byte or refused; it is never a path."""
    with box.connect_managesieve(user) as c:
        reply = c.command(b"PUTSCRIPT {%d+}\r\n" % len(name) + name + b' "keep;"')
        bad = (not name or len(name) > 512 or any(b < 32 or b == 127 for b in name)
               or name == b"\xff\xfe" or "\u2028".encode() in name)
        assert reply.word == ("NO" if bad else "OK")
        assert [line[0] for line in c.command("LISTSCRIPTS").lines] == ([] if bad else [name])


def test_slow_and_silent_peers():
    """Nobody stays without a login; after it silence is allowed for long."""
    settings = {"auth.login_timeout": "5s", "managesieved.autologout": "10s",
                "tls.handshake_timeout": "2s", "auth.connections_per_address": "5",
                "auth.fail_limit": "1000"}
    with Instance(settings=settings) as i:
        i.add_account(ANN, PASSWORD)
        with i.connect_managesieve(ANN) as quiet, ManageSieve(i.sieve, tls=None) as clear, \
                ManageSieve(i.sieve) as drip, ManageSieve(i.sieve, tls=None) as half:
            half.command("STARTTLS")  # and no handshake
            with pytest.raises(OSError):
                for _ in range(400):
                    drip.send("N")
                    time.sleep(0.3)
            assert b"BYE" in clear.rest(60)
            assert half.rest(60) == b""
            assert b"BYE" in quiet.rest(60)
        # UNAUTHENTICATE starts the time for a login anew
        with i.connect_managesieve(ANN) as c:
            assert c.command("UNAUTHENTICATE").word == "OK"
            assert b"BYE" in c.rest(60)
        peers = [ManageSieve(i.sieve, tls=None) for _ in range(5)]
        sixth = ManageSieve(i.sieve, tls=None)
        assert sixth.greeting.word == "BYE" and sixth.greeting.code == "TRYLATER"
        for c in (*peers, sixth):
            c.close()


def test_sessions_of_one_account(box, user):
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(box.connect_managesieve(user))
        with ManageSieve(box.sieve) as c:
            reply = c.login(user, PASSWORD)
            assert reply.word == "BYE" and reply.code == "TRYLATER"
        with box.connect_managesieve(BOB) as c:
            assert c.command("NOOP").word == "OK"


def test_failed_logins_are_delayed():
    with Instance(settings={"auth.fail_limit": "3", "auth.fail_delay_max": "3s"}) as i:
        i.add_account(ANN, PASSWORD)
        with ManageSieve(i.sieve) as c:
            for n in range(4):
                assert c.login(ANN, f"wrong-{n}").word == "NO"
            start = time.monotonic()
            assert c.login(ANN, "wrong-x").word == "NO"
            assert time.monotonic() - start > 0.8
        assert "login-failed" in i.log()


# --- the process


def test_reload_and_stop():
    """Sessions go on over a reload; at the end they are told."""
    with Instance() as i:
        i.add_account(ANN, PASSWORD)
        with i.connect_managesieve(ANN) as c:
            assert c.command('PUTSCRIPT "a"', KEEP).word == "OK"
            old = i.workers("managesieved")
            i.tool("instance", "reload", i.dir)
            wait_for(lambda: set(i.workers("managesieved")) - set(old), "a new worker")
            assert c.command("LISTSCRIPTS").lines == [[b"a"]]
            with i.connect_managesieve(ANN) as new:
                assert new.scripts() == (["a"], None)
            os.kill(i.pid("managesieved"), signal.SIGTERM)
            reply = c.reply()
            assert reply.word == "BYE" and reply.code == "TRYLATER"
        wait_for(lambda: not i.processes("managesieved"), "the daemon to end")


def test_no_database():
    """It opens the database for writing, but makes none: the path may be wrong."""
    with Instance(start=False) as i:
        for path in i.dir.glob("user.db*"):
            path.unlink()
        done = run(BIN / "managesieved", "-c", i.conf(), check=False, timeout=60)
        assert done.returncode != 0 and not list(i.dir.glob("user.db*"))
        assert "account-db" in i.log() + done.stderr.decode()


def test_killed_while_writing():
    """A script is there as it was or as it shall be."""
    texts = {n: f"# {n}\r\n" * 5000 for n in range(2)}
    with Instance() as i:
        i.add_account(ANN, PASSWORD)
        with i.connect_managesieve(ANN) as c:
            assert c.command('PUTSCRIPT "a"', texts[0]).word == "OK"
            assert c.command('SETACTIVE "a"').word == "OK"
        for n in range(1, 6):
            with i.connect_managesieve(ANN) as c:
                c.send(f'PUTSCRIPT "a" {{{len(texts[n % 2])}+}}\r\n{texts[n % 2]}\r\n')
                time.sleep(0.002 * n)
                i.kill("managesieved")
            i.start_one("managesieved")
            with i.connect_managesieve(ANN) as c:
                assert c.get("a") in texts.values() and c.scripts() == (["a"], "a")
        message = make_message(ANN)
        i.deliver(ANN, bytes(message))
        assert len(i.files(ANN)) == 1
