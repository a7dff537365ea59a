"""A real Dovecot on loopback ports, as the server that was there before, and to compare with."""

import os
import pathlib
import pwd
import shutil
import imaplib
import socket
import ssl
import subprocess

from sanger import PORTS_PER_INSTANCE, free_ports, release_ports, run, temp_dir, wait_for

CONFIG = """
protocols = imap lmtp
base_dir = {dir}/run
log_path = {dir}/log
listen = 127.0.0.1
ssl = required
ssl_cert = <{cert}
ssl_key = <{key}
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
auth_mechanisms = plain
mail_location = maildir:{mail}/%d/%n
mail_fsync = always
mail_max_userip_connections = 0
maildir_stat_dirs = yes
first_valid_uid = 0
{extra}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={dir}/home/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
  process_limit = 1000
  {login_extra}
}}
service imap {{
  process_limit = 3000
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
  process_min_avail = {lmtp_processes}
  user = {mail_user}
}}
service anvil {{
  chroot =
  client_limit = 5000
}}
service auth {{
  client_limit = 5000
}}
service stats {{
  chroot =
}}
service indexer-worker {{
  user = {mail_user}
}}
protocol lmtp {{
  postmaster_address = postmaster@example.org
}}
namespace inbox {{
  inbox = yes
  separator = {separator}
  prefix = {prefix}
}}
"""


class Dovecot:
    """A context manager; any user name with `password` may log in.  `mail` is the tree to serve."""

    def __init__(self, mail=None, password="secret-Pw1", separator=".", prefix="", extra="",
                 login_extra="", lmtp_processes=1):
        self.dir = temp_dir()
        self.base = free_ports(PORTS_PER_INSTANCE)
        self.imaps, self.lmtp = self.base, self.base + 1
        self.mail = pathlib.Path(mail) if mail else self.dir / "mail"
        self.mail.mkdir(exist_ok=True)
        self.password = password
        mail_user = pwd.getpwnam("vmail") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        me = "dovecot" if os.getuid() == 0 else mail_user.pw_name
        for sub in ("run", "home"):
            (self.dir / sub).mkdir()
        if os.getuid() == 0:
            os.chown(self.mail, mail_user.pw_uid, mail_user.pw_gid)
            os.chown(self.dir / "home", mail_user.pw_uid, mail_user.pw_gid)
        self.cert, key = self.dir / "cert.pem", self.dir / "key.pem"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "30", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", self.cert)
        (self.dir / "conf").write_text(CONFIG.format(
            dir=self.dir, mail=self.mail, cert=self.cert, key=key, port=self.imaps, lmtp=self.lmtp,
            user=me if os.getuid() else "dovenull", group="dovenull" if os.getuid() == 0 else me,
            uid=mail_user.pw_uid, gid=mail_user.pw_gid, mail_user=mail_user.pw_name,
            password=password, separator=separator, prefix=prefix, extra=extra,
            login_extra=login_extra, lmtp_processes=lmtp_processes))
        self.process = None

    def __enter__(self):
        self.process = subprocess.Popen(
            ["dovecot", "-F", "-c", str(self.dir / "conf")], stdin=subprocess.DEVNULL,
            start_new_session=True)

        def answers():
            assert self.process.poll() is None, self.log()
            for port in (self.imaps, self.lmtp):
                try:
                    socket.create_connection(("127.0.0.1", port), 5).close()
                except OSError:
                    return False
            return True
        wait_for(answers, "dovecot to answer")
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            print(f"--- dovecot\n{self.log()[-6000:]}")
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.dir, ignore_errors=True)
        release_ports(self.base, PORTS_PER_INSTANCE)

    def log(self):
        path = self.dir / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def connect(self, user):
        imaplib._MAXLINE = 50_000_000
        client = imaplib.IMAP4_SSL("127.0.0.1", self.imaps, timeout=60,
                                   ssl_context=ssl.create_default_context(cafile=str(self.cert)))
        client.login(user, self.password)
        return client
