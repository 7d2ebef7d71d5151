"""The task of superresolution: fit, apply, evaluate and page."""

from pathlib import Path
from typing import ClassVar

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.superresolution import Superresolution
from colliderkit.metrics.value import number
from colliderkit.report.clustering import responses
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.sources import write
from colliderkit.sources.files.calorimeter_hits import hit_columns, track_columns
from colliderkit.tasks import runs
from colliderkit.tasks.neutral_energy import read_and_say
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["EVEN", "MISPLACED", "SuperresolutionTask", "misplaced_rows"]

Files = list[str] | str
MISPLACED, EVEN = "share of the energy in wrong cells", "divided evenly"


class SuperresolutionTask(Task):
    """Predict energies and neutral shares on finer cells than are read out."""

    methods = ("superresolution",)
    written: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def read(self, method: Superresolution, *, files: Files) -> Inputs:
        """Learn from hits of fine cells with their truth, summed to the coarse ones of the method.

        Args:
            files: Parquet files of fine hits and tracks, as of neutral-energy.

        Examples:
            colliderkit fit superresolution fine.parquet --coarse 20,40,40,80,160,160 --out fine
        """
        hits, track = read_and_say(files)
        return Inputs(method, {"hits": hits, "track": track})

    def apply(
        self, method: Superresolution, *, files: Files, out: Path, force: bool = False
    ) -> None:
        """Write the fine cells of coarse hits, with their energies and `neutral_share`.

        Args:
            files: Parquet files of coarse hits and tracks.

        Examples:
            colliderkit apply fine coarse.parquet --out cells.parquet
        """
        hits, track = read_and_say(files)
        cells, share = method.predict(hits, track)
        columns = {**hit_columns(cells), **track_columns(track)}
        columns["neutral_share"] = ak.unflatten(share, cells.counts)
        write(out, columns, force=force)

    def evaluate(self, method: Superresolution, *, files: Files, noise_seed: int = 1) -> Evaluation:
        """Read fine hits out in coarse cells, predict the fine ones, and compare with the truth.

        Args:
            files: Parquet files of fine hits with their truth and tracks, not of the training.
            noise_seed: fixes the noise of the coarse cells.

        Examples:
            colliderkit evaluate fine test.parquet --out test
        """
        hits, track = read_and_say(files)
        if not hits.known:
            raise InputError(f"{files}: has no true particles to compare with; give particle_id.")
        rows, misplaced = misplaced_rows(method, hits, track, seed=noise_seed)
        title = f"{method.name} on {number(len(hits))} events"
        return Evaluation(title, rows, misplaced, {"method": method.name})

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: how much energy lies in wrong cells.

        Examples:
            colliderkit report test
        """
        note = runs.about(evaluation)
        page = runs.page(
            "Superresolution of a calorimeter",
            "Coarse cells are divided into fine ones: half of the sum of the differences between"
            " predicted and true energies of these, over the energy of the event.",
            model,
            note,
        )
        page.add_results(read_results(existing_file(evaluation / runs.RESULTS)))
        table = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        drawn = {name: np.asarray(table[name]) for name in table.fields}
        page.add_figure(
            responses(drawn, np.linspace(0, 1, 41), "Share of the energy in wrong cells"),
            "Share of the energy of events in wrong fine cells.",
        )
        page.conclude(
            [
                Aim("It is better than to divide cells evenly", MISPLACED, note["method"], "below",
                    against=EVEN)
            ]
        )  # fmt: skip
        return page

    def summary(self, method: Method) -> str:
        """Say from which cells to which."""
        assert isinstance(method, Superresolution)
        pairs = zip(method.coarse, method.fine_, strict=True)
        return "cells of " + ", ".join(f"{c:g} to {f:g}" for c, f in pairs) + " mm"


def misplaced_rows(
    method: Superresolution, hits: CalorimeterHits, track: Floats, *, seed: int
) -> tuple[list[Result], dict[str, Floats]]:
    """Return the mean share of energy in wrong fine cells, and that of each event by method.

    1/2 sum |e - e_true| / sum e of an event, the true energies scaled to what their coarse cell
    reads: of what the noise did the division is not guilty.
    """
    read = method.read_out(hits, seed=seed)
    found, _ = method.predict(read, track)
    even, parent = method.cut(read)
    truth, _ = method.truth(hits, even)
    sums = np.bincount(parent, truth, len(read.energy))
    scale = np.divide(read.energy, sums, out=np.zeros_like(sums), where=sums > 0)
    seen = sums[parent] > 0
    misplaced, rows = {}, []
    for name, cells in ((method.name, found), (EVEN, even)):
        off = np.abs(cells.energy - truth * scale[parent]) * seen / 2
        total = np.bincount(cells.event, cells.energy * seen, len(read))
        each = np.bincount(cells.event, off, len(read)) / np.maximum(total, 1e-30)
        misplaced[name] = each
        error = float(each.std(ddof=1) / len(each) ** 0.5) if len(each) > 1 else float("nan")
        rows.append(Result(name, MISPLACED, float(each.mean()), error))
    return rows, misplaced
