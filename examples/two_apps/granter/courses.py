"""
What the signed-in user may open.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

import crossapp_ah as ah
from examples.two_apps.granter import pages
from examples.two_apps.granter.models import Course
from examples.two_apps.sign_in.routes import SignIn
from examples.two_apps.sign_in.tables import UserBase


def router(engine: AsyncEngine, sign_in: SignIn) -> APIRouter:
    """
    The list of courses, and each course.
    """
    routes = APIRouter()

    @routes.get("/")
    async def index(request: Request) -> HTMLResponse:
        user = await sign_in.current_user(request)
        async with AsyncSession(engine) as session:
            courses = (await session.exec(select(Course).order_by(col(Course.title)))).all()
            listed = [(course, await _may_open(session, user, course)) for course in courses]
        return pages.index(listed, user)

    @routes.get("/courses/{course_id}")
    async def show(course_id: str, request: Request) -> HTMLResponse:
        user = await sign_in.current_user(request)
        async with AsyncSession(engine) as session:
            course = await session.get(Course, course_id)
            if course is None:
                return pages.unknown_course(user)
            if not await _may_open(session, user, course):
                return pages.locked(course, user)
        return pages.course(course, user)

    return routes


async def _may_open(session: AsyncSession, user: UserBase | None, course: Course) -> bool:
    # A school that sells courses itself asks here for its own purchases, too.
    return user is not None and await session.run_sync(ah.has_access, user.id, course.id)
