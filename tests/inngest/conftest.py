from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.inngest.worlds import Databases, World, background_inngests, in_process, over_http

SERVERS = ("CROSSAPP_INNGEST_SELLER_URL", "CROSSAPP_INNGEST_GRANTER_URL")
"""The variables that name two Inngest dev servers; without them the tests run only against their stand-in."""

_WORLDS = ["in process", "over HTTP", *(["servers"] if all(os.environ.get(name) for name in SERVERS) else [])]


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    """
    The databases of both apps, without any table.
    """
    shop, school = (create_engine(f"sqlite:///{tmp_path}/{name}.db") for name in ("shop", "school"))
    yield Databases(shop, school)
    shop.dispose()
    school.dispose()


@pytest.fixture(params=_WORLDS)
async def world(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[World]:
    """
    Both apps and their Inngests, in every way that they can be run here.
    """
    if request.param == "in process":
        async with in_process(databases) as world:
            yield world
    elif request.param == "over HTTP":
        with background_inngests() as urls:
            async with over_http(databases, *urls) as world:
                yield world
    else:
        async with over_http(databases, *(os.environ[name] for name in SERVERS)) as world:
            yield world
