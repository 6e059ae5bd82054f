"""
Who a purchase's buyer is: which user of the seller, and what the granters know of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session

from crossapp_core import addresses
from crossapp_core.backoff import next_attempt
from crossapp_core.columns import column_of, table_of
from crossapp_core.operations.link_rows import links_of
from crossapp_core.tables import AccountLinkBase
from crossapp_tt.operations.rows import Row
from crossapp_tt.ports import Purchase, Seller
from crossapp_tt.tables import Desired, SyncStatus


def named(session: Session, seller: Seller, purchase: Purchase, rows: Iterable[Row]) -> Purchase:
    """
    The purchase with the user who holds a guest's address, verified, if there is one.

    Only the seller knows whose an address is now. Once a row names the user, addresses change nothing any more.
    """
    if purchase.user_id is not None:
        return purchase
    known = next((row.buyer_user_id for row in rows if row.buyer_user_id is not None), None)
    return replace(purchase, user_id=known or _holder(session, seller, purchase.email))


def ask_again(seller: Seller, session: Session, link: AccountLinkBase, *, now: datetime) -> None:
    """
    Owe a buyer's rows again that are acknowledged without a user, now that the buyer is linked: what was claimed there
    because of the link may never have been heard of. A sketch peer is never asked.
    """
    if link.linked_app in seller.sketches:
        return
    ledger = seller.ledger
    due, user_id = column_of(ledger, "next_attempt_at"), column_of(ledger, "target_user_id")
    wanted = (
        column_of(ledger, "buyer_user_id") == str(link.user_id),
        column_of(ledger, "target_app") == link.linked_app,
        column_of(ledger, "status") == SyncStatus.SYNCED,
        column_of(ledger, "desired") == Desired.GRANTED,
    )
    query = update(table_of(ledger)).where(*wanted, user_id.is_(None), due.is_(None))
    session.execute(query.values({due: next_attempt(0, now=now)}))


def linked_user(session: Session, seller: Seller, row: Row) -> str | None:
    """
    Whose account at the granter belongs to the buyer of a row, as far as the seller knows.
    """
    if seller.links is None or row.buyer_user_id is None:
        return None
    standing = links_of(session, seller.links, row.buyer_user_id)
    return next((link.linked_user_id for link in standing if link.linked_app == row.target_app), None)


def is_linked(session: Session, seller: Seller, row: Row) -> bool:
    """
    Whether the buyer of a row has a linked account at the granter.
    """
    return linked_user(session, seller, row) is not None


def _holder(session: Session, seller: Seller, email: str | None) -> str | None:
    address = addresses.normalise_or_none(email)
    if seller.users is None or address is None:
        return None
    user = seller.users.by_verified_email(session, address)
    return None if user is None else user.id
