"""Sliding-window bump hunt with a global p-value (look-elsewhere effect).

The sidebands of each window are fitted by a smooth function (`spectrum`), in thousands of
pseudo-experiments at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtr

from colliderkit.errors import InputError
from colliderkit.events.binning import rising
from colliderkit.events.tables import as_column, as_weight
from colliderkit.methods.method import Method
from colliderkit.methods.search.spectrum import (
    FAMILIES,
    Fitted,
    columns_of,
    deviance,
    fitted,
    significance,
)
from colliderkit.metrics.value import Value
from colliderkit.seeds import derive

__all__ = ["FAMILIES", "Bump", "BumpHunt", "false_positives"]

Floats = NDArray[np.float64]

SIDEBAND = 2  # bins that a window leaves free on either side


@dataclass(frozen=True)
class Bump:
    """Largest excess of a spectrum.

    - `window`: its two ends;
    - `observed`, `expected` ± `uncertainty`: events in it, and what the sidebands foretell;
    - `significance`, `local_p`: of this window alone;
    - `global_p`: the share of smooth spectra with a window of this significance anywhere;
    - `order`: of the smooth function that the spectrum asked for;
    - `background`: that function, fitted outside of the window, in every bin (B,).
    """

    window: tuple[float, float]
    observed: float
    expected: float
    uncertainty: float
    significance: float
    local_p: float
    global_p: float
    order: int
    background: Floats


class BumpHunt(Method):
    """Search a spectrum for one bump on a smooth background, in sliding windows.

    For each window the function is fitted to what lies outside of it. The significance of n events
    where b ± s are foretold is that of a Poisson count with an auxiliary measurement of b
    (Li and Ma 1983; Cowan 2012),

        Z^2 = 2 (n ln[n (b + s^2) / (b^2 + n s^2)] - b^2/s^2 ln[1 + s^2 (n - b) / (b (b + s^2))])

    with the sign of n - b. The p-value of the largest Z among all windows is counted among
    pseudo-experiments of the function fitted to the whole spectrum, which go through the same
    search, choice of the order included.

    Args:
        edges: of the bins, (B + 1,); `bins` equal ones from the least to the largest mass if None.
        bins: how many, where `edges` are not given.
        family: "polynomial", ln f a polynomial in m, or "dijet", the falling function
            f = p_0 (1 - x)^p_1 x^(-p_2 - p_3 ln x - ...) of searches for dijet resonances.
        orders: the least and the most parameters beside the normalisation.
        widths: of the windows, in bins.
        template: a spectrum (B,) that the function multiplies, positive everywhere: the background
            before a cut, say. The function is then the efficiency of the cut, and the order 0 a
            constant one. Without a template the function has to follow the spectrum by itself, and
            from the order 2 on it may be a bump: of a spectrum that is nothing but a bump, none is
            found.
        level: another parameter is taken while the likelihood-ratio test against the next larger
            function (the F-test of Poisson counts) has a p-value below this. It looks at the whole
            spectrum, bump included, as a search does that does not know of one.
        toys: pseudo-experiments; the global p-value, (1 + toys at least as large) / (1 + toys), is
            never 0.

    After `fit`: `bump_`, the largest excess; of every window W `windows_` (W, 2), its ends, with
    `significance_`, `local_p_`, `observed_`, `expected_` and `uncertainty_` (W,); `global_p_` of
    the largest; `edges_` (B + 1,) and `counts_` (B,).
    """

    name: ClassVar[str] = "bump-hunt"

    edges_: Floats
    counts_: Floats
    windows_: Floats
    significance_: Floats
    local_p_: Floats
    observed_: Floats
    expected_: Floats
    uncertainty_: Floats
    global_p_: float
    bump_: Bump

    def __init__(
        self,
        *,
        edges: Sequence[float] | None = None,
        bins: int = 40,
        family: str = "polynomial",
        orders: tuple[int, int] = (2, 5),
        widths: Sequence[int] = (2, 3, 4, 6),
        template: Sequence[float] | None = None,
        level: float = 0.05,
        toys: int = 999,
    ) -> None:
        self.edges = edges
        self.bins = bins
        self.family = family
        self.orders = orders
        self.widths = widths
        self.template = template
        self.level = level
        self.toys = toys

    def fit(
        self,
        mass: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        seed: int = 0,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Self:
        """Search the spectrum of `mass` (N,); events outside of the edges do not count.

        `weight` (N,) must not be negative. A weight is a number of events: the sum in a bin is
        taken for a Poisson count, so that weights should be 1 on average where errors matter.
        Raises `InputError` for masses or weights that are not finite, and a spectrum that is too
        empty to fit.
        """
        self._begin(seed=seed, folder=folder, resume=resume)
        column = as_column(mass, np.size(mass), "mass")
        w = as_weight(weight, len(column), "mass", negative="a bin is a Poisson count of events")
        edges: ArrayLike | None = self.edges
        if edges is None:
            if self.bins < 1:
                raise InputError(f"bins is {self.bins}; it must be at least 1.")
            edges = np.linspace(column.min(), column.max(), self.bins + 1)
        scanner = self._scanner(edges)
        return self._search(scanner, np.histogram(column, scanner.edges, weights=w)[0])

    def fit_histogram(self, counts: ArrayLike, *, seed: int = 0) -> Self:
        """Search a spectrum that is binned already, `counts` (B,) in `edges`; return self."""
        self._begin(seed=seed)
        return self._search(self._scanner(self.edges), counts)

    def global_p(self, counts: ArrayLike, *, seed: int = 0) -> Floats:
        """Return the global p-value of each of E spectra of one density, counts (E, B), as (E,).

        All are judged by the same pseudo-experiments, drawn from the smooth function that is
        fitted to their mean. It needs `edges`, and no `fit`.
        """
        scanner = self._scanner(self.edges)
        spectra = scanner.checked(counts)
        strongest = scanner.scan(spectra, scanner.order(spectra))[0].max(1)
        return _p_value(strongest, scanner.null(spectra.mean(0), self.toys, seed))

    def _search(self, scanner: "_Scanner", counts: ArrayLike) -> Self:
        spectra = scanner.checked(counts)
        if len(spectra) != 1:
            raise InputError(f"counts holds {len(spectra)} spectra; give one, or take global_p.")
        order = scanner.order(spectra)
        self.significance_, self.expected_, self.uncertainty_ = (
            part[0] for part in scanner.scan(spectra, order)
        )
        self.edges_, self.counts_ = scanner.edges, spectra[0]
        self.windows_ = scanner.edges[scanner.windows]
        self.observed_ = np.array([spectra[0, first:end].sum() for first, end in scanner.windows])
        self.local_p_ = np.asarray(ndtr(-self.significance_))
        null = scanner.null(spectra[0], self.toys, self.seed_)
        self.global_p_ = float(_p_value(self.significance_.max(keepdims=True), null)[0])
        best = int(self.significance_.argmax())
        used = _outside(scanner.windows[best], spectra)
        low, high = self.windows_[best]
        self.bump_ = Bump(
            (float(low), float(high)),
            float(self.observed_[best]),
            float(self.expected_[best]),
            float(self.uncertainty_[best]),
            float(self.significance_[best]),
            float(self.local_p_[best]),
            self.global_p_,
            int(order[0]),
            scanner.fitted(int(order[0]), spectra, used).expected[0],
        )
        return self

    def _scanner(self, edges: ArrayLike | None) -> "_Scanner":
        """Return the search in bins; raise `InputError` for arguments that allow none."""
        if edges is None:
            raise InputError("edges is None; give those of the spectra.")
        limits = rising(edges, "edges")
        bins = len(limits) - 1
        if self.family not in FAMILIES:
            raise InputError(f"family '{self.family}' is none of {', '.join(FAMILIES)}.")
        least, most = self.orders
        if not (self.template is None) <= least <= most:
            raise InputError(
                f"orders are {self.orders}; give (least, most), of 1 or more without a template."
            )
        if min(self.widths) < 1 or bins - max(self.widths) < most + 1 + 2 * SIDEBAND:
            raise InputError(
                f"{bins} bins with windows of {max(self.widths)} leave too few for a function of"
                f" {most + 1} parameters; take more bins, narrower windows or lower orders."
            )
        if self.toys < 20:
            raise InputError(f"{self.toys} pseudo-experiments give no p-value; draw 20 or more.")
        template = np.ones(bins) if self.template is None else np.asarray(self.template, np.float64)
        if template.shape != (bins,) or not (np.isfinite(template) & (template > 0)).all():
            raise InputError(f"the template must be positive and finite in all {bins} bins.")
        windows = [
            (first, first + width)
            for width in self.widths
            for first in range(SIDEBAND, bins - width - SIDEBAND + 1)
        ]
        return _Scanner(limits, template, np.array(windows), self.family, (least, most), self.level)


@dataclass(frozen=True)
class _Scanner:
    """Sideband fits of many spectra at once, in all windows.

    `edges` (B + 1,), `template` (B,), and the first bin and the one after the last of each of the
    `windows` (W, 2); the rest as `BumpHunt` has it.
    """

    edges: Floats
    template: Floats
    windows: NDArray[np.int64]
    family: str
    orders: tuple[int, int]
    level: float

    def checked(self, counts: ArrayLike) -> Floats:
        """Return spectra (E, B), or raise `InputError` for what cannot be fitted."""
        spectra = np.atleast_2d(np.asarray(counts, dtype=np.float64))
        bins = len(self.template)
        if spectra.shape[1] != bins:
            raise InputError(f"a spectrum has {spectra.shape[1]} bins where the edges make {bins}.")
        if not (np.isfinite(spectra) & (spectra >= 0)).all():
            raise InputError("a spectrum must hold counts: finite and not negative.")
        few, needed = int((spectra > 0).sum(1).min()), self.orders[1] + 1
        if few <= needed:
            raise InputError(
                f"a spectrum has events in {few} bins; more than {needed} are needed: widen the"
                " bins or the cut."
            )
        return spectra

    def fitted(self, order: int, counts: Floats, used: NDArray[np.bool_]) -> Fitted:
        """Fit the function of `order` to spectra (E, B) in the bins `used` (B,)."""
        return fitted(self.columns(order), np.log(self.template), counts, used)

    def columns(self, order: int) -> Floats:
        """Return the columns of ln f, (B, order + 1)."""
        return columns_of(self.family, self.edges, order)

    def order(self, counts: Floats) -> NDArray[np.int64]:
        """Return the order that the likelihood-ratio test chooses for each spectrum, (E,)."""
        least, most = self.orders
        order = np.full(len(counts), least)
        everywhere = np.ones(counts.shape[1], dtype=bool)
        before = deviance(counts, self.fitted(least, counts, everywhere).expected)
        growing = np.ones(len(counts), dtype=bool)
        for larger in range(least + 1, most + 1):
            after = deviance(counts, self.fitted(larger, counts, everywhere).expected)
            growing &= chdtrc(1, np.maximum(before - after, 0.0)) < self.level
            order[growing] = larger
            before = after
        return order

    def scan(self, counts: Floats, order: NDArray[np.int64]) -> Floats:
        """Return significance, expected events and their uncertainty in each window, (3, E, W)."""
        scan = np.empty((3, len(counts), len(self.windows)))
        for one in np.unique(order):
            rows, columns = order == one, self.columns(int(one))
            spectra = counts[rows]
            for w, (first, end) in enumerate(self.windows):
                fit = self.fitted(int(one), spectra, _outside((first, end), spectra))
                inside = slice(first, end)
                expected = fit.expected[:, inside].sum(1)
                slope = fit.expected[:, inside] @ columns[inside]
                spread = np.sqrt(np.einsum("ei,eij,ej->e", slope, fit.covariance, slope))
                z = significance(spectra[:, inside].sum(1), expected, spread)
                scan[:, rows, w] = z, expected, spread
        return scan

    def null(self, counts: Floats, toys: int, seed: int) -> Floats:
        """Return the largest significance of each pseudo-experiment without a bump, (toys,)."""
        spectrum = counts[None]
        everywhere = np.ones(len(counts), dtype=bool)
        expected = self.fitted(int(self.order(spectrum)[0]), spectrum, everywhere).expected[0]
        random = np.random.default_rng(derive(seed, "pseudo-experiments"))
        pseudo = random.poisson(expected, (toys, len(counts))).astype(np.float64)
        return np.asarray(self.scan(pseudo, self.order(pseudo))[0].max(1))


def false_positives(p_values: ArrayLike, level: float = 0.05) -> Value:
    """Return the share of searches (E,) that claim a bump at `level`, with its binomial error.

    Of backgrounds that no cut has sculpted it is `level`. With none of E the error is that of one.
    """
    p = np.asarray(p_values, dtype=np.float64)
    share = float((p <= level).mean())
    one = min(max(share, 1 / len(p)), 1 - 1 / len(p))
    return Value(share, float(np.sqrt(one * (1 - one) / len(p))))


def _outside(window: ArrayLike, counts: Floats) -> NDArray[np.bool_]:
    first, end = np.asarray(window)
    used = np.ones(counts.shape[1], dtype=bool)
    used[first:end] = False
    return used


def _p_value(strongest: Floats, null: Floats) -> Floats:
    """Return (1 + how many of the null are at least as large) / (1 + how many), (E,)."""
    below = np.searchsorted(np.sort(null), strongest, side="left")
    share: Floats = (1 + len(null) - below) / (1 + len(null))
    return share
