"""The public pages in a real browser: without JavaScript, on a phone, light and dark."""

import pytest
from browser import DESKTOP, PHONE, Browser
from public_pages import PublicInstance

pytestmark = pytest.mark.once

NEW = "four unrelated words"


@pytest.fixture(scope="module")
def box():
    with PublicInstance({"clients.name": "The Works"}) as i:
        i.add_account("ann@example.org")
        yield i


def look(b, name):
    """Nothing is wider than the screen, in any colours; pictures for who wants to look."""
    for size, device in ((DESKTOP, "desktop"), (PHONE, "phone")):
        b.resize(size)
        for dark in (False, True):
            b.dark(dark)
            b.picture(f"{name}-{device}-{'dark' if dark else 'light'}")
        assert not b.scrolls_sideways(), (name, device)
    b.dark(False)
    b.resize(DESKTOP)


def test_pages_without_javascript(box):
    with Browser(javascript=False) as b:
        b.open(box.url)
        assert "your whole mail address" in b.text()
        b.fill("#address", "ann@example.org")
        b.click("button")
        b.wait_text("ann@example.org")
        for summary in b.all("summary"):
            summary.click()
        assert "Get the profile" in b.text()
        assert f"smtps://ann%40example.org@mail.example.org:{box.submissions}/" in b.text()
        look(b, "setup")

        b.click("a[href='/password']")
        b.fill("#address", "ann@example.org")
        b.fill("#current", "not this one")
        b.fill("#new", NEW)
        b.fill("#again", NEW)
        b.click("button")
        b.wait_text("Address or current password is wrong.")
        assert b.find("#address").get_attribute("value") == "ann@example.org"
        look(b, "password-wrong")
        b.fill("#current", "secret-Pw1")
        b.fill("#new", NEW)
        b.fill("#again", NEW)
        b.click("button")
        b.wait_text("Your password is changed.")
        look(b, "password-changed")
        box.accounts["ann@example.org"] = NEW
        box.connect_imap("ann@example.org").logout()
