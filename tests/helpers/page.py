"""The page in a browser as a visitor sees it, and the screens of phones."""

import base64
import contextlib
import json

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

LINE = [(-80, -80), (-30, -20), (80, 80)]  # from the middle of the canvas
OTHER = [(-80, 80), (80, -80)]
PHONES = [(390, 844), (375, 667)]  # points


class Page:
    """The page of a server as a visitor sees it."""

    def __init__(self, browser, server, address=""):
        self.browser, self.server = browser, server
        browser.get("about:blank")
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get(f"{server.url}/{address}")
        self.until(lambda: self["status"].text)

    def __getitem__(self, name):
        return self.browser.find_element(By.ID, name)

    def until(self, condition):
        WebDriverWait(self.browser, 30, 0.02).until(lambda _: condition())

    def stroke(self, points):
        mouse = ActionChains(self.browser, duration=5).move_to_element_with_offset(self["canvas"], *points[0])
        mouse.click_and_hold()
        for point in points[1:]:
            mouse.move_to_element_with_offset(self["canvas"], *point)
        mouse.release().perform()

    @property
    def drawn(self):
        """The canvas as the bytes of a PNG."""
        return base64.b64decode(
            self.browser.execute_script("return document.getElementById('canvas').toDataURL().split(',')[1]")
        )

    @property
    def shown(self):
        """Ids of the pictures in the grid."""
        images = self.browser.execute_script(
            "return [...document.querySelectorAll('#grid img')].map(image => image.getAttribute('src'))"
        )
        return [source.split("/")[-1] for source in images]

    def shows(self, answer):
        expected = [one["id"] for one in answer["found"]]
        self.until(lambda: self.shown == expected)
        searched = f"{len(expected)} nearest of {answer['searched']} "
        self.until(lambda: searched in self["status"].text and " ms" in self["status"].text)

    def shows_search(self, query="top=24"):
        self.shows(self.server.search(self.drawn, query))

    def cards(self):
        return self.browser.find_elements(By.CSS_SELECTOR, "#grid .find")

    def large(self, part):
        """A part of the dialog with the large picture."""
        return self["large"].find_element(By.CSS_SELECTOR, f"[data-part={part}]")

    def close(self):
        """The console is empty, and nothing was asked of anybody but the server."""
        assert self.browser.get_log("browser") == []
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                assert url.startswith((f"{self.server.url}/", f"blob:{self.server.url}/", "data:")), url


@contextlib.contextmanager
def phone(browser, size):
    """The browser with the screen and the fingers of a phone."""
    screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
