"""The bars of jet calibration, read from a run of the study.

    colliderkit study jet-calibration --scale laptop
    python benchmarks/jet_calibration.py --results runs/jet-calibration-laptop/results.json

There is no peer: `ratio` is resolution over that of numerical inversion in the same run. Each
method that does not depend on the prior is held against each bar; no error is subtracted.
"""

import argparse
import json
from pathlib import Path

from colliderkit.report.results import Result, read_results
from comparison import Answer, row, save

COMMAND = "python benchmarks/jet_calibration.py --results RESULTS"
METHODS = ("sequential", "generalised inversion", "Gaussian Ansatz", "flow likelihood")
# A method is judged by the location of the response that it is made to bring to 1.
STATISTIC = {"Gaussian Ansatz": "mode", "flow likelihood": "mode"}
CONFORMAL = ("deep ensemble, conformal", "quantiles, conformal")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="results.json of the study")
    path = parser.parse_args().results
    found = {(r.subject, r.quantity): r for r in read_results(path)}
    about = json.loads(path.read_text())
    common = {"command": COMMAND, "study": about["command"], "versions": about["versions"]}
    rows: list[Answer] = []

    def add(figure: str, worst: Result, bar: str, met: bool, ratio: float | None = None) -> None:
        rows.append(
            row(
                figure,
                worst.value,
                None,
                ratio,
                worst.error,
                unit=worst.unit,
                bar=bar,
                met=met,
                **common,
            )
        )

    for name in METHODS:
        own = [r for (subject, _), r in found.items() if subject == name]
        statistic = STATISTIC.get(name, "median")
        closure = [r for r in own if r.quantity.startswith("pt, non-closure")]
        worst = max((r for r in closure if r.quantity.endswith(statistic)), key=_value)
        add(
            f"{name}: largest non-closure, both priors, {statistic}",
            worst,
            "< 1%",
            worst.value < 1,
        )
        worst = max((r for r in own if r.quantity.startswith("pt, resolution ratio")), key=_value)
        add(
            f"{name}: resolution over numerical inversion, worse prior",
            worst,
            "<= 0.9",
            worst.value <= 0.9,
            worst.value,
        )
        worst = max((r for r in own if r.quantity.startswith("pt, residual")), key=_value)
        add(
            f"{name}: largest residual of all features ({worst.quantity.split(', ')[-1]})",
            worst,
            "<= 1%",
            worst.value <= 1,
        )
    for name in (*METHODS, *CONFORMAL):
        share = found[name, "coverage of 68%"]
        add(f"{name}: coverage of 68% intervals", share, "within 2%", abs(share.value - 68.27) <= 2)
    save("jet_calibration", rows)


def _value(result: Result) -> float:
    return result.value


if __name__ == "__main__":
    main()
