"""ABCD plane: two scores, a cut on each, and what three regions foretell of the fourth.

A holds the events that pass both cuts, B those of x alone, C those of y alone, D those of none.
Where the background's scores are independent, N_A = N_B N_C / N_D.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.metrics.value import Value

__all__ = [
    "Check",
    "Counts",
    "Estimate",
    "checks",
    "cut_counts",
    "likelihood_ratio",
    "strength_of",
]

NAMES = {(1, 1): "A", (1, 0): "B", (0, 1): "C", (0, 0): "D"}
SIGN = np.array([[1.0, -1.0], [-1.0, 1.0]])  # of ln N in ln (N_A N_D / N_B N_C)
FAR = 8.0  # standard deviations that a non-closure is profiled to


@dataclass(frozen=True)
class Counts:
    """Events in the four regions, [passes x, passes y] as 0 or 1.

    `sums` (2, 2) of weights, and `squares` (2, 2) of their squares.
    """

    sums: Floats
    squares: Floats

    @classmethod
    def of(cls, scores: Floats, weight: Floats, cuts: Any) -> Self:
        """Count events of `scores` (N, 2) and `weight` (N,) at the `cuts` (2,)."""
        passed = (scores >= np.asarray(cuts)).astype(np.int64)
        region = 2 * passed[:, 0] + passed[:, 1]
        sums, squares = (
            np.bincount(region, w, 4).reshape(2, 2).astype(np.float64) for w in (weight, weight**2)
        )
        return cls(sums, squares)

    def needed(self, what: str = "", a: bool = False) -> Self:
        """Return itself; raise `InputError` for a region B, C or D (or A too) without events."""
        for (x, y), name in NAMES.items():
            if (a or name != "A") and not self.sums[x, y] > 0:
                raise InputError(
                    f"{what}region {name} has no events, and N_A = N_B N_C / N_D needs them; move"
                    " the cuts."
                )
        return self

    @property
    def observed(self) -> float:
        """The events in A."""
        return float(self.sums[1, 1])

    @property
    def expected(self) -> Value:
        """N_B N_C / N_D with its counting error, that of a product of independent counts."""
        (d, c), (b, _) = self.sums
        value = b * c / d
        relative = np.divide(self.squares, self.sums**2, out=np.zeros((2, 2)), where=self.sums > 0)
        error = float(np.sqrt(relative[0, 0] + relative[0, 1] + relative[1, 0]))
        return Value(float(value), float(value) * error)

    @property
    def closure(self) -> Value:
        """Non-closure N_A N_D / (N_B N_C) - 1 with its counting error; 0 of independent scores.

        NaN where B, C or D have no events.
        """
        if not (self.sums.ravel()[:3] > 0).all():
            return Value(float("nan"), float("nan"))
        a = self.observed
        of_a = float(np.sqrt(self.squares[1, 1])) / max(a, 1e-300)
        expected = self.expected
        ratio = a / expected.value
        relative = expected.error / expected.value
        # Without an event in A the error is that of one.
        if a == 0:
            return Value(-1.0, float(np.hypot(1.0, relative)) / expected.value)
        return Value(ratio - 1, ratio * float(np.hypot(of_a, relative)))


@dataclass(frozen=True)
class Check:
    """Closure in one validation region, which lies outside of A.

    `axis` ("x" or "y") of the score whose cut was moved down to `boundary`: events above the cut
    proper of that score are left out. `counts` are of the four regions that are left.
    """

    axis: str
    boundary: float
    counts: Counts


def checks(scores: Floats, weight: Floats, cuts: Any, number: int) -> list[Check]:
    """Return `number` validation regions for each score, none with an event of A.

    Of the events that fail the cut of one score (N, 2), boundaries part equal shares; the other
    score keeps its cut. Regions that an empty B, C or D leaves nothing to say of are left out.
    """
    found = []
    for axis in (0, 1):
        below = scores[:, axis] < cuts[axis]
        left, w = scores[below], weight[below]
        if not len(left):
            continue
        # Those of A' should not be drowned: boundaries are quantiles of what passes the other cut.
        passed = left[left[:, 1 - axis] >= cuts[1 - axis], axis]
        if not len(passed):
            continue
        shares = np.arange(1, number + 1) / (number + 1)
        for boundary in np.unique(np.quantile(passed, shares)):
            moved = np.array(cuts, dtype=np.float64)
            moved[axis] = boundary
            counts = Counts.of(left, w, moved)
            if (counts.sums > 0).all():
                found.append(Check("xy"[axis], float(boundary), counts))
    return found


def _within(counts: Floats, odds: float) -> Floats:
    """Return what is expected in the regions (2, 2) if N_A N_D / (N_B N_C) is `odds`.

    The Poisson likelihood keeps the sums of rows and columns; one quadratic equation is left.
    """
    row, column, total = counts[1].sum(), counts[:, 1].sum(), counts.sum()
    b = total - (row + column) * (1 - odds)
    product = odds * row * column
    a = 2 * product / (b + np.sqrt(max(b * b + 4 * (1 - odds) * product, 0.0)))
    return np.array([[total - row - column + a, column - a], [row - a, a]])


def likelihood_ratio(counts: Floats, closure: float = 0.0) -> float:
    """Return 2 ln [L(no signal, profiled) / L(best)] with a minus, (2, 2) counts to q_0.

        q_0 = min_k  2 sum_i N_i ln(N_i / E_i(k)) + (k / ln(1 + closure))^2

    over k, the logarithm of the background's N_A N_D / (N_B N_C) with a relative error `closure`;
    E(k) has the rows and columns of N. Its root, with the sign of N_A - E_A, is a significance.
    """

    def deviance(k: float) -> float:
        expected = _within(counts, float(np.exp(k)))
        some = counts > 0
        ratio = counts[some] / np.maximum(expected[some], 1e-300)
        return float(2 * (counts[some] * np.log(ratio)).sum())

    if not closure > 0:
        return max(deviance(0.0), 0.0)
    width = float(np.log1p(closure))
    end = FAR * width
    found = minimize_scalar(
        lambda k: deviance(k) + (k / width) ** 2, bounds=(-end, end), method="bounded"
    )
    return max(float(found.fun), 0.0)


def strength_of(counts: Counts, signal: Counts, closure: float = 0.0) -> Value:
    """Return the signal strength mu of (N_A - mu s_A)(N_D - mu s_D) = (N_B - mu s_B)(N_C - mu s_C).

    The best fit of four counts to a background that closes and a `signal` in all of them, with the
    error of the counts and of a relative non-closure `closure`.
    """
    n, s = counts.sums, signal.sums
    a = s[1, 1] * s[0, 0] - s[1, 0] * s[0, 1]
    flip = n[::-1, ::-1]
    b = float((SIGN * s * flip).sum())
    c = n[1, 1] * n[0, 0] - n[1, 0] * n[0, 1]
    root = np.sqrt(max(b * b - 4 * a * c, 0.0))
    mu = 2 * c / (b + np.copysign(root, b))
    left = n - mu * s
    # F(N, mu) = 0: dmu/dN_i = -F_i / F_mu.
    slopes = SIGN * left[::-1, ::-1]
    by_mu = -float((slopes * s).sum())
    variance = float((counts.squares * slopes**2).sum()) + (closure * left[1, 0] * left[0, 1]) ** 2
    return Value(float(mu), float(np.sqrt(variance)) / abs(by_mu))


@dataclass(frozen=True)
class Estimate:
    """Background in region A, from the other three.

    - `counts`: of the events, and `checks`: of the validation regions among them;
    - `simulated`: non-closure of the background's simulation, None without;
    - `signal`: expected counts of a signal at strength 1, None without.
    """

    counts: Counts
    checks: list[Check]
    simulated: Value | None = None
    signal: Counts | None = None

    @property
    def observed(self) -> float:
        """The events in A."""
        return self.counts.observed

    @property
    def closure(self) -> float:
        """Relative error of non-closure.

        The larger of what the validation regions and the simulation allow: the root mean square
        over regions of the larger of non-closure and its error, likewise of the simulation.
        """
        regions = [_allowed(check.counts.closure) for check in self.checks]
        in_data = float(np.sqrt(np.mean(np.square(regions)))) if regions else 0.0
        return max(in_data, 0.0 if self.simulated is None else _allowed(self.simulated))

    @property
    def counting(self) -> Value:
        """The expected events in A, with the counting error of B, C and D alone."""
        return self.counts.expected

    @property
    def expected(self) -> Value:
        """The expected events in A, with the errors of counting and of non-closure."""
        value = self.counting
        return Value(value.value, float(np.hypot(value.error, self.closure * value.value)))

    @property
    def significance(self) -> float:
        """Standard deviations of the excess in A, all counts and the non-closure profiled."""
        root = likelihood_ratio(self.counts.sums, self.closure) ** 0.5
        return float(np.copysign(root, self.observed - self.counting.value))

    @property
    def contamination(self) -> float | None:
        """By what share a signal of strength 1 in B, C and D would raise the expectation."""
        if self.signal is None:
            return None
        both = Counts(self.counts.sums + self.signal.sums, self.counts.squares)
        return both.expected.value / self.counting.value - 1

    @property
    def strength(self) -> Value | None:
        """Signal strength with the signal in all four regions (`strength_of`), None without one."""
        if self.signal is None:
            return None
        return strength_of(self.counts, self.signal, self.closure)


def _allowed(closure: Value) -> float:
    return max(abs(closure.value), closure.error)


def cut_counts(scores: Floats, weight: Floats, edges: tuple[Floats, Floats]) -> NDArray[np.float64]:
    """Return the counts at each pair of cuts, (K, L, 2, 2), of `scores` (N, 2)."""
    sizes = [len(edge) + 1 for edge in edges]
    place = [np.searchsorted(edge, scores[:, i], side="right") for i, edge in enumerate(edges)]
    flat = np.bincount(place[0] * sizes[1] + place[1], weight, sizes[0] * sizes[1])
    below = flat.reshape(sizes).cumsum(0).cumsum(1)
    d = below[:-1, :-1]
    fails_x, fails_y = below[:-1, -1:], below[-1:, :-1]
    c, b = fails_x - d, fails_y - d
    a = below[-1, -1] - fails_x - fails_y + d
    return np.stack([np.stack([d, c], -1), np.stack([b, a], -1)], -2)
