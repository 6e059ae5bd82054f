from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from sqlalchemy import make_url

from examples.two_apps.serving import served
from tests.browser.linking.people import World, world_of
from tests.browser.linking.visitors import Visitor, visitor


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """
    Both example apps and the provider, started once: each test has people of its own.
    """
    folder = tmp_path_factory.mktemp("linking")
    shop, school = (make_url(f"sqlite:///{folder}/{name}.db") for name in ("shop", "school"))
    async with served((shop, school)) as sites:
        with world_of(sites) as world:
            yield world


@pytest_asyncio.fixture(loop_scope="session")
async def somebody(browser: Browser, world: World) -> AsyncIterator[Visitor]:
    """
    Somebody at a browser.
    """
    async with visitor(browser, world) as somebody:
        yield somebody


@pytest_asyncio.fixture(loop_scope="session", params=[True, False], ids=["javascript", "no-javascript"])
async def anybody(request: pytest.FixtureRequest, browser: Browser, world: World) -> AsyncIterator[Visitor]:
    """
    The same, also with JavaScript switched off.
    """
    async with visitor(browser, world, javascript=request.param) as somebody:
        yield somebody
