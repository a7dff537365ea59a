"""SpamAssassin's spamd with the shipped local.cf, called by the shipped Exim and Postfix files: what
is refused, what lands in Junk at the store, what is not scanned."""

import smtplib

import pytest

from exim import ShippedExim
from neighbours import Milter, Published, Spamd, certificate, open_dir, wait_mail
from postfix import Postfix
from sanger import TOP, Instance, make_message

pytestmark = pytest.mark.once

HOUSE, SECONDARY, STRANGER = "127.0.0.3", "127.0.0.4", "127.0.0.9"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\n"
# A rule of the site's own gives points that are over the flag and below the refusal.
SITE_RULE = """
body TEST_SEVEN /buy seven cheap things/
describe TEST_SEVEN Seven cheap things
score TEST_SEVEN 7.0
"""
SEVEN = "Please buy seven cheap things today.\n"


@pytest.fixture(scope="module")
def spamd():
    with Spamd(SITE_RULE) as s:
        yield s


@pytest.fixture(scope="module")
def store():
    with Instance() as i:
        i.add_account("ann@example.org")
        with Published(i) as published:
            published.publish()
            i.published = published
            yield i


def exim(store, spamd, temp):
    return ShippedExim("exim-primary.conf", tls=certificate(temp, "relay.example.org"), site={
        "SITE_ACCOUNTS": store.published.db, "SITE_ALIAS_DIR": temp, "SITE_STORE_LDA": "127.0.0.1",
        "SITE_STORE_PORT": store.lmtp, "SITE_SUBMITD_HOSTS": "127.0.0.1",
        "SITE_INTERNAL_HOSTS": HOUSE, "SITE_SECONDARY_HOSTS": SECONDARY,
        "SITE_SMARTHOST": "127.0.0.1::9", "SITE_SPAMD": f"127.0.0.1 {spamd.port}",
        "SITE_SPAM_MAX_SIZE": "200K"})


def postfix(store, spamd, temp):
    milter = Milter(spamd.port, trusted=[HOUSE], max_bytes=200 * 1024)
    p = Postfix(conf=TOP / "doc/relay/postfix-primary",
                tls=certificate(temp, "relay.example.org"),
                replace={"/var/lib/sanger-relay/user.db": store.published.db}, settings={
                    "sanger_hostname": "relay.example.org",
                    "sanger_store": f"lmtp:inet:127.0.0.1:{store.lmtp}",
                    "sanger_submitd": "127.0.0.1", "sanger_house": HOUSE,
                    "sanger_smarthost": "[127.0.0.1]:9", "sanger_spam_milter": milter.address()})
    p.also(milter)
    return p


@pytest.mark.parametrize("make", [exim, postfix])
def test_spam(store, spamd, make):
    with open_dir() as temp, make(store, spamd, temp) as relay:
        def send(subject, body, source=STRANGER, recipients=("ann@example.org",), **headers):
            with smtplib.SMTP("127.0.0.1", relay.port, timeout=120, source_address=(source, 0),
                              local_hostname="client.example.net") as client:
                client.sendmail("bob@example.net", list(recipients), bytes(
                    make_message(subject=subject, body=body, sender="bob@example.net", **headers)))

        def arrived(subject, mailbox="INBOX"):
            text = wait_mail(store, "ann@example.org", subject, mailbox)
            return text.split(b"\r\n\r\n", 1)[0]
        name = make.__name__

        with pytest.raises(smtplib.SMTPDataError) as refused:
            send(f"{name} gtube", GTUBE)
        assert refused.value.smtp_code == 550 and b"5.7.1" in refused.value.smtp_error

        # Forged fields go; the scanner's come, as the store's default filter reads them.
        send(f"{name} spam", SEVEN, X_Spam_Score="-99 (-)", X_Spam_Flag="NO",
             X_Spam_Report="forged")
        head = arrived(f"{name} spam", "Junk")
        assert b"+++++" in head and b"-99" not in head and b"forged" not in head
        assert b"X-Spam-Flag: YES" in head and b"TEST_SEVEN" in head
        assert head.count(b"X-Spam-Score:") == 1

        send(f"{name} ham", "Shall we meet at noon?\n", X_Spam_Score="20 (++++++++++++++++++++)",
             X_Spam_Flag="YES")
        head = arrived(f"{name} ham")
        assert b"X-Spam-Score: " in head and b"+++++" not in head and b"X-Spam-Flag" not in head

        # Not scanned: what is big, and what the house sends.  A forged score does not stay either.
        send(f"{name} big", SEVEN + "x" * 70 + "\n" + ("y" * 70 + "\n") * 4000, X_Spam_Score="+++++")
        assert b"X-Spam" not in arrived(f"{name} big")
        send(f"{name} trusted", GTUBE, source=HOUSE)
        assert b"X-Spam" not in arrived(f"{name} trusted")

        if make is exim:  # the secondary's would bounce; postmaster hears everybody
            send(f"{name} by the secondary", GTUBE, source=SECONDARY)
            assert b"X-Spam-Flag: YES" in arrived(f"{name} by the secondary", "Junk")
