"""mailadmin bayes: training folders into an archive, safe against a run that stops anywhere; what imapd
collects when messages go into Junk and out of it."""

import imaplib
import shutil
import subprocess
import tarfile

import pytest

from sanger import BIN, Instance, make_message, run

pytestmark = pytest.mark.once

ANN, BOB = "ann@example.org", "bob@example.org"


@pytest.fixture(scope="module")
def server():
    with Instance(settings={"imapd.junk_training": "yes"}) as s:
        for address in (ANN, BOB):
            s.add_account(address)
        s.admin("bayes", "--create-all")
        yield s


@pytest.fixture
def archive(server, tmp_path_factory):
    path = server.dir / "training"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    server.own(path)
    yield path


def put(server, address, folder, subject, flags="", date=None):
    imap = server.connect_imap(address)
    message = make_message(to=address, subject=subject)
    data = message if isinstance(message, bytes) else message.as_bytes()
    status, answer = imap.append(folder, flags, date, data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert status == "OK", answer
    imap.logout()


def listing(server, address, folder):
    """Subject, flags and date of each message."""
    imap = server.connect_imap(address)
    assert imap.select(folder, readonly=True)[0] == "OK"
    found = []
    for item in imap.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
        if isinstance(item, tuple):
            words = item[0].decode()
            flags = set(words.split("FLAGS (")[1].split(")")[0].split()) - {"\\Recent"}
            date = words.split('INTERNALDATE "')[1].split('"')[0]
            found.append((item[1].decode().split(":", 1)[1].strip(), flags, date))
    imap.logout()
    return sorted(found, key=lambda f: f[0])


def subjects(server, address, folder):
    return [f[0] for f in listing(server, address, folder)]


def archived(path):
    """kind → subjects of all archives in the directory."""
    found = {"spam": [], "ham": []}
    for name in sorted(path.glob("*.tar")):
        with tarfile.open(name) as tar:
            for member in tar.getmembers():
                if member.isfile():
                    text = tar.extractfile(member).read().decode()
                    subject = text.split("Subject: ")[1].split("\n")[0]
                    found[member.name.split("/")[0]].append(subject)
    return {kind: sorted(all_of) for kind, all_of in found.items()}


def empty(server):
    for address in (ANN, BOB):
        imap = server.connect_imap(address)
        for folder in ("INBOX", "Junk", "Trash", "Bayes_Spam", "Bayes_Ham"):
            imap.select(folder)
            imap.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Deleted)")
            imap.expunge()
        imap.logout()


def test_folders_are_made_and_subscribed(server):
    imap = server.connect_imap(ANN)
    names = b" ".join(imap.lsub('""', '"*"')[1])
    assert b"Bayes_Spam" in names and b"Bayes_Ham" in names
    imap.logout()
    server.admin("bayes", "--create", ANN)  # twice is fine
    assert server.admin("bayes", "--create", "nobody@example.org", check=False).returncode == 1


def test_archive_and_return(server, archive):
    empty(server)
    date = '"05-Mar-2021 10:11:12 +0000"'
    put(server, ANN, "Bayes_Spam", "bad 1")
    put(server, BOB, "Bayes_Spam", "bad 2", "(\\Seen)")
    put(server, ANN, "Bayes_Spam", "gone", "(\\Deleted)")
    put(server, ANN, "Bayes_Ham", "good 1", "(\\Seen $Work)", date)
    put(server, BOB, "Bayes_Ham", "good 2")
    dry = server.admin_json("bayes", archive, "--dry-run")
    assert (dry["spam"], dry["ham"], dry["accounts"], dry["archive"]) == (2, 2, 2, None)
    assert list(archive.iterdir()) == []
    done = server.admin_json("bayes", archive)
    assert (done["spam"], done["ham"]) == (2, 2)
    assert [str(p) for p in archive.iterdir()] == [done["archive"]]
    assert archived(archive) == {"spam": ["bad 1", "bad 2"], "ham": ["good 1", "good 2"]}
    assert subjects(server, ANN, "Bayes_Spam") == ["gone"]
    assert subjects(server, BOB, "Bayes_Spam") == subjects(server, BOB, "Bayes_Ham") == []
    [(subject, flags, when)] = listing(server, ANN, "INBOX")
    assert (subject, flags) == ("good 1", {"\\Seen", "$Work"})
    assert imaplib.Internaldate2tuple(f'INTERNALDATE "{when}"'.encode()) == imaplib.Internaldate2tuple(
        f"INTERNALDATE {date}".encode())
    assert [f[:2] for f in listing(server, BOB, "INBOX")] == [("good 2", set())]
    again = server.admin_json("bayes", archive)
    assert again["archive"] is None and len(list(archive.iterdir())) == 1


def test_tar_and_sa_learn_read_it(server, archive):
    empty(server)
    for n in range(3):
        put(server, ANN, "Bayes_Spam", f"bad {n}")
    put(server, ANN, "Bayes_Ham", "good")
    name = server.admin_json("bayes", archive)["archive"]
    out = archive / "unpacked"
    out.mkdir()
    subprocess.run(["tar", "-C", out, "-xf", name], check=True, timeout=60)
    assert len(list((out / "spam/cur").iterdir())) == 3
    if shutil.which("sa-learn"):
        for kind, count in (("spam", 3), ("ham", 1)):
            said = subprocess.run(
                ["sa-learn", f"--{kind}", "--no-sync", "--local", "--dbpath", out / "db", out / kind],
                capture_output=True, timeout=120, check=True).stdout.decode()
            assert f"({count} message(s) examined)" in said, said


@pytest.mark.once
@pytest.mark.parametrize("call", ["renameat,renameat2,rename", "fsync,fdatasync", "unlinkat", "linkat",
                                  "pwrite64", "openat2"])
def test_kill_anywhere(server, archive, call):
    """Killed at the n-th of these calls, then run again: each message is archived once and in its place once."""
    when, step = 1, 1 if call in ("unlinkat", "linkat", "renameat,renameat2,rename") else 7
    kills = 0
    while True:
        empty(server)
        shutil.rmtree(archive)
        archive.mkdir()
        server.own(archive)
        for n in range(2):
            put(server, ANN, "Bayes_Spam", f"bad {n}")
            put(server, ANN, "Bayes_Ham", f"good {n}")
        killed = run("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                     f"inject={call}:signal=SIGKILL:when={when}", BIN / "mailadmin", "-c",
                     server.conf(), "bayes", archive, check=False)
        server.admin("bayes", archive)
        assert archived(archive) == {"spam": ["bad 0", "bad 1"], "ham": ["good 0", "good 1"]}
        assert subjects(server, ANN, "INBOX") == ["good 0", "good 1"]
        assert subjects(server, ANN, "Bayes_Spam") == subjects(server, ANN, "Bayes_Ham") == []
        assert [p.suffix for p in archive.iterdir() if p.suffix != ".tar"] == []
        if killed.returncode == 0:
            break
        kills += 1
        when += step
        assert kills < 60
    assert kills > 0 or call == "pwrite64"


def test_junk_by_imap(server, archive):
    empty(server)
    server.admin("bayes", archive)
    shutil.rmtree(archive)
    archive.mkdir()
    server.own(archive)
    for subject in ("a", "b", "c", "d"):
        put(server, ANN, "INBOX", subject)
    put(server, ANN, "Junk", "found by the relay")
    put(server, ANN, "Junk", "wrongly found")
    imap = server.connect_imap(ANN)

    def transfer(verb, source, subject, to):
        imap.select(source)
        uid = imap.uid("SEARCH", "SUBJECT", f'"{subject}"')[1][0].split()[0]
        assert imap.uid(verb, uid, to)[0] == "OK"

    used = imap.getquotaroot("INBOX")
    transfer("MOVE", "INBOX", "a", "Junk")
    transfer("COPY", "INBOX", "b", "Junk")
    transfer("MOVE", "INBOX", "c", "Junk")
    transfer("MOVE", "Junk", "c", "INBOX")  # a mistake: the last word counts
    transfer("MOVE", "INBOX", "d", "Trash")
    transfer("MOVE", "Junk", "found", "Trash")
    transfer("MOVE", "Junk", "wrongly", "INBOX")
    assert len(imap.list()[1]) == len({line for line in imap.list()[1]})
    assert not any(b"training" in line for line in imap.list()[1])
    imap.logout()
    assert used
    done = server.admin_json("bayes", archive)
    assert (done["spam"], done["ham"]) == (2, 2)
    assert archived(archive) == {"spam": ["a", "b"], "ham": ["c", "wrongly found"]}
    # those are lessons, not mail: nothing is moved by them
    assert subjects(server, ANN, "Junk") == ["a", "b"]
    assert subjects(server, ANN, "INBOX") == ["b", "c", "wrongly found"]
    assert server.admin_json("bayes", archive)["archive"] is None


def test_refusals(server, archive):
    for words in ((), (archive, "--create", ANN), (archive, "--create-all")):
        assert server.admin("bayes", *words, check=False).returncode == 64
    assert server.admin("bayes", "/nowhere/at/all", check=False).returncode == 1
    damaged = archive / "20200101-000000.plan"
    damaged.write_text("sanger-bayes 1\nmailbox\tspam\t")
    server.own(damaged)
    assert server.admin("bayes", archive, check=False).returncode == 1
    damaged.unlink()
