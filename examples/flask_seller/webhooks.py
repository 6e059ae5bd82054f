"""
Takes Stripe's webhooks.
"""

from __future__ import annotations

import inngest
from flask import Blueprint, request
from flask.typing import ResponseReturnValue
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlmodel import Session

import crossapp_tt as tt
from examples.two_apps.seller import notices


def blueprint(engine: Engine, bridge: tt.Bridge, client: inngest.Inngest, secret: SecretStr) -> Blueprint:
    """
    The webhook. Stripe repeats what isn't answered with 2xx, for up to three days, so all of this may happen twice.
    """
    routes = Blueprint("webhooks", __name__)

    @routes.post("/webhooks/stripe")
    def take() -> ResponseReturnValue:
        try:
            notice = notices.checked(request.get_data(), request.headers.get("Stripe-Signature", ""), secret)
            with Session(engine) as session, session.begin():
                event = notices.write_down(session, bridge, notice)
        except notices.RefusedError as error:
            return {"detail": str(error)}, error.status
        if event is None:
            return {"purchase": None}
        client.send_sync(event)
        return {"purchase": event.data["purchaseId"]}

    return routes
