"""Headless Chromium for tests of pages: Debian's chromium and chromium-driver, by selenium.

SANGER_SCREENSHOTS names a directory for pictures; without it none are kept."""

import base64
import contextlib
import os
import pathlib
import shutil
import tempfile

from sanger import WAIT_S
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

DESKTOP, PHONE = (1100, 800), (390, 844)


class Browser:
    """One browser; a context manager.  `driver` is selenium's."""

    def __init__(self, javascript=True, size=DESKTOP):
        self.javascript, self.size = javascript, size
        self.driver = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="sanger-browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        options.accept_insecure_certs = True  # the tests' servers have certificates of their own
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
                         "--disable-dev-shm-usage", "--disable-background-networking",
                         "--hide-scrollbars", "--lang=en",
                         f"--user-data-dir={self.dir}", "--window-size=%d,%d" % self.size):
            options.add_argument(argument)
        if not self.javascript:
            options.add_experimental_option(
                "prefs", {"profile.managed_default_content_settings.javascript": 2})
        try:
            self.driver = webdriver.Chrome(options=options,
                                           service=Service("/usr/bin/chromedriver"))
            self.driver.set_page_load_timeout(WAIT_S)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        if self.driver is not None:
            if kind is not None:
                self.show_page()
            with contextlib.suppress(Exception):
                self.driver.quit()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- looking

    def open(self, url):
        self.driver.get(url)

    def find(self, css):
        """The first element that the selector names, as soon as it is shown."""
        def shown(driver):
            return next((e for e in driver.find_elements(By.CSS_SELECTOR, css)
                         if e.is_displayed()), None)
        return self.wait(shown, f"{css} to be shown")

    def all(self, css):
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def text(self):
        return self.driver.find_element(By.TAG_NAME, "body").text

    def wait(self, condition, what):
        try:
            return WebDriverWait(self.driver, WAIT_S, poll_frequency=0.05,
                                 ignored_exceptions=(Exception,)).until(condition, what)
        except TimeoutException:
            self.show_page()
            raise

    def show_page(self):
        """For a failure."""
        with contextlib.suppress(Exception):
            print("--- the page:", self.driver.current_url)
            print(self.text()[:3000])
            self.picture("failure")

    def wait_text(self, text):
        self.wait(lambda d: text in self.text(), f"the text: {text}")

    def fill(self, css, text):
        field = self.find(css)
        field.clear()
        field.send_keys(text)

    def click(self, css):
        self.find(css).click()

    # --- how it looks

    def dark(self, on=True):
        """As a person's device asks for it."""
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if on else "light"}]})

    def resize(self, size):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False})

    def scrolls_sideways(self):
        return self.driver.execute_script(
            "return document.documentElement.scrollWidth > window.innerWidth")

    def picture(self, name, whole=True):
        """Keeps a picture of the page, where SANGER_SCREENSHOTS says."""
        directory = os.environ.get("SANGER_SCREENSHOTS")
        if directory is None:
            return
        path = pathlib.Path(directory) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
            "format": "png", "captureBeyondViewport": whole})
        path.write_bytes(base64.b64decode(data["data"]))
