"""
What the client tries again, and for how long.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from crossapp_core import CrossAppClient, PeerUnavailableError
from crossapp_core.testing import Environment
from crossapp_core.testing.listener import Answer, Listener, Request
from tests.core.sending import (
    GRANTER,
    Caller,
    EventAPI,
    Time,
    client_of,
    sale,
    sale_id,
    settings,
)


class TestRepeats:
    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
    async def test_status(self, status: int, caller: Caller) -> None:
        """
        What may be over in a moment is tried again, the same event under the same id.
        """
        api = EventAPI(httpx.Response(status), httpx.Response(status))

        assert await caller.send(client_of(api), sale()) == f"stored-{sale_id()}"

        assert api.batches[0] == api.batches[1] == api.batches[2]

    @pytest.mark.parametrize(
        "error",
        [
            httpx.ConnectError("[Errno -2] Name or service not known"),
            httpx.ConnectTimeout("timed out"),
            httpx.ReadTimeout("timed out"),
            httpx.WriteError("broken pipe"),
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            httpx.DecodingError("Error -3 while decompressing data"),
        ],
        ids=lambda error: type(error).__name__,
    )
    async def test_no_answer(self, error: Exception, caller: Caller) -> None:
        """
        So is what wasn't answered, whether it arrived or not.
        """
        api = EventAPI(error)

        assert await caller.send(client_of(api), sale()) == f"stored-{sale_id()}"

        assert api.batches[0] == api.batches[1]

    @pytest.mark.parametrize(
        "content",
        [
            b'{"ids":[""],"status":200}',
            b'{"ids":[]}',
            b'{"ids":["one","two"]}',
            b'{"ids":[null]}',
            b'{"ids":[1]}',
            b'{"ids":"one"}',
            b'{"status":200}',
            b'["one"]',
            b"",
            b"<html>ok</html>",
            b'{"ids":["one"]',
            b"[" * 100_000,
        ],
        ids=lambda content: content[:25].decode(),
    )
    async def test_ok_without_ids(self, content: bytes, caller: Caller) -> None:
        """
        A 200 that doesn't name as many ids as events accepts nothing, and the events are sent again.
        """
        api = EventAPI(httpx.Response(200, content=content))

        assert await caller.send(client_of(api), sale()) == f"stored-{sale_id()}"

        assert len(api.requests) == 2

    async def test_ids_of_some(self, caller: Caller) -> None:
        """
        Neither do fewer ids than events, or an empty one among them.
        """
        api = EventAPI(httpx.Response(200, json={"ids": ["one"]}), httpx.Response(200, json={"ids": ["one", ""]}))

        results = await caller.send_many(client_of(api), [sale(1), sale(2)])

        assert [result.accepted_id for result in results] == [f"stored-{sale_id(n)}" for n in (1, 2)]

    @pytest.mark.parametrize("status", [201, 202, 204])
    async def test_other_success(self, status: int, caller: Caller) -> None:
        """
        Neither does another kind of success, from whoever it comes.
        """
        api = EventAPI(httpx.Response(status, json={"ids": ["one"]}))

        assert await caller.send(client_of(api), sale()) == f"stored-{sale_id()}"

    async def test_pauses(self, caller: Caller) -> None:
        """
        Pauses are drawn from nothing up to a limit that doubles, to 5 s at most.
        """
        longest, none = Time(), Time()
        answers = [httpx.Response(503)] * 8

        await caller.send(client_of(EventAPI(*answers), longest, deadline=60, jitter=1), sale())
        await caller.send(client_of(EventAPI(*answers), none, deadline=60, jitter=0), sale())

        assert longest.pauses == [0.25, 0.5, 1, 2, 4, 5, 5, 5]
        assert none.pauses == [0] * 8

    async def test_deadline(self, granter: Environment, caller: Caller) -> None:
        """
        A peer that stays down is given up before the deadline, with an error that is worth another attempt.
        """
        granter.down, time = True, Time()

        with (
            CrossAppClient(settings(granter.url), monotonic=time, sleep=time.sleep) as client,
            pytest.raises(PeerUnavailableError) as caught,
        ):
            await caller.send(client, sale())

        assert str(caught.value) == "ai-hero's Inngest did not accept the event: it answered 503: Service Unavailable"
        assert (caught.value.retryable, caught.value.retry_after) == (True, None)
        assert 10 < sum(time.pauses) < 20

    async def test_timeouts_shrink(self, caller: Caller) -> None:
        """
        A request is never given more time than is left.
        """
        time = Time()
        api = EventAPI(*[httpx.ReadTimeout("timed out")] * 9)

        with pytest.raises(PeerUnavailableError):
            await caller.send(client_of(api, time, deadline=6, timeout=5), sale())

        allowed = [request.extensions["timeout"]["read"] for request in api.requests]
        assert allowed == [5, 5, 5, 6 - 1.75, 6 - 3.75]

    async def test_no_time_left(self, caller: Caller) -> None:
        """
        Without any time nothing is sent.
        """
        api = EventAPI()

        with pytest.raises(PeerUnavailableError, match="no time was left"):
            await caller.send(client_of(api, deadline=0), sale())

        assert api.requests == []

    async def test_slow_drip(self, caller: Caller) -> None:
        """
        An answer that comes byte by byte without end ends with the deadline.
        """
        time = Time()

        class Drip(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                while True:
                    time.now += 4
                    yield b" "

        with pytest.raises(PeerUnavailableError, match="without an id"):
            await caller.send(client_of(EventAPI(httpx.Response(200, stream=Drip())), time), sale())

        assert time.now <= 1000 + 20 + 4

    async def test_endless(self, caller: Caller) -> None:
        """
        Of an answer without end only so much is read as a real one may have.
        """
        read = 0

        class Endless(httpx.SyncByteStream):
            def __iter__(self) -> Iterator[bytes]:
                nonlocal read
                while True:
                    read += 1000
                    yield b" " * 1000

        api = EventAPI(httpx.Response(200, stream=Endless()))

        assert await caller.send(client_of(api), sale()) == f"stored-{sale_id()}"

        assert read <= 1_000_000

    @pytest.mark.parametrize("host", [f"{'a' * 64}.example", "256.1.1.1"])
    async def test_impossible_host(self, host: str, caller: Caller) -> None:
        """
        A host name that can't be looked up is a peer that can't be reached.
        """
        time = Time()

        with (
            CrossAppClient(settings(f"http://{host}"), monotonic=time, sleep=time.sleep) as client,
            pytest.raises(PeerUnavailableError, match="ai-hero's Inngest did not accept"),
        ):
            await caller.send(client, sale())

    def test_accepted_but_never_answered(self, granter: Environment) -> None:
        """
        An event whose answer got lost is sent again under its id, so it has one effect.
        """
        repeated = threading.Event()

        def answer(request: Request) -> Answer:
            first = not granter.log.received
            response = httpx.post(granter.url + request.path, content=request.body, trust_env=False)
            if first:
                repeated.wait(10)
            else:
                repeated.set()
            return Answer(response.status_code, response.content)

        slow = Listener(answer)
        try:
            with CrossAppClient(settings(slow.url), timeout=timedelta(seconds=1.5)) as client:
                accepted_id = client.send_cross_app_event_sync(GRANTER, sale())
        finally:
            slow.close()

        first, second = granter.log.received
        assert (first.id, second.id, first.duplicate, second.duplicate) == (sale_id(), sale_id(), False, True)
        assert accepted_id == second.internal_id
