"""Histograms with nuisance parameters: the published row of the best classifier, closed forms."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.inference.templates import Templates, fill
from colliderkit.sources.toys.inferno import BENCHMARKS, Inferno

# Standard deviation over ten samples of 10^6 events, relative.
SCATTER = {"B0": 0.0016, "B1": 0.0066, "B2": 0.0105, "B3": 0.0067, "B4": 0.0116}
OPTIMAL = {"B0": 14.97, "B1": 19.12, "B2": 24.93, "B3": 22.13, "B4": 27.98}


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_published_row_of_the_best_classifier(benchmark: str) -> None:
    """Ten bins in p_s / (p_s + p_b), 10^6 events, the steps of the published program.

    Ours and the published row come from one such sample each: three times the root of both
    scatters.
    """
    toy = Inferno()
    found = fill(
        lambda x: 1 / (1 + np.exp(-toy.log_ratio(x))),
        *toy.sample(500_000, seed=47),
        np.linspace(0, 1, 11),
        [Nuisance(**keywords) for keywords in BENCHMARKS[benchmark].nuisances],
    )
    scatter = SCATTER[benchmark]
    assert found.expected_error() == pytest.approx(OPTIMAL[benchmark], rel=3 * 2**0.5 * scatter)
    # No summary is better than the likelihood of the events; B0 fixes everything else.
    assert found.expected_error() > toy.expected_error(benchmark)
    assert found.expected_error([]) == pytest.approx(OPTIMAL["B0"], rel=0.01)


def two_bins() -> Templates:
    """10 + 40 on 700 + 300; a tilt of width 1 moves 30 background events, bent by 6."""
    counts = np.array([[700.0, 300.0], [10.0, 40.0]])
    bent, move = np.array([[6.0, 0.0], [0.0, 0.0]]), np.array([[-30.0, 30.0], [0.0, 0.0]])
    nuisance = Nuisance("tilt", lambda x, w, v: (x, w), width=1.0)
    down, up = counts - move + bent, counts + move + bent
    return Templates(counts, down[None], up[None], counts, [nuisance])


def test_expected_counts_are_a_parabola_and_straight_beyond() -> None:
    templates = two_bins()
    assert templates.nominal_signal == 50
    np.testing.assert_allclose(templates.expected(50), [710, 340])
    np.testing.assert_allclose(templates.expected(25, [0.5]), [705 - 15 + 1.5, 320 + 15])
    np.testing.assert_allclose(templates.expected(50, [1.0]), [686, 370])
    # Beyond a step with the slope at its end: -30 + 12 an event of tilt.
    np.testing.assert_allclose(templates.expected(50, [2.0]), [668, 400])
    np.testing.assert_allclose(templates.expected(50, [-2.0]), [746 + 42, 280])


def test_slopes_are_the_derivatives() -> None:
    templates = two_bins()
    for t in (-1.7, -0.3, 0.6, 2.2):
        numeric = (templates.expected(60, [t + 1e-5]) - templates.expected(60, [t - 1e-5])) / 2e-5
        np.testing.assert_allclose(templates._slopes(60, np.array([t]))[1], numeric, rtol=1e-7)


def test_the_profile_has_the_curvature_of_the_information() -> None:
    templates = two_bins()
    scan = 50 + np.array([-0.5, 0.0, 0.5])
    for floating, names in ((True, None), (False, [])):
        curve = templates.profile(scan, floating=floating)
        curvature = (curve[0] - 2 * curve[1] + curve[2]) / 0.25
        assert (-curvature) ** -0.5 == pytest.approx(templates.expected_error(names), rel=1e-4)
        assert curve.argmax() == 1
    known, floated = templates.expected_error([]), templates.expected_error()
    assert (
        known
        < floated
        < Templates(
            templates.counts,
            templates.down,
            templates.up,
            templates.variance,
            [Nuisance("tilt", lambda x, w, v: (x, w), step=1.0)],
        ).expected_error()
    )


def test_the_profile_of_data_by_hand() -> None:
    """A free yield takes up everything: at each s the count is fitted exactly."""
    free = Nuisance("b", "yield", nominal=100.0, step=10.0)
    counts = np.array([[100.0], [50.0]])
    change = np.array([[[10.0], [0.0]]])
    templates = Templates(counts, counts - change, counts + change, counts, [free])
    observed = np.array([170.0])
    found = templates.profile([20.0, 50.0, 80.0], observed)
    np.testing.assert_allclose(found, 170 * np.log(170) - 170, rtol=1e-9)


def test_filling_counts_weights_and_moves_events() -> None:
    x = np.array([[0.1], [0.9], [0.4], [2.0]])
    label, weight = np.array([0, 0, 0, 1]), np.array([1.0, 2.0, 3.0, 5.0])
    shift = Nuisance("r", "shift", column=0, step=0.15)
    found = fill(lambda x: x[:, 0], x, label, weight, [0.0, 0.5, 1.0], [shift])
    np.testing.assert_allclose(found.counts, [[4, 2], [0, 5]])
    np.testing.assert_allclose(found.up[0], [[1, 5], [0, 5]])
    np.testing.assert_allclose(found.down[0], [[4, 2], [0, 5]])
    np.testing.assert_allclose(found.variance, [[10, 4], [0, 25]])


def test_bad_events_are_a_sentence() -> None:
    x, label = np.array([[0.1], [np.nan]]), np.array([0, 1])
    with pytest.raises(InputError, match="event 1 is nan"):
        fill(lambda x: x[:, 0], x, label, np.ones(2), [0.0, 1.0])
    with pytest.raises(InputError, match="2 events, 2 labels and 3 weights"):
        fill(lambda x: x[:, 0], x, label, np.ones(3), [0.0, 1.0])
    with pytest.raises(InputError, match="sum to zero"):
        fill(lambda x: x[:, 0], np.ones((2, 1)), np.zeros(2, int), np.ones(2), [0.0, 1.0])
    with pytest.raises(InputError, match="'lambda' is unknown"):
        two_bins().expected_error(["lambda"])
