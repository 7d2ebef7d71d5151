"""The types of numbers of the KServe v2 protocol, in numpy, onnxruntime and configurations."""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["BYTES", "CONTENTS", "NUMPY", "ONNX", "config_type", "joined"]

BYTES = "BYTES"
# Little-endian and row-major, as they stand on the wire.
NUMPY = {
    "BOOL": np.dtype("?"),
    **{f"UINT{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"INT{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"FP{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
}
# What onnxruntime calls them.
ONNX = {
    "tensor(bool)": "BOOL",
    **{f"tensor(uint{n})": f"UINT{n}" for n in (8, 16, 32, 64)},
    **{f"tensor(int{n})": f"INT{n}" for n in (8, 16, 32, 64)},
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": BYTES,
}
# The field of a gRPC message that holds numbers of a type, if they do not come raw.
CONTENTS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def config_type(datatype: str) -> str:
    """Return a type as a model configuration writes it: ``TYPE_FP32``, and strings apart."""
    return "TYPE_STRING" if datatype == BYTES else f"TYPE_{datatype}"


def joined(strings: Sequence[bytes] | NDArray[np.object_]) -> bytes:
    """Return strings as they stand on the wire: each after its length, four bytes."""
    return b"".join(struct.pack("<I", len(text)) + text for text in strings)
