"""The page on a phone, in Chromium: installed, opened by a code, without its token, and with the camera."""

import base64
import io

import pytest
from PIL import Image

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the page is not tested")
pytest.importorskip("selenium", reason="selenium is not installed: the page is not tested in a browser")

from helpers.page import LINE, PHONES, Page, phone
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.slow
pytest_plugins = ("helpers.toy_server", "helpers.chromium")
TOKEN = "correct-horse_battery"
OPEN = "http://192.168.1.7:8000/?token=correct-horse_battery"


def test_the_page_can_be_installed(browser, serve):
    """Behind its token too. Chromium lists no reason against it, and reads manifest and icons."""
    server = serve(token=TOKEN)
    page = Page(browser, server, server.address.removeprefix(f"{server.url}/"))
    manifest = browser.execute_cdp_cmd("Page.getAppManifest", {})
    assert manifest["errors"] == [] and '"display": "standalone"' in manifest["data"]
    errors = browser.execute_cdp_cmd("Page.getInstallabilityErrors", {})["installabilityErrors"]
    assert [error["errorId"] for error in errors if error["errorId"] != "in-incognito"] == []
    for side in (192, 512):
        cookie = {"Authorization": f"Bearer {TOKEN}"}
        _, headers, content = server.ask("GET", f"/static/icon-{side}.png", headers=cookie)
        assert headers["Content-Type"] == "image/png" and Image.open(io.BytesIO(content)).size == (side, side)
    page.close()


@pytest.mark.parametrize("size", PHONES)
def test_a_token_that_is_missing_is_asked_for(browser, serve, size):
    server = serve(token=TOKEN)
    with phone(browser, size):
        browser.get(f"{server.url}/")
        field = browser.find_element(By.NAME, "token")
        assert browser.switch_to.active_element == field
        assert field.accessible_name.startswith("The token that the server printed")
        assert browser.execute_script("return document.documentElement.scrollWidth") == size[0]
        until = WebDriverWait(browser, 30, 0.02).until
        field.send_keys("wrong", Keys.ENTER)
        until(lambda _: "This is not the token." in browser.page_source)
        browser.find_element(By.NAME, "token").send_keys(TOKEN, Keys.ENTER)
        until(lambda _: browser.current_url.startswith(f"{server.url}/#"))
        until(lambda _: browser.find_element(By.ID, "status").text.startswith("Draw something"))
        assert TOKEN not in browser.page_source + browser.current_url


def test_a_code_leads_a_phone_here(browser, serve):
    """Its image is that of the address for other machines; without one, a line says how to get it."""
    segno = pytest.importorskip("segno", reason="segno is not installed: QR codes are not tested")
    server = serve()
    page = Page(browser, server)
    page["phone"].click()
    page.until(lambda: "--host 0.0.0.0" in page["phone-text"].text)
    assert not page["phone-code"].is_displayed()
    page["phone-dialog"].find_element(By.TAG_NAME, "button").click()
    server.api.open_url = OPEN
    page["phone"].click()
    page.until(lambda: page["phone-code"].is_displayed())
    drawn = """
    const [image, sheet] = [document.getElementById("phone-code"), document.createElement("canvas")];
    sheet.width = sheet.height = arguments[0];
    sheet.getContext("2d").drawImage(image, 0, 0, arguments[0], arguments[0]);
    return sheet.toDataURL().split(",")[1];
    """
    code = segno.make(OPEN, error="l", micro=False)
    side = len(code.matrix) + 4
    image = Image.open(io.BytesIO(base64.b64decode(browser.execute_script(drawn, 8 * side)))).convert("L")
    modules = [[image.getpixel((8 * x + 4, 8 * y + 4)) < 128 for x in range(2, side - 2)] for y in range(2, side - 2)]
    assert modules == [[bool(one) for one in row] for row in code.matrix]
    browser.get_log("browser")  # the browser lists the refusal
    page.close()


def test_a_server_that_was_started_anew_asks_again(browser, serve):
    """It has another token, of which the page says so; loaded again, it asks for it, and the drawing is there again."""
    server = serve(token=TOKEN)
    page = Page(browser, server, server.address.removeprefix(f"{server.url}/"))
    server.server.config.app.token = "another-good_token"
    page.stroke(LINE)
    page.until(lambda: page["status"].text.startswith("The server asks for its token anew"))
    drawing, address = page.drawn, browser.current_url
    browser.refresh()
    browser.find_element(By.NAME, "token").send_keys("wrong", Keys.ENTER)
    page.until(lambda: "This is not the token." in browser.page_source)
    browser.find_element(By.NAME, "token").send_keys("another-good_token", Keys.ENTER)
    page.until(lambda: len(page.shown) == 24)
    assert (page.drawn, browser.current_url) == (drawing, address)
    browser.get_log("browser")  # the browser lists the refusals


@pytest.mark.parametrize("size", PHONES)
def test_a_drawing_is_photographed(browser, server, drawn, size):
    """The camera's button is there for fingers alone, and what it takes is searched with as a sketch."""
    with phone(browser, size):
        page = Page(browser, server)
        assert page["photograph"].is_displayed() and not page["phone"].is_displayed()
        assert page["hint"].text == "Draw here"  # nothing can be dropped
        assert page["camera"].get_attribute("capture") == "environment"
        page["camera"].send_keys(str(drawn["sketch"] / "disc/disc_2.png"))
        page.until(lambda: len(page.shown) == 24)
        asked = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name).join(' ')")
        assert "kind=sketch" in asked and "kind=photo" not in asked
        image = page["query-image"].rect
        assert image["x"] + image["width"] / 2 == pytest.approx(size[0] / 2, abs=1)
        assert browser.execute_script("return document.documentElement.scrollWidth") == size[0]
        browser.execute_script("sessionStorage.clear()")
        page.close()


@pytest.mark.parametrize("size", PHONES)
def test_four_to_eight_answers_stand_under_the_paper(browser, server, size):
    """Whole, without scrolling, with the filters folded."""
    with phone(browser, size):
        page = Page(browser, server)
        page.stroke([(x / 2, y / 2) for x, y in LINE])
        page.until(lambda: len(page.shown) == 24)
        bottoms = [card.rect["y"] + card.rect["height"] for card in page.cards()]
        assert 4 <= sum(bottom <= size[1] for bottom in bottoms) <= 8
        assert min(card.rect["y"] for card in page.cards()) > page["paper"].rect["y"] + page["paper"].rect["height"]
        assert not page["class"].is_displayed()
        page.close()


@pytest.mark.parametrize("size", PHONES)
def test_the_filters_fit(browser, server, size):
    """With the range of days, which galleries with dates have."""
    with phone(browser, size):
        page = Page(browser, server)
        browser.execute_script(
            "document.getElementById('fold').open = true; document.getElementById('dates').hidden = false"
        )
        assert page["until"].is_displayed()
        assert browser.execute_script("return document.documentElement.scrollWidth") == size[0]
        page.close()
