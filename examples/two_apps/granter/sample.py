"""
Courses and people, for those who try the school out.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from examples.two_apps.granter.models import Course, User
from examples.two_apps.sign_in.passwords import hash_once

PASSWORD = "correct horse battery staple"  # noqa: S105 (in development only)
"""That of everybody here, in development."""
_PEOPLE = (
    ("member_ada", "Ada Lovelace", "ada@work.example"),
    ("member_grace", "Grace Hopper", "grace@example.com"),
)


async def fill(engine: AsyncEngine, *, dev: bool) -> None:
    """
    Write them, unless they are there already.

    Args:
        engine: The school's database.
        dev: Whether the people have a password, which everybody can read in `PASSWORD`.
    """
    password_hash = hash_once(PASSWORD) if dev else None
    async with AsyncSession(engine) as session, session.begin():
        if await session.get(User, "member_ada") is not None:
            return
        for user_id, name, address in _PEOPLE:
            user = User(id=user_id, name=name, email=address, email_verified=True, password_hash=password_hash)
            session.add(user)
        session.add(Course(id="course_evals", title="Evals", text="How to know that a prompt got better."))
        session.add(Course(id="course_agents", title="Agents", text="Loops that call tools, and when to stop them."))
