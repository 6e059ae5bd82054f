"""
Keeps what must not leave the process in it.
"""

from __future__ import annotations

from typing import NoReturn, Self


class NotPicklable:
    """
    Base of what holds secrets and never changes: it can't be pickled, and a copy of it is itself.
    """

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        msg = f"{type(self).__name__} holds secrets and can't be pickled: make it in each process"
        raise TypeError(msg)
