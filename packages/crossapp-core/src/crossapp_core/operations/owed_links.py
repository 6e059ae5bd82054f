"""
What the peers are owed of links: each change, until they show that they know its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlmodel import Session

from crossapp_core.columns import column_of
from crossapp_core.events import AccountLinked
from crossapp_core.locking import lock, locking
from crossapp_core.operations.link_rows import Pair, is_owed, key_of, owe, to_peer
from crossapp_core.outcomes import Message, Outcome
from crossapp_core.ports import Linker
from crossapp_core.tables import AccountLinkBase

BATCH = 100
"""How many links are announced again at once."""

_KEPT = timedelta(days=1)


def announce(session: Session, linker: Linker, pair: Pair, /, *, now: datetime) -> Outcome:
    """
    Say what is owed to the peer of one pair.
    """
    key = key_of(session, linker, pair)
    row = None if key is None else lock(session, linker.links, key)
    if row is None or not is_owed(row):
        return Outcome()
    return Outcome((row.id,), messages=(to_peer(session, linker, row),))


def announce_again(session: Session, linker: Linker, limit: int, /, *, now: datetime) -> Outcome:
    """
    Say what is owed and due to any peer, as another attempt; workers at the same time share the work.
    """
    table, due = linker.links, column_of(linker.links, "next_attempt_at")
    query = select(table).where(due <= now).order_by(due).limit(limit)
    rows: Sequence[AccountLinkBase] = session.scalars(locking(query, skip_locked=True)).all()
    for row in rows:
        row.retry_count += 1
        owe(row, now=now)
    owed = [row for row in rows if is_owed(row) and row.linked_app in linker.apps]
    return Outcome(tuple(row.id for row in owed), bool(rows), tuple(to_peer(session, linker, row) for row in owed))


def note_accepted(session: Session, linker: Linker, messages: Sequence[Message], /, *, now: datetime) -> Outcome:
    """
    Write down that a sketch peer's Inngest accepted an announcement: it never answers, so that is its answer.
    """
    known = []
    for message in messages:
        event = message.event
        if message.target not in linker.sketches or not isinstance(event, AccountLinked):
            continue
        key = key_of(session, linker, Pair(event.user_id, message.target, event.linked_user_id))
        row = None if key is None else lock(session, linker.links, key)
        if row is not None and row.acknowledged_version < event.version:
            row.acknowledged_version = event.version
            owe(row, now=now)
            known.append(row.id)
    return Outcome(tuple(known), bool(known))


def forget_tokens(session: Session, linker: Linker, limit: int, /, *, now: datetime) -> Outcome:
    """
    Delete used tokens that have expired: nobody takes them any more, used or not.
    """
    jti, expires_at = column_of(linker.tokens, "jti"), column_of(linker.tokens, "expires_at")
    old = session.scalars(select(jti).where(expires_at < now - _KEPT).order_by(expires_at).limit(limit)).all()
    if old:
        session.execute(delete(linker.tokens).where(jti.in_(old)))
    return Outcome(changed=bool(old))
