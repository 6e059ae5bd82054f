"""
What becomes of the ledger when a sketch peer answers.

Its answers name no version of ours, and perhaps no product: what they are about stands in the purchase's id, as
`messages` wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from crossapp_core.errors import EventRejectedError
from crossapp_core.outcomes import Message, Outcome
from crossapp_tt.operations.messages import message_of, owed, read_sketch_id, revocation, sketch_id
from crossapp_tt.operations.rows import Row, locked_purchase, number, rows_of, settle
from crossapp_tt.ports import Seller
from crossapp_tt.tables import Desired, SyncStatus


@dataclass(frozen=True)
class Answer:
    """
    An acknowledgement as a sketch peer sends it.
    """

    source_app: str
    source_purchase_id: str
    """The id that we had sent."""
    granted: bool
    """Whether it is about a grant, or about a revoke."""
    product_id: str | None = None
    entitlement_id: str | None = None
    user_id: str | None = None


def apply(session: Session, seller: Seller, answer: Answer, /, *, now: datetime) -> Outcome:
    """
    Write down what a sketch peer answered, and say what it is to do next.

    Raises:
        EventRejectedError: It is about nothing that it was ever asked for (`state`).
    """
    purchase_id, version = read_sketch_id(answer.source_purchase_id)
    locked_purchase(session, seller, purchase_id)
    known = rows_of(session, seller, purchase_id, locked=True)
    rows = [row for row in known if row.target_app == answer.source_app]
    row = _meant(rows, answer, version)
    if row is None or version > row.version:
        detail = f"{answer.source_app} answers {answer.source_purchase_id}, which it was never asked for"
        raise EventRejectedError("state", detail)
    before = row.model_dump()
    if version != row.grant_version:
        messages = _of_older_grant(seller, row, answer, version, now)
    elif answer.granted:
        messages = _granted(seller, row, answer, now)
    else:
        messages = _revoked(seller, row, now, above=max(row.version for row in rows))
    return Outcome((row.id,), row.model_dump() != before, messages)


def _granted(seller: Seller, row: Row, answer: Answer, now: datetime) -> tuple[Message, ...]:
    row.target_entitlement_id = answer.entitlement_id
    row.target_user_id = answer.user_id or row.target_user_id
    if row.desired == Desired.GRANTED and row.grant_version == row.version:
        settle(row, SyncStatus.SYNCED, now=now)
        return ()
    return owed(seller, [row], now=now)


def _revoked(seller: Seller, row: Row, now: datetime, *, above: int) -> tuple[Message, ...]:
    contradicts = row.desired == Desired.GRANTED and row.grant_version == row.version
    row.grant_version = 0
    if row.desired == Desired.REVOKED:
        settle(row, SyncStatus.REVOKED, now=now)
        return ()
    if contradicts:  # it is wanted, and a sketch peer opens nothing again that it has locked
        number(row, Desired.GRANTED, now=now, above=above)
    return owed(seller, [row], now=now)


def _of_older_grant(seller: Seller, row: Row, answer: Answer, version: int, now: datetime) -> tuple[Message, ...]:
    if not answer.granted:
        return ()
    if row.grant_version:
        # what it should hold is another grant: this one is to go, whatever became of its revoke
        again = revocation(row, sketch_id(row.purchase_id, version))
        return (Message(row.target_app, again, row.retry_count + 1),)
    row.grant_version, row.target_entitlement_id = version, answer.entitlement_id
    number(row, Desired.REVOKED, now=now)
    return (message_of(seller, row),)


def _meant(rows: Sequence[Row], answer: Answer, version: int) -> Row | None:
    if answer.product_id is not None:
        rows = [row for row in rows if row.target_product_id == answer.product_id]
    rows = [row for row in rows if version and row.grant_version == version] or rows
    return rows[0] if len(rows) == 1 else None
