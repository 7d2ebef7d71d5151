"""Fit a smooth spectrum to what lies beside a window, and say what is in excess inside of it.

The functions are exponentials of sums, so that the Poisson likelihood has one maximum and Newton's
method finds it, for thousands of spectra at once. `BumpHunt` slides windows over these fits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtr

from colliderkit.errors import InputError
from colliderkit.events.binning import rising
from colliderkit.events.tables import as_column, as_weight

__all__ = [
    "FAMILIES",
    "Excess",
    "Fitted",
    "columns_of",
    "deviance",
    "edges_with",
    "excess",
    "fitted",
    "significance",
    "smooth",
    "window_edges",
]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

STEPS = 60  # of Newton's method
LONGEST = 2.0  # by which ln of the spectrum may change in one step
PRECISION = 1e-7  # of ln of the spectrum, at which the search for the maximum ends
LEVEL = 0.05  # of the likelihood-ratio test that asks for another parameter
WORSE = 4.0  # in deviance, up to which another function is taken for a possible one
FEWEST = 5.0  # events expected in a bin of the test of goodness; emptier bins are merged
LOWEST, HIGHEST = (
    -14.0,
    80.0,
)  # of ln of the fitted spectrum: where sidebands are empty it has no end


def _polynomial(middle: Floats, orders: int) -> Floats:
    """ln f = sum_k c_k P_k(u), Legendre in u, the range mapped to [-1, 1]."""
    low, high = middle.min(), middle.max()
    return np.polynomial.legendre.legvander(2 * (middle - low) / (high - low) - 1, orders)


def _dijet(middle: Floats, orders: int) -> Floats:
    """f = p_0 (1 - x)^p_1 x^(-p_2 - p_3 ln x - ...), x = m over a little more than the range."""
    x = middle / (1.05 * middle.max())
    powers = [np.log(x) ** k for k in range(1, orders)]
    return np.column_stack([np.ones(len(x)), np.log1p(-x), *powers][: orders + 1])


# The columns of ln f, (B, orders + 1), from the middles of the bins.
FAMILIES: dict[str, Callable[[Floats, int], Floats]] = {
    "polynomial": _polynomial,
    "dijet": _dijet,
}


@dataclass(frozen=True)
class Excess:
    """What is in a window beyond what the spectrum beside it foretells.

    - `region`: the two ends of the window;
    - `observed`, `expected` ± `uncertainty`: events in it, and what the fit beside it foretells;
    - `significance`, `local_p`: of this window alone (`significance`);
    - `goodness`: p-value of the chi2 of the fit in the bins beside the window, of which those with
      fewer than 5 expected events are merged; NaN where no degree of freedom is left;
    - `spurious`: events that the function finds in the window of a spectrum without any, made of
      other functions that fit the same sidebands (with one more parameter; of the other family,
      where its likelihood is no worse by 2 or more), the largest in size, with its sign;
    - `order`: parameters of the function beside its norm;
    - `edges` (B + 1,), `counts` (B,) and `background` (B,), the fitted function in each bin.
    """

    region: tuple[float, float]
    observed: float
    expected: float
    uncertainty: float
    significance: float
    local_p: float
    goodness: float
    spurious: float
    order: int
    edges: Floats
    counts: Floats
    background: Floats


@dataclass(frozen=True)
class Fitted:
    """Fitted spectra (E, B), the covariance of their coefficients (E, K, K), which converged."""

    expected: Floats
    covariance: Floats
    converged: Mask


def columns_of(family: str, edges: Floats, order: int) -> Floats:
    """Return the columns of ln f in bins, (B, order + 1), made orthogonal.

    Newton's steps are then well conditioned.
    """
    return np.linalg.qr(FAMILIES[family]((edges[1:] + edges[:-1]) / 2, order))[0]


def fitted(columns: Floats, offset: Floats, counts: Floats, used: Mask) -> Fitted:
    """Fit ln f = offset + columns . c to Poisson counts (E, B) in the bins `used` (B,).

    Newton's method leaves spectra that have reached the maximum alone, so that a few slow ones cost
    little.
    """
    inside, observed = columns[used], counts[:, used]

    def spectrum(coefficients: Floats, some: Any = slice(None)) -> Floats:
        logarithm = offset[some] + coefficients @ columns[some].T
        return np.exp(np.clip(logarithm, LOWEST, HIGHEST))

    # A start by least squares in the logarithm, each bin with its counts as weight.
    weight = observed + 0.5
    normal = np.einsum("eb,bi,bj->eij", weight, inside, inside)
    target = np.einsum("eb,bi->ei", weight * (np.log(weight) - offset[used]), inside)
    coefficients = np.linalg.solve(normal, target[..., None])[..., 0]
    moving = np.arange(len(counts))
    for _ in range(STEPS):
        c = coefficients[moving]
        expected = spectrum(c, used)
        gradient = (observed[moving] - expected) @ inside
        step = np.linalg.solve(_curvature(expected, inside), gradient[..., None])[..., 0]
        change = np.abs(step @ inside.T).max(1)
        coefficients[moving] = (
            c + step * np.minimum(1.0, LONGEST / np.maximum(change, 1e-30))[:, None]
        )
        moving = moving[change > PRECISION]
        if len(moving) == 0:
            break
    expected = spectrum(coefficients, used)
    covariance = np.asarray(np.linalg.inv(_curvature(expected, inside)), dtype=np.float64)
    # Where empty bins pull the maximum to infinity, the likelihood ends to grow all the same.
    gradient = np.abs((observed - expected) @ inside).max(1)
    total = observed.sum(1)
    converged = gradient < 1e-4 * np.sqrt(1 + total) + 1e-6 * total
    return Fitted(spectrum(coefficients), covariance, converged)


def _curvature(expected: Floats, columns: Floats) -> Floats:
    size = columns.shape[1]
    products = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    curvature: Floats = (expected @ products).reshape(-1, size, size)
    # Far below what is expected in the emptiest bin that is fitted: invertible, and no more.
    return curvature + 1e-9 * np.eye(size)


def deviance(counts: Floats, expected: Floats) -> Floats:
    """Return 2 (ln L of the counts themselves - ln L of what is expected), (E,) of (E, B)."""
    logarithm = np.log(np.where(counts > 0, counts, 1.0) / np.maximum(expected, 1e-300))
    terms = np.where(counts > 0, counts * logarithm, 0.0) - counts + expected
    total: Floats = 2 * terms.sum(1)
    return total


def significance(observed: Floats, expected: Floats, uncertainty: Floats) -> Floats:
    """Return Z of n events where b ± s are foretold, of any shape.

    That of a Poisson count with an auxiliary measurement of b (Li and Ma 1983; Cowan 2012),

        Z^2 = 2 (n ln[n (b + s^2) / (b^2 + n s^2)] - b^2/s^2 ln[1 + s^2 (n - b) / (b (b + s^2))])

    with the sign of n - b.
    """
    n, b = observed, np.maximum(expected, 1e-9)
    square = np.maximum(uncertainty, 1e-9) ** 2
    positive = np.where(n > 0, n, 1.0)
    first = np.where(n > 0, n * np.log(positive * (b + square) / (b**2 + n * square)), 0.0)
    second = b**2 / square * np.log1p(square * (n - b) / (b * (b + square)))
    return np.sign(n - b) * np.sqrt(2 * np.maximum(first - second, 0.0))


def edges_with(ends: ArrayLike, low: float, high: float, bins: int) -> Floats:
    """Return edges from `low` to `high` of about `bins` equal bins, all `ends` among them.

    Raises `InputError` for ends that are not between.
    """
    inner = np.unique(np.asarray(ends, dtype=np.float64))
    if not low < inner[0] or not inner[-1] < high:
        raise InputError(
            f"a window from {inner[0]:g} to {inner[-1]:g} is not inside of the masses, {low:g} to"
            f" {high:g}; move it."
        )
    parts = [low, *inner.tolist(), high]
    step = (high - low) / bins
    counts = [max(1, round((b - a) / step)) for a, b in zip(parts[:-1], parts[1:], strict=True)]
    pieces = zip(parts[:-1], parts[1:], counts, strict=True)
    return np.concatenate([[low], *(np.linspace(a, b, n + 1)[1:] for a, b, n in pieces)])


def window_edges(edges: ArrayLike, region: tuple[float, float]) -> Floats:
    """Return edges with the ends of a window among them: the nearest inner ones move there.

    Raises `InputError` for a window that is no range, is not inside of the edges, or is narrower
    than a bin.
    """
    limits = rising(edges, "edges").copy()
    low, high = region
    if not low < high:
        raise InputError(f"signal_region is {low:g} to {high:g}; give its lower end first.")
    if not limits[0] < low < high < limits[-1]:
        raise InputError(
            f"signal_region {low:g} to {high:g} is not inside of the spectrum, {limits[0]:g} to"
            f" {limits[-1]:g}, with sidebands left; move it or widen the edges."
        )
    inner = limits[1:-1]
    if len(inner) < 2:
        raise InputError("edges make fewer than 3 bins: a window and a bin on either side.")
    first, last = (int(np.abs(inner - end).argmin()) for end in region)
    if first == last:
        raise InputError(
            f"signal_region {low:g} to {high:g} is narrower than a bin of the spectrum; take more"
            " bins."
        )
    inner[first], inner[last] = low, high
    return rising(limits, "edges")


def excess(
    mass: ArrayLike,
    *,
    region: tuple[float, float],
    edges: ArrayLike,
    family: str = "dijet",
    orders: tuple[int, int] = (1, 3),
    weight: ArrayLike | None = None,
) -> Excess:
    """Fit the spectrum of `mass` (N,) beside `region` and return the excess inside.

    The density f of `family` ("dijet", "polynomial"; see `BumpHunt`) is fitted to the bins of
    `edges` (B + 1,) outside of the window, whose ends become edges (`window_edges`). Another
    parameter is taken, from `orders[0]` to `orders[1]` beside the norm, while the likelihood-ratio
    test of the sidebands has a p-value below 0.05 and bins are left to test it. `weight` (N,)
    counts as numbers of events.

    Raises `InputError` naming the window for one that is not inside of the edges, too few filled
    bins beside it, and a fit that does not converge.
    """
    column = as_column(mass, np.size(mass), "mass")
    w = as_weight(weight, len(column), "mass", negative="a bin is a Poisson count of events")
    if family not in FAMILIES:
        raise InputError(f"family '{family}' is none of {', '.join(FAMILIES)}.")
    least, most = orders
    if not 1 <= least <= most:
        raise InputError(f"orders are {tuple(orders)}; give (least, most), of 1 or more.")
    limits = window_edges(edges, region)
    counts = np.histogram(column, limits, weights=w)[0].astype(np.float64)
    low, high = float(region[0]), float(region[1])
    inside = (limits[:-1] >= low) & (limits[1:] <= high)
    window = f"window {low:g} to {high:g}"
    filled = int((counts[~inside] > 0).sum())
    if filled <= least + 1:
        raise InputError(
            f"{window}: {filled} bins beside it hold events, and a function of {least + 1}"
            " parameters needs more; widen the spectrum or the cut."
        )
    one = _Sidebands(limits, ~inside)
    order, fit = one.choose(family, counts, least, min(most, filled - 2))
    if not fit.converged[0]:
        raise InputError(
            f"{window}: the fit of the {family} function to the {counts[~inside].sum():g} events"
            " beside it does not converge; widen the bins, lower the orders, or take the other"
            " family."
        )
    expected = float(fit.expected[0, inside].sum())
    slope = fit.expected[0, inside] @ columns_of(family, limits, order)[inside]
    spread = float(np.sqrt(slope @ fit.covariance[0] @ slope))
    observed = float(counts[inside].sum())
    z = float(significance(*(np.array(x) for x in (observed, expected, spread))))
    return Excess(
        (low, high),
        observed,
        expected,
        spread,
        z,
        float(ndtr(-z)),
        _goodness(counts[~inside], fit.expected[0, ~inside], order + 1),
        one.spurious(family, order, counts, inside),
        order,
        limits,
        counts,
        fit.expected[0],
    )


def smooth(counts: ArrayLike, edges: ArrayLike, *, family: str, orders: tuple[int, int]) -> Floats:
    """Return the function fitted to a whole spectrum (B,) in bins of `edges` (B + 1,), (B,).

    The order is chosen as in `excess`. Raises `InputError` where the fit does not converge.
    """
    limits, spectrum = rising(edges, "edges"), np.asarray(counts, dtype=np.float64)
    most = min(orders[1], int((spectrum > 0).sum()) - 2)
    whole = _Sidebands(limits, np.ones(len(spectrum), dtype=bool))
    if most >= orders[0]:
        _, fit = whole.choose(family, spectrum, orders[0], most)
        if fit.converged[0]:
            return np.asarray(fit.expected[0])
    raise InputError(
        f"the {family} function cannot be fitted to the spectrum from {limits[0]:g} to"
        f" {limits[-1]:g} with {spectrum.sum():g} events; take other edges or the other family."
    )


@dataclass(frozen=True)
class _Sidebands:
    """Fits of densities in bins of `edges` (B + 1,), in those that are `used` (B,)."""

    edges: Floats
    used: Mask

    def fit(self, family: str, order: int, counts: Floats) -> Fitted:
        """Fit a function to one spectrum (B,)."""
        columns = columns_of(family, self.edges, order)
        return fitted(columns, np.log(np.diff(self.edges)), counts[None], self.used)

    def choose(self, family: str, counts: Floats, least: int, most: int) -> tuple[int, Fitted]:
        """Return the order that the likelihood-ratio test asks for, and its fit."""
        order, fit = least, self.fit(family, least, counts)
        for larger in range(least + 1, most + 1):
            other = self.fit(family, larger, counts)
            gain = self._deviance(counts, fit) - self._deviance(counts, other)
            if not (other.converged[0] and chdtrc(1, max(gain, 0.0)) < LEVEL):
                break
            order, fit = larger, other
        return order, fit

    def spurious(self, family: str, order: int, counts: Floats, inside: Mask) -> float:
        """Return the signal that the function finds in spectra of other functions."""
        worst = self._deviance(counts, self.fit(family, order, counts)) + WORSE
        others = [(family, order + 1), *((name, order) for name in FAMILIES if name != family)]
        found = [0.0]
        for name, parameters in others:
            if int((counts[self.used] > 0).sum()) <= parameters + 1:
                continue
            truth = self.fit(name, parameters, counts)
            if self._deviance(counts, truth) > worst:
                continue
            again = self.fit(family, order, truth.expected[0])
            if truth.converged[0] and again.converged[0]:
                found.append(float((truth.expected[0] - again.expected[0])[inside].sum()))
        return max(found, key=abs)

    def _deviance(self, counts: Floats, fit: Fitted) -> float:
        return float(deviance(counts[None, self.used], fit.expected[:, self.used])[0])


def _goodness(counts: Floats, expected: Floats, parameters: int) -> float:
    """Return the p-value of the chi2 of counts (B,), neighbours merged where few are expected."""
    starts, held = [0], 0.0
    for i, b in enumerate(expected[:-1]):
        held += b
        if held >= FEWEST and expected[i + 1 :].sum() >= FEWEST:
            starts.append(i + 1)
            held = 0.0
    n, b = np.add.reduceat(counts, starts), np.add.reduceat(expected, starts)
    freedom = len(b) - parameters
    return float(chdtrc(freedom, ((n - b) ** 2 / b).sum())) if freedom > 0 else float("nan")
