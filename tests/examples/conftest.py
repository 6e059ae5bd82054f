from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, create_engine

from examples.flask_seller.stack import FLASK_SHOP
from examples.two_apps.granter.sample import PASSWORD
from examples.two_apps.serving import Served, served
from examples.two_apps.together import FASTAPI_SHOP, Stack, Together, started
from tests.examples.rows import forget_accounts, link_ada
from tests.examples.sites import SCHOOL, SHOP, Site

SHOPS = {"fastapi": FASTAPI_SHOP, "flask": FLASK_SHOP}
"""The shop in all its forms."""


@dataclass(frozen=True)
class Apps:
    """
    Both example apps, running, and their databases.
    """

    both: Together
    shop: Engine
    school: Engine

    async def stripe(self, event: dict[str, object]) -> httpx.Response:
        """
        Deliver an event of Stripe to the shop.
        """
        return await self.both.stripe(event)

    async def settle(self) -> None:
        """
        Let both Inngests do all that is to be done.
        """
        await self.both.local.asettle()

    async def get(self, path: str, *, user: str | None) -> httpx.Response:
        """
        Open a page of the school, as the user with that address.
        """
        async with self.both.school.visitor() as browser:
            if user is not None:
                await browser.post("/sign-in", data={"email": user, "password": PASSWORD})
            return await browser.get(path)


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    """
    The databases of the shop and the school, without any table.
    """
    shop, school = (create_engine(f"sqlite:///{tmp_path}/{name}.db") for name in ("shop", "school"))
    yield shop, school
    shop.dispose()
    school.dispose()


@pytest.fixture
def shop() -> Stack:
    """
    What the shop is made of.
    """
    return FASTAPI_SHOP


@pytest.fixture
async def apps(engines: tuple[Engine, Engine], shop: Stack) -> AsyncIterator[Apps]:
    """
    Both apps with the sample data; Ada is linked.
    """
    databases = (engines[0].url, engines[1].url)
    async with started(databases, shop=shop) as both:
        link_ada(*engines)
        yield Apps(both, *engines)


@pytest.fixture
async def on_ports(engines: tuple[Engine, Engine]) -> AsyncIterator[Served]:
    """
    Both apps and the provider that stands in for GitHub, each on a real port; nobody has connected an account yet.
    """
    async with served((engines[0].url, engines[1].url)) as all_three:
        forget_accounts(engines[0])
        yield all_three


@pytest.fixture(params=[SHOP, SCHOOL])
def site(request: pytest.FixtureRequest, on_ports: Served, engines: tuple[Engine, Engine]) -> Site:
    """
    Each of the apps in turn, on a real port.
    """
    return Site.of(request.param, on_ports, engines)
