"""The status page in a real browser: on a phone and a screen, light and dark, without JavaScript, its buttons pressed."""

import pytest
from browser import DESKTOP, PHONE, Browser
from relay import Relay
from sanger import wait_for
from status import FAST_RETRY, StatusInstance, fill

pytestmark = pytest.mark.once


# What is hard to read: texts whose contrast is below WCAG 2.1's 4.5, by their computed colours.
HARD_TO_READ = """
const luminance = c => {
  const p = c.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * p[0] + 0.7152 * p[1] + 0.0722 * p[2];
};
const ground = e => {
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!c.startsWith("rgba(0, 0, 0, 0")) return c;
  }
  return "rgb(255, 255, 255)";
};
return [...document.querySelectorAll("body *")].filter(e => {
  if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()) || !e.offsetParent) return false;
  const both = [luminance(getComputedStyle(e).color), luminance(ground(e))].sort((a, b) => b - a);
  return (both[0] + 0.05) / (both[1] + 0.05) < 4.5;
}).map(e => e.outerHTML.slice(0, 200));
"""

# What a screen reader would stumble over.
BAD_STRUCTURE = """
const bad = [], all = q => [...document.querySelectorAll(q)];
for (const one of ["h1", "main", "html[lang=en]", "title"])
  if (all(one).length != 1) bad.push(one);
for (const t of all("table")) {
  const heads = [...t.querySelectorAll("thead th")];
  if (heads.some(h => h.scope != "col" || !h.textContent)) bad.push("head: " + t.innerHTML);
  for (const r of t.querySelectorAll("tbody tr"))
    if (r.children.length != heads.length || r.querySelectorAll("th[scope=row]").length != 1)
      bad.push("row: " + r.innerHTML);
}
const ids = all("[id]").map(e => e.id);
if (new Set(ids).size != ids.length) bad.push("ids: " + ids);
for (const e of all("[aria-labelledby]"))
  if (!ids.includes(e.getAttribute("aria-labelledby"))) bad.push("label: " + e.outerHTML);
return bad;
"""


def check_looks(b, name):
    for size, device in ((DESKTOP, "desktop"), (PHONE, "phone")):
        b.resize(size)
        for dark in (False, True):
            b.dark(dark)
            assert b.driver.execute_script(HARD_TO_READ) == [], (device, dark)
            b.picture(f"status-{name}-{device}-{'dark' if dark else 'light'}")
        assert not b.scrolls_sideways(), device
    b.resize(DESKTOP)


def test_page_and_buttons():
    with Relay() as relay, StatusInstance(relay=relay.address(), settings=FAST_RETRY) as i:
        fill(i, relay)
        i.tool("instance", "reload", i.dir)
        wait_for(lambda: "over@example.org" in i.page(), "the quotas to be looked at")
        with Browser(javascript=False) as b:
            b.open(f"http://127.0.0.1:{i.status}/")
            assert b.driver.title == "mail.example.org – Sanger"
            assert b.driver.execute_script(BAD_STRUCTURE) == []
            check_looks(b, "busy")
            asked = relay.asked
            b.click('button[name="retry"]')
            b.wait_text("One message is tried now.")
            wait_for(lambda: relay.asked > asked, "the message to be tried")
            relay.later = None
            b.click('button[name="flush"]')
            b.wait_text("tried now.")
            wait_for(lambda: not i.admin_json("queue", "list"), "the queue to drain")
            b.open(f"http://127.0.0.1:{i.status}/")
            assert "Nothing waits for a relay." in b.text()
            assert b.driver.execute_script(BAD_STRUCTURE) == []
            b.picture("status-quiet-desktop-light")
            problems = [e for e in b.driver.get_log("browser")
                        if e["level"] in ("SEVERE", "WARNING")]
            assert not problems, problems
