from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_events
from sqlmodel import Field, SQLModel

import crossapp_ah as ah
from crossapp_ah.models import AccountLink, Entitlement
from crossapp_ah.operations import claims
from crossapp_ah.operations.claims import Claim
from crossapp_core.apps import Peer, Settings
from crossapp_core.events import EntitlementGranted
from crossapp_core.outcomes import Outcome
from tests.ah.own_tables import SchoolCourse, SchoolGrant
from tests.ah.school import ADA, BUYER, COURSE, SHOP, School, link, refund, sale, school
from tests.databases import Database
from tests.hosts import NOW, SECRET

EVE, STRANGER = "school-eve", "shop-eve"
LATER = NOW + timedelta(hours=1)
OTHER = "epic-web"
BY_BUYER = {"linked_app": SHOP, "linked_user_id": BUYER}
SKETCH = Settings("ai-hero", [Peer(app_id=SHOP, event_key="shop-key", sketch=True)])
TWO = Settings(
    "ai-hero",
    [
        Peer(app_id=SHOP, event_key="shop-key", secret=SECRET),
        Peer(app_id=OTHER, event_key="other-key", secret="another secret of the school and of that app"),
    ],
)


class Pupil(SQLModel, table=True):
    """
    Somebody at the school.
    """

    __tablename__ = "claiming_pupil"

    id: str = Field(primary_key=True, max_length=64)
    email: str | None = Field(default=None, max_length=254)
    email_verified: bool = False


def claim(made: School, *, at: datetime = LATER, key: dict[str, Any] | None = None, **fields: Any) -> Outcome:
    """
    Claim a batch for a link.
    """
    return made.do(claims.claim, Claim(key or BY_BUYER, at, **fields), now=at)  # type: ignore[arg-type]


def waiting(made: School, limit: int = 100, *, now: datetime = NOW) -> Sequence[str]:
    """
    The links that should have claimed something.
    """
    return made.do(claims.waiting, limit, now=now).ids  # type: ignore[arg-type]


def buy(made: School, count: int, **changes: Any) -> None:
    """
    Hear of many sales.
    """
    for number in range(count):
        made.grant(sale(number + 1, purchase_id=f"pur_{number:03}", **changes))


def states(made: School) -> list[tuple[str | None, str | None]]:
    """
    Status and holder of each entitlement to a product.
    """
    return [(row.status, row.user_id) for row in made.rows if row.product_id]


class TestClaim:
    def test_waiting(self, school: School) -> None:
        """
        What waits for the buyer becomes the linked user's, and the shop hears whose, at the version of each grant.
        """
        buy(school, 2)
        school.add(link())
        outcome = claim(school)

        assert states(school) == [("active", ADA)] * 2
        assert [row.claimed_at for row in school.rows] == [LATER] * 2
        assert [row.source_version for row in school.rows] == [1, 2]
        assert (outcome.changed, outcome.ids) == (True, tuple(row.id for row in school.rows))
        assert [(message.target, message.event) for message in outcome.messages] == [
            (
                SHOP,
                EntitlementGranted(
                    source_purchase_id=row.source_purchase_id or "",
                    product_id=COURSE,
                    entitlement_id=row.id,
                    user_id=ADA,
                    status="active",
                    version=row.source_version or 0,
                ),
            )
            for row in school.rows
        ]
        assert school.opens()

    @pytest.mark.parametrize("removed", ["unlinked", "never linked"])
    def test_without_link(self, school: School, removed: str) -> None:
        """
        A claim that runs when the link is removed already, or for a link that never was, unlocks nothing.
        """
        buy(school, 1)
        if removed == "unlinked":
            school.add(link())
            school.unlink()
        outcome = claim(school)

        assert states(school) == [("pending", None)]
        assert (outcome.ids, outcome.changed, outcome.messages) == ((), False, ())

    def test_whose(self, school: School) -> None:
        """
        Only what was sold by that app to that buyer, to the letter, becomes the linked user's.
        """
        school.add(link(), link(EVE, STRANGER))
        others: list[dict[str, Any]] = [
            {"buyer_user_id": STRANGER, "buyer_email": "ada@example.com"},
            {"buyer_user_id": BUYER.upper()},
            {"buyer_user_id": None},
            {"source_app": OTHER},
        ]
        for number, changes in enumerate(others):
            made = sale(1, purchase_id=f"pur_{number}", **changes)
            if number == 0:
                school.unlink(EVE, STRANGER)
            school.grant(made)
        outcome = claim(school)

        assert [status for status, _ in states(school)] == ["pending"] * 4
        assert outcome.messages == ()

    def test_never_by_address(self, database: Database) -> None:
        """
        What a library's peer sold to a guest is claimed by nobody, whatever address they have verified here.
        """
        made = school(database, users=ah.TableUsers(Pupil))
        made.add(Pupil(id=ADA, email="ada@example.com", email_verified=True), link())
        made.grant(sale(buyer_user_id=None))
        claim(made)

        assert states(made) == [("pending", None)]
        assert waiting(made) == ()

    def test_refunded_while_waiting(self, school: School) -> None:
        """
        What was refunded while it waited stays locked, however often it is claimed.
        """
        school.grant(sale())
        school.revoke(refund())
        school.add(link())
        outcome = claim(school)

        assert states(school) == [("revoked", None)]
        assert (outcome.messages, waiting(school)) == ((), ())

    def test_holders_stay(self, school: School) -> None:
        """
        What somebody holds already stays theirs when the buyer links another account.
        """
        school.add(link(EVE))
        school.grant(sale(purchase_id="pur_0"))
        school.unlink(EVE)
        school.grant(sale(purchase_id="pur_1"))
        school.add(link())
        claim(school)

        assert states(school) == [("active", EVE), ("active", ADA)]

    def test_again(self, school: School) -> None:
        """
        A claim that is done again, because its process died, says again what it did; another one has nothing to say.
        """
        buy(school, 2)
        school.add(link())
        first = claim(school)
        again = claim(school)
        assert (again.changed, again.ids, again.messages) == (False, first.ids, first.messages)

        other = claim(school, at=LATER + timedelta(milliseconds=1))
        assert (other.ids, other.messages) == ((), ())

    def test_batches(self, school: School) -> None:
        """
        Each batch goes on where the last one ended, in the order of purchases and products.
        """
        buy(school, 3)
        for number in range(3):
            school.grant(sale(9, purchase_id=f"pur_{number:03}", product_id="prod_10"))
        school.add(link())
        after, batches = None, []
        for _ in range(4):
            outcome = claim(school, after=after, limit=2)
            events = [message.event for message in outcome.messages]
            batches.append([(e.source_purchase_id, e.product_id) for e in events if isinstance(e, EntitlementGranted)])
            after = batches[-1][-1] if batches[-1] else after

        products = ["prod_10", COURSE]
        everything = [(f"pur_{number:03}", product) for number in range(3) for product in products]
        assert batches == [everything[0:2], everything[2:4], everything[4:6], []]
        assert states(school) == [("active", ADA)] * 6

    def test_batch_done_again(self, school: School) -> None:
        """
        A batch that is done again takes what it took, and no more.
        """
        buy(school, 4)
        school.add(link())
        first = claim(school, limit=2)

        assert claim(school, limit=2).messages == first.messages
        assert [status for status, _ in states(school)] == ["active", "active", "pending", "pending"]

    def test_few_statements(self, school: School) -> None:
        """
        A batch takes as many statements as one row.
        """
        counts = []
        school.add(link())
        for rows in (1, 40):
            school.unlink()
            buy(school, rows)
            with school.database.session() as session:
                row = session.get_one(AccountLink, f"link-{ADA}-{BUYER}")
                row.unlinked_at = None
            statements: list[str] = []

            def note(_c: object, _u: object, statement: str, *_rest: object, into: list[str] = statements) -> None:
                into.append(statement)

            sqlalchemy_events.listen(school.database.engine, "before_cursor_execute", note)
            outcome = claim(school, at=LATER + timedelta(minutes=rows))
            sqlalchemy_events.remove(school.database.engine, "before_cursor_execute", note)
            assert len(outcome.ids) in (rows, rows - 1)
            counts.append(len(statements))

        assert counts[0] == counts[1] <= 4

    def test_own_tables(self, database: Database) -> None:
        """
        In an app's own table the numbers of products, and its kind of users, are claimed as well, by batches.
        """
        user = "6f2d8c1a-9d0b-4f7e-8a51-3c1d5e7f9b20"
        made = school(
            database,
            entitlements=SchoolGrant,
            products=ah.TableProducts(SchoolCourse),
            new_row=lambda _request: {"branch": "north"},
        )
        made.add(*(SchoolCourse(id=number) for number in (9, 10)))
        for product in ("9", "10"):
            made.grant(sale(product_id=product))
        made.add(link(user))
        first = claim(made, limit=1)
        [event] = [message.event for message in first.messages]
        assert isinstance(event, EntitlementGranted)
        assert (event.product_id, event.user_id) == ("9", user)
        claim(made, limit=1, after=("pur_1", "9"))

        assert [(row.status, str(row.user_id)) for row in made.rows] == [("active", user)] * 2

    def test_user_of_another_kind(self, database: Database) -> None:
        """
        A link of a user whom the app's own table can't name claims nothing.
        """
        made = school(
            database,
            entitlements=SchoolGrant,
            products=ah.TableProducts(SchoolCourse),
            new_row=lambda _request: {"branch": "north"},
        )
        made.add(SchoolCourse(id=9))
        made.grant(sale(product_id="9"))
        made.add(link("no uuid"))

        assert (claim(made).messages, [row.status for row in made.rows]) == ((), ["pending"])


class TestWaiting:
    def test_missed(self, school: School) -> None:
        """
        A link is found that should have claimed something and didn't, and no other; afterwards it isn't.
        """
        school.add(link(), link(EVE, STRANGER))
        assert waiting(school) == ()
        school.unlink()
        school.grant(sale())
        assert waiting(school) == ()

        school.add(link("school-new", BUYER, id="again"))
        assert waiting(school) == ("again",)
        claim(school, key={"id": "again"})
        assert (waiting(school), states(school)) == ((), [("active", "school-new")])

    def test_another_app(self, database: Database) -> None:
        """
        A buyer of one app isn't one of another with the same id.
        """
        made = school(database, settings=TWO)
        made.grant(sale(source_app=OTHER))
        made.add(link())

        assert waiting(made) == ()

    def test_limit(self, school: School) -> None:
        """
        Only so many at once.
        """
        for number in range(3):
            school.grant(sale(purchase_id=f"pur_{number}", buyer_user_id=f"buyer-{number}"))
            school.add(link(f"user-{number}", f"buyer-{number}"))

        assert len(waiting(school, 2)) == 2


class TestSketchSeller:
    @pytest.fixture
    def taught(self, database: Database) -> School:
        """
        A school whose only seller is a sketch peer.
        """
        return school(database, settings=SKETCH, users=ah.TableUsers(Pupil))

    def sell(self, made: School, email: str | None = "ada@example.com") -> None:
        """
        Hear of a sale as the sketch peer's is read.
        """
        made.grant(sale(1, buyer_user_id=None, buyer_email=email))

    @pytest.mark.parametrize("written", ["ada@example.com", " Ada@EXAMPLE.com"])
    def test_own_address(self, taught: School, written: str) -> None:
        """
        Who is linked there and has verified the address here claims what waits for it, however it is written.
        """
        self.sell(taught, "ADA@example.com ")
        taught.add(Pupil(id=ADA, email=written, email_verified=True), link())
        assert waiting(taught) == (f"link-{ADA}-{BUYER}",)
        outcome = claim(taught)

        assert states(taught) == [("active", ADA)]
        assert (outcome.changed, waiting(taught)) == (True, ())

    @pytest.mark.parametrize(
        ("email", "verified"),
        [
            ("ada@example.com", False),
            ("eve@example.com", True),
            ("ada+course@example.com", True),
            ("a.da@example.com", True),
            ("adá@example.com", True),
            ("ada@еxample.com", True),
            (None, True),
            ("no address", True),
        ],
        ids=ascii,
    )
    def test_another_address(self, taught: School, email: str | None, *, verified: bool) -> None:
        """
        An address that isn't verified here, or is another, claims nothing: nobody takes what waits for a stranger.
        """
        self.sell(taught)
        taught.add(Pupil(id=ADA, email=email, email_verified=verified), link(linked_email="ada@example.com"))
        outcome = claim(taught)

        assert (states(taught), outcome.messages, waiting(taught)) == ([("pending", None)], (), ())

    def test_not_linked(self, taught: School) -> None:
        """
        An address alone claims nothing without a link.
        """
        self.sell(taught)
        taught.add(Pupil(id=ADA, email="ada@example.com", email_verified=True))

        assert (claim(taught).messages, waiting(taught)) == ((), ())

    def test_named_buyer(self, taught: School) -> None:
        """
        What it sold to a buyer whom it names is claimed by that buyer's link alone.
        """
        taught.grant(sale(1, buyer_user_id=STRANGER))
        taught.add(Pupil(id=ADA, email="ada@example.com", email_verified=True), link())
        claim(taught)

        assert states(taught) == [("pending", None)]

    def test_refunded(self, taught: School) -> None:
        """
        What it has taken back isn't claimed.
        """
        self.sell(taught)
        taught.revoke(refund(2, product_id=None))
        taught.add(Pupil(id=ADA, email="ada@example.com", email_verified=True), link())

        assert (claim(taught).messages, waiting(taught)) == ((), ())

    def test_all_in_turn(self, taught: School) -> None:
        """
        However many links there are, the address of each is looked up in as few minutes as there are full batches.
        """
        for number in range(5):
            user = f"user-{number}"
            taught.add(Pupil(id=user, email=f"{user}@example.com", email_verified=True), link(user, f"buyer-{number}"))
            taught.unlink(user, f"buyer-{number}")
            taught.grant(sale(1, purchase_id=f"pur_{number}", buyer_user_id=None, buyer_email=f"{user}@example.com"))
        with taught.database.session() as session:
            for number in range(5):
                session.get_one(AccountLink, f"link-user-{number}-buyer-{number}").unlinked_at = None
        found = {id_ for minute in range(3) for id_ in waiting(taught, 2, now=NOW + timedelta(minutes=minute))}

        assert len(found) == 5
        assert isinstance(taught.rows[0], Entitlement)

    def test_linked_before_the_sale(self, taught: School) -> None:
        """
        A sale to the address of somebody who is linked already opens at once.
        """
        taught.add(Pupil(id=ADA, email="Ada@example.com", email_verified=True), link())
        self.sell(taught)

        assert states(taught) == [("active", ADA)]
