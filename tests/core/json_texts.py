"""
Strategies for the data of events that there may be one day, and for what may become of its JSON on the way.
"""

from __future__ import annotations

import json

from hypothesis import strategies as st

from crossapp_core.events import LARGEST_INTEGER

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-LARGEST_INTEGER, LARGEST_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
data = st.dictionaries(
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)), scalars | st.lists(scalars, max_size=5), max_size=8
)
"""The data of any event that there may ever be: flat, with ASCII keys."""


@st.composite
def rewritten(draw: st.DrawFn, content: object) -> str:
    """
    The same JSON as another implementation may write it: other order, spaces, escapes, spelling of numbers.
    """
    match content:
        case dict():
            keys = draw(st.permutations(sorted(content)))
            items = [f"{_string(draw, key)}{_space(draw)}:{draw(rewritten(content[key]))}" for key in keys]
            return f"{_space(draw)}{{{','.join(items)}{_space(draw)}}}"
        case list():
            return f"[{','.join(draw(rewritten(item)) for item in content)}{_space(draw)}]"
        case str():
            return _string(draw, content)
        case bool() | None:
            return json.dumps(content)
        case int():
            return draw(st.sampled_from([str(content), f"{content}.0", f"{content}e0", f"{content}0E-1"]))
    raise AssertionError(content)


def _space(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(["", " ", "\n\t", "\r\n  "]))


def _string(draw: st.DrawFn, text: str) -> str:
    way = draw(st.sampled_from(["ascii", "unicode", "everything"]))
    if way == "everything":
        units = text.encode("utf-16-be")
        escapes = [rf"\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)]
        return f'"{"".join(escapes)}"'
    return json.dumps(text, ensure_ascii=way == "ascii")
