"""Part of admin/quickstart: sends one message in by LMTP and one through submission, and reads
both back over IMAPS.  Usage: quickstart-mail.py DEMO_DIR BASE_PORT"""

import email.message
import email.policy
import email.utils
import imaplib
import smtplib
import ssl
import sys
import time

LIMIT_S = 60


def read_back(tls, port, address, password, message_id):
    """The message with that Message-ID from the account's INBOX, as text; waits for it."""
    client = imaplib.IMAP4_SSL("127.0.0.1", port, ssl_context=tls, timeout=LIMIT_S)
    client.login(address, password)
    deadline = time.monotonic() + LIMIT_S
    while True:
        client.select("INBOX", readonly=True)
        found = client.search(None, "HEADER", "Message-ID", f'"{message_id}"')[1][0].split()
        if found:
            break
        if time.monotonic() > deadline:
            sys.exit(f"quickstart: the message did not arrive within {LIMIT_S} s; see the log")
        time.sleep(0.1)
    data = client.fetch(found[0], "(BODY.PEEK[])")[1][0][1]
    client.logout()
    return data.decode().replace("\r\n", "\n")


def compose(sender, recipient, subject, text):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = sender, recipient, subject
    message["Date"] = email.utils.formatdate(localtime=True)
    message["Message-ID"] = email.utils.make_msgid(domain="example.org")
    message.set_content(text)
    return message


def show(title, text):
    print(f"{title}\n" + "".join(f"    {line}\n" for line in text.splitlines()))


def main():
    demo, port = sys.argv[1], int(sys.argv[2])
    tls = ssl.create_default_context(cafile=f"{demo}/tls/cert.pem")
    with open(f"{demo}/passwords", encoding="ascii") as f:
        (ann, ann_password), (bob, bob_password) = [line.split() for line in f][:2]

    first = compose("relay@example.net", ann, "Welcome", "This came in by LMTP.\n")
    with smtplib.LMTP("127.0.0.1", port + 5) as lmtp:
        lmtp.send_message(first)
    show(f"Delivered by LMTP, read by {ann} over IMAPS:",
         read_back(tls, port + 1, ann, ann_password, first["Message-ID"]))

    second = compose(ann, bob, "Hello Bob", "This went through submission and the relay.\n")
    with smtplib.SMTP_SSL("127.0.0.1", port + 3, context=tls, timeout=LIMIT_S) as submission:
        submission.login(ann, ann_password)
        submission.send_message(second)
    show(f"Submitted by {ann}, read by {bob} over IMAPS:",
         read_back(tls, port + 1, bob, bob_password, second["Message-ID"]))


main()
