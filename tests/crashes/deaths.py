"""
When the processes of an app die, and how.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum

from tests.crashes.page import Cell, Page, State


class Manner(StrEnum):
    """
    How it comes.
    """

    THERE = "killed right there"
    LATER = "killed a moment later"
    """While it goes on."""
    CUT = "lost its connections"
    """The process lives, and its database has hung up in mid-transaction."""


KILLS = (Manner.THERE, Manner.LATER)


@dataclass(frozen=True)
class Death:
    """
    One of them.
    """

    app: str
    manner: Manner
    what: str
    """The instant that it had come to."""
    during: str
    """The request that it was at then."""
    state: State
    """What it was at when it was over."""


@dataclass
class Fate:
    """
    Chooses from a seed when a process is to die next, until all deaths have been.
    """

    seed: int
    kills: int
    """How many processes are to be killed."""
    latest: int = 40
    """Within how many instants of the last time, or since it serves."""
    manners: tuple[Manner, ...] = (*KILLS, *KILLS, Manner.CUT)
    young: float = 0.1
    """How likely it dies before it serves."""
    start: int = 12
    """Within how many instants then."""
    deaths: list[Death] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def killed(self) -> list[Death]:
        """
        Those that have cost a process.
        """
        return [death for death in self.deaths if death.manner in KILLS]

    @property
    def is_done(self) -> bool:
        """
        Whether no more are to come.
        """
        return len(self.killed) >= self.kills

    def decree(self, page: Page) -> Manner | None:
        """
        Choose the instant of the next one; None if there is none to come.
        """
        if self.is_done:
            return None
        manner, young = self._random.choice(self.manners), self._random.random() < self.young
        page[Cell.WAITS] = manner is not Manner.LATER
        page[Cell.IN_TRANSACTION] = manner is Manner.CUT
        page[Cell.SERVING] = not young
        page[Cell.LEFT] = self._random.randint(1, self.start if young else self.latest)
        return manner
