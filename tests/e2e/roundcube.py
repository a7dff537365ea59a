"""Roundcube of Debian's packages with the configuration of doc/webmail/, served by php -S in a temporary directory as an
ordinary user."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

from sanger import TOP, free_ports, release_ports, temp_dir, wait_for

PUBLIC = pathlib.Path("/var/lib/roundcube/public_html")
CODE = pathlib.Path("/var/lib/roundcube")


class Roundcube:
    """A context manager; `url` is where it answers."""

    def __init__(self, box):
        self.box = box

    def __enter__(self):
        self.dir = temp_dir()
        self.port = free_ports(10)
        try:
            self.configure()
            self.serve()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if hasattr(self, "server"):
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
        if kind is not None:
            for log in (self.dir / "log").glob("*"):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}")
        shutil.rmtree(self.dir, ignore_errors=True)
        release_ports(self.port, 10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def configure(self):
        """config.inc.php as it is, and site.inc.php with this test's values in its own lines."""
        for name in ("config", "log", "tmp", "data"):
            (self.dir / name).mkdir()
        shutil.copy(TOP / "doc/webmail/config.inc.php", self.dir / "config")
        shutil.copy(CODE / "config/defaults.inc.php", self.dir / "config")
        shutil.copy(CODE / "config/mimetypes.php", self.dir / "config")
        shutil.copy(self.box.dir / "tls" / "cert.pem", self.dir / "ca.pem")
        text = (TOP / "doc/webmail/site.inc.php").read_text()
        for name, value in (("site_host", "'localhost'"), ("site_imaps", self.box.imaps),
                            ("site_submissions", self.box.submissions),
                            ("site_sieve", self.box.sieve), ("site_pages", f"'{self.box.url}'"),
                            ("site_ca_file", f"'{self.dir}/ca.pem'")):
            text, count = re.subn(rf"^\${name} = .*;$", f"${name} = {value};", text, flags=re.M)
            assert count == 1, name
        text = text.replace("'syslog'", "'file'")  # so that a failure can be read
        text, count = re.subn(r"^include .*;$", f"""$config['db_dsnw'] = 'sqlite:///{self.dir}/data/db?mode=0640';
$config['log_dir'] = '{self.dir}/log/';
$config['temp_dir'] = '{self.dir}/tmp/';""", text, flags=re.M)
        assert count == 1
        (self.dir / "config" / "site.inc.php").write_text(text)
        for path in [self.dir, *self.dir.rglob("*")]:
            path.chmod(0o777 if path.is_dir() else 0o644)

    def serve(self):
        command = ["php", "-d", "display_errors=0", "-d", f"session.save_path={self.dir}/tmp",
                   "-d", f"error_log={self.dir}/log/php", "-S", f"127.0.0.1:{self.port}",
                   "-t", str(PUBLIC)]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
        env = dict(os.environ, ROUNDCUBE_CONFIG_DIR=str(self.dir / "config"),
                   PHP_CLI_SERVER_WORKERS="4", TMPDIR=str(self.dir / "tmp"))
        with open(self.dir / "log" / "server", "wb") as log:
            self.server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                           stderr=log, env=env, start_new_session=True,
                                           cwd=self.dir)
        wait_for(self.answers, "php to listen")

    def answers(self):
        assert self.server.poll() is None, "php has ended"
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0
