"""An instance whose status page is looked at, and what it counts."""

import base64
import contextlib
import http.client
import smtplib
import time

from prometheus_client.openmetrics.parser import text_string_to_metric_families
from sanger import WAIT_S, Instance, wait_for

FAST_RETRY = {"submitd.relay_tls": "none", "submitd.relay_probe": "1s", "submitd.retry_first": "1h"}


class StatusInstance(Instance):
    """The port of the status page, and requests to it; publish.dir and backup.dir lie in its directory."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, start=False, **kwargs)

    def __enter__(self):
        super().__enter__()
        try:
            with open(self.conf(), "a") as conf:
                conf.write(f"\n[publish]\ndir = {self.dir}/publish\n"
                           f"\n[backup]\ndir = {self.dir}/backup\n")
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    @property
    def status(self):
        return self.base + 8

    def ask(self, path, method="GET", body=None, **headers):
        """(status, header fields, text)"""
        c = http.client.HTTPConnection("127.0.0.1", self.status, timeout=WAIT_S)
        with contextlib.closing(c):
            c.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            r = c.getresponse()
            return r.status, r.headers, r.read().decode()

    def page(self):
        status, _, text = self.ask("/")
        assert status == 200, text
        return text

    def form(self, path, fields, **headers):
        return self.ask(path, "POST", fields, **{
            "Content_Type": "application/x-www-form-urlencoded", **headers})

    def token(self):
        return self.page().split('name="token" value="')[1].split('"')[0]

    def metrics(self):
        """{(sample name, label=value …): number}"""
        status, headers, text = self.ask("/metrics")
        assert status == 200, text
        assert headers["Content-Type"] == \
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert text.endswith("\n# EOF\n")
        return {(s.name, frozenset(s.labels.items())): s.value
                for family in text_string_to_metric_families(text) for s in family.samples}

    def metric(self, name, **labels):
        return self.metrics().get((name, frozenset(labels.items())))

    def submit(self, address, *to, subject="Hello"):
        with contextlib.closing(self.connect_submission(address)) as c:
            c.sendmail(address, to, f"From: {address}\r\nSubject: {subject}\r\n\r\nx\r\n".encode())

    def fail_login(self, count=1):
        for _ in range(count):
            with contextlib.suppress(smtplib.SMTPAuthenticationError):
                with contextlib.closing(self.connect_submission()) as c:
                    c.login("nobody@example.org", f"wrong {time.monotonic_ns()}")


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def fill(box, relay):
    """Something of everything that the page shows."""
    for name, used in (("near", 95), ("over", 112), ("empty", 1)):
        box.add_account(f"{name}@example.org", quota="1M")
        box.deliver(f"{name}@example.org", body="x" * 70 + "\n")
        file = box.maildir(f"{name}@example.org") / "maildirsize"
        file.write_text(f"1048576S\n{1048576 * used // 100 + 4096} 17\n")
        box.own(file)
    relay.later = "later"
    box.add_account("ann@example.org")
    for i in range(3):
        box.submit("ann@example.org", f"later@example{i}.net", f"later@example{i}.com")
    wait_for(lambda: relay.asked >= 6, "the relay to put them off")
    now = int(time.time())
    for key, text in (("publish.dir", f"published {now - 400}\nsent {now - 399} relay:/etc/exim4\n"
                                      f"failed {now - 90} relay2:/etc/exim4\n"),
                      ("backup.dir", f"began {now - 90000} 2026-11-20T0230Z\n"
                                     f"succeeded {now - 89000} 2026-11-20T0230Z\n"
                                     "verified x\n\x00\xff\n")):
        directory = box.dir / key.split(".")[0]
        directory.mkdir(exist_ok=True)
        (directory / "status").write_bytes(text.encode("latin-1"))
        box.own(directory)
    box.fail_login(3)

