"""Parameter fits against closed forms: the normal density with free mean and width."""

import numpy as np
import pytest

from colliderkit.errors import InputError
from colliderkit.methods.inference.estimates import Estimate, EstimateCalibration
from colliderkit.methods.inference.parameter_fit import ParameterFit
from colliderkit.metrics.coverage import coverage
from colliderkit.metrics.intervals import profile_intervals
from colliderkit.sources.toys.normal import NormalRatio

TOY = NormalRatio()
TRUTH = (0.3, 1.2)
DATA = TOY.sample(TRUTH, 4_000, 5)


@pytest.fixture(scope="module")
def both():
    return ParameterFit().fit(None, TOY).estimate(DATA)


def test_estimate_is_mean_and_standard_deviation(both):
    assert both.names == ("mean", "width")
    np.testing.assert_allclose(both.theta, [DATA.mean(), DATA.std()], atol=1e-5)


def test_errors_are_those_of_the_closed_form(both):
    """Parabolas over 1.2 errors: the third derivative enters at (1.2 sigma / width)^2 ~ 4e-4."""
    width, n = DATA.std(), len(DATA)
    expected = np.diag([width**2 / n, width**2 / (2 * n)])
    np.testing.assert_allclose(np.diag(both.parabolic), np.diag(expected), rtol=3e-3)
    assert abs(both.parabolic[0, 1]) < 1e-3 * expected[0, 0]
    # The sandwich has the data's own moments: of mean (exact), and of width by the kurtosis.
    z = (DATA[:, 0] - DATA.mean()) / width
    assert both.covariance[0, 0] == pytest.approx(width**2 / n, rel=3e-3)
    assert both.covariance[1, 1] == pytest.approx(width**2 * np.var(z**2) / (4 * n), rel=5e-3)


def test_profile_likelihood_is_exact(both):
    """ln L profiled over the width: -n/2 ln(1 + (mean - x)^2 / s^2)."""
    found = both.profile("mean")
    expected = -len(DATA) / 2 * np.log1p((found.values - DATA.mean()) ** 2 / DATA.var())
    np.testing.assert_allclose(
        found.log_likelihood - found.log_likelihood.max(), expected - expected.max(), atol=2e-3
    )
    # It crosses -1/2 at mean +- s sqrt(exp(1 / n) - 1).
    reach = DATA.std() * np.sqrt(np.expm1(1 / len(DATA)))
    np.testing.assert_allclose(
        [found.low, found.high], DATA.mean() + reach * np.array([-1, 1]), atol=0.01 * reach
    )
    with pytest.raises(InputError, match="'slope' is not fitted"):
        both.profile("slope")


def test_bootstrap_is_that_of_mean_and_deviation(both):
    """The same Poisson weights give the weighted mean and deviation of each replica."""
    replicas = both.bootstrap(150, seed=3)
    random = np.random.default_rng(3)
    w = np.concatenate([random.poisson(1.0, (count, len(DATA))) for count in (64, 64, 22)])
    mean = w @ DATA[:, 0] / w.sum(1)
    width = np.sqrt(w @ DATA[:, 0] ** 2 / w.sum(1) - mean**2)
    # A parabola misses half the third over the second derivative times the square of the move:
    # 2.5 / width for the width.
    square = (mean - DATA.mean()) ** 2 + (width - DATA.std()) ** 2
    assert (abs(replicas.T - [mean, width]) < 3 * square / DATA.std() + 1e-5).all()
    error = replicas.std(0, ddof=1)
    np.testing.assert_allclose(error, both.error, rtol=5 / np.sqrt(2 * 150))


def test_one_parameter_by_gradient_and_by_scan():
    fit = ParameterFit(fixed={"width": 1.2}).fit(None, TOY)
    found = fit.estimate(DATA)
    assert found.theta[0] == pytest.approx(DATA.mean(), abs=1e-6)
    assert found.error[0] == pytest.approx(DATA.std() / len(DATA) ** 0.5, rel=1e-3)
    scan = np.linspace(0.0, 0.6, 31)
    best = profile_intervals(scan, fit.scan(DATA, scan)).best
    assert best[0] == pytest.approx(DATA.mean(), abs=1e-9)  # a parabola in the mean


def test_weights_count_events_twice():
    fit = ParameterFit(fixed={"width": 1.2}).fit(None, TOY)
    counts = np.random.default_rng(2).integers(0, 3, len(DATA)).astype(float)
    weighted = fit.estimate(DATA, weight=counts)
    repeated = fit.estimate(np.repeat(DATA, counts.astype(int), axis=0))
    assert weighted.theta[0] == pytest.approx(repeated.theta[0], abs=1e-6)
    # Events that stand twice are not independent: the sandwich knows, sum w^2 / (sum w)^2.
    expected = DATA.std() * np.sqrt((counts**2).sum()) / counts.sum()
    assert weighted.error[0] == pytest.approx(expected, rel=0.03)
    with pytest.raises(InputError, match="sum to -"):
        fit.estimate(DATA, weight=-counts)


def test_wrong_normalisation_is_taken_out_by_the_reference():
    """A ratio times e^(3 mean) has no maximum of its own; divided by Z it is exact again.

    On N(0, 1) Z is estimated: the shift is that of the mean of the reference, weighted by r.
    """

    class Tilted(NormalRatio):
        def log_ratio_of(self, events):
            exact = super().log_ratio_of(events)
            return lambda theta: exact(theta) + 3 * theta[..., 0]

    reference = TOY.sample((0.0, 1.0), 200_000, 8)
    exact = ParameterFit(fixed={"width": 1.0}).fit(reference, TOY).estimate(DATA)
    tilted = ParameterFit(fixed={"width": 1.0}).fit(reference, Tilted()).estimate(DATA)
    np.testing.assert_allclose(tilted.theta, exact.theta, atol=1e-6)
    # r x over p0 has variance (1 + mean^2 + mean^4...) e^(mean^2) ~ 1.2 at .3: .0025 in the mean.
    assert tilted.theta[0] == pytest.approx(DATA.mean(), abs=4 * 0.0025)
    # The error has the reference in it.
    bare = ParameterFit(fixed={"width": 1.0}).fit(None, TOY).estimate(DATA)
    assert 1.0 < tilted.error[0] / bare.error[0] < 1.1


def test_classification_agrees_with_the_likelihood():
    """Of the cross-entropy with f frozen, data and reference are both samples."""
    reference = TOY.sample((0.0, 1.0), 100_000, 9)
    fit = ParameterFit(fixed={"width": 1.2}, objective="classification").fit(reference, TOY)
    found = fit.estimate(DATA)
    assert abs(found.theta[0] - 0.3) < 4 * found.error[0]
    assert found.error[0] > DATA.std() / len(DATA) ** 0.5
    replicas = found.bootstrap(200, seed=1)
    np.testing.assert_allclose(replicas.std(ddof=1), found.error[0], rtol=5 / np.sqrt(400))
    with pytest.raises(InputError, match="needs events of p0"):
        ParameterFit(objective="classification").fit(None, TOY)
    with pytest.raises(InputError, match="has no likelihood"):
        found.profile("mean")


@pytest.mark.parametrize("confidence", [0.6827, 0.95])
def test_coverage_over_experiments_that_share_no_event(confidence):
    """300 experiments of 200 events at random means, 1-D: one scan for all."""
    experiments, events = 300, 200
    random = np.random.default_rng(4)
    means = random.uniform(-0.6, 0.6, experiments)
    pool = TOY.sample(
        np.stack([np.repeat(means, events), np.ones(experiments * events)], 1),
        experiments * events,
        6,
    )
    weight = np.kron(np.eye(experiments), np.ones(events))
    scan = np.linspace(-0.99, 0.99, 34)
    fit = ParameterFit(fixed={"width": 1.0}).fit(None, TOY)
    rows = fit.scan(pool, scan, weight=weight)
    found = profile_intervals(scan, rows, confidence)
    np.testing.assert_allclose(found.best, pool.reshape(experiments, events).mean(1), atol=1e-9)
    assert coverage(found.low, found.high, means, confidence=0.997).holds(confidence)


def test_calibration_undoes_a_bias_and_finds_its_spread():
    """theta_hat = .1 + 1.3 theta + noise: of the claimed error .1 and a hidden one of .2."""
    random = np.random.default_rng(0)
    truth = random.uniform(-1, 1, (400, 1))
    noise = random.normal(0, np.hypot(0.1, 0.2), (400, 1))
    covariance = np.array([[0.01]])
    estimates = [Estimate(("mean",), t, covariance) for t in 0.1 + 1.3 * truth + noise]
    fitted = EstimateCalibration().fit(estimates, truth)
    assert fitted.slope_[0, 0] == pytest.approx(1.3, abs=4 * 0.224 / (0.577 * 20))
    assert fitted.extra_sigma_[0] == pytest.approx(
        0.2, abs=4 * 0.05 / np.sqrt(800) * 0.224 / 0.2 * 5
    )
    corrected = fitted.correct(Estimate(("mean",), np.array([0.1 + 1.3 * 0.4]), covariance))
    assert corrected.theta[0] == pytest.approx(0.4, abs=0.04)
    assert corrected.error[0] == pytest.approx(0.2236 / 1.3, rel=0.1)
    corrected = [fitted.correct(estimate) for estimate in estimates]
    pulls = [(c.theta - t) / c.error for c, t in zip(corrected, truth, strict=True)]
    assert np.std(pulls) == pytest.approx(1.0, abs=4 / np.sqrt(800))
    with pytest.raises(InputError, match="give 4 or more"):
        EstimateCalibration().fit(estimates[:3], truth[:3])


def test_calibration_of_two_parameters_mixes_them():
    random = np.random.default_rng(1)
    truth = random.uniform(-1, 1, (60, 2))
    slope = np.array([[1.1, 0.3], [-0.2, 0.9]])
    names, covariance = ("mean", "width"), np.diag([1e-6, 1e-6])
    estimates = [Estimate(names, slope @ t + [0.1, 0.2], covariance) for t in truth]
    fitted = EstimateCalibration().fit(estimates, truth)
    np.testing.assert_allclose(fitted.slope_, slope, atol=1e-9)
    np.testing.assert_allclose(fitted.correct(estimates[7]).theta, truth[7], atol=1e-9)
    assert fitted.extra_sigma_ == pytest.approx([0, 0], abs=1e-12)


def test_what_cannot_be_fitted_is_said():
    with pytest.raises(InputError, match="fixed 'slope' is no parameter; they are mean, width"):
        ParameterFit(fixed={"slope": 1.0}).fit(None, TOY)
    with pytest.raises(InputError, match="width = 9 is outside the trained range"):
        ParameterFit(fixed={"width": 9.0}).fit(None, TOY)
    with pytest.raises(InputError, match="all parameters are fixed"):
        ParameterFit(fixed={"mean": 0.0, "width": 1.0}).fit(None, TOY)
    with pytest.raises(InputError, match=r"width = 1\.6 is outside the trained range"):
        ParameterFit().fit(None, TOY).scan(DATA, [[0.0, 1.0], [0.0, 1.6]])
    with pytest.raises(InputError, match="ParameterFit is not fitted"):
        ParameterFit().estimate(DATA)


def test_a_scan_of_other_data_takes_the_reference_from_before(both):
    reference = TOY.sample((0.0, 1.0), 5_000, 10)
    scan = np.linspace(0.2, 0.4, 5)
    fit = ParameterFit(fixed={"width": 1.0}).fit(reference, TOY)
    first = fit.scan(DATA, scan)
    again = fit.scan(DATA[:100], scan)
    other = ParameterFit(fixed={"width": 1.0}).fit(reference, TOY).scan(DATA[:100], scan)
    np.testing.assert_array_equal(again, other)
    assert not np.array_equal(first, again)


def test_data_beyond_the_range_end_at_its_edge_with_a_warning():
    with pytest.warns(UserWarning, match="mean ends at the edge of the trained range"):
        found = ParameterFit(fixed={"width": 1.0}).fit(None, TOY).estimate(DATA + 5)
    assert found.theta[0] == 1.0
