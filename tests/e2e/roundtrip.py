"""Delivers every file of a directory through a real Exim relay into the store, and reads each back
over IMAPS: byte for byte behind the trace headers, with ENVELOPE and BODYSTRUCTURE."""

import dataclasses
import pathlib
import re
import smtplib

from exim import Exim
from sanger import Instance, wait_for

ADDRESS = "ann@example.org"
TRACE = re.compile(rb"^(return-path|envelope-to|delivery-date|delivered-to|received)[ \t]*:", re.I)


@dataclasses.dataclass
class Result:
    delivered: int = 0
    problems: list = dataclasses.field(default_factory=list)


def wire_form(data):
    """As SMTP carries it: CRLF line ends, one at the end."""
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")
    if not text.endswith(b"\n"):
        text += b"\n"
    return end_header_at_garbage(text).replace(b"\n", b"\r\n")


def end_header_at_garbage(text):
    """A line that is no field ends the header: the relay puts the blank line there itself."""
    at = 0
    for line in text.splitlines(keepends=True):
        if line == b"\n":
            return text
        if not re.match(rb"[ \t]|[!-9;-~]+[ \t]*:", line) or (at == 0 and line[:1] in b" \t"):
            return text[:at] + b"\n" + text[at:]
        at += len(line)
    return text


def without_trace(data, drop_marker=True):
    """The message without the trace fields at its top, and without the marker."""
    head, _, body = data.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    kept = [f for f in fields if not TRACE.match(f) and not f.startswith(b"X-Roundtrip:")]
    return b"\r\n".join(kept) + b"\r\n\r\n" + body


def roundtrip(directory, protocol):
    files = sorted(p for p in pathlib.Path(directory).iterdir()
                   if p.is_file() and p.suffix == ".eml")
    result = Result()
    with Instance(settings={"lda.quota_warning": "0"}) as i:
        i.add_account(ADDRESS)
        with Exim(store=(protocol, i.lmtp if protocol == "lmtp" else i.smtp)) as relay:
            sent = {}
            with smtplib.SMTP("127.0.0.1", relay.port, timeout=60) as client:
                for n, path in enumerate(files):
                    data = b"X-Roundtrip: %d\r\n" % n + wire_form(path.read_bytes())
                    client.sendmail("bob@example.net", [ADDRESS], data)
                    sent[n] = data
            wait_for(lambda: len(i.files(ADDRESS)) >= len(sent) or " ** " in relay.log(),
                     f"{len(sent)} messages in INBOX", limit_s=300)
            result.problems += [line for line in relay.log().splitlines() if " ** " in line]
        client = i.connect_imap(ADDRESS)
        count = int(client.select("INBOX")[1][0])
        if count != len(sent):
            result.problems.append(f"{count} messages instead of {len(sent)}")
        for seq in range(1, count + 1):
            check(client, seq, sent, files, result)
        client.logout()
    for n in sent:
        result.problems.append(f"{files[n].name}: not delivered")
    return result


def check(client, seq, sent, files, result):
    status, data = client.fetch(str(seq), "(RFC822.SIZE ENVELOPE BODYSTRUCTURE)")
    answer = b"".join(d if isinstance(d, bytes) else b"".join(d) for d in data)
    status2, body = client.fetch(str(seq), "(BODY.PEEK[])")
    got = body[0][1]
    number = int(re.search(rb"^X-Roundtrip: (\d+)\r\n", got, re.M).group(1))
    name = files[number].name
    expected = sent.pop(number)
    result.delivered += 1
    if status != "OK" or b"ENVELOPE (" not in answer or b"BODYSTRUCTURE (" not in answer:
        result.problems.append(f"{name}: no ENVELOPE or BODYSTRUCTURE: {answer[:200]}")
    size = int(re.search(rb"RFC822.SIZE (\d+)", answer).group(1))
    if size != len(got):
        result.problems.append(f"{name}: RFC822.SIZE {size}, but {len(got)} bytes")
    if without_trace(got) != without_trace(expected):
        result.problems.append(f"{name}: differs: {first_difference(got, expected)}")


def first_difference(got, expected):
    a, b = without_trace(got), without_trace(expected)
    at = next((k for k, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"at {at}: {a[max(0, at - 30):at + 40]!r} instead of {b[max(0, at - 30):at + 40]!r}"
