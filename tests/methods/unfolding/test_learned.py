"""Learned observables against the best combinations that are known exactly."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.events.binning import quantile_edges
from colliderkit.methods.method import load
from colliderkit.methods.unfolding.binned import MatrixInversion
from colliderkit.methods.unfolding.learned import LearnedObservable
from colliderkit.methods.unfolding.quality import (
    Quality,
    expected_covariance,
    purity,
    stability,
)
from colliderkit.methods.unfolding.response import Response
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.sources.toys.linear import LinearToy, angle_toy, pair_toy
from colliderkit.training.settings import Training

SHORT = Training(epochs=4, batch_size=1024, learning_rate=2e-3, schedule="cosine")
TRUTH = [-2.0, -1.0, 0.0, 1.0, 2.0]


def response_of(observable, truth, edges):
    return Response.of(UnfoldingSample.checked(observable, observable, truth), TRUTH, edges)


@pytest.mark.parametrize("toy", [pair_toy(), angle_toy(0.3)])
def test_reaches_the_best_linear_combination(toy):
    count = 40_000
    method = LearnedObservable(training=SHORT).fit(*toy.sample(count, 1))
    # On a grid within two widths: a fit of C + 1 numbers is off by sigma sqrt((C + 1) / n) at
    # random points; 5 of those, at points of twice the usual distance.
    x, _ = toy.sample(2_000, 2)
    best = x @ toy.regression + toy.mean[0] - toy.mean @ toy.slopes.T @ toy.regression
    error = np.sqrt(toy.residual(toy.regression) * (len(toy.noise) + 1) / (0.8 * count))
    assert np.abs(method.predict(x) - best).mean() < 5 * error
    rho = np.corrcoef(method.predict(x), best)[0, 1]
    assert 1 - rho**2 < 25 * error**2


def test_network_learns_what_is_not_linear():
    random = np.random.default_rng(3)
    x = random.normal(size=(20_000, 2))
    t = x[:, 0] + np.abs(x[:, 1]) + 0.1 * random.normal(size=20_000)
    settings = Training(epochs=15, batch_size=512, learning_rate=3e-3, schedule="cosine")
    f = LearnedObservable(training=settings).fit(x[:15_000], t[:15_000]).predict(x[15_000:])
    # The linear fit leaves var |x| = 1 - 2 / pi = .36, nothing can do better than .01.
    assert ((f - t[15_000:]) ** 2).mean() < 0.02


def test_response_that_depends_on_an_angle():
    """What is learned is unbiased, in another nature, up to the exact remainder."""
    count, shift = 50_000, np.array([0.0, 0.5])
    toy = angle_toy(0.1)
    nature = LinearToy(toy.slopes, toy.noise, toy.mean + shift, toy.width)
    method = LearnedObservable(training=SHORT).fit(*toy.sample(count, 4))
    (x, z), (seen, true) = toy.sample(count, 5), nature.sample(count, 6)
    means = {}
    centres = np.array([-2.6, -1.5, -0.5, 0.5, 1.5, 2.6])
    edges = [-6.0, *TRUTH, 6.0]
    for name, f, data in (
        ("plain", x[:, 0], seen[:, 0]),
        ("learned", method.predict(x), method.predict(seen)),
    ):
        unfold = MatrixInversion(truth_edges=edges, reco_edges=quantile_edges(f, 16), replicas=0)
        unfold.fit(data, f, z)
        counted = np.histogram(true, edges)[0]
        means[name] = (unfold.spectrum_ - counted) @ centres / count
        error = np.sqrt(centres @ unfold.covariance_ @ centres) / count
    # The mean of the unfolded truth moves by .6 x .5 by the plain observable; its centres of
    # bins stand for that to 10%. What is learned moves by .003.
    assert toy.bias([1, 0], shift) == pytest.approx(0.3)
    assert toy.bias(toy.regression, shift) == pytest.approx(0.003, abs=1e-3)
    assert means["plain"] == pytest.approx(0.3, rel=0.15)
    # Data and simulation are equally many: sqrt(2) of the data's error, 4 of those.
    assert abs(means["learned"]) < 0.003 + 4 * np.sqrt(2) * error


def test_flat_is_the_mean_under_a_flat_spectrum():
    """E[z | x] under the spectrum weighted flat in bins, by integration over z."""
    toy = pair_toy()
    x, z = toy.sample(40_000, 7)
    edges = np.linspace(-2.5, 2.5, 11)
    grid = np.linspace(-5, 5, 2_001)

    def weight(values):
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, 9)
        return (1 / np.bincount(np.clip(np.searchsorted(edges, z, side="right") - 1, 0, 9)))[place]

    best, variance = x @ toy.unbiased, toy.unbiased @ toy.noise @ toy.unbiased
    density = np.exp(-(grid**2) / 2) * weight(grid)
    points = np.linspace(-3, 3, 61)
    likelihood = np.exp(-((points[:, None] - grid) ** 2) / (2 * variance)) * density
    exact = np.interp(best, points, likelihood @ grid / likelihood.sum(1))
    method = LearnedObservable(criterion="flat", truth_edges=edges, hidden=(32,), training=SHORT)
    found = method.fit(x, z).predict(x)
    inside = np.abs(best) < 2.5
    # Learning costs less than a fiftieth of what the detector leaves unknown, and leaning on the
    # spectrum would cost more.
    assert ((found - exact)[inside] ** 2).mean() < variance / 50
    leaning = best / (1 + variance)
    tails = inside & (np.abs(best) > 1.5)
    assert ((leaning - exact)[tails] ** 2).mean() > variance / 50


def test_bins_for_information():
    """Bins learned for the variance use what a single number does not tell: the resolution."""
    random = np.random.default_rng(8)

    def draw(count):
        z, good = random.normal(size=count), random.random(count) < 0.5
        x = z + np.where(good, 0.15, 1.5) * random.normal(size=count)
        return np.column_stack([x, good]), z

    x, z = draw(30_000)
    settings = Training(epochs=12, batch_size=3000, learning_rate=1e-2, schedule="cosine")
    given = {"criterion": "information", "truth_edges": TRUTH, "bins": 10, "hidden": (32, 32)}
    method = LearnedObservable(**given, training=settings).fit(x, z, seed=1)
    other, truth = draw(100_000)
    learned = method.predict(other)
    assert set(np.unique(learned)) <= set(range(10))
    means = [truth[learned == k].mean() for k in np.unique(learned)]
    assert (np.diff(means) > -0.2).all()
    found = Quality.of(response_of(learned, truth, method.edges()))
    number = LearnedObservable(training=SHORT).fit(x, z).predict(other)
    number = Quality.of(response_of(number, truth, quantile_edges(number, 10)))
    # All there is: the informations of good and bad events, in fine bins, add.
    joint = np.where(other[:, 1] > 0, other[:, 0], other[:, 0] + 100)
    bound = Quality.of(response_of(joint, truth, quantile_edges(joint, 200)))
    assert found.mean < 0.5 * (number.mean + bound.mean)
    assert found.mean > bound.mean


def test_save_and_load(tmp_path):
    x, z = pair_toy().sample(3_000, 9)
    for criterion in ("mean", "flat", "information"):
        method = LearnedObservable(
            criterion=criterion, truth_edges=TRUTH, bins=6, hidden=(8,), training=SHORT
        ).fit(x, z, seed=3)
        again = load(method.save(tmp_path / criterion))
        np.testing.assert_array_equal(again.predict(x), method.predict(x))
        assert again.get_params()["criterion"] == criterion
        assert again.history_ == method.history_


def test_seed_weights_and_members():
    x, z = pair_toy().sample(3_000, 10)
    short = LearnedObservable(hidden=(8,), members=2, training=SHORT)
    first, second = (short.fit(x, z, seed=1).predict(x) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    # A weight of 2 is an event twice, on the same side of the split.
    twice = np.concatenate([x, x]), np.concatenate([z, z])
    number = np.tile(np.arange(3_000), 2)
    settings = Training(epochs=1, batch_size=512, learning_rate=1e-12)
    linear = LearnedObservable(hidden=(8,), training=settings)
    doubled = linear.fit(*twice, event=number).predict(x)
    weighted = linear.fit(x, z, weight=np.full(3_000, 2.0), event=np.arange(3_000)).predict(x)
    np.testing.assert_allclose(doubled, weighted, atol=1e-5)


def test_repeated_column_is_no_failure():
    x, z = pair_toy().sample(3_000, 11)
    method = LearnedObservable(hidden=(8,), training=SHORT)
    once = method.fit(x, z).predict(x)
    again = method.fit(x[:, [0, 1, 1]], z).predict(x[:, [0, 1, 1]])
    np.testing.assert_allclose(once, again, atol=1e-2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"criterion": "best"}, "criterion 'best' is unknown"),
        ({"criterion": "flat"}, "truth_edges must rise"),
        ({"criterion": "information", "truth_edges": TRUTH, "bins": 3}, "have no inverse"),
        ({"criterion": "flat", "truth_edges": [-9.0, -8.0, 0.0, 9.0]}, "truth bin 0 has no"),
        ({"members": 0}, "members is 0"),
        ({"columns": ["a"]}, "2 columns for the 1 names a"),
    ],
)
def test_bad_options(change, sentence):
    x, z = pair_toy().sample(100, 12)
    with pytest.raises(InputError, match=sentence):
        LearnedObservable(training=SHORT, **change).fit(x, z)


def test_bad_events():
    x, z = pair_toy().sample(100, 13)
    method = LearnedObservable(columns=["first", "second"], training=SHORT)
    with pytest.raises(InputError, match="LearnedObservable is not fitted"):
        method.predict(x)
    broken = x.copy()
    broken[7, 1] = np.nan
    with pytest.raises(InputError, match="reco: column 'second' is nan in event 7"):
        method.fit(broken, z)
    with pytest.raises(InputError, match="truth is inf in event 3"):
        method.fit(x, np.where(np.arange(100) == 3, np.inf, z))
    with pytest.raises(InputError, match="give one number for each"):
        method.fit(x, z[:50])
    with pytest.raises(InputError, match="sum to -100"):
        method.fit(x, z, weight=-np.ones(100))
    with pytest.raises(InputError, match="nothing to learn"):
        method.fit(x, np.ones(100))
    with pytest.raises(InputError, match="1 columns for the 2 names first, second"):
        method.fit(x, z).predict(x[:, :1])
    information = LearnedObservable(criterion="information", truth_edges=TRUTH, bins=6)
    with pytest.raises(InputError, match="a detector bin could expect less than nothing"):
        information.fit(x, z, weight=np.where(np.arange(100) == 0, -1.0, 1.0))
    with pytest.raises(InputError, match="bins of its own"):
        method.edges()


def test_quality_by_hand():
    e = 0.25
    truth = np.repeat([0.5, 1.5], 400)
    seen = truth.copy()
    seen[:100], seen[400:500] = 1.5, 0.5  # a quarter of each bin goes to the other
    sample = UnfoldingSample.checked(seen, seen, truth)
    response = Response.of(sample, [0, 1, 2], [0, 1, 2])
    p = np.array([[1 - e, e], [e, 1 - e]])
    by_hand = 400 * np.linalg.inv(p @ p.T)
    np.testing.assert_allclose(expected_covariance(response), by_hand, rtol=1e-12)
    found = Quality.of(response)
    np.testing.assert_allclose(found.inflation, np.diag(by_hand) / 400, rtol=1e-12)
    assert found.condition == pytest.approx(1 / (1 - 2 * e))
    np.testing.assert_allclose(purity(response), 1 - e)
    np.testing.assert_allclose(stability(response), 1 - e)
    # Inversion of these events has that covariance.
    method = MatrixInversion(truth_edges=[0, 1, 2], reco_edges=[0, 1, 2], replicas=0)
    np.testing.assert_allclose(method.fit(seen, seen, truth).covariance_, by_hand, rtol=1e-12)
    # The simulation's counting, propagated: sum over cells of (d mean / d cell)^2 cell. A hundred
    # replicas know it to 7%, four of these.
    counts, variance = np.array([[300.0, 100.0], [100.0, 300.0]]), 0.0

    def mean(cells):
        n, m = cells.sum(1), cells.sum(0)
        return np.diag(np.linalg.inv((cells / m) @ cells.T) * n[:, None]).mean()

    assert mean(counts) == pytest.approx(found.mean)
    for cell in np.ndindex(2, 2):
        step = np.zeros((2, 2))
        step[cell] = 0.01
        slope = (mean(counts + step) - mean(counts - step)) / 0.02
        variance += slope**2 * counts[cell]
    assert found.mean_error == pytest.approx(np.sqrt(variance), rel=0.28)


def test_quality_bad_input():
    truth = np.repeat([0.5, 1.5], 100)
    seen = np.tile([0.5, 1.5], 100)
    response = Response.of(UnfoldingSample.checked(seen, seen, truth), [0, 1, 2], [0, 1, 2])
    with pytest.raises(InputError, match="does not tell all truth bins apart"):
        expected_covariance(response)
    with pytest.raises(InputError, match="same edges"):
        purity(Response.of(UnfoldingSample.checked(seen, seen, truth), [0, 1, 2], [0, 2]))
