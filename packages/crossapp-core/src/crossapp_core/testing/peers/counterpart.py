"""
A peer that keeps the contract, as a test talks to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from crossapp_core import proofs
from crossapp_core.apps import Settings
from crossapp_core.errors import SendError
from crossapp_core.events import (
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
)
from crossapp_core.outcomes import Message
from crossapp_core.testing.clock import Clock
from crossapp_core.testing.environment import Environment
from crossapp_core.testing.errors import LocalInngestError
from crossapp_core.testing.log import ReceivedEvent
from crossapp_core.testing.peers.base import InMemoryApp
from crossapp_core.testing.peers.granting import Answer, Entitlement, Granter, Request
from crossapp_core.testing.peers.selling import LedgerRow, Reason, Seller
from crossapp_core.testing.routing import client_on

_REQUESTS: Mapping[str, type[Request]] = {kind.name: kind for kind in (BundlePurchased, EntitlementRevoke)}
_ANSWERS: Mapping[str, type[Answer]] = {
    kind.name: kind for kind in (EntitlementGranted, EntitlementRevoked, EntitlementFailed)
}


@dataclass(frozen=True)
class _Envelope:
    id: str
    name: str
    data: dict[str, object] = field(repr=False)


class Counterpart(InMemoryApp):
    """
    A peer that keeps the contract, in memory; made by `Kit.peer`. What it is to send goes when the test settles.
    """

    def __init__(
        self, environment: Environment, settings: Settings, *, clock: Clock, transport: httpx.BaseTransport
    ) -> None:
        super().__init__(environment)
        self._settings = settings
        self._clock = clock
        self._client = client_on(clock, settings, transport)
        self._granter = Granter()
        self._seller = Seller()

    @property
    def entitlements(self) -> list[Entitlement]:
        """
        What was granted here.
        """
        return self._granter.rows

    @property
    def products(self) -> set[str] | None:
        """
        The products that there are here; None for any.
        """
        return self._granter.products

    @products.setter
    def products(self, value: set[str] | None) -> None:
        self._granter.products = value

    @property
    def ledger(self) -> list[LedgerRow]:
        """
        What was sold here, and what the granter has answered.
        """
        return self._seller.rows

    def link(self, buyer_user_id: str, user_id: str, *, app: str | None = None) -> None:
        """
        Link two accounts of one person; what waited for it is claimed.

        Args:
            buyer_user_id: The account at the tested app, where the person buys.
            user_id: The account here.
            app: Which app, if several are tested.
        """
        target = self._other(app)
        self._owe_all([Message(target, event) for event in self._granter.link(target, buyer_user_id, user_id)])

    def sell(
        self,
        purchase_id: str,
        product_id: str,
        *,
        buyer_user_id: str | None = None,
        buyer_email: str | None = None,
        app: str | None = None,
    ) -> None:
        """
        Sell a product of the tested app; one that this purchase has sold already goes to this buyer now.

        Args:
            purchase_id: The purchase here.
            product_id: The product there.
            buyer_user_id: The buyer's account here; None for a guest.
            buyer_email: The buyer's address.
            app: Whose product, if several apps are tested.
        """
        target = self._other(app)
        sold = self._seller.sell(
            target, purchase_id, product_id, user_id=buyer_user_id, email=buyer_email, ms=self._ms()
        )
        self._owe_all([sold])

    def refund(self, purchase_id: str, *, reason: Reason = "refunded") -> None:
        """
        Take back all that a purchase has sold.

        Raises:
            LocalInngestError: It has sold nothing.
        """
        if all(row.purchase_id != purchase_id for row in self.ledger):
            msg = f"{self.app_id} has sold nothing as {purchase_id!r}: sell() comes before refund()"
            raise LocalInngestError(msg)
        self._owe_all(self._seller.refund(purchase_id, reason=reason, ms=self._ms()))

    def reconcile(self) -> None:
        """
        Send again what isn't acknowledged, as a real seller does each minute.
        """
        self._owe_all(self._seller.owed())

    def _owe_all(self, messages: Sequence[Message]) -> None:
        if content := _written(messages):
            self._owe(content)

    def _react(self, received: ReceivedEvent) -> str | None:
        envelope = _Envelope(received.id or "", received.name, dict(received.data))
        if kind := _REQUESTS.get(received.name):
            request = proofs.read(kind, envelope, settings=self._settings)
            answer = self._granter.receive(request)
            return _written([Message(request.source_app or "", answer, answers=envelope.id)])
        if answered := _ANSWERS.get(received.name):
            heard = proofs.read(answered, envelope, settings=self._settings)
            return _written(self._seller.receive(heard, ms=self._ms()))
        return None

    async def _send(self, content: str) -> bool:
        try:
            await self._client.deliver([Message.from_json(each) for each in json.loads(content)])
        except SendError:
            return False
        return True

    def _other(self, app: str | None) -> str:
        known = list(self._settings.peers)
        if app is None and len(known) > 1:
            msg = f"{self.app_id} is a peer of {' and '.join(known)}: say which, by app="
            raise LocalInngestError(msg)
        return known[0] if app is None else self._settings.peer(app).app_id

    def _ms(self) -> int:
        return int(self._clock().timestamp() * 1000)


def _written(messages: Sequence[Message]) -> str | None:
    return json.dumps([message.to_json() for message in messages]) if messages else None
