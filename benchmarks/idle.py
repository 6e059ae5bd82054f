"""
Two apps whose functions do nothing, in as many steps and with as many events as ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import fastapi
import httpx
import inngest
import inngest.fast_api

CREATED, SOLD, GRANTED = "idle/created", "idle/sold", "idle/granted"
"""The events in place of ours; other names, since both may be on one server."""

_Body: TypeAlias = Callable[[inngest.Context], Awaitable[None]]


class Idle:
    """
    One of them.

    Args:
        name: Its app id.
        origin: Where its Inngest calls it.
        inngest_url: Its Inngest.
        peer_url: The other's Inngest.
    """

    def __init__(self, name: str, *, origin: str, inngest_url: str, peer_url: str) -> None:
        self._client = inngest.Inngest(
            app_id=name, is_production=False, api_base_url=inngest_url, event_api_base_url=inngest_url
        )
        self._origin = origin
        self._peer = f"{peer_url}/e/key"
        self._http = httpx.AsyncClient()

    def shop(self) -> fastapi.FastAPI:
        """
        The one that tells what was bought, and hears that it is unlocked.
        """
        return self._app({CREATED: self._sell, GRANTED: self._note})

    def school(self) -> fastapi.FastAPI:
        """
        The one that hears what was bought, and answers.
        """
        return self._app({SOLD: self._unlock})

    async def close(self) -> None:
        """
        Close the connections to the other.
        """
        await self._http.aclose()

    def _app(self, bodies: dict[str, _Body]) -> fastapi.FastAPI:
        functions = [
            self._client.create_function(fn_id=name.replace("/", "-"), trigger=inngest.TriggerEvent(event=name))(body)
            for name, body in bodies.items()
        ]
        app = fastapi.FastAPI()
        inngest.fast_api.serve(app, self._client, functions, serve_origin=self._origin)
        return app

    async def _sell(self, context: inngest.Context) -> None:
        await context.step.run("record", _nothing)
        await context.step.run("send", lambda: self._post(SOLD, context.event))
        await context.step.run("note accepted", _nothing)

    async def _unlock(self, context: inngest.Context) -> None:
        await context.step.run("grant", _nothing)
        await context.step.run("acknowledge", lambda: self._post(GRANTED, context.event))

    async def _note(self, context: inngest.Context) -> None:
        await context.step.run("apply", _nothing)

    async def _post(self, name: str, cause: inngest.Event) -> None:
        purchase_id = cause.data["purchaseId"]
        event = {"id": f"{name}:{purchase_id}", "name": name, "data": {"purchaseId": purchase_id}}
        (await self._http.post(self._peer, json=[event])).raise_for_status()


async def _nothing() -> None:
    pass
