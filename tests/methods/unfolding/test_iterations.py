"""The choice of OmniFold's iteration on Gaussian toys, whose iterations are known."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.methods.unfolding.binned import unfold_iteratively
from colliderkit.methods.unfolding.iterations import (
    Choice,
    Histograms,
    choose_iteration,
    folded,
    pseudo_data,
)
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.methods.unfolding.uncertainty import replicate
from colliderkit.sources.toys.unfolding import unfolding_toy
from colliderkit.training.settings import Training

# All ratios here are of Gaussians, which the exponential family has; the network only disturbs.
SHORT = Training(epochs=1, batch_size=1000, learning_rate=1e-3, schedule="cosine")
EVENTS, SHIFT, SMEAR = 6_000, 0.5, 1.0
TRUE, SEEN = np.linspace(-2, 2.5, 10), np.linspace(-3, 3.5, 14)
Z, X = np.linspace(-6, 6, 1_201), np.linspace(-9, 9, 361)
METHOD = OmniFold(iterations=4, family=True, training=SHORT)


def toy(seed: int, events: int = EVENTS, **options: float) -> UnfoldingSample:
    simulation = unfolding_toy(events, smear=SMEAR, seed=[seed, 1], **options)
    nature = unfolding_toy(events, mean=SHIFT, smear=SMEAR, seed=[seed, 2], **options)
    return UnfoldingSample.checked(
        nature.seen,
        simulation.reco,
        simulation.truth,
        pass_reco=simulation.pass_reco,
        pass_truth=simulation.pass_truth,
    )


@pytest.fixture(scope="module")
def choice() -> Choice:
    sample = toy(1)
    return choose_iteration(METHOD, sample, Histograms.of(sample, [TRUE], [SEEN]), bootstraps=6)


def exact(start: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the density of the truth at `Z` after each exact iteration, for that of `start`."""
    matrix = np.exp(-((X - Z[:, None]) ** 2) / (2 * SMEAR**2))
    matrix /= matrix.sum(1, keepdims=True)
    data = start / start.sum() @ matrix
    return unfold_iteratively(data, matrix, np.exp(-(Z**2) / 2), METHOD.iterations)[0]


def in_bins(densities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([EVENTS * np.histogram(Z, TRUE, weights=d / d.sum())[0] for d in densities])


def test_each_iteration_is_where_the_exact_one_is(choice: Choice) -> None:
    sample = toy(1)
    found = [np.average(sample.truth[:, 0], weights=push) for push in choice.replicas.nominal]
    means = exact(np.exp(-((Z - SHIFT) ** 2) / 2)) @ Z
    assert means[1] == pytest.approx(SHIFT / 2, abs=1e-3)  # 1 / (1 + SMEAR^2) of the way
    # The error of a mean of data is sqrt(2 / N) = 0.016, and later iterations give it all.
    assert found == pytest.approx(means, abs=4 * np.sqrt(2 / EVENTS))


def test_bias_falls_as_the_exact_one_and_variance_rises(choice: Choice) -> None:
    curve = choice.curve
    last = exact(np.exp(-((Z - SHIFT) ** 2) / 2))[-1]
    expected = in_bins(exact(last)[1:]) - in_bins(last[None])
    # What the iterations leave differs by the statistics of the last one, some percent of it; the
    # bias of 30 events in a bin of 500 is found to a few.
    size = np.abs(expected).sum(1)
    assert np.abs(curve.bias - expected).sum(1) == pytest.approx(0, abs=0.25 * size[0])
    assert size[0] > 0.15 * EVENTS
    found = np.abs(curve.bias).sum(1)
    assert found[0] > found[1] > found[3]
    # What a bootstrap moves the mean by is a share a_k of how far its data and its simulation lie
    # apart, and rises in every replica as a_k does. Where the mean stands besides is where the
    # simulation's bootstrap has put it, the same throughout: taken off.
    truth = toy(1).truth[:, 0]
    drawn = choice.replicas.weights[1:]
    means = np.array([[np.average(truth, weights=w) for w in each] for each in drawn])
    spread = (means[:, 1:] - means[:, :1]).var(0, ddof=1)
    assert spread[0] < spread[1] < spread[3]


def test_data_are_described_better_by_every_iteration(choice: Choice) -> None:
    chi2 = choice.curve.chi2
    assert chi2[0] > chi2[1] > chi2[3]
    # At the end as well as counting allows: chi^2 / bins within five standard deviations of 1.
    bins = len(SEEN) - 1
    assert chi2[3] < bins + 5 * np.sqrt(2 * bins)


def test_choice_is_the_smallest_squared_error(choice: Choice) -> None:
    assert choice.iteration == 1 + int(np.argmin(choice.curve.squared_error))
    assert np.array_equal(choice.weights, choice.replicas.nominal[choice.iteration])
    # A shift of half a standard deviation known to 0.016 is worth more than one iteration.
    assert choice.iteration > 1


def test_variance_is_that_of_repeated_experiments(choice: Choice) -> None:
    again = []
    for seed in range(2, 12):
        sample = toy(seed)
        counted = Histograms.of(sample, [TRUE], [SEEN])
        push = (
            OmniFold(iterations=2, family=True, training=SHORT).fit_sample(sample, seed=0).pushes_
        )
        again.append([counted.of_truth(p) for p in push[1:]])
    expected = np.var(again, 0, ddof=1).sum(1)
    found = choice.curve.variance[:2].sum(1)
    # Nine bins, correlated as if they were about five: 5 x 5 and 5 x 9 degrees of freedom.
    error = np.sqrt(2 / 25 + 2 / 45)
    assert np.log(found / expected) == pytest.approx(0, abs=3 * error)


def test_pseudo_data_are_the_folded_simulation() -> None:
    curve = 0.7
    sample = toy(20, 2_000, efficiency=curve, fakes=0.2)
    push = np.where(sample.pass_truth, np.exp(0.3 * sample.truth[:, 0]), 0.0)
    other = pseudo_data(sample, push)
    seen, fakes = sample.pass_reco, sample.pass_reco & ~sample.pass_truth
    assert np.array_equal(other.data, sample.reco[seen])
    assert np.array_equal(other.data_event, sample.event[seen])
    weight = folded(sample, push)
    assert (weight[~seen] == 0).all()
    assert np.array_equal(weight[sample.both], push[sample.both])
    assert weight[fakes] == pytest.approx(push[sample.both].mean())
    assert other.data_weight.sum() == pytest.approx(weight.sum())


def test_what_is_finished_is_kept(tmp_path: Path) -> None:
    sample = toy(3, 1_000)
    counted = Histograms.of(sample, [TRUE], [SEEN])
    method = OmniFold(iterations=2, training=SHORT)
    one = choose_iteration(method, sample, counted, bootstraps=2, folder=tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    two = choose_iteration(method, sample, counted, bootstraps=2, folder=tmp_path, resume=True)
    assert np.array_equal(one.curve.squared_error, two.curve.squared_error)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")} == written
    # Another sample, or another training, does not take them for its own.
    with pytest.raises(InputError, match="holds a training of another request"):
        replicate(method, toy(4, 1_000), folder=tmp_path, resume=True)
    # More iterations go on from those that are there.
    more = replicate(OmniFold(iterations=3, training=SHORT), sample, folder=tmp_path, resume=True)
    assert np.array_equal(more.weights[0, :3], one.replicas.weights[0])


def test_errors_say_what_is_wrong() -> None:
    sample = toy(5, 500)
    with pytest.raises(InputError, match=r"^bootstraps is 1; a variance needs at least 2"):
        counted = Histograms.of(sample, [TRUE], [SEEN])
        choose_iteration(METHOD, sample, counted, bootstraps=1)
    with pytest.raises(InputError, match=r"truth has shape .* and 2 sets of edges"):
        Histograms.of(sample, [TRUE, TRUE], [SEEN])
