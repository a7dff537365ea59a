"""doc/relay/exim-secondary.conf and doc/relay/postfix-secondary, each as the secondary MX of the
shipped primary relay in front of a Sanger store: while the primary is there, nothing is taken;
while it is away, all is kept but what it refused before; nothing is lost."""

import smtplib

import pytest

from exim import ShippedExim
from neighbours import Published, certificate, open_dir, wait_mail
from postfix import Postfix
from sanger import TOP, Instance, make_message, wait_for

pytestmark = pytest.mark.once

SECONDARY, STRANGER = "127.0.0.4", "127.0.0.9"


def exim_secondary(primary, cert):
    return ShippedExim("exim-secondary.conf", tls=cert, site={
        "SITE_MX_DOMAINS": "example.org", "SITE_PRIMARY_HOST": "127.0.0.1",
        "SITE_PRIMARY_PORT": primary.port, "SITE_REACH_TIME": "30s",
        "SITE_INTERFACE": SECONDARY})


def postfix_secondary(primary, cert):
    return Postfix(conf=TOP / "doc/relay/postfix-secondary", tls=cert, replace={
        "/etc/postfix/primary-up relay.example.org 25":
            f"{{conf}}/primary-up 127.0.0.1 {primary.port}"}, settings={
        "sanger_mx_domains": "example.org", "sanger_primary": f"[127.0.0.1]:{primary.port}",
        "smtp_bind_address": SECONDARY})


@pytest.fixture(scope="module")
def around():
    """The store and the primary relay before it."""
    with open_dir() as temp, Instance() as store, Published(store) as published:
        cert = certificate(temp, "relay.example.org")
        store.add_account("ann@example.org")
        published.publish()
        with ShippedExim("exim-primary.conf", tls=cert, site={
                "SITE_ACCOUNTS": published.db, "SITE_ALIAS_DIR": temp,
                "SITE_STORE_LDA": "127.0.0.1", "SITE_STORE_PORT": store.lmtp,
                "SITE_SUBMITD_HOSTS": "127.0.0.1", "SITE_INTERNAL_HOSTS": "127.0.0.3",
                "SITE_SECONDARY_HOSTS": SECONDARY, "SITE_SMARTHOST": "127.0.0.1::9",
                "SITE_SPAMD": "127.0.0.1 9"}) as primary:
            primary.cert = cert
            yield store, primary


@pytest.mark.parametrize("make", [exim_secondary, postfix_secondary])
def test_secondary(around, make):
    store, primary = around
    with make(primary, primary.cert) as secondary:
        def rcpt(address, sender="bob@example.net"):
            with smtplib.SMTP("127.0.0.1", secondary.port, timeout=120,
                              source_address=(STRANGER, 0)) as client:
                client.ehlo()
                client.mail(sender)
                return client.rcpt(address)

        def taken(subject):
            try:
                secondary.send("bob@example.net", ["ann@example.org"],
                               bytes(make_message(subject=subject)))
                return True
            except smtplib.SMTPRecipientsRefused as e:  # it holds an answer for two seconds
                assert all(code == 450 for code, _ in e.recipients.values()), e
                return False

        # The primary is there: known recipients are sent there, unknown ones refused.
        assert rcpt("ann@example.org")[0] in (450, 451)
        assert rcpt("nobody@example.org")[0] == 550
        assert rcpt("bob@example.net")[0] in (550, 554)

        primary.stop()
        # What it said yes to a moment ago must not stand in the way now.
        wait_for(lambda: rcpt("ann@example.org")[0] == 250, "the secondary to see it")
        assert rcpt("nobody@example.org")[0] == 550, "refused before"
        assert rcpt("bob@example.net")[0] in (550, 554)
        subjects = [f"{make.__name__} {n}" for n in range(3)]
        for subject in subjects:
            wait_for(lambda s=subject: taken(s), "it to be taken")
        assert secondary.queued() == 3

        primary.start()
        if hasattr(secondary, "flush"):
            secondary.flush()
        else:
            secondary.run_queue()
        for subject in subjects:
            wait_mail(store, "ann@example.org", subject)
        wait_for(lambda: secondary.queued() == 0, "an empty queue")
        wait_for(lambda: rcpt("ann@example.org")[0] in (450, 451), "the primary to be seen again")
        assert rcpt("nobody2@example.org")[0] == 550
