"""
What the shop writes down when Stripe says that something was paid, or paid back, in the caller's transaction.

Like the bridge's own, these functions take a plain session: an async app calls them by `AsyncSession.run_sync`.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.orm import Session
from sqlmodel import col, or_, select

import crossapp_tt as tt
from crossapp_core import CatalogError
from examples.two_apps.seller.models import Product, Purchase, PurchaseStatus, User
from examples.two_apps.seller.stripe_objects import Charge, CheckoutSession, Dispute
from examples.two_apps.seller.stripe_objects import Product as StripeProduct

_CLOSED = {
    "won": PurchaseStatus.VALID,
    "warning_closed": PurchaseStatus.VALID,
    "lost": PurchaseStatus.REFUNDED,
}
"""What a dispute that has ended makes of a purchase."""

log = logging.getLogger(__name__)


class NotHereError(Exception):
    """
    The shop doesn't have what Stripe speaks of, perhaps not yet: Stripe is to try again.
    """


def record_sale(session: Session, bridge: tt.Bridge, paid: CheckoutSession) -> str | None:
    """
    Write down a paid checkout, and what the other apps owe its buyer; the purchase's id, or None if it isn't ours.

    Raises:
        NotHereError: The shop has no such product.
        ValueError: It is no checkout of this shop.
        sqlalchemy.exc.IntegrityError: Stripe told of it twice at the same time; the other one was faster.
    """
    sold = paid.product
    if sold is None:
        return None
    query = select(Purchase).where(Purchase.checkout_session_id == paid.id)
    purchase = session.scalars(query).first() or _new_purchase(session, paid, sold)
    return _recorded(session, bridge, purchase)


def record_refund(session: Session, bridge: tt.Bridge, charge: Charge) -> str | None:
    """
    Write down a refund; the purchase's id, or None if the buyer keeps what was bought or bought it elsewhere.

    Raises:
        NotHereError: There is no such purchase; Stripe's events come in any order.
    """
    purchase = _paid_by(session, charge.id, charge.payment_intent)
    if purchase is None:
        if "productId" not in charge.metadata:
            return None
        msg = f"no purchase was paid by {charge.id}"
        raise NotHereError(msg)
    purchase.charge_id = charge.id
    if not charge.refunded:
        return None
    purchase.status = PurchaseStatus.REFUNDED
    return _recorded(session, bridge, purchase)


def record_dispute(session: Session, bridge: tt.Bridge, dispute: Dispute) -> str | None:
    """
    Write down a dispute; the purchase's id, or None if the shop sold nothing for it, or it changes nothing any more.

    While it is open nobody owns what was bought. If the shop wins, the buyer does again, else it is refunded.
    """
    purchase = _paid_by(session, dispute.charge, dispute.payment_intent)
    if purchase is None:
        return None
    if purchase.status != PurchaseStatus.REFUNDED and purchase.closed_dispute_id != dispute.id:
        purchase.charge_id = dispute.charge
        purchase.status = _CLOSED.get(dispute.status, PurchaseStatus.DISPUTED)
        if dispute.status in _CLOSED:
            purchase.closed_dispute_id = dispute.id
    return _recorded(session, bridge, purchase)


def _paid_by(session: Session, charge_id: str, payment_intent_id: str | None) -> Purchase | None:
    paid_by = [col(Purchase.charge_id) == charge_id]
    if payment_intent_id is not None:
        paid_by.append(col(Purchase.payment_intent_id) == payment_intent_id)
    return session.scalars(select(Purchase).where(or_(*paid_by)).with_for_update()).first()


def _new_purchase(session: Session, paid: CheckoutSession, sold: StripeProduct) -> Purchase:
    product = session.get(Product, sold.id)
    if product is None:
        msg = f"no product {sold.id}"
        raise NotHereError(msg)
    buyer = session.get(User, paid.client_reference_id) if paid.client_reference_id else None
    purchase = Purchase(
        id=f"pur_{uuid4().hex}",
        user_id=buyer.id if buyer else None,
        email=paid.email,
        product_id=product.id,
        checkout_session_id=paid.id,
        payment_intent_id=paid.payment_intent_id,
        charge_id=paid.charge_id,
        amount=paid.amount_total or 0,
        created_at=datetime.fromtimestamp(paid.created, UTC),
        product_metadata=product.stripe_metadata if sold.metadata is None else sold.metadata,
    )
    session.add(purchase)
    return purchase


def _recorded(session: Session, bridge: tt.Bridge, purchase: Purchase) -> str:
    # In the same transaction, so that no sale and no refund can be lost between the shop and the bridge.
    session.flush()
    try:
        bridge.record(session, purchase.id)
    except CatalogError as error:
        # The money is here, so the sale stands. Without a copy of what was sold, the bridge's function looks at the
        # product, again and again, until somebody has corrected it.
        log.error("%s", error)
        purchase.product_metadata = None
    return purchase.id
