from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest
import sqlalchemy as sa
from sqlalchemy import event, orm
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session, col, select

from crossapp_core.database import Database as Transactions
from crossapp_core.database import begin_writing
from crossapp_core.errors import StorageError, UnconfirmedEventError
from crossapp_core.flavours import run_sync
from crossapp_core.locking import lock, lock_or_create
from crossapp_core.models import AccountLink, AccountLinkToken
from tests.databases import Database
from tests.rivals import PATIENCE, at_once, impatient_async_engine, impatient_engine, impatient_session

P = ParamSpec("P")
T = TypeVar("T")

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
ADDRESS = "ada.lovelace@example.com"

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)


@dataclass
class Bench:
    """
    Transactions on one database, in one of the two flavours, whose pauses are ours.
    """

    database: Database
    engine: sa.Engine | AsyncEngine
    impatient: sa.Engine | AsyncEngine
    pauses: list[float] = field(default_factory=list)
    at_pause: Callable[[], None] = lambda: None

    def transact(self, operation: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Do it as an Inngest function does it.
        """
        return self.on(self.engine, operation, *args, **kwargs)

    def transact_impatiently(
        self, operation: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """
        Do it where what is locked is an error at once.
        """
        return self.on(self.impatient, operation, *args, **kwargs)

    def on(
        self,
        engine: sa.Engine | AsyncEngine,
        operation: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """
        Do it on that engine.
        """
        work = Transactions(engine, pause=self._pause).transact(operation, *args, **kwargs)
        return asyncio.run(work) if isinstance(engine, AsyncEngine) else run_sync(work)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.at_pause()


@pytest.fixture(params=["sync", "async"])
def bench(request: pytest.FixtureRequest, database: Database) -> Iterator[Bench]:
    """
    Each flavour in turn.
    """
    with impatient_engine(database) as engine:
        if request.param == "sync":
            yield Bench(database, database.engine, engine)
        else:
            yield Bench(database, database.async_engine(), impatient_async_engine(database))


def link(id_: str = "l1", user_id: str = "usr_1", **values: Any) -> AccountLink:
    return AccountLink(
        id=id_,
        user_id=user_id,
        linked_app="ai-hero",
        linked_user_id=id_,
        link_method="explicit",
        linked_at=NOW,
        **values,
    )


def add(session: Session, *ids: str) -> None:
    session.add_all(link(id_, f"usr_{id_}") for id_ in ids)


def count(session: Session, *ids: str) -> None:
    """
    Count one more in each of the rows, in that order.
    """
    for id_ in ids:
        row = lock(session, AccountLink, {"id": id_})
        assert row is not None
        row.retry_count += 1
        session.flush()


def counted(database: Database) -> dict[str, int]:
    with database.session() as session:
        return {row.id: row.retry_count for row in session.exec(select(AccountLink))}


class TestTransact:
    def test_commits(self, bench: Bench) -> None:
        """
        What an operation did is committed, and what it returned comes back, still readable.
        """

        def operation(session: Session, id_: str, *, user_id: str) -> AccountLink:
            row = link(id_, user_id)
            session.add(row)
            return row

        row = bench.transact(operation, "l7", user_id="usr_7")
        assert (row.id, row.user_id) == ("l7", "usr_7")
        assert counted(bench.database) == {"l7": 0}
        assert bench.pauses == []

    def test_own_error(self, bench: Bench) -> None:
        """
        An operation's own error undoes all of it and is raised as it is, at the first attempt.
        """
        attempts = []

        def operation(session: Session) -> None:
            attempts.append(1)
            add(session, "l1")
            session.flush()
            raise UnconfirmedEventError("pur_1", "owned")

        with pytest.raises(UnconfirmedEventError, match="pur_1"):
            bench.transact(operation)
        assert counted(bench.database) == {}
        assert len(attempts) == 1

    def test_other_error(self, bench: Bench) -> None:
        """
        So does an error that is a bug.
        """

        def operation(session: Session) -> None:
            add(session, "l1")
            session.flush()
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            bench.transact(operation)
        assert counted(bench.database) == {}

    def test_says_which_flavour(self, database: Database) -> None:
        """
        The engine decides the flavour.
        """
        assert Transactions(database.async_engine()).is_async
        assert not Transactions(database.engine).is_async


class TestRetries:
    def test_locked(self, bench: Bench) -> None:
        """
        A lock that isn't got in time, or a locked file, is tried again, and the work is done once.
        """
        bench.transact(add, "l1")
        holder = Session(bench.database.engine)
        begin_writing(holder)
        lock(holder, AccountLink, {"id": "l1"})
        bench.at_pause = holder.close

        bench.transact_impatiently(count, "l1")

        assert counted(bench.database) == {"l1": 1}
        assert len(bench.pauses) == 1

    def test_pauses(self, bench: Bench) -> None:
        """
        It is tried five times, at random intervals of at most a second; then the database didn't do it.
        """
        bench.transact(add, "l1")
        with Session(bench.database.engine) as holder:
            begin_writing(holder)
            lock(holder, AccountLink, {"id": "l1"})
            with pytest.raises(StorageError, match="count was rolled back: ") as caught:
                bench.transact_impatiently(count, "l1")
        assert (caught.value.code, caught.value.retryable) == ("storage", True)
        assert len(bench.pauses) == len(set(bench.pauses)) == 4
        assert all(0 < pause <= 1 for pause in bench.pauses)
        assert counted(bench.database) == {"l1": 0}

    @SERVERS
    def test_deadlock(self, bench: Bench) -> None:
        """
        Two transactions that lock the same rows in opposite order both get through.
        """
        bench.transact(add, "l1", "l2")
        meet = threading.Barrier(2, timeout=PATIENCE)
        attempts: list[str] = []

        def operation(session: Session, mine: str, other: str) -> None:
            attempts.append(mine)
            count(session, mine)
            if attempts.count(mine) == 1:
                meet.wait()
            count(session, other)

        at_once(lambda: bench.transact(operation, "l1", "l2"), lambda: bench.transact(operation, "l2", "l1"))

        assert counted(bench.database) == {"l1": 2, "l2": 2}
        assert len(attempts) == 3
        assert len(bench.pauses) == 1

    def test_unique_race(self, bench: Bench) -> None:
        """
        A row that somebody else wrote first is seen at the next attempt.
        """
        attempts = []

        def operation(session: Session) -> str:
            attempts.append(1)
            if len(attempts) == 1:
                if bench.database.name != "sqlite":  # there nobody can come in between
                    assert session.exec(select(AccountLink)).all() == []
                    write_elsewhere()
                session.add(link("mine"))
                session.flush()
            return session.exec(select(AccountLink.id)).one()

        def write_elsewhere() -> None:
            with bench.database.session() as other:
                other.add(link("mine"))

        if bench.database.name == "sqlite":
            write_elsewhere()
        assert bench.transact(operation) == "mine"
        assert len(attempts) == 2

    @POSTGRESQL
    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
    def test_serialisation(self, bench: Bench, level: str) -> None:
        """
        Under the stricter isolation levels, a row that somebody else has changed meanwhile is read anew.
        """
        bench.transact(add, "l1")
        engine = bench.engine.execution_options(isolation_level=level)
        attempts = []

        def operation(session: Session) -> None:
            attempts.append(1)
            row = session.exec(select(AccountLink)).one()
            if len(attempts) == 1:
                with bench.database.session() as other:
                    count(other, "l1")
            row.retry_count += 10

        bench.on(engine, operation)

        assert counted(bench.database) == {"l1": 11}
        assert len(attempts) == 2

    @POSTGRESQL
    def test_write_skew(self, bench: Bench) -> None:
        """
        So is what only the commit finds out: two that each read what the other then changes.
        """
        bench.transact(add, "l1", "l2")
        engine = bench.engine.execution_options(isolation_level="SERIALIZABLE")
        serializable = bench.database.engine.execution_options(isolation_level="SERIALIZABLE")
        attempts = []

        def raise_one(session: Session, id_: str) -> None:
            rows = {row.id: row for row in session.exec(select(AccountLink))}
            rows[id_].retry_count = max(row.retry_count for row in rows.values()) + 1

        def operation(session: Session) -> None:
            attempts.append(1)
            raise_one(session, "l1")
            if len(attempts) == 1:
                with Session(serializable) as other, other.begin():
                    raise_one(other, "l2")

        bench.on(engine, operation)

        assert counted(bench.database) == {"l1": 2, "l2": 1}
        assert len(attempts) == 2

    @POSTGRESQL
    def test_row_written_after_the_snapshot(self, bench: Bench) -> None:
        """
        A row that was written after the snapshot can't be locked in it, only in the next one.
        """
        engine = bench.engine.execution_options(isolation_level="REPEATABLE READ")
        key = {"user_id": "usr_l1", "linked_app": "ai-hero", "linked_user_id": "l1"}
        attempts = []

        def operation(session: Session) -> None:
            attempts.append(session.exec(select(AccountLink.id)).all())
            if len(attempts) == 1:
                with bench.database.session() as other:
                    add(other, "l1")
            values = {"id": "l2", "link_method": "explicit", "linked_at": NOW}
            lock_or_create(session, AccountLink, key, values).retry_count += 1

        bench.on(engine, operation)

        assert counted(bench.database) == {"l1": 1}
        assert attempts == [[], ["l1"]]

    @pytest.mark.parametrize(
        ("original", "again"),
        [
            pytest.param({"pgcode": "40P01"}, True, id="psycopg2's deadlock"),
            pytest.param({"pgcode": "23502"}, False, id="psycopg2's null"),
            pytest.param({"args": ({"C": "40001", "M": "could not serialize"},)}, True, id="pg8000's serialisation"),
            pytest.param({"args": ({"C": "42601"},)}, False, id="pg8000's syntax"),
            pytest.param({"sqlstate": "55P03"}, True, id="asyncpg's lock timeout"),
            pytest.param({"errno": 1205, "sqlstate": "HY000"}, True, id="MariaDB Connector's lock timeout"),
            pytest.param({"args": (1020, "Record has changed since last read")}, True, id="MariaDB 11's snapshot"),
            pytest.param({"args": (1048, "Column can't be null")}, False, id="mysqlclient's null"),
            pytest.param({"sqlite_errorcode": 517}, True, id="SQLite's old snapshot"),
            pytest.param({"sqlite_errorcode": 1299}, False, id="SQLite's null"),
            pytest.param({}, False, id="an error without code"),
        ],
    )
    def test_other_drivers(self, tmp_path: object, original: dict[str, object], again: bool) -> None:
        """
        Every driver says in its own way what was in the way.
        """
        error = Exception("the driver's")
        for name, value in original.items():
            setattr(error, name, value)
        attempts = []

        def operation(session: Session) -> None:
            attempts.append(1)
            raise DBAPIError("SELECT 1", {}, error)

        async def pause(seconds: float) -> None:
            pass

        engine = sa.create_engine("sqlite://")
        with pytest.raises(StorageError, match="operation was rolled back: Exception"):
            run_sync(Transactions(engine, pause=pause).transact(operation))
        engine.dispose()
        assert len(attempts) == (5 if again else 1)


def text_of(error: BaseException) -> str:
    """
    All that a log or Inngest would hold of it.
    """
    return "".join(traceback.format_exception(error)) + repr(error) + repr(error.args) + str(vars(error))


class TestStorageError:
    def test_null(self, bench: Bench) -> None:
        """
        An error that another attempt wouldn't overcome is told at once, by its kind alone.
        """

        def write(session: Session) -> None:
            session.add(AccountLink(**link(linked_email=ADDRESS).model_dump(exclude={"active", "user_id"})))

        with pytest.raises(StorageError, match=r"write was rolled back: \w+") as caught:
            bench.transact(write)
        assert bench.pauses == []
        assert_discreet(caught.value)

    def test_unique(self, bench: Bench) -> None:
        """
        Nor is a value told after five attempts, though drivers write them into their messages.
        """

        def write(session: Session) -> None:
            session.add_all([link("l1", ADDRESS), AccountLink(**link("l1", ADDRESS).model_dump(exclude={"active"}))])

        with pytest.raises(StorageError, match="write was rolled back") as caught:
            bench.transact(write)
        assert len(bench.pauses) == 4
        assert_discreet(caught.value)

    def test_naive_time(self, bench: Bench) -> None:
        """
        Nor with what never got to the database.
        """

        def write(session: Session) -> None:
            session.add(link(linked_email=ADDRESS, next_attempt_at=NOW.replace(tzinfo=None)))

        with pytest.raises(StorageError, match="write was rolled back: ValueError") as caught:
            bench.transact(write)
        assert_discreet(caught.value)

    def test_missing_table(self, bench: Bench) -> None:
        """
        A missing table is told with what to do about it.
        """

        def read(session: Session) -> None:
            nowhere = sa.table("Nowhere", sa.column("email", sa.String()))
            session.execute(sa.select(nowhere).where(nowhere.c.email == ADDRESS))

        with pytest.raises(StorageError, match="a table is missing, are crossapp's created or migrated") as caught:
            bench.transact(read)
        assert_discreet(caught.value)

    @pytest.mark.parametrize("writes", [True, False])
    def test_missing_column(self, bench: Bench, writes: bool) -> None:
        """
        So is a missing column.
        """
        old = sa.table("AccountLinkToken", sa.column("jti"), sa.column("absent", sa.String()))

        def use(session: Session) -> None:
            if writes:
                session.execute(sa.insert(old).values(jti="t", absent=ADDRESS))
            session.execute(sa.select(old).where(old.c.absent == ADDRESS))

        with pytest.raises(StorageError, match="a column is missing, are crossapp's tables migrated") as caught:
            bench.transact(use)
        assert_discreet(caught.value)

    def test_no_hint(self, bench: Bench) -> None:
        """
        What has nothing to do with migrations gets no hint.
        """

        def use(session: Session) -> None:
            session.execute(sa.text("SELEC 1"))

        with pytest.raises(StorageError) as caught:
            bench.transact(use)
        assert "missing" not in str(caught.value)

    def test_no_server(self) -> None:
        """
        A server that isn't there is told without its password.
        """
        engine = sa.create_engine("mysql+pymysql://crossapp:pass-word@127.0.0.1:1/nowhere")
        with pytest.raises(StorageError, match="count was rolled back: OperationalError mysql 2003") as caught:
            run_sync(Transactions(engine).transact(count, "l1"))
        assert "pass-word" not in text_of(caught.value)
        assert "127.0.0.1" not in text_of(caught.value)


def assert_discreet(error: StorageError) -> None:
    text = text_of(error)
    for word in ("ada.lovelace", "INSERT", "SELECT", "parameters"):
        assert word not in text
    assert error.__cause__ is None
    assert error.__context__ is None


class TestSQLite:
    @SQLITE
    def test_reads_what_is_current(self, bench: Bench) -> None:
        """
        SQLite's write lock is taken before the first look, so that nothing changes between look and decision.
        """
        bench.transact(add, "l1")

        def operation(session: Session) -> None:
            row = session.exec(select(AccountLink)).one()
            with impatient_session(bench.database) as other, pytest.raises(OperationalError, match="locked"):
                other.execute(sa.update(AccountLink).values(retry_count=100))
            row.retry_count += 1

        bench.transact(operation)
        assert counted(bench.database) == {"l1": 1}

    @SQLITE
    def test_app_begins_itself(self, database: Database) -> None:
        """
        An app's engine may begin its transactions itself, as SQLAlchemy's documentation has it.
        """
        engine = sa.create_engine(database.engine.url)

        @event.listens_for(engine, "connect")
        def leave_it_to_us(connection: Any, record: object) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def begin(connection: sa.Connection) -> None:
            connection.exec_driver_sql("BEGIN")

        def operation(session: Session) -> None:
            add(session, "l1")
            session.flush()
            count(session, "l1")

        run_sync(Transactions(engine).transact(operation))
        engine.dispose()
        assert counted(database) == {"l1": 1}
        engine.dispose()

    def test_in_the_apps_own_transaction(self, database: Database) -> None:
        """
        The lock is taken once, in whatever session the app has, and goes with its transaction.
        """
        with orm.Session(binds={AccountLink: database.engine, AccountLinkToken: database.engine}) as session:
            begin_writing(session, AccountLink)
            begin_writing(session, AccountLink)
            session.add(link("l1"))
            session.commit()
            begin_writing(session, AccountLink)
            session.add(link("l2", "usr_2"))
            session.rollback()
        assert counted(database) == {"l1": 0}
        with database.session() as after:
            assert after.exec(select(AccountLink.id).where(col(AccountLink.retry_count) == 0)).all() == ["l1"]
