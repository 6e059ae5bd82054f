"""
Workers that do operations as an app's functions do them, and races between two of them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeAlias, TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session

from crossapp_core.database import Database as Transactions
from crossapp_core.errors import StorageError
from crossapp_core.flavours import run_sync
from tests.databases import Database
from tests.races.stacks import Stack
from tests.rivals import PATIENCE

P = ParamSpec("P")
T = TypeVar("T")


class Worker:
    """
    One process of an app: a connection of its own and, if that is an async one, an event loop of its own.
    """

    def __init__(self, stack: Stack, database: Database) -> None:
        self.stack = stack
        self.failures: list[StorageError] = []
        """What would have reached Inngest."""
        self.retries = 0
        self._engine: Engine | AsyncEngine = stack.engine(database)
        self._transactions = Transactions(self._engine, pause=self._count)
        self._loop: asyncio.Runner | None = asyncio.Runner() if stack.driver.is_async else None

    @property
    def engine(self) -> Engine:
        """
        The engine that has the events.
        """
        return self._engine.sync_engine if isinstance(self._engine, AsyncEngine) else self._engine

    def do(self, operation: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Do an operation in a transaction of its own; a step that fails so that it may be tried again is tried again.
        """
        while True:
            try:
                return self.try_to(operation, *args, **kwargs)
            except StorageError as error:
                if not error.retryable or len(self.failures) > 20:
                    raise
                self.failures.append(error)

    def try_to(self, operation: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Do an operation as a step does it.
        """
        work = self._transactions.transact(operation, *args, **kwargs)
        return self._loop.run(work) if self._loop else run_sync(work)

    def __enter__(self) -> Self:
        # connects before the start of a race
        self.do(lambda session: session.execute(text("SELECT 1")).scalar_one())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._loop is None:
            self.engine.dispose()
            return
        assert isinstance(self._engine, AsyncEngine)
        self._loop.run(self._engine.dispose())
        self._loop.close()

    async def _count(self, seconds: float) -> None:
        self.retries += 1


Work: TypeAlias = Callable[[Worker], Any]


def race(stack: Stack, database: Database, rounds: Sequence[tuple[Work, Work]]) -> list[tuple[Any, Any]]:
    """
    Let two workers go through all rounds, starting each at the same moment, and return what came of each round.

    Nothing but success may reach Inngest: what is in the way is overcome by trying again.
    """
    barrier = threading.Barrier(2, timeout=PATIENCE)

    def run(side: int) -> list[Any]:
        results = []
        try:
            with Worker(stack, database) as worker:
                for number, works in enumerate(rounds):
                    barrier.wait()
                    # by turns, so that neither connection always does the same
                    results.append(works[(side + number) % 2](worker))
                assert worker.failures == []
        except BaseException:
            barrier.abort()
            raise
        return results

    with ThreadPoolExecutor(2) as threads:
        # no limit for all rounds together: a busy machine takes long, and the barrier ends what hangs
        left, right = threads.map(run, range(2))
    pairs = enumerate(zip(left, right, strict=True))
    return [(two, one) if number % 2 else (one, two) for number, (one, two) in pairs]
