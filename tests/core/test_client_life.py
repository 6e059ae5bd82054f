"""
How a client's connections come and go, and that nothing of it is left at the end.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from crossapp_core import CrossAppClient
from crossapp_core.connections import Connections as ConnectionPool
from crossapp_core.testing import Environment
from tests.core.sending import GRANTER, KEY, SECRET, Caller, EventAPI, Gate, client_of, sale, sale_id, settings


@pytest.fixture
def connections(caplog: pytest.LogCaptureFixture) -> Connections:
    """
    Counts connections from here on.
    """
    caplog.set_level(logging.DEBUG, "httpcore.connection")
    return Connections(caplog)


class Connections:
    """
    How many connections were opened and closed.
    """

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    @property
    def opened(self) -> int:
        """
        How many were opened.
        """
        return self._count("connect_tcp.complete")

    @property
    def closed(self) -> int:
        """
        How many were closed.
        """
        return self._count("close.complete")

    def _count(self, what: str) -> int:
        return sum(record.getMessage().startswith(what) for record in self._caplog.records)


@pytest.fixture
def switching() -> Iterator[None]:
    """
    Lets threads take turns at every step.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class TestConnections:
    async def test_pooled(self, client: CrossAppClient, caller: Caller, connections: Connections) -> None:
        """
        Events that are sent one after the other share a connection.
        """
        for number in range(5):
            await caller.send(client, sale(number))

        assert (connections.opened, connections.closed) == (1, 0)

    async def test_close(self, granter: Environment, caller: Caller, connections: Connections) -> None:
        """
        The end of a `with` block closes the connections; sending opens them again, as when an app starts twice.
        """
        client = CrossAppClient(settings(granter.url))
        with client:
            await caller.send(client, sale(1))
        closed_once = connections.closed
        async with client:
            await caller.send(client, sale(2))

        assert (closed_once, connections.opened, connections.closed) == (1, 2, 2)
        assert [event.id for event in granter.log.received] == [sale_id(1), sale_id(2)]

    async def test_close_without_need(self, client: CrossAppClient, caller: Caller, connections: Connections) -> None:
        """
        Closing what isn't open does nothing.
        """
        client.close()
        await client.aclose()
        await caller.send(client, sale())
        client.close()
        client.close()

        assert (connections.opened, connections.closed) == (1, 1)

    async def test_close_meanwhile(self, gate: Gate, connections: Connections) -> None:
        """
        A request that is under way when the client is closed ends as if nothing were, and then its connection is
        closed.
        """
        client = CrossAppClient(settings(gate.url))
        sending = asyncio.create_task(client.send_cross_app_event(GRANTER, sale()))
        await asyncio.to_thread(gate.arrived.wait, 10)

        await client.aclose()
        gate.open.set()

        assert await sending == "stored"
        assert (gate.requests, connections.closed) == (1, 1)

    def test_closed_just_then(self) -> None:
        """
        Connections that another thread closes while they are being handed out are not used: others are opened.
        """
        closed: list[Any] = []

        class Raced(ConnectionPool):
            def _current(self) -> Any:
                current = super()._current()
                if not closed:
                    closed.append(current)
                    self.close()
                return current

        pool = Raced([KEY], None)
        leased = pool.lease()

        assert leased is not closed[0]
        assert (closed[0].enter(), leased.enter()) == (False, True)

    async def test_close_again_and_again(self, caller: Caller, switching: None) -> None:
        """
        Whatever the moment at which others close the client, who sends doesn't notice.
        """
        client, done = client_of(EventAPI()), threading.Event()

        def close() -> None:
            while not done.is_set():
                client.close()

        closing = threading.Thread(target=close)
        closing.start()
        try:
            ids = [await caller.send(client, sale(n)) for n in range(100)]
        finally:
            done.set()
            closing.join()

        assert ids == [f"stored-{sale_id(n)}" for n in range(100)]

    async def test_forgotten(self, granter: Environment, caller: Caller, connections: Connections) -> None:
        """
        A client that nobody holds any more closes its connections and leaves nothing behind.
        """
        gc.collect()
        filters = list(logging.getLogger("httpcore.http11").filters)
        client = CrossAppClient(settings(granter.url))
        await caller.send(client, sale())

        del client
        gc.collect()

        assert connections.closed == 1
        assert logging.getLogger("httpcore.http11").filters == filters

    def test_forked(self, granter: Environment) -> None:
        """
        A forked process opens connections of its own, also for async code, and leaves its parent's usable.
        """
        code = """
            import os
            client.send_cross_app_event_sync("ai-hero", sale(1))
            asyncio.run(client.send_cross_app_event("ai-hero", sale(2)), debug=False)
            if (child := os.fork()) == 0:
                asyncio.run(client.send_cross_app_event("ai-hero", sale(3)), debug=False)
                client.send_cross_app_event_sync("ai-hero", sale(4))
                client.close()
                client.close()
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            if (child := os.fork()) == 0:
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            client.send_cross_app_event_sync("ai-hero", sale(5))
        """

        done = run(code, granter.url, "-W", "ignore::DeprecationWarning")

        assert (done.returncode, done.stderr) == (0, "")
        assert [event.id for event in granter.log.received] == [sale_id(n) for n in (1, 2, 3, 4, 5)]


class TestExit:
    @pytest.mark.parametrize(
        "code",
        [
            'client.send_cross_app_event_sync("ai-hero", sale())',
            'asyncio.run(client.send_cross_app_event("ai-hero", sale()), debug=False)',
        ],
        ids=["sync", "async"],
    )
    def test_silent(self, code: str, granter: Environment) -> None:
        """
        A process whose client was never closed ends without a warning.
        """
        done = run(code, granter.url)

        assert (done.returncode, done.stderr) == (0, "")
        assert len(granter.log.received) == 1

    def test_unfinished(self, gate: Gate) -> None:
        """
        A request that is never answered holds a process up no longer than its timeout.
        """
        code = """
            async def main():
                sending = asyncio.create_task(client.send_cross_app_event("ai-hero", sale()))
                await asyncio.wait([sending], timeout=0.2)

            asyncio.run(main(), debug=False)
        """

        done = run(code, gate.url)

        assert (done.returncode, done.stderr, gate.arrived.is_set(), gate.open.is_set()) == (0, "", True, False)


class TestSecrecy:
    def test_pickle(self) -> None:
        """
        A client can't be pickled: the error says what to do instead.
        """
        with pytest.raises(TypeError, match="CrossAppClient holds secrets and can't be pickled: make it in each proc"):
            pickle.dumps(client_of(EventAPI()))

    def test_copy(self) -> None:
        """
        A copy of a client is the client, with its connections.
        """
        client = client_of(EventAPI())

        assert copy.deepcopy(client) is copy.copy(client) is client

    def test_repr(self) -> None:
        """
        It shows which app it is of and whom it sends to, and no more.
        """
        assert repr(client_of(EventAPI())) == "<CrossAppClient of total-typescript to ai-hero, epic-web>"


def run(code: str, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """
    Run *code* in a process of its own, with a client that sends to *url*, every warning being an error.
    """
    start = f"""
        import asyncio, sys
        from datetime import timedelta
        from crossapp_core import CrossAppClient, Peer, Settings
        from crossapp_core.events import BundlePurchased

        peer = Peer(app_id="ai-hero", event_key={KEY!r}, secret={SECRET!r}, base_url={url!r})
        settings = Settings("total-typescript", [peer], dev=True)
        client = CrossAppClient(settings, timeout=timedelta(seconds=1))

        def sale(number=1):
            return BundlePurchased(purchase_id=f"pur_{{number}}", product_id="prod_9", version=7)
    """
    program = textwrap.dedent(start) + textwrap.dedent(code)
    command = [sys.executable, "-X", "dev", "-W", "error", *options, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
