"""Shapes of showers, exact on hits that are made by hand."""

import numpy as np
import pytest

from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.calorimeter.shapes import SHAPES, shower_shapes


def test_shapes_are_shares_means_and_widths() -> None:
    # Ten layers; 1 GeV in the first, 2 in the third, 1 in the last, 20 mm off.
    hits = CalorimeterHits.checked([0, 3, 3], [[0, 0, 0], [0, 0, 2], [20, 0, 9]], [1.0, 2.0, 1.0])
    found = shower_shapes(hits, np.arange(10.0))
    assert list(found) == list(SHAPES)
    first = {name: float(values[0]) for name, values in found.items()}
    assert first["first share"] == 0.25
    assert first["front share"] == 0.75
    assert first["back share"] == 0.25
    assert first["depth"] == pytest.approx((2 * 2 + 9) / 4)
    assert first["depth width"] == pytest.approx(np.sqrt((3.25**2 + 2 * 1.25**2 + 5.75**2) / 4))
    # The middle is at 5 mm: 5, 5 and 15 mm away.
    assert first["lateral width"] == pytest.approx(np.sqrt((3 * 25 + 225) / 4))
    assert first["hardest share"] == 0.5
    assert first["core share"] == 0.75
    assert first["hits"] == pytest.approx(np.log(4))
    assert all(values[1] == 0 for values in found.values())
