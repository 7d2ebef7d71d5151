"""Export a trigger to ONNX, in floats or in integers, with what the integers cost."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.events.tables import Floats
from colliderkit.files import refuse_existing
from colliderkit.methods.search.trigger import LEAST, Trigger
from colliderkit.metrics.value import Value
from colliderkit.serve.latency import cpu_seconds
from colliderkit.serve.onnx import export_method, write_proto
from colliderkit.serve.translation import quiet, session

__all__ = ["Bits", "ExportedTrigger", "decisions", "export_trigger", "scores", "speed"]

Bits = Literal[8, 16]
BATCH = 4096
INTEGER = ("MatMul", "Gemm")  # what is computed in integers: nearly all of the work


@dataclass(frozen=True)
class ExportedTrigger:
    """What was written: `path`; `thresholds` of the file's own score; `kept` of the events.

    There is one threshold for each topology by name, or a single one called "all".
    `difference` is the largest of the float score to torch's, in units of the root mean square
    score; `agreement` the share of the events kept by either, the file or the method, that both
    keep.
    """

    path: Path
    thresholds: dict[str, float]
    kept: int
    difference: float
    agreement: float

    @property
    def threshold(self) -> float:
        """The single threshold; `InputError` for one of several topologies."""
        if len(self.thresholds) > 1:
            raise InputError(
                f"{self.path}: has a threshold for each of {len(self.thresholds)} topologies; take"
                " `thresholds`, or the file's output keep."
            )
        return next(iter(self.thresholds.values()))


def export_trigger(
    trigger: Trigger,
    path: str | Path,
    events: Any,
    *,
    bits: Bits | None = None,
    force: bool = False,
) -> ExportedTrigger:
    """Write a fitted trigger as one ONNX file, checked on `events` of its stream.

    The file takes ``table`` (batch, columns) float32 and gives ``score`` (batch,) and ``keep``
    (batch,) bool; thresholds, target and input rate are in its metadata::

        onnxruntime.InferenceSession("trigger.onnx").run(["keep"], {"table": events})[0]

    With `bits` the layers are computed with activations of 8 or 16 bits and weights of 8, scaled
    by the range that `events` have in each. That changes the scores, and the threshold is the one
    that keeps as many of `events` as the trigger does. A score that was trained for fixed point
    is written as it is, with exactly its numbers.

    With topologies the file counts objects and looks up the threshold: a cut on the tail
    probability is one on the score, for each topology another.

    Raises `InputError` for a score that is not of a table or has no form in ONNX, a trigger with a
    score for each topology, `bits` for a score in fixed point, and for events of which fewer than
    `LEAST` are kept.
    """
    output = refuse_existing(path, force)
    scorer: Any = trigger.scorer_
    table = np.asarray(scorer.inputs(events))
    if table.ndim != 2:
        raise InputError(
            f"{type(scorer).__name__} takes particles, and a trigger is exported for tables of"
            " numbers; fit one with representation 'table'."
        )
    own = dict(scorer.options or {}).get("bits")
    if bits is not None and own is not None:
        raise InputError(f"the score has {own} bits of its own already; leave out bits.")
    if trigger.topologies is not None and trigger.own:
        raise InputError(
            "each topology has a score of its own, and a file holds one; fit the trigger with own"
            " false."
        )
    table = table.astype(np.float32)
    keeps = trigger.keeps(events)
    if keeps.sum() < LEAST:
        raise InputError(
            f"{len(table)} events of the stream are given and {keeps.sum()} are kept, too few to"
            f" check a file on; give about {LEAST / trigger.share:.0f} events."
        )
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        difference = export_method(scorer, plain, events)
        about = {entry.key: entry.value for entry in onnx.load(plain).metadata_props}
        if bits is not None:
            plain = integers(plain, table, bits)
        model = onnx.load(plain)
    thresholds = trigger.thresholds()
    if bits is not None:
        score = scores(model.SerializeToString(), table)
        of = np.zeros(len(table), int) if trigger.topologies is None else trigger.topology(events)
        thresholds = {
            name: as_many(score[of == i], int(keeps[of == i].sum()))
            for i, name in enumerate(thresholds)
        }
    decide(model, trigger, list(thresholds.values()), scorer.columns_)
    several = {name: str(value) for name, value in thresholds.items()}
    shown = several["all"] if "all" in several else json.dumps(several)
    about |= {"threshold": shown, "target": repr(trigger.target)}
    about |= {"input_rate": repr(trigger.input_rate), "bits": str(bits or own or 32)}
    write_proto(model, output, about, force)
    kept = decisions(output, table)
    agreement = float((kept & keeps).sum() / (kept | keeps).sum())
    return ExportedTrigger(output, thresholds, int(kept.sum()), difference, agreement)


def as_many(score: Floats, count: int) -> float:
    """Return the threshold above which `count` of the scores (N,) are; of all there is none."""
    if count >= len(score):
        return -float("inf") if len(score) else float("inf")
    return float(-np.partition(-score, count)[count])


def decisions(path: str | Path, table: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which events of a table (N, C) the file of a trigger keeps, (N,)."""
    running, values = session(Path(path).read_bytes(), threads=1), table.astype(np.float32)
    parts = [
        running.run(["keep"], {"table": values[i : i + BATCH]})[0]
        for i in range(0, len(values), BATCH)
    ]
    kept: NDArray[np.bool_] = np.concatenate(parts)
    return kept


def scores(model: bytes | str | Path, table: NDArray[Any]) -> Floats:
    """Return the scores (N,) that a file gives of a table (N, C), on one thread."""
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    running, values = session(content, threads=1), table.astype(np.float32)
    parts = [
        running.run(["score"], {"table": values[i : i + BATCH]})[0]
        for i in range(0, len(values), BATCH)
    ]
    return np.concatenate(parts).astype(np.float64)


def speed(path: str | Path, table: NDArray[Any]) -> tuple[Value, Value]:
    """Return events a second in batches, and the seconds of one event, of a file on one thread.

    CPU time of rows of a table (N, C), the mean and the standard deviation of five measurements.
    """
    running = session(Path(path).read_bytes(), threads=1)
    batch = table[:BATCH].astype(np.float32)

    def seconds(values: NDArray[np.float32], times: int) -> Value:
        def repeated() -> None:
            for _ in range(times):
                running.run(None, {"table": values})

        found = [cpu_seconds(repeated, repetitions=3) / times for _ in range(5)]
        return Value(float(np.mean(found)), float(np.std(found, ddof=1)))

    whole, one = seconds(batch, 5), seconds(batch[:1], 200)
    rate = len(batch) / whole.value
    return Value(rate, rate * whole.error / whole.value), one


def integers(path: Path, table: NDArray[np.float32], bits: Bits) -> Path:
    """Write a file beside `path` whose layers are computed in integers; return its path."""
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Batches(CalibrationDataReader):
        """Give the events, from which the range of each activation is taken."""

        def __init__(self) -> None:
            self.left: Iterator[int] = iter(range(0, len(table), BATCH))

        def get_next(self) -> dict[str, Any] | None:
            first = next(self.left, None)
            return None if first is None else {"table": table[first : first + BATCH]}

    output = path.with_name("integers.onnx")
    with quiet():
        quantize_static(
            path,
            output,
            Batches(),
            op_types_to_quantize=list(INTEGER),
            per_channel=True,
            activation_type=QuantType.QUInt8 if bits == 8 else QuantType.QUInt16,
            weight_type=QuantType.QInt8,
            extra_options={"UseQDQContribOps": bits == 16},
        )
    return output


def decide(
    model: Any, trigger: Trigger, thresholds: Sequence[float], columns: Sequence[str]
) -> None:
    """Add the output ``keep`` to a model (protobuf): whether the score is above the threshold.

    With topologies, that of the event's own: objects are counted in the input ``table``.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph

    def constant(value: Any, name: str) -> str:
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def node(kind: str, inputs: Sequence[str], name: str, **options: Any) -> str:
        graph.node.append(helper.make_node(kind, inputs, [name], name=name, **options))
        return name

    topologies = trigger.topologies
    values = np.array(thresholds, dtype=np.float32)
    if topologies is None:
        limit = constant(values[0], "threshold")
    else:
        label = ""
        above, axis = constant(np.float32(topologies.above), "above"), constant([1], "axis")
        for i, (places, edges) in enumerate(topologies.counted(columns)):
            objects = node(
                "Gather", ["table", constant(places, f"places_{i}")], f"kind_{i}", axis=1
            )
            there = node("Greater", [objects, above], f"there_{i}")
            one = node("Cast", [there], f"one_{i}", to=TensorProto.INT64)
            number = node("ReduceSum", [one, axis], f"number_{i}", keepdims=1)
            reached = node(
                "GreaterOrEqual", [number, constant(edges, f"edges_{i}")], f"reached_{i}"
            )
            class_ = node("Cast", [reached], f"class_{i}", to=TensorProto.INT64)
            place = node("ReduceSum", [class_, axis], f"place_{i}", keepdims=0)
            if label:
                classes = constant(np.int64(len(edges) + 1), f"classes_{i}")
                label = node("Mul", [label, classes], f"above_{i}")
                place = node("Add", [label, place], f"label_{i}")
            label = place
        assert trigger.groups_ is not None
        limits = constant(values[trigger.groups_.of], "thresholds")
        limit = node("Gather", [limits, label], "threshold", axis=0)
    node("Greater", ["score", limit], "keep")
    batch = graph.output[0].type.tensor_type.shape.dim[0].dim_param or "batch"
    graph.output.append(helper.make_tensor_value_info("keep", TensorProto.BOOL, [batch]))
