"""Check the tensors of a request and make arrays of them; write answers as classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from colliderkit.serve.inference.datatypes import NUMPY
from colliderkit.serve.inference.limits import Limits
from colliderkit.serve.inference.models import Model
from colliderkit.serve.inference.refusals import Reason, Refusal

__all__ = ["Given", "Question", "classified", "malformed", "question", "refuse_extensions"]

# What other servers offer under these parameters, and this one does not.
NOT_OFFERED = {
    "sequence_id": "sequences",
    "sequence_start": "sequences",
    "sequence_end": "sequences",
    "shared_memory_region": "shared memory",
    "shared_memory_byte_size": "shared memory",
    "shared_memory_offset": "shared memory",
    "priority": "priorities of requests",
}


@dataclass(slots=True)
class Given:
    """One input tensor as it came: its numbers raw, as little-endian bytes, or in a list."""

    name: str
    datatype: str
    shape: Sequence[int]
    values: bytes | memoryview | Sequence[Any]


@dataclass(slots=True)
class Question:
    """The checked arrays of a request, in the order of the model's inputs.

    `length` is that of the longest jet of a ragged model and 0 for others; `kind` are the shapes
    of a row, which rows of one batch share.
    """

    arrays: list[NDArray[Any]]
    rows: int
    length: int
    kind: tuple[tuple[int, ...], ...]


def malformed(sentence: str) -> Refusal:
    """Return the refusal of a request that is not as the protocol or the model wants it."""
    return Refusal(Reason.MALFORMED, sentence)


def refuse_extensions(names: Any, values: Any = None) -> None:
    """Raise `Refusal` for parameters that ask for what this server does not offer."""
    for name in names:
        what = NOT_OFFERED.get(name)
        # Clients send an empty sequence with every request, and the priority 0.
        if what and (values is None or values(name) not in (0, "", False)):
            raise Refusal(
                Reason.NOT_OFFERED,
                f"no {what} here; send the request without '{name}'",
            )


def question(model: Model, given: Sequence[Given], limits: Limits) -> Question:
    """Return the arrays for a model of the tensors that came; raise `Refusal` if they do not fit.

    Nothing is allocated for a shape before the bytes are there to fill it.
    """
    if len(given) != len(model.inputs):
        raise malformed(
            f"model '{model.name}' takes {len(model.inputs)} inputs, and {len(given)} were given"
        )
    named = {tensor.name: tensor for tensor in given}
    if len(named) < len(given):
        raise malformed("an input is given twice")
    arrays: list[NDArray[Any]] = []
    free: dict[str, int] = {}
    for tensor in model.inputs:
        if (came := named.get(tensor.name)) is None:
            raise malformed(
                f"model '{model.name}' has no input {sorted(set(named) - _names(model))};"
                f" it takes {', '.join(sorted(_names(model)))}"
            )
        if came.datatype != tensor.datatype:
            raise malformed(
                f"input '{tensor.name}' is {tensor.datatype}, and {came.datatype!r} was given"
            )
        shape = came.shape
        if len(shape) != len(tensor.shape):
            raise _misfit(tensor.name, tensor.sizes, shape)
        for axis, (size, wanted) in enumerate(zip(shape, tensor.shape, strict=True)):
            if isinstance(wanted, int):
                if size != wanted:
                    raise _misfit(tensor.name, tensor.sizes, shape)
                continue
            if free.setdefault(wanted, size) != size and not wanted.startswith("free "):
                raise malformed(
                    f"dimension '{wanted}' is {free[wanted]} in one input and {size} in another"
                )
            if axis == 0 and model.batched:
                if not 1 <= size <= limits.request_rows:
                    raise malformed(
                        f"a request has 1 to {limits.request_rows} rows, and {size} were given"
                    )
            elif not (0 if model.ragged else 1) <= size <= limits.longest:
                raise malformed(
                    f"input '{tensor.name}' has shape {list(shape)}; a free dimension is 1 to"
                    f" {limits.longest}"
                )
        arrays.append(_array(came, NUMPY[tensor.datatype], limits))
    rows = len(arrays[0]) if model.batched else 1
    if any(len(array) != rows for array in arrays[1:] if model.batched):
        raise malformed("the inputs have different numbers of rows")
    if model.ragged:
        return Question(arrays, rows, arrays[0].shape[1], ())
    kind = tuple(array.shape[1:] for array in arrays) if model.batched else ()
    return Question(arrays, rows, 0, kind)


def _names(model: Model) -> set[str]:
    return {tensor.name for tensor in model.inputs}


def _misfit(name: str, wanted: Sequence[int], shape: Sequence[int]) -> Refusal:
    return malformed(f"input '{name}' has shape {list(wanted)}, and {list(shape)[:16]} was given")


def _array(came: Given, dtype: np.dtype[Any], limits: Limits) -> NDArray[Any]:
    """Return the numbers of a tensor, whose count its shape must tell exactly."""
    count, values = math.prod(came.shape), came.values
    if isinstance(values, bytes | memoryview):
        if len(values) != count * dtype.itemsize:
            raise malformed(
                f"input '{came.name}': {len(values)} bytes do not fill shape {list(came.shape)} of"
                f" {came.datatype}, which takes {count * dtype.itemsize}"
            )
        if dtype.kind == "b":
            array = np.frombuffer(values, np.uint8) != 0
        else:
            array = np.frombuffer(values, dtype)
    else:
        array = _of_list(came, dtype)
    if array.size != count:
        raise malformed(
            f"input '{came.name}': {array.size} numbers do not fill shape {list(came.shape)}"
        )
    if limits.finite and dtype.kind == "f" and not np.isfinite(array).all():
        raise malformed(f"input '{came.name}' has NaN or infinity, which this server refuses")
    return array.reshape(came.shape)


def _of_list(came: Given, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return numbers that came as a list, nested or flat, without changing one of them."""
    try:
        array = np.asarray(came.values)
        if dtype == np.uint64 and array.dtype.kind == "f":
            # Beside smaller ones numpy takes those above 2^63 for floats, which round them.
            whole = np.asarray(came.values, dtype=object)
            array = whole.astype(np.uint64) if _are_whole(whole) else array
    except (ValueError, OverflowError, TypeError) as error:
        raise malformed(f"input '{came.name}': its data are no numbers of one shape") from error
    if array.size == 0:
        return np.empty(0, dtype)
    fits = {"f": "fiu", "i": "iu", "u": "iu", "b": "b"}[dtype.kind]
    if array.dtype.kind not in fits:
        raise malformed(f"input '{came.name}': its data are no numbers of type {came.datatype}")
    if dtype.kind in "iu":
        bounds = np.iinfo(dtype)
        if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
            raise malformed(f"input '{came.name}': a number is beyond what {came.datatype} holds")
    with np.errstate(over="ignore"):
        return array.astype(dtype).ravel()


def _are_whole(values: NDArray[np.object_]) -> bool:
    return all(type(value) is int for value in values.ravel())


def classified(
    values: NDArray[Any], count: int, labels: Sequence[str], batched: bool
) -> NDArray[np.object_]:
    """Return the `count` largest of each row as texts ``value:index:label``, the largest first.

    It is the classification extension of the protocol; the label stands where it is known.
    """
    flat = values.reshape(len(values), -1) if batched and values.ndim else values.reshape(1, -1)
    if flat.dtype.kind not in "fiub":
        raise malformed("an output of texts has no largest values")
    order = np.argsort(-flat.astype(np.float64), axis=1, kind="stable")[:, :count]
    form = "{:f}" if flat.dtype.kind == "f" else "{:d}"
    named = labels if len(labels) == flat.shape[1] else [""] * flat.shape[1]
    texts = [
        [
            (form.format(row[i].item()) + f":{i}" + (f":{named[i]}" if named[i] else "")).encode()
            for i in indices
        ]
        for row, indices in zip(flat, order, strict=True)
    ]
    answer = np.array(texts, dtype=object)
    return answer if batched else answer[0]
