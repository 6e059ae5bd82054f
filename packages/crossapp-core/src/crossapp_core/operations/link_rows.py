"""
How the row of a pair of accounts is found, numbered and put into an event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from crossapp_core.backoff import next_attempt
from crossapp_core.columns import column_of, derived_id, stored_id
from crossapp_core.events import AccountLinked, AccountLinkState, AccountUnlinked
from crossapp_core.locking import lock, lock_or_create
from crossapp_core.operations.pairs import Rival, is_linked
from crossapp_core.outcomes import Message
from crossapp_core.ports import Linker
from crossapp_core.tables import AccountLinkBase


@dataclass(frozen=True)
class Pair:
    """
    Two accounts: one here, and one in a peer.
    """

    user_id: str
    app: str
    """The peer."""
    linked_user_id: str


def pair_of(row: AccountLinkBase) -> Pair:
    """
    The accounts that a row is about.
    """
    return Pair(str(row.user_id), row.linked_app, row.linked_user_id)


def key_of(session: Session, linker: Linker, pair: Pair) -> Mapping[str, object] | None:
    """
    What identifies the row of a pair, by attribute; None if the app's ids can't name the user.
    """
    user_id = stored_id(session, column_of(linker.links, "user_id"), pair.user_id)
    if user_id is None:
        return None
    return {"user_id": user_id, "linked_app": pair.app, "linked_user_id": pair.linked_user_id}


def locked_row(session: Session, linker: Linker, pair: Pair, *, method: str, now: datetime) -> AccountLinkBase:
    """
    Lock the row of a pair, at version 0 if it is new.

    Raises:
        ValueError: The app's ids can't name the user.
    """
    key = key_of(session, linker, pair)
    if key is None:
        msg = f"no user of this app can have the id {pair.user_id!r:.100}"
        raise ValueError(msg)
    id_ = derived_id("link", *key.values())
    values = {"id": id_, "link_method": method, "linked_at": now, "unlinked_at": now}
    return lock_or_create(session, linker.links, key, values)


def standing(session: Session, linker: Linker, pair: Pair) -> tuple[AccountLinkBase | None, AccountLinkBase | None]:
    """
    Lock the links that stand: of the account here, and of the account in the peer.
    """
    user_id = stored_id(session, column_of(linker.links, "user_id"), pair.user_id)
    in_app: dict[str, Any] = {"linked_app": pair.app, "active": 1}
    ours = None if user_id is None else lock(session, linker.links, {"user_id": user_id, **in_app})
    theirs = lock(session, linker.links, {"linked_user_id": pair.linked_user_id, **in_app})
    return ours, theirs


def links_of(session: Session, table: type[AccountLinkBase], user_id: str) -> Sequence[AccountLinkBase]:
    """
    The links of a user here that stand, in the order of the peers.
    """
    column = column_of(table, "user_id")
    value = stored_id(session, column, user_id)
    if value is None:
        return ()
    query = select(table).where(column == value, column_of(table, "active") == 1)
    found = session.scalars(query.order_by(column_of(table, "linked_app")))
    # compared once more: to MySQL `ada ` is `ada`
    return [row for row in found if str(row.user_id) == user_id]


def rival_of(linker: Linker, pair: Pair, version: int) -> Rival:
    """
    A link of that pair, to be held against another.
    """
    return Rival(version, ((linker.app_id, pair.user_id), (pair.app, pair.linked_user_id)))


def renumber(linker: Linker, row: AccountLinkBase, version: int, *, now: datetime) -> None:
    """
    Give a pair its new number; the peer is owed it, unless that has said it first.
    """
    row.version = version
    row.retry_count, row.lost_to_id = 0, None
    if is_linked(version):
        row.linked_at, row.unlinked_at = now, None
    else:
        row.unlinked_at = now
        if row.linked_app in linker.sketches:  # which doesn't understand what is unlinked
            row.acknowledged_version = version
    owe(row, now=now)


def owe(row: AccountLinkBase, *, now: datetime) -> None:
    """
    Set when the peer is to be told again of a row, if it is owed.
    """
    row.next_attempt_at = next_attempt(row.retry_count, now=now) if is_owed(row) else None


def is_owed(row: AccountLinkBase) -> bool:
    """
    Whether the peer hasn't shown that it knows the row's number.
    """
    return row.acknowledged_version < row.version


def announcement(session: Session, linker: Linker, row: AccountLinkBase) -> AccountLinked | AccountUnlinked:
    """
    The event that tells what a row says.
    """
    pair = pair_of(row)
    if not is_linked(row.version):
        return AccountUnlinked(
            source_app=linker.app_id,
            user_id=pair.user_id,
            linked_app=pair.app,
            linked_user_id=pair.linked_user_id,
            unlinked_at=row.unlinked_at or row.linked_at,
            version=row.version,
        )
    return AccountLinked(
        source_app=linker.app_id,
        user_id=pair.user_id,
        email=verified_email(session, linker, pair.user_id),
        linked_app=pair.app,
        linked_user_id=pair.linked_user_id,
        linked_email=row.linked_email,
        link_method=row.link_method,
        linked_at=row.linked_at,
        version=row.version,
    )


def state_of(linker: Linker, pair: Pair, *, method: str, version: int) -> Message:
    """
    The answer that tells the peer what is held here of a pair.
    """
    state = AccountLinkState(
        source_app=linker.app_id,
        user_id=pair.user_id,
        linked_app=pair.app,
        linked_user_id=pair.linked_user_id,
        link_method=method,
        version=version,
    )
    return Message(pair.app, state)


def to_peer(session: Session, linker: Linker, row: AccountLinkBase) -> Message:
    """
    The announcement on its way to the peer.
    """
    return Message(row.linked_app, announcement(session, linker, row), row.retry_count)


def to_ourselves(session: Session, linker: Linker, row: AccountLinkBase) -> Message:
    """
    The announcement on its way to the app's own functions, which tell the peer and do what else is to be done.
    """
    return Message(linker.app_id, announcement(session, linker, row))


def verified_email(session: Session, linker: Linker, user_id: str) -> str | None:
    """
    The address of a user here, normalised, if it is known to be theirs.
    """
    user = None if linker.users is None else linker.users.get(session, user_id)
    return None if user is None else user.verified_email


def is_gone(session: Session, linker: Linker, user_id: str) -> bool:
    """
    Whether it is known that there is no such user here.
    """
    return linker.users is not None and linker.users.get(session, user_id) is None
