"""Write the seconds of each study's steps, which `study` shows as progress and `--list` in all.

    python benchmarks/studies.py FOLDER... --on "2 cores"

FOLDER... hold complete runs (`colliderkit study NAME --scale SCALE --out FOLDER`), or folders of
them. What they have measured replaces what is there of the same study and scale, the rest stays.
Times are wall times of the machine that is named; those of a machine that others use are longer.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from colliderkit.files import atomic_file
from colliderkit.studies import STUDIES
from colliderkit.studies.measured import FILE, fingerprint


def measured(folder: Path, machine: str) -> dict[str, Any] | None:
    """Return the row of a complete run; None if its scale has other numbers by now."""
    request = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    if request["study"] not in STUDIES:
        return None
    scale = STUDIES.load(request["study"]).scales.get(request["scale"])
    if repr(scale) != request["size"] or request["seeds"] != getattr(scale, "seeds", 1):
        return None
    seconds = json.loads((folder / "steps" / "seconds.json").read_text(encoding="utf-8"))
    return {
        "size": fingerprint(request["size"]),
        "seeds": request["seeds"],
        "on": machine,
        "seconds": [round(value, 2) for value in seconds.values()],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--on", default="", help="the machine")
    chosen = parser.parse_args()
    table = json.loads(FILE.read_text(encoding="utf-8"))
    for page in sorted(p for folder in chosen.folders for p in folder.rglob("report.html")):
        folder = page.parent
        if not (folder / "study.json").is_file():
            continue
        request = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        row = measured(folder, chosen.on)
        name, scale = request["study"], request["scale"]
        if row is None:
            print(f"{folder}: other numbers than {name} has at {scale} now; left out")
            continue
        table.setdefault(name, {})[scale] = row
        print(f"{name} at {scale}: {len(row['seconds'])} steps, {sum(row['seconds']):.0f} s")
    known = {name: table[name] for name in STUDIES if name in table}
    rows = (
        f" {json.dumps(name)}: {{\n"
        + ",\n".join(f"  {json.dumps(s)}: {json.dumps(row)}" for s, row in scales.items())
        + "\n }"
        for name, scales in known.items()
    )
    with atomic_file(FILE, force=True) as part:
        part.write_text("{\n" + ",\n".join(rows) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
