"""Pseudo-experiments: estimates at known parameters, their pulls and coverage."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from colliderkit.methods.inference.estimates import Estimate, EstimateCalibration
from colliderkit.methods.inference.parameter_fit import ParameterFit
from colliderkit.methods.inference.surface import NoMaximum
from colliderkit.methods.ratio import Ratio
from colliderkit.metrics.coverage import Coverage, coverage
from colliderkit.metrics.intervals import Intervals, profile_intervals
from colliderkit.sources.toys.normal import NormalRatio
from colliderkit.training.settings import Training

__all__ = ["TOY_EVENTS", "Experiments", "coverages", "normal_coverage"]

Floats = NDArray[np.float64]
ONE_SIGMA = 0.6827
TOY_EVENTS = 500  # of each experiment of the normal toy
TOY_SCAN = np.linspace(-0.98, 0.98, 29)


@dataclass(frozen=True)
class Experiments:
    """The estimates of E data sets and their true theta (E, T).

    `refused` counts further data sets, whose likelihood has no maximum in the trained range.
    """

    estimates: list[Estimate]
    truth: Floats
    refused: int = 0

    @classmethod
    def fitted(cls, fit: ParameterFit, data: Iterable[Any], truth: Floats) -> Self:
        """Fit data sets of known theta (E, T), and let go of each before the next."""
        estimates, rows = [], []
        for events, theta in zip(data, truth, strict=True):
            try:
                found = fit.estimate(events)
            except NoMaximum:
                continue
            # Without its events, of which a hundred data sets are too many.
            estimates.append(Estimate(found.names, found.theta, found.covariance))
            rows.append(theta)
        return cls(estimates, np.array(rows), len(truth) - len(rows))

    def pulls(self, estimates: Sequence[Estimate] | None = None) -> Floats:
        """Return (estimate - truth) / error, (E, T), of these estimates or of corrected ones."""
        pairs = zip(self.estimates if estimates is None else estimates, self.truth, strict=True)
        return np.stack([(estimate.theta - theta) / estimate.error for estimate, theta in pairs])

    def plain(self) -> dict[str, Any]:
        """Return all numbers as JSON, from which `of` makes them again."""
        return {
            "names": list(self.estimates[0].names),
            "theta": [estimate.theta.tolist() for estimate in self.estimates],
            "covariance": [estimate.covariance.tolist() for estimate in self.estimates],
            "truth": self.truth.tolist(),
            "refused": self.refused,
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Self:
        """Return the experiments that `plain` wrote."""
        rows = zip(plain["theta"], plain["covariance"], strict=True)
        names = tuple(plain["names"])
        estimates = [Estimate(names, np.array(theta), np.array(v)) for theta, v in rows]
        return cls(estimates, np.array(plain["truth"]), plain["refused"])


def coverages(pulls: Floats) -> dict[str, Coverage]:
    """Return the coverage of intervals of one and two sigma and of 95% from pulls (E,)."""
    widths = {"1 sigma": 1.0, "2 sigma": 2.0, "95%": float(ndtri(0.975))}
    return {name: coverage(pulls - z, pulls + z, 0.0) for name, z in widths.items()}


def normal_coverage(experiments: int) -> list[tuple[str, float, Coverage]]:
    """Return the coverage of intervals where the answer is known: N(mean, 1) over N(0, 1).

    Each experiment has `TOY_EVENTS` events of its own mean, uniform in ±0.6. Intervals are those
    of the likelihood, with the exact ratio and with one learned over means in ±1; and of the
    latter's estimates as calibrated by a fifth as many other experiments. Rows are (ratio,
    confidence, coverage).
    """
    toy = NormalRatio()
    random = np.random.default_rng(11)
    means = random.uniform(-0.6, 0.6, experiments)
    known = random.uniform(-0.6, 0.6, max(8, experiments // 5))
    data, others = (
        [toy.sample((mean, 1.0), TOY_EVENTS, [seed, i]) for i, mean in enumerate(values)]
        for seed, values in ((12, means), (16, known))
    )
    count = min(100, experiments) * TOY_EVENTS
    theta = np.stack([random.uniform(-1, 1, count), np.ones(count)], 1)
    ratio = Ratio(
        network="mlp",
        options={"hidden": (32, 32)},
        hidden=(),
        parameters=("mean",),
        training=Training(epochs=8, batch_size=500, learning_rate=2e-3, schedule="cosine"),
    )
    samples = toy.sample(theta, count, 13), toy.sample((0.0, 1.0), count, 14)
    ratio.fit(*samples, theta=theta[:, :1], progress=False)
    exact = ParameterFit(fixed={"width": 1.0}).fit(None, toy)
    learned = ParameterFit().fit(toy.sample((0.0, 1.0), count, 15), ratio)
    rows = []
    for name, fit in (("exact", exact), ("learned", learned)):
        for level in (ONE_SIGMA, 0.95):
            found = _intervals(fit, data, level)
            rows.append((name, level, coverage(found.low, found.high, means)))
    calibration = EstimateCalibration().fit(_estimates(learned, others), known[:, None])
    corrected = [calibration.correct(estimate) for estimate in _estimates(learned, data)]
    mean, error = (
        np.array([getattr(estimate, name)[0] for estimate in corrected])
        for name in ("theta", "error")
    )
    for level in (ONE_SIGMA, 0.95):
        z = float(ndtri((1 + level) / 2))
        rows.append(
            ("learned, calibrated", level, coverage(mean - z * error, mean + z * error, means))
        )
    return rows


def _intervals(fit: ParameterFit, data: Sequence[Floats], level: float) -> Intervals:
    """Return the likelihood's intervals of several data sets."""
    log_likelihood = np.stack([fit.scan(x, TOY_SCAN) for x in data])
    return profile_intervals(TOY_SCAN, log_likelihood, level)


def _estimates(fit: ParameterFit, data: Sequence[Floats]) -> list[Estimate]:
    """Return best values of the scan with half their interval as error."""
    found = _intervals(fit, data, ONE_SIGMA)
    errors = (found.high - found.low) / 2
    return [
        Estimate(("mean",), np.array([best]), np.array([[error**2]]))
        for best, error in zip(found.best, errors, strict=True)
    ]
