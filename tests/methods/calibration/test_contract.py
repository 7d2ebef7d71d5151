"""What every calibration does: the same interface, saving and loading, errors of one sentence."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods import METHODS
from colliderkit.methods.calibration import (
    Calibration,
    FlowCalibration,
    GaussianAnsatz,
    GeneralisedInversion,
    NumericalInversion,
    Posterior,
    SequentialCalibration,
    TruthRegression,
)
from colliderkit.methods.method import load
from colliderkit.training.settings import Training

QUICK = Training(epochs=2, batch_size=250, learning_rate=2e-3, devices=1)
MADE = {
    "regression-calibration": lambda: TruthRegression(hidden=(8,), training=QUICK),
    "numerical-inversion": lambda: NumericalInversion(bins=20),
    "sequential-calibration": lambda: SequentialCalibration(bins=10, slices=3),
    "generalised-inversion": lambda: GeneralisedInversion(hidden=(8,), bins=20, training=QUICK),
    "gaussian-ansatz": lambda: GaussianAnsatz(hidden=(8,), training=QUICK),
    "flow-calibration": lambda: FlowCalibration(hidden=(8,), transforms=1, bins=4, training=QUICK),
    "posterior-calibration": lambda: Posterior(hidden=(8,), transforms=1, bins=4, training=QUICK),
}
NAMES = list(MADE)
NOISE = 0.5


def sample(count: int = 3000, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return measured, truth in [2, 4] and one feature, all correlated."""
    random = np.random.default_rng(seed)
    truth = random.uniform(2, 4, count)
    feature = random.normal(size=count)
    measured = 2 * truth + NOISE * (feature + random.normal(size=count)) / 2**0.5
    return measured, truth, feature[:, None]


@pytest.fixture(scope="module")
def fitted() -> dict[str, Calibration]:
    measured, truth, feature = sample()
    return {name: make().fit(measured, truth, feature, seed=3) for name, make in MADE.items()}


def leaves(cls: type) -> list[type]:
    kinds = cls.__subclasses__()
    return [leaf for kind in kinds for leaf in leaves(kind)] if kinds else [cls]


def test_every_calibration_is_listed() -> None:
    kinds = {cls.name for cls in leaves(Calibration)}
    assert kinds == set(NAMES)
    assert kinds <= set(METHODS)


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_is_found_within_the_resolution(name: str, fitted: dict) -> None:
    measured, truth, feature = sample(2000, 2)
    found = fitted[name].predict(measured, feature)
    assert found.estimate.shape == found.resolution.shape == (2000,)
    assert found.estimate.dtype == found.resolution.dtype == np.float64
    pull = (found.estimate - truth) / found.resolution
    # Noise of .25 in the truth at most, .18 with the feature: a posterior is a little narrower.
    assert 0.1 < np.median(found.resolution) < 0.27
    assert abs(np.median(pull)) < 0.25
    assert 0.75 < np.std(pull) < 1.25


@pytest.mark.parametrize("name", NAMES)
def test_closure_is_in_bins_of_the_truth(name: str, fitted: dict) -> None:
    measured, truth, feature = sample(2000, 2)
    found = fitted[name].closure(measured, truth, feature, bins=[2.2, 3, 3.8])
    assert found.response == pytest.approx([1, 1], abs=0.06)
    inner = (truth >= 2.2) & (truth <= 3.8)
    assert found.count.sum() == pytest.approx(inner.sum())
    counted = fitted[name].closure(measured, truth, feature, bins=4, statistic="median")
    assert np.ptp(counted.count) <= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_calibration_gives_the_same(name: str, fitted: dict, tmp_path: Path) -> None:
    measured, _, feature = sample(200, 2)
    fitted[name].save(tmp_path / name)
    again = load(tmp_path / name)
    assert again.get_params().keys() == fitted[name].get_params().keys()
    for a, b in zip(
        fitted[name].predict(measured, feature), again.predict(measured, feature), strict=True
    ):
        assert np.array_equal(a, b)
    assert np.array_equal(fitted[name].range_, again.range_)


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides(name: str, fitted: dict) -> None:
    measured, truth, feature = sample()
    again = MADE[name]().fit(measured, truth, feature, seed=3)
    ours, theirs = (m.predict(measured[:50], feature[:50]) for m in (fitted[name], again))
    assert np.array_equal(ours.estimate, theirs.estimate)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_of_zero_is_no_event(name: str) -> None:
    measured, truth, feature = sample()
    rows = np.repeat(np.arange(3000), 2)
    weight = np.tile([1.0, 0.0], 3000)
    wrong = measured[rows] + 100 * np.tile([0.0, 1.0], 3000)
    method = MADE[name]().fit(wrong, truth[rows], feature[rows], weight=weight)
    found = method.predict(measured[:500], feature[:500])
    assert np.abs(found.estimate - truth[:500]).mean() < 0.3


@pytest.mark.parametrize("name", NAMES)
def test_bad_events_are_named(name: str, fitted: dict) -> None:
    measured, truth, feature = sample(300, 4)
    bad = feature.copy()
    bad[7] = np.nan
    with pytest.raises(InputError, match=r"features is nan in event 7 \(counted from 0\)"):
        fitted[name].predict(measured, bad)
    with pytest.raises(InputError, match=r"features is nan in event 7 \(counted from 0\)"):
        MADE[name]().fit(measured, truth, bad)
    with pytest.raises(InputError, match="0 features are given; fit had 1"):
        fitted[name].predict(measured)
    with pytest.raises(InputError, match="truths calibrated with from 2"):
        fitted[name].closure(measured, truth, feature, bins=[1, 3])
    with pytest.raises(
        InputError, match=r"the weight of event 5 \(counted from 0\) is -1; under negative weights"
    ):
        MADE[name]().fit(measured, truth, feature, weight=1 - 2.0 * (np.arange(300) == 5))
    with pytest.raises(InputError, match="column 0 of truth is constant"):
        MADE[name]().fit(measured, np.ones(300), feature)
    with pytest.raises(InputError, match="is not fitted; call fit"):
        MADE[name]().predict(measured, feature)


@pytest.mark.parametrize("name", [n for n in NAMES if not MADE[n]().prior_dependent])
def test_a_response_that_turns_is_named_with_its_place(name: str) -> None:
    random = np.random.default_rng(5)
    truth = random.uniform(-1, 3, 4000)
    measured = (truth - 1) ** 2 + 0.1 * random.normal(size=4000)
    falls = r"does not rise between truths of -0\.\d+ and [01](\.\d+)?,"
    with pytest.raises(InputError, match=falls):
        MADE[name]().fit(measured, truth, random.normal(size=4000))


def test_shapes_are_named() -> None:
    measured, truth, _ = sample(100)
    with pytest.raises(InputError, match=r"measured: has shape \(100, 1\)"):
        NumericalInversion().fit(measured[:, None], truth)
    with pytest.raises(InputError, match=r"truth: has shape \(99,\) for 100 events"):
        NumericalInversion().fit(measured, truth[1:])
    with pytest.raises(InputError, match="100 events with 100 truths are too few"):
        NumericalInversion().fit(measured, truth)
    with pytest.raises(InputError, match=r"^bins is 3; it must be at least 6"):
        NumericalInversion(bins=3).fit(measured, truth)
    with pytest.raises(InputError, match="nearly always one value"):
        SequentialCalibration().fit(*sample(2000)[:2], -(np.arange(2000) == 4).astype(float))


def test_events_outside_the_range_are_warned_of_or_refused(fitted: dict, tmp_path: Path) -> None:
    method = fitted["numerical-inversion"]
    measured, _, feature = sample(100, 2)
    measured[3] = 20.0  # the largest of fit is about 9
    with pytest.warns(UserWarning, match=r"1 of 100 events are outside .* is 20 in event 3"):
        warned = method.predict(measured, feature)
    with pytest.raises(InputError, match=r"1 of 100 events are outside .*; leave them out, or"):
        method.predict(measured, feature, outside="refuse")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = method.predict(measured, feature, outside="extrapolate")
        inside = method.predict(np.clip(measured, 5, 7), np.zeros((100, 1)))
    np.testing.assert_array_equal(warned.estimate, quiet.estimate)
    assert inside.estimate.shape == (100,)
    feature[5] = -50.0
    again = load(method.save(tmp_path / "saved"))
    with pytest.raises(InputError, match="2 of 100 events"):
        again.predict(measured, feature, outside="refuse")
    with pytest.raises(InputError, match="outside is 'maybe'; choose from warn, refuse, extrapola"):
        method.predict(measured, feature, outside="maybe")
