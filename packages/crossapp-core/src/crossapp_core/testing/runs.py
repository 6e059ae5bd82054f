"""
Runs functions: one call after the other, until the run has an output or has failed for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from crossapp_core.testing.calls import Reply, call, delay_before, envelope_of, error_of, request_body, until
from crossapp_core.testing.clock import Clock
from crossapp_core.testing.errors import UnsupportedError
from crossapp_core.testing.faults import Faults, Moment
from crossapp_core.testing.functions import Function
from crossapp_core.testing.ids import ulid
from crossapp_core.testing.log import Crash, Log, LostAnswer, ReceivedEvent, Run, RunError
from crossapp_core.testing.schedule import Schedule

_ROOT = "step"
_EXECUTED = ("StepRun", "StepError", "StepFailed")


@dataclass
class Progress:
    """
    What the server remembers of a run.
    """

    function: Function
    event: ReceivedEvent
    run: Run
    memos: dict[str, object] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    """Steps that are planned or asleep: the function goes on when there are none left."""
    died_after: str | None = None
    """The step after which the app's process died: the next call finds nobody."""


@dataclass(frozen=True)
class Call:
    """
    A call that is due, or the end of a sleep.
    """

    runner: Runner
    progress: Progress
    step: str = _ROOT
    attempt: int = 0
    wakes: bool = False
    name: str | None = None
    """What the app calls the step, if this is for a single one."""

    @property
    def label(self) -> str:
        """
        The function's full id.
        """
        return self.progress.function.id

    async def run(self) -> None:
        """
        Do it, unless the run has ended meanwhile.
        """
        if self.progress.run.status == "running":
            await (self.runner.wake if self.wakes else self.runner.make)(self)


class Runner:
    """
    The executor of one environment.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        schedule: Schedule,
        log: Log,
        faults: Faults,
        failed: Callable[[Mapping[str, object]], None],
    ) -> None:
        self._clock = clock
        self._schedule = schedule
        self._log = log
        self._faults = faults
        self._failed = failed

    def start(self, function: Function, event: ReceivedEvent, due: datetime) -> None:
        """
        Begin a run of *function*, its first call being due at *due*.
        """
        run = Run(ulid(self._clock()), function.local_id, function.id, event)
        self._log.put(run)
        self._schedule.put(due, Call(self, Progress(function, event, run)))

    async def make(self, due: Call) -> None:
        """
        Make a call and act on the answer.
        """
        progress, function = due.progress, due.progress.function
        if function.unsupported:
            raise UnsupportedError(function.id, function.unsupported)
        if progress.died_after is not None:
            self._die(due, after=progress.died_after)
            return
        if due.name is not None and self._faults.dies(function, Moment.BEFORE, due.name):
            self._die(due, before=due.name)
            return
        body = request_body(
            function,
            progress.event,
            run_id=progress.run.id,
            attempt=due.attempt,
            step=due.step,
            steps=progress.memos,
            # so that the process can die where it is about to begin a step
            plan=self._faults.awaits(function, Moment.BEFORE),
        )
        reply = await call(function, step=due.step, body=body)
        ops = _ops(function, reply)
        executed = [str(op.get("displayName")) for op in ops if op.get("op") in _EXECUTED]
        self._count(due, executed)
        if self._is_lost(progress, reply, executed):
            self._fail(due, Reply.crashed("Error", "the app did not answer"))
        elif (step := self._dies_before(function, ops)) is not None:
            self._die(due, before=step)
        elif reply.status == 200:
            self._write(progress, replace(progress.run, status="completed", output=reply.content))
        elif not ops:
            self._fail(due, reply)
        else:
            done = [self._apply(op, due, reply) for op in ops]
            if any(done):
                self._go_on(progress)

    async def wake(self, due: Call) -> None:
        """
        End a sleep.
        """
        self._memoise(due.progress, due.step, due.name, None)
        self._go_on(due.progress)

    def _apply(self, op: Mapping[str, object], due: Call, reply: Reply) -> bool:
        """
        Do what the app wants done about a step; True if the step is done.
        """
        progress, id_, name = due.progress, str(op.get("id")), str(op.get("displayName"))
        match op.get("op"):
            case "StepRun":
                return self._memoise(progress, id_, name, {"data": op.get("data")})
            case "StepError" if not reply.final and due.attempt + 1 < progress.function.attempts:
                return self._repeat(due, reply)
            case "StepError" | "StepFailed":
                return self._memoise(
                    progress, id_, name, {"error": error_of(op.get("error"), otherwise="no error given")}
                )
            case "StepPlanned":
                return self._wait(Call(self, progress, id_, name=name), timedelta(0))
            case "Sleep":
                asleep = Call(self, progress, id_, name=name, wakes=True)
                return self._wait(asleep, until(str(op.get("name"))))
            case other:
                raise UnsupportedError(progress.function.id, f"the operation {other}")

    def _memoise(self, progress: Progress, step: str, name: str | None, memo: object) -> bool:
        progress.memos[step] = memo
        if self._faults.dies(progress.function, Moment.AFTER, name):
            progress.died_after = name
        progress.waiting.discard(step)
        return True

    def _repeat(self, due: Call, reply: Reply) -> bool:
        again = replace(due, attempt=due.attempt + 1)
        self._schedule.put(self._clock() + delay_before(again.attempt, reply), again)
        return False

    def _wait(self, then: Call, delay: timedelta) -> bool:
        then.progress.waiting.add(then.step)
        self._schedule.put(self._clock() + delay, then)
        return False

    def _go_on(self, progress: Progress) -> None:
        if not progress.waiting:
            self._schedule.put(self._clock(), Call(self, progress))

    def _fail(self, due: Call, reply: Reply) -> None:
        if not reply.final and due.attempt + 1 < due.progress.function.attempts:
            self._repeat(due, reply)
            return
        progress, error = due.progress, reply.error
        summary = RunError(str(error["name"]), str(error["message"]))
        self._write(progress, replace(progress.run, status="failed", error=summary))
        sent = envelope_of(progress.event)
        ids = {"function_id": progress.function.id, "run_id": progress.run.id}
        self._failed({**ids, "error": error, "event": sent, "events": [sent]})

    def _is_lost(self, progress: Progress, reply: Reply, executed: list[str]) -> bool:
        candidates: list[str | None] = [None] if reply.status == 200 else [*executed]
        for step in candidates:
            if self._faults.dies(progress.function, Moment.ANSWERING, step):
                self._log.lost.append(LostAnswer(progress.function.local_id, step, progress.run.id))
                return True
        return False

    def _dies_before(self, function: Function, ops: list[Mapping[str, object]]) -> str | None:
        steps = [str(op.get("displayName")) for op in ops if op.get("op") not in _EXECUTED]
        return next((step for step in steps if self._faults.dies(function, Moment.BEFORE, step)), None)

    def _die(self, due: Call, *, before: str | None = None, after: str | None = None) -> None:
        progress = due.progress
        progress.died_after = None
        self._log.crashes.append(Crash(progress.function.local_id, progress.run.id, before, after))
        self._count(due, [])
        self._fail(due, Reply.crashed("Error", "the app died"))

    def _count(self, due: Call, executed: list[str]) -> None:
        run = due.progress.run
        attempts = max(run.attempts, due.attempt + 1)
        self._write(due.progress, replace(run, attempts=attempts, steps=[*run.steps, *executed]))

    def _write(self, progress: Progress, run: Run) -> None:
        progress.run = run
        self._log.put(run)


def _ops(function: Function, reply: Reply) -> list[Mapping[str, object]]:
    if reply.status == 201:
        raise UnsupportedError(function.id, "a streamed answer")
    if reply.status != 206 or not isinstance(reply.content, list):
        return []
    ops: list[Mapping[str, object]] = [op for op in reply.content if isinstance(op, dict)]
    for op in ops:
        match op:
            case {"opts": {"parallelMode": "race"}}:
                raise UnsupportedError(function.id, "a parallel group in race mode")
    return ops
