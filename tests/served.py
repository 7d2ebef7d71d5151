"""Small ONNX files, and a server of them with plain clients of either kind."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "BOOL": (TensorProto.BOOL, "?"),
    **{f"UINT{8 * n}": (getattr(TensorProto, f"UINT{8 * n}"), f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"INT{8 * n}": (getattr(TensorProto, f"INT{8 * n}"), f"<i{n}") for n in (1, 2, 4, 8)},
    "FP16": (TensorProto.FLOAT16, "<f2"),
    "FP32": (TensorProto.FLOAT, "<f4"),
    "FP64": (TensorProto.DOUBLE, "<f8"),
}
FLOAT = TensorProto.FLOAT


def write(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[tuple[str, int, Sequence[int | str]]],
    outputs: Sequence[tuple[str, int, Sequence[int | str]]],
    constants: Mapping[str, Any] | None = None,
    properties: Mapping[str, str] | None = None,
) -> Path:
    """Write a model of a few nodes."""
    arrays = [numpy_helper.from_array(np.asarray(v), k) for k, v in (constants or {}).items()]
    infos = [[helper.make_tensor_value_info(*one) for one in some] for some in (inputs, outputs)]
    graph = helper.make_graph(list(nodes), "small", *infos, arrays)
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    helper.set_model_props(model, dict(properties or {}))
    onnx.save(model, path)
    return path


def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
    """Return a node from names between spaces."""
    return helper.make_node(kind, inputs.split(), output.split(), **attributes)


def deep_set(path: Path, seed: int = 0, width: int = 16) -> Path:
    """Write a tagger of jets of any length in the form of the package's exports."""
    random = np.random.default_rng(seed)
    nodes = [
        node("Gather", "constituents three", "e", axis=2),
        node("Greater", "e zero", "real"),
        node("Unsqueeze", "real last", "mask"),
        node("MatMul", "constituents phi", "a"),
        node("Relu", "a", "b"),
        node("Where", "mask b zero", "c"),
        node("ReduceSum", "c middle", "d", keepdims=0),
        node("MatMul", "d f", "logits"),
        node("Softmax", "logits", "probability", axis=-1),
    ]
    constants = {
        "three": np.array(3),
        "zero": np.float32(0),
        "last": np.array([2]),
        "middle": np.array([1]),
        "phi": random.normal(size=(4, width)).astype(np.float32) / 3,
        "f": random.normal(size=(width, 2)).astype(np.float32) / width,
    }
    properties = {"colliderkit": "0", "classes": json.dumps(["qcd", "top"])}
    inputs = [("constituents", FLOAT, ["batch", "length", 4])]
    outputs = [("probability", FLOAT, ["batch", 2])]
    return write(path, nodes, inputs, outputs, constants, properties)


def identity(path: Path) -> Path:
    """Write a model that gives back an input of every numeric type."""
    nodes = [node("Identity", f"in_{name}", f"out_{name}") for name in TYPES]
    ends = [
        [(f"{end}_{name}", kind, ["n", 3]) for name, (kind, _) in TYPES.items()]
        for end in ("in", "out")
    ]
    return write(path, nodes, *ends)


def jets(count: int, seed: int = 0, low: int = 1, high: int = 60) -> list[np.ndarray]:
    """Return jets (1, length, 4) of different lengths."""
    random = np.random.default_rng(seed)
    lengths = random.integers(low, high + 1, count)
    made = [np.abs(random.normal(size=(1, length, 4))) + 0.1 for length in lengths]
    return [jet.astype(np.float32) for jet in made]


def ask(
    url: str, body: bytes | None = None, **headers: str
) -> tuple[int, bytes, Mapping[str, str]]:
    """Return status, body and headers of a call over HTTP."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, data=body, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def binary(
    inputs: Mapping[str, tuple[str, np.ndarray]], **document: Any
) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a request with binary tensors and answers."""
    described, blobs = [], []
    for name, (datatype, values) in inputs.items():
        blob = np.ascontiguousarray(values).tobytes()
        blobs.append(blob)
        described.append(
            {
                "name": name,
                "datatype": datatype,
                "shape": list(values.shape),
                "parameters": {"binary_data_size": len(blob)},
            }
        )
    document = {"inputs": described, "parameters": {"binary_data_output": True}} | document
    head = json.dumps(document).encode()
    return head + b"".join(blobs), {"Inference_Header_Content_Length": str(len(head))}


def arrays(body: bytes, headers: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Return the tensors of an answer over HTTP by their names."""
    size = int(headers.get("Inference-Header-Content-Length", len(body)))
    rest, found = body[size:], {}
    for one in json.loads(body[:size])["outputs"]:
        dtype, shape = TYPES[one["datatype"]][1], one["shape"]
        if "data" in one:
            found[one["name"]] = np.array(one["data"], dtype).reshape(shape)
            continue
        count = one["parameters"]["binary_data_size"]
        found[one["name"]] = np.frombuffer(rest[:count], dtype).reshape(shape)
        rest = rest[count:]
    assert not rest
    return found
