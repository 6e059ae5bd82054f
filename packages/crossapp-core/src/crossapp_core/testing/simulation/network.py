"""
The network between the apps of a simulated world, which does all that networks do.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import httpx
import orjson

from crossapp_core.testing.routing import InProcess
from crossapp_core.testing.simulation.processes import Process

Payload = dict[str, Any]


class Trouble(StrEnum):
    """
    What may become of a request.
    """

    LOST = "lost"
    """It never arrives."""
    UNANSWERED = "unanswered"
    """All is stored, and the answer is lost."""
    HOLLOW = "hollow"
    """The answer is 200, and nothing is stored."""
    DEAF = "deaf"
    """All is accepted, and no function listens."""
    HALF = "half"
    """The answer is 400, and the first half is stored all the same."""
    BROKEN = "broken"
    """The answer is 503."""
    BUSY = "busy"
    """The answer is 429: come back in two minutes."""
    LOCKED = "locked"
    """The answer is 401: the key is not known."""


_ANSWERS: Mapping[Trouble, tuple[int, Payload, dict[str, str]]] = {
    Trouble.HOLLOW: (200, {"ids": [""], "status": 200}, {}),
    Trouble.BROKEN: (503, {"error": "Service Unavailable"}, {}),
    Trouble.BUSY: (429, {"error": "Too Many Requests"}, {"retry-after": "120"}),
    Trouble.LOCKED: (401, {"error": "Event key not found"}, {}),
}


class Network:
    """
    All ways between the apps.

    Args:
        store: Takes an event at an app: the target, the source, the event, and whether anything listens.
    """

    def __init__(self, store: Callable[[str, str, Payload, bool], None]) -> None:
        self._store = store
        self.troubles: dict[tuple[str, str], deque[Trouble]] = {}
        """What the next requests from one app to another meet with."""
        self.parted: set[tuple[str, str]] = set()
        """From which app nothing comes through to which."""
        self.requests = Counter[str]()
        """How many requests each app has made."""
        self.rewriters: dict[str, Callable[[str, Payload], Payload]] = {}
        """How what an app sends is to be changed: the target and the event."""

    def heal(self) -> None:
        """
        Have no more troubles.
        """
        self.troubles.clear()
        self.parted.clear()

    def carry(self, source: str, target: str, body: bytes) -> tuple[int, Payload, dict[str, str]]:
        """
        Carry a request; what is answered.

        Raises:
            httpx.TransportError: Nothing is.
        """
        self.requests[source] += 1
        met = self.troubles.get((source, target))
        trouble = met.popleft() if met else None
        if (source, target) in self.parted or trouble is Trouble.LOST:
            msg = "nobody is there"
            raise httpx.ConnectError(msg)
        if trouble is not None and trouble in _ANSWERS:
            return _ANSWERS[trouble]
        events: list[Payload] = orjson.loads(body)
        taken = events[: len(events) // 2] if trouble is Trouble.HALF else events
        self._take(source, target, taken, runs=trouble is not Trouble.DEAF)
        if trouble is Trouble.UNANSWERED:
            msg = "no answer"
            raise httpx.ReadTimeout(msg)
        if trouble is Trouble.HALF:
            return 400, {"ids": [_id(each) for each in taken] or [""], "error": "a bad event"}, {}
        return 200, {"ids": [_id(each) for each in events], "status": 200}, {}

    def _take(self, source: str, target: str, events: Sequence[Payload], *, runs: bool) -> None:
        rewrite = self.rewriters.get(source)
        for event in events:
            self._store(target, source, rewrite(target, event) if rewrite else event, runs)


class Way(InProcess):
    """
    By what one app sends.
    """

    def __init__(self, network: Network, process: Process) -> None:
        self._network = network
        self._process = process

    def answer(self, request: httpx.Request) -> httpx.Response:
        """
        Carry a request, unless the process dies before or after.
        """
        self._process.survive()
        target = request.url.host.removesuffix(".test")
        status, content, headers = self._network.carry(self._process.app_id, target, request.content)
        self._process.survive()
        return httpx.Response(status, headers=headers, content=orjson.dumps(content), request=request)


def _id(event: Payload) -> str:
    return f"stored-{event.get('id')}"
