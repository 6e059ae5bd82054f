"""
What people and support do with purchases.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from crossapp_core.testing.simulation.core import PEOPLE, Core
from crossapp_core.testing.simulation.inboxes import Received
from crossapp_core.testing.simulation.members import Member
from crossapp_core.testing.simulation.places import Sale
from crossapp_core.testing.simulation.truth import Bought

RECORDED, TOLD, SILENT = "recorded", "told", "silent"
"""How the app goes about it: in the same transaction, by its own event afterwards, or not at all."""
GUEST, STRANGER = "guest", "stranger"
"""Buyers without an account: one whose address is Bob's, and one whose address is nobody's."""

_GUESTS = {GUEST: "guest@example.com", STRANGER: "stranger@example.com"}
_EVENTS = {"sold": "emit-bundle-purchase", "refunded": "emit-revocation", "changed": "emit-purchase-change"}


class Sales(Core):
    """
    Sells, and takes back.
    """

    def buy(self, app: str, number: int, buyer: str, bundle: str = "small", how: str = TOLD) -> None:
        """
        Somebody buys a bundle; nothing happens if that number was sold.

        Args:
            app: The seller.
            number: Which purchase, by a number.
            buyer: A person's name, or `guest`.
            bundle: Which bundle.
            how: `recorded`, `told` or `silent`.
        """
        member = self.members[app]
        if member.seller is None or (app, _id(app, number)) in self.truth.bought:
            return
        user_id, email = self._buyer(member, buyer)
        bundle = bundle if bundle in self.bundles(app) else "small"
        components = self.bundles(app)[bundle]
        sale = Sale(
            member.products[bundle],
            [{"app": target, "productId": product} for target, product in components],
            user_id,
            email,
            sold_at=member.process.watch(),
        )
        bought = Bought(app, _id(app, number), sale, components)
        self._write(member, bought, sale, how, "sold")

    def refund(self, app: str, number: int, how: str = TOLD) -> None:
        """
        A purchase is refunded.
        """
        self._turn(app, number, "Refunded", how, "refunded")

    def refund_partly(self, app: str, number: int, how: str = TOLD) -> None:
        """
        A part of the money is paid back; the buyer keeps the purchase.
        """
        self._turn(app, number, "PartiallyRefunded", how, "changed")

    def dispute(self, app: str, number: int, how: str = TOLD) -> None:
        """
        The payment is disputed.
        """
        self._turn(app, number, "Disputed", how, "changed")

    def win(self, app: str, number: int, how: str = TOLD) -> None:
        """
        A dispute is won, or a refund taken back.
        """
        self._turn(app, number, "Valid", how, "changed")

    def transfer(self, app: str, number: int, buyer: str, how: str = TOLD) -> None:
        """
        A purchase goes to somebody else.
        """
        bought = self._bought(app, number)
        if bought is None or bought.sale is None:
            return
        user_id, email = self._buyer(self.members[app], buyer)
        self._write(self.members[app], bought, replace(bought.sale, user_id=user_id, email=email), how, "changed")

    def remove(self, app: str, number: int) -> None:
        """
        Somebody deletes a purchase in the database.
        """
        member, bought = self.members[app], self._bought(app, number)
        if bought is None or bought.sale is None or member.seller is None or not member.has("sweep-purchases"):
            return
        seller = member.seller
        member.store.transact(lambda session: seller.remove(session, bought.purchase_id))
        bought.sale = None
        self.look()

    def hold(self, app: str, number: int) -> None:
        """
        An operator takes a purchase back, whatever the app says.
        """
        self._operate(app, number, "revoke")

    def release(self, app: str, number: int) -> None:
        """
        The operator gives it back.
        """
        self._operate(app, number, "restore")

    def _operate(self, app: str, number: int, name: str) -> None:
        member, bought = self.members[app], self._bought(app, number)
        if bought is None or member.seller is None or not hasattr(member.seller.bridge, name):
            return
        method: Callable[[str], Any] = getattr(member.seller.bridge, name)

        with suppress(LookupError):  # of a purchase that nobody has told of
            self.attempt(lambda: member.store.drive(method(bought.purchase_id)))
        self._note_holds(member, bought)

    def _note_holds(self, member: Member, bought: Bought) -> None:
        # what an operator said is known by the ledger alone
        for source, row in member.ledger.items():
            if source.purchase_id == bought.purchase_id:
                sold = row.bundle_product_id is not None
                is_held = row.desired == "revoked" and row.reason == "manual" and sold
                (bought.held.add if is_held else bought.held.discard)((source.granter, source.product_id))

    def _turn(self, app: str, number: int, status: str, how: str, kind: str) -> None:
        bought = self._bought(app, number)
        if bought is None or bought.sale is None or bought.sale.status == status:
            return
        self._write(self.members[app], bought, replace(bought.sale, status=status), how, kind)

    def _write(self, member: Member, bought: Bought, sale: Sale, how: str, kind: str) -> None:
        seller = member.seller
        if seller is None:
            return
        if how == SILENT and not member.has("sweep-purchases"):
            how = TOLD
        if kind == "changed" and how == TOLD and not member.has(_EVENTS[kind]):
            how = RECORDED

        record: Callable[[Any, str], object] = getattr(seller.bridge, "record", _nothing)

        def put(session: Any) -> None:
            seller.put(session, bought.purchase_id, sale)
            if how == RECORDED:
                record(session, bought.purchase_id)

        def work() -> None:
            member.store.transact(put)
            bought.sale = sale
            self.truth.bought[member.app_id, bought.purchase_id] = bought
            self._note_buyers(member, bought)
            member.process.survive()
            if how != SILENT:
                self._announce(member, kind, bought.purchase_id)

        self.tell(f"{member.app_id}: {bought.purchase_id} is {sale.status}: {self.attempt(work)}")

    def _announce(self, member: Member, kind: str, purchase_id: str) -> None:
        plan = member.plans.get(_EVENTS[kind])
        if plan is None or member.seller is None:
            return
        data = member.seller.event_data(purchase_id)
        member.inbox.accept(Received(None, plan.events[0], data, member.app_id))
        member.process.survive()

    def _note_buyers(self, member: Member, bought: Bought) -> None:
        if bought.sale is None:
            return
        if bought.sale.user_id is not None:
            bought.buyers.add(bought.sale.user_id)
        bought.buyers.update(self.holders(member, bought.sale.email))

    def holders(self, member: Member, email: str | None) -> list[str]:
        """
        Who might hold an address, verified or to be verified.
        """
        return [
            member.people[name]
            for name, person in PEOPLE[member.app_id].items()
            if person.email == email and name in member.people
        ]

    def _bought(self, app: str, number: int) -> Bought | None:
        return self.truth.bought.get((app, _id(app, number)))

    def _buyer(self, member: Member, name: str) -> tuple[str | None, str]:
        person = PEOPLE[member.app_id].get(name)
        if person is None:
            return None, _GUESTS[name]
        user_id = member.people[name]
        if (member.app_id, user_id) in self.truth.gone:
            return None, person.email
        return user_id, person.email


def _nothing(session: object, purchase_id: str) -> None:
    pass


def _id(app: str, number: int) -> str:
    return f"{app}_{number}"
