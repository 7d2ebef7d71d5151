"""The toy of a resonance: spectrum, densities and the best cut, against their closed forms."""

import numpy as np
import pytest
from scipy.stats import kstest

from colliderkit.sources.toys.resonance import Resonance

REGION = (3300.0, 3700.0)


@pytest.mark.statistical
def test_masses_have_their_spectrum(seed):
    toy = Resonance()
    events = toy.events(50_000, 20_000, [seed, 1])
    background, signal = (events.mass[events.label == kind] for kind in (0, 1))
    low, high = toy.range

    def below(mass):
        return np.expm1((low - mass) / toy.fall) / np.expm1((low - high) / toy.fall)

    assert kstest(background, below).pvalue > 1e-4
    assert kstest(signal, "norm", (toy.peak, toy.width)).pvalue > 1e-4
    for share, masses in ((toy.background(REGION), background), (toy.signal(REGION), signal)):
        inside = ((masses >= REGION[0]) & (masses < REGION[1])).mean()
        assert inside == pytest.approx(share, abs=4.5 * (0.25 / len(masses)) ** 0.5)


@pytest.mark.statistical
def test_the_ratio_is_that_of_the_densities(seed):
    toy = Resonance(shift=2.0)
    events = toy.events(100_000, 0, [seed, 2])
    ratio = toy.log_ratio(events.features, events.mass)
    # ln of it is N(-d.d / 2, d.d) over background, and e to it has the mean 1.
    assert kstest(ratio, "norm", (-5.0, 10**0.5)).pvalue > 1e-4
    near = Resonance(distance=(0.5, 0.5, 0.0, 0.0), shift=2.0)
    mild = np.exp(near.log_ratio(events.features, events.mass))
    assert mild.mean() == pytest.approx(1, abs=4.5 * np.sqrt(np.expm1(0.5) / len(mild)))


def test_the_features_follow_the_mass_by_the_shift_alone():
    plain, shifted = (Resonance(shift=shift).events(100, 10, 3) for shift in (0.0, 2.0))
    np.testing.assert_array_equal(plain.mass, shifted.mass)
    moved = (shifted.features - plain.features) / ((plain.mass - 3500) / 1000)[:, None]
    np.testing.assert_allclose(moved, 2.0)
    assert Resonance(distance=(0.0,)).efficiency(0.03) == pytest.approx(0.03)
    # At a distance of one standard deviation, half of the signal lies where 15.9% of the rest does.
    assert Resonance(distance=(0.6, 0.8)).efficiency(0.158655) == pytest.approx(0.5, abs=1e-5)
    wrong = Resonance().simulation(100, 3, error=0.5)
    np.testing.assert_allclose(wrong.features - 0.5, Resonance().events(100, 0, 3).features)
