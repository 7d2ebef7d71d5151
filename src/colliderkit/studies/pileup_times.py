"""Times of particles in the study of pileup: the same events and methods, with and without them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak

from colliderkit.methods.reconstruction.charged_subtraction import ChargedHadronSubtraction
from colliderkit.methods.reconstruction.mitigation import Mitigation
from colliderkit.methods.reconstruction.puppi import Puppi
from colliderkit.report.pileup import against_pileup
from colliderkit.report.results import Result
from colliderkit.sources.detector.timing import blurred
from colliderkit.studies.collision_counts import label
from colliderkit.studies.run import Run
from colliderkit.tasks.pileup import CHS, MET, PT, series

__all__ = ["MEASURES", "Timed", "add_resolutions", "named", "timed", "untimed"]

MEASURES = """
Methods "30 ps" have times of the same particles with this resolution: of charged ones above 0.7 GeV
and neutral ones above 1 GeV within |eta| < 3, at the face of the calorimeter, corrected for the
flight from the hard vertex. The formulas drop particles of no known vertex farther than three
resolutions (30 ps at least) from the median time of the hard vertex's tracks; the graph sees the
difference. One resolution for all of these particles is better than detectors have for soft ones.
"""
RESOLUTIONS, LEAST = 3.0, 30.0  # of a window, and its least half-width [ps]
PUPPI, GRAPH = "PUPPI, tuned", "graph"


@dataclass(frozen=True)
class Timed:
    """A method that looks at times, and their resolution [ps]."""

    method: Mitigation
    resolution: float

    def seen(self, events: ak.Array, seed: int) -> ak.Array:
        """Return events with times of this resolution."""
        return blurred(events, self.resolution, seed=seed)


def untimed(events: ak.Array) -> ak.Array:
    """Return events without times."""
    return ak.without_field(events, ("particles", "time"))


def named(name: str, resolution: float) -> str:
    """Name a method with times."""
    return f"{name}, {resolution:g} ps"


def timed(
    run: Run[Any],
    train: ak.Array,
    graph: Callable[[], Mitigation],
    resolutions: Sequence[float],
    learned: Sequence[float],
) -> dict[str, Timed]:
    """Return CHS, tuned PUPPI and, where it is learned, the graph, at each resolution, by name."""
    found = {}
    for resolution in resolutions:
        events = blurred(train, resolution, seed=1)
        window = max(RESOLUTIONS * resolution, LEAST)
        kinds: dict[str, tuple[Mitigation, ak.Array, dict[str, Any]]] = {
            CHS: (ChargedHadronSubtraction(time_window=window), events[:1], {"progress": False}),
            PUPPI: (
                Puppi(time_window=window, tune=True),
                events[: run.scale.tune],
                {"progress": False},
            ),
        }
        if resolution in learned:
            kinds[GRAPH] = graph(), events, {}
        for kind, (method, given, options) in kinds.items():
            name = named(kind, resolution)
            found[name] = Timed(run.fitted(name, method, given, **options), resolution)
    return found


def add_resolutions(
    run: Run[Any], rows: list[Result], resolutions: Sequence[float], mu: float
) -> None:
    """Draw what times gain at one mean number of collisions, over their resolution."""
    sample = label(mu)
    places = [f"{resolution:g} ps" for resolution in sorted(resolutions)]
    run.report.add_heading("Times of particles")
    for quantity in (PT, MET):
        values = series(rows, quantity, [sample])
        shown: dict[str, dict[str, Any]] = {}
        for kind in (CHS, PUPPI, GRAPH):
            without = {"no times": values[kind][sample]} if kind in values else {}
            have = {p: f"{kind}, {p}" for p in places if f"{kind}, {p}" in values}
            shown[kind] = {p: values[name][sample] for p, name in have.items()} | without
        run.report.add_figure(
            against_pileup(shown, [*places, "no times"], quantity),
            f"{quantity[0].upper()}{quantity[1:]} at mu = {mu:g} by the resolution of the times of"
            " particles; methods are tuned or trained at each.",
        )
