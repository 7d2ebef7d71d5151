"""Limits: closed forms of the count, and an injected signal whose efficiency grows with it."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import poisson

from colliderkit.errors import InputError
from colliderkit.methods.search.resonant.cwola import CwolaHunting
from colliderkit.methods.search.resonant.limits import injected, upper_limit
from colliderkit.sources.toys.resonance import Resonance

QUICK = {"rounds": 10, "leaves": 5}


def test_limits_of_a_count_are_those_in_closed_form():
    assert upper_limit(0, 0, 0) == pytest.approx(-np.log(0.05))
    assert upper_limit(0, 5, 2) == pytest.approx(-np.log(0.05))  # CLs knows no b without events
    assert upper_limit(0, 5, 0, level=0.9) == pytest.approx(-np.log(0.1))
    exact = brentq(lambda s: poisson.cdf(7, 5 + s) / poisson.cdf(7, 5) - 0.05, 0, 50)
    assert upper_limit(7, 5, 0) == pytest.approx(exact)


def test_a_large_count_has_a_gaussian_limit():
    """CLs of a Gaussian at its mean: s = sigma Phi^-1(1 - alpha / 2), errors in quadrature."""
    sigma = np.sqrt(1e4 + 100**2)
    assert upper_limit(1e4, 1e4, 100) == pytest.approx(1.96 * sigma, rel=0.02)


@pytest.mark.parametrize("numbers", [(-1, 1, 0), (1, -1, 0), (1, 1, -1)])
def test_a_count_that_is_none(numbers):
    with pytest.raises(InputError, match="make no limit"):
        upper_limit(*numbers)


@pytest.mark.statistical
def test_the_efficiency_depends_on_the_strength_and_a_limit_is_found(seed, tmp_path):
    toy = Resonance(distance=(2.0, 2.0))
    events, signal = toy.events(10_000, 0, [seed, 10]), toy.events(0, 1000, [seed, 11])
    method = CwolaHunting(folds=3, efficiency=0.05, options=QUICK)
    strengths = [10, 60, 240]
    model = signal.features, signal.mass
    found = injected(
        method, events.features, events.mass, model, strengths=strengths, folder=tmp_path
    )
    efficiency = [one.efficiency for one in found.injections]
    assert efficiency[-1] > efficiency[0]
    assert all(one.upper > 2 for one in found.injections)
    assert found.expected is not None
    assert 10 <= found.expected < 240
    again = injected(
        method,
        *(events.features, events.mass, model),
        strengths=strengths[:2],
        folder=tmp_path,
        resume=True,
    )
    assert again.injections == found.injections[:2]
    with pytest.raises(InputError, match="of another request"):
        injected(
            method,
            *(events.features, events.mass + 1, model),
            strengths=strengths,
            folder=tmp_path,
            resume=True,
        )


def test_weights_are_those_of_the_fit_and_say_what_is_drawn():
    """Of the model only what has a weight; of the data a spectrum of half as many events."""
    toy = Resonance(distance=(2.0, 2.0))
    events, signal = toy.events(4_000, 0, 1), toy.events(0, 300, 2)
    heavy = signal.mass > np.median(signal.mass)
    method = CwolaHunting(folds=3, efficiency=0.05, options=QUICK)
    data = events.features, events.mass
    found = {
        weight: injected(
            method,
            *data,
            (signal.features, signal.mass, heavy.astype(float)),
            strengths=[150],
            weight=np.full(len(events), weight),
            progress=False,
        ).injections[0]
        for weight in (0.5, 1.0)
    }
    assert found[0.5].observed % 0.5 == 0
    assert found[0.5].observed < found[1.0].observed
    with pytest.raises(InputError, match="the signal has 150"):
        model = signal.features, signal.mass, heavy.astype(float)
        injected(method, *data, model, strengths=[151], progress=False)


def test_strengths_that_are_none():
    events = Resonance(distance=(1.0,)).events(50, 50, 1)
    call = (CwolaHunting(), events.features, events.mass, (events.features, events.mass))
    with pytest.raises(InputError, match="give rising numbers"):
        injected(*call, strengths=[3, 2])
    with pytest.raises(InputError, match="the signal has 100"):
        injected(*call, strengths=[101])
