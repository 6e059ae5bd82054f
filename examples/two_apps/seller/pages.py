"""
Serves the shop's one page.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from examples.two_apps.seller import storefront


def router(engine: AsyncEngine) -> APIRouter:
    """
    The page.
    """
    routes = APIRouter()

    @routes.get("/")
    async def index() -> HTMLResponse:
        async with AsyncSession(engine) as session:
            return HTMLResponse(await session.run_sync(storefront.page), headers=storefront.HEADERS)

    return routes
