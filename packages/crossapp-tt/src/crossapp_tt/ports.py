"""
What the app tells a seller about itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from sqlalchemy import Select
from sqlmodel import Session

from crossapp_core.ports import Users
from crossapp_core.tables import AccountLinkBase, CrossAppCursorBase
from crossapp_tt.tables import CrossAppSyncBase

Reason: TypeAlias = Literal["refunded", "disputed", "transferred", "manual"]
"""Why a purchase isn't owned any more, as the granters are told."""


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
    reason: Reason | None = None
    """Why, if it isn't owned; it counts as refunded if nothing is said."""
    partially_refunded: bool = False
    """Whether a part of the money was paid back: the bridge's `partial_refunds` says what becomes of it then."""


PartialRefunds: TypeAlias = Literal["keep", "revoke"] | Callable[[Session, Purchase], bool]
"""What becomes of a purchase of which a part was paid back; a function says True if the buyer keeps it."""


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


@dataclass(frozen=True)
class Stretch:
    """
    Some purchases, one after another in the order of their ids, as a query.
    """

    query: Select[Any]
    """Its columns are labelled id, user_id, purchased_at, bundle_products, owned, disputed and partially_refunded."""
    last: str
    """The id of the last one."""


@runtime_checkable
class Comparable(Protocol):
    """
    Purchases in the same database as the ledger, which then can compare the two by itself: a sweep needn't read them.
    """

    def stretch(self, session: Session, cursor: str | None, limit: int) -> Stretch | None:
        """
        The next *limit* purchases from the first after the id *cursor* on; None if there are fewer.
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
class Guard:
    """
    How much a sweep may take away by itself: more than both limits within an hour looks like a mistake.
    """

    most_revocations: int = 20
    """So many rows of the ledger may always be revoked."""
    share: float = 0.01
    """Of the rows that are granted."""


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
    cursors: type[CrossAppCursorBase] | None = None
    partial_refunds: PartialRefunds = "keep"
    guard: Guard = Guard()


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
