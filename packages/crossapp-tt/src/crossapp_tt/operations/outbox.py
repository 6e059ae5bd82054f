"""
The ledger as an outbox: which rows are due, and what became of the events that told of them.

A row stays due until the peer acknowledges it. What one worker takes is put off, so that no other one takes it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from sqlalchemy import select, update
from sqlmodel import Session

from crossapp_core.columns import column_of, table_of
from crossapp_core.locking import locking
from crossapp_core.operations import owed
from crossapp_core.outcomes import Due, Message, Noted, Outcome, Sent
from crossapp_tt.operations.messages import LONGEST_ERROR, message_of, settle_unheard, version_of
from crossapp_tt.operations.rows import Row, move
from crossapp_tt.ports import Seller
from crossapp_tt.tables import SyncStatus


def take(session: Session, seller: Seller, due: Due, /, *, now: datetime) -> Outcome:
    """
    Take rows that are due to a peer, as another attempt: refunds before sales, then what is wanted for longest.
    """
    ledger = seller.ledger
    order = column_of(ledger, "desired").desc(), column_of(ledger, "version")
    mine = column_of(ledger, "target_app") == due.app
    rows: Sequence[Row] = owed.take(session, ledger, mine, order_by=order, limit=due.limit, now=now)
    told = [(row.id, message) for row in rows if (message := _message(seller, row, now)) is not None]
    return Outcome(tuple(id_ for id_, _ in told), bool(rows), tuple(message for _, message in told))


def note(session: Session, seller: Seller, noted: Noted, /, *, now: datetime) -> Outcome:
    """
    Write down which rows the peer's Inngest accepted, and why it didn't others; those that reached nobody because the
    peer is down are due as soon as it is back.
    """
    _accepted(session, seller, [(id_, sent.message) for id_, sent in noted if sent.error is None], now)
    failed = {id_: sent for id_, sent in noted if sent.error is not None}
    for row in _locked(session, seller, list(failed)):
        sent = failed[row.id]
        if row.next_attempt_at is not None and row.version == version_of(sent.message):
            _failed(row, sent, now)
    return Outcome(tuple(id_ for id_, _ in noted), bool(noted))


def owe_all(session: Session, seller: Seller, _: None = None, /, *, now: datetime) -> Outcome:
    """
    Owe all rows once more, as after a backup was restored.
    """
    ledger = seller.ledger
    # as a further attempt, since Inngest drops an id that it has seen within a day
    due = {column_of(ledger, "next_attempt_at"): now}
    session.execute(update(table_of(ledger)).where(column_of(ledger, "version") > 0).values(due))
    return Outcome(changed=True)


def _message(seller: Seller, row: Row, now: datetime) -> Message | None:
    if settle_unheard(seller, row, now=now):
        return None
    try:
        return message_of(seller, row)
    except ValueError:  # somebody has written what no event can hold; it must not keep the others back
        if row.status == SyncStatus.PENDING:
            move(row, SyncStatus.FAILED)
        row.error_code, row.error_message = "not-sent", "the row holds what no event can say: correct it"
        return None


def _accepted(session: Session, seller: Seller, told: Sequence[tuple[str, Message]], now: datetime) -> None:
    ledger = seller.ledger
    id_, version, attempt = (column_of(ledger, name) for name in ("id", "version", "retry_count"))
    values = {"sent_at": now, "accepted_at": now, "accepted_version": version}
    columns = {column_of(ledger, name): value for name, value in values.items()}
    for count, alike in groupby(sorted(told, key=_attempt), key=_attempt):
        ids, versions = zip(*((id_, version_of(message) or 0) for id_, message in alike), strict=True)
        # what was changed meanwhile has a higher version and begins its attempts anew; to compare each row with its own
        # version takes the database longer than to write it
        as_sent = id_.in_(ids), attempt == count, version <= max(versions)
        session.execute(update(table_of(ledger)).where(*as_sent).values(columns))


def _attempt(told: tuple[str, Message]) -> int:
    return told[1].attempt


def _locked(session: Session, seller: Seller, ids: Sequence[str]) -> Sequence[Row]:
    if not ids:
        return ()
    id_ = column_of(seller.ledger, "id")
    rows: Sequence[Row] = session.scalars(locking(select(seller.ledger).where(id_.in_(ids)).order_by(id_))).all()
    return rows


def _failed(row: Row, sent: Sent, now: datetime) -> None:
    if row.status == SyncStatus.PENDING:
        move(row, SyncStatus.FAILED)
    if row.status == SyncStatus.FAILED:
        row.error_code, row.error_message = "not-sent", str(sent.error)[:LONGEST_ERROR]
    if sent.peer_is_down:
        row.next_attempt_at = now
