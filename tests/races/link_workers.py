"""
What two workers do to links at the same moment, and who it is about.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, select

from crossapp_ah.models import AccountLink, Entitlement
from crossapp_ah.operations import claims, entitlements
from crossapp_ah.operations.claims import Claim
from crossapp_ah.ports import Granter
from crossapp_core.errors import LinkConflictError, LinkTokenError
from crossapp_core.events import AccountLinked, EntitlementGranted, UserOAuthLogin
from crossapp_core.models import AccountLinkToken
from crossapp_core.operations import links, shared_sign_ins
from crossapp_core.operations.link_rows import Pair
from crossapp_core.operations.links import Confirmation
from crossapp_core.outcomes import Outcome
from crossapp_core.ports import Linker
from crossapp_core.table_ports import TableAccounts, TableUsers
from tests import schema
from tests.ah.school import COURSE, SHOP, School, link, refund, sale, school
from tests.databases import NAMES, Database
from tests.hosts import NOW
from tests.races.stacks import MOST, STACKS, USUAL, Stack
from tests.races.workers import Worker

SCHOOL = "ai-hero"

ONE_EACH = tuple(next(stack for stack in USUAL if stack.driver.database == name) for name in NAMES)
"""One driver of each database: what two transactions do to each other is the same on all."""
OTHER_LEVELS = tuple(
    stack
    for stack in STACKS
    if stack not in ONE_EACH and stack.driver in [each.driver for each in ONE_EACH] and stack.isolation
)
"""The same drivers at the isolation level that their database doesn't have by default."""

Answer: TypeAlias = Outcome | LinkTokenError | LinkConflictError


class Guild(SQLModel, registry=registry()):
    """
    Tables that aren't on the metadata that all others share.
    """


class Student(Guild, table=True):
    """
    A user of the school.
    """

    __tablename__ = "race_student"

    id: str = Field(primary_key=True, max_length=64)
    email: str = Field(max_length=255)
    email_verified: bool = True


class Login(Guild, table=True):
    """
    An account that a user of the school signs in with.
    """

    __tablename__ = "race_login"

    provider: str = Field(primary_key=True, max_length=32)
    provider_account_id: str = Field(primary_key=True, max_length=64)
    user_id: str = Field(max_length=64)


LINKER = Linker(
    app_id=SCHOOL,
    links=AccountLink,
    tokens=AccountLinkToken,
    apps=frozenset({SHOP}),
    users=TableUsers(Student),
    accounts=TableAccounts(Login),
)


@dataclass(frozen=True)
class Cast:
    """
    Whom one round is about: two users of the school, two accounts in the shop and a purchase of the first of them.
    """

    number: int
    ada: str
    bob: str
    one: str
    two: str
    purchase: str
    github: str
    """The account at a provider that Ada and the first account in the shop sign in with."""

    @classmethod
    def of(cls, number: int, name: str) -> Cast:
        """
        Those with that name behind theirs.
        """
        return cls(number, *(f"{who}-{name}" for who in ("ada", "bob", "one", "two", "pur", "github")))

    @property
    def rows(self) -> Sequence[Guild]:
        """
        What the school knows of them.
        """
        students = [Student(id=id_, email=f"{id_}@example.com") for id_ in (self.ada, self.bob)]
        return [*students, Login(provider="github", provider_account_id=self.github, user_id=self.ada)]


@dataclass(frozen=True)
class Arena:
    """
    A school with all that take part in so many rounds.
    """

    database: Database
    school: School
    casts: Sequence[Cast]

    @property
    def granter(self) -> Granter:
        """
        The school, as the operations on entitlements know it.
        """
        return self.school.granter

    @classmethod
    def of(cls, stack: Stack, database: Database, *, rounds: int = 200, elsewhere: int = 40) -> Arena:
        """
        So many rounds, and fewer at an isolation level that isn't the usual one.
        """
        count = min(rounds, MOST) if stack in ONE_EACH else min(elsewhere, MOST // 4)
        casts = [Cast.of(number, f"{number:03}") for number in range(count)]
        with schema.tables(database.engine, Guild.metadata):
            pass  # makes them, and empties those that a server has kept
        arena = cls(database, school(database), casts)
        arena.school.add(*(row for cast in casts for row in cast.rows))
        return arena

    def links(self) -> dict[tuple[str, str], AccountLink]:
        """
        All rows of links, by the two accounts.
        """
        with self.database.session() as session:
            return {(row.user_id, row.linked_user_id): row for row in session.exec(select(AccountLink))}

    def standing(self) -> set[tuple[str, str]]:
        """
        The accounts whose links stand.
        """
        return {pair for pair, row in self.links().items() if row.active}

    def held(self) -> dict[str, Entitlement]:
        """
        All entitlements, by purchase.
        """
        return {str(row.source_purchase_id): row for row in self.school.rows}

    def wait_for(self, purchases: Iterable[tuple[str, Cast]]) -> None:
        """
        Have purchases of the first account in the shop that were granted before it was linked.
        """
        source: dict[str, Any] = {"source_app": SHOP, "product_id": COURSE, "status": "pending", "source_version": 1}
        self.school.add(
            *(
                Entitlement(id=f"ent_{id_}", source_purchase_id=id_, source_user_id=cast.one, **source)
                for id_, cast in purchases
            )
        )


def linked(cast: Cast, version: int = 3, **changes: Any) -> AccountLink:
    """
    The row of Ada's pair as it may be before a round.
    """
    method = "explicit" if version > 1 else "oauth-github"
    state: dict[str, Any] = {"link_method": method, "unlinked_at": None if version % 2 else NOW}
    return link(cast.ada, cast.one, version=version, **state, **changes)


def merged(user_id: str, account: str, version: int = 3, source: str = SHOP) -> AccountLinked:
    """
    What the shop says of a pair that it has linked.
    """
    method = "explicit" if version > 1 else "oauth-github"
    ids: dict[str, Any] = {"user_id": account, "linked_app": SCHOOL, "linked_user_id": user_id}
    return AccountLinked(source_app=source, **ids, link_method=method, linked_at=NOW, version=version)


def confirm(worker: Worker, *, user_id: str, account: str, token: str | None = None) -> Answer:
    """
    Confirm that an account in the shop is one's own.
    """
    request = Confirmation(Pair(user_id, SHOP, account), f"{account}@example.com", token, NOW + timedelta(minutes=10))
    try:
        return worker.do(links.link, LINKER, request, now=NOW)
    except (LinkTokenError, LinkConflictError) as error:
        return error


def unlink(worker: Worker, *, user_id: str, account: str) -> Outcome:
    """
    Unlink an account.
    """
    return worker.do(links.unlink, LINKER, Pair(user_id, SHOP, account), now=NOW)


def merge(worker: Worker, *, fact: links.Fact) -> Outcome:
    """
    Hear of a link from the shop.
    """
    return worker.do(links.merge, LINKER, fact, now=NOW)


def sign_in(worker: Worker, *, cast: Cast) -> Outcome:
    """
    Hear that the first account in the shop has signed in.
    """
    return worker.do(shared_sign_ins.link, LINKER, login(cast), now=NOW)


def revoke(worker: Worker, *, granter: Granter, purchase_id: str) -> Outcome:
    """
    Hear of a refund.
    """
    return worker.do(entitlements.revoke, granter, refund(purchase_id=purchase_id), now=NOW)


def claim(worker: Worker, *, granter: Granter, account: str) -> tuple[float, Outcome]:
    """
    Unlock what waits for an account in the shop; a time at which it was decided but not committed, and the outcome.
    """
    request = Claim({"linked_app": SHOP, "linked_user_id": account}, NOW)
    return worker.do(timed, claims.claim, granter, request)


def grant(worker: Worker, *, granter: Granter, cast: Cast) -> tuple[float, Outcome]:
    """
    Hear of a purchase, as the function does it; a time at which it was decided but not committed, and the answer.
    """
    request = sale(purchase_id=cast.purchase, buyer_user_id=cast.one)
    decided_at, outcome = worker.do(timed, entitlements.grant, granter, request)
    if not opened(outcome):
        return worker.do(timed, entitlements.look_again, granter, request)
    return decided_at, outcome


def timed(session: Session, operation: Any, granter: Granter, request: object) -> tuple[float, Outcome]:
    """
    Do an operation on entitlements, and look at the clock when all is decided and written.
    """
    outcome: Outcome = operation(session, granter, request, now=NOW)
    session.flush()
    return time.perf_counter(), outcome


def opened(outcome: Outcome) -> dict[str, str | None]:
    """
    The purchases that an outcome says are unlocked, and for whom.
    """
    granted = [message.event for message in outcome.messages if isinstance(message.event, EntitlementGranted)]
    return {each.source_purchase_id: each.user_id for each in granted if each.status == "active"}


def versions(outcome: Answer) -> list[int]:
    """
    The numbers that are told.
    """
    assert isinstance(outcome, Outcome), outcome
    return [message.event.model_dump()["version"] for message in outcome.messages]


def login(cast: Cast) -> UserOAuthLogin:
    """
    What the shop says when the first account in it has signed in.
    """
    ids: dict[str, Any] = {"user_id": cast.one, "provider": "github", "provider_account_id": cast.github}
    return UserOAuthLogin(source_app=SHOP, **ids, logged_in_at=NOW)


def later(days: int) -> datetime:
    """
    Another day, on which all that is owed is due once more.
    """
    return NOW + timedelta(days=days)
