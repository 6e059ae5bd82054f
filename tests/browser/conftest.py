from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page
from sqlalchemy import make_url

from examples.two_apps.serving import Served, served
from tests.browser.browsers import WIDE, chromium

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Run all tests here in the one event loop in which the browser was started.
    """
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """
    One browser for all tests of a module, since it works even when it has nothing to show.
    """
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """
    A page of somebody who hasn't been anywhere.
    """
    async with await browser.new_context(viewport={"width": WIDE, "height": 800}) as context:
        yield await context.new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def plain_page(browser: Browser) -> AsyncIterator[Page]:
    """
    The same, of somebody who has switched JavaScript off.
    """
    async with await browser.new_context(java_script_enabled=False) as context:
        yield await context.new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def sites(tmp_path: Path) -> AsyncIterator[Served]:
    """
    Both example apps and the provider, on ports of their own.
    """
    shop, school = (make_url(f"sqlite:///{tmp_path}/{name}.db") for name in ("shop", "school"))
    async with served((shop, school)) as sites:
        yield sites
