"""
A shop and a school on one database, and what their functions do there: an operation as one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from crossapp_ah.operations import entitlements
from crossapp_core.database import Database as Transactions
from crossapp_core.events import BundlePurchased, EntitlementGranted, EntitlementRevoke
from crossapp_core.flavours import run_sync
from crossapp_tt.operations import acknowledgements, purchases
from tests.ah.school import BUYER, COURSE, link, school
from tests.databases import Database
from tests.hosts import NOW, ShopPurchase
from tests.tt.shop import BUNDLE, SCHOOL, SHOP, Shop

NAMES = ("record", "ack", "grant", "revoke")
"""What is done to a purchase, in this order."""

LATER = NOW + timedelta(minutes=1)
VERSION = round(NOW.timestamp() * 1000)
"""What the sale of a purchase is numbered with."""


class Hosts:
    """
    Both apps, of which the school knows the one buyer.
    """

    def __init__(self, database: Database) -> None:
        self._shop = Shop(database)
        self._school = school(database)
        self._school.add(link())
        self._transactions = Transactions(database.engine)

    def prepare(self, purchase_ids: Iterable[str]) -> None:
        """
        Have sold the bundle so often, without a word about it yet.
        """
        self._shop.add(*(_sold(id_) for id_ in purchase_ids))

    def record(self, purchase_id: str) -> None:
        """
        Record a sale.
        """
        run_sync(self._transactions.transact(purchases.record, self._shop.seller, purchase_id, now=NOW))

    def ack(self, purchase_id: str) -> None:
        """
        Hear that it is unlocked.
        """
        fact = EntitlementGranted(
            source_app=SCHOOL,
            source_purchase_id=purchase_id,
            product_id=COURSE,
            entitlement_id="ent_1",
            user_id="school-ada",
            status="active",
            version=VERSION,
        )
        run_sync(self._transactions.transact(acknowledgements.apply, self._shop.seller, fact, now=NOW))

    def grant(self, purchase_id: str) -> None:
        """
        Unlock it for somebody whose accounts are linked.
        """
        fact = BundlePurchased(
            source_app=SHOP,
            purchase_id=purchase_id,
            product_id=COURSE,
            buyer_email="ada@example.com",
            buyer_user_id=BUYER,
            version=VERSION,
        )
        run_sync(self._transactions.transact(entitlements.grant, self._school.granter, fact, now=NOW))

    def revoke(self, purchase_id: str) -> None:
        """
        Lock it again.
        """
        fact = EntitlementRevoke(
            source_app=SHOP, purchase_id=purchase_id, product_id=COURSE, reason="refunded", version=VERSION + 1
        )
        later = NOW + timedelta(hours=1)
        run_sync(self._transactions.transact(entitlements.revoke, self._school.granter, fact, now=later))


def _sold(purchase_id: str) -> ShopPurchase:
    return ShopPurchase(id=purchase_id, user_id=BUYER, email="ada@example.com", product_id=BUNDLE)
