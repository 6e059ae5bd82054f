"""
The guard against a mass mistake: what a sweep would take away, if that is too much, is held until somebody releases it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session

from crossapp_core.columns import column_of
from crossapp_core.operations import cursors
from crossapp_core.tables import CrossAppCursorBase
from crossapp_tt.operations import sweeps
from crossapp_tt.operations.findings import Finding
from crossapp_tt.operations.standing import Phase, Standing, takings_from_json, takings_to_json
from crossapp_tt.ports import Seller
from crossapp_tt.tables import Desired

NAME = "sweep-purchases/held"


@dataclass(frozen=True)
class Held:
    """
    What is held back.
    """

    findings: tuple[Finding, ...] = ()
    rows: int = 0
    """From how many rows of the ledger access would be taken."""
    active: int = 0
    """How many rows were granted."""
    since: datetime | None = None


@dataclass(frozen=True)
class Verdict:
    """
    Whether a sweep may take away what it has found.
    """

    is_over: bool
    """Whether there is nothing to be taken away, or nothing that it may."""
    held: Held | None = None


def judge(session: Session, seller: Seller, standing: Standing, /, *, now: datetime) -> Verdict:
    """
    Let a sweep go on, or hold what it would take away; what an earlier one held, this one has found again.
    """
    cursor = cursors.locked(session, sweeps.cursors_of(seller), NAME, now=now)
    earlier = _read(cursor)
    held = _too_much(session, seller, standing, earlier.since or now, now)
    findings = () if held else standing.takings

    def go_on(stored: Standing) -> Standing:
        return replace(stored, phase=Phase.TAKING if findings else Phase.DONE, takings=findings, left_out=0)

    if sweeps.change(session, seller, standing, now=now, to=go_on) is None:
        return Verdict(is_over=False)  # another worker has judged
    _write(cursor, held or Held(), now)
    return Verdict(is_over=not findings, held=held)


def held_back(session: Session, seller: Seller, _: None = None, /, *, now: datetime) -> Held:
    """
    What is held back now.
    """
    table = sweeps.cursors_of(seller)
    cursor = session.scalars(select(table).where(column_of(table, "name") == NAME)).one_or_none()
    return Held() if cursor is None else _read(cursor)


def let_go(session: Session, seller: Seller, purchase_ids: Collection[str], /, *, now: datetime) -> Held:
    """
    Write down that some of what was held is done; what is left.
    """
    cursor = cursors.locked(session, sweeps.cursors_of(seller), NAME, now=now)
    held = _read(cursor)
    left = tuple(finding for finding in held.findings if finding.purchase_id not in purchase_ids)
    held = replace(held, findings=left, rows=sum(finding.rows for finding in left)) if left else Held()
    _write(cursor, held, now)
    return held


def _too_much(session: Session, seller: Seller, standing: Standing, since: datetime, now: datetime) -> Held | None:
    lately, limits = standing.taken_lately(now), seller.guard
    total = standing.rows_to_take + lately
    if not standing.rows_to_take or total <= limits.most_revocations:
        return None
    ledger = seller.ledger
    count = select(func.count()).select_from(ledger).where(column_of(ledger, "desired") == Desired.GRANTED)
    active = session.scalar(count) or 0
    if total <= limits.share * (active + lately):
        return None
    return Held(standing.takings, standing.rows_to_take, active, since)


def _read(cursor: CrossAppCursorBase) -> Held:
    if cursor.plan is None:
        return Held()
    plan = json.loads(cursor.plan)
    since = datetime.fromisoformat(plan["since"])
    return Held(takings_from_json(plan["findings"]), plan["rows"], plan["active"], since)


def _write(cursor: CrossAppCursorBase, held: Held, now: datetime) -> None:
    cursor.updated_at = now
    if held.since is None:
        cursor.plan = None
        return
    findings = takings_to_json(held.findings)
    plan = {"since": held.since.isoformat(), "rows": held.rows, "active": held.active, "findings": findings}
    cursor.plan = json.dumps(plan, separators=(",", ":"))
