"""The task of raw data end to end: fit, apply, evaluate, page and export."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.objects import CalorimeterObjects
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.neutral_energy import NEUTRAL, neutral_energy
from colliderkit.methods.reconstruction.raw_data import RawData, RawMethod, Reconstructed, Truth
from colliderkit.methods.reconstruction.shape_trees import ShapeTrees
from colliderkit.metrics.response import STATISTICS
from colliderkit.metrics.value import Value, number
from colliderkit.report.clustering import responses
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.serve.raw_data import export_raw_data
from colliderkit.sources import write
from colliderkit.sources.files.calorimeter_hits import (
    hit_columns,
    read_hits,
    read_masses,
    read_tracks,
    track_columns,
)
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = [
    "ENTROPY",
    "MERITS",
    "PULL",
    "WRONG",
    "RawDataTask",
    "merit_of",
    "merits",
    "per_event",
    "residuals_of",
    "values_of",
]

Files = list[str] | str
ENTROPY, WRONG = "cross entropy of the class", "events of wrong class"
PULL = "half-width of (E - true) / error"
# What each head is judged by; the smaller, the better.
MERITS = {
    "class": ENTROPY,
    "energy": "half-width of energy / true",
    "mass": "half-width of mass / true",
    "share": "half-width of neutral energy",
}
MIDDLES = {
    head: MERITS[head].replace("half-width", "median") for head in ("energy", "mass", "share")
}
LEAST = 0.1  # GeV of both in the cells, for the neutral energy of an event to be a question


class RawDataTask(Task):
    """Find class, energy, mass and neutral share of particles from the cells of a calorimeter."""

    methods = ("raw-data", "shape-trees")

    def read(self, method: RawMethod, *, files: Files) -> Inputs:
        r"""Learn what an event is from all its cells and its track, in one network.

        Args:
            files: Parquet files of hits with their truth (as of clustering), track_x, track_y
                [mm] and track_p [GeV] of each event, 0 where there is no track, and mass [GeV] of
                pairs, absent or null where there is none.

        Examples:
            colliderkit fit raw-data objects.parquet --out raw
            colliderkit fit raw-data objects.parquet --heads '[energy]' --out energy
            colliderkit fit raw-data objects.parquet --method shape-trees --out trees
        """
        return Inputs(method, {"events": read_and_say(files)})

    def apply(self, method: RawMethod, *, files: Files, out: Path, force: bool = False) -> None:
        """Write what the heads find of each event, beside the hits.

        Columns: `p_KIND` of each kind, `found_energy`, `found_energy_error`, `found_mass`,
        `neutral_energy`, and `neutral_share` of each hit.

        Args:
            files: Parquet files of hits and tracks; truth may be absent.

        Examples:
            colliderkit apply raw new.parquet --out found.parquet
        """
        events = read_and_say(files)
        found = method.predict(events)
        columns: dict[str, Any] = {**hit_columns(events.hits), **track_columns(events.track)}
        if found.probability is not None:
            for kind, values in zip(method.kinds_, found.probability.T, strict=True):
                columns[f"p_{kind}"] = values
        for name, values in (
            ("found_energy", found.energy), ("found_energy_error", found.energy_error),
            ("found_mass", found.mass), ("neutral_energy", found.neutral),
        ):  # fmt: skip
            if values is not None:
                columns[name] = values
        if found.share is not None:
            columns["neutral_share"] = ak.unflatten(found.share, events.hits.counts)
        write(out, columns, force=force)

    def evaluate(self, method: RawMethod, *, files: Files) -> Evaluation:
        """Compare what the heads find with the truth.

        Args:
            files: Parquet files of hits with their truth, tracks and masses, which the fit has not
                seen.

        Examples:
            colliderkit evaluate raw test.parquet --out test
        """
        events = read_and_say(files)
        if not events.hits.known:
            raise InputError(f"{files}: has no true particles to compare with; give particle_id.")
        truth, found = method.true(events), method.predict(events)
        rows = merits(method.name, found, truth, events)
        columns: dict[str, Any] = {"kind": truth.kind}
        columns |= {f"residual of {n}": r for n, r in residuals_of(found, truth, events).items()}
        about: dict[str, Any] = {"method": method.name, "kinds": method.kinds_}
        return Evaluation(f"{method.name} on {number(len(events))} events", rows, columns, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: residuals of each head.

        Examples:
            colliderkit report test
        """
        note = runs.about(evaluation)
        page = runs.page(
            "Raw data of a calorimeter",
            f"Class, energy, mass and neutral energy by {note['method']}, of events of"
            f" {', '.join(note['kinds'])}.",
            model,
            note,
        )
        page.add_heading("Figures of merit")
        rows = read_results(existing_file(evaluation / runs.RESULTS))
        page.add_results(
            rows,
            "Widths are half of the central 68%; the mass is of pairs, the neutral energy is over"
            " the sum of the cells, of events that have charged and neutral energy.",
        )
        table = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        drawn = {
            name.removeprefix("residual of "): 1 + residual[np.isfinite(residual)]
            for name in table.fields
            if name.startswith("residual of ")
            for residual in (ak.to_numpy(table[name]),)
        }
        if drawn:
            page.add_figure(
                responses(drawn, np.linspace(0.5, 1.5, 41), "Found / true"),
                "What is found over the truth; of the neutral energy 1 + (found - true) / sum.",
            )
        if any(row.quantity == WRONG for row in rows):
            page.conclude(
                [Aim("Classes are told better than by chance", WRONG, note["method"], "below",
                     1 - 1 / len(note["kinds"]))]
            )  # fmt: skip
        return page

    def export(self, method: RawMethod, *, files: Files, out: Path, force: bool = False) -> str:
        """Write the network as one ONNX file: from cells and the track to what the heads find.

        Args:
            files: Parquet files of hits and tracks that the file is checked on.

        Examples:
            colliderkit export raw test.parquet --out raw.onnx
        """
        if not isinstance(method, RawData):
            raise InputError(
                "shape-trees take shapes, which no file makes of cells; fit raw-data to export."
            )
        events = read_and_say(files)
        difference = export_raw_data(method, out, events, force=force)
        return f"differs from torch by {difference:.1e} at most on {number(len(events))} events"

    def summary(self, method: Method) -> str:
        """Say of what kinds and layers it is."""
        assert isinstance(method, RawData | ShapeTrees)
        return (
            f"{method.name}: {', '.join(method.heads)}, of {', '.join(method.kinds_)} in"
            f" {len(method.depths_)} layers"
        )


def residuals_of(
    found: Reconstructed, truth: Truth, events: CalorimeterObjects
) -> dict[str, Floats]:
    """Return residuals of energy, mass and neutral energy by head, (E,); NaN where there is none.

    (found - true) / true, and of the neutral energy over the sum of the cells.
    """
    seen = np.maximum(events.seen, 1e-3)
    residual: dict[str, Floats] = {}
    if found.energy is not None:
        residual["energy"] = found.energy / (seen * np.exp(truth.energy)) - 1
    if found.mass is not None:
        residual["mass"] = found.mass / np.exp(truth.mass) - 1
    if found.neutral is not None:
        hits = events.hits
        true = neutral_energy(hits, truth.share)
        light = np.isin(hits.pdg, NEUTRAL)
        charged = np.bincount(hits.particle_event, hits.deposit * ~light, len(hits))
        both = (true > LEAST) & (charged > LEAST)
        residual["share"] = np.where(both, (found.neutral - true) / seen, np.nan)
    return residual


def per_event(head: str, found: Reconstructed, truth: Truth, events: CalorimeterObjects) -> Floats:
    """Return what the figure of merit of a head is made of, (E,): residuals, or -ln p of a class.

    NaN of an event that does not count.
    """
    if head == "class":
        assert found.probability is not None
        right = found.probability[np.arange(len(events)), truth.kind]
        return np.asarray(-np.log(np.maximum(right, 1e-12)))
    return residuals_of(found, truth, events)[head]


def merit_of(head: str, values: Floats) -> float:
    """Return the figure of merit of a head by `MERITS`, of finite values (N,) of `per_event`."""
    if head == "class":
        return float(values.mean())
    low, high = np.quantile(values, [0.15866, 0.84134])
    return float(high - low) / 2


def merits(
    subject: str, found: Reconstructed, truth: Truth, events: CalorimeterObjects
) -> list[Result]:
    """Return the figures of merit of the heads that there are, with their counting errors."""
    values: Mapping[str, Value] = values_of(found, truth, events)
    return [Result(subject, name, v.value, v.error, counting=v.error) for name, v in values.items()]


def values_of(found: Reconstructed, truth: Truth, events: CalorimeterObjects) -> dict[str, Value]:
    """Return the figures of merit by name."""
    values: dict[str, Value] = {}
    if found.probability is not None:
        lost = per_event("class", found, truth, events)
        wrong = (found.probability.argmax(1) != truth.kind).astype(np.float64)
        for name, each in ((ENTROPY, lost), (WRONG, wrong)):
            values[name] = Value(float(each.mean()), float(each.std() / max(len(each), 1) ** 0.5))
    for head, residual in residuals_of(found, truth, events).items():
        known = residual[np.isfinite(residual)]
        if len(known) < 3:
            continue
        values[MIDDLES[head]], values[MERITS[head]] = middle_and_width(known)
    if found.energy_error is not None and found.energy is not None and len(events) > 2:
        true = events.seen.clip(min=1e-3) * np.exp(truth.energy)
        values[PULL] = middle_and_width((found.energy - true) / found.energy_error)[1]
    return values


def middle_and_width(values: Floats) -> tuple[Value, Value]:
    """Return the median and half of the central 68.3% of values (N,)."""
    share = np.full(len(values), 1 / len(values))
    middle, error, spread, spread_error = STATISTICS["median"](values, share, len(values))
    return Value(middle, error), Value(spread, spread_error)


def read_and_say(files: Files) -> CalorimeterObjects:
    """Read hits, tracks and masses, and say what was read."""
    hits = read_hits(files)
    events = CalorimeterObjects.checked(hits, read_tracks(files), read_masses(files))
    tracks = int((events.track[:, 2] > 0).sum())
    masses = int(np.isfinite(events.mass).sum())
    truth = f"{number(len(hits.pdg))} true particles" if hits.known else "no truth"
    account(
        f"read {files}: {number(len(events))} events, {number(len(hits.energy))} hits, {truth};"
        f" {number(tracks)} events with a track (track_p > 0), {number(masses)} with a mass"
    )
    return events
