"""
An app that links accounts, by its operations alone, with its people and their accounts at OAuth providers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from sqlmodel import Field, SQLModel, select

from crossapp_core.events import AccountLinked, AccountLinkState, AccountUnlinked, Event, UserOAuthLogin
from crossapp_core.models import AccountLink, AccountLinkToken
from crossapp_core.operations import links
from crossapp_core.operations.link_rows import Pair
from crossapp_core.operations.links import Confirmation
from crossapp_core.outcomes import Outcome
from crossapp_core.ports import Linker
from crossapp_core.table_ports import TableAccounts, TableUsers
from crossapp_core.tables import AccountLinkBase
from tests.databases import Database

T = TypeVar("T")

US, PEER, THIRD = "ai-hero", "total-typescript", "epic-web"
ADA, BUYER = "school-ada", "shop-ada"
EVE, STRANGER = "school-eve", "shop-eve"
NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Member(SQLModel, table=True):
    """
    Somebody with an account in the app.
    """

    __tablename__ = "linking_member"

    id: str = Field(primary_key=True, max_length=64)
    email: str | None = Field(default=None, max_length=254)
    email_verified: bool = False
    name: str | None = Field(default=None, max_length=64)


class Identity(SQLModel, table=True):
    """
    An account at an OAuth provider that a member signs in with, and what nobody else may see of it.
    """

    __tablename__ = "linking_identity"

    id: int | None = Field(default=None, primary_key=True)
    provider: str = Field(max_length=64)
    provider_account_id: str = Field(max_length=64)
    user_id: str = Field(max_length=64)
    username: str = Field(default="ada", max_length=64)
    access_token: str = Field(default="gho_nobody-else-may-see-this", max_length=64)


class NumberedMember(SQLModel, table=True):
    """
    Somebody whose id is a number.
    """

    __tablename__ = "linking_numbered_member"

    id: int | None = Field(default=None, primary_key=True)
    email: str | None = Field(default=None, max_length=254)


class NumberedLink(AccountLinkBase, table=True):
    """
    Links that refer to such members.
    """

    __tablename__ = "linking_numbered_link"

    user_id: int = Field(  # type: ignore[assignment]
        foreign_key="linking_numbered_member.id", sa_column_kwargs={"name": "userId"}
    )


LINKER = Linker(
    app_id=US,
    links=AccountLink,
    tokens=AccountLinkToken,
    apps=frozenset({PEER, THIRD}),
    users=TableUsers(Member),
    accounts=TableAccounts(Identity),
)


def pair(user_id: str = ADA, linked_user_id: str = BUYER, app: str = PEER) -> Pair:
    """
    An account here and one in the peer.
    """
    return Pair(user_id, app, linked_user_id)


def confirmed(user_id: str = ADA, linked_user_id: str = BUYER, **fields: Any) -> Confirmation:
    """
    What a person confirmed.
    """
    app = fields.pop("app", PEER)
    return Confirmation(pair(user_id, linked_user_id, app), **fields)


def said(
    version: int, user_id: str = ADA, linked_user_id: str = BUYER, *, app: str = PEER, **changes: Any
) -> AccountLinked | AccountUnlinked:
    """
    What a peer says of a pair, as it arrives here: its number decides which event that is.
    """
    about: dict[str, Any] = {
        "source_app": app,
        "user_id": linked_user_id,
        "linked_app": US,
        "linked_user_id": user_id,
        "version": version,
    }
    if version % 2 == 0:
        return AccountUnlinked(**{**about, "unlinked_at": NOW, **changes})
    method = "oauth-github" if version == 1 else "explicit"
    return AccountLinked(**{**about, "linked_at": NOW, "link_method": method, **changes})


def holds(version: int, user_id: str = ADA, linked_user_id: str = BUYER, **changes: Any) -> AccountLinkState:
    """
    What a peer answers, as it arrives here.
    """
    fields: dict[str, Any] = {
        "source_app": PEER,
        "user_id": linked_user_id,
        "linked_app": US,
        "linked_user_id": user_id,
        "link_method": "explicit",
        "version": version,
    }
    return AccountLinkState(**{**fields, **changes})


def login(user_id: str = BUYER, **changes: Any) -> UserOAuthLogin:
    """
    A sign-in at the peer, as it arrives here.
    """
    fields: dict[str, Any] = {
        "source_app": PEER,
        "user_id": user_id,
        "provider": "github",
        "provider_account_id": "1001",
        "logged_in_at": NOW,
    }
    return UserOAuthLogin(**{**fields, **changes})


@dataclass
class Side:
    """
    The app on one of the databases; each call is a transaction.
    """

    database: Database
    linker: Linker = LINKER

    def with_(self, **changes: Any) -> Side:
        """
        The same app, seen otherwise by the operations.
        """
        return Side(self.database, replace(self.linker, **changes))

    def do(self, operation: Callable[..., T], *facts: object, now: datetime = NOW, **named: object) -> T:
        """
        Do any operation.
        """
        with self.database.session() as session:
            return operation(session, self.linker, *facts, now=now, **named)

    def see(self, query: Callable[..., T], *facts: object) -> T:
        """
        Ask something that needs no time.
        """
        with self.database.session() as session:
            return query(session, self.linker, *facts)

    def add(self, *rows: object) -> None:
        """
        Write rows.
        """
        with self.database.session() as session:
            session.add_all(rows)

    def remove(self, model: type[object], key: object) -> None:
        """
        Delete a row.
        """
        with self.database.session() as session:
            session.delete(session.get_one(model, key))

    def link(self, *who: str, now: datetime = NOW, **fields: Any) -> Outcome:
        """
        Link two accounts because a person has confirmed it.
        """
        return self.do(links.link, confirmed(*who, **fields), now=now)

    def unlink(self, *who: str, now: datetime = NOW) -> Outcome:
        """
        Unlink two accounts.
        """
        return self.do(links.unlink, pair(*who), now=now)

    def hear(self, fact: links.Fact, *, now: datetime = NOW) -> Outcome:
        """
        Merge what a peer says.
        """
        return self.do(links.merge, fact, now=now)

    @property
    def rows(self) -> Sequence[AccountLink]:
        """
        All links there ever were, in the order of their pairs.
        """
        with self.database.session() as session:
            found = session.exec(select(cast("type[AccountLink]", self.linker.links))).all()
        return sorted(found, key=lambda row: (row.linked_app, str(row.user_id), row.linked_user_id))

    @property
    def row(self) -> AccountLink:
        """
        The one link.
        """
        [row] = self.rows
        return row

    @property
    def standing(self) -> set[tuple[str, str, int]]:
        """
        The links that stand: both users, and the number.
        """
        return {(str(row.user_id), row.linked_user_id, row.version) for row in self.rows if row.active}

    @property
    def tokens(self) -> Sequence[AccountLinkToken]:
        """
        The tokens that were used.
        """
        with self.database.session() as session:
            return session.exec(select(AccountLinkToken)).all()


def events(outcome: Outcome, target: str = PEER) -> list[Event]:
    """
    What is to be sent to an app.
    """
    return [message.event for message in outcome.messages if message.target == target]
