from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from examples.two_apps.granter.models import Course, User
from examples.two_apps.granter.sample import PASSWORD
from examples.two_apps.seller.models import Product
from examples.two_apps.sign_in.passwords import hash_once
from examples.two_apps.stripe_events import load
from examples.two_apps.together import Stack
from tests.databases import NAMES, open_database
from tests.examples.conftest import SHOPS, Apps
from tests.examples.rows import entitlements, ledger, purchases

COURSE = "/courses/course_evals"
ADA, GRACE = "ada@work.example", "grace@example.com"
SALE, EXPANDED, REFUND = "checkout.session.completed", "checkout.session.completed.expanded", "charge.refunded"


class TestSaleAndRefund:
    @pytest.fixture(params=SHOPS.values(), ids=list(SHOPS))
    def shop(self, request: pytest.FixtureRequest) -> Stack:
        """
        The shop in each of its forms.
        """
        stack: Stack = request.param
        return stack

    @pytest.fixture(params=NAMES)
    def engines(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
        """
        The databases of the shop and the school, on each server in turn.
        """
        kind = request.param
        with open_database(kind, tmp_path, "shop") as shop, open_database(kind, tmp_path, "school") as school:
            yield shop.engine, school.engine

    async def test_linked_buyer(self, apps: Apps) -> None:
        """
        What a linked buyer buys opens at the school, and is locked again when it is refunded.
        """
        assert (await apps.get(COURSE, user=ADA)).status_code == 403
        await apps.stripe(load(SALE))
        await apps.settle()
        [row], [entitlement] = ledger(apps.shop), entitlements(apps.school)
        assert (row.status, row.target_user_id, row.error_code) == ("synced", "member_ada", None)
        assert (entitlement.status, entitlement.user_id) == ("active", "member_ada")
        assert entitlement.source_version == row.version
        assert (await apps.get(COURSE, user=ADA)).status_code == 200
        await apps.stripe(load(REFUND))
        await apps.settle()
        [row], [entitlement] = ledger(apps.shop), entitlements(apps.school)
        assert (row.status, entitlement.status) == ("revoked", "revoked")
        assert (await apps.get(COURSE, user=ADA)).status_code == 403

    async def test_unknown_buyer(self, apps: Apps) -> None:
        """
        What a guest buys waits, also if somebody at the school has the same address, until it is refunded.
        """
        await apps.stripe(load(EXPANDED))
        await apps.settle()
        [row], [entitlement] = ledger(apps.shop), entitlements(apps.school)
        assert (row.status, row.target_user_id) == ("synced", None)
        assert (entitlement.status, entitlement.user_id) == ("pending", None)
        assert entitlement.pending_for_email == "grace@example.com"
        assert (await apps.get(COURSE, user=GRACE)).status_code == 403
        charge, payment = purchases(apps.shop)[0].charge_id, purchases(apps.shop)[0].payment_intent_id
        await apps.stripe(load(REFUND, id=charge, payment_intent=payment))
        await apps.settle()
        assert [row.status for row in ledger(apps.shop)] == ["revoked"]
        assert [entitlement.status for entitlement in entitlements(apps.school)] == ["revoked"]


class TestPages:
    async def test_list_before_and_after(self, apps: Apps) -> None:
        """
        The list of courses has links to those that the signed-in user may open.
        """
        before = (await apps.get("/", user=ADA)).text
        await apps.stripe(load(SALE))
        await apps.settle()
        after = (await apps.get("/", user=ADA)).text
        assert (before.count("not yours yet"), after.count("not yours yet")) == (2, 1)
        assert f'<a href="{COURSE}">Evals</a>' not in before
        assert f'<a href="{COURSE}">Evals</a>' in after

    async def test_open_course(self, apps: Apps) -> None:
        """
        An open course shows what is in it, to nobody but its owner.
        """
        await apps.stripe(load(SALE))
        await apps.settle()
        pages = {user: await apps.get(COURSE, user=user) for user in (ADA, GRACE, None)}
        assert [page.status_code for page in pages.values()] == [200, 403, 403]
        assert ["got better" in page.text for page in pages.values()] == [True, False, False]

    async def test_locked_course(self, apps: Apps) -> None:
        """
        A locked course is a page for people, not an error for machines, and says what to do.
        """
        page = await apps.get(COURSE, user=GRACE)
        assert page.status_code == 403
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "<h1>“Evals” is locked</h1>" in page.text
        assert "You don’t have this course." in page.text
        assert "Sign in to open" in (await apps.get(COURSE, user=None)).text

    async def test_unknown_course(self, apps: Apps) -> None:
        """
        A course that there isn't is a page with 404.
        """
        page = await apps.get("/courses/%3Cb%3E", user=ADA)
        assert (page.status_code, "No such course" in page.text) == (404, True)
        assert "<b>" not in page.text

    async def test_text_from_people_is_escaped(self, apps: Apps) -> None:
        """
        An address or a title with HTML in it is shown as it is, and does nothing.
        """
        evil = '"<script>alert(1)</script>"@example.com'
        with Session(apps.school) as session, session.begin():
            session.add(User(id='"><b>', email=evil, name="<i>", password_hash=hash_once(PASSWORD)))
            session.add(Course(id='"><b>', title="<i>Titles</i> & more", text="<i>"))
        for path in ("/", "/sign-in", "/account", COURSE, "/courses/%22%3E%3Cb%3E"):
            text = (await apps.get(path, user=evil)).text
            assert "<script>" not in text
            assert "<i>" not in text
            assert "<b>" not in text
        text = (await apps.get("/", user=evil)).text
        assert "&quot;&lt;script&gt;alert(1)&lt;/script&gt;&quot;@example.com" in text
        assert "&lt;i&gt;Titles&lt;/i&gt; &amp; more" in text

    async def test_shop_lists_what_is_for_sale(self, apps: Apps) -> None:
        """
        The shop's page shows names and prices, escaped.
        """
        with Session(apps.shop) as session, session.begin():
            session.add(Product(id="prod_evil", name="<i>Sale</i>", price=123_450))
        page = await apps.both.shop.client.get("/")
        assert (page.status_code, "<i>" in page.text) == (200, False)
        for text in ("Advanced Types</span> <span>$99.00", "&lt;i&gt;Sale&lt;/i&gt;</span> <span>$1,234.50"):
            assert text in page.text

    async def test_pages_load_nothing_from_elsewhere(self, apps: Apps) -> None:
        """
        The pages forbid scripts, and no cache keeps what one person may open.
        """
        page = await apps.get("/", user=ADA)
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert page.headers["cache-control"] == "no-store"
