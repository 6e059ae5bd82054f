"""
What is still to be done, by the time it is due.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Awaitable
from datetime import datetime
from typing import Protocol

from crossapp_core.testing.clock import Clock


class Work(Protocol):
    """
    Something that is to be done once, at its time.
    """

    @property
    def label(self) -> str:
        """
        The function, or the callback, that it is done for.
        """
        ...

    def run(self) -> Awaitable[None]:
        """
        Do it.
        """
        ...


class Schedule:
    """
    A queue by due time and, at one time, by arrival; events come in from the listeners' threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrivals = itertools.count()
        self._heap: list[tuple[datetime, int, Work]] = []

    def put(self, due: datetime, work: Work) -> None:
        """
        Add *work*, to be done when the clock shows *due*.
        """
        with self._lock:
            heapq.heappush(self._heap, (due, next(self._arrivals), work))

    def pop(self, clock: Clock, until: datetime) -> Work | None:
        """
        Take out what is due next, moving *clock* to its time; None if nothing is due by *until*.
        """
        with self._lock:
            if not self._heap or self._heap[0][0] > until:
                return None
            due, _, work = heapq.heappop(self._heap)
        if due > clock():
            clock.set(due)
        return work
