"""
What an environment received, ran, dropped and lost, for a test to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class ReceivedEvent:
    """
    One event, accepted by the event API or put in directly.
    """

    id: str | None
    """The id that the sender gave, if any: the one that makes a repetition a duplicate."""
    internal_id: str
    """The id that the server made, as answered to the sender."""
    name: str
    data: Mapping[str, object]
    key: str | None
    """The event key it came with; None if it didn't come over HTTP."""
    duplicate: bool
    """Its id was seen within 24 hours, so it ran nothing."""
    at: datetime
    """When it came, on the injected clock."""
    ts: int
    """When it happened, in ms since 1970, as the functions read it."""


@dataclass(frozen=True)
class RefusedRequest:
    """
    A request that the event API answered with a 4xx.
    """

    status: int
    error: str
    key: str | None


@dataclass(frozen=True)
class RunError:
    """
    What a run failed with.
    """

    name: str
    message: str


@dataclass(frozen=True)
class Run:
    """
    One run of a function, as it stood when the log was read.
    """

    id: str
    function_id: str
    """The id within its app."""
    full_id: str
    """The id within the environment: the app's, a hyphen, the function's."""
    event: ReceivedEvent
    status: Literal["running", "completed", "failed"] = "running"
    output: object = None
    error: RunError | None = None
    attempts: int = 0
    """How often its most often tried call was made: 1 if nothing had to be repeated."""
    steps: list[str] = field(default_factory=list)
    """The names of the steps in the order they were executed, repetitions included."""


@dataclass(frozen=True)
class LostAnswer:
    """
    An answer that the app gave and the environment, as told by a test, lost.
    """

    function_id: str
    step: str | None
    run_id: str


@dataclass(frozen=True)
class Crash:
    """
    A death of the app's process, as told by a test.
    """

    function_id: str
    run_id: str
    before: str | None
    """The step that it was about to begin."""
    after: str | None
    """The step that it had done last."""


class Log:
    """
    Everything that happened in one environment, oldest first.
    """

    def __init__(self) -> None:
        self.received: list[ReceivedEvent] = []
        """What was sent."""
        self.internal: list[ReceivedEvent] = []
        """Inngest's own events: `inngest/function.failed`, and `inngest/scheduled.timer` for each cron that was run."""
        self.refused: list[RefusedRequest] = []
        self.dropped: list[ReceivedEvent] = []
        """What was accepted and then, as told by a test, not stored."""
        self.lost: list[LostAnswer] = []
        self.crashes: list[Crash] = []
        self._runs: dict[str, Run] = {}

    @property
    def runs(self) -> list[Run]:
        """
        All runs, in the order they were started.
        """
        return list(self._runs.values())

    @property
    def failures(self) -> list[Run]:
        """
        The runs that failed for good.
        """
        return [run for run in self.runs if run.status == "failed"]

    def events(self, name: str) -> list[ReceivedEvent]:
        """
        The events of that *name*, duplicates and Inngest's own included.
        """
        return [event for event in (*self.received, *self.internal) if event.name == name]

    def runs_of(self, function_id: str) -> list[Run]:
        """
        The runs of one function, named by its id within the app or by its full id.
        """
        return [run for run in self.runs if function_id in (run.function_id, run.full_id)]

    def put(self, run: Run) -> None:
        """
        Write down how *run* stands now.
        """
        self._runs[run.id] = run
