"""Chromium without a window: pages as a person sees them."""

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# It talks to nobody but the pages that it is sent to.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PAGE_MILLISECONDS = 120_000


@contextlib.contextmanager
def browser_page(account: str = "", height: int = 1000) -> Iterator[Page]:
    """A page that answers passwords with `account`, `user:password`."""
    assert CHROMIUM is not None
    user, _, password = account.partition(":")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = browser.new_context(
            viewport={"width": 1500, "height": height},
            http_credentials={"username": user, "password": password} if account else None,
        )
        context.set_default_timeout(PAGE_MILLISECONDS)
        try:
            yield context.new_page()
        finally:
            browser.close()
