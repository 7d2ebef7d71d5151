"""Pileup mitigation: a graph network against tuned PUPPI and SoftKiller, at every mu.

    colliderkit study pileup --scale laptop --out runs/pileup
    python benchmarks/pileup.py runs/pileup

Takes what the study has trained, tuned and weighted, on its own test events. Ratios of resolutions
are bootstrapped over events for both methods together. Times are CPU times of one thread.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from colliderkit.events.pileup import Particles
from colliderkit.methods.method import load, versions
from colliderkit.metrics.pileup import compared, match, momentum_shift, resampled
from colliderkit.metrics.value import Value
from colliderkit.report.results import read_results
from colliderkit.sources.files.collisions import read_collisions
from colliderkit.sources.pythia.clustering import anti_kt
from colliderkit.studies.run import slug
from comparison import options, row, save

GRAPH, SEMI, COUNTED = "graph", "graph, charged labels", "regression"
PEERS = ("PUPPI, tuned", "SoftKiller, tuned")
TIMED = 20  # events


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("study", type=Path, help="the folder of a complete run")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    shared: dict[str, Any] = {
        "command": "python benchmarks/pileup.py runs/pileup",
        "versions": versions(),
        "threads": 1,
    }
    rows = []
    samples = sorted(
        (chosen.study / "data").glob("test-*.parquet"), key=lambda p: float(p.stem[5:])
    )
    for path in samples:
        events, _ = read_collisions(path)
        particles, mu = Particles.of(events), path.stem[5:]
        true = anti_kt(particles, particles.needed_truth())
        found = {
            name: measured(particles, true, weights(chosen.study, name, mu))
            for name in (GRAPH, SEMI, *PEERS)
        }
        pairs = [(GRAPH, peer, "<= 1") for peer in PEERS] + [(SEMI, GRAPH, "<= 1.05")]
        for one, other, bar in pairs:
            for what, ratio in ratios(found[one], found[other], len(events)).items():
                ours, peer = found[one]["figures"][what], found[other]["figures"][what]
                rows.append(
                    row(f"{what}, mu {mu}, {one} over {other}", ours, peer, ratio.value,
                        ratio.error, unit="GeV" if what == "MET shift" else "", bar=bar, **shared)
                )  # fmt: skip
    for result in read_results(chosen.study / "results.json"):
        if result.subject == COUNTED and result.quantity.startswith("interactions: bias"):
            ours = abs(result.value)
            rows.append(
                row(result.quantity, ours, 0.01, ours / 0.01, (result.error or 0) / 0.01, unit="",
                    bar="<= 1", **shared)
            )  # fmt: skip
    some = read_collisions(samples[len(samples) // 2])[0][:TIMED]
    for name in (GRAPH, "PUMML", *PEERS, "constituent subtraction, tuned"):
        method = load(chosen.study / "models" / slug(name))
        method.weights(some[:2])  # compiled
        begin = time.process_time()
        method.weights(some)
        spent = 1e3 * (time.process_time() - begin) / len(some)
        rows.append(
            row(f"time of an event, mu {samples[len(samples) // 2].stem[5:]}, {name}", spent, None,
                None, None, unit="ms", **shared)
        )  # fmt: skip
    save("pileup", rows)


def weights(study: Path, name: str, mu: str) -> Any:
    """Return the weights of all particles that the study has kept."""
    path = study / "steps" / f"{slug(f'weights of {name}, mu {mu}')}.npz"
    with np.load(path, allow_pickle=False) as file:
        return file["weight"].astype(np.float64)


def measured(particles: Particles, true: Any, weight: Any) -> dict[str, Any]:
    """Return matched jets and the shift of momentum, with their figures."""
    matched = match(true, anti_kt(particles, weight))
    shift = (momentum_shift(particles, weight) ** 2).sum(1)
    low, middle, high = np.nanquantile(matched.pt, [0.16, 0.5, 0.84])
    mass = np.nanquantile(matched.mass, [0.16, 0.5, 0.84])
    figures = {
        "jet pT resolution": (high - low) / 2 / middle,
        "jet mass resolution": (mass[2] - mass[0]) / 2 / mass[1],
        "MET shift": float(np.sqrt(shift.mean())),
    }
    return {"matched": matched, "shift": shift, "figures": figures}


def ratios(one: dict[str, Any], other: dict[str, Any], events: int) -> dict[str, Value]:
    """Return the ratios of resolutions and of the missing momentum's error."""
    a, b = one["matched"], other["matched"]
    met = resampled(lambda n: np.sqrt((n @ one["shift"]) / (n @ other["shift"])), events)
    return {
        "jet pT resolution": compared(a.pt, a.event, b.pt, b.event, events),
        "jet mass resolution": compared(a.mass, a.event, b.mass, b.event, events),
        "MET shift": met,
    }


if __name__ == "__main__":
    main()
