"""
Taking hold of one row before looking at it, so that two workers can't decide on the same thing at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Column, Insert, Select, Table, func, inspect, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import lazyload
from sqlmodel import Session

from crossapp_core.columns import column_of, table_of

Q = TypeVar("Q", bound=Select[Any])
T = TypeVar("T")


def lock_or_create(session: Session, model: type[T], key: Mapping[str, object], values: Mapping[str, object]) -> T:
    """
    Lock the row with that *key*, having written it with *key* and *values* if there was none.

    A savepoint around an insert hides deadlocks on MariaDB, and a plain read before an insert sees an old snapshot:
    so the insert does nothing where the row exists, and the locking read that follows sees what others committed.

    Args:
        session: The caller owns its transaction.
        model: The table class.
        key: The attributes of one of its unique constraints, with their values.
        values: Other attributes of a new row; those that are left out get their defaults.

    Raises:
        sqlalchemy.exc.NoResultFound: Under REPEATABLE READ or stricter, somebody else has just written it: the whole
            transaction must be tried again.
    """
    fresh = model(**key, **values)
    row = {column.name: getattr(fresh, name) for name, column in _written(model)}
    # a null that is written is neither numbered nor defaulted by the database
    row = {name: value for name, value in row.items() if value is not None}
    names = tuple(column_of(model, name).name for name in key)
    session.execute(_insert_or_nothing(table_of(model), names, session.get_bind(model).dialect.name), row)
    locked = lock(session, model, key)
    if locked is None:
        raise NoResultFound
    return locked


def lock(session: Session, model: type[T], key: Mapping[str, object], *, share: bool = False) -> T | None:
    """
    Lock the row with that *key* and read it as it is now; None if there is none.

    Args:
        session: The caller owns its transaction.
        model: The table class.
        key: Attributes that together are unique, with their values.
        share: Only keep others from changing it, as long as this transaction lasts.
    """
    query = select(model).where(*(column_of(model, name) == value for name, value in key.items()))
    return session.scalars(locking(query, share=share)).one_or_none()


def locking(query: Q, *, share: bool = False, skip_locked: bool = False) -> Q:
    """
    A query for rows that locks them, and reads them as they are now; *skip_locked* passes over those of others.

    What else the app's own class loads with a row stays out: PostgreSQL locks no outer join.
    """
    query = query.options(lazyload("*")).with_for_update(read=share, skip_locked=skip_locked)
    return query.execution_options(populate_existing=True)


def _written(model: type[object]) -> Iterator[tuple[str, Column[Any]]]:
    for attribute in inspect(model).column_attrs:
        for column in attribute.columns:
            if isinstance(column, Column) and column.computed is None:
                yield attribute.key, column


@lru_cache
def _insert_or_nothing(table: Table, key: tuple[str, ...], dialect: str) -> Insert:
    # the values come as parameters: a statement that holds them takes several times as long
    match dialect:
        case "mysql" | "mariadb":
            same = {name: table.c[name] for name in key[:1]}
            return mysql.insert(table).on_duplicate_key_update(same)
        case "postgresql":
            # a row that is locked but not written is no conflict for whoever has an older snapshot
            same = {name: table.c[name] for name in key[:1]}
            in_snapshot = func.current_setting("transaction_isolation") != "read committed"
            return postgresql.insert(table).on_conflict_do_update(index_elements=key, set_=same, where=in_snapshot)
        case "sqlite":
            return sqlite.insert(table).on_conflict_do_nothing(index_elements=key)
        case other:
            msg = f"{other} is not supported, only PostgreSQL, MariaDB or MySQL, and SQLite"
            raise NotImplementedError(msg)
