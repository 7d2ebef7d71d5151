"""Mass sculpting (Jensen-Shannon divergence): how a cut on a score shapes the background's mass.

Two definitions of one figure are in print, and differ by the logarithm's base alone by 1.44: a
`Convention` says which one is meant, in a sentence for the page it is printed on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import chi2, ncx2, norm

from colliderkit.errors import InputError
from colliderkit.metrics.roc import roc
from colliderkit.metrics.value import Value, binomial_variance

__all__ = [
    "CONVENTIONS",
    "Convention",
    "Jsd",
    "Sculpting",
    "efficiency_by_mass",
    "inverse",
    "jsd",
    "rejection_at",
    "sculpting",
]

Floats = NDArray[np.float64]
DRAWS = 400  # of the histograms, for the error and the floor
SEEN = 1.5  # standard deviations of the floor from which on a divergence is one
NORMAL = 5.0  # errors from 0, beyond which a divergence and its error are those of a normal number
ONE_SIDED = 1.645  # standard deviations that 95% lie below


@dataclass(frozen=True)
class Convention:
    """Definition of a Jensen-Shannon divergence: what is compared, in which logarithm.

    `bins` over `window` [GeV], the `base` of the logarithm, and whether events are `weighted`. A
    `window` of None is the range of the background that fails. Jets outside are left out.
    """

    bins: int
    window: tuple[float, float] | None
    base: float
    weighted: bool
    source: str

    @property
    def sentence(self) -> str:
        """The definition in words."""
        where = (
            "the range of the jets that fail"
            if self.window is None
            else f"{self.window[0]:g}-{self.window[1]:g} GeV"
        )
        logarithm = "natural logarithm" if self.base == math.e else f"logarithm of base {self.base}"
        return (
            "JSD is the Jensen-Shannon divergence between the masses of background jets that pass"
            f" and that fail the cut: {logarithm}, {self.bins} bins over {where},"
            f" {'event weights' if self.weighted else 'no event weights'} ({self.source})."
        )

    def edges(self, failed: Floats) -> Floats:
        """Return the edges of the bins (bins + 1,)."""
        low, high = (failed.min(), failed.max()) if self.window is None else self.window
        if not high > low:
            raise InputError(
                f"the masses of the background that fails are all {low:g} GeV; a constant has no"
                " shape to be sculpted."
            )
        return np.linspace(low, high, self.bins + 1)


CONVENTIONS: dict[str, Convention] = {
    "disco": Convention(50, (50.0, 300.0), 2, True, "arXiv:2001.05310"),
    "mode": Convention(50, None, math.e, False, "arXiv:2010.09745"),
}


@dataclass(frozen=True)
class Jsd:
    """Jensen-Shannon divergence `value` ± `error`, and the `floor` of two samples of one density.

    The floor is above zero because samples are finite, about (bins - 1) (1 / N_pass + 1 / N_fail)
    / (8 ln base). As published, a divergence is the value itself, which among few jets is mostly
    floor; `corrected` estimates that of the densities.

    Where that is below five errors, it and its error rise and fall together: for 50 bins its pulls
    have means down to -0.19 and widths up to 1.11, and an error that is narrower above is too wide
    at zero. Quote `interval` there, which covers. `unit` is the mean of the floor for each of its
    degrees of freedom: half its variance over its mean.
    """

    value: float
    error: float
    floor: float
    unit: float

    @property
    def corrected(self) -> Value:
        """The value less the floor; it may fluctuate below 0."""
        return Value(self.value - self.floor, self.error)

    def interval(self, level: float = 0.68) -> tuple[float, float]:
        """Return the ends of the central interval of the densities' divergence, with `level`.

        In units of `unit` the value is a noncentral chi^2 with floor / unit degrees of freedom, and
        its noncentrality the divergence: that is greater at each end than the value allows with a
        probability of (1 - level) / 2, and the lower end is 0 where no divergence is that small.
        Beyond five errors from 0 it is estimate -+ error for the normal quantile of `level`.
        """
        if not 0 < level < 1:
            raise InputError(
                f"the level of an interval is {level:g}; give a number between 0 and 1."
            )
        estimate, tail = self.corrected, (1 - level) / 2
        if estimate.value > NORMAL * self.error or not self.unit > 0:
            half = float(norm.isf(tail)) * self.error
            return max(estimate.value - half, 0.0), max(estimate.value + half, 0.0)
        freedom, seen = self.floor / self.unit, self.value / self.unit

        def end(below: float) -> float:
            """Return the divergence of which values below this one have a probability `below`."""
            if chi2.cdf(seen, freedom) <= below:
                return 0.0
            most = 4 * seen + 100
            found = brentq(lambda x: ncx2.cdf(seen, freedom, x) - below, 1e-9, most)
            return float(found) * self.unit

        return end(1 - tail), end(tail)

    @property
    def inverse(self) -> Value:
        """1 / JSD as published, with its error, where the two histograms are not equal."""
        return inverse(Value(self.value, self.error))


@dataclass(frozen=True)
class Sculpting:
    """Sculpting by a cut at a signal efficiency: background `rejection`, `jsd`, `threshold`.

    A jet passes whose score is at least the threshold.
    """

    rejection: Value
    jsd: Jsd
    threshold: float


def inverse(divergence: Value) -> Value:
    """Return 1 / JSD with its error.

    Of a divergence less than two errors from 0: a lower limit, 1 / (JSD + 1.64 errors), at 95%
    confidence, with 0 for a negative one.
    """
    value, error = divergence.value, divergence.error
    if value > 2 * error:
        return Value(1 / value, error / value**2)
    most = max(value, 0.0) + ONE_SIDED * error
    return Value(1 / most if most > 0 else math.inf, math.nan, True)


def jsd(
    passed: ArrayLike,
    failed: ArrayLike,
    passed_weight: ArrayLike | None = None,
    failed_weight: ArrayLike | None = None,
    *,
    convention: str | Convention = "disco",
) -> Jsd:
    """Return the Jensen-Shannon divergence of the masses that pass (N,) and fail (M,) [GeV],

        JSD = 1/2 sum_i p_i log(p_i / m_i) + 1/2 sum_i q_i log(q_i / m_i),   m = (p + q) / 2,

    with p and q the shares of the two samples in each bin: 0 if equal, log 2 if apart. `convention`
    is a name of `CONVENTIONS` or one of your own; one without weights ignores those given.

    Floor: the mean of samples drawn, with the effective numbers of events, from the two histograms
    together; V_0 their variance. Error: the root of V_0 or, where the value is more than 1.5
    sqrt(V_0) above the floor, of V - 2 V_0, at least V_0, with V the variance of
    samples drawn from each histogram. These fluctuate around histograms that have fluctuated
    already: 8 JSD is nearly a noncentral chi^2 of variance 2 (d + 2 l), in units of (1 / N_pass + 1
    / N_fail), and V has l + d in place of l, too much by 4 d = 2 V_0. The draws are always the
    same. Raises `InputError` for a sample that is empty, not finite, or has no
    positive sum of weights in the window, and for negative weights in a bin's sum.
    """
    definition = convention_named(convention)
    masses = [_finite(values, which) for values, which in ((passed, "pass"), (failed, "fail"))]
    edges = definition.edges(masses[1])
    shares, effective = [], []
    for mass, weight, which in zip(
        masses, (passed_weight, failed_weight), ("pass", "fail"), strict=True
    ):
        used = None if weight is None or not definition.weighted else np.asarray(weight, np.float64)
        content = np.histogram(mass, edges, weights=used)[0].astype(np.float64)
        squares = content if used is None else np.histogram(mass, edges, weights=used**2)[0]
        if not content.sum() > 0 or content.min() < 0:
            raise InputError(
                f"the background jets that {which} have no positive weight in some bin of"
                f" {edges[0]:g}-{edges[-1]:g} GeV or in all of them; give more jets or other bins."
            )
        shares.append(content / content.sum())
        effective.append(float(content.sum() ** 2 / squares.sum()))
    random = np.random.default_rng(0)
    numbers = [max(round(n), 1) for n in effective]
    both = np.average(shares, axis=0, weights=effective)

    def drawn(p: Floats, q: Floats) -> Floats:
        samples = (
            random.multinomial(n, each, DRAWS) / n for n, each in zip(numbers, (p, q), strict=True)
        )
        return _divergence(next(samples), next(samples), definition.base)

    spread, floor = drawn(shares[0], shares[1]), drawn(both, both)
    value = float(_divergence(shares[0], shares[1], definition.base))
    null = float(floor.var(ddof=1))
    variance = null
    # Below that, what lies above the floor is mostly its fluctuation.
    if value - floor.mean() > SEEN * math.sqrt(null):
        variance = max(float(spread.var(ddof=1)) - 2 * null, null)
    mean = float(floor.mean())
    return Jsd(value, math.sqrt(variance), mean, null / (2 * mean) if mean > 0 else 0.0)


def sculpting(
    score: ArrayLike,
    label: ArrayLike,
    mass: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    signal_efficiency: float = 0.5,
    convention: str | Convention = "disco",
) -> Sculpting:
    """Return rejection and JSD of the cut that keeps a share `signal_efficiency` of the signal.

    `score` (N,) is higher for signal, `label` (N,) 1 for signal and 0 for background, `mass` (N,)
    in GeV. The threshold is the highest that reaches the efficiency; see `colliderkit.metrics.roc`
    for the rejection and `jsd` for the divergence. Raises `InputError` where all the background
    passes, or none.
    """
    curve = roc(score, label, weight)
    rejection = curve.rejection(signal_efficiency)
    reached = np.maximum.accumulate(curve.signal_efficiency)
    index = int(np.searchsorted(reached, signal_efficiency - 1e-12))
    threshold = float(curve.threshold[min(index, len(reached) - 1)])
    background = np.asarray(label) == 0
    masses = np.asarray(mass, dtype=np.float64)[background]
    weights = None if weight is None else np.asarray(weight, dtype=np.float64)[background]
    keep = np.asarray(score)[background] >= threshold
    if keep.all() or not keep.any():
        raise InputError(
            f"at a signal efficiency of {signal_efficiency:g}"
            f" {'all' if keep.any() else 'none'} of the background passes; there are no two shapes"
            " to compare."
        )
    halves = (None, None) if weights is None else (weights[keep], weights[~keep])
    divergence = jsd(masses[keep], masses[~keep], *halves, convention=convention)
    return Sculpting(rejection, divergence, threshold)


def rejection_at(points: Sequence[tuple[Value, Value]], inverse_jsd: float = 100.0) -> Value | None:
    """Return the best rejection that a method reaches with a JSD of at most 1 / `inverse_jsd`.

    `points` are (rejection, JSD) at different strengths, the JSD preferably `Jsd.corrected`: it is
    an estimate also where no sculpting is seen, which its inverse is not. Points that another one
    beats in both are dropped; between the neighbours on the two sides of the target ln(rejection)
    is interpolated linearly in the JSD, with the errors of both. Nothing is extrapolated: if all
    points are beyond, the one of highest rejection counts. None where no point reaches the target.
    """
    if not inverse_jsd > 0:
        raise InputError(f"1 / JSD of {inverse_jsd:g} is no target; give a positive number.")
    target = 1 / inverse_jsd
    front: list[tuple[Value, Value]] = []
    for point in sorted(points, key=lambda point: (point[1].value, -point[0].value)):
        if not front or point[0].value > front[-1][0].value:
            front.append(point)
    reached = [point for point in front if point[1].value <= target]
    beyond = [point for point in front if point[1].value > target]
    if not reached:
        return None
    high, close = reached[-1]
    if not beyond:
        return high
    low, far = beyond[0]
    gap = far.value - close.value
    share = (target - close.value) / gap
    slope = math.log(low.value / high.value) / gap
    value = high.value * (low.value / high.value) ** share
    parts = [
        (1 - share) * high.error / high.value,
        share * low.error / low.value,
        (1 - share) * slope * close.error,
        share * slope * far.error,
    ]
    return Value(value, value * math.hypot(*parts))


def efficiency_by_mass(
    mass: ArrayLike, passed: ArrayLike, edges: ArrayLike, weight: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Return the share of jets that pass in each bin of mass and its error, each (K,).

    `mass` (N,), `passed` (N,) bool, `edges` (K + 1,); the error is binomial, also with weights; a
    bin without jets is NaN. A straight line is no sculpting.
    """
    masses, keep = np.asarray(mass, dtype=np.float64), np.asarray(passed, dtype=bool)
    weights = np.ones(len(masses)) if weight is None else np.asarray(weight, dtype=np.float64)
    total, square = (np.histogram(masses, edges, weights=w)[0] for w in (weights, weights**2))
    passing, passing_square = (
        np.histogram(masses[keep], edges, weights=w[keep])[0] for w in (weights, weights**2)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = passing / total
        variance = binomial_variance(share, passing_square / total**2, square / total**2)
    return share, np.sqrt(variance)


def convention_named(convention: str | Convention) -> Convention:
    """Return the convention, or that of this name; raise `InputError` if there is none such."""
    if isinstance(convention, Convention):
        return convention
    if convention not in CONVENTIONS:
        raise InputError(f"convention '{convention}' is none of {', '.join(CONVENTIONS)}.")
    return CONVENTIONS[convention]


def _finite(values: ArrayLike, which: str) -> Floats:
    mass = np.asarray(values, dtype=np.float64)
    if len(mass) == 0:
        raise InputError(f"no background jets {which} the cut; move it or give more jets.")
    if not np.isfinite(mass).all():
        first = int(np.argmin(np.isfinite(mass)))
        raise InputError(f"mass {first} of the background jets that {which} is not finite.")
    return mass


def _divergence(p: Floats, q: Floats, base: float) -> Floats:
    """Return the divergence of shares (..., K) by the last axis."""
    middle = (p + q) / 2

    def towards(x: Floats) -> Floats:
        # x log(x / m) is 0 where x is.
        return x * np.log(np.where(x > 0, x, 1.0) / np.where(x > 0, middle, 1.0))

    # Rounding may leave a little less than nothing.
    total: Floats = np.maximum((towards(p) + towards(q)).sum(-1) / (2 * math.log(base)), 0.0)
    return total
