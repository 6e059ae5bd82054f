"""
How an entitlement's row is found, moved and put into an answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import TypeAlias

from sqlalchemy import ColumnElement, and_, or_, select
from sqlmodel import Session

from crossapp_ah.ports import Granter
from crossapp_ah.tables import CrossAppEntitlementMixin, EntitlementStatus, may_become
from crossapp_core.columns import column_of, primary_key, stored_id, table_of
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import BundlePurchased, EntitlementGranted, EntitlementRevoke, EntitlementRevoked, Event
from crossapp_core.locking import locking
from crossapp_core.outcomes import Message, Outcome

Row: TypeAlias = CrossAppEntitlementMixin
Request: TypeAlias = BundlePurchased | EntitlementRevoke

ACTIVE, PENDING, REVOKED = EntitlementStatus.ACTIVE, EntitlementStatus.PENDING, EntitlementStatus.REVOKED


def key_of(session: Session, granter: Granter, request: Request, product_id: str) -> Mapping[str, object] | None:
    """
    What identifies the row of a request and product, by attribute; None if the app's ids can't name the product.
    """
    stored = stored_id(session, column_of(granter.entitlements, "product_id"), product_id)
    if stored is None:
        return None
    return {"source_app": source_of(request), "source_purchase_id": request.purchase_id, "product_id": stored}


def find(session: Session, granter: Granter, id_: str) -> Row | None:
    """
    The row with that id, as it stands in events, without locking it.
    """
    query = select(granter.entitlements).where(has_id(session, granter, [id_]))
    return next((row for row in session.scalars(query) if primary_key(row) == id_), None)


def lock_all(session: Session, granter: Granter, ids: Collection[str]) -> Sequence[Row]:
    """
    Lock the rows with those ids, in the order of these.
    """
    if not ids:
        return ()
    query = select(granter.entitlements).where(has_id(session, granter, ids))
    rows = session.scalars(locking(query.order_by(*table_of(granter.entitlements).primary_key)))
    wanted = frozenset(ids)
    return [row for row in rows if primary_key(row) in wanted]


def has_id(session: Session, granter: Granter, ids: Collection[str]) -> ColumnElement[bool]:
    """
    Whether a row has one of the ids, which stand in events as `primary_key` writes them.
    """
    keys = list(table_of(granter.entitlements).primary_key)
    if len(keys) == 1:
        values = [stored_id(session, keys[0], id_) for id_ in ids]
        return keys[0].in_([value for value in values if value is not None])
    found = [
        and_(*(key == value for key, value in zip(keys, values, strict=True)))
        for id_ in ids
        for parts in _split(id_, len(keys))
        if None not in (values := [stored_id(session, *pair) for pair in zip(keys, parts, strict=True)])
    ]
    return or_(*found) if found else keys[0].in_([])


def source_of(request: Request) -> str:
    """
    The app that sold it; null would be that of the app's own rows.

    Raises:
        EventRejectedError: The request names none.
    """
    if request.source_app is None:
        raise EventRejectedError("source", f"{request.name} names no sourceApp")
    return request.source_app


def new_row(granter: Granter, request: Request, status: EntitlementStatus) -> Mapping[str, object]:
    """
    What a new row holds. Version 0 is older than any request: the caller decides what becomes of it.
    """
    return {**granter.new_row(request), "status": status, "source_version": 0}


def version_of(row: Row) -> int:
    """
    The version of its source that a row shows.
    """
    return row.source_version or 0


def move(row: Row, status: EntitlementStatus, *, newer: bool) -> None:
    """
    Change the status of a row as its life cycle allows.
    """
    if not may_become(EntitlementStatus(row.status or ""), status, newer=newer):
        msg = f"an entitlement that is {row.status} can't become {status} at the same version"
        raise AssertionError(msg)
    row.status = status


def stored(row: Row, request: Request, *, changed: bool = False) -> Outcome:
    """
    The outcome that answers with what is stored.
    """
    answer = answer_of(row, request.purchase_id, request.product_id or "")
    return Outcome((primary_key(row),), changed, (message(request, answer),))


def revoked(request: Request, product_id: str | None, entitlement_id: str | None, version: int) -> EntitlementRevoked:
    """
    The answer that a product is locked.
    """
    return EntitlementRevoked(
        source_purchase_id=request.purchase_id,
        product_id=product_id,
        entitlement_id=entitlement_id,
        version=version,
    )


def message(request: Request, event: Event) -> Message:
    """
    An answer on its way to the seller.
    """
    return Message(source_of(request), event)


def _split(id_: str, count: int) -> Iterator[tuple[str, ...]]:
    # a part may hold the sign that stands between them, so each way to split is looked up
    places = [place for place, sign in enumerate(id_) if sign == ":"]
    for cuts in combinations(places, count - 1):
        yield tuple(id_[start + 1 : end] for start, end in pairwise([-1, *cuts, len(id_)]))


def answer_of(row: Row, purchase_id: str, product_id: str) -> EntitlementGranted | EntitlementRevoked:
    """
    The answer that tells the seller what a row holds.
    """
    if row.status == REVOKED:
        return EntitlementRevoked(
            source_purchase_id=purchase_id,
            product_id=product_id,
            entitlement_id=primary_key(row),
            version=version_of(row),
        )
    return EntitlementGranted(
        source_purchase_id=purchase_id,
        product_id=product_id,
        entitlement_id=primary_key(row),
        user_id=None if row.user_id is None else str(row.user_id),
        status="active" if row.status == ACTIVE else "pending",
        version=version_of(row),
    )
