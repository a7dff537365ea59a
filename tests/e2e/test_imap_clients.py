"""More real mail clients: neomutt, offlineimap, imapfilter, imaplib, Mail::IMAPClient, Horde, asyncio; and the command patterns, not recorded but from knowledge, of those
that do not run here: Apple Mail, K-9 and Outlook."""

import asyncio
import base64
import os
import re
import ssl

import pytest

from imap_wire import Wire, trusting
from sanger import make_message, run, run_on_screen, wait_for

pytestmark = pytest.mark.once


def account(i, name, count=0):
    address = i.add_account(f"{name}@example.org")
    if count:
        with Wire(i.imaps, trusting()) as wire:
            wire.login(address, i.accounts[address])
            for n in range(count):
                assert wire.append("INBOX", bytes(make_message(address, subject=f"number {n}"))).startswith(b"OK")
    return address


def test_neomutt(shared_instance, tmp_path):
    i = shared_instance
    address = account(i, "neo")
    i.deliver(address, subject="for neomutt", body="Read by neomutt.\n")
    (tmp_path / "muttrc").write_text(f"""
set folder = "imaps://localhost:{i.imaps}"
set spoolfile = "imaps://localhost:{i.imaps}/INBOX"
set imap_user = "{address}"
set imap_pass = "{i.accounts[address]}"
set imap_idle = yes
set imap_qresync = yes
set imap_condstore = yes
set imap_check_subscribed = yes
set certificate_file = "{i.dir}/tls/cert.pem"
set ssl_force_tls = yes
set confirmappend = no
set delete = yes
unset wait_key
push "<pipe-message>cat > {tmp_path}/read<enter><copy-message>=Archive<enter><tag-pattern>~A<enter><flag-message><sync-mailbox><delete-message><quit>"
""")
    run_on_screen(f"neomutt -n -F {tmp_path}/muttrc", tmp_path)
    assert "Read by neomutt." in (tmp_path / "read").read_text()
    with Wire(i.imaps, trusting()) as wire:
        wire.login(address, i.accounts[address])
        assert b"* STATUS INBOX (MESSAGES 0)" in wire.ok("STATUS INBOX (MESSAGES)")
        assert b"* STATUS Archive (MESSAGES 1)" in wire.ok("STATUS Archive (MESSAGES)")


def test_offlineimap(shared_instance, tmp_path):
    i = shared_instance
    address = account(i, "offline", 12)
    (tmp_path / "rc").write_text(f"""
[general]
accounts = a
metadata = {tmp_path}/meta
[Account a]
localrepository = near
remoterepository = far
[Repository near]
type = Maildir
localfolders = {tmp_path}/mail
[Repository far]
type = IMAP
remotehost = localhost
remoteport = {i.imaps}
ssl = yes
sslcacertfile = {i.dir}/tls/cert.pem
remoteuser = {address}
remotepass = {i.accounts[address]}
""")

    def sync():
        run("offlineimap", "-o", "-c", tmp_path / "rc", "-u", "basic", env=dict(os.environ, HOME=str(tmp_path)))

    def near(folder="INBOX"):
        return sorted(p for sub in ("new", "cur") for p in (tmp_path / "mail" / folder / sub).glob("*"))

    sync()
    assert len(near()) == 12
    with Wire(i.imaps, trusting()) as wire:
        wire.login(address, i.accounts[address])
        wire.ok("SELECT INBOX")
        wire.ok("STORE 1:3 +FLAGS (\\Flagged)")
        wire.ok("STORE 4 +FLAGS (\\Deleted)")
        wire.ok("EXPUNGE")
    files = near()
    files[-1].unlink()
    (tmp_path / "mail" / "INBOX" / "cur" / "1.2.host:2,S").write_bytes(bytes(make_message(subject="from the client")))
    sync()
    with Wire(i.imaps, trusting()) as wire:
        wire.login(address, i.accounts[address])
        wire.ok("SELECT INBOX")
        assert wire.ok("SEARCH RETURN (COUNT) ALL")[0].endswith(b" COUNT 11")
        assert wire.ok('SEARCH RETURN (COUNT) SEEN SUBJECT "from the client"')[0].endswith(b" COUNT 1")
    assert len(near()) == 11
    assert sum("F" in p.name.rpartition(",")[2] for p in near()) == 3


def test_imaplib_with_everything(shared_instance):
    i = shared_instance
    address = account(i, "lib", 3)
    client = i.connect_imap(address)
    assert client.enable("CONDSTORE")[0] == "OK"
    assert client.select("INBOX") == ("OK", [b"3"])
    assert client.sort("(REVERSE DATE)", "UTF-8", "ALL")[0] == "OK"
    assert client.thread("REFERENCES", "UTF-8", "ALL")[0] == "OK"
    assert client.uid("SEARCH", None, "SUBJECT", '"number 1"') == ("OK", [b"2"])
    client.literal = "number 2".encode()
    assert client.uid("SEARCH", "CHARSET", "UTF-8", "SUBJECT") == ("OK", [b"3"])
    assert client.getquotaroot("INBOX")[0] == "OK"
    assert client.myrights("INBOX")[0] == "OK"
    assert client.namespace()[0] == "OK"
    assert client.fetch("1:*", "(FLAGS)")[0] == "OK"
    assert client.uid("MOVE", "1", "Archive")[0] == "OK"
    assert client.expunge()[0] == "OK"
    assert client.status("Archive", "(MESSAGES UIDNEXT)")[1] == [b"Archive (MESSAGES 1 UIDNEXT 2)"]
    assert client.unselect()[0] == "OK"
    client.logout()


def subjects(i, address, mailbox):
    """{UID: (subject, flags)} as the server has them."""
    with Wire(i.imaps, trusting()) as wire:
        wire.login(address, i.accounts[address])
        wire.ok(f"EXAMINE {mailbox}")
        return {int(re.search(rb"UID (\d+)", x)[1]): (re.search(rb"Subject: ([^\r]*)", x)[1].decode(),
                                                     set(re.search(rb"FLAGS \(([^)]*)\)", x)[1].decode().split()) - {"\\Recent"})
                for x in wire.ok("UID FETCH 1:* (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])") if b" FETCH " in x}


def test_imapfilter(shared_instance, tmp_path):
    i = shared_instance
    address = account(i, "filter", 6)
    (tmp_path / "config.lua").write_text(f"""
options.hostnames = false
options.create = true
options.subscribe = true
a = IMAP {{ server = 'localhost', port = {i.imaps}, username = '{address}', password = '{i.accounts[address]}', ssl = 'auto' }}
found = a.INBOX:contain_subject('number') * a.INBOX:is_unseen() * a.INBOX:is_smaller(100000) * a.INBOX:is_newer(3)
assert(#found == 6)
found = a.INBOX:contain_subject('number 1') + a.INBOX:contain_subject('number 2')
found:mark_flagged()
found:add_flags({{'work'}})
assert(#a.INBOX:has_keyword('work') == 2)
found:copy_messages(a['Kopie/unter'])
a.INBOX:contain_subject('number 3'):move_messages(a['Umzug & co'])
a.INBOX:match_subject('number 4'):delete_messages()
a['Kopie/unter']:append_message('Subject: appended\\r\\n\\r\\nhi\\r\\n')
a:create_mailbox('Neu'); a:rename_mailbox('Neu', 'Neuer'); a:delete_mailbox('Neuer')
""")
    run("imapfilter", "-t", i.dir / "tls" / "cert.pem", "-c", tmp_path / "config.lua", env=dict(os.environ, HOME=str(tmp_path)))
    flagged = {"\\Flagged", "work"}
    inbox = subjects(i, address, "INBOX")
    assert [inbox[uid][0] for uid in sorted(inbox)] == ["number 0", "number 1", "number 2", "number 5"]
    assert inbox[2][1] >= flagged and inbox[3][1] >= flagged
    assert sorted(subject for subject, _ in subjects(i, address, "Kopie/unter").values()) == ["appended", "number 1", "number 2"]
    assert [subject for subject, _ in subjects(i, address, '"Umzug &- co"').values()] == ["number 3"]


def test_mail_imapclient(shared_instance):
    """Perl's Mail::IMAPClient."""
    i = shared_instance
    address = account(i, "perl", 6)
    run("perl", "-MMail::IMAPClient", "-we", """
my ($port, $user, $password) = @ARGV;
my $c = Mail::IMAPClient->new(Server => 'localhost', Port => $port, User => $user, Password => $password,
                              Ssl => [SSL_verify_mode => 0], Peek => 1) or die $@;
sub ok { my ($what, $result) = @_; defined $result or die "$what: " . $c->LastError; $result }
ok(compress => $c->compress);
ok(select => $c->select('INBOX'));
ok(idle => my $idle = $c->idle);
ok(done => $c->done($idle));
$c->unseen_count == 6 or die 'unseen';
my @found = $c->search('SUBJECT "number"');
"@found" eq '1 2 3 4 5 6' or die "@found";
join(' ', $c->sort('REVERSE SUBJECT', 'UTF-8', 'ALL')) eq '6 5 4 3 2 1' or die 'sort';
ok(thread => $c->thread('REFERENCES', 'UTF-8', 'ALL'));
ok(envelope => $c->get_envelope(2))->subject eq 'number 1' or die 'envelope';
lc ok(structure => $c->get_bodystructure(2))->bodytype eq 'text' or die 'structure';
length(ok(message => $c->message_string(3))) == $c->size(3) or die 'size';
ok(create => $c->create('Neu/unter'));
ok(copy => $c->copy('Neu/unter', 1, 2));
ok(move => $c->move('Neu/unter', 3));
ok(append => $c->append_string('Neu/unter', "Subject: x\r\n\r\nhello\r\n", '\\Seen'));
ok(flag => $c->set_flag('Flagged', 4));
ok(delete => $c->delete_message(5));
ok(expunge => $c->expunge);
ok(quota => $c->getquotaroot('INBOX'));
ok(rename => $c->rename('Neu/unter', 'Neu/drunter'));
ok(close => $c->close);
ok(logout => $c->logout);
""", i.imaps, address, i.accounts[address])
    inbox = subjects(i, address, "INBOX")
    assert sorted(inbox) == [1, 2, 4, 6] and inbox[4][1] >= {"\\Flagged"}
    assert [x[0] for _, x in sorted(subjects(i, address, "Neu/drunter").items())] == ["number 0", "number 1", "number 2", "x"]


def test_horde(shared_instance, tmp_path):
    """PHP's Horde_Imap_Client, which uses more of the extensions than most."""
    i = shared_instance
    address = account(i, "horde", 6)
    (tmp_path / "client.php").write_text(r"""<?php
error_reporting(E_ALL & ~E_DEPRECATED);
spl_autoload_register(function ($class) {
    $path = '/usr/share/php/' . strtr($class, '_\\', '//') . '.php';
    if (is_file($path)) require_once $path;
});
[, $port, $user, $password] = $argv;
$c = new Horde_Imap_Client_Socket(['username' => $user, 'password' => $password, 'hostspec' => 'localhost', 'port' => $port,
    'secure' => 'ssl', 'context' => ['ssl' => ['verify_peer' => false, 'verify_peer_name' => false]], 'id' => ['name' => 'Horde'],
    'cache' => ['backend' => new Horde_Imap_Client_Cache_Backend_Null()]]);
function same($what, $got, $wanted) { if ($got != $wanted) throw new Exception("$what: " . json_encode($got)); }
function ids($list) { return new Horde_Imap_Client_Ids($list); }
$listed = $c->listMailboxes('*', Horde_Imap_Client::MBOX_SUBSCRIBED_EXISTS, ['attributes' => true, 'special_use' => true, 'recursivematch' => true]);
same('list', $listed['Sent']['attributes'], ['\\hasnochildren', '\\subscribed', '\\sent']);
$c->openMailbox('INBOX', Horde_Imap_Client::OPEN_READWRITE);
same('status', $c->status('INBOX', Horde_Imap_Client::STATUS_MESSAGES | Horde_Imap_Client::STATUS_HIGHESTMODSEQ)['messages'], 6);
$query = new Horde_Imap_Client_Search_Query();
$query->headerText('Subject', 'number');
$query->flag('\\Seen', false);
same('sort', (string)$c->search('INBOX', $query, ['sort' => [Horde_Imap_Client::SORT_REVERSE, Horde_Imap_Client::SORT_SUBJECT]])['match'], '6,5,4,3,2,1');
same('thread', count($c->thread('INBOX', ['criteria' => Horde_Imap_Client::THREAD_REFS])->messageList()), 6);
$fetch = new Horde_Imap_Client_Fetch_Query();
foreach (['structure', 'envelope', 'flags', 'imapDate', 'size', 'modseq'] as $item) $fetch->$item();
$fetch->fullText(['peek' => true]);
$fetch->bodyPart('1', ['peek' => true, 'decode' => true]);
foreach ($c->fetch('INBOX', $fetch) as $uid => $data) same('size', strlen($data->getFullMsg()), $data->getSize());
$token = $c->getSyncToken('INBOX');
$c->store('INBOX', ['add' => ['\\Flagged', '$Label1'], 'ids' => ids('1:2')]);
same('unchanged since', (string)$c->store('INBOX', ['add' => ['\\Seen'], 'ids' => ids('1'), 'unchangedsince' => 1]), '1');
$c->createMailbox('Neu & ältere');
same('append', (string)$c->append('Neu & ältere', [
    ['data' => "Subject: ü

" . str_repeat("hello
", 20), 'flags' => ['\\Seen']],
    ['data' => [['t' => 'text', 'v' => "Subject: cat
X-Long: " . str_repeat('x', 100) . "

"], ['t' => 'url', 'v' => '/INBOX/;UID=1/;SECTION=TEXT']]],
]), '1:2');
same('move', $c->copy('INBOX', 'Neu & ältere', ['ids' => ids('3'), 'move' => true, 'force_map' => true]), [3 => 3]);
$c->store('INBOX', ['add' => ['\\Deleted'], 'ids' => ids('4:5')]);
same('expunge', (string)$c->expunge('INBOX', ['ids' => ids('4'), 'list' => true]), '4');
$sync = $c->sync('INBOX', $token);
same('sync', [(string)$sync->flagsuids, (string)$sync->vanisheduids], ['1:2,5', '3:4']);
$c->setMetadata('INBOX', ['/private/comment' => 'Mein ü']);
same('metadata', $c->getMetadata('INBOX', ['/private/comment']), ['INBOX' => ['/private/comment' => 'Mein ü']]);
same('rights', (string)$c->getMyACLRights('INBOX'), 'lrswipkxtea');
$c->logout();
echo 'done';
""")
    done = run("php", "-d", "display_errors=stderr", tmp_path / "client.php", i.imaps, address, i.accounts[address])
    assert done.stdout == b"done", done.stdout + done.stderr
    inbox = subjects(i, address, "INBOX")
    assert sorted(inbox) == [1, 2, 5, 6] and inbox[1][1] == {"\\Flagged", "$Label1"}


class AsyncClient:
    """One asyncio connection as aioimaplib uses it: tags of letters and digits, synchronising literals,
    IDLE with what is pushed in a queue."""

    async def connect(self, i):
        context = i.tls()
        context.check_hostname = False
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", i.imaps, ssl=context)
        self.count, self.pushed = 0, asyncio.Queue()
        assert (await self.reader.readline()).startswith(b"* OK")
        return self

    async def command(self, text, literal=None):
        self.count += 1
        tag = f"EHNK{self.count}"
        self.writer.write(f"{tag} {text}\r\n".encode())
        lines = []
        while True:
            line = await asyncio.wait_for(self.reader.readline(), 60)
            if line.startswith(b"+") and literal is not None:
                self.writer.write(literal + b"\r\n")
            elif line.startswith(tag.encode()):
                return line.split()[1], lines
            else:
                lines.append(line)

    async def idle(self, until):
        """IDLE until a pushed line begins so; then DONE."""
        self.count += 1
        tag = f"EHNK{self.count}".encode()
        self.writer.write(tag + b" IDLE\r\n")
        assert (await self.reader.readline()).startswith(b"+")
        while True:
            line = await asyncio.wait_for(self.reader.readline(), 60)
            if re.match(until, line):
                break
        self.writer.write(b"DONE\r\n")
        while not line.startswith(tag):
            line = await asyncio.wait_for(self.reader.readline(), 60)
        assert line.startswith(tag + b" OK")


def test_asyncio(shared_instance):
    i = shared_instance
    address = account(i, "aio")

    async def talk():
        clients = [await AsyncClient().connect(i) for _ in range(5)]
        for c in clients:
            assert (await c.command(f"LOGIN {address} {i.accounts[address]}"))[0] == b"OK"
            assert (await c.command("SELECT INBOX"))[0] == b"OK"
        idlers = [asyncio.create_task(c.idle(rb"\* 2 EXISTS")) for c in clients[1:]]
        message = bytes(make_message(address))
        for _ in range(2):
            assert (await clients[0].command(f"APPEND INBOX (\\Seen) {{{len(message)}}}", message))[0] == b"OK"
        await asyncio.gather(*idlers)
        answers = await asyncio.gather(*(c.command("UID FETCH 1:* (UID FLAGS RFC822.SIZE)") for c in clients))
        assert all(status == b"OK" and len([x for x in lines if b" FETCH " in x]) == 2 for status, lines in answers)
        for c in clients:
            await c.command("LOGOUT")
            c.writer.close()
    asyncio.run(talk())


def test_apple_mail(shared_instance):
    """ENABLE QRESYNC, COMPRESS, LIST with special uses, SELECT with what it knows, its own mailboxes."""
    i = shared_instance
    address = account(i, "apple", 6)
    with Wire(i.imaps, trusting()) as wire:
        said = b"".join(wire.ok("CAPABILITY"))
        assert b"AUTH=PLAIN" in said
        plain = base64.b64encode(f"\0{address}\0{i.accounts[address]}".encode()).decode()
        said = b"".join(wire.ask(f"AUTHENTICATE PLAIN {plain}"))
        said += b"".join(wire.ok("CAPABILITY"))
        assert b"QRESYNC" in said and b"COMPRESS=DEFLATE" in said
        wire.compress()
        wire.ok('ID ("name" "Mac OS X Mail" "version" "16.0 (3826.300.87.4.3)" "os" "Mac OS X" "os-version" "15.3" "vendor" "Apple Inc.")')
        assert b"QRESYNC" in wire.ok("ENABLE CONDSTORE QRESYNC")[0]
        wire.ok('LIST "" "*" RETURN (SPECIAL-USE)')
        wire.ok('LIST "" ""')
        wire.ok('CREATE "Notes"')
        wire.ok('SUBSCRIBE "Notes"')
        made = wire.ask('CREATE "Sent Messages" (USE (\\Sent))')[-1]
        assert made.startswith((b"OK", b"NO [USEATTR]")), made
        first = b"\n".join(wire.ok("SELECT INBOX"))
        validity, modseq = re.search(rb"UIDVALIDITY (\d+)", first)[1], re.search(rb"HIGHESTMODSEQ (\d+)", first)[1]
        wire.ok("UID FETCH 1:* (FLAGS UID) (CHANGEDSINCE 1 VANISHED)")
        wire.ok("UID FETCH 1:6 (INTERNALDATE UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (date subject from to cc message-id in-reply-to references "
                "content-type x-priority x-uniform-type-identifier x-universally-unique-identifier list-id list-unsubscribe bimi-indicator)])")
        wire.ok("UID FETCH 2 (BODYSTRUCTURE BODY.PEEK[HEADER])")
        wire.ok("UID FETCH 2 BODY.PEEK[1]<0.10240>")
        wire.ok("UNSELECT")
        with Wire(i.imaps, trusting()) as other:
            other.login(address, i.accounts[address])
            other.ok("SELECT INBOX")
            other.ok("STORE 2 +FLAGS (\\Flagged)")
            other.ok("STORE 5 +FLAGS (\\Deleted)")
            other.ok("EXPUNGE")
        again = wire.ok(f"SELECT INBOX (QRESYNC ({validity.decode()} {modseq.decode()} 1:6))")
        assert b"* VANISHED (EARLIER) 5" in again
        assert any(re.match(rb"\* 2 FETCH \(.*UID 2.*Flagged", line) for line in again)
        wire.ok("STATUS Notes (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)")
        wire.ok("UID STORE 3 +FLAGS.SILENT (\\Seen)")
        assert any(b"VANISHED 3" in line for line in wire.ok("UID MOVE 3 Archive"))
        wire.ok("CLOSE")
        wire.ask("LOGOUT")


def test_k9_reconnects_while_idle(shared_instance):
    """Connections that vanish in the middle of IDLE, one after another, and none of them harms the next."""
    i = shared_instance
    address = account(i, "k9", 2)
    for n in range(9):
        wire = Wire(i.imaps, trusting()).login(address, i.accounts[address])
        wire.ok('ID ("name" "K-9 Mail" "version" "6.8")')
        wire.ok('LIST "" "*"')
        wire.ok('SELECT "INBOX"')
        wire.ok("UID SEARCH 1:* NOT DELETED")
        wire.ok("UID FETCH 1,2 (INTERNALDATE RFC822.SIZE FLAGS ENVELOPE UID)")
        tag = wire.tag()
        wire.send(tag + b" IDLE\r\n")
        assert wire.response().startswith(b"+")
        if n % 3 == 0:
            wire.send(b"DONE\r\n")
            wire.until(tag)
        elif n % 3 == 1:
            wire.send(b"DO")  # cut off
        wire.close()
    with Wire(i.imaps, trusting()) as wire:
        wire.login(address, i.accounts[address])
        wire.ok("SELECT INBOX")
        tag = wire.tag()
        wire.send(tag + b" IDLE\r\n")
        assert wire.response().startswith(b"+")
        i.deliver(address)
        assert wire.response() == b"* 3 EXISTS"
        wire.send(b"DONE\r\n")
        wire.until(tag)
    wait_for(lambda: i.log().count(f"closed user={address}") >= 9, "the sessions to end")


def test_outlook(shared_instance):
    """LOGIN with literals, no LSUB, blanks at the ends of lines."""
    i = shared_instance
    address = account(i, "outlook", 3)
    with Wire(i.imaps, trusting()) as wire:
        wire.ok("CAPABILITY ")
        tag = b"o1x"
        wire.send(tag + b" LOGIN {%d}\r\n" % len(address))
        assert wire.response().startswith(b"+")
        password = i.accounts[address]
        wire.send(address.encode() + b" {%d}\r\n" % len(password))
        assert wire.response().startswith(b"+")
        wire.send(password.encode() + b"\r\n")
        assert wire.until(tag)[-1].startswith(b"OK")
        assert any(b"INBOX" in line for line in wire.ok('LIST "" * '))
        wire.ok('LIST "" "Sent"')
        wire.ok('SELECT "INBOX" ')
        assert len(wire.ok("UID FETCH 1:* (UID  FLAGS)")) == 3
        wire.ok("UID FETCH 1:2 (BODY.PEEK[HEADER] ENVELOPE UID FLAGS RFC822.SIZE INTERNALDATE) ")
        wire.ok("UID FETCH 2 (UID RFC822.SIZE BODY[]<0.65536>)")
        wire.ok("UID STORE 2 +FLAGS.SILENT (\\Deleted \\Seen )")
        message = bytes(make_message(address))
        assert wire.append('"Sent"', message, b'(\\Seen) "02-Mar-2026 10:00:00 +0100" ').startswith(b"OK [APPENDUID")
        wire.ok("EXPUNGE ")
        wire.ok("CHECK")
        wire.ok("NOOP ")
        wire.ask("LOGOUT ")
