"""Calorimeter reconstruction: clusters, neutral energy, particle flow, an event of 100,000 hits.

    python benchmarks/calorimeter.py --runs RUNS --scale laptop

Runs the studies `clustering`, `pi-plus-pi-zero` and `particle-flow` into folders of RUNS (or reads
what is there), and judges their results: clusters beside CLUE tuned on other events of the same
showers, widths of the neutral energy beside the parametrised subtraction, bin by bin, resolution
of jets and fake particles beside energy flow. Events a second are drawn from
the library, on one thread, CPU time. The event of 100,000 hits is made of showers in one square,
and is clustered in a process of its own, whose peak memory is counted.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.method import load, versions
from colliderkit.methods.reconstruction.clue import CLUE
from colliderkit.report.results import Result, read_results
from colliderkit.sources.datasets.overlapping_showers import overlapping_showers
from colliderkit.sources.files.shower_libraries import read_library
from colliderkit.studies import particle_flow, reproduce
from colliderkit.studies.clustering import FRESH, NETWORK, TUNED
from colliderkit.studies.pi_plus_pi_zero import BEST, BIAS, RATIO
from colliderkit.tasks.clustering import EFFICIENCY, MILLISECONDS, PURITY, RESPONSE
from colliderkit.tasks.particle_flow import FAKES
from comparison import options, row, save

HITS = 100_000
Rows = dict[tuple[str, str], Result]


def results(runs: Path, study: str, scale: str) -> Rows:
    """Return the results of a study, which is run if it was not, by subject and quantity."""
    out = runs / study
    if not (out / "results.json").exists():
        reproduce(study, scale=scale, out=out)
    return {(row.subject, row.quantity): row for row in read_results(out / "results.json")}


def clusters(found: Rows, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge the clusters of the network beside those of CLUE."""
    rows = []
    for quantity, bar in ((EFFICIENCY, ">= 0.9"), (PURITY, ">= 0.9"), (MILLISECONDS, "<= 5")):
        ours, clue = found[NETWORK, quantity], found[TUNED, quantity]
        rows.append(
            row(f"clusters: {quantity}", ours.value, clue.value, ours.value, ours.error, unit="",
                bar=bar, **shared)
        )  # fmt: skip
    ours, clue = found[NETWORK, RESPONSE], found[TUNED, RESPONSE]
    off = abs(ours.value - 1)
    rows.append(
        row("clusters: response off 1", off, abs(clue.value - 1), off, ours.error, unit="",
            bar="<= 0.02", **shared)
    )  # fmt: skip
    for (subject, quantity), each in found.items():
        if quantity == FRESH:
            rows.append(
                row(f"fresh showers over the library: {subject}", each.value, 1.0, each.value,
                    each.error, unit="ratio", **shared)
            )  # fmt: skip
    return rows


def neutral(found: Rows, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge the neutral energy bin by bin."""
    rows = []
    for (subject, quantity), each in found.items():
        if not subject.startswith(f"{BEST},") or quantity not in (RATIO, BIAS):
            continue
        value = each.value if quantity == RATIO else abs(each.value)
        bar = "<= 0.7" if quantity == RATIO else "<= 0.02"
        rows.append(
            row(f"neutral energy: {quantity}, {subject}", value, None, value, each.error,
                unit="ratio", bar=bar, **shared)
        )  # fmt: skip
    return rows


def flow(found: Rows, shared: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge jets and fakes of each network beside energy flow in the same towers."""
    rows = []
    for network in (particle_flow.NETWORK, particle_flow.INCIDENCE):
        if (network, particle_flow.OVER) not in found:
            continue  # at a scale that does not train it
        ratio = found[network, particle_flow.OVER]
        rows.append(
            row(f"particle flow: jet resolution over energy flow's, {network}", ratio.value, 1.0,
                ratio.value, ratio.error, unit="ratio", bar="<= 0.85", **shared)
        )  # fmt: skip
        fakes, towers = (found[name, FAKES] for name in (network, particle_flow.ENERGY_FLOW))
        over = fakes.value / towers.value
        error = over * float(np.hypot(fakes.error / fakes.value, towers.error / towers.value))
        rows.append(
            row(f"particle flow: fake particles, {network}", fakes.value, towers.value, over, error,
                unit="", bar="<= 1", **shared)
        )  # fmt: skip
    return rows


def drawn(runs: Path, shared: dict[str, Any]) -> dict[str, Any]:
    """Return the events of six showers that are drawn a CPU second, the best of three."""
    library = read_library(runs / "clustering" / "data" / "library.hdf5")
    seconds = []
    for seed in range(3):
        begin = time.process_time()
        overlapping_showers(library, 2000, seed=seed)
        seconds.append(time.process_time() - begin)
    rate = 2000 / min(seconds)
    return row("events of six showers drawn a second", rate, 1000.0, rate / 1000, None, unit="1/s",
               bar=">= 1", **shared)  # fmt: skip


def large(runs: Path, name: str) -> dict[str, float]:
    """Cluster an event of 100,000 hits; return its CPU seconds and the peak memory [GB]."""
    library = read_library(runs / "clustering" / "data" / "library.hdf5")
    hits = overlapping_showers(library, 1, mean=2500.0, fixed=True, side=2400.0, readout=None)
    hits = hits if len(hits.energy) <= HITS else small(hits)
    method = (
        CLUE().fit(hits, progress=False)
        if name == "CLUE"
        else load(runs / "clustering" / "models" / "network-seed-0")
    )
    begin = time.process_time()
    found = method.predict(hits)
    spent = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return {"seconds": spent, "peak": peak, "hits": float(len(hits.energy)),
            "clusters": float(len(found.energy))}  # fmt: skip


def small(hits: Any) -> Any:
    """Return the first 100,000 hits of an event."""
    from colliderkit.events.calorimeter.hits import CalorimeterHits

    chosen = np.sort(np.random.default_rng(1).permutation(len(hits.energy))[:HITS])
    return CalorimeterHits.checked([0, len(chosen)], hits.position[chosen], hits.energy[chosen])


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--large", choices=["CLUE", "network"])
    chosen = parser.parse_args()
    if chosen.large:
        print(json.dumps(large(chosen.runs, chosen.large)))
        return
    shared: dict[str, Any] = {
        "command": f"python benchmarks/calorimeter.py --runs RUNS --scale {chosen.scale}",
        "versions": versions(),
        "threads": 1,
    }
    rows = clusters(results(chosen.runs, "clustering", chosen.scale), shared)
    rows += neutral(results(chosen.runs, "pi-plus-pi-zero", chosen.scale), shared)
    rows += flow(results(chosen.runs, "particle-flow", chosen.scale), shared)
    rows.append(drawn(chosen.runs, shared))
    for name in ("CLUE", "network"):
        command = [sys.executable, __file__, "--runs", str(chosen.runs), "--large", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.strip().splitlines()[-1])
        what = f"{found['hits']:,.0f} hits in one event, {name}"
        rows.append(row(f"{what}: CPU seconds", found["seconds"], None, None, None, unit="s",
                        **shared))  # fmt: skip
        rows.append(row(f"{what}: peak memory", found["peak"], 4.0, found["peak"], None, unit="GB",
                        bar="<= 4", **shared))  # fmt: skip
    save("calorimeter", rows)


if __name__ == "__main__":
    main()
