"""Many processes and sessions on one account at once: every message accounted for."""

import imaplib
import os
import random
import re
import threading
import time

import pytest

from sanger import BIN, Instance, make_message, run

SECONDS = int(os.environ.get("SANGER_LOAD_SECONDS", "60"))
BOXES = ["INBOX", "Work", "Archive"]
ALLOWED_NO = (b"[EXPUNGEISSUED]", b"[INUSE]", b"[TRYCREATE]")


class Load:
    def __init__(self, i, address):
        self.i, self.address = i, address
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.delivered, self.expunged, self.errors = set(), set(), []
        self.answers = {"OK": 0, "NO": 0}

    def fail(self, text):
        with self.lock:
            self.errors.append(text)
        self.stop.set()

    def by_command(self, number):
        """Delivers with the command `lda -d`, a process for each message."""
        n = 0
        while not self.stop.is_set():
            n += 1
            subject = f"c{number}-{n}"
            done = run(BIN / "lda", "-c", self.i.conf(), "-d", self.address, "-f", "s@example.net",
                       input=bytes(make_message(self.address, subject=subject)), check=False,
                       env=self.i.environment())
            if done.returncode != 0:
                return self.fail(f"lda -d: {done.returncode} {done.stderr}")
            with self.lock:
                self.delivered.add(subject)
            time.sleep(0.1)

    def deliverer(self, number):
        n = 0
        try:
            client = self.i.connect_lmtp()
            while not self.stop.is_set():
                n += 1
                subject = f"d{number}-{n}"
                refused = client.sendmail("s@example.net", [self.address],
                                          bytes(make_message(self.address, subject=subject)))
                if refused:
                    return self.fail(f"refused {refused}")
                with self.lock:
                    self.delivered.add(subject)
                time.sleep(0.05)
            client.close()
        except Exception as e:
            self.fail(f"deliverer: {e!r}")

    def session(self, number):
        dice = random.Random(number)
        seen = {}  # (mailbox, uid) → subject: a UID never changes its message
        try:
            client = self.i.connect_imap(self.address)
            while not self.stop.is_set():
                box = dice.choice(BOXES)
                if client.select(box)[0] != "OK":
                    return self.fail(f"select {box}")
                validity = client.response("UIDVALIDITY")[1][0]
                uidnext = int(client.response("UIDNEXT")[1][0])
                for _ in range(8):
                    if self.stop.is_set():
                        break
                    self.step(client, dice, box, validity, uidnext, seen)
            client.logout()
        except Exception as e:
            self.fail(f"session: {e!r}")

    def step(self, client, dice, box, validity, uidnext, seen):
        first = max(1, dice.randrange(uidnext + 40) - 80)  # near the end there are the new ones
        ok, data = client.uid("FETCH", f"{first}:{first + 80}",
                              "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        if ok != "OK" and not any(word in data[0] for word in ALLOWED_NO):
            return self.fail(f"fetch {data}")
        uids = []
        for item in data:
            if not isinstance(item, tuple):
                continue
            uid = int(re.search(rb"UID (\d+)", item[0]).group(1))
            subject = re.search(rb"Subject: (\S+)", item[1])
            if subject is None:
                continue
            subject = subject.group(1).decode()
            if seen.setdefault((box, validity, uid), subject) != subject:
                return self.fail(f"UID {uid} of {box} was {seen[box, validity, uid]}, is {subject}")
            uids.append((uid, subject))
        if not uids:
            time.sleep(0.01)
            return None
        uid, subject = dice.choice(uids)
        what = dice.randrange(10)
        if what < 5:
            answer = client.uid("STORE", str(uid), dice.choice(["+FLAGS", "-FLAGS"]),
                                dice.choice(["(\\Seen)", "(\\Flagged word)", "(other)"]))
        elif what < 8:
            answer = client.uid("MOVE", str(uid), dice.choice([b for b in BOXES if b != box]))
        else:
            # expunge one message and know it: it is the only one this session may delete
            answer = client.uid("STORE", str(uid), "+FLAGS", "(\\Deleted)")
            answer = client.uid("EXPUNGE", str(uid))
            with self.lock:
                self.expunged.add(subject)
        with self.lock:
            self.answers[answer[0]] += 1
        if answer[0] != "OK" and not any(word in answer[1][0] for word in ALLOWED_NO):
            return self.fail(f"{what}: {answer}")
        return None


def subjects_in(i, address):
    """{mailbox: [subjects]} and checks that UIDs are unique and ascending."""
    client = i.connect_imap(address)
    found = {}
    for box in BOXES:
        client.select(box, readonly=True)
        found[box], uids = [], []
        for item in client.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]:
            if isinstance(item, tuple):
                uids.append(int(re.search(rb"UID (\d+)", item[0]).group(1)))
                found[box].append(re.search(rb"Subject: (\S+)", item[1]).group(1).decode())
        assert uids == sorted(set(uids))
    client.logout()
    return found


@pytest.mark.once
def test_eight_deliverers_and_eight_sessions():
    imaplib._MAXLINE = 50_000_000
    with Instance(settings={"imapd.workers": "2", "lda.workers": "2"}) as i:
        address = i.add_account("ann@example.org")
        client = i.connect_imap(address)
        client.create("Work")
        client.logout()
        load = Load(i, address)
        threads = [threading.Thread(target=load.deliverer, args=(n,)) for n in range(6)]
        threads += [threading.Thread(target=load.by_command, args=(n,)) for n in range(2)]
        threads += [threading.Thread(target=load.session, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        load.stop.wait(SECONDS)
        load.stop.set()
        for t in threads:
            t.join(120)
        assert not load.errors, load.errors
        assert len(load.delivered) > 50
        found = subjects_in(i, address)
        everything = [s for box in BOXES for s in found[box]]
        # moves take turns: who comes second finds the message gone, so none is in two places
        assert len(everything) == len(set(everything)), sorted(
            s for s in set(everything) if everything.count(s) > 1)[:5]
        missing = load.delivered - set(everything)
        assert missing <= load.expunged, sorted(missing - load.expunged)[:5]
        assert set(everything) <= load.delivered
        # the tree says the same as the server
        for box in BOXES:
            names = [p.name for p in i.files(address, box)]
            assert len(names) == len(found[box])
            uids = [re.search(r",U=(\d+)", n).group(1) for n in names]
            assert len(uids) == len(set(uids))
        print(f"{len(load.delivered)} delivered, {len(load.expunged)} expunged, changes {load.answers}")
        assert not re.findall(r"^\S+ error .*", i.log(), re.M)
