"""
Purchases that a sketch peer revokes without naming a product.

A revoked row without product stands for all that the purchase holds, and for what arrives later. Each grant of such a
peer locks it first, so there is one, at version 0, as soon as there is anything to revoke.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from crossapp_ah.operations.owed_hooks import owe
from crossapp_ah.operations.rows import (
    REVOKED,
    Request,
    Row,
    key_of,
    message,
    move,
    new_row,
    revoked,
    source_of,
    version_of,
)
from crossapp_ah.ports import Granter
from crossapp_core.columns import column_of, primary_key
from crossapp_core.errors import UnconfirmedEventError
from crossapp_core.events import BundlePurchased, EntitlementRevoke
from crossapp_core.locking import lock_or_create, locking
from crossapp_core.outcomes import Outcome

_NO_PRODUCT = ""


def withdrawn(session: Session, granter: Granter, request: BundlePurchased) -> Row | None:
    """
    Lock the row of the whole purchase, if its seller is a sketch peer; that row, if the purchase was revoked.
    """
    if request.source_app not in granter.sketches:
        return None
    whole = _locked(session, granter, request)
    return whole if whole is not None and version_of(whole) else None


def revoke(session: Session, granter: Granter, request: EntitlementRevoke, *, now: datetime) -> Outcome:
    """
    Take back all that a purchase granted, or will.

    Raises:
        UnconfirmedEventError: It has granted nothing yet, and the app's own table can't keep that for later.
    """
    whole = _locked(session, granter, request)
    rows = [row for row in _rows_of(session, granter, request) if row.product_id != _NO_PRODUCT]
    if whole is None and not rows:
        raise UnconfirmedEventError(request.purchase_id, "known")
    found = rows if whole is None else [whole, *rows]
    changed = [row for row in found if request.version > version_of(row)]
    for row in changed:
        row.source_version = request.version
        move(row, REVOKED, newer=True)
        owe(granter, row, now=now)
    answers = [revoked(request, str(row.product_id), primary_key(row), version_of(row)) for row in rows]
    if whole is not None and not answers:
        answers = [revoked(request, None, primary_key(whole), version_of(whole))]
    ids = tuple(primary_key(row) for row in found)
    return Outcome(ids, bool(changed), tuple(message(request, answer) for answer in answers))


def _locked(session: Session, granter: Granter, request: Request) -> Row | None:
    key = _key(session, granter, request)
    if key is None:
        return None
    about_all = EntitlementRevoke(
        source_app=request.source_app, purchase_id=request.purchase_id, reason="manual", version=request.version
    )
    return lock_or_create(session, granter.entitlements, key, new_row(granter, about_all, REVOKED))


def _key(session: Session, granter: Granter, request: Request) -> Mapping[str, object] | None:
    # a product of the app's own type may have no empty id, and a foreign key none that refers to nothing
    if column_of(granter.entitlements, "product_id").foreign_keys:
        return None
    return key_of(session, granter, request, _NO_PRODUCT)


def _rows_of(session: Session, granter: Granter, request: Request) -> list[Row]:
    table = granter.entitlements
    query = select(table).where(
        column_of(table, "source_app") == source_of(request),
        column_of(table, "source_purchase_id") == request.purchase_id,
    )
    return list(session.scalars(locking(query.order_by(column_of(table, "product_id")))))
