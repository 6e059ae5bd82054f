"""
What a test has asked to go wrong in one environment.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from crossapp_core.testing.functions import Function, is_named
from crossapp_core.testing.listener import Answer


class Moment(StrEnum):
    """
    When the app's process dies.
    """

    BEFORE = "before"
    """About to begin a step."""
    ANSWERING = "answering"
    """Done with a step, or with the run, which nobody hears of."""
    AFTER = "after"
    """Done with a step, which is remembered."""


class Mishap(StrEnum):
    """
    What happens to an accepted event.
    """

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"


@dataclass
class _StepFault:
    function: str
    moment: Moment
    step: str | None
    times: int


@dataclass
class _EventFault:
    pattern: str
    what: Mishap
    times: int
    by: timedelta = timedelta(0)


@dataclass
class Faults:
    """
    The faults that are still to come.
    """

    down: bool = False
    """The event API answers 503."""
    canned: deque[Answer] = field(default_factory=deque)
    """The next answers of the event API."""
    held: list[str] = field(default_factory=list)
    """The names of events that are kept back, asterisks and all."""
    _steps: list[_StepFault] = field(default_factory=list)
    _events: list[_EventFault] = field(default_factory=list)

    def can(self, status: int, body: object, headers: Mapping[str, str]) -> None:
        """
        Dictate an answer: bytes are sent as they are, None as an empty body, the rest as JSON.
        """
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.canned.append(Answer(status, content, dict(headers)))

    def die(self, function: str, moment: Moment, step: str | None, times: int) -> None:
        """
        Let the process of *function*, named by either of its ids, die at that moment of *step*, so many times.

        With no step, the answer that ends the run is meant.
        """
        self._steps.append(_StepFault(function, moment, step, times))

    def awaits(self, function: Function, moment: Moment) -> bool:
        """
        Whether a death of *function* at such a moment is still to come.
        """
        return any(_fits(fault, function, moment) for fault in self._steps)

    def dies(self, function: Function, moment: Moment, step: str | None) -> bool:
        """
        Whether *function*'s process dies at that moment of *step*; each time counts.
        """
        for fault in self._steps:
            if _fits(fault, function, moment) and fault.step == step:
                fault.times -= 1
                return True
        return False

    def befall(self, pattern: str, what: Mishap, times: int, by: timedelta = timedelta(0)) -> None:
        """
        Let that happen to the next events of such a name, so many times.
        """
        self._events.append(_EventFault(pattern, what, times, by))

    def drops(self, name: str) -> bool:
        """
        Whether this event of that *name* is to be lost; each time counts.
        """
        return self._meets(name, Mishap.DROP) is not None

    def deliveries(self, name: str) -> int:
        """
        How often this event of that *name* is to run; each time counts.
        """
        return 1 if self._meets(name, Mishap.DUPLICATE) is None else 2

    def delay(self, name: str) -> timedelta:
        """
        How much later this event of that *name* is to run; each time counts.
        """
        met = self._meets(name, Mishap.DELAY)
        return timedelta(0) if met is None else met.by

    def holds(self, name: str) -> bool:
        """
        Whether events of that *name* are kept back.
        """
        return any(is_named(name, pattern) for pattern in self.held)

    def _meets(self, name: str, what: Mishap) -> _EventFault | None:
        for fault in self._events:
            if fault.times > 0 and fault.what == what and is_named(name, fault.pattern):
                fault.times -= 1
                return fault
        return None


def _fits(fault: _StepFault, function: Function, moment: Moment) -> bool:
    return fault.times > 0 and fault.moment == moment and function.is_called(fault.function)
