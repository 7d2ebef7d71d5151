"""What each regression must do: reproduce, save, name bad input, and be right where it can be."""

from pathlib import Path

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods import METHODS
from colliderkit.methods.method import load
from colliderkit.methods.regression import REGRESSIONS, Conformal, Regression
from colliderkit.metrics.coverage import coverage
from colliderkit.training.settings import Training

SIGMA = 0.5
COUNT, TESTS = 3000, 4000
# What a fit to COUNT events knows: a width to 1 / sqrt(2 n), n those not held for validation. The
# coverage of 68% intervals moves by 2 z phi(z) = .48 times that, and is counted on TESTS.
WIDTH_ERROR = 1 / np.sqrt(2 * 0.7 * COUNT)
COVERAGE_ERROR = np.hypot(0.48 * WIDTH_ERROR, np.sqrt(0.68 * 0.32 / TESTS))
EPISTEMIC = [
    "bayesian-last-layer",
    "deep-ensemble",
    "evidential-regression",
    "variational-regression",
]
build = REGRESSIONS.build


def options(kind: str, epochs: int = 60) -> dict:
    if kind == "boosted-regression":
        return {"leaves": 8, "learning_rate": 0.1}
    training = Training(epochs=epochs, batch_size=128, learning_rate=5e-3)
    return {"hidden": (16,), "training": training}


def sample(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a line with Gaussian noise, of which everything is known."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, 2))
    return x, truth(x) + SIGMA * random.normal(size=count)


def truth(x: np.ndarray) -> np.ndarray:
    return 10 + 2 * x[:, 0] - x[:, 1]


@pytest.fixture(scope="module")
def fits() -> dict[str, Regression]:
    return {
        kind: build(kind, **options(kind)).fit(*sample(COUNT, 1), seed=2) for kind in REGRESSIONS
    }


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_the_width_of_gaussian_noise_is_found(fits, kind: str) -> None:
    x, _ = sample(TESTS, 3)
    found = fits[kind].predict(x)
    assert found.estimate.shape == found.std.shape == (TESTS,)
    # Evidence pays for being wrong: its t has heavier tails than the noise, by its loss.
    width = SIGMA if kind != "evidential-regression" else found.std.mean()
    off = found.estimate - truth(x)
    # Trees draw steps where there is a slope, so that what they do not know adds to the noise.
    known = np.hypot(width, off.std()) if kind == "boosted-regression" else width
    if kind == "variational-regression":
        # The noise is learned under drawn weights: their scatter is in both of its parts.
        known = np.sqrt(width**2 + 2 * (found.epistemic**2).mean())
    assert np.sqrt((found.std**2).mean()) == pytest.approx(known, rel=3 * WIDTH_ERROR)
    assert abs(off.mean()) < 0.1 * SIGMA


@pytest.mark.parametrize("kind", [kind for kind in REGRESSIONS if kind != "evidential-regression"])
def test_intervals_of_gaussian_noise_cover(fits, kind: str) -> None:
    x, y = sample(TESTS, 4)
    assert coverage(*fits[kind].interval(x, 0.68), y).share == pytest.approx(
        0.68, abs=3 * COVERAGE_ERROR
    )


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_levels_are_nested(fits, kind: str) -> None:
    x, _ = sample(200, 5)
    (low, high), (lower, higher) = (fits[kind].interval(x, level) for level in (0.5, 0.9))
    assert (lower < low).all()
    assert (low < high).all()
    assert (high < higher).all()


@pytest.mark.parametrize("kind", EPISTEMIC)
def test_what_was_not_seen_is_less_certain(fits, kind: str) -> None:
    inside = fits[kind].predict(np.zeros((1, 2))).epistemic
    outside = fits[kind].predict(np.array([[8.0, 8.0], [8.0, -8.0], [-8.0, 8.0], [-8.0, -8.0]]))
    assert inside is not None
    assert outside.epistemic is not None
    if kind != "evidential-regression":  # nothing in its loss asks for that (2205.10060)
        assert outside.epistemic.min() > 2 * inside[0]
    np.testing.assert_allclose(
        outside.std**2, outside.aleatoric**2 + outside.epistemic**2, rtol=1e-12
    )


@pytest.mark.parametrize("kind", [kind for kind in REGRESSIONS if kind not in EPISTEMIC])
def test_a_method_without_an_epistemic_part_says_so(fits, kind: str) -> None:
    found = fits[kind].predict(np.zeros((1, 2)))
    assert found.epistemic is None
    assert found.std is found.aleatoric


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_a_saved_one_answers_alike(fits, kind: str, tmp_path: Path) -> None:
    x, y = sample(300, 6)
    again = load(fits[kind].save(tmp_path / kind))
    for one, other in zip(fits[kind].interval(x, 0.9), again.interval(x, 0.9), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.predict(x).std, fits[kind].predict(x).std)
    calibrated = Conformal(fits[kind]).calibrate(fits[kind], x, y)
    held = load(calibrated.save(tmp_path / f"{kind} calibrated"))
    np.testing.assert_array_equal(held.interval(x), calibrated.interval(x))


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_a_seed_gives_the_same_fit_and_units_do_not_matter(kind: str) -> None:
    x, y = sample(400, 7)
    one, same, other = (
        build(kind, **options(kind, 2)).fit(x, y, seed=seed).predict(x) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.estimate, same.estimate)
    np.testing.assert_array_equal(one.std, same.std)
    assert not np.array_equal(one.estimate, other.estimate)
    # A power of two changes no digit.
    scaled = build(kind, **options(kind, 2)).fit(8 * x, 4 * y, seed=1).predict(8 * x)
    np.testing.assert_allclose(scaled.estimate, 4 * one.estimate, rtol=1e-6)
    np.testing.assert_allclose(scaled.std, 4 * one.std, rtol=1e-5)


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_events_of_weight_zero_are_not_learned_from(kind: str) -> None:
    """Two branches, y = x and y = x + 6, of which the weights leave one."""
    x, y = sample(1200, 8)
    upper = np.arange(1200) % 2 == 0
    y[upper] += 6
    method = build(kind, **options(kind, 10)).fit(x, y, weight=np.where(upper, 0.0, 1.0), seed=1)
    off = method.predict(x).estimate - truth(x)
    assert abs(off.mean()) < 1


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_bad_tables_are_named(fits, kind: str) -> None:
    x, y = sample(40, 9)
    hole = x.copy()
    hole[3, 1] = np.nan
    for given, message in (
        ((hole, y), "x: column 1 is nan in event 3"),
        ((x, np.where(y == y[5], np.inf, y)), "y is inf in event 5"),
        ((x, y[:-1]), r"y: has shape \(39,\) for 40 events"),
        ((x, np.ones(40)), "y is 1 for all events"),
        ((x[:, None], y), "x: has shape"),
        ((x[:1], y[:1] + np.zeros(1)), "for all events"),
    ):
        with pytest.raises(InputError, match=message):
            build(kind, **options(kind)).fit(*given)
    with pytest.raises(
        InputError, match=r"weight of event 0 \(counted from 0\) is -1; a width has no maximum"
    ):
        build(kind, **options(kind)).fit(x, y, weight=-np.ones(40))
    with pytest.raises(InputError, match="is not fitted; call fit"):
        build(kind).predict(x)
    with pytest.raises(InputError, match="x: has 1 columns for the 2 names"):
        fits[kind].predict(x[:, :1])
    with pytest.raises(InputError, match="x: column 'column 1' is nan in event 3"):
        fits[kind].interval(hole)
    with pytest.raises(InputError, match="between 0 and 1"):
        fits[kind].interval(x, 68.0)


def test_every_regression_is_a_method_of_the_same_name() -> None:
    assert all(METHODS[name] == entry for name, entry in REGRESSIONS.items())
    assert all(REGRESSIONS.load(name).name == name for name in REGRESSIONS)


def test_bad_names_and_options_are_named(fits) -> None:
    with pytest.raises(InputError, match="no regression is called 'magic'"):
        build("magic")
    with pytest.raises(InputError, match="has no option 'draws'"):
        build("deep-ensemble", draws=3)
    with pytest.raises(InputError, match=r"^members is 0"):
        build("deep-ensemble", members=0).fit(*sample(50, 1))
    with pytest.raises(InputError, match=r"^draws is 1"):
        build("variational-regression", draws=1).fit(*sample(50, 1))
    with pytest.raises(InputError, match=r"quantile of 0.005 is beyond the learned 0.025"):
        fits["quantile-regression"].interval(np.zeros((1, 2)), 0.99)
