"""
The columns of an entitlement, and its life cycle.

    (new) ──▶ pending ──claim──▶ active
                 │                  │
                 └────▶ revoked ◀───┘

A higher version of its source moves an entitlement from any status to any. At the same version only a claim moves it.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from crossapp_core.columns import EMAIL, ID, VERSION, WORD, ZERO, UtcDateTime, index, unique


class EntitlementStatus(StrEnum):
    """
    Whether somebody may use what was bought.
    """

    PENDING = "pending"
    """Its buyer has no linked account here yet."""
    ACTIVE = "active"
    REVOKED = "revoked"


TRANSITIONS: Mapping[EntitlementStatus, frozenset[EntitlementStatus]] = {
    EntitlementStatus.PENDING: frozenset({EntitlementStatus.ACTIVE}),
    EntitlementStatus.ACTIVE: frozenset(),
    EntitlementStatus.REVOKED: frozenset(),
}
"""What an entitlement may become while its source's version stays."""


def may_become(old: EntitlementStatus, new: EntitlementStatus, *, newer: bool) -> bool:
    """
    Whether an entitlement may go from one status to another.

    Args:
        old: What it is.
        new: What it is to be.
        newer: Whether its source has a higher version now.
    """
    return newer or new in TRANSITIONS[old]


class CrossAppEntitlementMixin(SQLModel):
    """
    What a table that the app has already needs, to hold entitlements from other apps beside its own rows.

    All columns may be null: the app's own rows have no `sourceApp`, and don't count for `has_access`.
    """

    user_id: str | None = Field(default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "userId"})
    product_id: str | None = Field(default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "productId"})
    status: str | None = Field(default=None, sa_type=WORD, nullable=True)
    pending_for_email: str | None = Field(
        default=None, sa_type=EMAIL, nullable=True, repr=False, sa_column_kwargs={"name": "pendingForEmail"}
    )
    source_app: str | None = Field(default=None, sa_type=WORD, nullable=True, sa_column_kwargs={"name": "sourceApp"})
    source_purchase_id: str | None = Field(
        default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "sourcePurchaseId"}
    )
    source_user_id: str | None = Field(
        default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "sourceUserId"}
    )
    source_version: int | None = Field(
        default=0, sa_type=VERSION, nullable=True, sa_column_kwargs={"name": "sourceVersion", "server_default": ZERO}
    )
    claimed_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "claimedAt"}
    )
    applied_version: int | None = Field(
        default=0, sa_type=VERSION, nullable=True, sa_column_kwargs={"name": "appliedVersion", "server_default": ZERO}
    )
    applied_user_id: str | None = Field(
        default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "appliedUserId"}
    )
    notified_version: int | None = Field(
        default=0, sa_type=VERSION, nullable=True, sa_column_kwargs={"name": "notifiedVersion", "server_default": ZERO}
    )
    notified_status: str | None = Field(
        default=None, sa_type=WORD, nullable=True, sa_column_kwargs={"name": "notifiedStatus"}
    )
    retry_count: int | None = Field(
        default=0, nullable=True, sa_column_kwargs={"name": "retryCount", "server_default": ZERO}
    )
    next_attempt_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "nextAttemptAt"}
    )

    @declared_attr.directive
    def __table_args__(cls) -> Any:  # noqa: N805
        name = str(cls.__tablename__)
        return (
            unique(name, "sourceApp", "sourcePurchaseId", "productId"),
            index(name, "userId"),
            index(name, "appliedUserId"),
            index(name, "sourceApp", "pendingForEmail"),
            index(name, "sourceApp", "sourceUserId"),
            index(name, "status", "sourceApp", "sourceUserId"),
            index(name, "nextAttemptAt"),
        )


class EntitlementBase(CrossAppEntitlementMixin):
    """
    What was bought elsewhere: one row for each purchase there and product here.
    """

    id: str = Field(primary_key=True, sa_type=ID)
