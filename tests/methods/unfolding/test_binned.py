"""Unfolding in bins against closed forms; covariances against repetition."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.methods.unfolding.binned import (
    IterativeBayes,
    MatrixInversion,
    iteration_curve,
    unfold_iteratively,
)
from colliderkit.methods.unfolding.response import Response
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.sources.toys.unfolding import gaussian_weight, turn_on, unfolding_toy

TRUTH = [-2.5, -1.5, -0.75, 0.0, 0.75, 1.5, 2.5]
RECO = np.linspace(-3, 3, 13).tolist()
BOTH = [
    lambda **given: IterativeBayes(truth_edges=TRUTH, reco_edges=RECO, **given),
    lambda **given: MatrixInversion(truth_edges=TRUTH, reco_edges=RECO, **given),
]


def simulated(count, seed=0, **given):
    given = {"smear": 0.5, "efficiency": turn_on(), "fakes": 0.1, **given}
    return unfolding_toy(count, seed=seed, **given)


def fitted(method, data, toy, **options):
    passed = {"pass_reco": toy.pass_reco, "pass_truth": toy.pass_truth}
    return method.fit(data, toy.reco, toy.truth, **passed, **options)


def response_of(toy, weight=None):
    sample = UnfoldingSample.checked(
        toy.seen,
        toy.reco,
        toy.truth,
        pass_reco=toy.pass_reco,
        pass_truth=toy.pass_truth,
        weight=weight,
    )
    return Response.of(sample, TRUTH, RECO)


def test_formula_by_loops():
    random = np.random.default_rng(1)
    p, m, prior = random.random((3, 4)) / 5, 100 * random.random(4), random.random(3)
    n = prior
    for _ in range(3):
        new = np.zeros(3)
        for t in range(3):
            for r in range(4):
                folded = sum(p[u, r] * n[u] for u in range(3))
                new[t] += p[t, r] * n[t] / folded * m[r] / sum(p[t])
        n = new
    spectra, _ = unfold_iteratively(m, p, prior, 3)
    np.testing.assert_allclose(spectra[-1], n, rtol=1e-13)
    np.testing.assert_allclose(unfold_iteratively(m, p, 9 * prior, 3)[0][-1], n, rtol=1e-13)


def test_derivative_is_that_of_the_spectrum():
    random = np.random.default_rng(2)
    p, m, prior = random.random((3, 4)) / 5, 100 * random.random(4), random.random(3)
    _, slopes = unfold_iteratively(m, p, prior, 5)
    # The batch of all shifts at once; central differences are right to (1e-4)^2 relative.
    shift = 1e-2 * np.eye(4)
    up, down = (unfold_iteratively(m + s * shift, p, prior, 5)[0][-1] for s in (1, -1))
    np.testing.assert_allclose(slopes[-1], (up - down).T / 2e-2, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", BOTH)
def test_simulation_unfolds_to_itself(method):
    # Fakes, misses and events outside the bins of either level included.
    toy = simulated(20_000)
    found = fitted(method(replicas=0), toy.seen, toy)
    inside = toy.truth[toy.pass_truth]
    np.testing.assert_allclose(found.spectrum_, np.histogram(inside, TRUTH)[0], rtol=1e-9)


def test_inversion_is_exact_and_iteration_converges_to_it():
    response = response_of(simulated(50_000))
    # Another spectrum than the simulated: what is measured is its exact folding.
    truth = response.truth * np.array([0.5, 0.7, 1, 1.3, 1.6, 2.0])
    measured = truth @ response.matrix / np.where(response.real > 0, response.real, 1)
    inverse = BOTH[1](replicas=0).fit_histogram(measured, measured, response)
    np.testing.assert_allclose(inverse.spectrum_, truth, rtol=1e-9)
    worst = []
    for iterations in (1, 4, 20, 1000):
        found = BOTH[0](iterations=iterations, replicas=0)
        found.fit_histogram(measured, measured, response)
        worst.append(np.abs(found.spectrum_ / truth - 1).max())
    assert worst == sorted(worst, reverse=True)
    assert worst[0] > 0.1
    assert worst[-1] < 1e-3


@pytest.mark.parametrize("method", BOTH)
def test_fakes_as_a_cause_have_a_number_of_their_own(method):
    response = response_of(simulated(50_000))
    truth = response.truth * np.array([0.5, 0.7, 1, 1.3, 1.6, 2.0])
    measured = truth @ response.matrix + 3 * response.fakes
    given = {"iterations": 3000} if method is BOTH[0] else {}
    found = method(fakes="cause", replicas=50, **given)
    found.fit_histogram(measured, measured, response)
    np.testing.assert_allclose(found.spectrum_, truth, rtol=1e-9 if not given else 2e-3)
    share = method(fakes="share", replicas=0, **given).fit_histogram(measured, measured, response)
    assert np.abs(share.spectrum_ / truth - 1).max() > 0.1
    # Without fakes both are the same.
    clean = replace(response, fakes=0 * response.fakes, fakes_squares=0 * response.fakes)
    both = [
        method(fakes=how, replicas=0).fit_histogram(m := clean.counts.sum(0), m, clean)
        for how in ("share", "cause")
    ]
    np.testing.assert_allclose(both[0].covariance_, both[1].covariance_, rtol=1e-9)


@pytest.mark.parametrize("method", BOTH)
def test_shifted_data_with_background_and_weights(method):
    toy = simulated(400_000)
    nature = simulated(60_000, 1, mean=0.3)
    background = np.random.default_rng(2).uniform(-3, 3, 40_000)
    found = fitted(
        method(fakes="cause", **({"iterations": 30} if method is BOTH[0] else {})),
        np.concatenate([nature.seen[:, 0], background[:10_000]]),
        toy,
        weight=np.full(len(toy.truth), 0.2),
        background=background[10_000:],
        background_weight=np.full(30_000, 1 / 3),
    )
    z = toy.truth[toy.pass_truth, 0]
    exact = gaussian_weight(z, mean=0, sigma=1, to_mean=0.3, to_sigma=1)
    expected = np.histogram(z, TRUTH, weights=exact * 60_000 / 400_000)[0]
    error = np.sqrt(np.diag(found.covariance_))
    # The response of a wide bin depends on the spectrum inside it: 2% are allowed for that.
    assert np.abs((found.spectrum_ - expected) / np.hypot(error, 0.02 * expected)).max() < 3


@pytest.mark.parametrize("method", BOTH)
def test_covariance_of_the_data_by_repetition(method):
    response = response_of(simulated(50_000))
    mean = (response.counts.sum(0) + response.fakes) / 10
    random = np.random.default_rng(3)
    spectra, covariance = [], []
    for _ in range(1500):
        data = random.poisson(mean)
        found = method(replicas=0).fit_histogram(data, data, response)
        spectra.append(found.spectrum_)
        covariance.append(found.covariance_)
    expected = np.mean(covariance, axis=0)
    scatter = np.cov(np.array(spectra).T)
    # A variance of 1500 values is known to 3.7%, a correlation to 2.6%.
    np.testing.assert_allclose(np.diag(scatter), np.diag(expected), rtol=0.13)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(scatter / scale, expected / scale, atol=0.13)


@pytest.mark.parametrize("method", BOTH)
def test_covariance_of_the_simulation_by_repetition(method):
    nature = response_of(simulated(400_000, 9, mean=0.2))
    data = nature.counts.sum(0) + nature.fakes
    random = np.random.default_rng(4)
    spectra, variance = [], []
    for i in range(250):
        # The number of events fluctuates too, as the bootstrap assumes.
        toy = simulated(random.poisson(20_000), [4, i])
        weight = np.random.default_rng([5, i]).exponential(size=len(toy.truth))
        response = response_of(toy, weight)
        found = method(replicas=100).fit_histogram(data, np.zeros(len(data)), response, seed=i)
        spectra.append(found.spectrum_)
        variance.append(np.diag(found.covariance_simulation_))
        np.testing.assert_array_equal(found.covariance_, found.covariance_simulation_)
    scatter = np.var(spectra, axis=0, ddof=1)
    # 250 values give the variance to 9%.
    np.testing.assert_allclose(scatter, np.median(variance, axis=0), rtol=0.3)


def test_pulls_of_the_inversion_have_unit_width():
    truth_mean, pulls = 20_000 * np.diff(ndtr(TRUTH)), []
    for i in range(150):
        toy = simulated(20_000, [6, i], fakes=0)
        nature = simulated(20_000, [7, i], fakes=0)
        found = fitted(BOTH[1](), nature.seen, toy, seed=i)
        pulls.append((found.spectrum_ - truth_mean) / np.sqrt(np.diag(found.covariance_)))
    # The mean of 150 is known to .08, the width averaged over bins to 3%; it is below 1 by the
    # share of a bin in a fixed total, for the number of events in a toy does not fluctuate.
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.25
    assert 0.85 < np.std(pulls, axis=0).mean() < 1.06


def test_curve_trades_bias_for_variance():
    response = response_of(simulated(100_000))
    nature = response_of(simulated(10_000, 1, mean=0.5))
    data = nature.counts.sum(0) + nature.fakes
    for truth in (None, nature.truth):
        curve = iteration_curve(response, data, data, iterations=15, truth=truth)
        assert (np.diff(curve.variance.sum(1)) > 0).all()
        assert (np.diff((curve.bias**2).sum(1)[:8]) < 0).all()
        assert (np.diff(curve.chi2) < 0).all()
        assert 1 < curve.best <= 15
    found = BOTH[0](iterations=6, replicas=0).fit_histogram(data, data, response)
    np.testing.assert_allclose(curve.spectrum[5], found.spectrum_, rtol=1e-12)
    np.testing.assert_allclose(curve.variance[5], np.diag(found.covariance_), rtol=1e-12)


def test_prior_is_what_it_says():
    toy = simulated(20_000)
    flat = fitted(BOTH[0](prior="flat", replicas=0), toy.seen, toy)
    ones = fitted(BOTH[0](prior=[2.0] * 6, replicas=0), toy.seen, toy)
    np.testing.assert_allclose(flat.spectrum_, ones.spectrum_, rtol=1e-12)
    assert np.abs(flat.spectrum_ / flat.response_.truth - 1).max() > 0.01


def test_weights_bring_the_simulation_to_the_spectrum():
    toy, nature = simulated(20_000), simulated(5_000, 1, mean=0.4)
    found = fitted(BOTH[0](replicas=0), nature.seen, toy)
    z = toy.truth[toy.pass_truth, 0]
    weighted = np.histogram(z, TRUTH, weights=found.weights(z))[0]
    np.testing.assert_allclose(weighted, found.spectrum_, rtol=1e-12)
    assert found.weights([99.0]).tolist() == [1.0]


@pytest.mark.parametrize("method", BOTH)
def test_saves_loads_clones_and_repeats(method, tmp_path):
    toy = simulated(5_000)
    found = fitted(method(), toy.seen, toy, seed=3)
    again = type(found).load(found.save(tmp_path / "fit"))
    for name in ("spectrum_", "covariance_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert again.response_.real.tolist() == found.response_.real.tolist()
    same = fitted(clone(again), toy.seen, toy, seed=3)
    np.testing.assert_array_equal(same.covariance_, found.covariance_)


def broken(**given):
    toy = simulated(5000)
    call = {
        "method": BOTH[0](),
        "data": toy.seen,
        "reco": toy.reco,
        "truth": toy.truth,
        "pass_reco": toy.pass_reco,
        "pass_truth": toy.pass_truth,
    } | {k: v(toy) if callable(v) else v for k, v in given.items()}
    method = call.pop("method")
    return method.fit(call.pop("data"), call.pop("reco"), call.pop("truth"), **call)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pass_reco": lambda t: t.pass_reco & ~(t.truth[:, 0] > 1.5)}, r"efficiency is zero.*1.5"),
        ({"method": IterativeBayes(truth_edges=[*TRUTH, 8, 9], reco_edges=RECO)}, r"\[8, 9\)"),
        ({"data": [0.1, np.nan]}, "data is nan in event 1"),
        ({"pass_reco": lambda t: np.ones(len(t.reco), bool)}, "reco is nan"),
        ({"truth": lambda t: t.truth[:-1]}, "at truth level and"),
        ({"weight": lambda t: np.zeros(len(t.truth))}, "must be positive"),
        ({"weight": lambda t: np.where(t.pass_truth & t.pass_reco, -0.02, 1.0)}, "fakes"),
        ({"data": np.full(5000, 7.0)}, "nothing is left"),
        ({"background": np.zeros(99999)}, "as large as the data"),
        ({"truth": lambda t: np.repeat(t.truth, 2, 1)}, "2 true and 1 measured"),
        ({"method": BOTH[0](iterations=0)}, "iterations is 0"),
        ({"method": BOTH[0](prior=[1, 2])}, "6 positive numbers"),
        ({"method": BOTH[0](prior="jeffreys")}, "prior 'jeffreys'"),
        ({"method": BOTH[1](fakes="none")}, "fakes are 'none'"),
        ({"method": BOTH[0](replicas=1)}, "replicas is 1"),
        ({"method": MatrixInversion(truth_edges=TRUTH, reco_edges=[-9, 0, 9])}, "rank 2 for 6"),
        ({"method": IterativeBayes(truth_edges=[1, 0], reco_edges=RECO)}, "truth_edges must rise"),
    ],
)
def test_errors(given, message):
    with pytest.raises(InputError, match=message):
        broken(**given)


def test_data_where_nothing_is_simulated():
    toy = simulated(500, fakes=0, efficiency=1.0)
    method = IterativeBayes(truth_edges=TRUTH, reco_edges=[*RECO, 20, 30])
    with pytest.raises(InputError, match=r"detector bins \[20, 30\) but no simulated event"):
        fitted(method, np.append(toy.seen, 25.0), toy)


def test_a_simulation_of_many_times_the_data_may_have_more_fakes_than_they_are() -> None:
    # Nothing depends on the simulation's norm: weighted to the data it says the same.
    random = np.random.default_rng(0)
    truth = random.uniform(0, 4, 40_000)
    reco = np.clip(truth + random.normal(0, 0.3, 40_000), 0, 3.999)
    true = random.random(40_000) > 0.1
    edges = [0, 1, 2, 3, 4]
    spectra = [
        IterativeBayes(truth_edges=edges, reco_edges=edges)
        .fit(reco[:3000], reco, truth, pass_truth=true, weight=weight)
        .spectrum_
        for weight in (None, np.full(40_000, 3000 / 40_000))
    ]
    np.testing.assert_allclose(spectra[0], spectra[1], rtol=1e-12)
    # 3,000 data of which 90% are true.
    assert spectra[0].sum() == pytest.approx(2700, rel=0.01)


def test_one_cell_below_zero_refuses_nothing() -> None:
    # One event of weight -1 alone in its cell; truth and detector bins sum to more than zero.
    random = np.random.default_rng(1)
    truth = random.uniform(0, 4, 20_000)
    reco = np.clip(truth + random.normal(0, 0.1, 20_000), 0, 3.999)
    true, seen = np.append(truth, 0.5), np.append(reco, 3.5)
    weight = np.append(np.ones(20_000), -1.0)
    edges = [0, 1, 2, 3, 4]
    response = Response.counted(seen, true, edges, edges, weight=weight)
    assert response.counts[0, 3] == -1
    method = IterativeBayes(truth_edges=edges, reco_edges=edges, replicas=200)
    with_it = method.fit(reco, seen, true, weight=weight)
    expected = np.histogram(truth, edges)[0]
    np.testing.assert_allclose(with_it.spectrum_, expected, rtol=2e-3)
    counts, _, _ = response.replicas(2000, 1)
    # S = -1, S2 = 1: -Poisson(1), of mean -1 and variance 1, known to 1/sqrt(2000) and .04.
    assert counts[:, 0, 3].mean() == pytest.approx(-1, abs=0.1)
    assert counts[:, 0, 3].var() == pytest.approx(1, abs=0.2)


def test_a_cell_that_cancels_keeps_its_variance() -> None:
    edges = [0.0, 1.0, 2.0]
    truth, reco = np.array([0.5] * 6 + [1.5] * 2), np.array([0.5] * 4 + [1.5] * 4)
    weight = np.array([1.0, 1, 1, 1, 1, -1, 1, 1])
    response = Response.counted(reco, truth, edges, edges, weight=weight)
    assert response.counts[0, 1] == 0
    counts, _, _ = response.replicas(4000, 1)
    # 2 +- .045: four standard deviations of a normal variance.
    assert counts[:, 0, 1].var() == pytest.approx(2, abs=0.18)
