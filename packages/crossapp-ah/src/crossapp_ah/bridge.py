"""
The granter's composition root.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import inngest
from sqlalchemy import Engine, inspect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Session

from crossapp_ah import functions
from crossapp_ah.functions.claim_pending_entitlements import claims_that_were_missed
from crossapp_ah.functions.owed_entitlements import hooks_that_are_owed
from crossapp_ah.operations import owed_entitlements
from crossapp_ah.operations.hooks import is_async
from crossapp_ah.ports import Granter, NewRow, OnActive, OnClaimed, OnRevoked, Products
from crossapp_ah.tables import CrossAppEntitlementMixin, EntitlementBase
from crossapp_core.apps import Settings
from crossapp_core.bridge import LinkedBridge
from crossapp_core.columns import derived_id, table_of
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.events import BundlePurchased, EntitlementRevoke
from crossapp_core.link_runtime import linker_of
from crossapp_core.linking import Linking
from crossapp_core.outboxes import Outbox
from crossapp_core.outcomes import Outcome
from crossapp_core.ports import (
    GITHUB_AND_DISCORD,
    SIGN_INS,
    Accounts,
    Linker,
    MayAutoLink,
    OnProblem,
    SignInEvent,
    Users,
)
from crossapp_core.tables import AccountLinkBase, AccountLinkTokenBase, CrossAppCursorBase


class Bridge(LinkedBridge[Granter]):
    """
    Makes an app a granter: what is bought elsewhere unlocks here.

    Args:
        client: The app's own Inngest client.
        engine: The app's own engine.
        settings: Which app this is, and its peers.
        products: The app's products.
        users: The app's users; without them nobody knows whose account is gone, nor which address was verified.
        accounts: The accounts at OAuth providers that they sign in with; without them none link by a shared sign-in.
        sign_in_events: The app's own events of a sign-in.
        oauth_providers: The providers whose accounts link.
        may_auto_link: Whether a user wants that; everybody does if None.
        on_active: Does what access means in the app, a role for example; it may be called again, and late.
        on_revoked: Undoes that, when nothing opens the product for the user any more.
        on_claimed: Tells a user what is unlocked now that their accounts are linked; it may be called again.
        entitlements: The app's own table class, in place of the ready `Entitlement`.
        links: The app's own table class, in place of the ready `AccountLink`.
        link_tokens: The app's own table class, in place of the ready `AccountLinkToken`.
        cursors: The app's own table class, in place of the ready `CrossAppCursor`.
        on_problem: Is told of what the library can't put right alone, or not yet.
        new_row: Fills what the app's own table requires besides our columns, by attribute.
        clock: The time, in UTC; the system's if None.

    Raises:
        CrossAppConfigError: The app's own table requires what nothing fills, or a hook is async and the engine isn't.
    """

    link_effect = "What you buy at {there} then opens at {here} for {ours}."

    def __init__(
        self,
        client: inngest.Inngest,
        engine: Engine | AsyncEngine,
        *,
        settings: Settings,
        products: Products,
        users: Users | None = None,
        accounts: Accounts | None = None,
        sign_in_events: Sequence[SignInEvent] = SIGN_INS,
        oauth_providers: Collection[str] = GITHUB_AND_DISCORD,
        may_auto_link: MayAutoLink | None = None,
        on_active: OnActive | None = None,
        on_revoked: OnRevoked | None = None,
        on_claimed: OnClaimed | None = None,
        entitlements: type[CrossAppEntitlementMixin] | None = None,
        links: type[AccountLinkBase] | None = None,
        link_tokens: type[AccountLinkTokenBase] | None = None,
        cursors: type[CrossAppCursorBase] | None = None,
        on_problem: OnProblem | None = None,
        new_row: NewRow | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        table = entitlements or _ready_entitlement()
        filling = _filling(table, new_row)
        _refuse_waiting(engine, on_active=on_active, on_revoked=on_revoked)
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
        self.host = Granter(
            entitlements=table,
            links=linker.links,
            products=products,
            new_row=filling,
            users=users,
            sketches=settings.sketches,
            on_active=on_active,
            on_revoked=on_revoked,
            on_claimed=on_claimed,
        )
        self.linking = Linking.of(self, _with_people(linker, self.host), sign_ins=sign_in_events)
        self.functions = [*functions.all_of(self, self.linking), *self.linking.functions]
        """To be served beside the app's own."""
        self.linking.chores.append(claims_that_were_missed(self))
        if self.host.has_hooks or on_claimed is not None:
            self.linking.chores.append(hooks_that_are_owed(self))
        answers = Outbox(self.host, owed_entitlements.answer_again, owed_entitlements.note_answered)
        self.linking.outboxes.append(answers)

    def _owe_all(self, session: Session, host: Granter, _: None, /, *, now: datetime) -> Outcome:
        return owed_entitlements.owe_all(session, host, None, now=now)


def _with_people(linker: Linker, host: Granter) -> Linker:
    def bid_farewell(session: Session, user_ids: Collection[str], *, now: datetime) -> None:
        owed_entitlements.bid_farewell(session, host, user_ids, now=now)

    def holders(session: Session, after: str | None, limit: int) -> Sequence[str]:
        return owed_entitlements.holders(session, host, after, limit)

    return replace(linker, farewells=(bid_farewell,), people=(("holders", holders),))


def _refuse_waiting(engine: Engine | AsyncEngine, **hooks: object) -> None:
    problems = [
        f"{name} is async and the engine isn't: make it a plain function, or give the bridge an async engine"
        for name, hook in hooks.items()
        if is_async(hook) and not isinstance(engine, AsyncEngine)
    ]
    if problems:
        raise CrossAppConfigError("Bridge", problems)


def _ready_entitlement() -> type[CrossAppEntitlementMixin]:
    # it registers a table, which may clash with the app's own, so only for those who use it
    from crossapp_ah.models import Entitlement

    return Entitlement


def _filling(table: type[CrossAppEntitlementMixin], new_row: NewRow | None) -> NewRow:
    ours = _with_id if issubclass(table, EntitlementBase) else _with_nothing
    if new_row is not None:
        return lambda request: {**ours(request), **new_row(request)}
    problems = [f"{name} is required and has no default: fill it by new_row" for name in _required(table)]
    if problems:
        raise CrossAppConfigError(f"Bridge(entitlements={table.__name__})", problems)
    return ours


def _required(table: type[CrossAppEntitlementMixin]) -> list[str]:
    numbered = table_of(table).autoincrement_column
    ours = EntitlementBase.model_fields if issubclass(table, EntitlementBase) else ()
    fresh = cast("Any", table)()
    return [
        attribute.key
        for attribute in inspect(table).column_attrs
        for column in attribute.columns
        if not (column.nullable or column is numbered or column.default or column.server_default)
        and attribute.key not in ours
        and getattr(fresh, attribute.key) is None
    ]


def _with_id(request: BundlePurchased | EntitlementRevoke) -> Mapping[str, object]:
    return {"id": derived_id("ent", request.source_app, request.purchase_id, request.product_id or "")}


def _with_nothing(request: BundlePurchased | EntitlementRevoke) -> Mapping[str, object]:
    return {}
