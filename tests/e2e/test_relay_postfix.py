"""doc/relay/postfix-primary, as it ships, in a real Postfix: with a Sanger store behind it, an Exim
as the world, and the published copy of the account database.  Loopback addresses stand for hosts as
in test_relay_exim.py."""

import contextlib
import shutil
import smtplib
import ssl

import pytest

from exim import Exim
from neighbours import Published, certificate, wait_mail
from postfix import Postfix
from sanger import TOP, Instance, make_message, temp_dir, wait_for

pytestmark = pytest.mark.once

STORE, HOUSE, STRANGER = "127.0.0.1", "127.0.0.3", "127.0.0.9"

FILES = {
    "aliases": "info@example.org ann@example.org, bob@example.net\n"
               "@lists.example.org ann@example.org\n@example.com bea@example.com\n",
    "relay_domains_more": "lists.example.org ok\n",
    "recipient_answers": "press@example.org 550 5.1.6 The press office has moved\n"
                         "moving@example.org 450 4.2.1 This mailbox is being moved\n",
}


class Site:
    """World ◀─▶ primary relay ◀─▶ store."""

    def __init__(self):
        self.temp = temp_dir()
        self.world = Exim()
        self.store = Instance()
        self.published = Published(self.store)
        self.relay = Postfix(
            conf=TOP / "doc/relay/postfix-primary", files=FILES,
            tls=certificate(self.temp, "relay.example.org"),
            replace={"/var/lib/sanger-relay/user.db": self.published.db, "192.0.2.10": STORE,
                     "postmaster-team@example.org": "ann@example.org"},
            settings={"sanger_hostname": "relay.example.org", "sanger_domain": "example.org",
                      "sanger_store": f"lmtp:inet:127.0.0.1:{self.store.lmtp}",
                      "sanger_house": HOUSE, "sanger_submitd": STORE, "smtpd_milters": "",
                      "sanger_smarthost": f"[127.0.0.1]:{self.world.port}"})
        self.store.relays = [self.relay.address()]

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._start(stack)
            self.stack = stack.pop_all()
        return self

    def _start(self, stack):
        stack.callback(shutil.rmtree, self.temp, ignore_errors=True)
        stack.enter_context(self.world)
        stack.enter_context(self.store)
        for address in ("ann@example.org", "left@example.org", "gone@example.org",
                        "bea@example.com"):
            self.store.add_account(address)
        self.store.admin("alias", "add", "ann@example.org", "second@example.org")
        self.store.admin("account", "leave", "left@example.org")
        self.store.admin("account", "set", "gone@example.org", "--active", "no")
        stack.enter_context(self.published)
        stack.enter_context(self.relay)

    def __exit__(self, *error):
        self.stack.__exit__(*error)

    def client(self, source=STRANGER):
        return smtplib.SMTP("127.0.0.1", self.relay.port, timeout=60, source_address=(source, 0),
                            local_hostname="client.example.net")


@pytest.fixture(scope="module")
def site():
    with Site() as s:
        yield s


@pytest.mark.parametrize("address, code, text", [
    ("ann@example.org", 250, b""),
    ("ANN@Example.ORG", 250, b""),
    ("ann+lists@example.org", 250, b""),
    ("second@example.org", 250, b""),
    ("second+x@example.org", 250, b""),
    ("bea@example.com", 250, b""),
    ("bea@example.org", 550, b"5.1.1"),
    ("left@example.org", 250, b""),
    ("gone@example.org", 550, b"5.1.1"),
    ("info@example.org", 250, b""),
    ("press@example.org", 550, b"The press office has moved"),
    ("moving@example.org", 450, b"being moved"),
    ("anything@lists.example.org", 250, b""),
    ("anything@example.com", 250, b""),  # its catch-all
    ("nobody@example.org", 550, b"5.1.1"),
    ("o'brien@example.org", 550, b"5.1.1"),
    ("postmaster@example.org", 250, b""),
    ("PostMaster@example.com", 250, b""),
    ("bob@example.net", 554, b"5.7.1"),
])
def test_recipients_before_data(site, address, code, text):
    with site.client() as client:
        client.ehlo()
        client.mail("bob@example.net")
        got = client.rcpt(address)
    assert got[0] == code and text in got[1], got


def test_the_way_to_the_store(site):
    def send(subject, to):
        with site.client() as client:
            client.sendmail("bob@example.net", [to], bytes(
                make_message(subject=subject, sender="bob@example.net")))
    for subject, to in (("to ann", "ann+x@example.org"), ("to info", "info@example.org"),
                        ("to postmaster", "postmaster@example.org"), ("to second", "second@example.org"),
                        ("catch-all", "anything@lists.example.org")):
        send(subject, to)
        assert b"Return-Path: <bob@example.net>" in wait_mail(site.store, "ann@example.org", subject)
    # The catch-all of a domain with accounts takes none of theirs.
    send("to bea", "bea@example.com")
    send("to a stranger", "stranger@example.com")
    wait_mail(site.store, "bea@example.com", "to bea")
    wait_mail(site.store, "bea@example.com", "to a stranger")
    wait_for(lambda: any(m["Subject"] == "to info" and m["Envelope-to"] == "bob@example.net"
                         for m in site.world.received()), "the alias outside")


def test_submitted_mail_goes_out_and_in(site):
    with site.store.connect_submission("ann@example.org") as client:
        client.sendmail("ann@example.org", ["bob@example.net", "bea@example.com"], bytes(
            make_message("bob@example.net", sender="ann@example.org", subject="from ann")))
    wait_mail(site.store, "bea@example.com", "from ann")
    wait_for(lambda: any(m["Subject"] == "from ann" for m in site.world.received()), "it outside")


def test_submitd_must_use_tls(site):
    with site.client(STORE) as client:
        client.ehlo()
        client.mail("ann@example.org")
        assert client.rcpt("bob@example.net")[0] == 550
        client.starttls(context=ssl._create_unverified_context())
        client.ehlo()
        client.mail("ann@example.org")
        assert client.rcpt("bob@example.net")[0] == 250
        assert client.rcpt("nobody@example.org")[0] == 550


def test_the_house_and_its_bulk_mail(site):
    def received(subject):
        return wait_for(lambda: [m for m in site.world.received() if m["Subject"] == subject],
                        subject)[0]
    sender = "cron@web1.example.org"
    with site.client(HOUSE) as client:
        client.sendmail(sender, ["bob@example.net"], bytes(
            make_message("bob@example.net", sender=sender, subject="rewritten")))
        client.sendmail("news-bounces+bob@example.org", ["bob@example.net"],
                        bytes(make_message(subject="bulk")))
    got = received("rewritten")
    assert got["Return-path"] == "<cron@example.org>" and got["From"] == "cron@example.org"
    assert "relay.example.org" in got.get_all("Received")[0]
    assert "bulk.example.org" in received("bulk").get_all("Received")[0]


def test_the_store_is_down_for_a_while(site):
    site.store.stop()
    with site.client() as client:
        client.sendmail("bob@example.net", ["ann@example.org"],
                        bytes(make_message(subject="while it was down")))
    site.store.start()

    def queue_empty():
        site.relay.flush()
        return site.relay.queued() == 0
    wait_for(queue_empty, "an empty queue")
    wait_mail(site.store, "ann@example.org", "while it was down")


def test_recipients_asked_at_the_store_itself(site):
    """The alternative of main.cf: the store's socketmap in the place of the copy."""
    door = f"127.0.0.1:{site.store.base + 9}"
    conf = site.store.conf()
    conf.write_text(conf.read_text().replace("[lda]", f"[lda]\nlisten_lookup = {door}", 1))
    site.store.restart()
    asked = f"socketmap:inet:{door}:recipients"
    site.relay.stop()
    copy = "sqlite:$config_directory/sqlite-recipients.cf"
    maps = site.relay.tool("postconf", "-h", "virtual_alias_maps").stdout.decode().strip()
    assert copy in maps
    site.relay.set({"relay_recipient_maps": asked, "virtual_alias_maps": maps.replace(copy, asked)})
    site.store.add_account("quick@example.org")  # not in the copy
    site.relay.start()
    for address, code in (("quick@example.org", 250), ("quick+x@example.org", 250),
                          ("second@example.org", 250), ("nobody@example.org", 550),
                          ("gone@example.org", 550), ("info@example.org", 250)):
        with site.client() as client:
            client.ehlo()
            client.mail("bob@example.net")
            assert client.rcpt(address)[0] == code, address
    with site.client() as client:
        client.sendmail("bob@example.net", ["quick@example.org"],
                        bytes(make_message(subject="to the new one")))
    wait_mail(site.store, "quick@example.org", "to the new one")
