"""Many accounts at once: CSV in and out, a Dovecot passwd-file, an SQL dump."""

import csv
import imaplib
import io
import os
import subprocess

import pytest

from sanger import run

pytestmark = pytest.mark.once

PLAIN = "Sätt-på 1"  # what people choose


def load(box, command, text, *options, check=True):
    return box.admin("account", command, "-", *options, input=text.encode(), check=check)


def refused(box, command, text, *options):
    """What is said of a file with mistakes; nothing is changed by it."""
    before = box.admin("account", "list", "--csv")
    done = load(box, command, text, *options, check=False)
    assert done.returncode == 1, done
    assert box.admin("account", "list", "--csv") == before
    return done.stderr.decode()


def logs_in(box, address, password):
    with box.connect_imap() as c:
        try:
            c.authenticate("PLAIN", lambda _: b"\0" + address.encode() + b"\0" + password.encode())
        except imaplib.IMAP4.error:
            return False
        c.logout()
    return True


def crypt(password):
    done = run("openssl", "passwd", "-6", "-stdin", input=password.encode() + b"\n")
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def box(shared_instance):
    return shared_instance


def test_csv(box):
    people = ("address,realname,password,quota,active,aliases,app_only,messages_max\r\n"
              f'carl@many.example,"Carl ""C"" Meyer, Dr.",{PLAIN},1.5G,,info@many.example *@many.example,,\r\n'
              "Dora@many.example,Dora,{PLAIN}dora-Pw1,none,no,,yes,500\r\n"
              f"emil@many.example,,{crypt('emil-Pw1')},,yes,,,\r\n")
    dry = load(box, "import-csv", people, "--dry-run", check=False)
    assert dry.returncode == 0 and "3 would be added" in dry.stderr.decode()
    assert box.admin("account", "show", "carl@many.example", check=False).returncode == 1
    load(box, "import-csv", people)
    carl = box.admin_json("account", "show", "carl@many.example")
    assert carl["realname"] == 'Carl "C" Meyer, Dr.' and carl["quota_kb"] == 1536 * 1024
    assert set(carl["aliases"]) == {"info@many.example", "*@many.example"}
    assert carl["scram"] is True and carl["path"] is not None
    dora = box.admin_json("account", "show", "dora@many.example")
    assert (dora["active"], dora["app_only"], dora["messages_max"]) == (False, True, 500)
    assert logs_in(box, "carl@many.example", PLAIN)
    assert logs_in(box, "emil@many.example", "emil-Pw1")
    assert not logs_in(box, "dora@many.example", "dora-Pw1")

    # What comes out goes in again and changes nothing; then a change by it.
    out = box.admin("account", "list", "--domain", "many.example", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [r["address"] for r in rows] == [f"{n}@many.example" for n in ("carl", "Dora", "emil")] \
        and "password" not in rows[0]
    done = load(box, "import-csv", out, "--only", "change", check=False)
    assert done.returncode == 0 and "0 added, 3 changed" in done.stderr.decode()
    assert box.admin("account", "list", "--domain", "many.example", "--csv") == out
    load(box, "import-csv", "address;active;app_only\nDORA@many.example;yes;no\n")
    assert logs_in(box, "dora@many.example", "dora-Pw1")
    assert box.admin_json("account", "show", "dora@many.example")["messages_max"] == 500


def test_mistakes(box):
    """Each is named with its line, and nothing is done."""
    box.add_account("ann@wrong.example")
    box.admin("alias", "add", "ann@wrong.example", "info@wrong.example")
    said = refused(box, "import-csv",
                   "address,password,quota,active,aliases\n"
                   "good@wrong.example,x,,,\n"
                   "no address,x,,,\n"
                   "b@wrong.example,x,2 giga,,\n"
                   "c@wrong.example,{NTLM}junk,,,\n"
                   "d@wrong.example,x,,maybe,\n"
                   "e@wrong.example,,,,\n"
                   "GOOD@wrong.example,y,,,\n"
                   "info@wrong.example,x,,,\n"
                   "f@wrong.example,x,,,info@wrong.example\n"
                   "ann@wrong.example,x\n")
    lines = [int(line.split(":")[1]) for line in said.splitlines() if line[:14] == "standard input"]
    assert sorted(lines) == [3, 4, 5, 6, 7, 8, 9, 10, 11], said
    assert "9 mistakes" in said
    assert "line 1" not in refused(box, "import-csv", "address,shoe\na@wrong.example,43\n")
    assert "--skip shoe" in refused(box, "import-csv", "address,shoe\na@wrong.example,43\n")
    assert "exists" in refused(box, "import-csv", "address,password\nann@wrong.example,x\n",
                               "--only", "add")
    assert "not UTF-8" in box.admin("account", "import-csv", "-", check=False,
                                    input=b"address\na\xff@x.example\n").stderr.decode()


def test_generated(box):
    done = load(box, "import-csv", "address,realname\nx1@gen.example,A\nx2@gen.example,B\n",
                "--generate")
    made = dict(list(csv.reader(io.StringIO(done)))[1:])
    assert set(made) == {"x1@gen.example", "x2@gen.example"}
    assert all(logs_in(box, a, p) for a, p in made.items())
    again = load(box, "import-csv", "address,realname\nx1@gen.example,C\n", "--generate")
    assert again == "" and logs_in(box, "x1@gen.example", made["x1@gen.example"])
    rows = load(box, "import-csv", "address\nx3@gen.example\n", "--generate", "--json")
    assert '"added"' in rows and '"password"' in rows


def dovecot_hash(scheme, password):
    done = subprocess.run(["doveadm", "-c", "/dev/null", "pw", "-s", scheme, "-p", password],
                          capture_output=True, timeout=60)
    return done.stdout.decode().strip() if done.returncode == 0 else None


@pytest.mark.once
def test_dovecot_passwords(box, tmp_path):
    """As Dovecot's own tool writes them."""
    schemes = ["PLAIN", "SHA512-CRYPT", "SSHA256", "SSHA512", "SSHA", "SMD5", "BLF-CRYPT", "MD5-CRYPT",
               "PBKDF2", "ARGON2ID", "SHA256.hex", "SCRAM-SHA-256", "LDAP-MD5"]
    hashes = {s: h for s in schemes if (h := dovecot_hash(s, f"pw-{s}"))}
    assert len(hashes) >= 8, hashes
    users = tmp_path / "users"
    users.write_text("# made by hand\n\n" + "".join(
        f"{s.lower()}:{h}:1000:1000:Name {s},,:/home/{s}::userdb_quota_rule=*:storage=2G userdb_mail=x\n"
        for s, h in hashes.items()))
    os.chmod(users, 0o600)
    box.admin("account", "import-passwd", str(users), "--domain", "dove.example")
    for s in hashes:
        assert logs_in(box, f"{s.lower()}@dove.example", f"pw-{s}"), s
    shown = box.admin_json("account", "show", "plain@dove.example")
    assert shown["realname"] == "Name PLAIN" and shown["quota_kb"] == 2 * 1024 * 1024


def test_passwd_mistakes(box):
    said = refused(box, "import-passwd",
                   "a@pw.example:{SHA512-CRYPT}$6$x\n"
                   "b@pw.example:{FANCY}abc\n"
                   "# nothing\n"
                   "c@pw.example:x\n"
                   "d@pw.example:{PLAIN}x::::::nologin\n"
                   "e:{PLAIN}x\n"
                   "f@pw.example:{PLAIN}x::::::userdb_quota_rule=*:storage=lots\n")
    lines = [int(line.split(":")[1]) for line in said.splitlines() if line[:14] == "standard input"]
    assert lines == [1, 2, 4, 5, 6, 7], said
    load(box, "import-passwd", "d@pw.example:{PLAIN}x::::::nologin\n", "--ignore-fields")
    assert logs_in(box, "d@pw.example", "x")


def test_sql_dump(box):
    """(user, domain, password), the hash without its scheme; columns that mean nothing are passed over."""
    dump = ("user\tdomain\tpassword\tuid\n"
            f"gus\tdump.example\t{crypt('gus-Pw1')[len('$6$'):]}\t1000\n")
    said = refused(box, "import-csv", dump, "--scheme", "SHA512-CRYPT", "--skip", "uid")
    assert ":2:" in said  # that was cut
    load(box, "import-csv", "user,domain,password,uid\n"
         "gus,dump.example,5ebe2294ecd0e0f08eab7690d2a6ee69,1000\n",
         "--scheme", "PLAIN-MD5", "--skip", "uid")
    assert logs_in(box, "gus@dump.example", "secret")
