"""The public pages: what mail clients fetch, the page for people, and new passwords."""

import concurrent.futures
import contextlib
import html
import html.parser
import json
import os
import pathlib
import plistlib
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
import urllib.parse
import xml.etree.ElementTree as ET

import pytest
from public_pages import HTML, PublicInstance
from sanger import BIN, TOP, WAIT_S, Instance, run, wait_for
from scram import Scram

pytestmark = pytest.mark.once

OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/"
NEW = "four unrelated words"


@pytest.fixture(scope="module")
def box():
    with PublicInstance({"clients.name": "The Works"}) as i:
        i.add_account("ann@example.org")
        yield i


@pytest.fixture
def user(box):
    """An account of the test's own."""
    return box.add_account(f"user{len(box.accounts)}@example.org")


def can_log_in(box, address, password):
    with contextlib.closing(box.connect_imap().socket()):
        pass
    client = box.connect_imap()
    try:
        client.login(address, password)
        return True
    except client.error:
        return False
    finally:
        client.logout()


# --- clients


@pytest.mark.parametrize("path", [
    "/mail/config-v1.1.xml?emailaddress=ann%40example.org", "/mail/config-v1.1.xml",
    "/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=ann%40example.org"])
def test_thunderbird(box, path):
    status, headers, body = box.get(path, host="autoconfig.example.org")
    assert status == 200 and headers["Content-Type"].startswith("text/xml")
    provider = ET.fromstring(body).find("emailProvider")
    assert provider.get("id") == "example.org"
    assert provider.find("incomingServer").findtext("port") == str(box.imaps)
    # the same that mailadmin prints
    assert body.decode() == box.admin("clientconfig", "--format", "autoconfig")


def test_the_domain_is_found_by_the_servers_name(box):
    for host in ("autodiscover.example.org", "mail.example.org", "example.org"):
        assert box.get("/mail/config-v1.1.xml", host=host)[0] == 200, host
    assert box.get("/mail/config-v1.1.xml", host="mail.example.net")[0] == 404
    assert box.get("/mail/config-v1.1.xml?emailaddress=x%40example.net")[0] == 404
    assert box.get("/mail/config-v1.1.xml?emailaddress=nonsense")[0] == 404


def discover(box, address, schema="responseschema/2006a", path="/autodiscover/autodiscover.xml"):
    body = (f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{OUTLOOK}requestschema/'
            f'2006"><Request><EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>'
            f'{OUTLOOK}{schema}</AcceptableResponseSchema></Request></Autodiscover>')
    status, headers, answer = box.ask("POST", path, body, {"Content-Type": "text/xml"})
    assert status == 200 and headers["Content-Type"].startswith("text/xml")
    return ET.fromstring(answer)


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml",
                                  "/Autodiscover/Autodiscover.xml", "/AutoDiscover/AUTODISCOVER.XML"])
def test_outlook(box, path):
    tree = discover(box, "ann@example.org", path=path)
    protocols = tree.findall(f".//{{{OUTLOOK}responseschema/2006a}}Protocol")
    assert [(p[0].text, p[2].text) for p in protocols] == [
        ("IMAP", str(box.imaps)), ("SMTP", str(box.submissions))]


def test_what_outlook_is_refused(box):
    def code(tree):
        return tree.findtext(".//{*}ErrorCode")

    assert code(discover(box, "ann@example.net")) == "500"
    assert code(discover(box, "no-address")) == "500"
    assert code(discover(box, "ann@example.org", schema="mobilesync")) == "601"
    for body in ("", "nonsense", "<Autodiscover/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><Autodiscover>"
                 "<EMailAddress>&b;ann@example.org</EMailAddress></Autodiscover>"):
        status, _, answer = box.ask("POST", "/autodiscover/autodiscover.xml", body)
        assert status == 200 and code(ET.fromstring(answer)) == "600", body
    assert box.get("/autodiscover/autodiscover.xml")[0] == 405


def test_whether_an_address_exists_stays_unsaid(box):
    known, unknown = discover(box, "ann@example.org"), discover(box, "xyz@example.org")
    assert ET.tostring(known).replace(b"ann@", b"xyz@") == ET.tostring(unknown)


def test_autodiscover_by_json(box):
    status, _, body = box.get(
        "/autodiscover/autodiscover.json/v1.0/ann%40example.org?Protocol=AutodiscoverV1")
    assert status == 200
    assert json.loads(body)["Url"].endswith("/autodiscover/autodiscover.xml")
    assert box.get("/autodiscover/autodiscover.json?Protocol=ActiveSync")[0] == 400


def test_apple(box):
    status, headers, body = box.get("/mobileconfig?address=ann%40example.org")
    assert status == 200 and headers["Content-Type"] == "application/x-apple-aspen-config"
    plain = subprocess.run(
        ["openssl", "cms", "-verify", "-inform", "DER", "-CAfile", box.dir / "tls" / "cert.pem",
         "-purpose", "any"], input=body, capture_output=True, check=True, timeout=60).stdout
    assert plistlib.loads(plain)["PayloadContent"][0]["EmailAddress"] == "ann@example.org"
    assert box.get("/mobileconfig?address=ann%40example.net")[0] == 404
    assert box.get("/mobileconfig")[0] == 404


# --- people


class Page(html.parser.HTMLParser):
    """Counts open elements; the pages close what they open."""

    VOID = {"meta", "link", "input", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.scripts, self.text = [], 0, ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_page_for_people(box):
    status, headers, body = box.get("/?address=ann%40example.org")
    assert status == 200 and "script-src" not in headers["Content-Security-Policy"]
    page = Page(body.decode())
    assert page.scripts == 0
    for word in ("The Works", "ann@example.org", str(box.imaps), str(box.submissions),
                 "Thunderbird", "Outlook", "Get the profile", "Change your password"):
        assert word in page.text, word
    style = box.get("/public.css")
    assert style[0] == 200 and b"prefers-color-scheme" in style[2]


def block_of(text, heading):
    """The first block of doc/clients.md below a heading."""
    return text.split(f"\n## {heading}\n", 1)[1].split("```", 2)[1].split("\n", 1)[1]


def send_by_mutt(box, user, muttrc, subject):
    """As if somebody had copied these lines; what only this test has stands above them."""
    home = box.temp / subject
    home.mkdir()
    (home / "muttrc").write_text(f"""
set imap_pass = "secret-Pw1"
set smtp_pass = "secret-Pw1"
set certificate_file = "{box.dir}/tls/cert.pem"
{muttrc.replace("mail.example.org", "localhost")}""")
    run("mutt", "-n", "-F", home / "muttrc", "-s", subject, user, input=b"Sent by mutt.\n",
        env=dict(os.environ, HOME=str(home), TERM="dumb"), timeout=60)
    with box.connect_imap(user) as client:
        wait_for(lambda: client.select("INBOX") and
                 client.search(None, "SUBJECT", subject)[1] != [b""], "the message")
        client.select("Sent")
        assert client.search(None, "SUBJECT", subject)[1] != [b""]


def test_mutt_as_the_page_says(box, user):
    body = box.get("/?address=" + urllib.parse.quote(user))[2].decode()
    send_by_mutt(box, user, html.unescape(body.split("<pre>")[1].split("</pre>")[0]), "page")


def test_mutt_as_the_documentation_says(box, user):
    text = block_of((TOP / "doc/clients.md").read_text(), "mutt")
    text = text.replace("ann@example.org", user).replace("ann%40example.org", user.replace("@", "%40"))
    text = text.replace(":465/", f":{box.submissions}/")
    send_by_mutt(box, user, text.replace("imaps://mail.example.org/",
                                         f"imaps://mail.example.org:{box.imaps}/"), "doc")


def test_mbsync_as_the_documentation_says(box, user):
    box.deliver(user, subject="for mbsync")
    home = box.temp / "mbsync"
    (home / "Mail").mkdir(parents=True)
    text = block_of((TOP / "doc/clients.md").read_text(), "mbsync (isync)")
    for old, new in (("mail.example.org", "localhost"), ("993", str(box.imaps)),
                     ("ann@example.org\n", user + "\n"),
                     ('"secret-tool lookup mail ann@example.org"', '"echo secret-Pw1"'),
                     ("SSLType IMAPS\n", f"SSLType IMAPS\nCertificateFile {box.dir}/tls/cert.pem\n"),
                     ("~", str(home))):
        assert old in text, old
        text = text.replace(old, new)
    (home / "rc").write_text(text)
    run("mbsync", "-c", home / "rc", "-a", env=dict(os.environ, HOME=str(home)), timeout=60)
    files = [p for p in (home / "Mail/INBOX").rglob("*,*") if p.is_file()]
    assert [b"for mbsync" in p.read_bytes() for p in files] == [True]
    assert (home / "Mail/Trash").is_dir()


@pytest.mark.parametrize("address", ["\"><script>alert(1)</script>", "ann@example.net", "<b>",
                                     "'\"@example.org"])
def test_page_with_nonsense(box, address):
    status, _, body = box.get("/?address=" + urllib.parse.quote(address))
    assert status == 200 and Page(body.decode()).scripts == 0
    assert "no mail of this domain" in body.decode()
    body = box.get("/password?address=" + urllib.parse.quote(address))[2].decode()
    assert Page(body).scripts == 0


def test_what_turns_text_around_is_not_shown(box):
    body = box.get("/?address=" + urllib.parse.quote("\u202eann@example.org"))[2].decode()
    assert "\u202e" not in body and "ann@example.org" in body


def test_too_much_is_refused(box):
    # by the head alone: who goes on sending may be cut off before he reads the answer
    assert box.ask("POST", "/password", headers={"Content-Length": "100000"})[0] == 413
    with contextlib.suppress(OSError):
        assert box.ask("POST", "/password", b"x" * 100_000)[0] == 413
    with contextlib.suppress(OSError):
        assert box.get("/" + "x" * 60_000)[0] in (400, 413, 414, 431)
    assert box.get("/nothing")[0] == 404


# --- passwords


def test_new_password_by_page(box, user):
    page = Page(box.get("/password")[2].decode())
    assert "New password" in page.text
    status, body = box.change_password(user, "secret-Pw1", NEW, NEW, HTML)
    assert status == 200 and "Your password is changed" in body and NEW not in body
    Page(body)
    assert can_log_in(box, user, NEW) and not can_log_in(box, user, "secret-Pw1")
    assert f"password-changed user={user}" in box.log() and NEW not in box.log()


def test_new_password_counts_for_scram(box, user):
    assert box.change_password(user, "secret-Pw1", NEW) == (200, "The password is changed.\n")
    client, scram = box.connect_imap(), Scram(user, NEW)
    steps = [lambda _: scram.first(), scram.final, lambda last: scram.check(last) or b""]
    client.authenticate("SCRAM-SHA-256", lambda data: steps.pop(0)(data))
    client.logout()


@pytest.mark.parametrize("current,new,again,status,word", [
    ("wrong", NEW, NEW, 403, "wrong"),
    ("secret-Pw1", NEW, "another", 422, "not the same"),
    ("secret-Pw1", "too short", "too short", 422, "10 characters"),
    ("secret-Pw1", "aaaaaaaaaaaaaaaa", None, 422, "different"),
    ("secret-Pw1", "", "", 400, "all fields"),
    ("", NEW, NEW, 400, "all fields"),
    ("secret-Pw1", "tab\tin the middle", None, 422, "cannot send"),
])
def test_refused(box, current, new, again, status, word):
    got, body = box.change_password("ann@example.org", current, new, again)
    assert got == status and word in body
    got, body = box.change_password("ann@example.org", current, new, again or new, HTML)
    assert got == status and word in Page(body).text
    assert "secret-Pw1" not in body and NEW not in body
    assert 'value="ann@example.org"' in body


def test_unknown_users_look_like_wrong_passwords(box):
    assert (box.change_password("nobody@example.org", "secret-Pw1", NEW)
            == box.change_password("ann@example.org", "wrong-Pw1", NEW))


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}])
def test_foreign_sites_cannot_send_the_form(box, user, headers):
    assert box.change_password(user, "secret-Pw1", NEW, NEW, {**HTML, **headers})[0] == 403
    assert can_log_in(box, user, "secret-Pw1")


def test_own_site_can(box, user):
    headers = {"Origin": f"https://localhost:{box.web}", "Sec-Fetch-Site": "same-origin"}
    assert box.change_password(user, "secret-Pw1", NEW, NEW, {**HTML, **headers})[0] == 200


def test_main_password_changes_where_only_app_passwords_log_in(box, user):
    db = sqlite3.connect(box.dir / "user.db", timeout=60)
    with db:
        db.execute("INSERT INTO account_login (account, app_only) SELECT id, 1 FROM account "
                   "WHERE localpart || '@' || domain = ?", (user.lower(),))
    db.close()
    box.own(box.dir / "user.db")
    wait_for(lambda: not can_log_in(box, user, "secret-Pw1"), "the main password to be refused")
    assert box.change_password(user, "secret-Pw1", NEW)[0] == 200
    assert box.change_password(user, NEW, NEW + "!")[0] == 200


def test_inactive_accounts_change_nothing(box, user):
    box.admin("account", "set", user, "--active", "no")
    assert box.change_password(user, "secret-Pw1", NEW)[0] == 403


class BehindProxy(PublicInstance):
    """Its pages are at 127.0.0.2, too, where connections begin with a PROXY header; one failure is for nothing."""

    def __init__(self):
        super().__init__({"auth.fail_limit": 1, "auth.fail_delay_max": "2s",
                          "server.proxy_networks": "127.0.0.1"})

    def further(self):
        return [("statusd.listen_public", f"127.0.0.2:{self.web}"),
                ("statusd.proxy_listen", f"127.0.0.2:{self.web}")]

    def fail_by_proxy(self, client):
        """A wrong password, from `client` as a proxy says; how long the answer took."""
        body = b"address=ann%40example.org&current=wrong&new=four+unrelated+words"
        start = time.monotonic()
        with socket.create_connection(("127.0.0.2", self.web), WAIT_S, ("127.0.0.1", 0)) as raw:
            raw.sendall(f"PROXY TCP4 {client} 127.0.0.1 5000 443\r\n".encode())
            with self.tls().wrap_socket(raw, server_hostname="localhost") as tls:
                tls.sendall(b"POST /password HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                            b"application/x-www-form-urlencoded\r\nConnection: close\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(body) + body)
                assert tls.recv(100).startswith(b"HTTP/1.1 403")
        return time.monotonic() - start


def test_failures_are_delayed():
    with BehindProxy() as i:
        i.add_account("ann@example.org")
        i.fail_by_proxy("192.0.2.7")
        assert "login-failed user=ann@example.org mech=password-page peer=192.0.2.7" in i.log()
        assert i.change_password("ann@example.org", "wrong-1", NEW)[0] == 403
        start = time.monotonic()
        assert i.change_password("ann@example.org", "wrong-2", NEW)[0] == 403
        assert time.monotonic() - start >= 0.9
        # who waits waits alone, and with the right password gets in
        assert i.change_password("ann@example.org", "secret-Pw1", NEW)[0] == 200
        # who waits when the daemon ends is told
        i.change_password("ann@example.org", "wrong-3", NEW + "!")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            waiting = pool.submit(i.change_password, "ann@example.org", "wrong-4", NEW + "!")
            wait_for(lambda: i.get("/")[0] == 200 and not waiting.done(), "the form to be sent")
            time.sleep(0.3)
            os.kill(i.pid("statusd"), signal.SIGTERM)
            assert waiting.result(60)[0] in (403, 503)


# --- mailadmin passwd


def as_nobody():
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []


def passwd(box, address, *lines, url=None, ca=True, options=()):
    """mailadmin passwd as a user who can read nothing of the instance but the certificate."""
    ca_file = box.temp / "ca.pem"
    if not ca_file.exists():
        ca_file.write_bytes((box.dir / "tls" / "cert.pem").read_bytes())
        ca_file.chmod(0o644)
    return run(*as_nobody(), BIN / "mailadmin", "passwd", address, "--password-stdin", "--url",
               url or box.url, *(["--ca", ca_file] if ca else []), *options, check=False,
               input="".join(line + "\n" for line in lines).encode(), env=box.environment())


def test_users_change_it_by_command(box, user):
    done = passwd(box, user, "secret-Pw1", NEW)
    assert done.returncode == 0 and done.stdout == b"The password is changed.\n", done
    assert can_log_in(box, user, NEW)
    done = passwd(box, user, "secret-Pw1", NEW + "!", url=box.url + "/password/")
    assert done.returncode == 1 and b"current password is wrong" in done.stderr
    done = passwd(box, user, NEW, "short")
    assert done.returncode == 1 and b"10 characters" in done.stderr


def test_command_trusts_no_other_server(box, user):
    done = passwd(box, user, "secret-Pw1", NEW, ca=False)
    assert done.returncode == 1 and b"certificate" in done.stderr, done
    done = passwd(box, user, "secret-Pw1", NEW, url=box.url.replace("https", "http"))
    assert done.returncode == 64 and b"https" in done.stderr
    assert can_log_in(box, user, "secret-Pw1")


def test_command_takes_the_address_of_the_page_from_the_configuration(box, user):
    text = box.conf().read_text().replace("[statusd]", f"[clients]\nweb = localhost:{box.web}\n\n[statusd]")
    own = box.temp / "own.conf"
    own.write_text(text)
    done = run(BIN / "mailadmin", "-c", own, "passwd", user, "--password-stdin", "--ca",
               box.dir / "tls" / "cert.pem", input=f"secret-Pw1\n{NEW}\n".encode())
    assert b"changed" in done.stdout
    done = run(BIN / "mailadmin", "-c", "/nonexistent", "passwd", user, "--password-stdin",
               input=b"a\nb\n", check=False)
    assert done.returncode == 64 and b"--url" in done.stderr


# --- the daemon


def make_certificate(directory, name):
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
        "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.crt")
    (directory / f"{name}.key").chmod(0o644)  # the daemons run as somebody else


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """Without the page for passwords; with certificates by name, in `sni`."""
    sni = tmp_path_factory.mktemp("sni")
    for path in (sni, *sni.parents):
        if path != path.parent and path.stat().st_uid == os.getuid():
            path.chmod(path.stat().st_mode | 0o055)
    for name in ("autoconfig.example.org", "*.example.net"):
        make_certificate(sni, name)
    with PublicInstance({"statusd.password_change": "no", "tls.sni_dir": str(sni)}) as i:
        i.sni = sni
        i.add_account("ann@example.org")
        yield i


def der(path):
    return ssl.PEM_cert_to_DER_cert(path.read_text())


def test_certificates_by_name_and_renewed(closed):
    first = der(closed.sni / "autoconfig.example.org.crt")
    wild = der(closed.sni / "*.example.net.crt")
    assert closed.certificate("autoconfig.example.org") == first
    assert closed.certificate("AUTODISCOVER.example.net") == wild
    default = closed.certificate("mail.example.org")
    assert default not in (first, wild) and closed.certificate("127.0.0.1") == default
    make_certificate(closed.sni, "autoconfig.example.org")
    second = der(closed.sni / "autoconfig.example.org.crt")
    os.kill(closed.pid("statusd"), signal.SIGHUP)
    wait_for(lambda: closed.certificate("autoconfig.example.org") == second, "the new certificate")
    assert closed.get("/")[0] == 200


def test_off_by_default():
    with Instance(start=False) as i:
        conf = {c["name"]: c["value"] for c in i.admin_json("config", "list")}
        assert conf["statusd.listen_public"] is None and conf["statusd.password_change"] == "no"


def test_without_passwords_nothing_is_written(closed):
    assert closed.get("/password")[0] == 404
    assert closed.change_password("ann@example.org", "secret-Pw1", NEW)[0] == 404
    assert "Change your password" not in closed.get("/")[2].decode()
    worker = pathlib.Path(f"/proc/{closed.workers('statusd')[-1]}")
    databases = [n for n in (worker / "fd").iterdir() if os.readlink(n).endswith("user.db")]
    for n in databases:
        flags = (worker / "fdinfo" / n.name).read_text().split("flags:\t")[1].split()[0]
        assert int(flags, 8) & os.O_ACCMODE == os.O_RDONLY
    assert databases


def test_pages_are_documented():
    text = (TOP / "doc" / "man" / "statusd.8").read_text()
    for word in ("listen_public", "password_change", "autodiscover", "mobileconfig"):
        assert word in text, word


def test_doctor_looks_at_the_pages(box, tmp_path):
    report = box.admin("doctor", check=False).stdout.decode()
    assert f"statusd answers at 127.0.0.1:{box.web}" in report
    assert "no certificate for autoconfig.example.org, where Thunderbird" in report
    make_certificate(tmp_path, "autoconfig.example.org")
    text = box.conf().read_text()
    own = box.temp / "sni.conf"
    sni = box.dir / "sni"
    shutil.copytree(tmp_path, sni)
    box.own(sni)
    own.write_text(text.replace("[tls]\n", f"[tls]\nsni_dir = {sni}\n"))
    report = run(BIN / "mailadmin", "-c", own, "doctor", check=False).stdout.decode()
    assert "autoconfig.example.org has a certificate" in report
    assert "no certificate for autodiscover.example.org, where Outlook" in report
