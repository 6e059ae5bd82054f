"""
The columns of the seller's tables, and the life cycle of a ledger row.

    (new) ──▶ pending ──▶ synced      what is wanted, granted or revoked, was acknowledged as granted
                 │  ▲        │
                 │  └────────┤        a new version, whatever the status
                 ├──▶ revoked         … was acknowledged as revoked
                 └──▶ failed ──▶ synced | revoked

A new version of what is wanted makes a row pending. At one version it is acknowledged, or fails; success beats failure.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Boolean, Text, false
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from crossapp_core.columns import EMAIL, ID, VERSION, WORD, ZERO, UtcDateTime, index, unique


class SyncStatus(StrEnum):
    """
    What the seller knows of a component at its granter.
    """

    PENDING = "pending"
    """Not acknowledged yet."""
    SYNCED = "synced"
    """Unlocked there, or waiting there for its buyer."""
    FAILED = "failed"
    """It couldn't be sent, or the granter couldn't do it: `errorCode` and `errorMessage` say why."""
    REVOKED = "revoked"
    """Locked there."""


class Desired(StrEnum):
    """
    What the seller wants of a component.
    """

    GRANTED = "granted"
    REVOKED = "revoked"


TRANSITIONS: Mapping[SyncStatus, frozenset[SyncStatus]] = {
    SyncStatus.PENDING: frozenset({SyncStatus.SYNCED, SyncStatus.FAILED, SyncStatus.REVOKED}),
    SyncStatus.FAILED: frozenset({SyncStatus.SYNCED, SyncStatus.REVOKED}),
    SyncStatus.SYNCED: frozenset(),
    SyncStatus.REVOKED: frozenset(),
}
"""What a row may become while its version stays."""


def may_become(old: SyncStatus, new: SyncStatus, *, newer: bool) -> bool:
    """
    Whether a ledger row may go from one status to another.

    Args:
        old: What it is.
        new: What it is to be.
        newer: Whether its version is a higher one now.
    """
    return new == SyncStatus.PENDING if newer else new in TRANSITIONS[old]


class CrossAppSyncBase(SQLModel):
    """
    One purchase × one product at one granter: what is wanted there, and what is known of it. Also the outbox: what
    isn't acknowledged at its version is owed.
    """

    id: str = Field(primary_key=True, sa_type=ID)
    purchase_id: str = Field(sa_type=ID, sa_column_kwargs={"name": "purchaseId"})
    target_app: str = Field(sa_type=WORD, sa_column_kwargs={"name": "targetApp"})
    target_product_id: str = Field(sa_type=ID, sa_column_kwargs={"name": "targetProductId"})
    status: str = Field(default=SyncStatus.PENDING, sa_type=WORD)
    target_entitlement_id: str | None = Field(
        default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "targetEntitlementId"}
    )
    target_user_id: str | None = Field(
        default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "targetUserId"}
    )
    error_message: str | None = Field(
        default=None, sa_type=Text, nullable=True, sa_column_kwargs={"name": "errorMessage"}
    )
    retry_count: int = Field(default=0, sa_column_kwargs={"name": "retryCount", "server_default": ZERO})
    created_at: datetime = Field(sa_type=UtcDateTime, sa_column_kwargs={"name": "createdAt"})
    synced_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "syncedAt"}
    )
    revoked_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "revokedAt"}
    )
    version: int = Field(default=0, sa_type=VERSION, sa_column_kwargs={"server_default": ZERO})
    desired: str = Field(default=Desired.GRANTED, sa_type=WORD, sa_column_kwargs={"server_default": Desired.GRANTED})
    next_attempt_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "nextAttemptAt"}
    )
    buyer_user_id: str | None = Field(default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "buyerUserId"})
    buyer_email: str | None = Field(
        default=None, sa_type=EMAIL, nullable=True, repr=False, sa_column_kwargs={"name": "buyerEmail"}
    )
    bundle_product_id: str | None = Field(
        default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "bundleProductId"}
    )
    purchased_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "purchasedAt"}
    )
    reason: str | None = Field(default=None, sa_type=WORD, nullable=True)
    error_code: str | None = Field(default=None, sa_type=WORD, nullable=True, sa_column_kwargs={"name": "errorCode"})
    quiet: bool = Field(default=False, sa_type=Boolean, sa_column_kwargs={"server_default": false()})
    sent_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "sentAt"}
    )
    accepted_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "acceptedAt"}
    )
    accepted_version: int = Field(
        default=0, sa_type=VERSION, sa_column_kwargs={"name": "acceptedVersion", "server_default": ZERO}
    )

    grant_version: int = Field(
        default=0, sa_type=VERSION, sa_column_kwargs={"name": "grantVersion", "server_default": ZERO}
    )
    """The version of the grant that a sketch peer holds, or is to hold; 0 if none."""

    @declared_attr.directive
    def __table_args__(cls) -> Any:  # noqa: N805
        name = str(cls.__tablename__)
        return (
            unique(name, "purchaseId", "targetApp", "targetProductId"),
            index(name, "purchaseId"),
            index(name, "nextAttemptAt"),
            index(name, "buyerUserId"),
            index(name, "status"),
        )
