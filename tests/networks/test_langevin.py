"""Markov chains of densities that are known."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest, norm, truncnorm

from colliderkit.networks.langevin import langevin
from colliderkit.seeds import derive


def chains(seed, bound=None, length=1.0):
    """A normal density of widths 1 and 0.3, from one start, without gradients."""
    widths = torch.tensor([1.0, 0.3])
    with torch.inference_mode():
        return langevin(
            lambda x: 0.5 * (x / widths).square().sum(1),
            torch.full((1000, 2), 0.9),
            200,
            torch.tensor(length),
            torch.Generator().manual_seed(seed),
            bound=bound,
        ).numpy()


@pytest.mark.statistical
def test_chains_end_in_the_density_of_their_energy(seed):
    """Whatever the length of the first step: Kolmogorov's test does not see a difference."""
    for length in (0.05, 1.0):
        x = chains(derive(seed, "chains"), length=length)
        assert kstest(x[:, 0], norm(0, 1).cdf).pvalue > 1e-4
        assert kstest(x[:, 1], norm(0, 0.3).cdf).pvalue > 1e-4
    assert abs(np.corrcoef(x.T)[0, 1]) < 5 / len(x) ** 0.5


@pytest.mark.statistical
def test_a_bound_cuts_the_density_off(seed):
    x = chains(derive(seed, "bound"), bound=1.0)
    assert np.abs(x).max() <= 1
    assert kstest(x[:, 0], truncnorm(-1, 1).cdf).pvalue > 1e-4


def test_the_length_of_a_step_follows_what_is_accepted_and_numbers_repeat():
    first, again = torch.tensor(5.0), torch.tensor(5.0)
    start = torch.zeros(200, 1)
    runs = [
        langevin(lambda x: 0.5 * x[:, 0] ** 2, start, 100, length, torch.Generator().manual_seed(1))
        for length in (first, again)
    ]
    torch.testing.assert_close(*runs)
    # In one dimension steps of about 1.6 widths are accepted so often.
    assert 1 < float(first) < 2.5


def test_a_chain_does_not_go_where_the_energy_is_not_a_number():
    def energy(x):
        return torch.where(x[:, 0] > 0, 0.5 * x[:, 0] ** 2, torch.nan)

    x = langevin(energy, torch.full((500, 1), 0.5), 50, torch.tensor(1.0))
    assert (x > 0).all()
