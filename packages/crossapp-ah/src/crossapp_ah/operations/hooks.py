"""
Runs the app's hooks for what the rows say now.

The rows of a product and a user are taken together: what was opened through several purchases is closed when the last
one is taken back, and no worker closes what another has just opened.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, or_, select
from sqlalchemy.ext.asyncio import async_session
from sqlalchemy.util import await_only
from sqlmodel import Session

from crossapp_ah.operations.owed_hooks import is_behind, opened_for, opens_for
from crossapp_ah.operations.rows import Row, find, has_id
from crossapp_ah.ports import Access, Granter
from crossapp_core.columns import column_of, primary_key, stored_id, table_of
from crossapp_core.locking import locking
from crossapp_core.outcomes import Outcome


def apply(session: Session, granter: Granter, entitlement_id: str, /, *, now: datetime) -> Outcome:
    """
    Run the hooks that are behind for an entitlement, and for what else opens its product for the same users. Whatever
    they raise, nothing of it is left; done again, it does nothing.
    """
    seen = find(session, granter, entitlement_id)
    if seen is None or not granter.has_hooks:
        return Outcome()
    rows = _locked(session, granter, seen)
    behind = [row for row in rows if is_behind(granter, row)]
    _close(session, granter, rows, behind)
    gone = granter.gone(session, sorted({user_id for row in behind if (user_id := opens_for(row)) is not None}))
    for row in behind:
        user_id = opens_for(row)
        if user_id in gone:
            # nothing can be opened for them, and the seller is to hear that
            user_id = user_id if opened_for(row) == user_id else None
        elif user_id is not None:
            _run(session, granter.on_active, _access(row, user_id))
        row.applied_version = row.source_version
        row.applied_user_id = _applied(session, granter, user_id)
    return Outcome(tuple(primary_key(row) for row in behind), bool(behind))


def is_async(hook: object) -> bool:
    """
    Whether a hook awaits, and so needs an async session.
    """
    call = getattr(hook, "__call__", None)  # noqa: B004 (an object whose method is what is called)
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(call)


def _close(session: Session, granter: Granter, rows: Sequence[Row], behind: Sequence[Row]) -> None:
    still_open = {opens_for(row) for row in rows}
    closing = {user_id: row for row in behind if (user_id := opened_for(row)) not in still_open}
    for user_id, row in closing.items():
        if user_id is not None:
            _run(session, granter.on_revoked, _access(row, user_id))


def _locked(session: Session, granter: Granter, seen: Row) -> Sequence[Row]:
    people = _people([seen])
    while True:
        rows: Sequence[Row] = session.scalars(_query(session, granter, seen, people)).all()
        found = _people(rows)
        if found <= people:
            return rows
        people |= found  # whoever else has held, or is to have, what these rows open


def _query(session: Session, granter: Granter, seen: Row, people: Collection[str]) -> Any:
    table = granter.entitlements
    theirs = and_(
        column_of(table, "product_id") == seen.product_id,
        column_of(table, "source_app").is_not(None),
        or_(*(_is_among(session, granter, name, people) for name in ("user_id", "applied_user_id"))),
    )
    # as expressions: else MariaDB may take the order from the primary key, and locks all that it passes
    order = [cast(column, String(191)) for column in table_of(table).primary_key]
    itself = has_id(session, granter, [primary_key(seen)])
    return locking(select(table).where(or_(itself, theirs) if people else itself).order_by(*order))


def _is_among(session: Session, granter: Granter, attribute: str, people: Collection[str]) -> ColumnElement[bool]:
    column = column_of(granter.entitlements, attribute)
    values = (stored_id(session, column, person) for person in sorted(people))
    return column.in_([value for value in values if value is not None])


def _people(rows: Sequence[Row]) -> frozenset[str]:
    found = (person for row in rows for person in (opens_for(row), opened_for(row)))
    return frozenset(person for person in found if person is not None)


def _applied(session: Session, granter: Granter, user_id: str | None) -> Any:
    return None if user_id is None else stored_id(session, column_of(granter.entitlements, "applied_user_id"), user_id)


def _access(row: Row, user_id: str) -> Access:
    return Access(
        user_id=user_id,
        product_id=str(row.product_id),
        source_app=row.source_app or "",
        purchase_id=row.source_purchase_id or "",
        entitlement_id=primary_key(row),
    )


def _run(session: Session, hook: Any, access: Access) -> None:
    if hook is None:
        return
    result = hook(async_session(session) if is_async(hook) else session, access)
    if inspect.isawaitable(result):
        await_only(result)
