"""
What the ledger doesn't say of a purchase yet: found by looking, with plain columns and without a lock.

Whatever is found is decided again by the operation that the live events use, which locks the purchase first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Row as SqlRow
from sqlalchemy import Select, select
from sqlmodel import Session

from crossapp_core.columns import column_of
from crossapp_core.errors import CatalogError
from crossapp_tt.catalog import Component
from crossapp_tt.operations import buyers
from crossapp_tt.operations.ownership import decided
from crossapp_tt.operations.rows import Known, Row, buyer_of, components_of, dropped_of, is_another, is_held
from crossapp_tt.ports import Purchase, Seller
from crossapp_tt.tables import Desired

_COLUMNS = (
    *("purchase_id", "target_app", "target_product_id", "desired"),
    *("reason", "bundle_product_id", "buyer_user_id", "buyer_email"),
)


class FindingKind(StrEnum):
    """
    How a purchase and the ledger differ.
    """

    MISSED_SALE = "missed-sale"
    """It is owned, and isn't granted."""
    MISSED_REFUND = "missed-refund"
    """It isn't owned any more, and is granted."""
    TRANSFERRED = "transferred"
    """It has another buyer."""
    DELETED = "deleted"
    """It is gone, and still granted."""
    SNAPSHOT_CHANGED = "snapshot-changed"
    """The app's copy of what was sold holds something else now."""
    BUYER_NAMED = "buyer-named"
    """It was a guest's, whose user is known now."""


@dataclass(frozen=True)
class Finding:
    """
    One purchase of which the ledger says something else.
    """

    kind: FindingKind
    purchase_id: str
    rows: int = 0
    """From how many rows of the ledger it takes access away."""
    is_new: bool = False
    """Whether the ledger has never heard of it."""


class Bundles:
    """
    What bundles hold, each looked up once.
    """

    def __init__(self, session: Session, seller: Seller) -> None:
        self._session, self._seller = session, seller
        self._known: dict[tuple[str, object], tuple[Component, ...] | CatalogError] = {}

    def of(self, purchase: Purchase, rows: Sequence[Known]) -> tuple[Component, ...]:
        """
        What a purchase's bundle held.

        Raises:
            CatalogError: It can't be read.
        """
        kept = purchase.bundle_products
        if kept is None and any(row.bundle_product_id is not None for row in rows):
            return components_of(self._session, self._seller, purchase, rows)
        key = purchase.product_id, kept if kept is None or isinstance(kept, str) else _text(kept)
        if key not in self._known:
            try:
                self._known[key] = components_of(self._session, self._seller, purchase, ())
            except CatalogError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, CatalogError):
            raise found
        return found


def find(
    session: Session, seller: Seller, bundles: Bundles, purchase: Purchase, rows: Sequence[Known]
) -> Finding | None:
    """
    How the ledger's rows of a purchase differ from what the purchase says; None if they don't.

    Raises:
        CatalogError: What the bundle holds can't be read.
    """
    if _is_plainly_right(purchase, rows):
        return None
    purchase = decided(session, seller, purchase)
    granted = [row for row in rows if row.desired == Desired.GRANTED]
    if not purchase.owned:
        return Finding(FindingKind.MISSED_REFUND, purchase.id, len(granted)) if granted else None
    components = bundles.of(purchase, rows)
    if not rows:
        return Finding(FindingKind.MISSED_SALE, purchase.id, is_new=True) if components else None
    by_component = {Component(row.target_app, row.target_product_id): row for row in rows}
    wanted = [by_component.get(component) for component in components]
    dropped = len(dropped_of(granted, components))
    if kind := _kind_of_buyer(session, seller, purchase, rows, wanted):
        return Finding(kind, purchase.id, len(granted) if kind == FindingKind.TRANSFERRED else dropped)
    missing = [row for row in wanted if row is None or (row.desired == Desired.REVOKED and not is_held(row))]
    was_sold = purchase.bundle_products is None or any(row and row.bundle_product_id for row in missing)
    if missing and was_sold:
        return Finding(FindingKind.MISSED_SALE, purchase.id, dropped)
    return Finding(FindingKind.SNAPSHOT_CHANGED, purchase.id, dropped) if missing or dropped else None


def known_of(rows: Iterable[SqlRow[Any]]) -> Iterator[Known]:
    """
    What `columns` selects, as what it is.
    """
    return cast("Iterator[Known]", iter(rows))


def columns(ledger: type[Row]) -> Select[Any]:
    """
    The columns of the ledger by which a row is compared.
    """
    return select(*(column_of(ledger, name).label(name) for name in _COLUMNS))


def _is_plainly_right(purchase: Purchase, rows: Sequence[Known]) -> bool:
    # nearly all are, so this is what a sweep costs
    user_id = purchase.user_id
    if purchase.owned is not True or user_id is None or purchase.partially_refunded or not rows:
        return False
    if purchase.bundle_products is not None:
        return False
    for row in rows:
        if row.desired != "granted" or row.buyer_user_id != user_id or row.bundle_product_id is None:
            return False
    return True


def _kind_of_buyer(
    session: Session, seller: Seller, purchase: Purchase, rows: Sequence[Known], wanted: Iterable[Known | None]
) -> FindingKind | None:
    granted = [row for row in wanted if row is not None and row.desired == Desired.GRANTED]
    if not granted:
        return None
    named = buyers.named(session, seller, purchase, cast("Sequence[Row]", rows))
    others = [row for row in granted if is_another(row, buyer_of(row, named))]
    if not others:
        return None
    # that a guest has a name now takes nothing from anybody
    is_transfer = any(row.buyer_user_id is not None or named.user_id is None for row in others)
    return FindingKind.TRANSFERRED if is_transfer else FindingKind.BUYER_NAMED


def _text(kept: object) -> str:
    try:
        return json.dumps(kept, sort_keys=True)
    except (TypeError, ValueError):
        return repr(kept)
