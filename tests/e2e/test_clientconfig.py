"""What mail clients are told: mailadmin clientconfig in all its forms, read by independent parsers."""

import json
import plistlib
import subprocess
import xml.etree.ElementTree as ET

import pytest
from sanger import BIN, Instance, run

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def box():
    with Instance(start=False, settings={"clients.name": "The Works", "clients.imap": ""}) as i:
        i.add_account("ann@example.org", realname="Ann Smith")
        yield i


def config(box, *args, **kwargs):
    return box.admin("clientconfig", *args, **kwargs)


def test_text_is_for_people(box):
    text = config(box, "ann@example.org")
    assert "Mail of ann@example.org at The Works" in text
    assert "mail.example.org" in text and str(box.imaps) in text


def test_autoconfig(box):
    tree = ET.fromstring(config(box, "--format", "autoconfig"))
    provider = tree.find("emailProvider")
    assert provider.get("id") == "example.org"  # the only domain there is
    assert provider.findtext("displayName") == "The Works"
    incoming = provider.findall("incomingServer")
    assert [(s.get("type"), s.findtext("hostname"), s.findtext("port"), s.findtext("socketType"))
            for s in incoming] == [("imap", "mail.example.org", str(box.imaps), "SSL")]
    assert incoming[0].findtext("username") == "%EMAILADDRESS%"
    assert [s.findtext("socketType") for s in provider.findall("outgoingServer")] == [
        "SSL", "STARTTLS"]


def test_autodiscover(box):
    tree = ET.fromstring(config(box, "--format", "autodiscover", "ann@example.org"))
    ns = {"o": "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"}
    assert tree.findtext("o:Response/o:User/o:DisplayName", namespaces=ns) == "Ann Smith"
    found = {p.findtext("o:Type", namespaces=ns): p.findtext("o:Port", namespaces=ns)
             for p in tree.findall("o:Response/o:Account/o:Protocol", ns)}
    assert found == {"IMAP": str(box.imaps), "SMTP": str(box.submissions)}


def test_mobileconfig(box):
    profile = plistlib.loads(config(box, "--format", "mobileconfig", "ann@example.org").encode())
    mail, = profile["PayloadContent"]
    assert mail["EmailAddress"] == "ann@example.org"
    assert mail["EmailAccountName"] == "Ann Smith"
    assert mail["IncomingMailServerPortNumber"] == box.imaps
    assert mail["OutgoingMailServerPortNumber"] == box.submissions
    assert mail["IncomingMailServerUseSSL"] is True
    assert mail["PayloadUUID"] != profile["PayloadUUID"]


def test_signed_mobileconfig(box):
    done = run(BIN / "mailadmin", "-c", box.conf(), "clientconfig", "--format", "mobileconfig",
               "--sign", "ann@example.org")
    plain = subprocess.run(
        ["openssl", "cms", "-verify", "-inform", "DER", "-CAfile", box.dir / "tls" / "cert.pem",
         "-purpose", "any"], input=done.stdout, capture_output=True, check=True, timeout=60).stdout
    assert plistlib.loads(plain)["PayloadContent"][0]["EmailAddress"] == "ann@example.org"


def test_srv(box):
    lines = [line.split() for line in config(box, "--format", "srv").splitlines()]
    records = {line[0]: line[3:] for line in lines if line[2:4] == ["IN", "SRV"]}
    assert records["_imaps._tcp.example.org."] == ["SRV", "0", "1", str(box.imaps),
                                                   "mail.example.org."]
    assert records["_imap._tcp.example.org."] == ["SRV", "0", "0", "0", "."]
    assert records["_submission._tcp.example.org."][3] == str(box.submission)
    assert records["_sieve._tcp.example.org."][3] == str(box.sieve)


def test_json(box):
    facts = json.loads(config(box, "--json", "ann@example.org"))
    assert facts["user_name"] == "ann@example.org" and facts["web"] is None
    assert {"protocol": "imap", "host": "mail.example.org", "port": box.imaps,
            "security": "tls"} in facts["services"]


@pytest.mark.parametrize("args", [
    ("--format", "nonsense"), ("not-an-address",), ("--domain", "a b"),
    ("--format", "srv", "--sign"), ("ann@example.org", "bob@example.org")])
def test_what_cannot_be(box, args):
    done = config(box, *args, check=False)
    assert done.returncode == 64 and done.stderr.startswith(b"mailadmin: ")


def test_a_profile_that_cannot_be_signed(box):
    (box.dir / "tls" / "key.pem").rename(box.dir / "tls" / "key.away")
    done = config(box, "--format", "mobileconfig", "--sign", check=False)
    (box.dir / "tls" / "key.away").rename(box.dir / "tls" / "key.pem")
    assert done.returncode == 1 and b"cannot sign" in done.stderr and done.stdout == b""
