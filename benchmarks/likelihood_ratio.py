"""The error of learned likelihood ratios where the exact one is known (2305.10500).

    python benchmarks/likelihood_ratio.py --peers PEERS --work FOLDER

Each repetition draws 50,000 events of each density; hep_ml's GBReweighter and scikit-learn's
perceptron (64, 64, 64; early stopping) see the same files as ours. The figure is the mean
|p1/p0 learned - exact| over 20,000 other events, half of each density; a row has its median over
the repetitions. Repetitions that stand in FOLDER are not run again.
"""

import json
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from colliderkit.files import atomic_file
from colliderkit.methods.ratio import Ratio
from colliderkit.sources.toys.ratios import RATIO_TOYS
from comparison import options, row, run, save

COMMAND = "python benchmarks/likelihood_ratio.py --peers PEERS --work FOLDER"
EVENTS, TESTS = 50_000, 10_000
ALONE = 4  # repetitions with the network alone, which is there for comparison


def measure(seed: int, peers: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Return {"errors", "seconds"}: {density: {side: value}} of one repetition, and versions."""
    errors: dict[str, dict[str, float]] = {name: {} for name in RATIO_TOYS}
    seconds: dict[str, dict[str, float]] = {name: {} for name in RATIO_TOYS}
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        file, scores = Path(folder) / "samples.npz", Path(folder) / "scores.npz"
        samples = {}
        for name, toy in RATIO_TOYS.items():
            samples[f"{name}/numerator"] = toy.numerator(EVENTS, [seed, 1])
            samples[f"{name}/denominator"] = toy.denominator(EVENTS, [seed, 2])
            tests = toy.numerator(TESTS, [seed, 3]), toy.denominator(TESTS, [seed, 4])
            samples[f"{name}/test"] = np.concatenate(tests)
        np.savez(file, **samples)
        answer = run("hep_ml", "ratio", peers, file=file, scores=scores, seed=seed)
        theirs = np.load(scores)
        for name, toy in RATIO_TOYS.items():
            exact = toy.ratio(samples[f"{name}/test"])
            for peer in ("GBReweighter", "MLP"):
                key = f"{name}/{peer}"
                errors[name][peer] = float(np.abs(theirs[key] - exact).mean())
                seconds[name][peer] = answer["seconds"][key]
            sides = {"ours": True, "ours, network alone": False}
            for ours, family in list(sides.items())[: 2 if seed < ALONE else 1]:
                start = time.process_time()
                ratio = Ratio(family=family)
                ratio.fit(samples[f"{name}/numerator"], samples[f"{name}/denominator"], seed=seed)
                found = ratio.weights(samples[f"{name}/test"])
                seconds[name][ours] = time.process_time() - start
                errors[name][ours] = float(np.abs(found - exact).mean())
    versions = {name: version(name) for name in ("colliderkit", "torch")} | answer["versions"]
    return {"errors": errors, "seconds": seconds, "versions": versions}


def main() -> None:
    parser = options(__doc__, jets=False)
    parser.add_argument("--work", type=Path, required=True, help="keeps finished repetitions")
    parser.set_defaults(repetitions=20, threads=1)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    errors: dict[tuple[str, str], list[float]] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    for seed in range(chosen.repetitions):
        path = chosen.work / f"{seed}.json"
        if not path.exists():
            with atomic_file(path) as part:
                part.write_text(json.dumps(measure(seed, chosen.peers)))
        found = json.loads(path.read_text())
        versions = found["versions"]
        for kind, kept in (("errors", errors), ("seconds", seconds)):
            for name, sides in found[kind].items():
                for side, value in sides.items():
                    kept.setdefault((name, side), []).append(value)
    rows = []
    for name in RATIO_TOYS:
        # Over repetitions the median: a rare reweighter gives one event a weight of 10^9 and more.
        middle = {key[1]: statistics.median(v) for key, v in errors.items() if key[0] == name}
        for peer in ("GBReweighter", "MLP"):
            each = [a / b for a, b in zip(errors[name, "ours"], errors[name, peer], strict=True)]
            rows.append(
                row(
                    f"mean error of the ratio, {name}, against {peer}",
                    middle["ours"],
                    middle[peer],
                    statistics.median(each),
                    statistics.stdev(each) / len(each) ** 0.5 if len(each) > 1 else None,
                    unit="",
                    bar="<= 0.5",
                    command=COMMAND,
                    threads=1,
                    versions=versions,
                    repetitions=chosen.repetitions,
                    network_alone=middle["ours, network alone"],
                    seconds={
                        key[1]: statistics.mean(v) for key, v in seconds.items() if key[0] == name
                    },
                )
            )
    save("likelihood_ratio", rows)


if __name__ == "__main__":
    main()
