"""
What the app tells a granter about itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from sqlalchemy import Column, select
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from crossapp_ah.tables import CrossAppEntitlementMixin
from crossapp_core.columns import stored_id, table_of
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.events import BundlePurchased, EntitlementRevoke
from crossapp_core.ports import Users
from crossapp_core.tables import AccountLinkBase


class Products(Protocol):
    """
    The products of the app.
    """

    def exists(self, session: Session, product_id: str) -> bool:
        """
        Whether there is such a product.
        """
        ...


class TableProducts:
    """
    Products that are the rows of a table.

    Args:
        model: Their SQLModel class.
        id: The column of their ids, if it isn't called `id`.

    Raises:
        CrossAppConfigError: There is no such column.
    """

    def __init__(self, model: type[object], *, id: object = None) -> None:  # noqa: A002
        self._id = _column("TableProducts", model, id)

    def exists(self, session: Session, product_id: str) -> bool:
        """
        Whether there is such a product.
        """
        return _is_among(session, self._id, product_id)


class FixedProducts:
    """
    Products that stand in the code.

    Raises:
        CrossAppConfigError: It is one text, whose letters would be the ids.
    """

    def __init__(self, product_ids: Collection[str]) -> None:
        if isinstance(product_ids, str):
            raise CrossAppConfigError(
                "FixedProducts", [f"product_ids is one text: put it in a list, [{product_ids!r}]"]
            )
        self._product_ids = frozenset(product_ids)

    def exists(self, session: Session, product_id: str) -> bool:
        """
        Whether there is such a product.
        """
        return product_id in self._product_ids


NewRow: TypeAlias = Callable[[BundlePurchased | EntitlementRevoke], Mapping[str, object]]
"""Fills the columns that the app's own table requires besides ours, by attribute."""


@dataclass(frozen=True)
class Claimed:
    """
    What was waiting for somebody and is unlocked now, because their accounts were linked.
    """

    user_id: str
    """Of this app."""
    source_app: str
    """Where it was bought."""
    product_ids: tuple[str, ...]


OnClaimed: TypeAlias = Callable[[Claimed], Awaitable[None] | None]
"""Tells somebody what is unlocked; it may be called again for the same."""


@dataclass(frozen=True)
class Access:
    """
    That an entitlement opens a product for somebody, or did.
    """

    user_id: str
    """Of this app; they may be gone."""
    product_id: str
    source_app: str
    """Where it was bought."""
    purchase_id: str
    """What it was bought by there."""
    entitlement_id: str


OnActive: TypeAlias = Callable[[Session, Access], None] | Callable[[AsyncSession, Access], Awaitable[None]]
"""Does what access means in the app, in the transaction of the session; it may be called again for the same."""

OnRevoked: TypeAlias = Callable[[Session, Access], None] | Callable[[AsyncSession, Access], Awaitable[None]]
"""Undoes what `OnActive` did, in the same way."""


@dataclass(frozen=True)
class Granter:
    """
    The app, as the granter's operations know it.
    """

    entitlements: type[CrossAppEntitlementMixin]
    links: type[AccountLinkBase]
    products: Products
    new_row: NewRow
    users: Users | None = None
    sketches: frozenset[str] = frozenset()
    """The ids of the sketch peers."""
    on_active: OnActive | None = None
    on_revoked: OnRevoked | None = None
    on_claimed: OnClaimed | None = None

    @property
    def has_hooks(self) -> bool:
        """
        Whether access means something in the app besides `has_access`.
        """
        return self.on_active is not None or self.on_revoked is not None

    def gone(self, session: Session, user_ids: Collection[str]) -> frozenset[str]:
        """
        Those of the users of whom the app says that they are gone.
        """
        return self.users.gone(session, user_ids) if self.users is not None and user_ids else frozenset()


def _is_among(session: Session, column: Column[Any], id_: str) -> bool:
    value = stored_id(session, column, id_)
    if value is None:
        return False
    # read and compared, since to the app's own column `A` may be `a`
    return id_ in map(str, session.scalars(select(column).where(column == value)))


def _column(port: str, model: type[object], given: object) -> Column[Any]:
    column = given
    if given is None:
        column = next((column for column in table_of(model).columns if column.name == "id"), None)
    elif isinstance(given, InstrumentedAttribute):
        column = next(iter(getattr(given.property, "columns", ())), None)
    if isinstance(column, Column) and column.table is table_of(model):
        return column
    wrong = "has no column id" if given is None else "has no such column"
    problem = f"{model.__name__} {wrong}: name the one of the ids, id={model.__name__}.…"
    raise CrossAppConfigError(f"{port}({model.__name__})", [problem])
