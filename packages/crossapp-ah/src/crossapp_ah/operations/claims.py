"""
What becomes of entitlements that wait for their buyer, once the buyer's accounts are linked.

Only the seller's id of the buyer says whose they are. An address does so for a sketch peer alone, which names no buyer:
then it must be the linked user's own, verified here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, exists, func, or_, select, update
from sqlmodel import Session

from crossapp_ah.operations.owed_hooks import status_known
from crossapp_ah.operations.rows import ACTIVE, PENDING
from crossapp_ah.ports import Granter
from crossapp_core.backoff import next_attempt
from crossapp_core.columns import column_of, has_key, stored_id, table_of
from crossapp_core.events import EntitlementGranted
from crossapp_core.locking import lock
from crossapp_core.outcomes import Message, Outcome
from crossapp_core.tables import AccountLinkBase

BATCH = 100
"""How many entitlements are claimed in one transaction."""


@dataclass(frozen=True)
class Claim:
    """
    A link whose buyer's entitlements are to be unlocked.
    """

    link: Mapping[str, object]
    """What identifies it, by attribute."""
    at: datetime
    """When the claim began. Done again it finds by that what it did the first time, and says so again."""
    after: tuple[str, str] | None = None
    """The purchase and product of the last one that is done."""
    limit: int = field(default=BATCH, kw_only=True)


def claim(session: Session, granter: Granter, request: Claim, /, *, now: datetime) -> Outcome:
    """
    Unlock a batch of what waits for a buyer, if the link still stands, and tell the seller who holds it now.
    """
    link = lock(session, granter.links, {**request.link, "active": 1}, share=True)
    table = granter.entitlements
    user_id = None if link is None else stored_id(session, column_of(table, "user_id"), str(link.user_id))
    if link is None or user_id is None or granter.gone(session, [str(link.user_id)]):
        return Outcome()
    rows = _found(session, granter, link, user_id, request)
    if waiting := [row for row in rows if row.status == PENDING]:
        values = {"status": ACTIVE, "user_id": user_id, "claimed_at": request.at, **_owed(granter, now)}
        columns = {column_of(table, name): value for name, value in values.items()}
        these = has_key(table, [_key_of(table, row) for row in waiting])
        session.execute(update(table_of(table)).where(these).values(columns))
    messages = tuple(_granted(table, row, link) for row in rows)
    return Outcome(tuple(_id_of(table, row) for row in rows), bool(waiting), messages)


def waiting(session: Session, granter: Granter, limit: int, /, *, now: datetime) -> Outcome:
    """
    Find links that should have claimed something and didn't: their ids.
    """
    links, table = granter.links, granter.entitlements
    id_, app, buyer = (column_of(links, name) for name in ("id", "linked_app", "linked_user_id"))
    waits = exists().where(
        column_of(table, "status") == PENDING,
        column_of(table, "source_app") == app,
        column_of(table, "source_user_id") == buyer,
    )
    user = column_of(links, "user_id")
    found = session.execute(select(id_, user).where(column_of(links, "active") == 1, waits).limit(limit)).all()
    gone = granter.gone(session, sorted({str(user_id) for _, user_id in found}))
    by_id = [link_id for link_id, user_id in found if str(user_id) not in gone]
    return Outcome(tuple(dict.fromkeys([*by_id, *_waiting_by_address(session, granter, limit, now)])))


def _owed(granter: Granter, now: datetime) -> Mapping[str, object]:
    version = column_of(granter.entitlements, "source_version")
    known = {"notified_version": version, "notified_status": status_known(granter)}
    if not granter.has_hooks and granter.on_claimed is None:
        return known
    behind = {"applied_version": 0} if granter.has_hooks else {}
    return {**known, **behind, "retry_count": 0, "next_attempt_at": next_attempt(0, now=now)}


def _found(
    session: Session, granter: Granter, link: AccountLinkBase, user_id: object, request: Claim
) -> Sequence[Row[Any]]:
    table = granter.entitlements
    status, holder, claimed_at = (column_of(table, name) for name in ("status", "user_id", "claimed_at"))
    product = column_of(table, "product_id")
    # as an expression: else the order is taken from the unique index, past all that others have bought, and MariaDB
    # locks what it passes
    purchase = column_of(table, "source_purchase_id").concat("")
    again = and_(status == ACTIVE, holder == user_id, claimed_at == request.at)
    query = (
        select(*table_of(table).primary_key, purchase, product, status, column_of(table, "source_version"))
        .where(column_of(table, "source_app") == link.linked_app, _is_theirs(session, granter, link))
        .where(or_(status == PENDING, again))
        .order_by(purchase, product)
        .limit(request.limit)
        .with_for_update()
    )
    if request.after is not None:
        last, last_product = request.after[0], stored_id(session, product, request.after[1])
        query = query.where(or_(purchase > last, and_(purchase == last, product > last_product)))
    return session.execute(query).all()


def _is_theirs(session: Session, granter: Granter, link: AccountLinkBase) -> ColumnElement[bool]:
    buyer = column_of(granter.entitlements, "source_user_id")
    by_id = buyer == link.linked_user_id
    address = _own_address(session, granter, link)
    if address is None:
        return by_id
    return or_(by_id, and_(buyer.is_(None), column_of(granter.entitlements, "pending_for_email") == address))


def _own_address(session: Session, granter: Granter, link: AccountLinkBase) -> str | None:
    if link.linked_app not in granter.sketches or granter.users is None:
        return None
    user = granter.users.get(session, str(link.user_id))
    return None if user is None else user.verified_email


def _waiting_by_address(session: Session, granter: Granter, limit: int, now: datetime) -> Sequence[str]:
    # no join finds these, since whose address is whose only the app's port says: so some links each minute, in turn
    links, table = granter.links, granter.entitlements
    if not granter.sketches or granter.users is None:
        return ()
    stand = column_of(links, "linked_app").in_(sorted(granter.sketches)), column_of(links, "active") == 1
    count = session.scalar(select(func.count()).select_from(links).where(*stand)) or 0
    pages = max(-(-count // limit), 1)
    turn = int(now.timestamp()) // 60 % pages * limit
    some = session.scalars(select(links).where(*stand).order_by(column_of(links, "id")).offset(turn).limit(limit))
    return [
        link.id
        for link in some.all()
        if (address := _own_address(session, granter, link)) is not None
        and session.scalar(
            select(column_of(table, "source_purchase_id"))
            .where(
                column_of(table, "source_app") == link.linked_app,
                column_of(table, "pending_for_email") == address,
                column_of(table, "source_user_id").is_(None),
                column_of(table, "status") == PENDING,
            )
            .limit(1)
        )
    ]


def _key_of(table: type[object], row: Row[Any]) -> tuple[object, ...]:
    return tuple(row[: len(table_of(table).primary_key)])


def _id_of(table: type[object], row: Row[Any]) -> str:
    return ":".join(map(str, _key_of(table, row)))


def _granted(table: type[object], row: Row[Any], link: AccountLinkBase) -> Message:
    purchase_id, product_id, _, version = row[len(table_of(table).primary_key) :]
    granted = EntitlementGranted(
        source_purchase_id=purchase_id,
        product_id=str(product_id),
        entitlement_id=_id_of(table, row),
        user_id=str(link.user_id),
        status="active",
        version=version,
    )
    return Message(link.linked_app, granted)
