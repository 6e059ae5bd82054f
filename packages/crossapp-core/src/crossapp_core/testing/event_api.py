"""
The event API of one environment: `POST /e/{key}`.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
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
        Take one event without HTTP and return its internal id.

        Raises:
            EventRefusedError: No Inngest server takes it.
        """
        [item] = items(json.dumps({"name": name, "data": data, "id": id}))
        return self._store(envelope(0, item), key=None)

    def _receive(self, body: bytes, key: str) -> Answer:
        ids: list[str] = []
        try:
            # one by one: those before a bad one stay stored
            for position, item in enumerate(items(body)):
                ids.append(self._store(envelope(position, item), key))
        except EventRefusedError as error:
            return Answer.json(400, {"ids": ids or [""], "error": str(error), "status": 400})
        # like a real server, which has one id too many where it stored nothing
        return Answer.json(200, {"ids": ids or [""], "status": 200})

    def _store(self, sent: Envelope, key: str | None) -> str:
        with self._lock:
            now = self._clock()
            ts, due = _times(sent.ts, now)
            event = ReceivedEvent(
                id=sent.id,
                internal_id=ulid(now),
                name=sent.name,
                data=sent.data,
                key=key,
                duplicate=self._repeated(sent.id, now),
                at=now,
                ts=ts,
            )
            self._log.received.append(event)
            if not event.duplicate:
                self._start(event, due)
            return event.internal_id

    def _repeated(self, id: str | None, now: datetime) -> bool:  # noqa: A002
        if id is None:
            return False
        first = self._seen.get(id)
        if first is not None and now - first < _WINDOW:
            return True
        self._seen[id] = now
        return False


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
