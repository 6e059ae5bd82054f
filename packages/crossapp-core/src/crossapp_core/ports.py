"""
What the app tells us about its people, and about the accounts of others that they sign in with.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from sqlmodel import Session

from crossapp_core import addresses
from crossapp_core.tables import AccountLinkBase, AccountLinkTokenBase, CrossAppCursorBase


@dataclass(frozen=True)
class User:
    """
    Somebody with an account in the app.
    """

    id: str
    email: str | None = field(default=None, repr=False)
    email_verified: bool = False
    """Whether the app knows that the address is theirs."""
    name: str | None = field(default=None, repr=False)
    """What the app shows others of them."""

    @property
    def verified_email(self) -> str | None:
        """
        The address, normalised, if it is known to be theirs.
        """
        return addresses.normalise_or_none(self.email) if self.email_verified else None


@dataclass(frozen=True)
class Account:
    """
    An account at an OAuth provider, and the user who signs in with it.
    """

    user_id: str
    provider: str
    provider_account_id: str
    """The provider's own unchanging id of the account, never its name there."""


class Users(Protocol):
    """
    The people who have an account in the app.
    """

    def get(self, session: Session, user_id: str) -> User | None:
        """
        One user, or None. One whose id is written otherwise counts as another.
        """
        ...

    def by_verified_email(self, session: Session, address: str) -> User | None:
        """
        The one user whose address that is, verified; None if there are several.

        Args:
            session: The operation's session.
            address: The address, normalised as `crossapp_core.addresses.normalise` does.
        """
        ...

    def gone(self, session: Session, user_ids: Collection[str]) -> frozenset[str]:
        """
        Those of the ids that no user has (any more).
        """
        ...


class Accounts(Protocol):
    """
    The accounts at OAuth providers that the app's users sign in with.
    """

    def find(self, session: Session, provider: str, provider_account_id: str) -> Account | None:
        """
        The account with that id at the provider; None if nobody or more than one user signs in with it.
        """
        ...

    def of(self, session: Session, user_id: str) -> Sequence[Account]:
        """
        All accounts that a user signs in with.
        """
        ...


class Effect(Protocol):
    """
    What else changes in the app when two accounts are linked, in the same transaction.
    """

    def __call__(self, session: Session, link: AccountLinkBase, *, now: datetime) -> None:
        """
        Change it; doing it again must change nothing.
        """
        ...


class Farewell(Protocol):
    """
    What else changes in the app when users are gone, in the same transaction in which their links end.
    """

    def __call__(self, session: Session, user_ids: Collection[str], *, now: datetime) -> None:
        """
        Change it; doing it again must change nothing.
        """
        ...


class People(Protocol):
    """
    Users that rows of ours name, besides those of links.
    """

    def __call__(self, session: Session, after: str | None, limit: int) -> Sequence[str]:
        """
        Up to *limit* different ids in their order, from the first after *after* on.
        """
        ...


@dataclass(frozen=True)
class Problem:
    """
    Something that the library can't put right alone, or not yet.
    """

    code: str
    """Which: `peer-unavailable`, `unknown-product`, `mass-revocation`, …; docs/guides/problems.md has all."""
    message: str
    """One sentence, without addresses and secrets."""
    ids: tuple[str, ...] = ()
    """The purchases, rows or entitlements that it is about, as far as they are known."""
    peer: str | None = None
    """The peer's app id, if it is one's."""
    since: datetime | None = None


OnProblem: TypeAlias = Callable[[Problem], Awaitable[None] | None]
"""Is told of problems, so that somebody is; it may be told of the same one again."""

MayAutoLink: TypeAlias = Callable[[Session, str], bool]
"""Whether the user with that id wants accounts linked by a shared sign-in."""

GITHUB_AND_DISCORD = ("github", "discord")


@dataclass(frozen=True)
class Linker:
    """
    The app, as the operations on links know it.
    """

    app_id: str
    links: type[AccountLinkBase]
    tokens: type[AccountLinkTokenBase]
    apps: frozenset[str] = frozenset()
    """The peers' ids."""
    sketches: frozenset[str] = frozenset()
    """Those of the sketch peers among them."""
    users: Users | None = None
    accounts: Accounts | None = None
    providers: frozenset[str] = frozenset(GITHUB_AND_DISCORD)
    """The OAuth providers whose accounts link."""
    may_auto_link: MayAutoLink | None = None
    """None: everybody does."""
    cursors: type[CrossAppCursorBase] | None = None
    effects: tuple[Effect, ...] = ()
    farewells: tuple[Farewell, ...] = ()
    people: tuple[tuple[str, People], ...] = ()
    """Each under a name, by which it is remembered how far a pass has come."""


@dataclass(frozen=True)
class SignInEvent:
    """
    An event of the app itself that tells of a sign-in, and where in its data the ids stand: `userId`, or
    `account.userId` deeper down. Where several places are given, the first that holds an id counts.

    Only these are read from it, and only ids: which account at a provider is whose, the app's own database says.
    """

    name: str
    user_id: tuple[str, ...] = ("userId", "user.id", "account.userId")
    provider: tuple[str, ...] = ("provider", "account.provider")
    provider_account_id: tuple[str, ...] = ("providerAccountId", "account.providerAccountId")


SIGN_INS = (SignInEvent("user/login"), SignInEvent("user/oauth-provider-account-linked"))
