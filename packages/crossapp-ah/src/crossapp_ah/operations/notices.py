"""
Which users are to be told of what was claimed for them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import select
from sqlmodel import Session

from crossapp_ah.operations.owed_hooks import is_untold, opens_for
from crossapp_ah.operations.rows import ACTIVE, Row, has_id, lock_all
from crossapp_ah.ports import Claimed, Granter
from crossapp_core.columns import primary_key


@dataclass(frozen=True)
class Notice:
    """
    What one user is to be told, and by which rows.
    """

    claimed: Claimed
    ids: tuple[str, ...]


def untold(session: Session, granter: Granter, ids: Collection[str], /, *, now: datetime) -> Sequence[Notice]:
    """
    What users are to be told because of those rows: one notice for each user and seller.
    """
    if not ids:
        return ()
    rows = session.scalars(select(granter.entitlements).where(has_id(session, granter, ids)))
    found = sorted((row for row in rows if is_untold(granter, row)), key=_order)
    return [_notice(user_id, app, list(alike)) for (user_id, app), alike in groupby(found, key=_whom)]


def note_told(session: Session, granter: Granter, notice: Notice, /, *, now: datetime) -> None:
    """
    Write down that a user was told, unless somebody else holds it by now.
    """
    for row in lock_all(session, granter, notice.ids):
        if opens_for(row) == notice.claimed.user_id:
            row.notified_version, row.notified_status = row.source_version, ACTIVE


def _notice(user_id: str, app: str, rows: Sequence[Row]) -> Notice:
    claimed = Claimed(user_id, app, tuple(str(row.product_id) for row in rows))
    return Notice(claimed, tuple(primary_key(row) for row in rows))


def _whom(row: Row) -> tuple[str, str]:
    return opens_for(row) or "", row.source_app or ""


def _order(row: Row) -> tuple[str, str, str, str]:
    return *_whom(row), row.source_purchase_id or "", str(row.product_id)
