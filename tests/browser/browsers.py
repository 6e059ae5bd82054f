"""
The browser, and pictures of what it shows.

Playwright's async API, since its sync API leaves an event loop running in the thread that all other tests need, too.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).parents[2]
WIDE, NARROW = 1280, 320
"""Widths in CSS pixels: a desktop's, and that of a small phone, or of a desktop's page at 400 %."""
_HEIGHT = 800

# a page that needs something from the network must not pass where there is one
_OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost, EXCLUDE *.localhost"


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """
    Start Chromium without a window.

    If it is missing, the test is skipped on a developer's machine, and fails in CI.
    """
    executable = os.environ.get("CROSSAPP_CHROMIUM") or shutil.which("chromium")
    if executable is None:
        reason = "no chromium: see CONTRIBUTING.md"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            chromium_sandbox=os.geteuid() != 0,  # which root can't have
            args=[_OFFLINE],
        )
        yield browser
        await browser.close()


def artifacts() -> Path:
    """
    The directory for what a run leaves to be looked at.
    """
    folder = Path(os.environ.get("CROSSAPP_ARTIFACTS") or ROOT / "artifacts")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


async def picture(page: Page, name: str) -> list[Path]:
    """
    Save what a page shows, wide and narrow, as `name-1280.png` and `name-320.png`; it is wide again afterwards.

    Fails if the narrow page scrolls sideways.
    """
    saved = [await _shot(page, name, width) for width in (WIDE, NARROW)]
    needed = await page.evaluate("document.documentElement.scrollWidth")
    available = await page.evaluate("window.innerWidth")
    await _resize(page, WIDE)
    assert needed <= available, f"{name} needs {needed} pixels where there are {available}: see {saved[-1]}"
    return saved


async def _shot(page: Page, name: str, width: int) -> Path:
    await _resize(page, width)
    path = artifacts() / f"{name}-{width}.png"
    await page.screenshot(path=path, full_page=True)
    return path


async def _resize(page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": _HEIGHT})
