"""
The event API of one environment: `POST /e/{key}`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from crossapp_core.testing.clock import Clock
from crossapp_core.testing.envelopes import Envelope, envelope, items
from crossapp_core.testing.errors import EventRefusedError
from crossapp_core.testing.faults import Faults
from crossapp_core.testing.ids import ulid
from crossapp_core.testing.listener import Answer, Request
from crossapp_core.testing.log import Log, ReceivedEvent, RefusedRequest

_WINDOW = timedelta(hours=24)
_FRESH_MS = 60_000


@dataclass(frozen=True)
class _Arrival:
    event: ReceivedEvent
    due: datetime
    """From when on it may run."""


class EventAPI:
    """
    Accepts events and hands each that is no duplicate to *start*, with the time from which it may run.
    """

    def __init__(
        self,
        *,
        keys: Collection[str] | None,
        clock: Clock,
        log: Log,
        faults: Faults,
        start: Callable[[ReceivedEvent, datetime], None],
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._log = log
        self._faults = faults
        self._start = start
        self._seen: dict[str, datetime] = {}
        self._held: list[_Arrival] = []
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """
        Answer one request, as an Inngest server would or as a test has asked for.
        """
        key = unquote(request.path.removeprefix("/e/"))
        if self._faults.canned:
            answer = self._faults.canned.popleft()
        elif self._faults.down:
            answer = Answer.json(503, {"error": "Service Unavailable", "status": 503})
        elif not key:
            answer = Answer.json(401, {"error": "Event key is required", "status": 401})
        elif self._keys is not None and key not in self._keys:
            answer = Answer.json(401, {"error": "Event key not found", "status": 401})
        else:
            answer = self._receive(request.body, key)
        if 400 <= answer.status < 500:
            self._log.refused.append(RefusedRequest(answer.status, _error(answer.body), key or None))
        return answer

    def emit(self, name: str, data: Mapping[str, object], id: str | None) -> str:  # noqa: A002
        """
        Take one event without HTTP, past all faults, and return its internal id.

        Raises:
            EventRefusedError: No Inngest server takes it.
        """
        [item] = items(json.dumps({"name": name, "data": data, "id": id}))
        with self._lock:
            arrival = self._arrival(envelope(0, item), key=None)
            self._store(arrival)
            if not arrival.event.duplicate:
                self._start(arrival.event, arrival.due)
        return arrival.event.internal_id

    def release(self) -> None:
        """
        Let run what was held back, the newest first.
        """
        with self._lock:
            self._faults.held.clear()
            now, held = self._clock(), self._held[::-1]
            self._held.clear()
            for arrival in held:
                self._start(arrival.event, max(arrival.due, now))

    def _receive(self, body: bytes, key: str) -> Answer:
        ids: list[str] = []
        try:
            # one by one: those before a bad one stay stored
            for position, item in enumerate(items(body)):
                ids.append(self._accept(envelope(position, item), key))
        except EventRefusedError as error:
            return Answer.json(400, {"ids": ids or [""], "error": str(error), "status": 400})
        # like a real server, which has one id too many where it stored nothing
        return Answer.json(200, {"ids": ids or [""], "status": 200})

    def _accept(self, sent: Envelope, key: str) -> str:
        """
        Take one event into whatever faults there are, and return its internal id.
        """
        with self._lock:
            arrival = self._arrival(sent, key)
            if not arrival.event.duplicate and self._faults.drops(arrival.event.name):
                self._log.dropped.append(arrival.event)
                return arrival.event.internal_id
            self._store(arrival)
            if not arrival.event.duplicate:
                self._deliver(arrival)
            return arrival.event.internal_id

    def _deliver(self, arrival: _Arrival) -> None:
        name = arrival.event.name
        arrival = replace(arrival, due=arrival.due + self._faults.delay(name))
        for _ in range(self._faults.deliveries(name)):
            if self._faults.holds(name):
                self._held.append(arrival)
            else:
                self._start(arrival.event, arrival.due)

    def _arrival(self, sent: Envelope, key: str | None) -> _Arrival:
        now = self._clock()
        ts, due = _times(sent.ts, now)
        event = ReceivedEvent(
            id=sent.id,
            internal_id=ulid(now),
            name=sent.name,
            data=sent.data,
            key=key,
            duplicate=self._repeats(sent.id, now),
            at=now,
            ts=ts,
        )
        return _Arrival(event, due)

    def _store(self, arrival: _Arrival) -> None:
        event = arrival.event
        self._log.received.append(event)
        if event.id is not None and not event.duplicate:
            self._seen[event.id] = event.at

    def _repeats(self, id: str | None, now: datetime) -> bool:  # noqa: A002
        first = None if id is None else self._seen.get(id)
        return first is not None and now - first < _WINDOW


def _times(ts: int | None, now: datetime) -> tuple[int, datetime]:
    # The SDK stamps each event with the real time, which may be far from the injected clock's: that means now.
    if ts is None or 0 <= time.time() * 1000 - ts < _FRESH_MS:
        return int(now.timestamp() * 1000), now
    return ts, max(now, datetime.fromtimestamp(ts / 1000, UTC))


def _error(body: bytes) -> str:
    try:
        match json.loads(body):
            case {"error": str(error)}:
                return error
    except ValueError:
        pass
    return body.decode(errors="replace")
