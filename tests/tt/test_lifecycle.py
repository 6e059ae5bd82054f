from __future__ import annotations

from contextlib import nullcontext
from itertools import product

import pytest

from crossapp_core.errors import EventRejectedError
from crossapp_tt.models import CrossAppSync
from crossapp_tt.operations import rows
from crossapp_tt.operations.acknowledgements import Ack
from crossapp_tt.tables import SyncStatus, may_become
from tests.hosts import NOW
from tests.tt.shop import COURSE, FIRST, PURCHASE, SCHOOL, Shop, failed, granted, revoked

PENDING, SYNCED, FAILED, REVOKED = SyncStatus.PENDING, SyncStatus.SYNCED, SyncStatus.FAILED, SyncStatus.REVOKED

SAME_VERSION = {
    (PENDING, SYNCED),
    (PENDING, FAILED),
    (PENDING, REVOKED),
    (FAILED, SYNCED),
    (FAILED, REVOKED),
}
"""What the design allows while a version stays."""


@pytest.mark.parametrize(("old", "new"), list(product(SyncStatus, SyncStatus)))
class TestTransitions:
    def test_at_one_version(self, old: SyncStatus, new: SyncStatus) -> None:
        """
        While a version stays, a row is acknowledged or fails, and a failure may still be put right.
        """
        assert may_become(old, new, newer=False) is ((old, new) in SAME_VERSION)

    def test_newer_version(self, old: SyncStatus, new: SyncStatus) -> None:
        """
        A new version makes a row pending, whatever it was, and nothing else.
        """
        assert may_become(old, new, newer=True) is (new == PENDING)

    @pytest.mark.parametrize("newer", [True, False])
    def test_operations_obey(self, old: SyncStatus, new: SyncStatus, newer: bool) -> None:
        """
        The operations' one way to change a status lets through what the table allows, and no more.
        """
        row = row_that_is(old)
        if may_become(old, new, newer=newer):
            rows.move(row, new, newer=newer)
            assert row.status == new
        else:
            with pytest.raises(AssertionError, match=f"{old} can't become {new}"):
                rows.move(row, new, newer=newer)
            assert row.status == old


def row_that_is(status: SyncStatus) -> CrossAppSync:
    return CrossAppSync(
        id="s", purchase_id=PURCHASE, target_app=SCHOOL, target_product_id=COURSE, created_at=NOW, status=status
    )


def reach(shop: Shop, state: str) -> None:
    """
    Bring the ledger into one of the states that a row can be in.
    """
    shop.sell()
    status, desired = state.split()
    version = FIRST
    if desired == "revoked":
        shop.refund()
        version += 1
    match status, desired:
        case "failed", _:
            shop.answer(failed(version))
        case "synced", _:
            shop.answer(granted(version))
        case "revoked", _:
            shop.answer(revoked(version))
    row = shop.row()
    assert (f"{row.status} {row.desired}", row.version) == (state, version)


def hear(shop: Shop, fact: str, version: int) -> None:
    """
    Let something become known about the row, which is at that version.
    """
    match fact.split():
        case ["sold"]:
            shop.change(status="Valid")
            shop.record()
        case ["refunded"]:
            shop.refund()
        case ["transferred"]:
            shop.change(user_id="grace")
            shop.record()
        case ["deleted"]:
            shop.delete()
            shop.record()
        case [ack, when]:
            number = {"before": version - 1, "now": version, "ahead": version + 9}[when]
            answers: dict[str, Ack] = {
                "active": granted(number),
                "waiting": granted(number, user_id=None),
                "revoked": revoked(number),
                "failed": failed(number),
                "gone": failed(number, code="user-gone"),
            }
            shop.answer(answers[ack])


STATES = ("pending granted", "failed granted", "synced granted", "pending revoked", "failed revoked", "revoked revoked")
SAME, NEW, REFUSED = "the same", "a new version", "refused"
BECOMES: dict[str, tuple[str, ...]] = {
    "sold": (SAME, SAME, SAME, NEW, NEW, NEW),
    "refunded": (NEW, NEW, NEW, SAME, SAME, SAME),
    "transferred": (NEW, NEW, NEW, SAME, SAME, SAME),
    "deleted": (NEW, NEW, NEW, SAME, SAME, SAME),
    "active now": (SYNCED, SYNCED, SAME, REFUSED, REFUSED, REFUSED),
    "waiting now": (SYNCED, SYNCED, SAME, REFUSED, REFUSED, REFUSED),
    "revoked now": (REFUSED, REFUSED, REFUSED, REVOKED, REVOKED, SAME),
    "failed now": (FAILED, SAME, SAME, FAILED, SAME, SAME),
    "gone now": (NEW, NEW, NEW, FAILED, SAME, SAME),
    **dict.fromkeys(["active before", "waiting before", "revoked before", "failed before", "gone before"], (SAME,) * 6),
    **dict.fromkeys(["active ahead", "waiting ahead", "revoked ahead", "failed ahead", "gone ahead"], (NEW,) * 6),
}
"""What becomes of a row in each of the states, by all that may become known about it."""

DESIRED = {"sold": "granted", "transferred": "granted", "refunded": "revoked", "deleted": "revoked"}
"""What is wanted then, if it isn't what was wanted before."""


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fact", BECOMES)
@pytest.mark.parametrize("state", STATES)
class TestOperations:
    def test_every_fact_in_every_state(self, shop: Shop, state: str, fact: str) -> None:
        """
        Whatever becomes known about a row in any state, it goes where the design says, as its table lets it.
        """
        reach(shop, state)
        old = shop.row()
        wanted = BECOMES[fact][STATES.index(state)]
        with pytest.raises(EventRejectedError, match=r"^state: ") if wanted == REFUSED else nullcontext():
            hear(shop, fact, old.version)
        new = shop.row()
        if wanted == NEW:
            assert (new.status, new.version > old.version) == (PENDING, True)
            assert new.desired == DESIRED.get(fact, old.desired)
        elif wanted in (SAME, REFUSED):
            assert (new.status, new.version, new.desired) == (old.status, old.version, old.desired)
            assert (new.synced_at, new.revoked_at, new.buyer_user_id) == (old.synced_at, old.revoked_at, "ada")
        else:
            assert (new.status, new.version, new.desired) == (wanted, old.version, old.desired)
            assert may_become(SyncStatus(old.status), SyncStatus(new.status), newer=False)
