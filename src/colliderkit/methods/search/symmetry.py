"""Symmetry discovery: transformations that leave the density of events as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh, expm, null_space
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import chi2

from colliderkit.errors import InputError
from colliderkit.events.schema import hash_uniform
from colliderkit.events.tables import Floats, Table, as_table
from colliderkit.methods.method import Method
from colliderkit.seeds import derive

__all__ = ["Angles", "Symmetry", "angle_between"]

PIECE = 4096  # events whose derivatives are held at a time
SCAN = 120  # angles at which a finite rotation is looked for


@dataclass(frozen=True)
class Angles:
    """Finite rotations of a plane, tried at each `angle` (S,) in (0, 2 pi) [rad].

    `chi2` (S,) has `ndf` degrees of freedom where the density is unchanged; `found` (A,) are its
    minima that are compatible with that, with their `error` (A,) and `p_value` (A,).
    """

    angle: Floats
    chi2: Floats
    ndf: int
    found: Floats
    error: Floats
    p_value: Floats


class Symmetry(Method):
    """Find linear transformations x -> exp(t A) x under which the density of events is the same.

    SymmetryGAN (2112.05722) lets a discriminator tell events from transformed ones. For small t
    the answer is linear in the generator A, and needs no training: for any test function f

        d/dt < f(exp(t A) x) > = < grad f(x) . A x > = 0,

    and the events say how well this is known. With cosines and sines of random projections for f,
    chi^2 of these means is minimised over A. What is left has a known distribution if A is a
    symmetry, and tells how often chance would look so. Further generators are looked for that are
    orthogonal to those found. x is taken from the mean of the events, which a symmetry leaves
    where it is; the identity is no candidate, for A has a length.

    Args:
        group: "rotation": A is antisymmetric; "linear": any A, so that the coordinates need not
            have equal scales.
        features: names of the D columns; for rotations they have one unit.
        functions: projections, each with a cosine and a sine: more than half of the P numbers of A,
            and not many more, whose covariance the events would no longer tell.
        level: a candidate is refused if its p-value is below this.

    After `fit`: `generators_` (G, D, D) with sum A^2 = 2, so that t is the angle [rad] of a
    rotation in one plane; `errors_` (G,) [rad], how far each may point from the true one;
    `p_values_`, of each and of the first that was refused; of two columns `angles_`, the finite
    rotations, where no rotation by all angles was found; `features_`.
    """

    name: ClassVar[str] = "symmetry"

    features_: list[str]
    mean_: Floats
    scale_: float
    projections_: Floats  # (F, D)
    generators_: Floats
    errors_: Floats
    p_values_: Floats
    angles_: Angles | None

    def __init__(
        self,
        *,
        group: Literal["rotation", "linear"] = "rotation",
        features: Sequence[str] = (),
        functions: int = 12,
        level: float = 0.01,
    ) -> None:
        self.group = group
        self.features = features
        self.functions = functions
        self.level = level

    def fit(
        self,
        events: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Look for symmetries of a table (N, D) with `weight` (N,), and return self.

        Raises `InputError` for one column alone, values that are not finite, a group that is not
        known and fewer than twenty events a test function, or
        fewer functions than numbers of a generator.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        if self.group not in ("rotation", "linear"):
            raise InputError(f"group is '{self.group}'; choose rotation or linear.")
        table = Table.checked(events, "the events", names=self.features, weight=weight)
        size = table.values.shape[1]
        if size < 2:
            raise InputError("the events have one column; a transformation mixes two or more.")
        if len(table) < 40 * self.functions:
            raise InputError(
                f"{len(table)} events are too few for {2 * self.functions} test functions; give"
                f" {40 * self.functions} or lower functions."
            )
        basis = _basis(size, self.group)
        if 2 * self.functions <= len(basis):
            raise InputError(
                f"functions is {self.functions}, and a generator of {size} columns has"
                f" {len(basis)} numbers; give more than {len(basis) // 2}."
            )
        self.features_ = list(table.names)
        self.mean_ = np.average(table.values, axis=0, weights=table.weight)
        square = np.average(((table.values - self.mean_) ** 2).mean(1), weights=table.weight)
        self.scale_ = float(np.sqrt(square)) or 1.0
        random = np.random.default_rng(derive(seed, "projections"))
        # From what is seen of the whole density to what is seen of half its width.
        width = np.geomspace(0.3, 2, self.functions)[:, None]
        self.projections_ = width * random.normal(size=(self.functions, size))
        x = (table.values - self.mean_) / self.scale_
        means, covariance = self._derivatives(x, table.weight, basis)
        found, errors, p_values = self._generators(means, covariance)
        self.generators_ = np.einsum("gp,pij->gij", found, basis).reshape(-1, size, size)
        self.errors_, self.p_values_ = np.array(errors), np.array(p_values)
        self.angles_ = None
        if size == 2 and self.group == "rotation" and len(found) == 0:
            self.angles_ = self._finite(table)
        return self

    def p_value(
        self, events: ArrayLike, generator: ArrayLike, weight: ArrayLike | None = None
    ) -> float:
        """Return how often chance would break the symmetry under `generator` (D, D) as much.

        `events` (N, D) are others than those of the fit, which has chosen its generators.
        """
        table = Table.checked(events, "the events", names=self.features_, weight=weight)
        basis = np.asarray(generator, dtype=np.float64)[None]
        # About their own mean, whose error is part of the covariance.
        x = (table.values - np.average(table.values, axis=0, weights=table.weight)) / self.scale_
        means, covariance = self._derivatives(x, table.weight, basis)
        value = _chi2(np.ones(1), means, covariance)[0]
        return float(chi2.sf(value, len(means)))

    def transformed(self, events: ArrayLike, angle: float, which: int = 0) -> Floats:
        """Return events (N, D) moved by exp(angle A) with the found generator number `which`."""
        if not 0 <= which < len(self.generators_):
            raise InputError(f"which is {which}; {len(self.generators_)} generators were found.")
        table = as_table(events, "the events", self.features_)
        matrix: Floats = expm(angle * self.generators_[which])
        return (table - self.mean_) @ matrix.T + self.mean_

    def _derivatives(self, x: Floats, weight: Floats, basis: Floats) -> tuple[Floats, Floats]:
        """Return < grad f . A x > (K, P) for each basis generator, and its covariance.

        The covariance (K, P, K, P) is that of weighted events, in which the mean of x is not known
        exactly either.
        """
        share = weight / weight.sum()
        moved = np.einsum("fi,pij->fpj", self.projections_, basis)  # (w . A x) = moved . x
        gradient = np.concatenate(
            [-share @ np.sin(x @ self.projections_.T), share @ np.cos(x @ self.projections_.T)]
        )
        count = 2 * len(self.projections_) * len(basis)
        total, squares = np.zeros(count), np.zeros((count, count))
        twice = np.concatenate([moved, moved])
        for start in range(0, len(x), PIECE):
            rows, w = x[start : start + PIECE], share[start : start + PIECE]
            phase = rows @ self.projections_.T
            along = np.einsum("nj,kpj->nkp", rows, twice)
            slope = np.concatenate([-np.sin(phase), np.cos(phase)], 1)[:, :, None]
            each = (slope * along).reshape(len(rows), -1)
            total += w @ each
            # An event moves the mean of x too, about which all are turned.
            each -= (gradient[None, :, None] * along).reshape(len(rows), -1)
            squares += (each * w[:, None] ** 2).T @ each
        means = total.reshape(-1, len(basis))
        covariance = squares - np.outer(total, total) * float((share**2).sum())
        return means, covariance.reshape(*means.shape, *means.shape)

    def _generators(
        self, means: Floats, covariance: Floats
    ) -> tuple[Floats, list[float], list[float]]:
        """Return the coefficients (G, P) of generators, their errors, and p-values."""
        size = means.shape[1]
        found: list[Floats] = []
        errors, p_values = [], []
        for number in range(size):
            left = np.eye(size) if not found else null_space(np.array(found))
            within = means @ left, _projected(covariance, left)
            best = _smallest(*within)
            value, _ = _chi2(best, *within)
            p_values.append(float(chi2.sf(value, len(means) - (size - 1 - number))))
            if p_values[-1] < self.level:
                break
            errors.append(_error(best, *within))
            vector = left @ best
            # Of two generators that differ by a sign the one whose largest entry is positive.
            vector *= np.sign(vector[np.argmax(np.abs(vector))])
            found.append(vector)
        return np.array(found).reshape(-1, size), errors, p_values

    def _finite(self, table: Table) -> Angles:
        """Compare half of the events, rotated, with the other half, at all angles."""
        x = (table.values - self.mean_) / self.scale_
        half = hash_uniform(table.event, derive(self.seed_, "halves")) < 0.5
        one, other = x[half], x[~half]
        shares = [table.weight[part] / table.weight[part].sum() for part in (half, ~half)]
        whole = [table.weight[part] / table.weight.sum() for part in (half, ~half)]
        still = self._functions(other)
        mean = shares[1] @ still
        # Of the gradients: (d/dx) cos(w x) = -w sin(w x), (d/dx) sin(w x) = w cos(w x).
        cosine, sine = np.split(mean, 2)
        slope = np.concatenate([-sine, cosine])[:, None] * np.tile(self.projections_, (2, 1))

        def compared(angle: float) -> float:
            c, s = np.cos(angle), np.sin(angle)
            rotation = np.array([[c, -s], [s, c]])
            turned = self._functions(one @ rotation.T)
            moved = shares[0] @ turned
            # An event moves the mean of all, about which it is turned, too.
            centre = slope @ (np.eye(2) - rotation)
            first = shares[0][:, None] * (turned - moved) + whole[0][:, None] * (one @ centre.T)
            second = shares[1][:, None] * (mean - still) + whole[1][:, None] * (other @ centre.T)
            gap = moved - mean
            return float(gap @ np.linalg.solve(first.T @ first + second.T @ second, gap))

        ndf, step = 2 * len(self.projections_), 2 * np.pi / SCAN
        angle = np.linspace(step, 2 * np.pi - step, SCAN - 1)
        curve = np.array([compared(a) for a in angle])
        inner = np.flatnonzero((curve[1:-1] < curve[:-2]) & (curve[1:-1] < curve[2:])) + 1
        found, error, p_value = [], [], []
        for i in inner:
            bounds = (angle[i] - step, angle[i] + step)
            best = minimize_scalar(compared, bounds=bounds, method="bounded")
            if (p := float(chi2.sf(best.fun, ndf))) < self.level:
                continue
            rise = compared(best.x + step) + compared(best.x - step) - 2 * best.fun
            found.append(float(best.x))
            error.append(float(step * np.sqrt(2 / max(rise, 1e-9))))
            p_value.append(p)
        return Angles(angle, curve, ndf, *map(np.array, (found, error, p_value)))

    def _functions(self, x: Floats) -> Floats:
        """Return all test functions of events in units of the scale, (N, K)."""
        phase = x @ self.projections_.T
        values: Floats = np.concatenate([np.cos(phase), np.sin(phase)], 1)
        return values


def angle_between(one: ArrayLike, other: ArrayLike) -> float:
    """Return the angle [rad] between two generators, of which a sign is none of the density's."""
    pair = [np.asarray(matrix, dtype=np.float64).ravel() for matrix in (one, other)]
    a, b = (vector / np.linalg.norm(vector) for vector in pair)
    b = -b if a @ b < 0 else b
    return float(2 * np.arcsin(min(float(np.linalg.norm(a - b)) / 2, 1.0)))


def _basis(size: int, group: str) -> Floats:
    """Return generators (P, D, D), orthogonal and with sum A^2 = 2."""
    pairs = combinations(range(size), 2) if group == "rotation" else product(range(size), repeat=2)
    generators = []
    for i, j in pairs:
        matrix = np.zeros((size, size))
        if group == "rotation":
            matrix[i, j], matrix[j, i] = -1.0, 1.0
        else:
            matrix[i, j] = np.sqrt(2)
        generators.append(matrix)
    return np.array(generators)


def _projected(covariance: Floats, left: Floats) -> Floats:
    result: Floats = np.einsum("kplq,pa,qb->kalb", covariance, left, left, optimize=True)
    return result


def _chi2(a: Floats, means: Floats, covariance: Floats) -> tuple[float, Floats]:
    """Return chi^2 of a generator with coefficients (P,), and its gradient (P,)."""
    mean = means @ a
    rows = np.einsum("kplq,q->kpl", covariance, a)
    solved = np.linalg.solve(np.einsum("kpl,p->kl", rows, a), mean)
    slope = means.T @ solved - np.einsum("k,kpl,l->p", solved, rows, solved)
    return float(mean @ solved), 2 * slope


def _smallest(means: Floats, covariance: Floats) -> Floats:
    """Return the unit vector (P,) of the smallest chi^2."""
    if means.shape[1] == 1:
        return np.ones(1)
    typical = np.linalg.inv(np.einsum("kplp->kl", covariance) / means.shape[1])
    _, vectors = eigh(means.T @ typical @ means)
    starts = [minimize(_chi2, v, (means, covariance), jac=True).x for v in vectors.T[:3]]
    best = min(starts, key=lambda a: _chi2(a, means, covariance)[0])
    unit: Floats = best / np.linalg.norm(best)
    return unit


def _error(a: Floats, means: Floats, covariance: Floats) -> float:
    """Return the error [rad] of the direction `a`: all directions off it, in quadrature."""
    if len(a) == 1:
        return 0.0
    within = np.einsum("kplq,p,q->kl", covariance, a, a)
    off = means @ null_space(a[None])
    return float(np.sqrt(np.trace(np.linalg.inv(off.T @ np.linalg.solve(within, off)))))
