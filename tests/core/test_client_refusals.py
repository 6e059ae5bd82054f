"""
What the client doesn't try again, and how it repeats what the peer says.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from crossapp_core import CrossAppClient, EventRefusedError, PeerKeyRefusedError, PeerUnavailableError
from crossapp_core.testing import Environment, LocalInngest
from tests.core.sending import (
    KEY,
    Caller,
    EventAPI,
    Time,
    client_of,
    sale,
    sale_id,
    settings,
)


class TestGivesUp:
    @pytest.mark.parametrize("status", [400, 402, 405, 409, 410, 413, 415, 422, 451])
    async def test_final(self, status: int, caller: Caller) -> None:
        """
        An answer that another attempt wouldn't change is taken at its word.
        """
        api = EventAPI(httpx.Response(status))

        with pytest.raises(EventRefusedError, match=f"{sale_id()}: {status}$") as caught:
            await caller.send(client_of(api), sale())

        assert (len(api.requests), caught.value.retryable) == (1, False)

    @pytest.mark.parametrize("status", [401, 403])
    async def test_key_refused(self, status: int, caller: Caller) -> None:
        """
        A refused key is told at once, and worth another attempt when somebody has corrected it.
        """
        api = EventAPI(httpx.Response(status, json={"error": "Event key not found"}))

        with pytest.raises(PeerKeyRefusedError, match=rf"\({status}\): is AI_HERO_INNGEST_EVENT_KEY") as caught:
            await caller.send(client_of(api), sale())

        assert (len(api.requests), caught.value.retryable) == (1, True)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_redirects_are_not_followed(self, status: int, granter: Environment, caller: Caller) -> None:
        """
        An event, and the key with it, goes nowhere but to the configured origin: the error asks whether that is right.
        """
        with LocalInngest() as elsewhere:
            env = elsewhere.environment("elsewhere")
            granter.answer_next(status, headers={"location": f"{env.url}/e/{KEY}"})
            with (
                CrossAppClient(settings(granter.url)) as client,
                pytest.raises(PeerUnavailableError, match=f"AI_HERO_INNGEST_BASE_URL right.*{status}") as caught,
            ):
                await caller.send(client, sale())

        assert (env.log.received, granter.log.received, caught.value.retryable) == ([], [], True)

    async def test_no_event_api(self, caller: Caller) -> None:
        """
        So does a 404: there is no event API at that origin.
        """
        api = EventAPI(httpx.Response(404))

        with pytest.raises(PeerUnavailableError, match=r"is AI_HERO_INNGEST_BASE_URL right\? It answered 404"):
            await caller.send(client_of(api), sale())

        assert len(api.requests) == 1

    @pytest.mark.parametrize("answers", [[httpx.Response(401)], [httpx.Response(503)] * 50], ids=["key", "down"])
    async def test_rest_is_not_tried(self, answers: list[httpx.Response], caller: Caller) -> None:
        """
        When the peer takes nothing, later requests of the call aren't begun: one deadline is enough.
        """
        time = Time()
        api = EventAPI(httpx.Response(200, json={"ids": ["x"] * 100}), *answers)

        results = await caller.send_many(client_of(api, time), [sale(n) for n in range(450)])

        assert [result.accepted_id for result in results] == ["x"] * 100 + [None] * 350
        assert {type(result.error) for result in results[100:]} <= {PeerKeyRefusedError, PeerUnavailableError}
        assert [result.event_id for result in results] == [sale_id(n) for n in range(450)]
        assert {batch[0] for batch in api.ids} == {sale_id(0), sale_id(100)}
        assert sum(time.pauses) < 20

    async def test_deadline_is_of_the_whole_call(self, caller: Caller) -> None:
        """
        What isn't sent when time is up counts as not accepted, also where the peer is well but slow.
        """
        time = Time()

        class Slow(EventAPI):
            def __call__(self, request: httpx.Request) -> httpx.Response:
                time.now += 8
                return super().__call__(request)

        api = Slow()

        results = await caller.send_many(client_of(api, time), [sale(n) for n in range(500)])

        assert [result.error is None for result in results] == [True] * 300 + [False] * 200
        assert "no time was left" in str(results[-1].error)

    async def test_down_while_isolating(self, caller: Caller) -> None:
        """
        A peer that fails while the bad event is looked for leaves the others as what they are: not accepted.
        """
        api = EventAPI(httpx.Response(400), httpx.Response(401))

        results = await caller.send_many(client_of(api), [sale(n) for n in range(4)])

        assert [type(result.error) for result in results] == [PeerKeyRefusedError] * 4
        assert len(api.requests) == 2


class TestReason:
    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            ("plain words", "400: plain words"),
            ("line\r\nbreak\x00\x1b[31m and\u202eturn", "400: line break [31m and turn"),
            (f"POST /e/{KEY} is bad", "400: POST /e/… is bad"),
            (f"no {KEY}{KEY}", "400: no ……"),
            ("buyerEmail ada@example.com is bad", "400: buyerEmail … is bad"),
            ("proof eyJhbGci.eyJpc3Mi.c2ln is bad", "400: proof … is bad"),
            ("x" * 1000, f"400: {'x' * 194}…"),
            ("   ", "400"),
            (None, "400"),
            ({"code": 1}, "400"),
        ],
        ids=[
            "plain", "control characters", "key", "key twice", "address", "proof", "long", "blank", "none", "object",
        ],
    )  # fmt: skip
    async def test_shown(self, said: Any, shown: str, caller: Caller) -> None:
        """
        The peer's reason is repeated on one short line, without event key, addresses and proofs.
        """
        api = EventAPI(httpx.Response(400, json={"error": said}))

        with pytest.raises(EventRefusedError) as caught:
            await caller.send(client_of(api), sale())

        assert str(caught.value) == f"ai-hero's Inngest refused the event {sale_id()}: {shown}"

    async def test_page(self, caller: Caller) -> None:
        """
        Of a page that some proxy wrote only the status is told.
        """
        api = EventAPI(*[httpx.Response(502, html="<h1>Bad gateway</h1>")] * 50)

        with pytest.raises(PeerUnavailableError, match=r"it answered 502$"):
            await caller.send(client_of(api), sale())
