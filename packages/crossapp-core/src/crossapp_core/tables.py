"""
The columns of the tables that both adapters share.

These are mixins: they register no table, so an app may have any number of its own under other names, with its own
foreign keys. The ready classes are in `crossapp_core.models`.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Computed, Text, case, column
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from crossapp_core.columns import EMAIL, ID, PLAN, VERSION, WORD, ZERO, UtcDateTime, index, unique


class AccountLinkBase(SQLModel):
    """
    Two accounts, one here and one in a peer, that belong to one person. One row for ever per pair.

    At most one active link per user and peer on either side: the database itself enforces it, through `active`, which
    is 1 or null, and nulls are never equal.
    """

    id: str = Field(primary_key=True, sa_type=ID)
    user_id: str = Field(sa_type=ID, sa_column_kwargs={"name": "userId"})
    linked_app: str = Field(sa_type=WORD, sa_column_kwargs={"name": "linkedApp"})
    linked_user_id: str = Field(sa_type=ID, sa_column_kwargs={"name": "linkedUserId"})
    linked_email: str | None = Field(
        default=None, sa_type=EMAIL, nullable=True, repr=False, sa_column_kwargs={"name": "linkedEmail"}
    )
    link_method: str = Field(sa_type=WORD, sa_column_kwargs={"name": "linkMethod"})
    linked_at: datetime = Field(sa_type=UtcDateTime, sa_column_kwargs={"name": "linkedAt"})
    unlinked_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "unlinkedAt"}
    )
    version: int = Field(default=0, sa_type=VERSION, sa_column_kwargs={"server_default": ZERO})
    acknowledged_version: int = Field(
        default=0, sa_type=VERSION, sa_column_kwargs={"name": "acknowledgedVersion", "server_default": ZERO}
    )
    retry_count: int = Field(default=0, sa_column_kwargs={"name": "retryCount", "server_default": ZERO})
    next_attempt_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, nullable=True, sa_column_kwargs={"name": "nextAttemptAt"}
    )
    lost_to_id: str | None = Field(default=None, sa_type=ID, nullable=True, sa_column_kwargs={"name": "lostToId"})
    active: int | None = Field(
        default=None,
        nullable=True,
        sa_column_args=[Computed(case((column("unlinkedAt").is_(None), 1)), persisted=True)],
    )

    @declared_attr.directive
    def __table_args__(cls) -> Any:  # noqa: N805
        name = str(cls.__tablename__)
        return (
            unique(name, "userId", "linkedApp", "linkedUserId"),
            unique(name, "userId", "linkedApp", "active"),
            unique(name, "linkedApp", "linkedUserId", "active"),
            index(name, "linkedApp", "linkedUserId"),
            index(name, "nextAttemptAt"),
        )


class AccountLinkTokenBase(SQLModel):
    """
    A link token that was used, so that it can't be used again.
    """

    jti: str = Field(primary_key=True, sa_type=ID)
    used_at: datetime = Field(sa_type=UtcDateTime, sa_column_kwargs={"name": "usedAt"})
    expires_at: datetime = Field(sa_type=UtcDateTime, sa_column_kwargs={"name": "expiresAt"})


class CrossAppCursorBase(SQLModel):
    """
    What work that goes on across runs must remember: how far a pass has come, or when a peer is to be tried again.
    """

    name: str = Field(primary_key=True, sa_type=ID)
    position: str | None = Field(default=None, sa_type=Text, nullable=True)
    plan: str | None = Field(default=None, sa_type=PLAN, nullable=True)
    updated_at: datetime = Field(sa_type=UtcDateTime, sa_column_kwargs={"name": "updatedAt"})
