"""mailadmin cleanup: accounts that are no more, Trash and Junk by age, leftovers."""

import os
import time

import pytest
from sanger import Instance, make_message

pytestmark = pytest.mark.once

ANN = "ann@example.org"
DAY = 86400


@pytest.fixture(scope="module")
def instance():
    with Instance(settings={"cleanup.trash_days": 30, "cleanup.junk_days": 10}) as i:
        yield i


def account(instance, name):
    address = instance.add_account(f"{name}@example.org")
    instance.connect_imap(address).logout()
    return address


def append(instance, address, mailbox, subject, age_days=0):
    """A message that came into the mailbox that long ago; its date is older still."""
    client = instance.connect_imap(address)
    assert client.append(mailbox, None, '"17-Jul-1996 02:44:25 -0700"',
                         bytes(make_message(address, subject=subject)))[0] == "OK"
    client.logout()
    if age_days:
        newest = max(instance.files(address, mailbox), key=lambda p: int(p.name.split(".")[0]))
        seconds, rest = newest.name.split(".", 1)
        newest.rename(newest.with_name(f"{int(seconds) - age_days * DAY}.{rest}"))


def count(instance, address, mailbox):
    client = instance.connect_imap(address)
    _, answer = client.select(mailbox, readonly=True)
    client.logout()
    return int(answer[0])


def removed(instance):
    return sorted(str(p.relative_to(instance.dir / "mail.removed"))
                  for p in (instance.dir / "mail.removed").glob("*/*/*"))


def test_trash_and_junk_by_age(instance):
    ann = account(instance, "ager")
    append(instance, ann, "Trash", "old", 31)
    append(instance, ann, "Trash", "young", 29)
    append(instance, ann, "Junk", "spam", 11)
    append(instance, ann, "Junk", "new spam")
    append(instance, ann, "INBOX", "old but mine", 400)
    client = instance.connect_imap(ann)
    client.select("Trash")
    assert client.uid("COPY", "1:*", "Trash")[0] == "OK"  # came there just now
    client.logout()
    dry = instance.admin_json("cleanup", "--dry-run")
    assert (dry["trash"], dry["junk"], dry["dry_run"]) == (1, 1, True)
    assert count(instance, ann, "Trash") == 4
    watcher = instance.connect_imap(ann)
    watcher.select("Trash")
    done = instance.admin_json("cleanup")
    assert (done["trash"], done["junk"], done["problems"]) == (1, 1, 0)
    watcher.noop()
    assert watcher.untagged_responses.get("EXPUNGE"), "clients are told"
    watcher.logout()
    assert count(instance, ann, "Trash") == 3
    assert count(instance, ann, "Junk") == 1
    assert count(instance, ann, "INBOX") == 1
    # it can be brought back, and is then new in Trash
    assert {r["subject"] for r in instance.admin_json("undelete", ann, "--list")} == {"old", "spam"}
    instance.admin("undelete", ann, "--mailbox", "Trash")
    assert instance.admin_json("cleanup")["trash"] == 0
    assert count(instance, ann, "Trash") == 4


def test_accounts_that_are_no_more(instance):
    bob, eve = account(instance, "bob"), account(instance, "eve")
    instance.deliver(bob, subject="for bob")
    instance.admin("account", "delete", bob)
    half = account(instance, "half")
    instance.admin("account", "delete", half)
    tree = instance.maildir(half)
    (tree / "sanger-account-rename").write_text("half@example.org other@example.org\n")
    stranger = instance.dir / "mail" / "example.org" / "stranger"
    (stranger / "cur").mkdir(parents=True)
    instance.own(stranger)
    dry = instance.admin("cleanup", "--dry-run", "--json", check=False)
    assert dry.returncode == 1 and b"half-way" in dry.stderr
    assert instance.maildir(bob).exists()
    done = instance.admin("cleanup", check=False)
    assert done.returncode == 1 and b"half-way" in done.stderr
    day = time.strftime("%Y-%m-%d")
    assert removed(instance) == [f"{day}/example.org/bob"]
    assert not instance.maildir(bob).exists()
    assert instance.maildir(eve).exists() and stranger.exists() and tree.exists()
    assert "2 problems" not in (instance.dir / "mail.removed" / "status").read_text()
    # the same address again, and gone again on the same day: both trees are there
    instance.accounts.pop(bob)
    account(instance, "bob")
    instance.admin("account", "delete", bob)
    instance.admin("cleanup", check=False)
    assert removed(instance) == [f"{day}/example.org/bob", f"{day}/example.org/bob.2"]
    (tree / "sanger-account-rename").unlink()
    instance.admin("cleanup")
    assert "cleaned" in (instance.dir / "mail.removed" / "status").read_text()
    # back by hand: one rename
    os.rename(instance.dir / "mail.removed" / day / "example.org" / "bob",
              instance.dir / "mail" / "example.org" / "bob")
    instance.add_account(bob)
    assert count(instance, bob, "INBOX") == 1


def test_leftovers_and_kept(instance):
    ann = account(instance, "leftover")
    tree = instance.maildir(ann)
    old = time.time() - 60 * DAY
    for name in ("tmp/1.dead", ".Trash/tmp/2.dead", "sanger-mailbox.new.x"):
        (tree / name).write_text("x")
    instance.own(tree)
    for name in ("tmp/1.dead", ".Trash/tmp/2.dead", "sanger-mailbox.new.x"):
        os.utime(tree / name, (old, old))
    # ctime is new: a backup was just put back, so they stay
    done = instance.admin_json("cleanup")
    assert done["tmp_files"] == 0 and (tree / "tmp/1.dead").exists()
    append(instance, ann, "INBOX", "kept")
    client = instance.connect_imap(ann)
    client.select("INBOX")
    client.store("1", "+FLAGS", r"(\Deleted)")
    client.expunge()
    client.logout()
    kept = list((tree / "sanger-expunged").glob("mailbox-*/*-*"))
    assert len(kept) == 1
    when, rest = kept[0].name.split("-", 1)
    kept[0].rename(kept[0].with_name(f"{int(when) - 8 * DAY}-{rest}"))
    assert instance.admin_json("cleanup", "--dry-run")["kept"] == 1
    done = instance.admin_json("cleanup")
    assert done["kept"] == 1 and done["kept_bytes"] > 0
    assert not list((tree / "sanger-expunged").glob("mailbox-*"))


def test_one_account_does_not_stop_the_rest(instance):
    first, second = account(instance, "aaa"), account(instance, "zzz")
    append(instance, second, "Trash", "old", 40)
    broken = instance.maildir(first) / ".Trash" / "sanger-mailbox"
    text = broken.read_text()
    broken.write_text("sanger-mailbox 99\nend\n")  # of a version to come: nobody touches it
    for path in instance.maildir(first).glob("index.db*"):
        path.unlink()
    done = instance.admin("cleanup", check=False)
    assert done.returncode == 1 and b"aaa@example.org" in done.stderr
    assert count(instance, second, "Trash") == 0
    doctor = instance.admin("doctor", check=False).stdout.decode()
    assert "the last mailadmin cleanup had problems" in doctor
    broken.write_text(text)
    instance.admin("cleanup")
    assert "cleanup ran 0 hours ago" in instance.admin("doctor", check=False).stdout.decode()


@pytest.mark.once
def test_wrong_database():
    with Instance() as i:
        account(i, "ann")
        i.stop()
        for path in i.dir.glob("user.db*"):
            path.rename(i.dir / ("kept-" + path.name))
        done = i.admin("cleanup", check=False)
        assert done.returncode == 1 and b"right database" in done.stderr
        assert i.maildir(ANN).exists()
        i.admin("cleanup", "--many")
        assert not i.maildir(ANN).exists()


@pytest.mark.once
def test_snapshots_that_are_kept_no_more():
    with Instance(settings={"backup.keep_daily": 1, "backup.keep_weekly": 0, "backup.keep_monthly": 0}) as i:
        snapshots = i.dir / "snapshots"
        snapshots.mkdir()
        i.own(snapshots)
        i.conf().write_text(i.conf().read_text() + f"\n[backup]\ndir = {snapshots}\n")
        account(i, "ann")
        i.admin("backup")
        old = snapshots / "2026-01-01T0000Z"  # as if it were of another day
        next(snapshots.glob("2*")).rename(old)
        i.admin("backup", "--keep-daily", "9")
        assert old.exists() and len(list(snapshots.glob("2*"))) == 2
        assert i.admin_json("cleanup", "--dry-run")["snapshots"] == 1 and old.exists()
        assert i.admin_json("cleanup")["snapshots"] == 1 and not old.exists()
        assert i.admin_json("cleanup")["snapshots"] == 0
        assert len(list(snapshots.glob("2*"))) == 1
