"""The task of object detection: fit, apply, evaluate, page and export."""

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.errors import InputError
from colliderkit.events.event_objects import KINDS, EventObjects, EventTowers
from colliderkit.files import existing_file
from colliderkit.methods.method import Method
from colliderkit.methods.reconstruction.object_detection import ObjectDetector, ObjectMethod
from colliderkit.metrics.classes import confusion as confusion_of
from colliderkit.metrics.detection import Detection, kinds_present, match_objects
from colliderkit.metrics.value import Value, number
from colliderkit.report.classifiers import confusion
from colliderkit.report.clustering import responses
from colliderkit.report.detection import efficiency_over_false_objects, event_image
from colliderkit.report.html import Report
from colliderkit.report.results import Result, read_results
from colliderkit.report.verdict import Aim
from colliderkit.serve.object_detection import export_object_detection
from colliderkit.sources import write
from colliderkit.sources.files.event_objects import (
    object_columns,
    read_event_objects,
    read_objects,
    tower_columns,
)
from colliderkit.tasks import runs
from colliderkit.tasks.account import account
from colliderkit.tasks.task import Evaluation, Inputs, Task

__all__ = ["AP", "FALSE", "FOUND", "ObjectDetectionTask", "objects_measured"]

Files = list[str] | str
AP, FOUND = "average precision", "share found, as any kind"
FALSE = (0.01, 0.1)  # objects an event
TRUE = "true"


class ObjectDetectionTask(Task):
    """Find jets, W bosons and top quarks in the image of an event, or by clustering its towers."""

    methods = ("object-detection", "clustered-objects")

    def read(self, method: ObjectMethod, *, files: Files) -> Inputs:
        r"""Learn to find objects in towers: their place, pT, mass and kind.

        Args:
            files: Parquet files, an event a row: lists tower_eta, tower_phi, tower_em, tower_had,
                tower_track [GeV, transverse], and true object_pt, object_eta, object_phi,
                object_mass, object_kind (0 jet, 1 W, 2 top).

        Examples:
            colliderkit fit object-detection events.parquet --out objects
        """
        towers, objects = read_and_say(files)
        return Inputs(method, {"towers": towers, "objects": objects})

    def apply(self, method: ObjectMethod, *, files: Files, out: Path, force: bool = False) -> None:
        """Write the objects that are found in each event, beside its towers.

        Columns: lists `found_pt`, `found_eta`, `found_phi`, `found_mass`, `found_kind`, and
        `found_p_KIND`, the scores.

        Args:
            files: Parquet files of towers; true objects are not needed.

        Examples:
            colliderkit apply objects new.parquet --out found.parquet
        """
        towers, _ = read_and_say(files, true=False)
        write(out, tower_columns(towers) | found_columns(method.predict(towers)), force=force)

    def evaluate(self, method: ObjectMethod, *, files: Files) -> Evaluation:
        """Measure average precision, efficiency, and responses of pT and mass, by kind.

        Args:
            files: Parquet files of towers and true objects, which the fit has not seen.

        Examples:
            colliderkit evaluate objects test.parquet --out test
        """
        towers, objects = read_and_say(files)
        if not len(objects.pt):
            raise InputError(f"{files}: no event has a true object; give files with object_pt.")
        found = method.predict(towers)
        detection = match_objects(objects, found)
        rows = [
            Result(method.name, quantity, value.value, value.error)
            for quantity, value in objects_measured(detection).items()
        ]
        events: dict[str, Any] = tower_columns(towers) | found_columns(found)
        events |= object_columns(objects, TRUE)
        return Evaluation(
            f"{method.name} on {number(len(towers))} events", rows, events, {"method": method.name}
        )

    def page(self, model: Path, evaluation: Path) -> Report:
        """Draw an evaluation: efficiencies, responses, what is taken for what, and an event.

        Examples:
            colliderkit report test
        """
        note = runs.about(evaluation)
        page = runs.page(
            "Objects in events",
            "Jets, W bosons and top quarks that are found in the towers of events, beside the true"
            " ones.",
            model,
            note,
        )
        rows = read_results(existing_file(evaluation / runs.RESULTS))
        page.add_results(rows, "Errors by bootstrap of events.")
        towers, objects, found = read_evaluated(evaluation / runs.EVENTS)
        detection = match_objects(objects, found)
        curves = {}
        for i in kinds_present(objects):
            right, false, _ = detection.rates(i)
            curves[KINDS[i]] = {note["method"]: (false, right)}
        page.add_figure(
            efficiency_over_false_objects(curves),
            "Efficiency of each kind against objects that are taken for one and are none.",
            wide=True,
        )
        true, taken = detection.confusion()
        if len(true):
            page.add_figure(
                confusion(confusion_of(np.eye(len(KINDS))[taken], true), KINDS),
                "What true objects that are found are taken for.",
            )
            page.add_figure(
                responses(
                    {q: detection.ratios(q)[0] for q in ("pt", "mass")},
                    np.linspace(0.4, 1.6, 49),
                    "Found / true",
                ),
                "pT and mass of all objects that are found.",
            )
        page.add_figure(
            event_image(towers, {"truth": objects, note["method"]: found}, fullest(objects)),
            "An event: towers, and circles around the objects.",
            wide=True,
        )
        page.conclude(
            [Aim("Most true objects are found", FOUND, note["method"], "above", 0.5)]
        )  # fmt: skip
        return page

    def export(self, method: ObjectMethod, *, files: Files, out: Path, force: bool = False) -> str:
        """Write the network as one ONNX file: from the image of an event to the maps of centres.

        Args:
            files: Parquet files of towers that the file is checked on.

        Examples:
            colliderkit export objects test.parquet --out objects.onnx
        """
        if not isinstance(method, ObjectDetector):
            raise InputError(
                "clustered-objects cluster, which no file does; fit object-detection to export."
            )
        towers, _ = read_and_say(files, true=False)
        difference = export_object_detection(method, out, towers, force=force)
        return f"differs from torch by {difference:.1e} at most on {number(len(towers))} events"

    def summary(self, method: Method) -> str:
        """Say what finds objects."""
        assert isinstance(method, ObjectMethod)
        return f"{method.name}: {', '.join(KINDS)} of radius {method.get_params()['radius']:g}"


def objects_measured(detection: Detection) -> dict[str, Value]:
    """Return what is measured of found objects, by quantity, of the kinds that there are."""
    values: dict[str, Value] = {FOUND: detection.found_share()}
    for i in kinds_present(detection.true):
        name = KINDS[i]
        values[f"{name}: {AP}"] = detection.average_precision(i)
        for false in FALSE:
            value = detection.efficiency_at(i, false)
            values[f"{name}: efficiency at {false:g} false an event"] = value
        for quantity, label in (("pt", "pT"), ("mass", "mass")):
            middle, width = detection.response(quantity, i)
            values[f"{name}: median of {label} / true"] = middle
            values[f"{name}: half-width of {label} / true"] = width
    # Nothing is known of what was not found.
    return {quantity: value for quantity, value in values.items() if np.isfinite(value.value)}


def fullest(objects: EventObjects) -> int:
    """Return the first event of most kinds, and of most objects."""
    event = np.repeat(np.arange(len(objects)), len(KINDS)).reshape(-1, len(KINDS))
    kinds = np.zeros_like(event, dtype=bool)
    kinds[objects.event, objects.kind] = True
    return int(np.argmax(100 * kinds.sum(1) + np.diff(objects.offsets)))


def found_columns(found: EventObjects) -> dict[str, Any]:
    """Return the columns of found objects, with their scores."""
    counts = np.diff(found.offsets)
    scores = {
        f"found_p_{name}": ak.unflatten(found.score[:, i], counts) for i, name in enumerate(KINDS)
    }
    return object_columns(found, "found") | scores


def read_evaluated(path: Path) -> tuple[EventTowers, EventObjects, EventObjects]:
    """Read towers, true and found objects that `evaluate` wrote."""
    towers, true = read_event_objects(str(path), stem=TRUE)
    found = read_objects(existing_file(path), "found")
    table = ak.from_parquet(path)
    score = np.stack([ak.to_numpy(ak.flatten(table[f"found_p_{n}"])) for n in KINDS], axis=1)
    return towers, true, EventObjects(**{**vars(found), "score": score})


def read_and_say(files: Files, *, true: bool = True) -> tuple[EventTowers, EventObjects]:
    """Read towers and true objects, and say what was read."""
    towers, objects = read_event_objects(files, true=true)
    kinds = ", ".join(f"{int((objects.kind == i).sum())} {name}" for i, name in enumerate(KINDS))
    account(
        f"read {files}: {number(len(towers))} events, {number(len(towers.eta))} towers, taken as"
        f" GeV, transverse" + (f"; true objects: {kinds}" if true else "")
    )
    return towers, objects
