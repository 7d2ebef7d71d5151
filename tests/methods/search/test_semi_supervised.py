"""Densities of background and signals, on normal distributions."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from colliderkit.errors import InputError
from colliderkit.events.tables import Table
from colliderkit.methods.search.semi_supervised import SemiSupervised
from colliderkit.metrics.roc import auc
from colliderkit.seeds import derive
from colliderkit.training.settings import Training

FLOW = {"transforms": 1, "bins": 4, "hidden": [16]}
SETTINGS = Training(epochs=8, batch_size=256, learning_rate=1e-2)


def blob(count: int, place: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 2)) * 0.6 + [place, 0]


@pytest.mark.statistical
def test_space_and_score_are_those_of_the_exact_densities(seed):
    background = np.random.default_rng(seed).normal(size=(6000, 2))
    signals = {"right": blob(3000, 1.5, derive(seed, 1)), "left": blob(3000, -1.5, derive(seed, 2))}
    method = SemiSupervised(options=FLOW, training=SETTINGS, reliance=1)
    method.fit(background, signals, seed=seed, progress=False)
    x = np.random.default_rng(derive(seed, 3)).normal(size=(500, 2))
    exact = np.stack(
        [
            -multivariate_normal([place, 0], width**2).logpdf(x)
            for place, width in ((0, 1), (1.5, 0.6), (-1.5, 0.6))
        ],
        1,
    )
    space = method.space(x)
    # Far from a signal no event has told the flow how its density falls.
    near = exact < 6
    assert np.median(np.abs(space - exact)[near]) < 0.15
    expected = exact[:, 0] + np.log(0.5 * np.exp(-exact[:, 1:]).sum(1))
    assert np.median(np.abs(method.score(x) - expected)[near[:, 1:].any(1)]) < 0.2
    # Without reliance on the signals it is the density of the background alone.
    np.testing.assert_array_equal(method.set_params(reliance=0).score(x), space[:, 0])


@pytest.mark.statistical
def test_a_signal_that_was_simulated_is_found_better_and_another_worse(seed):
    """The unknown signal lies where no signal is expected, at the other side."""
    background = np.random.default_rng(seed).normal(size=(6000, 2))
    method = SemiSupervised(options=FLOW, training=SETTINGS)
    method.fit(background, {"right": blob(3000, 1.5, derive(seed, 1))}, seed=seed, progress=False)
    test = np.random.default_rng(derive(seed, 2)).normal(size=(2000, 2))
    label = np.repeat([0, 1], 2000)
    areas = {
        (place, reliance): auc(
            method.set_params(reliance=reliance).score(
                np.concatenate([test, blob(2000, place, derive(seed, "test"))])
            ),
            label,
        ).value
        for place in (1.5, -1.5)
        for reliance in (0.0, 1.0)
    }
    assert areas[1.5, 1.0] > areas[1.5, 0.0] + 0.1
    assert areas[-1.5, 1.0] < areas[-1.5, 0.0] - 0.1


def test_weights_of_signals_come_with_their_tables():
    signal = blob(200, 1.5, 1)
    weight = np.where(signal[:, 1] > 0, 1.0, 0.1)
    table = Table.checked(signal, "the signal", weight=weight)
    background = blob(200, 0, 2)
    short = Training(epochs=2, batch_size=64)
    plain, weighted = (
        SemiSupervised(options=FLOW, training=short).fit(background, {"s": each}, progress=False)
        for each in (signal, table)
    )
    assert not np.array_equal(plain.space(background)[:, 1], weighted.space(background)[:, 1])
    np.testing.assert_array_equal(plain.space(background)[:, 0], weighted.space(background)[:, 0])


@pytest.mark.parametrize(
    ("signals", "sentence"),
    [
        ({}, "signals are none"),
        ({"background": np.ones((5, 2))}, "a signal is called 'background'"),
        ({"s": np.ones((5, 3))}, "signal 's' has shape"),
    ],
)
def test_signals_that_cannot_be_used_are_refused(signals, sentence):
    with pytest.raises(InputError, match=sentence):
        SemiSupervised().fit(blob(50, 0, 1), signals, progress=False)
