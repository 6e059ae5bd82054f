from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossapp_core.errors import CatalogError, EventRejectedError
from crossapp_core.events import LARGEST_INTEGER, EntitlementGranted
from crossapp_tt.operations.acknowledgements import Ack
from tests.databases import open_database
from tests.hosts import NOW, ShopPurchase
from tests.tt.shop import (
    BUNDLE,
    COURSE,
    FIRST,
    MILLISECOND,
    OTHER,
    SCHOOL,
    Shop,
    entry,
    failed,
    granted,
    refund_in,
    revoked,
    sale_in,
    version_at,
)

LATER = NOW + timedelta(hours=1)
LATEST = NOW + timedelta(hours=2)
SECOND = version_at(LATER)


class TestGranted:
    def test_active(self, shop: Shop) -> None:
        """
        A sale that is unlocked is settled: who holds it is known, and nothing is owed.
        """
        sold = shop.sell()
        outcome = shop.answer(granted(), now=LATER)
        row = shop.row()
        assert (outcome.ids, outcome.changed, outcome.messages) == (sold.ids, True, ())
        assert (row.status, row.desired, row.version) == ("synced", "granted", FIRST)
        assert (row.target_entitlement_id, row.target_user_id) == ("ent_1", "school-ada")
        assert (row.synced_at, row.next_attempt_at, row.revoked_at) == (LATER, None, None)

    def test_pending(self, shop: Shop) -> None:
        """
        One that waits for its buyer is settled too; who claims it is noted when it is told, the time stays.
        """
        shop.sell()
        shop.answer(granted(user_id=None), now=LATER)
        row = shop.row()
        assert (row.status, row.target_user_id, row.synced_at) == ("synced", None, LATER)
        assert shop.answer(granted(), now=LATEST).changed is True
        row = shop.row()
        assert (row.status, row.target_user_id, row.synced_at) == ("synced", "school-ada", LATER)

    def test_twice(self, shop: Shop) -> None:
        """
        The same answer again changes nothing, nor does one from before the claim.
        """
        shop.sell()
        shop.answer(granted(), now=LATER)
        before = shop.row().model_dump()
        for ack in (granted(), granted(user_id=None)):
            assert shop.answer(ack, now=LATEST).changed is False
        assert shop.row().model_dump() == before

    def test_older(self, shop: Shop) -> None:
        """
        An answer to an older version says nothing about the newer one; what was never accepted of that is sent.
        """
        shop.sell()
        refund = shop.refund(now=LATER)
        before = shop.row().model_dump()
        outcome = shop.answer(granted(FIRST), now=LATEST)
        assert (outcome.changed, outcome.messages) == (False, refund.messages)
        assert shop.row().model_dump() == before
        shop.note_accepted(refund.messages)
        assert shop.answer(granted(FIRST), now=LATEST).messages == ()

    def test_after_revoked(self, shop: Shop) -> None:
        """
        A grant's answer that comes after the refund's is too late.
        """
        shop.sell()
        shop.refund(now=LATER)
        shop.answer(revoked(SECOND), now=LATER)
        assert shop.answer(granted(FIRST), now=LATEST).changed is False
        assert (shop.row().status, shop.row().revoked_at) == ("revoked", LATER)

    def test_contradiction(self, shop: Shop) -> None:
        """
        An answer that contradicts what was asked for at that version is refused and changes nothing.
        """
        shop.sell()
        shop.refund(now=LATER)
        before = shop.row().model_dump()
        with pytest.raises(EventRejectedError, match=r"state: entitlement/granted answers version .* wants it revoked"):
            shop.answer(granted(SECOND))
        assert shop.row().model_dump() == before

    def test_new_version_forgets_the_holder(self, shop: Shop) -> None:
        """
        After a transfer, the answer decides who holds it, even if it names nobody.
        """
        shop.sell()
        shop.answer(granted())
        shop.change(user_id="grace")
        shop.record(now=LATER)
        shop.answer(granted(SECOND, user_id=None, entitlement_id="ent_1"), now=LATEST)
        row = shop.row()
        assert (row.status, row.target_user_id, row.synced_at) == ("synced", None, LATEST)


class TestRevoked:
    def test_revoked(self, shop: Shop) -> None:
        """
        A refund that is carried out is settled.
        """
        shop.sell()
        shop.answer(granted(), now=NOW)
        shop.refund(now=LATER)
        outcome = shop.answer(revoked(SECOND), now=LATEST)
        row = shop.row()
        assert (outcome.changed, outcome.messages) == (True, ())
        assert (row.status, row.desired, row.version) == ("revoked", "revoked", SECOND)
        assert (row.synced_at, row.revoked_at, row.next_attempt_at) == (NOW, LATEST, None)
        assert (row.target_entitlement_id, row.reason) == ("ent_1", "refunded")

    def test_twice(self, shop: Shop) -> None:
        """
        The same again changes nothing: the time stays the first.
        """
        shop.sell()
        shop.refund(now=LATER)
        shop.answer(revoked(SECOND), now=LATER)
        assert shop.answer(revoked(SECOND), now=LATEST).changed is False
        assert shop.row().revoked_at == LATER

    def test_without_entitlement(self, shop: Shop) -> None:
        """
        A granter that never had it says so without an id, and none is forgotten.
        """
        shop.sell()
        shop.answer(granted())
        shop.refund(now=LATER)
        shop.answer(revoked(SECOND, entitlement_id=None))
        assert (shop.row().status, shop.row().target_entitlement_id) == ("revoked", "ent_1")

    def test_contradiction(self, shop: Shop) -> None:
        """
        A sale can't be answered as a refund.
        """
        shop.sell()
        before = shop.row().model_dump()
        with pytest.raises(EventRejectedError, match=r"state: entitlement/revoked answers .* wants it granted"):
            shop.answer(revoked(FIRST))
        assert shop.row().model_dump() == before


class TestFailed:
    def test_failed(self, shop: Shop) -> None:
        """
        What can't be unlocked shows why, and is still owed: somebody may correct it.
        """
        sold = shop.sell()
        outcome = shop.answer(failed(), now=LATER)
        row = shop.row()
        assert (outcome.changed, outcome.messages) == (True, ())
        assert (row.status, row.error_code, row.version) == ("failed", "unknown-product", FIRST)
        assert row.error_message == "There is no such product here."
        assert row.next_attempt_at == LATER + timedelta(minutes=1)
        assert shop.record(now=LATER).messages == sold.messages

    def test_twice(self, shop: Shop) -> None:
        """
        The same again changes nothing, not even when it is tried next; another reason is noted.
        """
        shop.sell()
        shop.answer(failed(), now=LATER)
        before = shop.row().model_dump()
        assert shop.answer(failed(), now=LATEST).changed is False
        assert shop.row().model_dump() == before
        assert shop.answer(failed(code="other"), now=LATEST).changed is True
        assert (shop.row().error_code, shop.row().next_attempt_at) == ("other", LATER + timedelta(minutes=1))

    def test_then_success(self, shop: Shop) -> None:
        """
        Success beats failure, whichever comes first.
        """
        shop.sell()
        shop.answer(failed(), now=NOW)
        assert shop.answer(granted(), now=LATER).changed is True
        assert shop.answer(failed(), now=LATEST).changed is False
        row = shop.row()
        assert (row.status, row.error_code, row.error_message) == ("synced", None, None)
        assert (row.synced_at, row.next_attempt_at) == (LATER, None)

    def test_of_a_refund(self, shop: Shop) -> None:
        """
        A refund may fail too, and succeed later.
        """
        shop.sell()
        shop.refund(now=LATER)
        shop.answer(failed(SECOND))
        assert (shop.row().status, shop.row().desired) == ("failed", "revoked")
        shop.answer(revoked(SECOND), now=LATEST)
        assert (shop.row().status, shop.row().error_code, shop.row().revoked_at) == ("revoked", None, LATEST)

    def test_older(self, shop: Shop) -> None:
        """
        A failure of an older version is over.
        """
        shop.sell()
        shop.refund(now=LATER)
        assert shop.answer(failed(FIRST)).changed is False
        assert shop.row().status == "pending"

    @pytest.mark.parametrize("before", [[], [granted()], [failed()]], ids=["pending", "synced", "failed"])
    def test_user_gone(self, shop: Shop, before: list[Ack]) -> None:
        """
        A holder who is gone beats even success: the sale is told anew, so that the granter decides again.
        """
        shop.sell()
        for ack in before:
            shop.answer(ack)
        outcome = shop.answer(failed(code="user-gone"), now=LATER)
        row = shop.row()
        assert (row.status, row.desired, row.version) == ("pending", "granted", SECOND)
        assert (row.target_user_id, row.error_code, row.error_message) == (None, None, None)
        assert [sale_in(each).version for each in outcome.messages] == [SECOND]
        assert shop.answer(failed(code="user-gone"), now=LATEST).changed is False

    def test_user_gone_after_refund(self, shop: Shop) -> None:
        """
        Who is gone after a refund brings nothing back.
        """
        shop.sell()
        shop.refund(now=LATER)
        shop.answer(revoked(SECOND), now=LATER)
        outcome = shop.answer(failed(SECOND, code="user-gone"), now=LATEST)
        assert (outcome.changed, outcome.messages) == (False, ())
        assert (shop.row().status, shop.row().version) == ("revoked", SECOND)


class TestForeignAnswers:
    @pytest.mark.parametrize("ack", [revoked, failed])
    @pytest.mark.parametrize("version", [1, FIRST, FIRST + 1])
    def test_other_app(self, shop: Shop, ack: Callable[..., Ack], version: int) -> None:
        """
        What one app was asked for, another can't answer, whatever the version.
        """
        shop.sell()
        before = shop.row().model_dump()
        with pytest.raises(EventRejectedError, match=r"^direction: third-app answers for prod_9"):
            shop.answer(ack(version, source_app=OTHER))
        assert shop.row().model_dump() == before

    @pytest.mark.parametrize("refunded", [False, True])
    def test_holds_what_it_shouldn_t(self, shop: Shop, refunded: bool) -> None:
        """
        One that says it has unlocked what was another app's is told to lock it: perhaps its row was lost.
        """
        shop.sell()
        if refunded:
            shop.refund()
        before = shop.row().model_dump()
        [message] = shop.answer(granted(FIRST + 5, source_app=OTHER), now=LATER).messages

        assert (message.target, refund_in(message).product_id) == (OTHER, COURSE)
        assert [row.model_dump() for row in shop.rows() if row.target_app == SCHOOL] == [before]

    def test_product_of_two_apps(self, shop: Shop) -> None:
        """
        Two apps may call their products the same: each answers for its own.
        """
        shop.bundles[BUNDLE] = [entry(), entry(app=OTHER)]
        shop.sell()
        shop.answer(granted(source_app=OTHER, entitlement_id="other_1"))
        shop.answer(failed())
        assert [(row.target_app, row.status) for row in shop.rows()] == [(SCHOOL, "failed"), (OTHER, "synced")]

    @pytest.mark.parametrize("version", [LARGEST_INTEGER, LARGEST_INTEGER // 2 + 1])
    @pytest.mark.parametrize("exists", [True, False])
    def test_last_version(self, shop: Shop, version: int, exists: bool) -> None:
        """
        A version that would leave no room for a refund is refused.
        """
        if exists:
            shop.sell()
        with pytest.raises(EventRejectedError, match=r"state: .*nobody ever asked for"):
            shop.answer(granted(version))
        assert [row.version for row in shop.rows()] == [FIRST] * exists


class TestLostMemory:
    def test_larger_version(self, shop: Shop) -> None:
        """
        A version larger than ours means that we have lost memory: what we want is said anew, above it.
        """
        shop.sell()
        shop.answer(granted())
        outcome = shop.answer(revoked(FIRST + 10**9), now=LATER)
        row = shop.row()
        assert (row.status, row.desired, row.version) == ("pending", "granted", FIRST + 10**9 + 1)
        assert (outcome.ids, outcome.changed) == ((row.id,), True)
        sale = sale_in(outcome.messages[0])
        assert (sale.version, sale.buyer_user_id, sale.buyer_email) == (row.version, "ada", "ada@example.com")

    def test_larger_than_the_ledger_alone(self, shop: Shop) -> None:
        """
        If time has passed that version meanwhile, the time counts.
        """
        shop.sell()
        shop.answer(granted(FIRST + 1), now=LATER)
        assert shop.row().version >= SECOND

    def test_refunded(self, shop: Shop) -> None:
        """
        What was refunded is revoked anew.
        """
        shop.sell()
        shop.refund()
        outcome = shop.answer(granted(FIRST + 10**9), now=LATER)
        assert (shop.row().desired, shop.row().version) == ("revoked", FIRST + 10**9 + 1)
        assert refund_in(outcome.messages[0]).reason == "refunded"

    @pytest.mark.parametrize("ack", [granted, revoked, failed])
    def test_row_is_gone(self, shop: Shop, ack: Callable[..., Ack]) -> None:
        """
        An answer for a row that isn't there brings it back, above the answer's version, and it is sent.
        """
        sold = shop.sell()
        shop.forget()
        outcome = shop.answer(ack(FIRST + 10**9), now=LATER)
        row = shop.row()
        assert (row.id, row.status, row.desired, row.version) == (sold.ids[0], "pending", "granted", FIRST + 10**9 + 1)
        assert (row.buyer_user_id, row.buyer_email, row.bundle_product_id) == ("ada", "ada@example.com", BUNDLE)
        assert [sale_in(each).version for each in outcome.messages] == [row.version]

    def test_answer_before_the_row(self, shop: Shop) -> None:
        """
        So does one that comes before the sale was recorded; recorded later, the sale is the same.
        """
        shop.buy()
        shop.answer(granted(5))
        row = shop.row()
        assert (row.version >= FIRST, row.desired) == (True, "granted")
        again = shop.record(now=LATER)
        assert (again.ids, again.changed) == ((row.id,), False)

    def test_whole_bundle(self, shop: Shop) -> None:
        """
        If the whole bundle is lost, the answer for one component brings all back: no other is taken for never sold.
        """
        shop.bundles[BUNDLE] = [entry("a"), entry("b"), entry("a", OTHER)]
        shop.sell()
        shop.forget()
        outcome = shop.answer(granted(FIRST + 7, product_id="a"), now=NOW)
        assert [(row.target_app, row.target_product_id, row.desired, row.version) for row in shop.rows()] == [
            (SCHOOL, "a", "granted", FIRST + 8),
            (SCHOOL, "b", "granted", FIRST),
            (OTHER, "a", "granted", FIRST),
        ]
        assert [(each.target, sale_in(each).product_id) for each in outcome.messages] == [
            (SCHOOL, "a"),
            (SCHOOL, "b"),
            (OTHER, "a"),
        ]
        shop.answer(granted(FIRST + 9, product_id="b"), now=NOW)
        assert [row.desired for row in shop.rows()] == ["granted"] * 3
        assert shop.rows()[1].version == FIRST + 10

    def test_others_stay(self, shop: Shop) -> None:
        """
        Where only one row is behind, the others are left alone.
        """
        shop.bundles[BUNDLE] = [entry("a"), entry("b")]
        shop.sell()
        shop.answer(granted(product_id="b"))
        outcome = shop.answer(granted(FIRST + 5, product_id="a"), now=NOW)
        assert [(row.status, row.version) for row in shop.rows()] == [("pending", FIRST + 6), ("synced", FIRST)]
        assert len(outcome.messages) == len(outcome.ids) == 1

    @pytest.mark.parametrize("status", ["Refunded", None])
    def test_not_owned(self, shop: Shop, status: str | None) -> None:
        """
        What isn't owned, or doesn't exist, is revoked: nobody may keep it by our loss.
        """
        if status:
            shop.buy(status=status)
        outcome = shop.answer(granted(5), now=LATER)
        row = shop.row()
        assert (row.status, row.desired, row.version) == ("pending", "revoked", SECOND)
        assert refund_in(outcome.messages[0]).reason == ("refunded" if status else "manual")

    def test_never_in_the_bundle(self, shop: Shop) -> None:
        """
        What the bundle never held is revoked, and never taken for something that was sold.
        """
        shop.buy()
        for _ in range(2):
            shop.answer(granted(5, product_id="prod_404"), now=LATER)
            assert [(row.target_product_id, row.desired, row.bundle_product_id) for row in shop.rows()] == [
                ("prod_404", "revoked", None),
                (COURSE, "granted", BUNDLE),
            ]
            shop.record(now=LATEST)

    def test_never_in_what_was_revoked(self, shop: Shop) -> None:
        """
        What was never sold isn't sold either when the purchase is owned again.
        """
        shop.sell()
        shop.refund()
        shop.answer(granted(5, product_id="prod_404"), now=LATER)
        shop.change(status="Valid")
        shop.record(now=LATEST)
        assert [(row.target_product_id, row.desired) for row in shop.rows()] == [
            ("prod_404", "revoked"),
            (COURSE, "granted"),
        ]

    def test_snapshot(self, shop: Shop) -> None:
        """
        What was sold counts, not what the bundle holds today.
        """
        shop.sell()
        shop.bundles[BUNDLE] = [entry("prod_10")]
        shop.answer(granted(FIRST + 5), now=LATER)
        shop.answer(granted(FIRST + 5, product_id="prod_10"), now=LATER)
        assert [(row.target_product_id, row.desired) for row in shop.rows()] == [
            ("prod_10", "revoked"),
            (COURSE, "granted"),
        ]

    def test_malformed_bundle(self, shop: Shop) -> None:
        """
        If the bundle can't be read and nobody knows any more what was sold, that is told, and nothing is written.
        """
        shop.buy()
        shop.bundles[BUNDLE] = "not JSON"
        with pytest.raises(CatalogError, match=BUNDLE):
            shop.answer(granted(5))
        assert shop.rows() == []

    def test_ends(self, shop: Shop) -> None:
        """
        The answer to what was said anew settles it.
        """
        shop.sell()
        shop.forget()
        shop.answer(granted(FIRST + 5), now=NOW)
        outcome = shop.answer(granted(FIRST + 6), now=LATER)
        assert (outcome.changed, outcome.messages, shop.row().status) == (True, (), "synced")


ACKS = [granted(user_id=None), granted(), failed(), failed(code="unknown-product")]


@pytest.fixture(scope="class")
def sqlite_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """
    A shop on SQLite, for all examples of a property.
    """
    with open_database("sqlite", Path(tmp_path_factory.mktemp("shop"))) as database:
        yield Shop(database)


class TestAnyOrder:
    @settings(max_examples=60, deadline=None)
    @given(acks=st.lists(st.sampled_from(ACKS), min_size=1, max_size=6), data=st.data())
    def test_of_a_sale(self, sqlite_shop: Shop, acks: list[Ack], data: st.DataObject) -> None:
        """
        However often and in whatever order the answers to one version come, the ledger ends the same.
        """
        expected = self.after(sqlite_shop, acks, NOW)
        shuffled = data.draw(st.permutations(acks + data.draw(st.lists(st.sampled_from(acks), max_size=3))))
        assert self.after(sqlite_shop, shuffled, NOW) == expected
        succeeded = [ack for ack in acks if isinstance(ack, EntitlementGranted)]
        assert expected["status"] == ("synced" if succeeded else "failed")
        assert expected["target_user_id"] == ("school-ada" if granted() in acks else None)
        assert (expected["error_code"] is None) is bool(succeeded)

    @settings(max_examples=40, deadline=None)
    @given(
        early=st.lists(st.sampled_from(ACKS), max_size=3),
        late=st.lists(st.sampled_from([revoked(FIRST + 1), failed(FIRST + 1)]), min_size=1, max_size=3),
        data=st.data(),
    )
    def test_of_a_refund(self, sqlite_shop: Shop, early: list[Ack], late: list[Ack], data: st.DataObject) -> None:
        """
        Answers to the sale change nothing once it is refunded.
        """
        expected = self.after(sqlite_shop, late, NOW, refunded=True)
        mixed = data.draw(st.permutations(late + early))
        assert self.after(sqlite_shop, mixed, NOW, refunded=True) == expected
        assert expected["status"] == ("revoked" if revoked(FIRST + 1) in late else "failed")

    def after(self, shop: Shop, acks: list[Ack], now: datetime, *, refunded: bool = False) -> dict[str, object]:
        """
        The ledger's row after a sale, perhaps a refund, and these answers.
        """
        shop.forget()
        with shop.database.session() as session:
            for purchase in shop.purchases.after(session, None, 10):
                session.delete(session.get_one(ShopPurchase, purchase.id))
        shop.sell(now=now)
        if refunded:
            shop.refund(now=now)
        for ack in acks:
            shop.answer(ack, now=now + MILLISECOND)
        return shop.row().model_dump()
