"""The public pages of statusd, asked as clients and browsers do."""

import http.client
import socket
import ssl
import urllib.parse

from sanger import WAIT_S, Instance, free_ports, release_ports

HTML = {"Accept": "text/html,application/xhtml+xml"}


class PublicInstance(Instance):
    """An instance with public pages, at `self.web` on 127.0.0.1."""

    def __init__(self, settings=(), **kwargs):
        self.web = free_ports(10)
        settings = {"statusd.password_change": "yes", **dict(settings)}
        super().__init__(settings=[("statusd.listen_public", f"127.0.0.1:{self.web}"),
                                   *self.further(), *settings.items()], **kwargs)

    def further(self):
        """Settings that need the port."""
        return []

    def __exit__(self, *exc):
        release_ports(self.web, 10)
        return super().__exit__(*exc)

    @property
    def url(self):
        return f"https://localhost:{self.web}"

    def ask(self, method, path, body=None, headers=(), form=None, host="localhost"):
        """(status, headers, body) of one request on a connection of its own."""
        headers = dict(headers)
        if form is not None:
            body = urllib.parse.urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        client = http.client.HTTPSConnection("localhost", self.web, context=self.tls(),
                                             timeout=WAIT_S)
        try:
            client.request(method, path, body, {"Host": f"{host}:{self.web}", **headers})
            reply = client.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            client.close()

    def get(self, path, **kwargs):
        return self.ask("GET", path, **kwargs)

    def change_password(self, address, current, new, again=None, headers=()):
        form = {"address": address, "current": current, "new": new}
        if again is not None:
            form["again"] = again
        status, _, body = self.ask("POST", "/password", form=form, headers=headers)
        return status, body.decode()

    def certificate(self, name):
        """The certificate that a client gets who asks for `name`, as DER."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.web), WAIT_S) as raw:
            with context.wrap_socket(raw, server_hostname=name) as tls:
                return tls.getpeercert(binary_form=True)
