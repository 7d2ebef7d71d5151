"""Optimise a detector by gradients through a surrogate: resolution against a parameter."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import clone
from torch import Tensor

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats, as_table, event_numbers
from colliderkit.methods.simulation.generator import ConditionalGenerator
from colliderkit.metrics.value import Value
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive

__all__ = [
    "Descent",
    "DetectorOptimisation",
    "finite_difference",
    "relative_resolution",
    "resolution_of",
]

Objective = Callable[[Tensor], Tensor]  # of draws (D, F) of what is measured


def relative_resolution(x: Tensor) -> Tensor:
    """Return the standard deviation over the mean of the summed energies of draws x (D, F)."""
    total = x.sum(1)
    return total.std() / total.mean()


@dataclass(frozen=True)
class Descent:
    """Way of one surrogate to its optimum: parameters (S, P) and objective (S,) of all steps."""

    parameters: Floats
    objective: Floats

    @property
    def best(self) -> Floats:
        """The parameters (P,) of the least objective."""
        best: Floats = self.parameters[int(self.objective.argmin())]
        return best


class DetectorOptimisation:
    """Find the parameters theta of a detector at which an objective of its showers is least.

    A surrogate p(x | theta), of showers simulated at several theta, is a function x = g(z; theta)
    of noise z and of theta. The objective of D draws with the same z at each theta is then smooth,

        R(theta) = std(sum x) / mean(sum x),

    and its gradient is exact, through the surrogate (as in 2310.05673, 2002.04632). Several
    surrogates, each of its own weights and of a bootstrap of the showers (Poisson weights), say how
    well their mean is known: what the showers leave open and what the training does.

    Args:
        surrogate: an unfitted `ConditionalGenerator` that can be differentiated (a flow).
        members: surrogates.
        objective: of draws x (D, F); the relative resolution of their sum if not given.
        draws: D, a power of two, quasi-random.

    After `fit`: `members_` (fitted), and `low_` and `high_` (P,) of the parameters.
    """

    def __init__(
        self,
        surrogate: ConditionalGenerator,
        *,
        members: int = 4,
        objective: Objective = relative_resolution,
        draws: int = 1024,
    ) -> None:
        self.surrogate = surrogate
        self.members = members
        self.objective = objective
        self.draws = draws

    def fit(
        self,
        x: ArrayLike,
        parameters: ArrayLike,
        *,
        event: ArrayLike | None = None,
        seed: int = 0,
        progress: bool = True,
    ) -> "DetectorOptimisation":
        """Train the surrogates on what is measured, x (N, F), at parameters (N, P); return self.

        Raises `InputError` for tables that do not belong together, and for one value of a
        parameter alone.
        """
        theta = as_table(parameters, "the parameters")
        self.low_, self.high_ = theta.min(0), theta.max(0)
        if (self.low_ == self.high_).any():
            column = int(np.argmax(self.low_ == self.high_))
            raise InputError(
                f"parameter {column} is {self.low_[column]:g} in all showers; a gradient needs"
                " showers at several values."
            )
        numbers = event_numbers(event, len(theta), "the showers")
        self.members_: list[ConditionalGenerator] = []
        with progress_bar(shown=progress) as bar:
            task = bar.add_task("surrogates", total=self.members)
            for member in range(self.members):
                random = np.random.default_rng(derive(seed, "bootstrap", member))
                weight = random.poisson(1.0, len(theta)).astype(np.float64)
                made: Any = clone(self.surrogate)
                self.members_.append(
                    made.fit(
                        x,
                        theta,
                        event=numbers,
                        weight=weight,
                        seed=derive(seed, "surrogate", member),
                        progress=False,
                    )
                )
                bar.advance(task)
        return self

    def value(self, parameters: ArrayLike) -> Value:
        """Return the objective at parameters (P,), the mean of the members ± its error."""
        return _mean([self._at(m, self._point(parameters))[0] for m in self.members_])

    def gradient(self, parameters: ArrayLike) -> list[Value]:
        """Return the gradient of the objective at parameters (P,), one `Value` a parameter."""
        found = np.array([self._at(m, self._point(parameters))[1] for m in self.members_])
        return [_mean(column) for column in found.T]

    def mean_gradient(self, parameters: ArrayLike) -> list[Value]:
        """Return the gradient of the mean of the summed energy, one `Value` a parameter."""
        point = self._point(parameters)

        def mean(x: Tensor) -> Tensor:
            return x.sum(1).mean()

        found = np.array([self._at(m, point, mean)[1] for m in self.members_])
        return [_mean(column) for column in found.T]

    def descend(
        self, start: ArrayLike, *, steps: int = 60, learning_rate: float = 0.05
    ) -> list[Descent]:
        """Go down the gradient from `start` (P,) with each member, by Adam; return their ways.

        The rate is in units of the range of the showers, which no step leaves.
        """
        ways = []
        for member in self.members_:
            unit = torch.as_tensor(self.high_ - self.low_)
            theta = torch.tensor((self._point(start) - self.low_) / (self.high_ - self.low_))
            theta.requires_grad_(True)
            optimiser = torch.optim.Adam([theta], lr=learning_rate)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
            points, values = [], []
            for _ in range(steps):
                here = torch.as_tensor(self.low_) + unit * theta
                loss = self.objective(self._drawn(member, here))
                points.append(here.detach().numpy().copy())
                values.append(float(loss.detach()))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                with torch.no_grad():
                    theta.clamp_(0, 1)
            ways.append(Descent(np.array(points), np.array(values)))
        return ways

    def optimum(self, start: ArrayLike, **options: Any) -> list[Value]:
        """Return the best parameters, the mean over the members ± its error; see `descend`."""
        best = np.array([way.best for way in self.descend(start, **options)])
        return [_mean(column) for column in best.T]

    def _point(self, parameters: ArrayLike) -> Floats:
        """Return parameters (P,) float64; raise `InputError` for others than the showers cover."""
        point = np.atleast_1d(np.asarray(parameters, dtype=np.float64))
        if point.shape != self.low_.shape:
            raise InputError(
                f"{point.size} parameters, and the showers have {self.low_.size}; give as many."
            )
        if ((point < self.low_) | (point > self.high_)).any():
            raise InputError(
                f"parameters {point.tolist()} are outside of what the showers cover,"
                f" {self.low_.tolist()} to {self.high_.tolist()}; simulate there too."
            )
        return point

    def _at(
        self, member: ConditionalGenerator, point: Floats, objective: Objective | None = None
    ) -> tuple[float, Floats]:
        """Return the objective of a member at a point, and its gradient (P,)."""
        theta = torch.tensor(point, requires_grad=True)
        value = (objective or self.objective)(self._drawn(member, theta))
        (slope,) = torch.autograd.grad(value, theta)
        return float(value.detach()), slope.double().numpy()

    def _drawn(self, member: ConditionalGenerator, theta: Tensor) -> Tensor:
        """Return draws (D, F) at parameters (P,), of the same noise whatever they are."""
        size = member.generator_.noise_size
        engine = torch.quasirandom.SobolEngine(size, scramble=True, seed=1)
        uniform = engine.draw(self.draws).double().clamp(1e-6, 1 - 1e-6)
        noise = torch.special.ndtri(uniform).float()
        return member.generator_.decode(noise, theta.expand(self.draws, -1)).double()


def finite_difference(below: ArrayLike, above: ArrayLike, step: float) -> tuple[Value, Value]:
    """Return d(std / mean)/dt and d(mean)/dt by samples (N,) of sums at t - step and t + step.

    Errors are those of counting: of a mean m over N its std / sqrt(N), of r = std / mean, by the
    delta method with the skewness g and the excess kurtosis e,

        var(r) = r^2 / N [(e + 2) / 4 + r^2 - r g].
    """
    values, means = [], []
    for sums in (np.asarray(below, np.float64), np.asarray(above, np.float64)):
        values.append(resolution_of(sums))
        means.append(Value(float(sums.mean()), float(sums.std(ddof=1) / len(sums) ** 0.5)))
    differences = []
    for low, high in (values, means):
        error = float(np.hypot(low.error, high.error))
        differences.append(Value((high.value - low.value) / (2 * step), error / (2 * step)))
    return differences[0], differences[1]


def resolution_of(sums: ArrayLike) -> Value:
    """Return std / mean of summed energies (N,), with the error of `finite_difference`."""
    each = np.asarray(sums, dtype=np.float64)
    mean, std = each.mean(), each.std(ddof=1)
    z = (each - mean) / std
    r, skew, excess = std / mean, (z**3).mean(), (z**4).mean() - 3
    variance = r**2 / len(each) * ((excess + 2) / 4 + r**2 - r * skew)
    return Value(float(r), float(max(variance, 0.0) ** 0.5))


def _mean(values: Sequence[float] | Floats) -> Value:
    """Return the mean of the members, and as its error their spread.

    Each is of a bootstrap of the same showers: the spread is the error of one and of their mean.
    """
    each = np.asarray(values, dtype=np.float64)
    error = float(each.std(ddof=1)) if len(each) > 1 else float("nan")
    return Value(float(each.mean()), error)
