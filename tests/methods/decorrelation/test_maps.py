"""Maps of a score against what they are for normal variables."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from colliderkit.errors import InputError
from colliderkit.methods.decorrelation.maps import FlowDecorrelation, TransportDecorrelation
from colliderkit.methods.method import load
from colliderkit.training.settings import Training

Floats = NDArray[np.float64]
RHO = 0.6
QUICK = Training(epochs=4, batch_size=256, learning_rate=3e-3, schedule="cosine", devices=1)


def normal(count: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """s and m of correlation RHO, and e, what of s is independent of m, in units of its width."""
    random = np.random.default_rng(seed)
    m, e = random.normal(size=(2, count))
    return RHO * m + np.sqrt(1 - RHO**2) * e, m, e


@pytest.fixture(scope="module")
def flow() -> FlowDecorrelation:
    s, m, _ = normal(8000, 0)
    return FlowDecorrelation(transforms=1, hidden=(32,), training=QUICK).fit(s, m, progress=False)


def test_transport_is_that_of_normal_variables() -> None:
    """T = (s - rho m) / sqrt(1 - rho^2): p(s) is the standard normal density."""
    s, m, _ = normal(40_000, 0)
    fitted = TransportDecorrelation().fit(s, m)
    s, m, e = normal(20_000, 1)
    away = fitted.transform(s, m) - e
    # A quantile of 2,000 events has an error of sqrt(x (1 - x) / 2000) / phi, 0.028 in the middle
    # and 0.046 at two sigma.
    assert np.sqrt((away**2)[np.abs(e) < 2].mean()) < 0.046
    assert abs(np.corrcoef(fitted.transform(s, m), m)[0, 1]) < 3 / np.sqrt(20_000) + 0.01


def test_transport_of_probabilities_is_that_of_log_odds() -> None:
    s, m, _ = normal(4000, 0)
    plain = TransportDecorrelation(bins=5).fit(s, m)
    odds = TransportDecorrelation(bins=5).fit(expit(s), m)
    np.testing.assert_allclose(
        logit(odds.transform(expit(s[:50]), m[:50])), plain.transform(s[:50], m[:50]), atol=1e-9
    )


def test_weights_stand_for_copies() -> None:
    s, m, _ = normal(3000, 0)
    copies = 1 + np.arange(3000) % 2
    weighted = TransportDecorrelation(bins=5).fit(s, m, weight=copies)
    repeated = TransportDecorrelation(bins=5).fit(s.repeat(copies), m.repeat(copies))
    s, m, _ = normal(1000, 1)
    np.testing.assert_allclose(weighted.transform(s, m), repeated.transform(s, m), atol=1e-12)


def test_flow_is_the_cumulative_distribution(flow: FlowDecorrelation) -> None:
    """u = Phi(e); of a density learned from N events it is off by some 1 / sqrt(N)."""
    s, m, e = normal(10_000, 1)
    u = flow.transform(s, m)
    assert np.sqrt(((u - norm.cdf(e)) ** 2).mean()) < 3 / np.sqrt(8000)


@pytest.mark.parametrize("kind", ["flow", "transport"])
def test_maps_rise_with_the_score_and_survive_saving(
    kind: str, flow: FlowDecorrelation, tmp_path: Path
) -> None:
    s, m, _ = normal(4000, 0)
    fitted = flow if kind == "flow" else TransportDecorrelation(bins=5).fit(s, m)
    line = np.linspace(-3, 5, 300)  # beyond the scores of the background: there the signal is
    for at in (-1.0, 0.3, 2.0):
        mapped = fitted.transform(line, np.full(300, at))
        if kind == "flow":  # in single precision 1 - 1e-8 is 1
            mapped = mapped[mapped < 1 - 1e-6]
        assert (np.diff(mapped) > 0).all()
    fitted.save(tmp_path / "map")
    again = load(tmp_path / "map")
    np.testing.assert_array_equal(again.transform(s[:99], m[:99]), fitted.transform(s[:99], m[:99]))


def test_flow_takes_several_columns() -> None:
    """s depends on the sum of two columns."""
    random = np.random.default_rng(0)
    m, e = random.normal(size=(4000, 2)), random.normal(size=4000)
    fitted = FlowDecorrelation(transforms=1, hidden=(32,), training=QUICK).fit(
        m.sum(1) + e, m, progress=False
    )
    u = fitted.transform(m.sum(1) + e, m)
    assert max(abs(np.corrcoef(u, column)[0, 1]) for column in m.T) < 4 / np.sqrt(4000)


MAPS = [FlowDecorrelation(), TransportDecorrelation()]


@pytest.mark.parametrize("each", MAPS, ids=["flow", "transport"])
def test_what_cannot_be_mapped(each: FlowDecorrelation | TransportDecorrelation) -> None:
    s, m, _ = normal(100, 0)
    for score, protected, weight, match in [
        (s, np.ones(100), None, "constant"),
        (np.ones(100), m, None, "constant"),
        (s[:1], m[:1], None, "two background events"),
        (np.where(s == s[7], np.nan, s), m, None, "event 7"),
        (s, m, -np.ones(100), "negative weights do not leave"),
        (s, m[:50], None, "score: has shape"),
    ]:
        with pytest.raises(InputError, match=match):
            each.fit(score, protected, weight=weight)


def test_transport_says_where_events_are_missing() -> None:
    s, m, _ = normal(100, 0)
    with pytest.raises(InputError, match="a bin of the protected column has 5"):
        TransportDecorrelation(bins=20).fit(s, m)
    with pytest.raises(InputError, match="one protected column"):
        TransportDecorrelation(bins=2).fit(s, np.column_stack([m, s]))
    with pytest.raises(InputError, match="not fitted"):
        TransportDecorrelation().transform(s, m)
