"""The task of clustering calorimeter hits: fit, apply, evaluate and page."""

import time
from pathlib import Path
from typing import ClassVar

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.calorimeter.hits import CalorimeterHits, Clusters
from colliderkit.files import existing_file
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.clue import CLUE
from colliderkit.methods.reconstruction.shower_clustering import ShowerClustering
from colliderkit.metrics.clustering import LEAST, match_clusters, nearest_other
from colliderkit.metrics.value import Value, number
from colliderkit.report.clustering import in_bins, responses, showers_and_clusters
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.serve.clustering import export_clustering
from colliderkit.sources.files.calorimeter_hits import read_hits, write_hits
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = [
    "EFFICIENCY",
    "LOOSE",
    "MILLISECONDS",
    "ORACLE",
    "PUBLISHED",
    "PURITY",
    "RESPONSE",
    "WIDTH",
    "ClusteringTask",
    "clustering_rows",
]

Files = list[str] | str
EFFICIENCY, PURITY, LOOSE = "efficiency, IoU > 0.5", "purity, IoU > 0.5", "efficiency, IoU > 0.1"
RESPONSE, WIDTH, MILLISECONDS = "response", "width of the response", "ms an event"
PUBLISHED, ORACLE = "CLUE, published settings", "true labels"
DISPLAY = "display.parquet"
SHOWN = 3  # events that are kept for a display
ENERGIES = np.array([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0])  # GeV


class ClusteringTask(Task):
    """Cluster calorimeter hits to showers, with an energy each."""

    methods = ("shower-clustering", "clue")
    written: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def read(self, method: ShowerClustering | CLUE, *, files: Files) -> Inputs:
        """Learn to cluster hits from events with true particles; CLUE tunes its settings by them.

        Args:
            files: Parquet files, an event a row, with lists x, y, z [mm] and energy [GeV] of hits,
                and contrib_particle_ids, contrib_energies and particle_id, the truth.

        Examples:
            colliderkit fit clustering events.parquet --out clusters
            colliderkit fit clustering events.parquet --method clue --tune true --out clue
        """
        return Inputs(method, {"hits": read_and_say(files)})

    def apply(
        self, method: ShowerClustering | CLUE, *, files: Files, out: Path, force: bool = False
    ) -> None:
        """Write the cluster of each hit, and energy and place of each cluster.

        Args:
            files: Parquet files of hits; truth may be absent.

        Examples:
            colliderkit apply clusters new.parquet --out clustered.parquet
        """
        hits = read_and_say(files)
        write_hits(out, hits, method.predict(hits), force=force)

    def evaluate(
        self, method: ShowerClustering | CLUE, *, files: Files, least_energy: float = LEAST
    ) -> Evaluation:
        """Match clusters to true showers, beside CLUE as published and the true labels.

        Args:
            files: Parquet files of hits with their truth, which the fit has not seen.
            least_energy: GeV that a particle has left, and a cluster has, to be counted.

        Examples:
            colliderkit evaluate clusters test.parquet --out test
        """
        hits = read_and_say(files)
        if not hits.known:
            raise InputError(f"{files}: has no true particles to compare with; give particle_id.")
        begin = time.process_time()
        found = method.predict(hits)
        spent = time.process_time() - begin
        everyone = {
            method.name: found,
            PUBLISHED: CLUE().fit(hits, progress=False).predict(hits),
            ORACLE: Clusters.of(hits, hits.majority()),
        }
        rows: list[Result] = []
        for name, clusters in everyone.items():
            rows += clustering_rows(name, hits, clusters, least=least_energy)
        rows.append(Result(method.name, MILLISECONDS, 1e3 * spent / len(hits)))
        matching = match_clusters(hits, found, least=least_energy)
        estimate = np.full(len(hits.pdg), np.nan)
        estimate[matching.particle] = matching.estimate
        # A row a particle: more than what most want, but all that the page draws.
        events = {
            "event": hits.particle_event,
            "pdg": hits.pdg,
            "deposit": hits.deposit,
            "estimate": estimate,
            "nearest": np.minimum(nearest_other(hits), 1e6),
            "of_interest": matching.of_interest,
        }

        def write(folder: Path) -> None:
            shown = hits.at(slice(0, SHOWN))
            write_hits(folder / DISPLAY, shown, method.predict(shown))

        title = f"{method.name} on {number(len(hits))} events, {number(len(hits.energy))} hits"
        about = {"method": method.name, "least": least_energy}
        return Evaluation(title, rows, events, about, write)

    def export(
        self,
        method: ShowerClustering | CLUE,
        *,
        files: Files,
        out: Path,
        force: bool = False,
    ) -> str:
        """Write the network as one ONNX file: from hits to beta, factor and place of each.

        Args:
            files: Parquet files of hits that the file is checked on.

        Examples:
            colliderkit export clusters test.parquet --out clusters.onnx
        """
        if isinstance(method, CLUE):
            raise InputError(
                "CLUE has no network to export; its settings are in method.json, or fit"
                " shower-clustering."
            )
        hits = read_and_say(files)
        difference = export_clustering(method, out, hits, force=force)
        return f"differs from torch by {difference:.1e} at most on {number(len(hits))} events"

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: an event, efficiency and response by energy.

        Examples:
            colliderkit report test
        """
        note = runs.about(evaluation)
        page = runs.page(
            "Clusters of calorimeter hits",
            "Clusters are matched to true particles by the energy that they share: IoU, the shared"
            " energy over that of both. A particle counts that left"
            f" {note['least']:g} GeV or more.",
            model,
            note,
        )
        page.add_heading("Figures of merit")
        page.add_results(
            read_results(existing_file(evaluation / runs.RESULTS)),
            "Shares of particles that are found and of clusters that match one, median of the"
            " energy over what the particle left, and half of the central 68%; errors by drawing"
            " whole events.",
        )
        page.add_heading("An event")
        shown = existing_file(evaluation / DISPLAY)
        hits, columns = read_hits(shown), ak.from_parquet(shown)
        label = ak.to_numpy(ak.flatten(columns["cluster"])).astype(np.int64)
        page.add_figure(
            showers_and_clusters(hits, {note["method"]: Clusters.of(hits, label)}),
            "The first event: true showers, and the clusters found.",
            wide=True,
        )
        page.add_heading("By energy")
        table = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        deposit, estimate = (np.asarray(table[name]) for name in ("deposit", "estimate"))
        counted = np.asarray(table["of_interest"])
        page.add_figure(
            in_bins(
                {note["method"]: by_energy(deposit[counted], ~np.isnan(estimate[counted]))},
                ENERGIES, "Energy that the particle left [GeV]", "Efficiency",
            ),
            "Share of particles that are found, by what they left.",
        )  # fmt: skip
        ratio = (estimate / deposit)[counted & ~np.isnan(estimate)]
        page.add_figure(
            responses({note["method"]: ratio}, np.linspace(0, 2, 41), "Energy / true energy"),
            "Energy of matched clusters over what their particle left.",
        )
        page.conclude(
            [
                Aim("It finds more showers than CLUE as published", EFFICIENCY, note["method"],
                    "above", against=PUBLISHED),
                Aim("Its clusters are purer", PURITY, note["method"], "above", against=PUBLISHED),
            ]
        )  # fmt: skip
        return page

    def summary(self, method: Method) -> str:
        """Say what was chosen."""
        if isinstance(method, CLUE):
            chosen = ", ".join(f"{name} {value:g}" for name, value in method.chosen_.items())
            return f"CLUE in {method.kind}: {chosen}"
        assert isinstance(method, ShowerClustering)
        return (
            f"shower clustering: beta above {method.threshold_:g} takes hits within"
            f" {method.distance_:g}; energies times {method.scale_:.4g}"
        )


def clustering_rows(
    subject: str, hits: CalorimeterHits, clusters: Clusters, *, least: float = LEAST
) -> list[Result]:
    """Return efficiency, purity and response of the clusters of one method."""
    matching = match_clusters(hits, clusters, least=least)
    loose = match_clusters(hits, clusters, least=least, threshold=0.1)
    middle, width = matching.response()
    values = {
        EFFICIENCY: matching.efficiency(),
        LOOSE: loose.efficiency(),
        PURITY: matching.purity(),
        RESPONSE: middle,
        WIDTH: width,
    }
    return [Result(subject, name, v.value, v.error) for name, v in values.items()]


def by_energy(deposit: np.ndarray, found: np.ndarray) -> list[Value]:
    """Return the share that is found in each bin of `ENERGIES`, with a binomial error."""
    bins = np.digitize(deposit, ENERGIES) - 1
    values = []
    for i in range(len(ENERGIES) - 1):
        inside = found[bins == i]
        n, p = len(inside), float(inside.mean()) if len(inside) else float("nan")
        # Wilson's error: not 0 where all or none are found.
        error = np.sqrt(p * (1 - p) / n + 0.25 / n**2) / (1 + 1 / n) if n else float("nan")
        values.append(Value(p, float(error)))
    return values


def read_and_say(files: Files) -> CalorimeterHits:
    """Read hits and say what was read."""
    hits = read_hits(files)
    truth = f"{number(len(hits.pdg))} true particles" if hits.known else "no truth"
    account(f"read {files}: {number(len(hits))} events, {number(len(hits.energy))} hits, {truth}")
    if len(hits.energy):
        low, high = hits.position.min(0), hits.position.max(0)
        spans = ", ".join(
            f"{axis} {number(a, 3)} to {number(b, 3)}"
            for axis, a, b in zip("xyz", low, high, strict=True)
        )
        account(f"places taken as mm: {spans}; energies as GeV, {number(hits.energy.sum())} in all")
    return hits
