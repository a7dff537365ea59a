"""The queue runner and relays that misbehave: down, slow, refusing, with the wrong certificate, gone in the middle
of a message; and submitd killed in every phase of one.  What was acknowledged reaches the relay exactly once, or, where
it died between the last byte and its 250, at most once more (RFC 5321 §4.5.3.2.6)."""

import base64
import hashlib
import itertools
import os
import re
import signal
import ssl
import subprocess
import time

from chaos_relay import CLOSE, ChaosRelay, hold
from sanger import Instance, alive, make_message, wait_for

FAIRNESS = int(os.environ.get("SANGER_FAIRNESS", "300"))
QUICK = {"submitd.relay_tls": "none", "submitd.retry_first": "1s", "submitd.retry_max": "2s",
         "submitd.relay_probe": "1s", "submitd.workers": "1",
         **{f"submitd.rate_{what}_{span}": "1000000" for what in ("messages", "recipients")
            for span in ("hour", "day")}}
ONE_EACH = {**QUICK, "submitd.relay_messages_max": "1"}  # messages over one connection
ANN, BOB = "ann@example.org", "bob@example.org"


def submit(i, subjects, sender=ANN, to=("x@example.net",)):
    for at in range(0, len(subjects), 500):  # messages over one connection
        client = i.connect_submission(sender)
        for subject in subjects[at:at + 500]:
            client.sendmail(sender, list(to), bytes(make_message(to[0], sender=sender,
                                                                 subject=subject)))
        client.quit()


def queue(i):
    return i.admin_json("queue", "list")


def wait_empty(i):
    wait_for(lambda: "empty" in i.admin("queue", "list") or not queue(i), "an empty queue")


def test_failover_both_down_and_back():
    with ChaosRelay() as first, ChaosRelay() as second, Instance(
            relay=[first.address(), second.address()], settings=QUICK) as i:
        i.add_account(ANN)
        submit(i, ["to the first"])
        first.wait_subjects(["to the first"])
        first.stop()
        submit(i, ["to the second"])
        second.wait_subjects(["to the second"])
        first.start()
        time.sleep(1.1)  # so that the probe is due

        tries = itertools.count()

        def first_is_back():
            submit(i, [f"where {next(tries)}"])
            return any(s.startswith("where") for s in first.subjects())
        wait_for(first_is_back, "the first relay to take over again")
        wait_empty(i)
        second.stop()
        first.stop()
        waiting = [f"while both are down {n}" for n in range(5)]
        submit(i, waiting)
        wait_for(lambda: i.log().count("relay-down") >= 3, "both known to be down")
        assert len(queue(i)) == 5
        second.start()
        second.wait_subjects(waiting)
        wait_empty(i)
        together = first.subjects() + second.subjects()
        assert len(together) == len(set(together))


def test_verdicts_are_of_recipients_and_reports_go_back():
    """4xx, then 5xx for one of two recipients: one report, and that is refused, too: it is parked."""
    said, refuse_reports = [], []

    def answer(verb, line):
        if verb == "RCPT" and "<bad@" in line:
            said.append(line)
            return "451 4.3.0 later" if len(said) < 3 else "550 5.1.1 never heard of"
        if verb == "RCPT" and f"<{ANN}>" in line and refuse_reports:
            return "550 5.1.1 nor of her"
        return None
    with ChaosRelay("DSN") as relay, Instance(relay=relay.address(), settings=QUICK) as i:
        relay.answer = answer
        i.add_account(ANN)
        submit(i, ["two"], to=["good@example.net", "bad@example.net"])
        wait_for(lambda: relay.to(ANN), "the report")
        assert len(said) == 3 and len(relay.to("good@example.net")) == 1
        report = relay.to(ANN)[0]
        fields = list(report.iter_parts())[1].get_payload()[1]
        assert fields["Status"] == "5.1.1" and fields["Action"] == "failed"
        assert "relay-down" not in i.log()
        wait_empty(i)
        refuse_reports.append(True)
        submit(i, ["lost"], to=["bad@example.net"])
        wait_for(lambda: " parked " in i.log(), "a parked report")
        wait_for(lambda: queue(i), "it in the queue")
        assert "nor of her" in i.admin("queue", "list") + i.admin("queue", "list", "--json")


def test_too_many_recipients_and_messages_for_one_connection():
    """RFC 9422, and 452 for one too many."""
    count = [0]

    def answer(verb, line):
        if verb == "MAIL":
            count[0] = 0
        if verb == "RCPT":
            count[0] += 1
            if count[0] > 2:
                return "452 4.5.3 two will do"
        return None
    to = [f"r{n}@example.net" for n in range(7)]
    with ChaosRelay("LIMITS MAILMAX=2 RCPTMAX=3") as relay, Instance(
            relay=relay.address(), settings={**QUICK, "submitd.relay_connections": "1"}) as i:
        relay.answer = answer
        i.add_account(ANN)
        submit(i, ["many"], to=to)
        wait_for(lambda: sum(len(r) for _, r, _ in relay.messages()) >= 7, "all seven")
        wait_empty(i)
        got = [re.search("<(.*?)>", r).group(1) for _, rcpts, _ in relay.messages() for r in rcpts]
        assert sorted(got) == to and all(len(r) <= 2 for _, r, _ in relay.messages())
        assert relay.connections == 2 and " deferred " not in i.log()


def test_slow_or_broken_in_the_middle():
    """Slow is not down.  421 and a lost connection go to the next relay; lost after the dot: at most twice."""
    with ChaosRelay() as first, ChaosRelay() as second, Instance(
            relay=[first.address(), second.address()], settings=ONE_EACH) as i:
        i.add_account(ANN)
        first.answer = lambda verb, line: time.sleep(0.2)
        submit(i, ["slow"])
        first.wait_subjects(["slow"])
        wait_empty(i)
        assert "relay-down" not in i.log()
        for n, (verb, reply) in enumerate([("CONNECT", "421 4.3.2 closing"), ("MAIL", CLOSE),
                                           ("RCPT", "421 4.3.2 closing"), ("DATA", CLOSE)]):
            first.answer = lambda v, line, at=verb, said=reply: said if v == at else None
            time.sleep(1.5)
            submit(i, [f"broken {n}"])
            second.wait_subjects([f"broken {n}"])
        first.stop()
        once = []

        def break_once(verb, line):
            if verb == "DOT" and not once:
                once.append(line)
                return CLOSE
            return None
        second.answer = break_once
        submit(i, ["in doubt"])
        wait_for(lambda: second.subjects().count("in doubt") == 2, "the second time")
        wait_empty(i)
        counts = {s: (first.subjects() + second.subjects()).count(s) for s in second.subjects()}
        assert {s: n for s, n in counts.items() if n > 1} == {"in doubt": 2}


def make_tls(i):
    """The instance's own certificate for the relay, its digests, and a client context's view of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(i.dir / "tls" / "cert.pem", i.dir / "tls" / "key.pem")
    return context


def digests(cert):
    pem = cert.read_text().split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    key = subprocess.run(["openssl", "x509", "-pubkey", "-noout"], input=pem.encode(),
                         stdout=subprocess.PIPE, check=True).stdout
    der = base64.b64decode(b"".join(key.splitlines()[1:-1]))
    return (hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest(),
            hashlib.sha256(der).hexdigest())


def restart_submitd(i):
    """Quicker than all of them, where they run."""
    if not i.runs("submitd"):
        i.restart()
        return
    pid = i.pid("submitd")
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not alive(pid), "submitd to stop")
    i.start_one("submitd")


def set_settings(i, **settings):
    text = i.conf().read_text()
    for key, value in settings.items():
        text = re.sub(rf"(?m)^{key} = .*\n", "", text)
        if value is not None:
            lines = "".join(f"{key} = {one}\n" for one in value.split())
            text = text.replace("[submitd]\n", f"[submitd]\n{lines}", 1)
    i.conf().write_text(text)
    restart_submitd(i)


def test_certificates_pins_and_login():
    """The wrong certificate is no relay; the right key is, whoever signed it.  AUTH under implicit TLS."""
    secret = base64.b64encode(b"\0store\0its-password").decode()
    with ChaosRelay("REQUIRETLS", user=secret) as relay, Instance(
            relay=relay.address(), start=False,
            settings={**QUICK, "submitd.relay_tls": "verify",
                      "submitd.relay_tls_start": "implicit",
                      "submitd.relay_user": "store"}) as i:
        relay.tls = make_tls(i)
        password = i.dir / "relay-password"
        password.write_text("its-password\n")
        password.chmod(0o640)
        i.own(password)
        set_settings(i, relay_password_file=str(password))
        i.add_account(ANN)
        submit(i, ["verified"])
        wait_for(lambda: "relay-down" in i.log(), "a certificate that nobody vouches for")
        assert not relay.taken and len(queue(i)) == 1
        cert, key = digests(i.dir / "tls" / "cert.pem")
        set_settings(i, relay_tls="fingerprint", relay_fingerprint="00" * 32)
        wait_for(lambda: i.log().count("relay-down") >= 2, "a pin that does not fit")
        assert not relay.taken
        set_settings(i, relay_tls="fingerprint", relay_fingerprint=f"{'00' * 32} {key}")
        relay.wait_subjects(["verified"])
        set_settings(i, relay_fingerprint=":".join(re.findall("..", cert.upper())))
        client = i.connect_submission(ANN)
        client.sendmail(ANN, ["x@example.net"], bytes(make_message(subject="kept secret",
                                                                   sender=ANN)),
                        mail_options=["REQUIRETLS"])
        client.quit()
        relay.wait_subjects(["kept secret"])
        assert " REQUIRETLS" in relay.messages()[-1][0]
        password.chmod(0o644)
        assert i.admin("doctor", check=False).returncode != 0


def kill_and_check(i, relay, subject, verb, most):
    """kill -9 of all of submitd while the relay is at that point."""
    relay.answer, reached, go = hold(verb)
    submit(i, [subject])
    assert reached.wait(60), verb
    i.kill("submitd")
    relay.answer = lambda verb, line: None
    go.set()
    i.start_one("submitd")
    wait_for(lambda: subject in relay.subjects(), f"{subject} after a kill at {verb}")
    wait_empty(i)
    assert 1 <= relay.subjects().count(subject) <= most, (verb, relay.subjects())
    return relay.subjects().count(subject) - 1


def test_killed_in_every_phase():
    with ChaosRelay() as relay, Instance(relay=relay.address(), settings=ONE_EACH) as i:
        i.add_account(ANN)
        doubles = sum(kill_and_check(i, relay, f"killed at {verb}", verb, most)
                      for verb, most in [("CONNECT", 1), ("EHLO", 1), ("MAIL", 1), ("RCPT", 1),
                                         ("DATA", 1), ("DOT", 2), ("TOOK", 2)])
        assert doubles <= 2
        # one worker alone: its parent makes another one, which voids the claim
        relay.answer, reached, go = hold("MAIL")
        submit(i, ["worker killed"])
        assert reached.wait(60)
        i.kill_pids(i.workers("submitd"))
        relay.answer = lambda verb, line: None
        go.set()
        relay.wait_subjects(["worker killed"])
        wait_empty(i)
        assert relay.subjects().count("worker killed") == 1
        print(f"{doubles} duplicates where SMTP allows one")


def test_drained_in_order_of_fairness():
    """One account's many messages do not hold up another's single ones, and all arrive once."""
    with ChaosRelay() as relay, Instance(relay=relay.address(), settings=QUICK) as i:
        relay.answer, reached, go = hold("CONNECT")
        i.add_account(ANN)
        i.add_account(BOB)
        many = [f"ann {n}" for n in range(FAIRNESS)]
        begin = time.monotonic()
        submit(i, many)
        submit(i, ["bob 1", "bob 2"], sender=BOB)
        before = len(relay.messages())  # none, unless the relay could not be held for so long
        assert reached.wait(60)
        middle = time.monotonic()
        relay.answer = lambda verb, line: None
        go.set()
        relay.wait_subjects([*many, "bob 1", "bob 2"], 60 + FAIRNESS / 10)
        wait_empty(i)
        print(f"{FAIRNESS + 2} messages: taken in {middle - begin:.0f} s, {before} of them sent on meanwhile; "
              f"the rest drained in {time.monotonic() - middle:.0f} s")
        order = relay.subjects()
        assert len(order) == len(set(order)) == FAIRNESS + 2
        # claimed before bob came: four at a time; then one of ann's for each of his
        assert order.index("bob 2") - before <= 12, (order.index("bob 2"), before)
