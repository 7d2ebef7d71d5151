"""Refinement of Gaussians, where both ends of the front are known."""

from pathlib import Path

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.method import load
from colliderkit.methods.simulation.refinement import Refinement
from colliderkit.training.settings import Training

# The truth u is normal; fast = u + .5 e1 and full = 1 + 1.5 u + .6 e2 see it each in their way.
FAST, FULL, SLOPE, SHIFT = 0.5, 0.6, 1.5, 1.0
# The best guess of the full from the fast has this slope, the map of the densities that one.
GUESS = SLOPE / (1 + FAST**2)
MAP = np.sqrt((SLOPE**2 + FULL**2) / (1 + FAST**2))
LIMIT = 0.003  # of the ensemble, whose ends are .005 and 0
QUICK = Training(epochs=12, batch_size=250, learning_rate=1e-2, devices=1)


def sample(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    u = random.normal(size=count)
    fast = u + FAST * random.normal(size=count)
    full = SHIFT + SLOPE * u + FULL * random.normal(size=count)
    return fast[:, None], full[:, None]


def line(method: Refinement) -> tuple[float, float]:
    """Return slope and height of the learned map over the central region."""
    x = np.linspace(-1.5, 1.5, 61)
    slope, height = np.polyfit(x, method.transform(x[:, None])[:, 0], 1)
    return float(slope), float(height)


def make(**options) -> Refinement:
    return Refinement(hidden=(16,), training=QUICK, **options).fit(
        *sample(5000, 1), seed=2, progress=False
    )


@pytest.fixture(scope="module")
def fits() -> dict[str, Refinement]:
    return {
        "pairs": make(minimise="pairs"),
        "ensemble": make(minimise="ensemble"),
        "limited": make(minimise="pairs", at_most=LIMIT),
    }


def test_pairs_alone_give_the_best_guess(fits: dict[str, Refinement]) -> None:
    slope, height = line(fits["pairs"])
    # The statistical error of the slope is .96 / 1.12 / sqrt(4000) = .014.
    assert slope == pytest.approx(GUESS, abs=0.045)
    assert height == pytest.approx(SHIFT, abs=0.045)


def test_the_ensemble_alone_gives_the_map_of_the_densities(fits: dict[str, Refinement]) -> None:
    slope, height = line(fits["ensemble"])
    # Both spreads are known to 1 / sqrt(2 * 4000) = 1.1% each, that of the means to 2%.
    assert slope == pytest.approx(MAP, abs=3 * 1.6e-2 * MAP)
    assert height == pytest.approx(SHIFT, abs=0.08)
    assert MAP - GUESS > 0.2


def test_a_limit_is_kept_and_in_between(fits: dict[str, Refinement]) -> None:
    fast, full = sample(20_000, 3)
    found = {}
    for name, method in fits.items():
        pairs, ensemble = method.losses(method.transform(fast), full)
        found[name] = pairs.mean(), ensemble.mean(), ensemble.std() / len(ensemble) ** 0.5
    assert found["pairs"][0] < found["limited"][0] < found["ensemble"][0]
    assert found["ensemble"][1] < found["limited"][1] < found["pairs"][1]
    # Within the tolerance of 5%, and the errors of validation (1000) and test events.
    error = found["limited"][2] * (1 + 20_000 / 1000) ** 0.5
    assert abs(found["limited"][1] - LIMIT) < 0.05 * LIMIT + 3 * error
    assert fits["limited"].multiplier_ > 0
    assert fits["pairs"].multiplier_ == 0


def test_an_untrained_network_is_the_fast_simulation() -> None:
    fast, full = sample(500, 1)
    idle = Training(epochs=1, batch_size=500, learning_rate=1e-12, devices=1)
    method = Refinement(training=idle).fit(fast, full, progress=False)
    np.testing.assert_allclose(method.transform(fast), fast, rtol=1e-5, atol=1e-6)


def test_a_saved_one_refines_alike(fits: dict[str, Refinement], tmp_path: Path) -> None:
    fast, _ = sample(50, 4)
    again = load(fits["limited"].save(tmp_path / "refinement"))
    np.testing.assert_array_equal(again.transform(fast), fits["limited"].transform(fast))
    assert again.multiplier_ == fits["limited"].multiplier_
    assert again.at_most == LIMIT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"full": np.zeros((3, 2))}, "row by row the same"),
        ({"fast": np.full((4, 1), np.nan)}, "fast is nan in event 0"),
        ({"full": np.ones((4, 1))}, "quantity 0 is constant"),
        ({"weight": [1.0, -1.0, 0.0, 0.0]}, "their sum must be positive"),
        ({"event": [1, 2]}, "event has shape"),
    ],
)
def test_bad_tables_are_named(change: dict, message: str) -> None:
    given = {"fast": np.arange(4.0)[:, None], "full": np.arange(4.0)[:, None], **change}
    with pytest.raises(InputError, match=message):
        Refinement().fit(given.pop("fast"), given.pop("full"), **given)


def test_bad_options_are_named() -> None:
    fast, full = sample(50, 1)
    with pytest.raises(InputError, match="minimise is 'both'"):
        Refinement(minimise="both").fit(fast, full)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="give one of them"):
        Refinement(at_most=0.1, strength=1.0).fit(fast, full)
    with pytest.raises(InputError, match="Refinement is not fitted"):
        Refinement().transform(fast)
