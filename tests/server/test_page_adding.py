"""Adding from the page, in Chromium: the first folder, what is wrong with one, and a folder that is followed."""

import shutil
import threading

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the page is not tested")
pytest.importorskip("selenium", reason="selenium is not installed: the page is not tested in a browser")

from helpers.page import LINE, Page
from helpers.toy_shapes import draw
from selenium.webdriver.common.keys import Keys

pytestmark = pytest.mark.slow
pytest_plugins = ("helpers.toy_server", "helpers.chromium")


@pytest.fixture
def photos(folders, tmp_path):
    """A folder of pictures; none is in the gallery."""
    shutil.rmtree(folders["sketch"])
    return folders["photo"].rename(tmp_path / "photos")


def test_the_first_folder_is_added_from_the_page(browser, serve, photos):
    page = Page(browser, serve(may_add=True))
    assert page["status"].text == "No photos in the gallery yet. Add a folder below."
    assert page["add-folder"].is_displayed() and page["about"].text == "0 photos in the gallery"
    page.stroke(LINE)
    page["add-folder"].send_keys(str(photos), Keys.ENTER)
    page.until(lambda: len(page.shown) == 24)
    assert page["about"].text == "24 photos in the gallery" and page["add-error"].text == ""
    page.close()


def test_while_the_first_photos_are_added_the_page_says_so(browser, serve, photos):
    server, go = serve(may_add=True), threading.Event()
    update = server.searcher.table.update

    def held(modality, folder, encoder, progress, rules):
        progress(3, 24)
        assert go.wait(60)
        return update(modality, folder, encoder, progress)

    server.searcher.table.update = held
    server.api.adding.start("photo", photos)
    page = Page(browser, server)
    expected = "The first photos are being added: 3 of 24. They can be searched in a moment."
    page.until(lambda: page["status"].text == expected)
    go.set()
    page.until(lambda: page["status"].text.startswith("Draw something"))
    assert page["about"].text == "24 photos in the gallery"
    page.close()


def test_a_page_that_may_not_add_says_who_may(browser, serve, photos):
    page = Page(browser, serve())
    assert page["status"].text.startswith("No photos in the gallery yet. The server adds them: --add DIR")
    assert not page["add"].is_displayed()
    page.close()


def test_what_is_wrong_stands_under_the_box(browser, serve, photos):
    """What is no folder, and an addition that ends early; the next one clears it."""
    server = serve(may_add=True)
    page = Page(browser, server)
    page["add-folder"].send_keys("no such pictures", Keys.ENTER)
    page.until(lambda: page["add-error"].text == "No such folder: 'no such pictures'")
    box, error = page["add-folder"].rect, page["add-error"].rect
    assert 0 < error["y"] - box["y"] < 100 and page["add-error"].aria_role == "alert"
    update = server.searcher.table.update

    def fails(*_, **__):
        raise OSError("the drive is gone")

    server.searcher.table.update = fails
    page["add-folder"].clear()
    page["add-folder"].send_keys(str(photos), Keys.ENTER)
    page.until(lambda: page["add-error"].text == "The drive is gone")
    server.searcher.table.update = update
    page["add-folder"].send_keys(Keys.ENTER)
    page.until(lambda: "24 added" in page["adding-text"].text)
    assert page["add-error"].text == "" and page["adding"].is_displayed()
    page["add-folder"].send_keys("-none", Keys.ENTER)
    page.until(lambda: page["add-error"].text.startswith("No such folder") and not page["adding"].is_displayed())
    browser.get_log("browser")  # the browser lists the refusals
    page.close()


def test_pictures_come_in_while_a_folder_is_followed(browser, serve, folders, random):
    """New, changed and removed ones."""
    pytest.importorskip("watchfiles", reason="watchfiles is not installed: following a folder is not tested")
    server = serve()
    server.api.adding.follow("photo", folders["photo"])
    page = Page(browser, server)
    page.stroke(LINE)
    page.until(lambda: len(page.shown) == 24)
    new = folders["photo"] / "bar/new.jpg"
    draw("bar", random).save(new)
    page.until(lambda: "25 photos" in page["about"].text and len(page.shown) == 24)
    before = server.search(page.drawn, "top=25")["found"]
    draw("disc", random).save(new)
    page.until(lambda: server.search(page.drawn, "top=25")["found"] != before)
    shutil.rmtree(folders["photo"] / "disc")
    page.until(lambda: "17 photos" in page["about"].text and len(page.shown) == 17)
    browser.get_log("browser")  # the browser lists thumbnails that have gone
    page.close()
