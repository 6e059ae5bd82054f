from __future__ import annotations

from itertools import product

import pytest

from crossapp_ah.models import Entitlement
from crossapp_ah.tables import TRANSITIONS, EntitlementStatus, may_become
from crossapp_core.outcomes import Outcome
from tests.ah.school import ADA, BUYER, COURSE, SHOP, School, link, refund, sale

ACTIVE, PENDING, REVOKED = EntitlementStatus.ACTIVE, EntitlementStatus.PENDING, EntitlementStatus.REVOKED
PAIRS = list(product(EntitlementStatus, repeat=2))


class TestMayBecome:
    def test_table_is_complete(self) -> None:
        """
        The table says of every status what may become of it.
        """
        assert set(TRANSITIONS) == set(EntitlementStatus) == {ACTIVE, PENDING, REVOKED}

    @pytest.mark.parametrize(("old", "new"), PAIRS)
    def test_same_version(self, old: EntitlementStatus, new: EntitlementStatus) -> None:
        """
        At one version the only way is from pending to active.
        """
        assert may_become(old, new, newer=False) is ((old, new) == (PENDING, ACTIVE))

    @pytest.mark.parametrize(("old", "new"), PAIRS)
    def test_newer_version(self, old: EntitlementStatus, new: EntitlementStatus) -> None:
        """
        A higher version leads from any status to any.
        """
        assert may_become(old, new, newer=True)


@pytest.mark.parametrize("old", EntitlementStatus)
class TestOperations:
    """
    What the operations make of an entitlement at version 5, whatever its status.
    """

    def put(self, school: School, status: EntitlementStatus) -> None:
        """
        An entitlement with that status, of a buyer who is linked by now.
        """
        user_id = ADA if status == ACTIVE else None
        row = Entitlement(
            id="ent_1",
            user_id=user_id,
            product_id=COURSE,
            status=status,
            source_app=SHOP,
            source_purchase_id="pur_1",
            source_user_id=BUYER,
            source_version=5,
        )
        school.add(row, link())

    def state_after(self, school: School, outcome: Outcome) -> tuple[str | None, int | None, bool]:
        """
        The status and version that are stored, and whether that was said to be new.
        """
        assert outcome.ids == ("ent_1",)
        return school.row.status, school.row.source_version, outcome.changed

    @pytest.mark.parametrize("version", [1, 4, 5])
    def test_not_newer(self, school: School, old: EntitlementStatus, version: int) -> None:
        """
        Neither a grant nor a revoke that isn't newer moves it.
        """
        self.put(school, old)

        assert self.state_after(school, school.grant(sale(version))) == (old, 5, False)
        assert self.state_after(school, school.revoke(refund(version))) == (old, 5, False)

    def test_newer_grant(self, school: School, old: EntitlementStatus) -> None:
        """
        A newer grant opens it for the linked buyer.
        """
        self.put(school, old)

        assert self.state_after(school, school.grant(sale(6))) == (ACTIVE, 6, True)

    def test_newer_grant_of_an_unlinked_buyer(self, school: School, old: EntitlementStatus) -> None:
        """
        A newer grant of a buyer without link makes it wait.
        """
        self.put(school, old)

        assert self.state_after(school, school.grant(sale(6, buyer_user_id="shop-bob"))) == (PENDING, 6, True)

    def test_newer_revoke(self, school: School, old: EntitlementStatus) -> None:
        """
        A newer revoke locks it.
        """
        self.put(school, old)

        assert self.state_after(school, school.revoke(refund(6))) == (REVOKED, 6, True)

    def test_looking_again(self, school: School, old: EntitlementStatus) -> None:
        """
        A link, at the same version, opens what waits and nothing else.
        """
        self.put(school, old)
        expected = (ACTIVE, 5, True) if old == PENDING else (old, 5, False)

        assert self.state_after(school, school.look_again(sale(5))) == expected
