"""
What the database can say by itself about many purchases at once: that nearly all of them are as the ledger has them.

Whatever isn't plainly right is suspect and looked at more closely, so a mistake here can cost time but nothing else:
each condition errs on the side of suspicion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    String,
    and_,
    case,
    cast,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.dialects import mysql
from sqlmodel import Session

from crossapp_core.columns import column_of, stored_id
from crossapp_tt.operations.findings import columns
from crossapp_tt.operations.standing import Standing
from crossapp_tt.ports import Comparable, Seller
from crossapp_tt.tables import Desired

STRETCH = 5_000
"""How many purchases are screened at once."""
MOST_SUSPECTS = 500
"""With more than these, all of them are read."""

_ZONES = timedelta(days=1)  # a time without a zone may be off by less than that


@dataclass(frozen=True)
class Screened:
    """
    A stretch of purchases, and those that aren't plainly right.
    """

    last: str
    count: int
    suspects: Sequence[str]


def screen(session: Session, seller: Seller, standing: Standing, position: str | None) -> Screened | None:
    """
    Compare the next purchases in the database; None if they are to be read.
    """
    if not isinstance(seller.purchases, Comparable):
        return None
    stretch = seller.purchases.stretch(session, position, STRETCH)
    if stretch is None or (between := _between(session, seller, position, stretch.last)) is None:
        return None
    bind = session.get_bind(seller.ledger)
    if session.get_bind(clause=stretch.query) is not bind:
        return None
    sales, rows = stretch.query.subquery("sales"), columns(seller.ledger).where(between).subquery("known")
    pairs = sales.outerjoin(rows, rows.c.purchase_id == _text(sales.c.id, bind.dialect.name))
    is_wrong = ~_is_right(sales, rows, standing.oldest, bind.dialect.name)
    # in one statement, so that no sale comes in between
    is_granted = column_of(seller.ledger, "desired") == Desired.GRANTED
    all_ = select(func.count()).where(between, is_granted).scalar_subquery()
    query = select(_count(is_wrong), _count(rows.c.desired == Desired.GRANTED), all_).select_from(pairs)
    wrong, with_sale, granted = session.execute(query).one()
    if wrong > MOST_SUSPECTS or with_sale != granted:
        return None
    suspects = session.scalars(select(sales.c.id).select_from(pairs).where(is_wrong)) if wrong else ()
    return Screened(stretch.last, STRETCH, list(dict.fromkeys(map(str, suspects))))


def _between(session: Session, seller: Seller, after: str | None, until: str) -> ColumnElement[bool] | None:
    column = column_of(seller.ledger, "purchase_id")
    upper = stored_id(session, column, until)
    lower = None if after is None else stored_id(session, column, after)
    if upper is None or (after is not None and lower is None):
        return None
    return column <= upper if lower is None else and_(column > lower, column <= upper)


def _is_right(sales: FromClause, rows: FromClause, oldest: datetime, dialect: str) -> ColumnElement[bool]:
    s, r = sales.c, rows.c
    owned = and_(func.coalesce(s.owned, false()), ~func.coalesce(s.disputed, false()))
    is_whole = and_(~func.coalesce(s.partially_refunded, false()), s.bundle_products.is_(None))
    buyer, is_granted = _text(s.user_id, dialect), r.desired == Desired.GRANTED
    granted = and_(owned, is_whole, is_granted, r.bundle_product_id.is_not(None), buyer != "", r.buyer_user_id == buyer)
    taken = and_(~owned, ~func.coalesce(is_granted, false()))
    unknown = and_(r.purchase_id.is_(None), _is_old(s.purchased_at, oldest))
    return func.coalesce(or_(granted, taken, unknown), false())


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _is_old(made: ColumnElement[Any], oldest: datetime) -> ColumnElement[bool]:
    if not isinstance(made.type, DateTime):
        return made.is_(None)
    moment = (oldest - _ZONES).astimezone(UTC)
    return or_(made.is_(None), made < literal(moment if made.type.timezone else moment.replace(tzinfo=None), made.type))


def _text(column: ColumnElement[Any], dialect: str) -> ColumnElement[str]:
    # compared as the ledger's columns are, else MySQL uses no index
    if dialect in ("mysql", "mariadb"):
        return cast(column, mysql.VARCHAR(charset="utf8mb4")).collate("utf8mb4_bin")
    return cast(column, String)
