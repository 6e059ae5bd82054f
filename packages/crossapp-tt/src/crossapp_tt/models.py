"""
The seller's ready tables. Importing this module registers them on `SQLModel.metadata`.
"""

from crossapp_core.models import AccountLink, AccountLinkToken, CrossAppCursor
from crossapp_tt.tables import CrossAppSyncBase

__all__ = ["AccountLink", "AccountLinkToken", "CrossAppCursor", "CrossAppSync"]


class CrossAppSync(CrossAppSyncBase, table=True):
    """
    The ledger: one purchase × one product at one granter.
    """

    __tablename__ = "CrossAppSync"  # pyright: ignore[reportAssignmentType]
