"""
Passwords, hashed by argon2.
"""

from __future__ import annotations

import asyncio
from functools import cache

from pwdlib import PasswordHash

SHORTEST, LONGEST = 8, 1000
"""Characters of a password."""
_AT_ONCE = 2  # each takes 64 MiB and up to four cores


class Passwords:
    """
    Hashes and checks in a thread, so that nobody else waits for it.
    """

    def __init__(self, hasher: PasswordHash | None = None) -> None:
        self._hasher = hasher or PasswordHash.recommended()
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._nobodys = hash_once("nobody's")

    async def hash(self, password: str) -> str:
        """
        What is stored of a password.
        """
        async with self._turn:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, stored: str | None) -> bool:
        """
        Whether that is the password. It takes as long where there is none, so that nobody learns who has an account.
        """
        async with self._turn:
            same = await asyncio.to_thread(self._hasher.verify, password, stored or self._nobodys)
        return same and stored is not None


@cache
def hash_once(password: str) -> str:
    """
    The hash of a password that stands in code; not for those of people, since it is remembered.
    """
    return PasswordHash.recommended().hash(password)
