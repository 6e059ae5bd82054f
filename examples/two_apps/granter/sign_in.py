"""
A stand-in for real sign-in: whoever asks is whom they say, without a password.

It works only against an Inngest dev server. Before you deploy, put your own in its place: all that the pages need is
`current_user`.
"""

from __future__ import annotations

import hmac
import secrets
from http import HTTPStatus
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from examples.two_apps.granter import pages
from examples.two_apps.granter.models import User

_COOKIE = "demo_user"


class SignIn:
    """
    Who is signed in: a cookie with the user's id, signed with a key that lasts as long as the process.

    Args:
        engine: The school's database.
        enabled: Whether anybody can sign in; False in production.
    """

    def __init__(self, engine: AsyncEngine, *, enabled: bool) -> None:
        self._engine = engine
        self._key = secrets.token_bytes(32)
        self._enabled = enabled

    async def current_user(self, request: Request) -> User | None:
        """
        The user who sent a request; None if nobody is signed in.
        """
        user_id, _, signature = request.cookies.get(_COOKIE, "").rpartition(".")
        if not self._enabled or not hmac.compare_digest(signature.encode(), self._sign(user_id).encode()):
            return None
        async with AsyncSession(self._engine) as session:
            return await session.get(User, user_id)

    def router(self) -> APIRouter:
        """
        The page to sign in, and out.
        """
        routes = APIRouter()
        routes.get("/sign-in")(self._ask)
        if self._enabled:
            routes.post("/sign-in")(self._sign_in)
            routes.post("/sign-out")(self._sign_out)
        return routes

    async def _ask(self) -> HTMLResponse:
        if not self._enabled:
            return pages.respond(pages.no_sign_in())
        async with AsyncSession(self._engine) as session:
            users = (await session.exec(select(User).order_by(col(User.email)))).all()
        return pages.respond(pages.sign_in(users))

    async def _sign_in(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode(errors="replace"))
        async with AsyncSession(self._engine) as session:
            user = await session.get(User, form.get("user", [""])[0])
        response = RedirectResponse("/" if user else "/sign-in", HTTPStatus.SEE_OTHER)
        if user is not None:
            response.set_cookie(_COOKIE, f"{user.id}.{self._sign(user.id)}", httponly=True, samesite="lax")
        return response

    async def _sign_out(self) -> Response:
        response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        response.delete_cookie(_COOKIE)
        return response

    def _sign(self, user_id: str) -> str:
        return hmac.digest(self._key, user_id.encode(), "sha256").hex()
