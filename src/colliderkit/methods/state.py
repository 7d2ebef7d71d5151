"""Encode what a method holds as JSON and named tensors, and decode it by its declared types.

JSON values, arrays, tensors, modules, dataclasses, named tuples and methods are walked, in lists,
tuples and dictionaries of any depth. Nothing is pickled: a type comes from the class that declares
the attribute, never from the file.
"""

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import get_annotations
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["JSON", "Tensors", "attributes", "decode", "encode", "restore_modules"]

JSON = Any
Tensors = dict[str, Tensor]


def attributes(cls: type) -> tuple[str, ...]:
    """List what `fit` of a class sets: its annotated names that end in "_", bases first."""
    names: dict[str, None] = {}
    for base in reversed(cls.__mro__):
        for name, hint in get_annotations(base).items():
            if name.endswith("_") and not name.startswith("_") and get_origin(hint) is not ClassVar:
                names[name] = None
    return tuple(names)


def encode(value: Any, tensors: Tensors, key: str) -> JSON:
    """Return `value` as JSON; its arrays and weights go to `tensors`, under names from `key`."""
    from colliderkit.methods.method import Method

    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no number for it
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor | np.ndarray):
        tensor = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        tensors[key] = tensor.detach().cpu().contiguous().clone()
        return {"tensor": key}
    if isinstance(value, nn.Module):
        for name, tensor in value.state_dict().items():
            tensors[f"{key}.{name}"] = tensor.detach().cpu().contiguous().clone()
        return {"module": key}
    if isinstance(value, Method):
        return {"method": value.name, **value._described(tensors, f"{key}.")}
    if is_dataclass(value) or hasattr(value, "_fields"):
        names = [f.name for f in fields(value)] if is_dataclass(value) else value._fields
        parts = {n: encode(getattr(value, n), tensors, f"{key}.{n}") for n in names}
        return {"class": type(value).__name__, **parts}
    if isinstance(value, Mapping):
        return {str(name): encode(item, tensors, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, Sequence):
        return [encode(item, tensors, f"{key}.{i}") for i, item in enumerate(value)]
    raise TypeError(f"{key} is a {type(value).__name__}, which cannot be saved")


def decode(value: JSON, hint: Any, tensors: Tensors) -> Any:
    """Return what `encode` wrote, of the type `hint`; modules are left to `restore_modules`.

    Raises TypeError, KeyError or ValueError where file and type do not fit.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return decode(value, arguments[0], tensors)
    if origin in (Union, types.UnionType):
        return _decode_union(value, arguments, tensors)
    if hint is Any or origin is Literal or hint in (None, type(None)):
        return value
    kind = origin or hint
    if isinstance(kind, type):
        if issubclass(kind, np.ndarray):
            return tensors[value["tensor"]].numpy()
        if issubclass(kind, Tensor):
            return tensors[value["tensor"]]
        if _is_method(kind):
            return _decode_method(value, tensors)
        if is_dataclass(kind) or hasattr(kind, "_fields"):
            hints = get_type_hints(kind)
            return kind(**{n: decode(v, hints[n], tensors) for n, v in value.items() if n in hints})
        if issubclass(kind, float):
            return float(value)
        if issubclass(kind, int | str):
            return value
        if issubclass(kind, tuple):
            if len(arguments) == 2 and arguments[1] is ...:
                return tuple(decode(item, arguments[0], tensors) for item in value)
            return tuple(decode(v, h, tensors) for v, h in zip(value, arguments, strict=True))
        if issubclass(kind, Mapping):
            key, item = arguments or (str, Any)
            return {key(n) if key is int else n: decode(v, item, tensors) for n, v in value.items()}
        if issubclass(kind, Sequence):
            if isinstance(value, dict):  # an array was given for a list of numbers
                value = tensors[value["tensor"]].tolist()
            items = [decode(item, arguments[0] if arguments else Any, tensors) for item in value]
            # What is typed as any sequence has a tuple for its default.
            return items if issubclass(kind, list) else tuple(items)
    raise TypeError(f"a value cannot be read as {hint}")


def holds_module(value: JSON) -> bool:
    """Whether encoded JSON has a module in it, outside of methods."""
    if isinstance(value, dict):
        if "method" in value and "parameters" in value:
            return False
        return set(value) == {"module"} or any(holds_module(item) for item in value.values())
    return isinstance(value, list) and any(holds_module(item) for item in value)


def restore_modules(built: Any, value: JSON, tensors: Tensors) -> None:
    """Load the weights of modules, alone or in lists and dictionaries, as `encode` wrote them."""
    if isinstance(built, nn.Module):
        start = f"{value['module']}."
        weights = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
        built.load_state_dict(weights)
        built.eval()
    elif isinstance(value, dict):
        for name, item in value.items():
            restore_modules(built[name], item, tensors)
    else:
        for part, item in zip(built, value, strict=True):
            restore_modules(part, item, tensors)


def _decode_union(value: JSON, hints: Sequence[Any], tensors: Tensors) -> Any:
    if value is None:
        return None
    for hint in hints:
        if isinstance(value, dict) and "class" in value:
            if getattr(hint, "__name__", "") != value["class"]:
                continue
        elif _unlike(value, hint):
            continue
        return decode(value, hint, tensors)
    raise TypeError(f"a value is none of {hints}")


def _unlike(value: JSON, hint: Any) -> bool:
    """Whether JSON cannot be of a member of a union."""
    kind = get_origin(hint) or hint
    if kind is Literal:
        return value not in get_args(hint)
    if not isinstance(kind, type) or kind is type(None):
        return kind is type(None)
    if isinstance(value, dict):
        if "tensor" in value:
            return not issubclass(kind, np.ndarray | Tensor | Sequence) or issubclass(kind, str)
        if "method" in value:
            return not _is_method(kind)
        return not issubclass(kind, Mapping)
    if isinstance(value, list):
        return not issubclass(kind, Sequence) or issubclass(kind, str)
    if isinstance(value, bool):
        return kind is not bool
    if isinstance(value, str):
        return kind is not str and not (kind is float and value in ("nan", "inf", "-inf"))
    return not issubclass(kind, float if isinstance(value, float) else (int | float))


def _is_method(kind: type) -> bool:
    from colliderkit.methods.method import Method

    return issubclass(kind, Method)


def _decode_method(value: JSON, tensors: Tensors) -> Any:
    from colliderkit.methods import METHODS

    return METHODS.load(value["method"])._restored(value, tensors)
