"""
Somebody with a browser, for the demo.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import Self

import httpx

from examples.two_apps.seller.sample import PASSWORD
from examples.two_apps.serving import Served

_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')
_TOLD = re.compile(r'role="status">([^<]*)<')


class Person:
    """
    Somebody who visits both apps with one browser.
    """

    def __init__(self, sites: Served) -> None:
        self._sites = sites
        self._browser = httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=30)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._browser.aclose()

    async def register(self, address: str) -> None:
        """
        Make an account at the school.
        """
        await self._browser.post(f"{self._sites.school_url}/register", data={"email": address, "password": PASSWORD})

    async def sign_in(self, site: str, address: str) -> None:
        """
        Sign in to one of the apps by password.
        """
        await self._browser.post(f"{site}/sign-in", data={"email": address, "password": PASSWORD})

    async def sign_in_with_github(self, account_id: str) -> None:
        """
        Sign in to the school with an account at GitHub.
        """
        there = await self._browser.post(f"{self._sites.school_url}/sign-in/github", data={"next": "/"})
        await self._browser.post(there.url, data={"person": account_id})

    async def link_from_shop(self) -> str:
        """
        Link both accounts, from the shop's page to the school's and back; what the shop says at the end.
        """
        page = await self._browser.get(f"{self._sites.shop_url}/account-link")
        asked = await self._browser.post(f"{self._sites.shop_url}/api/account-link/initiate", data=_fields(page))
        back = await self._browser.post(asked.url, data={**_fields(asked), "decision": "confirm"})
        told = _TOLD.search(back.text)
        return told[1] if told else f"{back.status_code} at {back.url.path}"

    async def open(self, course_id: str) -> int:
        """
        Open a course of the school; what it answers.
        """
        return (await self._browser.get(f"{self._sites.school_url}/courses/{course_id}")).status_code


def _fields(page: httpx.Response) -> dict[str, str]:
    return dict(_HIDDEN.findall(page.text))
