"""
A school that gives access, by its operations alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import inngest
from sqlmodel import col, select

import crossapp_ah as ah
from crossapp_ah.models import AccountLink, Entitlement
from crossapp_ah.operations import entitlements
from crossapp_ah.ports import Granter
from crossapp_core.events import BundlePurchased, EntitlementRevoke, Event
from crossapp_core.outcomes import Outcome
from crossapp_core.runtime import Operation
from tests.databases import Database
from tests.hosts import NOW, SchoolProduct, school_settings

SHOP = "total-typescript"
BUYER = "shop-ada"
ADA = "school-ada"
COURSE = "prod_9"
ID = "ent_be9eedf0a6448e907e99328e77cb3460"
"""The id of the entitlement from `pur_1` to `prod_9`, for ever."""
CLIENT = inngest.Inngest(app_id="ai-hero", is_production=False)
"""One for all: each loads the system's certificates."""


def sale(version: int = 1, **changes: Any) -> BundlePurchased:
    """
    A sale to Ada, as the shop tells it.
    """
    fields: dict[str, Any] = {
        "source_app": SHOP,
        "purchase_id": "pur_1",
        "product_id": COURSE,
        "buyer_email": "ada@example.com",
        "buyer_user_id": BUYER,
    }
    return BundlePurchased(**(fields | changes), version=version)


def refund(version: int = 2, **changes: Any) -> EntitlementRevoke:
    """
    The refund of that sale, as the shop tells it.
    """
    fields: dict[str, Any] = {
        "source_app": SHOP,
        "purchase_id": "pur_1",
        "product_id": COURSE,
        "reason": "refunded",
    }
    return EntitlementRevoke(**(fields | changes), version=version)


def link(user_id: str = ADA, buyer: str = BUYER, **changes: Any) -> AccountLink:
    """
    The link of an account in the school with one in the shop.
    """
    fields: dict[str, Any] = {
        "id": f"link-{user_id}-{buyer}",
        "user_id": user_id,
        "linked_app": SHOP,
        "linked_user_id": buyer,
        "link_method": "explicit",
        "linked_at": NOW,
        "version": 3,
    }
    return AccountLink(**(fields | changes))


def said(outcome: Outcome) -> Event:
    """
    The one event that is to be sent to the shop.
    """
    [message] = outcome.messages
    assert (message.target, message.attempt) == (SHOP, 0)
    return message.event


@dataclass
class School:
    """
    A school on one of the databases; each call is a transaction.
    """

    database: Database
    granter: Granter

    def add(self, *rows: object) -> None:
        """
        Write rows.
        """
        with self.database.session() as session:
            session.add_all(rows)

    def do(self, operation: Operation[Granter, Any], request: Event, *, now: datetime = NOW) -> Outcome:
        """
        Do any operation.
        """
        with self.database.session() as session:
            return operation(session, self.granter, request, now=now)

    def grant(self, request: BundlePurchased, *, now: datetime = NOW) -> Outcome:
        """
        Hear of a sale.
        """
        return self.do(entitlements.grant, request, now=now)

    def look_again(self, request: BundlePurchased, *, now: datetime = NOW) -> Outcome:
        """
        Look for the link of a sale's buyer.
        """
        return self.do(entitlements.look_again, request, now=now)

    def revoke(self, request: EntitlementRevoke, *, now: datetime = NOW) -> Outcome:
        """
        Hear of a refund.
        """
        return self.do(entitlements.revoke, request, now=now)

    def unlink(self, user_id: str = ADA, buyer: str = BUYER) -> None:
        """
        Remove a link, whose row stays.
        """
        with self.database.session() as session:
            row = session.get_one(AccountLink, f"link-{user_id}-{buyer}")
            row.unlinked_at = NOW
            row.version += 1

    @property
    def rows(self) -> Sequence[Entitlement]:
        """
        All entitlements, in the order of their sources.
        """
        table = cast("type[Entitlement]", self.granter.entitlements)
        with self.database.session() as session:
            query = select(table).order_by(col(table.source_app), col(table.source_purchase_id), col(table.product_id))
            return session.exec(query).all()

    @property
    def row(self) -> Entitlement:
        """
        The one entitlement.
        """
        [row] = self.rows
        return row

    def opens(self, user_id: str = ADA, product_id: str = COURSE) -> bool:
        """
        Whether somebody may use a product.
        """
        with self.database.session() as session:
            return ah.has_access(session, user_id, product_id, entitlements=self.granter.entitlements)


def school(database: Database, **options: Any) -> School:
    """
    A school with two courses, made by the bridge with *options*.
    """
    defaults: dict[str, Any] = {"products": ah.TableProducts(SchoolProduct), "settings": school_settings()}
    bridge = ah.Bridge(CLIENT, database.engine, **(defaults | options))
    made = School(database, bridge.host)
    made.add(SchoolProduct(id=COURSE), SchoolProduct(id="prod_10"))
    return made
