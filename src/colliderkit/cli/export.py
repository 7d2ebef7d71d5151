"""Write a fitted method for others: as ONNX, for Triton, a workspace or a submission to HEPData."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from colliderkit.cli.fitted import Call, call
from colliderkit.errors import InputError
from colliderkit.files import alone, refuse_existing
from colliderkit.serve.triton import Backend, write_repository

__all__ = ["main"]


@dataclass(frozen=True)
class Exported:
    """Say what is written.

    Args:
        out: the file, or the folder of a submission.
        triton: in its place, a model repository of NVIDIA's Triton server, with the model under
            the name of its folder.
        backend: of Triton that runs it: onnxruntime, or python, whose model.py calls onnxruntime
            and batches jets of different lengths.
        force: overwrite what is there.
    """

    out: Path | None = None
    triton: Path | None = None
    backend: Backend = "onnxruntime"
    force: bool = False


def main(argv: Sequence[str]) -> None:
    """Parse and run, with the options of the task that the model's method belongs to."""
    verb = call(argv, "export", Exported)
    asked: Exported = verb.output
    if (asked.out is None) == (asked.triton is None):
        raise InputError(
            "--out names a file to write and --triton a model repository; give one of the two."
        )
    if asked.triton is None and asked.backend != "onnxruntime":
        raise InputError(f"--backend {asked.backend} is of Triton; give --triton, or leave it out.")
    path = asked.out if asked.triton is None else asked.triton / name_of(verb)
    assert path is not None
    with alone(path):
        refuse_existing(path, asked.force)
        checked = verb.function() if asked.triton is None else repository(verb, path, asked)
    print(f"exported: {path} ({checked})")


def name_of(verb: Call) -> str:
    """Return what a model is called in a repository: as its folder."""
    assert verb.model is not None
    return verb.model.resolve().name


def repository(verb: Call, path: Path, asked: Exported) -> str:
    """Export to ONNX, whatever the task, and put that into a repository."""
    with tempfile.TemporaryDirectory(prefix="colliderkit-triton-") as folder:
        file = Path(folder) / "model.onnx"
        checked: str = verb.function(out=file, force=False)
        if not is_onnx(file):
            raise InputError(
                f"--triton: {verb.task} exports no ONNX, as a model repository has; give --out."
            )
        write_repository(file, path.parent, path.name, backend=asked.backend, force=asked.force)
    return checked


def is_onnx(file: Path) -> bool:
    """Return whether a task has written ONNX: others write JSON, or a folder."""
    from google.protobuf.message import DecodeError
    from onnx import load

    try:
        return file.is_file() and len(load(file).graph.output) > 0
    except DecodeError:
        return False
