"""
How a ledger row is put into an event.

A sketch peer knows no versions, and doesn't take back a revoke. So each grant reaches it as a purchase of its own,
`{purchase id}~{version of the grant}`, and it is asked for one change at a time: what it may hold is acknowledged
before it is revoked, and revoked before something else is granted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import cast

from sqlalchemy.orm import object_session
from sqlmodel import Session

from crossapp_core.events import BundlePurchased, EntitlementRevoke
from crossapp_core.outcomes import Message
from crossapp_tt.operations import buyers
from crossapp_tt.operations.rows import Reason, Row, next_attempt, settle
from crossapp_tt.ports import Seller
from crossapp_tt.tables import Desired, SyncStatus

LONGEST_SKETCH_ID = 176
"""Characters of a purchase's id that leave room for a version."""

LONGEST_ERROR = 500
"""Characters of what the ledger says of a message that wasn't sent."""

_SKETCH_ID = re.compile(r"(.+)~([1-9][0-9]{0,15})", re.DOTALL)


def owed(seller: Seller, rows: Iterable[Row], *, now: datetime) -> tuple[Message, ...]:
    """
    The events of those rows that aren't acknowledged.

    One that was accepted before is another attempt: Inngest would drop the same id for 24 hours.
    """
    unacknowledged = [row for row in rows if row.status in (SyncStatus.PENDING, SyncStatus.FAILED)]
    waiting = [row for row in unacknowledged if not settle_unheard(seller, row, now=now)]
    for row in waiting:
        if row.accepted_version == row.version:
            row.retry_count += 1
            row.next_attempt_at = next_attempt(row, now)
    return tuple(message_of(seller, row) for row in waiting)


def settle_unheard(seller: Seller, row: Row, *, now: datetime) -> bool:
    """
    Have a row be done that a sketch peer is to lock and never was told to unlock: there is nothing to name to it.
    """
    if row.target_app not in seller.sketches or row.desired != Desired.REVOKED or row.grant_version:
        return False
    settle(row, SyncStatus.REVOKED, now=now)
    return True


def is_unsent(row: Row) -> bool:
    """
    Whether no peer's Inngest has accepted what the row wants now.
    """
    return row.status == SyncStatus.PENDING and row.accepted_version < row.version


def message_of(seller: Seller, row: Row) -> Message:
    """
    The event that says what is wanted; to a sketch peer, the next one on the way there.
    """
    if row.target_app in seller.sketches:
        return _sketch_message(seller, row)
    event = _grant(row, row.purchase_id) if row.desired == Desired.GRANTED else revocation(row, row.purchase_id)
    return Message(row.target_app, event, row.retry_count)


def version_of(message: Message) -> int | None:
    """
    The version that an event tells of.
    """
    return getattr(message.event, "version", None)


def revocation(row: Row, purchase_id: str) -> EntitlementRevoke:
    """
    The event that takes back what a row granted, as the purchase that the peer knows.
    """
    reason = "transferred" if row.desired == Desired.GRANTED else row.reason or "manual"
    return EntitlementRevoke(
        purchase_id=purchase_id,
        product_id=row.target_product_id,
        reason=cast("Reason", reason),
        version=row.version,
    )


def sketch_id(purchase_id: str, grant_version: int) -> str:
    """
    The id under which a sketch peer knows a grant.
    """
    return f"{purchase_id}~{grant_version}" if grant_version else purchase_id


def read_sketch_id(id_: str) -> tuple[str, int]:
    """
    The purchase and the version of the grant that `sketch_id` made an id of; version 0 if it didn't.
    """
    match = _SKETCH_ID.fullmatch(id_)
    return (match[1], int(match[2])) if match else (id_, 0)


def _sketch_message(seller: Seller, row: Row) -> Message:
    if row.desired == Desired.GRANTED and not row.grant_version:
        row.grant_version, row.target_entitlement_id = row.version, None
    id_ = sketch_id(row.purchase_id, row.grant_version)
    is_wanted = row.desired == Desired.GRANTED and row.grant_version == row.version
    # only an acknowledged grant can't overtake its revoke, so until then it is granted again
    in_flight = bool(row.grant_version) and row.target_entitlement_id is None
    if not (is_wanted or in_flight):
        return Message(row.target_app, revocation(row, id_), row.retry_count)
    return Message(row.target_app, _grant(row, id_, linked_user_id=_linked_user(seller, row)), row.retry_count)


def _linked_user(seller: Seller, row: Row) -> str | None:
    # a library peer looks at its own links, a sketch peer believes what it is told
    session = object_session(row)
    return None if session is None else buyers.linked_user(cast("Session", session), seller, row)


def _grant(row: Row, purchase_id: str, *, linked_user_id: str | None = None) -> BundlePurchased:
    return BundlePurchased(
        purchase_id=purchase_id,
        product_id=row.target_product_id,
        buyer_email=row.buyer_email,
        buyer_user_id=row.buyer_user_id,
        linked_user_id=linked_user_id,
        bundle_product_id=row.bundle_product_id,
        purchased_at=row.purchased_at,
        quiet=row.quiet or None,
        version=row.version,
    )
