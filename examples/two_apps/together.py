"""
Both apps and an Inngest for each, in one process: for the demo and the tests.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import httpx
from fastapi import FastAPI

from crossapp_core.testing import Environment, LocalInngest
from examples.two_apps import stripe_events
from examples.two_apps.granter.main import create_app as create_school
from examples.two_apps.seller.main import create_app as create_shop

MakeApp: TypeAlias = Callable[[Mapping[str, str]], FastAPI]


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
    return (
        shared | _own(shop) | _peer("AI_HERO", school) | webhook,
        shared | _own(school) | _peer("TT", shop),
    )


def _own(place: Place) -> dict[str, str]:
    return {
        "DATABASE_URL": place.database_url,
        "INNGEST_SERVE_ORIGIN": place.origin,
        "INNGEST_BASE_URL": place.inngest_url,
        "INNGEST_EVENT_KEY": place.event_key,
    }


def _peer(prefix: str, place: Place) -> dict[str, str]:
    return {f"{prefix}_INNGEST_BASE_URL": place.inngest_url, f"{prefix}_INNGEST_EVENT_KEY": place.event_key}


@dataclass(frozen=True)
class Running:
    """
    One app, running.
    """

    app: FastAPI
    inngest: Environment
    environ: Mapping[str, str] = field(repr=False)
    client: httpx.AsyncClient

    def visitor(self) -> httpx.AsyncClient:
        """
        Another browser, which has no cookies yet.
        """
        return _client(self.app)


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
    shop_database: str,
    school_database: str,
    *,
    make_shop: MakeApp = create_shop,
    make_school: MakeApp = create_school,
) -> AsyncIterator[Together]:
    """
    Both apps with the sample data, registered at an Inngest of their own.

    Args:
        shop_database: `DATABASE_URL` of the shop.
        school_database: `DATABASE_URL` of the school.
        make_shop: Makes the shop.
        make_school: Makes the school.
    """
    async with AsyncExitStack() as stack:
        local = stack.enter_context(LocalInngest())
        keys = [secrets.token_urlsafe(16), secrets.token_urlsafe(16)]
        inngests = [local.environment(name, keys=[key]) for name, key in zip(("shop", "school"), keys, strict=True)]
        places = [
            Place(f"http://{inngest.name}.test", database, inngest.url, key)
            for inngest, database, key in zip(inngests, (shop_database, school_database), keys, strict=True)
        ]
        environs = variables(*places)
        apps = []
        for make, inngest, environ in zip((make_shop, make_school), inngests, environs, strict=True):
            app = make(environ)
            await stack.enter_async_context(app.router.lifespan_context(app))
            client = await stack.enter_async_context(_client(app))
            await inngest.aregister(app)
            apps.append(Running(app, inngest, environ, client))
        yield Together(local, *apps)


def _client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app.test", follow_redirects=True)
