"""Two-sample chi^2 test: have two samples of a number one density?"""

import numpy as np
from numpy.typing import ArrayLike

from colliderkit.errors import InputError

__all__ = ["histogram_chi2"]


def histogram_chi2(reference: ArrayLike, sample: ArrayLike, *, bins: int = 30) -> float:
    """Return chi^2 over its degrees of freedom of the histograms of two samples, (N,) and (M,).

        chi^2 = sum_b (sqrt(M/N) r_b - sqrt(N/M) s_b)^2 / (r_b + s_b),

    over `bins` bins that hold equal shares of the reference, the outer ones without end; its
    expectation for equal densities is `bins` - 1, for the shapes alone are compared. This is what
    FastCaloGAN chooses its epochs by (2109.02551). Raises `InputError` for samples that are empty
    or not finite.
    """
    x, y = np.ravel(np.asarray(reference, float)), np.ravel(np.asarray(sample, float))
    for name, values in (("reference", x), ("sample", y)):
        if len(values) == 0 or not np.isfinite(values).all():
            raise InputError(f"the {name} is empty or not finite; check what made it.")
    # Equal values of the reference, say many zeros, share a bin.
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1]))
    r, s = (
        np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        for values in (x, y)
    )
    share = np.sqrt(len(y) / len(x))
    filled = r + s > 0
    terms = (share * r[filled] - s[filled] / share) ** 2 / (r[filled] + s[filled])
    return float(terms.sum() / max(filled.sum() - 1, 1))
