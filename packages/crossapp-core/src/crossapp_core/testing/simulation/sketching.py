"""
A peer without this library, as the original sketch has it: it sells, and it opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import orjson

from crossapp_core.testing.clock import Clock
from crossapp_core.testing.peers.sketching import Sent, SketchGranter, SketchSeller
from crossapp_core.testing.simulation.checks import check
from crossapp_core.testing.simulation.core import ACADEMY, SCHOOL, SHOP
from crossapp_core.testing.simulation.mishaps import Mishaps
from crossapp_core.testing.simulation.network import Network, Payload
from crossapp_core.testing.simulation.truth import Source

_REQUESTS = ("bundle/purchased", "entitlement/revoke")
_ANSWERS = ("entitlement/granted", "entitlement/revoked")


@dataclass(frozen=True)
class Letter:
    """
    Something that the peer has yet to hear, or to say.
    """

    is_heard: bool
    app: str
    """From whom, or to whom."""
    name: str
    data: Payload


class Academy:
    """
    It tells each of its sales and refunds once, does what it is told in the order in which it hears it, and says again
    what wasn't accepted.
    """

    def __init__(self, clock: Clock, network: Network) -> None:
        self._clock, self._network = clock, network
        self.reset()

    def reset(self) -> None:
        """
        Forget all.
        """
        self.granter, self.seller = SketchGranter(), SketchSeller()
        self.letters: list[Letter] = []
        self._seen: dict[str, datetime] = {}

    def accept(self, source: str, event: Payload) -> None:
        """
        Store an event, unless its id came within a day.
        """
        now, first = self._clock(), self._seen.get(event["id"])
        if first is None or now - first >= timedelta(days=1):
            self._seen[event["id"]] = now
            self.letters.append(Letter(True, source, event["name"], event["data"]))

    def tell(self, app: str, sent: Sequence[Sent]) -> None:
        """
        Have something to say.
        """
        self.letters += [Letter(False, app, name, {**data, "sourceApp": ACADEMY}) for name, data in sent]

    def handle(self, letter: Letter) -> None:
        """
        Hear something, or say it.
        """
        self.letters.remove(letter)
        if letter.is_heard:
            if letter.name in _REQUESTS:
                self.tell(letter.app, self.granter.receive(letter.name, letter.data))
            elif letter.name in _ANSWERS:
                self.seller.receive(letter.name, letter.data)
            return
        body = orjson.dumps([{"name": letter.name, "data": letter.data}])
        try:
            status, _, _ = self._network.carry(ACADEMY, letter.app, body)
        except httpx.TransportError:
            status = 500
        if status != 200:
            self.letters.append(letter)


class Sketching(Mishaps):
    """
    Has the academy, if the world has one.
    """

    academy: Academy | None = None
    promised: bool
    """Whether it is still promised anything: no backup was restored that it can't be asked about."""
    refused: set[str]
    """The academy's sales that its granter couldn't take for a day."""

    def reset(self) -> None:
        """
        Begin another history.
        """
        self.promised, self.refused = True, set()
        if self.sketches:
            self.academy = self.academy or Academy(self.clock, self.network)
            self.academy.reset()
        super().reset()

    def restore(self, app: str, place: int) -> None:
        """
        An app's database is what it was when a backup was made.
        """
        self.promised = self.promised and app not in (SHOP, SCHOOL)
        super().restore(app, place)

    def deliver_to_sketch(self, source: str, event: Payload, *, runs: bool) -> None:
        """
        Bring an event to the academy.
        """
        if self.academy is not None and runs:
            self.academy.accept(source, event)

    def academy_works(self, place: int = 0) -> None:
        """
        The academy hears something, or says it.
        """
        if self.academy is not None and self.academy.letters:
            letter = self.academy.letters[place % len(self.academy.letters)]
            self.tell(f"academy {'hears' if letter.is_heard else 'says'} {letter.name} {letter.data}")
            self.academy.handle(letter)

    def academy_sells(self, number: int, person: str, linked: bool = False) -> None:
        """
        The academy sells the school's course, perhaps to somebody whose account there it knows.
        """
        if self.academy is None or any(row.purchase_id == f"academy_{number}" for row in self.academy.seller.rows):
            return
        school = self.members[SCHOOL]
        email, user_id = self.persons(SCHOOL)[person].email, school.people[person] if linked else None
        product = school.products["course"]
        sent = self.academy.seller.sell(f"academy_{number}", product, email=email, linked_user_id=user_id)
        self.academy.tell(SCHOOL, [sent])

    def academy_refunds(self, number: int, whole: bool = True) -> None:
        """
        The academy takes back a sale: all of it, or the one product.
        """
        rows = [] if self.academy is None else self.academy.seller.rows
        for row in [row for row in rows if row.purchase_id == f"academy_{number}" and row.status != "revoked"]:
            if self.academy is not None and row.status != "revoking":
                product = None if whole else row.product_id
                sent = self.academy.seller.refund(row.purchase_id, product_id=product, reason="refunded")
                self.academy.tell(SCHOOL, [sent])

    def call(self, work: Any) -> None:
        """
        Do the next step of a run.
        """
        super().call(work)
        received = getattr(work, "received", None)
        if received is not None and received.source == ACADEMY and self.lines[-1].endswith("failed"):
            self.refused.add(str(received.data.get("purchaseId")))

    def check_academy(self) -> None:
        """
        Check what such a peer is promised, when all is at rest.

        Raises:
            BrokenError: It isn't kept.
        """
        if self.academy is None or not self.promised:
            return
        for source, row in self.members[SHOP].ledger.items():
            if source.granter == ACADEMY:
                self._check_granted(source, row.desired, row.status)
        for sale in self.academy.seller.rows:
            state = self.members[SCHOOL].held.get(Source(ACADEMY, sale.purchase_id, SCHOOL, sale.product_id))
            if sale.purchase_id not in self.refused:
                taken = sale.status in ("revoking", "revoked")
                status = None if state is None else state.status
                check((status == "revoked") == taken or (taken and state is None), 1, f"{sale}: {state}")

    def _check_granted(self, source: Source, desired: str, status: str) -> None:
        rows = [] if self.academy is None else self.academy.granter.rows
        mine = [row for row in rows if row.source_purchase_id.rpartition("~")[0] == source.purchase_id]
        standing = [row for row in mine if row.product_id == source.product_id and row.status != "revoked"]
        wanted = desired == "granted"
        check(len(standing) <= 1, 3, f"{source} is held {len(standing)} times by the academy")
        check(bool(standing) == wanted, 2 if wanted else 1, f"{source} is to be {desired}, the academy holds {mine}")
        check(status == ("synced" if wanted else "revoked"), 6, f"{source} is {status}, not acknowledged")
