"""
Ready ports, for apps whose purchases and products are plain SQLModel tables.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, false, null, select
from sqlmodel import Session

from crossapp_core.columns import as_column, foreign_columns, host_value, named_columns, stored_id, table_of
from crossapp_core.errors import CrossAppConfigError
from crossapp_tt.ports import Purchase, Stretch

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
        disputed: When a purchase isn't owned because its payment is disputed, whatever *owned* says.
        partially_refunded: When a part of its money was paid back. It must be *owned* all the same: the bridge's
            `partial_refunds` says whether it stays so.

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
        disputed: ColumnElement[bool] | None = None,
        partially_refunded: ColumnElement[bool] | None = None,
    ) -> None:
        self._model = model
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
        facts = {"owned": owned, "disputed": disputed, "partially_refunded": partially_refunded}
        foreign = foreign_columns(table_of(model), {**self._columns, **facts})
        problems = [*_missing(model, self._columns), *foreign]
        if problems:
            raise CrossAppConfigError(self._name, problems)
        self._id: Column[Any] = self._columns["id"]
        wanted = {name: self._columns[name] for name in _NAMES if name != "charge_id"}
        self._query: Any = select(
            *((null() if column is None else column).label(name) for name, column in wanted.items()),
            *((false() if fact is None else fact).label(name) for name, fact in facts.items()),
        ).select_from(table_of(model))

    def get(self, session: Session, purchase_id: str, *, lock: bool = False) -> Purchase | None:
        """
        One purchase as it is now, or None.
        """
        if (value := self._value(session, self._id, purchase_id)) is None:
            return None
        query = self._query.where(self._id == value)
        row = session.execute(query.with_for_update() if lock else query).one_or_none()
        return None if row is None else _purchase(row)

    def get_many(self, session: Session, purchase_ids: Collection[str]) -> Sequence[Purchase]:
        """
        Those of the purchases that there are.
        """
        wanted = frozenset(purchase_ids)
        values = [value for id_ in wanted if (value := self._value(session, self._id, id_)) is not None]
        found = map(_purchase, session.execute(self._query.where(self._id.in_(values)).order_by(self._id)))
        return [purchase for purchase in found if purchase.id in wanted]

    def by_charge(self, session: Session, charge_id: str) -> Purchase | None:
        """
        The purchase that a charge paid for, or None.

        Raises:
            CrossAppConfigError: No column was given for the charge.
        """
        charge = self._columns["charge_id"]
        if charge is None:
            raise CrossAppConfigError(self._name, ["events name a charge, so give its column: charge_id=…"])
        if (value := self._value(session, charge, charge_id)) is None:
            return None
        query = self._query.add_columns(charge.label("charge_id")).where(charge == value).order_by(self._id)
        # compared once more, since to the app's own column `ch_A` may be `ch_a`
        found = (_purchase(row) for row in session.execute(query) if str(row.charge_id) == charge_id)
        return next(found, None)

    def after(self, session: Session, cursor: str | None, limit: int) -> Sequence[Purchase]:
        """
        Up to *limit* purchases in the order of their ids, from the first after the id *cursor* on.
        """
        query = self._query.order_by(self._id).limit(limit)
        if cursor is not None:
            if (value := self._value(session, self._id, cursor)) is None:
                return []
            query = query.where(self._id > value)
        return [_purchase(row) for row in session.execute(query)]

    def stretch(self, session: Session, cursor: str | None, limit: int) -> Stretch | None:
        """
        The next *limit* purchases as a query, for a database that compares them itself; None if there are fewer.
        """
        query, ids = self._query, select(self._id).order_by(self._id)
        if cursor is not None:
            if (value := self._value(session, self._id, cursor)) is None:
                return None
            query, ids = query.where(self._id > value), ids.where(self._id > value)
        last = session.scalar(ids.offset(limit - 1).limit(1))
        return None if last is None else Stretch(query.where(self._id <= last), str(last))

    def _value(self, session: Session, column: Column[Any], id_: str) -> Any | None:
        return host_value(column, id_, dialect=session.get_bind(self._model).dialect.name)


class StripeMetadata:
    """
    Bundles that stand in the metadata of Stripe's products, of which the app keeps a copy.

    Args:
        column: The column with the metadata, as JSON or as text, or with `bundleProducts` alone.
        id: The column of the products' ids, if it isn't the primary key.

    Raises:
        CrossAppConfigError: Nothing says whose metadata it is.
    """

    def __init__(self, column: object, *, id: object = None) -> None:  # noqa: A002
        self._column: Any = as_column(column)
        self._id: Any = _single_key(self._column) if id is None else as_column(id)
        problems = ["no table with a single primary key: name the column of the products' ids, id=…"]
        if self._id is not None:
            problems = list(foreign_columns(self._id.table, {"the metadata": self._column}))
        if problems:
            raise CrossAppConfigError(f"StripeMetadata({column})", problems)

    def of(self, session: Session, product_id: str) -> object:
        """
        What the product's metadata says.
        """
        value = stored_id(session, self._id, product_id)
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
        return as_column(given)
    found = named_columns(model, _NAMES[name])
    if name == "purchased_at":
        found = [column for column in found if _holds_times(column)]
    return found[0] if found else None


def _missing(model: type[object], columns: Mapping[str, Any]) -> Iterator[str]:
    for name in ("id", "product_id"):
        if columns[name] is None:
            yield f"no column {' or '.join(_NAMES[name])}: name it, {name}={model.__name__}.…"
    if columns["user_id"] is None and columns["email"] is None:
        yield f"nothing says who the buyer is: name a column, user_id={model.__name__}.… or email=…"
    if columns["purchased_at"] is not None and not _holds_times(columns["purchased_at"]):
        yield "purchased_at holds no times: name a column that does, or none"


def _holds_times(column: ColumnElement[Any]) -> bool:
    try:
        return column.type.python_type in (datetime, object)  # object: a type of the app's own
    except NotImplementedError:
        return True


def _single_key(column: Any) -> Any:
    keys = [key for table in select(column).get_final_froms() for key in table.primary_key]
    return keys[0] if len(keys) == 1 else None


def _decoded(text: str) -> object:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text  # the catalogue says what is wrong with it
    return content if isinstance(content, dict) else text


def _purchase(row: Any) -> Purchase:
    return Purchase(
        id=str(row.id),
        product_id=str(row.product_id),
        owned=bool(row.owned) and not row.disputed,
        user_id=None if row.user_id in (None, "") else str(row.user_id),
        email=row.email,
        purchased_at=_utc(row.purchased_at),
        bundle_products=row.bundle_products,
        reason="disputed" if row.disputed else None,
        partially_refunded=bool(row.partially_refunded),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
