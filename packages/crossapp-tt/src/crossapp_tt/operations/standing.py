"""
Where a sweep stands: what is remembered from one run to the next.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from crossapp_tt.operations.findings import Finding, FindingKind
from crossapp_tt.operations.mends import Unreadable

MOST_TAKINGS = 10_000
"""So many findings are remembered; what is beyond is found by the next sweep."""
MOST_UNREADABLE = 20
"""So many are named to whoever corrects them."""

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


class Phase(StrEnum):
    """
    What a sweep does, in this order.
    """

    PURCHASES = "purchases"
    """It compares the purchases with the ledger."""
    LEDGER = "ledger"
    """It looks for the purchases of the ledger's rows, where ids have another order in the app's own table."""
    JUDGING = "judging"
    """It has found all that it would take away."""
    TAKING = "taking"
    """It takes that away."""
    DONE = "done"


@dataclass(frozen=True)
class Standing:
    """
    How far a sweep has come, and what it has found.
    """

    since: datetime
    """When the first sweep began: older sales are for the backfill."""
    turn: int = 0
    """Goes up by one with each change, so that of two workers only one goes on."""
    phase: Phase = Phase.DONE
    position: str | None = None
    walks_ledger: bool = False
    """Whether ids have another order in the app's own table than in the ledger."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """How many of each kind were found."""
    takings: tuple[Finding, ...] = ()
    """What takes access away: that waits until all is known."""
    left_out: int = 0
    """How many rows more it would be taken from."""
    taken: tuple[tuple[datetime, int], ...] = ()
    """From how many rows it was taken, and when."""
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def oldest(self) -> datetime:
        """
        The time from which on a sale without a row was missed, rather than made before there was a sweep.
        """
        return self.since - _DAY

    @property
    def rows_to_take(self) -> int:
        """
        From how many rows access would be taken.
        """
        return sum(finding.rows for finding in self.takings) + self.left_out

    def taken_lately(self, now: datetime) -> int:
        """
        From how many rows it was taken within the last hour.
        """
        return sum(count for moment, count in self.taken if now - _HOUR < moment <= now)

    def without_known(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """
        Those that weren't found before: what stands in the ledger without a purchase may come by more than once, where
        ids have another order there.
        """
        known = {finding.purchase_id for finding in self.takings}
        new = {each.purchase_id: each for each in findings if each.purchase_id not in known}
        return list(new.values())

    def with_found(self, findings: Sequence[Finding], unreadable: Sequence[Unreadable]) -> Standing:
        """
        The same with what was found besides.
        """
        new = self.without_known(findings)
        counts = dict(self.counts)
        for finding in new:
            counts[finding.kind] = counts.get(finding.kind, 0) + 1
        takings = [*self.takings, *(finding for finding in new if finding.rows)]
        return replace(
            self,
            counts=counts,
            takings=tuple(takings[:MOST_TAKINGS]),
            left_out=self.left_out + sum(finding.rows for finding in takings[MOST_TAKINGS:]),
            unreadable=(*self.unreadable, *unreadable)[:MOST_UNREADABLE],
        )

    def to_plan(self) -> str:
        """
        The standing, save for its position, as text.
        """
        return json.dumps(
            {
                "since": self.since.isoformat(),
                "turn": self.turn,
                "phase": self.phase,
                "walksLedger": self.walks_ledger,
                "counts": dict(self.counts),
                "takings": takings_to_json(self.takings),
                "leftOut": self.left_out,
                "taken": [[moment.isoformat(), count] for moment, count in self.taken],
                "unreadable": [[each.purchase_id, each.message] for each in self.unreadable],
            },
            separators=(",", ":"),
        )

    @classmethod
    def from_plan(cls, plan: str, position: str | None) -> Standing:
        """
        The standing that `to_plan` wrote.

        Raises:
            ValueError: It is none; another version may have written it.
        """
        content = json.loads(plan)
        try:
            return cls(
                since=datetime.fromisoformat(content["since"]),
                turn=content["turn"],
                phase=Phase(content["phase"]),
                position=position,
                walks_ledger=content["walksLedger"],
                counts=content["counts"],
                takings=takings_from_json(content["takings"]),
                left_out=content["leftOut"],
                taken=tuple((datetime.fromisoformat(moment), count) for moment, count in content["taken"]),
                unreadable=tuple(Unreadable(*each) for each in content["unreadable"]),
            )
        except (KeyError, TypeError) as error:
            msg = "the plan of a sweep can't be read: did another version write it?"
            raise ValueError(msg) from error


def takings_to_json(takings: Sequence[Finding]) -> list[list[object]]:
    """
    Findings as JSON.
    """
    return [[finding.kind, finding.purchase_id, finding.rows] for finding in takings]


def takings_from_json(content: Sequence[Sequence[object]]) -> tuple[Finding, ...]:
    """
    The findings that `takings_to_json` wrote.
    """
    return tuple(Finding(FindingKind(str(kind)), str(id_), int(str(rows))) for kind, id_, rows in content)
