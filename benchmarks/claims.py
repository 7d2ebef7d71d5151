"""Write what complete studies claim, with estimate, error, bound and verdict, as benchmark rows.

    colliderkit study vertexing --scale laptop --out runs/vertexing
    python benchmarks/claims.py runs/vertexing

FOLDER... hold complete runs, or folders of them. The rows of a study and scale replace those that
are there of it; the rest stays. A claim that errors leave open has neither been met nor missed.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from colliderkit.metrics.value import Value
from colliderkit.report.results import read_results
from colliderkit.report.verdict import Claim
from colliderkit.studies import STUDIES
from comparison import RESULTS, row, save

MET = {"holds": True, "does not hold": False, "not decided": None}


def of_claim(claim: Claim, name: str, **shared: Any) -> dict[str, Any]:
    """Return the row of a claim: the estimate beside its bound."""
    estimate, bound = claim.estimate, claim.bound
    assert estimate is not None
    other = bound.value if isinstance(bound, Value) else None
    asked = f"{claim.relation} {claim.than.removeprefix('of ')}".strip()
    if isinstance(bound, tuple):
        asked = f"within {bound[0]:g} to {bound[1]:g}"
    elif not claim.than and other is not None:
        asked = f"{claim.relation} {other:g}"
    return row(
        f"{name}: {claim.text}", estimate.value, other, None, estimate.error, unit="",
        bar=asked, met=MET[claim.verdict], **shared,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    chosen = parser.parse_args()
    file = RESULTS / "claims.json"
    kept = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    for page in sorted(p for folder in chosen.folders for p in folder.rglob("report.html")):
        folder = page.parent
        if not (folder / "study.json").is_file():
            continue
        request = json.loads((folder / "study.json").read_text(encoding="utf-8"))
        written = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        name, scale = request["study"], request["scale"]
        results = read_results(folder / "results.json")
        claims = [aim.judge(results) for aim in STUDIES.load(name).aims]
        shared = {
            "command": f"python benchmarks/claims.py runs/{name}",
            "made": f"{written['command']} --out runs/{name}",
            "versions": {n: written["versions"][n] for n in ("colliderkit", "torch", "numpy")},
            "study": name,
            "scale": scale,
        }
        kept = [r for r in kept if (r["study"], r["scale"]) != (name, scale)]
        kept += [of_claim(c, name, **shared) for c in claims if c.estimate is not None]
    save("claims", kept)


if __name__ == "__main__":
    main()
