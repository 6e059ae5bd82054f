"""
An Inngest environment without HTTP: what it does for the functions' bodies, and nothing else.

It drops a repeated id for a day, keeps the results of steps, tries again as Inngest does, and promises no order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import inngest
import orjson

from crossapp_core import durable
from crossapp_core.durable import Plan
from crossapp_core.errors import CrossAppError
from crossapp_core.testing.calls import _BACKOFF
from crossapp_core.testing.clock import Clock
from crossapp_core.testing.simulation.processes import CrashedError
from crossapp_core.testing.simulation.rows import Store

_DAY = timedelta(days=1)
FAILED = "inngest/function.failed"
TIMER = "inngest/scheduled.timer"


@dataclass(frozen=True)
class Received:
    """
    An event that was stored.
    """

    id: str | None
    name: str
    data: Mapping[str, Any]
    source: str
    """The app whose request it came with."""
    is_forged: bool = False


@dataclass(eq=False)
class Work:
    """
    A run that isn't over.
    """

    app_id: str
    plan: Plan
    event: inngest.Event
    due: datetime
    body: durable.Body[Any]
    retries: int
    received: Received | None
    memo: dict[str, tuple[str, Any]] = field(default_factory=dict)
    attempt: int = 0

    @property
    def fn_id(self) -> str:
        """
        What runs, as people read it.
        """
        return self.plan.fn_id if self.body is self.plan.body else f"{self.plan.fn_id} (on failure)"

    @property
    def is_forged(self) -> bool:
        """
        Whether it must change nothing.
        """
        return self.received is not None and self.received.is_forged

    def __str__(self) -> str:
        data = self.event.data
        names = ("purchaseId", "sourcePurchaseId", "userId", "linkedUserId", "status", "version", "productId")
        shown = [str(data[name]) for name in names if data.get(name) is not None]
        about = (
            ""
            if self.plan.cron
            else f" on {self.event.name} from {self.received.source if self.received else self.app_id}"
        )
        return " ".join([f"{self.app_id}: {self.fn_id}{about}", *shown])


class _StepDone(BaseException):
    """
    Ends a call: one step is done, or has failed.
    """

    def __init__(self, step: str, result: Any = None, error: Exception | None = None) -> None:
        super().__init__(step)
        self.step = step
        self.result = result
        self.error = error


class SimulatedRun:
    """
    Stands in for `durable.Run`: does one step a call, and remembers those before.
    """

    def __init__(self, work: Work) -> None:
        self._memo = work.memo
        self._counts = Counter[str]()
        self.event = work.event

    async def step(self, id: str, work: Callable[[], Any]) -> Any:  # noqa: A002
        """
        Do *work* once and remember its result, which must be JSON.
        """
        key = f"{id}:{self._counts[id]}" if self._counts[id] else id
        self._counts[id] += 1
        if key in self._memo:
            kind, value = self._memo[key]
            if kind == "error":
                raise inngest.StepError(message=value["message"], name=value["name"], stack=None)
            return orjson.loads(value)
        try:
            result = orjson.dumps(await work())
        except Exception as error:  # noqa: BLE001 (whatever it is, Inngest decides what becomes of it)
            raise _StepDone(key, error=error) from None
        raise _StepDone(key, result)


class Inbox:
    """
    The environment of one app.

    Args:
        app_id: The app.
        clock: The true time.
        store: Runs the bodies in the app's flavour.
        plans: What the app's functions were made of.
    """

    def __init__(self, app_id: str, clock: Clock, store: Store, plans: list[Plan]) -> None:
        self.app_id = app_id
        self.plans = plans
        self.waiting: list[Work] = []
        """Runs that aren't over."""
        self.past: list[Received] = []
        """All events that came from peers or from the app itself."""
        self._clock = clock
        self._store = store
        self._seen: dict[str, datetime] = {}

    def reset(self) -> None:
        """
        Forget all.
        """
        self.waiting.clear()
        self.past.clear()
        self._seen.clear()

    def accept(self, received: Received, *, runs: bool = True) -> None:
        """
        Store an event and start what it starts, unless its id came within a day.

        Args:
            received: The event.
            runs: Whether anything listens at present.
        """
        now = self._clock()
        if received.id is not None:
            first = self._seen.get(received.id)
            if first is not None and now - first < _DAY:
                return
            self._seen[received.id] = now
        self.past.append(received)
        if runs:
            self.start(received)

    def start(self, received: Received) -> None:
        """
        Start what an event starts.
        """
        id_ = received.id or f"event-{len(self.past)}"
        event = inngest.Event(id=id_, name=received.name, data=dict(received.data), ts=0)
        for plan in self.plans:
            if received.name in plan.events:
                self._put(plan, event, plan.body, plan.retries, received)

    def fire(self, plan: Plan) -> Work | None:
        """
        It is time for a function that has a timetable; None if its last run isn't over.
        """
        if any(work.plan is plan for work in self.waiting):
            return None
        event = inngest.Event(id=f"timer-{len(self.past)}-{self._clock().timestamp()}", name=TIMER, data={}, ts=0)
        return self._put(plan, event, plan.body, plan.retries, None)

    def drop(self, work: Work) -> None:
        """
        Never go on with a run.
        """
        self.waiting.remove(work)

    def due(self) -> list[Work]:
        """
        The runs that may go on now, those that wait for longest first.
        """
        now = self._clock()
        return [work for work in self.waiting if work.due <= now]

    def call(self, work: Work) -> str:
        """
        Do the next step of a run; what became of it, in a few words.
        """
        try:
            self._store.drive(work.body(SimulatedRun(work)))  # type: ignore[arg-type]
        except CrashedError:
            return self._again(work, Exception("the app died"))
        except _StepDone as done:
            if done.error is None:
                work.memo[done.step] = ("result", done.result)
                work.attempt = 0
                return done.step
            outcome = self._again(work, done.error, step=done.step)
            return f"{done.step}: {type(done.error).__name__} ({done.error}), {outcome}"
        except Exception as error:  # noqa: BLE001 (as Inngest does)
            return f"{type(error).__name__}: {self._again(work, error)}"
        self.waiting.remove(work)
        return "done"

    def _again(self, work: Work, error: Exception, *, step: str | None = None) -> str:
        final, wait = _terms(error)
        if not final and work.attempt < work.retries:
            work.due = self._clock() + (wait or _BACKOFF[min(work.attempt, len(_BACKOFF) - 1)])
            work.attempt += 1
            return "to be tried again"
        described = {"name": _name(error), "message": str(error), "stack": None}
        if step is not None:
            work.memo[step] = ("error", described)
            work.attempt = 0
            return "given up"
        self.waiting.remove(work)
        if work.plan.on_failure is not None and work.body is not work.plan.on_failure:
            sent = {"id": work.event.id, "name": work.event.name, "data": work.event.data}
            data: dict[str, Any] = {"function_id": work.plan.fn_id, "run_id": "run", "error": described, "event": sent}
            event = inngest.Event(id=f"failed-{work.event.id}", name=FAILED, data=data, ts=0)
            self._put(work.plan, event, work.plan.on_failure, 0, None)
        return "failed"

    def _put(
        self, plan: Plan, event: inngest.Event, body: durable.Body[Any], retries: int, received: Received | None
    ) -> Work:
        work = Work(self.app_id, plan, event, self._clock(), body, retries, received)
        self.waiting.append(work)
        return work


def _terms(error: Exception) -> tuple[bool, timedelta | None]:
    # as durable.in_inngest_terms has it, but with a wait that doesn't depend on the real clock
    if isinstance(error, CrossAppError):
        return not error.retryable, error.retry_after
    return isinstance(error, inngest.NonRetriableError | inngest.StepError), None


def _name(error: Exception) -> str:
    if isinstance(error, inngest.StepError):
        return error.name or "Error"
    return type(error).__name__
