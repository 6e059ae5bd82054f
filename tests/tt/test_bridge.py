from collections.abc import Iterator
from typing import Any

import inngest
import pytest
from sqlalchemy import Index, orm, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession as PlainAsyncSession
from sqlalchemy.orm import declared_attr, registry
from sqlmodel import Field, Session, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

import crossapp_tt as tt
from crossapp_core.errors import CatalogError, CrossAppConfigError
from crossapp_tt.models import CrossAppSync
from tests import schema
from tests.databases import Database
from tests.hosts import NOW, ShopPurchase, shop_purchases, shop_settings
from tests.rivals import impatient_session
from tests.tt.shop import BUNDLE, COURSE, FIRST, PURCHASE, Shop, entry, refund_in

CLIENT = inngest.Inngest(app_id="total-typescript", is_production=False)
"""One for all: each loads the system's certificates."""


class Stall(SQLModel, registry=registry()):
    """
    Tables that aren't on the metadata that all others share.
    """


class StallSale(Stall, table=True):
    __tablename__ = "stall_sale"

    id: int | None = Field(default=None, primary_key=True)
    user_id: int = 0
    product_id: str = Field(default=BUNDLE, max_length=64)


class StallLedger(tt.CrossAppSyncBase, Stall, table=True):
    """
    A ledger of the app's own, with a shorter id and another index.
    """

    __tablename__ = "stall_ledger"

    purchase_id: str = Field(max_length=64, sa_column_kwargs={"name": "purchaseId"})

    @declared_attr.directive
    def __table_args__(cls) -> Any:  # noqa: N805
        return (*super().__table_args__, Index("stall_ledger_extra", "status", "version"))


@pytest.fixture
def stall(database: Database) -> Iterator[Database]:
    """
    A database with the stall's tables too.
    """
    with schema.tables(database.engine, Stall.metadata):
        yield database


def bridge(database: Database, **changes: Any) -> tt.Bridge:
    given: dict[str, Any] = {
        "settings": shop_settings(),
        "purchases": shop_purchases(),
        "bundles": {BUNDLE: [entry()]},
        "clock": lambda: NOW,
    }
    return tt.Bridge(CLIENT, database.engine, **(given | changes))


def purchase(**changes: Any) -> ShopPurchase:
    given: dict[str, Any] = {"id": PURCHASE, "user_id": "ada", "email": "ada@example.com", "product_id": BUNDLE}
    return ShopPurchase(**(given | changes))


class TestRecord:
    @pytest.mark.parametrize("session_class", [Session, orm.Session])
    @pytest.mark.parametrize("autoflush", [True, False])
    def test_in_the_checkout(self, database: Database, session_class: type[orm.Session], autoflush: bool) -> None:
        """
        A sale is recorded in the app's own transaction, whatever its session is and before anything was flushed.
        """
        with session_class(database.engine, autoflush=autoflush) as session:
            session.add(purchase())
            outcome = bridge(database).record(session, PURCHASE)
            session.commit()
        row = Shop(database).row()
        assert (outcome.ids, outcome.changed, len(outcome.messages)) == ((row.id,), True, 1)
        assert (row.version, row.target_product_id, row.status, row.buyer_user_id) == (FIRST, COURSE, "pending", "ada")

    @pytest.mark.parametrize("autoflush", [True, False])
    def test_sale_and_refund_at_once(self, database: Database, autoflush: bool) -> None:
        """
        Several changes in one transaction are recorded one after the other.
        """
        with Session(database.engine, autoflush=autoflush) as session:
            bought = purchase()
            session.add(bought)
            bridge(database).record(session, PURCHASE)
            bought.status = "Refunded"
            outcome = bridge(database).record(session, PURCHASE)
            session.commit()
        row = Shop(database).row()
        assert refund_in(outcome.messages[0]).version == row.version == FIRST + 1
        assert (row.desired, row.buyer_user_id) == ("revoked", "ada")

    def test_rolled_back(self, database: Database) -> None:
        """
        When the checkout fails, the sale was never recorded.
        """
        with Session(database.engine) as session:
            session.add(purchase())
            assert bridge(database).record(session, PURCHASE).changed is True
            session.rollback()
        assert Shop(database).rows() == []

    @pytest.mark.parametrize("session_class", [AsyncSession, PlainAsyncSession])
    @pytest.mark.parametrize("commits", [True, False])
    async def test_async(self, database: Database, session_class: type[PlainAsyncSession], commits: bool) -> None:
        """
        An async session does it by `run_sync`.
        """
        engine = database.async_engine()
        async with session_class(engine) as session:
            session.add(purchase())
            outcome = await session.run_sync(bridge(database).record, PURCHASE)
            await (session.commit() if commits else session.rollback())
        await engine.dispose()
        assert outcome.changed is True
        assert len(Shop(database).rows()) == commits

    def test_event_afterwards(self, database: Database) -> None:
        """
        The function that the event starts finds what is owed, and writes nothing anew.
        """
        shop = Shop(database)
        with Session(database.engine) as session, session.begin():
            session.add(purchase())
            recorded = bridge(database).record(session, PURCHASE)
        heard = shop.hear_of_sale()
        assert (heard.changed, heard.ids, heard.messages) == (False, recorded.ids, recorded.messages)

    def test_malformed_bundle(self, database: Database) -> None:
        """
        A bundle that can't be read is the caller's to handle; the purchase may still be committed.
        """
        broken = bridge(database, bundles={BUNDLE: "not JSON"})
        with Session(database.engine) as session, session.begin():
            session.add(purchase())
            with pytest.raises(CatalogError, match=BUNDLE):
                broken.record(session, PURCHASE)
        assert Shop(database).rows() == []
        assert Shop(database).hear_of_sale().changed is True

    def test_number(self, stall: Database) -> None:
        """
        The id may be given as the app has it, and the ledger may be the app's own class.
        """
        own = bridge(stall, ledger=StallLedger, purchases=tt.TablePurchases(StallSale, owned=col(StallSale.id) > 0))
        with Session(stall.engine) as session, session.begin():
            session.add(StallSale(id=7, user_id=3))
            own.record(session, 7)
        with stall.session() as session:
            row = session.exec(select(StallLedger)).one()
        assert (row.purchase_id, row.buyer_user_id, row.version) == ("7", "3", FIRST)

    @pytest.mark.parametrize("database", ["sqlite"], indirect=True)
    def test_holds_the_file(self, database: Database) -> None:
        """
        On SQLite nobody can change the purchase between the look at it and what is written because of it.
        """
        shop = Shop(database)
        shop.buy()
        with Session(database.engine) as session, session.begin():
            bridge(database, bundles={}).record(session, PURCHASE)
            with impatient_session(database) as other, pytest.raises(OperationalError, match="locked"):
                other.execute(update(ShopPurchase).values(status="Refunded"))


class TestConfiguration:
    def test_ready_ledger(self, database: Database) -> None:
        """
        Without a class of its own an app gets the ready ledger.
        """
        assert bridge(database).host.ledger is CrossAppSync

    def test_no_ledger(self, database: Database) -> None:
        """
        A class that can't be a ledger is refused, with all that is wrong with it.
        """

        class Odd(SQLModel, registry=registry()):
            pass

        class OddLedger(tt.CrossAppSyncBase, Odd, table=True):
            __tablename__ = "odd_ledger"
            __table_args__ = ()

            purchase_id: int = Field(sa_column_kwargs={"name": "purchaseId"})  # type: ignore[assignment]
            buyer_user_id: int | None = Field(sa_column_kwargs={"name": "buyerUserId"})  # type: ignore[assignment]

        with pytest.raises(CrossAppConfigError) as caught:
            bridge(database, ledger=OddLedger)
        text = "must hold text, as events do; rows outlive what a foreign key refers to"
        assert str(caught.value).startswith("3 problems with Bridge(ledger=OddLedger)")
        assert caught.value.problems == (
            f"purchase_id {text}",
            f"buyer_user_id {text}",
            "its __table_args__ leave out ours: return (*super().__table_args__, …) from a declared_attr",
        )

    def test_functions(self, database: Database) -> None:
        """
        The functions are those of the design, and have the engine's flavour.
        """
        ids = [function.local_id for function in bridge(database).functions]
        assert ids == [
            "emit-bundle-purchase",
            "emit-revocation",
            "handle-entitlement-granted",
            "handle-entitlement-revoked",
            "handle-entitlement-failed",
            "sweep-purchases",
            "handle-account-linked",
            "handle-account-unlinked",
            "handle-link-state",
            "reconcile-cross-app",
            "check-gone-users",
        ]
        assert not any(function.is_handler_async for function in bridge(database).functions)
