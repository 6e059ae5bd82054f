"""
Runs one operation as one transaction, on whatever engine the app has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from sqlalchemy import Engine, orm
from sqlalchemy.exc import DBAPIError, NoResultFound, SQLAlchemyError, StatementError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_base, wait_random_exponential

from crossapp_core.errors import StorageError

P = ParamSpec("P")
T = TypeVar("T")

_ATTEMPTS: Final = 5
_JITTER: Final = wait_random_exponential(multiplier=0.05, max=1)

# Another transaction was in the way: deadlock, serialisation failure, lock timeout, busy file, somebody else's row.
_PASSING = {
    *("40001", "40P01", "55P03", "23505"),  # PostgreSQL's SQLSTATE
    *("mysql 1213", "mysql 1020", "mysql 1205", "mysql 1062"),
    *("sqlite 5", "sqlite 6", "sqlite 1555", "sqlite 2067"),
}
_NO_TABLE = "a table is missing, are crossapp's created or migrated?"
_NO_COLUMN = "a column is missing, are crossapp's tables migrated?"
_HINTS = {"42P01": _NO_TABLE, "42703": _NO_COLUMN, "mysql 1146": _NO_TABLE, "mysql 1054": _NO_COLUMN}
# SQLite has no codes of its own for them
_SQLITE_HINTS = {"no such table": _NO_TABLE, "no such column": _NO_COLUMN, "has no column named": _NO_COLUMN}
_SQLITE_EXTENDED = (1555, 2067)  # a primary key, a unique constraint; the others come down to their first byte


class Database:
    """
    The app's engine, as we use it: an async one is awaited, a sync one blocks.

    Args:
        engine: The app's engine.
        pause: Waits some seconds between two attempts; in place of really waiting.
    """

    def __init__(
        self, engine: Engine | AsyncEngine, *, pause: Callable[[float], Awaitable[None]] | None = None
    ) -> None:
        self.engine = engine
        self._pause = pause or (_pause_async if self.is_async else _pause_sync)
        self._wait: wait_base = _JITTER

    @property
    def is_async(self) -> bool:
        """
        Whether the engine is an async one.
        """
        return isinstance(self.engine, AsyncEngine)

    async def transact(self, operation: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Run *operation* on a session and commit.

        If another transaction was in the way (deadlock, serialisation failure, lock timeout, a locked SQLite file, a
        row that somebody else wrote first), all of it is done again, up to five times, at random intervals.

        Raises:
            StorageError: The database didn't do it; nothing of it is left.
            CrossAppError: The operation's own; nothing of it is left.
        """
        name = getattr(operation, "__name__", "an operation")
        retrying = AsyncRetrying(
            stop=stop_after_attempt(_ATTEMPTS),
            wait=self._wait,
            retry=retry_if_exception(_passes),
            sleep=self._pause,
            reraise=True,
        )
        try:
            return await retrying(self._attempt, lambda session: operation(session, *args, **kwargs))
        except SQLAlchemyError as error:
            failure = _described(name, error)
        # outside of the handler: the driver's error holds the values of the statement
        raise failure

    async def _attempt(self, work: Callable[[Session], T]) -> T:
        if isinstance(self.engine, AsyncEngine):
            async with AsyncSession(self.engine, expire_on_commit=False) as waiting, waiting.begin():
                return await waiting.run_sync(lambda _: _work(waiting.sync_session, work))
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            return _work(session, work)


def begin_writing(session: orm.Session, model: type[object] | None = None) -> None:
    """
    Take SQLite's write lock unless it is held: it has no row locks, and what is read without it could be old before it
    is acted on. Other databases need nothing of the kind.

    Args:
        session: The session.
        model: One of the tables that will be written, where the session has a database for each.
    """
    connection = session.connection(bind_arguments={"mapper": model} if model else None)
    if connection.dialect.name != "sqlite":
        return
    if not getattr(connection.connection.driver_connection, "in_transaction", False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _work(session: Session, work: Callable[[Session], T]) -> T:
    begin_writing(session)
    return work(session)


def _passes(error: BaseException) -> bool:
    return isinstance(error, NoResultFound) or (isinstance(error, SQLAlchemyError) and _code(error) in _PASSING)


def _code(error: SQLAlchemyError) -> str:
    """
    The database's own code of what went wrong, the same whatever the driver; empty if there is none.
    """
    if not isinstance(error, DBAPIError) or error.orig is None:
        return ""
    original: Any = error.orig
    match original:
        case BaseException(args=[int(number), *_]) | object(errno=int(number)):
            return f"mysql {number}"
        case object(sqlite_errorcode=int(number)):
            return f"sqlite {number if number in _SQLITE_EXTENDED else number & 0xFF}"
        case object(sqlstate=str(state)) | object(pgcode=str(state)) | BaseException(args=[{"C": str(state)}, *_]):
            return state
    return ""


def _described(operation: str, error: SQLAlchemyError) -> StorageError:
    original = error.orig if isinstance(error, StatementError) else None
    code = _code(error)
    hint = _HINTS.get(code, "")
    if code.startswith("sqlite"):
        hint = next((hint for words, hint in _SQLITE_HINTS.items() if words in str(original)), "")
    return StorageError(operation, f"{type(original or error).__name__} {code}".rstrip(), hint)


async def _pause_async(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _pause_sync(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 (it is the sync flavour: nothing else is to run meanwhile)
