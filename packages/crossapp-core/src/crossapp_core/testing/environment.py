"""
One Inngest environment: its event API, its functions, its runs, and what a test breaks in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias

import httpx

from crossapp_core.testing.clock import Clock
from crossapp_core.testing.deployments import App, Deployment, checked_key
from crossapp_core.testing.errors import LocalInngestError, NotRegisteredError
from crossapp_core.testing.event_api import EventAPI
from crossapp_core.testing.faults import Faults, Mishap, Moment
from crossapp_core.testing.functions import Functions
from crossapp_core.testing.ids import ulid
from crossapp_core.testing.listener import Answer, Listener, Request
from crossapp_core.testing.log import Log, ReceivedEvent
from crossapp_core.testing.runs import Runner
from crossapp_core.testing.schedule import Schedule
from crossapp_core.testing.subscriptions import Callback, Delivery

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_SYNC_TOKEN = "deployId"  # noqa: S105 (the parameter that the SDK hands on from the PUT to its registration)

RunInLoop: TypeAlias = Callable[[Coroutine[object, object, None]], None]
"""Runs a coroutine in the one event loop of the calls without one."""


class Environment:
    """
    Stands in for one Inngest server; made by `LocalInngest.environment`.
    """

    def __init__(
        self, name: str, *, keys: Collection[str] | None, clock: Clock, schedule: Schedule, run: RunInLoop
    ) -> None:
        self.name = name
        self.log = Log()
        self._clock = clock
        self._schedule = schedule
        self._run = run
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
        self._subscribers: list[Callback] = []
        self._registering: dict[str, Deployment] = {}
        self._registered: dict[str, str | None] = {}
        self._listener = Listener(self.answer)
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
        self._faults.die(function, Moment.ANSWERING, step, times)

    def crash(self, function: str, *, before: str | None = None, after: str | None = None, times: int = 1) -> None:
        """
        Let the process of *function*'s app die between its steps: the call fails, and is repeated as after any failure.

        Before a step, the process dies where the function reaches it: all that stands before has run, the step is not
        entered. After a step, its result is remembered, and the process is gone when the next call comes: what stands
        between that step and the next isn't reached in that attempt. To die in between, `lose` the step.

        While a crash before a step is to come, the function is called twice for each step: once to name it, once to
        execute it, which Inngest's protocol has for parallel steps.

        Args:
            function: Its id, within the app or within the environment.
            before: The step that is about to begin.
            after: The step that was done last, a sleep perhaps.
            times: How many deaths.
        """
        if (before is None) == (after is None):
            msg = "crash() needs either before or after: the name of a step"
            raise LocalInngestError(msg)
        self._faults.die(function, Moment.AFTER if before is None else Moment.BEFORE, before or after, times)

    def drop(self, name: str, *, times: int = 1) -> None:
        """
        Lose the next accepted events of that *name*: their sender gets ids, but nothing runs, nor is their id seen.

        Like the other faults of events it doesn't touch a duplicate, which runs nothing anyway, nor what is emitted.

        Args:
            name: Of the events; with an asterisk at its end, how it begins.
            times: How many.
        """
        self._faults.befall(name, Mishap.DROP, times)

    def duplicate(self, name: str, *, times: int = 1) -> None:
        """
        Deliver the next accepted events of that *name* twice, as if the same came once more after a day.

        Args:
            name: Of the events; with an asterisk at its end, how it begins.
            times: How many events.
        """
        self._faults.befall(name, Mishap.DUPLICATE, times)

    def delay(self, name: str, *, by: timedelta, times: int = 1) -> None:
        """
        Let the next accepted events of that *name* run later.

        Args:
            name: Of the events; with an asterisk at its end, how it begins.
            by: How much later.
            times: How many events.
        """
        self._faults.befall(name, Mishap.DELAY, times, by)

    def hold(self, name: str = "*") -> None:
        """
        Keep back all events of that *name* that are accepted from now on, until `release` lets them run.

        Args:
            name: Of the events; with an asterisk at its end, how it begins.
        """
        self._faults.held.append(name)

    def release(self) -> None:
        """
        Hold nothing any more, and let run what was held: the newest first, so that events overtake each other.
        """
        self._events.release()

    def subscribe(self, callback: Callback) -> None:
        """
        Have *callback* awaited with each event, as a function that is triggered by all of them would be.

        It isn't called with duplicates. What it raises comes out of the `asettle` that runs it.
        """
        self._subscribers.append(callback)

    def run_cron(self, function_id: str) -> None:
        """
        Begin a run of a function that has a timetable, as its time would; time itself never does.

        Args:
            function_id: Its id, within the app or within the environment.

        Raises:
            LocalInngestError: There is no such function with a timetable.
        """
        function = self._functions.timed(function_id)
        event = self._note_internal("inngest/scheduled.timer", {"cron": function.crons[0]})
        self._runner.start(function, event, event.at)

    def emit(self, name: str, data: Mapping[str, object], *, id: str | None = None) -> str:  # noqa: A002
        """
        Send an event without HTTP, past all faults, and return the id that the server gives it.

        Raises:
            EventRefusedError: No Inngest server takes it.
        """
        return self._events.emit(name, data, id)

    async def aregister(
        self,
        app: App,
        *,
        path: str = "/api/inngest",
        origin: str = "http://app.test",
        signing_key: str | None = None,
    ) -> None:
        """
        Have *app* register the functions that it serves at *path*, to be called in this process from then on.

        An app that runs as a server of its own registers when somebody PUTs to it, without this.

        Args:
            app: ASGI or WSGI, a FastAPI or a Flask app for example. It is WSGI if it can't be called with three
                arguments, and is then called in threads.
            path: Where it serves its functions.
            origin: What it takes for its own address.
            signing_key: With it this environment is Inngest's cloud to the app, whose client has `is_production`:
                calls are signed, and the app must show the same key. Without, it is a dev server.

        Raises:
            LocalInngestError: The signing key is none.
            NotRegisteredError: It registered nothing here.
        """
        token, deployment = secrets.token_hex(8), Deployment(app, checked_key(signing_key))
        self._registering[token] = deployment
        try:
            response = await deployment.request("PUT", httpx.URL(f"{origin}{path}", params={_SYNC_TOKEN: token}))
        finally:
            del self._registering[token]
        problem = self._registered.pop(token, f"it answered {response.status_code} {response.text:.300}")
        if problem is not None:
            raise NotRegisteredError(self.name, f"{origin}{path}", problem)

    def register(
        self,
        app: App,
        *,
        path: str = "/api/inngest",
        origin: str = "http://app.test",
        signing_key: str | None = None,
    ) -> None:
        """
        Do as `aregister` does, in a test without event loop.
        """
        self._run(self.aregister(app, path=path, origin=origin, signing_key=signing_key))

    def close(self) -> None:
        """
        Stop listening.
        """
        self._listener.close()

    def answer(self, request: Request) -> Answer:
        """
        Answer a request as the server at `url` does, without going through the network.
        """
        if request.path == "/fn/register":
            return self._register(request)
        if request.path.startswith("/e/"):
            return self._events.answer(request)
        return Answer.json(404, {"error": "Not found", "status": 404})

    def _register(self, request: Request) -> Answer:
        token = request.query.get(_SYNC_TOKEN, "")
        deployment = self._registering.get(token, Deployment())
        try:
            if not deployment.trusts(request.authorization):
                msg = "it has another signing key, or none"
                raise ValueError(msg)
            self._functions.register(request.body, deployment)
        except ValueError as error:
            self._registered[token] = str(error)
            return Answer.json(400, {"error": str(error), "status": 400})
        self._registered[token] = None
        return Answer.json(200, {"ok": True, "modified": True})

    def _start(self, event: ReceivedEvent, due: datetime) -> None:
        for function in self._functions.triggered(event.name, event.data):
            self._runner.start(function, event, due)
        for callback in self._subscribers:
            self._schedule.put(due, Delivery(event, callback))

    def _announce_failure(self, data: Mapping[str, object]) -> None:
        event = self._note_internal("inngest/function.failed", data)
        self._start(event, event.at)

    def _note_internal(self, name: str, data: Mapping[str, object]) -> ReceivedEvent:
        now = self._clock()
        event = ReceivedEvent(
            id=None,
            internal_id=ulid(now),
            name=name,
            data=data,
            key=None,
            duplicate=False,
            at=now,
            ts=int(now.timestamp() * 1000),
        )
        self.log.internal.append(event)
        return event
