"""Time top vs QCD to Parquet against a bare nextBatch and cluster loop over the same events.

    python benchmarks/generation.py

The bare loop is what a user would write at the least: one Pythia for the whole sample, batches
of the same size, the visible final state clustered and the jets' constituents taken; no matching,
no selection, nothing kept or written. Rates are jets kept a second of CPU time (one core) and of
wall time (two workers: on a quiet machine only).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from colliderkit.sources.pythia import jets as pythia
from colliderkit.sources.pythia.processes import PROCESSES
from colliderkit.sources.pythia.shards import SHARD, generate
from comparison import options, row, save

CLASSES = {"qcd": 0, "top": 1}
Times = tuple[float, float]


def timed(action: Callable[[], Any]) -> Times:
    """Return CPU seconds of this process and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - cpu, time.perf_counter() - wall


def bare(made: dict[str, int]) -> None:
    """Generate and cluster this many events of each process, and keep nothing."""
    import fastjet

    definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 0.8)
    for name, events in made.items():
        generator = pythia.start(PROCESSES[name], 1)
        while events > 0:
            particles = generator.nextBatch(min(events, pythia.BATCH)).prt
            events -= len(particles)
            code = abs(particles.id)
            visible = (particles.status > 0) & (code != 12) & (code != 14) & (code != 16)
            p = particles.p[visible]
            momenta = ak.zip({"px": p.px, "py": p.py, "pz": p.pz, "E": p.e})
            sequence = fastjet.ClusterSequence(momenta, definition)
            sequence.inclusive_jets(550.0)
            sequence.constituents(550.0)


def events_of(path: Path) -> dict[str, int]:
    """Return how many events of each process the sample took: the last numbers of its shards."""
    jets = ak.from_parquet(path, columns=["event", "label"])
    made = {}
    for name, label in CLASSES.items():
        event = np.asarray(jets.event[jets.label == label])
        shard, number = event >> 20, event & 0xFFFFF
        made[name] = sum(int(number[shard == one].max()) + 1 for one in np.unique(shard))
    return made


def main() -> None:
    parser: argparse.ArgumentParser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--count", type=int, default=5 * SHARD, help="jets of each class")
    chosen = parser.parse_args()
    jets = chosen.count * len(CLASSES)
    classes = tuple(CLASSES.items())
    ours: list[Times] = []
    peer: list[Times] = []
    two: list[float] = []
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        path = Path(folder) / "jets.parquet"

        def once(workers: int) -> None:
            generate(
                classes, chosen.count, path, seed=1, workers=workers, force=True, progress=False
            )

        pythia.imported("fastjet")  # imports are not timed
        pythia.jets("qcd", 20)
        for _ in range(chosen.repetitions):
            ours.append(timed(lambda: once(1)))
            made = events_of(path)
            peer.append(timed(lambda made=made: bare(made)))
            two.append(timed(lambda: once(2))[1])
            print(f"  ours {ours[-1]}, bare {peer[-1]}, two workers {two[-1]:.1f} s", flush=True)
    packages = ("colliderkit", "pythia8mc", "fastjet", "awkward", "numpy")
    shared = {
        "command": f"python benchmarks/generation.py --count {chosen.count}",
        "versions": {name: version(name) for name in packages},
        "unit": "jets/s",
    }
    cpu = [b[0] / a[0] for a, b in zip(ours, peer, strict=True)]
    wall = [b[1] / a[1] for a, b in zip(ours, peer, strict=True)]
    scale = [a[1] / b for a, b in zip(ours, two, strict=True)]
    rows = [
        row(
            "generation, top vs QCD to Parquet, one core (CPU time)",
            jets / statistics.median(a[0] for a in ours),
            jets / statistics.median(b[0] for b in peer),
            statistics.median(cpu),
            spread(cpu),
            bar=">= 0.85",
            threads=1,
            wall_ratio=statistics.median(wall),
            wall_ours=jets / statistics.median(a[1] for a in ours),
            wall_peer=jets / statistics.median(b[1] for b in peer),
            **shared,
        ),
        row(
            "generation, two workers against one (wall time)",
            jets / statistics.median(two),
            jets / statistics.median(a[1] for a in ours),
            statistics.median(scale),
            spread(scale),
            bar=">= 1.8",
            threads=2,
            **shared,
        ),
    ]
    save("generation", rows)


def spread(ratios: list[float]) -> float | None:
    return statistics.stdev(ratios) if len(ratios) > 1 else None


if __name__ == "__main__":
    main()
