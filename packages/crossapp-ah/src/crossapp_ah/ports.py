"""
What the app tells a granter about itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Column, select
from sqlmodel import Session

from crossapp_ah.tables import CrossAppEntitlementMixin
from crossapp_core.columns import column_of, host_value
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.events import BundlePurchased, EntitlementRevoke
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

    def __init__(self, model: type[object], *, id: Any = None) -> None:  # noqa: A002
        self._id = _column(model, id)

    def exists(self, session: Session, product_id: str) -> bool:
        """
        Whether there is such a product.
        """
        value = host_value(self._id, product_id)
        return value is not None and session.scalar(select(self._id).where(self._id == value)) is not None


class FixedProducts:
    """
    Products that stand in the code.
    """

    def __init__(self, product_ids: Collection[str]) -> None:
        self._product_ids = frozenset(product_ids)

    def exists(self, session: Session, product_id: str) -> bool:
        """
        Whether there is such a product.
        """
        return product_id in self._product_ids


NewRow = Callable[[BundlePurchased | EntitlementRevoke], Mapping[str, object]]
"""Fills the columns that the app's own table requires, by attribute."""


@dataclass(frozen=True)
class Granter:
    """
    The app, as the granter's operations know it.
    """

    entitlements: type[CrossAppEntitlementMixin]
    links: type[AccountLinkBase]
    products: Products
    new_row: NewRow


def _column(model: type[object], given: Any) -> Column[Any]:
    try:
        return column_of(model, "id") if given is None else given.property.columns[0]
    except (AttributeError, KeyError):
        problem = f"{model.__name__} has no column id: name the one of the product ids, id={model.__name__}.…"
    raise CrossAppConfigError(f"TableProducts({model.__name__})", [problem])
