from __future__ import annotations

from collections.abc import Callable

import pytest

from crossapp_core.events import EntitlementGranted
from tests.together import linked_state
from tests.together.linked_apps import LinkedApps
from tests.together.linked_hosts import ADA, BOB, CLEO, GUEST, HER, HERS, HIM, SCHOOL, SHOP, both
from tests.together.linked_work import Work


@pytest.fixture
def apps() -> LinkedApps:
    """
    Both apps, where nothing has happened yet.
    """
    return LinkedApps()


class TestAccess:
    def test_linked_between_both_looks(self, apps: LinkedApps) -> None:
        """
        A grant that found no link finds it when it looks once more, and says so in its first answer.
        """
        apps.put("pur_1", owned=True, user_id=ADA, email="ada@example.com")
        apps.do(apps.waiting[0])
        apps.confirm(SCHOOL, HER, ADA)
        [again] = [work for work in apps.waiting if work.rest]
        apps.do(again)

        assert [held.user_id for held in apps.held.values()] == [HER]
        [answer] = [work.event for work in apps.waiting if isinstance(work.event, EntitlementGranted)]
        assert (answer.status, answer.user_id) == ("active", HER)

    def test_news_of_claim_lost(self, apps: LinkedApps) -> None:
        """
        The shop asks who holds what its buyer bought when it hears of the link, since it may have missed the answer.
        """
        apps.put("pur_1", owned=True, user_id=ADA, email="ada@example.com")
        apps.do_all()
        apps.confirm(SCHOOL, HER, ADA)
        apps.do(apps.waiting[0])
        _do(apps, lambda work: work.rest == "claim")
        [news] = [work for work in apps.waiting if isinstance(work.event, EntitlementGranted)]
        apps.lose(news)
        apps.do_all()
        assert [(row.user_id, row.due is not None) for row in linked_state.ledger().values()] == [(None, True)]

        apps.settle()
        apps.check_rest()
        assert [(row.user_id, row.due) for row in linked_state.ledger().values()] == [(HER, None)]

    def test_hint_lost(self, apps: LinkedApps) -> None:
        """
        What a link should have claimed is claimed a minute later, if the app never heard of its own link.
        """
        apps.put("pur_1", owned=True, user_id=ADA, email="ada@example.com")
        apps.do_all()
        apps.confirm(SCHOOL, HER, ADA)
        apps.lose(apps.waiting[0])
        apps.cron(SCHOOL)
        assert [(held.status, held.user_id) for held in apps.held.values()] == [("active", HER)]
        apps.settle()
        apps.check_rest()

    def test_of_somebody_else(self, apps: LinkedApps) -> None:
        """
        A link opens what its own buyer bought, and nothing else that waits.
        """
        apps.put("pur_1", owned=True, user_id=ADA, email="ada@example.com")
        apps.put("pur_2", owned=True, user_id=BOB, email=GUEST)
        apps.do_all()
        apps.confirm(SCHOOL, HER, ADA)
        apps.settle()
        apps.check_rest()
        assert {source[0]: held.user_id for source, held in apps.held.items()} == {"pur_1": HER, "pur_2": None}

    def test_claim_after_unlinking(self, apps: LinkedApps) -> None:
        """
        A claim that comes after the link was removed opens nothing.
        """
        apps.put("pur_1", owned=True, user_id=ADA, email="ada@example.com")
        apps.do_all()
        apps.confirm(SCHOOL, HER, ADA)
        apps.do(apps.waiting[0])
        apps.unlink(SCHOOL, HER)
        _do(apps, lambda work: work.rest == "claim")
        assert [held.status for held in apps.held.values()] == ["pending"]
        apps.do_all()
        apps.check_rest()

    def test_refunded_while_waiting(self, apps: LinkedApps) -> None:
        """
        What was refunded while it waited stays closed when the link comes.
        """
        apps.put("pur_1", owned=True, user_id=ADA, email="ada@example.com")
        apps.do_all()
        apps.refund("pur_1")
        apps.do_all()
        apps.confirm(SHOP, ADA, HER)
        apps.do_all()
        apps.check_rest()
        assert [held.status for held in apps.held.values()] == ["revoked"]

    def test_linked_with_another(self, apps: LinkedApps) -> None:
        """
        What somebody has stays theirs, also when its buyer links another account later.
        """
        apps.put("pur_1", owned=True, user_id=ADA, email="ada@example.com")
        apps.confirm(SCHOOL, HER, ADA)
        apps.do_all()
        apps.unlink(SCHOOL, HER)
        apps.do_all()
        apps.confirm(SCHOOL, HIM, ADA)
        apps.put("pur_2", owned=True, user_id=ADA, email="ada@example.com")
        apps.do_all()
        apps.check_rest()
        assert {source[0]: held.user_id for source, held in apps.held.items()} == {"pur_1": HER, "pur_2": HIM}

    def test_guest_with_an_address(self, apps: LinkedApps) -> None:
        """
        A guest's purchase belongs to the user of the shop who holds the address, verified: it opens for their account.
        """
        apps.put("pur_1", owned=True, email="cleo@example.com")
        apps.confirm(SHOP, CLEO, HERS)
        apps.do_all()
        apps.check_rest()
        assert [held.user_id for held in apps.held.values()] == [HERS]

    def test_guest_with_nobodys_address(self, apps: LinkedApps) -> None:
        """
        An address opens nothing for whoever holds it in the school, only for the user of the shop whose it becomes.
        """
        apps.put("pur_1", owned=True, email=GUEST)
        apps.confirm(SHOP, ADA, HIM)
        apps.settle()
        apps.put("pur_2", owned=True, email=GUEST)
        apps.settle()
        apps.check_rest()
        assert [held.status for held in apps.held.values()] == ["pending", "pending"]

        apps.unlink(SHOP, ADA)
        both()[SHOP].people.verify(BOB)
        for purchase_id in ("pur_1", "pur_2"):
            apps.record_again(purchase_id)
        apps.confirm(SHOP, BOB, HIM)
        apps.settle()
        apps.check_rest()
        assert [held.user_id for held in apps.held.values()] == [HIM, HIM]


def _do(apps: LinkedApps, wanted: Callable[[Work], bool]) -> None:
    apps.do(next(work for work in apps.waiting if wanted(work)))
