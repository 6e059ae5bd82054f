"""
The tables of the ready simulated apps that both adapters share, apart from `SQLModel.metadata`: the app that is tested
may have its own under the same names.
"""

from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel, delete

from crossapp_core.tables import AccountLinkBase, AccountLinkTokenBase, CrossAppCursorBase
from crossapp_core.testing.simulation.places import Person

_APART: Any = registry()


class Apart(SQLModel, registry=_APART):
    """
    Base of the simulated apps' tables.
    """


METADATA: MetaData = Apart.metadata
"""All of them."""


class Human(Apart, table=True):
    """
    Somebody with an account.
    """

    __tablename__ = "human"  # pyright: ignore[reportAssignmentType]

    id: str = Field(primary_key=True)
    email: str
    email_verified: bool


class SignIn(Apart, table=True):
    """
    An account at an OAuth provider.
    """

    __tablename__ = "sign_in"  # pyright: ignore[reportAssignmentType]

    provider: str = Field(primary_key=True)
    provider_account_id: str = Field(primary_key=True)
    user_id: str = Field(primary_key=True)


class AccountLink(AccountLinkBase, Apart, table=True):
    """
    Two accounts that belong to one person.
    """

    __tablename__ = "AccountLink"  # pyright: ignore[reportAssignmentType]


class AccountLinkToken(AccountLinkTokenBase, Apart, table=True):
    """
    A link token that was used.
    """

    __tablename__ = "AccountLinkToken"  # pyright: ignore[reportAssignmentType]


class CrossAppCursor(CrossAppCursorBase, Apart, table=True):
    """
    What work that goes on across runs must remember.
    """

    __tablename__ = "CrossAppCursor"  # pyright: ignore[reportAssignmentType]


class PeopleInTables:
    """
    How the ready apps write down people: a mixin of `Host`.
    """

    app_id: str

    def add_user(self, session: Session, person: Person) -> str:
        """
        Open an account; each app has ids of its own.
        """
        id_ = f"{self.app_id}-{person.name}"
        session.merge(Human(id=id_, email=person.email, email_verified=person.is_verified))
        for provider, account in person.accounts:
            session.merge(SignIn(provider=provider, provider_account_id=account, user_id=id_))
        return id_

    def verify_user(self, session: Session, user_id: str) -> None:
        """
        Learn that the address is theirs.
        """
        human = session.get(Human, user_id)
        if human is not None:
            human.email_verified = True

    def delete_user(self, session: Session, user_id: str) -> None:
        """
        Close an account.
        """
        for model, column in ((SignIn, SignIn.user_id), (Human, Human.id)):
            session.exec(delete(model).where(column == user_id))  # type: ignore[arg-type]
