"""Model repository of NVIDIA's Triton inference server: config.pbtxt, model.onnx and model.py."""

import shutil
from pathlib import Path
from typing import Any, Literal

from colliderkit.errors import InputError
from colliderkit.files import atomic_folder, existing_file

__all__ = ["Backend", "write_repository"]

Backend = Literal["onnxruntime", "python"]
ROWS = 64  # of a batch: where a CPU is fastest, and what coffea pads every request to
# What a jet server queues before it refuses, in requests: Triton counts no rows.
QUEUE = 1024

# Triton's names of the types of ONNX.
TYPES = {
    "FLOAT": "FP32", "DOUBLE": "FP64", "FLOAT16": "FP16", "BFLOAT16": "BF16", "BOOL": "BOOL",
    "INT8": "INT8", "INT16": "INT16", "INT32": "INT32", "INT64": "INT64",
    "UINT8": "UINT8", "UINT16": "UINT16", "UINT32": "UINT32", "UINT64": "UINT64",
}  # fmt: skip

# The python backend, for servers without Triton's ONNX backend and for batches of jets of
# different lengths, which the ONNX backend does not make.
MODEL = '''"""Run model.onnx on batches of requests, padded with zeros to one length."""

from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        path = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        providers = onnxruntime.get_available_providers()
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        self.outputs = [output.name for output in self.session.get_outputs()]

    def execute(self, requests):
        feed = {i.name: self.batch(i.name, requests) for i in self.session.get_inputs()}
        first = next(iter(feed))
        rows = [len(triton.get_input_tensor_by_name(r, first).as_numpy()) for r in requests]
        parts = [np.split(y, np.cumsum(rows)[:-1]) for y in self.session.run(self.outputs, feed)]
        tensors = [map(triton.Tensor, self.outputs, answer) for answer in zip(*parts)]
        return [triton.InferenceResponse(list(answer)) for answer in tensors]

    def batch(self, name, requests):
        parts = [triton.get_input_tensor_by_name(r, name).as_numpy() for r in requests]
        sizes = np.max([part.shape[1:] for part in parts], axis=0)
        pads = [[(0, 0), *((0, n) for n in sizes - part.shape[1:])] for part in parts]
        return np.concatenate([np.pad(part, pad) for part, pad in zip(parts, pads)])
'''


def write_repository(
    model: str | Path,
    repository: str | Path,
    name: str,
    *,
    backend: Backend = "onnxruntime",
    force: bool = False,
) -> Path:
    """Write an ONNX file as ``REPOSITORY/NAME``, which Triton loads and batches; return the path.

    ``config.pbtxt`` names inputs and outputs without the axis of the batch, with -1 for a free
    size, and batches up to 64 rows across requests (`dynamic_batching`); a GPU runs it where there
    is one. The file is ``1/model.onnx``. The backend "python" has a ``1/model.py`` beside it,
    which calls onnxruntime and pads jets of different lengths to one; "onnxruntime", Triton's own,
    batches requests of equal shapes alone.

    Raises `InputError` for an input or output that has no batch in front or a type that Triton has
    not, and for a model of that name in the repository, unless `force`.
    """
    path = existing_file(model)
    config = _config(path, name, backend)
    with atomic_folder(Path(repository) / name, force) as part:
        (part / "config.pbtxt").write_text(config)
        (part / "1").mkdir()
        shutil.copyfile(path, part / "1" / "model.onnx")
        if backend == "python":
            (part / "1" / "model.py").write_text(MODEL)
    return Path(repository) / name


def _config(path: Path, name: str, backend: Backend) -> str:
    """Return the text of config.pbtxt."""
    from onnx import load

    graph = load(path).graph
    weights = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    lines = [f'name: "{name}"', f'backend: "{backend}"', f"max_batch_size: {ROWS}"]
    if backend == "onnxruntime":
        lines.append('default_model_filename: "model.onnx"')
    lines += [_tensor("input", value, path, backend == "python") for value in inputs]
    lines += [_tensor("output", value, path, False) for value in graph.output]
    lines += [
        "dynamic_batching {",
        f"  preferred_batch_size: [ {ROWS} ]",
        f"  default_queue_policy {{ max_queue_size: {QUEUE} }}",
        "}",
        "instance_group [ { count: 1 kind: KIND_AUTO } ]",
    ]
    return "\n".join(lines) + "\n"


def _tensor(what: str, value: Any, path: Path, ragged: bool) -> str:
    """Return the line of an input or output of config.pbtxt."""
    from onnx import TensorProto

    tensor = value.type.tensor_type
    kind = TensorProto.DataType.Name(tensor.elem_type)
    if kind not in TYPES:
        raise InputError(f"{path}: {what} '{value.name}' is {kind}, which Triton does not serve.")
    if not tensor.shape.dim or tensor.shape.dim[0].HasField("dim_value"):
        raise InputError(
            f"{path}: {what} '{value.name}' has no free first axis, the batch; export it again with"
            " one."
        )
    sizes = [d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim[1:]]
    # A number an event has no axis but the batch, which Triton writes in this way.
    shape = (
        f"dims: [ {', '.join(map(str, sizes))} ]" if sizes else "dims: [ 1 ] reshape { shape: [ ] }"
    )
    batched = " allow_ragged_batch: true" if ragged and -1 in sizes else ""
    return f'{what} [ {{ name: "{value.name}" data_type: TYPE_{TYPES[kind]} {shape}{batched} }} ]'
