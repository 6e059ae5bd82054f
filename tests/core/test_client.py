"""
What the client sends to one peer or several, and what it says of the answer.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from crossapp_core import (
    CrossAppClient,
    CrossAppConfigError,
    EventRefusedError,
    Message,
    Peer,
    PeerKeyRefusedError,
    PeerUnavailableError,
    SendError,
    Settings,
    UnknownPeerError,
    proofs,
)
from crossapp_core.events import BundlePurchased, EntitlementGranted, Envelope
from crossapp_core.testing import Environment, LocalInngest
from tests.core.sending import (
    GRANTER,
    KEY,
    NOW,
    OTHER,
    SECRET,
    SELLER,
    Caller,
    EventAPI,
    Time,
    client_of,
    sale,
    sale_id,
    settings,
)


@dataclass(frozen=True)
class Received:
    """
    An event as a function is handed it.
    """

    name: str
    id: str
    data: dict[str, Any]


class TestSend:
    async def test_arrives_signed(self, client: CrossAppClient, granter: Environment, caller: Caller) -> None:
        """
        The peer gets the event under its deterministic id, the sender filled in, and with a proof that holds there.
        """
        accepted_id = await caller.send(client, sale())

        [event] = granter.log.received
        assert (event.id, event.name, event.key, accepted_id) == (sale_id(), "bundle/purchased", KEY, event.internal_id)
        envelope: Envelope = Received(event.name, str(event.id), dict(event.data))
        there = Settings(GRANTER, [Peer(app_id=SELLER, event_key="k", secret=SECRET)])
        read = proofs.read(BundlePurchased, envelope, settings=there)
        assert read == sale().model_copy(update={"source_app": SELLER})

    async def test_request(self, caller: Caller) -> None:
        """
        One POST of a JSON array to the event API: id, name and data, but no ts, for one in the future would wait.
        """
        api = EventAPI()

        await caller.send(client_of(api), sale())

        [request], [[event]] = api.requests, api.batches
        assert (request.method, request.url.raw_path) == ("POST", f"/e/{KEY}".encode())
        assert request.headers["content-type"] == "application/json"
        assert event.keys() == {"id", "name", "data"}
        assert event["data"].keys() == {"sourceApp", "purchaseId", "productId", "buyerEmail", "version", "proof"}

    async def test_time_is_the_clocks(self, caller: Caller) -> None:
        """
        The proof says when the event was sent, by the clock that was given.
        """
        api = EventAPI()

        await caller.send(client_of(api), sale())

        claims = jwt.decode(api.batches[0][0]["data"]["proof"], options={"verify_signature": False})
        assert claims["iat"] == int(NOW.timestamp())

    async def test_own_source(self, caller: Caller) -> None:
        """
        An event that names the app itself as its source is the same event.
        """
        api = EventAPI()
        client = client_of(api)

        await caller.send(client, sale())
        await caller.send(client, sale().model_copy(update={"source_app": SELLER}))

        assert api.batches[0] == api.batches[1]

    async def test_foreign_source(self, caller: Caller) -> None:
        """
        An event of another app isn't sent in its name: the error names the field and the fix.
        """
        api = EventAPI()

        with pytest.raises(CrossAppConfigError, match=r"source_app is 'epic-web'.* leave source_app out") as caught:
            await caller.send(client_of(api), sale().model_copy(update={"source_app": OTHER}))

        assert (caught.value.retryable, api.requests) == (False, [])

    async def test_attempt_and_answer(self, caller: Caller) -> None:
        """
        A later attempt has another id, an acknowledgement one that depends on what it acknowledges.
        """
        api = EventAPI()
        client = client_of(api)
        ack = EntitlementGranted(source_purchase_id="p", product_id="q", entitlement_id="e", status="active", version=1)

        await caller.send(client, sale(), attempt=3)
        await caller.send(client, ack, answers="one")
        await caller.send(client, ack, answers="two")

        sent = [ids[0] for ids in api.ids]
        ours = ack.model_copy(update={"source_app": SELLER})
        assert sent == [sale_id(attempt=3), ours.event_id(answers="one"), ours.event_id(answers="two")]
        assert len(set(sent)) == 3

    async def test_unknown_peer(self, caller: Caller) -> None:
        """
        A peer that isn't in the settings is named, with those that are.
        """
        api = EventAPI()

        with pytest.raises(UnknownPeerError, match="no peer 'ai-herö' in the settings, only ai-hero, epic-web"):
            await caller.send(client_of(api), sale(), "ai-herö")

        assert api.requests == []

    async def test_peer_without_secret(self, caller: Caller) -> None:
        """
        A peer that is written after the sketch and has no secret gets no proof.
        """
        api = EventAPI()
        sketch = Settings(SELLER, [Peer(app_id=GRANTER, event_key=KEY, sketch=True)])

        await caller.send(CrossAppClient(sketch, transport=httpx.MockTransport(api)), sale())

        assert "proof" not in api.batches[0][0]["data"]

    async def test_refused(self, client: CrossAppClient, granter: Environment, caller: Caller) -> None:
        """
        An event that the peer refuses is an error without retry, which names the event and the peer's reason.
        """
        granter.answer_next(400, {"error": "event name must not be empty", "status": 400})

        with pytest.raises(EventRefusedError) as caught:
            await caller.send(client, sale())

        assert not caught.value.retryable
        assert str(caught.value) == (
            f"ai-hero's Inngest refused the event {sale_id()}: 400: event name must not be empty"
        )
        assert (len(granter.log.refused), granter.log.received) == (1, [])

    async def test_wrong_key(self, granter: Environment, caller: Caller) -> None:
        """
        An event key that the peer's Inngest doesn't know is told by the name of its variable, after a single request.
        """
        with LocalInngest() as local:
            theirs = local.environment("other", keys=["another-key"])
            with CrossAppClient(settings(theirs.url)) as client, pytest.raises(PeerKeyRefusedError) as caught:
                await caller.send(client, sale())

        assert "is AI_HERO_INNGEST_EVENT_KEY a key of ai-hero's environment?" in str(caught.value)
        assert (caught.value.retryable, len(theirs.log.refused)) == (True, 1)


class TestDeliver:
    async def test_order(self, local: LocalInngest, granter: Environment, caller: Caller) -> None:
        """
        Messages to several peers go out in one request to each, and the ids come back in the messages' order.
        """
        other = local.environment("other")
        messages = [Message(GRANTER, sale(1)), Message(OTHER, sale(2)), Message(GRANTER, sale(3), attempt=1)]

        with CrossAppClient(settings(granter.url, other.url)) as client:
            ids = await caller.deliver(client, messages)

        first, third = granter.log.received
        [second] = other.log.received
        assert ids == [first.internal_id, second.internal_id, third.internal_id]
        assert [first.id, second.id, third.id] == [sale_id(1), sale_id(2), sale_id(3, attempt=1)]

    async def test_nothing(self, caller: Caller) -> None:
        """
        No message is no request.
        """
        assert await caller.deliver(client_of(EventAPI()), []) == []

    async def test_every_peer_is_tried(self, local: LocalInngest, granter: Environment, caller: Caller) -> None:
        """
        A peer that is down keeps no other peer from its messages, though it costs the whole deadline.
        """
        other, time = local.environment("other"), Time()
        granter.down = True
        messages = [Message(GRANTER, sale(1)), Message(OTHER, sale(2)), Message("nobody", sale(3))]

        with (
            CrossAppClient(settings(granter.url, other.url), monotonic=time, sleep=time.sleep) as client,
            pytest.raises(PeerUnavailableError, match="ai-hero"),
        ):
            await caller.deliver(client, messages)

        assert [event.id for event in other.log.received] == [sale_id(2)]

    @pytest.mark.parametrize("order", [1, -1], ids=["as it is", "reversed"])
    async def test_error_that_another_attempt_overcomes(self, order: int, caller: Caller) -> None:
        """
        Of several errors one that is worth another attempt is raised, so that Inngest makes it.
        """

        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(401 if request.url.host == "inngest.example" else 400)

        messages = [Message("nobody", sale()), Message(OTHER, sale()), Message(GRANTER, sale())][::order]

        with pytest.raises(SendError) as caught:
            await caller.deliver(client_of(answer), messages)

        assert type(caught.value) is PeerKeyRefusedError

    async def test_longest_wait(self, caller: Caller) -> None:
        """
        Of several peers that ask to be left alone the one that asks for longest decides.
        """

        def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(429, headers={"retry-after": "60" if request.url.host == "inngest.example" else "90"})

        with pytest.raises(PeerUnavailableError) as caught:
            await caller.deliver(client_of(answer), [Message(GRANTER, sale()), Message(OTHER, sale())])

        assert caught.value.retry_after == timedelta(seconds=90)

    async def test_foreign_source(self, caller: Caller) -> None:
        """
        An event of another app is found before anything is sent to anybody.
        """
        api = EventAPI()
        foreign = sale().model_copy(update={"source_app": OTHER})

        with pytest.raises(CrossAppConfigError, match="source_app"):
            await caller.deliver(client_of(api), [Message(OTHER, sale()), Message(GRANTER, foreign)])

        assert api.requests == []


class TestImport:
    def test_events_need_no_client(self) -> None:
        """
        Building events and messages loads neither httpx nor tenacity.
        """
        code = (
            "import sys, crossapp_core, crossapp_core.events, crossapp_core.outcomes; crossapp_core.Message;"
            "print({'httpx', 'tenacity', 'crossapp_core.client'} & set(sys.modules))"
        )

        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert done.stdout.strip() == "set()"
