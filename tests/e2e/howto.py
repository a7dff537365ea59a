"""Runs the recipes of doc/howto.md against an instance.

What the file may hold, and what is done with it, from the top to the bottom of each section:

    ```sh       commands of the administrator: run by bash -e in the section's directory, where message.eml and
                spam.eml are.  mailadmin is that of the instance; paths below /srv/mail, /etc/sanger, /var/lib/sanger
                and /usr/share/doc/sanger are the instance's and the project's; ssh, sudo, systemctl and journalctl
                do to the instance what they would do to a host.
    ```ini      settings: set in the instance's sanger.conf, which must be valid with them, until the section ends
    ```sieve    must compile
    ```text     something to look at
    <!-- test COMMANDS -->        run too, but not shown: what a reader has and the instance has not, and checks of
                                  what the recipe promises.  `replace WORD VALUE` makes VALUE stand for WORD below.
    <!-- not run: REASON -->      the block behind it is not run

Every block is a shell of its own; what stays are files.  Code in running text that begins with mailadmin must name a
command that there is."""

import dataclasses
import os
import re
import shutil
import subprocess
import time

from sanger import TOP, make_message

LANGUAGES = {"sh", "ini", "sieve", "text"}
BLOCK_LIMIT_S = 120


@dataclasses.dataclass
class Block:
    line: int
    language: str  # or "test"
    text: str
    reason: str = ""  # not run


@dataclasses.dataclass
class Section:
    title: str
    line: int
    blocks: list


def read_sections(text):
    """The sections below "## ", each with its blocks."""
    sections, lines, at, reason = [], text.split("\n"), 0, ""
    while at < len(lines):
        line, start = lines[at], at + 1
        if line.startswith("## "):
            sections.append(Section(line[3:].strip(), start, []))
        fence = re.fullmatch(r"( *)```(\w*)", line)
        if fence:
            body = []
            while not re.fullmatch(r" *```", lines[at + 1]):
                at += 1
                body.append(lines[at].removeprefix(fence[1]))
            at += 1
            assert fence[2] in LANGUAGES, f"howto.md:{start}: a block is one of {sorted(LANGUAGES)}"
            sections[-1].blocks.append(Block(start, fence[2], "\n".join(body) + "\n", reason))
            reason = ""
        elif line.strip().startswith("<!--"):
            body = [line.strip()]
            while "-->" not in lines[at]:
                at += 1
                body.append(lines[at])
            inner = "\n".join(body).strip().removeprefix("<!--").removesuffix("-->").strip()
            if inner.startswith("not run:"):
                reason = inner.removeprefix("not run:").strip()
            elif re.match(r"test\s", inner):
                sections[-1].blocks.append(Block(start, "test", inner.removeprefix("test").lstrip() + "\n"))
        at += 1
    return sections


def commands_in_text(text):
    """What inline code asks mailadmin to do: [(line, words)]."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        for code in re.findall(r"`mailadmin ([^`]+)`", line):
            words = re.sub(r"^-c \S+ *", "", code).split()
            if words and re.fullmatch(r"[a-z]+", words[0]):
                found.append((number, words))
    return found


STUBS = {
    "mailadmin": 'exec "$SANGER_BIN/mailadmin" -c "$DIR/sanger.conf" "$@"\n',
    "lda": 'exec "$SANGER_BIN/lda" -c "$DIR/sanger.conf" "$@"\n',
    "sudo": '[ "$1" != -u ] || shift 2\nexec "$@"\n',
    # a host that has what we have
    "ssh": 'while [ "${1#-}" != "$1" ]; do [ "$1" = -T ] || shift; shift; done\nshift\nexec sh -c "$*"\n',
    "sieve-connect": """
shift 2 # --server mail.example.org
echo secret-Pw1 >"$HOME/password"
exec 3<"$HOME/password"
exec /usr/bin/sieve-connect --server localhost --port $((BASE + 7)) --4 --passwordfd 3 \\
	--tlscafile "$DIR/tls/cert.pem" "$@"
""",
    "sa-learn": 'for last; do :; done; [ "$last" = --sync ] || [ -d "$last/cur" ]\n',
    "postmap": 'echo unused\n',
    "journalctl": 'for unit; do case $unit in sanger-\\*) ;; sanger-*) [ -e "$TOP/admin/systemd/${unit%.service}.service" ] ||\n'
                  '\t{ echo "no unit $unit" >&2; exit 1; } ;; esac; done\ncat "$DIR"/log/*.log\n',
    "systemctl": """
verb= units=
for word; do
	case $word in
	-*) ;;
	*.timer | *.target | *.service | sanger*) units="$units $word" ;;
	*) verb=$word ;;
	esac
done
for unit in $units; do
	case $unit in *.*) ;; *) unit=$unit.service ;; esac
	case $unit in sanger-*.service | sanger-*.timer | sanger.target) ls "$TOP/admin/systemd/"$unit >/dev/null ;; esac
	[ $? -eq 0 ] || exit 1
	case $verb:$unit in
	*.timer | *:sanger-publish.service | *:sanger-backup.service | *:sanger-cleanup.service) ;;
	reload:* | start:* | stop:* | restart:*) "$TOP/admin/instance" "$verb" "$DIR" || exit 1 ;;
	enable:* | disable:* | status:* | is-active:* | list-timers:* | daemon-reload:* | mask:* | unmask:*) ;;
	*) echo "systemctl $verb $unit: what is that?" >&2; exit 1 ;;
	esac
done
""",
    "replace": 'printf "%s\\t%s\\n" "$1" "$2" >>"$WORK/../replacements"\n',
    # deliver ADDRESS [FILE]
    "deliver": 'exec "$SANGER_BIN/lda" -c "$DIR/sanger.conf" -f sender@example.net -d "$1" <"${2:-message.eml}"\n',
}


class Kitchen:
    """An instance and the directory where its recipes are tried."""

    def __init__(self, instance):
        self.instance = instance
        self.top = instance.temp / "howto"
        self.stubs = self.top / "bin"
        self.stubs.mkdir(parents=True)
        for name, text in STUBS.items():
            (self.stubs / name).write_text("#!/bin/bash\n" + text)
            (self.stubs / name).chmod(0o755)
        self.took = []  # seconds and lines of the blocks
        self.replacements = self.top / "replacements"
        (self.top / "sanger-relay").mkdir()
        instance.own(self.top)
        self.set_in_conf(f"[publish]\ndir = {instance.dir}/publish\n")
        self.conf = instance.conf().read_text()

    def paths(self):
        """What stands in recipes, and what it is here; the longest first."""
        i = self.instance
        there = f"127.0.0.1:{i.imaps}"
        return {
            "/usr/share/doc/sanger": TOP / "doc", "/etc/sanger/sanger.conf": i.conf(),
            "/etc/sanger": i.dir, "/var/lib/sanger": i.dir, "/srv/mail": i.dir,
            "/var/lib/sanger-relay": self.top / "sanger-relay",
            "/var/lib/spam-training": self.top / "spam-training",
            "/srv/backup/sanger": i.temp / "howto-backup",
            "admin/instance": TOP / "admin/instance",
            "127.0.0.1:8025": f"127.0.0.1:{i.base + 8}",
            "/etc/letsencrypt": self.top / "letsencrypt", "relay.example.org:25": i.relays[0],
            "192.0.2.10:24": f"127.0.0.1:{i.lmtp}", "192.0.2.25": "127.0.0.1",
            "mail.example.org:993": there, "mail.example.org:465": f"127.0.0.1:{i.submissions}",
            "mail.example.org:587": f"127.0.0.1:{i.submission}",
            "mail.example.org:4190": f"127.0.0.1:{i.sieve}",
            "mail.example.org:143": f"127.0.0.1:{i.imap}",
        }

    def here(self, text):
        words = {k: str(v) for k, v in self.paths().items()}
        if self.replacements.exists():
            words.update(line.split("\t", 1) for line in self.replacements.read_text().splitlines())
        longest = sorted(words, key=len, reverse=True)
        found = re.compile("|".join(rf"(?<![\w/.-]){re.escape(w)}(?!\d)" for w in longest))
        # what `replace` is to replace stays as it is
        return re.sub(r"^(\s*replace \S+)?(.*)$",
                      lambda m: (m[1] or "") + found.sub(lambda word: words[word[0]], m[2]), text, flags=re.M)

    def shell(self, block, work):
        env = dict(self.instance.environment(), PATH=f"{self.stubs}:{os.environ['PATH']}", TOP=str(TOP),
                   DIR=str(self.instance.dir), WORK=str(work), HOME=str(work), RSYNC_RSH=str(self.stubs / "ssh"),
                   LC_ALL="C.UTF-8", BASE=str(self.instance.base))
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(block.text)], cwd=work, env=env, timeout=BLOCK_LIMIT_S,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)

    def set_in_conf(self, text):
        """Puts settings where a person would: in their section, instead of what they were."""
        lines, section, new = self.instance.conf().read_text().split("\n"), None, {}
        for line in self.here(text).split("\n"):
            if re.fullmatch(r"\[\w+\]", line):
                section = line
            elif "=" in line and line.lstrip()[0] not in "#;":
                assert section, f"a setting without its [section]: {line}"
                new.setdefault((section, line.split("=")[0].strip()), []).append(line)
        kept, section = [], None
        for line in lines:
            section = line if line.startswith("[") else section
            if (section, line.split("=")[0].strip()) not in new:
                kept.append(line)
        for (section, _), values in new.items():
            if section not in kept:
                kept += ["", section]
            at = kept.index(section) + 1
            kept[at:at] = values
        self.write_conf("\n".join(kept))

    def write_conf(self, text):
        """In place: owner and mode stay."""
        self.instance.conf().write_text(text)

    def settings(self, block, work):
        self.set_in_conf(block.text)
        return self.shell(dataclasses.replace(block, text="mailadmin config check"), work)

    def sieve(self, block, work):
        (work / "block.sieve").write_text(block.text)
        return self.shell(dataclasses.replace(block, text="mailadmin filter check block.sieve"), work)

    def tidy(self):
        """No account and no mail tree stays but those of ann and bob, who are there for the next section."""
        kept = {"ann@example.org", "bob@example.org"}
        for row in self.instance.admin_json("account", "list"):
            if row["address"] not in kept:
                self.instance.admin("account", "delete", row["address"])
            elif not row["active"]:
                self.instance.admin("account", "set", row["address"], "--active", "yes")
        for tree in (self.instance.dir / "mail").glob("*/*"):
            if f"{tree.name}@{tree.parent.name}" not in kept:
                shutil.rmtree(tree)

    def run(self, section):
        """What went wrong, as text; None if nothing did."""
        work = self.top / re.sub(r"\W+", "-", section.title.lower())
        work.mkdir()
        work.chmod(0o755)
        self.replacements.unlink(missing_ok=True)
        for name, headers in (("message.eml", ""), ("spam.eml", "X-Spam-Score: 9.1\r\n")):
            (work / name).write_bytes(headers.encode() + bytes(make_message("ann@example.org")))
        how = {"sh": self.shell, "test": self.shell, "ini": self.settings, "sieve": self.sieve}
        try:
            for block in section.blocks:
                begun = time.monotonic()
                if block.reason or block.language == "text":
                    continue
                done = how[block.language](block, work)
                self.took.append((time.monotonic() - begun, block.line))
                if done.returncode != 0:
                    return (f"doc/howto.md:{block.line}: exit {done.returncode} ({section.title})\n"
                            f"{block.text}---\n{done.stdout.decode(errors='replace')[-3000:]}")
        except (AssertionError, subprocess.TimeoutExpired) as error:
            return f"doc/howto.md:{block.line}: {error}"
        finally:
            self.write_conf(self.conf)
            self.tidy()
            shutil.rmtree(work, ignore_errors=True)
        return None
