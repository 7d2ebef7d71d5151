"""An uncertainty that is decorrelated away, beside the linear taggers' exact figures."""

import numpy as np
import pytest

from colliderkit.studies.two_point_uncertainty import (
    ESTIMATE,
    MADE,
    SCALES,
    changes,
    exact_changes,
    trained,
)


def test_a_tagger_blind_to_the_difference_still_errs_in_nature() -> None:
    blind = exact_changes([1.0, 0.0])
    # eps = Phi(-1) in both simulations, Phi(-.7) in nature.
    assert blind["background kept, A"] == pytest.approx(0.158655, abs=1e-6)
    assert blind[ESTIMATE] == 0
    assert blind[MADE] == pytest.approx(0.241964 / 0.158655 - 1, abs=1e-5)
    plain = exact_changes([1.0, 0.8])
    assert plain[ESTIMATE] > 0.5
    assert plain[MADE] < blind[MADE] + 0.1


@pytest.mark.slow
def test_networks_come_near_the_linear_taggers() -> None:
    chosen = SCALES["laptop"]
    plain, blind = (changes(trained(chosen, s, 0), 200_000, 0) for s in (0.0, 100.0))
    assert plain[ESTIMATE] == pytest.approx(exact_changes([1.0, 0.8])[ESTIMATE], rel=0.15)
    # Counting on 200,000 events at 16% is half a percent; what the penalty leaves is larger.
    assert abs(blind[ESTIMATE]) < 0.1
    assert blind[MADE] == pytest.approx(exact_changes([1.0, 0.0])[MADE], rel=0.15)
    assert np.isfinite(list(blind.values())).all()
