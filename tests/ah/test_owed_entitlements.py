from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlmodel import Field, select

import crossapp_ah as ah
from crossapp_ah.models import Entitlement
from crossapp_ah.operations import claims, owed_entitlements
from crossapp_ah.operations.claims import Claim
from crossapp_ah.operations.rows import find, lock_all
from crossapp_core.columns import primary_key
from crossapp_core.events import EntitlementFailed, EntitlementGranted, EntitlementRevoked
from crossapp_core.outcomes import Due, Outcome
from tests.ah.answers import granted
from tests.ah.roles import school_of_roles
from tests.ah.school import ADA, BUYER, COURSE, SHOP, School, link, refund, said, sale, school
from tests.ah.test_claims import Pupil
from tests.ah.test_sketch_seller import SETTINGS
from tests.databases import Database
from tests.hosts import NOW

LATER = NOW + timedelta(hours=1)
BOB = "school-bob"


class SchoolHall(ah.CrossAppEntitlementMixin, table=True):
    """
    A table whose rows have two ids, in which a colon may stand.
    """

    __tablename__ = "school_hall"

    hall: str = Field(primary_key=True, max_length=64)
    number: int = Field(primary_key=True)


def taught(database: Database, **options: object) -> School:
    """
    A school that knows its users, of whom Ada is one.
    """
    made = school(database, users=ah.TableUsers(Pupil), **options)
    made.add(Pupil(id=ADA), link())
    return made


def leave(made: School, user_id: str = ADA) -> None:
    """
    Delete a user.
    """
    with made.database.session() as session:
        session.delete(session.get_one(Pupil, user_id))


def due(made: School) -> Sequence[str]:
    """
    The purchases of the entitlements that are due an hour later.
    """
    return [row.source_purchase_id or "" for row in made.rows if row.next_attempt_at and row.next_attempt_at <= LATER]


def answer(made: School, limit: int = 100) -> Outcome:
    """
    Take what the shop is to be told once more.
    """
    return made.do(owed_entitlements.answer_again, Due(SHOP, limit), now=LATER)  # type: ignore[arg-type]


def owe_all(made: School) -> None:
    """
    Have all be due.
    """
    made.do(owed_entitlements.owe_all, None, now=NOW)  # type: ignore[arg-type]


def farewell(made: School, *user_ids: str) -> None:
    """
    Say that users are gone.
    """
    with made.database.session() as session:
        owed_entitlements.bid_farewell(session, made.granter, user_ids, now=NOW)


class TestGoneHolder:
    """
    A newer grant for the same buyer, when the user who held it is gone.
    """

    def test_waits(self, database: Database) -> None:
        """
        It waits for the buyer's next link, though the old one still stands.
        """
        made = taught(database)
        made.grant(sale())
        leave(made)
        outcome = made.grant(sale(2))

        assert said(outcome) == granted("pending", 2)
        assert (made.row.user_id, made.row.claimed_at) == (None, None)

    def test_same_version(self, database: Database) -> None:
        """
        Nothing changes until the seller has said it anew.
        """
        made = taught(database)
        made.grant(sale())
        leave(made)

        assert said(made.grant(sale())) == granted("active", user_id=ADA)

    def test_never_opened(self, database: Database) -> None:
        """
        Nothing opens for a user who is gone, neither by a grant, nor by a claim, nor by the second look.
        """
        made = taught(database)
        leave(made)
        assert said(made.grant(sale())) == granted("pending")
        assert said(made.look_again(sale())) == granted("pending")
        made.do(claims.claim, Claim({"linked_app": SHOP, "linked_user_id": BUYER}, NOW))  # type: ignore[arg-type]
        assert made.do(claims.waiting, 100).ids == ()  # type: ignore[arg-type]

        assert (made.row.status, made.row.user_id) == ("pending", None)

    def test_without_users(self, school: School) -> None:
        """
        Where nobody says who is gone, nobody is.
        """
        school.add(link())
        school.grant(sale())

        assert said(school.grant(sale(2))) == granted("active", 2, user_id=ADA)


class TestAnswerAgain:
    def test_all(self, database: Database) -> None:
        """
        Each is said as it stands, to its seller, in an event of its own.
        """
        made = taught(database)
        for number, buyer in enumerate([BUYER, "shop-nobody", BUYER]):
            made.grant(sale(purchase_id=f"pur_{number}", buyer_user_id=buyer))
        made.revoke(refund(purchase_id="pur_2"))
        owe_all(made)
        outcome = answer(made)

        assert {message.target for message in outcome.messages} == {SHOP}
        events = {message.event.source_purchase_id: message.event for message in outcome.messages}  # type: ignore[attr-defined]
        assert isinstance(events["pur_0"], EntitlementGranted)
        assert (events["pur_0"].status, events["pur_0"].user_id) == ("active", ADA)
        assert isinstance(events["pur_1"], EntitlementGranted)
        assert (events["pur_1"].status, events["pur_1"].user_id) == ("pending", None)
        assert isinstance(events["pur_2"], EntitlementRevoked)
        assert answer(made).ids == ()

    def test_gone(self, database: Database) -> None:
        """
        Of what a user holds who is gone it says that, at its version.
        """
        made = taught(database)
        made.grant(sale(7))
        leave(made)
        farewell(made, ADA)
        [message] = answer(made).messages

        assert isinstance(message.event, EntitlementFailed)
        assert (message.event.code, message.event.version) == ("user-gone", 7)

    def test_gone_at_a_sketch(self, database: Database) -> None:
        """
        A sketch seller, which doesn't understand that, is told what is held.
        """
        made = taught(database, settings=SETTINGS)
        made.grant(sale())
        leave(made)
        farewell(made, ADA)
        [message] = answer(made).messages

        assert isinstance(message.event, EntitlementGranted)

    def test_marks(self, database: Database) -> None:
        """
        The row that stands for a whole purchase of a sketch seller is said to nobody.
        """
        made = taught(database, settings=SETTINGS)
        made.grant(sale())
        owe_all(made)
        outcome = answer(made)

        assert (len(made.rows), len(outcome.messages)) == (2, 1)
        assert [row.next_attempt_at for row in made.rows if not row.product_id] == [None]

    def test_other_sellers(self, database: Database) -> None:
        """
        What another app has sold is not that seller's.
        """
        made = taught(database)
        made.grant(sale())
        owe_all(made)

        assert made.do(owed_entitlements.answer_again, Due("epic-web", 10), now=LATER).ids == ()  # type: ignore[arg-type]

    def test_hooks_first(self, database: Database) -> None:
        """
        What owes a hook something is answered when that is done.
        """
        made = school_of_roles(database)
        made.add(link())
        made.grant(sale())
        owe_all(made)
        assert answer(made).ids == ()

        made.apply_all()
        assert len(answer(made).ids) == 1


class TestFarewell:
    def test_theirs(self, database: Database) -> None:
        """
        What is open for those who are gone is due; what isn't open, or is another's, is not.
        """
        made = taught(database)
        made.add(Pupil(id=BOB), link(BOB, "shop-bob"))
        made.grant(sale(purchase_id="hers"))
        made.grant(sale(purchase_id="refunded"))
        made.revoke(refund(purchase_id="refunded"))
        made.grant(sale(purchase_id="his", buyer_user_id="shop-bob"))
        farewell(made, ADA, "school-nobody")

        assert due(made) == ["hers"]

    def test_nobodys(self, database: Database) -> None:
        """
        So is what a foreign key has left to nobody.
        """
        made = taught(database)
        made.grant(sale(purchase_id="hers"))
        made.grant(sale(purchase_id="waits", buyer_user_id="shop-nobody"))
        with made.database.session() as session:
            [row] = session.exec(select(Entitlement).where(Entitlement.source_purchase_id == "hers"))
            row.user_id = None
        farewell(made, ADA)
        assert due(made) == ["hers"]

        [message] = answer(made).messages
        assert isinstance(message.event, EntitlementFailed)

    def test_own_rows(self, database: Database) -> None:
        """
        The app's own rows are never due.
        """
        made = taught(database)
        made.add(Entitlement(id="own", user_id=ADA, product_id=COURSE, status="active"))
        farewell(made, ADA)
        owe_all(made)

        assert made.row.next_attempt_at is None


class TestHolders:
    def test_pages(self, database: Database) -> None:
        """
        Each user who has something open comes once, in the order of the ids.
        """
        made = school(database)
        for number in range(5):
            made.add(link(f"user-{number}", f"buyer-{number}"))
            for purchase in "ab":
                made.grant(sale(purchase_id=f"{purchase}-{number}", buyer_user_id=f"buyer-{number}"))
        made.revoke(refund(purchase_id="a-1"))
        for purchase in "ab":
            made.revoke(refund(purchase_id=f"{purchase}-2"))
        made.add(Entitlement(id="own", user_id="user-own", product_id=COURSE, status="active"))
        pages, after = [], None
        with made.database.session() as session:
            while page := owed_entitlements.holders(session, made.granter, after, 2):
                pages.append(page)
                after = page[-1]

        assert pages == [["user-0", "user-1"], ["user-3", "user-4"]]


class TestIds:
    def test_two_parts(self, database: Database) -> None:
        """
        A row with two ids is found by what stands in events, wherever colons stand.
        """
        made = school(database, entitlements=SchoolHall, new_row=lambda _: {"hall": "a:1", "number": 2})
        rows = [SchoolHall(hall="a", number=1), SchoolHall(hall="a:1", number=2), SchoolHall(hall="a:1:2", number=2)]
        ids = [primary_key(row) for row in rows]
        made.add(*rows)
        with made.database.session() as session:
            found = [find(session, made.granter, id_) for id_ in [*ids, "a", "a:b", "9"]]
            assert [row and primary_key(row) for row in found] == [*ids, None, None, None]
            assert [primary_key(row) for row in lock_all(session, made.granter, ids[1:])] == ids[1:]
