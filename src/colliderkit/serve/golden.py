"""Golden JSON: the lumi sections of each run that are good, as experiments exchange them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from colliderkit.errors import InputError
from colliderkit.files import atomic_file, existing_file

__all__ = ["read_golden", "write_golden"]

Golden = Mapping[str, Sequence[Sequence[int]]]


def write_golden(path: str | Path, golden: Golden, *, force: bool = False) -> Path:
    """Write good lumi sections, {run: [[first, last], ...]}, as JSON with a run a line."""
    lines = [f'"{run}": {json.dumps([list(r) for r in ranges])}' for run, ranges in golden.items()]
    with atomic_file(path, force) as part:
        part.write_text("{" + ",\n ".join(lines) + "}\n")
    return Path(path)


def read_golden(path: str | Path) -> dict[int, list[tuple[int, int]]]:
    """Read a golden JSON as {run: [(first, last), ...]}; raise `InputError` where it is none."""
    path = existing_file(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        golden = {int(k): [(int(a), int(b)) for a, b in v] for k, v in content.items()}
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{path}: is no golden JSON, {{run: [[first, last], ...]}} ({error})."
        ) from error
    for run, ranges in golden.items():
        if any(a > b for a, b in ranges):
            raise InputError(f"{path}: a range of run {run} ends before it begins; mend it.")
    return golden
