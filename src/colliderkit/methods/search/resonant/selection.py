"""Choose among searches without labels: by how far two halves of the data agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.binning import inside
from colliderkit.events.schema import hash_uniform
from colliderkit.events.tables import as_column, as_table
from colliderkit.methods.search.resonant.search import ResonantSearch
from colliderkit.metrics.value import Value
from colliderkit.seeds import derive

__all__ = ["Selection", "select_search"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Selection:
    """The `agreement` of each candidate by its name, and the `best`, which has the largest."""

    agreement: dict[str, Value]
    best: str


def select_search(
    candidates: Mapping[str, ResonantSearch],
    features: ArrayLike,
    mass: ArrayLike,
    *,
    simulation: tuple[ArrayLike, ...] | None = None,
    names: Sequence[str] = (),
    seed: int = 0,
) -> Selection:
    r"""Return which of several searches two halves of the data agree about best, without labels.

    The rule: each candidate is fitted to both halves, apart from each other. Events of the window
    of one half have two scores of judges that have not seen them, one from their own half (another
    fold) and one from the other half. With q the candidate's `efficiency`, and o the share of the
    best q by the one that are among the best q by the other,

    .. math:: \mathrm{agreement} = (o - q) / (1 - q)

    is 0 for what follows the fluctuations of its half, and larger for what both have in common: a
    signal, or a trend of the features with the mass, which has to be excluded before
    (`mass_dependence`). It never looks at the spectrum behind the cut, so that choosing by it makes
    no bump. The error is that of counting.

    `features` (N, F) and `mass` (N,) are the data, `simulation` as of the candidates' `fit`. Raises
    `InputError` for no candidate and bounds, which know the labels.
    """
    if not candidates or any("label" in one.needs for one in candidates.values()):
        raise InputError(
            "candidates must be one search or more, and none that needs labels: the choice is"
            " made without them."
        )
    table = as_table(features, "features", names)
    column = as_column(mass, len(table), "mass")
    first = hash_uniform(np.arange(len(table)), derive(seed, "halves")) < 0.5
    found = {}
    for name, candidate in candidates.items():
        fitted = [
            clone(candidate).fit(
                table[half],
                column[half],
                simulation=simulation,
                names=names,
                seed=derive(seed, "half", k),
                progress=False,
            )
            for k, half in enumerate((first, ~first))
        ]
        both, chosen, q = 0, 0, candidate.efficiency
        for own, other, half in ((*fitted, first), (*fitted[::-1], ~first)):
            there = inside(column[half], candidate.signal_region)
            scores = (
                own.score_[there],
                other.score(table[half][there], column[half][there]),
            )
            count = max(1, round(q * int(there.sum())))
            best = [set(np.argsort(-score, kind="stable")[:count].tolist()) for score in scores]
            both, chosen = both + len(best[0] & best[1]), chosen + count
        share = both / chosen
        error = float(np.sqrt(max(share * (1 - share), 1 / chosen) / chosen))
        found[name] = Value((share - q) / (1 - q), error / (1 - q))
    return Selection(found, max(found, key=lambda name: found[name].value))
