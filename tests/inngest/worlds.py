"""
The example apps in two worlds: called in this process by a stand-in for Inngest, or served over HTTP to real servers.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine
from starlette.types import Message, Receive, Scope, Send

from crossapp_core.testing import LocalInngest
from examples.two_apps import stripe_events
from examples.two_apps.granter.main import create_app as create_school
from examples.two_apps.granter.sample import PASSWORD
from examples.two_apps.seller.main import create_app as create_shop
from examples.two_apps.together import Place, variables
from tests.examples.rows import link_ada

_PATIENCE = 30.0
_PAUSE = 0.05


@dataclass(frozen=True)
class Call:
    """
    One call that Inngest made to a function.
    """

    function: str
    status: int
    final: bool
    """Whether the app said that another attempt is of no use."""


class Calls:
    """
    An app, and all calls that Inngest makes to its functions.
    """

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.made: list[Call] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Hand a request on to the app, and remember the answer.
        """
        is_call = scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == "/api/inngest"

        async def answer(message: Message) -> None:
            if is_call and message["type"] == "http.response.start":
                function = parse_qs(scope["query_string"].decode())["fnId"][0]
                headers = {name.lower(): value for name, value in message["headers"]}
                self.made.append(Call(function, message["status"], headers.get(b"x-inngest-no-retry") == b"true"))
            await send(message)

        await self.app(scope, receive, answer)

    def of(self, function: str) -> list[Call]:
        """
        The calls of one function, by its full id.
        """
        return [call for call in list(self.made) if call.function == function]

    def ended(self, function: str) -> int:
        """
        How many runs of a function came to their end.
        """
        return len([call for call in self.of(function) if call.status == 200])


class Waiting(Protocol):
    """
    How one waits for what Inngest does.
    """

    async def __call__(self, what: str, done: Callable[[], bool]) -> None:
        """
        Wait until *done*; fail if it doesn't come to that.
        """
        ...


@dataclass(frozen=True)
class Databases:
    """
    Two empty databases, and how to look into them.
    """

    shop: Engine
    school: Engine

    @property
    def urls(self) -> list[str]:
        """
        Their `DATABASE_URL`.
        """
        return [f"sqlite+aiosqlite:///{engine.url.database}" for engine in (self.shop, self.school)]


@dataclass(frozen=True)
class World:
    """
    Both apps, each registered at its Inngest.
    """

    until: Waiting
    databases: Databases
    shop: httpx.AsyncClient
    school: httpx.AsyncClient
    shop_calls: Calls
    school_calls: Calls
    shop_environ: Mapping[str, str] = field(repr=False)
    school_environ: Mapping[str, str] = field(repr=False)

    async def stripe(self, event: dict[str, object]) -> None:
        """
        Deliver an event of Stripe to the shop.
        """
        signed = stripe_events.request(event, self.shop_environ["STRIPE_WEBHOOK_SECRET"])
        (await self.shop.post(stripe_events.PATH, **signed)).raise_for_status()

    async def open(self, course: str, *, address: str) -> int:
        """
        Open a course as somebody, and tell the answer's status.
        """
        await self.school.post("/sign-in", data={"email": address, "password": PASSWORD})
        return (await self.school.get(f"/courses/{course}")).status_code


@asynccontextmanager
async def in_process(databases: Databases) -> AsyncIterator[World]:
    """
    Both apps in this process, each with a `LocalInngest`, on a clock that need not wait for anything.
    """
    with LocalInngest() as local:
        inngests = local.environment("shop"), local.environment("school")
        places = [
            Place(f"http://{inngest.name}.test", url, inngest.url)
            for inngest, url in zip(inngests, databases.urls, strict=True)
        ]
        environs = variables(*places)
        shop, school = Calls(create_shop(environs[0])), Calls(create_school(environs[1]))
        async with (
            shop.app.router.lifespan_context(shop.app),
            school.app.router.lifespan_context(school.app),
            httpx.AsyncClient(transport=httpx.ASGITransport(shop), base_url=places[0].origin) as buyer,
            httpx.AsyncClient(transport=httpx.ASGITransport(school), base_url=places[1].origin) as learner,
        ):
            await inngests[0].aregister(shop)
            await inngests[1].aregister(school)

            async def until(what: str, done: Callable[[], bool]) -> None:
                await local.asettle()
                assert done(), f"{what}: it didn't come to that, and nothing is left to be done"

            link_ada(databases.shop, databases.school)
            yield World(until, databases, buyer, learner, shop, school, *environs)


@asynccontextmanager
async def over_http(databases: Databases, shop_inngest: str, school_inngest: str) -> AsyncIterator[World]:
    """
    Both apps served by uvicorn on ports of their own, each registered at the Inngest server of that URL.
    """
    with _free_port() as (shop_socket, shop_origin), _free_port() as (school_socket, school_origin):
        places = [
            Place(origin, url, inngest)
            for origin, url, inngest in zip(
                (shop_origin, school_origin), databases.urls, (shop_inngest, school_inngest), strict=True
            )
        ]
        environs = variables(*places)
        with (
            _served(create_shop, environs[0], shop_socket) as shop,
            _served(create_school, environs[1], school_socket) as school,
        ):
            async with (
                httpx.AsyncClient(base_url=shop_origin, trust_env=False) as buyer,
                httpx.AsyncClient(base_url=school_origin, trust_env=False) as learner,
            ):
                for client in (buyer, learner):
                    (await client.put("/api/inngest")).raise_for_status()
                link_ada(databases.shop, databases.school)
                yield World(_poll, databases, buyer, learner, shop, school, *environs)


@contextmanager
def background_inngests() -> Iterator[tuple[str, str]]:
    """
    Two `LocalInngest` that run whatever is due by themselves, as servers do; their URLs.
    """
    ending = threading.Event()

    async def drive(local: LocalInngest) -> None:
        while not ending.is_set():
            await local.asettle()
            await asyncio.sleep(0.01)

    with LocalInngest() as local:
        urls = local.environment("shop").url, local.environment("school").url
        thread = threading.Thread(target=lambda: asyncio.run(drive(local)), name="inngests")
        thread.start()
        try:
            yield urls
        finally:
            ending.set()
            thread.join()


async def _poll(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not done():
        assert time.monotonic() < deadline, f"{what}: it didn't come to that within {_PATIENCE:.0f} s"
        await asyncio.sleep(_PAUSE)


@contextmanager
def _free_port() -> Iterator[tuple[socket.socket, str]]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        yield listening, f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def _served(
    create_app: Callable[[Mapping[str, str]], FastAPI], environ: Mapping[str, str], listening: socket.socket
) -> Iterator[Calls]:
    made: list[Calls] = []

    def factory() -> Calls:
        # in the server's own thread, as in a process of its own
        made.append(Calls(create_app(environ)))
        return made[0]

    config = uvicorn.Config(factory, factory=True, ws="none", log_config=None, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="uvicorn")
    thread.start()
    try:
        deadline = time.monotonic() + _PATIENCE
        while not server.started:
            assert thread.is_alive(), "the app didn't start"
            assert time.monotonic() < deadline, f"the app didn't start within {_PATIENCE:.0f} s"
            time.sleep(_PAUSE)
        yield made[0]
    finally:
        server.should_exit = True
        thread.join()
