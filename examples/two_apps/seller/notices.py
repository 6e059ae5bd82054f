"""
What Stripe tells the shop: checked, then written down.
"""

from __future__ import annotations

import json
from http import HTTPStatus

import inngest
import stripe
from pydantic import BaseModel, SecretStr
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import crossapp_tt as tt
from examples.two_apps.seller import payments
from examples.two_apps.seller.crossapp import DISPUTE
from examples.two_apps.seller.inngest_client import purchase_event
from examples.two_apps.seller.stripe_objects import Charge, CheckoutSession, Dispute

_SALES = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
_REFUND = "charge.refunded"
_DISPUTES = ("charge.dispute.created", "charge.dispute.closed")


class Content(BaseModel):
    """
    What a notice is about.
    """

    object: dict[str, object]


class Notice(BaseModel):
    """
    One event of Stripe.
    """

    type: str
    data: Content


class RefusedError(Exception):
    """
    A notice that the shop can't write down; Stripe tells it again for up to three days.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def checked(body: bytes, signature: str, secret: SecretStr) -> Notice:
    """
    Read a request of Stripe, after a look at its signature.

    Args:
        body: The request's body, byte for byte.
        signature: The header `Stripe-Signature`.
        secret: The webhook's signing secret.

    Raises:
        RefusedError: Stripe didn't send it, or somebody has changed it.
    """
    try:
        stripe.Webhook.construct_event(body, signature, secret.get_secret_value())
        return Notice.model_validate(json.loads(body))
    except (stripe.SignatureVerificationError, TypeError, ValueError) as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the signature or the body is wrong") from error


def write_down(session: Session, bridge: tt.Bridge, notice: Notice) -> inngest.Event | None:
    """
    Write down what a notice says; the shop's own event that tells of it, if there is something to tell.

    The event is sent after the commit: the bridge believes what the database says, not the event.

    Raises:
        RefusedError: It can't be written down, perhaps not yet.
    """
    try:
        return _written_down(session, bridge, notice)
    except payments.NotHereError as error:
        raise RefusedError(HTTPStatus.NOT_FOUND, str(error)) from error
    except ValueError as error:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"can't be read as {notice.type}") from error
    except IntegrityError as error:
        raise RefusedError(HTTPStatus.CONFLICT, "the same checkout is being recorded") from error


def _written_down(session: Session, bridge: tt.Bridge, notice: Notice) -> inngest.Event | None:
    if notice.type in _SALES:
        checkout = CheckoutSession.model_validate(notice.data.object)
        paid = checkout.payment_status == "paid"
        name, purchase_id = "purchase/created", payments.record_sale(session, bridge, checkout) if paid else None
    elif notice.type == _REFUND:
        charge = Charge.model_validate(notice.data.object)
        name, purchase_id = "purchase/refunded", payments.record_refund(session, bridge, charge)
    elif notice.type in _DISPUTES:
        dispute = Dispute.model_validate(notice.data.object)
        purchase_id = payments.record_dispute(session, bridge, dispute)
        # a purchase has several of these, which must not have one id
        return None if purchase_id is None else purchase_event(DISPUTE, purchase_id, f"{dispute.id}:{dispute.status}")
    else:
        return None
    return purchase_event(name, purchase_id) if purchase_id is not None else None
