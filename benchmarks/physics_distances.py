"""FPD and KPD against jetnet 0.2.5 on the same tables of features, one thread each.

    python benchmarks/physics_distances.py --peers PEERS

The tables are the features of the CaloChallenge's classifiers, 362 of them, of 50,000 showers in
6,480 voxels: parametrised electrons of 0.5 to 1 GeV, and a second sample whose Moliere radius is
4% larger. Both sides take the challenge's parameters: FPD from 10,000 to 50,000 events, 20 draws
at each of 10 sizes; KPD of 10 draws of 10,000. Each repetition is a process of its own for each
side; the time is that of the call, after a call on a few rows (jetnet compiles its kernel).

Values: the draws differ, so that "the same" is 1%, or two standard deviations of both errors.
jetnet draws the events of a KPD batch with replacement, and a pair of copies counts as a pair.
Their errors are those of the draws; beside them stand our unbiased estimates, with the errors of
the events, which are those to be quoted. `--unbiased` measures these alone, and keeps the others.
"""

import json
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from colliderkit.events.calorimeter.features import features
from colliderkit.metrics.generative import unbiased_frechet_distance, unbiased_kernel_distance
from colliderkit.sources.geant4.calorimeters import calorimeter
from colliderkit.sources.geant4.gflash import effective_medium, showers
from comparison import RESULTS, Answer, options, row, run, save

COMMAND = "python benchmarks/physics_distances.py --peers PEERS"
PIECE = 5000


def main() -> None:
    parser = options(__doc__, jets=False)
    parser.set_defaults(threads=1)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--unbiased", action="store_true", help="the unbiased estimates alone")
    chosen = parser.parse_args()
    tables = table(chosen.events, 1.0, 1), table(chosen.events, 1.04, 2)
    quoted = unbiased(*tables)
    if chosen.unbiased:
        kept = json.loads((RESULTS / "physics_distances.json").read_text())
        new = {line["quantity"] for line in quoted}
        save("physics_distances", [line for line in kept if line["quantity"] not in new] + quoted)
        return
    answers: dict[str, list[Answer]] = {"colliderkit": [], "jetnet": []}
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        file = Path(folder) / "tables.npz"
        np.savez(file, reference=tables[0], sample=tables[1])
        for _ in range(chosen.repetitions):
            for side, found in answers.items():
                verb = "distances"
                found.append(run(side, verb, chosen.peers, file=file, threads=chosen.threads))
    rows = []
    ours, peer = answers["colliderkit"], answers["jetnet"]
    common = {
        "command": COMMAND,
        "threads": chosen.threads,
        "versions": {**peer[0]["versions"], **ours[0]["versions"]},
        "events": chosen.events,
        "features": 362,
    }
    for figure in ("FPD", "KPD"):
        times = [[a[f"{figure}_cpu_s"] for a in side] for side in (peer, ours)]
        each = [a / b for a, b in zip(*times, strict=True)]
        rows.append(
            row(
                f"{figure}: CPU time",
                statistics.median(times[1]),
                statistics.median(times[0]),
                statistics.median(each),
                statistics.stdev(each) if len(each) > 1 else None,
                unit="s",
                bar=">= 3",
                **common,
            )
        )
        (a, a_error), (b, b_error) = ours[0][figure], peer[0][figure]
        apart = abs(a - b)
        rows.append(
            row(
                f"jetnet's {figure}: value (errors of its draws)",
                *(a, b, a / b, None),
                unit="",
                bar="within 1% or two errors",
                met=bool(apart <= max(0.01 * abs(b), 2 * np.hypot(a_error, b_error))),
                error=a_error,
                peer_error=b_error,
                **common,
            )
        )
    peak = max(a["peak_gb"] for a in ours)
    rows.append(
        row(
            "FPD and KPD: peak memory",
            *(peak, max(a["peak_gb"] for a in peer), None, None),
            unit="GB",
            bar="ours < 2 GB",
            met=peak < 2,
            **common,
        )
    )
    save("physics_distances", rows + quoted)


def unbiased(reference: np.ndarray, sample: np.ndarray) -> list[Answer]:
    """Return rows of our unbiased FPD and KPD, with the errors of the events of both samples."""
    rows = []
    for name, found in (
        ("FPD", unbiased_frechet_distance(reference, sample)),
        ("KPD", unbiased_kernel_distance(reference, sample)),
    ):
        rows.append(
            row(
                f"unbiased {name}: value",
                *(found.value, None, None, found.error),
                unit="",
                command=f"{COMMAND} --unbiased",
                threads=1,
                events=len(reference),
                features=reference.shape[1],
            )
        )
    return rows


def table(count: int, wider: float, seed: int) -> np.ndarray:
    """Return features (N, 362) of parametrised showers, with a wider shower if asked for."""
    given = calorimeter("electrons-6480")
    medium, depths, _ = effective_medium(given)
    medium = replace(medium, moliere=medium.moliere * wider)
    random = np.random.default_rng(seed)
    parts = []
    for start in range(0, count, PIECE):
        energy = random.uniform(500, 1000, min(PIECE, count - start))
        drawn = showers(
            energy, given.geometry, medium, seed=1000 * seed + start // PIECE, depths=depths
        )
        parts.append(features(drawn, energy, given.geometry, threshold=0.015).table())
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
