"""Limits on a signal by injection: the search is trained anew at every strength.

A search that learns from the data finds a strong signal and misses a weak one, so that its
efficiency depends on what it is to exclude.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import gammaincc
from scipy.stats import gamma
from sklearn.base import clone

from colliderkit.errors import InputError
from colliderkit.events.tables import as_column, as_table
from colliderkit.files import atomic_file
from colliderkit.methods.search.resonant.search import ResonantSearch
from colliderkit.methods.search.spectrum import excess
from colliderkit.progress import progress_bar
from colliderkit.seeds import derive

__all__ = ["Injection", "Limits", "injected", "upper_limit"]

Floats = NDArray[np.float64]
QUANTILES = (np.arange(200) + 0.5) / 200  # of the background's density, over which is averaged


@dataclass(frozen=True)
class Injection:
    """One search of data with `strength` events of a signal injected.

    - `efficiency` ± `error`: the share of these that pass the cut and are in the window;
    - `observed`: events of the data alone that do, `expected` ± `uncertainty`: what the fit to the
      data that pass foretells;
    - `upper`, `upper_expected`: the most signal events behind the cut that are not excluded, as
      observed and for as many as expected.
    """

    strength: int
    efficiency: float
    error: float
    observed: float
    expected: float
    uncertainty: float
    upper: float
    upper_expected: float


@dataclass(frozen=True)
class Limits:
    """Limits on the number of signal events before the cut, at the confidence `level`.

    `limit` is that of the data and `expected` that for as many events as the fit foretells; each is
    the least strength from which on all `injections` are excluded, and None where none is.
    """

    level: float
    injections: list[Injection]
    limit: float | None
    expected: float | None


def upper_limit(
    observed: float, expected: float, uncertainty: float, *, level: float = 0.95
) -> float:
    r"""Return the largest signal s that n events do not exclude where b ± u are expected, by CLs.

    .. math:: \mathrm{CL}_s = P(N \le n \,|\, s + b) / P(N \le n \,|\, b) = 1 - \mathrm{level}

    averaged over a gamma density of b with this mean and standard deviation (Cousins and Highland
    1992; Read 2002). Without background and events it is -ln(1 - level), 3.0 at 95%. Raises
    `InputError` for negative numbers and a level outside of (0, 1).
    """
    if min(observed, expected, uncertainty) < 0 or not 0 < level < 1:
        raise InputError(
            f"{observed:g} events, {expected:g} ± {uncertainty:g} expected and level {level:g}"
            " make no limit; the first three must not be negative, and the level a share."
        )
    background = np.array([expected])
    if uncertainty > 1e-6 * expected and expected > 0:
        shape = (expected / uncertainty) ** 2
        background = gamma.ppf(QUANTILES, shape, scale=expected / shape)

    def tail(signal: float) -> float:
        return float(gammaincc(observed + 1, signal + background).mean())

    without = tail(0.0)
    highest = 10 + observed + 10 * np.sqrt(observed + 1) + expected
    return float(brentq(lambda s: tail(s) - (1 - level) * without, 0, highest))


def injected(
    method: ResonantSearch,
    features: ArrayLike,
    mass: ArrayLike,
    signal: tuple[ArrayLike, ArrayLike],
    *,
    strengths: Sequence[int],
    simulation: tuple[ArrayLike, ...] | None = None,
    label: ArrayLike | None = None,
    names: Sequence[str] = (),
    level: float = 0.95,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Limits:
    """Fit a clone of `method` to data with signal at each of `strengths`, and return the limits.

    `features` (N, F) and `mass` (N,) are the data, `signal` features and masses of the model, of
    which as many events are drawn as the strength says, each once. `label` (N,) of the data is for
    the bounds alone, which know what was injected. What each search finished is
    kept in `folder`, if one is given, and taken from there. Raises `InputError` for strengths that
    do not rise from 1, or are more than the model has events.
    """
    table, column = as_table(features, "features", names), as_column(mass, np.size(mass), "mass")
    model = as_table(signal[0], "the signal", names)
    peak = as_column(signal[1], len(model), "the mass of the signal")
    listed = [int(strength) for strength in strengths]
    if not listed or listed[0] < 1 or listed != sorted(set(listed)):
        raise InputError(f"strengths are {listed}; give rising numbers of events, 1 or more.")
    if listed[-1] > len(model):
        raise InputError(
            f"strengths go up to {listed[-1]} events, and the signal has {len(model)}; give more"
            " signal events or smaller strengths."
        )
    known = np.zeros(len(column)) if label is None else as_column(label, len(column), "label")
    found = []
    with progress_bar(shown=progress) as shown:
        task = shown.add_task("strengths", total=len(listed))
        for strength in listed:
            note = None if folder is None else Path(folder) / f"injection-{strength}.json"
            if note is not None and note.is_file():
                found.append(Injection(**json.loads(note.read_text())))
                continue
            own = derive(seed, "injection", strength)
            rows = np.random.default_rng(own).permutation(len(model))[:strength]
            search = clone(method).fit(
                np.concatenate([table, model[rows]]),
                np.append(column, peak[rows]),
                simulation=simulation,
                label=np.append(known, np.ones(strength)) if "label" in method.needs else None,
                names=names,
                seed=own,
                progress=False,
            )
            found.append(_counted(search, column, peak[rows], level))
            if note is not None:
                note.parent.mkdir(parents=True, exist_ok=True)
                with atomic_file(note, force=True) as part:
                    part.write_text(json.dumps(asdict(found[-1])))
            shown.advance(task)
    return Limits(
        level,
        found,
        _crossing(found, [one.upper for one in found]),
        _crossing(found, [one.upper_expected for one in found]),
    )


def _counted(search: ResonantSearch, mass: Floats, peak: Floats, level: float) -> Injection:
    """Count what passes of data (N,) and of the injected events after them (S,)."""
    low, high = search.signal_region
    passed, own = search.passed_[: len(mass)], search.passed_[len(mass) :]
    share = float((own & (peak >= low) & (peak < high)).mean())
    some = min(max(share, 1 / len(peak)), 1 - 1 / (1 + len(peak)))
    behind = excess(
        mass[passed],
        region=search.signal_region,
        edges=search.excess_.edges,
        family=search.family,
        orders=search.orders,
    )
    b, u = behind.expected, behind.uncertainty
    return Injection(
        len(peak),
        share,
        float(np.sqrt(some * (1 - some) / len(peak))),
        behind.observed,
        b,
        u,
        upper_limit(behind.observed, b, u, level=level),
        upper_limit(b, b, u, level=level),
    )


def _crossing(found: Sequence[Injection], upper: Sequence[float]) -> float | None:
    """Return the strength from which on the signal behind the cut is more than the upper limit."""
    strength = np.array([one.strength for one in found], dtype=np.float64)
    behind = strength * np.array([one.efficiency for one in found])
    ratio = np.log(np.maximum(behind, 1e-9) / np.asarray(upper))
    if ratio[-1] < 0:
        return None
    below = np.flatnonzero(ratio < 0)
    if not len(below):
        return float(strength[0])
    i = int(below[-1])
    part = ratio[i] / (ratio[i] - ratio[i + 1])
    return float(np.exp((1 - part) * np.log(strength[i]) + part * np.log(strength[i + 1])))
