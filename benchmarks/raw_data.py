"""Raw data end to end, head by head, and tagging at the trigger beside a seed jet.

    python benchmarks/raw_data.py --runs RUNS --scale laptop

Runs the studies `raw-data` and `trigger-tagging` into folders of RUNS (or reads what is there), and
judges their results: each head of the common trunk beside its own network, in standard deviations
of the difference over seeds, and beside boosted trees on shapes; what a trigger keeps of b and top
quarks beside a cut on the seed jet at the same rate, and the CPU time of an event on one thread.
"""

from pathlib import Path
from typing import Any

from colliderkit.methods.method import versions
from colliderkit.report.results import Result, read_results
from colliderkit.studies import reproduce
from colliderkit.studies.raw_data import HEADS, SIGMA, TITLES, TREES, TRUNK
from colliderkit.studies.trigger_tagging import KEPT, NETWORK, TIME
from colliderkit.tasks.raw_data import MERITS
from colliderkit.tasks.trigger_tagging import SEED_JET
from comparison import options, row, save

Rows = dict[tuple[str, str], Result]


def results(runs: Path, study: str, scale: str) -> Rows:
    """Return the results of a study, which is run if it was not, by subject and quantity."""
    out = runs / study
    if not (out / "results.json").exists():
        reproduce(study, scale=scale, out=out)
    return {(row.subject, row.quantity): row for row in read_results(out / "results.json")}


def heads(found: Rows, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge the heads of the common trunk."""
    rows = []
    for head in HEADS:
        worse = found[TITLES[head], SIGMA].value
        rows.append(
            row(f"raw data, {TITLES[head]}: {SIGMA}", worse, 0.0, worse, None, unit="sigma",
                bar="<= 2", **shared)
        )  # fmt: skip
        ours, trees = found[TRUNK, MERITS[head]], found[TREES, MERITS[head]]
        rows.append(
            row(f"raw data, {MERITS[head]}: cells and shapes", ours.value, trees.value,
                ours.value / trees.value, (ours.error or 0.0) / trees.value, unit="ratio",
                bar="<= 1", **shared)
        )  # fmt: skip
    return rows


def trigger(found: Rows, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge the trigger beside the seed jet."""
    rows = []
    for quantity in KEPT.values():
        ours, jet = found[NETWORK, quantity], found[SEED_JET, quantity]
        rows.append(
            row(f"trigger, {quantity}", ours.value, jet.value, ours.value - jet.value, ours.error,
                unit="difference", bar=">= 0", **shared)
        )  # fmt: skip
    spent = found["in all, torch", TIME]
    rows.append(
        row(f"trigger: {TIME}", spent.value, None, spent.value, spent.error, unit="ms", **shared)
    )
    return rows


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--scale", default="laptop")
    chosen = parser.parse_args()
    shared: dict[str, Any] = {
        "command": f"python benchmarks/raw_data.py --runs RUNS --scale {chosen.scale}",
        "versions": versions(),
        "threads": 1,
    }
    rows = heads(results(chosen.runs, "raw-data", chosen.scale), shared)
    rows += trigger(results(chosen.runs, "trigger-tagging", chosen.scale), shared)
    save("raw_data", rows)


if __name__ == "__main__":
    main()
