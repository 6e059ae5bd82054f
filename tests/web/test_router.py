from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import fastapi
import pytest
from sqlalchemy import Engine, event

from crossapp_core import CrossAppConfigError, Settings
from crossapp_core.router import id_of
from tests.web.sites import INITIATE, SCHOOL, SCHOOL_URL, SHOP, SHOP_URL, World, peer_of


async def as_object() -> Any:
    return SimpleNamespace(id="ada", email="x")


def as_text() -> str:
    return "ada"


def by_yield() -> Iterator[Any]:
    yield SimpleNamespace(id="ada")


async def nobody() -> None:
    return None


def other_http_error() -> None:
    raise fastapi.HTTPException(418)


class TestCurrentUser:
    @pytest.mark.parametrize("user", [as_object, as_text, by_yield])
    async def test_forms(self, either: World, user: Any) -> None:
        """
        Whoever is signed in may be an object or an id, from a sync or an async dependency.
        """
        either.shop.build([peer_of(SCHOOL)], user=user)
        browser = either.browser()
        await browser.go(f"{SHOP_URL}/account-link")
        assert "as a…@shop.example" in browser.page.text

    async def test_nobody(self, either: World) -> None:
        """
        None is nobody; an error of the dependency's own is answered as FastAPI does.
        """
        either.shop.build([peer_of(SCHOOL)], user=nobody)
        browser = either.browser()
        await browser.go(f"{SHOP_URL}/account-link")
        assert browser.url == f"{SHOP_URL}/sign-in?next=/account-link"
        either.shop.build([peer_of(SCHOOL)], user=other_http_error)
        assert (await browser.go(f"{SHOP_URL}/account-link")).status_code == 418

    @pytest.mark.parametrize(
        ("user", "user_id"),
        [
            (None, None),
            ("a", "a"),
            (7, "7"),
            (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
            (SimpleNamespace(id=7), "7"),
            (SimpleNamespace(id=None), None),
        ],
    )
    def test_ids(self, user: object, user_id: str | None) -> None:
        """
        Ids are texts, numbers or UUIDs.
        """
        assert id_of(user) == user_id

    @pytest.mark.parametrize("user", [True, {"id": "a"}, object(), b"a", SimpleNamespace(id=[])])
    def test_no_ids(self, user: object) -> None:
        """
        What is no id is a mistake in the app, and isn't taken for somebody.
        """
        with pytest.raises(TypeError, match="current_user must return"):
            id_of(user)


class TestThreads:
    async def test_sync_engine_does_not_block(self, either: World) -> None:
        """
        With a sync engine no statement is executed in the event loop's thread.
        """
        engine = either.school.engine
        threads = set[int]()
        listened = engine if isinstance(engine, Engine) else engine.sync_engine

        def note(*_: object) -> None:
            threads.add(threading.get_ident())

        browser = await either.signed_in(shop="ada", school="ada-at-school")
        await browser.ask("POST", INITIATE, data={}, follow=False)
        url = browser.now.headers["location"]
        event.listen(listened, "before_cursor_execute", note)
        await browser.go(url)
        await browser.submit("confirm")
        await browser.go(f"{SCHOOL_URL}/account-link")
        await browser.submit()
        event.remove(listened, "before_cursor_execute", note)

        assert browser.url == f"{SCHOOL_URL}/account-link?account-link=unlinked"
        assert threads
        assert (threading.get_ident() in threads) == (not isinstance(engine, Engine))


class TestExtras:
    @pytest.mark.parametrize(
        ("missing", "told"),
        [("fastapi", "pip install 'crossapp-core[fastapi]'"), ("jinja2", "pip install 'crossapp-core[pages]'")],
    )
    async def test_missing(self, world: World, missing: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """
        Without the extra that is needed, the router says which.
        """
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(ImportError) as caught:
            world.shop.bridge.router(nobody)
        assert str(caught.value).endswith(told)

    @pytest.mark.parametrize("module", ["crossapp_core.linking", "crossapp_core.router", "crossapp_tt", "crossapp_ah"])
    def test_loaded_late(self, module: str) -> None:
        """
        Whoever doesn't use the pages loads neither FastAPI nor Jinja2.
        """
        code = f"import {module}, {module}, sys; print(sorted({{'fastapi', 'jinja2', 'starlette'}} & set(sys.modules)))"
        if module in ("crossapp_tt", "crossapp_ah"):
            code = f"from {module} import Bridge; {code}"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"


class TestSettings:
    async def test_no_secret(self, world: World) -> None:
        """
        Without any secret nobody could tell our forms from others', so the pages aren't made, and it is said why.
        """
        with pytest.raises(CrossAppConfigError, match="no peer has a secret"):
            world.shop.build([peer_of(SCHOOL, secret="", sketch=True)])

    def test_names(self) -> None:
        """
        What people call the app is its id, if nothing else is said, or what the environment says.
        """
        environ = {"B_INNGEST_EVENT_KEY": "k", "CROSS_APP_SECRET": "x" * 32}
        assert Settings.from_env("a", peers={"b": "B"}, environ=environ).display_name == "a"
        named = Settings.from_env("a", peers={"b": "B"}, environ={**environ, "CROSS_APP_NAME": "The A"})
        assert named.display_name == "The A"
        assert Settings("a", display_name="A") != Settings("a")
        assert hash(Settings("a", display_name="A")) != hash(Settings("a"))

    @pytest.mark.parametrize("name", ["a" * 101, "a\nb", "\x00"])
    def test_wrong_names(self, name: str) -> None:
        """
        A name that doesn't fit on a page is a configuration error that says which variable it is.
        """
        with pytest.raises(CrossAppConfigError, match=r"CROSS_APP_NAME\) must be at most 100 printable"):
            Settings(SHOP, display_name=name)
