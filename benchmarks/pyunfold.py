"""Iterative Bayesian unfolding against PyUnfold on the same response matrix.

    python benchmarks/pyunfold.py --peers PEERS

A Gaussian toy with an efficiency curve in three binnings, unfolded with 1, 4 and 20 iterations
from the simulation's truth and from a flat prior: the largest relative difference of the spectra.
The errors of both are held against finite differences: PyUnfold 0.5.0 multiplies the derivatives
of earlier iterations in the wrong order, so that its errors are off from the second on. CPU time is
that of one unfolding with the errors of data and simulation, by propagation in PyUnfold, by 200
replicas of the simulation in ours.
"""

import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from colliderkit.methods.unfolding.binned import IterativeBayes, unfold_iteratively
from colliderkit.methods.unfolding.response import Response
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.sources.toys.unfolding import turn_on, unfolding_toy
from comparison import options, row, run, save

COMMAND = "python benchmarks/pyunfold.py --peers PEERS"
BINS = ((10, 10), (20, 40), (50, 50))
ITERATIONS = (1, 4, 20)
BAR = 1e-6


def main() -> None:
    parser = options(__doc__, jets=False)
    parser.set_defaults(threads=1)
    chosen = parser.parse_args()
    toy = unfolding_toy(500_000, smear=0.5, efficiency=turn_on(), seed=1)
    nature = unfolding_toy(50_000, mean=0.3, smear=0.5, efficiency=turn_on(), seed=2)
    sample = UnfoldingSample.checked(
        nature.seen, toy.reco, toy.truth, pass_reco=toy.pass_reco, pass_truth=toy.pass_truth
    )
    cases, given = {}, {}
    for truth_bins, reco_bins in BINS:
        edges = np.linspace(-2.2, 2.2, truth_bins + 1), np.linspace(-3, 3, reco_bins + 1)
        response = Response.of(sample, *edges)
        data = np.histogram(nature.seen[:, 0], edges[1])[0] * response.real
        for iterations in ITERATIONS:
            for prior in ("simulation", "flat"):
                name = f"{truth_bins} x {reco_bins} bins, {iterations} iterations, {prior} prior"
                start = response.truth if prior == "simulation" else np.ones(truth_bins)
                cases[name] = (response, edges, iterations, prior)
                given |= {
                    f"{name}/data": data,
                    f"{name}/matrix": response.matrix,
                    f"{name}/prior": start,
                    f"{name}/iterations": np.array(iterations),
                }
    rows, seconds = [], {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory(prefix="colliderkit-benchmark-") as folder:
        file, results = Path(folder) / "given.npz", Path(folder) / "found.npz"
        np.savez(file, **given)
        for _ in range(chosen.repetitions):
            answer = run("pyunfold", "unfold", chosen.peers, file=file, found=results)
            seconds["theirs"].append(sum(answer["seconds"].values()) / len(cases))
            start = time.process_time()
            ours = {name: unfolded(given[f"{name}/data"], *case) for name, case in cases.items()}
            seconds["ours"].append((time.process_time() - start) / len(cases))
        theirs = dict(np.load(results))
    versions = answer["versions"] | {"colliderkit": version("colliderkit")}
    common = {"command": COMMAND, "threads": chosen.threads, "versions": versions}
    differences = {
        name: float(np.abs(ours[name]["spectrum"] / theirs[f"{name}/spectrum"] - 1).max())
        for name in cases
    }
    worst = max(differences.values())
    rows.append(
        row(
            f"IBU, spectrum: largest difference to PyUnfold's in {len(cases)} cases",
            worst,
            None,
            None,
            None,
            unit="relative",
            bar=f"<= {BAR:g}",
            met=worst <= BAR,
            **common,
        )
    )
    exact = {name: differentiated(name, given) for name in cases}
    rows.append(
        row(
            f"IBU, statistical errors: largest difference to finite differences in {len(cases)}"
            " cases",
            max(float(np.abs(ours[n]["error"] / exact[n] - 1).max()) for n in cases),
            max(float(np.abs(theirs[f"{n}/error"] / exact[n] - 1).max()) for n in cases),
            None,
            None,
            unit="relative",
            **common,
        )
    )
    each = [a / b for a, b in zip(seconds["theirs"], seconds["ours"], strict=True)]
    rows.append(
        row(
            "IBU with errors of data and simulation, unfoldings a CPU second",
            1 / statistics.median(seconds["ours"]),
            1 / statistics.median(seconds["theirs"]),
            statistics.median(each),
            statistics.stdev(each) if len(each) > 1 else None,
            unit="1/CPU s",
            **common,
        )
    )
    save("pyunfold", rows)


def unfolded(data, response, edges, iterations, prior) -> dict[str, np.ndarray]:
    """Unfold data that have no fakes left in them, with errors of the data alone."""
    method = IterativeBayes(
        truth_edges=edges[0],
        reco_edges=edges[1],
        iterations=iterations,
        prior=prior,
        replicas=200,
    )
    # The share of fakes is put back, for `fit_histogram` takes it off again.
    whole = np.divide(data, response.real, out=np.zeros_like(data), where=response.real > 0)
    variance = np.divide(data, response.real**2, out=np.zeros_like(data), where=response.real > 0)
    method.fit_histogram(whole, variance, response)
    return {"spectrum": method.spectrum_, "error": np.sqrt(np.diag(method.covariance_data_))}


def differentiated(name: str, given: dict[str, np.ndarray]) -> np.ndarray:
    """Return the statistical errors by central differences of the spectrum itself."""
    data, matrix, prior, iterations = (
        given[f"{name}/{part}"] for part in ("data", "matrix", "prior", "iterations")
    )
    step = 1e-3 * np.sqrt(data)
    up, down = (
        unfold_iteratively(data + sign * np.diag(step), matrix, prior, int(iterations))[0][-1]
        for sign in (1, -1)
    )
    # Each row is what a thousandth of the error of one bin of the data changes, twice.
    return np.sqrt((((up - down) / 2e-3) ** 2).sum(0))


if __name__ == "__main__":
    main()
