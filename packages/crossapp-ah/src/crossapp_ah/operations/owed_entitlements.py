"""
Entitlements for which something is owed: hooks that are behind, news for a user, an answer that the seller may lack.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, not_, select, update
from sqlmodel import Session

from crossapp_ah.operations.owed_hooks import is_behind, is_owing, owes_hooks
from crossapp_ah.operations.rows import ACTIVE, Row, answer_of, lock_all, version_of
from crossapp_ah.ports import Granter
from crossapp_core.columns import column_of, primary_key, stored_id, table_of
from crossapp_core.events import EntitlementFailed, Event, iso
from crossapp_core.operations import owed
from crossapp_core.outcomes import Due, Message, Noted, Outcome

BATCH = 100
"""For how many the hooks are run at once."""

USER_GONE = "user-gone"


def take(session: Session, granter: Granter, limit: int, /, *, now: datetime) -> Sequence[str]:
    """
    Take some that are due and owe a hook something, for this worker alone, as another attempt; their ids.
    """
    rows = owed.take(session, granter.entitlements, _is_ours(granter), owes_hooks(granter), limit=limit, now=now)
    return [primary_key(row) for row in rows]


def answer_again(session: Session, granter: Granter, due: Due, /, *, now: datetime) -> Outcome:
    """
    Say to a seller once more what is held that is due to it, or that its user is gone.
    """
    table = granter.entitlements
    conditions = column_of(table, "source_app") == due.app, not_(owes_hooks(granter))
    rows = owed.take(session, table, *conditions, limit=due.limit, now=now)
    for row in rows:
        if not _is_known(row):
            owed.reset(row, now=None)
    known = [row for row in rows if _is_known(row)]
    gone = _gone(session, granter, known)
    messages = (Message(due.app, _answer(granter, row, gone), answers=f"again at {iso(now)}") for row in known)
    return Outcome(tuple(primary_key(row) for row in known), bool(rows), tuple(messages))


def note_answered(session: Session, granter: Granter, noted: Noted, /, *, now: datetime) -> Outcome:
    """
    Write down what became of answers: one that reached nobody since the seller is down is due as soon as it is back.
    """
    sent = dict(noted)
    accepted = [id_ for id_, each in noted if each.error is None]
    for row in lock_all(session, granter, [id_ for id_, each in noted if each.peer_is_down]):
        if row.next_attempt_at is not None:
            row.next_attempt_at = now
    rows = lock_all(session, granter, accepted)
    gone = _gone(session, granter, rows)
    for row in rows:
        _settle(granter, row, is_gone=primary_key(row) in gone, now=now)
    return Outcome(tuple(sent), bool(accepted))


def settle(session: Session, granter: Granter, ids: Collection[str], /, *, now: datetime) -> None:
    """
    Have those not be due any more for which nothing is owed, once their seller was answered. What a user holds who is
    gone stays due, until the seller has said anew whose it is.
    """
    rows = lock_all(session, granter, ids)
    gone = _gone(session, granter, rows)
    for row in rows:
        _settle(granter, row, is_gone=primary_key(row) in gone, now=now)


def owe_answers(session: Session, granter: Granter, ids: Collection[str], /, *, now: datetime) -> None:
    """
    Have the sellers be told once more of those for which the hooks have nothing left to do.
    """
    for row in lock_all(session, granter, ids):
        if not is_owing(granter, row):
            owed.reset(row, now=now)


def owe_all(session: Session, granter: Granter, _: None, /, *, now: datetime) -> Outcome:
    """
    Have all be due once: after a backup was restored, neither the sellers nor the app's own tables may know them.
    """
    _make_due(session, granter, now)
    return Outcome(changed=True)


def bid_farewell(session: Session, granter: Granter, user_ids: Collection[str], /, *, now: datetime) -> None:
    """
    Have be due what is held by users who are gone, or by nobody, as where a foreign key sets null.
    """
    table, user = granter.entitlements, column_of(granter.entitlements, "user_id")
    active = column_of(table, "status") == ACTIVE
    values = [value for user_id in user_ids if (value := stored_id(session, user, user_id)) is not None]
    if values:
        _make_due(session, granter, now, active, user.in_(values))
    nobodys = select(table).where(
        active, user.is_(None), _is_ours(granter), column_of(table, "next_attempt_at").is_(None)
    )
    ids = [primary_key(row) for row in session.scalars(nobodys)]
    for row in lock_all(session, granter, ids):
        owed.reset(row, now=now)


def holders(session: Session, granter: Granter, after: str | None, limit: int) -> Sequence[str]:
    """
    The users for whom something is open, in the order of their ids, from the first after *after* on.
    """
    table, user = granter.entitlements, column_of(granter.entitlements, "user_id")
    query = select(user).distinct().where(column_of(table, "status") == ACTIVE, _is_ours(granter), user.is_not(None))
    if after is not None:
        query = query.where(user > stored_id(session, user, after))
    return [str(user_id) for user_id in session.scalars(query.order_by(user).limit(limit))]


def _settle(granter: Granter, row: Row, *, is_gone: bool, now: datetime) -> None:
    if is_gone and row.source_app not in granter.sketches:
        return
    if not is_gone and is_behind(granter, row) and not is_owing(granter, row):
        row.applied_version = 0  # its user was gone when the hooks were run, and is back
        owed.reset(row, now=now)
    elif not is_owing(granter, row):
        owed.reset(row, now=None)


def _answer(granter: Granter, row: Row, gone: Collection[str]) -> Event:
    purchase_id, product_id = row.source_purchase_id or "", str(row.product_id)
    # a sketch peer understands no failure, and says nothing anew
    if primary_key(row) not in gone or row.source_app in granter.sketches:
        return answer_of(row, purchase_id, product_id)
    return EntitlementFailed(
        source_purchase_id=purchase_id,
        product_id=product_id,
        code=USER_GONE,
        message="The user who held it has no account here any more: it opens for whom the buyer links next.",
        version=version_of(row),
    )


def _is_known(row: Row) -> bool:
    # one without product or version is a mark of ours, of which no seller knows
    return bool(version_of(row) and str(row.product_id or ""))


def _gone(session: Session, granter: Granter, rows: Sequence[Row]) -> frozenset[str]:
    active = [row for row in rows if row.status == ACTIVE]
    gone = granter.gone(session, sorted({str(row.user_id) for row in active if row.user_id is not None}))
    return frozenset(primary_key(row) for row in active if row.user_id is None or str(row.user_id) in gone)


def _is_ours(granter: Granter) -> ColumnElement[bool]:
    return column_of(granter.entitlements, "source_app").is_not(None)


def _make_due(session: Session, granter: Granter, now: datetime, *conditions: ColumnElement[bool]) -> None:
    columns: dict[Any, Any] = {
        column_of(granter.entitlements, "retry_count"): 0,
        column_of(granter.entitlements, "next_attempt_at"): now,
    }
    session.execute(update(table_of(granter.entitlements)).where(_is_ours(granter), *conditions).values(columns))
