"""
What becomes of the ledger when a granter answers.

An ack counts for the version that it names. Acks of one version merge in any order: a known user is never forgotten,
and success beats failure. A larger version than ours says that we have lost memory, so we say anew what we want.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

from sqlmodel import Session

from crossapp_core.errors import EventRejectedError
from crossapp_core.events import LARGEST_INTEGER, EntitlementFailed, EntitlementGranted, EntitlementRevoked
from crossapp_core.locking import lock
from crossapp_core.outcomes import Outcome
from crossapp_tt.catalog import Component
from crossapp_tt.operations import buyers
from crossapp_tt.operations.messages import is_unsent, message_of
from crossapp_tt.operations.rows import (
    Row,
    components_of,
    in_order,
    is_held,
    key_of,
    locked_purchase,
    move,
    next_attempt,
    number,
    row_for,
    rows_of,
    settle,
    want_granted,
)
from crossapp_tt.ports import Purchase, Seller
from crossapp_tt.tables import Desired, SyncStatus

Ack: TypeAlias = EntitlementGranted | EntitlementRevoked | EntitlementFailed
"""What a granter answers."""

USER_GONE = "user-gone"
"""The one failure that beats success: who holds the entitlement must be decided anew."""

_HIGHEST = LARGEST_INTEGER // 2  # a peer that claimed the last number would leave none for the refund


def apply(session: Session, seller: Seller, ack: Ack, /, *, now: datetime) -> Outcome:
    """
    Write down what a granter answered.

    Raises:
        EventRejectedError: The component is another app's (`direction`), or the answer contradicts what was asked for
            at that version, or leaves no room for later versions (`state`).
        CatalogError: The ledger has lost what the bundle held, and its product can't be read.
    """
    if ack.version > _HIGHEST:
        raise EventRejectedError("state", f"{ack.name} answers version {ack.version}, which nobody ever asked for")
    purchase = locked_purchase(session, seller, ack.source_purchase_id)
    component = Component(ack.source_app or "", ack.product_id or "")
    row = lock(session, seller.ledger, key_of(ack.source_purchase_id, component))
    if row is None or ack.version > row.version:
        return _state_anew(session, seller, ack, component, purchase, now)
    if ack.version < row.version:
        # perhaps this answer itself has raised the version, and the process died before that was sent
        unsent = rows_of(session, seller, ack.source_purchase_id, locked=False)
        return Outcome((row.id,), False, tuple(message_of(seller, each) for each in unsent if is_unsent(each)))
    if isinstance(ack, EntitlementFailed):
        return _failed(seller, row, ack, now)
    return _done(session, seller, row, ack, now)


def _done(
    session: Session, seller: Seller, row: Row, ack: EntitlementGranted | EntitlementRevoked, now: datetime
) -> Outcome:
    granted = isinstance(ack, EntitlementGranted)
    if granted != (row.desired == Desired.GRANTED):
        detail = f"{ack.name} answers version {ack.version} of {row.id}, which wants it {row.desired}"
        raise EventRejectedError("state", detail)
    before, asked = row.model_dump(), row.next_attempt_at if row.status == SyncStatus.SYNCED else None
    settle(row, SyncStatus.SYNCED if granted else SyncStatus.REVOKED, now=now)
    row.target_entitlement_id = ack.entitlement_id or row.target_entitlement_id
    if isinstance(ack, EntitlementGranted):
        row.target_user_id = ack.user_id or row.target_user_id
        if row.target_user_id is None and buyers.is_linked(session, seller, row):
            row.next_attempt_at = asked or next_attempt(row, now)  # it was answered before it was claimed
    return Outcome((row.id,), row.model_dump() != before)


def _failed(seller: Seller, row: Row, ack: EntitlementFailed, now: datetime) -> Outcome:
    if ack.code == USER_GONE and row.desired == Desired.GRANTED:
        number(row, Desired.GRANTED, now=now)
        return Outcome((row.id,), True, (message_of(seller, row),))
    before = row.model_dump()
    if row.status == SyncStatus.PENDING:
        move(row, SyncStatus.FAILED)
        row.next_attempt_at = next_attempt(row, now)
    if row.status == SyncStatus.FAILED:
        row.error_code, row.error_message = ack.code, ack.message
    return Outcome((row.id,), row.model_dump() != before)


def _state_anew(
    session: Session, seller: Seller, ack: Ack, component: Component, purchase: Purchase | None, now: datetime
) -> Outcome:
    known = rows_of(session, seller, ack.source_purchase_id, locked=False)
    owned = buyers.named(session, seller, purchase, known) if purchase is not None and purchase.owned else None
    sold = components_of(session, seller, owned, known) if owned else ()
    # one that says it holds something is told to lock it, whoever it is: its row may be what was lost
    if component not in sold and not isinstance(ack, EntitlementGranted) and _is_of_another_app(known, ack):
        detail = f"{ack.source_app} answers for {ack.product_id} of {ack.source_purchase_id}, which is another app's"
        raise EventRejectedError("direction", detail)
    # the whole bundle: if all of it is lost, the rows that there are will say from now on what was sold
    rows = {each: row_for(session, seller, ack.source_purchase_id, each, now) for each in in_order({*sold, component})}
    stated = {each for each in sold if owned and want_granted(rows[each], owned, now=now)} | {component}
    row = rows[component]
    wanted = component in sold and not is_held(row)
    if not wanted:
        row.reason = row.reason or ("refunded" if purchase is not None and owned is None else "manual")
    number(row, Desired.GRANTED if wanted else Desired.REVOKED, now=now, above=ack.version)
    ids = tuple(rows[each].id for each in rows if each in stated)
    return Outcome(ids, True, tuple(message_of(seller, rows[each]) for each in rows if each in stated))


def _is_of_another_app(known: Iterable[Row], ack: Ack) -> bool:
    apps = {row.target_app for row in known if row.target_product_id == ack.product_id}
    return bool(apps) and ack.source_app not in apps
