"""
What a test and a process that it kills tell each other through shared memory, which outlives the process.
"""

from __future__ import annotations

import mmap
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import IO

from crossapp_core.testing import Clock

_SIZE = 4096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)


class Cell(IntEnum):
    """
    What stands where; a whole number each.
    """

    CLOCK = 0
    """The time, in µs since 1970: the test's."""
    LEFT = 1
    """How many instants are left until the process speaks up; 0 if it isn't to."""
    WAITS = 2
    """Whether it stands still then, until it is told to go on."""
    IN_TRANSACTION = 3
    """Whether only instants inside a transaction count."""
    STARTING = 4
    """Whether the process hasn't come to serving yet."""
    REQUESTS = 5
    """How many requests are under way."""
    OPEN = 6
    """How many transactions have begun and not ended."""
    UNANSWERED = 7
    """How many requests have committed something and not been answered."""
    SERVING = 8
    """Whether only instants of requests count."""


@dataclass(frozen=True)
class State:
    """
    What a process was at.
    """

    starting: bool = False
    requests: int = 0
    open: int = 0
    unanswered: int = 0

    @property
    def kind(self) -> str:
        """
        It in two words.
        """
        if self.open:
            return "in a transaction"
        if self.unanswered:
            return "before its answer"
        if self.requests:
            return "in a request"
        return "starting" if self.starting else "idle"


class Page:
    """
    The memory that one process shares with the test.
    """

    def __init__(self, file: int) -> None:
        self._cells = memoryview(mmap.mmap(file, _SIZE)).cast("q")

    def __getitem__(self, cell: Cell) -> int:
        return self._cells[cell]

    def __setitem__(self, cell: Cell, value: int) -> None:
        self._cells[cell] = value

    @property
    def now(self) -> datetime:
        """
        The time.
        """
        return _EPOCH + self[Cell.CLOCK] * _TICK

    @property
    def state(self) -> State:
        """
        What the process is at, or was when it died.
        """
        return State(bool(self[Cell.STARTING]), self[Cell.REQUESTS], self[Cell.OPEN], self[Cell.UNANSWERED])

    def begin(self) -> None:
        """
        Forget the last process: another one is about to start.
        """
        for cell in (Cell.REQUESTS, Cell.OPEN, Cell.UNANSWERED, Cell.LEFT):
            self[cell] = 0
        self[Cell.STARTING] = 1


def page_file() -> IO[bytes]:
    """
    A new page, as a file for `Page` in any number of processes.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 (whoever asks for it closes it)
    file.truncate(_SIZE)
    return file


class SharedClock(Clock):
    """
    The test's clock, that other processes read on their pages.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pages: list[Page] = []

    def show(self, page: Page) -> None:
        """
        Write the time on a page, from now on.
        """
        self._pages.append(page)
        self._write()

    def advance(self, by: timedelta) -> None:
        """
        Move the clock forward.
        """
        super().advance(by)
        self._write()

    def set(self, now: datetime) -> None:
        """
        Put the clock at *now*.
        """
        super().set(now)
        self._write()

    def _write(self) -> None:
        for page in self._pages:
            page[Cell.CLOCK] = (self() - _EPOCH) // _TICK
