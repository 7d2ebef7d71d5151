"""The masked fit: exact where the function is, calibrated where it is not, and honest on both."""

import numpy as np
import pytest
from scipy.stats import kstest

from colliderkit.errors import InputError
from colliderkit.methods.search.spectrum import edges_with, excess, window_edges

EDGES = np.linspace(2000, 6000, 41)
REGION = (3300.0, 3700.0)


def falling(random, events, scale=700.0):
    """Masses of an exponential spectrum from 2 to 6 TeV."""
    uniform = random.uniform(0, 1 - np.exp(-4000 / scale), events)
    return 2000 - scale * np.log1p(-uniform)


def test_the_fit_is_exact_where_the_spectrum_is_of_the_family():
    middle = (EDGES[1:] + EDGES[:-1]) / 2
    x = middle / (1.05 * middle.max())
    spectrum = 4000 * (1 - x) ** 3 * x**-2.5
    found = excess(middle, region=REGION, edges=EDGES, weight=spectrum, orders=(2, 3))
    assert found.expected == pytest.approx(spectrum[13:17].sum(), rel=1e-6)
    assert found.observed == pytest.approx(spectrum[13:17].sum())
    assert found.significance == pytest.approx(0, abs=1e-3)
    assert found.goodness == pytest.approx(1)
    np.testing.assert_allclose(found.background, spectrum, rtol=1e-5)


def test_unequal_bins_are_fitted_by_their_widths(seed):
    """An exponential is one in any bins: the polynomial of order 1 on logarithmic ones too."""
    edges = np.geomspace(2000, 6000, 60)
    cumulated = -np.exp(-edges / 700)
    counts = 1e6 * np.diff(cumulated)
    middle = (edges[1:] + edges[:-1]) / 2
    found = excess(
        middle, region=REGION, edges=edges, weight=counts, family="polynomial", orders=(1, 1)
    )
    true = 1e6 * (np.exp(-3300 / 700) - np.exp(-3700 / 700))
    first, last = np.searchsorted(found.edges, REGION)
    inside = 1e6 * np.diff(-np.exp(-found.edges / 700))[first:last].sum()
    assert inside == pytest.approx(true)
    assert found.expected == pytest.approx(true, rel=0.01)  # of the density at the middles of bins


@pytest.mark.statistical
def test_local_p_values_of_smooth_spectra_are_uniform(seed):
    random = np.random.default_rng([seed, 1])
    found = [
        excess(
            falling(random, random.poisson(3000)),
            region=REGION,
            edges=EDGES,
            family="polynomial",
            orders=(1, 1),
        )
        for _ in range(300)
    ]
    assert kstest([one.local_p for one in found], "uniform").pvalue > 1e-4
    assert kstest([one.goodness for one in found], "uniform").pvalue > 1e-4
    pulls = np.array([(o.expected - 3000 * share()) / o.uncertainty for o in found])
    assert pulls.mean() == pytest.approx(0, abs=4 / np.sqrt(300))
    assert pulls.std() == pytest.approx(1, abs=4 / np.sqrt(600))


def share():
    """The share of `falling` in the window."""
    return (np.exp(-1300 / 700) - np.exp(-1700 / 700)) / (1 - np.exp(-4000 / 700))


def test_a_bump_is_counted_and_does_not_move_the_fit(seed):
    random = np.random.default_rng([seed, 2])
    background = falling(random, 20_000)
    bump = random.normal(3500, 30, 400)
    without = excess(background, region=REGION, edges=EDGES)
    found = excess(np.append(background, bump), region=REGION, edges=EDGES)
    assert found.observed - without.observed == pytest.approx(400, abs=1)
    assert found.expected == pytest.approx(without.expected)
    assert found.significance > without.significance + 4


def test_the_spurious_signal_is_that_of_a_function_too_stiff():
    """Where the family does not hold the spectrum, another of more parameters tells of it."""
    middle = (EDGES[1:] + EDGES[:-1]) / 2
    u = (middle - 4000) / 2000
    counts = 1000 * np.exp(-2 * u - 0.6 * u**2)
    stiff, free = (
        excess(
            middle,
            region=REGION,
            edges=EDGES,
            family="polynomial",
            orders=(order, order),
            weight=counts,
        )
        for order in (1, 2)
    )
    missed = stiff.observed - stiff.expected
    assert missed > 500
    assert stiff.spurious == pytest.approx(missed, rel=0.3)  # the other family is in the choice
    assert abs(free.spurious) < 0.1 * abs(stiff.spurious)
    assert stiff.goodness < 1e-6


def test_another_parameter_is_taken_where_the_sidebands_ask_for_it(seed):
    random = np.random.default_rng([seed, 3])
    middle = (EDGES[1:] + EDGES[:-1]) / 2
    u = (middle - 4000) / 2000
    counts = random.poisson(1000 * np.exp(-2 * u - 0.6 * u**2))
    found = excess(
        middle, region=REGION, edges=EDGES, family="polynomial", orders=(1, 3), weight=counts
    )
    assert found.order >= 2


def test_the_ends_of_the_window_become_edges():
    edges = window_edges(np.arange(0.0, 11.0), (2.2, 5.4))
    np.testing.assert_array_equal(edges, [0, 1, 2.2, 3, 4, 5.4, 6, 7, 8, 9, 10])


def test_bins_are_made_around_windows():
    edges = edges_with([(3.0, 5.0), (4.0, 6.0)], 0.0, 10.0, 10)
    np.testing.assert_allclose(edges, np.arange(11.0))
    np.testing.assert_allclose(edges_with((3.25, 3.5), 0, 10, 10)[3:6], [3.25, 3.5, 4.583333], 1e-6)
    with pytest.raises(InputError, match="not inside of the masses, 0 to 10"):
        edges_with((9, 11), 0, 10, 10)


@pytest.mark.parametrize(
    ("region", "sentence"),
    [
        ((3700, 3300), "give its lower end first"),
        ((1000, 1400), "not inside of the spectrum, 2000 to 6000"),
        ((2000, 2400), "with sidebands left"),
        ((3305, 3308), "narrower than a bin"),
    ],
)
def test_windows_that_are_none(region, sentence):
    with pytest.raises(InputError, match=sentence):
        window_edges(EDGES, region)


def test_sidebands_with_few_events_are_named_with_their_window():
    with pytest.raises(InputError, match="window 3300 to 3700: 2 bins beside it hold events"):
        excess([2050, 2150, 3500], region=REGION, edges=EDGES)


@pytest.mark.statistical
def test_a_sideband_that_a_cut_has_emptied_is_fitted(seed):
    """A strong signal takes all that passes: no event above is what the fit is told, too."""
    random = np.random.default_rng([seed, 4])
    mass = falling(random, 100)
    found = excess(
        np.append(mass[mass < 3300], random.normal(3500, 30, 300)),
        region=REGION,
        edges=EDGES,
        family="polynomial",
        orders=(1, 2),
    )
    assert found.expected < 30
    assert found.significance > 8


def test_a_fit_that_does_not_converge_names_its_window(monkeypatch):
    from colliderkit.methods.search import spectrum

    monkeypatch.setattr(spectrum, "STEPS", 1)
    with pytest.raises(InputError, match="window 3300 to 3700: the fit of the dijet function"):
        excess(falling(np.random.default_rng(1), 3000), region=REGION, edges=EDGES)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"family": "spline"}, "family 'spline' is none of"),
        ({"orders": (3, 1)}, "orders are"),
        ({"weight": np.full(100, -1.0)}, "must not be negative"),
    ],
)
def test_arguments_that_are_none(arguments, sentence):
    with pytest.raises(InputError, match=sentence):
        excess(np.linspace(2000, 6000, 100), region=REGION, edges=EDGES, **arguments)
