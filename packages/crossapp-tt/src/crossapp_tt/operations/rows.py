"""
How a ledger row is found and numbered.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeAlias

from sqlalchemy import select
from sqlmodel import Session

from crossapp_core import addresses, backoff
from crossapp_core.columns import column_of, derived_id, stored_id
from crossapp_core.locking import lock_or_create, locking
from crossapp_tt import catalog
from crossapp_tt.catalog import Component
from crossapp_tt.operations import ownership
from crossapp_tt.ports import Purchase, Seller
from crossapp_tt.ports import Reason as Reason
from crossapp_tt.tables import CrossAppSyncBase, Desired, SyncStatus, may_become

Row: TypeAlias = CrossAppSyncBase


class Known(Protocol):
    """
    What tells of a ledger row whether it is as it should be: the row itself, or these columns of it.
    """

    @property
    def purchase_id(self) -> str:
        """
        The purchase.
        """
        ...

    @property
    def target_app(self) -> str:
        """
        The granter.
        """
        ...

    @property
    def target_product_id(self) -> str:
        """
        The product there.
        """
        ...

    @property
    def desired(self) -> str:
        """
        What is wanted there.
        """
        ...

    @property
    def reason(self) -> str | None:
        """
        Why, if it is to be locked.
        """
        ...

    @property
    def bundle_product_id(self) -> str | None:
        """
        As a part of what it was sold; None if it wasn't.
        """
        ...

    @property
    def buyer_user_id(self) -> str | None:
        """
        To whom.
        """
        ...

    @property
    def buyer_email(self) -> str | None:
        """
        At which address.
        """
        ...


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def key_of(purchase_id: str, component: Component) -> Mapping[str, object]:
    """
    What identifies a row, by attribute.
    """
    return {
        "purchase_id": purchase_id,
        "target_app": component.app,
        "target_product_id": component.product_id,
    }


def locked_purchase(session: Session, seller: Seller, purchase_id: str) -> Purchase | None:
    """
    Lock a purchase, which keeps everybody else from its rows; None if there is none with just that id.

    MySQL's default finds `pur_1` for `PUR_1` too: taken for another purchase, it would have its rows twice.
    """
    purchase = seller.purchases.get(session, purchase_id, lock=True)
    if purchase is None or purchase.id != purchase_id:
        return None
    return ownership.decided(session, seller, purchase)


def rows_of(session: Session, seller: Seller, purchase_id: str, *, locked: bool) -> Sequence[Row]:
    """
    All rows of a purchase, always in the same order.
    """
    ledger, column = seller.ledger, column_of(seller.ledger, "purchase_id")
    value = stored_id(session, column, purchase_id)
    if value is None:
        return ()
    order = column_of(ledger, "target_app"), column_of(ledger, "target_product_id")
    query = select(ledger).where(column == value).order_by(*order)
    found = session.scalars(locking(query) if locked else query)
    # compared once more: to MySQL `pur_1 ` is `pur_1`, and whoever sends the app's own events would be believed
    return [row for row in found if row.purchase_id == purchase_id]


def row_for(session: Session, seller: Seller, purchase_id: str, component: Component, now: datetime) -> Row:
    """
    Lock the row of a purchase and component, at version 0 if it is new.
    """
    key = key_of(purchase_id, component)
    return lock_or_create(session, seller.ledger, key, {"id": derived_id("sync", *key.values()), "created_at": now})


def components_of(session: Session, seller: Seller, purchase: Purchase, rows: Iterable[Known]) -> tuple[Component, ...]:
    """
    What the bundle held when it was sold, always in the same order.

    That is what the app kept of it, or else what our rows say: only a sale without rows is looked up in the catalogue.

    Raises:
        CatalogError: It can't be read.
    """
    kept = purchase.bundle_products
    # a row without bundle is one that a granter asked about and that was never sold
    sold = [Component(row.target_app, row.target_product_id) for row in rows if row.bundle_product_id is not None]
    if kept is not None or not sold:
        source = kept if kept is not None else seller.bundles.of(session, purchase.product_id)
        sold = list(catalog.parse(source, product_id=purchase.product_id, app_id=seller.app_id, apps=seller.apps))
    return in_order(sold)


def dropped_of(rows: Iterable[Known], components: Collection[Component]) -> tuple[Component, ...]:
    """
    What was sold and isn't among *components* any more, save for what an operator holds.
    """
    sold = [
        Component(row.target_app, row.target_product_id)
        for row in rows
        if row.bundle_product_id is not None and not is_held(row)
    ]
    return tuple(component for component in sold if component not in components)


def in_order(components: Iterable[Component]) -> tuple[Component, ...]:
    """
    Components in the order in which their rows are always locked.
    """
    return tuple(sorted(components, key=lambda component: (component.app, component.product_id)))


def is_held(row: Known) -> bool:
    """
    Whether an operator has revoked a component that was sold: only an operator gives it back.
    """
    return row.desired == Desired.REVOKED and row.reason == "manual" and row.bundle_product_id is not None


def want_granted(row: Row, purchase: Purchase, *, now: datetime, above: int = 0, quiet: bool = False) -> bool:
    """
    Want a component unlocked for the purchase's buyer; False if just that is wanted already, or an operator holds it.
    """
    buyer = buyer_of(row, purchase)
    if row.version and (is_held(row) or (row.desired == Desired.GRANTED and not is_another(row, buyer))):
        return False
    was_named = row.version and row.desired == Desired.GRANTED and row.buyer_user_id is None and buyer[0] is not None
    row.quiet = row.quiet if was_named else quiet
    describe(row, purchase)
    number(row, Desired.GRANTED, now=now, above=above)
    return True


def describe(row: Row, purchase: Purchase) -> None:
    """
    Write down who has bought what, and when.
    """
    row.buyer_user_id, row.buyer_email = buyer_of(row, purchase)
    row.bundle_product_id = purchase.product_id
    row.purchased_at = purchase.purchased_at


def want_revoked(row: Row, reason: Reason, *, now: datetime) -> bool:
    """
    Want a component locked; False if that is wanted already.
    """
    if row.version and row.desired == Desired.REVOKED:
        return False
    row.reason = reason
    number(row, Desired.REVOKED, now=now)
    return True


def drop(row: Row, *, now: datetime) -> bool:
    """
    Want a component locked that the app has taken out of what it keeps of the sale; False if that is wanted already.

    Without its bundle it counts as never sold, so that it comes back if the app puts it back.
    """
    row.bundle_product_id = None
    return want_revoked(row, "manual", now=now)


def number(row: Row, desired: Desired, *, now: datetime, above: int = 0) -> None:
    """
    Give what is wanted a higher version than the row's, and than *above*; it is owed from now on.

    The time makes versions outlive a restored backup. Nothing compares them with a clock.
    """
    move(row, SyncStatus.PENDING, newer=True)
    row.version = max(row.version + 1, above + 1, (now - _EPOCH) // timedelta(milliseconds=1))
    row.desired = desired
    row.retry_count = 0
    row.next_attempt_at = next_attempt(row, now)
    row.error_code = row.error_message = None
    if desired == Desired.GRANTED:
        # the granter decides anew who holds it
        row.reason = row.target_user_id = row.revoked_at = None


def move(row: Row, status: SyncStatus, *, newer: bool = False) -> None:
    """
    Change the status of a row as its life cycle allows.
    """
    if not may_become(SyncStatus(row.status), status, newer=newer):
        msg = f"a ledger row that is {row.status} can't become {status} {'' if newer else 'at the same version'}"
        raise AssertionError(msg)
    row.status = status


def settle(row: Row, status: SyncStatus, *, now: datetime) -> None:
    """
    Write down that what a row wants was acknowledged, unless that is known; nothing is owed then.
    """
    row.next_attempt_at = None  # it may have been asked for once more
    if row.status == status:
        return
    move(row, status)
    row.synced_at, row.revoked_at = (now, None) if status == SyncStatus.SYNCED else (row.synced_at, now)
    row.error_code = row.error_message = None


def next_attempt(row: Row, now: datetime) -> datetime:
    """
    When to send a row again if it isn't acknowledged until then: after 1 minute, doubling to 6 hours.
    """
    return backoff.next_attempt(row.retry_count, now=now, key=row.id)


def buyer_of(row: Known, purchase: Purchase) -> tuple[str | None, str | None]:
    """
    The buyer's id and address, as a row is to have them.
    """
    # an account that was erased is no transfer, and a new address of the same buyer neither
    user_id = purchase.user_id if purchase.user_id is not None else row.buyer_user_id
    if user_id is not None and user_id == row.buyer_user_id:
        return user_id, row.buyer_email
    return user_id, addresses.normalise_or_none(purchase.email)


def is_another(row: Known, buyer: tuple[str | None, str | None]) -> bool:
    """
    Whether that is another buyer than the row's, or the same one with a name now.
    """
    return buyer != (row.buyer_user_id, row.buyer_email)
