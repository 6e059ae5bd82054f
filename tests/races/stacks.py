"""
What the operations run on: each driver, at each isolation level that apps are likely to have.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.databases import DRIVERS, Database, Driver

_LEVELS = {
    "sqlite": (None,),  # it has but one
    "postgresql": ("READ COMMITTED", "REPEATABLE READ"),
    "mariadb": ("REPEATABLE READ", "READ COMMITTED"),
}


@dataclass(frozen=True)
class Stack:
    """
    A driver and an isolation level.
    """

    driver: Driver
    isolation: str | None

    def __str__(self) -> str:
        return "-".join([self.driver.name, *(self.isolation or "").lower().split()])

    @property
    def rounds(self) -> int:
        """
        How many rounds a race has: many where an app is most likely to run, and some wherever else it may.
        """
        return MOST if self in _LIKELIEST else MOST // 4

    def engine(self, database: Database) -> Engine | AsyncEngine:
        """
        An engine with one connection.
        """
        level = {"isolation_level": self.isolation} if self.isolation else {}
        return database.engine_of(self.driver, pool_size=1, max_overflow=0, **level)


MOST = int(os.environ.get("CROSSAPP_ROUNDS", "80"))
"""Rounds; `nox -s chaos` has more."""

STACKS = tuple(Stack(driver, level) for driver in DRIVERS for level in _LEVELS[driver.database])
USUAL = tuple(Stack(driver, _LEVELS[driver.database][0]) for driver in DRIVERS)
"""Each driver at the level that its database has by default."""

# one for each database, as the example apps have them
_LIKELIEST = [stack for stack in USUAL if stack.driver.name in ("aiosqlite", "psycopg-async", "asyncmy")]
