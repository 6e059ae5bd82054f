"""
Where a client can be used at once: threads, event loops and tasks.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from datetime import timedelta

import httpx
import pytest

from crossapp_core import CrossAppClient
from crossapp_core.testing import Environment
from tests.core.sending import GRANTER, Caller, Gate, accepted, sale, sale_id, settings


class TestLoopsAndThreads:
    def test_one_loop_after_another(self, client: CrossAppClient, granter: Environment) -> None:
        """
        A connection that was opened in one event loop serves in the next, and in sync code.
        """
        asyncio.run(client.send_cross_app_event(GRANTER, sale(1)))
        asyncio.run(client.send_cross_app_event(GRANTER, sale(2)))
        client.send_cross_app_event_sync(GRANTER, sale(3))

        assert [event.id for event in granter.log.received] == [sale_id(n) for n in (1, 2, 3)]

    def test_many_threads(self, client: CrossAppClient, granter: Environment) -> None:
        """
        Many threads send at once, sync ones and such with an event loop of their own.
        """

        def send(number: int) -> str:
            if number % 2:
                return client.send_cross_app_event_sync(GRANTER, sale(number))
            return asyncio.run(client.send_cross_app_event(GRANTER, sale(number)))

        with ThreadPoolExecutor(20) as threads:
            ids = list(threads.map(send, range(100)))

        received = {event.internal_id: event.id for event in granter.log.received}
        assert [received[id_] for id_ in ids] == [sale_id(n) for n in range(100)]

    async def test_many_tasks(self, client: CrossAppClient, granter: Environment) -> None:
        """
        Fifty tasks send at once, each its own.
        """
        ids = await asyncio.gather(*(client.send_cross_app_event(GRANTER, sale(n)) for n in range(50)))

        received = {event.internal_id: event.id for event in granter.log.received}
        assert [received[id_] for id_ in ids] == [sale_id(n) for n in range(50)]

    async def test_loop_goes_on(self, gate: Gate) -> None:
        """
        While an event is on its way, the event loop does other work: here, what the answer waits for.
        """
        with CrossAppClient(
            settings(gate.url), timeout=timedelta(seconds=10), deadline=timedelta(seconds=10)
        ) as client:
            sending = asyncio.create_task(client.send_cross_app_event(GRANTER, sale()))
            await asyncio.to_thread(gate.arrived.wait, 10)
            gate.open.set()

            assert await sending == "stored"

        assert gate.requests == 1

    async def test_pause_of_a_task(self, granter: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        While a task waits for another attempt, the event loop does other work: here, it ends the outage.
        """
        granter.down, waits = True, asyncio.Event()

        def jitter(shortest: float, longest: float) -> float:
            waits.set()
            return 0.001

        def stop_everything(seconds: float) -> None:
            pytest.fail("the event loop was stopped")

        monkeypatch.setattr(time, "sleep", stop_everything)
        with CrossAppClient(settings(granter.url), jitter=jitter) as client:
            sending = asyncio.create_task(client.send_cross_app_event(GRANTER, sale()))
            await waits.wait()
            granter.down = False
            accepted_id = await sending

        assert [event.internal_id for event in granter.log.received] == [accepted_id]

    async def test_cancelled(self, gate: Gate) -> None:
        """
        A task can be cancelled at any time, and the client used on.
        """
        with CrossAppClient(settings(gate.url)) as client:
            sending = asyncio.create_task(client.send_cross_app_event(GRANTER, sale()))
            await asyncio.to_thread(gate.arrived.wait, 10)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            gate.open.set()

            assert await client.send_cross_app_event(GRANTER, sale()) == "stored"

    async def test_context(self, caller: Caller) -> None:
        """
        A request is made in the context of the one who sends, where tracing looks for its span.
        """
        span = ContextVar("span", default="none")
        seen = []

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(span.get())
            return accepted(request)

        span.set("mine")
        with CrossAppClient(settings(), transport=httpx.MockTransport(answer)) as client:
            await caller.send(client, sale())

        assert seen == ["mine"]
