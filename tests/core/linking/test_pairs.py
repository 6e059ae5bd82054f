from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossapp_core.events import LARGEST_INTEGER
from crossapp_core.operations.pairs import Rival, beats, explicit_after, is_explicit, is_linked

SELLER, GRANTER = "total-typescript", "ai-hero"

numbers = st.integers(0, 12) | st.integers(0, LARGEST_INTEGER // 2)
linked = numbers.filter(is_linked)
ids = st.sampled_from(["a", "b", "B", "aa", "é", "1"]) | st.text(min_size=1, max_size=5)
pairs = st.tuples(linked, ids, ids)


def rival(version: int, granters: str, sellers: str) -> Rival:
    """
    A link, as the granter sees it.
    """
    return Rival(version, ((GRANTER, granters), (SELLER, sellers)))


def mirrored(one: Rival) -> Rival:
    """
    The same link, as the other app sees it.
    """
    return Rival(one.version, (one.users[1], one.users[0]))


class TestNumbers:
    @pytest.mark.parametrize(
        ("version", "standing", "explicit"),
        [(0, False, False), (1, True, False), (2, False, False), (3, True, True), (4, False, False), (5, True, True)],
    )
    def test_says(self, version: int, *, standing: bool, explicit: bool) -> None:
        """
        0 never linked, 1 linked by OAuth, odd from 3 linked explicitly, even unlinked.
        """
        assert (is_linked(version), is_explicit(version)) == (standing, explicit)

    @given(numbers)
    def test_explicit_after(self, version: int) -> None:
        """
        A person's word gets the smallest odd number from 3 that is larger.
        """
        after = explicit_after(version)
        smaller = range(max(version - 1, 0), after)

        assert is_explicit(after)
        assert after > version
        assert [number for number in smaller if is_explicit(number) and number > version] == []

    @given(linked)
    def test_unlinking(self, version: int) -> None:
        """
        Adding 1 to a link unlinks it.
        """
        assert not is_linked(version + 1)


class TestBeats:
    @given(pairs, pairs)
    def test_one_wins(self, one: tuple[int, str, str], other: tuple[int, str, str]) -> None:
        """
        Of two links of different pairs exactly one wins.
        """
        first, second = rival(*one), rival(*other)

        if one[1:] != other[1:]:
            assert beats(first, second) != beats(second, first)
        assert not beats(first, first)

    @given(pairs, pairs, pairs)
    def test_no_circle(self, one: tuple[int, str, str], two: tuple[int, str, str], three: tuple[int, str, str]) -> None:
        """
        Who wins over the winner wins over the loser, too.
        """
        a, b, c = rival(*one), rival(*two), rival(*three)

        if beats(a, b) and beats(b, c):
            assert beats(a, c)

    @given(pairs, pairs)
    def test_same_in_both_apps(self, one: tuple[int, str, str], other: tuple[int, str, str]) -> None:
        """
        Both apps decide alike, each with its own user first.
        """
        first, second = rival(*one), rival(*other)

        assert beats(first, second) == beats(mirrored(first), mirrored(second))

    @given(st.integers(1, 2**40), ids, ids, ids, ids)
    def test_explicit_first(self, version: int, a: str, b: str, c: str, d: str) -> None:
        """
        What a person confirmed wins over a shared sign-in, whatever the ids.
        """
        assert beats(rival(2 * version + 1, a, b), rival(1, c, d))
        assert not beats(rival(1, c, d), rival(2 * version + 1, a, b))

    @given(linked, linked, ids, ids)
    def test_number_is_no_rank(self, one: int, other: int, a: str, b: str) -> None:
        """
        How often a pair was linked before gives it no rank.
        """
        if is_explicit(one) == is_explicit(other):
            assert not beats(rival(one, a, b), rival(other, a, b))

    def test_first_apps_users_first(self) -> None:
        """
        The users of the app whose id sorts first are compared first, then those of the other.
        """
        assert beats(rival(3, "a", "z"), rival(3, "b", "a"))
        assert beats(rival(3, "a", "a"), rival(3, "a", "b"))
        assert not beats(rival(3, "b", "a"), rival(3, "a", "z"))
