"""
Tables as an app may have them already: with ids of other kinds, and with columns that it requires.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Field, SQLModel

import crossapp_ah as ah
from crossapp_core.columns import UtcDateTime
from crossapp_core.tables import AccountLinkBase


class SchoolCourse(SQLModel, table=True):
    """
    A product that is numbered.
    """

    __tablename__ = "school_course"

    id: int | None = Field(default=None, primary_key=True)


class SchoolGrant(ah.CrossAppEntitlementMixin, table=True):
    """
    The school's own table of who may use what, extended: most of its rows were never another app's.
    """

    __tablename__ = "school_grant"

    id: int | None = Field(default=None, primary_key=True)
    user_id: UUID | None = Field(default=None, sa_column_kwargs={"name": "userId"})  # type: ignore[assignment]
    product_id: int | None = Field(  # type: ignore[assignment]
        default=None, foreign_key="school_course.id", sa_column_kwargs={"name": "productId"}
    )
    branch: str = Field(max_length=64)
    lessons: int = 3
    made_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=False, sa_column_kwargs={"server_default": func.now()}
    )


class SchoolSeat(ah.EntitlementBase, table=True):
    """
    Our columns under the school's own name, and one that it requires.
    """

    __tablename__ = "school_seat"

    branch: str = Field(max_length=64)


class SchoolLink(AccountLinkBase, table=True):
    """
    Links under the school's own name.
    """

    __tablename__ = "school_link"
