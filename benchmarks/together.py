"""
From a purchase to the answer in the ledger, against functions that do nothing in as many steps and events.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from benchmarks.idle import CREATED, Idle
from benchmarks.measuring import OURS, Effort, Line, Note, Sample, race, repeat_async, shown
from crossapp_core.testing import LocalInngest
from tests.databases import Database, open_database, write_lazily
from tests.together.world import ADA, World

IDLE = "functions that do nothing"
SERVERS = ("CROSSAPP_INNGEST_SELLER_URL", "CROSSAPP_INNGEST_GRANTER_URL")
TIMES, ROUNDS = 5, 11


class Pooled(Database):
    """
    A database whose connections are kept, as an app's are.
    """

    def async_engine(self) -> AsyncEngine:
        """
        The engine of the app.
        """
        engine = create_async_engine(self.engine.url.set(drivername="sqlite+aiosqlite"))
        # as in the tests, nothing waits for the disk
        write_lazily(engine.sync_engine)
        return engine


def lines(effort: Effort) -> Iterator[Line | Note]:
    """
    On `LocalInngest`, and on real servers where there are any.
    """
    with asyncio.Runner() as runner:
        yield from _locally(effort, runner)
        urls = [os.environ.get(name, "") for name in SERVERS]
        if all(urls):
            from benchmarks import served

            measured = served.measured(effort, runner, urls)
            yield _line("Inngest's own server", measured)
        else:
            yield Note(f"No real Inngest took part: {' and '.join(SERVERS)} name none.")


def _locally(effort: Effort, runner: asyncio.Runner) -> Iterator[Line | Note]:
    stack = AsyncExitStack()
    world, idle = runner.run(_opened(stack))
    ids = [f"pur_{number}" for number in range(effort.times(TIMES) * (ROUNDS + 1))]
    for id_ in ids:
        world.shop.sell(id_, **ADA)
    sold, pretended = iter(ids), iter(ids)

    async def sale() -> None:
        world.shop.created(next(sold))
        await world.settle()

    with_database, with_sending = _Watch(), _Watch()
    for app in (world.shop, world.school):
        with_database.watch(app.bridge.database, "transact")
        with_sending.watch(app.bridge.client, "send_many")
    works = {OURS: repeat_async(runner, sale), IDLE: repeat_async(runner, lambda: idle(next(pretended)))}
    measured = race(works, effort, times=TIMES, rounds=ROUNDS)
    runner.run(stack.aclose())
    yield _line("LocalInngest and SQLite", measured)
    sales = len(ids) - len(list(sold))
    yield Note(
        f"Of the {shown(measured[OURS].median)} that a purchase takes on LocalInngest until it is synced, "
        f"{with_database.described(sales)} are in transactions and {with_sending.described(sales)} in signing and "
        f"sending; {shown(measured[IDLE].median)} would pass without us."
    )


def _line(where: str, measured: dict[str, Sample]) -> Line:
    return Line(f"a purchase until it is synced, {where}", IDLE, measured[IDLE], measured[OURS], "≤ 1.10")


async def _opened(stack: AsyncExitStack) -> tuple[World, Callable[[str], Awaitable[None]]]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    databases = [stack.enter_context(open_database("sqlite", folder, name)) for name in ("shop", "school")]
    pooled = [Pooled(database.name, database.address, database.engine) for database in databases]
    world = await World.open(stack.enter_context(LocalInngest()), *pooled)
    for app in (world.shop, world.school):
        engine = app.bridge.database.engine
        assert isinstance(engine, AsyncEngine)
        stack.push_async_callback(engine.dispose)
    stack.push_async_callback(world.close)
    local = stack.enter_context(LocalInngest())
    shop, school = local.environment("shop"), local.environment("school")
    seller = Idle("shop", origin="http://shop.test", inngest_url=shop.url, peer_url=school.url)
    granter = Idle("school", origin="http://school.test", inngest_url=school.url, peer_url=shop.url)
    for idle in (seller, granter):
        stack.push_async_callback(idle.close)
    await shop.aregister(seller.shop())
    await school.aregister(granter.school())

    async def pretend(purchase_id: str) -> None:
        shop.emit(CREATED, {"purchaseId": purchase_id})
        await local.asettle()

    return world, pretend


class _Watch:
    def __init__(self) -> None:
        self.times = 0
        self.seconds = 0.0

    def watch(self, owner: object, name: str) -> None:
        do = getattr(owner, name)

        async def watching(*arguments: object, **named: object) -> object:
            begin = time.perf_counter()
            try:
                return await do(*arguments, **named)
            finally:
                self.times += 1
                self.seconds += time.perf_counter() - begin

        setattr(owner, name, watching)

    def described(self, sales: int) -> str:
        return f"{shown(self.seconds / sales)} ({self.times / sales:.0f} of them)"
