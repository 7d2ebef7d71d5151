"""Bind a folder of unfinished work to the one request that made it."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.errors import InputError
from colliderkit.files import atomic_file

__all__ = ["claim", "content", "first_process", "holds_work", "piecewise"]

# What a training, an unfolding or a search keeps of what it has done.
WORK = (
    "last.ckpt",
    "best.ckpt",
    "push-*.npy",
    "ratio-to-data.npy",
    "fold-*.safetensors",
    "null-*.json",
    "injection-*.json",
)
# Bytes: what is read whole to know it again, and of a larger one in each of so many places.
WHOLE, PIECE, PIECES = 1 << 27, 1 << 16, 200


def claim(
    folder: Path, request: Mapping[str, Any], note: str, *, way_out: str, anew: bool = False
) -> None:
    """Keep what the work in a folder is of, in the file `note`; refuse another request.

    `request` are JSON values by name, all that decides the bits. Where nothing is kept yet, the
    folder is free for any. `anew` drops what is kept, if it is the claim's own: another one in a
    folder below stays. Raises `InputError`, with the names of what differs and the way out, where
    the folder holds work of another request, or of one that it does not tell.
    """
    path = folder / note
    text = json.dumps(dict(request), indent=1, sort_keys=True, default=str)
    if anew and path.is_file():
        for work in _work(folder, note):
            work.unlink()
        path.unlink()
    elif path.is_file() and holds_work(folder):
        kept, asked = _read(path), json.loads(text)
        changed = [n for n in {**kept, **asked} if kept.get(n, ...) != asked.get(n, ...)]
        if changed:
            raise InputError(
                f"{folder}: holds a training of another request (other: {', '.join(changed[:5])});"
                f" repeat that one to go on, or {way_out}."
            )
        return
    if any(True for _ in _work(folder, note)):
        raise InputError(f"{folder}: does not say of what request its checkpoints are; {way_out}.")
    with atomic_file(path, force=True) as part:
        part.write_text(text)


def holds_work(folder: Path) -> bool:
    """Whether a folder, or one in it, keeps something to go on from."""
    return any(True for pattern in WORK for _ in folder.rglob(pattern))


def _work(folder: Path, note: str) -> Iterator[Path]:
    """Yield what is kept in a folder and in those in it, where it is not of another claim."""
    claimed = {path.parent for path in folder.glob(f"*/{note}")}
    for pattern in WORK:
        yield from folder.glob(pattern)
        yield from (path for path in folder.glob(f"*/{pattern}") if path.parent not in claimed)


def first_process() -> bool:
    """Whether this process is the one of a distributed training that writes."""
    return {os.environ.get(name, "0") for name in ("LOCAL_RANK", "NODE_RANK")} == {"0"}


def content(value: Any) -> str:
    """Return a checksum of data: arrays, jet arrays, tensors, dataclasses, lists and dictionaries.

    Of a table of more than 128 MB it is that of its length and of pieces all over it.
    """
    checksum = hashlib.blake2b(digest_size=16)
    for part in _parts(value):
        checksum.update(part)
    return checksum.hexdigest()


def piecewise(size: int, piece: int) -> Sequence[int]:
    """Return where the pieces of something of `size` begin that is too large to be read whole."""
    return [i * max(size - piece, 0) // PIECES for i in range(PIECES + 1)]


def _read(path: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: damaged ({error}); remove its folder.") from error
    return kept


def _parts(value: Any) -> Iterator[bytes]:
    """Yield the bytes of a value, each part behind its type."""
    yield f"{type(value).__name__}:".encode()
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) or hasattr(value, "layout"):  # awkward's have one
        yield from _rows(value)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield field.name.encode()
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield str(name).encode()
            yield from _parts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _parts(item)
    elif hasattr(value, "__array__"):  # of pandas, h5py and others
        yield from _rows(np.asarray(value))
    elif value is None or isinstance(value, bool | int | float | complex | str):
        yield repr(value).encode()


def _rows(array: Any) -> Iterator[bytes]:
    """Yield the bytes of an array's rows, of a large one in pieces."""
    if isinstance(array, np.ndarray):
        yield f"{array.shape}{array.dtype}".encode()
        array = array.reshape(-1) if array.ndim == 0 else array
    count = len(array)
    yield str(count).encode()
    rows = count
    if array.nbytes > WHOLE:
        rows = max(1, PIECE * count // array.nbytes)
    for start in [0] if rows == count else piecewise(count, rows):
        yield from _bytes(array[start : start + rows])


def _bytes(rows: Any) -> Iterator[bytes]:
    if isinstance(rows, np.ndarray):
        yield repr(rows.tolist()).encode() if rows.dtype.hasobject else rows.tobytes()
        return
    import awkward as ak

    form, _, buffers = ak.to_buffers(ak.to_packed(rows))
    yield str(form).encode()
    for name, buffer in sorted(buffers.items()):
        yield name.encode()
        yield np.asarray(buffer).tobytes()
