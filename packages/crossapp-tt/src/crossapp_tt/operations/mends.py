"""
Recording purchases that nobody told of.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from crossapp_core.errors import CatalogError
from crossapp_tt.operations.messages import is_unsent
from crossapp_tt.operations.purchases import decide
from crossapp_tt.operations.rows import locked_purchase
from crossapp_tt.ports import Seller


@dataclass(frozen=True)
class Mending:
    """
    Purchases that are to be recorded.
    """

    purchase_ids: tuple[str, ...]
    quiet: bool = False
    """Whether nobody is to be told of what is unlocked for the first time."""


@dataclass(frozen=True)
class Unreadable:
    """
    A purchase whose bundle can't be read, so that nothing was done about it.
    """

    purchase_id: str
    message: str


@dataclass(frozen=True)
class Mended:
    """
    What became of them.
    """

    changed: tuple[str, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


def mend(session: Session, seller: Seller, mending: Mending, /, *, now: datetime) -> Mended:
    """
    Write down what purchases now are, as the app's events do. The granters are told by the cron, from now on.
    """
    changed, unreadable = [], []
    for purchase_id in mending.purchase_ids:
        purchase = locked_purchase(session, seller, purchase_id)
        try:
            rows, is_changed = decide(session, seller, purchase_id, purchase, now=now, quiet=mending.quiet)
        except CatalogError as error:
            unreadable.append(Unreadable(purchase_id, str(error)))
            continue
        if is_changed:
            changed.append(purchase_id)
        for row in rows:
            if is_changed and is_unsent(row):
                row.next_attempt_at = now
    return Mended(tuple(changed), tuple(unreadable))
