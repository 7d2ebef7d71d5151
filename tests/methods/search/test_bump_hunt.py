"""The bump search: exact fits, uniform p-values without a bump, and a bump that is found."""

import numpy as np
import pytest
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.methods.search.bump_hunt import BumpHunt, false_positives
from colliderkit.methods.search.spectrum import significance

EDGES = np.linspace(50, 250, 41)
MIDDLE = (EDGES[1:] + EDGES[:-1]) / 2
FALLING = np.exp(-MIDDLE / 60)
FALLING *= 4000 / FALLING.sum()


@pytest.mark.parametrize(
    ("family", "spectrum"),
    [
        ("polynomial", 1e4 * np.exp(-MIDDLE / 60 - (MIDDLE / 120) ** 2)),
        ("dijet", 1e3 * (1 - MIDDLE / (1.05 * MIDDLE.max())) ** 2 * MIDDLE**-0.7),
    ],
)
def test_sidebands_foretell_a_spectrum_of_the_family_exactly(family, spectrum):
    hunt = BumpHunt(edges=EDGES, family=family)
    significance, expected, _ = hunt._scanner(EDGES).scan(spectrum[None], np.array([2]))
    inside = [spectrum[first:end].sum() for first, end in hunt._scanner(EDGES).windows]
    np.testing.assert_allclose(expected[0], inside, rtol=1e-6)
    np.testing.assert_allclose(significance, 0, atol=1e-2)


def test_significance_without_uncertainty_is_that_of_a_poisson_count():
    n, b = np.array([130.0, 70.0]), np.array([100.0, 100.0])
    expected = np.sign(n - b) * np.sqrt(2 * (n * np.log(n / b) - n + b))
    np.testing.assert_allclose(significance(n, b, np.full(2, 1e-4)), expected, rtol=1e-6)
    # With a Gaussian large count, (n - b) / sqrt(b + s^2).
    big = significance(np.array([1e6 + 2e3]), np.array([1e6]), np.array([1e3]))
    np.testing.assert_allclose(big, 2e3 / np.sqrt(2e6), rtol=2e-3)


def test_the_uncertainty_of_the_sidebands_is_that_of_repetitions():
    hunt = BumpHunt(edges=EDGES, orders=(2, 2))
    counts = np.random.default_rng(5).poisson(FALLING, (400, 40)).astype(float)
    _, expected, uncertainty = hunt._scanner(EDGES).scan(counts, np.full(400, 2))
    spread = expected.std(0, ddof=1)
    # 400 repetitions know a standard deviation to 3.5%; 133 windows, nearly all within 4 of that.
    assert np.median(uncertainty.mean(0) / spread) == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(uncertainty.mean(0) / spread, 1, atol=0.16)


@pytest.mark.slow
def test_global_p_values_of_smooth_spectra_are_uniform():
    spectra, toys = 1000, 3000
    hunt = BumpHunt(edges=EDGES, toys=toys)
    counts = np.random.default_rng(1).poisson(FALLING, (spectra, 40))
    p = hunt.global_p(counts, seed=2)
    for level in (0.05, 0.1, 0.3, 0.5, 0.8):
        # The spectra count, and so do the pseudo-experiments that they are held against.
        error = np.sqrt(level * (1 - level) * (1 / spectra + 1 / toys))
        assert (p <= level).mean() == pytest.approx(level, abs=3.5 * error)


def test_a_bump_is_found_where_it_is():
    signal = np.exp(-0.5 * ((MIDDLE - 122) / 5) ** 2)
    counts = np.random.default_rng(3).poisson(FALLING + 250 * signal / signal.sum())
    bump = BumpHunt(edges=EDGES, toys=199).fit_histogram(counts).bump_
    # 0.84 * 250 events on 330 in the three bins around it: 210 / sqrt(330 + 80) = 10, which
    # fluctuates by sqrt(540 / 410).
    assert bump.significance > 6
    assert bump.global_p == 1 / 200
    low, high = bump.window
    assert low < 122 < high
    assert bump.local_p < 1e-8
    assert bump.observed - bump.expected == pytest.approx(210, abs=3.5 * 540**0.5)


def test_a_smooth_spectrum_has_no_bump_and_a_seed_fixes_the_answer():
    counts = np.random.default_rng(4).poisson(FALLING)
    first, second = (BumpHunt(edges=EDGES, toys=99).fit_histogram(counts, seed=7) for _ in range(2))
    assert first.global_p_ == second.global_p_ > 0.05


def test_the_order_grows_with_what_the_spectrum_asks_for():
    u = (MIDDLE - 150) / 100
    wavy = np.random.default_rng(6).poisson(
        400 * np.exp(0.5 * np.polynomial.Legendre([0, -1, 0, 0, 1])(u))
    )
    assert BumpHunt(edges=EDGES, toys=20).fit_histogram(wavy).bump_.order >= 4


def test_a_template_takes_any_shape_and_leaves_the_efficiency():
    # A spectrum with a step, and a cut whose efficiency is exponential: foretold exactly.
    template = np.where(MIDDLE < 120, 3000.0, 500.0)
    hunt = BumpHunt(edges=EDGES, template=template, orders=(0, 1))
    passed = 0.1 * template * np.exp(-MIDDLE / 90)
    significance, expected, _ = hunt._scanner(EDGES).scan(passed[None], np.array([1]))
    inside = [passed[first:end].sum() for first, end in hunt._scanner(EDGES).windows]
    np.testing.assert_allclose(expected[0], inside, rtol=1e-6)
    np.testing.assert_allclose(significance, 0, atol=1e-2)


def test_a_spectrum_that_is_all_bump_is_one_against_a_template():
    # n events in a window of w of 40 bins and nothing elsewhere, on a flat template: the
    # sidebands are an empty measurement tau = (40 - w) / w as long, Z^2 = 2 n ln(1 + tau).
    counts = np.zeros(40)
    counts[10:16] = [10, 20, 30, 20, 10, 10]
    hunt = BumpHunt(edges=EDGES, template=np.ones(40), orders=(0, 0), toys=99)
    bump = hunt.fit_histogram(counts).bump_
    assert bump.window == (EDGES[10], EDGES[16])
    assert bump.significance == pytest.approx(np.sqrt(2 * 100 * np.log(40 / 6)), rel=1e-3)
    assert bump.global_p == 0.01


def test_false_positives_are_counted():
    found = false_positives([0.01, 0.2, 0.04, 0.9], level=0.05)
    assert found.value == 0.5
    assert found.error == 0.25
    assert false_positives(np.ones(100)).error == pytest.approx(np.sqrt(0.01 * 0.99 / 100))


def test_masses_are_counted_with_their_weights():
    masses = np.random.default_rng(7).exponential(60, 6000) + 50
    masses = np.append(masses, np.random.default_rng(8).normal(122, 5, 250))
    hunt = BumpHunt(edges=EDGES, toys=99)
    counts = np.histogram(masses, EDGES)[0]
    one = hunt.fit(masses, seed=1).bump_
    assert one.significance == hunt.fit_histogram(counts, seed=1).bump_.significance > 5
    twice = hunt.fit(np.concatenate([masses, masses]), seed=1).local_p_
    np.testing.assert_array_equal(
        hunt.fit(masses, weight=np.full(6250, 2.0), seed=1).local_p_, twice
    )


def test_without_edges_the_bins_are_equal_from_end_to_end():
    masses = np.random.default_rng(10).uniform(100, 200, 3000)
    hunt = BumpHunt(bins=25, toys=20).fit(masses)
    np.testing.assert_allclose(hunt.edges_, np.linspace(masses.min(), masses.max(), 26))
    assert hunt.counts_.sum() == 3000
    with pytest.raises(InputError, match="edges is None"):
        hunt.global_p(hunt.counts_)


def test_every_window_is_told_and_saved(tmp_path):
    counts = np.random.default_rng(9).poisson(FALLING)
    hunt = BumpHunt(edges=EDGES, template=np.ones(40), toys=20).fit_histogram(counts)
    best = int(hunt.significance_.argmax())
    assert tuple(hunt.windows_[best]) == hunt.bump_.window
    assert hunt.local_p_[best] == hunt.bump_.local_p
    again = load(hunt.save(tmp_path / "hunt"))
    assert again.bump_.global_p == hunt.global_p_
    np.testing.assert_array_equal(again.local_p_, hunt.local_p_)
    np.testing.assert_array_equal(again.bump_.background, hunt.bump_.background)
    np.testing.assert_array_equal(clone(again).fit_histogram(counts).local_p_, hunt.local_p_)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"family": "spline"}, "family 'spline' is none of polynomial, dijet"),
        ({"edges": EDGES[:9]}, "8 bins with windows of 6 leave too few"),
        ({"edges": EDGES[::-1]}, "edges must rise"),
        ({"orders": (3, 2)}, "orders are"),
        ({"template": np.zeros(40)}, "positive and finite in all 40 bins"),
        ({"toys": 5}, "5 pseudo-experiments give no p-value"),
    ],
)
def test_bad_arguments_are_named(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        BumpHunt(**{"edges": EDGES, **arguments}).fit_histogram(np.full(40, 10))


def test_bad_input_is_named():
    hunt = BumpHunt(edges=EDGES)
    with pytest.raises(InputError, match="39 bins where the edges make 40"):
        hunt.fit_histogram(np.ones(39))
    with pytest.raises(InputError, match="finite and not negative"):
        hunt.fit_histogram(-np.ones(40))
    with pytest.raises(InputError, match="events in 3 bins; more than 6"):
        hunt.fit_histogram(np.where(np.arange(40) < 3, 5, 0))
    with pytest.raises(InputError, match="mass is nan in event 1"):
        hunt.fit([60.0, np.nan])
    with pytest.raises(InputError, match="a bin is a Poisson count"):
        hunt.fit([60.0, 70.0], weight=[2.0, -1.0])
