"""The error of learned likelihood ratios where the exact one is known (2305.10500).

    python benchmarks/likelihood_ratio.py --peers PEERS

Each repetition draws 50,000 events of each density; hep_ml's GBReweighter and scikit-learn's
perceptron (64, 64, 64; early stopping) see the same files as ours. The figure is the mean
|p1/p0 learned - exact| over 20,000 other events, half of each density.
"""

import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from colliderkit.methods.ratio import Ratio
from colliderkit.sources.toys.ratios import RATIO_TOYS
from comparison import options, row, run, save

COMMAND = "python benchmarks/likelihood_ratio.py --peers PEERS"
EVENTS, TESTS = 50_000, 10_000


def main() -> None:
    parser = options(__doc__, jets=False)
    parser.set_defaults(repetitions=20, threads=1)
    chosen = parser.parse_args()
    errors: dict[tuple[str, str], list[float]] = {}
    seconds: dict[tuple[str, str], list[float]] = {}
    versions = {name: version(name) for name in ("colliderkit", "torch")}
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        file, scores = Path(folder) / "samples.npz", Path(folder) / "scores.npz"
        for seed in range(chosen.repetitions):
            samples = {}
            for name, toy in RATIO_TOYS.items():
                samples[f"{name}/numerator"] = toy.numerator(EVENTS, [seed, 1])
                samples[f"{name}/denominator"] = toy.denominator(EVENTS, [seed, 2])
                tests = toy.numerator(TESTS, [seed, 3]), toy.denominator(TESTS, [seed, 4])
                samples[f"{name}/test"] = np.concatenate(tests)
            np.savez(file, **samples)
            answer = run("hep_ml", "ratio", chosen.peers, file=file, scores=scores, seed=seed)
            versions |= answer["versions"]
            theirs = np.load(scores)
            for name, toy in RATIO_TOYS.items():
                exact = toy.ratio(samples[f"{name}/test"])
                for peer in ("GBReweighter", "MLP"):
                    key = f"{name}/{peer}"
                    errors.setdefault((name, peer), []).append(
                        float(np.abs(theirs[key] - exact).mean())
                    )
                    seconds.setdefault((name, peer), []).append(answer["seconds"][key])
                for ours, family in (("ours", True), ("ours, network alone", False)):
                    start = time.process_time()
                    ratio = Ratio(family=family)
                    ratio.fit(
                        samples[f"{name}/numerator"], samples[f"{name}/denominator"], seed=seed
                    )
                    found = ratio.weights(samples[f"{name}/test"])
                    seconds.setdefault((name, ours), []).append(time.process_time() - start)
                    errors.setdefault((name, ours), []).append(float(np.abs(found - exact).mean()))
    rows = []
    for name in RATIO_TOYS:
        mean = {key[1]: statistics.mean(v) for key, v in errors.items() if key[0] == name}
        for peer in ("GBReweighter", "MLP"):
            each = [a / b for a, b in zip(errors[name, "ours"], errors[name, peer], strict=True)]
            rows.append(
                row(
                    f"mean error of the ratio, {name}, against {peer}",
                    mean["ours"],
                    mean[peer],
                    mean["ours"] / mean[peer],
                    statistics.stdev(each) / len(each) ** 0.5 if len(each) > 1 else None,
                    unit="",
                    bar="<= 0.5",
                    command=COMMAND,
                    threads=1,
                    versions=versions,
                    repetitions=chosen.repetitions,
                    network_alone=mean["ours, network alone"],
                    seconds={
                        key[1]: statistics.mean(v) for key, v in seconds.items() if key[0] == name
                    },
                )
            )
    save("likelihood_ratio", rows)


if __name__ == "__main__":
    main()
