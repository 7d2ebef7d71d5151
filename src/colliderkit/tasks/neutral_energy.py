"""The task of neutral energy beside a track: fit, apply, evaluate and page."""

from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.files import existing_file
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.neutral_energy import (
    NeutralEnergy,
    neutral_energy,
    neutral_shares,
)
from colliderkit.methods.reconstruction.subtraction import ParametrisedSubtraction
from colliderkit.metrics.particle_flow import direction_error, residuals
from colliderkit.metrics.value import Value, number
from colliderkit.report.clustering import responses
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.sources import write
from colliderkit.sources.files.calorimeter_hits import (
    hit_columns,
    read_hits,
    read_tracks,
    track_columns,
)
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = [
    "DIRECTION",
    "MEDIAN",
    "NOTHING",
    "ORACLE",
    "TAIL",
    "WIDTH",
    "NeutralEnergyTask",
    "neutral_rows",
]

Files = list[str] | str
MEDIAN, WIDTH, TAIL = "median residual", "half-width of the residual", "residuals beyond 1"
DIRECTION = "direction off [mm]"
NOTHING, ORACLE = "no subtraction", "true shares"
LEAST = 0.1  # GeV of neutral energy, for a residual relative to it


class NeutralEnergyTask(Task):
    """Predict how much of the energy beside a track is neutral, cell by cell."""

    methods = ("neutral-energy", "parametrised-subtraction")
    written: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def read(self, method: NeutralEnergy | ParametrisedSubtraction, *, files: Files) -> Inputs:
        r"""Learn the neutral share of cells from events with truth and one track each.

        Args:
            files: Parquet files of hits with their truth (as of clustering), and track_x, track_y
                [mm] and track_p [GeV] of each event.

        Examples:
            colliderkit fit neutral-energy pairs.parquet --out neutral
            colliderkit fit neutral-energy pairs.parquet --method parametrised-subtraction \
              --out subtraction
        """
        hits, track = read_and_say(files)
        return Inputs(method, {"hits": hits, "track": track})

    def apply(
        self,
        method: NeutralEnergy | ParametrisedSubtraction,
        *,
        files: Files,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write `neutral_share` of each hit and `neutral_energy` of each event, beside the hits.

        Args:
            files: Parquet files of hits and tracks; truth may be absent.

        Examples:
            colliderkit apply neutral new.parquet --out shares.parquet
        """
        hits, track = read_and_say(files)
        share = method.predict(hits, track)
        columns = {**hit_columns(hits), **track_columns(track)}
        columns["neutral_share"] = ak.unflatten(share, hits.counts)
        columns["neutral_energy"] = ak.Array(neutral_energy(hits, share))
        write(out, columns, force=force)

    def evaluate(
        self, method: NeutralEnergy | ParametrisedSubtraction, *, files: Files
    ) -> Evaluation:
        """Compare the neutral energy with the truth, beside no subtraction and the true shares.

        Args:
            files: Parquet files of hits with their truth and tracks, which the fit has not seen.

        Examples:
            colliderkit evaluate neutral test.parquet --out test
        """
        hits, track = read_and_say(files)
        if not hits.known:
            raise InputError(f"{files}: has no true particles to compare with; give particle_id.")
        true = neutral_shares(hits)
        shares = {
            method.name: method.predict(hits, track),
            NOTHING: np.ones(len(hits.energy)),
            ORACLE: true,
        }
        truth = neutral_energy(hits, true)
        kept = truth > LEAST
        if kept.sum() < 3:
            raise InputError(
                f"{files}: {int(kept.sum())} events have more than {LEAST:g} GeV of neutral energy;"
                " give three or more."
            )
        rows: list[Result] = []
        for name, share in shares.items():
            off = direction_error(hits, share, true)
            rows += neutral_rows(name, neutral_energy(hits, share)[kept], truth[kept], off[kept])
        events = {
            "truth": truth,
            "estimate": neutral_energy(hits, shares[method.name]),
            "all": neutral_energy(hits, shares[NOTHING]),
        }
        about: dict[str, Any] = {"method": method.name}
        return Evaluation(f"{method.name} on {number(len(hits))} events", rows, events, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: residuals of the neutral energy.

        Examples:
            colliderkit report test
        """
        note = runs.about(evaluation)
        page = runs.page(
            "Neutral energy beside a track",
            "The share of neutral energy of each cell, summed: residuals are (estimate - truth) /"
            f" truth, of events with more than {LEAST:g} GeV of neutral energy.",
            model,
            note,
        )
        page.add_heading("Figures of merit")
        page.add_results(
            read_results(existing_file(evaluation / runs.RESULTS)),
            "Median, half of the central 68% and the share beyond 1 of the residuals, and the"
            " median distance of the mean place from the true one.",
        )
        table = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        truth = np.asarray(table["truth"])
        kept = truth > LEAST
        ratios = {
            name: (np.asarray(table[column]) / np.maximum(truth, LEAST))[kept]
            for name, column in ((note["method"], "estimate"), (NOTHING, "all"))
        }
        page.add_figure(
            responses(ratios, np.linspace(0, 2, 41), "Neutral energy / true neutral energy"),
            "The neutral energy of events over the true one.",
        )
        page.conclude(
            [
                Aim("It is better than to subtract nothing", WIDTH, note["method"], "below",
                    against=NOTHING)
            ]
        )  # fmt: skip
        return page

    def summary(self, method: Method) -> str:
        """Say of what layers it is."""
        if isinstance(method, ParametrisedSubtraction):
            response = method.response_.mean()
            return f"parametrised subtraction, mean E / p of a charged hadron {response:.3f}"
        assert isinstance(method, NeutralEnergy)
        cells = ", ".join(f"{w:g}" for w in method.widths_)
        return f"neutral energy ({method.kind}), layers with cells of {cells} mm"


def neutral_rows(subject: str, estimate: Floats, truth: Floats, off: Floats) -> list[Result]:
    """Return the rows of one estimate (N,) of positive truths, and how far it points off [mm]."""
    summary = residuals(estimate, truth)
    known = off[np.isfinite(off)]
    middle = float(np.median(known)) if len(known) else float("nan")
    # Of a median: 1.25 standard errors of a mean, for normal tails.
    error = 1.25 * float(np.std(known)) / len(known) ** 0.5 if len(known) else float("nan")
    values = {
        MEDIAN: summary.median,
        WIDTH: summary.width,
        TAIL: summary.tail,
        DIRECTION: Value(middle, error),
    }
    return [Result(subject, name, v.value, v.error) for name, v in values.items()]


def read_and_say(files: Files) -> tuple[Any, Floats]:
    """Read hits and tracks, and say what was read."""
    hits, track = read_hits(files), read_tracks(files)
    truth = f"{number(len(hits.pdg))} true particles" if hits.known else "no truth"
    account(f"read {files}: {number(len(hits))} events, {number(len(hits.energy))} hits, {truth}")
    account(
        f"tracks with {number(track[:, 2].min())} to {number(track[:, 2].max())} GeV, places taken"
        " as mm where they enter"
    )
    return hits, track
