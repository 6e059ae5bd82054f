"""
The example apps, and two that do nothing, served over HTTP to real Inngest servers.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
from sqlalchemy import create_engine
from sqlmodel import Session

from benchmarks.idle import CREATED, GRANTED, Idle
from benchmarks.measuring import OURS, Effort, Sample, race, repeat_async
from benchmarks.together import IDLE, ROUNDS, TIMES
from examples.two_apps.seller.models import Purchase
from tests.inngest.worlds import Calls, Databases, _free_port, _served, over_http

_LAST = "total-typescript-handle-entitlement-granted"
_LAST_IDLE = f"idle-shop-{GRANTED.replace('/', '-')}"
_PAUSE = 0.001


def measured(effort: Effort, runner: asyncio.Runner, urls: Sequence[str]) -> dict[str, Sample]:
    """
    How long a purchase takes until it is synced, with the seller's and the granter's Inngest at *urls*.
    """
    stack = AsyncExitStack()
    try:
        ours, idle = runner.run(_opened(stack, *urls, sales=effort.times(TIMES) * (ROUNDS + 1)))
        works = {OURS: repeat_async(runner, ours), IDLE: repeat_async(runner, idle)}
        return race(works, effort, times=TIMES, rounds=ROUNDS)
    finally:
        runner.run(stack.aclose())


_Sale = Callable[[], Awaitable[None]]


async def _opened(stack: AsyncExitStack, seller: str, granter: str, *, sales: int) -> tuple[_Sale, _Sale]:
    http = await stack.enter_async_context(httpx.AsyncClient(base_url=seller, trust_env=False))
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    databases = Databases(*(create_engine(f"sqlite:///{folder}/{name}.db") for name in ("shop", "school")))
    world = await stack.enter_async_context(over_http(databases, seller, granter))
    purchases = [_purchase() for _ in range(sales)]
    ids = iter([purchase.id for purchase in purchases])
    with Session(databases.shop) as session, session.begin():
        session.add_all(purchases)
    idle = await _serve_idle(stack, seller, granter)
    return (
        lambda: _sell(http, "purchase/created", next(ids), world.shop_calls, _LAST),
        lambda: _sell(http, CREATED, uuid4().hex, idle, _LAST_IDLE),
    )


async def _serve_idle(stack: AsyncExitStack, seller: str, granter: str) -> Calls:
    shop_socket, shop_origin = stack.enter_context(_free_port())
    school_socket, school_origin = stack.enter_context(_free_port())
    shop = Idle("idle-shop", origin=shop_origin, inngest_url=seller, peer_url=granter)
    school = Idle("idle-school", origin=school_origin, inngest_url=granter, peer_url=seller)
    calls = stack.enter_context(_served(lambda _: shop.shop(), {}, shop_socket))
    stack.enter_context(_served(lambda _: school.school(), {}, school_socket))
    async with httpx.AsyncClient(trust_env=False) as http:
        for origin in (shop_origin, school_origin):
            (await http.put(f"{origin}/api/inngest")).raise_for_status()
    return calls


async def _sell(http: httpx.AsyncClient, name: str, purchase_id: str, calls: Calls, last: str) -> None:
    before = calls.ended(last)
    event = {"name": name, "data": {"purchaseId": purchase_id}}
    (await http.post("/e/key", json=[event])).raise_for_status()
    while calls.ended(last) == before:  # noqa: ASYNC110 (the apps run in other threads)
        await asyncio.sleep(_PAUSE)


def _purchase() -> Purchase:
    number = uuid4().hex
    return Purchase(
        id=f"pur_{number}",
        user_id="usr_ada",
        email="ada@example.com",
        product_id="prod_TsBundle",
        checkout_session_id=f"cs_{number}",
        amount=24_900,
        created_at=datetime.now(UTC),
    )
