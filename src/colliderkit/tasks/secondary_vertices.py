"""The task of secondary vertices in jets: fit, apply, evaluate, page and export."""

from collections.abc import Mapping
from pathlib import Path

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.schema import weights_of
from colliderkit.events.secondary_vertices import JetTracks, is_track
from colliderkit.events.tables import Ints
from colliderkit.files import existing_file
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.adaptive_vertices import AdaptiveVertices
from colliderkit.methods.reconstruction.secondary_vertexing import TrackPartition, with_truth
from colliderkit.methods.reconstruction.secondary_vertices import SecondaryVertices
from colliderkit.metrics.value import Value, number
from colliderkit.metrics.vertices import adjusted_rand, mean_over_jets, perfect
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.secondary_vertices import jet_display, partition_quality
from colliderkit.report.verdict import Aim
from colliderkit.serve.secondary_vertices import export_pairs
from colliderkit.sources import read, write
from colliderkit.tasks import runs
from colliderkit.tasks.reading import Reading
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["PERFECT", "RAND", "TOGETHER", "SecondaryVerticesTask", "by_tracks", "judged", "shown"]

Files = list[str] | str
RAND, PERFECT, TOGETHER = "adjusted Rand index", "perfect partition", "all of one vertex"
TRACKS = (2, 4, 6, 8, 10, 13, 17, 1000)
DISPLAY = "display.parquet"


class SecondaryVerticesTask(Task):
    """Part the tracks of jets into the vertices that they come from."""

    methods = ("secondary-vertices", "adaptive-vertices")

    def read(self, method: TrackPartition, reading: Reading, files: Files) -> Inputs:
        r"""Learn to part tracks into vertices, or tune the cuts of an algorithm.

        Args:
            files: Parquet, ROOT or HDF5 files of jets, whose constituents have px, py, pz [GeV],
                d0, z0, d0_error, z0_error [mm], signed by the jet's axis, and vertex, the number of
                the true vertex in the jet.

        Examples:
            colliderkit fit secondary-vertices jets.parquet --out vertices
        """
        jets = reading.jets(files)
        if isinstance(method, SecondaryVertices) and "weight" in jets.fields:
            return Inputs(method, {"jets": jets, "weight": weights_of(jets)})
        return Inputs(method, {"jets": jets})

    def apply(
        self,
        method: TrackPartition,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> None:
        """Write all jets with the column `found_vertex` of their constituents.

        It counts from 0 in each jet, by the first track; of what is no track it is -1.

        Args:
            files: files of jets, as of fit; no truth is needed.

        Examples:
            colliderkit apply vertices new.parquet --out parted.parquet
        """
        jets = reading.jets(files)
        constituents = jets["constituents"]
        if "found_vertex" in constituents.fields:
            raise InputError("constituents have a column 'found_vertex' already; drop it first.")
        parts = method.find(jets)
        seen = np.asarray(ak.to_numpy(ak.flatten(is_track(jets))))
        column = np.full(len(seen), -1, dtype=np.int64)
        column[seen] = parts
        found = ak.unflatten(column, ak.num(constituents))
        constituents = ak.with_field(constituents, found, "found_vertex")
        write(out, ak.with_field(jets, constituents, "constituents"), force=force)

    def evaluate(self, method: TrackPartition, reading: Reading, files: Files) -> Evaluation:
        """Compare the partitions of jets with the true ones.

        Args:
            files: files of jets that the fit has not seen, with their truth; with a label the
                figures are of each class.

        Examples:
            colliderkit evaluate vertices test.parquet --out vertices-test
        """
        jets = reading.jets(files)
        tracks = with_truth(jets)
        label = np.asarray(ak.to_numpy(jets["label"])) if "label" in jets.fields else None
        parts = method.parts(tracks)
        rows = judged(method.name, tracks, parts, label)
        rows += judged(TOGETHER, tracks, np.zeros_like(parts), label)
        each = adjusted_rand(tracks.vertex, parts, tracks.counts)
        kept = {"tracks": tracks.counts, "adjusted_rand": each}
        one = shown(tracks)

        def write_one(folder: Path) -> None:
            write(folder / DISPLAY, jets[one : one + 1])

        title = f"vertices in {number(len(jets))} jets"
        return Evaluation(title, rows, kept, {"method": method.name}, write_one)

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: figures of merit, and a jet.

        Examples:
            colliderkit report vertices-test
        """
        from colliderkit.methods.method import load

        method: TrackPartition = load(model)
        note = runs.about(evaluation)
        page = runs.page(
            "Secondary vertices",
            f"The tracks of jets, parted by {method.name} into the vertices that they come from.",
            model,
            note,
        )
        page.add_results(
            read_results(existing_file(evaluation / runs.RESULTS)),
            "The adjusted Rand index is 1 where all pairs of tracks are rightly together or apart,"
            " and 0 in the mean of random partitions; jets of two tracks or more. Errors are those"
            " of counting jets.",
        )
        table = ak.from_parquet(existing_file(evaluation / runs.EVENTS))
        values, ticks = by_tracks(
            {method.name: np.asarray(table["adjusted_rand"])}, np.asarray(table["tracks"])
        )
        page.add_figure(
            partition_quality(values, ticks, "Adjusted Rand index", "Tracks of the jet"),
            "Mean adjusted Rand index by the number of tracks.",
        )
        tracks = JetTracks.of(read(existing_file(evaluation / DISPLAY)))
        page.add_figure(
            jet_display(tracks, {"truth": tracks.vertex, method.name: method.parts(tracks)}),
            "A jet across the beams, the collision at the origin: lines of one colour are tracks"
            " of one vertex, dotted ones are alone, and crosses stand where tracks meet.",
            wide=True,
        )
        page.conclude(
            [
                Aim("It parts tracks better than not at all", RAND, method.name, "above",
                    against=TOGETHER)
            ]
        )  # fmt: skip
        return page

    def export(
        self,
        method: TrackPartition,
        reading: Reading,
        files: Files,
        *,
        out: Path,
        force: bool = False,
    ) -> str:
        """Write the network as one ONNX file: from tracks to the probability of each pair.

        Args:
            files: files of jets that the file is checked on.

        Examples:
            colliderkit export vertices test.parquet --out vertices.onnx
        """
        if not isinstance(method, SecondaryVertices):
            raise InputError(
                f"{method.name} has no network to export; its cuts are in method.json, or fit"
                " secondary-vertices."
            )
        tracks = JetTracks.of(reading.jets(files))
        difference = export_pairs(method, out, tracks, force=force)
        return f"differs from torch by {difference:.1e} at most on {number(len(tracks))} jets"

    def summary(self, method: Method) -> str:
        """Say what was chosen."""
        if isinstance(method, AdaptiveVertices):
            return (
                f"adaptive vertices: of the collision up to {method.primary_:g} errors, of another"
                f" vertex up to {method.secondary_:g}; what is left is"
                + (" alone" if method.rest_ == "alone" else " of the collision")
            )
        assert isinstance(method, SecondaryVertices)
        return f"secondary vertices: parts are joined above a mean of {method.threshold_:g}"


def judged(
    subject: str,
    tracks: JetTracks,
    parts: Ints,
    label: NDArray[np.integer] | None = None,
    classes: Mapping[int, str] | None = None,
) -> list[Result]:
    """Return adjusted Rand index and perfect partitions of jets with two tracks or more.

    With the `label` (N,) of jets they are of each class, by its name in `classes` or its number.
    """
    several = tracks.counts > 1
    index = adjusted_rand(tracks.vertex, parts, tracks.counts)
    right = perfect(tracks.vertex, parts, tracks.counts)
    groups = {"": several}
    if label is not None:
        for k in np.unique(label).tolist():
            name = (classes or {}).get(k, f"class {k}")
            groups[f", {name}"] = several & (label == k)
    rows = []
    for name, mine in groups.items():
        for quantity, values in ((RAND, index), (PERFECT, right)):
            found = mean_over_jets(values[mine])
            if np.isfinite(found.value):
                error = found.error if np.isfinite(found.error) else None
                rows.append(
                    Result(subject, f"{quantity}{name}", found.value, error, counting=error)
                )
    return rows


def by_tracks(
    index: Mapping[str, NDArray[np.float64]], counts: Ints
) -> tuple[dict[str, list[Value]], list[str]]:
    """Return the mean of figures {method: (N,)} in bins of the number of tracks, and their names.

    Bins without jets are left out.
    """
    place = np.digitize(counts, TRACKS) - 1
    there = [i for i in range(len(TRACKS) - 1) if (place == i).any()]
    names = [
        f"{TRACKS[i]}+" if i == len(TRACKS) - 2 else f"{TRACKS[i]}–{TRACKS[i + 1] - 1}"
        for i in there
    ]
    values = {
        name: [mean_over_jets(each[place == i]) for i in there] for name, each in index.items()
    }
    return values, names


def shown(tracks: JetTracks) -> int:
    """Return a jet that is worth to be drawn: of three vertices or as many as there are."""
    jet = tracks.jet
    key = np.unique(jet * (int(tracks.vertex.max(initial=0)) + 2) + tracks.vertex)
    vertices = np.bincount(key // (int(tracks.vertex.max(initial=0)) + 2), minlength=len(tracks))
    good = (tracks.counts >= 7) & (tracks.counts <= 12)
    return int(np.argmax(np.minimum(vertices, 3) + 0.5 * good))
