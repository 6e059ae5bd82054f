"""
A school where access means a role: hooks that give and take it, and that may fail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlmodel import Field, Session, SQLModel, select

import crossapp_ah as ah
from crossapp_ah.operations import hooks
from crossapp_core.outcomes import Outcome
from tests.ah.school import School, school
from tests.databases import Database
from tests.hosts import NOW


class SchoolRole(SQLModel, table=True):
    """
    That somebody has the role of a course.
    """

    __tablename__ = "school_role"

    user_id: str = Field(primary_key=True, max_length=64)
    product_id: str = Field(primary_key=True, max_length=64)


class BrokenHookError(Exception):
    """
    What a hook raises; its text is nobody's business.
    """


@dataclass
class Roles:
    """
    The hooks, and what they were called with.
    """

    calls: list[tuple[str, str]] = field(default_factory=list)
    """Which hook ran for which user, also if its transaction was rolled back."""
    accesses: list[ah.Access] = field(default_factory=list)
    broken: bool = False
    before: Callable[[], object] = lambda: None
    """Is called before each."""

    def enroll(self, session: Session, access: ah.Access) -> None:
        """
        Give the role.
        """
        self._called("active", access)
        session.merge(SchoolRole(user_id=access.user_id, product_id=access.product_id))
        self._fail(session)

    def expel(self, session: Session, access: ah.Access) -> None:
        """
        Take the role.
        """
        self._called("revoked", access)
        role = session.get(SchoolRole, (access.user_id, access.product_id))
        if role is not None:
            session.delete(role)
        self._fail(session)

    def _called(self, name: str, access: ah.Access) -> None:
        self.before()
        self.calls.append((name, access.user_id))
        self.accesses.append(access)

    def _fail(self, session: Session) -> None:
        session.flush()
        if self.broken:
            raise BrokenHookError("ada@example.com is unknown to the forum")


class SchoolOfRoles(School):
    """
    That school, by its operations alone.
    """

    roles: Roles

    def apply(self, entitlement_id: str) -> Outcome:
        """
        Run the hooks that are behind for an entitlement.
        """
        return self.do(hooks.apply, entitlement_id, now=NOW)  # type: ignore[arg-type]

    def apply_all(self) -> None:
        """
        Run all hooks that are behind.
        """
        for row in self.rows:
            self.apply(row.id)

    @property
    def given(self) -> set[tuple[str, str]]:
        """
        Who has which role.
        """
        with self.database.session() as session:
            return {(role.user_id, role.product_id) for role in session.exec(select(SchoolRole))}


def school_of_roles(database: Database, **options: Any) -> SchoolOfRoles:
    """
    A school whose hooks give and take roles.
    """
    roles = Roles()
    plain = school(database, on_active=roles.enroll, on_revoked=roles.expel, **options)
    made = SchoolOfRoles(plain.database, plain.granter)
    made.roles = roles
    return made
