"""
A peer that was written from the original sketch, as a test talks to it.
"""

from __future__ import annotations

import json

import httpx

from crossapp_core.testing.environment import Environment
from crossapp_core.testing.log import ReceivedEvent
from crossapp_core.testing.peers.base import InMemoryApp
from crossapp_core.testing.peers.sketching import SketchEntitlement, SketchGranter, SketchSale, SketchSeller

_REQUESTS = ("bundle/purchased", "entitlement/revoke")
_ANSWERS = ("entitlement/granted", "entitlement/revoked")


class SketchCounterpart(InMemoryApp):
    """
    A peer that was written from the original sketch, without this library; made by `Kit.peer(…, sketch=True)`.

    Args:
        environment: Its Inngest.
        target: Origin of the tested app's Inngest.
        key: An event key of it.
        transport: What it sends by.
    """

    def __init__(self, environment: Environment, *, target: str, key: str, transport: httpx.AsyncBaseTransport) -> None:
        super().__init__(environment)
        self._url = f"{target}/e/{key}"
        self._transport = transport
        self._granter = SketchGranter()
        self._seller = SketchSeller()

    @property
    def entitlements(self) -> list[SketchEntitlement]:
        """
        What was granted here.
        """
        return self._granter.rows

    @property
    def ledger(self) -> list[SketchSale]:
        """
        What was sold here, and whether that was answered.
        """
        return self._seller.rows

    def sell(self, purchase_id: str, product_id: str, *, buyer_email: str, linked_user_id: str | None = None) -> None:
        """
        Sell a product of the tested app, to somebody who perhaps has an account there.
        """
        sold = self._seller.sell(purchase_id, product_id, email=buyer_email, linked_user_id=linked_user_id)
        self._owe(json.dumps([sold]))

    def refund(self, purchase_id: str, *, product_id: str | None = None, reason: str = "refunded") -> None:
        """
        Take back a product of a purchase; all of it if None.
        """
        self._owe(json.dumps([self._seller.refund(purchase_id, product_id=product_id, reason=reason)]))

    def link(self, user_id: str, linked_user_id: str, *, method: str = "explicit") -> None:
        """
        Say that an account here and one at the tested app are one person's.
        """
        data = {"userId": user_id, "linkedUserId": linked_user_id, "linkMethod": method}
        self._owe(json.dumps([("account/linked", data)]))

    def sign_in(self, user_id: str, provider: str, provider_account_id: str) -> None:
        """
        Sign in here with an account of an OAuth provider.
        """
        data = {"userId": user_id, "provider": provider, "providerAccountId": provider_account_id}
        self._owe(json.dumps([("user/oauth-login", data)]))

    def _react(self, received: ReceivedEvent) -> str | None:
        if received.name not in (*_REQUESTS, *_ANSWERS):
            return None
        side = self._granter if received.name in _REQUESTS else self._seller
        sent = side.receive(received.name, received.data)
        return json.dumps(sent) if sent else None

    async def _send(self, content: str) -> bool:
        body = [{"name": name, "data": data} for name, data in json.loads(content)]
        async with httpx.AsyncClient(transport=self._transport, trust_env=False) as http:
            return (await http.post(self._url, json=body)).is_success
