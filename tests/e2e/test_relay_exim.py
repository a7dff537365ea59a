"""doc/relay/exim-primary.conf, byte for byte, in a real Exim: with a Sanger store behind it, another
Exim as the world, and the published copy of the account database.

The loopback addresses stand for the hosts: submitd comes from .1, the house from .3, the bulk sender
of the house from .5, the secondary from .4 and strangers from .9."""

import contextlib
import os
import shutil
import smtplib
import ssl
import threading
import time

import pytest

from exim import Exim, ShippedExim
from neighbours import Published, certificate, open_dir, wait_mail
from sanger import Instance, make_message, temp_dir, wait_for

pytestmark = pytest.mark.once

STORE, HOUSE, SECONDARY, BULK, STRANGER = (f"127.0.0.{n}" for n in (1, 3, 4, 5, 9))

ALIASES = """
info:     ann, bob@example.net
both:     info
press:    :fail: 5.1.6 The press office has moved
moving:   :defer: 4.2.1 This mailbox is being moved
noreply:  :blackhole:
"""


class Site:
    """World ◀─▶ primary relay ◀─▶ store."""

    def __init__(self, **site):
        self.temp = temp_dir()
        self.aliases = self.temp / "aliases.d"
        self.aliases.mkdir()
        (self.aliases / "example.org").write_text(ALIASES)
        (self.aliases / "lists.example.org").write_text("*: ann@example.org\nnobody: :fail: none\n")
        self.cert = certificate(self.temp, "relay.example.org")
        self.world = Exim()
        self.store = Instance(settings={"lda.catch_all": "yes"})
        self.published = Published(self.store)
        self.relay = ShippedExim("exim-primary.conf", tls=self.cert, site={
            "SITE_DOMAIN": "example.org", "SITE_POSTMASTER": "ann@example.org",
            "SITE_ACCOUNTS": self.published.db, "SITE_ALIAS_DIR": self.aliases,
            "SITE_STORE_LDA": "127.0.0.1", "SITE_STORE_PORT": self.store.lmtp,
            "SITE_SUBMITD_HOSTS": STORE, "SITE_INTERNAL_HOSTS": f"{HOUSE} ; {BULK}",
            "SITE_SECONDARY_HOSTS": SECONDARY, "SITE_BULK_HOSTS": BULK,
            "SITE_BULK_INTERFACE": "127.0.0.77", "SITE_SPAMD": "127.0.0.1 9",
            "SITE_SMARTHOST": f"127.0.0.1::{self.world.port}",
            "SITE_STORE_CATCH_ALL": "yes"} | site)
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
        for name in ("ann", "left", "gone", "plus+name"):
            self.store.add_account(f"{name}@example.org")
        self.store.add_account("bea@example.com")
        self.store.admin("alias", "add", "ann@example.org", "second@example.org")
        self.store.admin("alias", "add", "ann@example.org", "@all.example.org")
        self.store.admin("account", "leave", "left@example.org")
        self.store.admin("account", "set", "gone@example.org", "--active", "no")
        stack.enter_context(self.published)
        stack.enter_context(self.relay)

    def __exit__(self, *error):
        self.stack.__exit__(*error)

    def rcpt(self, address, sender="bob@example.net", source=STRANGER):
        with self.relay.client(source) as client:
            client.ehlo()
            client.mail(sender)
            return client.rcpt(address)


@pytest.fixture(scope="module")
def site():
    with Site() as s:
        yield s


@pytest.mark.parametrize("address, code, text", [
    ("ann@example.org", 250, b""),
    ("ANN@Example.ORG", 250, b""),
    ("ann+lists@example.org", 250, b""),
    ("plus+name@example.org", 250, b""),
    ("second@example.org", 250, b""),  # an alias of the store
    ("second+x@example.org", 250, b""),
    ("bea@example.com", 250, b""),
    ("bea@example.org", 550, b"5.1.1 Unknown user"),
    ("left@example.org", 250, b""),  # the store tells the sender that the user left
    ("gone@example.org", 550, b"5.1.1"),
    ("info@example.org", 250, b""),
    ("info+x@example.org", 250, b""),
    ("press@example.org", 550, b"5.1.6 The press office has moved"),
    ("moving@example.org", 451, b"being moved"),
    ("noreply@example.org", 250, b""),
    ("anything@lists.example.org", 250, b""),
    ("nobody@lists.example.org", 550, b""),
    ("whoever@all.example.org", 250, b""),  # a catch-all of the store
    ("nobody@example.org", 550, b"5.1.1 Unknown user"),
    ("o'brien@example.org", 550, b"5.1.1"),  # no end of the SQL string
    ("x' OR '1'='1@example.org", 501, b""),
    ("ann/../bob@example.org", 550, b"5.1.3"),
    ("ann%example.net@example.org", 550, b"5.1.3"),
    ("postmaster@example.org", 250, b""),
    ("PostMaster@example.com", 250, b""),
    ("postmaster", 250, b""),
    ("bob@example.net", 550, b"5.7.1 Relaying"),
    ("bob@unheard-of.example", 550, b"5.7.1 Relaying"),
])
def test_recipients_before_data(site, address, code, text):
    got = site.rcpt(address)
    assert got[0] == code and text in got[1], got


def test_the_way_to_the_store(site):
    with site.relay.client(STRANGER) as client:
        client.sendmail("bob@example.net", ["ann+x@example.org"],
                        bytes(make_message(subject="to ann", sender="bob@example.net")))
        client.sendmail("bob@example.net", ["postmaster@example.com"],
                        bytes(make_message(subject="to postmaster")))
        client.sendmail("", ["anything@lists.example.org"], bytes(make_message(subject="catch-all")))
        client.sendmail("bob@example.net", ["both@example.org"],
                        bytes(make_message(subject="to all of info")))
        client.sendmail("bob@example.net", ["whoever@all.example.org"],
                        bytes(make_message(subject="store catch-all")))
    text = wait_mail(site.store, "ann@example.org", "to ann")
    assert b"Return-Path: <bob@example.net>" in text
    wait_mail(site.store, "ann@example.org", "to postmaster")
    wait_mail(site.store, "ann@example.org", "catch-all")
    wait_mail(site.store, "ann@example.org", "store catch-all")
    wait_mail(site.store, "ann@example.org", "to all of info")
    wait_for(lambda: any(m["Subject"] == "to all of info" and m["Envelope-to"] == "bob@example.net"
                         for m in site.world.received()), "the alias outside")


def test_submitted_mail_goes_out_and_in(site):
    """submitd → relay by TLS → the world, and back in to another account of the store."""
    with site.store.connect_submission("ann@example.org") as client:
        client.sendmail("ann@example.org", ["bob@example.net", "bea@example.com"], bytes(
            make_message("bob@example.net", sender="ann@example.org", subject="from ann")))
    wait_mail(site.store, "bea@example.com", "from ann")
    wait_for(lambda: any(m["Subject"] == "from ann" for m in site.world.received()), "it outside")
    assert "X=TLS" in site.relay.log()


def test_submitd_must_use_tls(site):
    with site.relay.client(STORE) as client:
        client.ehlo()
        code, text = client.mail("ann@example.org")
        assert code == 550 and b"5.7.10" in text
        client.starttls(context=ssl._create_unverified_context())
        client.ehlo()
        assert client.mail("ann@example.org")[0] == 250
        assert client.rcpt("bob@example.net")[0] == 250
        assert client.rcpt("nobody@example.org")[0] == 550
    with site.relay.client(STRANGER) as client:
        client.starttls(context=ssl._create_unverified_context())
        client.ehlo()
        client.mail("ann@example.org")
        assert client.rcpt("bob@example.net")[0] == 550


def test_hosts_of_the_house_write_as_the_house(site):
    sender = "cron@web1.internal.example.org"
    message = bytes(make_message("bob@example.net", sender=f"Cron <{sender}>", subject="rewritten",
                                 Reply_To="root@internal.example.org"))
    with site.relay.client(HOUSE) as client:
        client.sendmail(sender, ["bob@example.net"], message)
    got = wait_for(lambda: [m for m in site.world.received() if m["Subject"] == "rewritten"], "it")[0]
    assert got["Return-path"] == "<cron@example.org>"
    assert got["From"] == "Cron <cron@example.org>" and got["Reply-To"] == "root@example.org"
    with site.relay.client(STRANGER) as client:
        client.sendmail(sender, ["ann@example.org"], bytes(
            make_message(sender=sender, subject="as it was")))
    text = wait_mail(site.store, "ann@example.org", "as it was")
    assert b"From: cron@web1.internal.example.org" in text


def test_bulk_mail_has_a_way_of_its_own(site):
    def received(subject):
        return [str(m.get_all("Received")[0]) for m in site.world.received()
                if m["Subject"] == subject]
    with site.relay.client(HOUSE) as client:
        client.sendmail("news-bounces+bob@example.org", ["bob@example.net"],
                        bytes(make_message(subject="bulk by sender")))
        client.sendmail("ann@example.org", ["bob@example.net"],
                        bytes(make_message(subject="bulk by header", Precedence="bulk")))
        client.sendmail("ann@example.org", ["bob@example.net"], bytes(make_message(subject="single")))
    with site.relay.client(BULK) as client:
        client.sendmail("ann@example.org", ["bob@example.net"], bytes(make_message(subject="by host")))
    for subject in ("bulk by sender", "bulk by header", "by host"):
        line = wait_for(lambda s=subject: received(s), subject)[0]
        assert "127.0.0.77" in line and "helo=bulk.example.org" in line, line
    line = wait_for(lambda: received("single"), "single")[0]
    assert "bulk.example.org" not in line and "relay.example.org" in line, line


def test_the_copy_replaced_while_exim_reads_it(site):
    """Each look-up sees one whole copy: known stay known, unknown stay unknown; a new account is
    there as soon as it is published.  A thousand times, ten of them by mailadmin itself."""
    copies = []
    for quota in ("1M", "2M"):
        site.store.admin("account", "set", "bea@example.com", "--quota", quota)
        site.published.publish()
        copies.append(shutil.copy(site.published.db, site.published.dir / f"copy-{quota}"))
    replaced = []

    def replace():
        for n in range(1000):
            if n % 100 == 0:
                site.store.admin("account", "set", "bea@example.com", "--quota", f"{n + 3}M")
                site.published.publish()
            else:
                fresh = site.published.dir / "fresh"
                os.link(copies[n % 2], fresh)
                fresh.rename(site.published.db)
                time.sleep(0.002)  # so that look-ups fall between
            replaced.append(n)

    thread = threading.Thread(target=replace)
    thread.start()
    asked = 0
    while thread.is_alive() or asked < 15:
        asked += 1
        with site.relay.client(STRANGER) as client:
            client.ehlo()
            client.mail("bob@example.net")
            for _ in range(3):
                assert client.rcpt("ann@example.org")[0] == 250
                assert client.rcpt("nobody@example.org")[0] == 550
    thread.join()
    assert len(replaced) == 1000
    assert site.rcpt("new@example.org")[0] == 550
    site.store.add_account("new@example.org")
    site.published.publish()
    assert site.rcpt("new@example.org")[0] == 250


def test_without_a_copy_recipients_are_put_off(site):
    away = site.published.db.with_suffix(".away")
    site.published.db.rename(away)
    try:
        assert site.rcpt("ann@example.org")[0] == 451
        assert site.rcpt("nobody@example.org")[0] == 451
        assert site.rcpt("postmaster@example.org")[0] == 250
    finally:
        away.rename(site.published.db)
    assert site.rcpt("ann@example.org")[0] == 250


def test_the_store_is_down_for_a_while(site):
    """Recipients are still known from the copy; the mail waits at the relay, then arrives once."""
    site.store.stop()
    with site.relay.client(STRANGER) as client:
        client.sendmail("bob@example.net", ["ann@example.org"],
                        bytes(make_message(subject="while it was down")))
    assert site.rcpt("nobody@example.org")[0] == 550
    assert site.relay.queued() >= 1
    site.store.start()
    site.relay.run_queue()
    wait_mail(site.store, "ann@example.org", "while it was down")
    wait_for(lambda: site.relay.queued() == 0, "an empty queue")


def test_client_certificate_callout_limits_and_lifetime():
    """The variants of sanger-site.conf that the other tests do not have."""
    with open_dir() as temp:
        authority = certificate(temp, "ca.example.org")
        good = certificate(temp, "store.example.org", authority)
        other = certificate(temp, "other.example.org", authority)
        alien = certificate(temp, "store2.example.org")
        good[1].chmod(0o644)
        store = Instance(settings={"submitd.relay_certificate": good[0],
                                   "submitd.relay_key": good[1]})
        published = Published(store)
        relay = ShippedExim("exim-primary.conf", tls=good, site={
            "SITE_ACCOUNTS": published.db, "SITE_ALIAS_DIR": temp, "SITE_STORE_LDA": "127.0.0.1",
            "SITE_STORE_PORT": store.smtp, "SITE_STORE_PROTOCOL": "smtp",
            "SITE_SUBMITD_HOSTS": STORE, "SITE_SUBMITD_CERT": "store.example.org",
            "SITE_CLIENT_CA": authority[0], "SITE_INTERNAL_HOSTS": HOUSE, "SITE_CALLOUT": "yes",
            "SITE_SMARTHOST": "127.0.0.1::9", "SITE_PER_HOST": 2, "SITE_BULK_LIFETIME": "2s",
            "SITE_SPAMD": "127.0.0.1 9"})
        store.relays = [relay.address()]
        with store:
            store.add_account("ann@example.org")
            store.add_account("late@example.org")
            with published, relay:
                store.admin("account", "set", "late@example.org", "--active", "no")
                for pair, code in ((good, 250), (other, 550), (alien, 550), (None, 550)):
                    assert mail_with_certificate(relay, pair) == code, pair
                answers_of_the_store_and_limits(relay)
                with store.connect_submission("ann@example.org") as client:
                    client.sendmail("ann@example.org", ["ann@example.org"], bytes(
                        make_message(sender="ann@example.org", subject="with our certificate")))
                wait_mail(store, "ann@example.org", "with our certificate")
                bulk_mail_is_returned_early(store, relay)


def mail_with_certificate(relay, pair):
    context = ssl._create_unverified_context()
    if pair:
        context.load_cert_chain(*map(str, pair))
    with relay.client(STORE) as client:
        client.starttls(context=context)
        client.ehlo()
        return client.mail("ann@example.org")[0]


def answers_of_the_store_and_limits(relay):
    with relay.client(STRANGER) as client:
        client.ehlo()
        client.mail("bob@example.net")
        assert client.rcpt("ann@example.org")[0] == 250
        code, text = client.rcpt("late@example.org")  # the copy is old, the store knows
        assert code == 550, text
        with relay.client(STRANGER):  # two of one host; the third waits outside
            with pytest.raises((smtplib.SMTPException, OSError)):
                relay.client(STRANGER)
        with relay.client("127.0.0.10") as another:
            assert another.ehlo()[0] == 250


def bulk_mail_is_returned_early(store, relay):
    """The way out is closed; bulk mail comes back after its lifetime, other mail waits on."""
    with relay.client(HOUSE) as client:
        for subject, headers in (("waits", {}), ("returned", {"Precedence": "bulk"})):
            client.sendmail("ann@example.org", ["bob@example.net"], bytes(
                make_message("bob@example.net", subject=subject, **headers)))
    text = wait_mail(store, "ann@example.org", "Mail delivery failed: returning message to sender")
    assert b"could not be delivered within 2s" in text and b"Subject: returned" in text
    assert relay.queued() >= 1


def test_a_spool_that_is_nearly_full_takes_nothing():
    with open_dir() as temp, ShippedExim(
            "exim-primary.conf", tls=certificate(temp, "relay.example.org"),
            site={"SITE_SPOOL_RESERVE": "1000000G", "SITE_ALIAS_DIR": temp,
                  "SITE_ACCOUNTS": temp / "user.db", "SITE_SPAMD": "127.0.0.1 9"}) as relay, \
            relay.client(STRANGER) as client:
        client.ehlo()
        assert client.mail("bob@example.net")[0] == 452
