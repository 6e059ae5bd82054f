"""
What a forked process does: it serves one of the example apps, as they are, or does an operator's work for the shop. Its
time is that of the test.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from types import ModuleType

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import create_async_engine

from crossapp_core.runtime import Runtime
from examples.two_apps.granter import main as school
from examples.two_apps.seller import main as shop
from examples.two_apps.seller.config import Config
from examples.two_apps.seller.crossapp import make_bridge
from examples.two_apps.seller.inngest_client import make_client
from examples.two_apps.serving import on_port
from tests.crashes.instants import Instants, WatchRequests
from tests.crashes.page import Cell, Page

APPS: Mapping[str, ModuleType] = {"shop": shop, "school": school}
BACKFILL = "backfill"
"""The operator's work."""
READY, DONE, ENDED = "ready", "done", "ended"


def work(name: str, environ: Mapping[str, str], listening: socket.socket, page: Page, notes: socket.socket) -> None:
    """
    Serve an app until the process is killed, or do the backfill.

    Args:
        name: The app, or the backfill.
        environ: What it reads its settings from.
        listening: Where it is served; the socket is there before and after it.
        page: What it tells of itself.
        notes: Where it says that it has come to the instant that the test waits for.
    """
    instants = Instants(page, notes)
    instants.watch_databases()
    try:
        if name == BACKFILL:
            asyncio.run(_backfill(environ, page, instants))
        else:
            _set_clock(APPS[name], page)
            asyncio.run(_serve(APPS[name].create_app, environ, listening, page, instants))
    finally:
        instants.say(ENDED)


async def _serve(
    create_app: Callable[[Mapping[str, str]], FastAPI],
    environ: Mapping[str, str],
    listening: socket.socket,
    page: Page,
    instants: Instants,
) -> None:
    app = create_app(environ)
    app.add_middleware(WatchRequests, instants=instants)
    async with app.router.lifespan_context(app), on_port(app, listening):
        page[Cell.STARTING] = 0
        instants.say(READY)
        await asyncio.Event().wait()


async def _backfill(environ: Mapping[str, str], page: Page, instants: Instants) -> None:
    config = Config.model_validate(dict(environ))
    bridge = make_bridge(make_client(config), create_async_engine(config.database_url), environ, dev=config.dev)
    bridge.clock = lambda: page.now
    page[Cell.STARTING] = 0
    with instants.during(BACKFILL):
        await bridge.backfill()
    instants.say(DONE)


def _set_clock(main: ModuleType, page: Page) -> None:
    make_bridge = main.make_bridge

    def on_the_clock(*args: object, **options: object) -> Runtime[object]:
        bridge: Runtime[object] = make_bridge(*args, **options)
        bridge.clock = lambda: page.now
        return bridge

    vars(main)["make_bridge"] = on_the_clock
