"""Decorrelation of a W tagger: R50 at 1/JSD >= 100, from the results of the study.

    colliderkit study w-tagging --scale laptop --out runs/w-tagging
    python benchmarks/w_tagging.py --results runs/w-tagging/results.json

All methods see the same jets in one run, with the same network and the same passes over them; plain
DisCo and binned MoDe are the published methods, in our code. R50 at a given 1/JSD is interpolated
between the strengths of one method (`colliderkit.metrics.sculpting.rejection_at`); the uncertainty
of a ratio takes that of both sides as independent, though the test jets are the same.
"""

import argparse
import json
import math
import sys
from pathlib import Path

from colliderkit.report.results import Result, read_results
from comparison import row, save

COMMAND = "python benchmarks/w_tagging.py --results runs/w-tagging/results.json"
FIGURE = "R50 at 1/JSD >= 100"
PUBLISHED = ("DisCo", "MoDe[0], binned")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="results.json of the study")
    chosen = parser.parse_args()
    found = {r.subject: r for r in read_results(chosen.results) if r.quantity == FIGURE}
    for name in (*PUBLISHED, "MoDe[0]"):
        if name not in found:
            sys.exit(f"{chosen.results}: {name} does not reach 1/JSD = 100")
    best = max((r for r in found.values() if r.subject not in PUBLISHED), key=lambda r: r.value)
    about = json.loads(chosen.results.read_text())
    common = {
        "command": COMMAND,
        "study": about["command"],
        "seeds": about["seeds"],
        "versions": about["versions"],
        "all": {name: [r.value, r.error] for name, r in found.items()},
    }
    rows = [
        compared(
            f"{FIGURE}: best ({best.subject}) against DisCo", best, found["DisCo"], 1.2, common
        ),
        compared(
            f"{FIGURE}: MoDe[0] unbinned against binned",
            found["MoDe[0]"],
            found["MoDe[0], binned"],
            1.0,
            common,
        ),
    ]
    save("w_tagging", rows)


def compared(figure: str, ours: Result, peer: Result, bar: float, common: dict) -> dict:
    """Return a row that is judged by the ratio alone, its uncertainty beside it."""
    ratio = ours.value / peer.value
    error = ratio * math.hypot((ours.error or 0) / ours.value, (peer.error or 0) / peer.value)
    return row(figure, ours.value, peer.value, ratio, error, unit="", bar=f">= {bar:g}", **common)


if __name__ == "__main__":
    main()
