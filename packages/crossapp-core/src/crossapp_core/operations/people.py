"""
What is asked about one person who is signed in here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from crossapp_core.errors import LinkTokenError
from crossapp_core.operations import links
from crossapp_core.operations.link_rows import pair_of
from crossapp_core.outcomes import Outcome
from crossapp_core.ports import Linker, User


@dataclass(frozen=True)
class Link:
    """
    A link that stands, as people see it.
    """

    user_id: str
    app: str
    linked_user_id: str
    linked_email: str | None = field(repr=False)
    method: str
    """`explicit`, or `oauth-` and the provider."""


def person_of(session: Session, linker: Linker, user_id: str, /, *, now: datetime) -> User:
    """
    What the app says of one of its users; only the id where it says nothing of any.

    Raises:
        LinkTokenError: There is no such user (`subject`).
    """
    if linker.users is None:
        return User(user_id)
    user = linker.users.get(session, user_id)
    if user is None:
        raise LinkTokenError("subject", f"there is no user {user_id} here")
    return user


def unlink(session: Session, linker: Linker, user_id: str, app: str, /, *, now: datetime) -> Outcome:
    """
    Unlink a user here from their account in a peer, whichever that is.
    """
    row = links.find(session, linker, app, user_id)
    return Outcome() if row is None else links.unlink(session, linker, pair_of(row), now=now)


def links_of(session: Session, linker: Linker, user_id: str, /, *, now: datetime) -> list[Link]:
    """
    The links of a user here that stand.
    """
    return [
        Link(str(row.user_id), row.linked_app, row.linked_user_id, row.linked_email, row.link_method)
        for row in links.list_of(session, linker, user_id)
    ]
