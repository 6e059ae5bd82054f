"""
What pages show a person of their links: what stands, and what would become of one more. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session

from crossapp_core.columns import column_of, stored_id
from crossapp_core.errors import LinkConflictError
from crossapp_core.operations import people
from crossapp_core.operations.link_rows import Pair
from crossapp_core.operations.people import Link
from crossapp_core.ports import Linker, User
from crossapp_core.tables import AccountLinkBase


@dataclass(frozen=True)
class Prospect:
    """
    What would become of a link that a person is asked to confirm.
    """

    user: User
    """Who is asked."""
    is_linked: bool
    """Whether just these two accounts are linked already."""
    is_used: bool
    """Whether the token was used before."""
    conflict: LinkConflictError | None
    """What stands in the way."""


@dataclass(frozen=True)
class Overview:
    """
    What one user's links are.
    """

    user: User
    links: Sequence[Link]
    """Those that stand."""
    former: frozenset[str]
    """The peers with which there was a link once."""


def of(session: Session, linker: Linker, pair: Pair, token_id: str, /, *, now: datetime) -> Prospect:
    """
    See what confirming a link of that pair would do.

    Raises:
        LinkTokenError: There is no such user here (`subject`).
    """
    user = people.person_of(session, linker, pair.user_id, now=now)
    links = people.links_of(session, linker, pair.user_id, now=now)
    ours = next((link.linked_user_id for link in links if link.app == pair.app), None)
    theirs = _linked_here(session, linker, pair)
    is_linked = ours == pair.linked_user_id
    conflict = None
    if not is_linked and (ours is not None or theirs is not None):
        conflict = LinkConflictError(pair.app, ours=ours is not None)
    is_used = session.get(linker.tokens, token_id) is not None
    return Prospect(user, is_linked, is_used, conflict)


def overview(session: Session, linker: Linker, user_id: str, /, *, now: datetime) -> Overview:
    """
    See all links of a user here.

    Raises:
        LinkTokenError: There is no such user (`subject`).
    """
    user = people.person_of(session, linker, user_id, now=now)
    links = people.links_of(session, linker, user_id, now=now)
    return Overview(user, links, _apps_once_linked(session, linker, user_id))


def _linked_here(session: Session, linker: Linker, pair: Pair) -> AccountLinkBase | None:
    table = linker.links
    query = select(table).where(
        column_of(table, "linked_app") == pair.app,
        column_of(table, "linked_user_id") == pair.linked_user_id,
        column_of(table, "active") == 1,
    )
    return session.scalars(query).first()


def _apps_once_linked(session: Session, linker: Linker, user_id: str) -> frozenset[str]:
    table, column = linker.links, column_of(linker.links, "user_id")
    value = stored_id(session, column, user_id)
    if value is None:
        return frozenset()
    query = select(column_of(table, "linked_app")).where(column == value, column_of(table, "version") > 0)
    return frozenset(session.scalars(query.distinct()))
