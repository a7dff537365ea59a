"""The Exim filter language, compared with Exim: each filter of tests/exim/*.cases is given to `exim4 -bf`
and to `mailadmin filter test`, which must agree on the actions, on whether normal delivery
still happens, on what testprint prints, and on whether (and in what way) it is an error.

A case starts with a line `%%` and is a filter without its first line.  Lines before it that start
with `@` say what is special:
    @sender ADDRESS    the envelope sender; none is the null sender   (default bob@example.net)
    @message NAME      of tests/exim/messages                         (default plain)
    @refused           Exim would do it; a filter of ours must not
    @noseen            Exim would throw the message away; we keep it: a reply that counted as its delivery was
                       not sent
"""

import json
import os
import pathlib
import re
import subprocess

import pytest

from exim import EXIM
from sanger import BIN

CASES = pathlib.Path(__file__).resolve().parent.parent / "exim"
FILES = sorted(p.name for p in CASES.glob("*.cases"))

CONFIG = """
primary_hostname = mail.example.org
qualify_domain = example.org
qualify_recipient = example.org
spool_directory = {dir}
log_file_path = {dir}/%slog
keep_environment =
timezone = UTC
"""

# How the text of an error of Exim's begins that comes when a command is reached; others come from reading.
REACHED = ("failed to expand", "malformed address", "malformed number", "malformed numerical",
           "error while compiling", "unknown variable", "errors_to must", "\\n not followed",
           "non-printing")


def cases(name):
    for n, text in enumerate((CASES / name).read_text().split("%%\n")[1:], 1):
        case = {"name": f"{name}:{n}", "sender": "bob@example.net", "message": "plain"}
        while text.startswith("@"):
            line, text = text.split("\n", 1)
            key, _, value = line[1:].partition(" ")
            case[key] = value
        case["filter"] = "# Exim filter\n" + text
        yield case


def printing(text):
    """As Exim shows a string: control bytes and 8-bit as escapes."""
    names = {"\n": "\\n", "\r": "\\r", "\b": "\\b", "\v": "\\v", "\f": "\\f", "\t": "\t"}
    out = ""
    for byte in text.encode():
        ch = chr(byte)
        out += names[ch] if ch in names else ch if 32 <= byte < 127 else f"\\{byte:03o}"
    return out


class Reference:
    def __init__(self, where):
        self.dir = where
        (where / "exim.conf").write_text(CONFIG.format(dir=where))
        (where / "probe").write_text("# Exim filter\ntestprint $home\n")
        home = self.output({"sender": "a@b", "message": "plain"}, where / "probe")
        self.home = re.search(r"Testprint: (.*)", home).group(1)

    def output(self, case, path):
        done = subprocess.run(
            [EXIM, "-C", self.dir / "exim.conf", "-bf", path, "-f", case["sender"] or "<>",
             "-bfd", "example.org", "-bfl", "ann"],
            stdin=open(CASES / "messages" / case["message"]), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=60, check=False)
        return done.stdout.decode("utf-8", "replace")

    def run(self, case, path):
        text = self.output(case, path)
        error = re.search(r"^Filter error: (.*)", text, re.M)
        if error:
            reached = error.group(1).startswith(REACHED)
            disabled = " is disabled" in error.group(1)
            return {"error": "forbidden" if disabled else "expand" if reached else "syntax",
                    "text": error.group(1)}
        actions, prints = [], []
        for line in text.split("\n"):
            unseen = line.startswith("Unseen ")
            line = re.sub(r"^(Unseen|Seen) (\w)", lambda m: m.group(2).upper(), line)
            if m := re.match(r"Save message to: (.*?)( [0-7]{4})?( \(noerror\))?$", line):
                path = m.group(1).removeprefix(self.home) if m.group(1).startswith(
                    self.home + "/") else m.group(1)
                actions.append(("save", path, unseen))
            elif m := re.match(r"Deliver message to: (.*?)( errors_to .*)?( \(noerror\))?$", line):
                actions.append(("deliver", m.group(1), unseen))
            elif m := re.match(r"Mail to: (.*?)( \(vacation\))?( \(noerror\))?$", line):
                actions.append(("mail", {"vacation": bool(m.group(2)), "to": m.group(1)}))
            elif m := re.match(r"Testprint: (.*)", line):
                prints.append(m.group(1))
            elif line == "Return original message":
                actions[-1][1]["return_message"] = True
            elif m := re.match(r" *(subject|text|file|cc|bcc|from|reply_to|extra_headers|log|once"
                               r"|once_repeat): (.*)", line):
                if actions and actions[-1][0] == "mail":
                    actions[-1][1][m.group(1)] = m.group(2)
        return {"actions": actions, "seen": "No other deliveries will occur." in text,
                "print": "\\n".join(prints)}


def ours(case, path):
    done = subprocess.run(
        [BIN / "mailadmin", "filter", "test", "--json", "--file", path, "--sender",
         case["sender"] or "<>", "--recipient", "ann@example.org", CASES / "messages" / case["message"]],
        stdout=subprocess.PIPE, timeout=60, check=False, env=dict(os.environ, TZ="UTC"))
    return json.loads(done.stdout)


def mail_of(action):
    """A mail action in the shape in which Exim prints it."""
    out = {"vacation": action["vacation"]}
    for key in ("subject", "text", "from", "reply_to", "extra_headers", "file", "log", "once",
                "once_repeat"):
        if action.get(key) is not None:
            out[key] = printing(action[key])
    if "file" in out and action.get("expand"):
        out["file"] += " (expanded)"
    if action.get("return_message"):
        out["return_message"] = True
    for key in ("to", "cc", "bcc"):
        if key in action:
            out[key] = action[key]
    return out


def same_mail(theirs, mine):
    mine = mail_of(mine)
    for key in ("to", "cc", "bcc"):
        # Sanger's JSON lists addresses; Exim prints the text, and <default> if none was given.
        wanted = theirs.pop(key, None)
        have = mine.pop(key, None)
        if wanted not in (None, "<default>", ""):
            if have is None or not all(address in wanted for address in have if wanted.endswith(address)):
                return f"{key}: {wanted!r} {have!r}"
    theirs = {k: v for k, v in theirs.items() if v != ""}
    mine = {k: v for k, v in mine.items() if v != ""}
    return None if theirs == mine else f"{theirs} {mine}"


def same_actions(theirs, mine, own):
    def key(action):
        return [x.lower() if isinstance(x, str) and action[0] == "deliver" else x for x in action[:2]]

    unique = []
    for action in theirs:
        if action[0] == "mail" or key(action) not in [key(a) for a in unique]:
            unique.append(action)
    if len(unique) != len(mine):
        return f"{unique} {mine}"
    for a, b in zip(unique, mine):
        if a[0] == "mail":
            problem = same_mail(dict(a[1]), b) if b["action"] == "mail" else f"{a} {b}"
            if problem:
                return problem
        elif a[0] == "save" and (b["action"], printing(b["path"]), b["unseen"]) != (
                "save", printing(a[1]), a[2]):
            return f"{a} {b}"
        elif a[0] == "deliver" and a[1].lower() == own and b["action"] == "keep":
            continue
        elif a[0] == "deliver" and (b["action"], b.get("to"), b.get("unseen")) != a:
            return f"{a} {b}"
    return None


def difference(case, reference, path):
    path.write_text(case["filter"])
    mine = ours(case, path)
    kind = mine["error"] and mine["error"]["kind"]
    if "refused" in case:
        return None if kind == "forbidden" and not mine["actions"] else f"not refused: {mine}"
    theirs = reference.run(case, path)
    if theirs.get("error") != kind:
        return f"Exim: {theirs}\n    we: {mine['error'] or mine}"
    if kind:
        return None
    if "noseen" not in case and theirs["seen"] != mine["seen"]:
        return f"significant delivery: Exim {theirs['seen']}, we {mine['seen']}"
    log = printing(mine.get("log", "")).removesuffix("\\n")
    if theirs["print"] != log:
        return f"testprint\n    Exim: {theirs['print']!r}\n    we:   {log!r}"
    if case["sender"] == "":
        theirs["actions"] = [a for a in theirs["actions"] if a[0] != "mail"]
    return same_actions(theirs["actions"], mine["actions"], "ann@example.org")


@pytest.mark.parametrize("name", FILES)
def test_same_as_exim(name, tmp_path):
    reference = Reference(tmp_path)
    wrong = []
    for case in cases(name):
        problem = difference(case, reference, tmp_path / "filter")
        if problem:
            wrong.append(f"{case['name']}\n{case['filter']}    {problem}")
    assert not wrong, f"{len(wrong)} differ:\n\n" + "\n".join(wrong)


def places(result):
    """Where a dry run's message goes, whatever language said so."""
    out = set()
    for action in result["actions"]:
        kind = action["action"]
        if kind == "save":
            out.add(("box", action["path"].strip("./").replace(".", "/")))
        elif kind == "fileinto":
            out.add(("box", action["mailbox"]))
        elif kind in ("deliver", "redirect") and action["to"] != "ann@example.org":
            out.add(("to", action["to"].lower()))
        elif kind in ("keep", "deliver", "redirect"):
            out.add(("box", "INBOX"))
        elif kind in ("mail", "vacation"):
            out.add(("reply", action["subject"]))
    if result["language"] == "keep" or (result["language"] == "exim" and not result["seen"]):
        out.add(("box", "INBOX"))
    return out


@pytest.mark.once
def test_converted_filters_do_the_same(tmp_path):
    """What `filter convert` turns into Sieve without remarks sends the message to the same places."""
    wrong, converted = [], 0
    for case in (case for name in FILES for case in cases(name)):
        (tmp_path / "filter").write_text(case["filter"])
        done = subprocess.run([BIN / "mailadmin", "filter", "convert", tmp_path / "filter"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60,
                              check=False)
        if done.returncode != 0:
            continue
        before = ours(case, tmp_path / "filter")
        if before["error"]:
            continue
        (tmp_path / "sieve").write_bytes(done.stdout)
        after = ours(case, tmp_path / "sieve")
        converted += 1
        if after["error"] or places(before) != places(after):
            wrong.append(f"{case['name']}\n{case['filter']}\n{done.stdout.decode()}\n{before}\n{after}")
    assert not wrong, "\n\n".join(wrong)
    assert converted >= 100


def test_there_are_enough_cases():
    assert sum(len(list(cases(name))) for name in FILES) >= 200
