from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crossapp_core.testing import LocalInngest
from tests.web.sites import World, open_world


@pytest.fixture
def local() -> Iterator[LocalInngest]:
    """
    Environments that are gone after the test.
    """
    with LocalInngest() as local:
        yield local


@pytest.fixture
async def world(local: LocalInngest, tmp_path: Path) -> AsyncIterator[World]:
    """
    Both apps with async engines.
    """
    async with open_world(local, tmp_path) as world:
        yield world


@pytest.fixture(params=["async", "sync"])
async def either(request: pytest.FixtureRequest, local: LocalInngest, tmp_path: Path) -> AsyncIterator[World]:
    """
    Both apps, with async engines and with sync ones.
    """
    async with open_world(local, tmp_path, is_async=request.param == "async") as world:
        yield world
