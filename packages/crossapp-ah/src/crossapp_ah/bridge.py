"""
The granter's composition root.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

import inngest
from sqlalchemy import Engine, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from crossapp_ah import functions
from crossapp_ah.ports import Granter, NewRow, Products, Users
from crossapp_ah.tables import CrossAppEntitlementMixin, EntitlementBase
from crossapp_core.apps import Settings
from crossapp_core.columns import derived_id, table_of
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.events import BundlePurchased, EntitlementRevoke
from crossapp_core.runtime import Runtime
from crossapp_core.tables import AccountLinkBase


class Bridge(Runtime[Granter]):
    """
    Makes an app a granter: what is bought elsewhere unlocks here.

    Args:
        client: The app's own Inngest client.
        engine: The app's own engine.
        settings: Which app this is, and its peers.
        products: The app's products.
        users: The app's users; only what a sketch peer says of them is looked up there.
        entitlements: The app's own table class, in place of the ready `Entitlement`.
        links: The app's own table class, in place of the ready `AccountLink`.
        new_row: Fills what the app's own table requires besides our columns, by attribute.
        clock: The time, in UTC; the system's if None.

    Raises:
        CrossAppConfigError: The app's own table requires what nothing fills.
    """

    def __init__(
        self,
        client: inngest.Inngest,
        engine: Engine | AsyncEngine,
        *,
        settings: Settings,
        products: Products,
        users: Users | None = None,
        entitlements: type[CrossAppEntitlementMixin] | None = None,
        links: type[AccountLinkBase] | None = None,
        new_row: NewRow | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        table = entitlements or _ready_entitlement()
        host = Granter(
            entitlements=table,
            links=links or _ready_link(),
            products=products,
            new_row=_filling(table, new_row),
            users=users,
            sketches=settings.sketches,
        )
        super().__init__(client, engine, settings=settings, host=host, clock=clock)
        self.functions = functions.all_of(self)
        """To be served beside the app's own."""


# The ready classes register tables, which may clash with the app's own: they are imported only if they are used.


def _ready_entitlement() -> type[CrossAppEntitlementMixin]:
    from crossapp_ah.models import Entitlement

    return Entitlement


def _ready_link() -> type[AccountLinkBase]:
    from crossapp_core.models import AccountLink

    return AccountLink


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
