"""Quality of observables for unfolding, against what is known."""

import numpy as np
import pytest

from colliderkit.methods.unfolding.quality import (
    Assessment,
    NatureBias,
    Quality,
    information_and_bias,
)
from colliderkit.methods.unfolding.response import Response
from colliderkit.metrics.response import profile
from colliderkit.sources.toys.dis import dis_events
from colliderkit.sources.toys.linear import LinearToy, angle_toy

INNER = slice(1, -1)
EVENTS = 100_000


def test_perfect_detector_has_no_bias_and_counting_variance():
    truth = np.repeat([-0.5, 0.5, 1.5, 2.5], [10_000, 30_000, 50_000, 10_000])
    edges = [-1, 0, 1, 2, 3]  # the outer ones are for under- and overflow
    response = Response.counted(truth, truth, edges, edges)
    known = np.array([0.1, 0.5, 0.3, 0.1]) * EVENTS
    bias = NatureBias.of(response, known, known, bins=INNER)
    np.testing.assert_allclose(bias.relative, 0, atol=1e-9)
    assert bias.size.value == pytest.approx(0, abs=1e-9)
    assert bias.total.value == pytest.approx(1)
    assert bias.relative.shape == (2,)


def test_an_assessment_is_of_the_response_and_of_each_nature():
    random = np.random.default_rng(4)
    truth = {"simulation": random.normal(size=20_000), "shifted": random.normal(0.3, 1, 20_000)}
    seen = {name: z + 0.3 * random.normal(size=20_000) for name, z in truth.items()}
    passed = random.random(20_000) < 0.8
    # Observables are of the events that are seen, truths of all.
    seen = {"simulation": seen["simulation"][passed], "shifted": seen["shifted"][passed]}
    edges = np.array([-np.inf, -1.0, 0.0, 1.0, np.inf])
    found = Assessment.of(
        seen, 8, truth=truth, pass_reco=passed, truth_edges=edges, events=EVENTS, iterations=10
    )
    assert found.quality.inflation.shape == found.purity.shape == (2,)
    np.testing.assert_allclose(found.response.efficiency, 0.8, atol=0.02)
    inner = Quality.of(found.response, bins=INNER)
    np.testing.assert_array_equal(found.quality.inflation, inner.inflation)
    # The response does not change with the shift: what bias there is, is that of counting.
    assert found.bias["shifted"].size.value < 5 * np.sqrt(2 * EVENTS / 20_000)
    assert found.row()[1] == pytest.approx(found.purity.mean())
    own = Assessment.of(
        seen,
        np.array([-np.inf, -0.5, 0.5, 1.5, np.inf]),
        truth=truth,
        pass_reco=passed,
        truth_edges=edges,
        events=EVENTS,
    )
    assert own.row()[1:3] == ["-", "-"]


def test_information_and_bias_from_events_are_the_exact_ones():
    toy, shift = angle_toy(), np.array([0.0, 1.0])
    nature = LinearToy(toy.slopes, toy.noise, toy.mean + shift, toy.width)
    combination = np.array([1.0, 0.0])
    (x, z), (seen, true) = toy.sample(40_000, 1), nature.sample(40_000, 2)
    found = information_and_bias(x @ combination, z, seen @ combination, true)
    for value, exact in zip(
        found, (toy.information(combination), toy.bias(combination, shift)), strict=True
    ):
        assert value.value == pytest.approx(exact, abs=4 * value.error)


def test_resolution_of_a_known_smearing():
    events, edges = dis_events(50_000, seed=2), np.linspace(np.log10(0.02), np.log10(0.9), 11)
    log_y = np.log10(events.y)
    smeared = log_y + np.random.default_rng(3).normal(0.1, 0.05, len(log_y)) / np.log(10)
    found = profile((smeared - log_y) * np.log(10), log_y, edges, statistic="median")
    inside = np.histogram(log_y, edges)[0]
    # Half the central 68.3% of N(.1, .05^2), 5 standard errors of quantiles.
    assert (np.abs(found.spread - 0.05) < 5 * 0.05 * 1.3 / np.sqrt(inside)).all()
    assert (np.abs(found.value - 0.1) < 5 * 0.05 * 1.26 / np.sqrt(inside)).all()
