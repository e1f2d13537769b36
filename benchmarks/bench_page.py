"""The page of search.py --draw in Chromium: load, answer and scroll, with a small and a large gallery in one run.

Each gallery has random embeddings with the windows of a new gallery, 500 folders, thumbnails as --add keeps them, and
file names that are hard links to a few pictures of 12 megapixels. Load: from the request of the page to its first line
of text. Answer: from the end of a stroke to the new tiles. Scroll: by the wheel, 3,000 pixels a second, first through
1,000 tiles in five pages, each scrolled through as soon as it is there, then again from the top; the tiles on the
screen, and those of them without a picture.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from zscmr.datasets.pictures import read_thumbnail
from zscmr.retrieval import Searcher
from zscmr.retrieval.schema import File, picture_id, rows
from zscmr.retrieval.thumbnails import SIDE, thumbnail
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.options import Options, setting

FOLDERS, PICTURES, BLOCK = 500, 8, 2**13  # of a gallery; files that names link to; rows written at once
TILES, PAGE, SPEED = 1000, 200, 3000  # scrolled through, asked for at once; pixels a second
FLAGS = "--headless=new --no-sandbox --disable-gpu --no-first-run --window-size=1280,800"
OBSERVE = """
const seen = new MutationObserver(() => {
  const status = document.getElementById("status");
  if (status?.textContent && !window.ready) window.ready = performance.now();
  const grid = document.getElementById("grid");
  if (grid && !window.watched) {
    window.watched = true;
    addEventListener("pointerup", () => window.lifted = performance.now(), true);
    new MutationObserver(() => window.answered = performance.now()).observe(grid, {childList: true});
  }
});
seen.observe(document, {childList: true, subtree: true, characterData: true});
"""
SAMPLE = """
window.samples = [];  // of each frame: ms since the one before, tiles on the screen, those of them without a picture
let before = performance.now();
function sample(now) {
  const images = [...document.querySelectorAll("#grid img")].filter(image => {
    const {top, bottom} = image.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  });
  samples.push([now - before, images.length, images.filter(image => !image.naturalWidth).length]);
  before = now;
  window.sampling = requestAnimationFrame(sample);
}
window.sampling = requestAnimationFrame(sample);
return document.documentElement.scrollHeight - innerHeight - scrollY;
"""


@dataclass(frozen=True)
class Settings(Options):
    small: int = setting(3_000, "rows of one gallery", least=TILES)
    large: int = setting(100_000, "rows of the other", least=TILES)
    turns: int = setting(5, "page loads, and strokes on each", least=1)


def main(settings):
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        pictures, browser = write_pictures(Path(folder)), open_browser()
        try:
            for count in (settings.small, settings.large):
                gallery = Path(folder) / f"gallery {count}"
                fill(gallery, count, pictures)
                measure(browser, gallery, count, settings.turns)
        finally:
            browser.quit()


def write_pictures(folder):
    """[path] of JPEGs of 4,032 × 3,024 pixels with noise, as of a phone, 4 MB each."""
    random, paths = np.random.default_rng(0), []
    for number in range(PICTURES):
        spots = Image.fromarray(random.integers(0, 256, (12, 16, 3)).astype(np.uint8))
        picture = np.asarray(spots.resize((4032, 3024), Image.Resampling.BICUBIC), np.float32)
        picture += 8 * random.standard_normal((3024, 4032, 1), np.float32)
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def fill(gallery, count, pictures):
    """Make a gallery of `count` rows."""
    table, random = Searcher.shipped(gallery).table, np.random.default_rng(0)
    root, states = gallery.with_name(f"{gallery.name} files"), [os.stat(path) for path in pictures]
    thumbnails = [thumbnail(read_thumbnail(path, SIDE)) for path in pictures]
    for start in range(0, count, BLOCK):
        files = []
        for number in range(start, min(start + BLOCK, count)):
            folder = root / f"{2000 + number % FOLDERS // 20}" / f"{number % FOLDERS % 20:02}"
            folder.mkdir(parents=True, exist_ok=True)
            os.link(pictures[number % PICTURES], folder / f"{number}.jpg")
            state = states[number % PICTURES]
            files.append(File(str(folder / f"{number}.jpg"), folder.name, state.st_size, state.st_mtime_ns))
            one = picture_id("photo", files[-1].path)
            table.thumbnails.write(one, state.st_mtime_ns, thumbnails[number % PICTURES])
        windows = table.identity.windows
        shape = (len(files), 1 + windows.count, table.identity.dim) if windows else (len(files), table.identity.dim)
        vectors = random.normal(size=shape).astype(np.float32)
        table.write(rows(table.identity, "photo", files, [True] * len(files), vectors))


def open_browser():
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS.split():
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": OBSERVE})
    return browser


def measure(browser, gallery, count, turns):
    command = [sys.executable, "search.py", "--gallery", str(gallery), "--draw", "--port", "0", "--no-browser"]
    root = Path(__file__).resolve().parents[1]
    server = subprocess.Popen([*command, "--no-token"], cwd=root, stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().split()[0]
        loads, answers = [], []
        for _ in range(turns):
            loads.append(load(browser, url))
            answers += [answer(browser, number) for number in range(turns)]
        say(f"{count:,} rows: load {seconds(loads)} (first {loads[0]:.2f} s)")
        say(f"{count:,} rows: answer {seconds(answers)} (first {answers[0]:.2f} s)")
        scroll(browser, count)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def load(browser, url):
    """Seconds until the page has its first line of text."""
    browser.get("about:blank")
    browser.get(url)
    WebDriverWait(browser, 120, 0.05).until(lambda _: browser.execute_script("return window.ready"))
    return browser.execute_script("return window.ready") / 1e3


def answer(browser, number):
    """Seconds from the end of a stroke to its answer."""
    browser.execute_script("window.answered = 0")
    canvas, mouse = browser.find_element(By.ID, "canvas"), ActionChains(browser, duration=20)
    mouse.move_to_element_with_offset(canvas, -80 + 20 * number, -80).click_and_hold()
    mouse.move_to_element_with_offset(canvas, 80 - 30 * number, 90).release().perform()
    newer = "return window.answered > window.lifted"
    WebDriverWait(browser, 120, 0.05).until(lambda _: browser.execute_script(newer))
    time.sleep(0.3)  # for a search of the time before the pen was lifted
    return browser.execute_script("return window.answered - window.lifted") / 1e3


def scroll(browser, count):
    """Scroll down through `TILES` answers as they are asked for, page by page; then through all of them at once."""
    browser.execute_script(
        "const top = document.getElementById('top'); top.value = arguments[0];"
        "top.dispatchEvent(new Event('change', {bubbles: true}))",
        PAGE,
    )
    shown, pages = "return document.querySelectorAll('#grid img').length", []
    for tiles in range(PAGE, TILES + 1, PAGE):
        WebDriverWait(browser, 120, 0.05).until(lambda _, tiles=tiles: browser.execute_script(shown) >= tiles)
        pages.append(scrolled(browser))
        if tiles < TILES:
            browser.execute_script("document.getElementById('more').click()")
    browser.execute_script("scrollTo(0, 0)")
    for turn, samples in (("first", np.vstack(pages)), ("second", scrolled(browser))):
        frames, tiles, empty = samples.T
        say(
            f"{count:,} rows: {turn} scroll, {len(frames)} frames: {tiles.mean():.1f} tiles on the screen, "
            f"{empty.mean():.2f} of them without a picture (most {empty.max():.0f}, none in {np.mean(empty == 0):.1%} "
            f"of the frames); a frame takes {np.median(frames):.0f} ms, 95 % {np.percentile(frames, 95):.0f} ms"
        )


def scrolled(browser):
    """Scroll to the end of the page by the wheel: (frames, 3) what `SAMPLE` says of each."""
    wheel = {"x": 800, "y": 400, "speed": SPEED, "gestureSourceType": "mouse"}
    browser.execute_cdp_cmd("Input.synthesizeScrollGesture", wheel | {"yDistance": -browser.execute_script(SAMPLE)})
    return np.array(browser.execute_script("cancelAnimationFrame(sampling); return samples.slice(1)"))


def seconds(values):
    return f"median {statistics.median(values):.2f} s, most {max(values):.2f} s"


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
