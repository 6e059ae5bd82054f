"""
The seller's ready tables. Importing this module registers them on `SQLModel.metadata`.
"""

from crossapp_core.models import AccountLink, AccountLinkToken
from crossapp_tt.tables import CrossAppCursorBase, CrossAppSyncBase

__all__ = ["AccountLink", "AccountLinkToken", "CrossAppCursor", "CrossAppSync"]


class CrossAppSync(CrossAppSyncBase, table=True):
    """
    The ledger: one purchase × one product at one granter.
    """

    __tablename__ = "CrossAppSync"  # pyright: ignore[reportAssignmentType]


class CrossAppCursor(CrossAppCursorBase, table=True):
    """
    How far a pass over the app's purchases has come.
    """

    __tablename__ = "CrossAppCursor"  # pyright: ignore[reportAssignmentType]
