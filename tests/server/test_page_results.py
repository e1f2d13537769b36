"""What the page offers for people with photos: dates, folders, copies, downloads, pages of answers."""

import io
import re
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the page is not tested")
pytest.importorskip("selenium", reason="selenium is not installed: the page is not tested in a browser")

from helpers.page import LINE, OTHER, Page
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

pytestmark = pytest.mark.slow
pytest_plugins = ("helpers.toy_server", "helpers.chromium")


@pytest.fixture
def downloads(browser, tmp_path):
    """The folder that the browser downloads to."""
    folder = tmp_path / "downloads"
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(folder)})
    return folder


def downloaded(page, file):
    """The bytes of a file that the browser downloads."""
    page.until(file.exists)  # it has this name once it is complete
    return file.read_bytes()


def date(file, text):
    """Write the time at which a picture was taken."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = text  # DateTimeOriginal
    Image.open(file).save(file, exif=exif)


def drawn_page(browser, server, count=24):
    """A page with a line drawn and `count` answers."""
    page = Page(browser, server)
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == count)
    return page


def parts(page, name):
    """The texts of one part of each tile; empty where it has none."""
    texts = (
        "[...document.querySelectorAll('#grid .find')].map(one => one.querySelector(arguments[0])?.textContent ?? '')"
    )
    return page.browser.execute_script(f"return {texts}", name)


def names(page):
    return parts(page, ".name")


def test_dates_are_shown_and_filter(browser, serve, folders):
    date(folders["photo"] / "bar/bar_0.jpg", "2023:12:31 23:59:59")
    date(folders["photo"] / "bar/bar_1.jpg", "2024:06:30 12:00:00")
    page = drawn_page(browser, serve())
    assert page["dates"].is_displayed() and page["since"].get_attribute("min") == "2023-12-31"
    dates = dict(zip(names(page), parts(page, "time"), strict=True))
    assert "2023" in dates["bar_0.jpg"] and "2024" in dates["bar_1.jpg"] and dates["bar_2.jpg"] == ""
    change = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change', {bubbles: true}))"
    browser.execute_script(change, page["since"], "2024-01-01")
    page.until(lambda: names(page) == ["bar_1.jpg"])
    browser.execute_script(change, page["until"], "2024-06-29")
    page.until(lambda: page["status"].text == "No such photos in the gallery.")
    browser.execute_script(change, page["since"], "")
    page.until(lambda: names(page) == ["bar_0.jpg"])
    assert "until=2024-06-29" in browser.current_url
    browser.refresh()
    page.until(lambda: names(page) == ["bar_0.jpg"])
    page.close()


def test_without_dates_there_is_no_range(page):
    page.stroke(LINE)
    page.shows_search()
    assert not page["dates"].is_displayed()
    assert not page.browser.find_elements(By.CSS_SELECTOR, "#grid time")


def test_a_folder_holds_those_in_it(browser, serve, folders):
    """In a tree, without the start that all paths share; a folder with a single one in it shares its line."""
    photos = folders["photo"]
    (photos / "2024").mkdir()
    (photos / "trips/alps").mkdir(parents=True)
    (photos / "bar").rename(photos / "2024/06")
    (photos / "cross").rename(photos / "trips/alps/summer")
    shutil.move(photos / "disc/disc_0.jpg", photos / "2024/one.jpg")
    server = serve()
    page = drawn_page(browser, server)
    labels = [option.get_attribute("textContent") for option in Select(page["folder"]).options]
    assert labels == ["all", "2024 (9)", "\u200306 (8)", "disc (7)", "trips/alps/summer (8)"]
    Select(page["folder"]).select_by_value(f"{photos}/2024")
    page.shows_search(f"top=24&folder={photos}/2024")
    assert len(page.shown) == 9
    page.close()


def test_near_duplicates_are_one_tile(browser, serve, folders):
    """Three files of one content; the first stands for all."""
    for name in ("again", "third"):
        shutil.copy(folders["photo"] / "bar/bar_3.jpg", folders["photo"] / f"bar/{name}.jpg")
    page = Page(browser, serve())
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == 22)
    (sign,) = browser.find_elements(By.CSS_SELECTOR, "#grid .copies")
    assert sign.text == "+2" and sign.get_attribute("aria-expanded") == "false"
    assert "The 24 nearest of 26 photos" in page["status"].text
    first = sign.find_element(By.XPATH, "..").find_element(By.CSS_SELECTOR, ".name").text
    assert sum(name in ("again.jpg", "third.jpg", "bar_3.jpg") for name in names(page)) == 1
    browser.execute_script("arguments[0].click()", sign)
    page.until(lambda: len(page.shown) == 24)
    start = names(page).index(first)
    assert set(names(page)[start : start + 3]) == {"again.jpg", "third.jpg", "bar_3.jpg"}
    sign = browser.switch_to.active_element
    assert sign.text == "−2" and sign.get_attribute("aria-expanded") == "true"
    sign.click()
    page.until(lambda: len(page.shown) == 22)
    page.close()


def test_more_answers_follow(page, browser):
    page.stroke(LINE)
    page.shows_search()
    assert not page["more"].is_displayed()  # all 24 are shown
    Select(page["top"]).select_by_value("12")
    page.shows_search("top=12")
    kept = browser.find_element(By.CSS_SELECTOR, "#grid img")
    page["more"].click()
    page.shows_search("top=24")
    assert not page["more"].is_displayed() and browser.find_element(By.CSS_SELECTOR, "#grid img") == kept
    page.stroke(OTHER)
    page.shows_search("top=12")


def test_the_large_picture_has_its_path_and_is_downloaded(page, browser, drawn, downloads):
    permissions = {"permissions": ["clipboardSanitizedWrite", "clipboardReadWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", permissions)
    page.stroke(LINE)
    page.shows_search()
    best = page.server.search(page.drawn)["found"][0]["name"]
    browser.execute_script("document.querySelector('#grid .open').click()")
    assert page.large("path").text == best
    page.large("copy").click()
    page.until(lambda: page.large("copy").text == "Copied")
    copied = browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert copied == best
    page.large("download").click()
    file = downloads / best.split("/")[-1]
    assert downloaded(page, file) == (drawn["photo"] / best).read_bytes()
    page.large("close").click()


def test_a_large_picture_of_a_format_that_browsers_lack_is_a_preview(browser, serve, folders):
    page = Page(browser, serve())
    page.stroke(LINE)
    page.shows_search()
    best = page.server.search(page.drawn)["found"][0]["name"]
    Image.new("RGB", (900, 300), "red").save(folders["photo"] / best, "TIFF")
    browser.execute_script("document.querySelector('#grid .open').click()")
    width = "return document.querySelector('#large img').naturalWidth"
    page.until(lambda: browser.execute_script(width) == 900)
    assert "/preview/" in page.large("picture").find_element(By.TAG_NAME, "img").get_attribute("src")
    page.large("close").click()
    page.close()


def test_pictures_are_selected_over_searches_and_downloaded(page, browser, drawn, downloads):
    page.stroke(LINE)
    page.shows_search()
    boxes = browser.find_elements(By.CSS_SELECTOR, "#grid .choose")
    assert not page["chosen"].is_displayed()
    browser.execute_script("arguments[0].click()", boxes[0])
    first = page.shown[0]
    assert "1 selected" in page["chosen"].text
    Select(page["class"]).select_by_value("cross")
    page.shows_search("top=24&class=cross")
    browser.execute_script("document.querySelector('#grid .choose').click()")
    assert "2 selected" in page["chosen"].text
    page["chosen"].find_element(By.TAG_NAME, "a").click()
    archive = zipfile.ZipFile(io.BytesIO(downloaded(page, downloads / "pictures.zip")))
    stored = page.server.searcher.table.stored([first, page.shown[0]])
    expected = {one.name.split("/")[-1]: (drawn["photo"] / one.name).read_bytes() for one in stored.values()}
    assert {name: archive.read(name) for name in archive.namelist()} == expected
    Select(page["class"]).select_by_value("")
    page.shows_search()
    checked = browser.find_elements(By.CSS_SELECTOR, "#grid .choose:checked")
    assert len(checked) == 2
    page["chosen"].find_element(By.TAG_NAME, "button").click()
    assert not page["chosen"].is_displayed() and not any(box.is_selected() for box in checked)


def test_the_drawing_is_saved(page, downloads):
    """As a PNG of the same pixels, and as an SVG with the points of the strokes; what was erased is white."""
    assert not page["save-png"].is_enabled()
    page.stroke([(0, 0), (100, 0)])
    page["eraser"].click()
    page.stroke([(50, 0), (50, 0)])
    page.browser.find_elements(By.CSS_SELECTOR, "#pens input")[4].click()
    page.stroke([(0, 50), (100, 50)])
    page["save-png"].click()
    saved, shown = (Image.open(io.BytesIO(png)) for png in (downloaded(page, downloads / "drawing.png"), page.drawn))
    np.testing.assert_array_equal(np.asarray(saved.convert("RGB")), np.asarray(shown.convert("RGB")))
    page["save-svg"].click()
    text = downloaded(page, downloads / "drawing.svg").decode()
    strokes = re.findall(r'<path d="M(\S+) (\S+)L(\S+) (\S+)" stroke="(.*?)" stroke-width="(\d+)"', text)
    scale = 512 / page["canvas"].rect["width"]
    assert [stroke[4:] for stroke in strokes] == [("#000", "6"), ("#fff", "18"), ("#3c9632", "6")]
    line = [float(number) for number in strokes[0][:4]]
    assert line == pytest.approx([256, 256, 256 + 100 * scale, 256], abs=2)
