"""
The granter's ready tables. Importing this module registers them on `SQLModel.metadata`.
"""

from crossapp_ah.tables import EntitlementBase
from crossapp_core.models import AccountLink, AccountLinkToken, CrossAppCursor

__all__ = ["AccountLink", "AccountLinkToken", "CrossAppCursor", "Entitlement"]


class Entitlement(EntitlementBase, table=True):
    """
    What was bought elsewhere: one row for each purchase there and product here.
    """

    __tablename__ = "Entitlement"  # pyright: ignore[reportAssignmentType]
