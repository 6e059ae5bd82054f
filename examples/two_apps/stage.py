"""
Where the demo is played: both apps, two people with a browser each, and a look into the databases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from sqlalchemy import Engine, text
from sqlmodel import Session, col, select

from crossapp_ah.models import AccountLink, Entitlement
from crossapp_core.addresses import masked
from crossapp_core.events import EVENTS
from crossapp_core.testing import Environment, ReceivedEvent
from crossapp_tt.models import CrossAppSync
from examples.two_apps.people import Person
from examples.two_apps.serving import Served
from examples.two_apps.story import Story

SHOP, SCHOOL = "total-typescript", "ai-hero"
COURSE = "course_evals"

_MOMENT = timedelta(seconds=1)
_SHORT = 12


@dataclass(frozen=True)
class Wanted:
    """
    What is to come of an act.
    """

    ledger: str
    """The status at the shop."""
    entitlement: str
    """The status at the school."""
    page: int
    """What the school answers when the person opens the course."""


WAITS, OPEN, LOCKED = (
    Wanted("synced", "pending", 403),
    Wanted("synced", "active", 200),
    Wanted("revoked", "revoked", 403),
)


class Stage:
    """
    What happens is done and told by it.
    """

    def __init__(self, sites: Served, story: Story, shop: Engine, school: Engine) -> None:
        self.sites = sites
        self.story = story
        self.ada, self.grace = Person(sites), Person(sites)
        self._both = sites.both
        self._shop = shop
        self._school = school
        self._people = {"Ada": self.ada, "Grace": self.grace}
        self._purchases: dict[str, str] = {}
        self._seen = {SHOP: 0, SCHOOL: 0}
        self._links = 0
        self._failed: set[str] = set()

    async def hear(self, whose: str, event: dict[str, object]) -> None:
        """
        Let Stripe tell the shop of a purchase, which is called *whose* from now on: "Ada’s", for example.
        """
        self.sites.local.clock.advance(_MOMENT)
        response = await self._both.stripe(event)
        self.story.crossing("Stripe", SHOP, str(event["type"]), f"answered with {response.status_code}")
        self._purchases[whose] = str(response.json().get("purchase"))

    def switch_off_school(self) -> None:
        """
        Let nothing reach the school's Inngest any more.
        """
        inngest = self._both.school.inngest
        # so answers a proxy whose server is gone: anything else is tried again for some seconds
        inngest.answer_next(HTTPStatus.NOT_FOUND)
        inngest.down = True

    def switch_on_school(self) -> None:
        """
        Let the school's Inngest be reached again.
        """
        self._both.school.inngest.down = False

    def refund_by_sql(self, whose: str) -> None:
        """
        Refund a purchase past the shop, which isn't told.
        """
        statement = text("UPDATE seller_purchase SET status = 'Refunded' WHERE id = :id")
        with self._shop.begin() as connection:
            changed = connection.execute(statement, {"id": self._purchases[whose]}).rowcount
        self.story.crossing("Support", SHOP, "UPDATE seller_purchase", f"{changed} row of {whose} is Refunded now")

    async def run(self, function: str, *, after: timedelta = timedelta(0)) -> None:
        """
        Let time pass, and have a function of the shop run whose time has come then.
        """
        self.sites.local.clock.advance(after)
        self._both.shop.inngest.run_cron(function)
        await self.settle()

    async def settle(self) -> None:
        """
        Let happen what is to happen, and tell what crossed the bridge.
        """
        await self.sites.local.asettle()
        self._tell_crossings(SHOP, SCHOOL, self._both.school.inngest)
        self._tell_crossings(SCHOOL, SHOP, self._both.shop.inngest)

    async def look(self, whose: str, wanted: Wanted) -> None:
        """
        Let happen what is to happen, tell what both databases hold, and check what came of a purchase.
        """
        await self.settle()
        self.tell()
        await self.check(whose, wanted)

    def tell(self) -> None:
        """
        Tell what both databases hold.
        """
        self._tell_links()
        self.tell_ledger()
        self._tell_entitlements()

    def tell_ledger(self) -> None:
        """
        Tell what the shop's ledger holds.
        """
        rows = [
            (self._whose(row.purchase_id), row.target_product_id, row.status, f"version {row.version}")
            for row in self._ledger()
        ]
        self.story.holds(SHOP, "CrossAppSync", rows)

    async def check(self, whose: str, wanted: Wanted) -> None:
        """
        Check what came of a purchase: in both databases, and in the buyer's browser if they have one.
        """
        bought, name = self._purchases[whose], whose.partition("’")[0]
        ledger = [row.status for row in self._ledger() if row.purchase_id == bought]
        held = [str(row.status) for row in self._entitlements() if row.source_purchase_id == bought]
        self.story.expect(f"{whose} row in the ledger is", wanted.ledger, " and ".join(ledger) or "missing")
        self.story.expect(f"{whose} entitlement is", wanted.entitlement, " and ".join(held) or "missing")
        if name in self._people:
            self.story.expect(f"{name} opens the course, and gets", wanted.page, await self._people[name].open(COURSE))

    def check_waiting(self, *whose: str) -> None:
        """
        Check that of those purchases the school knows nothing, and that the shop knows that it owes them.
        """
        bought = {self._purchases[each] for each in whose}
        owed = {row.purchase_id for row in self._ledger() if row.next_attempt_at is not None}
        self.story.expect("Owed to the school are", f"{len(bought)} purchases", f"{len(owed & bought)} purchases")
        known = {row.source_purchase_id for row in self._entitlements()}
        self.story.expect("Of these it knows", "0 purchases", f"{len(known & bought)} purchases")

    def check_order(self, *names: str) -> None:
        """
        Check which events reached the school last, and in which order.
        """
        received = self._both.school.inngest.log.received[-len(names) :]
        self.story.expect("They came in the order", ", ".join(names), ", ".join(event.name for event in received))

    def check_agreement(self) -> None:
        """
        Check that both databases say the same of all purchases, and that nobody owes anything.
        """
        ledger = {(row.purchase_id, row.version, str(row.desired)) for row in self._ledger() if not row.next_attempt_at}
        held = {
            (row.source_purchase_id, row.source_version, "revoked" if row.status == "revoked" else "granted")
            for row in self._entitlements()
        }
        both = f"{len(self._purchases)} purchases"
        self.story.expect("Both databases say the same of", both, f"{len(ledger & held)} purchases")

    def _tell_crossings(self, source: str, target: str, inngest: Environment) -> None:
        received = inngest.log.received
        for event in received[self._seen[target] :]:
            if event.name in EVENTS and event.data.get("sourceApp") == source:
                self.story.crossing(source, target, event.name, _described(event))
        self._seen[target] = len(received)
        for run in inngest.log.failures:
            if run.id not in self._failed:
                self._failed.add(run.id)
                self.story.problem(f"{run.function_id} of {target} failed: {run.error and run.error.message}")

    def _tell_links(self) -> None:
        with Session(self._school) as session:
            rows = session.exec(select(AccountLink).order_by(col(AccountLink.version))).all()
        if len(rows) > self._links:
            self._links = len(rows)
            content = [
                (f"user {_short(row.user_id)}", f"is {row.linked_user_id} there", row.link_method, row.version)
                for row in rows
            ]
            self.story.holds(SCHOOL, "AccountLink", content)

    def _tell_entitlements(self) -> None:
        rows = [
            (
                self._whose(row.source_purchase_id or ""),
                row.product_id,
                row.status,
                f"version {row.source_version}",
                _holder(row),
            )
            for row in self._entitlements()
        ]
        self.story.holds(SCHOOL, "Entitlement", rows)

    def _ledger(self) -> Sequence[CrossAppSync]:
        with Session(self._shop) as session:
            return sorted(session.exec(select(CrossAppSync)), key=lambda row: self._whose(row.purchase_id))

    def _entitlements(self) -> Sequence[Entitlement]:
        with Session(self._school) as session:
            return sorted(session.exec(select(Entitlement)), key=lambda row: self._whose(row.source_purchase_id or ""))

    def _whose(self, purchase_id: str) -> str:
        return next((whose for whose, bought in self._purchases.items() if bought == purchase_id), "somebody’s")


def _holder(row: Entitlement) -> str:
    if row.user_id is not None:
        return f"user {_short(row.user_id)}"
    return f"for {masked(row.pending_for_email)}" if row.pending_for_email else ""


def _short(id_: str) -> str:
    return id_ if len(id_) <= _SHORT else f"{id_[:_SHORT]}…"


def _described(event: ReceivedEvent) -> str:
    data = event.data
    details = [data.get("productId"), data.get("status"), data.get("reason"), data.get("message")]
    if email := data.get("buyerEmail"):
        details.append(f"for {masked(str(email))}")
    return ", ".join(str(detail) for detail in details if detail)
