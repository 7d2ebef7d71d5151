"""What features know of the mass: nothing, something, or all."""

import warnings

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.search.resonant.mass_dependence import mass_dependence, refuse_mass


def drawn(seed, events=8000):
    """A mass, a feature of its own, one that follows it, and two functions of it."""
    random = np.random.default_rng(seed)
    mass = 2500 + random.exponential(600, events)
    own = random.normal(size=events)
    follows = own + (mass - 3100) / 600
    names = ["own", "follows", "square", "negative"]
    return np.column_stack([own, follows, mass**2, -np.log(mass)]), mass, names


@pytest.mark.statistical
def test_each_dependence_is_measured(seed):
    x, mass, names = drawn([seed, 8])
    found = {one.name: one for one in mass_dependence(x, mass, names=names)}
    assert abs(found["own"].correlation) < 0.005
    assert found["own"].explained < 4 / np.sqrt(len(mass))
    assert 0.1 < found["follows"].correlation < 0.6
    assert 0.3 < found["follows"].explained < 0.6
    for name in ("square", "negative"):
        assert found[name].correlation == pytest.approx(1, abs=0.01)
        assert found[name].explained > 0.9999


@pytest.mark.statistical
def test_a_function_that_is_not_monotonic_is_one_too(seed):
    _, mass, _ = drawn([seed, 9])
    (found,) = mass_dependence(np.sin(mass / 300), mass)
    assert found.explained > 0.99


def test_functions_of_the_mass_are_refused_unless_they_are_known():
    x, mass, names = drawn(1)
    with pytest.raises(InputError, match="feature 'square' is a function of the resonant mass"):
        refuse_mass(x[:, :3], mass, names=names[:3])
    with pytest.warns(UserWarning, match="know the resonant mass"):
        refuse_mass(x, mass, names=names, known=True)


def test_what_follows_the_mass_is_warned_of():
    x, mass, names = drawn(2)
    with pytest.warns(UserWarning, match=r"follows \(0\.\d"):
        refuse_mass(x[:, :2], mass, names=names[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refuse_mass(x[:, :1], mass, names=names[:1])


def test_a_constant_says_nothing():
    (found,) = mass_dependence(np.ones(100), np.arange(100.0))
    assert (found.correlation, found.explained) == (0, 0)
