"""
Both apps, and the provider that stands in for GitHub, on ports of this machine: for browsers.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import URL

from crossapp_core.testing import LocalInngest
from examples.two_apps.granter.main import create_app as create_school
from examples.two_apps.local_github.app import PEOPLE, LocalGitHub, clients_at, variables
from examples.two_apps.local_github.registry import Person
from examples.two_apps.seller.main import create_app as create_shop
from examples.two_apps.together import FASTAPI, FASTAPI_SHOP, CreateApp, Site, Stack, Together, started

OnPort: TypeAlias = Callable[[socket.socket], Stack]
"""Makes an app that is served on a socket."""

_LONGEST_GOODBYE = 5


@dataclass(frozen=True)
class Served:
    """
    All three, running.
    """

    shop_url: str
    school_url: str
    github_url: str
    both: Together
    github: LocalGitHub

    @property
    def local(self) -> LocalInngest:
        """
        Their Inngests; `await served.local.asettle()` lets them do all that is to be done.
        """
        return self.both.local


@asynccontextmanager
async def served(
    databases: tuple[URL, URL],
    *,
    shop: OnPort | None = None,
    school: OnPort | None = None,
    people: Sequence[Person] = PEOPLE,
) -> AsyncIterator[Served]:
    """
    Both apps with the sample data and the provider, each on a free port, in the event loop that runs this.

    A browser must not block that loop: use Playwright's async API.

    Args:
        databases: That of the shop and that of the school, whatever the driver.
        shop: What the shop is made of; FastAPI if None.
        school: What the school is made of; FastAPI if None.
        people: Who has an account at the provider.
    """
    with free_port() as (to_shop, shop_url), free_port() as (to_school, school_url), free_port() as (to_github, origin):
        clients = clients_at(shop_url, school_url, secret=secrets.token_urlsafe(16))
        github = LocalGitHub([*clients.values()], people)
        async with (
            on_port(github.app, to_github),
            started(
                databases,
                shop=(shop or fastapi_on(create_shop))(to_shop),
                school=(school or fastapi_on(create_school))(to_school),
                origins=(shop_url, school_url),
                extra=(variables(origin, clients["shop"]), variables(origin, clients["school"])),
            ) as both,
        ):
            yield Served(shop_url, school_url, origin, both, github)


def fastapi_on(create_app: CreateApp) -> OnPort:
    """
    A FastAPI app on a port.
    """

    def on(listening: socket.socket) -> Stack:
        @asynccontextmanager
        async def opened(environ: Mapping[str, str], clock: Callable[[], datetime]) -> AsyncIterator[Site]:
            app, origin = create_app(environ, clock), environ["INNGEST_SERVE_ORIGIN"]
            async with app.router.lifespan_context(app), on_port(app, listening):
                visitor = lambda: httpx.AsyncClient(base_url=origin, follow_redirects=True, trust_env=False)  # noqa: E731
                yield Site(app, visitor, FASTAPI)

        return replace(FASTAPI_SHOP, open=opened)

    return on


@contextmanager
def free_port() -> Iterator[tuple[socket.socket, str]]:
    """
    A socket that listens on a free port of this machine, and its origin; who comes before it is served waits.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def on_port(app: FastAPI, listening: socket.socket) -> AsyncIterator[None]:
    """
    Serve an app, whose lifespan is the caller's business, in this event loop.
    """
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_LONGEST_GOODBYE,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Ctrl+C is for the whole process, not for one of its servers
        yield
