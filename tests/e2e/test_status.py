"""statusd: who may ask, the page's text and buttons, /metrics by a parser, /healthz."""

import contextlib
import os
import re
import signal
import socket
import subprocess

import pytest
from relay import Relay
from sanger import TOP, alive, wait_for
from status import FAST_RETRY, StatusInstance, basic, fill


@pytest.fixture(scope="module")
def relay():
    with Relay() as r:
        yield r


@pytest.fixture(scope="module")
def box(relay):
    with StatusInstance(relay=relay.address(), settings=FAST_RETRY) as i:
        fill(i, relay)
        i.tool("instance", "reload", i.dir)  # accounts are looked at in the background, at first at once
        wait_for(lambda: "over@example.org" in i.page(), "the quotas to be looked at")
        yield i


def test_page(box):
    page = box.page()
    for text in ("<strong>3</strong> messages for 6 recipients", "later@example0.net and 1 more",
                 "451 4.3.0 not now", "near@example.org", "over@example.org", "112 %",
                 "relay:/etc/exim4", "does not get to relay2:/etc/exim4", "2026-11-20T0230Z",
                 "managesieved", "<code>127.0.0.1</code>", "mail, spool, accounts, log"):
        assert text in page, text
    assert "empty@example.org" not in page
    assert page.count('class="state good">runs') == 5
    release = re.match(r"sanger \(([\d.]+)", (TOP / "debian/changelog").read_text())[1]
    assert page.count(f"<td>{release}</td>") == 5 and f"Sanger {release}" in page
    assert "<script" not in page and "http://" not in page and "style=" not in page
    _, headers, _ = box.ask("/")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    status, headers, css = box.ask("/style.css")
    assert status == 200 and headers["Content-Type"].startswith("text/css") and "@media" in css
    assert box.ask("/nothing")[0] == 404
    assert box.ask("/", "PUT")[0] == 405 and box.ask("/queue/flush")[0] == 405
    assert box.ask("/", "HEAD")[2] == ""


def test_what_mail_says_is_only_text(box, relay):
    relay.reason = '<b>busy & "full"</b>'
    box.submit("ann@example.org", "later@a.example")
    wait_for(lambda: "&lt;b&gt;busy &amp; &quot;full&quot;&lt;/b&gt;" in box.page(), "the answer")
    assert "<b>" not in box.page()


def test_metrics(box):
    m = box.metrics

    def count(name, **labels):
        return box.metric(name, **labels) or 0

    assert count("sanger_daemon_up", daemon="imapd") == 1
    assert count("sanger_queue_messages", state="waiting") >= 3
    assert count("sanger_accounts") == 4 and count("sanger_accounts_near_quota") == 2
    assert count("sanger_logins_total", daemon="submitd", mechanism="PLAIN", result="failed") >= 3
    assert count("sanger_submissions_total", daemon="submitd", result="queued") >= 3
    assert count("sanger_delivery_seconds_count", daemon="lda") == 3
    assert count("sanger_deliveries_total", daemon="lda", result="delivered") == 3
    assert count("sanger_relay_seconds_count", daemon="submitd", relay=box.relays[0],
                 result="deferred") >= 3
    assert count("sanger_backup_success_timestamp_seconds") > 1e9
    assert any(name == "sanger_disk_free_bytes" for name, _ in m())
    # an IMAP session, counted while it lasts and after
    before = m()
    c = box.connect_imap("ann@example.org")
    imaps = {"daemon": "imapd", "listener": "imaps"}
    assert count("sanger_connections", **imaps) == 1
    c.select()
    c.search(None, "ALL")
    c.logout()
    wait_for(lambda: count("sanger_connections", **imaps) == 0, "the connection to end")
    after = m()

    def more(name, **labels):
        key = (name, frozenset({"daemon": "imapd", **labels}.items()))
        return after[key] - before.get(key, 0)

    assert more("sanger_connections_accepted_total", listener="imaps") == 1
    assert more("sanger_tls_handshakes_total", listener="imaps", result="full") == 1
    assert more("sanger_imap_commands_total", command="SELECT", result="ok") == 1
    assert more("sanger_imap_command_seconds_count", command="SEARCH") == 1
    assert more("sanger_logins_total", mechanism="LOGIN", result="ok") \
        + more("sanger_logins_total", mechanism="PLAIN", result="ok") == 1
    assert more("sanger_login_seconds_count") == 1
    assert 0 < more("sanger_login_seconds_sum") < 60
    assert more("sanger_network_bytes_total", listener="imaps", direction="sent") > 500


def test_alert_rules_name_what_there_is(box):
    names = {name for name, _ in box.metrics()}
    rules = (TOP / "doc/prometheus-rules.yml").read_text()
    asked = set(re.findall(r"\bsanger_\w+", rules))
    assert len(asked) > 8 and asked <= names, asked - names


def test_counts_outlive_workers(box):
    key = {"daemon": "lda", "result": "delivered"}
    before = box.metric("sanger_deliveries_total", **key)
    stuck = socket.create_connection(("127.0.0.1", box.lmtp))
    lmtp = {"daemon": "lda", "listener": "lmtp"}
    wait_for(lambda: box.metric("sanger_connections", **lmtp) == 1, "a connection")
    old = box.workers("lda")
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(set(box.workers("lda")) - set(old)) >= 1
             and box.metric("sanger_connections", **lmtp) == 0, "new workers")
    stuck.close()
    box.deliver("ann@example.org")
    assert box.metric("sanger_deliveries_total", **key) == before + 1


def test_damaged_file_of_counts(box):
    path = box.dir / "run" / "managesieved.metrics"
    kept, bad = path.with_suffix(".kept"), path.with_suffix(".bad")
    os.link(path, kept)
    for what, data in (("damaged", b"sangermt\xff" + kept.read_bytes()[9:]), ("too short", b"x"),
                       ("no file of metrics", kept.read_bytes()[::-1])):
        bad.write_bytes(data)
        box.own(bad)
        os.replace(bad, path)
        assert box.metric("sanger_daemon_up", daemon="managesieved") == 0
        assert "managesieved does not run" in box.page()
        assert f'managesieved.metrics error="{what}' in box.log() or what in box.log()
    os.replace(kept, path)
    assert box.metric("sanger_daemon_up", daemon="managesieved") == 1


def test_buttons(box, relay):
    token = box.token()
    origin = f"http://127.0.0.1:{box.status}"
    for fields, headers in ((f"token={token}", {"Origin": "http://evil.example"}),
                            (f"token={token}", {"Origin": "null"}),
                            (f"token={token}", {"Sec_Fetch_Site": "cross-site"}),
                            ("token=00000000000000000000000000000000", {"Origin": origin}),
                            ("", {"Origin": origin}),
                            (f"token={token}", {"Content_Type": "text/plain"})):
        status, _, text = box.form("/queue/flush", fields, **headers)
        assert status == 403 and "load it again" in text
    ids = [m["id"] for m in box.admin_json("queue", "list")]
    assert box.form("/queue/retry", f"token={token}&id=nothing")[0] == 400
    status, headers, _ = box.form("/queue/retry", f"token={token}&id=0000000000000000")
    assert (status, headers["Location"]) == (303, "/?gone=1")
    asked = relay.asked
    status, headers, _ = box.form("/queue/retry", f"token={token}&id={ids[0]}", Origin=origin,
                                  Sec_Fetch_Site="same-origin")
    assert (status, headers["Location"]) == (303, "/?due=1")
    assert "One message is tried now." in box.ask("/?due=1")[2]
    wait_for(lambda: relay.asked > asked, "that message to be tried")
    wait_for(lambda: not any(m["claimed"] for m in box.admin_json("queue", "list")), "that try to end")
    relay.later = None
    status, headers, _ = box.form("/queue/flush", f"token={token}")
    assert status == 303 and headers["Location"].startswith("/?due=")
    wait_for(lambda: not box.admin_json("queue", "list"), "the queue to drain")
    assert "Nothing waits for a relay." in box.page()
    assert "<em>" not in box.ask("/?due=%3Cem%3E")[2]
    assert "queue-flush peer=127.0.0.1" in box.log()


@contextlib.contextmanager
def statusd_with(box, *lines):
    """Other settings of statusd for a while; the one before ends once it has answered all."""
    def reload(text):
        box.conf().write_text(text)
        done = box.log().count("statusd reload state=done")
        os.kill(box.pid("statusd"), signal.SIGHUP)
        wait_for(lambda: box.log().count("statusd reload state=done") > done, "statusd to reload")

    conf = box.conf().read_text()
    reload(conf.replace("[statusd]\n", "[statusd]\n" + "".join(f"{line}\n" for line in lines)))
    try:
        yield
    finally:
        reload(conf)


@pytest.mark.once
def test_reload(box, relay):
    relay.later = "later"
    box.submit("ann@example.org", "later@b.example")
    token = box.token()
    with statusd_with(box, "quota_percent = 100"):
        wait_for(lambda: "over@example.org" in box.page(), "the accounts to be looked at")
        assert "near@example.org" not in box.page()
        assert box.form("/queue/flush", f"token={token}")[0] == 303  # a form outlives a reload


@pytest.mark.once
def test_password(box):
    stored = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=b"tiger dance\n",
                            capture_output=True, check=True).stdout.decode().strip()
    limit = 10  # auth.fail_limit
    with statusd_with(box, f"password = {stored}", "names = status.example"):
        for path in ("/", "/metrics", "/style.css"):
            status, headers, _ = box.ask(path)
            assert status == 401 and headers["WWW-Authenticate"].startswith('Basic realm="Sanger"')
        right = basic("admin", "tiger dance")
        assert box.ask("/", **right)[0] == 200 and box.ask("/metrics", **right)[0] == 200
        assert box.ask("/healthz")[0] == 200
        for name in ("mail.example.org", "status.example:443", "[::1]:99", "localhost"):
            assert box.ask("/", Host=name, **right)[0] == 200, name
        for name in ("evil.example", "127.0.0.1.evil.example", "a@127.0.0.1", "[::1]x", "[::1"):
            assert box.ask("/healthz", Host=name)[0] in (400, 421), name
        assert box.ask("/", "POST", "x" * 70000, **right)[0] == 413
        for n in range(limit):
            assert box.ask("/", **basic("admin", f"wrong {n}"))[0] == 401
        status, headers, _ = box.ask("/", **right)
        assert status == 429 and int(headers["Retry-After"]) >= 1
        assert box.ask("/healthz")[0] == 200
        assert box.log().count("login-failed user=admin mech=BASIC peer=127.0.0.1") == limit
    with statusd_with(box, "allow = 192.0.2.0/24"):
        assert box.ask("/")[0] == 403 and box.ask("/healthz")[0] == 403


@pytest.mark.once
def test_end_waits_for_nobody_who_says_nothing(box):
    with contextlib.ExitStack() as stack:
        for said in (b"", b"GET /", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"POST /queue/flush HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\ntok"):
            s = stack.enter_context(socket.create_connection(("127.0.0.1", box.status)))
            s.sendall(said)
        status = {"daemon": "statusd", "listener": "status"}
        wait_for(lambda: box.metric("sanger_connections", **status) == 5, "the connections")
        pid = box.pid("statusd")
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not alive(pid), "statusd to end", 20)  # silence alone would take 30 s
    box.start_one("statusd")


@pytest.mark.once
def test_health(box):
    wait_for(lambda: box.ask("/healthz")[2] == "ok\n", "all to be well")
    stopped = [box.pid("managesieved"), *box.workers("managesieved")]
    box.kill("lda")
    with statusd_with(box):  # who has not looked yet
        try:
            for pid in stopped:  # it is there, and takes nothing
                os.kill(pid, signal.SIGSTOP)
            status, _, text = box.ask("/healthz")
            assert status == 503 and "lda does not run" in text, text
            assert f"managesieved does not answer at *:{box.sieve}" in text, text
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        box.start_one("lda")
        wait_for(lambda: box.ask("/healthz")[0] == 200, "all to be well again")
