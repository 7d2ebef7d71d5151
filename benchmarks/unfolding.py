"""OmniFold on six observables against omnifold 0.1.36 and against iterative Bayesian unfolding.

    python benchmarks/unfolding.py --simulation SIMULATION --nature NATURE... --peers PEERS \
        --work FOLDER

SIMULATION and each NATURE are files of paired events:

    colliderkit generate z-jets 100000 --paired --seed 1 --out simulation.parquet
    colliderkit generate z-jets 50000 --paired --seed 2 --out nature-2.parquet \
        --settings "TimeShower:alphaSvalue = 0.16; StringZ:aLund = 0.9"

Every NATURE is another draw of the same tune, unfolded with another seed of the networks and the
same simulation: the errors over them are those of data and of networks. Same events, iterations
(3), epochs (10), batch size (512) and threads on both sides; omnifold at its default learning rate
and at ten times that, on inputs standardised for it. IBU (ours; PyUnfold's is the same to 3e-15,
see pyunfold.py) unfolds each observable alone in the bins of D, with 3 iterations and with those
that its curve chooses from data.

D is 1000 times the triangular discriminator to the truth of NATURE. Both sides unfold the very
events of that truth: a perfect unfolding may lie below the counting floor of independent samples.
FOLDER keeps what is finished. Timing is apart (`--timing`), so that it can run on a quiet machine.
"""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.methods.unfolding.binned import iteration_curve, unfold_iteratively
from colliderkit.methods.unfolding.response import Response
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.metrics.separation import binned_separation, separation
from colliderkit.sources.datasets.zjets import OBSERVABLES, PairedTable
from comparison import RESULTS, Answer, options, row, run, save

COMMAND = (
    "python benchmarks/unfolding.py --simulation SIMULATION --nature NATURE... --peers PEERS"
    " --work FOLDER"
)
BUDGET = {"iterations": 3, "epochs": 10, "batch": 512}
RATES = {"omnifold": 1e-4, "omnifold, lr 1e-3": 1e-3}
OURS, BAYES, CHOSEN = "ours", "IBU, 3 iterations", "IBU, chosen"


def main() -> None:
    parser = options(__doc__, jets=False)
    parser.set_defaults(threads=1)
    parser.add_argument("--simulation", type=Path, required=True)
    parser.add_argument("--nature", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--timing", action="store_true", help="time both sides, nothing else")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    files = [prepared(chosen.simulation, nature, chosen.work) for nature in chosen.nature]
    kept = RESULTS / "unfolding.json"
    rows = json.loads(kept.read_text()) if kept.exists() else []
    new = timing(files[0], chosen) if chosen.timing else quality(files, chosen)
    measured = {line["quantity"] for line in new}
    save("unfolding", [line for line in rows if line["quantity"] not in measured] + new)


def prepared(simulation: Path, nature: Path, work: Path) -> Path:
    """Write the tables of one problem, and the truth of nature, as both sides read them."""
    file = work / f"{nature.stem}.npz"
    if not file.exists():
        simulated, real = PairedTable.read(simulation), PairedTable.read(nature)
        np.savez(
            file,
            truth=simulated.truth,
            reco=simulated.reco,
            pass_truth=simulated.pass_truth,
            pass_reco=simulated.pass_reco,
            data=real.reco[real.pass_reco],
            nature=real.truth[real.pass_truth],
        )
    return file


def timing(file: Path, chosen: Any) -> list[Answer]:
    """Run both sides in turn, and compare wall and CPU seconds."""
    sides: dict[str, list[Answer]] = {"colliderkit": [], "omnifold": []}
    for repetition in range(chosen.repetitions):
        for side, answers in sides.items():
            found = chosen.work / "timing.npy"
            given = {"file": file, "found": found, "threads": chosen.threads, **BUDGET}
            answers.append(run(side, "unfold", chosen.peers, seed=repetition, **given))
    ours, theirs = sides["colliderkit"], sides["omnifold"]
    rows = []
    for key, what in (("cpu_s", "CPU"), ("wall_s", "wall")):
        each = [b[key] / a[key] for a, b in zip(ours, theirs, strict=True)]
        rows.append(
            row(
                f"OmniFold on tables, {what} seconds, {chosen.threads} thread"
                + ("s" if chosen.threads > 1 else ""),
                statistics.median(a[key] for a in ours),
                statistics.median(b[key] for b in theirs),
                statistics.median(each),
                statistics.stdev(each) if len(each) > 1 else None,
                unit="s",
                bar=">= 3",
                command=f"{COMMAND} --timing --threads {chosen.threads}",
                threads=chosen.threads,
                versions={**theirs[0]["versions"], **ours[0]["versions"]},
            )
        )
    return rows


def quality(files: list[Path], chosen: Any) -> list[Answer]:
    """Unfold every nature by every method, and compare D observable by observable."""
    found: dict[str, list[list[float]]] = {}
    floors, versions = [], {}
    for seed, file in enumerate(files):
        given = np.load(file)
        problem = {name: given[name] for name in given.files}
        edges = binning(problem)
        pushes = {"prior": np.ones(len(problem["truth"]))}
        for name, side in ((OURS, "colliderkit"), *((name, "omnifold") for name in RATES)):
            where = chosen.work / f"{file.stem}-{name.replace(' ', '-')}.npy"
            note = where.with_suffix(".json")
            if not note.exists():
                asked = {"file": file, "found": where, "threads": chosen.threads, **BUDGET}
                if name in RATES:
                    asked["rate"] = RATES[name]
                answer = run(side, "unfold", chosen.peers, seed=seed, **asked)
                note.write_text(json.dumps(answer))
            versions |= json.loads(note.read_text())["versions"]
            pushes[name] = np.load(where)
        for name, push in pushes.items():
            d = [of_weights(problem, i, edges[i][0], push) for i in range(len(OBSERVABLES))]
            found.setdefault(name, []).append([1e3 * each.value.value for each in d])
            if name == OURS:
                floors.append([1e3 * each.floor for each in d])
        for name, iterations in ((BAYES, BUDGET["iterations"]), (CHOSEN, None)):
            d = [of_bayes(problem, i, *edges[i], iterations) for i in range(len(OBSERVABLES))]
            found.setdefault(name, []).append(d)
    floor = np.mean(floors, 0)
    common = {"command": COMMAND, "threads": chosen.threads, "versions": versions}
    rows = []
    for peer in (*RATES, BAYES, CHOSEN):
        better = []
        for i, observable in enumerate(OBSERVABLES):
            ours, theirs = (np.array(found[name])[:, i] for name in (OURS, peer))
            difference = ours - theirs
            error = float(np.std(difference, ddof=1) / len(files) ** 0.5) if len(files) > 1 else 0.0
            # Below the floor of counting no difference means anything.
            below = bool(ours.mean() <= floor[i])
            better.append(bool(difference.mean() < 0))
            rows.append(
                row(
                    f"D of {observable.name}, against {peer}",
                    float(ours.mean()),
                    float(theirs.mean()),
                    float(ours.mean() / theirs.mean()),
                    error,
                    unit="1e-3",
                    bar="<= 1 within 2 errors of the difference, or below the floor",
                    met=below or bool(difference.mean() <= 2 * error),
                    repetitions=len(files),
                    floor=float(floor[i]),
                    prior=float(np.mean(found["prior"], 0)[i]),
                    ours_error=spread(ours),
                    peer_error=spread(theirs),
                    difference=float(difference.mean()),
                    **common,
                )
            )
        rows.append(
            row(
                f"observables of lower mean D, against {peer}",
                float(sum(better)),
                float(len(better) - sum(better)),
                None,
                None,
                unit="of 6",
                bar=">= 4",
                met=sum(better) >= 4,
                repetitions=len(files),
                **common,
            )
        )
    return rows


def spread(values: np.ndarray) -> float | None:
    """Return the error of the mean."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None


def binning(problem: dict[str, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the bins of truth and of detector level of each observable."""
    both = problem["pass_truth"] & problem["pass_reco"]
    return [
        (o.edges(problem["truth"][both, i]), o.edges(problem["reco"][both, i]))
        for i, o in enumerate(OBSERVABLES)
    ]


def of_weights(problem: dict[str, np.ndarray], i: int, edges: np.ndarray, push: np.ndarray) -> Any:
    """Return D of the weighted simulation."""
    weight = push * problem["pass_truth"]
    return separation(problem["truth"][:, i], problem["nature"][:, i], edges, weight=weight)


def of_bayes(
    problem: dict[str, np.ndarray],
    i: int,
    truth_edges: np.ndarray,
    reco_edges: np.ndarray,
    iterations: int | None,
) -> float:
    """Return 1000 D of iterative Bayesian unfolding of one observable."""
    column = slice(i, i + 1)
    sample = UnfoldingSample.checked(
        *(problem[name][:, column] for name in ("data", "reco", "truth")),
        pass_reco=problem["pass_reco"],
        pass_truth=problem["pass_truth"],
    )
    response = Response.of(sample, truth_edges, reco_edges)
    data = np.histogram(problem["data"][:, i], reco_edges)[0].astype(np.float64)
    if iterations is None:
        iterations = iteration_curve(response, data, data).best
    spectra, _ = unfold_iteratively(
        data * response.real, response.matrix, response.truth, iterations
    )
    truth = np.histogram(problem["nature"][:, i], truth_edges)[0].astype(np.float64)
    exact = np.zeros_like(truth)
    return 1e3 * binned_separation(spectra[-1], exact, truth, truth).value.value


if __name__ == "__main__":
    main()
