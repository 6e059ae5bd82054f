"""
The ready tables that both adapters share. Importing this module registers them on `SQLModel.metadata`.
"""

from crossapp_core.tables import AccountLinkBase, AccountLinkTokenBase, CrossAppCursorBase


class AccountLink(AccountLinkBase, table=True):
    """
    Two accounts, one here and one in a peer, that belong to one person.
    """

    __tablename__ = "AccountLink"  # pyright: ignore[reportAssignmentType]


class AccountLinkToken(AccountLinkTokenBase, table=True):
    """
    A link token that was used.
    """

    __tablename__ = "AccountLinkToken"  # pyright: ignore[reportAssignmentType]


class CrossAppCursor(CrossAppCursorBase, table=True):
    """
    What work that goes on across runs must remember.
    """

    __tablename__ = "CrossAppCursor"  # pyright: ignore[reportAssignmentType]
