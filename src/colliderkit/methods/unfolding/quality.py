"""Quality of an observable for unfolding: inflation of variance, purity, stability, bias."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from colliderkit.errors import InputError
from colliderkit.events.binning import balanced_edges
from colliderkit.methods.unfolding.binned import unfold_iteratively
from colliderkit.methods.unfolding.response import Response, over, real_share
from colliderkit.metrics.value import Value

__all__ = [
    "Assessment",
    "NatureBias",
    "Quality",
    "expected_covariance",
    "information_and_bias",
    "purity",
    "stability",
]

Floats = NDArray[np.float64]
REPLICAS = 100


def expected_covariance(response: Response) -> Floats:
    """Return the covariance (T, T) of the spectrum that `response` simulates, if inverted.

        C = (P diag(1/m) P^T)^-1,

    P (T, R) the response matrix and m (R,) the expected counts with fakes: what counting alone
    costs an unbiased unfolding, whatever its algorithm (Cramer-Rao). It scales with 1 / events.
    """
    seen = response.counts.sum(0) + response.fakes
    return _covariance(response.matrix, seen)


def _covariance(matrix: Floats, seen: Floats) -> Floats:
    information = (matrix * over(np.ones_like(seen), seen)[..., None, :]) @ np.swapaxes(
        matrix, -1, -2
    )
    if information.ndim == 2 and np.linalg.matrix_rank(information) < len(information):
        raise InputError(
            "the response matrix does not tell all truth bins apart, so that no inverse exists;"
            " merge truth bins, or use finer bins at detector level."
        )
    return np.asarray(np.linalg.pinv(information))


def purity(response: Response) -> Floats:
    """Return p(true in bin i | seen in bin i) (T,), of equal bins at both levels."""
    _check_square(response)
    return over(np.diag(response.counts), response.counts.sum(0) + response.fakes)


def stability(response: Response) -> Floats:
    """Return p(seen in bin i | true in bin i, seen) (T,), of equal bins at both levels."""
    _check_square(response)
    return over(np.diag(response.counts), response.counts.sum(1))


def _check_square(response: Response) -> None:
    if not np.array_equal(response.truth_edges, response.reco_edges):
        raise InputError("purity and stability need the same edges at both levels.")


@dataclass(frozen=True)
class Quality:
    """Variance inflation of each truth bin, from the response alone.

    - `inflation` (T,): the variance of the inverted bin over that of counting its true events,
      n_t; 1 for a perfect detector, 1 / efficiency for one that only loses events;
    - `error` (T,): the standard deviation of `inflation`, from the simulation's counting;
    - `condition`: largest over smallest singular value of the response matrix;
    - `mean` and `mean_error`: the geometric mean of `inflation` over the bins, which one hopeless
      bin does not decide.
    """

    inflation: Floats
    error: Floats
    condition: float
    mean: float
    mean_error: float

    @classmethod
    def of(cls, response: Response, *, bins: slice = slice(None), seed: int = 0) -> Self:
        """Compute the quality of a response; raise `InputError` where it has no inverse.

        `bins` are the truth bins asked for: others, such as those of under- and overflow, are
        unfolded with them and left out of the answer.
        """
        truth = response.truth
        factor = (np.diag(expected_covariance(response)) / truth)[bins]
        counts, missed, fakes = response.replicas(REPLICAS, seed)
        again_truth = counts.sum(-1) + missed
        again = _covariance(over(counts, again_truth[..., None]), counts.sum(-2) + fakes)
        spread = (np.diagonal(again, axis1=-2, axis2=-1) / again_truth)[:, bins]
        return cls(
            factor,
            spread.std(0, ddof=1),
            float(np.linalg.cond(response.matrix)),
            float(np.exp(np.log(factor).mean())),
            float(np.exp(np.log(spread).mean(1)).std(ddof=1)),
        )


@dataclass(frozen=True)
class NatureBias:
    """Bias of iterative unfolding in a nature that is not the simulation, per truth bin.

    - `relative` (T,): bias over statistical error after a fixed number of iterations;
    - `size`: its root mean square over the bins;
    - `total`: (bias^2 + variance) / counting variance, the mean over the bins, at the best
      iteration, which only who knows the truth can choose.

    The errors of the two are from replicas of the simulation.
    """

    relative: Floats
    size: Value
    total: Value

    @classmethod
    def of(
        cls,
        response: Response,
        measured: ArrayLike,
        truth: ArrayLike,
        *,
        iterations: int = 4,
        longest: int = 60,
        bins: slice = slice(None),
        replicas: int = 20,
        seed: int = 0,
    ) -> Self:
        """Unfold the expectation `measured` (R,) of a nature whose spectrum `truth` (T,) is known.

        `iterations` are those of `relative` and `size`, `longest` the most tried for `total`;
        `bins` are the truth bins asked for.
        """
        m, known = (np.asarray(values, dtype=np.float64) for values in (measured, truth))
        # The simulation itself comes first in the batch, its replicas after it.
        counts, missed, fakes = (
            np.concatenate([one[None], many])
            for one, many in zip(
                (response.counts, response.missed, response.fakes),
                response.replicas(replicas, seed),
                strict=True,
            )
        )
        simulated = counts.sum(-1) + missed
        real = real_share(counts, fakes)
        prior = simulated / simulated.sum(-1, keepdims=True) * known.sum()
        matrix = over(counts, simulated[..., None])
        spectra, slopes = unfold_iteratively(m * real, matrix, prior, longest)
        variance = np.einsum("kbtr,br->kbt", slopes[1:] ** 2, m * real**2)[..., bins]
        bias = (spectra[1:] - known)[..., bins]
        total = ((bias**2 + variance) / known[bins]).mean(-1).min(0)
        relative = bias[iterations - 1] / np.sqrt(variance[iterations - 1])
        size = np.sqrt((relative**2).mean(-1))
        return cls(
            relative[0],
            *(Value(float(x[0]), float(x[1:].std(ddof=1))) for x in (size, total)),
        )


@dataclass(frozen=True)
class Assessment:
    """Quality of one observable for unfolding: response, purity, stability, and bias by nature.

    `seen` (N,) are its values of the simulated events that are seen; purity and stability (T,) are
    those in the bins of the truth, NaN where the observable has bins of its own.
    """

    seen: Floats
    response: Response
    quality: Quality
    purity: Floats
    stability: Floats
    bias: Mapping[str, NatureBias]

    @classmethod
    def of(
        cls,
        seen: Mapping[str, Floats],
        reco_edges: Floats | int,
        *,
        truth: Mapping[str, Floats],
        pass_reco: NDArray[np.bool_],
        truth_edges: Floats,
        events: float,
        iterations: int = 4,
    ) -> Self:
        """Assess an observable on the events of a simulation and of natures.

        Of each by name, the simulation first: the observable `seen` (M,) of the events that are
        seen, and the `truth` (N,) of all; `pass_reco` (N,) are the simulated ones that are seen.
        `reco_edges` are those of the observable, or the number of its bins, of equal shares of all
        truth bins together. `truth_edges` end in bins of under- and overflow, which are unfolded
        with the others and left out of the answer. Natures are scaled to `events` seen.
        """
        inner = slice(1, -1)
        (first, values), *natures = seen.items()
        reco = np.zeros(len(truth[first]))
        reco[pass_reco] = values
        pure = stable = np.full(len(truth_edges) - 3, np.nan)
        counted = partial(Response.counted, reco, truth[first], truth_edges, pass_reco=pass_reco)
        if isinstance(reco_edges, int):
            same = counted(truth_edges)
            pure, stable = purity(same)[inner], stability(same)[inner]
            shares = truth[first][pass_reco], truth_edges
            reco_edges = balanced_edges(values, reco_edges, *shares)
        response = counted(reco_edges)
        bias = {}
        for name, of_nature in natures:
            measured = np.histogram(of_nature, reco_edges)[0].astype(np.float64)
            scale = events / measured.sum()
            expected = np.histogram(truth[name], truth_edges)[0] * scale
            bias[name] = NatureBias.of(
                response, measured * scale, expected, iterations=iterations, bins=inner
            )
        return cls(values, response, Quality.of(response, bins=inner), pure, stable, bias)

    def row(self) -> list[Any]:
        """Return condition, mean purity and stability ("-" if none), and each nature's bias."""
        means = [float(part.mean()) for part in (self.purity, self.stability)]
        shares = ["-" if math.isnan(mean) else mean for mean in means]
        return [self.quality.condition, *shares, *(bias.size for bias in self.bias.values())]


def information_and_bias(
    observable: Floats, truth: Floats, nature_observable: Floats, nature_truth: Floats
) -> tuple[Value, Value]:
    """Estimate the information of an observable and its bias in another nature, from events (N,).

    The mutual information with the truth, -ln(1 - rho^2) / 2 nats, of normal numbers of correlation
    rho; and by how much the mean of the truth is wrong in nature (M,), if the observable is divided
    by its slope in the simulation.
    """
    n = len(truth)
    rho = float(np.corrcoef(observable, truth)[0, 1])
    # The error of a correlation is (1 - rho^2) / sqrt(n), and dI = rho drho / (1 - rho^2).
    information = Value(-0.5 * math.log(1 - rho**2), abs(rho) / math.sqrt(n))
    slope = float(np.cov(observable, truth)[0, 1] / truth.var())
    rest, nature_rest = observable / slope - truth, nature_observable / slope - nature_truth
    error = math.hypot(rest.std(), nature_rest.std()) / math.sqrt(n)
    return information, Value(float(nature_rest.mean() - rest.mean()), error)
