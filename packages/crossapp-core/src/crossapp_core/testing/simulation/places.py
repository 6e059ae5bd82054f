"""
What the simulator and an app tell each other: the vocabulary between `World` and a user's own app.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeAlias

import inngest
from sqlalchemy import Engine, StaticPool, create_engine
from sqlmodel import Session

from crossapp_core.apps import Settings
from crossapp_core.bridge import LinkedBridge
from crossapp_core.testing.simulation.rows import Rows


@dataclass(frozen=True)
class Person:
    """
    Somebody who has, or opens, an account.
    """

    name: str
    email: str = field(repr=False)
    is_verified: bool = True
    accounts: tuple[tuple[str, str], ...] = ()
    """With which provider and with which id there they sign in."""


@dataclass(frozen=True)
class Sale:
    """
    A purchase as it is to stand in the app's own table.
    """

    product_id: str
    bundle: Sequence[Mapping[str, str]]
    """What was sold with it, as `bundleProducts`; for apps that keep a snapshot."""
    user_id: str | None
    email: str | None = field(repr=False)
    status: str = "Valid"
    """`Valid`, `Refunded`, `Disputed`, or `PartiallyRefunded`, which is kept."""
    sold_at: datetime | None = None

    @property
    def is_owned(self) -> bool:
        """
        Whether it is paid for and wasn't taken back.
        """
        return self.status in ("Valid", "PartiallyRefunded")


class LedgerRow(NamedTuple):
    """
    A row of a seller's ledger.
    """

    id: str
    purchase_id: str
    app: str
    product_id: str
    status: str
    desired: str
    version: int
    buyer_user_id: str | None
    user_id: str | None
    """Who holds it at the granter, as far as the seller knows."""
    reason: str | None
    bundle_product_id: str | None
    due: object
    """When it is to be sent again, as the database holds it; None if nothing is owed."""
    error_code: str | None


class EntitlementRow(NamedTuple):
    """
    A granter's entitlement.
    """

    app: str
    purchase_id: str
    product_id: str
    status: str
    version: int
    user_id: str | None
    buyer_user_id: str | None
    due: object


class LinkRow(NamedTuple):
    """
    What an app holds of a pair of accounts.
    """

    id: str
    user_id: str
    app: str
    linked_user_id: str
    version: int
    active: int | None
    acknowledged: int
    method: str
    lost_to: str | None
    due: object


@dataclass
class Place:
    """
    Where an app of a simulated world lives. An app may use what it needs of it; the settings are a must.
    """

    app_id: str
    settings: Settings
    client: inngest.Inngest
    """For an app that has none of its own."""
    engine: Engine
    """An empty database in memory, likewise."""

    @classmethod
    def of(cls, settings: Settings) -> Place:
        """
        A place for an app with these settings.
        """
        client = inngest.Inngest(app_id=settings.app_id, is_production=False, event_key=f"{settings.app_id}-key")
        # the SDK calls sync functions in threads
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        return cls(settings.app_id, settings, client, engine)


class Host(Protocol):
    """
    An app with its people. Whatever is written is written into the given session, which the simulator commits.
    """

    @property
    def bridge(self) -> LinkedBridge[Any]:
        """
        The app's bridge.
        """
        ...

    def add_user(self, session: Session, person: Person) -> str:
        """
        Open an account; its id.
        """
        ...

    def verify_user(self, session: Session, user_id: str) -> None:
        """
        Learn that the address is theirs.
        """
        ...

    def delete_user(self, session: Session, user_id: str) -> None:
        """
        Close an account, if there is one.
        """
        ...


class SellerHost(Host, Protocol):
    """
    An app that sells.
    """

    def offer(self, session: Session, name: str, bundle: Sequence[Mapping[str, str]]) -> str:
        """
        Offer a bundle; its product's id. What it holds is a list of `{"app": …, "productId": …}`.
        """
        ...

    def put(self, session: Session, purchase_id: str, sale: Sale) -> None:
        """
        Write down a purchase as it is now, whatever it was.
        """
        ...

    def event_data(self, purchase_id: str) -> dict[str, Any]:
        """
        The data of the app's own events of a purchase.
        """
        ...

    def remove(self, session: Session, purchase_id: str) -> None:
        """
        Delete a purchase, if there is one.
        """
        ...

    @property
    def ledger(self) -> Rows[LedgerRow]:
        """
        All rows of the ledger; `crossapp_tt.testing.SimulatedSeller` has it.
        """
        ...


class GranterHost(Host, Protocol):
    """
    An app that gives access.
    """

    def teach(self, session: Session, name: str) -> str:
        """
        Have a product of that name; its id. Doing it again brings back one that was withdrawn.
        """
        ...

    def withdraw(self, session: Session, product_id: str) -> None:
        """
        Have a product no more.
        """
        ...

    @property
    def entitlements(self) -> Rows[EntitlementRow]:
        """
        All entitlements from other apps; `crossapp_ah.testing.SimulatedGranter` has it.
        """
        ...

    @property
    def opened(self) -> Rows[tuple[str, str]] | None:
        """
        Who may use what, user and product, as the app's own hooks have written it down; None if it has no hooks.
        """
        ...


MakeSeller: TypeAlias = Callable[[Place], SellerHost]
MakeGranter: TypeAlias = Callable[[Place], GranterHost]
