"""
Who has an account, in the caller's transaction.

Like the bridge's own, these functions take a plain session: an async app calls them by `AsyncSession.run_sync`.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy.orm import Session
from sqlmodel import col, select

from examples.two_apps.sign_in.github import Identity
from examples.two_apps.sign_in.tables import AccountBase, UserBase


class OtherUserError(Exception):
    """
    That account at the provider signs in somebody else here.
    """


@dataclass(frozen=True)
class People:
    """
    The app's users and their accounts at OAuth providers.
    """

    users: type[UserBase]
    accounts: type[AccountBase]
    prefix: str
    """What the ids of new users begin with."""

    def get(self, session: Session, user_id: str) -> UserBase | None:
        """
        One user.
        """
        return session.get(self.users, user_id)

    def by_email(self, session: Session, address: str) -> UserBase | None:
        """
        The user with that address, normalised, verified or not.
        """
        user = session.scalars(select(self.users).where(col(self.users.email) == address)).one_or_none()
        # MySQL takes é for e
        return user if user is not None and user.email == address else None

    def register(self, session: Session, address: str, password_hash: str) -> UserBase:
        """
        A new user with a password. Nothing shows that the address is theirs, so it isn't verified.

        Raises:
            IntegrityError: Somebody has that address.
        """
        return self._new(session, email=address, password_hash=password_hash)

    def of(self, session: Session, provider: str, identity: Identity) -> UserBase:
        """
        The user who signs in with that account at the provider; a new one the first time.

        An equal address makes nobody a known user: it would give whoever registered it here first, or has it there
        now, the other's account. If another user has it, the new one has none; who wants both in one signs in with
        the password and connects the account (`connect`).

        Raises:
            IntegrityError: The same happened at the same time; the next time it will be found.
        """
        account = session.get(self.accounts, (provider, identity.id))
        if account is not None and (user := self.get(session, account.user_id)) is not None:
            return user
        address = identity.email
        taken = address is not None and self._is_taken(session, address)
        user = self._new(
            session,
            email=None if taken else address,
            email_verified=address is not None and not taken,
            name=identity.name,
        )
        if account is not None:  # its user is gone
            account.user_id = user.id
        else:
            self._connect(session, provider, identity, user.id)
        session.flush()
        return user

    def connect(self, session: Session, provider: str, identity: Identity, user_id: str) -> UserBase:
        """
        Have somebody who is signed in sign in with that account at the provider from now on, too.

        Raises:
            OtherUserError: Somebody else does, or the user is gone.
            IntegrityError: The same happened at the same time.
        """
        user = self.get(session, user_id)
        account = session.get(self.accounts, (provider, identity.id))
        if user is None or (account is not None and account.user_id != user_id):
            raise OtherUserError
        if account is None:
            self._connect(session, provider, identity, user_id)
            session.flush()
        return user

    def has_account(self, session: Session, provider: str, user_id: str) -> bool:
        """
        Whether a user signs in with an account at the provider.
        """
        mine = select(self.accounts).where(
            col(self.accounts.provider) == provider, col(self.accounts.user_id) == user_id
        )
        return session.scalars(mine).first() is not None

    def _is_taken(self, session: Session, address: str) -> bool:
        # whatever the database takes for the same, for it wouldn't let us write it
        return session.scalars(select(self.users).where(col(self.users.email) == address)).first() is not None

    def _new(
        self,
        session: Session,
        *,
        email: str | None,
        email_verified: bool = False,
        name: str | None = None,
        password_hash: str | None = None,
    ) -> UserBase:
        user = self.users(
            id=f"{self.prefix}_{uuid4().hex}",
            email=email,
            email_verified=email_verified,
            name=name,
            password_hash=password_hash,
        )
        session.add(user)
        session.flush()
        return user

    def _connect(self, session: Session, provider: str, identity: Identity, user_id: str) -> None:
        session.add(self.accounts(provider=provider, provider_account_id=identity.id, user_id=user_id))
