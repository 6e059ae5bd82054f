"""
The least that an operation takes: the same statements and locks in SQLAlchemy Core, which decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, Insert, Table, event, select, update
from sqlalchemy.dialects import mysql, postgresql

from benchmarks.hosts import LATER, VERSION
from crossapp_ah.models import Entitlement
from crossapp_core.columns import table_of
from crossapp_core.models import AccountLink
from crossapp_tt.models import CrossAppSync
from tests.ah.school import BUYER, COURSE
from tests.hosts import NOW, SchoolProduct, ShopPurchase
from tests.tt.shop import BUNDLE, SCHOOL, SHOP

LEDGER, HELD, LINKS = table_of(CrossAppSync), table_of(Entitlement), table_of(AccountLink)
PURCHASES, COURSES = table_of(ShopPurchase), table_of(SchoolProduct)
_LEDGER_KEY = ("purchaseId", "targetApp", "targetProductId")
_HELD_KEY = ("sourceApp", "sourcePurchaseId", "productId")


class Floor:
    """
    Writes what the operations of the same names write.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def record(self, purchase_id: str) -> None:
        """
        Record a sale.
        """
        key = {"purchaseId": purchase_id, "targetApp": SCHOOL, "targetProductId": COURSE}
        row = {
            **key,
            "id": f"sync_{purchase_id}",
            "status": "pending",
            "retryCount": 0,
            "createdAt": NOW,
            "version": 0,
            "desired": "granted",
            "quiet": False,
            "acceptedVersion": 0,
            "grantVersion": 0,
        }
        wanted = {
            "version": VERSION,
            "nextAttemptAt": LATER,
            "buyerUserId": BUYER,
            "buyerEmail": "ada@example.com",
            "bundleProductId": BUNDLE,
        }
        with self._engine.begin() as connection:
            _lock_purchase(connection, purchase_id)
            order = LEDGER.c.targetApp, LEDGER.c.targetProductId
            connection.execute(select(LEDGER).where(LEDGER.c.purchaseId == purchase_id).order_by(*order)).all()
            connection.execute(self._insert_or_nothing(LEDGER, row, _LEDGER_KEY))
            self._change(connection, LEDGER, key, wanted)

    def ack(self, purchase_id: str) -> None:
        """
        Hear that it is unlocked.
        """
        key = {"purchaseId": purchase_id, "targetApp": SCHOOL, "targetProductId": COURSE}
        done = {
            "status": "synced",
            "targetEntitlementId": "ent_1",
            "targetUserId": "school-ada",
            "syncedAt": NOW,
            "nextAttemptAt": None,
        }
        with self._engine.begin() as connection:
            _lock_purchase(connection, purchase_id)
            self._change(connection, LEDGER, key, done)

    def grant(self, purchase_id: str) -> None:
        """
        Unlock it for somebody whose accounts are linked.
        """
        key = {"sourceApp": SHOP, "sourcePurchaseId": purchase_id, "productId": COURSE}
        bought = {"pendingForEmail": "ada@example.com", "sourceUserId": BUYER, "sourceVersion": VERSION}
        with self._engine.begin() as connection:
            connection.execute(select(COURSES.c.id).where(COURSES.c.id == COURSE)).one()
            connection.execute(self._insert_or_nothing(HELD, _entitlement(key, "pending"), _HELD_KEY))
            id_ = self._change(connection, HELD, key, bought)
            linked = LINKS.c.linkedApp == SHOP, LINKS.c.linkedUserId == BUYER, LINKS.c.active == 1
            link = connection.execute(select(LINKS).where(*linked).with_for_update(read=True)).one()
            holder = {"userId": link.userId, "status": "active", "claimedAt": NOW}
            connection.execute(update(HELD).where(HELD.c.id == id_).values(holder))

    def revoke(self, purchase_id: str) -> None:
        """
        Lock it again.
        """
        key = {"sourceApp": SHOP, "sourcePurchaseId": purchase_id, "productId": COURSE}
        with self._engine.begin() as connection:
            connection.execute(self._insert_or_nothing(HELD, _entitlement(key, "revoked"), _HELD_KEY))
            self._change(connection, HELD, key, {"status": "revoked", "sourceVersion": VERSION + 1})

    def _change(
        self, connection: Connection, table: Table, key: Mapping[str, object], values: Mapping[str, object]
    ) -> str:
        found = (table.c[name] == value for name, value in key.items())
        row = connection.execute(select(table).where(*found).with_for_update()).one()
        connection.execute(update(table).where(table.c.id == row.id).values(dict(values)))
        return str(row.id)

    def _insert_or_nothing(self, table: Table, row: Mapping[str, object], key: tuple[str, ...]) -> Insert:
        if self._engine.dialect.name == "postgresql":
            return postgresql.insert(table).values(row).on_conflict_do_nothing(index_elements=key)
        return mysql.insert(table).values(row).on_duplicate_key_update({key[0]: table.c[key[0]]})


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """
    All statements that are executed meanwhile.
    """
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _lock_purchase(connection: Connection, purchase_id: str) -> None:
    owned = PURCHASES.c.status.in_(["Valid", "Restricted"]).label("owned")
    wanted = select(PURCHASES.c.id, PURCHASES.c.user_id, PURCHASES.c.email, PURCHASES.c.product_id, owned)
    connection.execute(wanted.where(PURCHASES.c.id == purchase_id).with_for_update()).one()


def _entitlement(key: Mapping[str, object], status: str) -> dict[str, object]:
    counters = {"sourceVersion": 0, "appliedVersion": 0, "notifiedVersion": 0, "retryCount": 0}
    return {**key, **counters, "id": f"ent_{key['sourcePurchaseId']}", "status": status}
