"""
A seller and a granter by their operations alone: what they say lies about until somebody delivers it, or never does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TypeAlias

import inngest
from sqlalchemy import create_engine
from sqlmodel import Session, col, delete, select

import crossapp_ah as ah
import crossapp_tt as tt
from crossapp_ah.models import Entitlement
from crossapp_ah.operations import entitlements
from crossapp_ah.ports import Granter
from crossapp_core.events import (
    EVENTS,
    BundlePurchased,
    EntitlementFailed,
    EntitlementGranted,
    EntitlementRevoke,
    EntitlementRevoked,
    Event,
)
from crossapp_core.models import AccountLink
from crossapp_core.outcomes import Message
from crossapp_tt.models import CrossAppSync
from crossapp_tt.operations import acknowledgements, purchases
from crossapp_tt.operations.messages import message_of
from crossapp_tt.ports import Seller
from tests.hosts import NOW, SchoolProduct, ShopPurchase, school_settings, shop_purchases, shop_settings

SHOP, SCHOOL = "total-typescript", "ai-hero"
COURSES = ("prod_9", "prod_10")
BUNDLES = {"bundle": [{"app": SCHOOL, "productId": course} for course in COURSES]}
LINKS = {"shop-ada": "school-ada", "shop-bob": "school-bob"}
"""Who is linked at first; nobody else ever is."""

Sessions: TypeAlias = Callable[[], AbstractContextManager[Session]]
Source: TypeAlias = tuple[str, str | None]
"""A purchase and a product."""
Ack: TypeAlias = EntitlementGranted | EntitlementRevoked | EntitlementFailed


@dataclass(frozen=True)
class Held:
    """
    What the granter holds of one source.
    """

    status: str
    version: int
    user_id: str | None


@cache
def hosts() -> tuple[Seller, Granter]:
    """
    Both apps as their bridges make them.
    """
    clients, engine = [inngest.Inngest(app_id="any", is_production=False) for _ in range(2)], create_engine("sqlite://")
    seller = tt.Bridge(clients[0], engine, settings=shop_settings(), purchases=shop_purchases(), bundles=BUNDLES)
    products = ah.TableProducts(SchoolProduct)
    return seller.host, ah.Bridge(clients[1], engine, settings=school_settings(), products=products).host


class Exchange:
    """
    Both apps in one database, since each has tables of its own.

    Args:
        sessions: Opens a transaction in it; all its tables are emptied.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.seller, self.granter = hosts()
        self.now = NOW
        self._earliest = NOW - timedelta(days=365)
        self.requests: list[BundlePurchased | EntitlementRevoke] = []
        """All that the shop ever said."""
        self.acks: list[Ack] = []
        """All that the school ever answered."""
        self.wanted: dict[tuple[Source, int], BundlePurchased | EntitlementRevoke] = {}
        """What the shop said of a source at a version."""
        with sessions() as session:
            for table in (ShopPurchase, CrossAppSync, Entitlement, AccountLink, SchoolProduct):
                session.exec(delete(table))
            session.add_all([SchoolProduct(id=course) for course in COURSES])
            session.add_all([_link(buyer, user) for buyer, user in LINKS.items()])

    def record(self, purchase_id: str) -> None:
        """
        Have the shop write down what a purchase now is, and say what it owes.
        """
        with self._sessions() as session:
            outcome = purchases.record(session, self.seller, purchase_id, now=self.now)
        self._say(outcome.messages)

    def put(self, purchase_id: str, *, status: str, buyer: str | None) -> None:
        """
        Write a purchase into the shop's own table, of which nobody knows yet.
        """
        email = f"{buyer or 'guest'}@example.com"
        with self._sessions() as session:
            row = ShopPurchase(id=purchase_id, user_id=buyer, email=email, product_id="bundle", status=status)
            session.merge(row)

    def deliver(self, request: BundlePurchased | EntitlementRevoke) -> None:
        """
        Let something that the shop said arrive, as the school's functions take it.
        """
        with self._sessions() as session:
            if isinstance(request, BundlePurchased):
                outcome = entitlements.grant(session, self.granter, request, now=self.now)
            else:
                outcome = entitlements.revoke(session, self.granter, request, now=self.now)
        for message in outcome.messages:
            ack = _sent(message, SCHOOL)
            assert isinstance(ack, EntitlementGranted | EntitlementRevoked | EntitlementFailed)
            self.acks.append(ack)

    def answer(self, ack: Ack) -> None:
        """
        Let something that the school answered arrive.
        """
        with self._sessions() as session:
            outcome = acknowledgements.apply(session, self.seller, ack, now=self.now)
        self._say(outcome.messages)

    def unlink(self, buyer: str) -> None:
        """
        Remove the link of a buyer.
        """
        with self._sessions() as session:
            row = session.get_one(AccountLink, f"link-{buyer}")
            row.unlinked_at = row.unlinked_at or NOW

    def forget(self, purchase_id: str) -> None:
        """
        Lose what the ledger says of a purchase, as by restoring an old backup.
        """
        with self._sessions() as session:
            session.exec(delete(CrossAppSync).where(col(CrossAppSync.purchase_id) == purchase_id))
        newest = max([request.version for request in self.requests], default=0)
        self._earliest = max(self._earliest, datetime.fromtimestamp(newest // 1000 + 1, UTC))
        self.tick(timedelta(0))

    def tick(self, by: timedelta) -> None:
        """
        Let time pass, or put the clock back, but not to before lost memory: versions outlive that by time alone.
        """
        self.now = max(self._earliest, self.now + by)

    def settle(self) -> None:
        """
        Deliver all that is owed, and the answers, until nothing is; no message is lost any more.
        """
        for purchase_id in {row.id for row in self.sold}:
            self.record(purchase_id)
        for request in list(self.newest.values()):  # after lost memory each side says once more what it holds
            self.converse(request)
        for _ in range(10):
            if not (owed := [row for row in self.ledger if row.next_attempt_at is not None]):
                return
            for row in owed:
                self.converse(_sent(message_of(self.seller, row), SHOP))
        msg = "they never come to rest"
        raise AssertionError(msg)

    def converse(self, request: Event) -> None:
        """
        Deliver something that the shop said, the answer, and what the shop says to that.
        """
        assert isinstance(request, BundlePurchased | EntitlementRevoke)
        answered, said = len(self.acks), len(self.requests)
        self.deliver(request)
        for ack in self.acks[answered:]:
            self.answer(ack)
        for further in self.requests[said:]:
            self.converse(further)

    def _say(self, messages: Sequence[Message]) -> None:
        for message in messages:
            request = _sent(message, SHOP)
            assert isinstance(request, BundlePurchased | EntitlementRevoke)
            key = (request.purchase_id, request.product_id), request.version
            assert self.wanted.setdefault(key, request) == request, "one version says two things"
            self.requests.append(request)

    @property
    def newest(self) -> dict[Source, BundlePurchased | EntitlementRevoke]:
        """
        The last that the shop said of each source.
        """
        return {(request.purchase_id, request.product_id): request for request in self.requests}

    @property
    def sold(self) -> Sequence[ShopPurchase]:
        """
        The shop's own table.
        """
        with self._sessions() as session:
            return session.exec(select(ShopPurchase)).all()

    @property
    def ledger(self) -> Sequence[CrossAppSync]:
        """
        What the shop knows.
        """
        with self._sessions() as session:
            return session.exec(select(CrossAppSync)).all()

    @property
    def held(self) -> dict[Source, Held]:
        """
        What the school holds; each source once.
        """
        with self._sessions() as session:
            rows = session.exec(select(Entitlement)).all()
        sources = [(row.source_purchase_id or "", row.product_id or "") for row in rows]
        assert len(set(sources)) == len(rows), "two rows for one source"
        states = [Held(row.status or "", row.source_version or 0, row.user_id) for row in rows]
        return dict(zip(sources, states, strict=True))

    @property
    def linked(self) -> dict[str, str]:
        """
        The links that stand: users by buyer.
        """
        with self._sessions() as session:
            rows = session.exec(select(AccountLink).where(col(AccountLink.unlinked_at).is_(None))).all()
            return {row.linked_user_id: row.user_id for row in rows}


def check_step(exchange: Exchange, before: dict[Source, Held], after: dict[Source, Held]) -> None:
    """
    Check what holds at any time, whatever is lost or late.
    """
    assert set(before) <= set(after), "what was known is forgotten"
    for source, held in after.items():
        old = before.get(source, Held("", 0, None))
        assert held.version >= old.version, "a version went back"
        if old.status == "revoked" and held.status != "revoked":
            assert held.version > old.version, "revoked, and open again at the same version"
        if held.status == "active":
            wanted = exchange.wanted[source, held.version]
            assert isinstance(wanted, BundlePurchased), "open, though the shop wanted it locked at that version"
            assert held.user_id == LINKS.get(wanted.buyer_user_id or ""), "open for another than the buyer"
            if old.user_id != held.user_id or old.status != "active":
                assert wanted.buyer_user_id in exchange.linked, "opened by a link that doesn't stand"


def check_rest(exchange: Exchange) -> None:
    """
    Check what holds once all that is owed has arrived.
    """
    held, ledger, linked = exchange.held, exchange.ledger, exchange.linked
    rows = {(row.purchase_id, row.target_product_id): row for row in ledger}
    assert len(rows) == len(ledger), "two ledger rows for one source"
    assert set(rows) == set(held), "one side knows of a source that the other doesn't"
    for source, row in rows.items():
        state = held[source]
        assert (row.version, row.desired == "granted") == (state.version, state.status != "revoked"), "they disagree"
        assert row.status == ("revoked" if state.status == "revoked" else "synced")
        assert state.status == "revoked" or row.target_user_id == state.user_id, "they disagree on who holds it"
    for purchase in exchange.sold:
        for course in COURSES:
            owned, state = purchase.status == "Valid", held.get((purchase.id, course), Held("", 0, None))
            assert owned == (state.status in ("active", "pending")), "owned is not what is open or waits"
            if owned and purchase.user_id in linked:
                assert state == Held("active", state.version, linked[purchase.user_id or ""]), "access is lost"


def _link(buyer: str, user_id: str) -> AccountLink:
    return AccountLink(
        id=f"link-{buyer}",
        user_id=user_id,
        linked_app=SHOP,
        linked_user_id=buyer,
        link_method="explicit",
        linked_at=NOW,
        version=3,
    )


def _sent(message: Message, source: str) -> Event:
    return EVENTS[message.event.name].from_wire({**message.event.to_wire(), "sourceApp": source})
