"""
How a worker takes what is due, so that no other one does it at the same time: the one way for all that is owed,
whatever the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Column, ColumnElement, or_, select, update
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import Session

from crossapp_core import backoff
from crossapp_core.columns import column_of, has_key, is_one_of, table_of
from crossapp_core.locking import locking

R = TypeVar("R")

_NEVER_SO_LATE = 2 * backoff.LAST


def is_due(due: Column[Any], now: datetime) -> ColumnElement[bool]:
    """
    Whether something is to be tried again. What is put off for longer than ever happens was so by a clock that was
    ahead, and waits no longer.
    """
    return or_(due <= now, due > now + _NEVER_SO_LATE)


def take(
    session: Session,
    table: type[R],
    *conditions: ColumnElement[bool],
    order_by: Sequence[ColumnElement[Any]] = (),
    limit: int,
    now: datetime,
) -> Sequence[R]:
    """
    Lock rows that are due, passing over those that somebody else holds, and put them off as another attempt: should
    this worker die, they are due again then. The table has the columns retryCount and nextAttemptAt.

    Args:
        session: The caller owns its transaction.
        table: The table class.
        conditions: Which of them.
        order_by: Which first; those that are due for longest if none is given.
        limit: How many.
        now: The time.
    """
    due, order = column_of(table, "next_attempt_at"), order_by or (column_of(table, "next_attempt_at"),)
    wanted = is_due(due, now), *conditions
    if session.get_bind(table).dialect.name in ("mysql", "mariadb"):
        # it locks all that it reads, so that nothing were left for another worker: looked for without a lock first
        keys = select(*table_of(table).primary_key).where(*wanted).order_by(*order).limit(limit)
        found = [tuple(key) for key in session.execute(keys)]
        if not found:
            return ()
        wanted = has_key(table, found), is_due(due, now)
    query = select(table).where(*wanted).order_by(*order).limit(limit)
    rows: Sequence[Any] = session.scalars(locking(query, skip_locked=True)).all()
    for count, alike in groupby(sorted(rows, key=_retries), key=_retries):
        _put_off(session, table, list(alike), count + 1, now + backoff.pause(count + 1, key=str(now)))
    return rows


def reset(row: Any, *, now: datetime | None) -> None:
    """
    Have a row be due at *now*, or never if None, as if it were for the first time.
    """
    row.retry_count, row.next_attempt_at = 0, now


def _put_off(session: Session, table: type[object], rows: Sequence[Any], count: int, due: datetime) -> None:
    # in one statement: there may be hundreds
    columns = {column_of(table, "retry_count"): count, column_of(table, "next_attempt_at"): due}
    session.execute(update(table_of(table)).where(is_one_of(table, rows)).values(columns))
    for row in rows:
        set_committed_value(row, "retry_count", count)
        set_committed_value(row, "next_attempt_at", due)


def _retries(row: Any) -> int:
    return row.retry_count or 0
