"""Roundcube with the configuration of doc/webmail/, in a real browser: what people do with their mail all day."""

import email
import email.policy

import pytest
from browser import Browser
from public_pages import PublicInstance
from roundcube import Roundcube
from sanger import make_message, wait_for

pytestmark = pytest.mark.once

ANN, BOB = "ann@example.org", "bob@example.org"
NEW = "four unrelated words"


@pytest.fixture(scope="module")
def box():
    with PublicInstance() as i:
        for address in (ANN, BOB):
            i.add_account(address)
        i.admin("mailbox", "create", ANN, "Lists")
        i.admin("mailbox", "subscribe", ANN, "Lists")  # webmail shows subscribed ones
        yield i


@pytest.fixture(scope="module")
def webmail(box):
    with Roundcube(box) as r:
        yield r


def log_in(b, webmail, password):
    b.driver.delete_all_cookies()
    b.open(webmail.url)
    b.fill("#rcmloginuser", ANN)
    b.fill("#rcmloginpwd", password)
    b.click("#rcmloginsubmit")


@pytest.fixture(scope="module")
def browser(box, webmail):
    report = make_message(ANN, subject="The report for July", body="See the attachment.\n")
    report.add_attachment(b"name,amount\nrent,700\n", maintype="text", subtype="csv",
                          filename="july.csv")
    box.deliver(ANN, bytes(report))
    box.deliver(ANN, subject="Lunch on Friday", body="The pizza place, as always?\n")
    with Browser() as b:
        log_in(b, webmail, box.accounts[ANN])
        b.wait_text("The report for July")
        yield b


def select(b, css, value):
    """A choice, as if a person had made it."""
    b.wait(lambda d: b.all(css), css)
    b.driver.execute_script("arguments[0].value = arguments[1];"
                            "arguments[0].dispatchEvent(new Event('change', {bubbles: true}));",
                            b.all(css)[0], value)
    offered = [o.get_attribute("value") for o in b.all(css + " option")]
    assert b.all(css)[0].get_property("value") == value, offered


def command(b, name):
    """What a button does, as soon as the page's script has made the button work."""
    b.wait(lambda d: d.execute_script("return !!(window.rcmail && rcmail.commands"
                                      " && rcmail.commands[arguments[0]])", name), name)
    b.driver.execute_script("rcmail.command(arguments[0], '')", name)


def into_frame(b, name, css):
    """Into a frame that shows what the selector names."""
    def there(driver):
        driver.switch_to.default_content()
        driver.switch_to.frame(name)
        return b.all(css)
    b.wait(there, f"{css} in {name}")


def inbox(b, webmail):
    b.open(webmail.url + "?_task=mail&_mbox=INBOX")
    b.wait(lambda d: b.all("#messagelist tbody tr"), "the list")


def mails(box, address, mailbox):
    with box.connect_imap(address) as client:
        client.select(mailbox, readonly=True)
        numbers = client.search(None, "ALL")[1][0].split()
        found = [client.fetch(n, "(BODY.PEEK[])")[1][0][1] for n in numbers]
    return [email.message_from_bytes(m, policy=email.policy.default) for m in found]


def test_read_a_message_with_an_attachment(box, webmail, browser):
    inbox(browser, webmail)
    browser.picture("webmail-list", whole=False)
    link, = [a for a in browser.all("#messagelist a") if "report for July" in a.text]
    browser.open(link.get_attribute("href"))
    browser.wait_text("See the attachment.")
    assert "july.csv" in browser.text()
    browser.picture("webmail-message", whole=False)
    href = browser.find("#attachment-list a.filename").get_attribute("href")
    content = browser.driver.execute_async_script(
        "const done = arguments[1];"
        "fetch(arguments[0] + '&_download=1').then(r => r.text()).then(done, e => done('' + e))",
        href)
    assert content.replace("\r\n", "\n") == "name,amount\nrent,700\n"


def test_search(box, webmail, browser):
    inbox(browser, webmail)
    browser.fill("#mailsearchform", "pizza")
    browser.driver.execute_script("rcmail.env.search_mods = {'*': {text: 1}}")
    command(browser, "search")
    browser.wait(lambda d: "Lunch on Friday" in browser.find("#messagelist").text
                 and "report for July" not in browser.find("#messagelist").text, "what was found")


def test_send(box, webmail, browser):
    browser.open(webmail.url + "?_task=mail&_action=compose")
    browser.find("#compose_to .recipient-input input").send_keys(BOB + ",")
    browser.fill("#compose-subject", "Grüße from the web")
    browser.fill("#composebody", "Dear Bob,\n\nall is well.\n")
    browser.picture("webmail-compose", whole=False)
    command(browser, "send")
    browser.wait(lambda d: "_action=compose" not in d.current_url
                 and browser.all("#messagelist tbody tr"), "the list that comes when it is sent")
    wait_for(lambda: mails(box, BOB, "INBOX"), "the message to arrive")
    message, = mails(box, BOB, "INBOX")
    assert message["Subject"] == "Grüße from the web" and message["From"].endswith(f"{ANN}>") or \
        message["From"] == ANN
    assert "all is well." in message.get_body().get_content()
    wait_for(lambda: mails(box, ANN, "Sent"), "the copy in Sent")


def test_make_a_filter(box, webmail, browser):
    browser.open(webmail.url + "?_task=settings&_action=plugin.managesieve")
    command(browser, "plugin.managesieve-add")
    into_frame(browser, "filter-box", "#_name")
    browser.fill("#_name", "Club")
    select(browser, "#_join", "allof")
    select(browser, "#header0", "subject")
    select(browser, "#rule_op0", "contains")
    browser.fill("input[name='_rule_target[0][]']", "[club]")
    select(browser, "#action_type0", "fileinto")
    select(browser, "select[name='_action_mailbox[0]']", "Lists")
    browser.driver.switch_to.default_content()
    browser.picture("webmail-filter", whole=False)
    browser.driver.switch_to.frame("filter-box")
    command(browser, "plugin.managesieve-save")
    browser.driver.switch_to.default_content()
    wait_for(lambda: "[club]" in box.admin("filter", "show", ANN), "the filter")
    box.deliver(ANN, subject="[club] Minutes of the meeting")
    assert [m["Subject"] for m in mails(box, ANN, "Lists")] == ["[club] Minutes of the meeting"]
    box.deliver(ANN, subject="No club")
    assert len(mails(box, ANN, "Lists")) == 1


def test_change_the_password(box, webmail, browser):
    def fill(current, new):
        browser.open(webmail.url + "?_task=settings&_action=plugin.password")
        for field, text in (("#curpasswd", current), ("#newpasswd", new), ("#confpasswd", new)):
            browser.fill(field, text)
        browser.picture("webmail-password", whole=False)
        command(browser, "plugin.password-save")

    fill("not this one", NEW)
    browser.wait_text("Current password incorrect.")
    fill("secret-Pw1", NEW)
    browser.wait_text("Successfully saved.")
    box.accounts[ANN] = NEW
    inbox(browser, webmail)  # the session goes on with the new one
    log_in(browser, webmail, "secret-Pw1")
    browser.wait_text("Login failed.")
    log_in(browser, webmail, NEW)
    browser.wait_text("Lunch on Friday")
