"""
The same environment by `LocalInngest`: the functions as the SDK serves them, its protocol and all.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import inngest

from crossapp_core.durable import Plan, plan_of
from crossapp_core.testing.calls import Reply
from crossapp_core.testing.ids import ulid
from crossapp_core.testing.local_inngest import LocalInngest
from crossapp_core.testing.log import ReceivedEvent
from crossapp_core.testing.routing import ToEnvironment, sdk_sends_by
from crossapp_core.testing.runs import Call
from crossapp_core.testing.simulation.inboxes import Received
from crossapp_core.testing.simulation.processes import CrashedError


@dataclass(eq=False)
class ServedWork:
    """
    A call that is to be made.
    """

    app_id: str
    plan: Plan
    call: Call
    queue: list[Any]
    entry: tuple[datetime, int, Any]
    is_forged: bool = False

    @property
    def due(self) -> datetime:
        """
        When.
        """
        return self.entry[0]

    @due.setter
    def due(self, moment: datetime) -> None:
        self.remove()
        self.entry = (moment, *self.entry[1:])
        heapq.heappush(self.queue, self.entry)

    def remove(self) -> None:
        """
        Take it out.
        """
        self.queue.remove(self.entry)
        heapq.heapify(self.queue)

    def __str__(self) -> str:
        event = self.call.progress.event
        names = (
            "sourceApp",
            "purchaseId",
            "sourcePurchaseId",
            "userId",
            "linkedUserId",
            "status",
            "version",
            "productId",
        )
        shown = [str(event.data[name]) for name in names if event.data.get(name) is not None]
        return " ".join([f"{self.app_id}: {self.call.label} on {event.name}", *shown])


class ServedInbox:
    """
    The environment of one app, with its real handler.

    Args:
        app_id: The app.
        local: All environments.
        client: The app's Inngest client.
        functions: The app's functions.
    """

    def __init__(
        self, app_id: str, local: LocalInngest, client: inngest.Inngest, functions: Sequence[inngest.Function[Any]]
    ) -> None:
        from fastapi import FastAPI
        from inngest import fast_api

        self.app_id = app_id
        self.past: list[Received] = []
        self._local = local
        self._plans = {plan.fn_id: plan for plan in map(plan_of, functions)}
        self._environment = local.environment(app_id)
        self._kept = ExitStack()
        self._kept.enter_context(sdk_sends_by(client, ToEnvironment(self._environment)))
        app = FastAPI()
        fast_api.serve(app, client, list(functions), serve_origin="http://app.test")
        self._environment.register(app)
        self._forged: set[str] = set()

    @property
    def waiting(self) -> list[ServedWork]:
        """
        Calls that are to be made, those first that are due first.
        """
        return list(self._waiting())

    def reset(self) -> None:
        """
        Forget all.
        """
        for work in self.waiting:
            work.remove()
        self.past.clear()
        self._forged.clear()
        self._environment._events._seen.clear()

    def accept(self, received: Received, *, runs: bool = True) -> None:
        """
        Store an event and start what it starts, unless its id came within a day.
        """
        before = {work.entry[1] for work in self._waiting()}
        self._environment.emit(received.name, received.data, id=received.id)
        self.past.append(received)
        if received.is_forged and received.id is not None:
            self._forged.add(received.id)
        for work in [] if runs else self.waiting:
            if work.entry[1] not in before:
                work.remove()

    def start(self, received: Received) -> None:
        """
        Start what an event starts.
        """
        now = self._local.clock()
        event = ReceivedEvent(
            id=received.id,
            internal_id=ulid(now),
            name=received.name,
            data=received.data,
            key=None,
            duplicate=False,
            at=now,
            ts=int(now.timestamp() * 1000),
        )
        self._environment._start(event, now)

    def fire(self, plan: Plan) -> ServedWork | None:
        """
        It is time for a function that has a timetable; None if its last run isn't over.
        """
        if any(work.plan.fn_id == plan.fn_id for work in self._waiting()):
            return None
        self._environment.run_cron(plan.fn_id)
        return next(work for work in self._waiting() if work.plan.fn_id == plan.fn_id)

    def drop(self, work: ServedWork) -> None:
        """
        Never make a call.
        """
        work.remove()

    def due(self) -> list[ServedWork]:
        """
        The calls that may be made now.
        """
        now = self._local.clock()
        return [work for work in self._waiting() if work.due <= now]

    def call(self, work: ServedWork) -> str:
        """
        Make a call; what became of the run.
        """
        work.remove()
        progress = work.call.progress
        steps = len(progress.run.steps)
        try:
            self._local.run(work.call.run())
        except CrashedError:
            work.call.runner._fail(work.call, Reply.crashed("Error", "the app died"))
            return "the app died"
        done = ", ".join(progress.run.steps[steps:])
        error = f" {progress.run.error.name}" if progress.run.error else ""
        return f"{done} {progress.run.status}{error}".strip()

    def _waiting(self) -> Iterator[ServedWork]:
        queue = self._local._schedule._heap
        for entry in sorted(queue, key=lambda each: each[:2]):
            call = entry[2]
            if isinstance(call, Call) and call.runner is self._environment._runner:
                plan = self._plans[call.progress.function.local_id.removesuffix("-failure")]
                yield ServedWork(self.app_id, plan, call, queue, entry, call.progress.event.id in self._forged)
