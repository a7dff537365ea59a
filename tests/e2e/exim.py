"""A real Exim 4 on loopback ports in a temporary directory: as the relay in front of Sanger (SMTP or
LMTP into the store, callout verification) and as the smarthost behind it (a sink that keeps every
message with its envelope)."""

import email
import email.policy
import os
import pathlib
import pwd
import re
import shutil
import smtplib
import socket
import subprocess

from sanger import PORTS_PER_INSTANCE, TOP, free_ports, release_ports, run, temp_dir, wait_for

EXIM = "/usr/sbin/exim4"

CONFIG = """
primary_hostname = relay.example.net
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/exim.pid
exim_user = {user}
exim_group = {group}
never_users =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
keep_environment =
host_lookup =
rfc1413_query_timeout = 0s
ignore_bounce_errors_after = 1h
smtp_accept_max = 200
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
remote_max_parallel = 8
queue_run_max = 4
log_selector = +smtp_confirmation +all_parents
{tls}
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
dsn_advertise_hosts = {dsn}
message_size_limit = 60M

acl_smtp_rcpt = acl_rcpt
acl_smtp_mail = acl_mail

begin acl
acl_mail:
  {mail_acl}
  accept
acl_rcpt:
  {rcpt_acl}
  accept domains = {store_domain}
         {verify}
  deny   domains = {store_domain}
         message = unknown here
  accept

begin routers
store:
  driver = manualroute
  domains = {store_domain}
  transport = store
  route_list = * 127.0.0.1 byname
  self = send
sink:
  driver = accept
  transport = sink

begin transports
store:
  driver = smtp
  port = {store_port}
  protocol = {protocol}
  hosts_avoid_tls = {avoid_tls}
  connection_max_messages = 50
  message_linelength_limit = 1000000
sink:
  driver = appendfile
  directory = {dir}/sink
  maildir_format
  envelope_to_add
  return_path_add
  create_directory
  user = {user}
  group = {group}

begin retry
* * F,1d,{retry}
"""


class Exim:
    """A context manager.  `store` is None (everything goes to the sink) or (protocol, port)."""

    def __init__(self, store=None, domain="example.org", callout=False, tls=None, retry="2s",
                 mail_acl="", rcpt_acl="", dsn="*", start=True):
        user = self._make_directory()
        tls_lines = "tls_advertise_hosts ="
        if tls is not None:
            shutil.copy(tls[0], self.dir / "cert.pem")
            shutil.copy(tls[1], self.dir / "key.pem")
            if os.getuid() == 0:
                os.chown(self.dir / "key.pem", user.pw_uid, user.pw_gid)
            (self.dir / "cert.pem").chmod(0o644)
            tls_lines = (f"tls_advertise_hosts = *\ntls_certificate = {self.dir}/cert.pem\n"
                         f"tls_privatekey = {self.dir}/key.pem")
        self.conf = self.dir / "exim.conf"
        protocol, port = store if store else ("smtp", 9)
        self.conf.write_text(CONFIG.format(
            dir=self.dir, user=user.pw_name, group=user.pw_gid, port=self.port,
            store_domain=domain if store else "nothing.invalid", store_port=port,
            protocol=protocol, tls=tls_lines, avoid_tls="", retry=retry, dsn=dsn,
            verify="verify = recipient/callout=20s,no_cache" if callout else "",
            mail_acl=mail_acl, rcpt_acl=rcpt_acl))
        self.conf.chmod(0o644)
        self.args = ["-C", str(self.conf)]
        self.daemon = None
        self.start_at_once = start

    def _make_directory(self):
        """Directory and port, as the daemon's user needs them; returns that user."""
        self.dir = temp_dir()
        self.base = free_ports(PORTS_PER_INSTANCE)
        self.port = self.base
        user = pwd.getpwnam("Debian-exim") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        for sub in ("spool", "log", "sink"):
            (self.dir / sub).mkdir()
            if os.getuid() == 0:
                os.chown(self.dir / sub, user.pw_uid, user.pw_gid)
        if os.getuid() == 0:
            os.chown(self.dir, user.pw_uid, user.pw_gid)
        return user

    def __enter__(self):
        if self.start_at_once:
            self.start()
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for name in (self.dir / "log").glob("*log"):
                print(f"--- exim {name.name}\n{name.read_text(errors='replace')[-6000:]}")
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)
        release_ports(self.base, PORTS_PER_INSTANCE)

    def start(self):
        out = open(self.dir / "log" / "stderrlog", "ab")
        self.daemon = subprocess.Popen(
            [EXIM, *self.args, "-bdf", "-q2s"], stdin=subprocess.DEVNULL, stdout=out,
            stderr=out, start_new_session=True)
        out.close()

        def answers():
            assert self.daemon.poll() is None, (self.dir / "log" / "stderrlog").read_text()
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                    return s.recv(3) == b"220"
            except OSError:
                return False
        wait_for(answers, "exim to answer")

    def stop(self):
        if self.daemon is None:
            return
        try:
            os.killpg(self.daemon.pid, 15)
        except ProcessLookupError:
            pass
        self.daemon.wait(30)
        subprocess.run(["pkill", "-KILL", "-f", str(self.conf)], check=False)
        self.daemon = None

    def address(self):
        return f"127.0.0.1:{self.port}"

    def log(self):
        path = self.dir / "log" / "mainlog"
        return path.read_text(errors="replace") if path.exists() else ""

    def queued(self):
        """How many messages wait in its queue."""
        return int(run(EXIM, *self.args, "-bpc").stdout)

    def run_queue(self):
        run(EXIM, *self.args, "-qff")

    def send(self, sender, recipients, message):
        """Hands one message in by SMTP, as the organisation's other hosts do."""
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as client:
            return client.sendmail(sender, recipients, message)

    def received(self):
        """The messages in the sink, parsed; Return-path and Envelope-to carry the envelope."""
        files = sorted(p for sub in ("new", "cur") for p in (self.dir / "sink" / sub).glob("*"))
        return [email.message_from_bytes(p.read_bytes(), policy=email.policy.default)
                for p in files]

    def received_raw(self):
        return [p.read_bytes() for sub in ("new", "cur")
                for p in sorted((self.dir / "sink" / sub).glob("*"))]

    def wait_received(self, count):
        wait_for(lambda: len(self.received()) >= count, f"{count} messages at the relay")
        return self.received()


class ShippedExim(Exim):
    """Exim with one of the files that doc/relay ships, byte for byte.  `site` are the macros of
    sanger-site.conf; only paths, the port and what depends on the machine's load are preset."""

    def __init__(self, name, site=(), tls=None, start=True):
        user = self._make_directory()
        self.conf = self.dir / "exim4.conf"
        self.site_file = self.dir / "sanger-site.conf"
        self.args = ["-C", str(self.conf), f"-DSITE_CONF={self.site_file}"]
        self.daemon = None
        self.start_at_once = start
        shutil.copyfile(TOP / "doc/relay" / name, self.conf)
        self.conf.chmod(0o644)
        for which, target in zip(tls or (), ("exim.crt", "exim.key")):
            shutil.copy(which, self.dir / target)
            (self.dir / target).chmod(0o640)
            if os.getuid() == 0:
                os.chown(self.dir / target, 0, user.pw_gid)
        macros = {
            "SITE_CERTIFICATE": self.dir / "exim.crt", "SITE_PRIVATE_KEY": self.dir / "exim.key",
            "SITE_QUEUE_LOAD": "1000", "SITE_RESERVE_LOAD": "1000", "SITE_SPOOL_RESERVE": "1M",
            "SITE_RETRY": "F,1d,2s",
        }
        if name == "exim-primary.conf":
            macros |= {"SITE_DELIVER_LOAD": "1000", "SITE_BULK_RETRY": "F,1d,2s"}
        preset = re.findall(r"^(SITE_\w+) *=", self.conf.read_text(), re.MULTILINE)
        lines = [f"{k} {'==' if k in preset else '='} {v}"
                 for k, v in (macros | dict(site)).items()]
        lines += [
            f"spool_directory = {self.dir}/spool", f"log_file_path = {self.dir}/log/%slog",
            f"pid_file_path = {self.dir}/exim.pid", f"exim_user = {user.pw_name}",
            f"exim_group = {user.pw_gid}", "never_users =", "local_interfaces = 127.0.0.1",
            f"daemon_smtp_ports = {self.port}", "keep_environment =", "host_lookup =",
            "rfc1413_query_timeout = 0s",
        ]
        self.site_file.write_text("\n".join(lines) + "\n")
        self.site_file.chmod(0o644)

    def client(self, source="127.0.0.1"):
        """An SMTP client that comes from another of the loopback addresses."""
        return smtplib.SMTP("127.0.0.1", self.port, timeout=60, source_address=(source, 0),
                            local_hostname="client.example.net")

    def verify(self, address):
        """exim -bt: how an address is routed, as the README shows it."""
        return run(EXIM, *self.args, "-bt", address, check=False).stdout.decode()
