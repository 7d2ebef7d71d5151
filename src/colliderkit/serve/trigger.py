"""Export a trigger to ONNX, in floats or in integers, with what the integers cost."""

import tempfile
from collections.abc import Iterator
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

__all__ = ["Bits", "ExportedTrigger", "export_trigger", "scores", "speed"]

Bits = Literal[8, 16]
BATCH = 4096
INTEGER = ("MatMul", "Gemm")  # what is computed in integers: nearly all of the work


@dataclass(frozen=True)
class ExportedTrigger:
    """What was written: `path`; `threshold` of the file's own score; `kept` of the events.

    `difference` is the largest of the float score to torch's, in units of the root mean square
    score; `agreement` the share of the events kept by either, the file or the method, that both
    keep.
    """

    path: Path
    threshold: float
    kept: int
    difference: float
    agreement: float


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
    (batch,) bool; threshold, target and input rate are in its metadata::

        onnxruntime.InferenceSession("trigger.onnx").run(["keep"], {"table": events})[0]

    With `bits` the layers are computed with activations of 8 or 16 bits and weights of 8, scaled
    by the range that `events` have in each. That changes the scores, and the threshold is the one
    that keeps as many of `events` as the trigger does.

    Raises `InputError` for a score that is not of a table or has no form in ONNX, and for events
    of which fewer than `LEAST` are kept.
    """
    output = refuse_existing(path, force)
    scorer: Any = trigger.scorer_
    table = np.asarray(scorer.inputs(events))
    if table.ndim != 2:
        raise InputError(
            f"{type(scorer).__name__} takes particles, and a trigger is exported for tables of"
            " numbers; fit one with representation 'table'."
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
    score = scores(model.SerializeToString(), table)
    threshold = trigger.threshold_
    if bits is not None:
        threshold = float(-np.partition(-score, int(keeps.sum()))[int(keeps.sum())])
    decide(model, threshold)
    about |= {"threshold": repr(threshold), "target": repr(trigger.target)}
    about |= {"input_rate": repr(trigger.input_rate), "bits": str(bits or 32)}
    write_proto(model, output, about, force)
    kept = score > np.float32(threshold)
    agreement = float((kept & keeps).sum() / (kept | keeps).sum())
    return ExportedTrigger(output, threshold, int(kept.sum()), difference, agreement)


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


def decide(model: Any, threshold: float) -> None:
    """Add the output ``keep`` to a model (protobuf): whether the score is above the threshold."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    value = np.array(threshold, dtype=np.float32)
    graph.initializer.append(numpy_helper.from_array(value, "threshold"))
    graph.node.append(helper.make_node("Greater", ["score", "threshold"], ["keep"], name="keep"))
    batch = graph.output[0].type.tensor_type.shape.dim[0].dim_param or "batch"
    graph.output.append(helper.make_tensor_value_info("keep", TensorProto.BOOL, [batch]))
