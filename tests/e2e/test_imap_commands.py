"""Every command of the table in every state, and with arguments that are wrong: always a tagged answer."""

import re

from imap_wire import Wire, trusting
from sanger import TOP

ROW = re.compile(r'const struct imap_command imap_cmd_\w+ = \{(.*?)\n\};', re.DOTALL)
STATES = {"IMAP_CLEAR": 1, "IMAP_UNAUTHENTICATED": 2, "IMAP_AUTHENTICATED": 4, "IMAP_SELECTED": 8}
WRONG = ["", " ", " (", " )", ' "', ' "open', " 0", " NIL", " ()", " (())", " {3+}\r\nabc", " ~{3+}\r\na\0b", " {0+}\r\n", " x y z w v u t",
         ' "" "" "" "" ""', " \\Seen", " 1:*:2 x", " 1 (", " 1 FLAGS (", " INBOX (", " INBOX INBOX INBOX INBOX", " *", " %", " $ $ $", " \x01",
         " \xe4", " ((((((((((", " RETURN", " RETURN (", " () () ()", " 4294967296", " -1", " INBOX {x}", " " + "a" * 3000]


def rows():
    """(name, states, may be said with UID) of all commands, as the server's own table has them."""
    found = {}
    for path in sorted((TOP / "imapd").glob("*.c")):
        for row in ROW.findall(path.read_text()):
            states = re.search(r"\.states = ([^,}]*)", row)[1]
            bits = 15 if "IMAP_ANY_STATE" in states else sum(bit for name, bit in STATES.items() if re.search(rf"\b{name}\b", states))
            found[re.search(r'\.name = "(\w+)"', row)[1]] = (bits, "IMAP_CMD_UID" in row)
    return found


def answers(wire, commands):
    """The tagged answers; a NOOP between keeps the count of bad ones in a row low."""
    for command in commands:
        yield command, wire.ask(command.encode("latin-1"))[-1].decode(errors="replace")
        wire.ok("NOOP")


def test_wrong_states(shared_instance):
    i = shared_instance
    address = i.add_account("states@example.org")
    table = rows()
    assert len(table) > 30 and "FETCH" in table and table["FETCH"][0] == 8
    with Wire(i.imap) as clear, Wire(i.imaps, trusting()) as before, Wire(i.imaps, trusting()) as after, Wire(i.imaps, trusting()) as selected:
        for wire in (after, selected):
            wire.login(address, i.accounts[address])
        selected.ok("SELECT INBOX")
        for wire, bit in ((clear, 1), (before, 2), (after, 4), (selected, 8)):
            names = [name for name, (states, _) in table.items() if not states & bit]
            names += ["UID " + name for name, (states, uid) in table.items() if not uid or not states & bit]
            names += ["XLIST", "UID", "FOO-BAR", "PROXYAUTH"]
            for command, said in answers(wire, names):
                assert said.startswith("BAD ") or said.startswith("NO [PRIVACYREQUIRED]"), (command, bit, said)


def test_wrong_arguments(shared_instance):
    i = shared_instance
    address = i.add_account("arguments@example.org")
    leave = {"LOGOUT", "IDLE", "STARTTLS", "AUTHENTICATE", "LOGIN", "UNAUTHENTICATE", "COMPRESS", "CLOSE", "UNSELECT"}
    with Wire(i.imaps, trusting()) as wire:
        wire.login(address, i.accounts[address])
        wire.append("INBOX", b"Subject: x\r\n\r\nx\r\n")
        for name, (states, uid) in sorted(rows().items()):
            if name in leave or not states & 12:
                continue
            for verb in [name, f"UID {name}"] if uid else [name]:
                for argument in WRONG:
                    wire.ask("SELECT INBOX" if states & 8 else "UNSELECT")
                    said = wire.ask((verb + argument).encode("latin-1"))[-1]
                    assert re.match(rb"(OK|NO|BAD)\b", said), (verb, argument, said)
        assert b"* STATUS INBOX (MESSAGES 1)" in wire.ok("STATUS INBOX (MESSAGES)")
