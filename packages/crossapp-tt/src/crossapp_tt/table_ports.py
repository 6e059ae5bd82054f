"""
Ready ports, for apps whose purchases and products are plain SQLModel tables.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, null, select
from sqlalchemy.orm import InstrumentedAttribute
from sqlmodel import Session

from crossapp_core.columns import host_value, table_of
from crossapp_core.errors import CrossAppConfigError
from crossapp_tt.ports import Purchase

_NAMES = {
    "id": ("id",),
    "user_id": ("user_id", "userId"),
    "email": ("email",),
    "product_id": ("product_id", "productId"),
    "purchased_at": ("purchased_at", "purchasedAt", "created_at", "createdAt"),
    "charge_id": ("charge_id", "chargeId"),
    "bundle_products": ("bundle_products", "bundleProducts"),
}


class TablePurchases:
    """
    Purchases that are the rows of a table.

    What isn't given is found by its name: `id`, `user_id` or `userId`, `email`, `product_id` or `productId`, and, if
    there are any, `purchased_at` or `created_at`, `charge_id`, and `bundle_products` (the bundle as it was sold). What
    stands in another table is given as a scalar subquery.

    Args:
        model: Their SQLModel class.
        owned: When a purchase counts as paid for and not taken back, `col(Purchase.status) == "Valid"` for example.
        id: The purchase's id.
        user_id: The buyer's id, null for a guest.
        email: The buyer's address.
        product_id: What was bought.
        purchased_at: When; a time without time zone is taken for UTC.
        charge_id: The charge that paid for it, for events of refunds that name only that.
        bundle_products: What the bundle held when it was sold, as JSON.

    Raises:
        CrossAppConfigError: With all that couldn't be found.
    """

    def __init__(
        self,
        model: type[object],
        *,
        owned: ColumnElement[bool],
        id: object = None,  # noqa: A002
        user_id: object = None,
        email: object = None,
        product_id: object = None,
        purchased_at: object = None,
        charge_id: object = None,
        bundle_products: object = None,
    ) -> None:
        self._name = f"TablePurchases({model.__name__})"
        given = {
            "id": id,
            "user_id": user_id,
            "email": email,
            "product_id": product_id,
            "purchased_at": purchased_at,
            "charge_id": charge_id,
            "bundle_products": bundle_products,
        }
        self._columns = {name: _find(model, name, value) for name, value in given.items()}
        self._refuse_missing(model)
        self._id: Column[Any] = self._columns["id"]
        wanted = {name: self._columns[name] for name in _NAMES if name != "charge_id"}
        self._query: Select[Any] = select(
            *(null().label(name) if column is None else column.label(name) for name, column in wanted.items()),
            owned.label("owned"),
        ).select_from(table_of(model))

    def get(self, session: Session, purchase_id: str, *, lock: bool = False) -> Purchase | None:
        """
        One purchase as it is now, or None.
        """
        if (value := host_value(self._id, purchase_id)) is None:
            return None
        query = self._query.where(self._id == value)
        row = session.execute(query.with_for_update() if lock else query).one_or_none()
        return None if row is None else _purchase(row)

    def get_many(self, session: Session, purchase_ids: Collection[str]) -> Sequence[Purchase]:
        """
        Those of the purchases that there are.
        """
        values = [value for id_ in purchase_ids if (value := host_value(self._id, id_)) is not None]
        return [_purchase(row) for row in session.execute(self._query.where(self._id.in_(values)))]

    def by_charge(self, session: Session, charge_id: str) -> Purchase | None:
        """
        The purchase that a charge paid for, or None.

        Raises:
            CrossAppConfigError: No column was given for the charge.
        """
        charge = self._columns["charge_id"]
        if charge is None:
            raise CrossAppConfigError(self._name, ["events name a charge, so give its column: charge_id=…"])
        row = session.execute(self._query.where(charge == charge_id)).first()
        return None if row is None else _purchase(row)

    def after(self, session: Session, cursor: str | None, limit: int) -> Sequence[Purchase]:
        """
        Up to *limit* purchases in the order of their ids, from the first after the id *cursor* on.
        """
        query = self._query.order_by(self._id).limit(limit)
        if cursor is not None:
            query = query.where(self._id > host_value(self._id, cursor))
        return [_purchase(row) for row in session.execute(query)]

    def _refuse_missing(self, model: type[object]) -> None:
        columns, table = self._columns, table_of(model)
        problems = [
            f"no column {' or '.join(_NAMES[name])}: name it, {name}={model.__name__}.…"
            for name in ("id", "product_id")
            if columns[name] is None
        ]
        if columns["user_id"] is None and columns["email"] is None:
            problems.append(f"nothing says who the buyer is: name a column, user_id={model.__name__}.… or email=…")
        problems += [
            f"{name} stands in the table {column.table.name}: give a scalar subquery for it"
            for name, column in columns.items()
            if isinstance(column, Column) and column.table is not table
        ]
        if problems:
            raise CrossAppConfigError(self._name, problems)


class StripeMetadata:
    """
    Bundles that stand in the metadata of Stripe's products, of which the app keeps a copy.

    Args:
        column: The column with the metadata, as JSON or as text, or with `bundleProducts` alone.
        id: The column of the products' ids, if it isn't the primary key.
    """

    def __init__(self, column: object, *, id: object = None) -> None:  # noqa: A002
        self._column = _as_column(column)
        self._id = self._column.table.primary_key.columns[0] if id is None else _as_column(id)

    def of(self, session: Session, product_id: str) -> object:
        """
        What the product's metadata says.
        """
        value = host_value(self._id, product_id)
        if value is None:
            return None
        stored = session.scalar(select(self._column).where(self._id == value))
        return _decoded(stored) if isinstance(stored, str) else stored


class FixedBundles:
    """
    Bundles that stand in the code: `{"prod_1": [{"app": "ai-hero", "productId": "prod_9"}]}`.
    """

    def __init__(self, bundles: Mapping[str, object]) -> None:
        self._bundles = dict(bundles)

    def of(self, session: Session, product_id: str) -> object:
        """
        What the code says.
        """
        return self._bundles.get(product_id)


def _find(model: type[object], name: str, given: object) -> Any:
    if given is not None:
        return _as_column(given)
    columns = {column.name: column for column in table_of(model).columns}
    return next((columns[candidate] for candidate in _NAMES[name] if candidate in columns), None)


def _decoded(text: str) -> object:
    try:
        content = json.loads(text)
    except ValueError:
        return text  # the catalogue says what is wrong with it
    return content if isinstance(content, dict) else text


def _as_column(given: object) -> Any:
    return given.property.columns[0] if isinstance(given, InstrumentedAttribute) else given


def _purchase(row: Any) -> Purchase:
    return Purchase(
        id=str(row.id),
        product_id=str(row.product_id),
        owned=bool(row.owned),
        user_id=None if row.user_id is None else str(row.user_id),
        email=row.email,
        purchased_at=_utc(row.purchased_at),
        bundle_products=row.bundle_products,
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
