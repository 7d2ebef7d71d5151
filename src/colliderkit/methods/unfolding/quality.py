"""Quality of an observable for unfolding: inflation of variance, purity, stability, bias."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.methods.unfolding.response import Response, over

__all__ = ["Quality", "expected_covariance", "purity", "stability"]

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
