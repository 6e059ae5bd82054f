"""
Takes Stripe's webhooks.
"""

from __future__ import annotations

import inngest
from fastapi import APIRouter, HTTPException, Request
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

import crossapp_tt as tt
from examples.two_apps.seller import notices


def router(engine: AsyncEngine, bridge: tt.Bridge, client: inngest.Inngest, secret: SecretStr) -> APIRouter:
    """
    The webhook. Stripe repeats what isn't answered with 2xx, for up to three days, so all of this may happen twice.
    """
    routes = APIRouter()

    @routes.post("/webhooks/stripe")
    async def take(request: Request) -> dict[str, object]:
        try:
            notice = notices.checked(await request.body(), request.headers.get("stripe-signature", ""), secret)
            async with AsyncSession(engine) as session, session.begin():
                event = await session.run_sync(notices.write_down, bridge, notice)
        except notices.RefusedError as error:
            raise HTTPException(error.status, str(error)) from error
        if event is None:
            return {"purchase": None}
        await client.send(event)
        return {"purchase": event.data["purchaseId"]}

    return routes
