"""
How a simulated world comes to rest, and what must be true then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain, repeat

from crossapp_core.testing.simulation.checks import check
from crossapp_core.testing.simulation.core import PRODUCTS
from crossapp_core.testing.simulation.members import Member
from crossapp_core.testing.simulation.rows import moment
from crossapp_core.testing.simulation.sales import Sales
from crossapp_core.testing.simulation.sketching import Sketching
from crossapp_core.testing.simulation.truth import Bought, Pair, Source

RECONCILE, SWEEP, GONE = "reconcile-cross-app", "sweep-purchases", "check-gone-users"

_SOON = timedelta(hours=20)
"""
When all is well again, all must be done by then: before Inngest takes an id again that it has dropped, so that nothing
may rely on that.
"""
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
_MOST_CALLS = 5000


class Resting(Sketching):
    """
    Comes to rest.
    """

    def rest(self, *, backwards: bool = False) -> None:
        """
        Nothing goes wrong any more, and time passes until nobody owes anybody anything; then both sides must agree.

        Args:
            backwards: Whether what came last is always done first.

        Raises:
            BrokenError: They don't, or never come to rest.
        """
        self.heal()
        for member in self.granters:
            self._check_claims(member)
        self._fire(SWEEP, GONE)
        self._quiesce(self.clock(), backwards)
        for _ in range(2 if self.amnesiac else 0):
            for member in self.members.values():
                for bridge in member.bridges:
                    member.store.drive(bridge.resync())
            self.look()
            self._quiesce(self.clock(), backwards)
        self.amnesiac = False
        for function in (SWEEP, GONE, SWEEP):
            self.clock.advance(_HOUR)
            self._fire(function)
            self._quiesce(self.clock(), backwards)
        self.check_rest()

    def heal(self) -> None:
        """
        Nothing goes wrong any more; clocks stay as wrong as they are.
        """
        self.network.heal()
        self.network.rewriters.clear()
        for pair, (current, _) in self._secrets.items():
            newest = max(current, self._secrets[pair[1], pair[0]][0])
            self._secrets[pair] = (newest, current if current != newest else max(0, newest - 1))
        for member in self.members.values():
            member.configure(self._settings(member.app_id))
            member.process.left = None
            for product in PRODUCTS if member.granter is not None else ():
                self.teach(member.app_id, product)
            for work in member.inbox.waiting:
                work.due = min(work.due, self.clock())

    def _check_claims(self, member: Member) -> None:
        # the granter finds by itself what a link should have claimed, whether or not a seller asks
        for _ in range(2):  # a run that was under way may have looked before the link was made
            member.inbox.fire(member.plans[RECONCILE])
            while works := [work for work in member.inbox.due() if work.plan.fn_id == RECONCILE]:
                self.call(works[0])
        for source, row in member.held.items():
            linked = [pair for pair in member.linked if (pair.app, pair.linked_user_id) == (row.app, row.buyer_user_id)]
            missed = [pair for pair in linked if (member.app_id, pair.user_id) not in self.truth.gone]
            check(row.status != "pending" or not missed, 2, f"{source} waits, though its granter has looked: {missed}")

    def _fire(self, *functions: str) -> None:
        for member in self.members.values():
            for function in functions:
                self.cron(member.app_id, function)

    def _quiesce(self, began: datetime, backwards: bool) -> None:
        for pause in chain((_MINUTE * 2**each for each in range(6)), repeat(_HOUR)):
            for member in self.members.values():
                self.cron(member.app_id)
            self._drain(backwards)
            if not self._owed() and not any(member.inbox.waiting for member in self.members.values()):
                return
            passed, owed = self.clock() - began, self._owed()
            # a run may be tried again for longer: one of the app's own events that isn't true
            check(passed <= _SOON or not owed, 0, f"after {passed} {'; '.join(owed)}")
            self.clock.set(max(self.clock() + pause, self._next()))

    def _drain(self, backwards: bool) -> None:
        for _ in range(_MOST_CALLS):
            due, letters = self.due(), self.academy.letters if self.academy is not None else []
            if not due and not letters:
                return
            if letters:
                self.academy_works(len(letters) - 1 if backwards else 0)
            if due:
                self.call(due[-1 if backwards else 0])
        check(False, 0, "they never stop answering each other")

    def _owed(self) -> list[str]:
        return [f"{member.app_id} owes {key}" for member in self.members.values() for key, _ in _dues(member)]

    def _next(self) -> datetime:
        # whatever the apps' clocks say, a cron that comes too early does no harm
        dues = [work.due for member in self.members.values() for work in member.inbox.waiting]
        for member in self.members.values():
            wrong = member.process.watch() - self.clock()
            dues += [due - wrong for _, value in _dues(member) if (due := moment(value)) is not None]
        return min([each for each in dues if each > self.clock()], default=self.clock())

    def check_rest(self) -> None:
        """
        Check what must be true when nobody owes anybody anything.

        Raises:
            BrokenError: It isn't.
        """
        self._check_links()
        for member in self.sellers:
            for source in {*member.ledger, *self._held_from(member.app_id)}:
                if source.granter not in self.sketches:
                    self._check_source(member, source)
            for bought in self.truth.live():
                if bought.seller == member.app_id:
                    self._check_sale(member, bought)
        for member in self.granters:
            self._check_opened(member)
        self.check_academy()

    def _check_links(self) -> None:
        for member in self.members.values():
            for pair, row in member.links.items():
                peer = self.members.get(pair.app)
                if peer is None:
                    continue
                ends = {(member.app_id, pair.user_id), (pair.app, pair.linked_user_id)}
                theirs = peer.links.get(Pair(pair.linked_user_id, member.app_id, pair.user_id))
                if ends & self.truth.gone and member.has(GONE):
                    check(not row.active, 7, f"{member.app_id}: {pair} is linked, though one of them is gone")
                    check(theirs is None or not theirs.active, 7, f"{pair.app}: {pair} is linked, though one is gone")
                else:
                    held = 0 if theirs is None else theirs.version
                    check(held == row.version, 7, f"{member.app_id} holds {row.version} of {pair}, the peer {held}")

    def _check_source(self, member: Member, source: Source) -> None:
        row, granter = member.ledger.get(source), self.members[source.granter]
        state = granter.held.get(source)
        check(row is not None, 6, f"{source}: the granter holds {state}, the seller has no row")
        check(state is not None, 6, f"{source}: the seller says {row}, the granter holds nothing")
        assert row is not None  # noqa: S101 (checked)
        assert state is not None  # noqa: S101
        check(row.version == state.version, 6, f"{source}: {row.version} here, {state.version} at the granter")
        revoked = state.status == "revoked"
        check((row.desired == "revoked") == revoked, 6, f"{source}: {row.desired} here, {state.status} there")
        check(row.status == ("revoked" if revoked else "synced"), 6, f"{source} is {row.status}, not acknowledged")
        bought = self.truth.bought.get((source.seller, source.purchase_id))
        owned = bought is not None and bought.sale is not None and bought.sale.is_owned
        component = (source.granter, source.product_id)
        wanted = owned and bought is not None and component in bought.bundle and component not in bought.held
        check(wanted != revoked, 2 if wanted else 1, f"{source} is {state.status}, and the purchase owned: {owned}")
        if not revoked:
            self._check_holder(granter, source, row.user_id, state.user_id, row.buyer_user_id, state.status)

    def _check_holder(
        self, granter: Member, source: Source, known: str | None, holder: str | None, buyer: str | None, status: str
    ) -> None:
        linked = [pair for pair in granter.linked if (pair.app, pair.linked_user_id) == (source.seller, buyer)]
        unknown = known is None and not linked
        check(unknown or known == holder, 6, f"{source} is {holder}'s, and the seller knows of {known}")
        check(status == "active" or not linked, 2, f"{source} waits, though its buyer {buyer} is linked")
        gone = (granter.app_id, holder) in self.truth.gone and granter.has(GONE)
        check(status == "pending" or not gone, 5, f"{source} is open for {holder}, who is gone")

    def _check_sale(self, member: Member, bought: Bought) -> None:
        sale = bought.sale
        if sale is None or not sale.is_owned:
            return
        for app, product in bought.bundle:
            source = Source(member.app_id, bought.purchase_id, app, product)
            row = member.ledger.get(source)
            check(row is not None, 2, f"{source} was sold and stands in no ledger")
            buyer = None if row is None else row.buyer_user_id
            if (app, product) in bought.held:
                continue  # a transfer counts when it is given back
            if sale.user_id is not None:
                check(buyer == sale.user_id, 5, f"{source} is {sale.user_id}'s and was told as {buyer}'s")
                continue
            check(buyer is None or buyer in bought.buyers, 5, f"{source} was never {buyer}'s")
            if member.has(SWEEP):
                check(buyer or not self._holder(member, sale.email), 5, f"{source}: a guest has an account by now")

    def _holder(self, member: Member, email: str | None) -> str | None:
        found = [user for user in Sales.holders(self, member, email) if self._is_verified(member, user)]
        return found[0] if len(found) == 1 else None

    def _is_verified(self, member: Member, user_id: str) -> bool:
        if (member.app_id, user_id) in self.truth.gone:
            return False
        names = [name for name, id_ in member.people.items() if id_ == user_id]
        first = self.persons(member.app_id)[names[0]].is_verified
        return first or (member.app_id, user_id) in self.truth.verified

    def _check_opened(self, member: Member) -> None:
        if member.granter is None or member.granter.opened is None:
            return
        active = [row for row in member.held.values() if row.status == "active"]
        # a sketch peer doesn't say anew whose it is, so what it sold to who is gone stays as it was
        ignored = {
            (row.user_id, row.product_id)
            for row in active
            if row.app in self.sketches and (member.app_id, row.user_id) in self.truth.gone
        }
        opened = set(member.store.all(member.granter.opened)) - ignored
        due = {(row.user_id, row.product_id) for row in active} - ignored
        check(opened == due, 0, f"{member.app_id} has opened {sorted(opened)}, and should {sorted(map(str, due))}")

    def _held_from(self, seller: str) -> Iterator[Source]:
        for member in self.granters:
            yield from (source for source in member.held if source.seller == seller)


def _dues(member: Member) -> Iterator[tuple[object, object]]:
    for rows in (member.links, member.ledger, member.held):
        yield from ((key, row.due) for key, row in rows.items() if row.due is not None)
