"""Efficiencies from mixed samples: the exact solution, its errors, and the correction."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.search.mixtures.templates import MixtureEfficiencies, demixed

FRACTIONS = {"dijets": 0.3, "Z+jet": 0.8}


def test_two_samples_have_an_exact_solution():
    found = demixed([[0.3], [0.5]], [[1e-4], [4e-4]], [0.2, 0.7], [0.02, 0.03])
    # S - B = .2 / .5; B = .3 - .2 (.4).
    np.testing.assert_allclose(found.values[:, 0], [0.22, 0.62])
    gain = np.array([[0.7, -0.2], [-0.3, 0.8]]) / 0.5
    np.testing.assert_allclose(found.counting[:, 0] ** 2, gain**2 @ [1e-4, 4e-4])
    total = gain @ np.diag([1e-4 + (0.4 * 0.02) ** 2, 4e-4 + (0.4 * 0.03) ** 2]) @ gain.T
    np.testing.assert_allclose(found.covariance[0], total)
    np.testing.assert_allclose(found.chi2, 0, atol=1e-12)


def test_a_third_sample_tests_that_the_classes_are_the_same():
    fractions, variance = [0.2, 0.5, 0.8], np.full((3, 1), 1e-4)
    exact = demixed([[0.3], [0.45], [0.6]], variance, fractions)
    np.testing.assert_allclose(exact.values[:, 0], [0.2, 0.7])
    np.testing.assert_allclose(exact.chi2, 0, atol=1e-12)
    # Off by .03 in the middle: a third of it goes into the mean.
    off = demixed([[0.3], [0.48], [0.6]], variance, fractions)
    np.testing.assert_allclose(off.chi2, 0.03**2 * (2 / 3) / 1e-4)


def draw(random, efficiencies, count=4000, fractions=FRACTIONS):
    """Scores of mixed samples: 1 where an event passes, 0 where not."""
    sample = np.repeat(np.arange(len(fractions)), count)
    truth = random.random(len(sample)) < np.repeat(list(fractions.values()), count)
    return (random.random(len(sample)) < np.where(truth, *efficiencies[::-1])) * 1.0, sample


@pytest.mark.statistical
@pytest.mark.parametrize("third", [False, True])
def test_errors_cover(third, seed):
    random = np.random.default_rng([seed, third])
    true = FRACTIONS | ({"photon+jet": 0.7} if third else {})
    width, efficiencies, toys = 0.02, (0.2, 0.6), 200
    inside = 0
    for _ in range(toys):
        believed = {name: f + width * random.normal() for name, f in true.items()}
        method = MixtureEfficiencies(fractions=believed, errors=dict.fromkeys(true, width))
        method.fit(*draw(random, efficiencies, fractions=true))
        background, signal = method.efficiency()
        inside += abs(background.value - 0.2) < background.error
        inside += abs(signal.value - 0.6) < signal.error
    # The two of a toy are correlated: as if 200 were counted. Four binomial errors: one in 16,000.
    assert inside / toys / 2 == pytest.approx(0.683, abs=4 * np.sqrt(0.683 * 0.317 / toys))


def test_a_tagger_that_guesses_is_calibrated_exactly():
    random = np.random.default_rng(3)
    sample = np.repeat([0, 1], 50_000)
    method = MixtureEfficiencies(fractions=FRACTIONS, cuts=(0.3, 0.7))
    method.fit(random.random(len(sample)), sample)
    for cut, expected in enumerate((0.7, 0.3)):
        for value in method.efficiency(cut):
            assert abs(value.value - expected) < 4.5 * value.error


def test_corrected_simulation_has_the_efficiencies_of_the_data():
    random = np.random.default_rng(4)
    sample = np.repeat([0, 1], 30_000)
    truth = random.random(len(sample)) < np.repeat(list(FRACTIONS.values()), 30_000)
    score = random.normal(np.where(truth, 1.0, 0.0))
    label = np.repeat([0, 1], 20_000)
    simulated = random.normal(np.where(label, 1.3, -0.2))
    method = MixtureEfficiencies(fractions=FRACTIONS, cuts=(-0.5, 0.5, 1.5))
    method.fit(score, sample, simulation=(simulated, label))
    weight = method.correction(simulated, label)
    for k in range(2):
        own = label == k
        assert weight[own].mean() == pytest.approx(1)
        for cut, e in zip(method.cuts, method.efficiency_[:, k], strict=True):
            assert weight[own] @ (simulated[own] >= cut) / own.sum() == pytest.approx(e)
    np.testing.assert_allclose(
        [value.value for value in method.scale_factor(1)],
        method.efficiency_[1] / [(simulated[label == k] >= 0.5).mean() for k in (0, 1)],
    )


@pytest.mark.parametrize(
    ("options", "simulation", "sentence"),
    [
        ({"fractions": {"a": 0.5, "b": 0.5}}, None, "equal fractions"),
        ({"fractions": {"a": 0.5}}, None, "two mixed samples are needed"),
        ({"fractions": {"a": 0.5, "b": -0.1}}, None, "at least 0"),
        ({"fractions": {**FRACTIONS, "c": 0.5}}, None, "'c' has no events"),
        ({"fractions": FRACTIONS, "errors": {"c": 0.1}}, None, "errors names the sample 'c'"),
        ({"fractions": FRACTIONS, "cuts": (0.5, 0.2)}, None, "one or more, rising"),
        ({"fractions": FRACTIONS}, (np.zeros(4), [0, 0, 1, 1]), "passes the cut 0.5"),
        ({"fractions": FRACTIONS}, (np.ones(4), [0, 0, 1, 2]), "are 0 to 1"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(options, simulation, sentence):
    score, sample = draw(np.random.default_rng(1), (0.2, 0.6), 50)
    with pytest.raises(InputError, match=sentence):
        MixtureEfficiencies(**options).fit(score, sample, simulation=simulation)


def test_scale_factors_need_simulation():
    method = MixtureEfficiencies(fractions=FRACTIONS)
    method.fit(*draw(np.random.default_rng(1), (0.2, 0.6), 50))
    for verb in (method.scale_factor, lambda: method.correction([1.0], [1])):
        with pytest.raises(InputError, match="simulation"):
            verb()
