"""The page by the rules of axe-core, in its sizes and colours."""

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the page is not tested")
pytest.importorskip("selenium", reason="selenium is not installed: the page is not tested in a browser")
pytest.importorskip("axe_core_python", reason="axe-core-python is not installed: the page is not checked by its rules")

from axe_core_python.selenium import Axe
from helpers.page import LINE

pytestmark = pytest.mark.slow
pytest_plugins = ("helpers.toy_server", "helpers.chromium")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 800), (390, 844), (375, 667)])
def test_no_serious_finding(page, browser, size, scheme):
    """With answers and a selection, a picture as the query, and a large picture."""
    about = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", about)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        browser.refresh()
        page.until(lambda: page["status"].text)
        assert serious(browser) == []
        page.stroke(LINE)
        page.until(lambda: len(page.shown) == 24)
        browser.execute_script(
            "document.querySelector('#grid .choose').click(); document.querySelector('#fold').open = 1"
        )
        page.until(lambda: page["chosen"].is_displayed() and not page["grid"].get_attribute("aria-busy"))
        assert serious(browser) == []
        browser.execute_script("document.querySelector('#grid .find').click()")
        page.until(lambda: page["picture"].is_displayed() and len(page.shown) == 23)
        browser.execute_script("document.querySelector('#grid .open').click()")
        page.until(lambda: page["large"].is_displayed())
        assert serious(browser) == []
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def serious(browser):
    """[(rule, element)] of the findings of axe-core that are serious or worse."""
    found = Axe().run(browser)["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")]
