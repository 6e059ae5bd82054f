"""
The people of a shop and of a school, and both apps as their bridges make them, each with a database of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import inngest
from sqlalchemy import Engine, StaticPool, create_engine
from sqlmodel import Session, SQLModel

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_ah.models import Entitlement
from crossapp_core.columns import table_of
from crossapp_core.models import AccountLink, AccountLinkToken
from crossapp_core.ports import Account, Linker, User
from crossapp_tt.models import CrossAppSync
from tests.hosts import ShopPurchase, school_settings, shop_purchases, shop_settings

SHOP, SCHOOL = "total-typescript", "ai-hero"
PEER = {SHOP: SCHOOL, SCHOOL: SHOP}
COURSE = "prod_9"
ADA, BOB, CLEO = "shop-ada", "shop-bob", "shop-cleo"
HER, HIM, HERS = "school-ada", "school-bob", "school-cleo"
GUEST = "guest@example.com"
"""Nobody's address in the shop, until Bob verifies it; in the school it is Bob's."""
TABLES: tuple[type[SQLModel], ...] = (ShopPurchase, CrossAppSync, Entitlement, AccountLink, AccountLinkToken)


@dataclass
class Host:
    """
    The people of one app, as it tells us of them.
    """

    first_users: Sequence[User]
    first_accounts: Sequence[Account]
    users: dict[str, User] = field(default_factory=dict)
    accounts: list[Account] = field(default_factory=list)
    alone: set[str] = field(default_factory=set)
    """Who wants no accounts linked by a shared sign-in."""

    def get(self, session: Session | None, user_id: str) -> User | None:
        """
        One user, or None.
        """
        return self.users.get(user_id)

    def by_verified_email(self, session: Session, address: str) -> User | None:
        """
        The one user whose address that is, verified; None if there are several.
        """
        found = [user for user in self.users.values() if user.email == address and user.email_verified]
        return found[0] if len(found) == 1 else None

    def holder(self, address: str | None) -> str | None:
        """
        The id of the user whose address that is, verified.
        """
        return next((user.id for user in self.users.values() if user.email == address and user.email_verified), None)

    def verify(self, user_id: str) -> None:
        """
        Learn that a user's address is theirs.
        """
        self.users[user_id] = replace(self.users[user_id], email_verified=True)

    def delete(self, user_id: str) -> None:
        """
        Forget a user.
        """
        self.users.pop(user_id, None)
        self.accounts = [account for account in self.accounts if account.user_id != user_id]

    def gone(self, session: Session, user_ids: Collection[str]) -> frozenset[str]:
        """
        Those of the ids that no user has (any more).
        """
        return frozenset(user_ids) - frozenset(self.users)

    def find(self, session: Session, provider: str, provider_account_id: str) -> Account | None:
        """
        The account with that id at the provider; None if nobody or more than one user signs in with it.
        """
        wanted = provider, provider_account_id
        found = [each for each in self.accounts if (each.provider, each.provider_account_id) == wanted]
        return found[0] if len(found) == 1 else None

    def of(self, session: Session, user_id: str) -> Sequence[Account]:
        """
        All accounts that a user signs in with.
        """
        return [account for account in self.accounts if account.user_id == user_id]

    def may_auto_link(self, session: Session, user_id: str) -> bool:
        """
        Whether the user wants accounts linked by a shared sign-in.
        """
        return user_id not in self.alone

    def reset(self) -> None:
        """
        Have the people of the beginning.
        """
        self.users = {user.id: user for user in self.first_users}
        self.accounts = [*self.first_accounts]
        self.alone = set()


SHOPPERS = (User(ADA, "ada@example.com", True), User(BOB, GUEST, False), User(CLEO, "cleo@example.com", True))
STUDENTS = (User(HER, "ada@example.com", True), User(HIM, GUEST, True), User(HERS, "cleo@example.com", True))
SHOP_ACCOUNTS = (
    Account(ADA, "github", "1"),
    Account(ADA, "discord", "2"),
    Account(BOB, "github", "3"),
    Account(CLEO, "github", "4"),
)
SCHOOL_ACCOUNTS = (Account(HER, "github", "1"), Account(HIM, "discord", "2"), Account(HIM, "github", "3"))
"""Ada shares one account with each of two users, Bob one with one of these, and Cleo none: her address alone."""


@dataclass(frozen=True)
class App:
    """
    One of the two: its bridge, its people and its database.
    """

    bridge: tt.Bridge | ah.Bridge
    people: Host
    engine: Engine

    @property
    def linker(self) -> Linker:
        """
        The app, as the operations on links know it.
        """
        return self.bridge.linking.linker


SHARED = {(ADA, HER), (ADA, HIM), (BOB, HIM)}
"""Who shares an account, in the shop and in the school."""


@cache
def both() -> dict[str, App]:
    """
    Both apps as their bridges make them, the same for all histories.
    """
    shop, school = Host(SHOPPERS, SHOP_ACCOUNTS), Host(STUDENTS, SCHOOL_ACCOUNTS)
    engines = [create_engine("sqlite://", poolclass=StaticPool) for _ in range(2)]
    for engine in engines:
        SQLModel.metadata.create_all(engine, tables=[table_of(each) for each in TABLES])
    seller = tt.Bridge(
        inngest.Inngest(app_id=SHOP, is_production=False),
        engines[0],
        settings=shop_settings(),
        purchases=shop_purchases(),
        bundles={"bundle": [{"app": SCHOOL, "productId": COURSE}]},
        users=shop,
        accounts=shop,
        may_auto_link=shop.may_auto_link,
    )
    granter = ah.Bridge(
        inngest.Inngest(app_id=SCHOOL, is_production=False),
        engines[1],
        settings=school_settings(),
        products=ah.FixedProducts([COURSE]),
        users=school,
        accounts=school,
        may_auto_link=school.may_auto_link,
    )
    return {SHOP: App(seller, shop, engines[0]), SCHOOL: App(granter, school, engines[1])}
