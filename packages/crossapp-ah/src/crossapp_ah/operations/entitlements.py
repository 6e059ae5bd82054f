"""
What a granter decides about entitlements.

The seller numbers what it wants, and the larger number counts: a request that is older than what is stored changes
nothing, an equal one neither, and both are answered with what is stored, since the first answer may be lost.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import literal, select
from sqlalchemy import orm as sqlalchemy_orm
from sqlmodel import Session

from crossapp_ah.operations import whole_purchases
from crossapp_ah.operations.owed_hooks import note_opened, owe
from crossapp_ah.operations.rows import (
    ACTIVE,
    PENDING,
    REVOKED,
    Row,
    key_of,
    message,
    move,
    new_row,
    revoked,
    source_of,
    stored,
    version_of,
)
from crossapp_ah.ports import Granter
from crossapp_ah.tables import CrossAppEntitlementMixin
from crossapp_core.columns import HostId, column_of, stored_id
from crossapp_core.errors import UnknownProductError
from crossapp_core.events import BundlePurchased, EntitlementFailed, EntitlementRevoke
from crossapp_core.locking import lock, lock_or_create
from crossapp_core.outcomes import Outcome


def grant(session: Session, granter: Granter, request: BundlePurchased, /, *, now: datetime) -> Outcome:
    """
    Unlock what was bought, or keep it for its buyer until their accounts are linked.

    Only the granter's own link counts: what the event says about an account here is never believed.

    Raises:
        UnknownProductError: A sketch peer, which doesn't understand that answer, has sold what isn't there.
    """
    key = key_of(session, granter, request, request.product_id)
    if key is None:
        return _refused(granter, request)
    # before a row is written, since its product may be a foreign key of the app's own table
    if not granter.products.exists(session, request.product_id):
        known = lock(session, granter.entitlements, key)
        if known is None or request.version > version_of(known):
            return _refused(granter, request)
        return stored(known, request)
    if whole := whole_purchases.withdrawn(session, granter, request):
        return stored(whole, request)
    row = lock_or_create(session, granter.entitlements, key, new_row(granter, request, PENDING))
    if newer := request.version > version_of(row):
        _set(session, granter, row, request, now)
    return stored(row, request, changed=newer)


def look_again(session: Session, granter: Granter, request: BundlePurchased, /, *, now: datetime) -> Outcome:
    """
    Look once more for the buyer's link, after the grant that found none was committed.

    A link that was made at the same time has not seen the entitlement, nor the grant the link. As everywhere, the
    answer says what is stored: the one of the first time may be lost.
    """
    key = key_of(session, granter, request, request.product_id)
    row = None if key is None else lock(session, granter.entitlements, key)
    if row is None:
        return Outcome()
    user_id = None
    if row.status == PENDING and request.version == version_of(row):
        user_id = _linked_user(session, granter, request)
    if user_id is not None:
        _activate(row, user_id, now, newer=False)
        note_opened(granter, row, waited=True)
        owe(granter, row, now=now)
    return stored(row, request, changed=user_id is not None)


def revoke(session: Session, granter: Granter, request: EntitlementRevoke, /, *, now: datetime) -> Outcome:
    """
    Take back what a purchase granted.

    One for a purchase never seen leaves a revoked row, so that its grant, arriving late, is stale.

    Raises:
        UnconfirmedEventError: A sketch peer names no product, and its purchase has no rows yet where the app's own
            table can't keep that for later.
    """
    if request.product_id is None:
        return whole_purchases.revoke(session, granter, request, now=now)
    key = key_of(session, granter, request, request.product_id)
    if key is None:  # what this app's ids can't name was never granted
        return Outcome(messages=(message(request, revoked(request, request.product_id, None, request.version)),))
    row = lock_or_create(session, granter.entitlements, key, new_row(granter, request, REVOKED))
    if newer := request.version > version_of(row):
        row.source_version = request.version
        move(row, REVOKED, newer=True)
        owe(granter, row, now=now)
    return stored(row, request, changed=newer)


def has_access(
    session: sqlalchemy_orm.Session,
    user_id: HostId,
    product_id: HostId,
    *,
    entitlements: type[CrossAppEntitlementMixin] | None = None,
) -> bool:
    """
    Whether any active entitlement from another app opens the product for the user.

    Args:
        session: The app's session; with an async one, `await session.run_sync(has_access, user_id, product_id)`.
        user_id: A user of this app.
        product_id: A product of this app.
        entitlements: The app's own table class, if it has one; the ready one if None.
    """
    if entitlements is None:
        from crossapp_ah.models import Entitlement  # registers the table, so only for those who use it

        entitlements = Entitlement
    user, product = column_of(entitlements, "user_id"), column_of(entitlements, "product_id")
    wanted = stored_id(session, user, str(user_id)), stored_id(session, product, str(product_id))
    if None in wanted:
        return False
    query = select(literal(True)).where(
        user == wanted[0],
        product == wanted[1],
        column_of(entitlements, "status") == ACTIVE,
        column_of(entitlements, "source_app").is_not(None),
    )
    return session.scalar(query.limit(1)) is not None


def _set(session: Session, granter: Granter, row: Row, request: BundlePurchased, now: datetime) -> None:
    waited = row.status == PENDING and version_of(row) > 0
    keeps_holder = _has_holder(session, granter, row) and _same_buyer(row, request)
    row.source_version = request.version
    row.source_user_id = request.buyer_user_id
    row.pending_for_email = request.buyer_email
    if not keeps_holder:
        _hand_over(row, _linked_user(session, granter, request), now)
        if row.status == ACTIVE:
            note_opened(granter, row, waited=waited)
    owe(granter, row, now=now)


def _has_holder(session: Session, granter: Granter, row: Row) -> bool:
    return row.status == ACTIVE and row.user_id is not None and not granter.gone(session, [str(row.user_id)])


def _hand_over(row: Row, user_id: str | None, now: datetime) -> None:
    if user_id is not None:
        _activate(row, user_id, now, newer=True)
        return
    move(row, PENDING, newer=True)
    row.user_id = None
    row.claimed_at = None


def _activate(row: Row, user_id: str, now: datetime, *, newer: bool) -> None:
    move(row, ACTIVE, newer=newer)
    row.user_id = user_id
    row.claimed_at = now


def _same_buyer(row: Row, request: BundlePurchased) -> bool:
    if row.source_user_id is not None:
        return row.source_user_id == request.buyer_user_id
    return request.buyer_user_id is not None or row.pending_for_email == request.buyer_email


def _linked_user(session: Session, granter: Granter, request: BundlePurchased) -> str | None:
    user_id = _local_user(session, granter, request)
    if user_id is None or granter.gone(session, [user_id]):
        return None
    value: str | None = stored_id(session, column_of(granter.entitlements, "user_id"), user_id)
    return value


def _local_user(session: Session, granter: Granter, request: BundlePurchased) -> str | None:
    if request.buyer_user_id is not None:
        key = {"linked_app": request.source_app, "linked_user_id": request.buyer_user_id, "active": 1}
        link = lock(session, granter.links, key, share=True)
        return None if link is None else str(link.user_id)
    if request.source_app not in granter.sketches or granter.users is None:
        return None
    if request.linked_user_id is None:
        return _by_own_address(session, granter, request)
    return request.linked_user_id if granter.users.get(session, request.linked_user_id) is not None else None


def _by_own_address(session: Session, granter: Granter, request: BundlePurchased) -> str | None:
    # a sketch peer names no buyer: whoever is linked with it and holds the address, verified, is the one
    if request.buyer_email is None or granter.users is None:
        return None
    user = granter.users.by_verified_email(session, request.buyer_email)
    user_id = None if user is None else stored_id(session, column_of(granter.links, "user_id"), user.id)
    if user is None or user_id is None:
        return None
    key = {"user_id": user_id, "linked_app": request.source_app, "active": 1}
    return None if lock(session, granter.links, key, share=True) is None else user.id


def _refused(granter: Granter, request: BundlePurchased) -> Outcome:
    if request.source_app in granter.sketches:
        raise UnknownProductError(source_of(request), request.purchase_id, request.product_id)
    failed = EntitlementFailed(
        source_purchase_id=request.purchase_id,
        product_id=request.product_id,
        code="unknown-product",
        message="There is no such product here: correct the bundle at the seller, or create the product.",
        version=request.version,
    )
    return Outcome(messages=(message(request, failed),))
