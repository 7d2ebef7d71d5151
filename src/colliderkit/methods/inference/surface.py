"""The objective of a parameter fit, and the parabolas that its errors are read off."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import softplus

from colliderkit.errors import InputError

__all__ = ["OBJECTIVES", "LogRatio", "NoMaximum", "Objective", "Surface"]

Floats = NDArray[np.float64]
LogRatio = Callable[[Tensor], Tensor]

FIRST, LARGEST = 0.05, 0.4  # steps of a surface in ranges: tried first, and at most
NEAR = 1.2  # the step in errors of the estimate


class NoMaximum(InputError):
    """The likelihood of the data has no maximum in the trained range."""


@dataclass(frozen=True)
class Rule:
    """An objective as mean_data a(ln r) + c(mean_reference b(ln r)), to be maximised."""

    a: Callable[[Tensor], Tensor]
    b: Callable[[Tensor], Tensor]
    c: Callable[[Tensor], Tensor]
    likelihood: bool  # whether the objective is ln L per event


OBJECTIVES = {
    "likelihood": Rule(lambda z: z, torch.exp, lambda mean: -mean.log(), True),
    "classification": Rule(lambda z: -softplus(-z), softplus, lambda mean: -mean, False),
}


@dataclass(frozen=True)
class Objective:
    """The objective of one data set: a function of the free theta (T,)."""

    rule: Rule
    names: list[str]
    box: Floats
    whole: Tensor
    free: list[int]
    data: LogRatio
    weight: Floats
    reference: LogRatio | None
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
        search = minimize(
            fall,
            (start - low)[moving] / width[moving],
            jac=True,
            method="L-BFGS-B",
            bounds=[(0.0, 1.0)] * len(moving),
            options={"ftol": 1e-13, "gtol": 1e-7},
        )
        if not np.isfinite(search.fun):
            raise InputError("the likelihood of the data is not finite; look at their ratios.")
        theta = start.copy()
        theta[moving] = low[moving] + search.x * width[moving]
        return theta, -float(search.fun)

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

    def log_ratios(self, thetas: Floats) -> Floats:
        """Return ln r of the data at thetas (K, T), (N, K)."""
        return self._columns(self.data, lambda log_ratio: log_ratio, thetas)

    def of_data(self, thetas: Floats) -> Floats:
        """Return a(ln r) of the data at thetas (K, T), (N, K)."""
        return self._columns(self.data, self.rule.a, thetas)

    def of_reference(self, thetas: Floats) -> Floats | None:
        """Return b(ln r) of the reference at thetas (K, T), (M, K)."""
        if self.reference is None:
            return None
        return self._columns(self.reference, self.rule.b, thetas)

    @torch.no_grad()
    def _columns(
        self, log_ratio: LogRatio, rule: Callable[[Tensor], Tensor], thetas: Floats
    ) -> Floats:
        columns = []
        for theta in thetas:
            point = self.whole.clone()
            point[self.free] = torch.from_numpy(np.ascontiguousarray(theta))
            columns.append(rule(log_ratio(point).double()))
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
class Surface:
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
    def around(cls, objective: Objective, theta: Floats, step: Floats) -> "Surface":
        """Evaluate on the stencil; where theta is near the end of its range, it moves inwards."""
        centre = np.clip(theta, objective.box[0] + step, objective.box[1] - step)
        points = centre + step * _stencil(len(theta))
        return cls(centre, step, objective.of_data(points), objective.of_reference(points))

    @classmethod
    def near(cls, objective: Objective, theta: Floats) -> "Surface":
        """Return the surface with steps of about the errors of theta.

        A first, shorter one gives the errors; where the objective is too rough or too flat for
        it, steps are doubled. Raises `NoMaximum` if it has none on any of them.
        """
        width = np.ptp(objective.box, axis=0)
        step = FIRST * width
        while True:
            surface = cls.around(objective, theta, step)
            try:
                error = np.sqrt(np.diag(surface.parabolic(objective)))
                break
            except NoMaximum:
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

    def _bend(self, objective: Objective) -> Floats:
        """Return H = -d^2 F in units of the steps; raise `NoMaximum` if it is none."""
        _, bend = self._coefficients(objective.heights(self.data, self.reference))
        if np.linalg.eigvalsh(-bend)[0] <= 0:
            raise NoMaximum(
                f"the likelihood of {', '.join(objective.names)} has no maximum near"
                f" {np.array2string(self.centre, precision=4)}: the data say too little, or their"
                " parameters are outside the trained range."
            )
        return -bend

    def parabolic(self, objective: Objective) -> Floats:
        """Return H^-1 / n, (T, T)."""
        inverse = np.linalg.inv(self._bend(objective)) / objective.size
        return np.asarray(inverse * np.outer(self.step, self.step))

    def covariance(self, objective: Objective) -> Floats:
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
        self, objective: Objective, theta: Floats, count: int, random: np.random.Generator
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
