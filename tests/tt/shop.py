"""
A shop that sells bundles, by its operations alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from sqlmodel import col, select

import crossapp_tt as tt
from crossapp_core.events import (
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
)
from crossapp_core.models import AccountLink
from crossapp_core.outcomes import Message, Outcome
from crossapp_core.runtime import Operation
from crossapp_tt.models import CrossAppSync
from crossapp_tt.operations import acknowledgements, purchases
from crossapp_tt.operations.acknowledgements import Ack
from crossapp_tt.ports import Purchases, Reference, Seller
from tests.databases import Database
from tests.hosts import NOW, ShopPurchase, shop_purchases

SHOP = "total-typescript"
SCHOOL = "ai-hero"
OTHER = "third-app"
PURCHASE = "pur_1"
BUNDLE = "bundle_1"
COURSE = "prod_9"
MILLISECOND = timedelta(milliseconds=1)


def version_at(moment: datetime) -> int:
    """
    The version that the first change at that time gets.
    """
    return round(moment.timestamp() * 1000)


FIRST = version_at(NOW)
"""The version of the first sale."""


def entry(product_id: str = COURSE, app: str = SCHOOL) -> dict[str, str]:
    """
    One entry of `bundleProducts`.
    """
    return {"app": app, "productId": product_id}


def granted(version: int = FIRST, user_id: str | None = "school-ada", **changes: Any) -> EntitlementGranted:
    """
    The school's answer to a sale.
    """
    fields: dict[str, Any] = {
        "source_app": SCHOOL,
        "source_purchase_id": PURCHASE,
        "product_id": COURSE,
        "entitlement_id": "ent_1",
        "user_id": user_id,
        "status": "active" if user_id else "pending",
    }
    return EntitlementGranted(**(fields | changes), version=version)


def revoked(version: int = FIRST, **changes: Any) -> EntitlementRevoked:
    """
    The school's answer to a refund.
    """
    fields = {"source_app": SCHOOL, "source_purchase_id": PURCHASE, "product_id": COURSE, "entitlement_id": "ent_1"}
    return EntitlementRevoked(**(fields | changes), version=version)


def failed(version: int = FIRST, code: str = "unknown-product", **changes: Any) -> EntitlementFailed:
    """
    The school's answer to what it can't do.
    """
    fields = {
        "source_app": SCHOOL,
        "source_purchase_id": PURCHASE,
        "product_id": COURSE,
        "message": "There is no such product here.",
    }
    return EntitlementFailed(**(fields | changes), code=code, version=version)


def sale_in(message: Message) -> BundlePurchased:
    """
    The sale that a message tells.
    """
    assert isinstance(message.event, BundlePurchased)
    return message.event


def refund_in(message: Message) -> EntitlementRevoke:
    """
    The refund that a message tells.
    """
    assert isinstance(message.event, EntitlementRevoke)
    return message.event


@dataclass
class Shop:
    """
    A shop on one of the databases; each call is a transaction.
    """

    database: Database
    bundles: dict[str, object] = field(default_factory=lambda: {BUNDLE: [entry()]})
    purchases: Purchases = field(default_factory=shop_purchases)
    sketches: frozenset[str] = frozenset()
    """Those of the granters that are written without this library."""

    @property
    def seller(self) -> Seller:
        """
        The shop, as the operations know it.
        """
        return Seller(
            app_id=SHOP,
            ledger=CrossAppSync,
            purchases=self.purchases,
            bundles=tt.FixedBundles(self.bundles),
            apps=frozenset({SCHOOL, OTHER}),
            sketches=self.sketches,
            links=AccountLink,
        )

    def add(self, *rows: object) -> None:
        """
        Write rows.
        """
        with self.database.session() as session:
            session.add_all(rows)

    def buy(self, purchase_id: str = PURCHASE, **values: Any) -> None:
        """
        Write a purchase; Ada's unless told otherwise.
        """
        fields = {"user_id": "ada", "email": "ada@example.com", "product_id": BUNDLE, "status": "Valid"}
        self.add(ShopPurchase(id=purchase_id, **(fields | values)))

    def change(self, purchase_id: str = PURCHASE, **values: Any) -> None:
        """
        Change a purchase.
        """
        with self.database.session() as session:
            purchase = session.get_one(ShopPurchase, purchase_id)
            for name, value in values.items():
                setattr(purchase, name, value)

    def delete(self, purchase_id: str = PURCHASE) -> None:
        """
        Delete a purchase.
        """
        with self.database.session() as session:
            session.delete(session.get_one(ShopPurchase, purchase_id))

    def forget(self) -> None:
        """
        Lose the ledger.
        """
        with self.database.session() as session:
            for row in session.exec(select(CrossAppSync)):
                session.delete(row)

    def do(self, operation: Operation[Seller, Any], fact: object, *, now: datetime = NOW) -> Outcome:
        """
        Do any operation.
        """
        with self.database.session() as session:
            return operation(session, self.seller, fact, now=now)

    def record(self, purchase_id: str = PURCHASE, *, now: datetime = NOW) -> Outcome:
        """
        Write down what a purchase now is.
        """
        return self.do(cast("Operation[Seller, Any]", purchases.record), purchase_id, now=now)

    def sell(self, purchase_id: str = PURCHASE, *, now: datetime = NOW, **values: Any) -> Outcome:
        """
        Write a purchase and record it.
        """
        self.buy(purchase_id, **values)
        return self.record(purchase_id, now=now)

    def refund(self, purchase_id: str = PURCHASE, *, now: datetime = NOW) -> Outcome:
        """
        Refund a purchase and record that.
        """
        self.change(purchase_id, status="Refunded")
        return self.record(purchase_id, now=now)

    def hear_of_sale(
        self, purchase_id: str | None = PURCHASE, charge_id: str | None = None, *, now: datetime = NOW
    ) -> Outcome:
        """
        Hear from the shop's own event that something was bought.
        """
        return self.do(purchases.record_sale, Reference(purchase_id, charge_id), now=now)

    def hear_of_refund(
        self, purchase_id: str | None = PURCHASE, charge_id: str | None = None, *, now: datetime = NOW
    ) -> Outcome:
        """
        Hear from the shop's own event that something was refunded.
        """
        return self.do(purchases.record_refund, Reference(purchase_id, charge_id), now=now)

    def note_accepted(self, messages: Sequence[Message], *, now: datetime = NOW) -> Outcome:
        """
        Hear that messages were accepted.
        """
        return self.do(purchases.note_accepted, messages, now=now)

    def answer(self, ack: Ack, *, now: datetime = NOW) -> Outcome:
        """
        Hear what a granter answers.
        """
        return self.do(acknowledgements.apply, ack, now=now)

    def rows(self) -> list[CrossAppSync]:
        """
        The ledger.
        """
        with self.database.session() as session:
            order = (CrossAppSync.purchase_id, CrossAppSync.target_app, CrossAppSync.target_product_id)
            return list(session.exec(select(CrossAppSync).order_by(*map(col, order))))

    def row(self) -> CrossAppSync:
        """
        The one row of the ledger.
        """
        [row] = self.rows()
        return row
