"""Expected error of the signal in the INFERNO toy, B0-B4, beside the published table (1806.04743).

    python benchmarks/inferno.py --work FOLDER

Trained on 200,000 events and evaluated on 1,000,000, 2x100 ReLU, ten bins, five seeds or more;
the seed is that of the events and of the network. What stands in FOLDER is not run again. The
error is that of the Fisher information of the histogram at its expectation, nuisance parameters
varied by 0.2 (r), 0.5 (lambda) and 100 (b), as in the published program.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from colliderkit.files import atomic_file
from colliderkit.methods.inference.inferno import InferenceAware
from colliderkit.methods.inference.nuisance_ratio import EDGES, UncertaintyAware
from colliderkit.methods.inference.nuisances import Nuisance
from colliderkit.methods.inference.templates import fill
from colliderkit.methods.method import versions
from colliderkit.sources.toys.inferno import BENCHMARKS, PUBLISHED, SOURCE, Inferno
from comparison import row, save

COMMAND = "python benchmarks/inferno.py --work FOLDER"
TRAIN, TEST, TEST_SEED = 100_000, 500_000, 10_047


def nuisances(benchmark: str) -> list[Nuisance]:
    """Return the nuisance parameters of a benchmark."""
    return [Nuisance(**keywords) for keywords in BENCHMARKS[benchmark].nuisances]


def inference_aware(seed: int, name: str) -> dict[str, float]:
    """Train the summary of one benchmark."""
    toy = Inferno()
    started = time.process_time()
    summary = InferenceAware(nuisances(name))
    x, label, weight = toy.sample(TRAIN, seed)
    summary.fit(x, label, weight=weight, seed=seed, progress=False)
    cpu = time.process_time() - started
    return {"error": summary.templates(*toy.sample(TEST, TEST_SEED)).expected_error(), "cpu_s": cpu}


def classifier(seed: int) -> dict[str, float]:
    """Train one classifier and evaluate it in all benchmarks."""
    toy = Inferno()
    started = time.process_time()
    events, labels, weights = toy.sample(TRAIN, seed)
    model = UncertaintyAware().fit(events, labels, weight=weights, seed=seed, progress=False)
    cpu = time.process_time() - started
    x, label, weight = toy.sample(TEST, TEST_SEED)
    found = {"cpu_s": cpu}
    for name in BENCHMARKS:
        found[name] = model.templates(x, label, weight, nuisances(name)).expected_error()
    return found


def optimal(name: str) -> float:
    """Evaluate the exact classifier."""
    toy = Inferno()
    x, label, weight = toy.sample(TEST, TEST_SEED)
    return fill(
        lambda x: 1 / (1 + np.exp(-toy.log_ratio(x))), x, label, weight, EDGES, nuisances(name)
    ).expected_error()


def kept(work: Path, name: str, measure: Any, *given: Any) -> Any:
    """Return a measurement, from FOLDER if it is there."""
    path = work / f"{name}.json"
    if not path.exists():
        with atomic_file(path) as part:
            part.write_text(json.dumps(measure(*given)))
        print(name, path.read_text(), flush=True)
    return json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="keeps what was measured")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    work = chosen.work
    exact = {name: Inferno().expected_error(name) for name in BENCHMARKS}
    best = {name: kept(work, f"optimal-{name}", optimal, name) for name in BENCHMARKS}
    aware: dict[str, list[Any]] = {name: [] for name in BENCHMARKS}
    plain = []
    for seed in range(chosen.seeds):
        plain.append(kept(work, f"cross-entropy-{seed}", classifier, seed))
        for name in BENCHMARKS:
            found = kept(work, f"inferno-{name}-{seed}", inference_aware, seed, name)
            aware[name].append(found)
    rows = []
    shared: dict[str, Any] = {
        "unit": "events",
        "command": COMMAND,
        "versions": versions(),
        "threads": chosen.threads,
        "source": SOURCE,
    }
    for i, name in enumerate(BENCHMARKS):
        for title, errors, cpu in (
            ("INFERNO", [f["error"] for f in aware[name]], [f["cpu_s"] for f in aware[name]]),
            ("cross-entropy", [f[name] for f in plain], [f["cpu_s"] for f in plain]),
        ):
            middle, published = statistics.median(errors), PUBLISHED[title][i]
            judged = title == "INFERNO" and name != "B0"
            spread = statistics.stdev(errors) if len(errors) > 1 else None
            rows.append(
                row(
                    f"sigma(s), {name}, {title}, median",
                    middle,
                    published,
                    middle / published,
                    None if spread is None else spread / published,
                    bar="<= 1" if judged else None,
                    seeds=errors,
                    cpu_s=cpu,
                    above_bound=middle / exact[name] - 1,
                    **shared,
                )
            )
        for title, value in (
            ("best classifier", best[name]),
            ("exact likelihood", exact[name]),
        ):
            published = PUBLISHED[title][i]
            figure = f"sigma(s), {name}, {title}"
            rows.append(row(figure, value, published, value / published, None, **shared))
    save("inferno", rows)


if __name__ == "__main__":
    main()
