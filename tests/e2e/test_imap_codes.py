"""Response codes, RFC 9051 §7.1, RFC 5530 and the extensions: each that the server can say is shown by a test, each other one
stands in doc/rfc.md with the reason why it is never said."""

import contextlib
import re

import pytest

from sanger import TOP, Instance
from test_faults import failing

pytestmark = pytest.mark.once

# The IANA registry of IMAP response codes, and those of RFCs 9585, 9586, 9738 and 10022.
REGISTERED = set("""
    ALERT ALREADYEXISTS ANNOTATE ANNOTATIONS APPENDUID AUTHENTICATIONFAILED AUTHORIZATIONFAILED BADCHARSET BADCOMPARATOR
    BADEVENT BADURL CANNOT CAPABILITY CLIENTBUG CLOSED COMPRESSIONACTIVE CONTACTADMIN COPYUID CORRUPTION EXPIRED
    EXPUNGEISSUED HASCHILDREN HIGHESTMODSEQ INPROGRESS INUSE LIMIT MAILBOXID MAXCONVERTMESSAGES MAXCONVERTPARTS
    MESSAGELIMIT METADATA MODIFIED NEWNAME NOMODSEQ NONEXISTENT NOPERM NOTIFICATIONOVERFLOW NOTSAVED NOUPDATE OVERQUOTA
    PARSE PERMANENTFLAGS PRIVACYREQUIRED READ-ONLY READ-WRITE REFERRAL SERVERBUG TEMPFAIL TOOBIG TOOFEW TOOMANY
    TRYCREATE UIDNEXT UIDNOTSTICKY UIDREQUIRED UIDVALIDITY UNAVAILABLE UNDEFINED-FILTER UNKNOWN-CTE UNSEEN URLMECH
    USEATTR""".split())


def text_of(*patterns):
    return "\n".join(path.read_text() for pattern in patterns for path in sorted(TOP.glob(pattern))
                     if not path.name.endswith(("_test.c", "_fuzz.c")))


def said_codes():
    """Registered ones that begin a string of the sources or stand behind a bracket there, and what is given as a code."""
    source = text_of("imapd/*.c")
    strings = re.findall(r'"((?:[^"\\\n]|\\.)*)"', source)
    found = {m for s in strings for m in re.findall(r"^([A-Z][A-Z-]+)(?=$|[ \]])", s)} & REGISTERED
    found |= {m for s in strings for m in re.findall(r"(?:OK|NO|BAD|BYE) \[([A-Z][A-Z-]+)", s)}
    found |= set(re.findall(r'imap_(?:no|ok|bye)\(\s*[\w>-]+,\s*"([A-Z][A-Z-]+)', source))
    return found | set(re.findall(r'imap_okf\([^;"]*"[^"]*",\s*"([A-Z][A-Z-]+)', source))


def test_each_code_is_shown_or_explained():
    said = said_codes()
    shown = set(re.findall(r"(?:(?:OK|NO|BAD|BYE) |\\)\[([A-Z][A-Z-]+)",  # the latter in regular expressions
                           text_of("tests/imap/*.dlg", "tests/e2e/test_*.py")))
    explained = set(re.findall(r"[A-Z][A-Z-]+", re.search(
        r"^\| 5530 \|.*Never said: (.*)\|$", text_of("doc/rfc.md"), re.MULTILINE)[1]))
    assert said <= REGISTERED, "not a registered code"
    assert said - shown == set(), "said, but shown by no test"
    assert REGISTERED - said - explained == set(), "neither said nor explained in doc/rfc.md"
    assert said & explained == set(), "doc/rfc.md says it is never said"


@contextlib.contextmanager
def closed_to_all(path):
    mode = path.stat().st_mode
    path.chmod(0)
    try:
        yield
    finally:
        path.chmod(mode)


def answer(reply):
    """imaplib's answer as it was sent, without the tag."""
    return f"{reply[0]} {reply[1][0].decode()}"


def test_what_only_a_sick_disk_says():
    with Instance(settings={"imapd.workers": "1"}) as i:
        i.add_account("ann@example.org")
        with i.connect_imap("ann@example.org") as c:
            for name in ("Locked", "Newer", "Busy"):
                assert c.create(name)[0] == "OK"
            with closed_to_all(i.maildir("ann@example.org", "Locked") / "cur"):
                assert answer(c.select("Locked")).startswith("NO [UNAVAILABLE] ")
            assert c.select("Locked")[0] == "OK"
            with failing(i, "imapd", "renameat2", "EBUSY", when="1+"):
                assert answer(c.rename("Busy", "Idle")).startswith("NO [INUSE] ")
            assert c.rename("Busy", "Idle")[0] == "OK"
        path = i.maildir("ann@example.org", "Newer") / "sanger-mailbox"
        text = path.read_text()
        path.write_text(text.replace("sanger-mailbox 1\n", "sanger-mailbox 99\n"))
        (i.maildir("ann@example.org") / "index.db").unlink()
        with i.connect_imap("ann@example.org") as c:
            assert answer(c.select("Newer")).startswith("NO [CONTACTADMIN] ")
            path.write_text(text)
            assert c.select("Newer")[0] == "OK"
