"""
The seller's composition root.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import cast

import inngest
from sqlalchemy import Engine, UniqueConstraint, orm
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session

from crossapp_core.apps import Settings
from crossapp_core.columns import HostId, column_of, table_of
from crossapp_core.database import begin_writing
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.functions.handle_account_linked import handle_account_linked
from crossapp_core.link_runtime import linker_of
from crossapp_core.linking import Linking
from crossapp_core.outboxes import Outbox
from crossapp_core.outcomes import Outcome
from crossapp_core.ports import GITHUB_AND_DISCORD, SIGN_INS, Accounts, MayAutoLink, OnProblem, SignInEvent, Users
from crossapp_core.tables import AccountLinkBase, AccountLinkTokenBase, CrossAppCursorBase
from crossapp_tt import functions
from crossapp_tt.operations import buyers, outbox
from crossapp_tt.operations import purchases as operations
from crossapp_tt.ports import Bundles, Guard, HostEvent, PartialRefunds, Purchases, Seller
from crossapp_tt.table_ports import FixedBundles
from crossapp_tt.tables import CrossAppSyncBase
from crossapp_tt.upkeep import Upkeep

PURCHASE_CREATED = HostEvent("purchase/created")
PURCHASE_REFUNDED = HostEvent("purchase/refunded")
GUARD = Guard()


class Bridge(Upkeep):
    """
    Makes an app a seller: a bundle bought here unlocks in the other apps.

    Args:
        client: The app's own Inngest client.
        engine: The app's own engine.
        settings: Which app this is, and its peers.
        purchases: The app's purchases.
        bundles: What its products unlock elsewhere, from its database or, as a mapping, in code.
        purchase_created: The app's event of a paid purchase.
        purchase_refunded: The app's event of a refund.
        purchase_changed: The app's events of whatever else changes a purchase: disputes, transfers.
        partial_refunds: What becomes of a purchase of which a part was paid back: `keep`, `revoke`, or a function that
            says True if the buyer keeps it.
        guard: How much the sweep may take away by itself.
        users: The app's users; without them a guest's address never becomes a user, and nobody knows who is gone.
        accounts: The accounts at OAuth providers that they sign in with; without them none link by a shared sign-in.
        sign_in_events: The app's own events of a sign-in.
        oauth_providers: The providers whose accounts link.
        may_auto_link: Whether a user wants that; everybody does if None.
        ledger: The app's own table class, in place of the ready `CrossAppSync`.
        links: The app's own table class, in place of the ready `AccountLink`.
        link_tokens: The app's own table class, in place of the ready `AccountLinkToken`.
        cursors: The app's own table class, in place of the ready `CrossAppCursor`.
        on_problem: Is told of what the library can't put right alone, or not yet.
        clock: The time, in UTC; the system's if None.

    Raises:
        CrossAppConfigError: The app's own table class can't be a ledger.
    """

    link_effect = "What you buy at {here} then opens at {there} for {theirs}."

    def __init__(
        self,
        client: inngest.Inngest,
        engine: Engine | AsyncEngine,
        *,
        settings: Settings,
        purchases: Purchases,
        bundles: Bundles | Mapping[str, object],
        purchase_created: HostEvent = PURCHASE_CREATED,
        purchase_refunded: HostEvent = PURCHASE_REFUNDED,
        purchase_changed: Sequence[HostEvent] = (),
        partial_refunds: PartialRefunds = "keep",
        guard: Guard = GUARD,
        users: Users | None = None,
        accounts: Accounts | None = None,
        sign_in_events: Sequence[SignInEvent] = SIGN_INS,
        oauth_providers: Collection[str] = GITHUB_AND_DISCORD,
        may_auto_link: MayAutoLink | None = None,
        ledger: type[CrossAppSyncBase] | None = None,
        links: type[AccountLinkBase] | None = None,
        link_tokens: type[AccountLinkTokenBase] | None = None,
        cursors: type[CrossAppCursorBase] | None = None,
        on_problem: OnProblem | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        table = _ready_ledger() if ledger is None else _checked(ledger)
        super().__init__(client, engine, settings=settings, on_problem=on_problem, clock=clock)
        linker = linker_of(
            self,
            links=links,
            tokens=link_tokens,
            cursors=cursors,
            users=users,
            accounts=accounts,
            providers=oauth_providers,
            may_auto_link=may_auto_link,
        )
        self.host = Seller(
            app_id=settings.app_id,
            ledger=table,
            purchases=purchases,
            bundles=FixedBundles(bundles) if isinstance(bundles, Mapping) else bundles,
            apps=frozenset(settings.peers),
            sketches=settings.sketches,
            users=users,
            links=linker.links,
            cursors=linker.cursors,
            partial_refunds=partial_refunds,
            guard=guard,
        )
        linker = replace(linker, effects=(partial(buyers.ask_again, self.host),))
        self.linking = Linking.of(self, linker, sign_ins=sign_in_events)
        self.linking.outboxes.append(Outbox(self.host, outbox.take, outbox.note))
        own = functions.all_of(
            self,
            purchase_created=purchase_created,
            purchase_refunded=purchase_refunded,
            purchase_changed=purchase_changed,
        )
        self.functions = [*own, handle_account_linked(self.linking), *self.linking.functions]
        """To be served beside the app's own."""

    def record(self, session: orm.Session, purchase_id: HostId) -> Outcome:
        """
        Write down what a purchase now is, in the app's own transaction: a sale or a refund can't be lost then.

        Call it after the purchase was added to the session or changed, and send the app's event when the transaction
        is committed. With an async session: `await session.run_sync(bridge.record, purchase_id)`.

        Raises:
            CatalogError: What the bundle holds can't be read.
        """
        begin_writing(session, self.host.ledger)
        session.flush()  # the session may be one that doesn't before it reads
        return operations.record(cast("Session", session), self.host, str(purchase_id), now=self.clock())

    def _owe_all(self, session: Session, host: Seller, _: None, /, *, now: datetime) -> Outcome:
        return outbox.owe_all(session, host, now=now)


def _ready_ledger() -> type[CrossAppSyncBase]:
    # it registers a table, which may clash with the app's own, so only for those who use it
    from crossapp_tt.models import CrossAppSync

    return CrossAppSync


def _checked(ledger: type[CrossAppSyncBase]) -> type[CrossAppSyncBase]:
    problems = list(_problems_of(ledger))
    if problems:
        raise CrossAppConfigError(f"Bridge(ledger={ledger.__name__})", problems)
    return ledger


def _problems_of(ledger: type[CrossAppSyncBase]) -> Iterator[str]:
    for name, field in CrossAppSyncBase.model_fields.items():
        if field.annotation in (str, str | None) and not _holds_text(ledger, name):
            yield f"{name} must hold text, as events do; rows outlive what a foreign key refers to"
    key = {column_of(ledger, name) for name in ("purchase_id", "target_app", "target_product_id")}
    uniques = [each for each in table_of(ledger).constraints if isinstance(each, UniqueConstraint)]
    if not any(set(each.columns) == key for each in uniques):
        yield "its __table_args__ leave out ours: return (*super().__table_args__, …) from a declared_attr"


def _holds_text(ledger: type[CrossAppSyncBase], name: str) -> bool:
    kind = column_of(ledger, name).type
    try:
        return kind.python_type in (str, object)
    except NotImplementedError:  # as SQLModel's own type for text has it, or object above, by SQLAlchemy's version
        return True
