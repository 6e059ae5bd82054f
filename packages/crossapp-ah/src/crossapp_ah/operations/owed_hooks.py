"""
What the app's own hooks are owed: that they run for what a row says now, and that its user hears what was claimed.

`appliedVersion` and `appliedUserId` say for what they ran last, so whoever comes late, or twice, knows what is left.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, false, or_

from crossapp_ah.operations.rows import ACTIVE, PENDING, Row, version_of
from crossapp_ah.ports import Granter
from crossapp_core.backoff import next_attempt
from crossapp_core.columns import column_of
from crossapp_core.operations import owed


def opens_for(row: Row) -> str | None:
    """
    The user for whom a row opens its product.
    """
    return str(row.user_id) if row.status == ACTIVE and row.user_id is not None else None


def opened_for(row: Row) -> str | None:
    """
    The user for whom the hooks have opened it.
    """
    return None if row.applied_user_id is None else str(row.applied_user_id)


def is_behind(granter: Granter, row: Row) -> bool:
    """
    Whether what the hooks have opened is not what a row says now.
    """
    return granter.has_hooks and (row.applied_version != row.source_version or opened_for(row) != opens_for(row))


def is_owing(granter: Granter, row: Row) -> bool:
    """
    Whether a hook is to be run for a row; `owes_hooks` says the same to the database.
    """
    return (granter.has_hooks and row.applied_version != row.source_version) or is_untold(granter, row)


def owes_hooks(granter: Granter) -> ColumnElement[bool]:
    """
    Whether a hook is to be run for a row.
    """
    table = granter.entitlements
    behind = column_of(table, "applied_version").is_distinct_from(column_of(table, "source_version"))
    untold = and_(
        column_of(table, "status") == ACTIVE,
        column_of(table, "user_id").is_not(None),
        column_of(table, "notified_status").is_not_distinct_from(PENDING.value),
    )
    return or_(behind if granter.has_hooks else false(), untold if granter.on_claimed is not None else false())


def is_untold(granter: Granter, row: Row) -> bool:
    """
    Whether what a row holds was claimed, and its user hasn't been told.
    """
    return granter.on_claimed is not None and opens_for(row) is not None and row.notified_status == PENDING


def note_opened(granter: Granter, row: Row, *, waited: bool) -> None:
    """
    Write down that a row is open now: of what has waited its user is to be told.
    """
    row.notified_version = version_of(row)
    row.notified_status = status_known(granter) if waited else ACTIVE


def status_known(granter: Granter) -> str:
    """
    What the user knows of a row when it is claimed: that it waits, unless nobody tells them anything.
    """
    return ACTIVE if granter.on_claimed is None else PENDING


def owe(granter: Granter, row: Row, *, now: datetime) -> None:
    """
    Set when the hooks are to be run by the cron, if the run that has changed the row doesn't.
    """
    if granter.has_hooks:
        has_nothing = opens_for(row) is None and opened_for(row) is None  # to open or to close
        row.applied_version = row.source_version if has_nothing else 0
    owed.reset(row, now=next_attempt(0, now=now) if is_owing(granter, row) else None)
