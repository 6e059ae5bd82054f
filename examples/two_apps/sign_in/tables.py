"""
The tables that signing in needs; each app gives them their names.
"""

from sqlmodel import Field, SQLModel


class UserBase(SQLModel):
    """
    Somebody with an account.
    """

    id: str = Field(primary_key=True, max_length=64)
    email: str | None = Field(default=None, unique=True, max_length=254, repr=False)
    """The address, normalised; None for who signs in with GitHub and has none there, or one that another user has."""
    email_verified: bool = False
    """Whether we know that the address is theirs."""
    name: str | None = Field(default=None, max_length=200, repr=False)
    password_hash: str | None = Field(default=None, max_length=255, repr=False)
    """None for who signs in with GitHub alone."""

    @property
    def shown(self) -> str:
        """
        What the pages call them.
        """
        return self.email or self.name or self.id


class AccountBase(SQLModel):
    """
    An account at an OAuth provider that a user signs in with. Its tokens are not kept: nothing needs them afterwards.
    """

    provider: str = Field(primary_key=True, max_length=40)
    provider_account_id: str = Field(primary_key=True, max_length=191)
    """The provider's unchanging id; never the name there, which somebody else may have tomorrow."""
    user_id: str = Field(index=True, max_length=64)
