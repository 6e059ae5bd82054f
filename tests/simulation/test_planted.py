from __future__ import annotations

import pytest

from crossapp_core.testing.simulation import BrokenError
from tests.simulation.planted import PLANTS, Plant, hunt


@pytest.mark.no_cover  # tracing takes many times as long
class TestPlantedBugs:
    @pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
    def test_are_caught(self, plant: Plant) -> None:
        """
        Whatever is removed from the libraries, a history shows that it is missing, and which invariant needs it.
        """
        failure, _, _ = hunt(plant, most=6_000, focused=True)
        assert failure is not None
        assert isinstance(failure.error, BrokenError), repr(failure.error)
        assert failure.error.number in PLANTS[plant].invariants, failure.title
