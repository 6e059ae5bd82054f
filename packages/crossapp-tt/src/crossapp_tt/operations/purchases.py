"""
What becomes of the ledger when something happens to a purchase.

The purchase is locked before its rows, so that a sale and its refund can't pass each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from crossapp_core.errors import CatalogError, UnconfirmedEventError
from crossapp_core.locking import lock
from crossapp_core.outcomes import Message, Outcome
from crossapp_tt.catalog import Component
from crossapp_tt.operations.buyers import named
from crossapp_tt.operations.messages import (
    LONGEST_ERROR,
    LONGEST_SKETCH_ID,
    is_unsent,
    owed,
    read_sketch_id,
    version_of,
)
from crossapp_tt.operations.ownership import reason_of
from crossapp_tt.operations.rows import (
    Reason,
    Row,
    components_of,
    drop,
    dropped_of,
    in_order,
    key_of,
    locked_purchase,
    move,
    next_attempt,
    row_for,
    rows_of,
    want_granted,
    want_revoked,
)
from crossapp_tt.ports import Purchase, Reference, Seller
from crossapp_tt.tables import SyncStatus


def record(
    session: Session, seller: Seller, purchase_id: str, /, *, now: datetime, reason: Reason | None = None
) -> Outcome:
    """
    Write down what a purchase now is, whatever it was: one row for each component that its bundle held when sold.

    A purchase that isn't owned and has no rows gets none. Doing it again changes nothing.

    Args:
        session: The caller's; nothing is committed. It may be that of the app's own checkout.
        seller: The app.
        purchase_id: The purchase.
        now: The time.
        reason: Why, if it isn't owned any more; None if the purchase says so itself.

    Raises:
        CatalogError: What the bundle holds can't be read.
    """
    purchase = locked_purchase(session, seller, purchase_id)
    rows, changed = decide(session, seller, purchase_id, purchase, now=now, reason=reason)
    return _outcome(seller, rows, changed, now)


def record_sale(session: Session, seller: Seller, reference: Reference, /, *, now: datetime) -> Outcome:
    """
    Do as `record` does, because an event says that there is a new purchase.

    Raises:
        UnconfirmedEventError: The purchase isn't there, or isn't owned and never was.
        CatalogError: What the bundle holds can't be read.
    """
    purchase_id, purchase = _find(session, seller, reference)
    rows, changed = decide(session, seller, purchase_id, purchase, now=now)
    if not rows and not (purchase and purchase.owned):
        raise UnconfirmedEventError(purchase_id, "owned")
    return _outcome(seller, rows, changed, now)


def record_refund(session: Session, seller: Seller, reference: Reference, /, *, now: datetime) -> Outcome:
    """
    Do as `record` does, because an event says that a purchase was refunded.

    Raises:
        UnconfirmedEventError: The purchase is still owned, and no part of it was paid back.
    """
    purchase_id, purchase = _find(session, seller, reference)
    if purchase is not None and purchase.owned and not purchase.partially_refunded:
        raise UnconfirmedEventError(purchase_id, "refunded")
    rows, changed = decide(session, seller, purchase_id, purchase, now=now)
    return _outcome(seller, rows, changed, now)


def record_change(session: Session, seller: Seller, reference: Reference, /, *, now: datetime) -> Outcome:
    """
    Do as `record` does, because an event says that something else has happened to a purchase.

    Raises:
        UnconfirmedEventError: The purchase isn't there and never was.
        CatalogError: What the bundle holds can't be read.
    """
    purchase_id, purchase = _find(session, seller, reference)
    rows, changed = decide(session, seller, purchase_id, purchase, now=now)
    if not rows and purchase is None:
        raise UnconfirmedEventError(purchase_id, "there")
    return _outcome(seller, rows, changed, now)


def decide(
    session: Session,
    seller: Seller,
    purchase_id: str,
    purchase: Purchase | None,
    *,
    now: datetime,
    reason: Reason | None = None,
    quiet: bool = False,
) -> tuple[Sequence[Row], bool]:
    """
    Want of a purchase's rows what it now is; all of them, and whether any has changed.

    Args:
        session: The caller's.
        seller: The app.
        purchase_id: The purchase.
        purchase: As it is now, locked.
        now: The time.
        reason: Why, if it isn't owned any more; None if the purchase says so itself.
        quiet: Whether nobody is to be told of rows that are new.

    Raises:
        CatalogError: What the bundle holds can't be read.
    """
    if purchase is None or not purchase.owned:
        rows = rows_of(session, seller, purchase_id, locked=True)
        revoked = [want_revoked(row, reason or reason_of(purchase), now=now) for row in rows]
        return rows, any(revoked)
    # Without a lock: on MariaDB one on rows that don't exist yet would keep other sales from inserting theirs.
    # The purchase's own lock keeps everybody else away, and each row is locked before it is changed.
    known = rows_of(session, seller, purchase_id, locked=False)
    components = components_of(session, seller, purchase, known)
    purchase = named(session, seller, purchase, known)
    _refuse_long_id(seller, purchase, components)
    ours = in_order({*components, *dropped_of(known, components)})
    rows = [row_for(session, seller, purchase_id, component, now) for component in ours]
    changed = [
        want_granted(row, purchase, now=now, above=_taken(seller, row, [*known, *rows]), quiet=quiet)
        if component in components
        else drop(row, now=now)
        for component, row in zip(ours, rows, strict=True)
    ]
    return rows, any(changed)


def note_accepted(session: Session, seller: Seller, messages: Sequence[Message], /, *, now: datetime) -> Outcome:
    """
    Write down that the peers' Inngest accepted what a purchase's rows wanted sent: only an ack says that it is done.
    """
    rows = [(_row(session, seller, message), message) for message in messages]
    accepted = [row for row, message in rows if row is not None and row.version == version_of(message)]
    for row in accepted:
        row.sent_at = row.accepted_at = now
        row.accepted_version = row.version
    return Outcome(tuple(row.id for row in accepted), bool(accepted))


@dataclass(frozen=True)
class Undelivered:
    """
    A purchase whose events couldn't be sent, however often that was tried.
    """

    reference: Reference
    message: str


def note_undelivered(session: Session, seller: Seller, fact: Undelivered, /, *, now: datetime) -> Outcome:
    """
    Show in the ledger that events of a purchase couldn't be sent, and why; they are still owed.
    """
    try:
        purchase_id, _ = _find(session, seller, fact.reference)
    except UnconfirmedEventError:
        return Outcome()
    rows = rows_of(session, seller, purchase_id, locked=True)
    failed = [row for row in rows if is_unsent(row)]
    for row in failed:
        move(row, SyncStatus.FAILED)
        row.error_code = "not-sent"
        row.error_message = fact.message[:LONGEST_ERROR]
        row.next_attempt_at = next_attempt(row, now)
    return Outcome(tuple(row.id for row in failed), bool(failed))


def _find(session: Session, seller: Seller, reference: Reference) -> tuple[str, Purchase | None]:
    purchase_id = reference.purchase_id
    if purchase_id is None and reference.charge_id is not None:
        purchase = seller.purchases.by_charge(session, reference.charge_id)
        purchase_id = purchase.id if purchase else None
    if purchase_id is None:
        raise UnconfirmedEventError(f"of the charge {reference.charge_id}", "there")
    return purchase_id, locked_purchase(session, seller, purchase_id)


def _outcome(seller: Seller, rows: Sequence[Row], changed: bool, now: datetime) -> Outcome:
    return Outcome(tuple(row.id for row in rows), changed, owed(seller, rows, now=now))


def _refuse_long_id(seller: Seller, purchase: Purchase, components: Sequence[Component]) -> None:
    for component in components:
        if component.app in seller.sketches and len(purchase.id) > LONGEST_SKETCH_ID:
            problem = f"{component.app} is a sketch peer, a purchase's id may have {LONGEST_SKETCH_ID} characters there"
            raise CatalogError(purchase.product_id, problem)


def _taken(seller: Seller, row: Row, siblings: Sequence[Row]) -> int:
    # a sketch peer's answer may name nothing but the version, which must tell one product from the other then
    if row.target_app not in seller.sketches:
        return 0
    return max(sibling.version for sibling in siblings if sibling.target_app == row.target_app)


def _row(session: Session, seller: Seller, message: Message) -> Row | None:
    purchase_id, product_id = (str(getattr(message.event, name)) for name in ("purchase_id", "product_id"))
    if message.target in seller.sketches:
        purchase_id, _ = read_sketch_id(purchase_id)
    return lock(session, seller.ledger, key_of(purchase_id, Component(message.target, product_id)))
