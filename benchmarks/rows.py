"""
Making tables large.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Engine, Table, func, insert, literal_column, select, text
from sqlalchemy.sql.elements import TextClause

from crossapp_ah.models import Entitlement
from crossapp_core.columns import table_of
from crossapp_core.models import AccountLink
from crossapp_tt.models import CrossAppSync
from tests.hosts import ShopPurchase

_VARYING: Mapping[type[object], tuple[str, ...]] = {
    ShopPurchase: ("id", "user_id", "email"),
    CrossAppSync: ("id", "purchaseId", "buyerUserId", "buyerEmail"),
    Entitlement: ("id", "sourcePurchaseId", "sourceUserId", "pendingForEmail"),
    AccountLink: ("id", "userId", "linkedUserId"),
}
"""The columns in which the rows of a table differ."""


def fill(engine: Engine, rows: int, models: Collection[type[object]] = tuple(_VARYING)) -> None:
    """
    Copy the one row that each table has so often.
    """
    with engine.begin() as connection:
        for model in models:
            varying = _VARYING[model]
            table = table_of(model)
            names = [column.name for column in table.c if column.computed is None]
            copies = select(*(_varied(table, name, varying) for name in names))
            copies = copies.select_from(table, numbers(engine, rows))
            connection.execute(insert(table).from_select(names, copies))
    analyse(engine, *models)


def analyse(engine: Engine, *models: type[object]) -> None:
    """
    Have the server count what is in the tables.
    """
    command = "ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE TABLE"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for model in models:
            name = engine.dialect.identifier_preparer.format_table(table_of(model))
            connection.execute(text(f"{command} {name}")).close()


def _varied(table: Table, name: str, varying: tuple[str, ...]) -> ColumnElement[Any]:
    column = table.c[name]
    return func.concat(column, "_", literal_column("numbers.n")) if name in varying else column


def numbers(engine: Engine, rows: int) -> TextClause:
    """
    A table `numbers` whose column `n` counts from 1.
    """
    if engine.dialect.name == "postgresql":
        return text(f"generate_series(1, {rows}) AS numbers(n)")
    return text(f"(SELECT seq AS n FROM seq_1_to_{rows}) AS numbers")
