"""Theta of data by a learned ratio: the fit, its bootstrap and its profiles."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.methods.inference.estimates import Estimate
from colliderkit.methods.inference.intervals import profile_intervals
from colliderkit.methods.inference.surface import OBJECTIVES, Bound, Objective, Surface
from colliderkit.methods.ratio.ratio import weight_of

__all__ = ["Fitted", "ParameterFit", "Parametrised", "Profile"]

Floats = NDArray[np.float64]

WIDE, POINTS = 3.0, 13  # a profile reaches this many errors to each side, in so many points
PIECE = 64  # bootstrap replicas whose weights stand in memory together


class Parametrised(Protocol):
    """A ratio p(x | theta) / p0(x), as `methods.ratio.Ratio` with `parameters` is one.

    - `parameters`: the T names; `range_` (2, T): the lowest and the highest theta to be asked for;
    - ``bound(events)`` returns theta (T,) -> ln r (N,), differentiable.
    """

    @property
    def parameters(self) -> Sequence[str]:
        """Name them."""
        ...

    @property
    def range_(self) -> Floats:
        """Return the lowest and the highest theta."""
        ...

    def bound(self, events: Any) -> Bound:
        """Prepare `events` once."""
        ...


@dataclass(frozen=True)
class Fitted(Estimate):
    """Hold an estimate with the data that it came from.

    `covariance` is that of the estimating equations, H^-1 V H^-1 (the "sandwich"), with V from
    the spread of the events' scores, data and reference: it holds also where r is not exact.
    `parabolic` is H^-1 / n, where -2 Delta ln L = 1 of a parabola: equal if r is exact.
    """

    parabolic: Floats
    surface: Surface
    likelihood: Objective

    def bootstrap(self, replicas: int = 200, *, seed: int = 0) -> Floats:
        """Return theta of replicas (B, T), each event weighted by Poisson numbers of mean 1.

        Data and reference are both drawn. The objective of a replica is that of its weights on
        the points of the surface around theta, and its maximum that of the parabola through them:
        all replicas are a matrix product, and none is a fit.
        """
        random = np.random.default_rng(seed)
        found = []
        for start in range(0, replicas, PIECE):
            count = min(PIECE, replicas - start)
            found.append(self.surface.replicas(self.likelihood, self.theta, count, random))
        return np.concatenate(found)

    def profile(
        self, name: str, values: ArrayLike | None = None, confidence: float = 0.6827
    ) -> "Profile":
        """Return max ln L over the other parameters, at `values` of one, and its interval.

        Without `values`, `POINTS` within three errors, or more if the interval is longer: an end
        is infinite only where it leaves the trained range. The interval is where
        -2 Delta ln L is below the quantile of `confidence` (1 for 68.27%). Weighted data count
        as (sum w)^2 / sum w^2 events. Raises `InputError` for an unknown name.
        """
        if name not in self.names:
            raise InputError(f"'{name}' is not fitted; fitted are {', '.join(self.names)}.")
        if not self.likelihood.rule.likelihood:
            raise InputError("the objective 'classification' has no likelihood; use bootstrap.")
        i = self.names.index(name)
        if values is not None:
            scan = np.asarray(values, dtype=np.float64)
            self.likelihood.check(scan[:, None], i)
            return self._profile(i, scan, confidence)
        low, high = self.likelihood.box[:, i]
        reach = WIDE * float(np.sqrt(self.parabolic[i, i]))
        while True:
            left, right = max(low, self.theta[i] - reach), min(high, self.theta[i] + reach)
            found = self._profile(i, np.linspace(left, right, POINTS), confidence)
            whole = left == low and right == high
            if whole or np.isfinite([found.low, found.high]).all():
                return found
            reach *= 2

    def _profile(self, i: int, scan: Floats, confidence: float) -> "Profile":
        heights = np.empty(len(scan))
        # Outwards from the estimate, so that each search begins near its end.
        order = np.argsort(scan)
        middle = int(np.searchsorted(scan[order], self.theta[i]))
        for part in (order[:middle][::-1], order[middle:]):
            theta = self.theta.copy()
            for k in part:
                theta[i] = scan[k]
                theta, heights[k] = self.likelihood.maximum(theta, held=i)
        log_likelihood = self.likelihood.size * heights
        found = profile_intervals(scan, log_likelihood, confidence)
        return Profile(
            self.names[i],
            scan,
            log_likelihood,
            float(found.low[0]),
            float(found.high[0]),
            confidence,
        )


@dataclass(frozen=True)
class Profile:
    """Hold ln L (K,) at `values` (K,) of one parameter and the interval it gives."""

    name: str
    values: Floats
    log_likelihood: Floats
    low: float
    high: float
    confidence: float


class ParameterFit:
    """Fit the parameters of a learned ratio to data.

    Args:
        ratio: p(x | theta) / p0(x), fitted (`Parametrised`).
        fixed: values of the parameters that are known.
        objective: "likelihood" maximises mean ln r(x; theta) - ln Z(theta) over the data, with
            Z(theta) the mean of r over events of p0. Exactly normalised, r p0 / Z is a density
            for each theta, and a normalisation that was learned wrongly shifts nothing.
            "classification" minimises the cross-entropy of data against p0 with
            f = r / (1 + r) frozen, as in arXiv:1907.08209. Both are consistent.

    After `fit`: `reference_`, the events of p0 bound to the ratio.
    """

    def __init__(
        self,
        ratio: Parametrised,
        *,
        fixed: Mapping[str, float] | None = None,
        objective: Literal["likelihood", "classification"] = "likelihood",
    ) -> None:
        self.ratio = ratio
        self.fixed = fixed
        self.objective = objective

    def fit(self, reference: Any = None, *, weight: ArrayLike | None = None) -> Self:
        """Take events of p0 that the ratio was not trained on, and return self.

        Without a `reference`, Z is 1: for a ratio whose normalisation is exact.
        """
        self._check()
        self.reference_ = None if reference is None else self.ratio.bound(reference)
        self.reference_weight_ = None
        self.scanned_: tuple[Floats, Floats] | None = None
        if self.reference_ is not None:
            self.reference_weight_ = weight_of(weight, self._count(self.reference_), "reference")
        elif self.objective == "classification":
            raise InputError("the objective 'classification' needs events of p0; give them.")
        return self

    def estimate(self, data: Any, *, weight: ArrayLike | None = None) -> Fitted:
        """Find theta of the data by gradient (L-BFGS-B within the trained range).

        Raises `InputError` if the weights of the data do not sum to a positive number.
        """
        objective = self._objective(data, weight)
        theta, _ = objective.maximum(objective.box.mean(0))
        for name, value, ends in zip(objective.names, theta, objective.box.T, strict=True):
            if value in ends:
                warnings.warn(
                    f"{name} ends at the edge of the trained range, {value:.6g}; train over more.",
                    stacklevel=2,
                )
        surface = Surface.near(objective, theta)
        return Fitted(
            tuple(objective.names),
            theta,
            surface.covariance(objective),
            surface.parabolic(objective),
            surface,
            objective,
        )

    def scan(self, data: Any, values: ArrayLike, *, weight: ArrayLike | None = None) -> Floats:
        """Return ln L at theta `values` (K,) or (K, T), for (E, N) weights of E experiments.

        Experiments that share their events cost a matrix product. Returns (E, K), or (K,) with
        weights (N,) or none; `intervals.profile_intervals` takes it for one free parameter.
        """
        objective = self._objective(data, None)
        thetas = np.asarray(values, dtype=np.float64).reshape(-1, len(objective.names))
        objective.check(thetas)
        # The reference is the same for all data: its part is kept for the next data set.
        if self.scanned_ is None or not np.array_equal(self.scanned_[0], thetas):
            self.scanned_ = thetas, objective.normalisation(thetas)
        w = objective.weight if weight is None else np.asarray(weight, dtype=np.float64)
        if w.shape[-1:] != objective.weight.shape:
            raise InputError(f"weights of shape {w.shape} for {len(objective.weight)} events.")
        size = np.asarray(w.sum(-1) ** 2 / (w**2).sum(-1))[..., None]
        mean = (w @ objective.of_data(thetas)) / np.asarray(w.sum(-1))[..., None]
        return np.asarray(size * (mean + self.scanned_[1]))

    def _check(self) -> None:
        known = list(self.ratio.parameters)
        if not known:
            raise InputError("the ratio has no parameters; fit it with theta.")
        for name, value in (self.fixed or {}).items():
            if name not in known:
                raise InputError(f"fixed '{name}' is no parameter; they are {', '.join(known)}.")
            low, high = self.ratio.range_[:, known.index(name)]
            if not low <= value <= high:
                raise InputError(
                    f"{name} = {value:.6g} is outside the trained range {low:.6g} to {high:.6g}."
                )
        if len(self.fixed or {}) == len(known):
            raise InputError("all parameters are fixed; leave at least one to be fitted.")
        if self.objective not in OBJECTIVES:
            raise InputError(
                f"objective '{self.objective}' is none of {', '.join(map(repr, OBJECTIVES))}."
            )

    def _count(self, bound: Bound) -> int:
        middle = torch.from_numpy(np.asarray(self.ratio.range_).mean(0))
        with torch.no_grad():
            return len(bound(middle))

    def _objective(self, data: Any, weight: ArrayLike | None) -> Objective:
        if not hasattr(self, "reference_"):
            raise InputError("the fit has no events of p0; call fit first.")
        known = list(self.ratio.parameters)
        bound = self.ratio.bound(data)
        w = weight_of(weight, self._count(bound), "data")
        whole = torch.zeros(len(known), dtype=torch.float64)
        free = [i for i, name in enumerate(known) if name not in (self.fixed or {})]
        for name, value in (self.fixed or {}).items():
            whole[known.index(name)] = value
        return Objective(
            OBJECTIVES[self.objective],
            [known[i] for i in free],
            np.asarray(self.ratio.range_, dtype=np.float64)[:, free],
            whole,
            free,
            bound,
            w,
            self.reference_,
            self.reference_weight_,
        )
