"""
Courses and people, for those who try the school out.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from crossapp_ah.models import AccountLink
from examples.two_apps.granter.models import Course, User


async def fill(engine: AsyncEngine) -> None:
    """
    Write them, unless they are there already.
    """
    async with AsyncSession(engine) as session, session.begin():
        if await session.get(User, "member_ada") is not None:
            return
        session.add(User(id="member_ada", email="ada@work.example"))
        session.add(User(id="member_grace", email="grace@example.com"))
        session.add(Course(id="course_evals", title="Evals", text="How to know that a prompt got better."))
        session.add(Course(id="course_agents", title="Agents", text="Loops that call tools, and when to stop them."))
        # as if Ada had confirmed that both accounts are hers; the shop's database says the same
        session.add(
            AccountLink(
                id="link_ada",
                user_id="member_ada",
                linked_app="total-typescript",
                linked_user_id="usr_ada",
                link_method="explicit",
                linked_at=datetime.now(UTC),
                version=3,
                acknowledged_version=3,
            )
        )
