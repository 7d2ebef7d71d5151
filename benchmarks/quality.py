"""AUC and R30 on held-out jets, after the same training on the same jets.

    python benchmarks/quality.py --jets top_qcd.parquet --peers PEERS --work FOLDER

Epochs, batch size, optimiser and constant learning rate are the same, the last weights are
taken, three seeds or more. Scores are kept in FOLDER, and what is there is not run again:
`--sides peers` runs the slow side alone, in the background say. One function of ours reads
AUC and R30 = 1/eps_B at eps_S = 0.3 off the scores of both sides.
"""

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.metrics.roc import roc
from colliderkit.sources import read, write
from comparison import mixed, options, row, run, save, slim


@dataclass(frozen=True)
class Case:
    """State a training: the peer, jets to train on and to test on, and the budget."""

    peer: str
    train: int
    test: int
    epochs: int
    batch: int
    decay: float | None = None
    rate: float = 1e-3


CASES = {
    "pfn": Case("energyflow", 20_000, 10_000, 6, 500),
    "particle-net": Case("weaver", 1_000, 1_500, 2, 64, decay=1e-4),
    "particle-transformer": Case("weaver", 1_500, 1_500, 2, 64, decay=0.01),
}
COMMAND = "python benchmarks/quality.py --jets JETS --peers PEERS --work FOLDER"
Scores = dict[tuple[str, str, int], Path]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--work", type=Path, required=True, help="keeps cut files and scores")
    parser.add_argument("--sides", choices=["both", "peers", "ours"], default="both")
    parser.add_argument("--networks", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    files = prepared(chosen.jets, chosen.work)
    for seed in range(chosen.seeds):
        for network in chosen.networks:
            for side in (CASES[network].peer, "colliderkit"):
                if chosen.sides == "both" or (side == "colliderkit") == (chosen.sides == "ours"):
                    learn(side, network, seed, files[network], chosen.work, chosen)
    if chosen.sides != "peers":
        rows = [line for network in chosen.networks for line in compared(network, chosen)]
        save("quality", rows)


def prepared(jets_file: Path, work: Path) -> dict[str, tuple[Path, Path]]:
    """Write the training and test jets of each case; tests never share jets with trainings."""
    work.mkdir(parents=True, exist_ok=True)
    files = {}
    held = max(case.test for case in CASES.values())
    jets = None
    for network, case in CASES.items():
        pair = work / f"{network}.train.parquet", work / f"{network}.test.parquet"
        files[network] = pair
        if not all(path.exists() for path in pair):
            jets = read(jets_file) if jets is None else jets
            write(pair[0], slim(mixed(jets, case.train, skip=held)), force=True)
            write(pair[1], slim(mixed(jets, case.test)), force=True)
    return files


def learn(
    side: str, network: str, seed: int, files: tuple[Path, Path], work: Path, chosen: Any
) -> None:
    """Run one training unless its scores are there already."""
    case = CASES[network]
    scores = work / f"{network}.{side}.{seed}.npz"
    if scores.exists():
        return
    print(f"{side} {network} seed {seed}", flush=True)
    part = scores.with_name("part-" + scores.name)
    answer = run(
        side,
        "fit",
        chosen.peers,
        file=files[0],
        test=files[1],
        scores=part,
        network=network,
        epochs=case.epochs,
        batch=case.batch,
        rate=case.rate,
        decay=case.decay,
        seed=seed,
        threads=chosen.threads,
    )
    scores.with_suffix(".json").write_text(json.dumps(answer))
    part.rename(scores)


def compared(network: str, chosen: Any) -> list[dict[str, Any]]:
    """Return the rows of one network: means over seeds, with the standard error of the mean."""
    case = CASES[network]
    values: dict[str, dict[str, list[float]]] = {}
    counting: dict[str, float] = {}
    versions: dict[str, str] = {}
    for side in (case.peer, "colliderkit"):
        values[side] = {"AUC": [], "R30": []}
        for seed in range(chosen.seeds):
            file = chosen.work / f"{network}.{side}.{seed}.npz"
            saved = np.load(file)
            curve = roc(saved["score"], saved["label"])
            rejection = curve.rejection(0.3)
            values[side]["AUC"].append(curve.auc.value)
            values[side]["R30"].append(rejection.value)
            counting |= {"AUC": curve.auc.error, "R30": rejection.error}
            versions |= json.loads(file.with_suffix(".json").read_text())["versions"]
    rows = []
    for metric in ("AUC", "R30"):
        ours, peer = values["colliderkit"][metric], values[case.peer][metric]
        mean = statistics.mean(ours), statistics.mean(peer)
        error = math.hypot(*(statistics.stdev(v) / math.sqrt(len(v)) for v in (ours, peer)))
        rows.append(
            row(
                f"{metric} of {network} against {case.peer}",
                *mean,
                mean[0] / mean[1],
                error / mean[1],
                unit="",
                bar="ours >= peer - 2 s.e. of the difference over seeds",
                met=mean[0] >= mean[1] - 2 * error,
                command=COMMAND,
                versions=versions,
                threads=chosen.threads,
                seeds={"ours": ours, "peer": peer},
                counting_error=counting[metric],
                budget=f"{case.train} jets x {case.epochs} epochs, {case.test} test jets",
            )
        )
    return rows


if __name__ == "__main__":
    main()
