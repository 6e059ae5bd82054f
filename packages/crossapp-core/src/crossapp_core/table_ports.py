"""
Ready ports, for apps whose users and OAuth accounts are plain SQLModel tables.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Enum,
    Integer,
    String,
    Table,
    TypeDecorator,
    cast,
    false,
    func,
    null,
    select,
    true,
)
from sqlalchemy.types import TypeEngine
from sqlmodel import Session

from crossapp_core.addresses import normalise_or_none
from crossapp_core.columns import as_column, foreign_columns, host_value, named_columns, table_of
from crossapp_core.errors import CrossAppConfigError
from crossapp_core.ports import Account, User

_USER = {
    "id": ("id",),
    "email": ("email",),
    # no more than these: elsewhere a plain "verified" is a badge, or a checked passport
    "verified": (
        *("email_verified", "emailVerified", "email_verified_at", "emailVerifiedAt"),
        *("verified_at", "verifiedAt"),
    ),
    "name": ("name", "display_name", "displayName"),
}
_ACCOUNT = {
    "provider": ("provider",),
    "provider_account_id": ("provider_account_id", "providerAccountId"),
    "user_id": ("user_id", "userId"),
}
_OPTIONAL = {"verified", "name"}
_BATCH = 500  # ids in one statement
_MYSQL = ("mysql", "mariadb")


class TableUsers:
    """
    Users that are the rows of a table.

    What isn't given is found by its name: `id`, `email` and, if there are any, `email_verified` or `emailVerified`,
    with or without `_at`, or `verified_at`, and `name` or `display_name`. What stands in another table is given as a
    scalar subquery.

    A time says that the address was verified, a number that isn't 0 as well. **Where nothing says whether an address
    is verified, it is not**, and nobody is found by it.

    Who has an address is asked for by the column as it is, and then by `lower(trim(email))`, since people write
    `Ada@Example.com`: in a large table that needs an index, too.

    Args:
        model: Their SQLModel class.
        id: Their id.
        email: Their address, as they wrote it.
        verified: When their address counts as theirs: a column, an expression, or `True` or `False` for all.
        name: What the app shows others of them.

    Raises:
        CrossAppConfigError: With all that couldn't be found.
    """

    def __init__(
        self,
        model: type[object],
        *,
        id: object = None,  # noqa: A002
        email: object = None,
        verified: object = None,
        name: object = None,
    ) -> None:
        if isinstance(verified, bool):
            verified = true() if verified else false()
        given = {"id": id, "email": email, "verified": verified, "name": name}
        columns = _resolved("TableUsers", model, _USER, given)
        self._table = table_of(model)
        self._id, self._email = columns["id"], columns["email"]
        self._verified: Any = _truth(columns["verified"])
        shown = null() if columns["name"] is None else columns["name"]
        self._query: Any = select(
            self._id.label("id"),
            self._email.label("email"),
            self._verified.label("verified"),
            shown.label("name"),
        ).select_from(self._table)

    def get(self, session: Session, user_id: str) -> User | None:
        """
        One user, or None. One whose id is written otherwise counts as another.
        """
        dialect = _dialect(session, self._table)
        if (value := _held(self._id, user_id, dialect)) is None:
            return None
        found = map(_user, session.execute(self._query.where(_among(self._id, [value], dialect))))
        # compared once more, since to the app's own column `A` may be `a`
        return next((user for user in found if user.id == user_id), None)

    def by_verified_email(self, session: Session, address: str) -> User | None:
        """
        The one user whose address that is, verified; None if there are several.
        """
        if (wanted := normalise_or_none(address)) is None:
            return None
        dialect = _dialect(session, self._table)
        found: dict[str, User] = {}
        for written in (self._email, func.lower(func.trim(self._email))):
            query = self._query.where(_among(written, _spellings(wanted), dialect), self._verified)
            candidates = map(_user, session.execute(query))
            # the database only proposes: to some, é is e
            found |= {user.id: user for user in candidates if normalise_or_none(user.email) == wanted}
            if len(found) > 1:
                return None
        return next(iter(found.values()), None)

    def gone(self, session: Session, user_ids: Collection[str]) -> frozenset[str]:
        """
        Those of the ids that no user has (any more).
        """
        wanted = frozenset(user_ids)
        dialect = _dialect(session, self._table)
        values = [value for id_ in sorted(wanted) if (value := _held(self._id, id_, dialect)) is not None]
        there: set[str] = set()
        for start in range(0, len(values), _BATCH):
            batch = values[start : start + _BATCH]
            there.update(map(str, session.scalars(select(self._id).where(_among(self._id, batch, dialect)))))
        return wanted - there


class TableAccounts:
    """
    Accounts at OAuth providers that are the rows of a table.

    What isn't given is found by its name: `provider`, `provider_account_id` or `providerAccountId`, and `user_id` or
    `userId`. Where a table holds one provider's accounts alone, that is given: `provider=sqlalchemy.literal("github")`.
    Nothing else is read, above all no token.

    Args:
        model: Their SQLModel class.
        provider: The provider's name.
        provider_account_id: The provider's own unchanging id of the account, never its name there.
        user_id: Who signs in with it.

    Raises:
        CrossAppConfigError: With all that couldn't be found.
    """

    def __init__(
        self,
        model: type[object],
        *,
        provider: object = None,
        provider_account_id: object = None,
        user_id: object = None,
    ) -> None:
        given = {"provider": provider, "provider_account_id": provider_account_id, "user_id": user_id}
        self._columns = _resolved("TableAccounts", model, _ACCOUNT, given)
        self._table = table_of(model)
        self._query: Any = select(*(column.label(name) for name, column in self._columns.items())).select_from(
            self._table
        )

    def find(self, session: Session, provider: str, provider_account_id: str) -> Account | None:
        """
        The account with that id at the provider; None if nobody or more than one user signs in with it.
        """
        found = self._matching(session, provider=provider, provider_account_id=provider_account_id)
        return found[0] if len({account.user_id for account in found}) == 1 else None

    def of(self, session: Session, user_id: str) -> Sequence[Account]:
        """
        All accounts that a user signs in with, by provider and id.
        """
        found = self._matching(session, user_id=user_id)
        return sorted(found, key=lambda account: (account.provider, account.provider_account_id))

    def _matching(self, session: Session, **wanted: str) -> list[Account]:
        dialect = _dialect(session, self._table)
        query = self._query
        for name, text in wanted.items():
            if (value := _held(self._columns[name], text, dialect)) is None:
                return []
            query = query.where(_among(self._columns[name], [value], dialect))
        found = dict.fromkeys(_accounts(session.execute(query)))
        # compared once more, since to the app's own columns `A` may be `a`
        return [account for account in found if all(getattr(account, name) == text for name, text in wanted.items())]


def _resolved(
    port: str, model: type[object], names: Mapping[str, Sequence[str]], given: Mapping[str, object]
) -> dict[str, Any]:
    columns = {
        name: next(iter(named_columns(model, names[name])), None) if value is None else _expression(value)
        for name, value in given.items()
    }
    usable = {name: column for name, column in columns.items() if isinstance(column, ColumnElement)}
    problems = [*_missing(model, names, columns), *foreign_columns(table_of(model), usable)]
    if "verified" in usable and _truth(usable["verified"]) is None:
        problems.append("verified holds neither times nor truth values: give an expression that is true or false")
    if problems:
        raise CrossAppConfigError(f"{port}({model.__name__})", problems)
    return columns


def _missing(model: type[object], names: Mapping[str, Sequence[str]], columns: Mapping[str, object]) -> Iterator[str]:
    for name, column in columns.items():
        if column is None and name not in _OPTIONAL:
            yield f"no column {' or '.join(names[name])}: name it, {name}={model.__name__}.…"
        elif column is not None and not isinstance(column, ColumnElement):
            yield f"{name} was given, but is no column: name one, {name}={model.__name__}.…"


def _expression(given: object) -> object:
    if (mapped := getattr(given, "property", None)) is not None and not hasattr(mapped, "columns"):
        return given  # a relationship
    column = as_column(given)
    of_class = getattr(column, "__clause_element__", None)  # a hybrid property
    return column if isinstance(column, ColumnElement) or of_class is None else of_class()


def _truth(column: Any) -> Any:
    if column is None:
        return false()
    kind: TypeEngine[Any] = column.type
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    match kind:
        case Boolean():
            return column.is_(true())
        case DateTime() | Date():
            return column.is_not(null())
        case Integer():
            return column != 0
    return None


def _dialect(session: Session, table: Table) -> str:
    return session.get_bind(clause=table).dialect.name


def _held(column: Any, text: str, dialect: str) -> Any | None:
    # as host_value, also where the column holds members of an enumeration
    if isinstance(column.type, Enum):
        choices: Iterable[object] = column.type.enum_class or column.type.enums
        return next((choice for choice in choices if _text(choice) == text), None)
    return host_value(column, text, dialect=dialect)


def _text(value: object) -> str:
    return str(value.value if isinstance(value, enum.Enum) else value)


def _among(column: Any, values: Collection[Any], dialect: str) -> ColumnElement[bool]:
    foreign = any(isinstance(value, str) and not value.isascii() for value in values)
    if foreign and dialect in _MYSQL:
        # a column in one of its older character sets can't be compared with letters that it doesn't have
        column = cast(column, String)
    among: ColumnElement[bool] = column.in_(values)
    return among


def _spellings(address: str) -> list[str]:
    # what may stand in a table for a normal address, save for ASCII's capitals and blanks around
    local, _, domain = address.rpartition("@")
    spellings = [address]
    if "xn--" in domain:
        import idna  # as slow to import as rarely needed

        spellings.append(f"{local}@{idna.decode(domain)}")
    return list(dict.fromkeys([*spellings, *(unicodedata.normalize("NFD", each) for each in spellings)]))


def _user(row: Any) -> User:
    return User(
        id=str(row.id),
        email=row.email,
        email_verified=bool(row.verified),
        name=None if row.name is None else str(row.name),
    )


def _accounts(rows: Iterable[Any]) -> Iterator[Account]:
    for row in rows:
        provider, id_, user_id = map(_text, (row.provider, row.provider_account_id, row.user_id))
        if None not in row and "" not in row:  # else it is nobody's, or at no provider
            yield Account(user_id=user_id, provider=provider, provider_account_id=id_)
