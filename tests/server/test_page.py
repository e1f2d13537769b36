"""The page in Chromium: drawing, searching and everything else a visitor does, with the results of the interface."""

import base64
import dataclasses
import io
import shutil
import threading

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the page is not tested")
pytest.importorskip("selenium", reason="selenium is not installed: the page is not tested in a browser")

from helpers.page import LINE, OTHER, Page
from helpers.toy_shapes import ToyEncoder, colourful_photo, picture_bytes
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from zscmr.datasets.crayons import CRAYONS, GREYS
from zscmr.inference.class_vectors import ClassVectors
from zscmr.server.browser import opened

pytestmark = pytest.mark.slow
pytest_plugins = ("helpers.toy_server", "helpers.chromium")


def test_results_are_those_of_the_interface(page):
    assert page["hint"].is_displayed() and page.shown == []
    page.stroke(LINE)
    page.shows_search()
    assert not page["hint"].is_displayed()
    ink = np.asarray(Image.open(io.BytesIO(page.drawn)).convert("L")) < 128
    assert 1500 < ink.sum() < 6000  # a line of width 6 across half of 512 × 512 pixels
    best, second = page.server.search(page.drawn, "top=2")["found"]
    assert page.cards()[0].text.split() == [best["name"].split("/")[-1], best["class"]]
    bars = browser_bars(page)
    assert [title for title, _ in bars] == [f"distance {one['distance']:.3f}" for one in (best, second)]
    assert [share for _, share in bars] == pytest.approx([1, best["distance"] / second["distance"]], abs=0.02)
    page.until(lambda: page.browser.execute_script("return document.querySelector('#grid img').naturalWidth") == 96)


def test_what_is_not_similar_stands_behind_a_line(browser, serve, monkeypatch):
    server = serve()
    page = Page(browser, server)
    monkeypatch.setattr(ToyEncoder, "cutoff", 0.0)
    page.stroke(LINE)
    page.until(lambda: page["status"].text.startswith("Nothing very similar; the 24 nearest of 24 photos"))
    assert len(browser.find_elements(By.CSS_SELECTOR, "#grid .far")) == 24
    assert not browser.find_elements(By.CSS_SELECTOR, "#grid .line")
    monkeypatch.setattr(ToyEncoder, "cutoff", 100.0)
    page["search"].click()
    page.until(lambda: page["status"].text.startswith("The 24 nearest"))
    distances = [one["distance"] for one in server.search(page.drawn, "top=24")["found"]]
    monkeypatch.setattr(ToyEncoder, "cutoff", (distances[4] + distances[5]) / 2)
    page["search"].click()
    page.until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "#grid .far")) == 19)
    cards = browser.find_elements(By.CSS_SELECTOR, "#grid li")
    assert [number for number, card in enumerate(cards) if card.text == "Not very similar"] == [5]
    page.close()


def browser_bars(page):
    """(title, filled share) of the bars of the first two answers."""
    return page.browser.execute_script(
        "return [...document.querySelectorAll('#grid .bar')].slice(0, 2)"
        ".map(bar => [bar.title, bar.firstChild.offsetWidth / bar.offsetWidth])"
    )


def test_classes_and_the_switch_are_shown_where_they_mean_something(browser, serve, folders, monkeypatch):
    """Classes if the encoder knows some of them, the switch if there are sketches."""
    server = serve()
    page = Page(browser, server)
    assert page["class-row"].is_displayed() and page["switch"].is_displayed()
    monkeypatch.setattr(ToyEncoder, "seen", frozenset(("zebra",)))
    server.searcher.table.update("sketch", None, None, lambda done, total: None)
    page.until(lambda: page["about"].text == "24 photos in the gallery")
    page.until(lambda: not page["class-row"].is_displayed() and not page["switch"].is_displayed())
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == 24)
    assert not browser.find_elements(By.CSS_SELECTOR, "#grid .class")
    page.close()


def test_undo_redo_clear_and_eraser(page):
    blank = page.drawn
    page.stroke(LINE)
    one = page.drawn
    page.stroke(OTHER)
    two = page.drawn
    assert len({blank, one, two}) == 3
    page["undo"].click()
    assert page.drawn == one
    page.shows_search()
    page["undo"].click()
    assert page.drawn == blank and not page["undo"].is_enabled()
    page.until(lambda: page.shown == [])
    for expected in (one, two):
        page["redo"].click()
        assert page.drawn == expected
    page["clear"].click()
    assert page.drawn == blank
    page["undo"].click()
    assert page.drawn == two
    page["eraser"].click()
    page.stroke(OTHER)
    assert page["eraser"].get_attribute("aria-pressed") == "true"
    middle = [np.asarray(Image.open(io.BytesIO(drawn)).convert("L")) for drawn in (two, page.drawn)]
    assert (middle[1] < 128).sum() < (middle[0] < 128).sum() - 1500


def test_the_address_holds_the_search(page, browser, server):
    page.stroke(LINE)
    page.stroke(OTHER)
    page.shows_search()
    Select(page["class"]).select_by_value("disc")
    Select(page["top"]).select_by_value("12")
    page.shows_search("top=12&class=disc")
    drawn, address = page.drawn, browser.current_url
    again = Page(browser, server, address.removeprefix(f"{server.url}/"))
    assert again.drawn == drawn
    again.shows_search("top=12&class=disc")
    for damaged in ("#draw=pAAA.pA.xx", "#draw=p%00&top=7&class=none&like=../x&gallery=all"):
        assert Page(browser, server, damaged)["status"].text.startswith("Draw something")


def test_more_like_this_and_back(page, browser, server):
    page.stroke(LINE)
    page.shows_search()
    drawn, picked = page.shown, page.shown[3]
    page.cards()[3].click()
    page.shows(server.json("POST", "/search?top=24", {"like": picked}))
    assert picked not in page.shown and page["picture"].is_displayed() and not page["drawing"].is_displayed()
    assert page["open-query"].get_attribute("href") == f"{server.url}/picture/{picked}"
    browser.back()
    page.until(lambda: page.shown == drawn and page["drawing"].is_displayed())
    browser.forward()
    page.until(lambda: page["picture"].is_displayed())
    page["draw-again"].click()
    page.until(lambda: page.shown == drawn)


def test_a_second_click_opens_the_picture(page, browser, server):
    page.stroke(LINE)
    page.shows_search()
    picked = page.shown[2]
    # both clicks at once: on a busy machine those of the driver may come too far apart for a double one
    clicks = "for (const detail of [1, 2]) arguments[0].dispatchEvent(new MouseEvent('click', {detail, bubbles: true}))"
    browser.execute_script(clicks, page.cards()[2])
    page.until(lambda: page["large"].is_displayed())
    assert page.large("open").get_attribute("href") == f"{server.url}/picture/{picked}"
    page.shows(server.json("POST", "/search?top=24", {"like": picked}))
    page.large("close").click()
    assert not page["large"].is_displayed()


def test_the_large_picture_has_arrows_and_shows_its_box(browser, serve, monkeypatch):
    """The box of shares .25 to .75 and 0 to .5 lies so over tile and picture, which are square here."""
    server = serve()
    search = server.searcher.search_vectors

    def boxed(*args):
        [answer] = search(*args)
        first = dataclasses.replace(answer[0], box=(0.25, 0.0, 0.75, 0.5))
        return [dataclasses.replace(answer, hits=(first, *answer.hits[1:]))]

    server.searcher.search_vectors = boxed
    page = Page(browser, server)
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == 24)
    first, second = page.shown[:2]
    shares = """
      const [box, image] = [".box", "img"].map(name => document.querySelector(arguments[0] + " " + name))
        .map(one => one.getBoundingClientRect());
      return [(box.left - image.left) / image.width, (box.top - image.top) / image.height, box.width / image.width,
        box.height / image.height];
    """
    outlines = browser.find_elements(By.CSS_SELECTOR, "#grid .box")
    page.until(lambda: len(outlines) == 1 and outlines[0].is_displayed())
    assert browser.execute_script(shares, "#grid") == pytest.approx([0.25, 0, 0.5, 0.5], abs=0.02)
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:06:30 18:05:00"  # DateTimeOriginal
    path = server.searcher.picture(first).path
    Image.open(path).save(path, exif=exif)
    browser.execute_script("document.querySelector('#grid .open').click()")
    page.until(lambda: "2024" in page.large("taken").text and "05" in page.large("taken").text)
    page.until(lambda: browser.find_element(By.CSS_SELECTOR, "#large .box").is_displayed())
    assert browser.execute_script(shares, "#large") == pytest.approx([0.25, 0, 0.5, 0.5], abs=0.02)
    assert not page.large("previous").is_enabled()
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
    page.until(lambda: page.large("open").get_attribute("href").endswith(second))
    page.large("previous").click()
    assert page.large("open").get_attribute("href").endswith(first)
    page.large("like").click()
    assert not page["large"].is_displayed()
    page.shows(server.json("POST", "/search?top=24", {"like": first}))
    page.close()


def test_filters(page, server, drawn):
    page.stroke(LINE)
    page.shows_search()
    Select(page["class"]).select_by_value("cross")
    page.shows_search("top=24&class=cross")
    Select(page["class"]).select_by_value("")
    Select(page["folder"]).select_by_value(f"{drawn['photo']}/disc")
    page.shows_search(f"top=24&folder={drawn['photo']}/disc")
    Select(page["folder"]).select_by_value("")
    page.browser.find_element(By.CSS_SELECTOR, "[name=gallery][value=sketch]").click()
    page.shows_search("top=24&gallery=sketch")
    labels = [option.text for option in Select(page["folder"]).options]
    assert labels == ["all", "bar (8)", "cross (8)", "disc (8)"]


def ink(drawn):
    """Mask (512, 512) of the black pixels of a drawing."""
    return np.asarray(Image.open(io.BytesIO(drawn)).convert("L")) < 128


def test_a_tap_draws_a_dot(page):
    """Of 6 pixels: 28 of area."""
    ActionChains(page.browser).move_to_element(page["canvas"]).click().perform()
    assert 20 < ink(page.drawn).sum() < 40
    page.shows_search()


def test_a_stroke_that_leaves_the_paper_does_not_draw_along_its_edge(page):
    """Out on the right, down beside the paper, back in: two strokes, and nothing between them on the edge."""
    page.stroke([(0, 0), (250, 0), (250, 120), (0, 120)])
    rows = np.flatnonzero(ink(page.drawn)[:, 508])
    height = page["canvas"].rect["height"]
    lines = [256, 256 + 512 * 120 / height]
    assert len(rows) and all(min(abs(row - line) for line in lines) < 8 for row in rows)
    assert {round(float(min(lines, key=lambda line: abs(row - line)))) for row in rows} == set(map(round, lines))


def test_undo_answers_at_once_and_survives_a_reload(page, browser):
    """Without `toBlob`, which waits for an idle browser."""
    browser.execute_script("HTMLCanvasElement.prototype.toBlob = () => {}")
    page.stroke(LINE)
    page.shows_search()
    one = page.drawn
    page.stroke(OTHER)
    page.shows_search()
    browser.refresh()
    page.until(lambda: page["undo"].is_enabled())
    page["undo"].click()
    assert page.drawn == one
    page.shows_search()
    browser.refresh()
    page.until(lambda: page["redo"].is_enabled() and page["undo"].is_enabled())


def give(browser, name, content, way="drop"):
    browser.execute_script(GIVE, base64.b64encode(content).decode(), name, "image/png", way)


def kind(browser):
    return browser.execute_script("return document.querySelector('[name=kind]:checked').value")


def test_what_a_picture_is_sticks(page, browser, sketch):
    give(browser, "one.png", sketch)
    page.until(lambda: len(page.shown) == 24)
    browser.find_element(By.CSS_SELECTOR, "[name=kind][value=sketch]").click()
    give(browser, "two.png", sketch)
    page.until(lambda: page["query-name"].text == "two.png")
    assert kind(browser) == "sketch"
    browser.refresh()
    page.until(lambda: page["status"].text.startswith("Draw"))
    assert kind(browser) == "sketch"
    browser.execute_script("sessionStorage.clear()")


def test_a_photo_given_as_a_sketch_shows_a_hint(page, browser, sketch):
    give(browser, "photo.png", picture_bytes(colourful_photo()))
    page.until(lambda: len(page.shown) == 24)
    assert not page["photo-hint"].is_displayed()
    browser.find_element(By.CSS_SELECTOR, "[name=kind][value=sketch]").click()
    page.until(lambda: page["photo-hint"].is_displayed())
    page["as-photo"].click()
    page.until(lambda: not page["photo-hint"].is_displayed())
    assert kind(browser) == "photo"
    browser.execute_script("sessionStorage.clear()")


def test_back_keeps_names_and_pictures(page, browser, sketch):
    give(browser, "mine.png", sketch)
    page.until(lambda: len(page.shown) == 24)
    first = page.shown
    for position in (3, 5):
        page.cards()[position].click()
        page.until(lambda: len(page.shown) == 23)
    page.until(lambda: page["query-name"].text.startswith("More like "))
    browser.back()
    names = {one.id: one.name for one in page.server.searcher.table.stored([first[3]]).values()}
    page.until(lambda: page["query-name"].text == "More like " + names[first[3]].split("/")[-1])
    browser.back()
    page.until(lambda: page["query-name"].text == "mine.png" and page.shown == first)


def test_more_like_a_picture_far_down_begins_at_the_top(page, browser):
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == 24)
    browser.execute_script("document.getElementById('grid').style.rowGap = '400px'; scrollTo(0, 1e6)")
    assert browser.execute_script("return scrollY") > 500
    page.cards()[-1].click()
    page.until(lambda: len(page.shown) == 23 and browser.execute_script("return scrollY") == 0)


def test_thumbnails_far_below_the_screen_are_loaded_too(page, browser):
    browser.execute_script("document.getElementById('grid').style.rowGap = '9000px'")
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == 24)
    missing = "return [...document.querySelectorAll('#grid img')].filter(image => !image.naturalWidth).length"
    page.until(lambda: browser.execute_script(missing) == 0)


def test_a_sign_while_dragging(page, browser):
    drag = """
    const data = new DataTransfer();
    data.items.add(new File(["x"], "x.png", {type: "image/png"}));
    document.body.dispatchEvent(new DragEvent(arguments[0], {dataTransfer: data, bubbles: true, cancelable: true}));
    """
    for event, shown in (("dragover", True), ("dragleave", False), ("dragover", True), ("drop", False)):
        browser.execute_script(drag, event)
        assert page["drop"].is_displayed() == shown


def test_counts_and_filters_follow_the_gallery(browser, serve, folders):
    server = serve()
    page = Page(browser, server)
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == 24)
    shutil.rmtree(folders["photo"] / "disc")
    server.searcher.table.update("photo", folders["photo"], None, lambda done, total: None)
    page.until(lambda: "16 photos" in page["about"].text and len(page.shown) == 16)
    assert [option.text for option in Select(page["class"]).options] == ["all", "bar (8)", "cross (8)"]
    browser.get_log("browser")  # the browser lists thumbnails that have gone
    page.close()


def test_a_server_that_is_gone_is_reported_and_tried_again(browser, serve):
    page = Page(browser, serve())
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == 24)

    def connected(offline):
        about = {"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        browser.execute_cdp_cmd("Network.emulateNetworkConditions", about)

    browser.execute_cdp_cmd("Network.enable", {})
    connected(offline=True)
    try:
        page["search"].click()
        page.until(lambda: page["status"].text.startswith("The server does not answer"))
        assert page["grid"].get_attribute("class") == "old" and len(page.shown) == 24
    finally:
        connected(offline=False)
    page.until(lambda: page["grid"].get_attribute("class") == "" and " ms" in page["status"].text)
    browser.get_log("browser")  # the browser lists requests that failed
    page.close()


@pytest.mark.parametrize("size", [(390, 844), (375, 667)])
def test_answers_stand_under_the_paper_of_a_phone(page, browser, size):
    """Four at least, whole, without scrolling; the filters are folded."""
    about = {"width": size[0], "height": size[1], "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", about)
    try:
        browser.refresh()
        page.until(lambda: page["status"].text)
        page.stroke([(-40, -40), (40, 40)])
        page.until(lambda: len(page.shown) == 24)
        bottoms = [card.rect["y"] + card.rect["height"] for card in page.cards()]
        assert sum(bottom <= size[1] for bottom in bottoms) >= 4
        assert browser.execute_script("return document.documentElement.scrollWidth") == size[0]
        assert not page["class"].is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


GIVE = """
const bytes = Uint8Array.from(atob(arguments[0]), one => one.charCodeAt(0)), data = new DataTransfer();
data.items.add(new File([bytes], arguments[1], {type: arguments[2]}));
const event = arguments[3] === "paste" ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true})
  : new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
document.body.dispatchEvent(event);
"""


@pytest.mark.parametrize("way", ["paste", "drop", "upload"])
def test_a_picture_in_place_of_a_drawing(page, browser, drawn, way):
    file = drawn["photo"] / "disc/disc_2.jpg"
    if way == "upload":
        page["file"].send_keys(str(file))
    else:
        browser.execute_script(GIVE, base64.b64encode(file.read_bytes()).decode(), file.name, "image/jpeg", way)
    page.until(lambda: len(page.shown) == 24)
    photos = page.server.searcher.table.pictures("photo")
    assert photos.names[list(photos.ids).index(page.shown[0])] == "disc/disc_2.jpg"
    assert page["query-name"].text == "disc_2.jpg" and page["kind-row"].is_displayed()
    page.browser.find_element(By.CSS_SELECTOR, "[name=kind][value=sketch]").click()
    page.until(lambda: "kind=sketch" in requested(browser))


def requested(browser):
    return browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name).join(' ')")


def test_what_is_no_picture_is_said(page, browser):
    browser.execute_script(GIVE, base64.b64encode(b"text").decode(), "notes.txt", "text/plain", "drop")
    page.until(lambda: page["status"].text == "notes.txt is not a picture that the browser can read.")


def test_keys_alone(page, browser, server):
    """Tab to the drawing, draw a cross with arrows and Space, search, go to a result, more like it."""
    keys = ActionChains(browser)
    keys.send_keys(Keys.TAB, Keys.TAB, Keys.TAB).perform()
    assert browser.switch_to.active_element == page["canvas"] and page["pen"].is_displayed()
    keys = ActionChains(browser).send_keys(Keys.SPACE)
    keys.key_down(Keys.SHIFT).send_keys(*[Keys.ARROW_RIGHT, Keys.ARROW_DOWN] * 4).key_up(Keys.SHIFT)
    keys.send_keys(Keys.SPACE, Keys.ARROW_LEFT * 5, Keys.ENTER).perform()
    page.shows_search()
    drawn = page.drawn
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()
    page.until(lambda: page.shown == [])
    ActionChains(browser).key_down(Keys.CONTROL).send_keys("y").key_up(Keys.CONTROL).perform()
    assert page.drawn == drawn
    page.shows_search()
    for _ in range(40):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        if browser.switch_to.active_element == page.cards()[0]:
            break
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    picked = page.shown[0]
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.shows(server.json("POST", "/search?top=24", {"like": picked}))
    assert outline == "solid" and browser.switch_to.active_element == page.cards()[0]


def test_a_screen_reader_hears_what_is_there(page, browser):
    page.stroke(LINE)
    page.shows_search()
    assert page["status"].get_attribute("aria-live") == "polite"
    assert page["canvas"].accessible_name == "Drawing" and page["canvas"].aria_role == "application"
    unnamed = [
        element.get_attribute("outerHTML")
        for element in browser.find_elements(By.CSS_SELECTOR, "button, select, a[href], input:not([type=file])")
        if element.is_displayed() and not element.accessible_name
    ]
    assert unnamed == []


def test_a_narrow_screen(page, browser):
    """Nothing is wider than the screen, and a finger draws."""
    size = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    try:
        box = page["canvas"].rect
        for kind, *place in (("touchStart", 60, 60), ("touchMove", 120, 150), ("touchMove", 200, 200), ("touchEnd",)):
            points = [{"x": box["x"] + place[0], "y": box["y"] + place[1]}] if place else []
            browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.shows_search()
        assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_light_and_dark(page, browser):
    """As the system has it until the visitor chooses; the choice stays."""

    def ground(scheme):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        return browser.execute_script("return getComputedStyle(document.body).backgroundColor")

    light, dark = ground("light"), ground("dark")
    assert light != dark
    page["theme"].click()
    assert page["theme"].text == "Theme: light" and ground("dark") == light
    page["theme"].click()
    assert ground("light") == dark
    browser.refresh()
    page.until(lambda: page["theme"].text == "Theme: dark")
    assert ground("light") == dark
    page["theme"].click()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_pictures_that_vanish_and_additions_are_seen(browser, serve, folders):
    server = serve(may_add=True)
    page = Page(browser, server)
    page.stroke(LINE)
    page.shows_search()
    photos = server.searcher.table.pictures("photo")
    gone = photos.names[list(photos.ids).index(page.shown[0])]
    (folders["photo"] / gone).unlink()
    page["search"].click()
    page.until(lambda: len(page.shown) == 23 and page.cards()[-1].text.startswith("gone"))
    assert [len(card.find_elements(By.CLASS_NAME, "bar")) for card in page.cards()[-2:]] == [1, 0]
    update, reached, go = server.searcher.table.update, threading.Event(), threading.Event()

    def held(modality, folder, encoder, progress, rules):
        progress(7, 24)
        reached.set()
        assert go.wait(30)
        return update(modality, folder, encoder, progress)

    server.searcher.table.update = held
    page["add"].click()
    page["add-folder"].send_keys(str(folders["photo"]), Keys.ENTER)
    page.until(lambda: page["adding-text"].text == f"Adding {folders['photo']}: 7 of 24 pictures")
    go.set()
    page.until(lambda: len(page.cards()) == 23 and "gone" not in page["grid"].text)
    page.until(lambda: page["adding-text"].text.endswith("23 added, 0 kept, 24 replaced or gone"))
    assert not page["adding-bar"].is_displayed() and "23 photos" in page["about"].text
    page.close()


TOKEN = "correct-horse_battery"


def test_the_printed_address_opens_the_page(browser, serve):
    """The address loses its token, which stays as a cookie that scripts cannot read; the page can be loaded again."""
    server = serve(token=TOKEN)
    browser.get(f"{server.url}/")
    assert "The token that the server printed" in browser.page_source and browser.get_cookies() == []
    browser.get_log("browser")  # the browser lists the refusal
    page = Page(browser, server, server.address.removeprefix(f"{server.url}/"))
    assert page["status"].text.startswith("Draw something") and browser.current_url.startswith(f"{server.url}/#")
    assert browser.execute_script("return document.cookie") == ""
    (cookie,) = browser.get_cookies()
    assert cookie["name"] == f"zscmr_token_{server.port}" and cookie["httpOnly"] and cookie["sameSite"] == "Strict"
    browser.refresh()
    page.until(lambda: page["status"].text.startswith("Draw something"))
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == 24)
    page.until(lambda: browser.execute_script("return document.querySelector('#grid img').naturalWidth") == 96)
    page.close()


def test_two_servers_keep_their_cookies(browser, serve):
    """Browsers share cookies among the ports of a host."""
    servers = [serve(token=TOKEN), serve(token="another-good_token")]
    for server in servers:
        Page(browser, server, server.address.removeprefix(f"{server.url}/"))
    for server in servers:
        assert Page(browser, server)["status"].text.startswith("Draw something")


def test_the_file_that_opens_the_browser_opens_the_page(browser, serve, monkeypatch):
    """A request that a local file begins comes without cookies at first, and so would its being loaded again."""
    monkeypatch.setenv("DISPLAY", ":0")
    server = serve(token=TOKEN)
    with opened(server.address, True, browser.get):
        WebDriverWait(browser, 30, 0.02).until(lambda _: browser.current_url.startswith(f"{server.url}/#"))
    assert browser.find_element(By.ID, "status").text.startswith("Draw something")
    browser.refresh()
    WebDriverWait(browser, 30, 0.02).until(lambda _: browser.find_element(By.ID, "status").text.startswith("Draw"))


def test_a_name_is_searched_alone_and_with_the_drawing(browser, server, sketch, monkeypatch):
    """Names are offered; the address has the name; one that is unknown is refused in words."""
    vectors = np.concatenate([server.searcher.embed([sketch], "sketch"), np.ones((1, 36), np.float32)])
    monkeypatch.setattr(ToyEncoder, "class_vectors", ClassVectors(("disc", "white_sheet"), vectors))
    page = Page(browser, server)
    offered = browser.find_elements(By.CSS_SELECTOR, "#class-names option")
    assert [one.get_attribute("value") for one in offered] == ["disc", "white sheet"]
    page["class-name"].send_keys("disc", Keys.ENTER)
    page.shows(server.json("POST", "/search?top=24&class_name=disc", {}))
    assert "class_name=disc" in browser.current_url
    page.stroke(LINE)
    page.shows_search("top=24&class_name=disc")
    page.close()
    page["class-name"].clear()
    page["class-name"].send_keys("white shed", Keys.ENTER)
    page.until(lambda: page["status"].text.endswith("knows is 'white shed'; did you mean white_sheet?"))


def test_pens_have_colours(page, browser, server):
    """Those of the crayons; a drawing keeps them in the address, through undo and a reload, and in what is sent."""
    pens = browser.find_elements(By.CSS_SELECTOR, "#pens input")
    colours = [pen.value_of_css_property("background-color") for pen in pens]
    crayons = [(0, 0, 0), *CRAYONS[GREYS:].tolist()]
    assert colours == [f"rgba({red}, {green}, {blue}, 1)" for red, green, blue in crayons]
    assert [pen.is_selected() for pen in pens[:2]] == [True, False]
    page["eraser"].click()
    assert not any(pen.is_selected() for pen in pens)
    pens[1].click()
    assert page["eraser"].get_attribute("aria-pressed") == "false"
    page.stroke(LINE)
    pens[1].send_keys(Keys.ARROW_RIGHT)  # by keys: the next pen
    page.stroke(OTHER)
    page["undo"].click()
    page["redo"].click()
    drawn = page.drawn
    pixels = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))
    counts = [(pixels == colour).all(2).sum() for colour in crayons]
    assert min(counts[1:3]) > 1000 and not counts[0] and not any(counts[3:])
    page.until(lambda: "colours not weighed" in page["status"].text)  # the toy gallery has none
    browser.refresh()
    page.until(lambda: page["status"].text and page.drawn == drawn)
    assert browser.find_element(By.CSS_SELECTOR, "#pens :checked").get_attribute("title") == "orange"
    browser.execute_script("sessionStorage.removeItem('pen')")
