import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.exc import NoResultFound, OperationalError
from sqlmodel import Field, Relationship, Session, SQLModel, col, select

from crossapp_core.database import Database as Transactions
from crossapp_core.flavours import run_sync
from crossapp_core.locking import lock, lock_or_create
from crossapp_core.models import AccountLink, AccountLinkToken
from crossapp_core.tables import AccountLinkBase
from tests import schema
from tests.databases import Database
from tests.rivals import PATIENCE, at_once, impatient_session

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
KEY: Mapping[str, object] = {"user_id": "usr_1", "linked_app": "ai-hero", "linked_user_id": "u1"}
VALUES: Mapping[str, object] = {"id": "l1", "link_method": "explicit", "linked_at": NOW}

SERVERS = pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)


class Reader(SQLModel, registry=orm.registry()):
    """
    Tables that aren't on the metadata that all others share.
    """


class Subscriber(Reader, table=True):
    __tablename__ = "locking_subscriber"

    id: str = Field(primary_key=True, max_length=64)


class Subscription(AccountLinkBase, Reader, table=True):
    """
    An app's own table, whose class loads more than its columns.
    """

    __tablename__ = "locking_subscription"

    subscriber_id: str | None = Field(default=None, foreign_key="locking_subscriber.id", max_length=64)
    subscriber: Subscriber | None = Relationship(sa_relationship_kwargs={"lazy": "joined"})


Subscription.__mapper__.add_property(  # type: ignore[attr-defined]
    "shout",
    orm.column_property(sa.func.upper(Subscription.__table__.c.userId)),  # type: ignore[attr-defined]
)


@pytest.fixture
def reader(database: Database) -> Iterator[Database]:
    """
    A database with the app's own tables too.
    """
    with schema.tables(database.engine, Reader.metadata):
        yield database


def links(database: Database) -> list[tuple[str, int]]:
    with database.session() as session:
        return list(session.exec(select(AccountLink.id, AccountLink.retry_count)))


class TestLockOrCreate:
    def test_creates(self, database: Database) -> None:
        """
        A row that isn't there is written with key, values and defaults.
        """
        with database.session() as session:
            row = lock_or_create(session, AccountLink, KEY, VALUES)
            assert (row.id, row.user_id, row.linked_app, row.linked_user_id) == ("l1", "usr_1", "ai-hero", "u1")
            assert (row.version, row.retry_count, row.active, row.linked_at) == (0, 0, 1, NOW)
        assert links(database) == [("l1", 0)]

    def test_finds(self, database: Database) -> None:
        """
        A row that is there stays as it is, and is the one that comes back.
        """
        with database.session() as session:
            lock_or_create(session, AccountLink, KEY, VALUES).retry_count = 3
        with database.session() as session:
            row = lock_or_create(session, AccountLink, KEY, {**VALUES, "id": "l2", "link_method": "oauth-github"})
            assert (row.id, row.link_method, row.retry_count) == ("l1", "explicit", 3)
        assert links(database) == [("l1", 3)]

    def test_twice_in_one_transaction(self, database: Database) -> None:
        """
        In one transaction the same object comes back, with what was changed in it.
        """
        with database.session() as session:
            first = lock_or_create(session, AccountLink, KEY, VALUES)
            first.retry_count = 5
            assert lock_or_create(session, AccountLink, KEY, VALUES) is first
            assert first.retry_count == 5

    def test_rolled_back(self, database: Database) -> None:
        """
        Nothing is committed: the row goes with the caller's transaction.
        """
        with Session(database.engine) as session:
            lock_or_create(session, AccountLink, KEY, VALUES)
            session.rollback()
        assert links(database) == []

    def test_sees_what_others_committed(self, database: Database) -> None:
        """
        What was read before is read anew, past the transaction's own snapshot.
        """
        with database.session() as session:
            lock_or_create(session, AccountLink, KEY, VALUES)
        with Session(database.engine) as session:
            seen = session.exec(select(AccountLink)).one()
            assert seen.retry_count == 0
            with database.session() as other:
                other.exec(select(AccountLink)).one().retry_count = 7
            assert lock_or_create(session, AccountLink, KEY, VALUES) is seen
            assert seen.retry_count == 7

    @SERVERS
    def test_row_written_after_the_snapshot(self, database: Database) -> None:
        """
        A row that another transaction wrote after this one had begun to read is found, not written twice.
        """
        with Session(database.engine) as session:
            assert session.exec(select(AccountLink)).all() == []
            with database.session() as other:
                lock_or_create(other, AccountLink, KEY, VALUES)
            assert lock_or_create(session, AccountLink, KEY, {**VALUES, "id": "l2"}).id == "l1"
            session.commit()
        assert links(database) == [("l1", 0)]

    def test_two_at_once(self, database: Database) -> None:
        """
        Of two transactions at once one writes the row, and neither loses what the other does to it.
        """
        barrier = threading.Barrier(2, timeout=PATIENCE)

        def count(session: Session, id_: str) -> None:
            lock_or_create(session, AccountLink, KEY, {**VALUES, "id": id_}).retry_count += 1

        def work(id_: str) -> None:
            for _ in range(5):
                barrier.wait()
                run_sync(Transactions(database.engine).transact(count, id_))

        at_once(lambda: work("l1"), lambda: work("l2"))
        [(id_, counted)] = links(database)
        assert id_ in ("l1", "l2")
        assert counted == 10

    @pytest.mark.parametrize("exists", [True, False])
    def test_keeps_others_away(self, database: Database, exists: bool) -> None:
        """
        Until the transaction ends, nobody else gets the row, be it new or not.
        """
        if exists:
            with database.session() as session:
                lock_or_create(session, AccountLink, KEY, VALUES)
        with database.session() as session:
            lock_or_create(session, AccountLink, KEY, VALUES)
            with impatient_session(database) as other, pytest.raises(OperationalError):
                lock_or_create(other, AccountLink, KEY, VALUES)
        with impatient_session(database) as other:
            assert lock_or_create(other, AccountLink, KEY, VALUES).id == "l1"

    def test_other_unique_key(self, database: Database) -> None:
        """
        A row that can't be written for another reason than its key is an error, and nobody gets a wrong row.
        """
        with database.session() as session:
            lock_or_create(session, AccountLink, KEY, VALUES)
        taken = sa.exc.IntegrityError if database.name != "mariadb" else NoResultFound
        with pytest.raises(taken), Session(database.engine) as session:
            lock_or_create(session, AccountLink, {**KEY, "linked_user_id": "u2"}, {**VALUES, "id": "l2"})
        assert links(database) == [("l1", 0)]

    def test_plain_session(self, database: Database) -> None:
        """
        The session may be SQLAlchemy's own, as in an app that doesn't use SQLModel's.
        """
        with orm.Session(database.engine) as session, session.begin():
            assert lock_or_create(session, AccountLink, KEY, VALUES).id == "l1"  # type: ignore[arg-type]
        assert links(database) == [("l1", 0)]

    def test_session_of_several_databases(self, database: Database) -> None:
        """
        The session may have an engine for each table.
        """
        with Session(binds={AccountLink: database.engine}) as session, session.begin():
            assert lock_or_create(session, AccountLink, KEY, VALUES).id == "l1"
        assert links(database) == [("l1", 0)]

    def test_class_that_loads_more(self, reader: Database) -> None:
        """
        What else the app's own class loads with a row is no hindrance.
        """
        with reader.session() as session:
            session.add(Subscriber(id="s1"))
        for _ in range(2):
            with reader.session() as session:
                row = lock_or_create(session, Subscription, KEY, {**VALUES, "subscriber_id": "s1"})
                assert row.subscriber is not None
                assert row.subscriber.id == "s1"

    def test_unknown_database(self) -> None:
        """
        A database of another kind is named as what it is.
        """
        engine = sa.create_mock_engine("oracle+oracledb://", lambda statement, *_: None)
        session = Session(engine)  # type: ignore[arg-type]
        with pytest.raises(NotImplementedError, match="oracle is not supported, only PostgreSQL"):
            lock_or_create(session, AccountLink, KEY, VALUES)


class TestLock:
    def test_none(self, database: Database) -> None:
        """
        A row that isn't there isn't written.
        """
        with database.session() as session:
            assert lock(session, AccountLink, KEY) is None
        assert links(database) == []

    @SERVERS
    def test_keeps_others_away(self, database: Database) -> None:
        """
        Until the transaction ends, nobody else locks or changes the row.
        """
        with database.session() as session:
            lock_or_create(session, AccountLink, KEY, VALUES)
        with database.session() as session:
            assert lock(session, AccountLink, KEY) is not None
            for share in (False, True):
                with impatient_session(database) as other, pytest.raises(OperationalError):
                    lock(other, AccountLink, KEY, share=share)
            with impatient_session(database) as other, pytest.raises(OperationalError):
                other.execute(sa.update(AccountLink).values(retry_count=1))

    @SERVERS
    def test_share(self, database: Database) -> None:
        """
        Several may share a row; none of them can be overtaken by somebody who changes it.
        """
        with database.session() as session:
            lock_or_create(session, AccountLink, KEY, VALUES)
        with database.session() as session:
            assert lock(session, AccountLink, KEY, share=True) is not None
            with impatient_session(database) as other:
                assert lock(other, AccountLink, KEY, share=True) is not None
            with impatient_session(database) as other, pytest.raises(OperationalError):
                lock(other, AccountLink, KEY)

    @SERVERS
    def test_other_rows(self, database: Database) -> None:
        """
        Other rows are free.
        """
        with database.session() as session:
            for number in range(3):
                session.add(AccountLinkToken(jti=f"t{number}", used_at=NOW, expires_at=NOW))
        with database.session() as session:
            lock(session, AccountLinkToken, {"jti": "t1"})
            with impatient_session(database) as other:
                assert lock(other, AccountLinkToken, {"jti": "t0"}) is not None
                assert lock(other, AccountLinkToken, {"jti": "t2"}) is not None

    def test_by_what_is_worked_out(self, database: Database) -> None:
        """
        A row is found by what the database itself works out, too.
        """
        with database.session() as session:
            lock_or_create(session, AccountLink, KEY, VALUES)
            active = {"linked_app": "ai-hero", "linked_user_id": "u1", "active": 1}
            assert lock(session, AccountLink, active, share=True) is not None
            session.exec(select(AccountLink).where(col(AccountLink.id) == "l1")).one().unlinked_at = NOW
            assert lock(session, AccountLink, active, share=True) is None
