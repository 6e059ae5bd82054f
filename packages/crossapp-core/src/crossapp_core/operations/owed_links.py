"""
What the peers are owed of links: each change, until they show that they know its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlmodel import Session

from crossapp_core.columns import column_of, table_of
from crossapp_core.events import AccountLinked
from crossapp_core.locking import lock
from crossapp_core.operations import owed
from crossapp_core.operations.link_rows import Pair, is_owed, key_of, owe, to_peer
from crossapp_core.outcomes import Due, Message, Noted, Outcome
from crossapp_core.ports import Linker

BATCH = 100
"""How many tokens are forgotten at once."""

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


def announce_again(session: Session, linker: Linker, due: Due, /, *, now: datetime) -> Outcome:
    """
    Say what is owed and due to a peer, as another attempt; workers at the same time share the work.
    """
    rows = owed.take(session, linker.links, _is_of(linker, due.app), limit=due.limit, now=now)
    for row in rows:
        if not is_owed(row):
            row.next_attempt_at = None
    told = [row for row in rows if is_owed(row)]
    return Outcome(tuple(row.id for row in told), bool(rows), tuple(to_peer(session, linker, row) for row in told))


def note_sent(session: Session, linker: Linker, noted: Noted, /, *, now: datetime) -> Outcome:
    """
    Write down what became of announcements: one that reached nobody since the peer is down is due as soon as it is
    back, and to a sketch peer one that was accepted is acknowledged.
    """
    lost = [id_ for id_, sent in noted if sent.peer_is_down]
    if lost:
        table, due = linker.links, column_of(linker.links, "next_attempt_at")
        still_owed = column_of(table, "id").in_(lost), due.is_not(None)
        session.execute(update(table_of(table)).where(*still_owed).values({due: now}))
    return note_accepted(session, linker, [sent.message for _, sent in noted if sent.error is None], now=now)


def owe_all(session: Session, linker: Linker, _: None = None, /, *, now: datetime) -> Outcome:
    """
    Owe the peers all links once more, as after a backup was restored. A sketch peer, which never answers, is told of
    those that stand.
    """
    table = linker.links
    owed_again = column_of(table, "version") > 0, _is_told(linker)
    due, known = column_of(table, "next_attempt_at"), column_of(table, "acknowledged_version")
    session.execute(update(table_of(table)).where(*owed_again).values({due: now, known: 0}))
    return Outcome(changed=True)


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


def _is_of(linker: Linker, app: str) -> ColumnElement[bool]:
    return column_of(linker.links, "linked_app") == app


def _is_told(linker: Linker) -> ColumnElement[bool]:
    app, active = column_of(linker.links, "linked_app"), column_of(linker.links, "active")
    return or_(app.not_in(sorted(linker.sketches)), active == 1)
