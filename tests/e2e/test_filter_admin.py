"""mailadmin filter and list: what an administrator does with users' filters.  No daemon runs."""

import contextlib
import json
import os
import re
import shutil
import sqlite3

import pytest

from sanger import BIN, Instance, make_message, run, temp_dir

pytestmark = pytest.mark.once

ANN = "ann@example.org"
SIEVE = 'require ["fileinto", "imap4flags"];\n' \
        'if header :contains "subject" "list" { fileinto :flags "\\\\Seen" "Lists"; }\n'
EXIM = '# Exim filter\nif $h_subject: contains "list" then save .Lists/ endif\n'
MESSAGE = b"From: Bob <bob@example.net>\nTo: ann@example.org\nSubject: a list\n\nHello.\n"


@pytest.fixture(scope="module")
def box():
    with Instance(start=False) as i:
        yield i


@pytest.fixture
def ann(box, request):
    """An account of the test's own."""
    return box.add_account(f"u{abs(hash(request.node.name)) % 10**9}@example.org")


@pytest.fixture
def files(box, tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)
    return write


def refused(instance, *args, status=1, **kwargs):
    done = instance.admin(*args, check=False, **kwargs)
    assert done.returncode == status, (args, done)
    return done.stderr.decode()


def dry(instance, *args, status=0, **kwargs):
    """The JSON of a dry run."""
    done = instance.admin("filter", "test", *args, "--json", check=False, **kwargs)
    assert done.returncode == status, (args, done)
    result = json.loads(done.stdout)
    assert {"language", "actions", "seen", "headers", "error"} <= set(result)
    return result


def alone(*args, status=0, **kwargs):
    """The same in empty surroundings, without any configuration."""
    done = run(BIN / "mailadmin", "filter", "test", *args, "--json", check=False, **kwargs)
    assert done.returncode == status, (args, done)
    return json.loads(done.stdout)


# --- set, show, clear, history


def test_set_show_clear(box, ann, files):
    assert "the default" in box.admin("filter", "show", ann)
    box.admin("filter", "set", ann, files("a.sieve", SIEVE))
    assert box.admin("filter", "show", ann, "--text") == SIEVE
    shown = box.admin("filter", "show", ann)
    assert SIEVE in shown and "main" in shown and "by mailadmin" in shown
    with sqlite3.connect(box.dir / "user.db") as db:  # what relays and lda read
        assert db.execute("SELECT filter FROM account WHERE localpart = ?",
                          [ann.split("@")[0]]).fetchone() == (SIEVE.encode(),)
    box.admin("filter", "set", ann, "-", input=b"keep;\n")
    assert box.admin("filter", "show", ann, "--text") == "keep;\n"
    facts = box.admin_json("filter", "show", ann)
    assert (facts["name"], facts["language"], facts["problem"]) == ("main", "sieve", None)
    box.admin("filter", "clear", ann)
    assert box.admin_json("filter", "show", ann)["default"] is True
    assert [s["name"] for s in box.admin_json("filter", "list", ann)] == ["main"]


def test_what_does_not_compile_changes_nothing(box, ann, files):
    box.admin("filter", "set", ann, files("a.sieve", SIEVE))
    bad = files("bad.sieve", "keep;\nnonsense;\n")
    said = refused(box, "filter", "set", ann, bad)
    assert f"{bad}:2: " in said and "not changed" in said
    assert box.admin("filter", "show", ann, "--text") == SIEVE
    assert ":1: " in refused(box, "filter", "put", ann, "new", files("bad2.sieve", "nonsense;"))
    assert [s["name"] for s in box.admin_json("filter", "list", ann)] == ["main"]


def test_unreadable_and_missing(box, ann):
    assert "No such file" in refused(box, "filter", "set", ann, "/nowhere/x.sieve")
    assert "no account" in refused(box, "filter", "show", "nobody@example.org")
    assert "no script" in refused(box, "filter", "get", ann, "x")
    assert "no script" in refused(box, "filter", "activate", ann, "x")
    assert "no script" in refused(box, "filter", "delete", ann, "x")
    assert "no version" in refused(box, "filter", "history", ann, "12345")
    refused(box, "filter", "history", ann, "x", status=64)
    refused(box, "filter", "test", "message", status=64)


def test_history(box, ann, files):
    for i in range(3):
        box.admin("filter", "set", ann, files("a.sieve", f"# {i}\nkeep;\n"))
    box.admin("filter", "clear", ann)
    with sqlite3.connect(box.dir / "user.db") as db:  # another program
        db.execute("UPDATE account SET filter = '# theirs' WHERE localpart = ?",
                   [ann.split("@")[0]])
    box.admin("filter", "set", ann, files("a.sieve", "# 3\nkeep;\n"))
    versions = box.admin_json("filter", "history", ann)
    assert [v["who"] for v in versions] == ["mailadmin", "another program"] + ["mailadmin"] * 4
    assert [v["bytes"] for v in versions] == [10, 8, None, 10, 10, 10]
    second = str(versions[4]["version"])
    other = box.add_account("other-history@example.org")
    assert box.admin("filter", "history", ann, second) == "# 1\nkeep;\n"
    assert "no version" in refused(box, "filter", "history", other, second)


def test_a_filter_set_by_others_may_not_compile(box, ann):
    with sqlite3.connect(box.dir / "user.db") as db:
        db.execute("UPDATE account SET filter = 'keep;\nnonsense;' WHERE localpart = ?",
                   [ann.split("@")[0]])
    facts = box.admin_json("filter", "show", ann)
    assert facts["problem"]["line"] == 2 and facts["name"] is None
    assert "problem:" in box.admin("filter", "show", ann)


def test_errors_of_deliveries_are_shown_until_a_new_filter_is_set(box, ann, files):
    box.admin("filter", "set", ann, files("a.sieve", SIEVE))
    box.admin("mailbox", "list", ann)  # makes the tree
    path = box.maildir(ann) / "state.db"
    assert box.admin_json("filter", "show", ann)["errors"] == []
    assert not path.exists()  # showing makes nothing
    (box.maildir(ann) / "tmp").mkdir(exist_ok=True)
    with sqlite3.connect(path) as db:
        db.executescript("""
            CREATE TABLE once (key BLOB NOT NULL, recipient TEXT NOT NULL COLLATE NOCASE,
              claimed INTEGER NOT NULL, expires INTEGER NOT NULL,
              PRIMARY KEY (key, recipient)) WITHOUT ROWID;
            CREATE TABLE memory (key BLOB PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE filter_error (kind TEXT NOT NULL, line INTEGER NOT NULL,
              text TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
              count INTEGER NOT NULL, reported INTEGER NOT NULL DEFAULT 0,
              PRIMARY KEY (kind, line, text)) WITHOUT ROWID;
            CREATE TABLE metadata (mailbox TEXT NOT NULL, entry TEXT NOT NULL,
              value BLOB NOT NULL, PRIMARY KEY (mailbox, entry)) WITHOUT ROWID;
            PRAGMA user_version = 1;
            INSERT INTO filter_error VALUES ('runtime', 2, 'too many', 1000, 2000, 3, 1000);""")
    box.own(path)
    error, = box.admin_json("filter", "show", ann)["errors"]
    assert error == {"kind": "runtime", "line": 2, "message": "too many", "count": 3,
                     "first": 1000, "last": 2000, "reported": 1000}
    assert "line 2: too many (runtime), 3 times" in box.admin("filter", "show", ann)
    box.admin("filter", "set", ann, files("b.sieve", "keep;"))
    assert box.admin_json("filter", "show", ann)["errors"] == []


# --- named scripts


def test_named_scripts(box, ann, files, tmp_path):
    box.admin("filter", "put", ann, "über", files("a.sieve", SIEVE))
    box.admin("filter", "put", ann, "two", input=b"keep;\n")
    rows = box.admin_json("filter", "list", ann)
    assert [(r["name"], r["active"], r["bytes"]) for r in rows] == [
        ("two", False, 6), ("über", False, len(SIEVE))]
    assert box.admin_json("filter", "show", ann)["default"] is True
    box.admin("filter", "activate", ann, "über")
    assert box.admin("filter", "show", ann, "--text") == SIEVE
    assert "active" in refused(box, "filter", "delete", ann, "über")
    box.admin("filter", "put", ann, "über", "-", input=b"stop;\n")  # counts at once
    assert box.admin("filter", "show", ann, "--text") == "stop;\n"
    box.admin("filter", "set", ann, files("b.sieve", "keep;"))  # the active script's new text
    assert box.admin("filter", "get", ann, "über") == "keep;"
    out = tmp_path / "out.sieve"
    out.write_text("something longer was here\n")
    box.admin("filter", "get", ann, "über", out)
    assert out.read_text() == "keep;"
    box.admin("filter", "delete", ann, "two")
    assert len(box.admin_json("filter", "list", ann)) == 1
    assert "control characters" in refused(box, "filter", "put", ann, "a\nb", input=b"keep;")
    assert "Exim" in refused(box, "filter", "put", ann, "x", input=EXIM.encode())


def test_script_quota(files):
    with Instance(start=False, settings={"filter.scripts_max": 2,
                                         "filter.script_bytes_max": "64K"}) as i:
        i.add_account(ANN)
        big = files("big.sieve", "#" * 40000 + "\nkeep;\n")
        i.admin("filter", "put", ANN, "a", big)
        assert "too large" in refused(i, "filter", "put", ANN, "b", big)
        i.admin("filter", "put", ANN, "b", input=b"keep;")
        assert "too many" in refused(i, "filter", "put", ANN, "c", input=b"keep;")
        assert "too many" in refused(i, "filter", "set", ANN, "-", input=b"keep; stop;")
        i.admin("filter", "activate", ANN, "b")
        i.admin("filter", "set", ANN, "-", input=b"keep; stop;")


def test_all_goes_with_the_account(box, files):
    gone = box.add_account("gone@example.org")
    box.admin("filter", "set", gone, files("a.sieve", SIEVE))
    box.admin("list", "add", gone, "friends", "bob@example.net")
    with sqlite3.connect(box.dir / "user.db") as db:
        account, = db.execute("SELECT id FROM account WHERE localpart = 'gone'").fetchone()
    box.admin("account", "delete", gone)
    with sqlite3.connect(box.dir / "user.db") as db:
        for table in ("script", "filter_history", "list"):
            assert db.execute(f"SELECT count(*) FROM {table} WHERE account = ?",
                              [account]).fetchone() == (0,)


# --- check, test


def test_check(box, ann, files):
    good = files("good.sieve", SIEVE)
    assert "no errors (sieve)" in run(BIN / "mailadmin", "filter", "check", good).stdout.decode()
    bad = files("bad.sieve", 'keep;\nfileinto "x";\n')
    done = run(BIN / "mailadmin", "filter", "check", bad, check=False)
    assert done.returncode == 1 and f"{bad}:2: ".encode() in done.stderr
    box.admin("filter", "set", ann, good)
    assert "no errors" in box.admin("filter", "check", ann)


@pytest.mark.parametrize("script,taken", [
    ('require "fileinto";\nfileinto "a";\n', True),
    ('if header :is "subject" "x" { discard; } else { keep; }\n', True),
    ('require "variables";\nset "a" "b";\n', False),  # never heard of
    ('require ["fileinto", "copy"];\nfileinto :copy "a";\n', False),
    ('fileinto "a";\n', False),
    ("keep", False),
])
def test_portable(files, script, taken):
    done = run(BIN / "mailadmin", "filter", "check", "--portable", files("p.sieve", script),
               check=False)
    assert done.returncode == (0 if taken else 1), done
    assert (b"would take it" in done.stdout) == taken
    assert (b"would not take it" in done.stdout) == (not taken)


def test_portable_outlives_what_libsieve_does(files):
    """Whatever the library does with a script, it does it in a child."""
    scripts = ["", "\0", "keep;\0", "if " * 5000, "(" * 100000, '"' + "x" * 500000,
               "require [" + ",".join(['"a"'] * 5000) + "];", "text:\n.." * 1000,
               "if size :over 99999999999999999999K { keep; }", "/*" * 10000]
    for script in scripts:
        done = run(BIN / "mailadmin", "filter", "check", "--portable",
                   files("p.sieve", script), check=False, timeout=60)
        assert done.returncode in (0, 1), (script[:20], done)
        assert done.stdout or done.stderr


def test_libsieve_is_in_no_daemon():
    for daemon in ("imapd", "submitd", "lda", "managesieved"):
        if (BIN / daemon).exists():
            assert b"libsieve" not in run("ldd", BIN / daemon).stdout
    assert b"libsieve" in run("ldd", BIN / "mailadmin").stdout


def test_json_without_an_account(files):
    got = alone("--file", files("a.sieve", SIEVE), files("m", MESSAGE))
    assert got == {"language": "sieve", "seen": True, "headers": None, "error": None, "actions": [
        {"action": "fileinto", "mailbox": "Lists", "flags": ["\\Seen"], "create": False}]}
    got = alone("--file", files("b.sieve", "# nothing\n"), "-", input=MESSAGE)
    assert got["actions"] == [{"action": "keep", "flags": []}] and got["seen"] is False
    got = alone("--file", files("c.sieve", "discard;"), files("m", MESSAGE))
    assert got["actions"] == [{"action": "discard"}]
    got = alone("--file", files("d.sieve", "nonsense;"), files("m", MESSAGE), status=1)
    assert got["error"]["kind"] == "compile" and got["error"]["line"] == 1
    assert got["actions"] == [] and got["error"]["message"]


def test_json_of_every_sieve_action(files):
    def one(text):
        return alone("--file", files("x.sieve", text), files("m", MESSAGE))["actions"][0]

    assert one('redirect "x@example.net";') == {"action": "redirect", "to": "x@example.net"}
    assert one('require "reject"; reject "no\nmore";') == {
        "action": "reject", "reason": "no\nmore"}
    assert one('require "ereject"; ereject "no";')["ereject"] is True
    got = one('require "vacation"; vacation :days 2 :subject "s" :from "ann@example.org" "b";')
    assert (got["action"], got["seconds"], got["subject"], got["from"], got["body"]) == (
        "vacation", 172800, "s", "ann@example.org", "b")
    got = one('require "enotify"; notify :importance "1" :message "m" "mailto:a@example.net";')
    assert (got["action"], got["method"], got["to"], got["importance"], got["message"]) == (
        "notify", "mailto", ["a@example.net"], 1, "m")
    got = one('require ["fileinto", "mailbox"]; fileinto :create "A/B";')
    assert got == {"action": "fileinto", "mailbox": "A/B", "flags": [], "create": True}
    got = one('require "imap4flags"; keep :flags ["\\\\Flagged", "red"];')
    assert got == {"action": "keep", "flags": ["\\Flagged", "red"]}


def test_json_of_exim_filters(files):
    def one(text):
        return alone("--file", files("x.filter", "# Exim filter\n" + text), files("m", MESSAGE))

    got = one('if $h_subject: contains "list" then save .Lists/ endif')
    assert got == {"language": "exim", "seen": True, "headers": None, "error": None, "actions": [
        {"action": "save", "path": ".Lists/", "unseen": False}]}
    got = one("unseen deliver x@example.net")
    assert got["actions"] == [{"action": "deliver", "to": "x@example.net", "unseen": True}]
    assert got["seen"] is False
    got = one('mail to a@example.net subject "s" text "t"')["actions"][0]
    assert (got["action"], got["to"], got["subject"], got["text"]) == (
        "mail", ["a@example.net"], "s", "t")
    for text, kind in (("if", "syntax"), ("pipe /bin/true", "forbidden"),
                       ("save ${bad}", "expand")):
        got = alone("--file", files("x.filter", "# Exim filter\n" + text), files("m", MESSAGE),
                    status=1)
        assert (got["error"]["kind"], got["error"]["line"], got["actions"]) == (kind, 2, [])


def test_convert(files):
    done = run(BIN / "mailadmin", "filter", "convert", files("a.filter", EXIM))
    assert b"fileinto" in done.stdout and not done.stderr
    again = files("a.sieve", done.stdout)
    assert alone("--file", again, files("m", MESSAGE))["actions"][0]["mailbox"] == "Lists"
    done = run(BIN / "mailadmin", "filter", "convert",
               files("b.filter", "# Exim filter\nlogfile x\n"
                     "mail to a@example.net subject s log .x\nsave .Junk/\n"), check=False)
    assert done.returncode == 1 and b"line " in done.stderr and b"Junk" in done.stdout
    done = run(BIN / "mailadmin", "filter", "convert", files("c.sieve", "keep;"), check=False)
    assert done.returncode == 1 and not done.stdout


def test_edited_headers(files):
    got = alone("--file", files("x.sieve", 'require "editheader"; addheader "X-A" "1";'),
                files("m", MESSAGE))
    assert got["headers"].startswith("X-A: 1\n") and "Subject: a list\n" in got["headers"]


def test_in_the_accounts_surroundings(box, ann, files):
    message = files("m", MESSAGE)
    assert dry(box, ann, message) == {  # the built-in filter
        "language": "exim", "actions": [], "seen": False, "headers": None, "error": None}
    box.admin("filter", "set", ann, files("a.sieve", SIEVE))
    assert dry(box, ann, message)["actions"][0]["mailbox"] == "Lists"
    exists = files("e.sieve", 'require ["mailbox", "fileinto"];'
                   'if mailboxexists "Lists" { fileinto "Lists"; } else { discard; }')
    assert dry(box, ann, "--file", exists, message)["actions"] == [{"action": "discard"}]
    box.admin("mailbox", "create", ann, "Lists")
    assert dry(box, ann, "--file", exists, message)["actions"][0]["action"] == "fileinto"
    assert alone("--file", exists, message)["actions"] == [{"action": "discard"}]


def test_included_scripts(box, ann, files):
    message = files("m", MESSAGE)
    outer = files("o.sieve", 'require "include"; include :personal "inner";')
    dry(box, ann, "--file", outer, message, status=1)
    box.admin("filter", "put", ann, "inner", input=b"discard;")
    assert dry(box, ann, "--file", outer, message)["actions"] == [{"action": "discard"}]


def test_lists(box, ann, files):
    message = files("m", MESSAGE)
    script = files("l.sieve", 'require "extlists";'
                   'if address :list "from" "friends" { discard; }')
    box.admin("list", "add", ann, "friends", "Bob@example.net", "carl@example.net")
    assert dry(box, ann, "--file", script, message)["actions"] == [{"action": "discard"}]
    assert [r["address"] for r in box.admin_json("list", "show", ann, "friends")] == [
        "Bob@example.net", "carl@example.net"]
    assert box.admin_json("list", "show", ann) == [{"name": "friends", "members": 2}]
    box.admin("list", "remove", ann, "friends", "bob@example.net")
    assert dry(box, ann, "--file", script, message)["actions"][0]["action"] == "keep"
    assert "does not have" in refused(box, "list", "remove", ann, "friends", "eve@example.net")
    box.admin("list", "remove", ann, "friends")
    assert "no list" in refused(box, "list", "show", ann, "friends")
    assert "no list" in refused(box, "list", "remove", ann, "friends")


def test_envelope(box, ann, files):
    message = files("m", b"Return-path: <real@example.net>\n" + MESSAGE)
    script = files("v.sieve", 'require ["envelope", "variables", "fileinto", "subaddress"];'
                   'if envelope :matches "from" "*" { set "f" "${1}"; }'
                   'if envelope :matches "to" "*" { set "t" "${1}"; }'
                   'if envelope :detail :matches "to" "*" { set "d" "${1}"; }'
                   'fileinto "${f}|${t}|${d}";')

    def mailbox(*args):
        return dry(box, *args, "--file", script, message)["actions"][0]["mailbox"]

    assert mailbox(ann) == f"real@example.net|{ann}|"
    plus = ann.replace("@", "+x@")
    assert mailbox(ann, "--sender", "s@example.net", "--recipient", plus) == (
        f"s@example.net|{plus}|x")
    assert mailbox(ann, "--sender", "<>").startswith("|")
    assert mailbox() == "real@example.net|ann@example.org|"


def test_a_stored_message(box, ann, files):
    box.admin("mailbox", "list", ann)
    path = box.maildir(ann) / "new" / "1700000000.M1P1.host"
    path.write_bytes(MESSAGE)
    box.own(path)
    box.admin("filter", "set", ann, files("a.sieve", SIEVE))
    assert dry(box, ann, "INBOX/1")["actions"][0]["mailbox"] == "Lists"
    assert path.parent.exists()  # only read
    assert "no message 2" in refused(box, "filter", "test", ann, "INBOX/2")
    assert "no mailbox Nowhere" in refused(box, "filter", "test", ann, "Nowhere/1")
    assert "no file" in refused(box, "filter", "test", ann, "nothing")


def test_trace(box, ann, files):
    script = files("a.sieve", SIEVE)
    said = run(BIN / "mailadmin", "filter", "test", "--file", script, "--trace",
               files("m", MESSAGE)).stdout.decode()
    assert re.search(r"^ *2: .*a list", said, re.M), said
    assert said.rstrip().endswith('fileinto "Lists" \\Seen')
    assert any(step["line"] == 2 for step in
               alone("--file", script, "--trace", files("m", MESSAGE))["trace"])


# --- run


def store(box, address, *messages, mailbox="INBOX"):
    box.admin("mailbox", "list", address)
    folder = box.maildir(address, mailbox)
    for i, message in enumerate(messages):
        path = folder / "new" / f"170000000{i}.M1P1.host"
        path.write_bytes(message if isinstance(message, bytes)
                         else bytes(make_message(address, subject=message)).replace(b"\r", b""))
        box.own(path)


def subjects(box, address, mailbox="INBOX"):
    found = [re.search(rb"^Subject: (.*)$", p.read_bytes(), re.M).group(1).decode()
             for p in box.files(address, mailbox)]
    return sorted(found)


RUN = r"""require ["fileinto", "mailbox", "imap4flags", "copy", "vacation", "reject", "editheader"];
if header "subject" "move" { fileinto :create :flags "\\Seen" "Lists/New"; }
elsif header "subject" "copy" { fileinto :create :copy "Copies"; }
elsif header "subject" "flag" { keep :flags ["\\Flagged", "red"]; }
elsif header "subject" "delete" { discard; }
elsif header "subject" "redirect" { redirect "x@example.net"; }
elsif header "subject" "reject" { reject "no"; }
elsif header "subject" "away" { vacation "away"; }
elsif header "subject" "here" { fileinto "INBOX"; }
elsif header "subject" "nowhere" { fileinto "Nowhere"; }
elsif header "subject" "edit" { addheader "X-A" "1"; }
"""
ALL = ["away", "copy", "delete", "edit", "flag", "here", "move", "nowhere", "redirect", "reject"]


def test_run_over_stored_mail(box, ann, files):
    store(box, ann, *ALL)
    box.admin("filter", "set", ann, files("run.sieve", RUN))
    dry = box.admin("filter", "run", ann, "INBOX", "--dry-run", "--json", check=False)
    assert subjects(box, ann) == ALL and not box.maildir(ann, "Copies").exists()
    planned = {r["uid"]: r["done"] for r in json.loads(dry.stdout)}
    done = box.admin("filter", "run", ann, "INBOX", "--json", check=False)
    assert done.returncode == 1  # "nowhere" is not there
    rows = {r["uid"]: r for r in json.loads(done.stdout)}
    assert [rows[i + 1]["done"] for i in range(len(ALL))] == [
        "kept", "copied", "deleted", "kept", "kept", "kept", "moved", "nothing", "kept", "kept"]
    assert planned[8] == "moved"  # a dry run makes no mailbox and asks for none
    assert all(planned[u] == rows[u]["done"] for u in rows if u != 8)
    assert rows[1]["skipped"] == ["not sent"] and rows[4]["skipped"] == ["not edited"]
    assert rows[9]["skipped"] == ["not sent"] and rows[10]["skipped"] == ["not sent"]
    assert "not there" in rows[8]["error"]
    assert subjects(box, ann) == [s for s in ALL if s not in ("delete", "move")]
    assert subjects(box, ann, "Copies") == ["copy"]
    assert subjects(box, ann, "Lists/New") == ["move"]
    moved, = box.files(ann, "Lists/New")
    assert "S" in moved.name.rsplit(":2,", 1)[1]
    flagged, = [p for p in box.files(ann) if b"Subject: flag" in p.read_bytes()]
    assert "F" in flagged.name.rsplit(":2,", 1)[1]
    text = box.admin("filter", "run", ann, "INBOX", "--dry-run", check=False).stdout.decode()
    assert "redirect to x@example.net" in text and "skipped: not sent" in text


def test_run_refuses_and_fails(box, ann, files):
    store(box, ann, "one")
    assert "no mailbox" in refused(box, "filter", "run", ann, "Nowhere")
    assert box.admin_json("filter", "run", ann, "INBOX")[0]["done"] == "kept"  # the default
    with sqlite3.connect(box.dir / "user.db") as db:
        db.execute("UPDATE account SET filter = 'nonsense;' WHERE localpart = ?",
                   [ann.split("@")[0]])
    assert "line 1" in refused(box, "filter", "run", ann, "INBOX")
    box.admin("filter", "set", ann, files("f.sieve", 'require "include"; include "none";'))
    done = box.admin("filter", "run", ann, "INBOX", "--json", check=False)
    row, = json.loads(done.stdout)
    assert done.returncode == 1 and row["done"] == "nothing" and "line 1" in row["error"]
    assert subjects(box, ann) == ["one"]


def test_doctor_finds_broken_filters():
    with contextlib.ExitStack() as stack:
        place = temp_dir()
        stack.callback(shutil.rmtree, place)
        (place / "default.sieve").write_text("nonsense;")
        i = stack.enter_context(Instance(
            start=False, settings={"filter.default": place / "default.sieve",
                                   "filter.before": place / "none.sieve"}))
        i.add_account(ANN)
        with sqlite3.connect(i.dir / "user.db") as db:
            db.execute("UPDATE account SET filter = 'nonsense;'")
        found = [f for f in json.loads(i.admin("doctor", "--json", check=False).stdout)
                 if f["check"] == "filters"]
        assert [f["status"] for f in found] == ["fail", "fail", "warn"]
        assert "line 1" in found[0]["text"] and "none.sieve" in found[1]["text"]
        assert ANN in found[2]["text"]


def test_root_reads_files_that_the_servers_user_may_not(box, ann, files, tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root becomes another user")
    path = files("secret.sieve", "keep;")
    tmp_path.chmod(0o700)
    box.admin("filter", "set", ann, path)
    assert dry(box, ann, "--file", path, files("m", MESSAGE))["error"] is None


# --- what people see


def test_errors_quote_the_line(box, ann, files):
    bad = files("bad.sieve", 'keep;\n\tno such thing;\n')
    for args in (("filter", "check", bad), ("filter", "set", ann, bad),
                 ("filter", "put", ann, "x", bad)):
        assert f"{bad}:2: " in refused(box, *args) and "\n    no such thing;\n" in refused(box, *args)


def test_trace_shows_the_script_up_to_an_include(box, ann, files):
    box.admin("filter", "put", ann, "inc", files("inc.sieve", "# one\nkeep;\n"))
    box.admin("filter", "set", ann, files("a.sieve", 'require "include";\nif true {\n'
                                          '  include :personal "inc";\n}\nkeep;\n'))
    traced = box.admin("filter", "test", ann, files("m", MESSAGE), "--trace")
    assert '   3| include :personal "inc";\n   3:   include inc\n   2:   keep\n' in traced, traced


def test_an_empty_text_is_a_slip(box, ann, files):
    box.admin("filter", "set", ann, files("a.sieve", SIEVE))
    said = refused(box, "filter", "set", ann, files("empty", ""))
    assert "is empty" in said and "filter clear" in said
    assert box.admin("filter", "show", ann, "--text") == SIEVE
    box.admin("filter", "clear", ann)
    version = box.admin_json("filter", "history", ann)[0]["version"]
    assert "was the default filter" in refused(box, "filter", "history", ann, str(version))


def test_saved_paths_are_said_as_mailboxes(box, ann, files):
    f = files("f", "# Exim filter\nsave .Lists.dev/\nsave $home/.X/\nsave /var/mail/x\n")
    done = run(BIN / "mailadmin", "filter", "test", "--file", f, files("m", MESSAGE))
    assert b'(mailbox "Lists/dev")' in done.stdout, done
    assert b"save /var/mail/x (no folder of the account: INBOX)" in done.stdout
    assert b"without an account $home is empty" in done.stderr
    assert '/.X/ (mailbox "X")\n' in box.admin("filter", "test", ann, "--file", f,
                                               files("m", MESSAGE))


def test_what_is_not_converted_is_named_with_the_file(files):
    f = files("f", '# Exim filter\npipe "/bin/cat"\n')
    done = run(BIN / "mailadmin", "filter", "convert", f, check=False)
    assert done.returncode == 1 and f"{f}: line 2: pipe".encode() in done.stderr


def test_get_of_no_script_leaves_no_file(box, ann, tmp_path):
    tmp_path.chmod(0o777)
    refused(box, "filter", "get", ann, "nope", str(tmp_path / "out"))
    if os.geteuid() != 0:  # who gives up root may not remove it
        assert not (tmp_path / "out").exists()


def test_doctor_compiles_the_global_scripts():
    with Instance(start=False) as i:
        folder = i.dir / "global"
        folder.mkdir(mode=0o755)
        for name, text in (("good.sieve", "keep;\n"), ("bad.sieve", "no such;\n"), ("x.txt", "")):
            (folder / name).write_text(text)
            (folder / name).chmod(0o644)
        i.conf().write_text(i.conf().read_text() + f"\n[filter]\nglobal_dir = {folder}\n")
        done = i.admin("doctor", "--json", check=False)
        said = [c for c in json.loads(done.stdout) if c["check"] == "filters"]
        assert [c["status"] for c in said if "bad.sieve: line 1" in c["text"]] == ["fail"], said
        assert not [c for c in said if "good.sieve" in c["text"] or "x.txt" in c["text"]]
