"""The INFERNO toy: its densities, its draws and the published exact row."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import expon, kstest, norm

from colliderkit.errors import InputError
from colliderkit.sources.toys.inferno import BENCHMARKS, Inferno

PUBLISHED = {"B0": 14.71, "B1": 15.52, "B2": 15.65, "B3": 15.62, "B4": 16.89}


def test_draws_follow_the_densities() -> None:
    toy = Inferno(shift=0.5, rate=2.5)
    truths = {
        "background": (norm(2.5, math.sqrt(5)), norm(0, 3), expon(scale=0.4)),
        "signal": (norm(0, 1), norm(0, 1), expon(scale=0.5)),
    }
    for process, columns in truths.items():
        x = getattr(toy, process)(4000, seed=3)
        for i, truth in enumerate(columns):
            assert kstest(x[:, i], truth.cdf).pvalue > 1e-3
        exact = sum(truth.logpdf(x[:, i]) for i, truth in enumerate(columns))
        found = getattr(toy, f"log_{process}")(torch.from_numpy(x))
        np.testing.assert_allclose(found.numpy(), exact, rtol=1e-12)


def test_log_ratio_is_that_of_the_densities() -> None:
    toy = Inferno()
    # At (0, 0, x): sqrt(45) exp(4 / 10) 2 / 3 exp(x).
    found = toy.log_ratio(np.array([[0.0, 0.0, 0.7]]))
    exact = 0.5 * math.log(45) + 0.4 + math.log(2 / 3) + 0.7
    np.testing.assert_allclose(found, [exact], rtol=1e-12)


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_the_published_exact_row(benchmark: str) -> None:
    """The paper's row comes from finitely many events: two units of its last digit."""
    assert Inferno().expected_error(benchmark) == pytest.approx(PUBLISHED[benchmark], abs=0.02)


def test_information_does_not_depend_on_the_grid_and_is_that_of_events() -> None:
    toy = Inferno()
    fine, coarse = toy.information(121), toy.information(81)
    np.testing.assert_allclose(coarse, fine, rtol=1e-4)
    # I_ij = sum over expected events of d_i ln nu d_j ln nu; 200,000 draws, five errors.
    x, _, weight = toy.sample(100_000, seed=5)
    events, theta = torch.from_numpy(x), toy.theta
    scores = torch.func.jacfwd(lambda t: toy.rate_density(events, t).log())(theta).numpy()
    terms = weight[:, None, None] * scores[:, :, None] * scores[:, None, :]
    error = np.sqrt((terms**2).sum(0))
    assert (np.abs(terms.sum(0) - fine) < 5 * error).all()


def test_evenly_spread_events_are_the_expectation() -> None:
    """Scores vanish at the truth: 16,384 events, a tenth of the error of as many random ones."""
    toy = Inferno()
    x, label, weight = toy.asimov(1 << 14)
    assert weight[label == 0].sum() == pytest.approx(1000)
    np.testing.assert_allclose(x[label == 1].mean(0), [0, 0, 0.5], atol=2e-3)
    np.testing.assert_allclose(x[label == 0].std(0), [5**0.5, 3, 1 / 3], rtol=3e-3)
    events, theta = torch.from_numpy(x), toy.theta
    scores = torch.func.jacfwd(lambda t: toy.rate_density(events, t).log())(theta).numpy()
    found = weight @ scores - [1, 0, 0, 1]
    random = np.sqrt(((weight[:, None] * scores) ** 2).sum(0))
    assert (np.abs(found) < 0.1 * random).all()
    with pytest.raises(InputError, match="power of two"):
        toy.asimov(1000)


def test_what_is_known_in_closed_form() -> None:
    """The information on the total yield: sum_ij theta_i I_ij theta_j = s + b for i, j = s, b."""
    toy = Inferno()
    yields = np.array([toy.s, 0.0, 0.0, toy.b])
    assert yields @ toy.information() @ yields == pytest.approx(toy.s + toy.b, rel=1e-6)


def test_constraints_lie_between_free_and_known() -> None:
    error = {name: Inferno().expected_error(name) for name in BENCHMARKS}
    assert error["B0"] < error["B3"] < error["B2"] < error["B4"]


def test_weights_are_yields_and_bad_parameters_a_sentence() -> None:
    x, label, weight = Inferno(s=20, b=300).sample(50, seed=0)
    assert x.shape == (100, 3)
    assert weight[label == 1].sum() == pytest.approx(20)
    assert weight[label == 0].sum() == pytest.approx(300)
    with pytest.raises(InputError, match="rate is 0"):
        Inferno(rate=0)
    with pytest.raises(InputError, match="'B5' is unknown"):
        Inferno().expected_error("B5")
