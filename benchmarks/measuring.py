"""
Timing ours and its peers in turn, so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Work: TypeAlias = Callable[[int], object]
"""Does something so many times."""

OURS = "ours"
"""The name of ours in a race."""

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


@dataclass(frozen=True)
class Effort:
    """
    How much is measured.
    """

    rounds: int = 21
    """How often each of them has its turn."""
    share: float = 1.0
    """Of the usual number of repetitions in a round."""
    rows: int = 1_000_000
    """In the tables that are large."""

    def times(self, usual: int) -> int:
        """
        How often to do something in a round.
        """
        return max(1, round(usual * self.share))


@dataclass(frozen=True)
class Sample:
    """
    What was measured in all rounds.
    """

    values: Sequence[float]

    @property
    def median(self) -> float:
        """
        The middle one.
        """
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """
        Between which the middle half of them lies.
        """
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def __sub__(self, other: Sample) -> Sample:
        return Sample([mine - its for mine, its in zip(self.values, other.values, strict=True)])

    def __truediv__(self, other: Sample) -> Sample:
        return Sample([mine / its for mine, its in zip(self.values, other.values, strict=True)])


@dataclass(frozen=True)
class Line:
    """
    A line of the table.
    """

    what: str
    peer: str
    floor: Sample
    """The peer's, in s."""
    ours: Sample
    """In s."""
    goal: str
    is_throughput: bool = False
    """Whether the ratio is that of what is done in a time, not of the time that it takes."""

    @property
    def ratio(self) -> Sample:
        """
        Ours to the peer's, round by round.
        """
        return self.floor / self.ours if self.is_throughput else self.ours / self.floor


@dataclass(frozen=True)
class Note:
    """
    What stands beside a line, or explains it.
    """

    text: str


def race(works: Mapping[str, Work], effort: Effort, *, times: int, rounds: int | None = None) -> dict[str, Sample]:
    """
    Let all of them have their turn in each round, each time another one first.

    Args:
        works: What to do, by name.
        effort: How much of it.
        times: How often in a round, with the usual effort.
        rounds: How many of them at most.

    Returns:
        The time that each takes once, in s.
    """
    count = effort.times(times)
    names = list(works)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for name in names:
        works[name](max(1, count // 10))  # whatever is made at the first time is made now
    for number in range(min(effort.rounds, rounds or effort.rounds)):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            measured[name].append(_timed(works[name], count) / count)
    return {name: Sample(values) for name, values in measured.items()}


def repeat(call: Callable[[], object]) -> Work:
    """
    Work that is one call after another.
    """

    def work(times: int) -> None:
        for _ in range(times):
            call()

    return work


def repeat_async(runner: asyncio.Runner, call: Callable[[], Awaitable[object]]) -> Work:
    """
    Work that is one call after another in one event loop.
    """

    async def awaited(times: int) -> None:
        for _ in range(times):
            await call()

    return lambda times: runner.run(awaited(times))


def shown(seconds: float) -> str:
    """
    A time with its unit.
    """
    size, unit = next((each for each in _UNITS if abs(seconds) >= each[0]), _UNITS[-1])
    return f"{seconds / size:.3g} {unit}"


def with_spread(sample: Sample) -> str:
    """
    A time and how far the middle half of the rounds lies from it.
    """
    low, high = sample.quartiles
    return f"{shown(sample.median)} ± {(high - low) / 2 / sample.median:.0%}"


def _timed(work: Work, times: int) -> float:
    gc.collect()
    gc.disable()
    try:
        begin = time.perf_counter()
        work(times)
        return time.perf_counter() - begin
    finally:
        gc.enable()
