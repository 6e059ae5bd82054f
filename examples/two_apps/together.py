"""
Both apps and an Inngest for each, in one process: for the demo and the tests.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

import httpx
from fastapi import FastAPI
from sqlalchemy import URL

from crossapp_core.testing import Clock, Environment, LocalInngest
from crossapp_core.testing.deployments import App
from examples.two_apps import stripe_events
from examples.two_apps.granter.main import create_app as create_school
from examples.two_apps.seller.main import create_app as create_shop

FASTAPI = "FastAPI with an async engine"

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+asyncmy"}


@dataclass(frozen=True)
class Site:
    """
    An app, and how people reach it.
    """

    app: App
    visitor: Callable[[], httpx.AsyncClient]
    """Another browser, which has no cookies yet."""
    made_of: str


Open: TypeAlias = Callable[[Mapping[str, str], Callable[[], datetime]], AbstractAsyncContextManager[Site]]
"""Opens an app that is made from environment variables, and the clock of its bridge."""
CreateApp: TypeAlias = Callable[[Mapping[str, str], Callable[[], datetime]], FastAPI]


@dataclass(frozen=True)
class Stack:
    """
    What one of the apps is made of.
    """

    name: str
    drivers: Mapping[str, str]
    """SQLAlchemy's names of its databases, with the driver that it uses there."""
    open: Open

    def url(self, database: URL) -> str:
        """
        `DATABASE_URL` of the app, for that database.
        """
        driver = self.drivers[database.get_backend_name()]
        return database.set(drivername=driver).render_as_string(hide_password=False)


def fastapi(create_app: CreateApp) -> Stack:
    """
    FastAPI with an async engine.
    """

    @asynccontextmanager
    async def opened(environ: Mapping[str, str], clock: Callable[[], datetime]) -> AsyncIterator[Site]:
        app, origin = create_app(environ, clock), environ["INNGEST_SERVE_ORIGIN"]
        transport = httpx.ASGITransport(app=app)
        async with app.router.lifespan_context(app):
            yield Site(
                app,
                lambda: httpx.AsyncClient(transport=transport, base_url=origin, follow_redirects=True),
                FASTAPI,
            )

    return Stack(FASTAPI, _DRIVERS, opened)


FASTAPI_SHOP, FASTAPI_SCHOOL = fastapi(create_shop), fastapi(create_school)


@dataclass(frozen=True)
class Place:
    """
    Where one of the apps lives.
    """

    origin: str
    database_url: str = field(repr=False)
    inngest_url: str
    event_key: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)


def variables(shop: Place, school: Place) -> tuple[dict[str, str], dict[str, str]]:
    """
    The environment variables of both apps.
    """
    shared = {"INNGEST_DEV": "1", "SAMPLE_DATA": "1", "CROSS_APP_SECRET": secrets.token_urlsafe(32)}
    webhook = {"STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_urlsafe(24)}"}
    shop_name, school_name = "Total TypeScript", "AI Hero"
    return (
        shared | _own(shop, shop_name) | _peer("AI_HERO", school, school_name) | webhook,
        shared | _own(school, school_name) | _peer("TT", shop, shop_name),
    )


def _own(place: Place, name: str) -> dict[str, str]:
    return {
        "CROSS_APP_NAME": name,
        "DATABASE_URL": place.database_url,
        "INNGEST_SERVE_ORIGIN": place.origin,
        "INNGEST_BASE_URL": place.inngest_url,
        "INNGEST_EVENT_KEY": place.event_key,
    }


def _peer(prefix: str, place: Place, name: str) -> dict[str, str]:
    return {
        f"{prefix}_INNGEST_BASE_URL": place.inngest_url,
        f"{prefix}_INNGEST_EVENT_KEY": place.event_key,
        f"{prefix}_NAME": name,
        f"{prefix}_WEB_URL": place.origin,
    }


@dataclass(frozen=True)
class Running:
    """
    One app, running.
    """

    site: Site
    inngest: Environment
    environ: Mapping[str, str] = field(repr=False)
    client: httpx.AsyncClient

    def visitor(self) -> httpx.AsyncClient:
        """
        Another browser, which has no cookies yet.
        """
        return self.site.visitor()


@dataclass(frozen=True)
class Together:
    """
    Both apps, running.
    """

    local: LocalInngest
    shop: Running
    school: Running

    async def stripe(self, event: dict[str, object]) -> httpx.Response:
        """
        Deliver an event of Stripe to the shop.
        """
        signed = stripe_events.request(event, self.shop.environ["STRIPE_WEBHOOK_SECRET"])
        return await self.shop.client.post(stripe_events.PATH, **signed)


@asynccontextmanager
async def started(
    databases: tuple[URL, URL],
    *,
    shop: Stack = FASTAPI_SHOP,
    school: Stack = FASTAPI_SCHOOL,
    origins: tuple[str, str] = ("http://shop.test", "http://school.test"),
    extra: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
) -> AsyncIterator[Together]:
    """
    Both apps with the sample data, registered at an Inngest of their own. The bridges' time is that of the Inngests.

    Args:
        databases: That of the shop and that of the school, whatever the driver.
        shop: What the shop is made of.
        school: What the school is made of.
        origins: Where people reach the shop, and the school.
        extra: More environment variables of the shop, and of the school.
    """
    stacks = (shop, school)
    async with AsyncExitStack() as stack:
        local = stack.enter_context(LocalInngest(clock=Clock(datetime.now(UTC))))
        keys = [secrets.token_urlsafe(16), secrets.token_urlsafe(16)]
        inngests = [local.environment(name, keys=[key]) for name, key in zip(("shop", "school"), keys, strict=True)]
        urls = [each.url(database) for each, database in zip(stacks, databases, strict=True)]
        environs = variables(
            *(
                Place(origin, url, inngest.url, key)
                for origin, inngest, url, key in zip(origins, inngests, urls, keys, strict=True)
            )
        )
        apps = []
        for each, inngest, said, more in zip(stacks, inngests, environs, extra, strict=True):
            environ = {**said, **more}
            site = await stack.enter_async_context(each.open(environ, local.clock))
            client = await stack.enter_async_context(site.visitor())
            await inngest.aregister(site.app)
            apps.append(Running(site, inngest, environ, client))
        yield Together(local, *apps)
