"""Find the parameters of data by a ratio p(x | theta) / p0(x) that was learned once.

With ln r(x; theta) from `methods.ratio`, no training is left: theta is found by gradient or by a
scan, at the price of a small network a step (DCTR, arXiv:1907.08209). Its uncertainty comes from
the likelihood, from a bootstrap, and from pseudo-experiments at known theta, which alone also see
what the learned ratio is wrong by.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize
from torch import Tensor
from torch.nn.functional import softplus

from colliderkit.errors import InputError
from colliderkit.methods.intervals import profile_intervals

__all__ = ["Calibration", "Estimate", "Fitted", "ParameterFit", "Parametrised", "Profile"]

Floats = NDArray[np.float64]
Bound = Callable[[Tensor], Tensor]

FIRST, LARGEST = 0.05, 0.4  # steps of a surface in ranges: tried first, and at most
NEAR = 1.2  # the step in errors of the estimate
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
class _Rule:
    """Write an objective as mean_data a(ln r) + c(mean_reference b(ln r)), to be maximised."""

    a: Callable[[Tensor], Tensor]
    b: Callable[[Tensor], Tensor]
    c: Callable[[Tensor], Tensor]
    likelihood: bool  # whether the objective is ln L per event


OBJECTIVES = {
    "likelihood": _Rule(lambda z: z, torch.exp, lambda mean: -mean.log(), True),
    "classification": _Rule(lambda z: -softplus(-z), softplus, lambda mean: -mean, False),
}


@dataclass(frozen=True)
class Estimate:
    """Hold theta (T,) of the parameters `names` and its `covariance` (T, T)."""

    names: tuple[str, ...]
    theta: Floats
    covariance: Floats

    @property
    def error(self) -> Floats:
        """The standard deviations (T,)."""
        return np.sqrt(np.diag(self.covariance))


@dataclass(frozen=True)
class Fitted(Estimate):
    """Hold an estimate with the data that it came from.

    `covariance` is that of the estimating equations, H^-1 V H^-1 (the "sandwich"), with V from
    the spread of the events' scores, data and reference: it holds also where r is not exact.
    `parabolic` is H^-1 / n, where -2 Delta ln L = 1 of a parabola: equal if r is exact.
    """

    parabolic: Floats
    surface: "_Surface"
    likelihood: "_Objective"

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
            self.reference_weight_ = _weight(weight, self._count(self.reference_), "reference")
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
        surface = _Surface.near(objective, theta)
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

    def _objective(self, data: Any, weight: ArrayLike | None) -> "_Objective":
        if not hasattr(self, "reference_"):
            raise InputError("the fit has no events of p0; call fit first.")
        known = list(self.ratio.parameters)
        bound = self.ratio.bound(data)
        w = _weight(weight, self._count(bound), "data")
        whole = torch.zeros(len(known), dtype=torch.float64)
        free = [i for i, name in enumerate(known) if name not in (self.fixed or {})]
        for name, value in (self.fixed or {}).items():
            whole[known.index(name)] = value
        return _Objective(
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


@dataclass(frozen=True)
class _Objective:
    """The objective of one data set: a function of the free theta (T,)."""

    rule: _Rule
    names: list[str]
    box: Floats
    whole: Tensor
    free: list[int]
    data: Bound
    weight: Floats
    reference: Bound | None
    reference_weight: Floats | None

    @property
    def size(self) -> float:
        """The number of events that the data count as, (sum w)^2 / sum w^2."""
        return float(self.weight.sum() ** 2 / (self.weight**2).sum())

    @cached_property
    def _weights(self) -> tuple[Tensor, Tensor]:
        v = self.reference_weight
        pair = (self.weight, np.ones(1) if v is None else v)
        first, second = (torch.from_numpy(w / w.sum()) for w in pair)
        return first, second

    def __call__(self, theta: Tensor) -> Tensor:
        """Return the objective per event, a number."""
        point = self.whole.clone()
        point[self.free] = theta
        w, v = self._weights
        value = w @ self.rule.a(self.data(point).double())
        if self.reference is not None:
            value = value + self.rule.c(v @ self.rule.b(self.reference(point).double()))
        return value

    def maximum(self, start: Floats, held: int | None = None) -> tuple[Floats, float]:
        """Return where the objective is largest, and its height; `held` stays as it is."""
        moving = [i for i in range(len(start)) if i != held]
        low, width = self.box[0], np.ptp(self.box, axis=0)

        def fall(u: Floats) -> tuple[float, Floats]:
            theta = start.copy()
            theta[moving] = low[moving] + u * width[moving]
            point = torch.from_numpy(theta).requires_grad_()
            value = -self(point)
            value.backward()
            assert point.grad is not None
            return float(value.detach()), (point.grad.numpy() * width)[moving]

        if not moving:
            return start.copy(), -fall(np.empty(0))[0]
        found = minimize(
            fall,
            (start - low)[moving] / width[moving],
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * len(moving),
            options={"ftol": 1e-13, "gtol": 1e-7},
        )
        if not np.isfinite(found.fun):
            raise InputError("the likelihood of the data is not finite; look at their ratios.")
        theta = start.copy()
        theta[moving] = low[moving] + found.x * width[moving]
        return theta, -float(found.fun)

    def check(self, thetas: Floats, first: int = 0) -> None:
        """Raise `InputError` if theta (K, T) is outside the range; columns count from `first`."""
        for i, column in enumerate(thetas.T, first):
            low, high = self.box[:, i]
            outside = (column < low) | (column > high)
            if outside.any():
                raise InputError(
                    f"{self.names[i]} = {column[outside][0]:.6g} is outside the trained range"
                    f" {low:.6g} to {high:.6g}."
                )

    def of_data(self, thetas: Floats) -> Floats:
        """Return a(ln r) of the data at thetas (K, T), (N, K)."""
        return self._columns(self.data, self.rule.a, thetas)

    def of_reference(self, thetas: Floats) -> Floats | None:
        """Return b(ln r) of the reference at thetas (K, T), (M, K)."""
        if self.reference is None:
            return None
        return self._columns(self.reference, self.rule.b, thetas)

    @torch.no_grad()
    def _columns(self, bound: Bound, rule: Callable[[Tensor], Tensor], thetas: Floats) -> Floats:
        columns = []
        for theta in thetas:
            point = self.whole.clone()
            point[self.free] = torch.from_numpy(np.ascontiguousarray(theta))
            columns.append(rule(bound(point).double()))
        return np.asarray(torch.stack(columns, 1).numpy())

    def normalisation(self, thetas: Floats) -> Floats:
        """Return c(mean b) at thetas (K, T), (K,)."""
        rows = self.of_reference(thetas)
        if rows is None:
            return np.zeros(len(thetas))
        assert self.reference_weight is not None
        return self._mean(rows, self.reference_weight)

    def _mean(self, rows: Floats, weight: Floats) -> Floats:
        mean = (weight @ rows) / np.asarray(weight.sum(-1))[..., None]
        # As an array of its own: torch takes no numpy scalar.
        return np.asarray(self.rule.c(torch.from_numpy(np.array(mean))).numpy())

    def heights(
        self,
        data: Floats,
        reference: Floats | None,
        weight: Floats | None = None,
        reference_weight: Floats | None = None,
    ) -> Floats:
        """Return the objective from rows of data and reference, (..., K) for weights (..., N)."""
        w = self.weight if weight is None else weight
        value = (w @ data) / np.asarray(w.sum(-1))[..., None]
        if reference is None:
            return value
        v = self.reference_weight if reference_weight is None else reference_weight
        assert v is not None
        return np.asarray(value + self._mean(reference, v))


@dataclass(frozen=True)
class _Surface:
    """Each event's ln r as a parabola in theta around one point, through values on a stencil.

    Derivatives by a network's own would be of no use: that of a ReLU network is constant in
    pieces, its second derivative zero. Differences over about an error of theta are what the
    likelihood sees.
    """

    centre: Floats
    step: Floats
    data: Floats
    reference: Floats | None

    @classmethod
    def around(cls, objective: _Objective, theta: Floats, step: Floats) -> "_Surface":
        """Evaluate on the stencil; where theta is near the end of its range, it moves inwards."""
        centre = np.clip(theta, objective.box[0] + step, objective.box[1] - step)
        points = centre + step * _stencil(len(theta))
        return cls(centre, step, objective.of_data(points), objective.of_reference(points))

    @classmethod
    def near(cls, objective: _Objective, theta: Floats) -> "_Surface":
        """Return the surface with steps of about the errors of theta.

        A first, shorter one gives the errors; where the objective is too rough or too flat for
        it, steps are doubled. Raises `InputError` if it has no maximum on any of them.
        """
        width = np.ptp(objective.box, axis=0)
        step = FIRST * width
        while True:
            surface = cls.around(objective, theta, step)
            try:
                error = np.sqrt(np.diag(surface.parabolic(objective)))
                break
            except InputError:
                if (step >= LARGEST * width).all():
                    raise
                step = np.minimum(2 * step, LARGEST * width)
        return cls.around(objective, theta, np.minimum(NEAR * error, LARGEST * width))

    def _coefficients(self, values: Floats) -> tuple[Floats, Floats]:
        """Return slope (..., T) and bend (..., T, T) of values (..., K) in units of the steps."""
        t = len(self.centre)
        solved = values @ _solver(t).T
        slope = solved[..., 1 : t + 1]
        bend = np.zeros((*values.shape[:-1], t, t))
        upper = np.triu_indices(t)
        bend[..., upper[0], upper[1]] = solved[..., t + 1 :]
        return slope, bend + np.swapaxes(bend, -1, -2)

    def _bend(self, objective: _Objective) -> Floats:
        """Return H = -d^2 F in units of the steps; raise `InputError` if it is no maximum."""
        _, bend = self._coefficients(objective.heights(self.data, self.reference))
        if np.linalg.eigvalsh(-bend)[0] <= 0:
            raise InputError(
                f"the likelihood of {', '.join(objective.names)} has no maximum near"
                f" {np.array2string(self.centre, precision=4)}: the data say too little, or their"
                " parameters are outside the trained range."
            )
        return -bend

    def parabolic(self, objective: _Objective) -> Floats:
        """Return H^-1 / n, (T, T)."""
        inverse = np.linalg.inv(self._bend(objective)) / objective.size
        return np.asarray(inverse * np.outer(self.step, self.step))

    def covariance(self, objective: _Objective) -> Floats:
        """Return H^-1 V H^-1, (T, T), with V of the scores of data and reference."""
        inverse = np.linalg.inv(self._bend(objective))
        scores, _ = self._coefficients(self.data)
        total = _variance_of_mean(scores, objective.weight)
        if self.reference is not None:
            assert objective.reference_weight is not None
            slopes, _ = self._coefficients(self.reference)
            w = objective.reference_weight
            mean = torch.tensor(float(np.average(self.reference[:, 0], weights=w)))
            factor = float(torch.func.grad(objective.rule.c)(mean))
            total = total + factor**2 * _variance_of_mean(slopes, w)
        return np.asarray(inverse @ total @ inverse * np.outer(self.step, self.step))

    def replicas(
        self, objective: _Objective, theta: Floats, count: int, random: np.random.Generator
    ) -> Floats:
        """Return the estimates of `count` replicas, (count, T), around `theta`."""
        w = objective.weight * random.poisson(1.0, (count, len(self.data)))
        v = objective.reference_weight
        if self.reference is not None and v is not None:
            v = v * random.poisson(1.0, (count, len(self.reference)))
        moves = []
        for heights in (
            objective.heights(self.data, self.reference, w, v),
            objective.heights(self.data, self.reference)[None],
        ):
            slope, bend = self._coefficients(heights)
            moves.append(np.linalg.solve(-bend, slope[..., None])[..., 0])
        # Beside the maximum of the surface of all events, which is a little off their estimate.
        return np.clip(theta + self.step * (moves[0] - moves[1]), *objective.box)


class Calibration:
    """Correct estimates by pseudo-experiments at known theta, and widen their errors.

    The estimates of the experiments are fitted by theta_hat = a + B theta, by weighted least
    squares with the weights 1 / (V + s^2): V is the variance that each estimate claims and s^2
    that which makes the residuals' chi^2 equal to its degrees of freedom, 0 at least. a and B are
    the bias of the learned ratio, s what no straight line takes away. An estimate becomes
    B^-1 (theta_hat - a), with B^-1 (V + s^2 + error of a + B theta) B^-T as covariance. Because
    theta_hat is fitted as a function of theta, and not the other way round, no prior of theta
    enters.

    After `fit`: `offset_` (T,), `slope_` (T, T), `extra_` (T,): a, B and s.
    """

    def fit(self, estimates: Sequence[Estimate], truth: ArrayLike) -> Self:
        """Take E estimates and their theta (E, T); raise `InputError` if they are too few."""
        true = np.asarray(truth, dtype=np.float64)
        count = len(estimates)
        names = estimates[0].names if count else ()
        coefficients = len(names) + 1
        if count < 2 * coefficients:
            raise InputError(
                f"{count} pseudo-experiments for {coefficients} coefficients of each parameter;"
                f" give {2 * coefficients} or more."
            )
        if true.shape != (count, len(names)):
            raise InputError(f"theta has shape {true.shape}; {(count, len(names))} is needed.")
        found = np.stack([estimate.theta for estimate in estimates])
        variance = np.stack([np.diag(estimate.covariance) for estimate in estimates])
        self.names_ = names
        self.middle_ = true.mean(0)
        design = np.concatenate([np.ones((count, 1)), true - self.middle_], 1)
        pieces = [_line(design, y, v) for y, v in zip(found.T, variance.T, strict=True)]
        self.offset_ = np.array([piece[0][0] for piece in pieces])
        self.slope_ = np.stack([piece[0][1:] for piece in pieces])
        self.extra_ = np.sqrt([piece[2] for piece in pieces])
        self.doubt_ = np.stack([piece[1] for piece in pieces])
        return self

    def __call__(self, estimate: Estimate) -> Estimate:
        """Return the corrected estimate; raise `InputError` if it is of other parameters."""
        if estimate.names != self.names_:
            raise InputError(
                f"the calibration is of {', '.join(self.names_)}, the estimate of"
                f" {', '.join(estimate.names)}."
            )
        inverse = np.linalg.inv(self.slope_)
        theta = self.middle_ + inverse @ (estimate.theta - self.offset_)
        place = np.concatenate([[1.0], theta - self.middle_])
        doubt = np.einsum("i,tij,j->t", place, self.doubt_, place)
        covariance = estimate.covariance + np.diag(self.extra_**2 + doubt)
        return Estimate(estimate.names, theta, inverse @ covariance @ inverse.T)


def _line(design: Floats, y: Floats, variance: Floats) -> tuple[Floats, Floats, float]:
    """Return the coefficients, their covariance and s^2 of y = design @ coefficients.

    s^2 >= 0 solves sum residual^2 / (variance + s^2) = degrees of freedom.
    """
    freedom = len(y) - design.shape[1]

    def solved(extra: float) -> tuple[Floats, Floats, float]:
        weight = 1 / (variance + extra)
        covariance = np.asarray(np.linalg.inv((design * weight[:, None]).T @ design), np.float64)
        coefficients = covariance @ (design.T @ (weight * y))
        residual = y - design @ coefficients
        return coefficients, covariance, float((residual**2 * weight).sum()) - freedom

    extra = 0.0
    if solved(0.0)[2] > 0:
        highest = float(np.var(y)) + float(variance.max())
        while solved(highest)[2] > 0:
            highest *= 4
        extra = float(brentq(lambda s2: solved(s2)[2], 0.0, highest))
    return *solved(extra)[:2], extra


def _variance_of_mean(scores: Floats, weight: Floats) -> Floats:
    """Return the covariance (T, T) of the weighted mean of scores (N, T)."""
    share = weight / weight.sum()
    centred = (scores - share @ scores) * share[:, None]
    return np.asarray(centred.T @ centred)


def _stencil(t: int) -> Floats:
    """Return the points (K, T) of a surface: the centre, one step along each axis, all diagonals
    of two axes."""
    points = [np.zeros(t)]
    for i in range(t):
        for sign in (1.0, -1.0):
            points.append(sign * np.eye(t)[i])
    for i in range(t):
        for j in range(i + 1, t):
            for a in (1.0, -1.0):
                for b in (1.0, -1.0):
                    points.append(a * np.eye(t)[i] + b * np.eye(t)[j])
    return np.stack(points)


def _solver(t: int) -> Floats:
    """Return what turns values on the stencil into constant, slopes and upper bends."""
    x = _stencil(t)
    upper = np.triu_indices(t)
    design = np.concatenate([np.ones((len(x), 1)), x, x[:, upper[0]] * x[:, upper[1]]], 1)
    return np.asarray(np.linalg.pinv(design))


def _weight(weight: ArrayLike | None, count: int, what: str) -> Floats:
    w = np.ones(count) if weight is None else np.asarray(weight, dtype=np.float64)
    if w.shape != (count,):
        raise InputError(f"the {what} has {count} events and {w.shape} weights; give one each.")
    if not np.isfinite(w).all():
        raise InputError(
            f"the weight of event {np.argmin(np.isfinite(w))} of the {what} is not finite."
        )
    if not w.sum() > 0:
        raise InputError(f"the weights of the {what} sum to {w.sum():.3g}; they must be positive.")
    return w
