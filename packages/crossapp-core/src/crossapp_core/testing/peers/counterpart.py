"""
A peer that keeps the contract, as a test talks to it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx

from crossapp_core import proofs, tokens
from crossapp_core.apps import Settings
from crossapp_core.errors import LinkConflictError, LinkTokenError, SendError
from crossapp_core.events import (
    AccountLinked,
    AccountLinkState,
    AccountUnlinked,
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
    UserOAuthLogin,
)
from crossapp_core.outcomes import Message
from crossapp_core.testing.clock import Clock
from crossapp_core.testing.environment import Environment
from crossapp_core.testing.errors import LocalInngestError
from crossapp_core.testing.log import ReceivedEvent
from crossapp_core.testing.peers.base import InMemoryApp
from crossapp_core.testing.peers.granting import Answer, Entitlement, Granter, Request
from crossapp_core.testing.peers.linking import LinkRow, Links, Said
from crossapp_core.testing.peers.selling import LedgerRow, Reason, Seller
from crossapp_core.testing.routing import client_on

_REQUESTS: Mapping[str, type[Request]] = {kind.name: kind for kind in (BundlePurchased, EntitlementRevoke)}
_ANSWERS: Mapping[str, type[Answer]] = {
    kind.name: kind for kind in (EntitlementGranted, EntitlementRevoked, EntitlementFailed)
}
_SAID: Mapping[str, type[Said]] = {kind.name: kind for kind in (AccountLinked, AccountUnlinked, AccountLinkState)}


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
        self._links = Links(settings.app_id)
        self._used: set[str] = set()
        self._numbers = itertools.count()
        self.accounts: dict[tuple[str, str], str] = {}
        """Who signs in here with which account of an OAuth provider: users by provider and its id of the account."""

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

    @property
    def links(self) -> list[LinkRow]:
        """
        The pairs of accounts that were ever linked, as they are known here.
        """
        return self._links.rows

    def link(self, buyer_user_id: str, user_id: str, *, app: str | None = None) -> None:
        """
        Link two accounts, as if their person had confirmed it here: what waited is claimed, the tested app is told.

        Args:
            buyer_user_id: The account at the tested app, where the person buys.
            user_id: The account here.
            app: Which app, if several are tested.

        Raises:
            LinkConflictError: One of the accounts is linked with another one already.
        """
        target = self._other(app)
        row = self._links.confirm(target, user_id, buyer_user_id)
        if row is None:
            ours = any(row.is_linked and (row.app, row.user_id) == (target, user_id) for row in self.links)
            raise LinkConflictError(target, ours=ours)
        self._owe_all([*self._claimed(row), self._announced(row)])

    def unlink(self, buyer_user_id: str, user_id: str, *, app: str | None = None) -> None:
        """
        Unlink two accounts here; the tested app is told.
        """
        row = self._links.remove(self._other(app), user_id, buyer_user_id)
        if row is not None:
            self._granter.unlink(row.app, row.linked_user_id)
            self._owe_all([self._announced(row)])

    def confirm(self, url: str, user_id: str) -> None:
        """
        Confirm here, as *user_id*, what somebody has begun in the tested app.

        Args:
            url: Where the tested app sent the person, or the token alone.
            user_id: Who is signed in here.

        Raises:
            LinkTokenError: The token is none that is taken here, or was used before.
            LinkConflictError: One of the accounts is linked with another one already.
        """
        found = parse_qs(urlsplit(url).query).get("token", [url])
        token = tokens.verify(found[0], settings=self._settings, now=self._clock())
        if token.id in self._used:
            raise LinkTokenError("replayed", "the token was used before")
        self.link(token.user_id, user_id, app=token.issuer)
        self._used.add(token.id)

    def link_token(
        self, user_id: str, *, email: str | None = None, return_to: str | None = None, app: str | None = None
    ) -> str:
        """
        Begin here, as *user_id*: a token for the tested app's `/account-link/confirm?token=`.
        """
        id_ = f"token-of-{self.app_id}-{next(self._numbers)}"
        return tokens.issue(
            self._settings,
            self._other(app),
            user_id=user_id,
            email=email,
            return_to=return_to,
            id=id_,
            now=self._clock(),
        )

    def sign_in(self, user_id: str, provider: str, provider_account_id: str, *, app: str | None = None) -> None:
        """
        Sign in here with an account of an OAuth provider; the tested app is told, and links who signs in there with it.
        """
        self.accounts[provider, provider_account_id] = user_id
        login = UserOAuthLogin(
            user_id=user_id, provider=provider, provider_account_id=provider_account_id, logged_in_at=self._clock()
        )
        self._owe_all([Message(self._other(app), login)])

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
        Send again what isn't acknowledged, as a real app does each minute.
        """
        self._owe_all([*self._seller.owed(), *map(self._announced, self._links.owed())])

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
        return _written(self._react_to_accounts(envelope))

    def _react_to_accounts(self, envelope: _Envelope) -> list[Message]:
        if kind := _SAID.get(envelope.name):
            said = proofs.read(kind, envelope, settings=self._settings)
            row, *lost = self._links.receive(said)
            followed = [*self._claimed(row), *map(self._announced, lost)]
            if isinstance(said, AccountLinkState):
                return followed
            return [Message(row.app, self._links.state(row), answers=envelope.id), *followed]
        if envelope.name == UserOAuthLogin.name:
            return self._share_sign_in(proofs.read(UserOAuthLogin, envelope, settings=self._settings))
        return []

    def _share_sign_in(self, login: UserOAuthLogin) -> list[Message]:
        user_id = self.accounts.get((login.provider, login.provider_account_id))
        if user_id is None:
            return []
        row = self._links.share_sign_in(login.source_app or "", user_id, login.user_id, login.provider)
        return [] if row is None else [*self._claimed(row), self._announced(row)]

    def _claimed(self, row: LinkRow) -> list[Message]:
        if not row.is_linked:
            self._granter.unlink(row.app, row.linked_user_id)
            return []
        claimed: list[Event] = [*self._granter.link(row.app, row.linked_user_id, row.user_id)]
        return [Message(row.app, event) for event in claimed]

    def _announced(self, row: LinkRow) -> Message:
        return Message(row.app, self._links.announcement(row, now=self._clock()), row.attempt)

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
