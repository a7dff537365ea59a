"""For tests/package: mail through an installed server, from within its network.

    deliver SUBJECT         by LMTP to ann@example.org
    read SUBJECT [LOGIN]    over IMAPS
    doors                   every other door answers as it should"""

import imaplib
import smtplib
import socket
import ssl
import sys
import urllib.request

ADDRESS, PASSWORD = "ann@example.org", "secret-Pw1"


def tls():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # self-signed, as the package made it
    return context


def deliver(subject):
    client = smtplib.LMTP("127.0.0.1", 24, timeout=30)
    refused = client.sendmail("sender@example.net", [ADDRESS],
                              f"From: sender@example.net\r\nTo: {ADDRESS}\r\nSubject: {subject}\r\n\r\nhello\r\n")
    assert not refused, refused
    client.quit()


def read(subject, login=ADDRESS):
    client = imaplib.IMAP4_SSL("127.0.0.1", 993, ssl_context=tls(), timeout=30)
    client.login(login, PASSWORD)
    client.select("INBOX", readonly=True)
    _, found = client.search(None, "SUBJECT", f'"{subject}"')
    assert len(found[0].split()) == 1, found
    client.logout()


def doors():
    with smtplib.SMTP_SSL("127.0.0.1", 465, context=tls(), timeout=30) as client:
        client.login(ADDRESS, PASSWORD)
        client.sendmail(ADDRESS, ["x@example.net"], f"From: {ADDRESS}\r\nSubject: out\r\n\r\nwaits\r\n")
    with smtplib.SMTP("127.0.0.1", 587, timeout=30) as client:
        client.starttls(context=tls())
        client.login(ADDRESS, PASSWORD)
    with socket.create_connection(("127.0.0.1", 4190), 30) as s:
        assert b"STARTTLS" in s.recv(1000)
    with urllib.request.urlopen("http://127.0.0.1:8025/healthz", timeout=30) as answer:
        assert answer.status == 200


{"deliver": deliver, "read": read, "doors": doors}[sys.argv[1]](*sys.argv[2:])
