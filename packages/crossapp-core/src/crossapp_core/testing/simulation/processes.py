"""
The process of an app, which may die between any two things that others notice.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from crossapp_core.database import Database
from crossapp_core.testing.clock import Clock


class CrashedError(BaseException):
    """
    The process is dead. No code of an app may catch that.
    """


class Process:
    """
    Counts down to its death: each commit, and each request before it leaves and before its answer is read.
    """

    def __init__(self, app_id: str, clock: Clock) -> None:
        self.app_id = app_id
        self.left: int | None = None
        """How many such moments it survives; None for all."""
        self.slept = 0.0
        """How long it has paused within calls, in s."""
        self.watch = Watch(clock)
        """What the app takes for the time."""
        self.watched: Callable[[], None] = lambda: None
        """Is called after each commit."""
        self._clock = clock

    def reset(self) -> None:
        """
        Live on as at the beginning.
        """
        self.left, self.slept = None, 0.0
        self.watch.offset, self.watch.earliest = timedelta(0), None

    def survive(self) -> None:
        """
        Pass such a moment.

        Raises:
            CrashedError: It was the last one.
        """
        if self.left is None:
            return
        if self.left <= 0:
            self.left = None
            raise CrashedError(self.app_id)
        self.left -= 1

    def monotonic(self) -> float:
        """
        A clock that never goes back, in s.
        """
        return self._clock().timestamp() + self.slept

    def sleep(self, seconds: float) -> None:
        """
        Pause within a call, while nothing else happens.
        """
        self.slept += seconds

    def inhabit(self, database: Database) -> None:
        """
        Have the app's database commit in this process; nobody else is in its way, so nothing is tried again.
        """

        async def dying(operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            result = await database._attempt(lambda session: operation(session, *args, **kwargs))
            self.watched()
            self.survive()
            return result

        vars(database)["transact"] = dying


class Watch:
    """
    The clock of one machine, which may be wrong.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.offset = timedelta(0)
        self.earliest: datetime | None = None
        """
        A machine on which a backup was restored is never earlier than what it had said before: the numbers of what it
        says outlive a backup by time alone.
        """

    def __call__(self) -> datetime:
        """
        The time, in UTC.
        """
        now = self._clock() + self.offset
        return now if self.earliest is None else max(now, self.earliest)
