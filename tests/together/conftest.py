from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crossapp_core.testing import LocalInngest
from tests.databases import NAMES, open_database
from tests.together.world import ADA, World


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
    A seller and a granter, on SQLite.
    """
    with open_database("sqlite", tmp_path, "shop") as shop, open_database("sqlite", tmp_path, "school") as school:
        world = await World.open(local, shop, school)
        yield world
        await world.close()


@pytest.fixture(params=NAMES)
async def any_world(request: pytest.FixtureRequest, local: LocalInngest, tmp_path: Path) -> AsyncIterator[World]:
    """
    A seller and a granter, on each kind of database in turn.
    """
    name = request.param
    with open_database(name, tmp_path, "shop") as shop, open_database(name, tmp_path, "school") as school:
        world = await World.open(local, shop, school)
        yield world
        await world.close()


@pytest.fixture
async def sold(world: World) -> World:
    """
    Both apps after a sale, which somebody would like to change.
    """
    await world.sale("p1", **ADA)
    return world
