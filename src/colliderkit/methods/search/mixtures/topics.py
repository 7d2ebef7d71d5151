"""Jet topics: the classes behind two mixed samples, and their fractions, without simulation."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import least_squares
from scipy.special import chdtrc, expit, xlogy

from colliderkit.errors import InputError
from colliderkit.events.binning import rising
from colliderkit.events.tables import as_column, as_weight
from colliderkit.methods.method import Method
from colliderkit.methods.search.mixtures.templates import demixed
from colliderkit.metrics.value import Value
from colliderkit.seeds import derive

__all__ = ["Topics"]

Floats = NDArray[np.float64]

SAME = 0.01  # p-value of equal spectra above which there is nothing to part
FEWEST = 20  # events of each sample in a bin that may be an anchor
# p-value of a polynomial below which one of a higher order takes its place: rarely by chance, for
# the errors are those of one order.
BETTER = 0.003
CLOSE = 1e-4  # to 0 or 1: a share that no fit tells from it


class Topics(Method):
    """Find the two classes of two mixed samples from the spectra of one observable (1802.00008).

    Where the ratio of the samples' densities is smallest there is, if the classes are mutually
    irreducible, one of them alone. With the fractions f_0 < f_1 of signal,

        kappa_B = inf p_1 / p_0 = (1 - f_1) / (1 - f_0),    kappa_S = inf p_0 / p_1 = f_0 / f_1

    give both fractions, f_1 = (1 - kappa_B) / (1 - kappa_B kappa_S) and f_0 = kappa_S f_1, and the
    classes are T_B = (p_0 - kappa_S p_1) / (1 - kappa_S) and likewise T_S (1809.01140).

    The smallest of many bins is one that has fluctuated down. Two infima know of that:

    - "asymptote": the share of sample 1 among the events at x is exactly
      low + (high - low) / (1 + exp(-g(x))) with g(x) = ln p_S(x) / p_B(x) + constant,
      and a polynomial g (of order 1 or 2 exact for Gaussian, Poisson and other exponential
      families) is fitted to all bins by maximum likelihood. The ends are the infima, also where no
      event lies. `p_value_` judges the fit.
    - "anchor": the bin where p_1 / p_0 plus its error is smallest is chosen in one half of the
      events and measured in the other. It needs no form of g, but bins in which one class is truly
      absent; else kappa is too large.

    Args:
        edges: of the bins of the observable, (B + 1,); `bins` of equal numbers of events if None.
        bins: how many, where `edges` are not given.
        infimum: how the infima are found.
        orders: the least and the largest order of the polynomial g: one more is taken while the
            likelihood-ratio test against it has a p-value below 0.003.

    After `fit`: `kappa_` (2,), kappa_B and kappa_S, and `fractions_` (2,) with their covariances
    `kappa_covariance_` and `covariance_` (2, 2); `topics_` (2, B), the shares of background and
    signal in each bin, `topic_error_` (2, B); `edges_`; `counts_` (2, B), sums of weights over
    their mean; `fitted_` (B,), the fitted share of sample 1, `p_value_` and `order_` (of anchors:
    empty, 1 and 0).
    """

    name: ClassVar[str] = "topics"

    kappa_: Floats
    kappa_covariance_: Floats
    fractions_: Floats
    covariance_: Floats
    topics_: Floats
    topic_error_: Floats
    edges_: Floats
    counts_: Floats
    fitted_: Floats
    p_value_: float
    order_: int

    def __init__(
        self,
        *,
        edges: Sequence[float] | None = None,
        bins: int = 40,
        infimum: Literal["asymptote", "anchor"] = "asymptote",
        orders: tuple[int, int] = (1, 2),
    ) -> None:
        self.edges = edges
        self.bins = bins
        self.infimum = infimum
        self.orders = orders

    def fit(
        self,
        observable: ArrayLike,
        sample: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Part the spectra of an `observable` (N,) in the samples 0 and 1, `sample` (N,).

        Sample 1 is the one with more signal; signal is what it has more of. Raises `InputError` for
        another number of samples, spectra that do not differ, and a fit that finds no ends.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        if not 1 <= self.orders[0] <= self.orders[1]:
            raise InputError(f"orders are {self.orders}; give (least, most), of 1 or more.")
        values = as_column(observable, np.size(observable), "observable")
        number = as_column(sample, len(values), "sample")
        w = as_weight(weight, len(values), negative="a bin is a Poisson count of events")
        if sorted(set(np.unique(number).tolist())) != [0, 1]:
            raise InputError(
                f"the samples are {np.unique(number).tolist()}; topics part two, 0 and 1."
            )
        self.edges_ = self._edges(values)
        place = np.searchsorted(self.edges_, values, side="right") - 1
        place[values == self.edges_[-1]] -= 1
        inside = (place >= 0) & (place < len(self.edges_) - 1)
        # A common scale of the weights has no meaning.
        place, signal_rich, w = place[inside], number[inside] == 1, w[inside] / w.mean()
        self.counts_, squares = _binned(place, signal_rich, w, len(self.edges_) - 1)
        self._refuse_equal(squares)
        if self.infimum == "asymptote":
            self._fit_asymptotes(squares)
        else:
            self._fit_anchors(place, signal_rich, w)
        self._part(squares)
        return self

    @property
    def fractions(self) -> tuple[Value, Value]:
        """The fractions of signal in the samples 0 and 1, with their errors."""
        error = np.sqrt(np.diagonal(self.covariance_))
        first, second = map(Value, self.fractions_.tolist(), error.tolist())
        return first, second

    def _edges(self, values: Floats) -> Floats:
        if self.edges is not None:
            return rising(self.edges, "edges")
        edges = np.unique(np.quantile(values, np.linspace(0, 1, self.bins + 1)))
        if len(edges) < self.orders[1] + 5:
            raise InputError(
                f"the observable takes {len(edges)} values at the edges of {self.bins} bins; give"
                " edges, or an observable of more values."
            )
        return edges

    def _refuse_equal(self, squares: Floats) -> None:
        """Raise `InputError` where both samples have one spectrum."""
        sums = self.counts_.sum(1, keepdims=True)
        if not (sums > 0).all():
            raise InputError("a sample has no events between the edges; widen these.")
        variance = (squares / sums**2).sum(0)
        used = variance > 0
        difference = np.diff(self.counts_ / sums, axis=0)[0]
        chi2 = (difference[used] ** 2 / variance[used]).sum()
        p = float(chdtrc(max(used.sum() - 1, 1), chi2))
        if p > SAME:
            raise InputError(
                f"the samples have the same spectrum (p-value {p:.2g}), as those of equal fractions"
                " have; take other samples, another observable or more events."
            )

    def _fit_asymptotes(self, squares: Floats) -> None:
        """Fit the share of sample 1 by a logistic curve between two ends, by maximum likelihood."""
        total, passed = self.counts_.sum(0), self.counts_[1]
        used = total > 0
        if used.sum() < self.orders[1] + 4:
            raise InputError(
                f"{used.sum()} bins have events; {self.orders[1] + 4} are needed at least."
            )
        middle = (self.edges_[1:] + self.edges_[:-1]) / 2
        mean = np.average(middle, weights=total)
        u = (middle - mean) / np.sqrt(np.average((middle - mean) ** 2, weights=total))
        powers = u[:, None] ** np.arange(self.orders[1] + 1)
        # Of weighted events a deviance is so much too large.
        scale = squares.sum() / total.sum()
        cost, begun = np.inf, np.empty(0)
        for order in range(self.orders[0], self.orders[1] + 1):
            data = powers[used, : order + 1], total[used], passed[used]
            found, deviance = _logistic(*data, begun)
            if order > self.orders[0] and chdtrc(1, (cost - deviance) / scale) > BETTER:
                break
            self.order_, cost, begun = order, deviance, found
        low, high, parameters = begun[0], begun[1], begun[2:]
        powers = powers[:, : self.order_ + 1]
        curve = low + (high - low) * expit(powers @ parameters)
        if high < low:  # the curve falls: the same with its ends exchanged
            low, high, parameters = high, low, -parameters
        if not CLOSE < low < high < 1 - CLOSE:
            raise InputError(
                f"the share of sample 1 runs from {low:.3g} to {high:.3g}, where it must end"
                " between 0 and 1: the fit of the infima did not converge; take other edges,"
                " another order, or more events."
            )
        self.fitted_ = curve
        pull = (passed - total * curve)[used] ** 2 / (squares.sum(0) * curve * (1 - curve))[used]
        self.p_value_ = float(chdtrc(max(used.sum() - len(parameters) - 2, 1), pull.sum()))
        inner = expit(powers @ parameters)
        slope = ((high - low) * inner * (1 - inner))[:, None] * powers
        jacobian = np.column_stack([1 - inner, inner, slope])[used]
        # Between Fisher's information and the sum of squares stand the weights.
        per = (jacobian / (curve * (1 - curve))[used, None]).T
        bread = np.linalg.inv((per * total[used]) @ jacobian)
        spread = squares[1] * (1 - curve) ** 2 + squares[0] * curve**2
        meat = (per * spread[used]) @ per.T
        ends = np.array([low, high])
        logit = (bread @ meat @ bread)[:2, :2] / np.outer(ends * (1 - ends), ends * (1 - ends))
        sums = self.counts_.sum(1)
        # The ratio of the sums is known, and common to numerator and denominator of each bin.
        logit -= (squares.sum(1) / sums**2).sum()
        odds = ends / (1 - ends) * sums[0] / sums[1]
        self.kappa_ = np.array([odds[0], 1 / odds[1]])
        sign = np.array([1.0, -1.0]) * self.kappa_
        self.kappa_covariance_ = logit * np.outer(sign, sign)

    def _fit_anchors(self, place: NDArray[np.int64], rich: NDArray[np.bool_], w: Floats) -> None:
        """Measure both infima in bins that one half of the events chooses, in the other."""
        random = np.random.default_rng(derive(self.seed_, "halves"))
        half = random.random(len(place)) < 0.5
        bins = len(self.edges_) - 1
        halves = [_binned(place[side], rich[side], w[side], bins) for side in (half, ~half)]
        kappa, variance = np.zeros(2), np.zeros(2)
        for infimum, order in enumerate(([1, 0], [0, 1])):
            ratio, error = _ratio(*halves[0], order)
            best = int(np.argmin(ratio + error))
            ratio, error = _ratio(*halves[1], order)
            if not np.isfinite(ratio[best]):
                raise InputError(
                    f"no bin has {FEWEST} events of both samples in each half; take fewer bins."
                )
            kappa[infimum], variance[infimum] = ratio[best], error[best] ** 2
        self.kappa_, self.kappa_covariance_ = kappa, np.diag(variance)
        self.fitted_, self.p_value_, self.order_ = np.empty(0), 1.0, 0
        if not (np.isfinite(self.kappa_).all() and (self.kappa_ < 1).all()):
            raise InputError(
                f"the infima are {self.kappa_[0]:.3g} and {self.kappa_[1]:.3g} and not below 1;"
                " take fewer bins, another observable or more events."
            )

    def _part(self, squares: Floats) -> None:
        """Set the fractions and the classes that the infima give."""
        b, s = self.kappa_
        rest = 1 - b * s
        second = (1 - b) / rest
        self.fractions_ = np.array([s * second, second])
        of_second = np.array([(s - 1) / rest**2, (1 - b) * b / rest**2])
        jacobian = np.stack([s * of_second + np.array([0.0, second]), of_second])
        self.covariance_ = jacobian @ self.kappa_covariance_ @ jacobian.T
        sums = self.counts_.sum(1, keepdims=True)
        shares = self.counts_ / sums
        variance = squares / sums**2
        found = demixed(shares, variance, self.fractions_)
        self.topics_ = found.values
        slope = self._slopes(found.values)
        of_fractions = np.einsum("ibf,fg,ibg->ib", slope, self.covariance_, slope)
        self.topic_error_ = np.sqrt(found.counting**2 + of_fractions)

    def _slopes(self, topics: Floats) -> Floats:
        """Return d topics / d fractions, (2, B, 2): of p_a = f_a S + (1 - f_a) B, exactly."""
        design = np.column_stack([1 - self.fractions_, self.fractions_])
        difference = topics[1] - topics[0]
        return np.asarray(-np.linalg.inv(design)[:, None, :] * difference[None, :, None])


def _logistic(powers: Floats, total: Floats, passed: Floats, begun: Floats) -> tuple[Floats, float]:
    """Return both ends and the coefficients of g at the largest likelihood, and the deviance.

    `begun` is the solution of the order before, or empty.
    """
    missed = total - passed
    share = (passed + 0.5) / (total + 1)

    def deviances(p: Floats) -> Floats:
        """Return what squared and summed is -2 ln L, up to a constant, one a bin."""
        curve = np.clip(p[0] + (p[1] - p[0]) * expit(powers @ p[2:]), 1e-9, 1 - 1e-9)
        twice = xlogy(passed, passed / (total * curve))
        twice += xlogy(missed, missed / (total * (1 - curve)))
        return np.asarray(np.sign(share - curve) * np.sqrt(np.maximum(2 * twice, 0)))

    upwards = np.polyfit(powers[:, 1], share, 1, w=np.sqrt(total))[0] > 0
    ends = np.quantile(share, [0.1, 0.9])[:: 1 if upwards else -1]
    wide = ends + np.array([-0.3, 0.3]) * np.diff(ends)
    rest = np.zeros(powers.shape[1] - 2)
    begins = [np.concatenate([ends, [0.0, steepness], rest]) for steepness in (1.0, 2.0, 4.0)]
    if len(begun):
        begins.append(np.append(begun, 0.0))
        for curvature in (-1.0, -0.3, 0.3, 1.0):
            rest[-1] = curvature
            begins.append(np.concatenate([wide, [0.0, 2.0], rest]))
    found = [least_squares(deviances, begin, x_scale="jac") for begin in begins]
    best = min(found, key=lambda one: float(one.cost))
    return np.asarray(best.x), 2 * float(best.cost)


def _binned(
    place: NDArray[np.int64], rich: NDArray[np.bool_], weight: Floats, bins: int
) -> tuple[Floats, Floats]:
    """Return the sums of weights and of their squares in each bin, (2, B) each."""
    cell = place + bins * rich
    sums, squares = (
        np.bincount(cell, w, 2 * bins).reshape(2, bins).astype(np.float64)
        for w in (weight, weight**2)
    )
    return sums, squares


def _ratio(counts: Floats, squares: Floats, order: Sequence[int]) -> tuple[Floats, Floats]:
    """Return the ratio of the densities of two samples in each bin and its error, (B,) each.

    It is infinite in bins with fewer than `FEWEST` events of one of them.
    """
    top, bottom = order
    sums = counts.sum(1)
    full = (counts >= FEWEST).all(0)
    safe = np.where(full, counts, 1.0)
    ratio = np.where(full, safe[top] / sums[top] * sums[bottom] / safe[bottom], np.inf)
    # The sums are known, and each bin is a part of them.
    relative = (squares / safe**2 - (squares.sum(1) / sums**2)[:, None]).sum(0)
    return ratio, np.where(full, ratio * np.sqrt(np.maximum(relative, 0.0)), np.inf)
