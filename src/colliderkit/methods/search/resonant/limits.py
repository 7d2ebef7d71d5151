"""Limits on a signal by injection: the search is trained anew at every strength.

A search that learns from the data finds a strong signal and misses a weak one, so that its
efficiency depends on what it is to exclude.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import gammaincc
from scipy.stats import gamma
from sklearn.base import clone

from colliderkit.claims import claim, content
from colliderkit.errors import InputError
from colliderkit.events.binning import inside
from colliderkit.events.tables import as_column, as_table, as_weight, event_numbers
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
    the least strength from which on all `injections` are excluded, and None where none is. Where
    all are, it is the least of these, and the limit may be lower.
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
    signal: tuple[ArrayLike, ...],
    *,
    strengths: Sequence[int],
    simulation: tuple[ArrayLike, ...] | None = None,
    label: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    event: ArrayLike | None = None,
    names: Sequence[str] = (),
    level: float = 0.95,
    seed: int = 0,
    folder: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Limits:
    """Fit a clone of `method` to data with signal at each of `strengths`, and return the limits.

    `features` (N, F) and `mass` (N,) are the data, `weight` and `event` (N,) their weights and
    numbers as of the fit. `signal` are features, masses and, if there are, weights of the model: as
    many events are drawn as the strength says, each once, the likelier the larger their weight, and
    they count one. `label` (N,) of the data is for the bounds alone, which know what was injected.
    Finished folds and strengths are kept in `folder`, from which `resume` goes on. Raises
    `InputError` for strengths that do not rise from 1, or are more than the model has events, and
    for a folder that is of another request.
    """
    table, column = as_table(features, "features", names), as_column(mass, np.size(mass), "mass")
    model = as_table(signal[0], "the signal", names)
    peak = as_column(signal[1], len(model), "the mass of the signal")
    w = as_weight(weight, len(column), "the data", negative="a limit is on a Poisson count")
    chance = as_weight(
        signal[2] if len(signal) > 2 else None,
        len(model),
        "the signal",
        negative="it says how often an event is drawn",
    )
    listed = [int(strength) for strength in strengths]
    if not listed or listed[0] < 1 or listed != sorted(set(listed)):
        raise InputError(f"strengths are {listed}; give rising numbers of events, 1 or more.")
    if listed[-1] > (chance > 0).sum():
        raise InputError(
            f"strengths go up to {listed[-1]} events, and the signal has {(chance > 0).sum()}; give"
            " more signal events or smaller strengths."
        )
    numbers = event_numbers(event, len(column), "the data")
    known = np.zeros(len(column)) if label is None else as_column(label, len(column), "label")
    if folder is not None:
        request = method.get_params(deep=False) | {"method": method.name, "seed": seed}
        data = table, column, model, peak, w, chance, numbers, known, simulation
        claim(
            Path(folder),
            request | {"the data": content(data)},
            "limits.json",
            way_out="give another folder or leave out resume",
            anew=not resume,
        )
    found = []
    with progress_bar(shown=progress) as shown:
        task = shown.add_task("strengths", total=len(listed))
        for strength in listed:
            part = None if folder is None else Path(folder) / f"injection-{strength}"
            note = None if part is None else part.with_suffix(".json")
            if note is not None and note.is_file():
                found.append(_at_level(Injection(**json.loads(note.read_text())), level))
                shown.advance(task)
                continue
            own = derive(seed, "injection", strength)
            random = np.random.default_rng(own)
            rows = random.choice(len(model), strength, replace=False, p=chance / chance.sum())
            search = clone(method)
            search.fit(
                np.concatenate([table, model[rows]]),
                np.append(column, peak[rows]),
                simulation=simulation,
                label=np.append(known, np.ones(strength)) if "label" in method.needs else None,
                # What is injected are other events than those of the data.
                event=np.append(numbers, numbers.max() + 1 + np.arange(strength)),
                weight=None if weight is None else np.append(w, np.ones(strength)),
                names=names,
                seed=own,
                folder=part,
                resume=resume and part is not None and part.exists(),
                progress=False,
            )
            found.append(_counted(search, column, w, peak[rows], level))
            if note is not None and part is not None:
                with atomic_file(note, force=True) as written:
                    written.write_text(json.dumps(asdict(found[-1])))
                shutil.rmtree(part, ignore_errors=True)
            shown.advance(task)
    return Limits(
        level,
        found,
        _crossing(found, [one.upper for one in found]),
        _crossing(found, [one.upper_expected for one in found]),
    )


def _counted(
    search: ResonantSearch, mass: Floats, weight: Floats, peak: Floats, level: float
) -> Injection:
    """Count what passes of data (N,) and of the injected events after them (S,)."""
    passed, own = search.passed_[: len(mass)], search.passed_[len(mass) :]
    share = float((own & inside(peak, search.signal_region)).mean())
    some = min(max(share, 1 / len(peak)), 1 - 1 / (1 + len(peak)))
    behind = excess(
        mass[passed],
        region=search.signal_region,
        edges=search.excess_.edges,
        family=search.family,
        orders=search.orders,
        weight=weight[passed],
    )
    error = float(np.sqrt(some * (1 - some) / len(peak)))
    counts = behind.observed, behind.expected, behind.uncertainty
    return _at_level(Injection(len(peak), share, error, *counts, 0.0, 0.0), level)


def _at_level(found: Injection, level: float) -> Injection:
    """Return an injection with its limits at a level of confidence."""
    b, u = found.expected, found.uncertainty
    return replace(
        found,
        upper=upper_limit(found.observed, b, u, level=level),
        upper_expected=upper_limit(b, b, u, level=level),
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
