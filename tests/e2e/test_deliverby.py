"""Sieve's redirect-deliverby (RFC 6009 §6) all the way to a relay: one that knows DELIVERBY (RFC 2852), one that
does not, one that is down while the time runs out."""

import email.utils
import re
import time

import pytest

from exim import Exim
from relay import Relay, status_of
from sanger import Instance, wait_for

pytestmark = pytest.mark.once

SETTINGS = {"submitd.relay_tls": "none", "submitd.retry_first": "1s", "submitd.retry_max": "1s"}


def by_of(mail):
    """BY= of a MAIL command: seconds, mode and trace."""
    found = re.search(r" BY=(-?\d+);([NR]T?)(?: |$)", mail)
    return (int(found[1]), found[2]) if found else None


def redirect(i, owner, tags, sender="asks@example.net", to="far@example.net", subject="urgent"):
    i.admin("filter", "set", owner, "-", input=(
        'require "redirect-deliverby"; require "redirect-dsn";\n'
        f'redirect {tags} "{to}";\n').encode())
    i.deliver(owner, sender=sender, subject=subject)


def spool_is_empty(i):
    wait_for(lambda: i.admin_json("queue", "list") == [], "an empty queue")


def instance(relay, **settings):
    return Instance(relay=relay.address(), settings=dict(SETTINGS, **settings))


def test_a_relay_that_delivers_by():
    with Relay("DSN", "DELIVERBY 100", "PIPELINING") as relay, instance(relay) as i:
        owner = i.add_account("ann@example.org")
        redirect(i, owner, ':bytimerelative 600 :bymode "return" :bytrace', to="a@example.net")
        (mail, m), = relay.wait_to("a@example.net")
        seconds, mode = by_of(mail)
        assert mode == "RT" and 500 < seconds <= 600
        assert "asks@example.net" in mail and m["Subject"] == "urgent"
        # a trace was asked for
        (mail, report), = relay.wait_to("asks@example.net")
        per_message, per_rcpt = status_of(report)
        assert per_rcpt["Action"] == "relayed" and per_rcpt["Status"].startswith("2.")
        assert per_message["Deliver-By-Date"] and by_of(mail) is None
        # mode N without one, by a point in time
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3000))
        redirect(i, owner, f':bytimeabsolute "{moment}"', to="b@example.net", sender="b-asks@x.net")
        seconds, mode = by_of(relay.wait_to("b@example.net")[0][0])
        assert mode == "N" and 2900 < seconds <= 3000
        # a time that has passed: told, then sent on with what is left of it
        redirect(i, owner, ':bytimeabsolute "2001-02-03T04:05:06Z" :bymode "notify"',
                 to="c@example.net", sender="c-asks@x.net")
        seconds, mode = by_of(relay.wait_to("c@example.net")[0][0])
        assert mode == "N" and seconds < -700000000
        report, = [m for _, m in relay.wait_to("c-asks@x.net")]
        per_message, per_rcpt = status_of(report)
        assert per_rcpt["Action"] == "delayed" and per_rcpt["Status"] == "4.4.7"
        # and NEVER means never
        redirect(i, owner, ':bytimerelative 900 :bytrace :notify "NEVER"', to="d@example.net",
                 sender="d-asks@x.net")
        assert by_of(relay.wait_to("d@example.net")[0][0])[1] == "NT"
        spool_is_empty(i)
        assert not relay.to("b-asks@x.net") and not relay.to("d-asks@x.net")


@pytest.mark.parametrize("tags", [
    ':bytimerelative 99 :bymode "return"',  # less than the relay's least
    ':bytimerelative 0 :bymode "return"',
    ':bytimeabsolute "2001-02-03T04:05:06Z" :bymode "return"'])
def test_too_little_time_comes_back(tags):
    with Relay("DELIVERBY 100") as relay, instance(relay) as i:
        owner = i.add_account("ann@example.org")
        redirect(i, owner, tags)
        (mail, report), = relay.wait_to("asks@example.net")
        assert "MAIL FROM:<>" in mail
        per_message, per_rcpt = status_of(report)
        assert per_rcpt["Action"] == "failed" and per_rcpt["Status"] == "5.4.7"
        assert per_rcpt["Final-Recipient"] == "rfc822; far@example.net"
        assert b"Subject: urgent" in report.as_bytes()
        spool_is_empty(i)
        assert not relay.to("far@example.net")


def test_a_relay_that_does_not_know_it():
    """Exim does not offer DELIVERBY."""
    with Exim() as relay, instance(relay) as i:
        owner = i.add_account("ann@example.org")

        def received(to, subject):
            return [m for m in relay.received() if m["Envelope-to"] == to and m["Subject"] == subject]

        def wait_received(*what):
            return wait_for(lambda: received(*what), f"{what}")[0]
        redirect(i, owner, ':bytimerelative 600 :bymode "return"')
        report = wait_received("asks@example.net", "Your message could not be delivered")
        assert report["Return-path"] == "<>"
        per_message, per_rcpt = status_of(report)
        assert per_rcpt["Action"] == "failed" and per_rcpt["Status"] == "5.4.7"
        assert per_message["Deliver-By-Date"]
        assert per_rcpt["Diagnostic-Code"].startswith("x-sanger; 5.4.7 ")
        # "notify" goes, and that nobody looks after the time is said
        redirect(i, owner, ':bytimerelative 600 :bymode "notify"', subject="goes on")
        assert wait_received("far@example.net", "goes on")["Return-path"] == "<asks@example.net>"
        report = wait_received("asks@example.net", "Your message was handed on")
        assert status_of(report)[1]["Action"] == "relayed"
        # nobody is told of the null sender's mail, and nothing of it is lost
        redirect(i, owner, ':bytimerelative 600 :bymode "return" :bytrace', sender="",
                 subject="a bounce")
        assert wait_received("far@example.net", "a bounce")["Return-path"] == "<>"
        spool_is_empty(i)
        assert len(relay.received()) == 4
        assert not received("far@example.net", "urgent")


def test_the_queue_shows_it():
    with Relay("DELIVERBY") as relay, instance(relay, **{
            "submitd.retry_first": "10m", "submitd.retry_max": "10m"}) as i:
        owner = i.add_account("ann@example.org")
        relay.later = "far"
        before = int(time.time())
        redirect(i, owner, ':bytimerelative 400 :bymode "return" :bytrace')
        wait_for(lambda: " deferred " in i.log(), "an attempt")
        waiting, = wait_for(lambda: [m for m in i.admin_json("queue", "list") if not m["claimed"]],
                            "it to wait")
        shown = i.admin_json("queue", "show", waiting["id"])
        assert before + 400 <= shown["deliver_by"] <= time.time() + 400
        assert shown["by_mode"] == "return" and shown["by_trace"] is True
        assert shown["next_attempt"] == shown["deliver_by"]  # ten minutes would be too late
        assert re.search(r"If late *:? +return", i.admin("queue", "show", shown["id"]))


def test_time_runs_out_in_the_queue():
    """The relay says "later" until the time is over: R comes back then, N is told of and tried on."""
    with Relay("DELIVERBY") as relay, instance(relay) as i:
        owner = i.add_account("ann@example.org")
        relay.later = "far"
        redirect(i, owner, ':bytimerelative 3 :bymode "return" :bytrace')
        (_, report), = relay.wait_to("asks@example.net")
        per_message, per_rcpt = status_of(report)
        assert per_rcpt["Action"] == "failed" and per_rcpt["Status"] == "5.4.7"
        deadline = email.utils.parsedate_to_datetime(per_message["Deliver-By-Date"])
        assert deadline.timestamp() <= time.time()
        spool_is_empty(i)
        redirect(i, owner, ":bytimerelative 3", sender="n-asks@x.net", subject="late")
        (_, report), = relay.wait_to("n-asks@x.net")
        per_message, per_rcpt = status_of(report)
        assert per_rcpt["Action"] == "delayed" and per_rcpt["Status"] == "4.4.7"
        assert per_rcpt["Will-Retry-Until"] and per_message["Deliver-By-Date"]
        seen = relay.asked
        wait_for(lambda: relay.asked >= seen + 2, "two more attempts")
        relay.later = None
        seconds, mode = by_of(relay.wait_to("far@example.net")[0][0])
        assert mode == "N" and seconds <= 0
        spool_is_empty(i)
        assert len(relay.to("n-asks@x.net")) == 1


def test_the_time_runs_while_the_relay_is_down():
    """R, with nobody to connect to and the next attempt far away: it comes back when the time is over."""
    with Exim(start=False) as relay, instance(relay, **{
            "submitd.retry_first": "10m", "submitd.retry_max": "10m"}) as i:
        owner = i.add_account("ann@example.org")
        redirect(i, owner, ':bytimerelative 4 :bymode "return"')
        waiting, = wait_for(lambda: [m for m in i.admin_json("queue", "list")
                                     if m["sender"] == ""], "the report")
        assert waiting["recipients"][0]["address"] == "asks@example.net"
        assert waiting["deliver_by"] is None and waiting["by_mode"] is None
        assert waiting["by_trace"] is False
        assert "5.4.7" in next(line for line in i.log().splitlines() if " failed " in line)
