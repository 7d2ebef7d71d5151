"""OmniFold on all particles against iterative Bayesian unfolding, observable by observable.

    python benchmarks/unfolding_particles.py --simulation SIMULATION --nature NATURE... \
        --work FOLDER

The files are those of unfolding.py. A PFN, Phi (64, 64, 128), F (64, 64), sees every particle of a
jet by (deta, dphi, ln pt, ln pt/pt_jet, dR), at both levels; three iterations, eight epochs a step.
IBU (three iterations, in the bins of D) sees one observable at a time. D is 1000 times the
triangular discriminator to the truth of NATURE. Each NATURE is a seed of its own. The weights of
a finished one stand in FOLDER.
"""

from pathlib import Path
from typing import Any

import numpy as np

from colliderkit.events.schema import CONSTITUENTS
from colliderkit.files import atomic_file
from colliderkit.methods.method import versions
from colliderkit.methods.unfolding.omnifold import OmniFold
from colliderkit.methods.unfolding.sample import UnfoldingSample
from colliderkit.sources.datasets.zjets import OBSERVABLES
from colliderkit.sources.files.pairs import read_pairs
from colliderkit.training.settings import Training
from comparison import options, row, save
from unfolding import BUDGET, binning, of_bayes, of_weights, prepared, spread

COMMAND = (
    "python benchmarks/unfolding_particles.py --simulation SIMULATION --nature NATURE..."
    " --work FOLDER"
)
COLUMNS = [CONSTITUENTS, "jet_pt", "jet_eta", "jet_phi", "jet_mass"]
FEATURES = ("deta", "dphi", "log_pt", "log_ptrel", "dr")


def pushes(simulation: Any, nature: Path, seed: int) -> np.ndarray:
    """Unfold all particles of one nature; return the push weights after each iteration."""
    real = read_pairs(nature)
    sample = UnfoldingSample.checked(
        real["reco"][COLUMNS][real["pass_reco"]],
        simulation["reco"][COLUMNS],
        simulation["truth"][COLUMNS],
        pass_reco=simulation["pass_reco"],
        pass_truth=simulation["pass_truth"],
    )
    method = OmniFold(
        iterations=BUDGET["iterations"],
        options={"phi": (64, 64, 128), "f": (64, 64)},
        features=FEATURES,
        data_members=1,
        training=Training(epochs=8, batch_size=256, learning_rate=2e-3, schedule="cosine"),
    )
    return method.fit_sample(sample, seed=seed).pushes_


def main() -> None:
    parser = options(__doc__, jets=False, peers=False)
    parser.add_argument("--simulation", type=Path, required=True)
    parser.add_argument("--nature", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    simulation: Any = None
    found: dict[str, list[list[float]]] = {"ours": [], "IBU": [], "prior": [], "floor": []}
    for seed, nature in enumerate(chosen.nature):
        problem = dict(np.load(prepared(chosen.simulation, nature, chosen.work)))
        kept = chosen.work / f"{nature.stem}-particles.npy"
        if not kept.exists():
            simulation = read_pairs(chosen.simulation) if simulation is None else simulation
            with atomic_file(kept) as part, open(part, "wb") as file:
                np.save(file, pushes(simulation, nature, seed))
        push = np.load(kept)
        edges = binning(problem)
        for name, weight in (("ours", push[-1]), ("prior", push[0])):
            d = [of_weights(problem, i, edges[i][0], weight) for i in range(len(OBSERVABLES))]
            found[name].append([1e3 * each.value.value for each in d])
            if name == "ours":
                found["floor"].append([1e3 * each.floor for each in d])
        found["IBU"].append(
            [of_bayes(problem, i, *edges[i], BUDGET["iterations"]) for i in range(len(OBSERVABLES))]
        )
    rows = []
    for i, observable in enumerate(OBSERVABLES):
        ours, bayes, prior, floor = (
            np.array(found[name])[:, i] for name in ("ours", "IBU", "prior", "floor")
        )
        rows.append(
            row(
                f"D of {observable.name}, all particles, against IBU",
                float(ours.mean()),
                float(bayes.mean()),
                float(ours.mean() / bayes.mean()),
                spread(ours - bayes),
                unit="1e-3",
                bar="<= 1, or below the floor",
                met=bool(ours.mean() <= max(bayes.mean(), floor.mean())),
                command=COMMAND,
                threads=1,
                versions=versions(),
                repetitions=len(chosen.nature),
                floor=float(floor.mean()),
                prior=float(prior.mean()),
            )
        )
    save("unfolding_particles", rows)


if __name__ == "__main__":
    main()
