"""The task of vertex finding: fit, apply, evaluate and page."""

from pathlib import Path

import awkward as ak
import numpy as np

from colliderkit.events.vertices import Tracks, Vertices, true_vertices
from colliderkit.files import existing_file
from colliderkit.methods.method import Method, load
from colliderkit.methods.reconstruction.vertex_annealing import AnnealedVertices
from colliderkit.methods.reconstruction.vertex_density import DensityVertices
from colliderkit.methods.reconstruction.vertexing import VertexFinding
from colliderkit.metrics.vertices import efficiency, false_rate, resolution
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.report.vertexing import vertex_display
from colliderkit.sources import write
from colliderkit.tasks import runs
from colliderkit.tasks.pileup import events_of
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["EFFICIENCY", "FALSE", "RESOLUTION", "VertexingTask", "judged"]

Files = list[str] | str
EFFICIENCY, FALSE, RESOLUTION = "efficiency", "false vertices an event", "resolution [mm]"


class VertexingTask(Task):
    """Find primary vertices along the beams, from tracks."""

    methods = ("density-vertices", "annealed-vertices")

    def read(self, method: VertexFinding, reading: Reading, files: Files) -> Inputs:
        r"""Learn to find vertices, or set the threshold of an algorithm.

        Args:
            files: Parquet, ROOT or HDF5 files, an event a row: pt, eta, phi, z0, z0_error [mm] of
                particles, the vertex of each, and vertex_z [mm], the places of the true vertices.

        Examples:
            colliderkit generate pileup-qcd 1000 --pileup 60 --out events.parquet
            colliderkit fit vertexing events.parquet --out vertices
        """
        events = events_of(reading, files)
        if isinstance(method, DensityVertices) and "weight" in events.fields:
            return Inputs(method, {"events": events, "weight": np.asarray(events["weight"])})
        return Inputs(method, {"events": events})

    def apply(
        self,
        method: VertexFinding,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write `found_z` [mm] and `found_strength` of each event's vertices.

        Args:
            files: files of events, as of fit; no truth is needed.

        Examples:
            colliderkit apply vertices new.parquet --out found.parquet
        """
        events = events_of(reading, files)
        found = method.find(events)
        columns = {
            "event": np.asarray(events["event"]),
            "found_z": ak.unflatten(found.z, found.counts),
            "found_strength": ak.unflatten(found.strength, found.counts),
        }
        write(out, columns, force=force)

    def evaluate(self, method: VertexFinding, reading: Reading, files: Files) -> Evaluation:
        """Measure efficiency, false vertices and resolution in events with truth.

        Args:
            files: files of events that the fit has not seen.

        Examples:
            colliderkit evaluate vertices test.parquet --out vertices-test
        """
        events = events_of(reading, files)
        tracks = Tracks.of(events)
        true, found = true_vertices(events, tracks), method.find(events)
        first = tracks.at(0, 1)
        kept = {"z0": first.z, "z0_error": first.error}
        about = {
            "true": true.z[: true.counts[0]].tolist(),
            "found": found.z[: found.counts[0]].tolist(),
        }
        rows = judged(method.name, true, found)
        return Evaluation(f"vertices of {len(events)} events", rows, kept, about)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: figures of merit, and an event.

        Examples:
            colliderkit report vertices-test
        """
        method: VertexFinding = load(model)
        note = runs.about(evaluation)
        page = runs.page(
            "Primary vertices",
            f"Vertices by {method.name}, of a threshold that was set for {method.false:g} false"
            " ones an event.",
            model,
            note,
        )
        page.add_results(
            read_results(existing_file(evaluation / runs.RESULTS)),
            "A true vertex has three tracks or more, and is found by one within five of its"
            " errors, at most 1 mm; errors by bootstrap of events.",
        )
        event = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        z = np.asarray(event["z0"])
        middle = float(np.median(z))
        page.add_figure(
            vertex_display(
                z, np.asarray(event["z0_error"]), note["true"], {method.name: note["found"]},
                (middle - 20, middle + 20),
            ),
            "Tracks of one event along the beams, true vertices and those that were found.",
            wide=True,
        )  # fmt: skip
        page.conclude(
            [Aim("Nine vertices in ten are found", EFFICIENCY, method.name, "above", 0.9)]
        )
        return page

    def summary(self, method: Method) -> str:
        """Say what the threshold is."""
        assert isinstance(method, VertexFinding)
        unit = " tracks" if isinstance(method, AnnealedVertices) else ""
        return (
            f"{method.name}: vertices above a strength of {method.threshold_:.4g}{unit}, for"
            f" {method.false:g} false ones an event"
        )


def judged(subject: str, true: Vertices, found: Vertices) -> list[Result]:
    """Return efficiency, false vertices and resolution."""
    values = {
        EFFICIENCY: efficiency(true, found),
        FALSE: false_rate(true, found),
        RESOLUTION: resolution(true, found),
    }
    return [
        Result(subject, name, v.value, v.error, counting=v.error)
        for name, v in values.items()
        if np.isfinite(v.value)
    ]
