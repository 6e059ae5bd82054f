"""
The sweep: it compares all of the app's purchases with the ledger.

What gives access is recorded as soon as it is found. What takes access away waits until the whole pass is over, since
only then it is known how much that is: many at once look like somebody's mistake, and are held until they are released.

Purchases come in the order of their ids, and the ledger's rows in between are read by range. So a row whose purchase is
gone is seen in passing. Where the two tables disagree about the order of ids, the ranges hold too much: then rows are
read by id, and the ledger is walked by itself afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlmodel import Session

from crossapp_core.columns import column_of, stored_id
from crossapp_core.errors import CatalogError
from crossapp_core.operations import cursors
from crossapp_core.tables import CrossAppCursorBase
from crossapp_tt.operations import screens
from crossapp_tt.operations.findings import Bundles, Finding, FindingKind, columns, find, known_of
from crossapp_tt.operations.mends import Unreadable
from crossapp_tt.operations.rows import Known
from crossapp_tt.operations.standing import Phase, Standing
from crossapp_tt.ports import Purchase, Seller
from crossapp_tt.tables import Desired

NAME = "sweep-purchases"

BATCH = 1_000
"""How many purchases are read at once."""
MOST_SEEN = 10_000
"""How many purchases are compared in one transaction, which only reads."""
MOST_FOUND = 200
"""With so many findings it ends earlier."""
MOST_ROWS = 10_000
"""More rows of the ledger than these don't belong to one batch of purchases."""


@dataclass
class Seen:
    """
    What one look has seen.
    """

    phase: Phase
    position: str | None
    walks_ledger: bool
    findings: list[Finding] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    purchases: int = 0
    """How many were compared."""
    reads: bool = False
    """Whether the purchases are read, rather than compared by the database itself."""


@dataclass(frozen=True)
class Step:
    """
    What was seen, and where the sweep stood before.
    """

    standing: Standing
    seen: Seen


def begin(session: Session, seller: Seller, _: None = None, /, *, now: datetime) -> Standing:
    """
    Begin a pass, unless one is under way: then that goes on.
    """
    cursor = _locked(session, seller, now)
    standing = _read(cursor, now)
    if standing.phase == Phase.DONE:
        fresh = Standing(since=standing.since, taken=standing.taken, phase=Phase.PURCHASES)
        standing = _write(cursor, replace(fresh, turn=standing.turn), now)
    return standing


def current(session: Session, seller: Seller, _: None = None, /, *, now: datetime) -> Standing:
    """
    Where the sweep stands.
    """
    query = select(cursors_of(seller)).where(column_of(cursors_of(seller), "name") == NAME)
    return _read(session.scalars(query).one_or_none(), now)


def look(session: Session, seller: Seller, standing: Standing, /, *, now: datetime) -> Seen:
    """
    Compare some more purchases with the ledger; nothing is written.
    """
    seen = Seen(standing.phase, standing.position, standing.walks_ledger)
    look_on = {Phase.PURCHASES: _look_at_purchases, Phase.LEDGER: _look_at_ledger}
    while (further := look_on.get(seen.phase)) and seen.purchases < MOST_SEEN and len(seen.findings) < MOST_FOUND:
        further(session, seller, standing, seen)
        if seen.phase != standing.phase:
            break
    return seen


def advance(session: Session, seller: Seller, step: Step, /, *, now: datetime) -> Standing | None:
    """
    Write down how far a pass has come; None if another worker has done so.
    """
    return change(session, seller, step.standing, now=now, to=lambda standing: moved(standing, step.seen))


def moved(standing: Standing, seen: Seen) -> Standing:
    """
    Where a sweep stands when it has seen that.
    """
    further = standing.with_found(seen.findings, seen.unreadable)
    return replace(further, phase=seen.phase, position=seen.position, walks_ledger=seen.walks_ledger)


def change(
    session: Session, seller: Seller, standing: Standing, /, *, now: datetime, to: Callable[[Standing], Standing]
) -> Standing | None:
    """
    Change where the sweep stands; None if another worker has done so.
    """
    cursor = _locked(session, seller, now)
    stored = _read(cursor, now)
    return None if stored.turn != standing.turn else _write(cursor, to(stored), now)


def cursors_of(seller: Seller) -> type[CrossAppCursorBase]:
    """
    Where it is remembered how far work has come.
    """
    if seller.cursors is None:
        msg = "the seller has no table of cursors"
        raise AssertionError(msg)
    return seller.cursors


def rows_by_purchase(session: Session, seller: Seller, purchase_ids: Collection[str]) -> Mapping[str, Sequence[Known]]:
    """
    The ledger's rows of some purchases, as they are compared.
    """
    column = column_of(seller.ledger, "purchase_id")
    values = [value for id_ in purchase_ids if (value := stored_id(session, column, id_)) is not None]
    return _grouped(known_of(session.execute(columns(seller.ledger).where(column.in_(values)))))


def is_before(purchase: Purchase, moment: datetime) -> bool:
    """
    Whether a purchase was made before that, or nobody knows when.
    """
    made = purchase.purchased_at
    if made is None:
        return True
    return (made if made.tzinfo else made.replace(tzinfo=UTC)) < moment


def _look_at_purchases(session: Session, seller: Seller, standing: Standing, seen: Seen) -> None:
    screened = None if seen.reads else screens.screen(session, seller, standing, seen.position)
    if screened is None:
        # the next ones too: to ask in vain each time would cost more than it saves
        seen.reads = True
        _read_purchases(session, seller, standing, seen)
        return
    if screened.suspects:
        suspects = seller.purchases.get_many(session, screened.suspects)
        _compare(session, seller, standing, seen, suspects, rows_by_purchase(session, seller, screened.suspects))
    seen.purchases += screened.count
    seen.position = screened.last


def _read_purchases(session: Session, seller: Seller, standing: Standing, seen: Seen) -> None:
    purchases = seller.purchases.after(session, seen.position, BATCH)
    last = purchases[-1].id if purchases else None
    by_id = _rows_beside(session, seller, purchases, seen, until=last)
    _compare(session, seller, standing, seen, purchases, by_id)
    for purchase in purchases:
        by_id.pop(purchase.id, None)
    seen.findings += _deleted(session, seller, {id_: _granted(rows) for id_, rows in by_id.items()})
    seen.purchases += len(purchases)
    seen.position = last
    if not purchases:
        seen.phase = Phase.LEDGER if seen.walks_ledger else Phase.JUDGING


def _compare(
    session: Session,
    seller: Seller,
    standing: Standing,
    seen: Seen,
    purchases: Iterable[Purchase],
    by_id: Mapping[str, Sequence[Known]],
) -> None:
    bundles = Bundles(session, seller)
    for purchase in purchases:
        rows = by_id.get(purchase.id, ())
        if not rows and is_before(purchase, standing.oldest):
            continue
        try:
            finding = find(session, seller, bundles, purchase, rows)
        except CatalogError as error:
            seen.unreadable.append(Unreadable(purchase.id, str(error)))
            continue
        if finding is not None:
            seen.findings.append(finding)


def _rows_beside(
    session: Session, seller: Seller, purchases: Sequence[Purchase], seen: Seen, *, until: str | None
) -> dict[str, Sequence[Known]]:
    found: dict[str, Sequence[Known]] = {}
    if not seen.walks_ledger:
        between = _rows_between(session, seller, seen.position, until)
        seen.walks_ledger = between is None
        found |= between or {}
    # those without rows may have some elsewhere, if ids have another order there
    missing = [purchase.id for purchase in purchases if purchase.id not in found]
    if missing:
        found |= rows_by_purchase(session, seller, missing)
    return found


def _rows_between(
    session: Session, seller: Seller, after: str | None, until: str | None
) -> Mapping[str, Sequence[Known]] | None:
    column = column_of(seller.ledger, "purchase_id")
    query = columns(seller.ledger).limit(MOST_ROWS + 1)
    for bound, is_lower in ((after, True), (until, False)):
        if bound is None:
            continue
        value = stored_id(session, column, bound)
        if value is None:
            return None
        query = query.where(column > value if is_lower else column <= value)
    rows = session.execute(query).all()
    return None if len(rows) > MOST_ROWS else _grouped(known_of(rows))


def _look_at_ledger(session: Session, seller: Seller, _: Standing, seen: Seen) -> None:
    ledger = seller.ledger
    id_ = column_of(ledger, "purchase_id")
    query = select(id_, func.count()).where(column_of(ledger, "desired") == Desired.GRANTED)
    if seen.position is not None:
        query = query.where(id_ > seen.position)
    query = query.group_by(id_).order_by(id_).limit(BATCH)
    granted = {str(purchase_id): int(count) for purchase_id, count in session.execute(query)}
    seen.findings += _deleted(session, seller, granted)
    seen.purchases += len(granted)
    seen.position = next(reversed(granted), None)
    if not granted:
        seen.phase = Phase.JUDGING


def _deleted(session: Session, seller: Seller, granted: Mapping[str, int]) -> Iterator[Finding]:
    ids = [id_ for id_, count in granted.items() if count]
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH]
        there = {purchase.id for purchase in seller.purchases.get_many(session, some)}
        for id_ in some:
            if id_ not in there:
                yield Finding(FindingKind.DELETED, id_, granted[id_])


def _granted(rows: Iterable[Known]) -> int:
    return sum(row.desired == Desired.GRANTED for row in rows)


def _grouped(rows: Iterable[Known]) -> dict[str, Sequence[Known]]:
    grouped: defaultdict[str, list[Known]] = defaultdict(list)
    for row in rows:
        grouped[row.purchase_id].append(row)
    return dict(grouped)


def _locked(session: Session, seller: Seller, now: datetime) -> CrossAppCursorBase:
    return cursors.locked(session, cursors_of(seller), NAME, now=now)


def _read(cursor: CrossAppCursorBase | None, now: datetime) -> Standing:
    if cursor is None or cursor.plan is None:
        return Standing(since=now)
    return Standing.from_plan(cursor.plan, cursor.position)


def _write(cursor: CrossAppCursorBase, standing: Standing, now: datetime) -> Standing:
    written = replace(standing, turn=standing.turn + 1)
    cursor.position, cursor.plan, cursor.updated_at = written.position, written.to_plan(), now
    return written
