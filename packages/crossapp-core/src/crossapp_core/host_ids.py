"""
Reading ids in the app's own events: all else in them is hearsay.
"""

from __future__ import annotations

from collections.abc import Mapping


def id_at(data: Mapping[str, object], path: str | None) -> str | None:
    """
    The id that stands at a *path* like `purchase.id`, as text; None if there is none.
    """
    value: object = data
    for key in path.split(".") if path else ():
        value = value.get(key) if isinstance(value, Mapping) else None
    match value:
        case str() if value:
            return value
        case int() if not isinstance(value, bool):
            return str(value)
    return None
