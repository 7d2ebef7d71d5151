"""Parameter estimation by a learned likelihood ratio: the fit, its bootstrap and its profiles."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.ragged import Ragged
from colliderkit.events.tables import as_weight
from colliderkit.methods.inference.estimates import Estimate
from colliderkit.methods.inference.surface import OBJECTIVES, LogRatio, Objective, Surface
from colliderkit.methods.method import Method
from colliderkit.methods.ratio.estimators import Inputs
from colliderkit.methods.ratio.ratio import Ratio
from colliderkit.metrics.intervals import profile_intervals

__all__ = ["Fitted", "LikelihoodProfile", "ParameterFit", "Parametrised"]

Floats = NDArray[np.float64]

WIDE, POINTS = 3.0, 13  # a profile reaches this many errors to each side, in so many points
PIECE = 64  # bootstrap replicas whose weights stand in memory together


class Parametrised(Protocol):
    """A ratio p(x | theta) / p0(x), as `methods.ratio.Ratio` with `parameters` is one.

    - `parameters`: the T names; `range_` (2, T): the lowest and the highest theta to be asked for;
    - ``inputs(events)`` returns N checked events as tensors;
    - ``log_ratio_of(inputs)`` returns theta (T,) -> ln r (N,), differentiable.
    """

    @property
    def parameters(self) -> Sequence[str]:
        """Name them."""
        ...

    @property
    def range_(self) -> Floats:
        """Return the lowest and the highest theta."""
        ...

    def inputs(self, events: Any) -> Inputs:
        """Check `events` and return them as tensors."""
        ...

    def log_ratio_of(self, events: Any) -> LogRatio:
        """Prepare `events`, or what `inputs` made of them, once."""
        ...


@dataclass(frozen=True)
class Fitted(Estimate):
    """An estimate with the data that it came from: its bootstrap and its profiles.

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
        pieces = []
        for start in range(0, replicas, PIECE):
            count = min(PIECE, replicas - start)
            pieces.append(self.surface.replicas(self.likelihood, self.theta, count, random))
        return np.concatenate(pieces)

    def profile(
        self, name: str, values: ArrayLike | None = None, confidence: float = 0.6827
    ) -> "LikelihoodProfile":
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
            profile = self._profile(i, np.linspace(left, right, POINTS), confidence)
            whole = left == low and right == high
            if whole or np.isfinite([profile.low, profile.high]).all():
                return profile
            reach *= 2

    def _profile(self, i: int, scan: Floats, confidence: float) -> "LikelihoodProfile":
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
        interval = profile_intervals(scan, log_likelihood, confidence)
        return LikelihoodProfile(
            self.names[i],
            scan,
            log_likelihood,
            float(interval.low[0]),
            float(interval.high[0]),
            confidence,
        )


@dataclass(frozen=True)
class LikelihoodProfile:
    """Profile likelihood: ln L (K,) at `values` (K,) of one parameter, and its interval."""

    name: str
    values: Floats
    log_likelihood: Floats
    low: float
    high: float
    confidence: float


class ParameterFit(Method):
    """Fit the parameters of a learned ratio to data, by gradient or by scan.

    Args:
        fixed: values of the parameters that are known.
        objective: "likelihood" maximises mean ln r(x; theta) - ln Z(theta) over the data, with
            Z(theta) the mean of r over events of p0. Exactly normalised, r p0 / Z is a density
            for each theta, and a normalisation that was learned wrongly shifts nothing.
            "classification" minimises the cross-entropy of data against p0 with
            f = r / (1 + r) frozen, as in arXiv:1907.08209. Both are consistent.

    After `fit`: `ratio_`; `reference_`, the events of p0 as tensors, and their weights
    `reference_weight_` (M,), None without a reference.
    """

    name: ClassVar[str] = "parameter-fit"

    ratio_: Ratio
    reference_: Tensor | Ragged | None
    reference_weight_: Floats | None

    def __init__(
        self,
        *,
        fixed: Mapping[str, float] | None = None,
        objective: Literal["likelihood", "classification"] = "likelihood",
    ) -> None:
        self.fixed = fixed
        self.objective = objective

    def fit(
        self,
        reference: Any,
        ratio: Parametrised,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Prepare a fit by a learned `ratio`, with events of p0 that normalise it; return self.

        The ratio was not trained on the reference.

        Without a `reference` (None), Z is 1: for a ratio whose normalisation is exact. `weight`
        (M,) is that of the reference; negative weights stay negative in the mean. Raises
        `InputError` for a ratio without parameters and for fixed values that it does not know.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        for cached in ("_reference_log_ratio", "_scanned"):
            self.__dict__.pop(cached, None)
        self._check(ratio)
        if reference is None and self.objective == "classification":
            raise InputError("the objective 'classification' needs events of p0; give them.")
        if reference is None and weight is not None:
            raise InputError("weight is given without a reference; give its events of p0.")
        inputs = None if reference is None else ratio.inputs(reference)
        w = None if inputs is None else as_weight(weight, len(inputs), "the reference")
        # Any ratio with parameters will do; one that is no method cannot be saved.
        self.ratio_ = cast(Ratio, ratio)
        self.reference_, self.reference_weight_ = inputs, w
        return self

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write as every method does, the ratio included, which must be a `Ratio`."""
        if not isinstance(self.ratio_, Method):
            raise InputError(
                f"the ratio is a {type(self.ratio_).__name__}, which no file can hold; fit with a"
                " Ratio."
            )
        return super().save(folder, force=force)

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
        if self._scanned is None or not np.array_equal(self._scanned[0], thetas):
            self._scanned = thetas, objective.normalisation(thetas)
        w = objective.weight if weight is None else np.asarray(weight, dtype=np.float64)
        if w.shape[-1:] != objective.weight.shape:
            raise InputError(f"weights of shape {w.shape} for {len(objective.weight)} events.")
        size = np.asarray(w.sum(-1) ** 2 / (w**2).sum(-1))[..., None]
        mean = (w @ objective.of_data(thetas)) / np.asarray(w.sum(-1))[..., None]
        return np.asarray(size * (mean + self._scanned[1]))

    def log_ratios(self, events: Any, values: ArrayLike) -> Floats:
        """Return ln r of N events at theta `values` (K,) or (K, T) of the free ones, (N, K)."""
        objective = self._objective(events, None)
        thetas = np.asarray(values, dtype=np.float64).reshape(-1, len(objective.names))
        objective.check(thetas)
        return objective.log_ratios(thetas)

    @property
    def free(self) -> list[str]:
        """The parameters that are fitted."""
        return [name for name in self.ratio_.parameters if name not in (self.fixed or {})]

    _scanned: tuple[Floats, Floats] | None = None

    @cached_property
    def _reference_log_ratio(self) -> LogRatio | None:
        return None if self.reference_ is None else self.ratio_.log_ratio_of(self.reference_)

    def _check(self, ratio: Parametrised) -> None:
        known = list(ratio.parameters)
        if not known:
            raise InputError("the ratio has no parameters; fit it with theta.")
        for name, value in (self.fixed or {}).items():
            if name not in known:
                raise InputError(f"fixed '{name}' is no parameter; they are {', '.join(known)}.")
            low, high = ratio.range_[:, known.index(name)]
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

    def _objective(self, data: Any, weight: ArrayLike | None) -> Objective:
        known = list(self.ratio_.parameters)
        inputs = self.ratio_.inputs(data)
        whole = torch.zeros(len(known), dtype=torch.float64)
        free = [known.index(name) for name in self.free]
        for name, value in (self.fixed or {}).items():
            whole[known.index(name)] = value
        return Objective(
            OBJECTIVES[self.objective],
            self.free,
            np.asarray(self.ratio_.range_, dtype=np.float64)[:, free],
            whole,
            free,
            self.ratio_.log_ratio_of(inputs),
            as_weight(weight, len(inputs), "the data"),
            self._reference_log_ratio,
            self.reference_weight_,
        )
