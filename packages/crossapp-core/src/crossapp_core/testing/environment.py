"""
One Inngest environment: its event API, its functions, its runs, and what a test breaks in it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Collection, Mapping
from datetime import datetime
from types import MappingProxyType

import httpx

from crossapp_core.testing.clock import Clock
from crossapp_core.testing.errors import NotRegisteredError
from crossapp_core.testing.event_api import EventAPI
from crossapp_core.testing.faults import Faults
from crossapp_core.testing.functions import ASGIApp, Functions
from crossapp_core.testing.ids import ulid
from crossapp_core.testing.listener import Answer, Listener, Request
from crossapp_core.testing.log import Log, ReceivedEvent
from crossapp_core.testing.runs import Runner
from crossapp_core.testing.schedule import Schedule

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_SYNC_TOKEN = "deployId"  # noqa: S105 (the parameter that the SDK hands on from the PUT to its registration)


class Environment:
    """
    Stands in for one Inngest server; made by `LocalInngest.environment`.
    """

    def __init__(self, name: str, *, keys: Collection[str] | None, clock: Clock, schedule: Schedule) -> None:
        self.name = name
        self.log = Log()
        self._clock = clock
        self._faults = Faults()
        self._functions = Functions()
        self._runner = Runner(
            clock=clock,
            schedule=schedule,
            log=self.log,
            faults=self._faults,
            failed=self._announce_failure,
        )
        self._events = EventAPI(keys=keys, clock=clock, log=self.log, faults=self._faults, start=self._start)
        self._registering: dict[str, ASGIApp] = {}
        self._registered: dict[str, str | None] = {}
        self._listener = Listener(self._answer)
        self.url = self._listener.url
        """Origin of the event API and of the registration: `INNGEST_BASE_URL` of an app."""

    def __repr__(self) -> str:
        return f"<Environment {self.name!r} at {self.url}>"

    @property
    def down(self) -> bool:
        """
        While true, the event API answers 503.
        """
        return self._faults.down

    @down.setter
    def down(self, value: bool) -> None:
        self._faults.down = value

    def answer_next(self, status: int, body: object = None, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """
        Queue an answer of the event API, which then stores nothing of that request.

        Args:
            status: Its HTTP status.
            body: Sent as JSON; bytes are sent as they are, None sends nothing.
            headers: Further headers, `Retry-After` for example.
        """
        self._faults.can(status, body, headers)

    def lose(self, *, function: str, step: str | None = None, times: int = 1) -> None:
        """
        Lose the app's answer after its work, as if the process died in between: the call is made again.

        Args:
            function: Its id, within the app or within the environment.
            step: The step whose answer is lost; None for the one that ends the run.
            times: How many answers.
        """
        self._faults.lose(function, step, times)

    def emit(self, name: str, data: Mapping[str, object], *, id: str | None = None) -> str:  # noqa: A002
        """
        Send an event without HTTP, past all faults, and return the id that the server gives it.

        Raises:
            EventRefusedError: No Inngest server takes it.
        """
        return self._events.emit(name, data, id)

    async def aregister(self, app: ASGIApp, *, path: str = "/api/inngest", origin: str = "http://app.test") -> None:
        """
        Have *app* register the functions that it serves at *path*.

        An app that runs as a server of its own registers when somebody PUTs to it, without this.

        Raises:
            NotRegisteredError: It registered nothing here.
        """
        token = secrets.token_hex(8)
        self._registering[token] = app
        try:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), trust_env=False) as client:
                headers = {"x-inngest-server-kind": "dev"}
                response = await client.put(f"{origin}{path}", params={_SYNC_TOKEN: token}, headers=headers)
        finally:
            del self._registering[token]
        problem = self._registered.pop(token, f"it answered {response.status_code} {response.text:.300}")
        if problem is not None:
            raise NotRegisteredError(self.name, f"{origin}{path}", problem)

    def register(self, app: ASGIApp, *, path: str = "/api/inngest", origin: str = "http://app.test") -> None:
        """
        Do as `aregister` does, in a test without event loop.
        """
        asyncio.run(self.aregister(app, path=path, origin=origin))

    def close(self) -> None:
        """
        Stop listening.
        """
        self._listener.close()

    def _answer(self, request: Request) -> Answer:
        if request.path == "/fn/register":
            return self._register(request)
        if request.path.startswith("/e/"):
            return self._events.answer(request)
        return Answer.json(404, {"error": "Not found", "status": 404})

    def _register(self, request: Request) -> Answer:
        token = request.query.get(_SYNC_TOKEN, "")
        try:
            self._functions.register(request.body, self._registering.get(token))
        except ValueError as error:
            self._registered[token] = str(error)
            return Answer.json(400, {"error": str(error), "status": 400})
        self._registered[token] = None
        return Answer.json(200, {"ok": True, "modified": True})

    def _start(self, event: ReceivedEvent, due: datetime) -> None:
        for function in self._functions.triggered(event.name, event.data):
            self._runner.start(function, event, due)

    def _announce_failure(self, data: Mapping[str, object]) -> None:
        now = self._clock()
        event = ReceivedEvent(
            id=None,
            internal_id=ulid(now),
            name="inngest/function.failed",
            data=data,
            key=None,
            duplicate=False,
            at=now,
            ts=int(now.timestamp() * 1000),
        )
        self._start(event, now)
