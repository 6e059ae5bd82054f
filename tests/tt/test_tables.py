from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel, col, select

from crossapp_core.tables import CrossAppCursorBase
from crossapp_tt.models import CrossAppCursor, CrossAppSync
from crossapp_tt.tables import CrossAppSyncBase
from tests import schema
from tests.databases import Database

NOW = datetime(2026, 11, 2, 12, 0, 0, 123_000, tzinfo=UTC)


class Shop(SQLModel, registry=registry()):
    """
    Tables that aren't on the metadata that all others share.
    """


class Customer(Shop, table=True):
    __tablename__ = "shop_customer"

    id: int | None = Field(default=None, primary_key=True)


class FirstLedger(CrossAppSyncBase, Shop, table=True):
    __tablename__ = "shop_first_ledger"


class SecondLedger(CrossAppSyncBase, Shop, table=True):
    __tablename__ = "shop_second_ledger"

    buyer_user_id: int | None = Field(  # type: ignore[assignment]
        default=None, foreign_key="shop_customer.id", nullable=True, sa_column_kwargs={"name": "buyerUserId"}
    )


class FirstCursor(CrossAppCursorBase, Shop, table=True):
    __tablename__ = "shop_first_cursor"


class SecondCursor(CrossAppCursorBase, Shop, table=True):
    __tablename__ = "shop_second_cursor"


@pytest.fixture
def shop(database: Database) -> Iterator[Database]:
    """
    A database with the shop's own tables too.
    """
    with schema.tables(database.engine, Shop.metadata):
        yield database


def row(id_: str = "s1", purchase_id: str = "pur_1", app: str = "ai-hero", product_id: str = "prod_9") -> CrossAppSync:
    return CrossAppSync(
        id=id_, purchase_id=purchase_id, target_app=app, target_product_id=product_id, created_at=NOW, version=1
    )


def save(database: Database, *rows: SQLModel) -> None:
    with database.session() as session:
        session.add_all(rows)


class TestCrossAppSync:
    def test_columns(self, database: Database) -> None:
        """
        The columns are those that the seller's database was planned with, and ours.
        """
        assert schema.columns(database.engine, "CrossAppSync") == {
            "id": False,
            "purchaseId": False,
            "targetApp": False,
            "targetProductId": False,
            "status": False,
            "targetEntitlementId": True,
            "targetUserId": True,
            "errorMessage": True,
            "retryCount": False,
            "createdAt": False,
            "syncedAt": True,
            "revokedAt": True,
            "version": False,
            "desired": False,
            "nextAttemptAt": True,
            "buyerUserId": True,
            "buyerEmail": True,
            "bundleProductId": True,
            "purchasedAt": True,
            "reason": True,
            "errorCode": True,
            "quiet": False,
            "sentAt": True,
            "acceptedAt": True,
            "acceptedVersion": False,
            "grantVersion": False,
        }
        assert schema.primary_key(database.engine, "CrossAppSync") == ["id"]

    def test_constraints(self, database: Database) -> None:
        """
        One row per purchase and component, and an index for each way to look.
        """
        assert schema.uniques(database.engine, "CrossAppSync") == {("purchaseId", "targetApp", "targetProductId")}
        assert schema.indexes(database.engine, "CrossAppSync") == {
            ("purchaseId",),
            ("nextAttemptAt",),
            ("buyerUserId",),
            ("status",),
        }

    def test_no_foreign_key(self, database: Database) -> None:
        """
        A row stays when its purchase or user is deleted: that is when a revoke is owed.
        """
        assert schema.foreign_keys(database.engine, "CrossAppSync") == {}

    def test_one_row_per_component(self, database: Database) -> None:
        """
        The database itself keeps a component from having two rows; ids that differ in case are others.
        """
        save(database, row("s1"), row("s2", purchase_id="PUR_1"), row("s3", app="third-app"), row("s4", product_id="é"))
        save(database, row("s5", product_id="e"))
        with pytest.raises(IntegrityError):
            save(database, row("s6"))
        with database.session() as session:
            found = session.exec(select(CrossAppSync.id).where(col(CrossAppSync.purchase_id) == "PUR_1")).all()
        assert found == ["s2"]

    def test_planned_columns_alone(self, database: Database) -> None:
        """
        A service that knows the planned columns alone can write rows: they want something granted, at version 0.
        """
        planned = {
            "id": "s1",
            "purchaseId": "pur_1",
            "targetApp": "ai-hero",
            "targetProductId": "prod_9",
            "status": "pending",
            "targetEntitlementId": None,
            "targetUserId": None,
            "errorMessage": None,
            "retryCount": 0,
            "createdAt": datetime(2026, 11, 2, 12),  # noqa: DTZ001
            "syncedAt": None,
            "revokedAt": None,
        }
        schema.insert_planned(database.engine, "CrossAppSync", planned)
        with database.session() as session:
            back = session.exec(select(CrossAppSync)).one()
        assert (back.version, back.desired, back.quiet, back.accepted_version) == (0, "granted", False, 0)
        assert (back.buyer_email, back.next_attempt_at, back.reason) == (None, None, None)

    def test_round_trip(self, database: Database) -> None:
        """
        A row comes back as it was written: versions of 64 bits, times to the millisecond, a long message.
        """
        written = row()
        written.version = written.accepted_version = 2**53 - 1
        written.synced_at = written.revoked_at = written.sent_at = written.accepted_at = NOW
        written.next_attempt_at = written.purchased_at = NOW
        written.error_message = "é" * 5000
        written.quiet = True
        expected = written.model_dump()
        save(database, written)
        with database.session() as session:
            assert session.exec(select(CrossAppSync)).one().model_dump() == expected

    def test_repr_hides_address(self) -> None:
        """
        A row in a log shows no address.
        """
        written = row()
        written.buyer_email = "ada@example.com"
        assert "ada@" not in repr(written)


class TestCrossAppCursor:
    def test_columns(self, database: Database) -> None:
        """
        A pass over the purchases has a name, a position, a plan and a time.
        """
        assert schema.columns(database.engine, "CrossAppCursor") == {
            "name": False,
            "position": True,
            "plan": True,
            "updatedAt": False,
        }
        assert schema.primary_key(database.engine, "CrossAppCursor") == ["name"]

    def test_round_trip(self, database: Database) -> None:
        """
        Position and plan may be as long as they need to be.
        """
        save(database, CrossAppCursor(name="sweep", position="p" * 300, plan="x" * 60_000, updated_at=NOW))
        with database.session() as session:
            back = session.exec(select(CrossAppCursor)).one()
        assert (back.position, back.plan, back.updated_at) == ("p" * 300, "x" * 60_000, NOW)


class TestMixins:
    def test_twice(self, shop: Database) -> None:
        """
        One schema may hold several tables of each mixin, each with its constraints.
        """
        for table in (FirstLedger, SecondLedger):
            name = str(table.__tablename__)
            assert schema.uniques(shop.engine, name) == {("purchaseId", "targetApp", "targetProductId")}
            assert schema.indexes(shop.engine, name) == schema.indexes(shop.engine, "CrossAppSync")
            assert schema.columns(shop.engine, name) == schema.columns(shop.engine, "CrossAppSync")
        for cursor in (FirstCursor, SecondCursor):
            columns = schema.columns(shop.engine, str(cursor.__tablename__))
            assert columns == schema.columns(shop.engine, "CrossAppCursor")

    def test_foreign_key(self, shop: Database) -> None:
        """
        A subclass may refer to the app's own users, whose ids are integers.
        """
        assert schema.foreign_keys(shop.engine, "shop_second_ledger") == {"buyerUserId": "shop_customer"}
        with shop.session() as session:
            customer = Customer()
            session.add(customer)
            session.flush()
            session.add(SecondLedger(**row().model_dump() | {"buyer_user_id": customer.id}))
        with shop.session() as session:
            assert session.exec(select(SecondLedger.buyer_user_id)).one() == customer.id
            assert session.exec(select(FirstLedger)).all() == []
