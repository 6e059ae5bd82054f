"""
How the client sends many events: in few requests, and past the one that the peer refuses.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from crossapp_core import (
    CrossAppClient,
    CrossAppConfigError,
    EventRefusedError,
    Message,
    SendResult,
    UnknownPeerError,
)
from crossapp_core.testing import Environment
from tests.core.sending import (
    GRANTER,
    OTHER,
    Caller,
    EventAPI,
    Note,
    accepted,
    client_of,
    sale,
    sale_id,
)


class TestSendMany:
    async def test_results(self, client: CrossAppClient, granter: Environment, caller: Caller) -> None:
        """
        Each event has its result, in their order: our id and the one that the peer's Inngest gave.
        """
        results = await caller.send_many(client, [sale(n) for n in range(5)])

        assert results == [SendResult(sale_id(n), granter.log.received[n].internal_id, None) for n in range(5)]

    async def test_splits_by_count(self, caller: Caller) -> None:
        """
        A request holds at most 100 events.
        """
        api = EventAPI()

        results = await caller.send_many(client_of(api), [sale(n) for n in range(250)])

        assert api.ids == [[sale_id(n) for n in part] for part in (range(100), range(100, 200), range(200, 250))]
        assert [result.accepted_id for result in results] == [f"stored-{sale_id(n)}" for n in range(250)]

    @limits(max_examples=30, deadline=None)
    @given(st.lists(st.integers(0, 195_000), max_size=130))
    def test_requests_are_small(self, sizes: list[int]) -> None:
        """
        Whatever the sizes, no request exceeds 100 events or 512 kB, none could have taken the first event of the next
        as well, and nothing is lost or reordered.
        """
        api = EventAPI()
        events = [Note(number=n, text="x" * size) for n, size in enumerate(sizes)]

        results = client_of(api).send_many_sync(GRANTER, events)

        assert [event["data"]["number"] for batch in api.batches for event in batch] == list(range(len(sizes)))
        assert [result.accepted_id for result in results] == [f"stored-{result.event_id}" for result in results]
        for request, batch in zip(api.requests, api.batches, strict=True):
            assert len(batch) <= 100
            assert len(request.content) <= 512_000
        for request, batch, following in zip(api.requests, api.batches, api.batches[1:], strict=False):
            first = len(json.dumps(following[0], separators=(",", ":")))
            assert len(batch) == 100 or len(request.content) + 1 + first > 512_000

    @pytest.mark.parametrize("more", [0, 1])
    async def test_to_the_last_byte(self, more: int, caller: Caller) -> None:
        """
        A request of exactly 512 kB is one, with a byte more it is two.
        """
        api = EventAPI()
        client = client_of(api)
        await caller.send_many(client, [Note(number=n) for n in range(3)])
        rest = 512_000 + more - len(api.requests[0].content)

        await caller.send_many(client, [Note(number=n, text="x" * (rest // 3 + (n < rest % 3))) for n in range(3)])

        assert [len(batch) for batch in api.batches[1:]] == ([2, 1] if more else [3])

    async def test_too_large(self, caller: Caller) -> None:
        """
        An event that would exceed 200 kB is refused alone, before anything of it is sent.
        """
        api = EventAPI()
        events = [Note(number=1), Note(number=2, text="x" * 199_900), Note(number=3)]

        results = await caller.send_many(client_of(api), events)

        assert [event["data"]["number"] for batch in api.batches for event in batch] == [1, 3]
        assert [result.error is None for result in results] == [True, False, True]
        error = results[1].error
        assert isinstance(error, EventRefusedError)
        assert error.event_id == "test/note:total-typescript:2:a0"
        assert "bytes, at most 200000 can be sent" in str(error)

    async def test_cannot_be_signed(self, caller: Caller) -> None:
        """
        An event that no proof can be made for is refused alone.
        """
        api = EventAPI()
        unsound = Note.model_construct(number=2**60)

        results = await caller.send_many(client_of(api), [Note(number=1), unsound, Note(number=3)])

        assert [event["data"]["number"] for event in api.batches[0]] == [1, 3]
        assert [type(result.error) for result in results] == [type(None), EventRefusedError, type(None)]
        assert "whole numbers below 2**53" in str(results[1].error)

    async def test_same_id_twice(self, client: CrossAppClient, granter: Environment, caller: Caller) -> None:
        """
        Both of two events with the same id are accepted; the peer's Inngest drops the second.
        """
        results = await caller.send_many(client, [sale(), sale()])

        assert [result.accepted_id for result in results] == [event.internal_id for event in granter.log.received]
        assert [event.duplicate for event in granter.log.received] == [False, True]

    async def test_messages(self, caller: Caller) -> None:
        """
        A message says the attempt and what is answered.
        """
        api = EventAPI()

        await caller.send_many(client_of(api), [sale(1), Message(GRANTER, sale(2), attempt=4)])

        assert api.ids == [[sale_id(1), sale_id(2, attempt=4)]]

    async def test_nothing(self, caller: Caller) -> None:
        """
        No event is no request.
        """
        api = EventAPI()

        assert await caller.send_many(client_of(api), []) == []
        assert api.requests == []

    async def test_unknown_peer(self, caller: Caller) -> None:
        """
        A peer that isn't in the settings is an error of the whole call.
        """
        with pytest.raises(UnknownPeerError):
            await caller.send_many(client_of(EventAPI()), [], "nobody")

    async def test_message_for_another(self, caller: Caller) -> None:
        """
        A message for another peer is a mistake, and nothing is sent.
        """
        api = EventAPI()

        with pytest.raises(CrossAppConfigError, match=r"target is 'epic-web'.*use deliver\(\)"):
            await caller.send_many(client_of(api), [sale(), Message(OTHER, sale())])

        assert api.requests == []

    @pytest.mark.parametrize("events", [[{"name": "bundle/purchased"}], sale()], ids=["dict", "event alone"])
    async def test_no_events(self, events: Any, caller: Caller) -> None:
        """
        What is no event is a TypeError that says what is wanted.
        """
        with pytest.raises(TypeError, match=r"got (dict|tuple): make one of crossapp_core\.events"):
            await caller.send_many(client_of(EventAPI()), events)


class Picky:
    """
    An event API that stores what comes before a bad event and then refuses the request, as Inngest does.
    """

    def __init__(self, bad: set[int], *, longest: int | None = None) -> None:
        self.bad = bad
        self.longest = longest
        self.requests = 0
        self.stored: set[int] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """
        Answer a request.
        """
        self.requests += 1
        if self.longest is not None and len(request.content) > self.longest:
            return httpx.Response(413, json={"error": "request too large", "status": 413})
        for event in json.loads(request.content):
            number = event["data"]["number"]
            if number in self.bad:
                return httpx.Response(400, json={"error": f"no {number}", "ids": [""], "status": 400})
            self.stored.add(number)
        return accepted(request)


class TestIsolation:
    @limits(max_examples=40, deadline=None)
    @given(count=st.integers(1, 130), data=st.data())
    def test_exactly_the_bad_ones(self, count: int, data: st.DataObject) -> None:
        """
        Whichever events the peer refuses, these carry the error, each its own, and all others are accepted.
        """
        bad = data.draw(st.sets(st.integers(0, count - 1), max_size=12))
        picky = Picky(bad)

        results = client_of(picky).send_many_sync(GRANTER, [Note(number=n) for n in range(count)])

        assert {n for n, result in enumerate(results) if result.error} == bad
        assert all(f"400: no {n}" in str(results[n].error) for n in bad)
        assert all(isinstance(results[n].error, EventRefusedError) for n in bad)
        assert {n for n, result in enumerate(results) if result.accepted_id} == picky.stored == set(range(count)) - bad

    async def test_few_requests(self, caller: Caller) -> None:
        """
        One bad event among 100 costs a number of requests that grows with the logarithm.
        """
        picky = Picky({37})

        await caller.send_many(client_of(picky), [Note(number=n) for n in range(100)])

        assert picky.requests <= 15

    async def test_request_too_large(self, caller: Caller) -> None:
        """
        A peer that takes only smaller requests gets smaller ones, and an event that is too large for it is refused.
        """
        picky = Picky(set(), longest=6_000)
        events = [Note(number=n, text="x" * (8_000 if n == 3 else 1_000)) for n in range(8)]

        results = await caller.send_many(client_of(picky), events)

        assert [n for n, result in enumerate(results) if result.error] == [3]
        assert picky.stored == {0, 1, 2, 4, 5, 6, 7}

    @pytest.mark.parametrize("status", [402, 405, 409, 410])
    async def test_not_about_an_event(self, status: int, caller: Caller) -> None:
        """
        An answer that isn't about the content of a request is not made better by dividing it.
        """
        api = EventAPI(httpx.Response(status, json={"error": "no more this month"}))

        results = await caller.send_many(client_of(api), [sale(n) for n in range(3)])

        assert len(api.requests) == 1
        assert [str(result.error) for result in results] == [
            f"ai-hero's Inngest refused the event {sale_id(n)}: {status}: no more this month" for n in range(3)
        ]
