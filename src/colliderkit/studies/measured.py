"""How long a study takes: the seconds of its steps, as complete runs have measured them.

``measured.json`` is written by ``python benchmarks/studies.py FOLDER...`` from the folders of
complete runs.
"""

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["FILE", "duration_of", "fingerprint", "step_seconds"]

FILE = Path(__file__).with_name("measured.json")


def fingerprint(size: str) -> str:
    """Return the checksum of a scale's numbers; what was measured with others does not count."""
    return f"{zlib.crc32(size.encode()):08x}"


def step_seconds(study: str, scale: str, size: str, seeds: int) -> list[float]:
    """Return the measured seconds of each step, in order; none if this was never measured."""
    row = _measured().get(study, {}).get(scale, {})
    known = row and row["size"] == fingerprint(size) and row["seeds"] == seeds
    return list(row["seconds"]) if known else []


def duration_of(study: str, scale: str, size: str) -> float | None:
    """Return the measured seconds of all steps with the scale's own number of seeds."""
    row = _measured().get(study, {}).get(scale)
    return sum(row["seconds"]) if row and row["size"] == fingerprint(size) else None


@cache
def _measured() -> dict[str, dict[str, dict[str, Any]]]:
    rows: dict[str, dict[str, dict[str, Any]]] = json.loads(FILE.read_text(encoding="utf-8"))
    return rows
