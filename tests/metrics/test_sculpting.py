"""Sculpting: closed forms of the divergence, its floor and error, and the frontier."""

import math

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.metrics.sculpting import (
    CONVENTIONS,
    Convention,
    efficiency_by_mass,
    inverse,
    jsd,
    rejection_at,
    sculpting,
)
from colliderkit.metrics.value import Value

TWO = Convention(2, (0.0, 2.0), 2, True, "a test")


def masses(shares, count=100):
    """Return masses with these shares in bins of unit width."""
    return np.repeat(np.arange(len(shares)) + 0.5, np.rint(np.array(shares) * count).astype(int))


def test_divergences_in_closed_form():
    assert jsd(masses([0.3, 0.7]), masses([0.3, 0.7]), convention=TWO).value == 0
    assert jsd(masses([1, 0]), masses([0, 1]), convention=TWO).value == pytest.approx(1)
    p, q = np.array([0.25, 0.75]), np.array([0.75, 0.25])
    # m is one half everywhere: JSD = 1 - H(1/4) in bits.
    entropy = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    found = jsd(masses(p), masses(q), convention=TWO)
    assert found.value == pytest.approx(1 - entropy)
    assert found.inverse.value == pytest.approx(1 / (1 - entropy))
    natural = Convention(2, (0.0, 2.0), math.e, True, "a test")
    in_nats = jsd(masses(p), masses(q), convention=natural)
    assert found.value / in_nats.value == pytest.approx(1 / math.log(2))


def test_weights_count_where_the_convention_has_them():
    p, q = masses([0.5, 0.5]), masses([0.75, 0.25])
    weight = np.where(p < 1, 3.0, 1.0)
    assert jsd(p, q, weight, np.ones(len(q)), convention=TWO).value == pytest.approx(0, abs=1e-12)
    unweighted = Convention(2, (0.0, 2.0), 2, False, "a test")
    ignored = jsd(p, q, weight, None, convention=unweighted)
    assert ignored.value == jsd(p, q, convention=TWO).value > 0.01


def test_the_published_conventions():
    random = np.random.default_rng(1)
    passed, failed = random.uniform(60, 200, 4000), random.uniform(80, 250, 9000)
    disco, mode = (jsd(passed, failed, convention=name) for name in ("disco", "mode"))
    # By hand: 50 bins over 50-300 in bits, and over the range of the failing ones in nats.
    for found, edges, base in (
        (disco, np.linspace(50, 300, 51), 2),
        (mode, np.linspace(failed.min(), failed.max(), 51), math.e),
    ):
        p, q = (np.histogram(x, edges)[0] for x in (passed, failed))
        p, q = p / p.sum(), q / q.sum()
        m = (p + q) / 2
        by_hand = sum(0.5 * float(np.sum(x[x > 0] * np.log(x[x > 0] / m[x > 0]))) for x in (p, q))
        assert found.value == pytest.approx(by_hand / math.log(base))
    assert "logarithm of base 2, 50 bins over 50-300 GeV, event" in CONVENTIONS["disco"].sentence
    assert "natural logarithm, 50 bins over the range of the" in CONVENTIONS["mode"].sentence


def test_the_floor_is_that_of_two_samples_of_one_density():
    # Both samples flat in 50 bins: 2 N_eff ln(base) 4 JSD is nearly a chi^2 of 49, so that the
    # mean is 49 / 8 (1/n + 1/m) / ln 2; the expansion is good to the inverse counts a bin (1%).
    random = np.random.default_rng(2)
    n, m = 5_000, 20_000
    expected = 49 / 8 * (1 / n + 1 / m) / math.log(2)
    found = [
        jsd(random.uniform(50, 300, n), random.uniform(50, 300, m), convention="disco")
        for _ in range(40)
    ]
    values = np.array([each.value for each in found])
    assert np.mean([each.corrected.value for each in found]) == pytest.approx(
        0, abs=4 * expected * math.sqrt(2 / 49 / 40)
    )
    spread = expected * math.sqrt(2 / 49)
    # The errors carry the draws' 3.5%, in both variances; the chi^2 of 49 is the expansion's.
    assert np.mean([each.error for each in found]) == pytest.approx(spread, rel=0.1)
    assert values.mean() == pytest.approx(
        expected, abs=4 * spread / math.sqrt(40) + 0.01 * expected
    )
    for each in found:
        assert each.floor == pytest.approx(
            expected, abs=4 * spread / math.sqrt(400) + 0.01 * expected
        )


def test_the_error_covers_repetitions():
    random = np.random.default_rng(3)
    found = [jsd(random.normal(100, 20, 2000), random.normal(120, 25, 8000)) for _ in range(100)]
    spread = np.std([each.value for each in found], ddof=1)
    # The standard deviation of 100 is known to 7%.
    assert np.mean([each.error for each in found]) == pytest.approx(spread, rel=0.21)


def straight(slope, count, random):
    """Return bins' middles of a density that rises by this slope over 50-300 GeV, and its shares"""
    edges = np.linspace(0, 1, 51)
    shares = np.diff(edges + slope * (edges**2 - edges) / 2)
    middles = 50 + 250 * (edges[1:] + edges[:-1]) / 2
    return np.repeat(middles, random.multinomial(count, shares)), shares


@pytest.mark.statistical
@pytest.mark.parametrize("slope", [0.0, 0.3, 0.5, 1.5])
def test_the_interval_covers_from_zero_on(slope, seed):
    random = np.random.default_rng([seed, 5])
    count, covered, above = 120, 0, 0
    for _ in range(count):
        (passed, p), (failed, q) = straight(slope, 2000, random), straight(0.0, 8000, random)
        m = (p + q) / 2
        exact = sum(float((s * np.log2(s / m)).sum()) for s in (p, q)) / 2
        low, high = jsd(passed, failed).interval(0.68)
        covered += low <= exact <= high
        above += exact > high
    # At zero nothing lies below: the lower ends are all 0, and 84% are covered.
    expected = 0.84 if slope == 0 else 0.68
    assert covered / count == pytest.approx(expected, abs=4 * math.sqrt(0.68 * 0.32 / count))
    assert above / count == pytest.approx(0.0 if slope == 0 else 0.16, abs=4 * 0.034)


def test_an_interval_is_central_and_its_level_is_asked_for():
    random = np.random.default_rng(6)
    far = jsd(straight(1.5, 2000, random)[0], straight(0.0, 8000, random)[0])
    low, high = far.interval(0.95)
    assert low == pytest.approx(far.corrected.value - 1.96 * far.error, rel=1e-3)
    assert high == pytest.approx(far.corrected.value + 1.96 * far.error, rel=1e-3)
    same = masses([0.5, 0.5])
    assert jsd(same, same, convention=TWO).interval()[0] == 0
    with pytest.raises(InputError, match="the level of an interval is 1; give a number between"):
        far.interval(1.0)


def test_the_cut_of_a_score_that_is_the_mass():
    mass = np.linspace(50, 300, 1001)[:-1]
    score = np.concatenate([mass / 300, np.linspace(0.5, 1, 100)])
    label = np.concatenate([np.zeros(1000, int), np.ones(100, int)])
    found = sculpting(score, label, np.concatenate([mass, np.full(100, 80.0)]))
    # Half of the signal lies above 0.7525..., and no bin holds both kinds but one.
    assert found.threshold == pytest.approx(0.5 + 0.5 * 50 / 99)
    passed = mass / 300 >= found.threshold
    assert found.rejection.value == pytest.approx(1000 / passed.sum(), rel=0.02)
    assert found.jsd.value > 0.95


def test_no_correlation_is_no_sculpting():
    random = np.random.default_rng(4)
    label = np.repeat([0, 1], [40_000, 4_000])
    mass = np.where(label == 0, random.uniform(50, 300, 44_000), 80.0)
    found = sculpting(random.normal(label, 1.0), label, mass)
    assert found.jsd.value < found.jsd.floor + 4 * found.jsd.error


def test_the_frontier_is_interpolated_in_the_divergence():
    points = [
        (Value(16, 0), Value(0.02, 0)),
        (Value(4, 0), Value(0.0, 0)),
        (Value(3, 0), Value(0.015, 0)),
    ]
    # A target of 0.01 is halfway: 8 in logarithms; the third point is beaten in both.
    found = rejection_at(points, 100)
    assert found is not None
    assert found.value == pytest.approx(8)
    assert rejection_at(points[:1], 100) is None
    # What fluctuates below 0 is an estimate too; nothing is extrapolated.
    only = rejection_at([(Value(4, 0.1), Value(-0.001, 0.002))], 100)
    assert only == Value(4, 0.1)


def test_the_error_of_the_frontier():
    points = [(Value(16, 0.16), Value(0.02, 0.0)), (Value(4, 0.04), Value(0.0, 0.0))]
    found = rejection_at(points, 100)
    assert found is not None
    # 1% of each end, with one half of each.
    assert found.error / found.value == pytest.approx(math.hypot(0.005, 0.005))
    # The line falls by ln 4 over 0.02: an error of 0.002 at one end moves the middle by half of it.
    points = [(Value(16, 0), Value(0.02, 0.002)), (Value(4, 0), Value(0.0, 0.0))]
    found = rejection_at(points, 100)
    assert found is not None
    assert found.error / found.value == pytest.approx(0.5 * math.log(4) / 0.02 * 0.002)


def test_a_divergence_that_is_not_seen_gives_a_limit():
    assert inverse(Value(0.01, 0.001)) == Value(100, pytest.approx(10))
    for value in (0.001, -0.003):
        limit = inverse(Value(value, 0.002))
        assert limit.lower_limit
        assert limit.value == pytest.approx(1 / (max(value, 0) + 1.645 * 0.002))
    assert inverse(Value(0.0, 0.0)).value == math.inf


def test_efficiency_by_mass():
    share, error = efficiency_by_mass([1, 1, 1, 1, 3], [1, 0, 0, 0, 1], [0, 2, 4, 6])
    np.testing.assert_allclose(share, [0.25, 1, np.nan])
    np.testing.assert_allclose(error[0], math.sqrt(0.25 * 0.75 / 4))


def test_bad_input_is_named():
    with pytest.raises(InputError, match="convention 'jsd' is none of disco, mode"):
        jsd([60.0], [70.0], convention="jsd")
    with pytest.raises(InputError, match="no background jets pass the cut"):
        jsd([], [70.0])
    with pytest.raises(InputError, match="mass 1 of the background jets that fail is not finite"):
        jsd([60.0], [70.0, math.nan])
    with pytest.raises(InputError, match="all 70 GeV; a constant has no shape"):
        jsd([70.0, 70.0], [70.0, 70.0], convention="mode")
    with pytest.raises(InputError, match="jets that pass have no positive weight"):
        jsd([10.0], [70.0])
    with pytest.raises(InputError, match="1 / JSD of 0 is no target"):
        rejection_at([], 0)
    with pytest.raises(InputError, match="all of the background passes"):
        sculpting([1.0, 1.0, 1.0], [0, 0, 1], [60.0, 70.0, 80.0])
