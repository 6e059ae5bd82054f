"""
What an operator decides about a sale, whatever the app's database says of it.

A *hold* is a row that was sold and is revoked for the reason `manual`. Only an operator lifts it: neither events nor
the sweep give back what somebody has taken away by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from crossapp_core.outcomes import Outcome
from crossapp_tt.catalog import Component
from crossapp_tt.operations import purchases
from crossapp_tt.operations.messages import owed
from crossapp_tt.operations.ownership import reason_of
from crossapp_tt.operations.rows import (
    Row,
    components_of,
    describe,
    is_held,
    locked_purchase,
    row_for,
    rows_of,
    want_revoked,
)
from crossapp_tt.ports import Purchase, Seller


@dataclass(frozen=True)
class Target:
    """
    What an operator speaks of.
    """

    purchase_id: str
    product_id: str | None = None
    """One product of the bundle; all of them if None."""


def revoke(session: Session, seller: Seller, target: Target, /, *, now: datetime) -> Outcome:
    """
    Take back what was sold, until it is restored. Doing it again changes nothing.

    Raises:
        CatalogError: What the bundle holds can't be read.
    """
    purchase = locked_purchase(session, seller, target.purchase_id)
    components = _sold(session, seller, target, purchase)
    rows = [row_for(session, seller, target.purchase_id, component, now) for component in components]
    changed = [_hold(row, purchase, now) for row in rows]
    return Outcome(tuple(row.id for row in rows), any(changed), owed(seller, rows, now=now))


def restore(session: Session, seller: Seller, target: Target, /, *, now: datetime) -> Outcome:
    """
    Lift the holds on what was sold: it is unlocked again if the purchase is owned.

    Raises:
        CatalogError: What the bundle holds can't be read.
    """
    purchase = locked_purchase(session, seller, target.purchase_id)
    known = rows_of(session, seller, target.purchase_id, locked=True)
    held = [row for row in known if is_held(row) and target.product_id in (None, row.target_product_id)]
    if not held:
        return Outcome()
    for row in held:
        row.reason = reason_of(purchase)
    session.flush()  # the rows are read once more
    rows, _ = purchases.decide(session, seller, target.purchase_id, purchase, now=now)
    return Outcome(tuple(row.id for row in held), True, owed(seller, rows, now=now))


def _sold(session: Session, seller: Seller, target: Target, purchase: Purchase | None) -> Sequence[Component]:
    known = rows_of(session, seller, target.purchase_id, locked=False)
    if purchase is not None and purchase.owned:
        sold = components_of(session, seller, purchase, known)
    else:
        rows = [row for row in known if row.bundle_product_id is not None]
        sold = tuple(Component(row.target_app, row.target_product_id) for row in rows)
    return [component for component in sold if target.product_id in (None, component.product_id)]


def _hold(row: Row, purchase: Purchase | None, now: datetime) -> bool:
    if is_held(row):
        return False
    if purchase is not None and row.bundle_product_id is None:
        describe(row, purchase)
    want_revoked(row, "manual", now=now)
    row.reason = "manual"
    return True
