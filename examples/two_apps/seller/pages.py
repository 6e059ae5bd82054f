"""
Serves the shop's pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from examples.two_apps.seller import storefront
from examples.two_apps.sign_in import forms
from examples.two_apps.sign_in.routes import SignIn
from examples.two_apps.sign_in.tables import UserBase


def router(engine: AsyncEngine, sign_in: SignIn) -> APIRouter:
    """
    What is for sale.
    """
    routes = APIRouter()

    @routes.get("/")
    async def index(request: Request) -> HTMLResponse:
        user = await sign_in.current_user(request)
        async with AsyncSession(engine) as session:
            return show("For sale", await session.run_sync(storefront.for_sale), user)

    return routes


def show(
    title: str,
    content: str,
    user: UserBase | None,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    form_targets: Sequence[str] = (),
) -> HTMLResponse:
    """
    Answer with a page.

    Args:
        title: Its heading.
        content: What stands below it, as HTML.
        user: Who is signed in.
        status: The answer's status.
        form_targets: Other origins that its forms may lead to, directly or by redirects.
    """
    return HTMLResponse(storefront.page(title, content, forms.corner(user)), status, storefront.headers(form_targets))
