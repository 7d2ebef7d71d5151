"""Open ONNX files for a server: what they take and give, and whether rows may share a run."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.errors import InputError
from colliderkit.files import existing_file
from colliderkit.serve.inference.datatypes import BYTES, NUMPY, ONNX
from colliderkit.serve.inference.limits import Limits

__all__ = ["Model", "Tensor"]

PROBED = 6  # of free dimensions when a model is tried
PADDED = 9
CLOSE = 1e-4  # relative; what depends on other rows differs by far more


@dataclass(frozen=True)
class Tensor:
    """Describe an input or output: a dimension that is free has a name instead of a size."""

    name: str
    datatype: str
    shape: tuple[int | str, ...]

    @property
    def sizes(self) -> list[int]:
        """Return the shape as the protocol has it, -1 for what is free."""
        return [d if isinstance(d, int) else -1 for d in self.shape]


class Model:
    """Hold one ONNX file under the name and version that clients ask for.

    `batched` says whether rows of several requests may share a run, `ragged` whether also rows of
    other lengths, padded with zeros. Both are tried when the file is opened: rows must be answered
    the same alone, beside others, beside a row of NaN, and padded; a file whose answers change is
    run one request at a time. Only files of this package are padded: what a zero means to another
    is not known.

    Raises `InputError` for a file that onnxruntime cannot run, and for strings, sequences and
    types that the protocol has no numbers for.
    """

    def __init__(
        self, name: str, version: int, path: Path, limits: Limits, threads: int = 1
    ) -> None:
        self.name, self.version, self.path = name, version, path
        self.session = _session(existing_file(path), threads)
        self.inputs = [_tensor(path, node, "input") for node in self.session.get_inputs()]
        self.outputs = [_tensor(path, node, "output") for node in self.session.get_outputs()]
        if not self.inputs or not self.outputs:
            raise InputError(f"{path}: has no inputs or no outputs; serve a model that has both.")
        properties = self.session.get_modelmeta().custom_metadata_map
        self.labels = _labels(properties)
        rows = all(t.shape and isinstance(t.shape[0], str) for t in self.inputs)
        lead = self.inputs[0]
        sets = "colliderkit" in properties and lead.name == "constituents" and len(lead.shape) == 3
        self.batched = rows and self._independent()
        self.ragged = self.batched and sets and self._padding_is_ignored()
        self.seconds_per_row = self._warm_up(limits)

    def run(self, arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the outputs for arrays in the order of the inputs."""
        feed = {t.name: x for t, x in zip(self.inputs, arrays, strict=True)}
        return self.session.run(None, feed)

    def metadata(self, versions: Sequence[int]) -> dict[str, Any]:
        """Return the model's metadata as the protocol has it."""
        return {
            "name": self.name,
            "versions": [str(version) for version in versions],
            "platform": "onnxruntime_onnx",
            "inputs": [_described(t) for t in self.inputs],
            "outputs": [_described(t) for t in self.outputs],
        }

    def _made(self, rows: int, seed: int, size: int = PROBED) -> list[NDArray[Any]]:
        """Make up arrays that the model takes; the same rows for the same seed."""
        random = np.random.default_rng(seed)
        made = []
        for tensor in self.inputs:
            shape = [d if isinstance(d, int) else size for d in tensor.shape]
            if tensor.shape and isinstance(tensor.shape[0], str):
                shape[0] = rows
            dtype = NUMPY[tensor.datatype]
            values = (
                np.abs(random.normal(size=shape)) + 0.1
                if dtype.kind == "f"
                else random.integers(0, 2, shape)
            )
            made.append(values.astype(dtype))
        return made

    def _independent(self) -> bool:
        """Whether made rows are answered the same alone and beside others, one of them NaN."""
        first, other, odd = self._made(1, 1), self._made(1, 2), self._made(1, 3)
        odd = [np.full_like(x, np.nan) if x.dtype.kind == "f" else x for x in odd]
        large = [x * x.dtype.type(1e3) if x.dtype.kind == "f" else x for x in self._made(1, 4)]
        try:
            alone, beside = self.run(first), self.run(other)
            both = [
                self.run([np.concatenate(x) for x in zip(first, mate, other, strict=True)])
                for mate in (odd, large)
            ]
        except Exception:  # of whatever the runtime raises for numbers that are made up
            return False
        return all(
            together.shape[:1] == (3,)
            and _close(alone[i], together[:1])
            and _close(beside[i], together[2:])
            for answers in both
            for i, together in enumerate(answers)
        )

    def _padding_is_ignored(self) -> bool:
        """Whether zeros after the last particle change nothing."""
        arrays = self._made(2, 5)
        padded = np.zeros((2, PADDED, arrays[0].shape[2]), arrays[0].dtype)
        padded[:, :PROBED] = arrays[0]
        pairs = zip(self.run(arrays), self.run([padded, *arrays[1:]]), strict=True)
        return all(_close(a, b) for a, b in pairs)

    def _warm_up(self, limits: Limits) -> float:
        """Run a full batch three times; return the seconds a row of the quickest."""
        rows = limits.batch if self.batched else 1
        arrays, taken = self._made(rows, 0, 32), []
        for _ in range(3):
            begin = time.perf_counter()
            try:
                self.run(arrays)
            except Exception:  # dimensions that must be equal, or other numbers than made-up ones
                return 1e-3
            taken.append(time.perf_counter() - begin)
        return min(taken) / rows


def _session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    # Threads that spin take the time of the server's own; plans of memory for each shape that has
    # ever come would grow without bound.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base
        words = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: is no ONNX file that onnxruntime can run ({words}); write one with"
            " 'colliderkit export'."
        ) from error


def _tensor(path: Path, node: Any, what: str) -> Tensor:
    datatype = ONNX.get(node.type)
    if datatype is None or (datatype == BYTES and what == "input"):
        raise InputError(
            f"{path}: {what} '{node.name}' is {node.type}, which is not served; export the model"
            " with tensors of numbers."
        )
    shape = (d if isinstance(d, int) else (d or f"free {i}") for i, d in enumerate(node.shape))
    return Tensor(node.name, datatype, tuple(shape))


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.sizes}


def _labels(properties: Mapping[str, str]) -> list[str]:
    """Return the classes that a file of the package names."""
    try:
        classes = json.loads(properties["classes"])
    except (KeyError, ValueError):
        return []
    return list(map(str, classes)) if isinstance(classes, list) else []


def _close(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool((a == b).all())
    scale = np.abs(a).max(initial=1.0, where=np.isfinite(a))
    tolerance = max(CLOSE, 8 * float(np.finfo(a.dtype).eps))
    return bool(np.allclose(a, b, rtol=tolerance, atol=tolerance * float(scale), equal_nan=True))
