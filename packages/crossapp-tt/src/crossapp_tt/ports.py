"""
What the app tells a seller about itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from sqlmodel import Session

from crossapp_core.ports import Users
from crossapp_core.tables import AccountLinkBase
from crossapp_tt.tables import CrossAppSyncBase


@dataclass(frozen=True)
class Purchase:
    """
    One purchase, as it is now.
    """

    id: str
    product_id: str
    """What was bought."""
    owned: bool
    """Whether it is paid for and was neither refunded nor taken back."""
    user_id: str | None = None
    """The buyer; None for a guest."""
    email: str | None = field(default=None, repr=False)
    purchased_at: datetime | None = None
    bundle_products: object = None
    """What the bundle held when it was sold, as `catalog.parse` reads it; None if the app doesn't keep that."""


class Purchases(Protocol):
    """
    The purchases of the app.
    """

    def get(self, session: Session, purchase_id: str, *, lock: bool = False) -> Purchase | None:
        """
        One purchase as it is now, or None. One whose id is written otherwise counts as another.

        Args:
            session: The operation's session.
            purchase_id: Its id, as the app's events write it.
            lock: Keep everybody else from changing it until the transaction ends (`FOR UPDATE`).
        """
        ...

    def get_many(self, session: Session, purchase_ids: Collection[str]) -> Sequence[Purchase]:
        """
        Those of the purchases that there are.
        """
        ...

    def by_charge(self, session: Session, charge_id: str) -> Purchase | None:
        """
        The purchase that a charge paid for, or None.
        """
        ...

    def after(self, session: Session, cursor: str | None, limit: int) -> Sequence[Purchase]:
        """
        Up to *limit* purchases in the order of their ids, from the first after the id *cursor* on.
        """
        ...


class Bundles(Protocol):
    """
    What the app's products unlock in other apps.
    """

    def of(self, session: Session, product_id: str) -> object:
        """
        The product's metadata or its `bundleProducts`, as `catalog.parse` reads them; None if it is no bundle.
        """
        ...


@dataclass(frozen=True)
class Seller:
    """
    The app, as the seller's operations know it.
    """

    app_id: str
    ledger: type[CrossAppSyncBase]
    purchases: Purchases
    bundles: Bundles
    apps: frozenset[str]
    """The peers' ids."""
    sketches: frozenset[str] = frozenset()
    """Those of the sketch peers among them."""
    users: Users | None = None
    links: type[AccountLinkBase] | None = None


@dataclass(frozen=True)
class HostEvent:
    """
    An event of the app itself, and where in its data the purchase stands: `purchaseId`, or `purchase.id` deeper down.

    Only ids are read from it: what happened is for the app's own database to say.
    """

    name: str
    purchase_id: str | None = "purchaseId"
    """Where the purchase's id stands, if it does."""
    charge_id: str | None = None
    """Where the charge's id stands, if only that is known."""


@dataclass(frozen=True)
class Reference:
    """
    How an event of the app names a purchase: by its id or, where there is none, by that of the charge.
    """

    purchase_id: str | None = None
    charge_id: str | None = None
