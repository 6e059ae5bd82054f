"""
How far work has come that goes on across runs.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from crossapp_core.locking import lock_or_create
from crossapp_core.tables import CrossAppCursorBase


def locked(session: Session, cursors: type[CrossAppCursorBase], name: str, *, now: datetime) -> CrossAppCursorBase:
    """
    Lock a cursor, so that two workers don't go the same way; without position if it is new.
    """
    return lock_or_create(session, cursors, {"name": name}, {"updated_at": now})


def move(cursor: CrossAppCursorBase, position: str | None, *, now: datetime) -> None:
    """
    Remember how far a pass has come; None once it is through, so that the next one begins anew.
    """
    cursor.position, cursor.updated_at = position, now
