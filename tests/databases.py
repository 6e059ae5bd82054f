"""
The databases that every operation is tested on.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, NullPool, create_engine, event, inspect, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import Session, SQLModel

NAMES = ("sqlite", "postgresql", "mariadb")

_SERVERS = {
    "postgresql": os.environ.get("CROSSAPP_TEST_POSTGRESQL", "crossapp:crossapp@127.0.0.1:5432/crossapp_test"),
    "mariadb": os.environ.get("CROSSAPP_TEST_MARIADB", "crossapp:crossapp@127.0.0.1:3306/crossapp_test"),
}
_SYNC = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mariadb": "mysql+pymysql"}
_ASYNC = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg", "mariadb": "mysql+asyncmy"}


@dataclass(frozen=True)
class Driver:
    """
    One way to one of the databases.
    """

    name: str
    database: str
    scheme: str
    is_async: bool


DRIVERS = (
    Driver("sqlite3", "sqlite", "sqlite", False),
    Driver("aiosqlite", "sqlite", "sqlite+aiosqlite", True),
    Driver("psycopg", "postgresql", "postgresql+psycopg", False),
    Driver("psycopg-async", "postgresql", "postgresql+psycopg", True),
    Driver("asyncpg", "postgresql", "postgresql+asyncpg", True),
    Driver("pymysql", "mariadb", "mysql+pymysql", False),
    Driver("asyncmy", "mariadb", "mysql+asyncmy", True),
    Driver("aiomysql", "mariadb", "mysql+aiomysql", True),
)
"""All that we support."""


@dataclass
class Database:
    """
    An empty database with all tables, of one test's own.
    """

    name: str
    address: str
    engine: Engine = field(repr=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """
        A transaction that is committed at the end.
        """
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def async_engine(self) -> AsyncEngine:
        """
        Another engine for the same database; each connection is closed after use, so it may see many event loops.
        """
        engine = create_async_engine(f"{_ASYNC[self.name]}://{self.address}", poolclass=NullPool)
        write_lazily(engine.sync_engine)
        return engine

    def engine_of(self, driver: Driver, **options: Any) -> Engine | AsyncEngine:
        """
        Another engine for the same database, on that driver; whoever asks for it disposes of it in its own event loop.
        """
        url = f"{driver.scheme}://{self.address}"
        if driver.is_async:
            waiting = create_async_engine(url, **options)
            write_lazily(waiting.sync_engine)
            return waiting
        engine = create_engine(url, **options)
        write_lazily(engine)
        return engine


@contextmanager
def open_database(name: str, folder: Path, suffix: str = "") -> Iterator[Database]:
    """
    Make a database, or empty the one that there is.

    A server that is missing skips the test on a developer's machine, and fails it in CI.
    """
    if name == "sqlite":
        file = folder / f"{suffix or 'test'}.db"
        if not file.exists():
            file.write_bytes(_empty_file(frozenset(SQLModel.metadata.tables)))
        address = f"/{file}"
        engine = create_engine(f"{_SYNC[name]}://{address}")
        write_lazily(engine)
    else:
        address = _create(name, f"{os.getpid()}{suffix}")
        engine = _server_engine(f"{_SYNC[name]}://{address}")
    try:
        if missing := SQLModel.metadata.tables.keys() - inspect(engine).get_table_names():
            SQLModel.metadata.create_all(engine, [SQLModel.metadata.tables[each] for each in missing])
        _empty(engine)
        yield Database(name, address, engine)
    finally:
        engine.dispose()


def server_database(name: str, suffix: str) -> URL:
    """
    Where this process has a database of its own on a server; it is empty the first time.
    """
    return make_url(f"{_SYNC[name]}://{_create(name, f'{os.getpid()}{suffix}')}")


@cache
def _empty_file(_: frozenset[str]) -> bytes:
    # copying it is many times faster than making the tables again
    engine = create_engine("sqlite://")
    SQLModel.metadata.create_all(engine)
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return driver.serialize()


@cache
def _server_engine(url: str) -> Engine:
    # one for all tests, since an engine knows how to say what it has said once
    return create_engine(url)


_created: set[str] = set()


def _create(name: str, suffix: str) -> str:
    # named after the process, so that two runs at once don't empty each other's
    url = make_url(f"{_SYNC[name]}://{_SERVERS[name]}")
    database = f"{url.database}_{suffix}"
    address = url.set(database=database).render_as_string(hide_password=False).split("://", 1)[1]
    if address in _created:
        return address
    try:
        encoding = " TEMPLATE template0 ENCODING 'UTF8'" if name == "postgresql" else " CHARACTER SET utf8mb4"
        _execute(url, f"DROP DATABASE IF EXISTS {database}", f"CREATE DATABASE {database}{encoding}")
    except DBAPIError as error:
        reason = f"no {name} at {url.host}:{url.port} ({type(error.orig).__name__}): see CONTRIBUTING.md"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    _created.add(address)
    atexit.register(_execute, url, f"DROP DATABASE IF EXISTS {database}")
    return address


def _execute(url: URL, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))


def write_lazily(engine: Engine) -> None:
    """
    Have SQLite not wait for the disk: what a test wrote need not outlive a power cut.
    """
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _ask_for_no_sync)


def _ask_for_no_sync(connection: DBAPIConnection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()


def _empty(engine: Engine) -> None:
    tables = list(reversed(SQLModel.metadata.sorted_tables))
    name = engine.dialect.identifier_preparer.format_table
    used = " UNION ALL ".join(
        f"SELECT {number} WHERE EXISTS (SELECT 1 FROM {name(table)})" for number, table in enumerate(tables)
    )
    with engine.begin() as connection:
        for number in sorted(connection.execute(text(used)).scalars()):
            connection.execute(tables[number].delete())
