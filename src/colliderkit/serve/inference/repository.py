"""Find the models that a server is asked to serve: files, named files and folders of versions."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from colliderkit.errors import InputError

__all__ = ["Entry", "find"]

FILE = "model.onnx"  # of a version, as Triton's repositories have it


@dataclass(frozen=True)
class Entry:
    """Say which file is served under which name and version."""

    name: str
    version: int
    path: Path


def find(models: Sequence[str]) -> list[Entry]:
    """Return the files of `models`: each ``FILE.onnx``, ``NAME=FILE.onnx`` or a folder.

    A file is version 1 under its own name without ``.onnx``, or under NAME. A folder is a
    repository as Triton has them, ``FOLDER/NAME/VERSION/model.onnx``, of which all versions are
    served. Raises `InputError` for what is not there, and for two files of one name and version.
    """
    if not models:
        raise InputError("models has no names; name the ONNX files or folders to serve.")
    found: dict[tuple[str, int], Entry] = {}
    for entry in (entry for word in models for entry in _entries(word)):
        before = found.setdefault((entry.name, entry.version), entry)
        if before is not entry:
            raise InputError(
                f"{entry.path}: is model '{entry.name}' version {entry.version}, as {before.path}"
                " is; name one of them, as in NAME=FILE.onnx."
            )
    return [found[key] for key in sorted(found)]


def _entries(word: str) -> Iterable[Entry]:
    name, equals, file = word.partition("=")
    if not equals or "/" in name:
        name, file = "", word
    path = Path(file)
    if path.is_dir():
        if name:
            raise InputError(f"{path}: is a folder, whose models have their names; name a file.")
        return _repository(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file or folder; check the path.")
    name = path.stem if file == word else name
    if not name.strip():
        raise InputError(f"{path}: '{name}' is no name of a model; give one as in NAME={path}.")
    return [Entry(name, 1, path)]


def _repository(folder: Path) -> list[Entry]:
    paths = sorted(folder.glob(f"*/*/{FILE}"))
    entries = [
        Entry(path.parent.parent.name, int(path.parent.name), path)
        for path in paths
        if re.fullmatch(r"[1-9][0-9]{0,8}", path.parent.name)
    ]
    if not entries:
        hint = (
            f"write one with 'colliderkit export {folder} --out NAME.onnx'"
            if (folder / "config.json").exists() or (folder / "run.yaml").exists()
            else f"it needs NAME/1/{FILE}"
        )
        raise InputError(f"{folder}: holds no model that can be served; {hint}.")
    return entries
