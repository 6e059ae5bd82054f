"""
The school's own tables. Those of the bridge stand beside them in the same database.
"""

from sqlalchemy import Text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import Field, SQLModel

import crossapp_ah.models as crossapp
from examples.two_apps.sign_in.people import People
from examples.two_apps.sign_in.tables import AccountBase, UserBase


class User(UserBase, table=True):
    """
    Somebody with an account.
    """

    __tablename__ = "granter_user"  # pyright: ignore[reportAssignmentType]


class Account(AccountBase, table=True):
    """
    An account at an OAuth provider that a user signs in with.
    """

    __tablename__ = "granter_account"  # pyright: ignore[reportAssignmentType]

    user_id: str = Field(foreign_key="granter_user.id", index=True, max_length=64)


class Course(SQLModel, table=True):
    """
    What can be learnt here.
    """

    __tablename__ = "granter_course"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True, max_length=64)
    title: str = Field(max_length=200)
    text: str = Field(sa_type=Text)


PEOPLE = People(User, Account, prefix="member")

_MODELS: list[type[SQLModel]] = [
    *(User, Account, Course),
    *(crossapp.Entitlement, crossapp.CrossAppCursor, crossapp.AccountLink, crossapp.AccountLinkToken),
]


async def create_tables(engine: AsyncEngine) -> None:
    """
    Make the tables that aren't there yet; a real app has migrations instead.
    """
    # only ours: in the demo, another app's tables are in the same process
    tables = [SQLModel.metadata.tables[str(model.__tablename__)] for model in _MODELS]
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: SQLModel.metadata.create_all(sync, tables=tables))
