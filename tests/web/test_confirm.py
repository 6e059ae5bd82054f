from __future__ import annotations

import asyncio
import json
import logging
from base64 import urlsafe_b64decode
from datetime import timedelta

import pytest
from sqlmodel import SQLModel

from crossapp_core import Settings, tokens
from tests.hosts import NOW, SECRET
from tests.web.browser import FORM_HEADERS, Browser
from tests.web.sites import CONFIRM, SCHOOL, SCHOOL_URL, SHOP_URL, World, peer_of, sign_in

COOKIE = "crossapp-link-ai-hero"
DECISION = {"decision": "confirm"}


def cookie_of(browser: Browser) -> str | None:
    """
    The cookie that the school has given a browser.
    """
    return browser.http.cookies.get(COOKIE)


def nothing_happened(world: World) -> None:
    """
    Neither a link nor a used token is in the databases, and nothing was sent.
    """
    assert (world.shop.links(), world.school.links()) == ([], [])
    assert (world.shop.used(), world.school.used()) == (0, 0)
    assert [*world.shop.environment.log.received, *world.school.environment.log.received] == []


def shop_settings(secret: str = SECRET) -> Settings:
    """
    The shop's settings, for tokens that its bridge wouldn't make.
    """
    return Settings("total-typescript", [peer_of(SCHOOL, secret=secret)], dev=True)


class TestTakingOver:
    async def test_token_leaves_the_url(self, world: World) -> None:
        """
        The token is gone after one redirect: it is neither in the next URL, nor in any page, nor in the cookie.
        """
        token = await world.token(world.shop)
        browser = await world.signed_in(school="ada-at-school")
        first = await browser.go(f"{CONFIRM}?token={token}", follow=False)

        assert (first.status_code, first.headers["location"], first.content) == (303, "/account-link/confirm", b"")
        await browser.go(CONFIRM)
        await browser.submit("confirm")
        for answer in browser.visited[browser.visited.index(first) :]:
            seen = [answer.text, *answer.headers.values()]
            assert not any(part in text for part in token.split(".")[1:] for text in seen)

    async def test_cookie(self, world: World) -> None:
        """
        The cookie is for ten minutes, for these pages alone, out of reach of scripts and of other sites' forms.
        """
        browser = world.browser()
        answer = await browser.go(f"{CONFIRM}?token={await world.token(world.shop)}", follow=False)
        [cookie] = answer.headers.get_list("set-cookie")
        value, *attributes = cookie.split("; ")

        assert value.startswith(f"{COOKIE}=")
        assert attributes == ["Max-Age=600", "Path=/account-link", "HttpOnly", "SameSite=Lax"]

    async def test_secure_cookie(self, world: World) -> None:
        """
        In production the cookie goes over https alone, and its name says so.
        """
        world.school.build(
            [peer_of("total-typescript", base_url="https://a.example", web_url="https://b.example")], dev=False
        )
        answer = await world.browser().go(f"{CONFIRM}?token={await world.token(world.shop)}", follow=False)
        [cookie] = answer.headers.get_list("set-cookie")
        assert cookie.startswith(f"__Secure-{COOKIE}=")
        assert cookie.endswith("; Path=/account-link; HttpOnly; SameSite=Lax; Secure")

    async def test_largest_cookie(self, world: World) -> None:
        """
        However much a token says, browsers can keep it: a cookie may have 4096 bytes.
        """
        token = tokens.issue(
            shop_settings(),
            SCHOOL,
            user_id="\U0001f600" * 191,
            email=f"{'é' * 64}@{'.'.join(['d' * 60] * 2)}.example",
            return_to="/" + "a" * 1999,
            id="x" * 191,
            now=world.local.clock(),
        )
        answer = await world.browser().go(f"{CONFIRM}?token={token}", follow=False)
        assert answer.status_code == 303
        assert len(answer.headers["set-cookie"]) < 4096

    @pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "x" * 50_000, "a.b.c&token=a.b.c", "%00"])
    async def test_bad_token(self, world: World, token: str) -> None:
        """
        What is no token leads to a page that says so, and no cookie is set or taken away.
        """
        browser = await world.asked()
        answer = await browser.go(f"{CONFIRM}?token={token}")

        assert answer.status_code == 400
        assert "set-cookie" not in answer.headers
        assert browser.page.headings == ["This link doesn’t work"]
        assert "Start again from Total TypeScript." in browser.page.text
        assert browser.page.links == [f"{SHOP_URL}/?account-link=failed"]
        assert (await browser.go(CONFIRM)).status_code == 200

    async def test_two_tokens(self, world: World) -> None:
        """
        A URL with two tokens is none of ours, be they right.
        """
        token = await world.token(world.shop)
        browser = await world.signed_in(school="ada-at-school")
        assert (await browser.go(f"{CONFIRM}?token={token}&token={token}")).status_code == 400

    async def test_expired_token(self, world: World) -> None:
        """
        A token that has expired before it is opened says so, and where to go.
        """
        token = await world.token(world.shop)
        world.local.clock.advance(timedelta(minutes=11))
        browser = world.browser()
        assert (await browser.go(f"{CONFIRM}?token={token}")).status_code == 400
        assert browser.page.headings == ["This link has expired"]

    async def test_secret_is_rotated(self, world: World) -> None:
        """
        A token under the previous secret is taken while both hold, and not when the old one is gone; a page that was
        opened in time stays good for its few minutes.
        """
        new = "the secret that comes after the first one"
        world.school.build([peer_of("total-typescript", secret=new, previous_secret=SECRET)])
        browser = await world.asked()
        token = await world.token(world.shop)
        assert browser.now.status_code == 200
        world.school.build([peer_of("total-typescript", secret=new)])

        assert (await browser.go(f"{CONFIRM}?token={token}")).status_code == 400
        await browser.go(CONFIRM)
        await browser.submit("confirm")
        assert world.school.links() == [("ada-at-school", "ada", "explicit")]

    async def test_page_outlives_the_rotation(self, world: World) -> None:
        """
        A page that was opened under the old secret can be sent while that still holds.
        """
        browser = await world.asked()
        world.school.build([peer_of("total-typescript", secret="n" * 40, previous_secret=SECRET)])
        await browser.submit("confirm")
        assert browser.url == f"{SHOP_URL}/?account-link=linked"


class TestQuestion:
    async def test_names_both_accounts(self, world: World) -> None:
        """
        The page names both apps and both accounts, in part, and says what linking does and that the addresses differ.
        """
        browser = await world.asked()
        page = browser.page

        assert browser.now.status_code == 200
        assert page.headings == ["Are both accounts yours?"]
        assert "Account at Total TypeScript a…@shop.example" in page.text
        assert "Account at AI Hero, signed in here a…@school.example" in page.text
        assert "What you buy at Total TypeScript then opens at AI Hero for a…@school.example." in page.text
        assert "The two addresses differ." in page.text
        assert "ada@" not in browser.now.text
        assert page.forms[0].buttons == [("decision", "confirm"), ("decision", "decline")]

    async def test_other_direction(self, world: World) -> None:
        """
        Asked in the shop, the page says the same of what is bought there.
        """
        token = await world.token(world.school, "ada-at-school")
        browser = await world.signed_in(shop="ada")
        await browser.go(f"{SHOP_URL}/account-link/confirm?token={token}")
        assert "What you buy at Total TypeScript then opens at AI Hero for a…@school.example." in browser.page.text

    async def test_same_address(self, world: World) -> None:
        """
        Nothing is said of addresses that are the same, however they are written.
        """
        world.school.add("ada-2", " Ada@SHOP.example ")
        browser = await world.asked(school="ada-2")
        assert "differ" not in browser.page.text

    async def test_no_addresses(self, world: World) -> None:
        """
        Where there is no address the name stands, and where there is no name the id; an address that isn't verified
        doesn't leave its app.
        """
        world.shop.add("carol", "carol@shop.example", email_verified=False, name="Carol")
        world.school.add("carol-at-school", None, name="Carol C.")
        text = (await world.asked("carol", "carol-at-school")).page.text
        assert "Account at Total TypeScript carol" in text
        assert "Account at AI Hero, signed in here Carol C." in text
        assert "differ" not in text

    async def test_nothing_is_run(self, world: World) -> None:
        """
        Names and addresses that are HTML are shown as they are, in the page and in its attributes.
        """
        evil = '"><script>alert(1)</script>{{7*7}}{here}'
        world.school.add("evil", None, name=evil)
        world.shop.add("<img src=x onerror=alert(1)>", '"<svg/onload=alert(1)>"@shop.example', email_verified=False)
        browser = await world.asked("<img src=x onerror=alert(1)>", "evil")

        assert browser.now.status_code == 200
        assert {tag for tag, _ in browser.page.tags}.isdisjoint({"script", "img", "svg"})
        assert evil in browser.page.text
        assert "<img src=x onerror=alert(1)>" in browser.page.text

    async def test_not_signed_in(self, world: World) -> None:
        """
        Who isn't signed in does so first, and comes back to the clean URL.
        """
        browser = world.browser()
        await browser.go(f"{CONFIRM}?token={await world.token(world.shop)}")
        assert browser.url == f"{SCHOOL_URL}/sign-in?next=/account-link/confirm"
        await browser.submit(user="ada-at-school")
        assert browser.page.headings == ["Are both accounts yours?"]

    async def test_linked_already(self, world: World) -> None:
        """
        The page says that just these accounts are linked; confirming it is success, and changes nothing.
        """
        await world.link()
        before = (world.shop.links(), world.school.links())
        browser = await world.asked()
        assert "These two accounts are linked already." in browser.page.text
        await browser.submit("confirm")
        assert browser.url == f"{SHOP_URL}/?account-link=linked"
        assert (world.shop.links(), world.school.links()) == before

    async def test_our_account_is_taken(self, world: World) -> None:
        """
        Where the account here is linked with another one, the page says so and what to do, and has no button.
        """
        await world.link()
        browser = await world.asked("bob", "ada-at-school")
        assert browser.now.status_code == 409
        assert browser.page.headings == ["The accounts can’t be linked"]
        assert "Your account at AI Hero (a…@school.example) is linked with another account" in browser.page.text
        assert browser.page.links == ["/account-link", f"{SHOP_URL}/?account-link=failed"]
        assert browser.page.forms == []

    async def test_their_account_is_taken(self, world: World) -> None:
        """
        So it is where the account in the peer is linked with another one here.
        """
        await world.link()
        browser = await world.asked("ada", "bob-at-school")
        assert browser.now.status_code == 409
        assert "The account at Total TypeScript (a…@shop.example) is linked with another account" in browser.page.text

    async def test_nothing_to_ask(self, world: World) -> None:
        """
        Without a link to confirm the page says that it is an old one.
        """
        browser = await world.signed_in(school="ada-at-school")
        assert (await browser.go(CONFIRM)).status_code == 400
        assert browser.page.headings == ["This page is out of date"]
        assert browser.page.links == [f"{SHOP_URL}/?account-link=failed"]


class TestForms:
    @pytest.mark.parametrize("csrf", [None, "", "x", "a.b.c"])
    async def test_without_our_token(self, world: World, csrf: str | None) -> None:
        """
        A form without the page's own token changes nothing, and the page can be opened again and sent.
        """
        browser = await world.asked()
        answer = await browser.submit("confirm", csrf=csrf)
        assert answer.status_code == 403
        assert browser.page.links == ["/account-link/confirm"]
        nothing_happened(world)

        await browser.go(CONFIRM)
        await browser.submit("confirm")
        assert world.school.links() == [("ada-at-school", "ada", "explicit")]

    async def test_other_sites(self, world: World) -> None:
        """
        A form that another site has sent changes nothing, whatever it holds.
        """
        browser = await world.asked()
        data = {**browser.page.forms[0].fields, **DECISION}
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
            assert (await browser.ask("POST", CONFIRM, data=data, headers=headers)).status_code == 403
        nothing_happened(world)

    @pytest.mark.parametrize("decision", ["", "yes", None])
    async def test_no_decision(self, world: World, decision: str | None) -> None:
        """
        Neither button pressed is no decision.
        """
        browser = await world.asked()
        assert (await browser.submit(decision=decision)).status_code == 422
        nothing_happened(world)

    async def test_somebody_else_signed_in_meanwhile(self, world: World) -> None:
        """
        A page that was made for one person can't be sent as another: who is signed in must have seen it.
        """
        browser = await world.asked()
        page = browser.now
        await sign_in(browser, SCHOOL_URL, "bob-at-school")
        browser.visited.append(page)
        answer = await browser.submit("confirm")

        assert answer.status_code == 400
        assert browser.page.headings == ["This page is out of date"]
        nothing_happened(world)
        await browser.go(CONFIRM)
        assert "signed in here b…@school.example" in browser.page.text

    async def test_opened_before_signing_in(self, world: World) -> None:
        """
        A link that was opened by nobody yet is confirmed by nobody: a form can't be had before signing in, and none
        that was made in another browser counts.
        """
        attacker = await world.asked("bob", "bob-at-school")
        victim = world.browser()
        await victim.go(f"{CONFIRM}?token={await world.token(world.shop)}")
        await sign_in(victim, SCHOOL_URL, "bob-at-school")
        data = {**attacker.page.forms[0].fields, **DECISION}
        answer = await victim.ask("POST", CONFIRM, data=data, headers=FORM_HEADERS)
        assert answer.status_code == 400
        nothing_happened(world)

    async def test_cookie_of_another_browser(self, world: World) -> None:
        """
        A page counts only in the browser that it was made for, even for the same person and the same token.
        """
        token = await world.token(world.shop)
        one, other = [await world.signed_in(school="ada-at-school") for _ in range(2)]
        await one.go(f"{CONFIRM}?token={token}")
        await other.go(f"{CONFIRM}?token={token}")
        data = {**one.page.forms[0].fields, **DECISION}
        answer = await other.ask("POST", CONFIRM, data=data, headers=FORM_HEADERS)
        assert answer.status_code == 400
        nothing_happened(world)

    async def test_older_tab(self, world: World) -> None:
        """
        Of two links opened in one browser the later one counts, and the page of the first can't confirm it.
        """
        browser = await world.asked()
        old = browser.now
        await browser.go(f"{CONFIRM}?token={await world.token(world.shop, 'bob')}")
        new = browser.now
        browser.visited.append(old)
        assert (await browser.submit("confirm")).status_code == 400
        nothing_happened(world)
        browser.visited.append(new)
        await browser.submit("confirm")
        assert world.school.links() == [("ada-at-school", "bob", "explicit")]

    async def test_signed_out_meanwhile(self, world: World) -> None:
        """
        Who has signed out before sending the form signs in again, and is asked again.
        """
        browser = await world.asked()
        browser.http.cookies.delete("session", domain="school.example")
        await browser.submit("confirm")
        assert browser.url == f"{SCHOOL_URL}/sign-in?next=/account-link/confirm"
        nothing_happened(world)

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS"])
    async def test_other_methods(self, world: World, method: str) -> None:
        """
        Nothing but a form confirms, and no other method is answered.
        """
        browser = await world.asked()
        data = {**browser.page.forms[0].fields, **DECISION}
        answer = await browser.ask(method, CONFIRM, data=data)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
        assert len(browser.page.headings) == 1
        nothing_happened(world)

    async def test_head(self, world: World) -> None:
        """
        HEAD is answered as GET is, without a body, and like GET confirms nothing, whatever the URL says.
        """
        browser = await world.asked()
        fields = browser.page.forms[0].fields
        for method in ("GET", "HEAD"):
            answer = await browser.ask(method, CONFIRM, params={**fields, **DECISION})
            assert answer.status_code == 200
        assert answer.content == b""
        nothing_happened(world)

    async def test_huge_form(self, world: World) -> None:
        """
        A form of more than 64 kB is refused.
        """
        browser = await world.asked()
        assert (await browser.submit("confirm", more="x" * 65_536)).status_code == 413
        nothing_happened(world)


class TestCookies:
    @pytest.mark.parametrize(
        "change", ["", "x", "a.b.c", "{}x", "{}.x", "flipped", "unsigned", "é", "x" * 10_000, "other-app", "token"]
    )
    async def test_tampered(self, world: World, change: str) -> None:
        """
        A cookie that isn't just what we set counts for nothing: not one that was changed or is unsigned, none of the
        other app, and no link token itself.
        """
        browser = await world.asked()
        value = cookie_of(browser) or ""
        header, content, signature = value.split(".")
        other = await world.signed_in(shop="ada")
        token = await world.token(world.school, "ada-at-school")
        await other.go(f"{SHOP_URL}/account-link/confirm?token={token}")
        changed = {
            "flipped": f"{header}.{content[:-4]}{content[-4:].swapcase()}.{signature}",
            "unsigned": f"eyJhbGciOiJub25lIn0.{content}.",
            "other-app": other.http.cookies.get("crossapp-link-total-typescript") or "",
            "token": await world.token(world.shop),
        }.get(change, change.format(value))
        browser.http.cookies.delete(COOKIE, domain="school.example", path="/account-link")
        cookies = f"session=ada-at-school; {COOKIE}={changed}".encode()
        answer = await browser.http.get(CONFIRM, headers=[(b"cookie", cookies)])
        assert answer.status_code == 400
        assert "This page is out of date" in answer.text

    async def test_form_token_is_no_cookie(self, world: World) -> None:
        """
        What was signed for a form is no cookie, though the same app has signed it.
        """
        browser = await world.asked()
        csrf = browser.page.forms[0].fields["csrf"]
        answer = await world.browser().http.get(CONFIRM, headers={"cookie": f"session=ada-at-school; {COOKIE}={csrf}"})
        assert answer.status_code == 400

    async def test_several(self, world: World) -> None:
        """
        Of several cookies of the name those of others count for nothing, but two of ours are one too many: nobody knows
        which of the two was looked at.
        """
        browser = await world.asked()
        ours = cookie_of(browser)
        second = cookie_of(await world.asked("bob"))
        http = world.browser().http

        async def status(*values: str | None) -> int:
            cookies = "; ".join(f"{COOKIE}={value}" for value in values)
            return (await http.get(CONFIRM, headers={"cookie": f"session=ada-at-school; {cookies}"})).status_code

        assert await status(ours) == 200
        assert await status(ours, ours) == 200
        assert await status("x", ours) == 200
        assert await status(ours, "x") == 200
        assert await status(ours, second) == 400
        assert await status(second, ours) == 400

    async def test_says_what_the_token_says(self, world: World) -> None:
        """
        The cookie holds what the page needs of the token, and a nonce of this browser's own.
        """
        one, other = [cookie_of(await world.asked(return_to="/settings")) or "" for _ in range(2)]
        first, second = [json.loads(urlsafe_b64decode(f"{cookie.split('.')[1]}==")) for cookie in (one, other)]
        assert first["return_to"] == "/settings"
        assert first["nonce"] != second["nonce"]
        assert len(first["nonce"]) == 32

    async def test_forgotten_when_done(self, world: World) -> None:
        """
        The cookie goes when the person has decided.
        """
        for decision in ("decline", "confirm"):
            browser = await world.asked()
            assert cookie_of(browser)
            await browser.submit(decision)
            assert cookie_of(browser) is None


class TestOnce:
    async def test_replayed(self, world: World) -> None:
        """
        A token that was used shows no question again, and says so; the link stays as it is.
        """
        token = await world.token(world.shop)
        browser = await world.signed_in(school="ada-at-school")
        await browser.go(f"{CONFIRM}?token={token}")
        await browser.submit("confirm")
        before = world.school.links()
        await browser.go(f"{CONFIRM}?token={token}")

        assert browser.now.status_code == 400
        assert browser.page.headings == ["This link was used already"]
        assert "The two accounts are linked." in browser.page.text
        assert browser.page.links == [f"{SHOP_URL}/?account-link=linked"]
        assert world.school.links() == before
        assert cookie_of(browser) is None

    async def test_replayed_by_another(self, world: World) -> None:
        """
        Another person with the same token learns that it was used, and nothing of the link.
        """
        token = await world.token(world.shop)
        first = await world.signed_in(school="ada-at-school")
        second = await world.signed_in(school="bob-at-school")
        await first.go(f"{CONFIRM}?token={token}")
        await second.go(f"{CONFIRM}?token={token}")
        await first.submit("confirm")
        await second.submit("confirm")

        assert second.now.status_code == 400
        assert second.page.headings == ["This link was used already"]
        assert second.page.links == [f"{SHOP_URL}/?account-link=failed"]
        assert world.school.links() == [("ada-at-school", "ada", "explicit")]

    async def test_pressed_twice(self, either: World) -> None:
        """
        Of two forms that are sent at once one links, and the other says that the link was used and the accounts are
        linked; both lead back.
        """
        browser = await either.asked()
        data = {**browser.page.forms[0].fields, **DECISION}
        answers = await asyncio.gather(*(browser.http.post(CONFIRM, data=data, headers=FORM_HEADERS) for _ in range(2)))
        done, late = sorted(answers, key=lambda answer: answer.status_code)
        assert (done.status_code, late.status_code) == (303, 400)
        assert done.headers["location"] == f"{SHOP_URL}/?account-link=linked"
        assert f'href="{SHOP_URL}/?account-link=linked"' in late.text
        assert either.school.used() == 1
        assert either.school.links() == [("ada-at-school", "ada", "explicit")]

    async def test_after_unlinking(self, world: World) -> None:
        """
        A token that was used doesn't link again what was unlinked since.
        """
        token = await world.token(world.shop)
        browser = await world.signed_in(school="ada-at-school")
        await browser.go(f"{CONFIRM}?token={token}")
        page, cookie = browser.now, cookie_of(browser)
        await browser.submit("confirm")
        await world.school.bridge.linking.unlink("ada-at-school", "total-typescript")
        browser.http.cookies.set(COOKIE, cookie or "", domain="school.example", path="/account-link")
        browser.visited.append(page)
        await browser.submit("confirm")

        assert browser.now.status_code == 400
        assert browser.page.links == [f"{SHOP_URL}/?account-link=failed"]
        assert world.school.links() == []

    async def test_expires_while_the_page_is_open(self, world: World) -> None:
        """
        A page that was open too long says that the link has expired, and leads back to where it began.
        """
        browser = await world.asked(return_to="/settings")
        world.local.clock.advance(timedelta(minutes=10, seconds=29))
        assert (await browser.go(CONFIRM)).status_code == 200
        world.local.clock.advance(timedelta(seconds=1))
        answer = await browser.submit("confirm")
        assert answer.status_code == 400
        assert browser.page.headings == ["This link has expired"]
        assert browser.page.links == [f"{SHOP_URL}/settings?account-link=failed"]
        nothing_happened(world)
        assert cookie_of(browser) is None

    async def test_taken_while_the_page_is_open(self, world: World) -> None:
        """
        An account that was linked with another one while the page was open is told on a page.
        """
        late = await world.asked("bob", "ada-at-school")
        await world.link()
        answer = await late.submit("confirm")
        assert answer.status_code == 409
        assert late.page.headings == ["The accounts can’t be linked"]
        assert late.page.links == ["/account-link", f"{SHOP_URL}/?account-link=failed"]
        assert world.school.links() == [("ada-at-school", "ada", "explicit")]

    async def test_user_is_gone(self, world: World) -> None:
        """
        Somebody whose account was deleted meanwhile, or before, is told so and linked with nobody.
        """
        browser = await world.asked()
        world.school.delete("ada-at-school")
        answer = await browser.submit("confirm")
        assert answer.status_code == 400
        assert browser.page.headings == ["This account is gone"]
        assert (await browser.go(CONFIRM)).status_code == 400
        nothing_happened(world)


class TestFailure:
    async def test_database(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        Where the database doesn't do it, the person is told to try again later, can do so, and the log says what was
        wrong.
        """
        browser = await world.asked()
        page = browser.now
        table = SQLModel.metadata.tables["AccountLinkToken"]
        table.drop(world.school.database.engine)
        answer = await browser.submit("confirm")
        assert answer.status_code == 503
        assert browser.page.headings == ["That didn’t work"]
        assert browser.page.links == ["/account-link/confirm"]
        assert "crossapp_core.web.answers" in {each.name for each in caplog.records if each.levelname == "ERROR"}
        assert "ada" not in caplog.text

        table.create(world.school.database.engine)
        browser.visited.append(page)
        await browser.submit("confirm")
        assert browser.url == f"{SHOP_URL}/?account-link=linked"


class TestLog:
    async def test_codes_alone(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        """
        What was refused stands in the log by its code: at a higher level what looks like forgery or a wrong secret, and
        never with a token, an address or an id.
        """
        caplog.set_level(logging.INFO, "crossapp_core")
        good = await world.token(world.shop)
        forged = tokens.issue(shop_settings("f" * 40), SCHOOL, user_id="ada", id="i" * 20, now=NOW)
        browser = await world.signed_in(school="ada-at-school")
        await browser.go(f"{CONFIRM}?token={forged}")
        await browser.go(f"{CONFIRM}?token={good}")
        await browser.submit("confirm", csrf="x")
        await browser.go(CONFIRM)
        await browser.submit("confirm")
        await browser.go(f"{CONFIRM}?token={good}")

        told = [(r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith("crossapp_core.web")]
        assert told == [
            ("WARNING", "a link token was refused: key"),
            ("INFO", "a request to link accounts was refused: csrf"),
            ("INFO", "a link token was refused: replayed"),
        ]
        for secret in (*good.split("."), *forged.split("."), "ada@", "ada-at"):
            assert secret not in "".join(message for _, message in told)
