from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel, col, select

from crossapp_ah.models import Entitlement
from crossapp_ah.tables import CrossAppEntitlementMixin, EntitlementBase
from crossapp_core.locking import lock_or_create
from tests import schema
from tests.databases import Database

NOW = datetime(2026, 11, 2, 12, 0, 0, 123_000, tzinfo=UTC)

MIXED_IN = {
    "userId": True,
    "productId": True,
    "status": True,
    "pendingForEmail": True,
    "sourceApp": True,
    "sourcePurchaseId": True,
    "sourceUserId": True,
    "sourceVersion": True,
    "claimedAt": True,
    "appliedVersion": True,
    "appliedUserId": True,
    "notifiedVersion": True,
    "notifiedStatus": True,
    "retryCount": True,
    "nextAttemptAt": True,
}
UNIQUE = ("sourceApp", "sourcePurchaseId", "productId")
INDEXES = {
    ("userId",),
    ("appliedUserId",),
    ("sourceApp", "pendingForEmail"),
    ("sourceApp", "sourceUserId"),
    ("status", "sourceApp", "sourceUserId"),
    ("nextAttemptAt",),
}


class School(SQLModel, registry=registry()):
    """
    Tables that aren't on the metadata that all others share.
    """


class Pupil(School, table=True):
    __tablename__ = "pupil"

    id: int | None = Field(default=None, primary_key=True)


class FirstEntitlement(EntitlementBase, School, table=True):
    __tablename__ = "AI_BundleEntitlement"


class SecondEntitlement(EntitlementBase, School, table=True):
    __tablename__ = "AI_OtherEntitlement"

    user_id: int | None = Field(  # type: ignore[assignment]
        default=None, foreign_key="pupil.id", nullable=True, sa_column_kwargs={"name": "userId"}
    )


class Membership(CrossAppEntitlementMixin, School, table=True):
    """
    A table that the school had before: numbered by the database, with columns of its own that it requires.
    """

    __tablename__ = "membership"

    number: int | None = Field(default=None, primary_key=True)
    kind: str = Field(max_length=20)
    seats: int = 1
    note: str | None = Field(default=None, max_length=50, sa_column_kwargs={"server_default": "from the database"})


@pytest.fixture
def school(database: Database) -> Iterator[Database]:
    """
    A database with the school's own tables too.
    """
    with schema.tables(database.engine, School.metadata):
        yield database


def row(id_: str = "e1", purchase_id: str = "pur_1", product_id: str = "prod_9") -> Entitlement:
    return Entitlement(
        id=id_, source_app="total-typescript", source_purchase_id=purchase_id, product_id=product_id, status="pending"
    )


def save(database: Database, *rows: SQLModel) -> None:
    with database.session() as session:
        session.add_all(rows)


class TestEntitlement:
    def test_columns(self, database: Database) -> None:
        """
        The columns are those that the granter's database was planned with, and ours.
        """
        assert schema.columns(database.engine, "Entitlement") == {"id": False, **MIXED_IN}
        assert schema.primary_key(database.engine, "Entitlement") == ["id"]

    def test_constraints(self, database: Database) -> None:
        """
        One row per source and component, and an index for each way to look.
        """
        assert schema.uniques(database.engine, "Entitlement") == {UNIQUE}
        assert schema.indexes(database.engine, "Entitlement") == INDEXES

    def test_one_row_per_source(self, database: Database) -> None:
        """
        The database itself keeps a component of a source from having two rows; ids that differ in case are others.
        """
        save(database, row("e1", "pur_Ab1"), row("e2", "pur_aB1"), row("e3", "pur_Ab1", "PROD_9"))
        with pytest.raises(IntegrityError):
            save(database, row("e4", "pur_Ab1"))
        with database.session() as session:
            found = session.exec(select(Entitlement.id).where(col(Entitlement.source_purchase_id) == "pur_aB1")).all()
        assert found == ["e2"]

    def test_addresses(self, database: Database) -> None:
        """
        What waits for José is not found for Jose.
        """
        josé, jose = row("e1"), row("e2", "pur_2")
        josé.pending_for_email, jose.pending_for_email = "josé@example.com", "jose@example.com"
        save(database, josé, jose)
        with database.session() as session:
            wanted = col(Entitlement.pending_for_email) == "jose@example.com"
            assert session.exec(select(Entitlement.id).where(wanted)).all() == ["e2"]

    def test_planned_columns_alone(self, database: Database) -> None:
        """
        A service that knows the planned columns alone can write rows.
        """
        planned = {
            "id": "e1",
            "status": "active",
            "pendingForEmail": None,
            "sourceApp": "total-typescript",
            "sourcePurchaseId": "pur_1",
            "claimedAt": datetime(2026, 11, 2, 12),  # noqa: DTZ001
        }
        schema.insert_planned(database.engine, "Entitlement", planned)
        with database.session() as session:
            back = session.exec(select(Entitlement)).one()
        assert (back.source_version, back.applied_version, back.notified_version, back.retry_count) == (0, 0, 0, 0)
        assert (back.user_id, back.product_id, back.next_attempt_at) == (None, None, None)

    def test_round_trip(self, database: Database) -> None:
        """
        A row comes back as it was written: versions of 64 bits, times to the millisecond.
        """
        written = row()
        written.source_version = written.applied_version = written.notified_version = 2**53 - 1
        written.claimed_at = written.next_attempt_at = NOW
        expected = written.model_dump()
        save(database, written)
        with database.session() as session:
            assert session.exec(select(Entitlement)).one().model_dump() == expected

    def test_repr_hides_address(self) -> None:
        """
        A row in a log shows no address.
        """
        written = row()
        written.pending_for_email = "ada@example.com"
        assert "ada@" not in repr(written)


class TestMixins:
    def test_twice(self, school: Database) -> None:
        """
        One schema may hold several tables of the mixin, each with its constraints.
        """
        for table in (FirstEntitlement, SecondEntitlement):
            name = str(table.__tablename__)
            assert schema.uniques(school.engine, name) == {UNIQUE}
            assert schema.indexes(school.engine, name) >= INDEXES - {("userId",)}
            assert schema.columns(school.engine, name) == {"id": False, **MIXED_IN}

    def test_foreign_key(self, school: Database) -> None:
        """
        A subclass may refer to the app's own users, whose ids are integers, and still wait for one.
        """
        assert schema.foreign_keys(school.engine, "AI_OtherEntitlement") == {"userId": "pupil"}
        with school.session() as session:
            pupil = Pupil()
            session.add(pupil)
            session.flush()
            session.add(SecondEntitlement(**row("e1").model_dump() | {"user_id": pupil.id}))
            session.add(SecondEntitlement(**row("e2", "pur_2").model_dump()))
        with school.session() as session:
            found = session.exec(select(SecondEntitlement.user_id).order_by(col(SecondEntitlement.id))).all()
        assert found == [pupil.id, None]

    def test_beside_own_columns(self, school: Database) -> None:
        """
        A table that the app has already gets our columns, all of which its own rows leave empty.
        """
        own = {"number": False, "kind": False, "seats": False, "note": True}
        assert schema.columns(school.engine, "membership") == own | MIXED_IN
        assert schema.uniques(school.engine, "membership") == {UNIQUE}
        save(school, Membership(kind="gift"), Membership(kind="gift"))
        with school.session() as session:
            assert [(each.source_app, each.seats) for each in session.exec(select(Membership))] == [(None, 1)] * 2

    def test_locked_beside_own_columns(self, school: Database) -> None:
        """
        A row of ours in such a table is numbered and defaulted by the database, and found again by its source.
        """
        key = {"source_app": "total-typescript", "source_purchase_id": "pur_1", "product_id": "prod_9"}
        for _ in range(2):
            with school.session() as session:
                found = lock_or_create(session, Membership, key, {"kind": "bundle", "status": "pending"})
                assert (found.kind, found.seats, found.note) == ("bundle", 1, "from the database")
                assert found.source_version == 0
        with school.session() as session:
            assert session.exec(select(Membership.number)).all() == [found.number]
