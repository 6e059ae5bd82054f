"""
Which peers take nothing at present, and when they are to be asked again: the state of a breaker for each, shared by all
workers.

While a peer is down, one request at each backoff finds out whether it is back, however much is owed to it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlmodel import Session

from crossapp_core import backoff
from crossapp_core.columns import column_of
from crossapp_core.locking import lock, lock_or_create
from crossapp_core.tables import CrossAppCursorBase

SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(hours=1)
"""A peer that is back is noticed after that at the latest."""

Cursors = type[CrossAppCursorBase]


@dataclass(frozen=True)
class Outage:
    """
    A peer that took nothing when it was last asked.
    """

    app: str
    since: datetime
    failures: int
    """How often it was asked meanwhile."""
    ask_at: datetime
    """When it is to be asked again."""
    code: str
    message: str


@dataclass(frozen=True)
class Failure:
    """
    What a peer was asked in vain.
    """

    app: str
    code: str
    message: str
    retry_after: timedelta | None = None


def known(session: Session, cursors: Cursors, apps: Collection[str], /, *, now: datetime) -> dict[str, Outage]:
    """
    The outages of those peers that have one, by app id.
    """
    name = column_of(cursors, "name")
    query = select(cursors).where(name.in_([_name(app) for app in apps]), column_of(cursors, "plan").is_not(None))
    found = (_outage(row) for row in session.scalars(query))
    return {outage.app: outage for outage in found}


def ask(session: Session, cursors: Cursors, app: str, /, *, now: datetime) -> Outage | None:
    """
    Take it on to ask a peer again, if that is due: others don't until the next time. None if it isn't due, or is being
    done.
    """
    row = lock(session, cursors, {"name": _name(app)})
    if row is None or row.plan is None:
        return None
    outage = _outage(row)
    if not is_due(outage, now):
        return None
    _write(row, replace(outage, ask_at=now + backoff.pause(outage.failures, key=app, longest=LONGEST)), now)
    return outage


def put_back(session: Session, cursors: Cursors, outage: Outage, /, *, now: datetime) -> None:
    """
    Leave it to others to ask a peer again, since there was nothing to ask it with.
    """
    row = lock(session, cursors, {"name": _name(outage.app)})
    if row is not None and row.plan is not None:
        _write(row, outage, now)


def is_due(outage: Outage, now: datetime) -> bool:
    """
    Whether a peer is to be asked again; a clock that was ahead doesn't put that off.
    """
    return not now < outage.ask_at <= now + 2 * LONGEST


def begin(session: Session, cursors: Cursors, failure: Failure, /, *, now: datetime) -> Outage:
    """
    Write down that a peer took nothing, and when it is to be asked again.
    """
    row = lock_or_create(session, cursors, {"name": _name(failure.app)}, {"updated_at": now})
    before = _outage(row) if row.plan is not None else None
    failures = before.failures + 1 if before else 1
    pause = max(backoff.pause(failures - 1, key=failure.app, longest=LONGEST), failure.retry_after or timedelta())
    since = before.since if before else now
    outage = Outage(failure.app, since, failures, now + pause, failure.code, failure.message)
    _write(row, outage, now)
    return outage


def end(session: Session, cursors: Cursors, app: str, /, *, now: datetime) -> bool:
    """
    Write down that a peer takes events again; False if that is known.
    """
    row = lock(session, cursors, {"name": _name(app)})
    if row is None or row.plan is None:
        return False
    row.plan, row.updated_at = None, now
    return True


def _name(app: str) -> str:
    return f"peer/{app}"


def _outage(row: CrossAppCursorBase) -> Outage:
    content: Mapping[str, str] = json.loads(row.plan or "{}")
    return Outage(
        app=row.name.removeprefix("peer/"),
        since=datetime.fromisoformat(content["since"]),
        failures=int(content["failures"]),
        ask_at=datetime.fromisoformat(content["askAt"]),
        code=content["code"],
        message=content["message"],
    )


def _write(row: CrossAppCursorBase, outage: Outage, now: datetime) -> None:
    row.updated_at = now
    row.plan = json.dumps(
        {
            "since": outage.since.isoformat(),
            "failures": outage.failures,
            "askAt": outage.ask_at.isoformat(),
            "code": outage.code,
            "message": outage.message,
        }
    )
