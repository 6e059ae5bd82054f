"""
What a database says about its tables, and tables that only some tests need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import Engine, MetaData, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn


def columns(engine: Engine, table: str) -> dict[str, bool]:
    """
    The columns of a table, and whether they may be null.
    """
    return {column["name"]: column["nullable"] for column in inspect(engine).get_columns(table)}


def column(engine: Engine, table: str, name: str) -> ReflectedColumn:
    """
    All about one column.
    """
    [found] = [column for column in inspect(engine).get_columns(table) if column["name"] == name]
    return found


def primary_key(engine: Engine, table: str) -> list[str]:
    """
    The columns of the primary key.
    """
    return list(inspect(engine).get_pk_constraint(table)["constrained_columns"])


def uniques(engine: Engine, table: str) -> set[tuple[str, ...]]:
    """
    The columns of each unique constraint.
    """
    return {tuple(unique["column_names"]) for unique in inspect(engine).get_unique_constraints(table)}


def indexes(engine: Engine, table: str) -> set[tuple[str | None, ...]]:
    """
    The columns of each index that isn't that of a unique constraint.
    """
    return {tuple(index["column_names"]) for index in inspect(engine).get_indexes(table) if not index["unique"]}


def foreign_keys(engine: Engine, table: str) -> dict[str, str]:
    """
    The columns that refer to another table, with its name.
    """
    keys = inspect(engine).get_foreign_keys(table)
    return {name: str(key["referred_table"]) for key in keys for name in key["constrained_columns"]}


def insert_planned(engine: Engine, table: str, values: Mapping[str, object]) -> None:
    """
    Write a row as a service does that knows the planned columns alone.
    """
    times = {name for name, value in values.items() if isinstance(value, datetime)}
    columns = [sa.column(name, sa.DateTime() if name in times else None) for name in values]
    with engine.begin() as connection:
        connection.execute(sa.insert(sa.table(table, *columns)).values(values))


@contextmanager
def tables(engine: Engine, metadata: MetaData) -> Iterator[None]:
    """
    Have further tables, which are empty at the end; a server keeps them, since making them takes time.
    """
    metadata.create_all(engine)
    yield
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
