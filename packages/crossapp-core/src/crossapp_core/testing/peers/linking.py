"""
What an app knows of accounts that belong together, in memory.

Written by itself, from the contract and not from the library's own operations: so it shows when the two don't agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from crossapp_core.events import AccountLinked, AccountLinkState, AccountUnlinked

Said: TypeAlias = AccountLinked | AccountUnlinked | AccountLinkState
"""What a peer says of two accounts."""


@dataclass(frozen=True)
class LinkRow:
    """
    Two accounts, one at the counterpart and one at the tested app.
    """

    app: str
    """The tested app."""
    user_id: str
    """The account at the counterpart."""
    linked_user_id: str
    """The account at the tested app."""
    method: str
    version: int = 0
    """0 never linked, 1 linked by OAuth, odd from 3 linked by a person, even unlinked."""
    acknowledged_version: int = 0
    """What the tested app is known to hold."""
    attempt: int = 0

    @property
    def is_linked(self) -> bool:
        """
        Whether they are linked now.
        """
        return self.version % 2 == 1


class Links:
    """
    The pairs, each with its number: the larger one counts.

    Args:
        app_id: The counterpart's own id.
    """

    def __init__(self, app_id: str) -> None:
        self._app_id = app_id
        self._rows: dict[tuple[str, str, str], LinkRow] = {}

    @property
    def rows(self) -> list[LinkRow]:
        """
        All pairs that were ever linked.
        """
        return [row for row in self._rows.values() if row.version]

    def linked_user(self, app: str, linked_user_id: str) -> str | None:
        """
        Whose account here belongs to that one of the tested app.
        """
        return next((row.user_id for row in self._standing(app) if row.linked_user_id == linked_user_id), None)

    def confirm(self, app: str, user_id: str, linked_user_id: str) -> LinkRow | None:
        """
        Link two accounts because a person said so; None if one of them is linked with another already.
        """
        row = self._row(app, user_id, linked_user_id, "explicit")
        if self._rivals(row):
            return None
        if row.is_linked and row.version > 1:
            return row
        larger = row.version + 1
        return self._put(replace(row, method="explicit", version=max(3, larger + (larger % 2 == 0)), attempt=0))

    def share_sign_in(self, app: str, user_id: str, linked_user_id: str, provider: str) -> LinkRow | None:
        """
        Link two accounts because both sign in with the same one of a provider; None if they ever were linked before, or
        one of them is linked with another.
        """
        row = self._row(app, user_id, linked_user_id, f"oauth-{provider}")
        if row.version or self._rivals(row):
            return None
        return self._put(replace(row, version=1))

    def remove(self, app: str, user_id: str, linked_user_id: str) -> LinkRow | None:
        """
        Unlink two accounts; None if they aren't linked.
        """
        row = self._row(app, user_id, linked_user_id, "explicit")
        return self._put(replace(row, version=row.version + 1, attempt=0)) if row.is_linked else None

    def receive(self, said: Said) -> list[LinkRow]:
        """
        Take over what the tested app says, if its number is larger: the pair first, then those that lost to it.
        """
        method = "explicit" if isinstance(said, AccountUnlinked) else said.link_method
        row = self._row(said.source_app or "", said.linked_user_id, said.user_id, method)
        row = replace(row, acknowledged_version=max(row.acknowledged_version, said.version))
        if said.version <= row.version:
            return [self._put(row)]
        row = replace(row, version=said.version, method=method, attempt=0)
        if not row.is_linked:
            return [self._put(row)]
        rivals = self._rivals(row)
        if any(self._rank(rival) < self._rank(row) for rival in rivals):
            return [self._put(replace(row, version=row.version + 1))]
        lost = [self._put(replace(rival, version=rival.version + 1, attempt=0)) for rival in rivals]
        return [self._put(row), *lost]

    def owed(self) -> list[LinkRow]:
        """
        What the tested app isn't known to hold, as another attempt.
        """
        behind = [row for row in self.rows if row.acknowledged_version < row.version]
        return [self._put(replace(row, attempt=row.attempt + 1)) for row in behind]

    def announcement(self, row: LinkRow, *, now: datetime) -> AccountLinked | AccountUnlinked:
        """
        The event that tells what a row says.
        """
        who = {"user_id": row.user_id, "linked_app": row.app, "linked_user_id": row.linked_user_id}
        if row.is_linked:
            return AccountLinked(**who, link_method=row.method, linked_at=now, version=row.version)
        return AccountUnlinked(**who, unlinked_at=now, version=row.version)

    def state(self, row: LinkRow) -> AccountLinkState:
        """
        The answer that tells what is held.
        """
        return AccountLinkState(
            user_id=row.user_id,
            linked_app=row.app,
            linked_user_id=row.linked_user_id,
            link_method=row.method,
            version=row.version,
        )

    def _row(self, app: str, user_id: str, linked_user_id: str, method: str) -> LinkRow:
        new = LinkRow(app, user_id, linked_user_id, method)
        return self._rows.get((app, user_id, linked_user_id), new)

    def _put(self, row: LinkRow) -> LinkRow:
        self._rows[row.app, row.user_id, row.linked_user_id] = row
        return row

    def _standing(self, app: str) -> list[LinkRow]:
        return [row for row in self._rows.values() if row.app == app and row.is_linked]

    def _rivals(self, row: LinkRow) -> list[LinkRow]:
        pair = (row.user_id, row.linked_user_id)
        return [
            other
            for other in self._standing(row.app)
            if (other.user_id, other.linked_user_id) != pair
            and (other.user_id == row.user_id or other.linked_user_id == row.linked_user_id)
        ]

    def _rank(self, row: LinkRow) -> tuple[bool, str, str]:
        ids = (row.user_id, row.linked_user_id) if self._app_id < row.app else (row.linked_user_id, row.user_id)
        by_oauth = row.version == 1  # which gives way to what a person said
        return (by_oauth, *ids)
