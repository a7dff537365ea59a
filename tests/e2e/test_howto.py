"""doc/howto.md: every command block does what it says.  SANGER_HOWTO="A user has left|Upgrade" tries those sections."""

import os
import re
import subprocess

import pytest

from howto import Kitchen, commands_in_text, read_sections
from relay import Relay
from sanger import BIN, TOP, Instance, make_message, wait_for

TEXT = (TOP / "doc" / "howto.md").read_text()
SECTIONS = read_sections(TEXT)
SETTINGS = {"submitd.retry_first": "1h", "submitd.relay_tls": "none"}
NOT_RUN_MAX = 8  # blocks; each says why


@pytest.mark.once
def test_every_recipe_works():
    with Relay() as relay, Instance(relay=relay.address(), settings=SETTINGS) as i:
        relay.later = "later"  # so that something waits
        for name in ("ann", "bob"):
            i.add_account(f"{name}@example.org")
        i.deliver("ann@example.org")
        with i.connect_submission("ann@example.org") as client:
            client.sendmail("ann@example.org", ["later@example.net"], bytes(make_message("later@example.net")))
        wait_for(lambda: (q := i.admin_json("queue", "list")) and not q[0]["claimed"], "the first attempt")
        kitchen = Kitchen(i)
        wanted = os.environ.get("SANGER_HOWTO")
        wrong = [kitchen.run(s) for s in SECTIONS if wanted is None or s.title in wanted.split("|")]
        print("slowest:", *(f"line {line}: {s:.1f} s" for s, line in sorted(kitchen.took, reverse=True)[:8]))
    wrong = [w for w in wrong if w]
    assert not wrong, "\n\n".join(wrong)


def test_little_is_not_run_and_it_says_why():
    left_out = [b for s in SECTIONS for b in s.blocks if b.reason]
    assert len(left_out) <= NOT_RUN_MAX
    assert all(len(b.reason) > 10 for b in left_out)


def anchor(title):
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_contents_name_each_section():
    listed = re.findall(r"^ *[*-] .*?\[(.*?)\]\(#(.*?)\)", TEXT, re.M)
    assert [(s.title, anchor(s.title)) for s in SECTIONS] == listed


def test_commands_in_the_text_are_there():
    for line, words in commands_in_text(TEXT):
        for command in (words[:2], words[:1]):
            done = subprocess.run([BIN / "mailadmin", *command, "--help"], capture_output=True, check=False)
            if done.returncode == 0:
                break
        assert done.returncode == 0, f"doc/howto.md:{line}: mailadmin {' '.join(words)}"


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)", TEXT):
        if "://" not in target:
            assert (TOP / "doc" / target).exists(), target
    there = {anchor(s.title) for s in SECTIONS}
    for target in re.findall(r"\]\(#([^)]+)\)", TEXT):
        assert target in there, target


def test_no_unit_is_unknown():
    """What recipes say to systemctl exists: run by the stub only in blocks, here in the text too."""
    units = {p.name for p in (TOP / "admin" / "systemd").iterdir()}
    for name in re.findall(r"\bsanger-[a-z]+\.(?:service|timer)\b", TEXT):
        assert name in units, name
