"""mailadmin publish: the relay's copy of the account database, its way there, and what doctor says."""

import json
import shutil
import sqlite3
import threading

import pytest

from sanger import Instance, temp_dir

pytestmark = pytest.mark.once


@pytest.fixture
def box():
    """An instance that nobody has started."""
    place = temp_dir()
    place.chmod(0o777)
    with Instance(start=False, settings={"publish.dir": str(place / "out"),
                                         "publish.to": str(place / "relay") + "/"}) as i:
        i.place = place
        i.add_account("ann@example.org", quota="2G")
        yield i
    shutil.rmtree(place)


def rows(path, query="SELECT localpart FROM recipient ORDER BY 1"):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return [row[0] for row in db.execute(query)]


def make_dir(path):
    path.mkdir()
    path.chmod(0o777)
    return path


def doctor(i):
    found = json.loads(i.admin("doctor", "--json", check=False).stdout)
    return [f for f in found if f["check"] == "publish"]


def test_publish_writes_and_sends(box):
    out, relay = box.place / "out" / "user.db", make_dir(box.place / "relay")
    assert box.admin("publish") == f"{out} written\n"
    assert rows(out) == ["ann"] and rows(relay / "user.db") == ["ann"]
    assert rows(out, "SELECT quota FROM account") == [2 * 1024 * 1024]
    before = (relay / "user.db").stat()
    assert box.admin("publish") == f"{out} unchanged\n"
    after = (relay / "user.db").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    box.add_account("bob@example.org")
    assert box.admin_json("publish") == {"changed": True}
    assert rows(relay / "user.db") == ["ann", "bob"]
    assert [f["status"] for f in doctor(box)] == ["ok"]


def test_a_target_that_fails_is_said_and_remembered(box):
    assert [f["status"] for f in doctor(box)] == ["fail"], "never sent"
    other = make_dir(box.place / "other")
    make_dir(box.place / "relay")
    done = box.admin("publish", check=False)
    assert done.returncode == 0 and rows(box.place / "relay" / "user.db") == ["ann"]
    shutil.rmtree(box.place / "relay")
    (box.place / "relay").write_text("no directory")
    done = box.admin("publish", check=False)
    assert done.returncode == 1 and b"rsync failed" in done.stderr
    assert "fails" in doctor(box)[0]["text"]
    assert box.admin("publish", "--to", f"{other}/").endswith("unchanged\n")
    assert rows(other / "user.db") == ["ann"]


def test_arguments(box):
    elsewhere = box.place / "elsewhere"
    box.admin("publish", str(elsewhere), "--to", str(box.place / "copy.db"))
    assert rows(elsewhere / "user.db") == rows(box.place / "copy.db") == ["ann"]
    done = box.admin("publish", str(box.place / "no" / "where"), check=False)
    assert done.returncode == 1 and b"No such file" in done.stderr


def test_readers_never_see_half_of_it(box):
    """The file is replaced again and again while it is read: each reader sees one moment's accounts."""
    out = box.place / "out" / "user.db"
    make_dir(box.place / "relay")
    box.admin("publish")
    stop, seen, wrong = threading.Event(), set(), []

    def read():
        while not stop.is_set():
            try:
                seen.add(tuple(rows(out)))
            except sqlite3.Error as error:
                wrong.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(10):
        box.add_account(f"user{n}@example.org")
        box.admin("publish")
    stop.set()
    reader.join()
    assert not wrong
    assert all(set(names) <= {"ann", *(f"user{n}" for n in range(10))} for names in seen)
    assert len(rows(box.place / "relay" / "user.db")) == 11
