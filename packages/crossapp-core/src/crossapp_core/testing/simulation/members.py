"""
An app of a simulated world: its hosts, database, process and inbox.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from crossapp_core.apps import Settings
from crossapp_core.bridge import LinkedBridge
from crossapp_core.client import CrossAppClient
from crossapp_core.database import Database
from crossapp_core.durable import Plan, plan_of
from crossapp_core.testing.clock import Clock
from crossapp_core.testing.local_inngest import LocalInngest
from crossapp_core.testing.simulation import checks
from crossapp_core.testing.simulation.inboxes import Inbox, Received
from crossapp_core.testing.simulation.network import Network, Way
from crossapp_core.testing.simulation.places import (
    EntitlementRow,
    GranterHost,
    Host,
    LedgerRow,
    LinkRow,
    Place,
    SellerHost,
)
from crossapp_core.testing.simulation.processes import Process
from crossapp_core.testing.simulation.rows import Backup, Rows, Store
from crossapp_core.testing.simulation.truth import Held, Ledger, Links, Pair, Source, Truth

_LINK = ("id", "user_id", "linked_app", "linked_user_id", "version", "active", "acknowledged_version", "link_method")


class Member:
    """
    One app.

    Args:
        place: Where it lives.
        makers: Make its seller, its granter, or both.
        clock: The true time.
        network: How it reaches the others.
        local: Where its functions are served; None if their bodies are called.
    """

    def __init__(
        self,
        place: Place,
        makers: Sequence[Callable[[Place], Any]],
        clock: Clock,
        network: Network,
        local: LocalInngest | None = None,
    ) -> None:
        self.app_id = place.app_id
        hosts = [make(place) for make in makers]
        self.host: Host = hosts[0]
        self.seller: SellerHost | None = next((host for host in hosts if hasattr(host, "ledger")), None)
        self.granter: GranterHost | None = next((host for host in hosts if hasattr(host, "entitlements")), None)
        self.bridges: list[LinkedBridge[Any]] = [host.bridge for host in hosts]
        self.bridge = self.bridges[0]
        self.store = Store(Database(self.bridge.database.engine))
        self.process = Process(self.app_id, clock)
        self.people: dict[str, str] = {}
        """Ids by name."""
        self.products: dict[str, str] = {}
        """Ids by name, of what it sells and of what it opens."""
        self._network = network
        self._links: Rows[LinkRow] = Rows(
            self.bridge.linking.linker.links, (*_LINK, "lost_to_id", "next_attempt_at"), LinkRow
        )
        functions = {plan_of(each).fn_id: each for bridge in self.bridges for each in bridge.functions}
        self.plans: Mapping[str, Plan] = {fn_id: plan_of(each) for fn_id, each in functions.items()}
        """What its functions were made of, by id."""
        self.inbox: Any
        if local is None:
            self.inbox = Inbox(self.app_id, clock, self.store, list(self.plans.values()))
        else:
            from crossapp_core.testing.simulation.served import ServedInbox  # needs FastAPI

            self.inbox = ServedInbox(self.app_id, local, self.bridge.inngest, list(functions.values()))
        self._first: Backup | None = None
        self._seen: object = None
        self._inhabit()
        self.forget()

    def _inhabit(self) -> None:
        for bridge in self.bridges:
            self.process.inhabit(bridge.database)
            bridge.clock = self.process.watch

            async def tell(events: list[Any]) -> list[str]:
                self.process.survive()
                for event in events:
                    self.inbox.accept(Received(event.id, event.name, event.data, self.app_id))
                self.process.survive()
                return [f"stored-{event.id}" for event in events]

            vars(bridge)["tell"] = tell

    def configure(self, settings: Settings) -> None:
        """
        Have those settings from now on.
        """
        stand_in = CrossAppClient(
            settings,
            clock=self.process.watch,
            monotonic=self.process.monotonic,
            sleep=self.process.sleep,
            jitter=lambda _, longest: longest,
            transport=Way(self._network, self.process),
        )
        for bridge in self.bridges:
            bridge.settings = settings
            vars(bridge.client).update(vars(stand_in))

    def has(self, fn_id: str) -> bool:
        """
        Whether the app has a function of that id.
        """
        return fn_id in self.plans

    def begin(self) -> None:
        """
        Take what the database holds now for the beginning of every history.
        """
        self._first = self.store.backup()

    def reset(self) -> None:
        """
        Be as at the beginning.
        """
        assert self._first is not None, "begin() comes first"  # noqa: S101
        self.store.restore(self._first)
        self.inbox.reset()
        self.process.reset()
        self.forget()

    def forget(self) -> None:
        """
        Compare with nothing what the database holds now: it's another one.
        """
        self.links: Links = {}
        self.ledger: Ledger = {}
        self.held: Held = {}
        self._seen = None

    def adopt(self) -> None:
        """
        Take what the database holds now as it is: a backup was restored.
        """
        self.forget()
        links = self.store.all(self._links)
        self.links = {Pair(row.user_id, row.app, row.linked_user_id): row for row in links}
        if self.seller is not None:
            rows = self.store.all(self.seller.ledger)
            self.ledger = {Source(self.app_id, row.purchase_id, row.app, row.product_id): row for row in rows}
        if self.granter is not None:
            held = self.store.all(self.granter.entitlements)
            self.held = {Source(row.app, row.purchase_id, self.app_id, row.product_id): row for row in held}
        self._seen = self.store.changes

    @property
    def linked(self) -> set[Pair]:
        """
        The pairs that are linked here.
        """
        return {pair for pair, row in self.links.items() if row.active}

    def look(self, truth: Truth, sketches: Collection[str]) -> None:
        """
        Check what the database holds now, if it has changed.

        Raises:
            BrokenError: It can't be right.
        """
        changes = self.store.changes
        if changes is not None and changes == self._seen:
            return
        self._seen = changes
        rows = self.store.all(self._links)
        links = checks.by_key(rows, (Pair(row.user_id, row.app, row.linked_user_id) for row in rows), 7)
        if links != self.links:
            checks.check_links(truth, self.app_id, self.links, links)
        linked = self.linked | {pair for pair, row in links.items() if row.active}
        self.links = links
        if self.seller is not None:
            self._look_at_ledger(truth, self.store.all(self.seller.ledger), sketches)
        if self.granter is not None:
            self._look_at_held(truth, self.store.all(self.granter.entitlements), linked, sketches)

    def _look_at_ledger(self, truth: Truth, rows: Sequence[LedgerRow], sketches: Collection[str]) -> None:
        keys = (Source(self.app_id, row.purchase_id, row.app, row.product_id) for row in rows)
        ledger = checks.by_key(rows, keys, 3)
        if ledger != self.ledger:
            checks.check_ledger(truth, self.ledger, ledger, sketches)
            self.ledger = ledger

    def _look_at_held(
        self, truth: Truth, rows: Sequence[EntitlementRow], linked: Collection[Pair], sketches: Collection[str]
    ) -> None:
        keys = (Source(row.app, row.purchase_id, self.app_id, row.product_id) for row in rows)
        held = checks.by_key(rows, keys, 3)
        if held != self.held:
            checks.check_held(truth, self.held, held, linked, sketches)
            self.held = held
