"""
What becomes of the ledger when a granter answers.

An ack counts for the version that it names. Acks of one version merge in any order: a known user is never forgotten,
and success beats failure. A larger version than ours says that we have lost memory, so we say anew what we want.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeAlias

from sqlalchemy import select
from sqlmodel import Session

from crossapp_core.columns import column_of
from crossapp_core.errors import EventRejectedError
from crossapp_core.events import EntitlementFailed, EntitlementGranted, EntitlementRevoked
from crossapp_core.locking import lock
from crossapp_core.outcomes import Outcome
from crossapp_tt.catalog import Component
from crossapp_tt.operations.rows import (
    Row,
    components_of,
    key_of,
    message_of,
    move,
    next_attempt,
    number,
    row_for,
    rows_of,
    want_granted,
)
from crossapp_tt.ports import Purchase, Seller
from crossapp_tt.tables import Desired, SyncStatus

Ack: TypeAlias = EntitlementGranted | EntitlementRevoked | EntitlementFailed
"""What a granter answers."""

USER_GONE = "user-gone"
"""The one failure that beats success: who holds the entitlement must be decided anew."""


def apply(session: Session, seller: Seller, ack: Ack, /, *, now: datetime) -> Outcome:
    """
    Write down what a granter answered.

    Raises:
        EventRejectedError: The component is another app's (`direction`), or the answer contradicts what was asked for
            at that version (`state`).
    """
    purchase = seller.purchases.get(session, ack.source_purchase_id, lock=True)
    component = Component(ack.source_app or "", ack.product_id)
    row = lock(session, seller.ledger, key_of(ack.source_purchase_id, component))
    if row is None or ack.version > row.version:
        return _state_anew(session, seller, ack, component, purchase, now)
    if ack.version < row.version:
        return Outcome((row.id,))
    if isinstance(ack, EntitlementFailed):
        return _failed(row, ack, now)
    return _done(row, ack, now)


def _done(row: Row, ack: EntitlementGranted | EntitlementRevoked, now: datetime) -> Outcome:
    granted = isinstance(ack, EntitlementGranted)
    if granted != (row.desired == Desired.GRANTED):
        detail = f"{ack.name} answers version {ack.version} of {row.id}, which wants it {row.desired}"
        raise EventRejectedError("state", detail)
    before = row.model_dump()
    status = SyncStatus.SYNCED if granted else SyncStatus.REVOKED
    if row.status != status:
        move(row, status)
        row.synced_at, row.revoked_at = (now, None) if granted else (row.synced_at, now)
        row.next_attempt_at = row.error_code = row.error_message = None
    row.target_entitlement_id = ack.entitlement_id or row.target_entitlement_id
    if isinstance(ack, EntitlementGranted):
        row.target_user_id = ack.user_id or row.target_user_id
    return Outcome((row.id,), row.model_dump() != before)


def _failed(row: Row, ack: EntitlementFailed, now: datetime) -> Outcome:
    if ack.code == USER_GONE and row.desired == Desired.GRANTED:
        number(row, Desired.GRANTED, now=now)
        return Outcome((row.id,), True, (message_of(row),))
    if row.status not in (SyncStatus.PENDING, SyncStatus.FAILED):
        return Outcome((row.id,))
    if row.status == SyncStatus.PENDING:
        move(row, SyncStatus.FAILED)
    row.error_code, row.error_message = ack.code, ack.message
    row.next_attempt_at = next_attempt(row, now)
    return Outcome((row.id,), True)


def _state_anew(
    session: Session, seller: Seller, ack: Ack, component: Component, purchase: Purchase | None, now: datetime
) -> Outcome:
    known = rows_of(session, seller, ack.source_purchase_id, locked=False)
    sold = components_of(session, seller, purchase, known) if purchase is not None and purchase.owned else ()
    if component not in sold and _is_of_another_app(session, seller, ack):
        detail = f"{ack.source_app} answers for {ack.product_id} of {ack.source_purchase_id}, which is another app's"
        raise EventRejectedError("direction", detail)
    row = row_for(session, seller, ack.source_purchase_id, component, now)
    if purchase is not None and component in sold:
        want_granted(row, purchase, now=now)
        number(row, Desired.GRANTED, now=now, above=ack.version)
    else:
        row.reason = row.reason or ("refunded" if purchase is not None and not purchase.owned else "manual")
        number(row, Desired.REVOKED, now=now, above=ack.version)
    return Outcome((row.id,), True, (message_of(row),))


def _is_of_another_app(session: Session, seller: Seller, ack: Ack) -> bool:
    ledger = seller.ledger
    query = select(column_of(ledger, "target_app")).where(
        column_of(ledger, "purchase_id") == ack.source_purchase_id,
        column_of(ledger, "target_product_id") == ack.product_id,
    )
    apps = set(session.scalars(query))
    return bool(apps) and ack.source_app not in apps
