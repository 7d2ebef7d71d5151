"""Unfolding in bins: D'Agostini's iterative Bayes and the inverse of the response matrix.

Both are the baselines of `OmniFold`. Truth bins are t = 1 ... T, detector bins r = 1 ... R,

    P[t, r] = p(seen in r | true in t),  efficiency[t] = sum_r P[t, r].

Events outside the bins of the truth count as fakes, events outside those of the detector as not
seen. Of the fakes, the simulation gives their share in each detector bin ("share": right where
they follow the events that are true, as those from beyond an edge do) or their shape alone
("cause": one more cause, whose number is unfolded with the others; right where they have a source
of their own). Where their number is known, they are a background.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.binning import bins_of
from colliderkit.events.tables import as_column
from colliderkit.methods.unfolding.response import Response, over, real_share
from colliderkit.methods.unfolding.result import BinnedSpectrum
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.methods.unfolding.unfolding import Unfolding

__all__ = [
    "BinnedUnfolding",
    "IterationCurve",
    "IterativeBayes",
    "MatrixInversion",
    "iteration_curve",
    "unfold_iteratively",
]

Floats = NDArray[np.float64]


def unfold_iteratively(
    measured: ArrayLike, matrix: ArrayLike, prior: ArrayLike, iterations: int
) -> tuple[Floats, Floats]:
    """Run D'Agostini's iteration (NIM A 362 (1995) 487).

        n'[t] = n[t] / efficiency[t] sum_r P[t, r] m[r] / sum_u P[u, r] n[u]

    on `measured` m (..., R) with `matrix` P (..., T, R), from n = `prior` (..., T), whose norm
    does not matter. Returns all spectra, the prior first, (iterations + 1, ..., T), and their
    derivatives by the data d n[t] / d m[r] (iterations + 1, ..., T, R), through every iteration.
    """
    m, p, n = (np.asarray(a, dtype=np.float64) for a in (measured, matrix, prior))
    if iterations < 1:
        raise InputError(f"iterations is {iterations}; it must be at least 1.")
    efficiency = p.sum(-1)
    shape = np.broadcast_shapes(m.shape[:-1], p.shape[:-2], n.shape[:-1])
    n = np.broadcast_to(n, (*shape, p.shape[-2]))
    slope = np.zeros((*shape, *p.shape[-2:]))
    spectra, slopes = [n], [slope]
    for _ in range(iterations):
        folded = np.einsum("...tr,...t->...r", p, n)
        share = over(n, efficiency)[..., None] * over(p, folded[..., None, :])
        new = np.einsum("...tr,...r->...t", share, m)
        through = (share * over(m, folded)[..., None, :]) @ (np.swapaxes(p, -1, -2) @ slope)
        slope = share + over(new, n)[..., None] * slope - through
        n = new
        spectra.append(n)
        slopes.append(slope)
    return np.stack(spectra), np.stack(slopes)


@dataclass(frozen=True)
class IterationCurve:
    """Bias, variance and chi^2 of each iteration, 1 ... I.

    - `chi2` (I,): of the folded spectrum against the data;
    - `bias` (I, T): what unfolding makes of the folded spectrum, less that spectrum;
    - `variance` (I, T): from the counting of the data;
    - `spectrum` (I, T).
    """

    chi2: Floats
    bias: Floats
    variance: Floats
    spectrum: Floats

    @classmethod
    def joined(cls, curves: Sequence[Self]) -> Self:
        """Join the curves of several observables, whose bins then stand one after the other."""
        return cls(
            np.sum([curve.chi2 for curve in curves], 0),
            *(
                np.concatenate([getattr(curve, name) for curve in curves], 1)
                for name in ("bias", "variance", "spectrum")
            ),
        )

    def first(self, iterations: int) -> Self:
        """Return the curve of the first iterations alone."""
        return replace(self, **{name: part[:iterations] for name, part in vars(self).items()})

    @property
    def squared_error(self) -> Floats:
        """The mean of (bias^2 + variance) / spectrum over the bins, (I,)."""
        scale = np.maximum(np.abs(self.spectrum[-1]), 1e-12 * np.abs(self.spectrum[-1]).max())
        return np.asarray(((self.bias**2 + self.variance) / scale).mean(1))

    @property
    def best(self) -> int:
        """The iteration of the smallest squared error, counted from 1."""
        return int(np.argmin(self.squared_error)) + 1


def iteration_curve(
    response: Response,
    measured: ArrayLike,
    variance: ArrayLike,
    *,
    prior: ArrayLike | None = None,
    iterations: int = 20,
    truth: ArrayLike | None = None,
) -> IterationCurve:
    """Return chi^2, bias and variance of the first `iterations`, for `measured` (R,).

    The bias of iteration k is U_k(P n) - n, with U_k the unfolding and n the `truth` (T,) where
    it is known, or the spectrum of the last iteration where not: the least biased there is. The
    prior is that of the simulation if none is given; fakes are removed by their share.
    """
    real = response.real
    m = response.measured(measured) * real
    v = np.asarray(variance, dtype=np.float64) * real**2
    p = response.matrix
    start = response.truth if prior is None else np.asarray(prior, dtype=np.float64)
    spectra, slopes = unfold_iteratively(m, p, start, iterations)
    known = spectra[-1] if truth is None else np.asarray(truth, dtype=np.float64)
    again, _ = unfold_iteratively(known @ p, p, start, iterations)
    residual = (spectra[1:] @ p - m) ** 2
    return IterationCurve(
        np.asarray(over(residual, v).sum(1)),
        again[1:] - known,
        np.einsum("ktr,r->kt", slopes[1:] ** 2, v),
        spectra[1:],
    )


class BinnedUnfolding(Unfolding):
    """Unfold one observable in bins, and propagate the counting of data and simulation.

    A subclass gives `_invert`. Weights of the simulation may be negative, as long as no bin sums
    to less than zero.
    """

    truth_edges: Sequence[float]
    reco_edges: Sequence[float]
    fakes: Literal["share", "cause"]
    replicas: int

    response_: Response
    measured_: Floats
    measured_variance_: Floats
    spectrum_: Floats
    covariance_data_: Floats
    covariance_simulation_: Floats

    @abstractmethod
    def _invert(
        self, measured: Floats, matrix: Floats, truth: Floats, seen: Floats
    ) -> tuple[Floats, Floats]:
        """Return spectra (..., T) and their derivatives by what is measured (..., T, R)."""

    def fit_histogram(
        self,
        measured: ArrayLike,
        variance: ArrayLike,
        response: Response,
        *,
        seed: int = 0,
    ) -> Self:
        """Unfold a histogram (R,), background subtracted, with the variances of its bins (R,)."""
        self._begin(seed=seed)
        for edges, limits, level in (
            (self.truth_edges, response.truth_edges, "truth"),
            (self.reco_edges, response.reco_edges, "reco"),
        ):
            if not np.array_equal(np.asarray(edges, dtype=np.float64), limits):
                raise InputError(f"{level}_edges are not those of the response; give the same.")
        if self.fakes not in ("share", "cause"):
            raise InputError(f"fakes are '{self.fakes}'; give share or cause.")
        if self.replicas < 0 or self.replicas == 1:
            raise InputError(f"replicas is {self.replicas}; give 0 or at least 2.")
        data = response.measured(measured)
        spread = as_column(variance, data.size, "the variance of the data")
        if not (data * response.real).sum() > 0:
            raise InputError(
                f"the data less background and fakes sum to {(data * response.real).sum():g}:"
                " nothing is left to unfold; check the bins and the background."
            )
        self.response_, self.measured_, self.measured_variance_ = response, data, spread
        seen = response.counts.sum(0) + response.fakes
        simulated = response.counts, response.missed, response.fakes
        self.spectrum_, slope = self._unfold(data, seen, simulated)
        self.covariance_data_ = (slope * spread) @ slope.T
        self.covariance_simulation_ = np.zeros_like(self.covariance_data_)
        if self.replicas:
            spectra, _ = self._unfold(data, seen, response.replicas(self.replicas, seed))
            self.covariance_simulation_ = np.atleast_2d(np.cov(spectra.T))
        return self

    def _fit(
        self, sample: UnfoldingSample, folder: Path | None, resume: bool, progress: bool
    ) -> None:
        """Count and unfold; the counting of the background is part of the data's variance."""
        response = Response.of(sample, self.truth_edges, self.reco_edges)
        self.fit_histogram(*response.count(sample), response, seed=self.seed_)

    def _unfold(
        self, measured: Floats, seen: Floats, simulated: tuple[Floats, Floats, Floats]
    ) -> tuple[Floats, Floats]:
        """Return spectra (..., T) and their derivatives by the data (..., T, R)."""
        counts, missed, fakes = simulated
        if self.fakes == "share":
            truth, real = counts.sum(-1) + missed, real_share(counts, fakes)
            matrix = over(counts, truth[..., None])
            spectrum, slope = self._invert(measured * real, matrix, truth, seen)
            return spectrum, slope * real[..., None, :]
        any_fakes = self.response_.fakes.sum() > 0
        causes = np.concatenate([counts, fakes[..., None, :]], -2) if any_fakes else counts
        none = np.zeros((*missed.shape[:-1], int(any_fakes)))
        truth = causes.sum(-1) + np.concatenate([missed, none], -1)
        spectrum, slope = self._invert(measured, over(causes, truth[..., None]), truth, seen)
        size = counts.shape[-2]
        return spectrum[..., :size], slope[..., :size, :]

    @property
    def covariance_(self) -> Floats:
        """The statistical covariance (T, T): of the data and of the simulation."""
        return self.covariance_data_ + self.covariance_simulation_

    def spectrum(self, observable: str, unit: str = "") -> BinnedSpectrum:
        """Return the unfolded spectrum, named, with its covariances by source."""
        parts = {"data": self.covariance_data_, "simulation": self.covariance_simulation_}
        if not self.replicas:
            del parts["simulation"]
        edges = self.response_.truth_edges
        return BinnedSpectrum(observable, unit, edges, self.spectrum_, parts, "events")

    def weights(self, truth: ArrayLike) -> Floats:
        """Return the weight of simulated events (N,) that makes them the unfolded spectrum.

        It is spectrum / simulation in the event's bin, and 1 outside the bins.
        """
        ratio = self.spectrum_ / self.response_.truth
        bin_of, inside = bins_of(np.asarray(truth, np.float64).ravel(), self.response_.truth_edges)
        return np.where(inside, ratio[np.where(inside, bin_of, 0)], 1.0)


class IterativeBayes(BinnedUnfolding):
    """Unfold a histogram by D'Agostini's iteration; see `unfold_iteratively`.

    Args:
        truth_edges: of the bins of the truth, (T + 1,).
        reco_edges: of the bins of what is measured, (R + 1,).
        iterations: how many; more follow the data closer, and their fluctuations with them. There
            is no stopping rule in silence; `iteration_curve` helps to choose.
        prior: "simulation", "flat" in bins, or a spectrum (T,).
        fakes: "share" or "cause"; see the head of the module.
        replicas: of the simulation, for the covariance of its counting; 0 leaves that out.

    After `fit`: `spectrum_` (T,), numbers of true events; `covariance_` (T, T), the sum of
    `covariance_data_` (propagated through all iterations) and `covariance_simulation_` (a Poisson
    bootstrap of the matrix, the prior where it is the simulation's, and the fakes); `response_`.
    """

    name: ClassVar[str] = "iterative-bayes"

    def __init__(
        self,
        *,
        truth_edges: Sequence[float],
        reco_edges: Sequence[float],
        iterations: int = 4,
        prior: Literal["simulation", "flat"] | Sequence[float] = "simulation",
        fakes: Literal["share", "cause"] = "share",
        replicas: int = 200,
    ) -> None:
        self.truth_edges = truth_edges
        self.reco_edges = reco_edges
        self.iterations = iterations
        self.prior = prior
        self.fakes = fakes
        self.replicas = replicas

    def _invert(
        self, measured: Floats, matrix: Floats, truth: Floats, seen: Floats
    ) -> tuple[Floats, Floats]:
        start = self._start(truth)
        spectra, slopes = unfold_iteratively(measured, matrix, start, self.iterations)
        return spectra[-1], slopes[-1]

    def _start(self, truth: Floats) -> Floats:
        """Return the prior of all causes (..., T) or, with the fakes, (..., T + 1)."""
        if isinstance(self.prior, str) and self.prior == "simulation":
            return truth
        if isinstance(self.prior, str) and self.prior != "flat":
            raise InputError(f"prior '{self.prior}' is unknown; give simulation, flat or numbers.")
        size = self.response_.truth.size
        prior = np.ones(size) if self.prior == "flat" else np.asarray(self.prior, np.float64)
        if prior.shape != (size,) or not (prior > 0).all():
            raise InputError(f"the prior needs {size} positive numbers; an empty bin stays empty.")
        # The fakes keep their simulated number beside the true events.
        true = truth[..., :size].sum(-1, keepdims=True)
        return np.concatenate([prior / prior.sum() * true, truth[..., size:]], -1)


class MatrixInversion(BinnedUnfolding):
    """Unfold a histogram by inverting the response matrix, or by least squares if R > T.

    It has no prior and no bias, and a large, oscillating variance where the smearing is as wide
    as the bins. Least squares weight each detector bin by its simulated content, so that the
    weights do not follow the fluctuations of the data.

    Args:
        truth_edges: of the bins of the truth, (T + 1,).
        reco_edges: of the bins of what is measured, (R + 1,), R >= T, or R > T with fakes
            as a cause.
        fakes: "share" or "cause"; see the head of the module.
        replicas: of the simulation, for the covariance of its counting; 0 leaves that out.

    After `fit`: as `IterativeBayes`.
    """

    name: ClassVar[str] = "matrix-inversion"

    def __init__(
        self,
        *,
        truth_edges: Sequence[float],
        reco_edges: Sequence[float],
        fakes: Literal["share", "cause"] = "share",
        replicas: int = 200,
    ) -> None:
        self.truth_edges = truth_edges
        self.reco_edges = reco_edges
        self.fakes = fakes
        self.replicas = replicas

    def _invert(
        self, measured: Floats, matrix: Floats, truth: Floats, seen: Floats
    ) -> tuple[Floats, Floats]:
        scale = np.sqrt(over(np.ones_like(seen), seen))
        design = np.swapaxes(matrix * scale, -1, -2)
        # Asked of the simulation itself; of a replica the pseudo-inverse makes the best it can.
        if design.ndim == 2 and (rank := np.linalg.matrix_rank(design)) < design.shape[1]:
            raise InputError(
                f"the response matrix has rank {rank} for {design.shape[1]} causes, so that no"
                " inverse exists; merge truth bins, or use finer bins at detector level."
            )
        inverse: Floats = np.asarray(np.linalg.pinv(design) * scale)
        return np.einsum("...tr,...r->...t", inverse, measured), inverse
