"""
Others who are at the same rows at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import Session

from tests.databases import Database

T = TypeVar("T")

PATIENCE = 20
"""Seconds after which a test that waits for another thread has failed."""

_AT_ONCE: dict[str, dict[str, object]] = {
    "sqlite": {"timeout": 0},
    "postgresql": {"options": "-c lock_timeout=1"},
    "mariadb": {"init_command": "SET innodb_lock_wait_timeout=0"},
}


def at_once(*works: Callable[[], T]) -> list[T]:
    """
    Do each in a thread of its own, and return what came of them in their order; an error is raised here.
    """
    with ThreadPoolExecutor(len(works)) as threads:
        futures = [threads.submit(work) for work in works]
        return [future.result(PATIENCE) for future in futures]


@contextmanager
def impatient_engine(database: Database) -> Iterator[Engine]:
    """
    An engine on which nobody waits for a lock: what is locked is an error at once.
    """
    engine = create_engine(database.engine.url, poolclass=NullPool, connect_args=_AT_ONCE[database.name])
    yield engine
    engine.dispose()


def impatient_async_engine(database: Database) -> AsyncEngine:
    """
    Its async sister.
    """
    url = database.async_engine().url
    return create_async_engine(url, poolclass=NullPool, connect_args=_AT_ONCE[database.name])


@contextmanager
def impatient_session(database: Database) -> Iterator[Session]:
    """
    A transaction that is rolled back at the end, in which nobody waits for a lock.
    """
    with impatient_engine(database) as engine, Session(engine) as session:
        yield session
