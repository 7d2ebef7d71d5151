"""Symmetry discovery against densities whose symmetries are known."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.search.symmetry import Symmetry, angle_between
from colliderkit.seeds import derive


def around(axis: np.ndarray) -> np.ndarray:
    """The generator of rotations around an axis."""
    x, y, z = axis / np.linalg.norm(axis)
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


def cigar(count: int, axis: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A normal distribution that is twice as wide along an axis, away from the origin."""
    unit = axis / np.linalg.norm(axis)
    x = random.normal(size=(count, 3))
    return x + np.outer(x @ unit, unit) + [5, -3, 1]


@pytest.mark.statistical
def test_the_hidden_axis_of_a_gaussian_is_found_within_its_error(seed):
    pulls, angles, p_values = [], [], []
    for i in range(40):
        random = np.random.default_rng(derive(seed, i))
        axis = random.normal(size=3)
        method = Symmetry(level=1e-6).fit(cigar(20_000, axis, random), seed=derive(seed, "w", i))
        assert len(method.generators_) == 1
        angles.append(angle_between(method.generators_[0], around(axis)))
        pulls.append(angles[-1] / method.errors_[0])
        p_values.append(method.p_values_[0])
    assert np.median(angles) < 1e-2
    # Of two directions each squared pull is that of chi^2 with two degrees of freedom, over two.
    assert 0.5 < np.mean(np.square(pulls)) < 2
    # p-values are uniform: 40 of them have a mean of 0.5 within 4 x 0.29 / sqrt(40).
    assert abs(np.mean(p_values) - 0.5) < 0.19


def test_all_rotations_of_a_round_gaussian_are_found(seed):
    x = np.random.default_rng(seed).normal(size=(20_000, 3))
    method = Symmetry(level=1e-6).fit(x, seed=seed)
    assert len(method.generators_) == 3
    np.testing.assert_allclose((method.generators_**2).sum((1, 2)), 2)


def test_a_linear_symmetry_has_other_scales(seed):
    """Of widths 1 and 2 the ellipse turns into itself."""
    x = np.random.default_rng(seed).normal(size=(20_000, 2)) * [1, 2]
    assert len(Symmetry(level=1e-6).fit(x, seed=seed).generators_) == 0
    method = Symmetry(group="linear", level=1e-6).fit(x, seed=seed)
    assert len(method.generators_) == 1
    # Its error is 0.006 here.
    assert angle_between(method.generators_[0], [[0, -0.5], [2, 0]]) < 0.04


@pytest.mark.parametrize("fold", [2, 3, 5])
def test_finite_rotations_are_found(fold, seed):
    random = np.random.default_rng(derive(seed, fold))
    angle = random.integers(0, fold, 8000) * 2 * np.pi / fold
    x = random.normal(0, 0.3, (8000, 2)) + np.stack([np.cos(angle), np.sin(angle)], 1)
    method = Symmetry(level=1e-6).fit(x, seed=seed)
    assert len(method.generators_) == 0
    expected = 2 * np.pi * np.arange(1, fold) / fold
    assert len(method.angles_.found) == len(expected)
    assert (np.abs(method.angles_.found - expected) < 5 * method.angles_.error).all()
    assert (method.angles_.error < 3e-2).all()


@pytest.mark.parametrize("group", ["rotation", "linear"])
def test_nothing_is_found_where_nothing_is(group, seed):
    random = np.random.default_rng(seed)
    x = random.gamma(2, 1, (8000, 2)) * [1, 2] + random.normal(size=(8000, 1))
    method = Symmetry(group=group).fit(x, seed=seed)
    assert len(method.generators_) == 0
    assert method.angles_ is None or len(method.angles_.found) == 0


def test_a_found_generator_is_applied_about_the_mean(seed):
    random = np.random.default_rng(seed)
    x = cigar(20_000, np.array([0, 0, 1.0]), random)
    method = Symmetry(level=1e-6).fit(x[:10_000], seed=seed)
    moved = method.transformed(x, 0.7)
    np.testing.assert_allclose(moved.mean(0), x.mean(0), atol=0.05)
    np.testing.assert_allclose(method.transformed(moved, -0.7), x, atol=1e-9)
    assert method.p_value(x[10_000:], around(np.array([0, 0, 1.0]))) > 1e-4
    assert method.p_value(x[10_000:], around(np.array([1.0, 0, 0]))) < 1e-4


@pytest.mark.parametrize(
    ("arguments", "shape", "sentence"),
    [
        ({"group": "affine"}, (900, 2), "choose rotation or linear"),
        ({}, (900, 1), "one column"),
        ({}, (100, 2), "too few for 24 test functions"),
        ({"functions": 2}, (900, 4), "functions is 2"),
    ],
)
def test_what_cannot_work_is_refused(arguments, shape, sentence):
    x = np.random.default_rng(1).normal(size=shape)
    with pytest.raises(InputError, match=sentence):
        Symmetry(**arguments).fit(x)
