"""
What becomes of links when users of this app are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from crossapp_core.columns import column_of, stored_id
from crossapp_core.operations import cursors, links
from crossapp_core.operations.link_rows import links_of, pair_of
from crossapp_core.outcomes import Message, Outcome
from crossapp_core.ports import Linker, People

BATCH = 500
"""How many users are looked for at once."""


@dataclass(frozen=True)
class Page:
    """
    What one step of a pass over users has done.
    """

    is_last: bool
    gone: tuple[str, ...]
    messages: tuple[Message, ...]


def depart(session: Session, linker: Linker, user_ids: Collection[str], /, *, now: datetime) -> Outcome:
    """
    End the links of users who are gone, and what else their leaving ends. Rows stay; doing it again changes nothing.
    """
    standing = [row for user_id in sorted(user_ids) for row in links_of(session, linker.links, user_id)]
    ended = [links.unlink(session, linker, pair_of(row), now=now) for row in standing]
    for farewell in linker.farewells:
        farewell(session, user_ids, now=now)
    messages = tuple(message for outcome in ended for message in outcome.messages)
    return Outcome(tuple(id_ for outcome in ended for id_ in outcome.ids), bool(ended), messages)


def check(session: Session, linker: Linker, name: str, people: People, /, *, now: datetime) -> Page:
    """
    Look which of the next users are gone, and let those go.

    Args:
        session: The caller owns its transaction.
        linker: The app.
        name: Under which it is remembered how far this pass has come.
        people: The users that it goes through.
        now: The time.
    """
    if linker.users is None or linker.cursors is None:
        return Page(True, (), ())
    cursor = cursors.locked(session, linker.cursors, f"check-gone-users/{name}", now=now)
    some = people(session, cursor.position, BATCH)
    gone = linker.users.gone(session, some) if some else frozenset()
    messages = depart(session, linker, gone, now=now).messages if gone else ()
    is_last = len(some) < BATCH
    cursors.move(cursor, None if is_last else some[-1], now=now)
    return Page(is_last, tuple(sorted(gone)), messages)


def linked_users(linker: Linker) -> People:
    """
    The users of this app who have a link that stands.
    """

    def some(session: Session, after: str | None, limit: int) -> Sequence[str]:
        user, active = (column_of(linker.links, name) for name in ("user_id", "active"))
        query = select(user).where(active == 1).distinct().order_by(user).limit(limit)
        if after is not None:
            query = query.where(user > stored_id(session, user, after))
        return [str(user_id) for user_id in session.scalars(query)]

    return some
