"""
What the tests of the sending client share.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from crossapp_core import CrossAppClient, Message, Peer, SendResult, Settings
from crossapp_core.events import BundlePurchased, Event
from crossapp_core.testing.listener import Answer, Listener, Request

SELLER = "total-typescript"
GRANTER = "ai-hero"
OTHER = "epic-web"
KEY = "kEy-0f_the-Granter"
OTHER_KEY = "kEy-0f_the-0ther"
SECRET = "the granter and the seller share this one"
OTHER_SECRET = "the other and the seller share this one"
BUYER = "ada@example.com"
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


class Note(Event):
    """
    An event that holds as much as somebody wants it to.
    """

    name = "test/note"
    identity = ("number",)

    number: int
    text: str = ""


@dataclass
class Time:
    """
    Passes only while somebody pauses.
    """

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """
        The time, in s.
        """
        return self.now

    def sleep(self, seconds: float) -> None:
        """
        Let it pass.
        """
        self.pauses.append(seconds)
        self.now += seconds


class EventAPI:
    """
    Stands in for a peer's event API: gives the answers it was told to, then accepts everything.
    """

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = deque(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """
        Answer a request.
        """
        self.requests.append(request)
        if not self.answers:
            return accepted(request)
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def batches(self) -> list[list[dict[str, Any]]]:
        """
        The events of each request.
        """
        return [json.loads(request.content) for request in self.requests]

    @property
    def ids(self) -> list[list[str]]:
        """
        The ids of the events of each request.
        """
        return [[event["id"] for event in batch] for batch in self.batches]


@dataclass(frozen=True)
class Caller:
    """
    Calls a client in one of its flavours.
    """

    is_async: bool

    async def send(
        self, client: CrossAppClient, event: Event, to: str = GRANTER, *, attempt: int = 0, answers: str | None = None
    ) -> str:
        """
        Send one event.
        """
        if self.is_async:
            return await client.send_cross_app_event(to, event, attempt=attempt, answers=answers)
        return client.send_cross_app_event_sync(to, event, attempt=attempt, answers=answers)

    async def send_many(
        self, client: CrossAppClient, events: Sequence[Event | Message], to: str = GRANTER
    ) -> list[SendResult]:
        """
        Send many events.
        """
        return await client.send_many(to, events) if self.is_async else client.send_many_sync(to, events)

    async def deliver(self, client: CrossAppClient, messages: Sequence[Message]) -> list[str]:
        """
        Send messages to several peers.
        """
        return await client.deliver(messages) if self.is_async else client.deliver_sync(messages)


class Gate:
    """
    An event API that answers when it is told to.
    """

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.open = threading.Event()
        self.requests = 0
        self._listener = Listener(self._answer)
        self.url = self._listener.url

    def close(self) -> None:
        """
        Stop listening.
        """
        self.open.set()
        self._listener.close()

    def _answer(self, request: Request) -> Answer:
        self.requests += 1
        self.arrived.set()
        self.open.wait(10)
        return Answer.json(200, {"ids": ["stored"]})


def accepted(request: httpx.Request) -> httpx.Response:
    """
    The answer to a request whose events are all stored.
    """
    events = json.loads(request.content)
    return httpx.Response(200, json={"ids": [f"stored-{event['id']}" for event in events], "status": 200})


def settings(url: str = "https://inngest.example", other_url: str = "https://other.example") -> Settings:
    """
    The seller's: the granter is at *url*, another peer at *other_url*.
    """
    granter = Peer(app_id=GRANTER, event_key=KEY, secret=SECRET, base_url=url, env_prefix="AI_HERO")
    other = Peer(app_id=OTHER, event_key=OTHER_KEY, secret=OTHER_SECRET, base_url=other_url)
    return Settings(SELLER, [granter, other], dev=True)


def client_of(
    api: Callable[[httpx.Request], httpx.Response],
    time: Time | None = None,
    *,
    deadline: float = 20,
    timeout: float = 5,
    jitter: float = 1,
) -> CrossAppClient:
    """
    A client that sends to *api*, and for which time passes only in pauses.

    Args:
        api: What it sends to, whichever the peer.
        time: The time; its own if None.
        deadline: In s.
        timeout: In s.
        jitter: Where between its limits each pause is, from 0 to 1.
    """
    time = time or Time()
    return CrossAppClient(
        settings(),
        clock=lambda: NOW,
        timeout=timedelta(seconds=timeout),
        deadline=timedelta(seconds=deadline),
        monotonic=time,
        sleep=time.sleep,
        jitter=lambda low, high: low + jitter * (high - low),
        transport=httpx.MockTransport(api),
    )


def sale(number: int = 1) -> BundlePurchased:
    """
    A sale.
    """
    return BundlePurchased(purchase_id=f"pur_{number}", product_id="prod_9", buyer_email=BUYER, version=7)


def sale_id(number: int = 1, attempt: int = 0) -> str:
    """
    The id of a sale.
    """
    return f"bundle/purchased:{SELLER}:pur_{number}:prod_9:v7:a{attempt}"
