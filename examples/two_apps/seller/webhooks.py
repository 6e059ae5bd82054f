"""
Takes Stripe's webhooks.
"""

from __future__ import annotations

import json
from http import HTTPStatus

import inngest
import stripe
from fastapi import APIRouter, HTTPException, Request
from pydantic import SecretStr
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

import crossapp_tt as tt
from examples.two_apps.seller import payments
from examples.two_apps.seller.inngest_client import announce
from examples.two_apps.seller.payments import NotHereError
from examples.two_apps.seller.stripe_objects import Charge, CheckoutSession

_SALES = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
_REFUND = "charge.refunded"


def router(engine: AsyncEngine, bridge: tt.Bridge, client: inngest.Inngest, secret: SecretStr) -> APIRouter:
    """
    The webhook. Stripe repeats what isn't answered with 2xx, for up to three days, so all of this may happen twice.
    """
    routes = APIRouter()

    @routes.post("/webhooks/stripe")
    async def take(request: Request) -> dict[str, str | None]:
        kind, content = _verified(await request.body(), request.headers.get("stripe-signature", ""), secret)
        try:
            name, purchase_id = await _recorded(engine, bridge, kind, content)
        except NotHereError as error:
            raise HTTPException(HTTPStatus.NOT_FOUND, str(error)) from error
        except ValueError as error:
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"can't be read as {kind}") from error
        except IntegrityError as error:
            raise HTTPException(HTTPStatus.CONFLICT, "the same checkout is being recorded") from error
        if purchase_id is not None:
            # After the commit: the bridge believes what the database says, not the event.
            await announce(client, name, purchase_id)
        return {"purchase": purchase_id}

    return routes


def _verified(body: bytes, signature: str, secret: SecretStr) -> tuple[str, object]:
    try:
        stripe.Webhook.construct_event(body, signature, secret.get_secret_value())
    except (stripe.SignatureVerificationError, TypeError, ValueError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the signature or the body is wrong") from error
    event = json.loads(body)
    return event["type"], event["data"]["object"]


async def _recorded(engine: AsyncEngine, bridge: tt.Bridge, kind: str, content: object) -> tuple[str, str | None]:
    if kind in _SALES:
        session = CheckoutSession.model_validate(content)
        paid = session.payment_status == "paid"
        return "purchase/created", await payments.record_sale(engine, bridge, session) if paid else None
    if kind == _REFUND:
        return "purchase/refunded", await payments.record_refund(engine, bridge, Charge.model_validate(content))
    return "", None
