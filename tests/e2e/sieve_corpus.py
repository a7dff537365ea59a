"""Sieve scripts and messages (tests/sieve/*.cases, their format: tests/sieve/README.md), and what
Pigeonhole's sieve-test and Sanger's `mailadmin filter test` make of them, in the same words.

    python3 tests/e2e/sieve_corpus.py [-p | -s] [PATTERN...]

shows both results (or one) of the cases whose id contains one of the patterns, or with no pattern the
cases that fail."""

import dataclasses
import email.header
import functools
import json
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import sys
import urllib.parse

from sanger import BIN, TOP, Instance, run, temp_dir

CORPUS = TOP / "tests" / "sieve"
SIEVE_TEST = shutil.which("sieve-test")
ACCOUNT = "ann@example.org"
SENDER = "sender@example.net"
MAILBOXES = ["Lists", "Archive/2024", "Junk"]
OPTIONS = {"message", "sender", "rcpt", "pigeonhole", "differs", "expect", "edit", "account"}

PIGEONHOLE_CONFIG = """
base_dir = {dir}/run
log_path = /dev/stderr
mail_location = maildir:{dir}/mail
mail_home = {dir}/home
first_valid_uid = 1
protocols =
ssl = no
stats_writer_socket_path =
hostname = mail.example.org
postmaster_address = postmaster@example.org
recipient_delimiter = +
mail_attribute_dict = file:{dir}/attributes
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Junk {{
    special_use = \\Junk
  }}
}}
plugin {{
  sieve = file:{dir}/home/sieve;active={dir}/home/.dovecot.sieve
  sieve_global = {dir}/global
  sieve_extensions = {extensions}
  sieve_vacation_min_period = 1d
  sieve_vacation_max_period = 30d
  sieve_spamtest_status_type = score
  sieve_spamtest_status_header = X-Spam-Score: (-?[[:digit:]]+\\.?[[:digit:]]*)
  sieve_spamtest_max_value = 10
  sieve_virustest_status_type = text
  sieve_virustest_status_header = X-Virus-Score: ([0-5])
  {virus_values}
}}
"""
EXTENSIONS = ("+editheader +mboxmetadata +servermetadata +special-use +vnd.dovecot.debug "
              "+vnd.dovecot.environment +vnd.dovecot.report +spamtest +spamtestplus +virustest "
              "+vacation-seconds")


@dataclasses.dataclass
class Case:
    id: str  # file:name
    script: bytes
    message: bytes
    sender: str = SENDER
    rcpt: str = ACCOUNT
    expect: tuple = ()  # Sanger's result, said aloud
    differs: str = ""  # why Pigeonhole's is another
    pigeonhole: bool = True  # False: it lacks the extension
    edit: bool = False  # the header at the end counts too
    account: bool = False  # runs in the surroundings of an account


# --- reading the corpus

def case_of(file, name, options, lines):
    """`options` are (key, value) pairs; `lines` the script, with an own message behind `--- message`."""
    values = dict(options)
    unknown = set(values) - OPTIONS
    assert not unknown, f"{file}: {name}: unknown {unknown}"
    mark = lines.index(b"--- message") if b"--- message" in lines else None
    script = b"\n".join(lines[:mark]) + b"\n"
    if mark is not None:
        message = b"\n".join(lines[mark + 1:]) + b"\n"
    else:
        message = (CORPUS / "messages" / values.get("message", "plain")).read_bytes()
    return Case(
        id=f"{file}:{name}", script=script, message=message, sender=values.get("sender", SENDER),
        rcpt=values.get("rcpt", ACCOUNT), differs=values.get("differs", ""),
        expect=tuple(sorted(unquote(v) for k, v in options if k == "expect")),
        pigeonhole=values.get("pigeonhole", "yes") == "yes", edit=values.get("edit") == "yes",
        account=values.get("account") == "yes")


def unquote(text):
    """\\n in an expectation is a line end."""
    return text.replace("\\n", "\n")


def read_cases(path):
    blocks = re.split(rb"^=== ", path.read_bytes(), flags=re.M)
    defaults = [line.split(": ", 1) for line in blocks[0].decode().splitlines()
                if line and not line.startswith("#")]
    for block in blocks[1:]:
        name, *lines = block.rstrip(b"\n").split(b"\n")
        options = list(defaults)
        while lines and (m := re.fullmatch(rb"([a-z]+): ?(.*)", lines[0])) \
                and m[1].decode() in OPTIONS:
            options.append((m[1].decode(), m[2].decode()))
            lines.pop(0)
        yield case_of(path.stem, name.decode(), options, lines)


@functools.cache
def corpus():
    cases = [c for path in sorted(CORPUS.glob("*.cases")) for c in read_cases(path)]
    ids = [c.id for c in cases]
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)
    return cases


# --- one way to say what is to be done: a sorted list of lines

def flag_words(flags):
    """System flags have no case of their own."""
    return sorted({f.lower() if f.startswith("\\") else f for f in flags}, key=str.lower)


def line(*words):
    return " ".join(str(w) for w in words if w not in ("", None))


def store(mailbox, flags, create=False, use=None):
    """A copy into INBOX is a keep, whoever asked for it."""
    name = "keep" if mailbox.upper() == "INBOX" else f"fileinto {shown(mailbox)}"
    return line(name, *flag_words(flags), ":create" if create else "",
                f":specialuse {use}" if use else "")


def shown(text):
    """As sieve-test shows a text on one line: control characters are question marks there."""
    return re.sub(r"[\x00-\x1f\x7f]", "?", re.sub(r"\r?\n", "\r\n", text))


def same_line_ends(text):
    return text.replace("\r\n", "\n").rstrip("\n")


def summary(lines):
    """A discard says nothing where something else is done; nothing at all is a discard."""
    lines = sorted(set(lines) - {"discard"})
    delivering = ("keep", "fileinto", "redirect", "reject", "error")
    if not any(text.startswith(delivering) for text in lines):
        lines.append("discard")
    return sorted(lines)


def header_text(block):
    """A header block as one of the lines of a result: unfolded, with its encoded words decoded."""
    text = re.sub(r"\r?\n[ \t]+", " ", block.replace("\r\n", "\n")).strip("\n")

    def decoded(line):
        parts = [p.decode(c or "latin-1") if isinstance(p, bytes) else p
                 for p, c in email.header.decode_header(line)]
        return re.sub(r"\s+", " ", "".join(parts)).strip()
    return "\n".join(["header", *(decoded(h) for h in text.split("\n"))])


# --- Pigeonhole

class Pigeonhole:
    """A context manager: sieve-test with a configuration and a user of its own."""

    def __enter__(self):
        self.dir = temp_dir()
        for sub in ("home/sieve", "global", "mail", "case"):
            (self.dir / sub).mkdir(parents=True)
        values = "\n  ".join(f"sieve_virustest_text_value{n} = {n}" for n in range(6))
        (self.dir / "conf").write_text(PIGEONHOLE_CONFIG.format(
            dir=self.dir, extensions=EXTENSIONS, virus_values=values))
        for mailbox in MAILBOXES + [""]:
            for sub in ("cur", "new", "tmp"):
                name = f".{mailbox.replace('/', '.')}" if mailbox else ""
                (self.dir / "mail" / name / sub).mkdir(parents=True)
        for path in (CORPUS / "personal").glob("*.sieve"):
            shutil.copy(path, self.dir / "home" / "sieve")
        for path in (CORPUS / "global").glob("*.sieve"):
            shutil.copy(path, self.dir / "global")
        self.as_user = {}
        if os.getuid() == 0:
            vmail = pwd.getpwnam("vmail")
            self.as_user = {"user": vmail.pw_uid, "group": vmail.pw_gid, "extra_groups": []}
            run("chown", "-R", "vmail:vmail", self.dir)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir, ignore_errors=True)

    def sieve_test(self, case, *args):
        script, message = self.dir / "case" / "script.sieve", self.dir / "case" / "message"
        script.write_bytes(case.script)
        message.write_bytes(case.message)
        assert case.sender, f"{case.id}: sieve-test takes no null sender"
        done = subprocess.run(
            [SIEVE_TEST, "-c", str(self.dir / "conf"), "-C", "-a", case.rcpt, "-r", case.rcpt,
             "-f", case.sender, *args, str(script), str(message)],
            capture_output=True, timeout=60, stdin=subprocess.DEVNULL, cwd=self.dir,
            env={"HOME": str(self.dir / "home"), "USER": "ann", "PATH": os.environ["PATH"],
                 "TZ": "UTC"},
            **self.as_user)
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode(
            "utf-8", "replace")

    def result(self, case):
        """(lines of the result, what it said besides)"""
        status, out, err = self.sieve_test(case)
        assert status != 89 or "failed to compile" in err, err
        lines = pigeonhole_lines(status, out)
        if case.edit and not lines[0].startswith("error"):
            lines.append(self.edited(case))
        return sorted(lines), err

    def edited(self, case):
        """The header of the message that a run has left in INBOX."""
        self.sieve_test(case, "-e", "-l", f"maildir:{self.dir}/mail")
        files = [p for sub in ("new", "cur") for p in (self.dir / "mail" / sub).iterdir()]
        assert len(files) == 1, f"{case.id}: {len(files)} messages in INBOX"
        text = files[0].read_bytes().decode("utf-8", "replace")
        files[0].unlink()
        return header_text(re.split(r"\r?\n\r?\n", text, maxsplit=1)[0])


def pigeonhole_lines(status, out):
    if "Performed actions:" not in out:
        return ["error compile" if status == 89 else "error runtime"]
    lines = []
    for block in re.split(r"^ \* ", out, flags=re.M)[1:]:
        block = re.split(r"^Implicit keep:$", block, flags=re.M)[0]
        lines.append(pigeonhole_action(block.rstrip("\n")))
    return summary(lines)


def pigeonhole_action(block):
    head, _, rest = block.partition("\n")
    for pattern, read in PIGEONHOLE_ACTIONS:
        if m := re.fullmatch(pattern, head, re.S):
            return read(m, rest)
    raise AssertionError(f"unknown action of sieve-test: {block}")


def field(rest, name):
    m = re.search(rf"^    => {name} *: (.*?)(?=^    =>|^\nSTART MESSAGE|\Z)", rest, re.M | re.S)
    return m[1].rstrip("\n") if m else None


def read_store(m, rest):
    flags = re.search(r"\+ add IMAP flags: (.*)", rest)
    use = re.search(r"special-use flag `(.*?)'", rest)
    return store(m[1], flags[1].split() if flags else [], "+ create mailbox" in rest,
                 use and use[1])


def read_vacation(m, rest):
    body = re.search(r"START MESSAGE\n(.*)\nEND MESSAGE", rest, re.S)[1]
    return vacation_line(field(rest, "seconds"), field(rest, "subject"), field(rest, "from"), body)


def read_notify(m, rest):
    to = re.findall(r"^       \+ (?:To|Cc): (.*)$", rest, re.M)
    return notify_line(field(rest, "importance"), to, field(rest, "from"), field(rest, "subject"))


PIGEONHOLE_ACTIONS = [
    (r"store message in folder: (.*)", read_store),
    (r"redirect message to: <(.*)>", lambda m, rest: f"redirect {m[1]}"),
    (r"discard", lambda m, rest: "discard"),
    (r"reject message with reason: (.*)", lambda m, rest: f"reject {m[1]}".rstrip("?")),
    (r"send vacation message:", read_vacation),
    (r"send notification with method .*", read_notify),
    (r"track (?:last )?duplicate.*", lambda m, rest: "discard"),
    (r"report incoming message as `(.*)' to: <(.*)>", lambda m, rest: f"report {m[1]} {m[2]}"),
]


# --- Sanger

class Sanger:
    """A context manager: an instance that is not started, with one account and its surroundings."""

    def __enter__(self):
        self.dir = temp_dir()
        shutil.copytree(CORPUS / "global", self.dir / "global")
        self.instance = Instance(start=False, settings={"filter.global_dir": self.dir / "global"})
        self.instance.__enter__()
        self.filled = False
        return self

    def __exit__(self, *exception):
        self.instance.__exit__(*exception)
        shutil.rmtree(self.dir, ignore_errors=True)

    def fill(self):
        """Makes the account; called when the first case needs it."""
        if self.filled:
            return
        self.filled = True
        self.instance.add_account(ACCOUNT)
        for mailbox in MAILBOXES:
            use = ["--special-use", "\\Junk"] if mailbox == "Junk" else []
            self.instance.admin("mailbox", "create", ACCOUNT, mailbox, *use, check=False)
        for path in (CORPUS / "personal").glob("*.sieve"):
            self.instance.admin("filter", "put", ACCOUNT, path.stem, path, check=False)

    def result(self, case):
        script, message = self.dir / "script", self.dir / "message"
        script.write_bytes(case.script)
        message.write_bytes(case.message)
        if case.account:
            self.fill()
        done = run(BIN / "mailadmin", "-c", self.instance.conf(), "filter", "test",
                   *([ACCOUNT] if case.account else []), "--file", script, "--json",
                   "--sender", case.sender, "--recipient", case.rcpt, message,
                   check=False, env=self.instance.environment(), timeout=60)
        try:
            answer = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise AssertionError(f"{case.id}: exit {done.returncode}: "
                                 f"{done.stdout[-2000:]}{done.stderr[-2000:]}") from None
        return sorted(sanger_lines(case, answer)), done.stdout.decode("utf-8", "replace")


def sanger_lines(case, answer):
    if answer["error"] is not None:
        return [f"error {answer['error']['kind']}"]
    lines = summary(SANGER_ACTIONS[a["action"]](a) for a in answer["actions"])
    if case.edit:
        lines += edited_lines(case, answer)
    return lines


def edited_lines(case, answer):
    """The message in INBOX: a keep has it only if it was edited again behind."""
    kept = [a for a in answer["actions"] if a["action"] == "keep" and "headers" in a]
    message = kept[0] if kept else answer
    header = message["headers"]
    if header is None:
        header = re.split(rb"\r?\n\r?\n", case.message)[0].decode("utf-8", "replace")
    body = ["body\n" + same_line_ends(message["body"])] if "body" in message else []
    return [header_text(header), *body]


def named(name, value):
    return f"{name}={value}" if value else ""


def vacation_line(seconds, subject, sender, body, fcc=""):
    return line("vacation", seconds, named("subject", subject), named("from", sender), fcc,
                same_line_ends(body))


def notify_line(importance, to, sender, message, fcc=""):
    return line("notify", importance, ",".join(to), named("from", sender), fcc,
                named("message", same_line_ends(message or "")))


def fcc_words(action):
    fcc = action.get("fcc")
    return fcc and line(named("fcc", fcc["mailbox"]), *flag_words(fcc["flags"]),
                        ":create" if fcc["create"] else "")


def copied_to(uri):
    """The recipients of a mailto URI's cc."""
    return urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query).get("cc", [])


def redirect_line(action):
    by = action.get("deliver_by")
    return line("redirect", action["to"], named("notify", action.get("notify")),
                named("ret", action.get("ret")),
                by and f"by={by['seconds']};{by['mode']}{'T' if by['trace'] else ''}")


SANGER_ACTIONS = {
    "keep": lambda a: store(a.get("mailbox") or "INBOX", a.get("flags", [])),
    "fileinto": lambda a: store(a["mailbox"], a.get("flags", []), a.get("create"),
                                a.get("special_use")),
    "redirect": redirect_line,
    "discard": lambda a: "discard",
    "report": lambda a: f"report {a['type']} {a['to']}",
    "reject": lambda a: f"reject {shown(a['reason'])}".rstrip("?"),
    "vacation": lambda a: vacation_line(a["seconds"], a.get("subject"), a.get("from"), a["body"],
                                        fcc_words(a)),
    "notify": lambda a: notify_line(a["importance"], a["to"] + copied_to(a["uri"]), a.get("from"),
                                    a.get("message"), fcc_words(a)),
    "report": lambda a: f"report {a['type']} {a['to']}",
}


# --- the comparison

def judge(case, sanger, pigeonhole):
    """None, or what is wrong."""
    if case.expect and tuple(sanger) != case.expect:
        return f"Sanger is to do {list(case.expect)}, does {sanger}"
    if not case.pigeonhole or pigeonhole is None:
        return None
    if case.differs:
        return "Pigeonhole does the same after all" if pigeonhole == sanger else None
    if pigeonhole != sanger:
        return f"Pigeonhole does {pigeonhole}, Sanger {sanger}"
    return None


def main(args):
    both = not {"-p", "-s"} & set(args)
    patterns = [a for a in args if a not in ("-p", "-s")]
    cases = [c for c in corpus() if not patterns or any(p in c.id for p in patterns)]
    ask_sanger, ask_pigeonhole = both or "-s" in args, both or "-p" in args
    wrong = 0
    with Pigeonhole() as pigeonhole, Sanger() as sanger:
        for case in cases:
            theirs = pigeonhole.result(case) if case.pigeonhole and ask_pigeonhole else (None, "")
            ours = (None, "")
            if ask_sanger:
                try:
                    ours = sanger.result(case)
                except AssertionError as e:
                    ours = ([f"broken {e}"], "")
            why = judge(case, ours[0], theirs[0]) if both else None
            wrong += why is not None
            if patterns or why or not both:
                print(f"=== {case.id}")
                if why:
                    print(f"  {why}")
                if not why:
                    print(f"  {ours[0] or theirs[0]}")
                said = [s for s in (theirs[1] + ours[1]).splitlines() if "error:" in s or '"error":{' in s]
                print(*said[:1], sep="\n")
    print(f"{len(cases)} cases, {wrong} wrong")


if __name__ == "__main__":
    main(sys.argv[1:])
