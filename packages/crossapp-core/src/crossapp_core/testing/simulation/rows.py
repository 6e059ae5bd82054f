"""
Reads tables as plain values, fast enough to look after every step, and keeps backups of whole databases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy import Engine, MetaData, Select, delete, inspect, select
from sqlmodel import Session

from crossapp_core.columns import column_of
from crossapp_core.database import Database
from crossapp_core.flavours import run_sync

R = TypeVar("R")
T = TypeVar("T")

Backup: TypeAlias = bytes | Mapping[str, Sequence[Mapping[str, Any]]]
"""A database in memory as it is, or the rows of each table of another one."""


class Rows(Generic[R]):
    """
    Some columns of all rows of a table.

    Args:
        model: The table class.
        names: The attributes, in the order in which *make* takes them.
        make: Makes a value of a row.
        where: Which rows.
    """

    def __init__(self, model: type[object], names: Sequence[str], make: Callable[..., R], *where: Any) -> None:
        self.query: Select[Any] = select(*(column_of(model, name) for name in names)).where(*where)
        self.make = make


class Store:
    """
    An app's database as the simulator uses it, whatever its engine.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop) if database.is_async else None
        self._texts: dict[Any, str] = {}
        self.driver: Any = None
        """The one connection of a SQLite database in memory: reading by it takes a tenth of the time."""
        engine = database.engine
        if isinstance(engine, Engine) and engine.dialect.name == "sqlite" and engine.url.database in (None, ":memory:"):
            with engine.connect() as connection:
                self.driver = connection.connection.driver_connection

    def drive(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """
        Run to its end what the app does, in its flavour.
        """
        return run_sync(coroutine) if self._runner is None else self._runner.run(coroutine)

    def transact(self, work: Callable[[Session], T]) -> T:
        """
        Do something in a transaction of its own.
        """
        return self.drive(self.database.transact(work))

    def all(self, rows: Rows[R]) -> list[R]:
        """
        The rows as they are now.
        """
        if self.driver is None:
            found: Sequence[Any] = self.transact(lambda session: session.execute(rows.query).all())
            return [rows.make(*row) for row in found]
        text = self._texts.get(rows)
        if text is None:
            engine = self.database.engine
            assert isinstance(engine, Engine)  # noqa: S101 (only such a one has a driver here)
            compiled = rows.query.compile(engine, compile_kwargs={"literal_binds": True})
            text = self._texts[rows] = str(compiled)
        return [rows.make(*row) for row in self.driver.execute(text)]

    @property
    def changes(self) -> object:
        """
        Something that is another after each change; None if nobody knows.
        """
        return None if self.driver is None else self.driver.total_changes

    def backup(self) -> Backup:
        """
        All that the database holds.
        """
        if self.driver is not None:
            copied: bytes = self.driver.serialize()
            return copied
        return self.transact(_dumped)

    def restore(self, backup: Backup) -> None:
        """
        Have what it held then, and nothing else.
        """
        if isinstance(backup, bytes):
            self.driver.deserialize(backup)
        else:
            self.transact(lambda session: _filled(session, backup))

    def close(self) -> None:
        """
        Let go of the event loop, if there is one.
        """
        if self._runner is not None:
            self._runner.close()


def moment(value: object) -> datetime | None:
    """
    A time as any database holds it.
    """
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(found, datetime):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _tables(session: Session) -> MetaData:
    metadata = MetaData()
    metadata.reflect(session.connection())
    return metadata


def _dumped(session: Session) -> dict[str, list[dict[str, Any]]]:
    metadata = _tables(session)
    return {
        table.name: [
            {column.name: row._mapping[column.name] for column in table.columns if column.computed is None}
            for row in session.execute(select(table))
        ]
        for table in metadata.sorted_tables
    }


def _filled(session: Session, backup: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    metadata = _tables(session)
    inspect(session.connection())
    for table in reversed(metadata.sorted_tables):
        session.execute(delete(table))
    for table in metadata.sorted_tables:
        if rows := backup.get(table.name):
            session.execute(table.insert(), list(rows))
