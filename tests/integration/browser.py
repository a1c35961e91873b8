"""Chromium without a window: the servers' pages as a user sees them."""

import contextlib
import io
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Frame, Page, sync_playwright
from tests.integration.full_platform import FullPlatform

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# It talks to nobody but the pages that it is sent to.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SIZE = (1440, 900)
# A busy machine of two cores draws a page in many seconds.
PAGE_MILLISECONDS = 120_000
# By how much green outweighs red and blue in what Prefect draws of a completed run.
GREENNESS = 50
# MLflow draws a table as two grids, of names and of values, whose cells are placed by their tops.
BESIDE = """
name => {
  const all = '.ReactVirtualized__Grid__innerScrollContainer > div';
  const cells = [...document.querySelectorAll(all)];
  const label = cells.find(cell => cell.textContent.trim() === name);
  let table = label;
  while (table.querySelectorAll('.ReactVirtualized__Grid').length < 2) table = table.parentElement;
  return cells
    .filter(cell => table.contains(cell) && cell !== label && cell.style.top === label.style.top)
    .sort((one, other) => parseFloat(one.style.left) - parseFloat(other.style.left))
    .map(cell => parseFloat(cell.textContent));
}
"""


@contextlib.contextmanager
def user_of(platform: FullPlatform, pictures: Path) -> Iterator["User"]:
    """Somebody who is signed in to Prefect and MLflow; pictures of pages go to the folder."""
    assert CHROMIUM is not None
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            user = User(_page(browser, platform), pictures)
            user.sign_in(platform)
            yield user
        finally:
            browser.close()


def _page(browser: Browser, platform: FullPlatform) -> Page:
    environment = platform.environment
    width, height = SIZE
    context = browser.new_context(
        viewport={"width": width, "height": height},
        http_credentials={
            "origin": environment["MLFLOW_TRACKING_URI"],
            "username": environment["MLFLOW_TRACKING_USERNAME"],
            "password": environment["MLFLOW_TRACKING_PASSWORD"],
        },
    )
    context.set_default_timeout(PAGE_MILLISECONDS)
    return context.new_page()


class User:
    """What somebody does in front of the pages. Each step waits for what it needs to see."""

    def __init__(self, page: Page, pictures: Path) -> None:
        self.page, self.pictures = page, pictures
        pictures.mkdir(parents=True, exist_ok=True)

    def sign_in(self, platform: FullPlatform) -> None:
        """Sign in to Prefect, and close the assistant that MLflow opens at the first visit."""
        page, environment = self.page, platform.environment
        page.goto(environment["PREFECT_API_URL"].removesuffix("/api"))
        page.get_by_placeholder("admin:pass").fill(environment["PREFECT_API_AUTH_STRING"])
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Work Pools").wait_for()
        page.goto(environment["MLFLOW_TRACKING_URI"])
        page.locator('[data-component-id="mlflow.assistant.chat_panel.close"]').click()

    def sees(self, text: str | re.Pattern[str]) -> None:
        """Wait until the text is on the page."""
        self.page.get_by_text(text).first.wait_for()

    def sees_green(self, place: str) -> None:
        """Wait until something in the place is drawn in the colour of what has succeeded."""
        deadline = time.monotonic() + PAGE_MILLISECONDS / 1000
        while True:
            picture = Image.open(io.BytesIO(self.page.locator(place).first.screenshot()))
            red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB"), dtype=int), 2, 0)
            if (green - np.maximum(red, blue) > GREENNESS).any():
                return
            assert time.monotonic() < deadline, f"nothing in {place} is green"

    def follow(self, name: str) -> None:
        """Click a link, and go on in the window that it opens."""
        link = self.page.get_by_role("link", name=name).first
        if link.get_attribute("target") == "_blank":
            with self.page.context.expect_page() as opened:
                link.click()
            self.page = opened.value
        else:
            link.click()

    def open_artifact(self, key: str) -> None:
        """From a flow run's page in Prefect to the newest artifact of a key."""
        page = self.page
        page.get_by_role("tab", name="Artifacts").click()
        page.get_by_text(key, exact=True).click()
        page.locator('a[href*="/artifacts/artifact/"]').first.click()
        page.get_by_role("tab", name="Raw").wait_for()

    def compare(self, experiment: str, question: str, count: int) -> None:
        """From MLflow's list of runs to the page that compares the `count` runs asked for."""
        page = self.page
        page.goto(f"{experiment}/runs?workflowType=machine_learning")
        search = page.get_by_test_id("search-box")
        search.fill(question)
        search.press("Enter")
        # The study's own run is in the list, above its children.
        self.sees(f"{count + 1} matching runs")
        rows = page.locator('.ag-row [data-testid="experiment-view-table-run-color"]')
        page.locator(".ag-row button").first.click()
        rows.nth(count).wait_for()
        # The study's own box stands for all of its children's, with itself.
        for number in range(1, count + 1):
            page.get_by_role("checkbox", name=re.compile("row selection")).nth(number).click()
        page.get_by_role("button", name="Compare").click()
        self.sees(f"Comparing {count} Runs from 1 Experiment")

    def plot(self, metric: str) -> None:
        """Draw another metric on the comparing page, instead of the one that it begins with."""
        page = self.page
        page.locator(".js-plotly-plot").wait_for()
        metrics = page.locator(".du-bois-light-select-multiple").nth(1)
        metrics.locator("[class$=selection-item-remove]").click()
        metrics.click()
        option = page.locator(".du-bois-light-select-item-option-active")
        while option.get_attribute("title") != metric:
            page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        page.keyboard.press("Escape")
        page.locator(".js-plotly-plot").get_by_text(re.compile("^validation")).first.wait_for()

    def compared(self, metric: str) -> list[float]:
        """The values that the comparing page shows of a metric, run by run."""
        found: list[float] = self.page.evaluate(BESIDE, metric)
        return found

    def report(self) -> Frame:
        """The report, which MLflow shows in a frame of its own."""
        frame = self.page.locator("iframe").first.element_handle().content_frame()
        assert frame is not None
        frame.locator("h1").wait_for()
        return frame

    def take_picture(self, name: str) -> None:
        """Keep what the window shows, in colours few enough for a small file."""
        picture = Image.open(io.BytesIO(self.page.screenshot(animations="disabled")))
        few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(self.pictures / f"{name}.png", optimize=True)
