"""
The kinds of columns that our tables are made of, the same in SQLite, PostgreSQL and MariaDB or MySQL.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2s, sha256
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    FromClause,
    Index,
    Integer,
    SelectBase,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    and_,
    or_,
    select,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import TextClause
from sqlalchemy.types import TypeDecorator, TypeEngine

from crossapp_core.addresses import LONGEST

_LONGEST_NAME = 63  # PostgreSQL's; MySQL has 64


def exact(length: int) -> String:
    """
    Text that is compared to the letter; MySQL's default would take `é` for `e` and `A` for `a`.
    """
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(binary, "mysql", "mariadb")


HostId: TypeAlias = str | int | UUID
"""An id of the app, as its own code holds it."""

ID = exact(191)
"""An id, as its app writes it."""
EMAIL = exact(LONGEST)
"""A normalised e-mail address."""
PLAN = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
"""JSON that may be longer than the 64 kB of MySQL's ordinary text."""
WORD = exact(64)
"""A status, a reason, a code, an app id."""
VERSION = BigInteger()
ZERO: TextClause = text("0")
"""What a counter starts at, also for rows that others insert."""


class UtcDateTime(TypeDecorator[datetime]):
    """
    A time in UTC, to the millisecond; naive ones are refused, aware ones come back.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """
        The database's own type: MySQL drops milliseconds unless told, PostgreSQL knows time zones.
        """
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=3))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """
        What the database gets.
        """
        if value is None:
            return None
        if value.utcoffset() is None:
            msg = "needs a time with a time zone: datetime.now(UTC), not datetime.now()"
            raise ValueError(msg)
        moment = value.astimezone(UTC)
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """
        What Python gets.
        """
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def unique(table: str, *columns: str) -> UniqueConstraint:
    """
    A unique constraint, named after its table and columns.
    """
    return UniqueConstraint(*columns, name=_name(table, columns, "key"))


def index(table: str, *columns: str) -> Index:
    """
    An index, named after its table and columns.
    """
    return Index(_name(table, columns, "idx"), *columns)


def column_of(model: type[object], attribute: str) -> Column[Any]:
    """
    The column of a table class behind one of its attributes.
    """
    column: Column[Any] = _mapper(model).columns[attribute]
    return column


def table_of(model: type[object]) -> Table:
    """
    The table of a table class.
    """
    table: Table = _mapper(model).local_table
    return table


def as_column(given: object) -> Any:
    """
    What stands for a column in a statement: that of an attribute, the one value of a subquery, or what is given.
    """
    if isinstance(given, SelectBase):
        return given.scalar_subquery()
    return given.property.columns[0] if isinstance(given, InstrumentedAttribute) else given


def named_columns(model: type[object], names: Sequence[str]) -> list[Column[Any]]:
    """
    Those columns of a table class that have one of the names, in the order of the names.
    """
    columns = {column.name: column for column in table_of(model).columns}
    return [columns[name] for name in names if name in columns]


def foreign_columns(table: FromClause, columns: Mapping[str, Any]) -> Iterator[str]:
    """
    Tell of columns that stand in another table: beside the rows of *table*, each would come with each.
    """
    for name, column in columns.items():
        others = [] if column is None else select(column).get_final_froms()
        for other in others:
            if other is not table:
                yield f"{name} stands in the table {getattr(other, 'name', other)}: give a scalar subquery for it"


def primary_key(row: object) -> str:
    """
    The id of a row, as it stands in events.
    """
    values: tuple[object, ...] = _mapper(type(row)).primary_key_from_instance(row)
    return ":".join(str(value) for value in values)


def is_one_of(model: type[object], rows: Collection[object]) -> ColumnElement[bool]:
    """
    Whether a row is one of those, by its primary key.
    """
    return has_key(model, [_mapper(model).primary_key_from_instance(row) for row in rows])


def has_key(model: type[object], values: Collection[Sequence[object]]) -> ColumnElement[bool]:
    """
    Whether a row has one of those primary keys.
    """
    keys = list(table_of(model).primary_key)
    if len(keys) == 1:
        return keys[0].in_([value for (value,) in values])
    return or_(*(and_(*(key == part for key, part in zip(keys, value, strict=True))) for value in values))


def host_value(column: Column[Any], id_: str, *, dialect: str = "sqlite") -> Any | None:
    """
    An id as the host's column holds it, None if it can't hold it: `"1abc"` is no integer, and `"007"` is not 7.

    MySQL would match `"1abc"` to 1, PostgreSQL would raise, as it would for a number that is too large, or for a NUL.

    Args:
        column: The host's column.
        id_: The id, as it stands in events.
        dialect: The database's name; SQLite's integers have 64 bits, and its text any length, whatever they are called.
    """
    try:
        id_.encode()  # a lone surrogate, which no driver sends
        value = _converter(column.type)(id_)
    except ValueError:
        return None
    return value if str(value) == id_ and _fits(column.type, value, dialect) else None


def stored_id(session: Session, column: Column[Any], id_: str) -> Any | None:
    """
    Do as `host_value` does, for the database that the session has for the column's table.
    """
    return host_value(column, id_, dialect=session.get_bind(clause=column.table).dialect.name)


def derived_id(kind: str, *source: object) -> str:
    """
    An id that is always the same for what it stands for, so that a row restored from nothing has its old one.
    """
    content = "\n".join(map(str, source))
    return f"{kind}_{blake2s(content.encode(), digest_size=16).hexdigest()}"


_CONVERTERS: dict[type[object], Callable[[str], object]] = {int: int, UUID: UUID}


def _converter(kind: TypeEngine[Any]) -> Callable[[str], object]:
    if isinstance(kind, Uuid) and not kind.as_uuid:
        return lambda id_: str(UUID(id_))  # text in Python alone: PostgreSQL refuses what is no UUID
    try:
        return _CONVERTERS.get(kind.python_type, str)
    except NotImplementedError:
        return str


def _fits(kind: TypeEngine[Any], value: object, dialect: str) -> bool:
    match kind, value:
        case Integer(), int(number):
            return -(1 << _bits(kind, dialect) - 1) <= number < 1 << _bits(kind, dialect) - 1
        case _, str(characters) if dialect != "sqlite":
            length: int | None = getattr(kind, "length", None)
            return "\0" not in characters and (length is None or len(characters) <= length)
    return True


def _bits(kind: TypeEngine[Any], dialect: str) -> int:
    unsigned = bool(getattr(kind, "unsigned", False))
    if dialect == "sqlite" or isinstance(kind, BigInteger):
        return 64 + unsigned
    return (16 if isinstance(kind, SmallInteger) else 32) + unsigned


def _mapper(model: type[object]) -> Any:
    return model.__mapper__  # type: ignore[attr-defined]


def _name(table: str, columns: tuple[str, ...], suffix: str) -> str:
    name = "_".join([table, *columns, suffix])
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:44]}_{sha256(name.encode()).hexdigest()[:12]}_{suffix}"
